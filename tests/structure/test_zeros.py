"""Zeros among the weights, counted by their bits and found in patterns."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from depthprune.base.errors import FileError
from depthprune.checkpoint.safetensors_files import read_safetensors
from depthprune.structure.anatomy import Sparsity
from depthprune.structure.count import anatomy_of
from depthprune.structure.reading import read_checkpoint
from depthprune.structure.tensors import Checkpoint
from depthprune.structure.zeros import COUNTED, Groups, Zeros, add_zeros, count_tensor, count_zeros
from tests import models as tiny
from tests.structure.counted import describe, in_layer

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I8": torch.int8,
}  # fmt: skip

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Held:
    """A tensor in memory that comes in pieces of any length."""

    value: torch.Tensor
    dtype: str
    name: str = "held"
    storage: str = "held"
    length: int = 4096

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def pieces(self, size: int = 1) -> Iterator[bytes]:
        data = self.value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for start in range(0, len(data), self.length):
            yield data[start : start + self.length]


def count(
    value: torch.Tensor, dtype: str = "F32", axis: int | None = -1, length: int = 4096
) -> Groups:
    return count_tensor(Held(value, dtype, length=length), axis, lambda done: None)


def save(folder: Path, state: State, config: dict[str, object] | None = None) -> Checkpoint:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config or {}))
    return read_checkpoint(folder)


def magnitude(weight: torch.Tensor, kept: int, size: int) -> torch.Tensor:
    """Keep the largest numbers of every group of neighbours in a row."""
    groups = weight.reshape(-1, size)
    order = groups.abs().argsort(dim=1)
    return groups.scatter(1, order[:, : size - kept], 0.0).reshape(weight.shape)


def slow_pattern(weight: torch.Tensor, kept: int, size: int) -> bool:
    """Ask of every group whether it has no more than it may, one after the other."""
    return all(
        sum(float(number) != 0 for number in row[start : start + size]) <= kept
        for row in weight
        for start in range(0, len(row), size)
    )


@pytest.mark.parametrize("dtype", COUNTED)
def test_zeros_of_either_sign_count_in_every_number_type(dtype: str) -> None:
    numbers = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.0, 2.0, 0.0625, -0.0625])
    value = numbers.to(DTYPES[dtype])
    groups = count(value, dtype)
    assert groups.numbers == 8
    assert groups.zeros == int((value.to(torch.float64) == 0).sum())


def test_the_smallest_numbers_are_not_zero() -> None:
    smallest = torch.tensor([2.0**-149, -(2.0**-149), float("nan"), float("inf")])
    assert count(smallest).zeros == 0


@given(
    rows=st.integers(1, 5),
    columns=st.sampled_from([1, 3, 4, 8, 12, 16, 32]),
    share=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    length=st.sampled_from([1, 7, 64, 4096]),
    axis=st.sampled_from([0, -1]),
    seed=st.integers(0, 100),
)
def test_counts_equal_those_of_a_slow_count(
    rows: int, columns: int, share: float, length: int, axis: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, columns) if axis else (columns, rows)
    value = torch.randn(shape, generator=generator)
    value[torch.rand(shape, generator=generator) < share] = 0.0
    groups = count(value, axis=axis, length=length)
    assert groups.zeros == int((value == 0).sum())
    lines = value if axis else value.T
    for size, histogram in groups.histograms.items():
        if columns % size:
            assert histogram is None
            continue
        filled = (lines.reshape(-1, size) != 0).sum(dim=1)
        slow = tuple(int((filled == number).sum()) for number in range(size + 1))
        assert histogram == (None if slow[size] else slow)


@pytest.mark.parametrize(("kept", "size"), [(2, 4), (1, 4), (3, 4), (4, 8), (3, 8), (8, 16)])
def test_patterns(kept: int, size: int) -> None:
    weight = magnitude(torch.randn(64, 256), kept, size)
    assert slow_pattern(weight, kept, size)
    expected = {(4, 8): "4:8", (8, 16): "8:16"}.get((kept, size), f"{kept}:{size}")
    assert count(weight).pattern() == expected
    assert count(weight.T.contiguous(), axis=0).pattern() == expected
    assert count(weight.T.contiguous()).pattern() is None


def test_one_group_that_is_too_full_breaks_the_pattern() -> None:
    weight = magnitude(torch.randn(64, 256), 2, 4)
    weight[63, 252:] = 1.0
    assert count(weight).pattern() is None


def test_chance_makes_no_pattern() -> None:
    """Among nine zeros in ten no group of 16 is full, yet groups hold any number."""
    weight = torch.randn(512, 512)
    weight[torch.rand(512, 512) < 0.9] = 0.0
    groups = count(weight)
    assert groups.histograms[16] is not None
    assert groups.pattern() is None


def test_rows_without_anything_do_not_hide_a_pattern() -> None:
    weight = magnitude(torch.randn(64, 256), 2, 4)
    weight[:48] = 0.0
    assert count(weight).pattern() == "2:4"


def test_nothing_but_zeros_is_no_pattern() -> None:
    assert count(torch.zeros(8, 16)).pattern() is None


def test_experts_have_their_inputs_along_any_axis() -> None:
    weight = torch.stack([magnitude(torch.randn(24, 32), 2, 4) for _ in range(3)])
    assert count(weight, axis=2).pattern() == "2:4"
    assert count(weight.transpose(1, 2).contiguous(), axis=1).pattern() == "2:4"


def test_what_would_need_much_memory_is_not_asked_for_patterns() -> None:
    shape = (4, 4 * 1024**2)
    tensor = replace(Held(torch.zeros(1), "F32"))
    wide = type("Wide", (), {"dtype": "F32", "shape": shape, "pieces": tensor.pieces})()
    assert count_tensor(wide, 0, lambda done: None).histograms == dict.fromkeys((4, 8, 16))


def test_layers_of_a_model(tmp_path: Path) -> None:
    model = tiny.llama(3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if "layers.1" in name and tensor.ndim == 2:
            state[name] = magnitude(tensor, 2, 4)
        if "layers.2" in name and tensor.ndim == 2:
            tensor[torch.rand(tensor.shape) < 0.5] = 0.0
    checkpoint = save(tmp_path, state, model.config.to_dict())
    zeros = count_zeros(checkpoint)
    for index, layer in zeros.layers.items():
        tensors = [tensor for name, tensor in state.items() if f"layers.{index}." in name]
        assert layer.zeros == sum(int((tensor == 0).sum()) for tensor in tensors)
        assert layer.numbers == sum(tensor.numel() for tensor in tensors)
    assert [layer.pattern for layer in zeros.layers.values()] == [None, "2:4", None]
    assert zeros.total == Sparsity(
        sum(int((tensor == 0).sum()) for tensor in state.values()),
        sum(tensor.numel() for tensor in state.values()),
    )
    assert zeros.tensors["model.layers.1.mlp.up_proj.weight"].pattern == "2:4"
    anatomy = add_zeros(anatomy_of(checkpoint), zeros)
    assert anatomy.sparsity == zeros.total
    assert [layer.sparsity for layer in anatomy.layers] == list(zeros.layers.values())
    assert anatomy.sparsity.numbers == anatomy.total


def test_a_model_whose_layers_all_follow_a_pattern_follows_it(tmp_path: Path) -> None:
    """Its embedding, head, norms and routers need not."""
    layer = {
        "self_attn.q_proj.weight": (16, 16),
        "mlp.gate.weight": (4, 16),
        "mlp.experts.gate_up_proj": (4, 16, 48),
        "mlp.experts.down_proj": (4, 24, 16),
    }
    state: State = {"model.embed_tokens.weight": torch.randn(32, 16)}
    for index in range(2):
        for name, shape in in_layer(layer, index).items():
            state[name] = torch.randn(shape)
            if "q_proj" in name:
                state[name] = magnitude(state[name], 2, 4)
            if "experts" in name:  # stored as inputs x outputs
                turned = state[name].transpose(1, 2).contiguous()
                state[name] = magnitude(turned, 2, 4).transpose(1, 2).contiguous()
    zeros = count_zeros(save(tmp_path, state))
    assert zeros.total.pattern == "2:4"


def test_the_layers_of_gpt2_are_stored_transposed(tmp_path: Path) -> None:
    def pruned(outputs: int, inputs: int) -> torch.Tensor:
        return magnitude(torch.randn(outputs, inputs), 2, 4).T.contiguous()

    state = {
        "h.0.attn.c_attn.weight": pruned(96, 32),
        "h.0.attn.c_attn.bias": torch.randn(96),
        "h.0.attn.c_proj.weight": pruned(32, 32),
        "h.0.attn.bias": torch.ones(1, 1, 8, 8).tril(),
        "h.0.mlp.c_fc.weight": pruned(128, 32),
        "h.0.mlp.c_proj.weight": pruned(32, 128),
    }
    zeros = count_zeros(save(tmp_path, state))
    assert zeros.layers[0].pattern == "2:4"
    assert zeros.layers[0].numbers == 3 * 1024 + 96 + 1024 + 2 * 4096


def test_hardly_any_zeros_are_no_pattern() -> None:
    """One zero in every 256 numbers would be 15:16 in a layer that is nearly as it was."""
    groups = Groups(1, 1000, {4: None, 8: None, 16: (0,) * 15 + (10, 0)})
    assert groups.pattern() == "15:16"
    state = torch.ones(16, 16)
    state[0, 0] = 0.0
    assert count(state).pattern() is None


def test_tied_weights_count_once(tmp_path: Path) -> None:
    model = tiny.llama(1, tie_word_embeddings=True)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    checkpoint = read_checkpoint(tmp_path)
    assert "lm_head.weight" in checkpoint.tensors
    zeros = count_zeros(checkpoint)
    assert zeros.total.numbers == sum(parameter.numel() for parameter in model.parameters())


def test_packed_weights_are_passed_over_and_named(tmp_path: Path) -> None:
    below = {"qweight": torch.zeros(2, 16, dtype=torch.int32),
             "qzeros": torch.zeros(1, 2, dtype=torch.int32),
             "scales": torch.zeros(1, 16)}  # fmt: skip
    state = {f"model.layers.0.mlp.up_proj.{name}": tensor for name, tensor in below.items()}
    state["model.layers.0.norm.weight"] = torch.zeros(16)
    checkpoint = save(tmp_path, state, {"quantization_config": {"bits": 4}})
    zeros = count_zeros(checkpoint)
    assert zeros.total == Sparsity(16, 16)
    assert zeros.skipped == ("model.layers.0.mlp.up_proj.qweight",)
    notes = add_zeros(anatomy_of(checkpoint), zeros).notes
    assert "not counted in 1 tensor of packed numbers" in notes[-1]


def test_a_layer_without_weights_has_no_numbers() -> None:
    anatomy = anatomy_of(describe(in_layer({"a.weight": (4,)}) | in_layer({"a.weight": (4,)}, 2)))
    counted = add_zeros(anatomy, Zeros(Sparsity(0, 8), {0: Sparsity(0, 4), 2: Sparsity(0, 4)}))
    assert [layer.sparsity for layer in counted.layers] == [
        Sparsity(0, 4), Sparsity(0, 0), Sparsity(0, 4),
    ]  # fmt: skip


def test_progress_adds_up_to_the_bytes_of_the_model(tmp_path: Path) -> None:
    """Those of buffers and tied weights too."""
    model = tiny.llama(2)
    state = {**model.state_dict(), "model.rotary_emb.inv_freq": torch.ones(4)}
    checkpoint = save(tmp_path, state)
    done: list[int] = []
    count_zeros(checkpoint, done.append)
    assert sum(done) == anatomy_of(checkpoint).bytes


def test_zeros_of_a_masked_weight_are_those_of_its_mask(tmp_path: Path) -> None:
    """As `torch.nn.utils.prune` stores them."""
    model = tiny.llama(2)
    projection = model.model.layers[1].mlp.up_proj
    torch.nn.utils.prune.random_unstructured(projection, "weight", amount=10)
    zeros = count_zeros(save(tmp_path, model.state_dict()))
    assert zeros.tensors["model.layers.1.mlp.up_proj.weight"].zeros == 10
    assert zeros.total.zeros == zeros.layers[1].zeros == 10


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    save_file(
        {"model.layers.0.mlp.up_proj.weight": torch.zeros(64, 64)}, tmp_path / "a.safetensors"
    )
    tensors = read_safetensors(tmp_path / "a.safetensors")
    checkpoint = Checkpoint(tmp_path, tensors)
    with (tmp_path / "a.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(FileError, match="ends in the middle"):
        count_zeros(checkpoint)


def test_memory_does_not_grow_with_the_tensor() -> None:
    """64 MB in pieces of 1 MB take less than 16 MB at any time."""
    piece = bytes(np.ones(2**18, dtype=np.float32))
    tensor = type("Large", (), {
        "dtype": "F32", "shape": (4096, 4096), "pieces": lambda self: (piece for _ in range(64)),
    })()  # fmt: skip
    tracemalloc.start()
    groups = count_tensor(tensor, -1, lambda done: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert groups.numbers == 4096 * 4096
    assert peak < 16 * 1024**2
