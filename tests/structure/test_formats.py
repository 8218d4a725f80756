"""Checkpoints as other programs write them: a count is exact, or not known and the reason is told.

Each is the same small Llama, of which nothing is pruned.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from depthprune.base.errors import ModelError
from depthprune.structure.analyses import ModelAnalysis, analyze, read_model
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.compare import label_of
from depthprune.structure.reading import read_checkpoint
from depthprune.structure.tensors import MadeTensor
from tests.structure.llamas import State, make_state

LAYERS = 6
CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": LAYERS, "vocab_size": 64,
    "tie_word_embeddings": False,
}  # fmt: skip
STATE = make_state(LAYERS)
TOTAL = sum(tensor.numel() for tensor in STATE.values())
PROJECTIONS = [name for name in STATE if "proj" in name]


def huggingface(folder: Path, state: State, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(contiguous, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def pickled(folder: Path, value: Any, name: str = "pytorch_model.bin") -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(value, folder / name)
    return folder


def packed(pack: Callable[[str, torch.Tensor], State]) -> State:
    """Return the model with every projection packed."""
    found = {name: tensor for name, tensor in STATE.items() if name not in PROJECTIONS}
    for name in PROJECTIONS:
        found |= pack(name.removesuffix("weight"), STATE[name])
    return found


def bitmask(*, two_of_four: bool) -> Callable[[str, torch.Tensor], State]:
    """Pack as compressed-tensors 0.9 does: the numbers that are kept, and a bit for each."""

    def pack(base: str, weight: torch.Tensor) -> State:
        groups = weight.reshape(-1, 4).abs()
        least = groups.argsort(1)[:, :2]
        kept = torch.ones_like(groups, dtype=torch.bool).scatter_(1, least, False)
        kept = kept.reshape(weight.shape)
        bits = kept.reshape(len(weight), -1, 8) * (2 ** torch.arange(8))
        numbers = weight[kept]
        return {
            f"{base}compressed": numbers.reshape(len(weight), -1) if two_of_four else numbers,
            f"{base}bitmask": bits.sum(-1).to(torch.uint8),
            f"{base}shape": torch.tensor(weight.shape),
        }

    return pack


def marlin_24(base: str, weight: torch.Tensor) -> State:
    outputs, inputs = weight.shape
    return {
        f"{base}weight_packed": torch.zeros(inputs // 32, 2 * outputs, dtype=torch.int32),
        f"{base}scale_packed": torch.ones(1, outputs),
        f"{base}meta": torch.zeros(inputs // 32, 2 * outputs, dtype=torch.int16),
    }


def torchao(base: str, weight: torch.Tensor) -> State:
    return {
        f"{base}_weight_qdata": torch.zeros(weight.shape, dtype=torch.int8),
        f"{base}_weight_scale": torch.ones(len(weight), 1),
        f"{base}_weight_zero_point": torch.zeros(len(weight), 1, dtype=torch.int8),
    }


def gptq(base: str, weight: torch.Tensor) -> State:
    """Pack with 4 bits, the MLP with 8; the common setting says 4."""
    outputs, inputs = weight.shape
    bits = 8 if "mlp" in base else 4
    return {
        f"{base}qweight": torch.zeros(inputs * bits // 32, outputs, dtype=torch.int32),
        f"{base}qzeros": torch.zeros(1, outputs * bits // 32, dtype=torch.int32),
        f"{base}scales": torch.ones(1, outputs),
    }


def mlx(base: str, weight: torch.Tensor) -> State:
    """Pack with 4 bits in groups of 16, the projections down with 8."""
    outputs, inputs = weight.shape
    bits = 8 if "down" in base else 4
    return {
        f"{base}weight": torch.zeros(outputs, inputs * bits // 32, dtype=torch.uint32),
        f"{base}scales": torch.ones(outputs, inputs // 16),
        f"{base}biases": torch.ones(outputs, inputs // 16),
    }


def mxfp4(base: str, weight: torch.Tensor) -> State:
    outputs, inputs = weight.shape
    return {
        f"{base}weight": torch.zeros(outputs, inputs // 8, dtype=torch.uint32),
        f"{base}scales": torch.zeros(outputs, inputs // 32, dtype=torch.uint8),
    }


def half_quadratic(base: str, weight: torch.Tensor) -> State:
    return {
        f"{base}W_q": torch.zeros(weight.numel() // 128, 64, dtype=torch.uint8),
        f"{base}shape": torch.tensor(weight.shape),
        f"{base}scale": torch.ones(weight.numel() // 64, 1),
        f"{base}zero": torch.ones(weight.numel() // 64, 1),
        f"{base}nbits": torch.tensor(4),
        f"{base}axis": torch.tensor(1),
    }


def three_bits(base: str, weight: torch.Tensor) -> State:
    """Pack as compressed-tensors does, without a gap between the numbers, and keep the shape."""
    return {
        f"{base}weight_packed": torch.zeros(
            len(weight), -(-weight.shape[1] * 3 // 32), dtype=torch.int32
        ),
        f"{base}weight_scale": torch.ones(len(weight), 1),
        f"{base}weight_shape": torch.tensor(weight.shape),
    }


def stacked(state: State) -> State:
    found = {name: tensor for name, tensor in state.items() if ".layers." not in name}
    for name in {name.split(".", 3)[3] for name in state if ".layers." in name}:
        layers = [state[f"model.layers.{index}.{name}"] for index in range(LAYERS)]
        found[f"model.decoder.layers.{name}"] = torch.stack(layers)
    return found


_META_NAMES = {
    "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm", "embed_tokens": "tok_embeddings",
    "lm_head": "output", "model.": "",
}  # fmt: skip


def rank_of_meta(rank: int, *, words: bool) -> State:
    """Return one of two parts as Meta's code splits Llama 2, or, by words, Llama 3."""
    found = {}
    for name, tensor in STATE.items():
        own = name
        for theirs, ours in _META_NAMES.items():
            own = own.replace(theirs, ours)
        if tensor.dim() == 2:
            rows = "wo" in own or "w2" in own or ("tok" in own and not words)
            tensor = tensor.chunk(2, 1 if rows else 0)[rank].clone()
        found[own] = tensor
    return found


