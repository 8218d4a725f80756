"""Configurations with infinite numbers, as those of Mamba, are cut however they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import Mamba2Config, Mamba2ForCausalLM

from tests import models as tiny
from tests.cutting.cutting import cut, load_strictly, saved, skipped_logits


@pytest.mark.parametrize("written", ["Infinity", '{"__float__": "Infinity"}'])
def test_infinite_limits_stay(tmp_path: Path, written: str) -> None:
    config = Mamba2Config(
        hidden_size=32, num_hidden_layers=4, num_heads=4, head_dim=16, state_size=8, n_groups=1,
        vocab_size=64, chunk_size=8,
    )  # fmt: skip
    assert config.time_step_limit[1] == float("inf")
    model = Mamba2ForCausalLM(config).eval()
    source = saved(model, tmp_path / "whole")
    path = source / "config.json"
    data = json.loads(path.read_text()) | {"time_step_limit": [0.0, "HERE"]}
    path.write_text(json.dumps(data).replace('"HERE"', written))
    cut(source, (1,), tmp_path / "smaller")
    text = (tmp_path / "smaller" / "config.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["time_step_limit"][1]
    loaded = load_strictly(Mamba2ForCausalLM, tmp_path / "smaller")
    assert loaded.config.time_step_limit[1] == float("inf")
    inputs = {"input_ids": tiny.tokens()}
    difference = tiny.logits(loaded, **inputs) - skipped_logits(model, (1,), inputs)
    assert difference.abs().max() < 1e-4
