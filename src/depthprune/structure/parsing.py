"""Reads the JSON files of an anatomy and of a comparison: of this program and of older scripts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from depthprune.base.documents import Json, WrongFieldError, read_document
from depthprune.base.language import Note, counted
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity, added
from depthprune.structure.comparison import (
    AddedLayer,
    AlignedBy,
    Change,
    Comparison,
    LayerComparison,
    Strategy,
)
from depthprune.structure.fields import (
    as_object,
    count,
    counts,
    each,
    inside,
    numbers,
    optional_count,
    optional_flag,
    optional_inside,
    optional_number,
    optional_text,
    stated,
    texts,
)
from depthprune.structure.labels import strategy_of
from depthprune.structure.notes import Sentence, read_note

GENERIC_NAMES = frozenset({"原始模型", "剪枝后模型"})
"""What older scripts wrote where they knew no name: original model, pruned model."""

_MEND = "mend the file, or analyse the model again"


def read_anatomy(path: Path) -> Anatomy:
    """Read a `model_structure.json`, or a `pruned_` or `original_model_analysis.json`.

    What an older file counts in its total and in no part is `other`.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong, or the parts are more than the whole; with its place.
    """
    return read_document(
        path, lambda value: _anatomy(as_object(value), _folder_name(path)), mend=_MEND
    )


def read_comparison(path: Path) -> Comparison:
    """Read a `model_comparison.json` or `pruning_comparison.json`.

    An older file compares layer i with layer i: of layers that were removed it tells only the
    number, by its sums (`missing_layers`); its strategy follows from its numbers.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong; with its place.
    """
    return read_document(
        path, lambda value: _comparison(as_object(value), _folder_name(path)), mend=_MEND
    )


def _anatomy(of: Json, unnamed: str) -> Anatomy:
    layers = each(of, "layers", _layer)
    _check_indices([layer.index for layer in layers])
    optional_inside(of, "layer_summary", partial(_check_summary, layers=layers))
    found = Anatomy(
        name=optional_text(of, "model_name") or unnamed,
        total=optional_count(of, "total_params"),
        embedding=optional_count(of, "embedding_params"),
        lm_head=optional_count(of, "lm_head_params"),
        layers=layers,
        norm=optional_count(of, "norm_params"),
        other=optional_count(of, "other_params"),
        towers=optional_inside(of, "towers", _towers) or {},
        dtypes=counts(of, "dtypes"),
        bytes=optional_count(of, "bytes") or 0,
        tied=optional_flag(of, "tied") or False,
        hidden_size=optional_count(of, "hidden_size"),
        path=optional_text(of, "path") or "",
        sparsity=optional_inside(of, "sparsity", _sparsity),
        notes=tuple(map(read_note, texts(of, "notes"))),
        unknown=tuple(map(read_note, texts(of, "unknown"))),
    )
    return found if found.unknown else _with_counts(of, found)


def _towers(of: Json) -> dict[str, int | None]:
    return {name: optional_count(of, name) for name in of}


def _with_counts(of: Json, found: Anatomy) -> Anatomy:
    """Return an anatomy whose counts must all be there; what no part holds is `other`."""
    total, embedding = count(of, "total_params"), count(of, "embedding_params")
    lm_head, norm, other = count(of, "lm_head_params"), found.norm or 0, found.other
    towers, tied, notes = counts(of, "towers"), found.tied, found.notes
    if other is None:
        layers = sum(stated(one.total, "layers", i, "total") for i, one in enumerate(found.layers))
        parts = embedding + norm + sum(towers.values()) + layers
        # The total of a module counts a shared parameter once, the sum of its parts twice.
        if parts + lm_head > total >= parts and lm_head == embedding:
            lm_head, tied = 0, True
            notes = (*notes, Note(Sentence.TAKEN_FOR_TIED))
        other = _rest(total, parts + lm_head, "total_params")
    return replace(
        found, lm_head=lm_head, norm=norm, other=other, towers=towers, tied=tied, notes=notes
    )


def _layer(of: Json, position: int) -> Layer:
    attention = optional_inside(of, "attention", _attention) or Attention(0)
    mlp = optional_inside(of, "mlp", _mlp) or Mlp(0)
    total, norm = optional_count(of, "total"), optional_count(of, "norm")
    other, is_zero = optional_count(of, "other"), optional_flag(of, "is_zero_layer")
    if total is not None or "total" not in of:
        norm = norm or 0
        parts = norm + stated(attention.total, "attention", "total")
        parts += stated(mlp.total, "mlp", "total")
        total = parts + (other or 0) if total is None else total
        other = _rest(total, parts, "total") if other is None else other
        is_zero = total == norm if is_zero is None else is_zero
    return Layer(
        index=_index(of, position),
        total=total,
        attention=attention,
        mlp=mlp,
        norm=norm,
        other=other,
        bytes=optional_count(of, "bytes") or 0,
        is_zero=is_zero or False,
        sparsity=optional_inside(of, "sparsity", _sparsity),
    )


def _attention(of: Json) -> Attention:
    q, k, v, o = (optional_count(of, key) for key in ("q_proj", "k_proj", "v_proj", "o_proj"))
    heads, kv_heads = optional_count(of, "num_heads"), optional_count(of, "num_kv_heads")
    total, kind = _total(of, q, k, v, o), optional_text(of, "type")
    return Attention(total, q, k, v, o, heads, kv_heads, kind)


def _mlp(of: Json) -> Mlp:
    gate, up, down = (optional_count(of, key) for key in ("gate_proj", "up_proj", "down_proj"))
    size, experts = optional_count(of, "intermediate_size"), optional_count(of, "num_experts")
    total, kind = _total(of, gate, up, down), optional_text(of, "type")
    return Mlp(total, gate, up, down, size, experts or 0, kind)


def _total(of: Json, *parts: int | None) -> int | None:
    if "total" in of and of["total"] is None:
        return None
    total = optional_count(of, "total")
    return sum(part or 0 for part in parts) if total is None else total


def _sparsity(of: Json) -> Sparsity:
    zeros, numbers = count(of, "zeros"), count(of, "numbers")
    if zeros > numbers:
        raise WrongFieldError(f"{zeros} zeros of {numbers} numbers", "zeros")
    return Sparsity(zeros, numbers, optional_text(of, "pattern"))


def _rest(total: int, parts: int, key: str) -> int:
    if parts > total:
        raise WrongFieldError(
            f"the parts have {counted(parts, 'parameter')}, the whole {total}", key
        )
    return total - parts


def _check_summary(of: Json, layers: tuple[Layer, ...]) -> None:
    number, total = optional_count(of, "num_layers"), optional_count(of, "total_layer_params")
    if number is not None and number != len(layers):
        raise WrongFieldError(
            f"{counted(number, 'layer')}, but {len(layers)} are listed", "num_layers"
        )
    listed = added(layer.total for layer in layers)
    if total is not None and total != listed:
        what = f"{counted(total, 'parameter')}, but those of the listed layers are {listed}"
        raise WrongFieldError(what, "total_layer_params")


def _comparison(of: Json, unnamed: str) -> Comparison:
    layers = each(of, "layers", _layer_comparison)
    _check_indices([layer.index for layer in layers])
    layer_params = inside(of, "layer_params", _change)
    aligned_by: AlignedBy = _one_of(of, "aligned_by", get_args(AlignedBy)) or "position"
    strategy: Strategy | None = _one_of(of, "strategy", get_args(Strategy))
    missing = optional_count(of, "missing_layers")
    comparison = Comparison(
        original_name=optional_text(of, "original_name") or "",
        pruned_name=optional_text(of, "pruned_name") or unnamed,
        total=inside(of, "total_params", _change),
        layer_params=layer_params,
        layers=layers,
        aligned_by=aligned_by,
        missing_layers=_missing(layer_params, layers) if missing is None else missing,
        strategy=strategy or "unchanged",
        evidence=numbers(of, "evidence"),
        added_layers=each(of, "added_layers", _added_layer) if "added_layers" in of else (),
        notes=texts(of, "notes"),
        unknown=tuple(map(read_note, texts(of, "unknown"))),
    )
    if strategy is None:
        strategy, evidence = strategy_of(comparison)
        comparison = replace(comparison, strategy=strategy, evidence=evidence)
    return comparison


def _added_layer(of: Json, position: int) -> AddedLayer:
    total, copy_of = optional_count(of, "total"), optional_count(of, "copy_of")
    return AddedLayer(_index(of, position), total, copy_of)


def _layer_comparison(of: Json, position: int) -> LayerComparison:
    total, attention = inside(of, "total", _change), inside(of, "attention", _change)
    index, is_zero = _index(of, position), optional_flag(of, "is_zero_layer")
    mlp, sizes, experts = inside(of, "mlp", _mlp_change)
    return LayerComparison(
        index=index,
        pruned_index=optional_count(of, "pruned_layer_idx") if "pruned_layer_idx" in of else index,
        total=total,
        attention=attention,
        mlp=mlp,
        intermediate_size=sizes,
        experts=experts,
        is_zero=total.pruned == 0 if is_zero is None else is_zero,
        sparsity=optional_number(of, "sparsity"),
    )


def _mlp_change(of: Json) -> tuple[Change, Change | None, Change | None]:
    sizes = optional_inside(of, "intermediate_size", _size_change)
    return _change(of), sizes, optional_inside(of, "num_experts", _size_change)


def _size_change(of: Json) -> Change | None:
    original, pruned = optional_count(of, "original"), optional_count(of, "pruned")
    return None if original is None or pruned is None else Change(original, pruned)


def _change(of: Json) -> Change:
    change = Change(_count_or_unknown(of, "original"), _count_or_unknown(of, "pruned"))
    reduced = of.get("reduced", change)
    if reduced is not change and reduced != change.reduced:
        what = f"{change.original} - {change.pruned} is {change.reduced}, not {reduced}"
        raise WrongFieldError(what, "reduced")
    return change


def _count_or_unknown(of: Json, key: str) -> int | None:
    """Return a count, None where the file says that it is not known."""
    found = optional_count(of, key)
    return count(of, key) if found is None and key not in of else found


def _missing(layer_params: Change, layers: tuple[LayerComparison, ...]) -> int:
    """Return how many layers of the original are not listed, by what their listed sum lacks."""
    sizes = Counter(layer.total.original or 0 for layer in layers)
    lacking = (layer_params.original or 0) - sum(layer.total.original or 0 for layer in layers)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    return max(1, round(lacking / usual)) if lacking > 0 and usual else 0


def _index(of: Json, position: int) -> int:
    index = optional_count(of, "layer_idx")
    return position if index is None else index


def _check_indices(indices: list[int]) -> None:
    seen: set[int] = set()
    for position, index in enumerate(indices):
        if index in seen:
            raise WrongFieldError(f"layer {index} is listed twice", "layers", position, "layer_idx")
        seen.add(index)


def _one_of(of: Json, key: str, known: tuple[str, ...]) -> Any:
    value = optional_text(of, key)
    if value is not None and value not in known:
        raise WrongFieldError(f"{value!r} is none of {', '.join(known)}", key)
    return value


def _folder_name(path: Path) -> str:
    folder = path.absolute().parent
    return (folder.parent if folder.name == "analysis" else folder).name
