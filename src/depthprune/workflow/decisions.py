"""From what was measured to what it shows, which blocks to remove, and the documents of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import RenderableType

from depthprune.analysis.combinations import Combination
from depthprune.analysis.dataset_agreement import Consistency, Pair
from depthprune.analysis.findings import Analysis, AnalysisFindings
from depthprune.analysis.options import Ranking as Ranking
from depthprune.analysis.options import Targets
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.recommended_strategies import StrategyName
from depthprune.analysis.responses import BlockDrop
from depthprune.analysis.result_set import SplitAgreement
from depthprune.analysis.synergy import Synergy
from depthprune.analysis.verified import ChoiceRule, VerifiedRemoval, choose, choose_number
from depthprune.base.errors import AnalysisError, MissingDependencyError, option
from depthprune.base.files import make_folder, together
from depthprune.base.language import Lang, counted, filled, language, t
from depthprune.base.removal import Removal
from depthprune.report.documents import WrittenPictures, write_documents, write_pictures
from depthprune.report.documents.texts import select_command
from depthprune.report.documents.values import SCORES, recommendations_value
from depthprune.report.render.text import section_parts
from depthprune.report.sections.answers import damages_value, recommended_warning
from depthprune.report.sections.inputs import problem_lines, scope_line
from depthprune.report.sections.recommendations import notes, short
from depthprune.workflow.studies import Study, Table, as_study, field_names

if TYPE_CHECKING:
    from depthprune.analysis.result_set import ResultSet
    from depthprune.report.table import Section

FOLDER = "analysis"
"""Where the documents go, inside what is analysed."""


EXTRA = "report"
"""The extra that brings what figures and page need."""


@dataclass(frozen=True)
class WrittenAnalysis:
    """What was written, and what is said about it.

    Attributes:
        answer: the short answer, tables and sentences.
        places: where the files lie, and what could not be written.
        value: both for scripts.
    """

    answer: list[RenderableType]
    places: list[RenderableType]
    value: dict[str, Any]


def write_analysis(
    analysis: Analysis,
    folder: Path,
    *,
    formats: Sequence[Literal["png", "svg", "pdf"]],
    skip: Collection[Literal["figures", "html", "latex"]],
) -> WrittenAnalysis:
    """Write documents, figures, page and tables of an analysis, as far as packages are there.

    Raises:
        FileError: the folder cannot be written.
    """
    with together():
        files = write_documents(analysis, folder)
        pictures = write_pictures(analysis, folder, formats=formats, skip=skip)
    files += [*pictures.files, *pictures.figures]
    value = recommendations_value(analysis)
    if damaged := damages_value(analysis):
        value |= {"damaged_answers": damaged}
    value |= {"output": str(folder), "files": list(map(str, files))}
    value |= {"not_written": {kind: f"needs {name}" for kind, name in pictures.missing.items()}}
    answer = [*answer_parts(analysis, short(analysis.recommendations)), ""]
    return WrittenAnalysis(answer, _places(analysis, folder, files, pictures), value)


def answer_parts(analysis: Analysis, sections: Iterable[Section]) -> list[RenderableType]:
    """Return sections of an analysis under what holds for all: its scope, problems, warnings."""
    parts: list[RenderableType] = [
        scope_line(analysis),
        *problem_lines(analysis.results),
        *notes(analysis.recommendations),
        *recommended_warning(analysis),
    ]
    for one in sections:
        parts += section_parts(one, is_part=True)
    return parts


def _places(
    analysis: Analysis, folder: Path, files: list[Path], pictures: WrittenPictures
) -> list[RenderableType]:
    lines: list[RenderableType] = [t("Files: {folder} ({n})", folder=folder, n=len(files))]
    lines += [f"  {path.name}" for path in files if path not in pictures.figures]
    if pictures.figures:
        kinds = sorted({path.suffix.removeprefix(".") for path in pictures.figures})
        figures = t("{n} {n:figure|figures} ({kinds})")
        lines.append("  " + filled(figures, n=len(pictures.figures), kinds=", ".join(kinds)))
    for kind, package in pictures.missing.items():
        note = t("Not written: {kind}. It needs {package}: pip install 'depthprune[{extra}]'")
        lines.append(filled(note, kind=kind, package=package, extra=EXTRA))
    following = []
    if choose(analysis.recommendations):
        chosen = quote(str(folder / "pruning_recommendations.json"))
        words = option("recommendation", chosen), option("output", "SMALLER")
        following.append(f"depthprune cut MODEL {' '.join(words)}")
    if analysis.recommendations.stepwise.steps:
        following.append(select_command(analysis, str(folder / SCORES)))
    if following:
        lines += ["", t("Next:"), *(f"  {command}" for command in following)]
    return lines


Format = Literal["txt", "json", "html", "png", "svg", "pdf", "tex"]


@dataclass(frozen=True, repr=False)
class Recommendation:
    """A removal, the rule that chose it, and its evidence. Drops are fractions.

    Attributes:
        rule: a strategy (conservative, balanced, aggressive), the target that it meets (max_drop,
            speedup, params), or `asked` for the best of a number of blocks.
        combination: the removal over all datasets that it was measured on.
        fresh: the same on fresh samples: `.drop`, `.interval`, `.confirmed`, `.gain` over one-shot;
            None where it was not verified.
    """

    rule: ChoiceRule | StrategyName
    combination: Combination
    fresh: VerifiedRemoval | None = None

    def __repr__(self) -> str:
        drop, on = self.drop, counted(len(self.datasets), "dataset")
        if self.fresh is not None:
            drop, on = self.fresh.drop, counted(self.fresh.num_samples, "fresh sample")
        return f"Recommendation({self.rule}: {self.removal}, drop {drop:.4f} on {on})"

    @property
    def removal(self) -> Removal:
        """The blocks that go."""
        return self.combination.removal

    @property
    def drop(self) -> float:
        """Its mean drop over the datasets."""
        return self.combination.mean

    @property
    def std(self) -> float:
        """Population standard deviation of its drops over the datasets."""
        return self.combination.std

    @property
    def low(self) -> float | None:
        """Lower end of the 95% interval of the mean drop; None where there is no interval."""
        return None if self.combination.interval is None else self.combination.interval.low

    @property
    def high(self) -> float | None:
        """Upper end of the 95% interval of the mean drop; None where there is no interval."""
        return None if self.combination.interval is None else self.combination.interval.high

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets that it was measured on."""
        return tuple(self.combination.drops)

    @property
    def n(self) -> int | None:
        """Samples behind the drop, over all its datasets; None where a file does not tell."""
        return self.combination.num_samples or None


