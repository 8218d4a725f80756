"""The smaller checkpoint."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from depthprune.base.files import check_can_make
from depthprune.base.progress import progress as show_progress
from depthprune.base.progress import shown
from depthprune.base.removal import format_removal
from depthprune.blocks.cut.also import FILE_NAMES, Tool, also_for, check_also
from depthprune.blocks.cut.options import CutOptions
from depthprune.tasks.demo.place import DEMO, model_place

if TYPE_CHECKING:
    from depthprune.base.removal import Removal
    from depthprune.blocks.cut.execute import CutResult
    from depthprune.blocks.cut.model_card import MeasuredDrop
    from depthprune.blocks.cut.plan import CutPlan
    from depthprune.blocks.cut.verify import Verification


@dataclass(frozen=True)
class CutReport:
    """What a cut writes, or has written.

    Attributes:
        plan: what stays, what goes and what changes: `.num_blocks`, `.kept`, `.bytes_before`,
            `.bytes_after`, `.loader` (how transformers loads it), and more.
        result: folder, bytes and fingerprint of what was written; None in a dry run.
        verification: how its logits compare with skipping; None where that was not asked for.
        also: texts for other tools, by file name.
    """

    plan: CutPlan
    result: CutResult | None = None
    verification: Verification | None = None
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
    """
    from depthprune.base.errors import DepthpruneError
    from depthprune.blocks.cut.folder import check_disk, check_output
    from depthprune.blocks.cut.plan import plan_cut

    if folder is None and not dry_run:
        raise DepthpruneError(
            "it is not said where to write", option="folder", mend="name a folder, or a dry run"
        )
    place = model_place(source)
    plan = plan_cut(
        place,
        removal,
        name=DEMO if str(source) == DEMO else None,
        part=stack,
        max_shard_size=max_shard_size,
        trust_remote_code=trust_remote_code,
        revision=revision,
        download=download,
    )
    check_also(also, plan)
    texts = {
        FILE_NAMES[tool]: also_for(
            tool, absolute(place), plan.num_blocks, plan.removal, dtype(plan)
        )
        for tool in also
    }
    output = None if folder is None else Path(folder)
    if output is not None:
        check_output(plan.source, output, overwrite=overwrite)
        check_can_make(output)
        check_disk(output, plan.disk_needed)
    if dry_run or output is None:
        return CutReport(plan, also=texts)
    from depthprune.blocks.cut.execute import execute_cut

    if verify:
        from depthprune.blocks.cut.verify import compare_cut, skipped_logits

        skipped = skipped_logits(
            plan.source,
            plan.removal,
            part=stack,
            settings=plan.settings,
            trust_remote_code=trust_remote_code,
            quantized=plan.quantized,
        )
    with shown(progress), show_progress(f"writing {output.name}", plan.bytes_after) as bar:
        result = execute_cut(
            plan, output, overwrite=overwrite, on_bytes=bar.advance, extra_files=texts
        )
    if not verify:
        return CutReport(plan, result, also=texts)
    verified = compare_cut(
        output, skipped, trust_remote_code=trust_remote_code, quantized=plan.quantized
    )
    return CutReport(plan, result, verified, texts)


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

    Raises:
        StudyError: it cannot be read, or is about another model.
    """
    from depthprune.base.errors import StudyError
    from depthprune.blocks.cut.model_card import MeasuredDrop
    from depthprune.checkpoint.fingerprint import model_fingerprint
    from depthprune.study import Study

    with Study.open(folder, read_only=True) as study:
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
    return tuple(drops)


def cut_command(
    model: str, plan: CutPlan, output: Path, max_shard_size: str, revision: str | None = None
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
    return f"depthprune cut {shlex.join([*words, '--output', output.name])}"
