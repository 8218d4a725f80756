"""The stage `verify`: what is recommended is measured again on samples that were not searched."""

from __future__ import annotations

from collections.abc import Sequence

from depthprune.analysis.collect import read_result_set
from depthprune.base.language import t
from depthprune.report.verification import done_lines, verification_value
from depthprune.strategies.pipeline import ReadySearch, SearchOutcome
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile
from depthprune.workflow.verifying import Announce, Verification, searched_splits, verify_study


def verify(
    study: StudyFile,
    num_samples: int | None,
    ready: Sequence[ReadySearch],
    outcomes: Sequence[SearchOutcome],
    transcript: Transcript,
    announce: Announce | None,
) -> None:
    """Verify what is recommended, and while that is not confirmed the next smaller removal.

    Args:
        study: says what is ranked, and how many blocks are cut out.
        num_samples: fresh samples of each dataset; None takes as many as were searched.
        ready: what was measured.
        outcomes: of it.
        transcript: is told how much was measured.
        announce: is told what it will take, before it begins.
    """
    request, content = ready[-1].request, study.content
    with stage("verify"):
        selection = {(key, one.settings) for one in outcomes for key in one.splits}
        names = read_result_set(request.folder, selection=selection).splits
        splits = {one.fingerprint: one for each in ready for one in each.splits}.values()
        used = [one for one in splits if names.get(one.task.name) == one.split]
        cut = None if content.cut is None else content.cut.removed
        report = verify_study(
            request.folder,
            ready[-1].model,
            searched_splits(used, request.seed, request.data.holdout),
            Verification(
                ranking=content.ranking,
                targets=content.targets,
                number=cut if isinstance(cut, int) else None,
                num_samples=num_samples,
                selection=selection,
                announce=announce,
            ),
        )
        parts = [t("Verification on fresh samples"), "", *done_lines(report)]
        transcript.tell([], {"verify": verification_value(report)}, closing=[*parts, ""])
