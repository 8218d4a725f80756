"""The smaller checkpoint."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import DepthpruneError, RemovalError, option
from depthprune.base.files import check_can_make
from depthprune.base.language import counted
from depthprune.base.progress import progress as show_progress
from depthprune.base.progress import shown
from depthprune.base.removal import format_removal
from depthprune.cutting import CutOptions, Tool
from depthprune.cutting.model_card import FILE_NAMES, also_for, check_also
from depthprune.healing import LinearMap
from depthprune.tasks.demo import DEMO, model_place

if TYPE_CHECKING:
    from depthprune.base.removal import Removal
    from depthprune.cutting.execute import CutResult
    from depthprune.cutting.model_card import MeasuredDrop
    from depthprune.cutting.plan import CutPlan
    from depthprune.cutting.verify import LogitComparison
    from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class CutReport:
    """What a cut writes, or has written.

    Attributes:
        plan: what stays, what goes and what changes: `.num_blocks`, `.kept`, `.bytes_before`,
            `.bytes_after`, `.loader` (how transformers loads it), and more.
        result: folder, bytes and fingerprint of what was written; None in a dry run.
        verification: how its logits compare with skipping; None where that was not asked for.
        drops: that a study measured of this removal; they are in the model card.
        also: texts for other tools, by file name.
    """

    plan: CutPlan
    result: CutResult | None = None
    verification: LogitComparison | None = None
    drops: tuple[MeasuredDrop, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def removal(self) -> Removal:
        """The blocks that go."""
        return self.plan.removal

    @property
    def folder(self) -> Path | None:
        """The folder of the smaller model; None in a dry run."""
        return None if self.result is None else self.result.output


def cut(
    source: str | Path,
    removal: Iterable[int],
    folder: str | Path | None = None,
    *,
    also: Sequence[Tool] = (),
    verify: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    study: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    heal: LinearMap | None = None,
    calibration: Sequence[TaskSplit] | None = None,
    max_shard_size: str = CutOptions.max_shard_size,
    stack: str = "text",
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
    progress: bool = True,
) -> CutReport:
    """Write the checkpoint without these blocks; it loads wherever the whole one does.

    Bytes are copied, nothing is computed; the folder is whole or absent, also after a kill.

    Args:
        source: a checkpoint folder, a hub name that is in the local cache, or `demo`.
        removal: block indices, counted from 0 in the whole model; at least one.
        folder: is written; not needed in a dry run.
        also: write the same removal for other tools: mergekit, llama.cpp.
        verify: load both models and compare skipping with cutting; needs memory for the whole one.
        dry_run: return what would be written, and write nothing.
        overwrite: replace a checkpoint that is there, once the new one is whole.
        study: folder of a study of this model: the measured drops go into the model card.
        settings: fields of the new config.json by name (`text_config.moe_topk`), where what a field
            says of the blocks is not known.
        heal: put a linear map in place of every run of removed blocks, see docs/healing.md; None
            copies bytes only.
        calibration: the samples that it is fitted to, from `load_tasks`; without, those that `heal`
            names.
        max_shard_size: weights in one file at most: 5GB, 500MB, 2GiB.
        stack: the blocks are those of: text, vision, encoder, decoder.
        trust_remote_code: run code that comes with the checkpoint.
        revision: branch, tag or commit of a hub model.
        download: allow fetching the model from the hub.
        progress: show a bar while bytes are copied.

    Raises:
        RemovalError: no block, all blocks, or one that does not exist.
        InadmissibleRemovalError: the architecture cannot express the removal.
        ModelError: there is no such checkpoint, or it is damaged.
        FileError: the folder holds something else, or there is no room. Nothing is left behind.
        StudyError: the study is about another model.
    """
    how = CutOptions(
        dry_run=dry_run,
        overwrite=overwrite,
        max_shard_size=max_shard_size,
        stack=stack,
        study=None if study is None else Path(study),
        also=tuple(also),
        verify=verify,
        trust_remote_code=trust_remote_code,
        revision=revision,
        download=download,
    )
    with shown(progress):
        return carry_out(
            source,
            removal,
            None if folder is None else Path(folder),
            how,
            settings,
            heal=LinearMap() if heal is None else replace(heal, heal="linear"),
            calibration=calibration,
        )


def carry_out(
    source: str | Path,
    removal: Iterable[int],
    output: Path | None,
    how: CutOptions,
    settings: Mapping[str, Any] | None = None,
    *,
    num_blocks: int | None = None,
    heal: LinearMap = LinearMap(),
    calibration: Sequence[TaskSplit] | None = None,
) -> CutReport:
    """Do what `cut` does, as options say; see there for what it raises.

    Args:
        source: the model, as a user names it.
        removal: the blocks that go.
        output: the folder; not needed in a dry run.
        how: the options; not its `settings`, which are texts.
        settings: fields of the new config.json by name.
        num_blocks: of the model that the blocks were chosen from, where it is known.
        heal: whether and how a part of the loss is won back.
        calibration: the samples for that, where they are loaded already.
    """
    from depthprune.cutting.execute import check_disk, check_output
    from depthprune.cutting.plan import plan_cut

    if output is None and not how.dry_run:
        raise DepthpruneError(
            "it is not said where to write",
            option="output",
            mend=f"give {option('output', 'DIR')}, or {option('dry_run')}",
        )
    place = model_place(source)
    plan = plan_cut(
        place,
        removal,
        name=DEMO if str(source) == DEMO else None,
        part=how.stack,
        max_shard_size=how.max_shard_size,
        trust_remote_code=how.trust_remote_code,
        revision=how.revision,
        download=how.download,
        settings=dict(settings or {}),
    )
    if num_blocks not in (None, plan.num_blocks):
        raise RemovalError(
            f"the blocks were chosen out of {num_blocks}, but the model has {plan.num_blocks}",
            where=plan.config_path,
            mend="use the scores or the recommendation of this model",
        )
    check_also(how.also, plan)
    drops = () if how.study is None else measured_drops(how.study, plan)
    texts = {
        FILE_NAMES[tool]: also_for(
            tool, absolute(place), plan.num_blocks, plan.removal, dtype(plan)
        )
        for tool in how.also
    }
    if output is not None:
        check_output(plan.source, output, overwrite=how.overwrite)
        check_can_make(output)
        check_disk(output, plan.disk_needed)
    if how.dry_run or output is None:
        return CutReport(plan, drops=drops, also=texts)
    from depthprune.cutting.execute import execute_cut

    if heal.heal is not None:
        from depthprune.workflow.healing import healed_plan

        if how.verify:
            raise DepthpruneError(
                "a healed model does not compute what skipping does: there is nothing to compare",
                option=("heal", "verify"),
                mend="score it on tasks instead: depthprune evaluate --task",
            )
        plan = healed_plan(plan, str(source), how, heal, calibration)
    if how.verify:
        from depthprune.cutting.verify import compare_cut, skipped_logits

        skipped = skipped_logits(plan, trust_remote_code=how.trust_remote_code)
    with show_progress(f"writing {output.name}", plan.bytes_after) as bar:
        result = execute_cut(
            plan,
            output,
            overwrite=how.overwrite,
            on_bytes=bar.advance,
            drops=drops,
            command=cut_command(str(source), plan, output, how.max_shard_size, how.revision, heal),
            extra_files=texts,
        )
    verified = compare_cut(output, skipped) if how.verify else None
    return CutReport(plan, result, verified, drops, texts)


def absolute(source: str) -> str:
    """Return how other tools find the model: a hub name, or the whole path of a folder."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.is_dir() else source


