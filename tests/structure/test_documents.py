"""The JSON files of anatomies and comparisons: written, read, and what older scripts wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity
from depthprune.structure.comparison import (
    AlignedBy,
    CountChange,
    LayerComparison,
    ModelComparison,
    Strategy,
)
from depthprune.structure.layouts import (
    ANATOMY_FILES,
    COMPARISON_FILES,
    anatomy_document,
    comparison_document,
    read_anatomy,
    read_comparison,
)

COPIES = Path(__file__).with_name("pruned_models")
SHARED = Path("/work/shared/pruned_models")
FILES = sorted(
    path
    for folder in (COPIES, SHARED)
    for path in folder.rglob("*.json")
    if path.name in {*ANATOMY_FILES, *COMPARISON_FILES}
)

SHORTGPT = COPIES / "baselines/ShortGPT_remove_7/analysis"
HGSP = COPIES / "results/HGSP_2000/analysis"
LAYERWISE = COPIES / "results/layerwise_20/analysis"

counts = st.integers(0, 2**40)
maybe = st.none() | counts
shares = st.floats(0, 1)
words = st.text(max_size=8)
sparsities = st.tuples(counts, counts).flatmap(
    lambda two: st.builds(
        Sparsity, st.just(min(two)), st.just(max(two)), st.none() | st.just("2:4")
    )
)
layers = st.builds(
    Layer,
    index=st.just(0),
    total=counts,
    attention=st.builds(
        Attention, counts, maybe, maybe, maybe, maybe, maybe, maybe, st.none() | words
    ),
    mlp=st.builds(Mlp, counts, maybe, maybe, maybe, maybe, counts, st.none() | words),
    norm=counts,
    other=counts,
    bytes=counts,
    is_zero=st.booleans(),
    sparsity=st.none() | sparsities,
)
anatomies = st.builds(
    Anatomy,
    name=st.text(min_size=1, max_size=8),
    total=counts,
    embedding=counts,
    lm_head=counts,
    layers=st.lists(layers, max_size=3).map(
        lambda found: tuple(_numbered(layer, index) for index, layer in enumerate(found))
    ),
    norm=counts,
    other=counts,
    towers=st.dictionaries(words, counts, max_size=2),
    dtypes=st.dictionaries(words, counts, max_size=2),
    bytes=counts,
    tied=st.booleans(),
    hidden_size=maybe,
    path=words,
    sparsity=st.none() | sparsities,
    notes=st.lists(words, max_size=2).map(tuple),
)
changes = st.builds(CountChange, counts, counts)
comparisons = st.builds(
    ModelComparison,
    original_name=words,
    pruned_name=st.text(min_size=1, max_size=8),
    total=changes,
    layer_params=changes,
    layers=st.lists(
        st.builds(
            LayerComparison,
            index=st.integers(0, 99),
            pruned_index=st.none() | st.integers(0, 99),
            total=changes,
            attention=changes,
            mlp=changes,
            intermediate_size=st.none() | changes,
            is_zero=st.booleans(),
            sparsity=st.none() | shares,
        ),
        max_size=3,
        unique_by=lambda layer: layer.index,
    ).map(tuple),
    aligned_by=st.sampled_from(get_args(AlignedBy)),
    missing_layers=st.integers(0, 99),
    strategy=st.sampled_from(get_args(Strategy)),
    evidence=st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    notes=st.lists(words, max_size=2).map(tuple),
)


def _numbered(layer: Layer, index: int) -> Layer:
    return Layer(index, *(getattr(layer, name) for name in Layer.__slots__[1:]))


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def document(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def changed(path: Path, at: str, value: Any, tmp_path: Path) -> Path:
    """Return a copy of a file in which one value is another, or absent (`...`)."""
    content: Any = document(path)
    *way, last = (int(step) if step.isdigit() else step for step in at.split("."))
    inner = content
    for step in way:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return written(tmp_path / path.name, content)


@settings(max_examples=50, deadline=None)
@given(anatomies)
def test_an_anatomy_loses_nothing_in_its_file(
    tmp_path_factory: pytest.TempPathFactory, anatomy: Anatomy
) -> None:
    path = written(tmp_path_factory.mktemp("a") / "a.json", anatomy_document(anatomy))
    assert read_anatomy(path) == anatomy


@settings(max_examples=50, deadline=None)
@given(comparisons)
def test_a_comparison_loses_nothing_in_its_file(
    tmp_path_factory: pytest.TempPathFactory, comparison: ModelComparison
) -> None:
    path = written(tmp_path_factory.mktemp("c") / "c.json", comparison_document(comparison))
    assert read_comparison(path) == comparison


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_what_an_older_script_wrote_is_written_again_to_the_last_digit(path: Path) -> None:
    old = document(path)
    new = (
        anatomy_document(read_anatomy(path))
        if path.name in ANATOMY_FILES
        else comparison_document(read_comparison(path))
    )
    _check_holds(new, old)


def _check_holds(new: Any, old: Any) -> None:
    if isinstance(old, dict):
        for key in old:
            _check_holds(new[key], old[key])
    elif isinstance(old, list):
        assert len(new) == len(old)
        for one, other in zip(new, old, strict=True):
            _check_holds(one, other)
    else:
        assert (new, type(new)) == (old, type(old))


def test_the_documented_fields_come_first_and_in_their_order() -> None:
    for path, write in (
        (SHORTGPT / "model_structure.json", lambda p: anatomy_document(read_anatomy(p))),
        (SHORTGPT / "pruning_comparison.json", lambda p: comparison_document(read_comparison(p))),
    ):
        old, new = document(path), write(path)
        assert list(new)[: len(old)] == list(old)
        assert list(new["layers"][0])[: len(old["layers"][0])] == list(old["layers"][0])
        assert list(new["layers"][0]["mlp"]) == list(old["layers"][0]["mlp"])


def test_removed_layers_and_a_lost_attention_are_named(tmp_path: Path) -> None:
    comparison = ModelComparison(
        "base",
        "cut",
        CountChange(300, 150),
        CountChange(200, 50),
        (
            LayerComparison(0, 0, CountChange(100, 50), CountChange(50, 0), CountChange(50, 50)),
            LayerComparison(1, None, CountChange(100, 0), CountChange(50, 0), CountChange(50, 0)),
        ),
    )
    value = comparison_document(comparison)
    assert value["removed_layers"] == [1]
    assert [layer["removed"] for layer in value["layers"]] == [False, True]
    assert [layer["pruned_layer_idx"] for layer in value["layers"]] == [0, None]
    assert [layer["attention_removed"] for layer in value["layers"]] == [True, True]
    assert value["layers"][1]["total"]["reduction_ratio"] == 1.0


def test_seven_layers_that_a_file_does_not_list_are_told_by_its_sums() -> None:
    comparison = read_comparison(SHORTGPT / "pruning_comparison.json")
    assert len(comparison.layers) == 25
    assert comparison.missing_layers == 7
    assert all(layer.total.ratio == 0 for layer in comparison.layers)


def test_a_file_that_lists_all_layers_misses_none() -> None:
    assert read_comparison(HGSP / "pruning_comparison.json").missing_layers == 0


def test_a_zero_attention_is_a_removed_one_in_a_layer_that_is_not_zero() -> None:
    anatomy = read_anatomy(HGSP / "pruned_model_analysis.json")
    comparison = read_comparison(HGSP / "pruning_comparison.json")
    without = [layer.index for layer in comparison.layers if layer.attention_removed]
    assert without == [11, 12, 25]
    assert [layer.index for layer in anatomy.layers if layer.attention.total == 0] == without
    assert {anatomy.layers[index].attention.type for index in without} == {"ZeroAttention"}
    assert not any(layer.is_zero for layer in (*anatomy.layers, *comparison.layers))


def test_a_generic_name_stays_as_the_file_has_it() -> None:
    assert read_anatomy(LAYERWISE / "pruned_model_analysis.json").name == "剪枝后模型"


def test_what_an_older_file_counts_in_no_part_is_other() -> None:
    anatomy = read_anatomy(SHORTGPT / "model_structure.json")
    assert (anatomy.norm, anatomy.other) == (0, 4096)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("total_params", 6503477248.0, lambda a: a.total == 6503477248),
        ("layer_summary", ..., lambda a: len(a.layers) == 25),
        ("layers.3.norm", ..., lambda a: (a.layers[3].norm, a.layers[3].other) == (0, 8192)),
        ("layers.3.total", ..., lambda a: a.layers[3].total == 218112000),
        ("layers.3.is_zero_layer", ..., lambda a: not a.layers[3].is_zero),
        ("layers.3.layer_idx", ..., lambda a: a.layers[3].index == 3),
        ("layers.3.attention.total", ..., lambda a: a.layers[3].attention.total == 41943040),
        ("layers.3.attention.num_heads", None, lambda a: a.layers[3].attention.num_heads is None),
        ("layers.3.attention.q_proj", ..., lambda a: a.layers[3].attention.q is None),
        ("layers.3.mlp", ..., lambda a: a.layers[3].other == 176160768),
        ("model_name", ..., lambda a: a.name == "analysed"),
    ],
)
def test_an_anatomy_may_lack_what_it_can_do_without(
    field: str, value: Any, expected: Callable[[Anatomy], bool], tmp_path: Path
) -> None:
    folder = tmp_path / "analysed" / "analysis"
    folder.mkdir(parents=True)
    anatomy = read_anatomy(changed(SHORTGPT / "model_structure.json", field, value, folder))
    assert expected(anatomy)


def test_a_layer_with_nothing_but_norms_is_empty_where_the_file_says_nothing(
    tmp_path: Path,
) -> None:
    value = {"total_params": 8, "embedding_params": 0, "lm_head_params": 0}
    layer = {"layer_idx": 0, "total": 8, "norm": 8}
    path = written(tmp_path / "m.json", {**value, "layers": [layer]})
    assert read_anatomy(path).layers[0].is_zero


def test_a_head_that_makes_the_parts_exceed_the_total_is_tied(tmp_path: Path) -> None:
    value = {"total_params": 104, "embedding_params": 100, "lm_head_params": 100, "layers": []}
    anatomy = read_anatomy(written(tmp_path / "m.json", value))
    assert (anatomy.lm_head, anatomy.tied, anatomy.other) == (0, True, 4)
    assert "tied" in anatomy.notes[0]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("layers.2.is_zero_layer", ..., lambda c: not c.layers[2].is_zero),
        ("layers.2.mlp.intermediate_size", ..., lambda c: c.layers[2].intermediate_size is None),
        (
            "layers.2.mlp.intermediate_size.pruned",
            None,
            lambda c: not c.layers[2].intermediate_size,
        ),
        ("layers.2.total.reduced", ..., lambda c: c.layers[2].total.reduced == 0),
        ("layers.2.total.reduction_ratio", ..., lambda c: c.layers[2].total.ratio == 0),
        ("layers.2.total.pruned", 218112000.0, lambda c: c.layers[2].total.pruned == 218112000),
        ("original_name", ..., lambda c: c.original_name == ""),
        ("pruned_name", None, lambda c: c.pruned_name == "analysed"),
    ],
)
def test_a_comparison_may_lack_what_it_can_do_without(
    field: str, value: Any, expected: Callable[[ModelComparison], bool], tmp_path: Path
) -> None:
    folder = tmp_path / "analysed"
    folder.mkdir()
    path = changed(SHORTGPT / "pruning_comparison.json", field, value, folder)
    assert expected(read_comparison(path))


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("total_params", ..., "a count is missing"),
        ("total_params", "8B", "a count was expected"),
        ("total_params", True, "a count was expected"),
        ("total_params", 12.5, "not a whole number"),
        ("total_params", float("nan"), "NaN is not a JSON number"),
        ("embedding_params", -1, "is not a count"),
        ("embedding_params", 10**30, "is not a count"),
        ("embedding_params", 10**12, ""),
        ("layers", ..., "a list is missing"),
        ("layers", 25, "a list was expected"),
        ("layers.4", 7, "a JSON object was expected"),
        ("layers.4.total", 1, "the parts have"),
        ("layers.4.total", -5, "is not a count"),
        ("layers.4.attention.total", None, "a count is missing"),
        ("layers.4.mlp.total", None, "a count is missing"),
        ("layers.4.layer_idx", 3, "layer 3 is listed twice"),
        ("layers.4.attention", [1], "a JSON object was expected"),
        ("layers.4.attention.type", 3, "a text was expected"),
        ("layers.4.mlp.gate_proj", float("inf"), "Infinity is not a JSON number"),
        ("layers.4.is_zero_layer", "no", "true or false was expected"),
        ("layer_summary.num_layers", 32, "32 layers, but 25 are listed"),
        ("layer_summary.total_layer_params", 5, "5 parameters, but those"),
        ("notes", "none", "a list of texts was expected"),
    ],
)
def test_a_wrong_field_of_an_anatomy_is_named_with_its_place(
    field: str, value: Any, what: str, tmp_path: Path
) -> None:
    path = changed(SHORTGPT / "model_structure.json", field, value, tmp_path)
    with pytest.raises(LayoutError) as raised:
        read_anatomy(path)
    place = field.replace(".4", "[4]") if what else "total_params"
    assert what in raised.value.what
    assert raised.value.where == f"{path}, {place}"
    assert raised.value.mend


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("total_params", ..., "a JSON object is missing"),
        ("layer_params.original", ..., "a count is missing"),
        ("layers.4.mlp.pruned", "many", "a count was expected"),
        ("layers.4.mlp.reduced", 5, "176160768 - 176160768 is 0, not 5"),
        ("layers.4.total.original", float("nan"), "NaN"),
        ("layers.4.sparsity", "half", "a number was expected"),
        ("strategy", "magic", "'magic' is not one of"),
        ("aligned_by", "luck", "'luck' is not one of"),
        ("missing_layers", -7, "is not a count"),
    ],
)
def test_a_wrong_field_of_a_comparison_is_named_with_its_place(
    field: str, value: Any, what: str, tmp_path: Path
) -> None:
    path = changed(SHORTGPT / "pruning_comparison.json", field, value, tmp_path)
    with pytest.raises(LayoutError) as raised:
        read_comparison(path)
    assert what in raised.value.what
    assert raised.value.where == f"{path}, {field.replace('.4', '[4]')}"


ODD = st.sampled_from(
    [None, 0, -1, 2**62, 2**64, 1.5, 12.0, 1e308, True, "", "x", "\ud800", [], {}, [None], {"a": 1}]
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_a_field_holds_it_is_read_or_refused_in_words(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read, write, file = data.draw(
        st.sampled_from(
            [
                (read_anatomy, anatomy_document, SHORTGPT / "model_structure.json"),
                (read_comparison, comparison_document, HGSP / "pruning_comparison.json"),
            ]
        )
    )
    content: Any = document(file)
    content["layers"] = content["layers"][:2]
    content.pop("layer_summary", None)
    inner: Any = content
    while True:
        key = data.draw(st.sampled_from(list(inner) if isinstance(inner, dict) else [0]))
        if not inner[key] or not isinstance(inner[key], dict | list) or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(ODD)
    path = written(tmp_path_factory.mktemp("odd") / "m.json", content)
    try:
        found = read(path)
    except DepthpruneError as error:
        assert error.where is not None
        assert error.where.startswith(str(path))
    else:
        assert read(written(path, write(found))) == found


def test_a_number_that_json_lacks_is_found_under_its_key() -> None:
    path = LAYERWISE / "layer_importance_similarity.json"
    with pytest.raises(LayoutError, match="NaN is not a JSON number") as raised:
        read_anatomy(path)
    assert raised.value.where == f'{path}, ["2"]'


def test_a_layer_without_count_is_refused_where_the_file_says_of_none_that_it_is_unknown(
    tmp_path: Path,
) -> None:
    value = {"total_params": 9, "embedding_params": 1, "lm_head_params": 0}
    layers = [{"total": 4}, {"total": None}]
    with pytest.raises(LayoutError, match="a count is missing") as raised:
        read_anatomy(written(tmp_path / "m.json", {**value, "layers": layers}))
    assert raised.value.where == f"{tmp_path / 'm.json'}, layers[1].total"
    path = written(tmp_path / "m.json", {**value, "layers": layers, "unknown": ["it is packed"]})
    assert read_anatomy(path).layers[1].total is None


def test_more_zeros_than_numbers_are_refused(tmp_path: Path) -> None:
    value = {"total_params": 1, "embedding_params": 1, "lm_head_params": 0, "layers": []}
    path = written(tmp_path / "m.json", {**value, "sparsity": {"zeros": 2, "numbers": 1}})
    with pytest.raises(LayoutError, match="2 zeros of 1 numbers"):
        read_anatomy(path)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"total_params": 1,\n "layers": [', ", line 2, column 13"),
        ("[" * 100_000, ""),
        ("", ", line 1, column 1"),
        ('{"total_params": ' + "9" * 5000 + "}", ""),
    ],
)
def test_what_is_no_json_is_told_with_its_line(text: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "model_structure.json"
    path.write_text(text)
    with pytest.raises(FileError) as raised:
        read_anatomy(path)
    assert raised.value.where == f"{path}{where}"


def test_a_file_with_a_list_is_no_anatomy(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="a JSON object was expected, not a list"):
        read_anatomy(written(tmp_path / "m.json", [1]))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_comparison(tmp_path / "model_comparison.json")
