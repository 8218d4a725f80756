"""`model_structure.json`, field by field, and what follows where an older script left some out.

The documented fields come first, in their order; ours follow them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from depthprune.base.documents import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    Field,
    Json,
    Kind,
    Layout,
    WrongFieldError,
    each,
    named,
)
from depthprune.base.language import Note, counted
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity, added
from depthprune.structure.notes import Sentence, read_note

NOTES = Kind(TEXTS.noun, lambda value: tuple(map(read_note, TEXTS.read(value))), list)

INDEX = Field("layer_idx", COUNT, "index")


def numbered(layer: Layout) -> Kind:
    """Return the kind of a list of layers; one that does not say which it is has its place."""
    listed, name = each(layer), INDEX.name

    def read(values: Any) -> tuple[Any, ...]:
        if isinstance(values, list):
            values = [
                {**one, name: place} if isinstance(one, dict) and one.get(name) is None else one
                for place, one in enumerate(values)
            ]
        layers: tuple[Any, ...] = listed.read(values)
        indices = [one.index for one in layers]
        if len(set(indices)) < len(indices):
            place, index = next(
                (place, one) for place, one in enumerate(indices) if one in indices[:place]
            )
            raise WrongFieldError(f"layer {index} is listed twice", place, name)
        return layers

    return Kind(listed.noun, read, listed.write)


def _sparsity(**found: Any) -> Sparsity:
    one = Sparsity(**found)
    if one.zeros > one.numbers:
        raise WrongFieldError(f"{one.zeros} zeros of {one.numbers} numbers", "zeros")
    return one


def _attention(**found: Any) -> Attention:
    return Attention(**_with_total(found, "q", "k", "v", "o"))


def _mlp(**found: Any) -> Mlp:
    return Mlp(**_with_total(found, "gate", "up", "down"))


def _with_total(found: Json, *parts: str) -> Json:
    if "total" not in found:
        found["total"] = sum(found.get(part, 0) for part in parts)
    return found


def _layer(index: int, **found: Any) -> Layer:
    get = found.get
    attention, mlp, norm = get("attention") or Attention(0), get("mlp") or Mlp(0), get("norm")
    total, other, is_zero = get("total"), get("other"), get("is_zero")
    if total is not None or "total" not in found:
        norm = norm or 0
        parts = norm + _stated(attention.total, "attention", "total")
        parts += _stated(mlp.total, "mlp", "total")
        total = parts + (other or 0) if total is None else total
        other = _rest(total, parts, "total") if other is None else other
        is_zero = total == norm if is_zero is None else is_zero
    size, sparsity = get("bytes", 0), get("sparsity")
    return Layer(index, total, attention, mlp, norm, other, size, is_zero or False, sparsity)


def _anatomy(layers: tuple[Layer, ...], **found: Any) -> Anatomy:
    _check_summary(layers, *found.pop("layer_summary", ()))
    absent: Json = dict.fromkeys(("total", "embedding", "lm_head", "norm", "other"))
    one = Anatomy(layers=layers, **{"name": ""} | absent | found)
    return one if one.unknown else _with_counts(one)


def _with_counts(found: Anatomy) -> Anatomy:
    """Return an anatomy whose counts must all be there; what no part holds is `other`."""
    total = _stated(found.total, "total_params")
    embedding = _stated(found.embedding, "embedding_params")
    lm_head = _stated(found.lm_head, "lm_head_params")
    norm, other, tied, notes = found.norm or 0, found.other, found.tied, found.notes
    towers = sum(_stated(count, "towers", name) for name, count in found.towers.items())
    if other is None:
        layers = sum(_stated(one.total, "layers", i, "total") for i, one in enumerate(found.layers))
        parts = embedding + norm + towers + layers
        # The total of a module counts a shared parameter once, the sum of its parts twice.
        if parts + lm_head > total >= parts and lm_head == embedding:
            lm_head, tied = 0, True
            notes = (*notes, Note(Sentence.TAKEN_FOR_TIED))
        other = _rest(total, parts + lm_head, "total_params")
    return replace(found, lm_head=lm_head, norm=norm, other=other, tied=tied, notes=notes)


def _check_summary(
    layers: tuple[Layer, ...], number: int | None = None, total: int | None = None
) -> None:
    if number is not None and number != len(layers):
        what = f"{counted(number, 'layer')}, but {len(layers)} are listed"
        raise WrongFieldError(what, "layer_summary", "num_layers")
    listed = added(layer.total for layer in layers)
    if total is not None and total != listed:
        what = f"{counted(total, 'parameter')}, but those of the listed layers are {listed}"
        raise WrongFieldError(what, "layer_summary", "total_layer_params")


def _stated(value: int | None, *steps: str | int) -> int:
    if value is None:
        raise WrongFieldError("a count is missing", *steps)
    return value


def _rest(total: int, parts: int, key: str) -> int:
    if parts > total:
        raise WrongFieldError(
            f"the parts have {counted(parts, 'parameter')}, the whole {total}", key
        )
    return total - parts


SPARSITY = Layout(
    _sparsity,
    Field("zeros", COUNT, required=True),
    Field("numbers", COUNT, required=True),
    Field("ratio", NUMBER, told=True),
    Field("pattern", TEXT),
)
ATTENTION = Layout(
    _attention,
    Field("type", TEXT, omit=True),
    Field("q_proj", COUNT, "q", omit=True),
    Field("k_proj", COUNT, "k", omit=True),
    Field("v_proj", COUNT, "v", omit=True),
    Field("o_proj", COUNT, "o", omit=True),
    Field("total", COUNT, null=True),
    Field("num_heads", COUNT, omit=True),
    Field("num_kv_heads", COUNT, omit=True),
)
MLP = Layout(
    _mlp,
    Field("type", TEXT, omit=True),
    Field("gate_proj", COUNT, "gate", omit=True),
    Field("up_proj", COUNT, "up", omit=True),
    Field("down_proj", COUNT, "down", omit=True),
    Field("total", COUNT, null=True),
    Field("intermediate_size", COUNT, omit=True),
    Field("num_experts", Kind("a count", COUNT.read, lambda count: count or None), omit=True),
)
LAYER = Layout(
    _layer,
    INDEX,
    Field("total", COUNT, null=True),
    Field("attention", ATTENTION),
    Field("mlp", MLP),
    Field("norm", COUNT),
    Field("is_zero_layer", FLAG, "is_zero"),
    Field("other", COUNT),
    Field("bytes", COUNT),
    Field("sparsity", SPARSITY, omit=True),
)
SUMMARY = Layout(
    lambda num_layers=None, layer_params=None: (num_layers, layer_params),
    Field("num_layers", COUNT, lambda anatomy: len(anatomy.layers)),
    Field("total_layer_params", COUNT, "layer_params"),
)
ANATOMY = Layout(
    _anatomy,
    Field("model_name", TEXT, "name"),
    Field("total_params", COUNT, "total"),
    Field("embedding_params", COUNT, "embedding"),
    Field("lm_head_params", COUNT, "lm_head"),
    Field("layers", numbered(LAYER), required=True),
    Field("layer_summary", SUMMARY, "."),
    Field("norm_params", COUNT, "norm"),
    Field("other_params", COUNT, "other"),
    Field("towers", named(COUNT, null=True)),
    Field("dtypes", named(COUNT)),
    Field("bytes", COUNT),
    Field("tied", FLAG),
    Field("hidden_size", COUNT, omit=True),
    Field("path", TEXT),
    Field("sparsity", SPARSITY, omit=True),
    Field("notes", NOTES),
    Field("unknown", NOTES),
)
"""Of `model_structure.json`, `pruned_model_analysis.json` and `original_model_analysis.json`."""