def dtype(plan: CutPlan) -> str | None:
    """Return the number type of the weights, as config.json names it."""
    named = plan.config.get("dtype") or plan.config.get("torch_dtype")
    return named if isinstance(named, str) else None


def measured_drops(folder: Path, plan: CutPlan) -> tuple[MeasuredDrop, ...]:
    """Return what a study, which is only read, has measured of exactly this removal.

    What was measured on fresh samples stands first, its mean before all.

    Raises:
        StudyError: it cannot be read, or is about another model.
    """
    from depthprune.base.errors import StudyError
    from depthprune.checkpoint.fingerprint import model_fingerprint
    from depthprune.cutting.model_card import MeasuredDrop
    from depthprune.study import StudyStore

    with StudyStore.open(folder, read_only=True) as study:
        if study.model.fingerprint != model_fingerprint(plan.source):
            raise StudyError(
                f"the study is about another model ({study.model.name})",
                where=str(folder),
                mend="give the study of the model that is cut, or none",
            )
        drops = []
        for stored in study.splits():
            for settings in stored.settings:
                baseline = study.measurement(stored.key, settings, ())
                one = study.measurement(stored.key, settings, plan.removal)
                if baseline is not None and one is not None:
                    record = stored.record
                    drops.append(
                        MeasuredDrop(
                            record.task,
                            record.split,
                            baseline.accuracy,
                            one.accuracy,
                            one.num_samples,
                        )
                    )
        is_verified = bool(study.splits(role="verification"))
    return (*(_fresh_drops(folder, plan.removal) if is_verified else ()), *drops)


def _fresh_drops(folder: Path, removal: Removal) -> Iterator[MeasuredDrop]:
    """Yield what a removal costs on fresh samples: the mean, then each dataset."""
    from depthprune.analysis.collect import read_result_set
    from depthprune.analysis.intervals import paired_intervals
    from depthprune.base.errors import AnalysisError
    from depthprune.cutting.model_card import MeasuredDrop

    try:
        results = read_result_set(folder)
    except AnalysisError:  # a cut needs no ranking
        return
    if results.fresh is None:
        return
    used = [one for one in results.fresh.datasets if removal in one.measurements]
    groups = [used, *([one] for one in used)] if used else []
    for place, group in enumerate(groups):
        (interval,) = paired_intervals(group, [((), removal)])
        name = f"mean over {len(used)} of {counted(len(results.datasets), 'dataset')}"
        yield MeasuredDrop(
            group[0].dataset if place else name,
            results.fresh.splits[group[0].dataset] if place else "",
            fmean(one.baseline.accuracy for one in group),
            fmean(one.measurements[removal].accuracy for one in group),
            sum(one.measurements[removal].num_samples for one in group),
            None if interval is None else (interval.low, interval.high),
            is_fresh=True,
        )


def cut_command(
    model: str,
    plan: CutPlan,
    output: Path,
    max_shard_size: str,
    revision: str | None = None,
    heal: LinearMap = LinearMap(),
) -> str:
    """Return the command line that makes the cut again."""
    words = [model, "--remove", format_removal(plan.removal, ",")]
    words += ["--stack", plan.part] if plan.part != "text" else []
    words += (
        ["--max_shard_size", max_shard_size] if max_shard_size != CutOptions.max_shard_size else []
    )
    for name, value in plan.settings.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    words += ["--revision", revision] if revision is not None else []
    for one in fields(heal):
        value = getattr(heal, one.name)
        if value != one.default and value is not None:
            values = value if isinstance(value, tuple) else (value,)
            name = {"tasks": "task", "task_files": "task_file"}.get(one.name, one.name)
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return f"depthprune cut {shlex.join([*words, '--output', output.name])}"
