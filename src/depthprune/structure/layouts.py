"""The JSON files of an anatomy and of a comparison, field by field; of older scripts too.

The documented fields come first, in their order; ours follow them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from depthprune.base.documents import (
    ANY,
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
    one_of,
    read_document,
)
from depthprune.base.language import Note, counted
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity, added
from depthprune.structure.compare import label_of, strategy_of
from depthprune.structure.comparison import (
    AddedLayer,
    AlignedBy,
    CountChange,
    LayerComparison,
    ModelComparison,
    Strategy,
)
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

    return Kind(listed.noun, read, listed.write, listed.inner)


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
    Field("ratio", NUMBER, derived=True),
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


def _change(original: int | None, pruned: int | None, reduced: Any = ...) -> CountChange:
    change = CountChange(original, pruned)
    if reduced is not ... and reduced != (expected := change.reduced):
        raise WrongFieldError(f"{original} - {pruned} is {expected}, not {reduced}", "reduced")
    return change


def _size_change(original: int | None = None, pruned: int | None = None) -> CountChange | None:
    return None if original is None or pruned is None else CountChange(original, pruned)


def _mlp_change(
    intermediate_size: CountChange | None = None, experts: CountChange | None = None, **change: Any
) -> tuple[CountChange, CountChange | None, CountChange | None]:
    return _change(**change), intermediate_size, experts


def _compared_layer(
    index: int,
    total: CountChange,
    attention: CountChange,
    mlp: tuple[CountChange, CountChange | None, CountChange | None],
    is_zero: bool | None = None,
    **found: Any,
) -> LayerComparison:
    pruned_index = found.get("pruned_index", index)
    is_zero = total.pruned == 0 if is_zero is None else is_zero
    sparsity = found.get("sparsity")
    return LayerComparison(index, pruned_index, total, attention, *mlp, is_zero, sparsity)


def _comparison(
    layer_params: CountChange,
    layers: tuple[LayerComparison, ...],
    missing_layers: int | None = None,
    **found: Any,
) -> ModelComparison:
    missing = _missing(layer_params, layers) if missing_layers is None else missing_layers
    absent: Json = {"original_name": "", "pruned_name": "", "missing_layers": missing}
    comparison = ModelComparison(layer_params=layer_params, layers=layers, **absent | found)
    if "strategy" in found:
        return comparison
    strategy, evidence = strategy_of(comparison)
    return replace(comparison, strategy=strategy, evidence=evidence)


def _removed(comparison: ModelComparison) -> list[int]:
    return [layer.index for layer in comparison.layers if layer.removed]


def _missing(layer_params: CountChange, layers: tuple[LayerComparison, ...]) -> int:
    """Return how many layers of the original are not listed, by what their listed sum lacks."""
    sizes = Counter(layer.total.original or 0 for layer in layers)
    lacking = (layer_params.original or 0) - sum(layer.total.original or 0 for layer in layers)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    return max(1, round(lacking / usual)) if lacking > 0 and usual else 0


def _change_fields(of: str = "") -> tuple[Field, ...]:
    return (
        Field("original", COUNT, f"{of}original", required=True, null=True),
        Field("pruned", COUNT, f"{of}pruned", required=True, null=True),
        Field("reduced", ANY, f"{of}reduced", null=True),
        Field("reduction_ratio", NUMBER, f"{of}ratio", derived=True),
    )


CHANGE = Layout(_change, *_change_fields())
SIZES = Layout(_size_change, Field("original", COUNT), Field("pruned", COUNT))
MLP_CHANGE = Layout(
    _mlp_change,
    *_change_fields("mlp."),
    Field("intermediate_size", SIZES, omit=True),
    Field("num_experts", SIZES, "experts", omit=True),
)
LAYER_COMPARISON = Layout(
    _compared_layer,
    INDEX,
    Field("total", CHANGE, required=True),
    Field("attention", CHANGE, required=True),
    Field("mlp", MLP_CHANGE, ".", required=True),
    Field("is_zero_layer", FLAG, "is_zero"),
    Field("pruned_layer_idx", COUNT, "pruned_index", null=True),
    Field("removed", FLAG, derived=True),
    Field("attention_removed", FLAG, derived=True),
    Field("mlp_removed", FLAG, derived=True),
    Field("label", TEXT, label_of, derived=True),
    Field("sparsity", NUMBER, omit=True),
)
ADDED = Layout(
    AddedLayer,
    INDEX,
    Field("total", COUNT),
    Field("copy_of", COUNT),
)
COMPARISON = Layout(
    _comparison,
    Field("original_name", TEXT),
    Field("pruned_name", TEXT),
    Field("total_params", CHANGE, "total", required=True),
    Field("layer_params", CHANGE, required=True),
    Field("layers", numbered(LAYER_COMPARISON), required=True),
    Field("aligned_by", one_of(get_args(AlignedBy))),
    Field("removed_layers", each(COUNT), _removed, derived=True),
    Field("missing_layers", COUNT),
    Field("added_layers", numbered(ADDED)),
    Field("strategy", one_of(get_args(Strategy))),
    Field("evidence", named(NUMBER)),
    Field("notes", TEXTS),
    Field("unknown", NOTES),
)
"""Of `model_comparison.json` and `pruning_comparison.json`."""


ANATOMY_FILES = ("model_structure.json", "pruned_model_analysis.json")
"""The two names of the same file, of the pruned model."""

ORIGINAL_FILE = "original_model_analysis.json"

COMPARISON_FILES = ("pruning_comparison.json", "model_comparison.json")
"""The two names of the same file."""

FOLDER = "analysis"
"""The folder of these files, in that of the model."""

GENERIC_NAMES = frozenset({"原始模型", "剪枝后模型"})
"""What older scripts wrote where they knew no name: original model, pruned model."""

_MEND = "mend the file, or analyze the model again"


def read_anatomy(path: Path) -> Anatomy:
    """Read a `model_structure.json`, or a `pruned_` or `original_model_analysis.json`.

    What an older file counts in its total and in no part is `other`.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong, or the parts are more than the whole; with its place.
    """
    found: Anatomy = read_document(path, ANATOMY.read, mend=_MEND)
    return found if found.name else replace(found, name=_folder_name(path))


def read_comparison(path: Path) -> ModelComparison:
    """Read a `model_comparison.json` or `pruning_comparison.json`.

    An older file compares layer i with layer i: of layers that were removed it tells only the
    number, by its sums (`missing_layers`); its strategy follows from its numbers.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong; with its place.
    """
    found: ModelComparison = read_document(path, COMPARISON.read, mend=_MEND)
    return found if found.pruned_name else replace(found, pruned_name=_folder_name(path))


def anatomy_document(anatomy: Anatomy) -> Json:
    """Return the content of `model_structure.json`; a count that is not known is null."""
    return dict(ANATOMY.write(anatomy))


def comparison_document(comparison: ModelComparison) -> Json:
    """Return the content of `model_comparison.json`, one entry for each layer of the original."""
    return dict(COMPARISON.write(comparison))


def _folder_name(path: Path) -> str:
    folder = path.absolute().parent
    return (folder.parent if folder.name == "analysis" else folder).name
