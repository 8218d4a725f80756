"""Damaged answers stand beside the drops: which removals break what the model writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.verified import Choice
from depthprune.base.language import language
from depthprune.report.documents.texts import quick_summary
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.answers import (
    damage,
    damage_by_dataset,
    damages_value,
    recommended_warning,
    warning,
)
from depthprune.study import StudyStore
from depthprune.tasks.damage import Damage, breaks, pooled
from tests.report.analyses import published
from tests.study.example import MODEL, SETTINGS, SPLIT

N = 40
CAPTION = "a red dog on a mat"
BROKEN = "dog dog dog dog dog"


def measure(folder: Path, *, likelihood: bool = False) -> Analysis:
    """Return the analysis of a study: without block 1 choices stay, captions fall apart."""
    with StudyStore.open(folder, model=MODEL) as study:
        for task, metric, answers in (
            ("captions", "cider_d", {(): [CAPTION] * N, (1,): [BROKEN] * 30 + [CAPTION] * 10}),
            ("options", "choice_letter", {(): ["A"] * N, (1,): ["A"] * N}),
            ("likely", "choice_likelihood", {(): ["A"] * N, (1,): ["B"] * N}),
        ):
            if likelihood and task != "likely":
                continue
            ids = tuple(f"validation/{place}" for place in range(N))
            record = replace(SPLIT, task=task, metric=metric, fingerprint=task, sample_ids=ids)
            key = study.add_split(record)
            for removal in ((), (1,), (2,)):
                texts = answers.get(removal, answers[()])
                cut = [place for place, text in enumerate(texts) if text == BROKEN]
                scores = [0.9 if removal == (1,) else 1.0] * N
                study.add(key, SETTINGS, removal, scores, texts, 1.0, cut=cut)
    return analyze_results(read_result_set(folder))


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return measure(tmp_path_factory.mktemp("study"))


def text(analysis: Analysis) -> str:
    return " ".join(as_text(section_parts(damage(analysis))).split())


def test_shares_are_pooled_over_the_datasets_with_written_answers(analysis: Analysis) -> None:
    assert set(analysis.damage) == {"captions", "options"}
    shown = text(analysis)
    assert "Of the whole model's 80 written answers, 0 %" in shown
    assert "No written answers are known of likely" in shown
    assert "1 10.00 0 38 38 0 38 captions 75" in shown


def test_a_removal_that_keeps_choices_and_breaks_captions_gets_a_warning(
    analysis: Analysis,
) -> None:
    (told,) = warning(analysis, (1,))
    assert told.startswith("Warning: without 1, 75 % of the 40 answers to captions are empty")
    assert warning(analysis, (2,)) == []
    with language("zh"):
        assert warning(analysis, (1,))[0].startswith(
            "警告：移除 1 后，captions 的 40 个答案中有 75 %"
        )


def test_the_recommendation_warns_of_its_own_removal_alone(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthprune.report.sections import answers as module

    assert recommended_warning(analysis) == []
    (best,) = analysis.recommendations.independent[1].combinations[1:2]
    assert best.removal == (1,)
    monkeypatch.setattr(module, "choose", lambda found: Choice(best, "conservative"))
    (told,) = recommended_warning(analysis)
    assert told.startswith("Warning: without 1, 75 %")
    assert told in " ".join(quick_summary(analysis).split())


def test_choices_that_fell_are_not_called_kept(analysis: Analysis) -> None:
    assert "Choices are kept" not in warning(analysis, (1,))[0]
    kept = replace(
        analysis.results,
        datasets=tuple(
            replace(one, measurements={(1,): one.baseline}) for one in analysis.results.datasets
        ),
    )
    assert (
        "Choices are kept (likely, options)." in warning(replace(analysis, results=kept), (1,))[0]
    )


def test_likelihoods_alone_leave_nothing_to_be_damaged(tmp_path: Path) -> None:
    shown = text(measure(tmp_path / "study", likelihood=True))
    assert "No written answers are known: tasks" in shown
    assert "repetitive" not in shown


def test_results_without_answers_say_so() -> None:
    assert "result files need not list them" in text(published())
    assert damages_value(published()) == {}


def test_result_files_that_list_answers_tell_all_but_what_was_cut(
    analysis: Analysis, tmp_path: Path
) -> None:
    from depthprune.study.result_files import write_result_files

    source = analysis.results.source
    assert source is not None
    with StudyStore.open(source, read_only=True) as study:
        write_result_files(study, tmp_path / "files")
    found = analyze_results(read_result_set(tmp_path / "files")).damage["captions"][(1,)]
    assert (found.repetitive, found.cut) == (0.75, None)


def test_programs_read_the_same_shares(analysis: Analysis) -> None:
    value = json.loads(json.dumps(damages_value(analysis)))
    assert value["baseline"]["captions"]["any"] == 0
    assert damage_by_dataset(analysis, (1,))["captions"]["repetitive"] == 0.75
    assert "likely" not in value["baseline"]


def test_a_few_answers_are_an_accident() -> None:
    def found(share: float, n: int) -> Damage:
        return Damage(n, 0.0, share, 0.0, 0.0, share)

    assert not breaks(found(0.0, 8), found(0.25, 8))
    assert breaks(found(0.0, 8), found(0.375, 8))
    assert not breaks(found(0.5, 100), found(0.59, 100))
    assert breaks(found(0.5, 100), found(0.61, 100))


def test_pooling_weighs_by_answers() -> None:
    small, large = Damage(10, 1.0, 0.0, None, 0.0, 1.0), Damage(30, 0.0, 0.0, 0.0, 0.2, 0.2)
    assert pooled([small, large]) == Damage(40, 0.25, 0.0, None, pytest.approx(0.15), 0.4)
