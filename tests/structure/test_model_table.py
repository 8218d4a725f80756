"""The table of models: what its rows hold, what compares, what is best, in which order."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError
from depthprune.structure.comparison import (
    CountChange,
    is_located,
    layers_below,
    num_layers,
    share_kept,
    shares_kept,
    std_kept,
    variance_kept,
)
from depthprune.structure.layouts import comparison_document
from depthprune.structure.model_row import (
    BY_KEY,
    COLUMNS,
    GROUPS,
    QUICK,
    STANDARD,
    TASKS,
    ModelNumber,
    ModelRow,
    NumberConditions,
    model_row,
)
from depthprune.structure.model_table import ModelTable, model_table
from depthprune.structure.summaries import summarize
from tests.benchmark.cards import card, old_card
from tests.structure.models import SHARED, compared, layer, put, real_models, removed, row


def rows_of(folder: Path, window: str = STANDARD) -> dict[str, ModelRow]:
    """Return the rows of the models below a folder by the names of their own folders."""
    return {
        one.name.rpartition("/")[2]: model_row(one, window) for one in summarize([folder]).models
    }


def names(table: ModelTable) -> list[str]:
    return [one.name for one in table.rows]


def best(table: ModelTable, key: str) -> list[str]:
    return [table.rows[place].name for place in table.best[key]]


def apart(table: ModelTable, key: str) -> list[str]:
    return [table.rows[place].name for place in table.apart[key]]


# What layers keep


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), min_size=1, max_size=40),
    st.integers(0, 9),
)
def test_the_spread_is_that_of_all_layers_missing_ones_with_nothing(
    sizes: list[tuple[int, int]], missing: int
) -> None:
    found = compared([layer(index, *one) for index, one in enumerate(sizes)], missing)
    shares = [sum(one) / 100 for one in sizes] + [0.0] * missing
    assert variance_kept(found) == pytest.approx(statistics.pvariance(shares), abs=1e-12)
    assert std_kept(found) == pytest.approx(statistics.pstdev(shares), abs=1e-6)


def test_a_removed_layer_keeps_nothing_under_its_original_index() -> None:
    found = compared([layer(0), removed(1), layer(2, 0, 9)])
    assert shares_kept(found) == {0: 1.0, 1: 0.0, 2: 0.09}
    assert [layers_below(found, percent) for percent in (5, 9, 10, 100)] == [
        (1,),
        (1,),
        (1, 2),
        (1, 2),
    ]


def test_of_layers_that_no_file_names_no_single_share_is_known() -> None:
    found = compared([layer(0, 0, 0), layer(1)], missing=2)
    assert not is_located(found)
    assert shares_kept(found) == {}
    assert layers_below(found, 20) == ()


def test_a_file_may_tell_of_any_number_of_missing_layers() -> None:
    found = compared([layer(0)], missing=2**62)
    assert num_layers(found) == 2**62 + 1
    assert variance_kept(found) == pytest.approx(0)


def test_no_layers_have_no_spread() -> None:
    assert variance_kept(compared([])) is None
    assert std_kept(compared([])) is None


def test_a_layer_that_had_nothing_lost_nothing() -> None:
    (empty,) = compared([layer(0)]).layers
    nothing = type(empty.total)(0, 0)
    assert share_kept(type(empty)(0, 0, nothing, nothing, nothing)) == 1.0


# Columns


def test_there_are_24_columns_and_every_one_but_the_name_is_in_one_group() -> None:
    assert len(COLUMNS) == len(BY_KEY) == 24
    grouped = [key for keys in GROUPS.values() for key in keys]
    assert sorted(["model", *grouped]) == sorted(BY_KEY)


# Rows


def test_real_models_have_the_numbers_of_their_files(tmp_path: Path) -> None:
    found = rows_of(real_models(tmp_path))
    assert set(found) == {
        "base", "HGSP_2000", "layerwise_20", "ShortGPT_remove_7", "SliceGPT_2000",
    }  # fmt: skip
    assert found["base"].numbers["ppl_wikitext2"].value == 8.25709056854248
    assert found["base"].numbers["size_gb"].value == 14.95752739906311
    assert found["HGSP_2000"].numbers["ppl_wikitext2"] == ModelNumber(39.87115478515625)
    assert found["HGSP_2000"].numbers["parameters_b"].value == 6.424219648
    assert found["ShortGPT_remove_7"].numbers["parameters_b"].value == 6.503477248
    assert set(found["ShortGPT_remove_7"].numbers) == {
        "parameters_b", "keep_ratio_std", "keep_ratio_variance",
    }  # fmt: skip


def test_seven_of_32_layers_that_no_file_names_still_have_a_spread(tmp_path: Path) -> None:
    found = rows_of(real_models(tmp_path))["ShortGPT_remove_7"]
    exact = statistics.pvariance([1.0] * 25 + [0.0] * 7)
    assert found.numbers["keep_ratio_variance"].value == pytest.approx(exact)
    assert found.comparison is not None
    assert found.comparison.missing_layers == 7


def test_a_mean_says_which_tasks_it_is_of(tmp_path: Path) -> None:
    put(tmp_path / "few", card(accuracies={"boolq": 0.5, "piqa": 0.7, "mmlu": 0.1}))
    put(tmp_path / "all", card(accuracies=dict.fromkeys(TASKS, 0.5)))
    put(tmp_path / "none", card(accuracies={"mmlu": 0.1}))
    found = rows_of(tmp_path)
    mean = found["few"].numbers["mean_accuracy"]
    assert mean.value == pytest.approx(0.6)
    assert mean.under == NumberConditions("boolq, piqa", "acc of 100; acc of 100")
    assert found["all"].numbers["mean_accuracy"].under.basis == ", ".join(TASKS)
    assert "mean_accuracy" not in found["none"].numbers


def test_a_broken_evaluation_is_named_and_the_analysis_counts(tmp_path: Path) -> None:
    real_models(tmp_path)
    broken = tmp_path / "results/HGSP_2000/evaluation/evaluation_results.json"
    broken.write_text('{"metrics": {')
    found = rows_of(tmp_path)["HGSP_2000"]
    assert found.numbers["parameters_b"].value == 6.424219648
    assert "ppl_wikitext2" not in found.numbers
    (note,) = found.notes
    assert note.startswith(f"{broken}, line 1")


def test_blocks_that_were_skipped_and_counts_that_differ_are_told(tmp_path: Path) -> None:
    put(tmp_path / "m", card(removed=[4, 7], parameters=1150))
    document = comparison_document(compared([layer(0), layer(1, 0, 30)]))
    put(tmp_path / "m", document, "analysis/model_comparison.json")
    found = rows_of(tmp_path)["m"]
    assert found.numbers["parameters_b"].value == 1150 / 10**9
    assert any("1,150 parameters, but 1,130 in the analysis" in note for note in found.notes)
    assert any("while blocks 4, 7 were skipped" in note for note in found.notes)


def test_counts_that_agree_are_not_told_to_differ(tmp_path: Path) -> None:
    assert int(1920 / 10**9 * 10**9) < 1920  # what rounding down would make of it
    put(tmp_path / "m", card(parameters=1920))
    found = compared([layer(index) for index in range(1920 // 100 - 10)])
    document = comparison_document(replace(found, total=CountChange(1920, 1920)))
    put(tmp_path / "m", document, "analysis/model_comparison.json")
    assert rows_of(tmp_path)["m"].notes == ()


def test_a_model_without_analysis_has_a_command_that_makes_one(tmp_path: Path) -> None:
    found = rows_of(real_models(tmp_path))["base"]
    assert found.mend is not None
    assert found.mend.startswith("depthprune structure analyze")


def test_another_window_can_be_wanted(tmp_path: Path) -> None:
    found = rows_of(real_models(tmp_path), QUICK)["base"].numbers["ppl_wikitext2"]
    assert found == ModelNumber(19.52301597595215, NumberConditions(QUICK))


# What compares


def test_perplexities_of_other_windows_stand_apart(tmp_path: Path) -> None:
    table = model_table(
        [
            row("a", ppl_wikitext2=12.0),
            row("b", ppl_wikitext2=11.0),
            row("quick", ppl_wikitext2=ModelNumber(5.0, NumberConditions(QUICK))),
            row("unstated", ppl_wikitext2=ModelNumber(4.0)),
        ]
    )
    assert table.compared["ppl_wikitext2"].basis == STANDARD
    assert best(table, "ppl_wikitext2") == ["b"]
    assert apart(table, "ppl_wikitext2") == ["quick", "unstated"]


def test_where_no_file_states_a_window_the_numbers_compare_as_unstated() -> None:
    table = model_table([row("a", ppl_ptb=ModelNumber(4.0)), row("b", ppl_ptb=ModelNumber(3.0))])
    assert table.compared["ppl_ptb"] == NumberConditions()
    assert best(table, "ppl_ptb") == ["b"]
    assert apart(table, "ppl_ptb") == []


def test_the_most_usual_window_counts_where_none_has_the_wanted_one() -> None:
    numbers = [
        ModelNumber(4.0, NumberConditions("1024/256")),
        ModelNumber(3.0, NumberConditions("1024/256")),
    ]
    numbers += [
        ModelNumber(2.0, NumberConditions(QUICK)),
        ModelNumber(1.0),
        ModelNumber(1.0),
        ModelNumber(1.0),
    ]
    table = model_table([row(str(at), ppl_ptb=one) for at, one in enumerate(numbers)])
    assert table.compared["ppl_ptb"].basis == "1024/256"
    assert best(table, "ppl_ptb") == ["1"]


def test_another_sample_stands_apart_and_an_unknown_one_is_trusted() -> None:
    def score(value: float, details: str | None) -> ModelNumber:
        return ModelNumber(value, NumberConditions(details=details))

    table = model_table(
        [
            row("a", boolq=score(0.5, "acc of 3270")),
            row("b", boolq=score(0.6, "acc of 3270")),
            row("few", boolq=score(0.9, "acc of 10")),
            row("old", boolq=score(0.7, None)),
        ]
    )
    assert best(table, "boolq") == ["old"]
    assert apart(table, "boolq") == ["few"]


def test_a_mean_over_fewer_tasks_stands_apart() -> None:
    few = ModelNumber(0.9, NumberConditions("boolq"))
    table = model_table([row("a", mean_accuracy=0.5), row("b", mean_accuracy=0.6),
                         row("few", mean_accuracy=few)])  # fmt: skip
    assert best(table, "mean_accuracy") == ["b"]
    assert apart(table, "mean_accuracy") == ["few"]


# What is best


@pytest.mark.parametrize(
    ("key", "winner"),
    [
        ("size_gb", ["low"]),
        ("parameters_b", ["low"]),
        ("ppl_wikitext2", ["low"]),
        ("boolq", ["high"]),
        ("mean_accuracy", ["high"]),
        ("tokens_per_second_batch_4", ["high"]),
        ("ms_per_token_batch_1", ["low"]),
        ("peak_memory_mb", ["low"]),
        ("keep_ratio_std", []),
        ("keep_ratio_variance", []),
    ],
)
def test_each_column_has_its_better_end(key: str, winner: list[str]) -> None:
    numbers: dict[str, Any] = {"high": {key: 2.0}, "low": {key: 1.0}, "unknown": {}}
    table = model_table([row(name, **found) for name, found in numbers.items()])
    assert best(table, key) == winner


def test_equals_are_all_best_and_one_alone_is_not() -> None:
    table = model_table([row("a", boolq=0.5, piqa=0.5), row("b", boolq=0.5), row("c", boolq=0.4)])
    assert best(table, "boolq") == ["a", "b"]
    assert best(table, "piqa") == []


def test_the_model_that_others_were_pruned_from_comes_first_and_does_not_compete() -> None:
    pruned = compared([layer(0), removed(1)])
    rows = [
        row("a", pruned, parameters_b=1100 / 10**9, boolq=0.5),
        row("b", pruned, parameters_b=1100 / 10**9, boolq=0.6),
        row("whole", parameters_b=1200 / 10**9, boolq=0.9),
    ]
    table = model_table(rows)
    assert names(table) == ["whole", "a", "b"]
    assert table.rows[0].is_reference
    assert best(table, "boolq") == ["b"]
    named = model_table(rows, reference="a")
    assert names(named) == ["a", "b", "whole"]
    assert best(named, "boolq") == ["whole"]


def test_where_two_could_be_the_original_none_is() -> None:
    pruned = row("a", compared([layer(0), removed(1)]))
    whole = [row(name, parameters_b=1200 / 10**9) for name in ("x", "y")]
    assert not any(one.is_reference for one in model_table([pruned, *whole]).rows)


def test_a_model_whose_weights_became_zeros_is_not_the_original() -> None:
    zeros = row("zeros", compared([layer(0), layer(1)]), parameters_b=1200 / 10**9)
    whole = row("whole", parameters_b=1200 / 10**9)
    table = model_table([zeros, whole])
    assert [one.is_reference for one in table.rows] == [True, False]
    assert names(table) == ["whole", "zeros"]


@pytest.mark.parametrize("name", ["results/base", "base", "/base/"])
def test_the_original_is_named_by_its_folder(name: str) -> None:
    table = model_table([row("results/a"), row("results/base")], reference=name)
    assert table.rows[0].name == "results/base"
    assert table.rows[0].is_reference


@pytest.mark.parametrize("name", ["bas", "a", "no"])
def test_an_original_that_is_no_model_or_several(name: str) -> None:
    rows = [row("results/a"), row("baselines/a"), row("results/base")]
    with pytest.raises(DepthpruneError, match="of the models"):
        model_table(rows, reference=name)


# Order

ROWS = [
    row("a", ppl_wikitext2=9.0, boolq=0.4),
    row("b", ppl_wikitext2=ModelNumber(1.0, NumberConditions(QUICK)), boolq=0.6),
    row("c"),
    row("d", ppl_wikitext2=8.0, boolq=0.5),
]


@pytest.mark.parametrize(
    ("sort_by", "reverse", "order"),
    [
        ("model", False, "abcd"),
        ("model", True, "dcba"),
        ("boolq", False, "bdac"),
        ("boolq", True, "adbc"),
        ("ppl_wikitext2", False, "dabc"),
        ("ppl-wikitext2", True, "adbc"),
        ("piqa", False, "abcd"),
    ],
)
def test_rows_are_sorted_best_first_then_what_stands_apart_then_unknown(
    sort_by: str, reverse: bool, order: str
) -> None:
    found = model_table(ROWS, sort_by=sort_by, reverse=reverse)
    assert "".join(names(found)) == order


def test_rows_are_sorted_by_how_many_layers_keep_little() -> None:
    two = compared([removed(0), removed(1), layer(2)])
    rows = [
        row("two", replace(two, total=compared([layer(0)]).total)),  # of the same original
        row("unknown"),
        row("three", compared([layer(0)], missing=3)),
        row("none", compared([layer(0)])),
    ]
    assert names(model_table(rows, sort_by="layers_below_5")) == ["none", "two", "three", "unknown"]


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(DepthpruneError, match="no column 'perplexity'"):
        model_table(ROWS, sort_by="perplexity")


def test_the_order_in_which_models_were_found_does_not_matter() -> None:
    assert model_table(ROWS) == model_table(ROWS[::-1])


# All of the real files


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
def test_every_number_of_the_real_files_is_in_the_table() -> None:
    found = {row.name: row for folder in ("baselines", "results")
             for row in rows_of(SHARED / folder).values()}  # fmt: skip
    files = sorted(SHARED.rglob("evaluation_results.json"))
    assert len(files) == 3
    for path in files:
        metrics = json.loads(path.read_text())["metrics"]
        numbers = found[str(path.parent.parent.relative_to(SHARED))].numbers
        speed, memory = metrics["efficiency"]["speed"], metrics["efficiency"]["memory"]
        expected = {
            "size_gb": metrics["model_info"]["model_size_gb"],
            "parameters_b": metrics["model_info"]["total_params_B"],
            "ppl_wikitext2": metrics["ppl"]["wikitext2 (wikitext-2-raw-v1)"],
            "ppl_ptb": metrics["ppl"]["ptb"],
            **{task: metrics["zeroshot"][task]["accuracy"] for task in TASKS},
            "mean_accuracy": metrics["avg_zeroshot_acc"],
            "tokens_per_second_batch_1": speed["batch_size_1"]["throughput_tokens_per_sec"],
            "ms_per_token_batch_1": speed["batch_size_1"]["latency_ms_per_token"],
            "tokens_per_second_batch_4": speed["batch_size_4"]["throughput_tokens_per_sec"],
            "ms_per_token_batch_4": speed["batch_size_4"]["latency_ms_per_token"],
            "peak_memory_mb": memory["inference_peak_mb"],
        }
        told = {key: numbers[key].value for key in expected}
        assert told == pytest.approx(expected, rel=1e-15)


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
def test_the_spread_of_the_real_files_is_that_of_their_ratios() -> None:
    for path in sorted(SHARED.rglob("pruning_comparison.json")):
        document = json.loads(path.read_text())
        kept = [1 - one["total"]["reduction_ratio"] for one in document["layers"]]
        missing = 7 if "ShortGPT" in str(path) else 0
        found = rows_of(path.parent.parent)[path.parent.parent.name]
        exact = statistics.pstdev(kept + [0.0] * missing)
        assert found.numbers["keep_ratio_std"].value == pytest.approx(exact, abs=1e-12)
        below = [at for at, share in enumerate(kept) if share < 0.2 and not missing]
        assert found.comparison is not None
        assert list(layers_below(found.comparison, 20)) == below


def test_an_old_file_among_ours_is_trusted_but_for_its_window(tmp_path: Path) -> None:
    put(tmp_path / "ours", card(ppl=10.0, accuracies={"piqa": 0.75}))
    old = old_card()
    del old["metrics"]["ppl_quick_128"], old["metrics"]["ppl_standard_2048_512"]
    put(tmp_path / "old", old)
    table = model_table(list(rows_of(tmp_path).values()))
    assert [one.rpartition("/")[2] for one in best(table, "piqa")] == ["ours"]
    assert [one.rpartition("/")[2] for one in apart(table, "ppl_wikitext2")] == ["old"]


def test_an_evaluation_that_lies_in_the_folder_itself_is_found(tmp_path: Path) -> None:
    put(tmp_path / "lone", card(), "evaluation_results.json")
    assert rows_of(tmp_path)["lone"].numbers["ppl_wikitext2"].value == 10.0


# Families, and models that were not pruned


def of_family(name: str, original: int, pruned: int, mean: float) -> ModelRow:
    total = CountChange(original, pruned)
    comparison = replace(compared([layer(0)]), total=total, strategy="uniform")
    numbers = {"mean_accuracy": ModelNumber(mean, NumberConditions("boolq"))}
    return ModelRow(name, numbers, comparison)


def test_models_of_one_original_compete_among_themselves() -> None:
    rows = [
        of_family("big-a", 8_000, 6_000, 0.7), of_family("big-b", 8_000, 6_000, 0.6),
        of_family("small-a", 1_000, 800, 0.4), of_family("small-b", 1_000, 800, 0.5),
    ]  # fmt: skip
    table = model_table(rows, sort_by="mean_accuracy")
    assert names(table) == ["big-a", "big-b", "small-b", "small-a"]
    assert table.best["mean_accuracy"] == (0, 2)


def test_a_model_that_lost_nothing_is_never_the_best() -> None:
    whole = of_family("whole", 8_000, 8_000, 0.9)
    assert whole.comparison is not None
    whole = replace(whole, comparison=replace(whole.comparison, strategy="unchanged"))
    table = model_table(
        [whole, of_family("a", 8_000, 6_000, 0.7), of_family("b", 8_000, 6_000, 0.6)]
    )
    assert [table.rows[place].name for place in table.best["mean_accuracy"]] == ["a"]


def test_a_window_that_an_evaluation_beside_states_is_taken_for_the_same_number(
    tmp_path: Path,
) -> None:
    old = {"metrics": {"ppl": {"wikitext2": 16.5, "ptb": 63.6}}}
    later = {"metrics": {"ppl_standard_2048_512": {"wikitext2": 16.5, "ptb": 60.0}}}
    put(tmp_path / "m", old)
    put(tmp_path / "m", later, "evaluation/later.json")
    numbers = rows_of(tmp_path)["m"].numbers
    assert numbers["ppl_wikitext2"].under.basis == STANDARD
    assert numbers["ppl_ptb"].under.basis is None


def test_a_list_of_removed_layers_alone_names_them(tmp_path: Path) -> None:
    put(tmp_path / "m", [3, 5], "layers_to_remove.json")
    (model,) = summarize([tmp_path]).models
    assert model.removed == (3, 5)
    facts = rows_of(tmp_path)["m"].facts
    assert facts is not None
    assert facts.removed == (3, 5)
