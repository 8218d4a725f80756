"""Prune a model by several methods to several sizes, and score them on the same samples."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from depthprune.base.documents import read_document
from depthprune.base.errors import DepthpruneError, FileError, option
from depthprune.base.files import check_can_make, write_bytes, write_json
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.benchmark.measure import run_benchmark
from depthprune.benchmark.options import BenchmarkOptions, ScoredTasks, benchmark_plan
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.cutting import CutOptions
from depthprune.engine.options import ModelOptions
from depthprune.strategies.model import model_source, open_model
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.options import DataOptions
from depthprune.widths import PruneOptions, Widths
from depthprune.widths.methods import DEPTH, METHODS_FILE, WHOLE, MethodOptions, MethodResult
from depthprune.workflow.cutting import carry_out as cut_blocks
from depthprune.workflow.pruning import blocks_by_influence, carry_out

FILE = "methods.json"
FIGURE = "methods.png"


@dataclass(frozen=True)
class MethodComparison:
    """What was found.

    Attributes:
        results: of the whole model first, then in the order of the ratios and methods.
        failed: why a model could not be made, by what it is called.
        files: that were written.
    """

    results: tuple[MethodResult, ...]
    failed: dict[str, str]
    files: tuple[Path, ...]


def compare_methods(
    model: str,
    folder: Path,
    how: MethodOptions,
    scored: ScoredTasks,
    run: ModelOptions,
) -> MethodComparison:
    """Return what models of equal size score; what the folder holds already is not made again.

    A pruned model lies in the folder while it is measured, and goes then.

    Args:
        model: a checkpoint folder, or `demo`.
        folder: for `methods.json` and the figure.
        how: methods and sizes.
        scored: the tasks, and the splits that are scored.
        run: how models are run.

    Raises:
        DepthpruneError: no task is named, the methods would read samples that are scored, or the
            folder holds another comparison.
    """
    if how.calibration_split in scored.splits:
        raise DepthpruneError(
            f"the methods would read samples of {how.calibration_split}, which are scored too",
            option="calibration_split",
            mend=f"score another split, e.g. {option('splits', 'validation')}",
        )
    if model == DEMO and not scored.tasks:
        scored = replace(scored, tasks=(DEMO,))
    data = DataOptions(
        **vars(replace(scored, splits=(how.calibration_split,))),
        num_samples=how.calibration_samples,
    )
    data.find_tasks(model)
    check_can_make(folder)
    settings = replace(how, methods=("magnitude",), ratios=(0.5,), widths=("uniform",))
    held = SimpleNamespace(
        model=model_fingerprint(Path(model_place(model)).expanduser()),
        settings=repr((settings, scored, replace(run, batch_size=None))),
        results=(),
    )
    if (folder / FILE).exists():
        found = read_document(folder / FILE, METHODS_FILE.read)
        if (found.model, found.settings) != (held.model, held.settings):
            raise FileError(
                "the folder holds a comparison of another model, or with other settings",
                where=str(folder / FILE),
                mend="choose another folder",
            )
        held = found
    place, failed = folder / "model", {}

    def add(wanted: MethodResult) -> None:
        """Make and measure one model, unless it is known; the file is written then."""
        if any(_asks(one) == _asks(wanted) for one in held.results):
            return
        shutil.rmtree(place, ignore_errors=True)
        try:
            made = _make(wanted, model, place, how, run, data)
            held.results = (*held.results, _measured(wanted, made, how, scored, run))
        except DepthpruneError as error:
            if wanted.method == WHOLE:
                raise
            failed[f"{wanted.name} {wanted.ratio:g}"] = error.what
            logger.warning("%s at %g: %s", wanted.name, wanted.ratio, error.what)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        write_json(folder / FILE, METHODS_FILE.write(held))

    asked = [MethodResult(WHOLE, "", 0.0, 0, {})] + [
        MethodResult(method, widths, ratio, 0, {})
        for ratio in how.ratios
        for method in how.methods
        for widths in (how.widths if method != DEPTH else ("",))
    ]
    with progress("comparing methods", len(asked)) as bar:
        for wanted in asked:
            bar.describe(f"{wanted.name} {wanted.ratio:g}")
            add(wanted)
            bar.advance()
    for ratio in how.ratios if how.speed else ():
        if (wanted_too := _as_fast(held.results, ratio)) is not None:
            add(wanted_too)
    order = {name: place for place, name in enumerate((WHOLE, *how.methods))}
    results = sorted(
        (one for one in held.results if one.method in order),
        key=lambda one: (one.ratio, order[one.method], one.as_fast_as, one.widths != "uniform"),
    )
    return MethodComparison(tuple(results), failed, (folder / FILE, *_drawn(results, folder)))


def _asks(result: MethodResult) -> tuple[object, ...]:
    return result.method, result.widths, result.ratio, result.as_fast_as


def _make(
    wanted: MethodResult,
    model: str,
    place: Path,
    how: MethodOptions,
    run: ModelOptions,
    data: DataOptions,
) -> Path:
    """Return the folder of a model, which is written to `place` unless it is the whole one."""
    if wanted.method == WHOLE:
        return Path(model_place(model)).expanduser()
    if wanted.as_fast_as:
        order = blocks_by_influence(model, PruneOptions(method=DEPTH), run, data)
        removal = tuple(sorted(order[: wanted.removed]))
        cut_blocks(model, removal, place, CutOptions(trust_remote_code=run.trust_remote_code))
        return place
    widths: Widths = "global" if wanted.widths == "global" else "uniform"
    least = how.keep_at_least if widths == "global" else 0.0
    options = PruneOptions(
        method=wanted.method, ratio=wanted.ratio, widths=widths, keep_at_least=least
    )
    carry_out(model, place, options, run, data)
    return place


def _measured(
    wanted: MethodResult, place: Path, how: MethodOptions, scored: ScoredTasks, run: ModelOptions
) -> MethodResult:
    """Return what a model scores, and how fast it is where that was asked for."""
    # A modelling file beside the weights was written with them.
    own = replace(run, trust_remote_code=run.trust_remote_code or wanted.widths == "global")
    metrics = ("speed",) if how.speed else ()
    asked = BenchmarkOptions(metrics=metrics, num_samples=how.num_samples)
    plan = benchmark_plan(asked, own, scored)
    opened = open_model(model_source(str(place), own))
    with TemporaryDirectory() as folder:
        found = run_benchmark(opened.loaded, opened.stack, plan, Path(folder) / "results.json")
    if found.failed:
        raise DepthpruneError("; ".join(f"{name}: {why}" for name, why in found.failed.items()))
    speeds = found.content["speed"] if how.speed else {}
    return replace(
        wanted,
        parameters=found.content["model_info"]["parameters"],
        scores={name: one["accuracy"] for name, one in found.content["scores"].items()},
        blocks=opened.stack.num_blocks,
        tokens_per_second=next((one["tokens_per_second"] for one in speeds.values()), None),
    )


def _as_fast(results: Sequence[MethodResult], ratio: float) -> MethodResult | None:
    """Return the removal of blocks that is to be as fast as the best narrower model of a size.

    The time of a token falls by the same amount with every block; that is taken from the removal of
    blocks of the same size.
    """
    whole = next(one for one in results if one.method == WHOLE)
    at = [one for one in results if one.ratio == ratio and not one.as_fast_as]
    depth = next((one for one in at if one.method == DEPTH), None)
    narrow = max((one for one in at if one.widths), key=lambda one: one.mean, default=None)
    speeds = [one and one.tokens_per_second for one in (whole, depth, narrow)]
    if depth is None or narrow is None or None in speeds:
        return None
    before, shorter, wanted = (1 / speed for speed in speeds if speed)
    removed = whole.blocks - depth.blocks
    each = (before - shorter) / removed
    number = round((before - wanted) / each) if each > 0 else 0
    # Farther away, the line through two measured times says nothing.
    if not 1 <= number <= min(2 * removed, whole.blocks - 1):
        logger.warning(
            "at %g, no removal of blocks can be told to be as fast: %.1f tokens per second whole, "
            "%.1f with %d blocks less, %.1f narrower",
            *(ratio, 1 / before, 1 / shorter, removed, 1 / wanted),
        )
        return None
    return MethodResult(DEPTH, "", ratio, 0, {}, removed=number, as_fast_as=narrow.name)


def _drawn(results: Sequence[MethodResult], folder: Path) -> tuple[Path, ...]:
    """Write the figure, where matplotlib is installed, and return its path."""
    try:
        from depthprune.report.figures import figure_bytes
        from depthprune.report.figures.methods import accuracy_by_size
    except ModuleNotFoundError as error:
        logger.warning("no figure is drawn: %s is not installed", error.name)
        return ()
    write_bytes(folder / FIGURE, figure_bytes(accuracy_by_size(results)))
    return (folder / FIGURE,)
