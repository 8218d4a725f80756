"""Property: what a study holds is what is read from the files written from it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.removal import Removal
from depthprune.study import (
    ModelRecord,
    SplitRecord,
    StudyStore,
    import_results,
    read_results,
    write_result_files,
)

NUM_BLOCKS = 5
texts = st.text(max_size=8)
removals = st.sets(st.integers(0, NUM_BLOCKS - 1), max_size=NUM_BLOCKS - 1).map(
    lambda blocks: tuple(sorted(blocks))
)
scores = st.floats(0, 10, width=32)
Samples = tuple[list[float], list[str]]


@st.composite
def measured(draw: st.DrawFn) -> tuple[tuple[str, ...], dict[Removal, Samples]]:
    """Draw sample ids and the samples of some removals, the baseline among them."""
    ids = draw(st.lists(texts, min_size=1, max_size=5, unique=True))
    samples = st.tuples(
        st.lists(scores, min_size=len(ids), max_size=len(ids)),
        st.lists(texts, min_size=len(ids), max_size=len(ids)),
    )
    results = draw(st.dictionaries(removals, samples, max_size=6))
    return tuple(ids), {(): draw(samples)} | results


@settings(max_examples=20, deadline=None)
@given(measured(), st.sampled_from(["train", "train+validation", "train+test"]))
def test_study_to_files_to_results_to_study_keeps_every_number(
    drawn: tuple[tuple[str, ...], dict[Removal, Samples]], split: str
) -> None:
    ids, results = drawn
    with TemporaryDirectory() as name:
        folder = Path(name)
        model = ModelRecord("m", "f", "A", NUM_BLOCKS, "layers")
        with StudyStore.open(folder / "study", model=model) as study:
            key = study.add_split(SplitRecord("a_task", "VQA", split, "t", ids, "metric"))
            for removal, (values, answers) in results.items():
                study.add(key, "greedy", removal, values, answers, 1.0)
            write_result_files(study, folder / "results", beam_width=3, max_blocks_to_remove=4)
            stored, drops = study.measurements(), study.drops(key, "greedy")

        reading = read_results(folder / "results")
        assert reading.problems == ()
        (dataset,) = reading.datasets
        assert (dataset.dataset, dataset.split) == ("a_task", split)
        assert dataset.drops == drops
        for result, one in zip(dataset.results, stored, strict=True):
            assert (result.accuracy, result.std) == (one.accuracy, one.std)
            assert result.samples is not None
            assert tuple(sample.sample_id for sample in result.samples) == ids
            assert [sample.score for sample in result.samples] == results[one.removal][0]
            assert [sample.answer for sample in result.samples] == results[one.removal][1]

        import_results(folder / "results", folder / "imported")
        with StudyStore.open(folder / "imported") as imported:
            (again,) = imported.splits()
            assert imported.drops(again.key, "imported") == drops
            for one, other in zip(imported.measurements(), stored, strict=True):
                assert one.scores is not None
                assert other.scores is not None
                assert one.scores.tobytes() == other.scores.tobytes()
                assert (one.answers, one.accuracy, one.std) == (
                    other.answers,
                    other.accuracy,
                    other.std,
                )
