"""A study file does what the same options do, in one go, and says what is wrong in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import depthprune as dp
from depthprune.analysis.options import Ranking, Targets
from depthprune.base.errors import DepthpruneError
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.options import METRICS, BenchmarkOptions
from depthprune.cli.run import DEMO_STUDY, EXAMPLE
from depthprune.cli.search_flags import SearchFlags
from depthprune.cutting import CutOptions
from depthprune.engine.options import ModelOptions
from depthprune.importance.sources import DatasetScores, SplitImportance
from depthprune.strategies import STRATEGIES
from depthprune.strategies.pipeline import SearchRequest
from depthprune.study import StudyStore
from depthprune.tasks.options import DataOptions
from depthprune.workflow.run import Outcome
from depthprune.workflow.study_file import (
    EvaluateSection,
    MergeSection,
    ProfileSection,
    SearchSection,
    StudyContent,
    StudyFile,
    read_study_file,
    taken,
)
from tests.cli.program import Program

SMALL = """
model:
  source: demo
tasks: [demo_okvqa, demo_doc_qa]
num_samples: 1
output: study
profile:
merge:
search:
  beam_width: 1
  max_blocks_to_remove: 2
  protect: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
"""


def study_file(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class Asked(Exception):
    """Stops a command at the point where it would measure."""

    def __init__(self, request: SearchRequest) -> None:
        self.request = request


@pytest.fixture
def requested(program: Program, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return a function that says what a command line would measure."""

    def stop(request: SearchRequest) -> None:
        raise Asked(request)

    monkeypatch.setattr("depthprune.cli.measure.search_model", stop)
    monkeypatch.setattr("depthprune.workflow.run.get_ready", lambda requests: stop(requests[0]))

    def ask(*arguments: object) -> SearchRequest:
        from depthprune.cli.app import main

        with pytest.raises(Asked) as asked:
            main([str(argument) for argument in arguments])
        return asked.value.request

    return ask