@dataclass(frozen=True)
class Recommendations:
    """Which blocks to remove, by every rule.

    Attributes:
        found: the rankings, the stepwise path, targets and blocks that must stay, as they were
            computed.
    """

    found: Recommended

    @property
    def strategies(self) -> dict[str, list[Recommendation]]:
        """One or two removals each by the name of the strategy; none where nothing is certain."""
        return {
            one.name: [self._of(one.name, each) for each in one.combinations]
            for one in self.found.strategies
        }

    @property
    def recommended(self) -> Recommendation | None:
        """The removal that every report names; None where nothing is recommended, see `why`.

        What meets a target that was asked for, else the last conservative removal.
        """
        choice = choose(self.found)
        return None if choice is None else self._of(choice.rule, choice.combination)

    @property
    def why(self) -> str | None:
        """Why nothing is recommended, in a sentence; None where something is."""
        if self.recommended is not None:
            return None
        from depthprune.report.sections.choice import nothing_text

        with language("en"):
            return nothing_text(self.found).removeprefix("nothing: ")

    def of_number(self, removed: int) -> Recommendation | None:
        """Return the best removal of so many blocks; None where none is ranked."""
        choice = choose_number(self.found, removed)
        return None if choice is None else self._of(choice.rule, choice.combination)

    def _of(self, rule: ChoiceRule | StrategyName, one: Combination) -> Recommendation:
        return Recommendation(rule, one, self.found.on_fresh_samples(one.removal))

    @property
    def must_stay(self) -> tuple[int, ...]:
        """The blocks without which the model loses half of its accuracy, ascending."""
        return tuple(sorted(self.found.essential_blocks))

    def table(self) -> Table:
        """Return every ranked combination, best first within each number of removed blocks.

        The columns: `removed`, `removal`, `drop`, `std`, `low`, `high`, `datasets` (how many), `n`.
        """
        rows = [
            (number, one.removal, one.drop, one.std, one.low, one.high, len(one.datasets), one.n)
            for number, ranking in sorted(self.found.independent.items())
            for one in (Recommendation("asked", each) for each in ranking.combinations)
        ]
        columns = ("removed", "removal", "drop", "std", "low", "high", "datasets", "n")
        return Table(columns, tuple(rows))


