"""Scores of groups and channels equal those of a twin that adds weight by weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.engine.likelihood import logits_between
from depthprune.engine.teacher_forcing import reference_loss
from depthprune.importance.proxies.calibration import Calibration
from depthprune.testing.tiny_models import loaded, split_of, text_samples, word_tokenizer
from depthprune.widths.layout import UnitMap, find_layout
from depthprune.widths.plan import plan_whole
from depthprune.widths.scores import (
    check_samples,
    magnitude_scores,
    mean_scores,
    taylor_scores,
    wanda_scores,
)
from tests.widths.models import MODELS, save

Values = list[dict[str, torch.Tensor]]
"""By block and name, what each weight is worth."""

SIZES = {"llama": (3, 2, 8, 40), "llama-with-biases": (3, 2, 8, 40), "qwen2": (3, 2, 8, 40),
         "phi3": (3, 2, 8, 40), "gpt2": (0, 0, 0, 128)}  # fmt: skip
"""Groups, query heads of each, numbers of a head, channels."""


def unit_rows(name: str, layout: str) -> list[list[tuple[str, int, list[int]]]]:
    """Return, for every group and then every channel, name, axis and rows of all its slices."""
    groups, queries, size, channels = SIZES[layout]
    units = []
    for group in range(groups):
        heads = range(group * queries, (group + 1) * queries)
        query = [head * size + number for head in heads for number in range(size)]
        key = [group * size + number for number in range(size)]
        found = [("self_attn.o_proj.weight", 1, query)]
        if layout == "phi3":
            whole = groups * queries * size
            rows = [*query, *(whole + one for one in key)]
            rows += [whole + groups * size + one for one in key]
            found.append(("self_attn.qkv_proj.weight", 0, rows))
        else:
            for end in ("weight", "bias"):
                found += [(f"self_attn.{one}_proj.{end}", 0, key) for one in "kv"]
                found.append((f"self_attn.q_proj.{end}", 0, query))
        units.append(found)
    for channel in range(channels):
        if layout == "gpt2":
            found = [("mlp.c_fc.weight", 1, [channel]), ("mlp.c_fc.bias", 0, [channel])]
            found.append(("mlp.c_proj.weight", 0, [channel]))
        elif layout == "phi3":
            found = [("mlp.gate_up_proj.weight", 0, [channel, channels + channel])]
            found.append(("mlp.down_proj.weight", 1, [channel]))
        else:
            ends = ("weight", "bias")
            found = [(f"mlp.{one}_proj.{end}", 0, [channel]) for one in ("gate", "up")
                     for end in ends]  # fmt: skip
            found.append(("mlp.down_proj.weight", 1, [channel]))
        units.append(found)
    return units


def twin(layout: str, values: dict[str, torch.Tensor]) -> list[float]:
    """Return the mean of the values of each unit's weights, groups first."""
    scores = []
    for unit in unit_rows(layout, layout):
        numbers = [
            values[name].double().index_select(axis, torch.tensor(rows)).flatten()
            for name, axis, rows in unit
            if name in values
        ]
        scores.append(float(torch.cat(numbers).mean()))
    return scores


def blocks_of(model: Any) -> Any:
    return model.transformer.h if hasattr(model, "transformer") else model.model.layers


def calibration_of(model: Any, batch_size: int = 3) -> Calibration:
    tiny = loaded(model, word_tokenizer())
    return Calibration(tiny, split_of(text_samples()), batch_size=batch_size)


def found_layout(model: Any, folder: Path) -> UnitMap:
    return find_layout(plan_whole(save(model, folder)))


