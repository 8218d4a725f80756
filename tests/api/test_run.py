"""A study file from Python, and a sweep: values come back, the command's files are written."""

from __future__ import annotations

from pathlib import Path

import pytest

import depthprune as dp
from depthprune.base.errors import StudyFileError
from depthprune.benchmark.latency import LatencyOptions

STUDY = """
model: {source: demo}
tasks: [demo_okvqa, demo_doc_qa]
num_samples: 3
output: study
search: {beam_width: 1, max_blocks_to_remove: 2, joint: true, protect: [0, 1, 2, 3, 5, 6, 7, 8]}
analyze: {skip: [figures, html, latex]}
sweep: {latency_samples: 1, warmup: 0, latency_tokens: 2, num_active_blocks: [15]}
cut: {removed: 1, verify: true}
evaluate: {}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study file."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def outcome(place: Path) -> dp.Outcome:
    """Return what the study file leads to."""
    return dp.run(place / "study.yaml")


def test_a_study_file_leads_to_values(outcome: dp.Outcome, place: Path) -> None:
    assert outcome.folder == place / "study"
    assert outcome.study.datasets == ("demo_doc_qa", "demo_okvqa")
    assert outcome.findings is not None
    assert outcome.chosen is not None
    assert (outcome.chosen.rule, len(outcome.chosen.removal)) == ("asked", 1)
    assert outcome.cut is not None
    assert dp.load_model(outcome.cut).num_blocks == 15
    assert outcome.verification is not None
    assert outcome.verification.agrees
    assert outcome.checks is not None
    assert outcome.checks["differing"] == [0, 0]
    assert outcome.checks["cut"] == outcome.checks["skipped"]
    assert outcome.sweep is not None
    assert set(outcome.sweep["active"]) == {15, 16}
    assert not outcome.falls_short
    assert not outcome.failures
    assert {"search", "verify", "analyze", "sweep", "cut", "evaluate", "end"} <= set(outcome.value)


def test_what_is_recommended_is_verified_where_there_are_samples_enough(
    outcome: dp.Outcome, place: Path
) -> None:
    assert outcome.findings is not None
    verified = outcome.findings.recommendations.found.verified
    assert verified is not None
    # Three samples were searched, which is too few to verify on as many.
    assert {(one.dataset, one.num_samples) for one in verified.missing} == {
        ("demo_okvqa", 3),
        ("demo_doc_qa", 3),
    }
    (place / "wrong.yaml").write_text(STUDY + "verify: 20\n")
    with pytest.raises(StudyFileError, match="50"):
        dp.run(place / "wrong.yaml")


def test_the_files_are_those_of_the_command(outcome: dp.Outcome) -> None:
    names = {path.name for path in outcome.folder.iterdir()}
    assert {"study.db", "summary.txt", "results", "analysis", "sweep", "cut"} <= names
    assert "Chosen: remove 1 of 16 blocks" in (outcome.folder / "summary.txt").read_text()


def test_running_again_measures_nothing(
    outcome: dp.Outcome, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = dp.run(str(place / "study.yaml"), lang="zh")
    assert again.value["search"]["measured"] == 0
    assert again.study == outcome.study
    assert "移除" in (again.folder / "summary.txt").read_text(encoding="utf-8")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_what_the_file_does_not_ask_for_is_none(place: Path) -> None:
    (place / "short.yaml").write_text(STUDY.partition("analyze")[0])
    found = dp.run(place / "short.yaml", num_samples=2, output=place / "short")
    assert (found.findings, found.chosen, found.sweep, found.cut) == (None, None, None, None)
    assert set(found.study.drops()["n"]) == {2}


def test_a_wrong_file_names_its_line(place: Path) -> None:
    (place / "wrong.yaml").write_text("model: {source: demo}\nsearch: {beam_widht: 2}\n")
    with pytest.raises(StudyFileError, match="beam_widht") as raised:
        dp.run(place / "wrong.yaml")
    assert "line 2" in str(raised.value)


def test_a_sweep_is_a_table(demo: dp.Model, tmp_path: Path) -> None:
    tasks = dp.load_tasks("demo_okvqa", num_samples=3)
    times = LatencyOptions(latency_samples=1, warmup=0, latency_tokens=2)
    options = {"folder": tmp_path / "study", "times": times}
    table = dp.sweep(demo, tasks, removals=[(), (4,)], **options)  # type: ignore[arg-type]
    assert table["active"] == [16, 15]
    assert table["removal"] == [(), (4,)]
    assert table["drop"][0] == 0
    assert all(one > 0 for one in table["milliseconds"])
    by_scores = dp.sweep(
        demo,
        tasks,
        num_active_blocks=[15],
        scores={block: float(block != 4) for block in range(16)},
        **options,  # type: ignore[arg-type]
    )
    assert by_scores["removal"] == [(4,)]
    assert by_scores["accuracy"] == table["accuracy"][1:]
    with pytest.raises(dp.DepthpruneError, match="17 blocks cannot stay"):
        dp.sweep(demo, tasks, num_active_blocks=[17], scores={0: 1.0}, **options)  # type: ignore[arg-type]
    with pytest.raises(dp.DepthpruneError, match="recommends"):
        dp.sweep(demo, tasks, folder=tmp_path / "nothing", num_active_blocks=[15])