class TestWhatItMeans:
    @pytest.mark.parametrize(
        ("text", "options"),
        [
            ("search:\n", ""),
            (
                "num_samples: 7\nseed: 3\nsplits: [train, validation]\nsearch: {beam_width: 5}\n",
                "--num-samples 7 --seed 3 --split train validation --beam-width 5",
            ),
            (
                "search: {strategy: evolutionary, offspring: 4, generations: 2, max_drop: 0.05,\n"
                "  warm_start: block_influence, complete: 2, protect: [0, 15]}\n",
                "--strategy evolutionary --offspring 4 --generations 2 --max-drop 0.05 "
                "--warm-start block_influence --complete 2 --protect 0 15",
            ),
            (
                "tasks: [demo_okvqa, demo-doc-qa]\n"
                "search: {joint: true, task_weights: {demo_doc_qa: 0.1, demo-okvqa: 2}}\n",
                "--task demo_okvqa demo-doc-qa --joint --task-weights demo_okvqa=2 demo_doc_qa=0.1",
            ),
            (
                "tasks: okvqa\ndownload: true\nsearch: {strategy: exhaustive, "
                "exhaustive_limit: 9, max_blocks_to_remove: 3}\n",
                "--task okvqa --download --strategy exhaustive --exhaustive-limit 9 "
                "--max-blocks-to-remove 3",
            ),
        ],
    )
    def test_a_search_is_that_of_the_same_options(
        self,
        requested,  # type: ignore[no-untyped-def]
        tmp_path: Path,
        text: str,
        options: str,
    ) -> None:
        path = study_file(tmp_path, "model: {source: demo}\noutput: there\n" + text)
        by_options = requested("search", "demo", "--output", tmp_path / "there", *options.split())
        assert requested("run", path) == by_options

    def test_the_model_is_that_of_the_same_options(self, requested, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        text = (
            "model: {source: org/name, dtype: bfloat16, device: cuda:1, device_map: auto,\n"
            "  batch_size: 4, stack: vision, trust_remote_code: true, revision: v1}\n"
            "tasks: demo\noutput: there\nprofile: {splits: validation}\n"
        )
        by_options = requested(
            *("profile", "org/name", "--output", tmp_path / "there", "--split", "validation"),
            *("--task", "demo", "--dtype", "bfloat16", "--device", "cuda:1", "--device-map"),
            *("auto", "--batch-size", 4, "--stack", "vision", "--trust-remote-code"),
            *("--revision", "v1"),
        )
        assert requested("run", study_file(tmp_path, text)) == by_options

    def test_the_demo_is_the_search_that_its_help_names(self, requested, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        by_options = requested(
            *("search", "demo", "--joint", "--num-samples", 64, "--output", tmp_path)
        )
        assert requested("demo", "--output", tmp_path) == by_options

    def test_the_demo_ranks_its_best_also_where_that_beats_the_whole_model(self) -> None:
        assert read_study_file(DEMO_STUDY).search.min_drop is None
        assert SearchSection().min_drop is None

    def test_the_example_names_the_strategies_that_there_are(self) -> None:
        (line,) = (line for line in EXAMPLE.read_text().splitlines() if "strategy:" in line)
        named = set(line.partition("#")[2].replace(" (default)", "").strip().split(", "))
        assert named == set(STRATEGIES)

    def test_a_field_left_out_is_as_its_option_left_out(self) -> None:
        study = StudyContent(
            model={"source": "demo"}, profile={}, search={}, analyze={}, sweep={}, cut={}
        )
        for section, options in (
            (study, DataOptions()),
            (study.model, ModelOptions()),
            (study.sweep, LatencyOptions()),
            (study.cut, CutOptions()),
            (EvaluateSection(metrics=list(METRICS)), BenchmarkOptions(metrics=METRICS)),
        ):
            assert taken(section, type(options)) == options
        assert (study.ranking, study.targets) == (Ranking(), Targets())
        said = study.search.model_dump(exclude={"protect", "min_coverage", "min_drop"})
        assert SearchFlags(**said | {"task_weights": ()}) == SearchFlags()

    def test_paths_are_relative_to_the_file(self, requested, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        (tmp_path / "model").mkdir()
        (tmp_path / "tasks.yaml").write_text("mine: {task_type: VQA, path: data}\n")
        request = requested(
            "run",
            study_file(
                tmp_path, "model: {source: model}\ntask_files: tasks.yaml\ntasks: mine\nsearch:\n"
            ),
        )
        assert request.model.source == str(tmp_path / "model")
        assert [task.name for task in request.tasks] == ["mine"]
        assert request.folder == tmp_path / "depthprune-model"

    def test_output_and_samples_may_be_given_instead(self, requested, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        path = study_file(tmp_path, SMALL)
        request = requested("run", path, "--output", tmp_path / "b", "--num-samples", 0)
        assert request.folder == tmp_path / "b"
        assert request.num_samples is None


def test_a_run_goes_through_every_stage_and_does_nothing_twice(
    program: Program, tmp_path: Path
) -> None:
    path = study_file(tmp_path, SMALL)
    first = program("run", path)
    assert first.code == 0, first.err
    # Two tasks, two splits, the baseline and 16 blocks, and the baselines of the search; then 5
    # blocks and 4 pairs.
    assert "Measured 70 removals" in first.out
    # Of the search only the baselines were measured before.
    assert re.findall(r"(\S+) were there already", first.out) == ["0", "2"]
    for heading in ("Split: train", "order the blocks alike?", "method over them: average"):
        assert heading in first.out
    folder = tmp_path / "study"
    merged = json.loads((folder / "merged_importance.json").read_text())
    assert merged["datasets"] == ["demo_doc_qa", "demo_okvqa"]
    assert len(merged["merged_scores"]) == 16
    assert len(list((folder / "importance_comparison").rglob("*.json"))) == 2
    summary = (folder / "summary.txt").read_text()
    assert "Split: train\n" in summary
    assert "Split: train+validation" in summary
    assert "Best combinations over the datasets" in summary

    again = program("run", path)
    assert again.code == 0
    assert "removals in" not in again.out
    assert again.out.count("Nothing was measured anew") == 2
    assert (folder / "summary.txt").read_text() == summary

    value = json.loads(program("run", path, "--json").out)
    assert list(value) == ["profile", "compare", "merge", "search"]
    assert (value["profile"]["measured"], value["search"]["measured"]) == (0, 0)
    assert value["merge"] == merged


def test_the_model_is_loaded_once_for_all_stages(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthprune.blocks import models

    loaded = []
    load = models.load_model

    def counted(source: str, **options: object) -> object:
        loaded.append(source)
        return load(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("depthprune.blocks.models.load_model", counted)
    text = SMALL.replace("[demo_okvqa, demo_doc_qa]", "demo_okvqa").replace("merge:\n", "")
    done = program("run", study_file(tmp_path, text))
    assert done.code == 0, done.err
    assert len(loaded) == 1


PROFILE = """
model: {source: demo}
tasks: demo_okvqa
num_samples: 1
output: study
profile: {splits: validation}
"""


def test_only_what_is_asked_for_is_done(program: Program, tmp_path: Path) -> None:
    value = json.loads(program("run", study_file(tmp_path, PROFILE), "--json").out)
    assert list(value) == ["profile"]
    with StudyStore.open(tmp_path / "study", read_only=True) as study:
        assert {one.split for one in study.measurements()} == {"validation"}
        assert {len(one.removal) for one in study.measurements()} == {0, 1}


def test_the_merge_has_what_this_run_measured_not_what_another_did(
    program: Program, tmp_path: Path
) -> None:
    path = study_file(tmp_path, PROFILE + "merge:\n")
    assert program("run", path, "--num-samples", 2).code == 0
    value = json.loads(program("run", path, "--json").out)
    assert value["merge"]["per_dataset"]["demo_okvqa"]["num_samples"] == [1]


def test_weights_of_datasets_are_used(tmp_path: Path) -> None:
    weights = "merge: {method: weighted_avg, dataset_weights: {demo-okvqa: 3, demo_doc_qa: 1}}"
    study = read_study_file(study_file(tmp_path, PROFILE + weights))
    measured = [
        DatasetScores(name, (SplitImportance("validation", {0: drop, 1: 0.0}),), tmp_path)
        for name, drop in (("demo_doc_qa", 0.4), ("demo_okvqa", 0.0))
    ]
    merged = study.merge(measured)
    assert merged.weights == {"demo_doc_qa": 0.25, "demo_okvqa": 0.75}
    assert merged.scores == {0: pytest.approx(0.1), 1: 0.0}


def test_datasets_that_do_not_fit_each_other_are_not_merged(tmp_path: Path) -> None:
    study = read_study_file(study_file(tmp_path, PROFILE + "merge:\n"))
    measured = [
        DatasetScores(name, (SplitImportance("validation", scores),), tmp_path)
        for name, scores in (("a", {0: 0.1, 1: 0.2}), ("b", {0: 0.1}))
    ]
    with pytest.raises(DepthpruneError, match="different blocks"):
        study.merge(measured)


MODEL = "model: {source: demo}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MODEL + "search: {beam_widht: 3}\n", ("'search.beam_widht'", "line 2", "beam_width")),
        (MODEL + "search:\n  beam-width: 3\n", ("'search.beam-width'", "line 3", "beam_width")),
        (MODEL + "serach:\n", ("no field 'serach'", "line 2", "did you mean search")),
        ("model:\n  sorce: demo\nsearch:\n", ("'model.source': Field required", "line 1")),
        ("search:\n", ("'model': Field required", "line 1")),
        (MODEL + "num_samples: many\nsearch:\n", ("'num_samples'", "not 'many'", "line 2")),
        (MODEL + "num_samples: true\nsearch:\n", ("'num_samples'", "integer", "line 2")),
        (MODEL + "num_samples: -1\nsearch:\n", ("'num_samples'", "not -1", "line 2")),
        (MODEL + "tasks: {a: 1}\nsearch:\n", ("'tasks'", "list", "line 2")),
        (MODEL + "tasks:\n  - demo_okvqa\n  - 3\nsearch:\n", ("'tasks.1'", "not 3", "line 4")),
        (MODEL + "tasks: demo_okvqua\nsearch:\n", ("demo_okvqua", "demo_okvqa", "line 2, tasks")),
        (MODEL + "task_files: no.yaml\nsearch:\n", ("no such task file", "no.yaml")),
        (MODEL + "data_dir: nowhere\ntasks: okvqa\nsearch:\n", ("no such data folder", "nowhere")),
        ("model: {source: some/model}\nsearch:\n", ("no task is named", "line 1")),
        (MODEL, ("nothing is to be done", "profile:")),
        (MODEL + "merge:\nsearch:\n", ("`merge` needs `profile`",)),
        (MODEL + "search:\nsweep:\n", ("`sweep` needs `analyze`",)),
        (MODEL + "search:\ncut:\n", ("`cut` needs `analyze`",)),
        (MODEL + "search:\nanalyze:\nevaluate:\n", ("`evaluate` needs `cut`",)),
        (MODEL + "search: {min_drop: -2}\nanalyze:\n", ("'search.min_drop'", "line 2")),
        (MODEL + "search:\nanalyze: {speedup: 1}\n", ("'analyze.speedup'", "not 1", "line 3")),
        (MODEL + "search:\nanalyze: {formats: gif}\n", ("'analyze.formats.0'", "'png'")),
        (MODEL + "search:\nanalyze:\ncut: {removed: some}\n", ("'cut.removed", "line 4")),
        (MODEL + "search:\nanalyze:\ncut: {removed: 0}\n", ("'cut.removed", "line 4")),
        (
            MODEL + "search:\nanalyze:\ncut:\nevaluate: {metrics: pplx}\n",
            ("'evaluate.metrics.0'", "line 5"),
        ),
        (MODEL + "lang: de\nsearch:\n", ("'lang'", "'en' or 'zh'", "line 2")),
        (MODEL + "search: {strategy: beem}\n", ("search.strategy", "'beem'", "did you mean beam")),
        (MODEL + "search:\n  max_drop: .nan\n", ("'search.max_drop'", "line 3")),
        (MODEL + "search:\n  beam_width: 0\n", ("'search.beam_width'", "not 0", "line 3")),
        (MODEL + "search:\n  protect: [1, 1]\n", ("'search.protect'", "twice", "line 3")),
        (
            MODEL + "tasks: demo_okvqa\nnum_samples: 2\nsearch: {protect: [99]}\n",
            ("block 99", "16 blocks", "line 4, search.protect"),
        ),
        (
            MODEL + "tasks: demo_okvqa\nnum_samples: 2\nprofile:\n"
            "search:\n  max_blocks_to_remove: 16\n",
            ("16 blocks cannot be removed", "line 6, search.max_blocks_to_remove"),
        ),
        (
            MODEL + "tasks: demo_okvqa\nnum_samples: 2\nprofile:\n"
            "search: {strategy: exhaustive, exhaustive_limit: 9}\n",
            ("136 removals", "line 5, search.exhaustive_limit"),
        ),
        (MODEL + "search:\n  warm_start: magic\n", ("'magic'", "line 3, search.warm_start")),
        (
            MODEL + "search:\n  task_weights: {demo_okvqa: 2}\n",
            ("joint", "line 3, search.task_weights"),
        ),
        (
            MODEL + "tasks: demo_okvqa\nsearch:\n  joint: true\n  task_weights: {okvqa: 2}\n",
            ("okvqa has a weight", "line 5, search.task_weights"),
        ),
        (
            MODEL + "profile:\nmerge: {method: weighted_avg}\n",
            ("dataset_weights", "line 3"),
        ),
        (
            MODEL + "profile:\nmerge:\n  method: weighted_avg\n  dataset_weights: {a: 1}\n",
            ("a has a weight, but is not among", "line 5, merge.dataset_weights"),
        ),
        (
            MODEL + "profile:\nmerge:\n  method: weighted_avg\n  dataset_weights: {demo_okvqa: 0}\n"
            "tasks: demo_okvqa\n",
            ("all zero", "line 3"),
        ),
        (MODEL + "profile: {splits: [a, b, c]}\n", ("'profile.splits'", "at most 2", "line 2")),
        (MODEL + "seed: 1\nseed: 2\nsearch:\n", ("'seed' is defined twice", "lines 2 and 3")),
        (MODEL + "search: {joint: true, joint: false}\n", ("'joint' is defined twice",)),
        (MODEL + "3: 4\n", ("the key 3 is not a text", "line 2")),
        ("model: [\n", ("not a YAML file", "line 2")),
        ("", ("the study file is empty", "depthprune init")),
        ("# nothing\n", ("the study file is empty",)),
        ("- demo\n", ("maps fields",)),
    ],
)
def test_a_mistake_is_named_with_its_line_before_anything_is_made(
    program: Program, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    done = program("run", study_file(tmp_path, text))
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for word in words:
        assert word in " ".join(done.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]


def test_a_missing_file(program: Program, tmp_path: Path) -> None:
    done = program("run", tmp_path / "nowhere.yaml")
    assert done.code == 2
    assert "cannot read the study file" in done.err


def test_a_wrong_option_is_not_blamed_on_the_file(program: Program, tmp_path: Path) -> None:
    done = program("run", study_file(tmp_path, PROFILE), "--num-samples", -1)
    assert done.code == 2
    assert "where: --num-samples" in done.err


def test_yaml_cannot_run_code(program: Program, tmp_path: Path) -> None:
    path = study_file(tmp_path, f"a: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    assert program("run", path).code == 2
    assert not (tmp_path / "made").exists()


def test_sections_have_the_values_that_commands_have(tmp_path: Path) -> None:
    content = read_study_file(study_file(tmp_path, MODEL + "profile:\nmerge:\n")).content
    assert content.profile == ProfileSection()
    assert content.merge == MergeSection()
    assert content.search is None


@pytest.mark.parametrize(
    ("given", "asked"),
    [((), None), (("--verify",), True), (("--verify", "200"), 200), (("--no-verify",), False)],
)
def test_verification_is_on_unless_the_file_or_the_command_says_no(
    given: tuple[str, ...],
    asked: bool | int | None,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []

    def run_study(study: StudyFile, **options: object) -> Outcome:
        told.append(options["verify"])
        return Outcome(dp.Study(tmp_path), {})

    monkeypatch.setattr("depthprune.cli.run.run_study", run_study)
    (tmp_path / "study.yaml").write_text("model: {source: demo}\nsearch:\n")
    assert program("run", tmp_path / "study.yaml", *given).code == 0
    assert program("demo", "--output", tmp_path, *given).code == 0
    assert told == [asked, asked]
    assert read_study_file(tmp_path / "study.yaml").content.verify is True
