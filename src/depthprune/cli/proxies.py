"""`depthprune proxies`: cheap guesses at the importance of blocks, beside what was measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.files import check_can_make
from depthprune.base.language import set_language, t
from depthprune.base.progress import progress
from depthprune.cli.flags import AsJson, Language, Model, Output, with_flags, words_of
from depthprune.cli.output import show_json, show_sections
from depthprune.engine.options import ModelOptions
from depthprune.importance.compare import (
    FIRST_BLOCKS,
    MeasuredDrops,
    agreement_with_drops,
    best_runs,
    measured_drops,
)
from depthprune.importance.proxies import (
    PROXIES,
    PROXIES_FOLDER,
    ProxyScores,
    check_names,
    kept_proxy,
    measure_proxies,
    num_passes,
    write_proxy,
)
from depthprune.report.sections.importance import SplitProxies, proxies_sections, proxies_value
from depthprune.strategies.model import (
    ModelSource,
    OpenModel,
    model_source,
    open_model,
    prompted_tasks,
)
from depthprune.strategies.pipeline import load_splits
from depthprune.study import StudyStore
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.demo import DEMO
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.measuring import study_folder

LONGEST_RUN = 4
"""Blocks in the longest run of which the best is shown."""

ALL = "all"


@with_flags
def proxies(
    model: Model,
    *,
    proxy: Annotated[
        tuple[str, ...],
        Parameter(name=("--proxy", "--proxies"), help=f"all, or some of: {', '.join(PROXIES)}."),
    ] = (ALL,),
    output: Output = None,
    lang: Language = "en",
    json: AsJson = False,
    run: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
) -> None:
    """Estimate the importance of every block with proxies, and compare them with measured drops.

    Proxies need no generated answers. block_influence, angular_distance and relative_magnitude take
    one pass over prompts and reference answers; taylor uses gradients; perplexity is the loss
    without each block. If the study holds drops measured by `profile`, the rank correlation with
    them is printed too.

    Writes proxies/TASK/SPLIT/PROXY.json into the study folder; `select --importance_scores_file`
    reads these files. Existing scores are not computed again.

    For example:

        depthprune proxies demo --num-samples 64
        depthprune proxies ./model --task okvqa text_vqa --proxy block_influence taylor
    """
    set_language(lang)
    names = check_names(list(PROXIES) if ALL in proxy else proxy)
    folder = study_folder(output, model)
    check_can_make(folder)
    options = model_source(model, run, download=data.download)
    tasks = prompted_tasks(options, data.find_tasks(model))
    splits = load_splits(tasks, data.splits, data.samples, data.seed, data.holdout)
    found = _proxies_of(splits, names, options, folder)
    if json:
        show_json({"folder": str(folder / PROXIES_FOLDER), "splits": proxies_value(found)})
        return
    notes = []
    if any(one.measured is None for one in found):
        command = _profile_command(model, run, data, folder)
        notes.append(t("To measure the drops: {command}", command=command))
    notes.append(t("Scores: {folder}", folder=folder / PROXIES_FOLDER))
    show_sections(proxies_sections(found, notes))


def _profile_command(model: str, run: ModelOptions, data: DataOptions, folder: Path) -> str:
    """Return the command that measures the drops of what was asked for; what is there is kept.

    With the names that the user gave: in a study, tasks of the lm-evaluation-harness have others.
    """
    words = words_of(replace(data, tasks=data.tasks or (DEMO,)), run)
    return shlex.join(["depthprune", "profile", model, *words, "--output", str(folder)])


def _proxies_of(
    splits: Sequence[TaskSplit], names: tuple[str, ...], options: ModelSource, folder: Path
) -> list[SplitProxies]:
    """Compute what is not kept yet, split by split, and set it beside what the study holds."""
    from depthprune.engine import ReferenceEvaluator

    model = open_model(options)
    settings = ReferenceEvaluator(model.loaded, part=options.stack).settings
    is_study = (folder / DATABASE_NAME).exists()
    # Opened first: the folder may be the study of another model.
    with (
        StudyStore.open(folder, model=model.record, read_only=True) if is_study else nullcontext()
    ) as study:
        found = []
        for split, scores in _computed(splits, names, model, settings, folder):
            measured = None if study is None else measured_drops(study, split, settings)
            found.append(_beside_drops(split, scores, measured, model.record.num_blocks))
        return found


def _computed(
    splits: Sequence[TaskSplit],
    names: tuple[str, ...],
    model: OpenModel,
    settings: str,
    folder: Path,
) -> list[tuple[TaskSplit, tuple[ProxyScores, ...]]]:
    """Return the proxies of each split; every split's are written as soon as they are known."""
    kept = [
        {
            name: scores
            for name in names
            if (scores := kept_proxy(folder, name, split, model.record, settings)) is not None
        }
        for split in splits
    ]
    missing = [tuple(name for name in names if name not in each) for each in kept]
    work = sum(
        num_passes(wanted, model.record.num_blocks) * len(split.samples)
        for wanted, split in zip(missing, splits, strict=True)
        if wanted
    )
    with progress("proxies", work) as bar:
        for split, each, wanted in zip(splits, kept, missing, strict=True):
            bar.describe(f"{split.task.name} {split.split}")
            # One kind after the other, so that a run that is stopped keeps what it has finished.
            for needs in dict.fromkeys(PROXIES[name].needs for name in wanted):
                measured = measure_proxies(
                    [name for name in wanted if PROXIES[name].needs == needs],
                    model.loaded,
                    split,
                    part=model.options.stack,
                    batch_size=model.options.batch_size or "auto",
                    on_batch=bar.advance,
                )
                for name, scores in measured.items():
                    write_proxy(folder, scores, split, model.record, settings)
                    each[name] = scores
    found = [tuple(each[name] for name in names) for each in kept]
    return list(zip(splits, found, strict=True))


def _beside_drops(
    split: TaskSplit,
    found: tuple[ProxyScores, ...],
    measured: MeasuredDrops | None,
    num_blocks: int,
) -> SplitProxies:
    agreements = {
        scores.name: agreement_with_drops(scores.scores, measured.single)
        for scores in found
        if measured is not None
    }
    runs = next((scores.runs for scores in found if scores.runs), {})
    return SplitProxies(
        split.task.name,
        split.split,
        found,
        measured,
        agreements,
        best_runs(runs, LONGEST_RUN),
        max(1, min(FIRST_BLOCKS, num_blocks // 2)),
    )