def meta_llama(folder: Path, *, words: bool) -> Path:
    for rank in range(2):
        pickled(folder, rank_of_meta(rank, words=words), f"consolidated.0{rank}.pth")
    return folder


def fsdp(folder: Path) -> Path:
    for rank in range(2):
        own = {name: tensor.chunk(2, 0)[rank].clone() for name, tensor in STATE.items()}
        pickled(folder, own, f"model_world_size_2_rank_{rank}.pt")
    return folder


def composer(state: State) -> dict[str, Any]:
    model = {f"model.{name}": tensor for name, tensor in state.items()}
    moments = {name: {"step": torch.zeros(()), "exp_avg": model[name]} for name in model}
    return {"state": {"model": model, "optimizers": {"Adam": {"state": moments}}}, "rng": []}


SPARSE = {"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-bitmask"}}
MLX = {"bits": 4, "group_size": 16}
MLX_MIXED = MLX | {f"model.layers.{i}.mlp.down_proj": MLX | {"bits": 8} for i in range(LAYERS)}
THREE = {"quant_method": "compressed-tensors",
         "config_groups": {"a": {"weights": {"num_bits": 3}}}}  # fmt: skip

EXACT: dict[str, Callable[[Path], Path]] = {
    "plain": lambda to: huggingface(to, STATE),
    "2:4 bitmask": lambda to: huggingface(
        to, packed(bitmask(two_of_four=True)), quantization_config=SPARSE
    ),
    "bitmask": lambda to: huggingface(
        to, packed(bitmask(two_of_four=False)), quantization_config=SPARSE
    ),
    "torchao": lambda to: huggingface(
        to, packed(torchao), quantization_config={"quant_method": "torchao"}
    ),
    "gptq of mixed bits": lambda to: huggingface(
        to, packed(gptq), quantization_config={"quant_method": "gptq", "bits": 4}
    ),
    "settings in the text model's section": lambda to: huggingface(
        to, packed(three_bits), text_config={**CONFIG, "quantization_config": THREE}
    ),
    "mlx of mixed bits": lambda to: huggingface(to, packed(mlx), quantization=MLX_MIXED),
    "hqq": lambda to: huggingface(
        to, packed(half_quadratic), quantization_config={"quant_method": "hqq"}
    ),
    "3 bits": lambda to: huggingface(to, packed(three_bits), quantization_config=THREE),
    "on the meta device": lambda to: pickled(
        to, {name: tensor.to("meta") if ".2." in name else tensor for name, tensor in STATE.items()}
    ),
    "sparse": lambda to: pickled(
        to,
        {name: tensor.relu().to_sparse() if "mlp" in name else tensor
         for name, tensor in STATE.items()},
    ),
    "sparse rows": lambda to: pickled(
        to,
        {name: tensor.relu().to_sparse_csr() if "mlp" in name else tensor
         for name, tensor in STATE.items()},
    ),
    "stacked layers": lambda to: pickled(to, stacked(STATE), "model.pt"),
    "Meta's Llama 2": lambda to: meta_llama(to, words=False),
    "Meta's Llama 3": lambda to: meta_llama(to, words=True),
    "FSDP": fsdp,
    "Composer": lambda to: pickled(to, composer(STATE), "ep0-ba2-rank0.pt"),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return huggingface(tmp_path_factory.mktemp("base"), STATE)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", EXACT)
def test_nothing_is_pruned(form: str, tmp_path: Path, base: Path) -> None:
    found = analyze(EXACT[form](tmp_path / "model"), base)
    assert found.comparison is not None
    assert found.anatomy.unknown == ()
    assert (found.anatomy.total, found.comparison.total.reduced) == (TOTAL, 0)
    assert [label_of(layer) for layer in found.comparison.layers] == ["unchanged"] * LAYERS
    assert found.comparison.strategy == "unchanged"


def test_marlin_24_counts_what_half_of_the_numbers_stand_for(tmp_path: Path) -> None:
    wide = {"a.layers.0.mlp.up_proj.weight": torch.ones(48, 64)}
    name = "a.layers.0.mlp.up_proj."
    folder = huggingface(
        tmp_path, marlin_24(name, wide[f"{name}weight"]), quantization_config=THREE
    )
    assert read_model(folder).anatomy.total == 48 * 64


def test_mxfp4_of_mlx_has_no_biases(tmp_path: Path) -> None:
    name = "a.layers.0.mlp.up_proj."
    folder = huggingface(tmp_path, mxfp4(name, torch.ones(48, 64)), quantization={"mode": "mxfp4"})
    assert read_model(folder).anatomy.total == 48 * 64


def test_the_packed_shape_of_torchao_is_in_the_metadata(tmp_path: Path) -> None:
    name = "a.layers.0.mlp.up_proj"
    tensors = {f"{name}._weight_qdata": torch.zeros(6, 8, 32, 4, dtype=torch.int32),
               f"{name}._weight_scale_and_zero": torch.ones(2, 48, 2)}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    said = {"_type": "Int4TilePackedTo4dTensor", "_data": {"shape": [48, 64]}}
    for metadata, total in (({f"{name}.weight": json.dumps(said)}, 48 * 64), ({"a": "b"}, None)):
        save_file(tensors, tmp_path / "model.safetensors", metadata=metadata)
        anatomy = read_model(tmp_path).anatomy
        assert (anatomy.total, bool(anatomy.unknown)) == (total, total is None)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("whole", [False, True])
def test_linear_layers_that_torch_quantised_count(tmp_path: Path, whole: bool) -> None:
    block = torch.nn.ModuleDict({"up_proj": torch.nn.Linear(8, 16), "norm": torch.nn.LayerNorm(8)})
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([block])})
    made = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    folder = pickled(tmp_path, made if whole else made.state_dict())
    anatomy = read_model(folder).anatomy
    assert (anatomy.total, anatomy.unknown) == (8 * 16 + 16 + 16, ())


