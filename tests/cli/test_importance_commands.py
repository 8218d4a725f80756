"""`compare`, `merge`, `select` and `scores from-removals`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.study import read_results
from tests.cli.program import Program
from tests.importance.measured import DROPS, measure

DATA = Path(__file__).parents[1] / "importance" / "data"
PUBLISHED = Path(__file__).parents[2].parent / "shared" / "published"
OTHER_DROPS = {0: 0.25, 1: 0.5, 2: 0.0}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(path: str | Path) -> Any:
    return json.loads(Path(path).read_text())


def put(path: str, value: Any) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for task in ("doc_qa", "okvqa"):
        measure(tmp_path / "study", task, "train", DROPS)
    measure(tmp_path / "study", "okvqa", "validation", OTHER_DROPS)
    return tmp_path / "study"


class TestCompare:
    def test_it_prints_and_writes_the_published_agreement(self, program: Program) -> None:
        done = program("compare", "--comparison_dir", DATA, "--output_dir", "out")
        assert done.code == 0, done.err
        for name in ("coco_caption", "st_qa"):
            row = next(line for line in done.out.splitlines() if line.strip().startswith(name))
            assert row.split()[1:] == ["-", "0.9882", "8.11e-13", "yes", "4/5", "4/5"]
            value = load(f"out/{name}/importance_comparison_{name}.json")
            assert value["dataset_name"] == name
            assert value["spearman_correlation"] == pytest.approx(0.9882, abs=5e-5)
            assert value["p_value"] == pytest.approx(8.11e-13, rel=1e-3)
            assert len(value["train_scores"]) == len(value["validation_scores"]) == 16
        table = load("out/comparison_summary.json")
        assert table["consistent"] == ["coco_caption", "st_qa"]
        assert "0.9882" in Path("out/comparison_summary.txt").read_text()

    def test_what_it_writes_can_be_read_again(self, program: Program) -> None:
        program("compare", "--comparison_dir", DATA, "--output_dir", "out")
        reading = read_results(Path("out"))
        assert (len(reading.comparisons), reading.problems) == (2, ())
        assert program("compare", "--comparison_dir", "out").code == 0

    @pytest.mark.skipif(
        not PUBLISHED.exists(), reason="the published results are not beside the clone"
    )
    def test_the_published_folder_works_as_it_is(self, program: Program) -> None:
        folder = PUBLISHED / "exp3_importance_comparison"
        done = json.loads(program("compare", "--comparison_dir", folder, "--json").out)
        assert [f"{one['spearman_correlation']:.4f}" for one in done["datasets"]] == ["0.9882"] * 2
        assert [f"{one['p_value']:.2e}" for one in done["datasets"]] == ["8.11e-13"] * 2

    def test_a_study_is_compared_and_what_has_one_split_is_told(
        self, program: Program, study: Path
    ) -> None:
        done = program("compare", "--study", study, "--max-shift", 0)
        assert done.code == 0, done.err
        assert "doc_qa: left out, it was measured on train only" in done.out
        assert "50.00" in done.out  # the drop of block 0, whose rank differs
        assert (study / "importance_comparison" / "okvqa").is_dir()
        assert "okvqa" in (study / "importance_comparison" / "comparison_summary.txt").read_text()

    def test_the_options_decide_what_is_consistent(self, program: Program, study: Path) -> None:
        loose = program("compare", "--study", study, "--threshold", 0.5, "--top_k", 1, "--json")
        (one,) = json.loads(loose.out)["datasets"]
        assert (one["spearman_correlation"], one["consistent"]) == (pytest.approx(0.5), True)
        assert one["least_important"] == {"common": [2], "train_only": [], "validation_only": []}
        assert one["most_important"] == {"common": [], "train_only": [0], "validation_only": [1]}
        (strict,) = json.loads(program("compare", "--study", study, "--json").out)["datasets"]
        assert strict["consistent"] is False

    def test_two_score_files_will_do(self, program: Program) -> None:
        for name, scores in (("a", [1, 2, 3]), ("b", [1, 3, 2])):
            put(f"{name}.json", {str(block): score for block, score in enumerate(scores)})
        given = ("--train_scores", "a.json", "--validation_scores", "b.json")
        done = program("compare", *given, "--dataset_name", "okvqa")
        assert done.code == 0, done.err
        value = load("importance_comparison/okvqa/importance_comparison_okvqa.json")
        assert value["spearman_correlation"] == pytest.approx(0.5)

    def test_results_will_do(self, program: Program) -> None:
        for split, scores in (("train", [1, 2, 3]), ("test", [1, 3, 2])):
            scores_of = {str(block): score / 10 for block, score in enumerate(scores)}
            put(f"results/tally-qa/{split}/layer_importance_scores.json", scores_of)
        told = program("compare", "--results_dir", "results").out
        assert "tally_qa: validation stands for its split test" in told
        value = json.loads(program("compare", "--results_dir", "results", "--json").out)
        assert value["datasets"][0]["splits"] == ["train", "test"]

    def test_it_speaks_chinese(self, program: Program) -> None:
        assert "一致" in program("compare", "--comparison_dir", DATA, "--lang", "zh").out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "one source of scores is required, given: none"),
            (("--study", "a", "--results_dir", "b"), "--results_dir and --study"),
            (("--comparison_dir", "."), "there is no importance_comparison_{dataset}.json"),
            (("--comparison_dir", "nowhere"), "no such folder"),
            (("--train_scores", "a.json"), "--validation_scores and --dataset_name are missing"),
            (("--study", "a", "--train_scores", "b"), "cannot be given together"),
            (("--comparison_dir", DATA, "--threshold", "2"), "rank correlation cannot be 2.0"),
        ],
    )
    def test_bad_input_ends_with_2(
        self, program: Program, arguments: tuple[object, ...], message: str
    ) -> None:
        done = program("compare", *arguments)
        assert done.code == 2
        assert message in done.err
        assert "Traceback" not in done.err


class TestMerge:
    def test_the_published_comparisons_become_one_ranking(self, program: Program) -> None:
        done = program("merge", "--comparison_dir", DATA, "--output_file", "m.json")
        assert done.code == 0, done.err
        rows = [line.split() for line in done.out.splitlines()]
        # Block 8: (0.6 * 4.4 + 0.4 * 5.1 = 4.68 and 0.6 * 2.4 + 0.4 * 1.5 = 2.04) / 2.
        assert ["1", "8", "3.36", "4.68", "2.04"] in rows
        assert ["16", "0", "64.08", "64.08", "64.08"] in rows
        assert "5 least important: 8 (3.36), 14 (3.36), 11 (4.14)" in done.out
        assert "5 most important: 0 (64.08), 1 (13.92)" in done.out
        full = load("m.json")
        assert set(full) == {
            *("method", "train_val_weight", "weights", "datasets", "num_blocks", "per_dataset"),
            *("merged_scores", "ranking"),
        }
        assert load("m_simple.json") == full["merged_scores"]

    def test_the_order_of_the_weights_is_printed(self, program: Program) -> None:
        given = ("--comparison_dir", DATA, "--output_file", "m.json", "--method", "weighted_avg")
        done = program("merge", *given, "--dataset_weights", 3, 1)
        rows = [line.split() for line in done.out.splitlines()]
        assert ["coco_caption", "train,", "validation", "-", "0.75"] in rows
        named = program("merge", *given, "--dataset-weights", "st_qa=1", "coco_caption=3", "--json")
        assert json.loads(named.out)["weights"] == {"coco_caption": 0.75, "st_qa": 0.25}

    def test_a_study_with_one_split_of_a_dataset_is_merged_with_a_note(
        self, program: Program, study: Path
    ) -> None:
        done = program("merge", "--study", study, "--output_file", "m.json")
        assert done.code == 0, done.err
        assert "measured on one split only, which is used as it is: doc_qa (train)" in done.out
        # okvqa: 0.6 * 0.5 + 0.4 * 0.25 = 0.4; doc_qa: 0.5.
        assert load("m.json")["merged_scores"]["0"] == pytest.approx(0.45)
        assert program("select", "--importance_scores_file", "m.json", "--expect", "1").code == 0

    def test_train_counts_as_much_as_it_is_told_to(self, program: Program, study: Path) -> None:
        given = ("--study", study, "--output_file", "m.json", "--method", "median")
        program("merge", *given, "--train_val_weight", 1)
        assert load("m.json")["merged_scores"]["0"] == 0.5

    def test_nine_datasets_of_24_blocks_fit_80_columns(
        self, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        tasks = ("coco_2014_vqa", "text_vqa", "okvqa", "science_qa_img", "st_qa", "doc_qa")
        for task in (*tasks, "tally_qa", "coco_caption", "mmmu"):
            scores = {str(block): -block / 24 for block in range(24)}
            put(f"results/{task}/train/layer_importance_scores.json", scores)
        done = program("merge", "--results_dir", "results", "--output_file", "m.json")
        assert done.code == 0, done.err
        tables = [line for line in done.out.splitlines() if line.startswith(" ")]
        assert max(map(len, tables)) <= 80
        assert "…" not in done.out
        assert "-95.83" in done.out
        assert len(load("m_simple.json")) == 24

    def test_blocks_without_a_score_are_told(self, program: Program, tmp_path: Path) -> None:
        measure(tmp_path / "part", "okvqa", "train", {0: 0.5, 1: 0.25})
        done = program("merge", "--study", "part", "--output_file", "m.json")
        assert "no dataset has a score for 2 of the 3 blocks" in done.out
        refused = program("select", "--importance_scores_file", "m.json", "--num_active_blocks", 2)
        assert refused.code == 2
        assert "only part of the 3 blocks: block 2 has none" in refused.err

    @pytest.mark.skipif(
        not PUBLISHED.exists(), reason="the published results are not beside the clone"
    )
    def test_the_published_search_results_merge_to_block_4_first(self, program: Program) -> None:
        folder = PUBLISHED / "exp3_beam_search_multi_dataset"
        done = program("merge", "--results_dir", folder, "--output_file", "m.json", "--json")
        value = json.loads(done.out)
        expected = json.loads((PUBLISHED / "expected.json").read_text())["independent"]["1"]
        assert [block for block, _ in value["ranking"][:5]] == [removal[0] for removal in expected]
        assert f"{100 * value['merged_scores']['4']:.2f}" == "3.09"
        assert len(value["datasets"]) == 8

    def test_it_speaks_chinese(self, program: Program) -> None:
        done = program("merge", "--comparison_dir", DATA, "--output_file", "m.json", "--lang", "zh")
        assert "最不重要的 5 块" in done.out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "one source of scores is required"),
            (("--comparison_dir", "."), "there is no importance_comparison_{dataset}.json"),
            (("--comparison_dir", DATA, "--dataset_weights", "1", "2"), "average has no weights"),
            (
                ("--comparison_dir", DATA, "--method", "weighted_avg", "--dataset_weights", "1"),
                "give one weight each, in this order: coco_caption st_qa",
            ),
            (
                ("--comparison_dir", DATA, "--method", "weighted_avg", "--dataset_weights", "0,0"),
                "the weights are all zero",
            ),
            (
                ("--comparison_dir", DATA, "--method", "weighted_avg", "--dataset_weights", -1, 2),
                "the weight of coco_caption is -1.0",
            ),
            (("--comparison_dir", DATA, "--method", "weighted_avg"), "needs a weight for every"),
            (("--comparison_dir", DATA, "--method", "mode"), "mode"),
            (("--comparison_dir", DATA, "--train_val_weight", "nan"), "nan is not the weight"),
        ],
    )
    def test_bad_input_ends_with_2(
        self, program: Program, arguments: tuple[object, ...], message: str
    ) -> None:
        done = program("merge", "--output_file", "m.json", *arguments)
        assert done.code == 2
        assert message in words(done.err)
        assert "Traceback" not in done.err
        assert not Path("m.json").exists()

    def test_different_block_counts_end_with_2(self, program: Program) -> None:
        for name, count in (("a", 16), ("b", 24)):
            scores = {str(block): 0.1 for block in range(count)}
            put(f"c/importance_comparison_{name}.json", {"train_scores": scores})
        done = program("merge", "--comparison_dir", "c", "--output_file", "m.json")
        assert done.code == 2
        assert "a train has 16 and lacks blocks 16, 17" in done.err

    def test_nan_ends_with_2(self, program: Program) -> None:
        put("c/importance_comparison_a.json", '{"train_scores": {"0": NaN}}')
        done = program("merge", "--comparison_dir", "c", "--output_file", "m.json")
        assert done.code == 2
        assert "NaN" in done.err
        assert "importance_comparison_a.json" in done.err


class TestSelect:
    @pytest.fixture
    def order(self, program: Program) -> str:
        assert program("scores", "from-removals", 4, 13, 10, 2, "--output_file", "o.json").code == 0
        return "o.json"

    def test_a_forced_order_is_followed(self, program: Program, order: str) -> None:
        given = ("select", "--importance_scores_file", order, "--num_active_blocks")
        value = json.loads(program(*given, 15, 14, 13, 12, 16, "--json").out)
        gone = {n: one["removed_block_indices"] for n, one in value["block_configs"].items()}
        assert gone == {
            "15": [4],
            "14": [4, 13],
            "13": [4, 10, 13],
            "12": [2, 4, 10, 13],
            "16": [],
        }
        assert len(value["block_configs"]["12"]["active_block_indices"]) == 12
        assert value["protected_blocks"] == [0, 15]

    def test_it_prints_which_go_and_which_stay(self, program: Program, order: str) -> None:
        done = program("select", "--importance_scores_file", order, "--num-active-blocks", 14, 16)
        assert done.code == 0
        rows = [words(line) for line in done.out.splitlines()]
        assert "14 4, 13 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15" in rows
        assert any(row.startswith("16 none 0, 1, 2") for row in rows)

    def test_the_selection_is_kept(self, program: Program, order: str) -> None:
        given = ("--importance_scores_file", order, "--num_active_blocks", 14)
        done = program("select", *given, "--output_file", "s.json")
        assert "Selection: s.json" in done.out
        assert load("s.json")["block_configs"]["14"]["removed_block_indices"] == [4, 13]

    def test_an_expectation_is_met_in_any_order(self, program: Program, order: str) -> None:
        done = program("select", "--importance_scores_file", order, "--expect", "13,4")
        assert done.code == 0
        assert "As expected, exactly 4, 13 go with 14 active." in done.out

    def test_otherwise_the_scores_in_the_way_are_shown(self, program: Program, order: str) -> None:
        given = ("--importance_scores_file", order, "--num_active_blocks", 15, 14)
        done = program("select", *given, "--expect", "4,15")
        assert done.code == 1
        assert "NOT as expected: 4, 15 should go with 14 active, but 4, 13 go." in done.out
        rows = [words(line) for line in done.out.splitlines()]
        assert "13 0.4 goes: 0.6 below the highest score of the expected blocks" in rows
        assert "15 1 stays: protected" in rows
        value = program("select", *given, "--expect", "4,9", "--json")
        assert value.code == 1
        (check,) = json.loads(value.out)["expected"]
        assert (check["met"], check["stays_unexpectedly"][0]["block"]) == (False, 9)

    def test_protected_blocks_of_an_order_are_told(self, program: Program) -> None:
        told = program("scores", "from-removals", "0,4", 15)
        assert "`select` keeps 0, 15 (first and last) unless --protect none" in told.out
        given = ("--importance_scores_file", "scores_from_removals.json", "--num_active_blocks", 13)
        kept = program("select", *given)
        assert "Note: 0, 15 would go by score, but stay: protected." in kept.out
        free = json.loads(program("select", *given, "--protect", "none", "--json").out)
        assert free["block_configs"]["13"]["removed_block_indices"] == [0, 4, 15]

    def test_ties_are_told(self, program: Program, order: str) -> None:
        done = program("select", "--importance_scores_file", order, "--num_active_blocks", 11)
        assert "with 11 active, a block that goes has the same score as 3, 5" in words(done.out)

    def test_a_missing_file_is_replaced_by_the_single_dataset_and_it_says_so(
        self, program: Program
    ) -> None:
        put("d/layer_importance_scores.json", {"0": 0.9, "1": 0.1, "2": 0.2, "3": 0.9})
        given = ("--importance_scores_file", "d/merged.json", "--num_active_blocks", 3)
        done = program("select", *given)
        assert done.code == 0, done.err
        told = "there is no d/merged.json; the scores are those of d/layer_importance_scores.json"
        assert told in words(done.out)
        quiet = program("select", *given, "--json")
        assert json.loads(quiet.out)["instead_of"] == "d/merged.json"
        assert "there is no d/merged.json" in quiet.err

    def test_of_several_files_the_first_that_exists_is_read(
        self, program: Program, order: str
    ) -> None:
        done = program("select", "--importance_scores_file", "no.json", order, "--expect", "4")
        assert done.code == 0
        assert "Scores: o.json (importance_scores), 16 blocks; protected: 0, 15" in done.out

    def test_it_speaks_chinese(self, program: Program, order: str) -> None:
        done = program("select", "--importance_scores_file", order, "--expect", "4", "--lang", "zh")
        assert "符合预期" in done.out

    @pytest.mark.parametrize(
        ("value", "arguments", "message"),
        [
            ({"0": 1, "2": 1}, ("--num_active_blocks", 2), "block 1 has none"),
            ({"1": 1, "2": 1}, ("--num_active_blocks", 2), "--num_blocks 4"),
            ({"0": 1, "2": 1}, ("--num_active_blocks", 2), "where: f.json"),
            ('{"0": NaN}', ("--num_active_blocks", 1), "write a finite number"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 2, "--num_blocks", 4), "blocks 2, 3 have"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 3), "3 of 2 blocks cannot stay"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 1), "blocks 0, 1 are protected"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 2, "--protect", "0-1"), "two blocks or all"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 2, "--protect", "7"), "cannot be protected"),
            ({"0": 1, "1": 1}, (), "the number of blocks that stay"),
            ({"0": 1, "1": 1}, ("--expect", "5"), "block 5 does not exist"),
            ('{"0": NaN}', ("--num_active_blocks", 1), "NaN"),
            ({"0": 1, "1": 1}, ("--num_active_blocks", 2, "--output_file", "."), "folder"),
        ],
    )
    def test_bad_input_ends_with_2(
        self, program: Program, value: Any, arguments: tuple[object, ...], message: str
    ) -> None:
        put("f.json", value)
        done = program("select", "--importance_scores_file", "f.json", *arguments)
        assert done.code == 2
        assert message in words(done.err)
        assert "Traceback" not in done.err

    def test_a_file_that_is_nowhere_ends_with_2(self, program: Program) -> None:
        done = program("select", "--importance_scores_file", "f.json", "--num_active_blocks", 2)
        assert done.code == 2
        assert "no such file" in done.err


class TestFromRemovals:
    def test_it_works_as_it_is_written_in_the_manual(self, program: Program) -> None:
        done = program("scores", "from-removals", 4, 13, 10, 2)
        assert done.code == 0
        assert "Order of removal: 4, 13, 10, 2; of 16 blocks." in done.out
        assert "16 blocks were taken, as --num_blocks was not given." in done.out
        assert load("scores_from_removals.json")["removal_order"] == [4, 13, 10, 2]

    def test_the_number_of_blocks_is_an_option_or_that_of_a_study(
        self, program: Program, study: Path
    ) -> None:
        program("scores", "from-removals", 20, "--num_blocks", 24, "--output_file", "a.json")
        assert load("a.json")["num_blocks"] == 24
        done = program("scores", "from-removals", 1, "--study", study, "--json")
        assert json.loads(done.out)["num_blocks"] == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((4, 4), "named twice"),
            ((4, 16), "give --num_blocks: without it, 16 blocks are taken"),
            ((4, 16, "--num_blocks", 8), "name blocks from 0 to 7"),
            (("x",), "'x' is not a block index"),
            ((), "no block is named"),
            ((4, "--output_file", "layer_importance_scores.json"), "measured results"),
            ((1, "--num_blocks", 8, "--study", "s"), "not both"),
            ((4, "--num_blocks", 0), "a model of 0 blocks has nothing to remove"),
        ],
    )
    def test_bad_input_ends_with_2(
        self, program: Program, arguments: tuple[object, ...], message: str
    ) -> None:
        done = program("scores", "from-removals", *arguments)
        assert done.code == 2
        assert message in words(done.err)
        assert "Traceback" not in done.err