@pytest.mark.parametrize("name", SIZES)
def test_magnitudes_are_read_from_the_files(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    scores = magnitude_scores(found_layout(model, tmp_path), lambda: None)
    for block, found in zip(blocks_of(model), scores, strict=True):
        weights = {one: weight.detach().abs() for one, weight in block.named_parameters()}
        expected = twin(name, weights)
        assert np.concatenate([found["groups"], found["channels"]]) == pytest.approx(expected)


def test_magnitudes_of_half_numbers_are_those_of_the_numbers_themselves(tmp_path: Path) -> None:
    model = MODELS["llama"]().bfloat16()
    scores = magnitude_scores(found_layout(model, tmp_path), lambda: None)
    expected = twin(
        "llama", {n: w.detach().abs() for n, w in blocks_of(model)[0].named_parameters()}
    )
    assert np.concatenate(list(scores[0].values())) == pytest.approx(expected)


@pytest.mark.parametrize("name", SIZES)
def test_wanda_weighs_every_weight_by_what_it_is_multiplied_with(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    layout = found_layout(model, tmp_path)
    scores = wanda_scores(layout, calibration_of(model))

    # Sample by sample, so that nothing is padded.
    inputs: list[dict[str, list[torch.Tensor]]] = [{} for _ in blocks_of(model)]
    handles = []
    for block, held in zip(blocks_of(model), inputs, strict=True):
        for one, module in block.named_modules():
            if f"{one}.weight" in dict(block.named_parameters()):
                handles.append(
                    module.register_forward_pre_hook(
                        lambda _, args, at=f"{one}.weight", kept=held: kept.setdefault(
                            at, []
                        ).append(args[0][0].double())
                    )
                )
    with torch.no_grad():
        calibration_of(model, 1).read(lambda given, rows: logits_between(model, given, 0, 1))
    for handle in handles:
        handle.remove()
    for block, found, held in zip(blocks_of(model), scores, inputs, strict=True):
        values = {}
        for one, weight in block.named_parameters():
            values[one] = weight.detach().abs().double()
            if one in held and weight.dim() == 2:
                size = torch.cat(held[one]).square().mean(dim=0).sqrt()
                values[one] = values[one] * (size[:, None] if name == "gpt2" else size)
        expected = np.array(twin(name, values))
        whole = np.concatenate([found["groups"], found["channels"]])
        assert whole / whole[0] == pytest.approx(expected / expected[0], rel=1e-4)


def test_wanda_scores_of_every_block_are_one_in_the_mean_over_its_weights(tmp_path: Path) -> None:
    model = MODELS["llama"]()
    layout = found_layout(model, tmp_path)
    size = layout.parameters
    for found in wanda_scores(layout, calibration_of(model)):
        total = found["groups"].sum() * size["groups"] + found["channels"].sum() * size["channels"]
        assert total == pytest.approx(3 * size["groups"] + 40 * size["channels"])


@pytest.mark.parametrize("name", SIZES)
def test_taylor_takes_the_gradient_of_the_loss_over_all_samples(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    scores = taylor_scores(found_layout(model, tmp_path), calibration_of(model))

    calibration = calibration_of(model, 1)
    losses: list[torch.Tensor] = []
    with torch.enable_grad():
        calibration.read(
            lambda given, rows: losses.append(reference_loss(model, given, rows)),
            whole_logits=True,
        )
        (torch.stack(losses).sum() / calibration.num_reference_tokens).backward()
    for block, found in zip(blocks_of(model), scores, strict=True):
        values = {
            one: (weight.detach() * weight.grad).abs()
            for one, weight in block.named_parameters()
            if weight.grad is not None
        }
        whole = np.concatenate([found["groups"], found["channels"]])
        assert whole == pytest.approx(twin(name, values), rel=1e-3)


@pytest.mark.parametrize("scored", [wanda_scores, taylor_scores])
def test_scores_depend_neither_on_padding_nor_on_the_batch_size(
    scored: Any, tmp_path: Path
) -> None:
    model = MODELS["llama"]()
    layout = found_layout(model, tmp_path)
    one, many = (scored(layout, calibration_of(model, size)) for size in (1, 8))
    for first, second in zip(one, many, strict=True):
        for unit in ("groups", "channels"):
            assert first[unit] == pytest.approx(second[unit], rel=1e-4)


def test_every_data_set_counts_alike() -> None:
    low, high = ([{"groups": np.array([x]), "channels": np.array([x, 0.0])}] for x in (1.0, 3.0))
    (mean,) = mean_scores([low, high])
    assert mean["groups"].tolist() == [2.0]
    assert mean["channels"].tolist() == [2.0, 0.0]


def test_a_handful_of_samples_is_refused() -> None:
    check_samples(8)
    with pytest.raises(DepthpruneError, match="7 samples are too few"):
        check_samples(7)


def test_the_model_is_as_before_afterwards(tmp_path: Path) -> None:
    model = MODELS["llama"]()
    layout = found_layout(model, tmp_path)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    wanda_scores(layout, calibration_of(model))
    taylor_scores(layout, calibration_of(model))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_inputs_that_overflow_are_told(tmp_path: Path) -> None:
    model = MODELS["llama"]()
    layout = found_layout(model, tmp_path)
    model.model.layers[1].mlp.gate_proj.weight.data.fill_(float("inf"))
    with pytest.raises(ModelError, match="overflow"):
        wanda_scores(layout, calibration_of(model))