# Numbers of what was put together


def test_zeros_are_those_of_the_bitmask(tmp_path: Path) -> None:
    folder = huggingface(tmp_path, packed(bitmask(two_of_four=True)), quantization_config=SPARSE)
    anatomy = read_model(folder, count_zeros=True).anatomy
    assert anatomy.layers[0].sparsity is not None
    zeros = sum(STATE[name].numel() // 2 for name in PROJECTIONS if ".0." in name)
    assert (anatomy.layers[0].sparsity.zeros, anatomy.layers[0].sparsity.pattern) == (zeros, "2:4")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_a_sparse_tensor_is_read_as_a_dense_one(tmp_path: Path, form: str) -> None:
    weight = STATE["model.layers.0.mlp.up_proj.weight"].relu()
    folder = pickled(tmp_path, {"a.layers.0.weight": getattr(weight, form)()})
    tensor = read_checkpoint(folder).tensors["a.layers.0.weight"]
    assert isinstance(tensor, MadeTensor)
    assert b"".join(tensor.pieces()) == weight.numpy().tobytes()


def test_masked_and_joined_tensors_have_their_bytes(tmp_path: Path) -> None:
    name = "model.layers.3.mlp.down_proj.weight"
    own = huggingface(tmp_path / "a", packed(bitmask(two_of_four=True)), quantization_config=SPARSE)
    tensor = read_checkpoint(own).tensors[name]
    assert isinstance(tensor, MadeTensor)
    dense = torch.frombuffer(bytearray(b"".join(tensor.pieces())), dtype=torch.float32)
    kept = dense.reshape(STATE[name].shape)
    assert torch.equal(kept[kept != 0], STATE[name][kept != 0])
    joined = read_checkpoint(meta_llama(tmp_path / "b", words=False)).tensors
    down = joined["layers.3.feed_forward.w2.weight"]
    assert isinstance(down, MadeTensor)
    assert b"".join(down.pieces()) == STATE[name].numpy().tobytes()


def test_stacked_layers_are_known_by_their_weights(tmp_path: Path, base: Path) -> None:
    kept = [0, 1, 4, 5]
    left = {name: tensor[kept] if ".layers." in name else tensor
            for name, tensor in stacked(STATE).items()}  # fmt: skip
    found = analyze(pickled(tmp_path / "model", left, "model.pt"), base).comparison
    assert found is not None
    assert [layer.index for layer in found.layers if layer.removed] == [2, 3]


# What is not known


def zero_3(folder: Path, *, safe: bool) -> Path:
    empty = {name: torch.empty(0) for name in STATE}
    return huggingface(folder, empty) if safe else pickled(folder, empty)


def one_rank(folder: Path) -> Path:
    return pickled(folder, rank_of_meta(0, words=False), "model_world_size_2_rank_0.pt")


def unsaid_ranks(folder: Path) -> Path:
    for rank in range(2):
        pickled(folder, STATE, f"mp_rank_0{rank}_model_states.pt")
    return folder


def nameless_layers(folder: Path) -> Path:
    return pickled(folder, {"a.weight": torch.ones(64, 32), "b.weight": torch.ones(32, 32)}, "a.pt")


NOT_KNOWN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "ZeRO-3, safetensors": (lambda to: zero_3(to, safe=True), "ZeRO-3"),
    "ZeRO-3, bin": (lambda to: zero_3(to, safe=False), "ZeRO-3"),
    "one rank of two": (one_rank, "1 of 2 ranks"),
    "ranks of another program": (unsaid_ranks, "2 ranks"),
    "no layers": (nameless_layers, "no numbered list of layers"),
}


