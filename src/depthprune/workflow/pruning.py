"""The narrower checkpoint: attention groups and MLP channels go, every block stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

from depthprune.base.errors import DepthpruneError, ModelError, StudyError, option
from depthprune.base.files import check_can_make
from depthprune.base.language import counted
from depthprune.base.progress import progress as show_progress
from depthprune.base.progress import shown
from depthprune.cutting import CutOptions
from depthprune.cutting.execute import check_disk, check_output, execute_cut
from depthprune.engine.options import ModelOptions
from depthprune.importance.score_files import least_important_first
from depthprune.strategies.model import model_source, open_model, prompted_tasks
from depthprune.strategies.pipeline import load_splits
from depthprune.structure.analyses import read_model
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit
from depthprune.widths import PruneOptions, Widths
from depthprune.widths.layout import find_layout
from depthprune.workflow.cutting import CutReport
from depthprune.workflow.cutting import carry_out as cut_blocks
from depthprune.workflow.scores import merge

if TYPE_CHECKING:
    from depthprune.importance.proxies.calibration import Calibration
    from depthprune.widths.choose import Scores
    from depthprune.widths.layout import UnitMap

Found = TypeVar("Found")


def prune(
    source: str | Path,
    folder: str | Path | None = None,
    *,
    method: str = PruneOptions.method,
    ratio: float = PruneOptions.ratio,
    calibration: Sequence[TaskSplit] = (),
    widths: Widths = PruneOptions.widths,
    keep_kv_heads: int | None = None,
    multiple_of: int = PruneOptions.multiple_of,
    keep_at_least: float = PruneOptions.keep_at_least,
    protect_layers: Sequence[int] = (),
    study: str | Path | None = None,
    temperature: float = PruneOptions.temperature,
    dry_run: bool = False,
    overwrite: bool = False,
    max_shard_size: str = PruneOptions.max_shard_size,
    verify: bool = False,
    run: ModelOptions = ModelOptions(),
    download: bool = False,
    progress: bool = True,
) -> CutReport:
    """Write the checkpoint with narrower blocks: attention groups and MLP channels go.

    Args:
        source: a checkpoint folder, a hub name that is in the local cache, or `demo`.
        folder: is written; not needed in a dry run.
        method: how units are scored: magnitude, wanda, taylor, hgsp, llm-pruner; or shortgpt.
        ratio: share of the model's parameters that goes, at most.
        calibration: samples that all methods but magnitude read, from `load_tasks`.
        widths: uniform (all blocks alike, loaded as the source is) or global (the lowest scores of
            the whole model; needs trust_remote_code to load).
        keep_kv_heads: key-value heads that each block keeps (uniform) or keeps at least (global).
        multiple_of: MLP channels that stay are rounded down to a multiple of it.
        keep_at_least: share of its units that every block keeps (global).
        protect_layers: blocks that are not pruned (global).
        study: of this model, with the drops of single blocks that hgsp weighs units by.
        temperature: power of that weight; 0 is taylor.
        dry_run: return what would be written, and write nothing.
        overwrite: replace a checkpoint that is there, once the new one is complete.
        max_shard_size: weights in one file at most: 5GB, 500MB, 2GiB.
        verify: load both models and compare masking with pruning; needs memory for the whole one.
        run: how the model is run while samples are read.
        download: allow fetching the model from the hub.
        progress: show a bar.

    Raises:
        ModelError: there is no such checkpoint, it is damaged or quantised, or its architecture is
            not known to be pruned.
        DepthpruneError: an option does not fit the model, or a block would lose all of its units.
        FileError: the folder holds something else, or there is no room. Nothing is left behind.
    """
    how = PruneOptions(
        method=method,
        ratio=ratio,
        widths=widths,
        keep_kv_heads=keep_kv_heads,
        multiple_of=multiple_of,
        keep_at_least=keep_at_least,
        protect_layers=tuple(map(str, protect_layers)),
        study=None if study is None else Path(study),
        temperature=temperature,
        dry_run=dry_run,
        overwrite=overwrite,
        max_shard_size=max_shard_size,
        verify=verify,
    )
    output = None if folder is None else Path(folder)
    with shown(progress):
        return carry_out(source, output, how, run, calibration, download=download)


def carry_out(
    source: str | Path,
    output: Path | None,
    how: PruneOptions,
    run: ModelOptions,
    samples: Sequence[TaskSplit] | DataOptions,
    *,
    download: bool = False,
    command: str | None = None,
) -> CutReport:
    """Do what `prune` does, as options say; see there for what it raises.

    Args:
        source: the model, as a user names it.
        output: the folder; not needed in a dry run.
        how: what goes.
        run: how the model is run while samples are read.
        samples: that are read, or the options that name them.
        download: whether the hub may be asked for the model.
        command: the command line, for the model card.
    """
    from depthprune.widths.choose import choose, mask, weighed
    from depthprune.widths.plan import plan_whole, plan_widths

    if output is None and not how.dry_run:
        raise DepthpruneError(
            "it is not said where to write",
            option="output",
            mend=f"give {option('output', 'DIR')}, or {option('dry_run')}",
        )
    if run.stack != "text":
        raise DepthpruneError(
            "only the blocks of the language model are pruned within", option="stack"
        )
    if how.method == "shortgpt":
        for name in ("widths", "keep_kv_heads", "multiple_of"):
            if getattr(how, name) != getattr(PruneOptions, name):
                raise DepthpruneError("shortgpt removes whole blocks", option=name)
        order = blocks_by_influence(str(source), how, run, samples, download=download)
        return cut_blocks(
            source,
            _paid_by(how.ratio, order, str(source)),
            output,
            CutOptions(
                dry_run=how.dry_run,
                overwrite=how.overwrite,
                max_shard_size=how.max_shard_size,
                verify=how.verify,
                trust_remote_code=run.trust_remote_code,
                revision=run.revision,
                download=download,
            ),
        )
    whole = plan_whole(
        model_place(source),
        name=DEMO if str(source) == DEMO else None,
        max_shard_size=how.max_shard_size,
        revision=run.revision,
        download=download,
    )
    layout = find_layout(whole)
    how.protected(whole.num_blocks)
    if output is not None:
        check_output(whole.source, output, overwrite=how.overwrite)
        check_can_make(output)
    total = read_model(whole.source).anatomy.total
    if total is None:
        raise ModelError("its parameters cannot be counted", where=str(whole.source))
    drops = None if how.study is None else _block_drops(how.study, whole.source)
    scores = _scores(str(source), layout, how, run, samples, download)
    if drops is not None:
        scores = weighed(scores, drops, how.temperature)
    kept = choose(layout, scores, total, how)
    plan, files = plan_widths(whole, layout, kept, total, how)
    if output is not None:
        check_disk(output, plan.disk_needed)
    if how.dry_run or output is None:
        return CutReport(plan)
    skipped = None
    if how.verify:
        from depthprune.cutting.verify import compare_cut, skipped_logits

        skipped = skipped_logits(plan, mask=partial(mask, layout=layout, kept=kept))
    with show_progress(f"writing {output.name}", plan.bytes_after) as bar:
        result = execute_cut(
            plan,
            output,
            overwrite=how.overwrite,
            on_bytes=bar.advance,
            command=command,
            extra_files=files,
        )
    return CutReport(plan, result, None if skipped is None else compare_cut(output, skipped))


def _scores(
    source: str,
    layout: UnitMap,
    how: PruneOptions,
    run: ModelOptions,
    samples: Sequence[TaskSplit] | DataOptions,
    download: bool,
) -> Scores:
    """Return the scores of all units, by the samples where the method reads any."""
    from depthprune.widths import scores as scoring

    if how.method not in scoring.SCORED:
        with show_progress("reading weights", len(layout.blocks)) as bar:
            return scoring.magnitude_scores(layout, bar.advance)
    measure = partial(scoring.SCORED[how.method], layout)
    return scoring.mean_scores(_over_samples(source, how, run, samples, download, measure))


def _over_samples(
    source: str,
    how: PruneOptions,
    run: ModelOptions,
    samples: Sequence[TaskSplit] | DataOptions,
    download: bool,
    measure: Callable[[Calibration], Found],
) -> list[Found]:
    """Return what is measured on each of the splits, the model loaded once."""
    from depthprune.importance.proxies.calibration import Calibration
    from depthprune.widths.scores import check_samples

    options = model_source(source, run, download=download)
    if isinstance(samples, DataOptions):
        tasks = prompted_tasks(options, samples.find_tasks(source))
        splits = load_splits(tasks, samples.splits, samples.samples, samples.seed, samples.holdout)
    else:
        splits = list(samples)
    number = sum(len(split.samples) for split in splits)
    check_samples(number)
    model = open_model(options)
    with show_progress(how.method, number) as bar:
        return [
            measure(
                Calibration(
                    model.loaded,
                    split,
                    batch_size=run.batch_size or "auto",
                    on_batch=bar.advance,
                )
            )
            for split in splits
        ]


def _block_drops(folder: Path, source: Path) -> Mapping[int, float]:
    """Return the drop of every single block, the mean over the data sets of a study.

    Raises:
        StudyError: the study is about another model.
    """
    from depthprune.checkpoint.fingerprint import model_fingerprint
    from depthprune.study import StudyStore

    with StudyStore.open(folder, read_only=True) as study:
        if study.model.fingerprint != model_fingerprint(source):
            raise StudyError(
                f"the study is about another model ({study.model.name})",
                where=str(folder),
                mend="give the study of the model that is pruned",
            )
    return merge(folder).scores


def blocks_by_influence(
    source: str,
    how: PruneOptions,
    run: ModelOptions,
    samples: Sequence[TaskSplit] | DataOptions,
    *,
    download: bool = False,
) -> tuple[int, ...]:
    """Return all blocks, those first that change the hidden states least (ShortGPT)."""
    from depthprune.importance.proxies.activations import activation_scores

    measure = partial(activation_scores, ["block_influence"])
    found = _over_samples(source, how, run, samples, download, measure)
    scores = [one["block_influence"].scores for one in found]
    return least_important_first(
        {block: fmean(one[block] for one in scores) for block in scores[0]}
    )


def _paid_by(ratio: float, order: Sequence[int], source: str) -> tuple[int, ...]:
    """Return the first blocks of an order, as many as a share of the parameters pays.

    Raises:
        DepthpruneError: it pays for none, or for all.
    """
    anatomy = read_model(model_place(source)).anatomy
    sizes = [layer.total for layer in anatomy.layers]
    if anatomy.total is None or len(sizes) != len(order) or None in sizes:
        raise ModelError("its parameters cannot be counted", where=source)
    left = budget = int(ratio * anatomy.total)
    removal: list[int] = []
    for block in order:
        left -= sizes[block] or 0
        if left < 0:
            break
        removal.append(block)
    if not 0 < len(removal) < len(sizes):
        raise DepthpruneError(
            f"{budget:,} parameters are {counted(len(removal), 'block')} of {len(sizes)}",
            option="ratio",
            mend="remove another share",
        )
    return tuple(sorted(removal))