@dataclass(frozen=True, kw_only=True)
class Findings(AnalysisFindings):
    """Everything that results show; each finding is an attribute. Drops are fractions.

    Attributes:
        analysis: the whole: results, the matrix of drops, findings and recommendations.
    """

    analysis: Analysis

    @property
    def recommendations(self) -> Recommendations:
        """Which blocks to remove."""
        return Recommendations(self.analysis.recommendations)

    @property
    def results(self) -> ResultSet:
        """What was measured; `.problems` says what was left out and why."""
        return self.analysis.results

    def tables(self) -> dict[str, Table]:
        """Return the findings that are lists, as tables by name.

        `combinations` (see `Recommendations.table`), `blocks`, `synergies`, `consistency`, `pairs`
        of datasets, and `agreements` of train and validation.
        """
        agreements = ("dataset", "rho", "p_value")
        assert set(agreements) <= set(field_names(SplitAgreement))
        return {
            "combinations": self.recommendations.table(),
            "blocks": Table.of(self.blocks, field_names(BlockDrop)),
            "synergies": Table.of(self.synergies, field_names(Synergy)),
            "consistency": Table.of(self.consistency, field_names(Consistency)),
            "pairs": Table.of(self.pairs, field_names(Pair)),
            "agreements": Table.of(self.agreements, agreements),
        }


def analyze(
    study: Study | str | Path,
    ranking: Ranking = Ranking(),
    *,
    max_drop: float | None = None,
    speedup: float | None = None,
    params: float | None = None,
) -> Findings:
    """Return what results show and which blocks they let go; nothing is written.

    Args:
        study: a study, or its folder, or a folder of documented result files.
        ranking: what is ranked.
        max_drop: asks for the most blocks that cost no more than this fraction, e.g. 0.05.
        speedup: asks for the fewest blocks that make it so many times as fast (estimated): 1.2.
        params: asks for the fewest blocks that leave at most this share of the parameters: 0.85.

    Raises:
        AnalysisError: nothing was measured, or an option makes no sense.
        DepthpruneError: the study or the files cannot be read.
    """
    from depthprune.analysis.findings import analyze_results

    found = analyze_results(
        as_study(study).results(ranking.split),
        ranking,
        Targets(max_drop=max_drop, speedup=speedup, params=params),
    )
    return as_findings(found)


def as_findings(analysis: Analysis) -> Findings:
    """Return an analysis as its findings, which know it."""
    return Findings(**vars(analysis.findings), analysis=analysis)


def recommend(
    study: Study | str | Path,
    ranking: Ranking = Ranking(),
    *,
    max_drop: float | None = None,
    speedup: float | None = None,
    params: float | None = None,
) -> Recommendations:
    """Return which blocks to remove, by every rule, with the evidence behind each.

    Args:
        study, ranking, max_drop, speedup, params: see `analyze`.

    Raises:
        DepthpruneError: see `analyze`.
    """
    from depthprune.analysis.recommend import recommend as ranked

    return Recommendations(
        ranked(
            as_study(study).results(ranking.split),
            ranking,
            Targets(max_drop=max_drop, speedup=speedup, params=params),
        )
    )


def write_report(
    findings: Findings,
    folder: str | Path,
    *,
    formats: Collection[Format] = ("txt", "json", "html", "png"),
    lang: Lang = "en",
) -> list[Path]:
    """Write the reports of an analysis, each file whole or absent; return their paths.

    Args:
        findings: from `analyze`.
        folder: is made; files of these names are replaced.
        formats: txt (reports and quick_summary.md), json (files for other programs), html (one
            interactive page), tex (tables for LaTeX); png, svg, pdf (the figures).
        lang: of texts and page: en or zh (Chinese).

    Raises:
        AnalysisError: there is no such format or language.
        FileError: the folder cannot be written.
        MissingDependencyError: a format needs a package that is not installed; all else is written.
    """
    from depthprune.report.documents import Kind, write_documents, write_pictures

    for name, given, known in (("formats", formats, Format), ("lang", [lang], Lang)):
        for one in given:
            if one not in get_args(known):
                raise AnalysisError(
                    f"there is no {name.removesuffix('s')} {one!r}",
                    option=name,
                    mend=f"choose from {', '.join(get_args(known))}",
                )
    place = make_folder(Path(folder))
    figures = [one for one in formats if one in ("png", "svg", "pdf")]
    wanted = {"html": "html" in formats, "latex": "tex" in formats, "figures": bool(figures)}
    kinds: list[Kind] = ["figures", "html", "latex"]
    skip = [kind for kind in kinds if not wanted[kind]]
    with language(lang), together():
        files = write_documents(
            findings.analysis, place, texts="txt" in formats, values="json" in formats
        )
        pictures = write_pictures(findings.analysis, place, formats=figures, skip=skip)
    for kind, package in pictures.missing.items():
        raise MissingDependencyError(
            f"{kind}: this needs the package {package}, which is not installed",
            option="formats",
            mend="pip install 'depthprune[report]', or ask for other formats",
        )
    return [*files, *pictures.files, *pictures.figures]