@pytest.fixture(params=NOT_KNOWN)
def unclear(
    request: pytest.FixtureRequest, tmp_path: Path, base: Path
) -> tuple[ModelAnalysis, str]:
    make, reason = NOT_KNOWN[request.param]
    return analyze(make(tmp_path / "model"), base, tmp_path / "analysis"), reason


def test_what_is_not_known_is_not_pruned(unclear: tuple[ModelAnalysis, str]) -> None:
    found, reason = unclear
    assert found.comparison is not None
    assert any(reason in why for why in found.comparison.unknown)
    assert found.comparison.strategy == "unknown"
    assert found.comparison.layer_params.ratio is None
    assert {label_of(layer) for layer in found.comparison.layers} <= {"unknown"}
    assert not any(layer.is_zero or layer.removed for layer in found.comparison.layers)


def test_what_is_not_known_comes_back_from_the_files(unclear: tuple[ModelAnalysis, str]) -> None:
    found, _ = unclear
    folder = found.files[0].parent
    again = read_model(folder / "model_structure.json").anatomy
    assert again == found.anatomy
    document = json.loads((folder / "pruning_comparison.json").read_text())
    assert document["unknown"] == list(found.comparison.unknown if found.comparison else ())
    assert document["layer_params"]["reduction_ratio"] is None


def test_an_emptied_projection_is_no_unknown_one(tmp_path: Path) -> None:
    """A linear layer without outputs has a matrix of size 0, and a bias of size 0."""
    state = {
        "a.layers.0.fc1.weight": torch.empty(0, 8),
        "a.layers.0.fc1.bias": torch.empty(0),
        "a.layers.0.fc2.weight": torch.empty(8, 0),
        "a.layers.0.fc2.bias": torch.ones(8),
    }
    anatomy = read_model(pickled(tmp_path, state)).anatomy
    assert (anatomy.total, anatomy.unknown) == (8, ())


def test_a_list_without_names_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tensors with names"):
        read_model(pickled(tmp_path, list(STATE.values())))


# Headers of real checkpoints

HEADERS = Path(__file__).parents[3] / "shared" / "headers"


def real_headers() -> list[str]:
    return sorted(path.name for path in HEADERS.glob("*.json.gz"))


@pytest.mark.parametrize("name", real_headers() or [None])
def test_totals_of_real_checkpoints(name: str | None, tmp_path: Path) -> None:
    if name is None:
        pytest.skip("../shared/headers is not here")
    with gzip.open(HEADERS / name) as file:
        said = json.load(file)
    (tmp_path / "config.json").write_text(json.dumps(said["config"]))
    weight_map = {}
    for file, tensors in said["files"].items():
        entries, offset = {}, 0
        for tensor, (dtype, shape) in tensors.items():
            weight_map[tensor] = file
            length = _BYTES[dtype] * torch.Size(shape).numel()
            entries[tensor] = {"dtype": dtype, "shape": shape,
                               "data_offsets": [offset, offset + length]}  # fmt: skip
            offset += length
        header = json.dumps(entries).encode()
        with (tmp_path / file).open("wb") as out:
            out.write(struct.pack("<Q", len(header)) + header)
            out.truncate(8 + len(header) + offset)  # a hole: no bytes are written
    index = {"weight_map": weight_map}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    anatomy: Anatomy = read_model(tmp_path).anatomy
    assert anatomy.unknown == ()
    assert anatomy.total == (said["total"] or anatomy.total)


_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I8": 1, "U8": 1, "F8_E4M3": 1, "I32": 4, "I64": 8}


@pytest.mark.parametrize("name", ["model.gguf", "megatron.nemo", "weights.npz", "__0_0.distcp"])
@pytest.mark.parametrize("named", [False, True])
def test_formats_that_are_not_read_are_named(tmp_path: Path, name: str, named: bool) -> None:
    (tmp_path / name).write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(ModelError, match="which is not read"):
        read_model(tmp_path / name if named else tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("named", [False, True])
def test_pointers_of_git_lfs_are_named(tmp_path: Path, name: str, named: bool) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ModelError, match="pointer of Git LFS"):
        read_model(tmp_path / name if named else tmp_path)
