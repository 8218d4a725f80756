"""The stage `cut`: the smaller checkpoint, written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import RenderableType

from depthprune.base.errors import DepthpruneError, FileError, ModelError
from depthprune.base.files import check_can_make, read_json, write_json
from depthprune.base.language import counted, t
from depthprune.base.naming import spelled, spelling
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.checkpoint.loaded_files import weight_files
from depthprune.checkpoint.source import source_folder
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.folder import check_disk, check_output
from depthprune.cutting.plan import plan_cut
from depthprune.cutting.provenance import PROVENANCE_NAME
from depthprune.cutting.shards import parse_size
from depthprune.cutting.verify import Verification, verify_cut
from depthprune.report.cut import (
    closing_parts,
    closing_value,
    plan_section,
    plan_value,
    verified_line,
)
from depthprune.report.render.text import section_parts
from depthprune.strategies.pipeline import ReadySearch
from depthprune.study.filenames import removal_name
from depthprune.workflow.cutting import cut_command, measured_drops
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile
from depthprune.workflow.study_sections import CutSection

CUT = "cut"
"""The folder inside a study for checkpoints whose place the study file does not say."""


@dataclass(frozen=True)
class Cut:
    """The smaller checkpoint.

    Attributes:
        output: its folder.
        loader: the class of transformers that loads it.
        verified: how its logits compare with those of skipping; None where that was not asked for.
    """

    output: Path
    loader: str
    verified: Verification | None


def check_cut(study: StudyFile, section: CutSection, ready: ReadySearch) -> None:
    """Find what would keep a cut from being written, as far as it is known before measuring.

    Raises:
        DepthpruneError: no size of files; more blocks than a search removes; the output holds
            something else; the disk is too small for the smallest model that may come out.
    """
    with study.about("cut", "max_shard_size"):
        parse_size(section.max_shard_size)
    request = ready.request
    options = request.model
    most = request.search.strategy.most_removed(ready.space)
    if section.removed != "recommended" and section.removed > most:
        raise DepthpruneError(
            f"{counted(section.removed, 'block is', 'blocks are')} to be cut out, but no more "
            f"than {most} are "
            "removed "
            "together when measuring",
            where=study.place(("cut", "removed")),
            mend="cut out fewer, or let the search go further by max_blocks_to_remove",
        )
    source = source_folder(options.source, revision=options.revision, download=options.download)
    output = study.cut_output()
    if output is None:
        output = request.folder / CUT
        check_can_make(output)
    else:
        count = None if section.removed == "recommended" else section.removed
        known = _known_cut(output, ready.model.loaded.fingerprint, options.stack)
        if request.folder.resolve().is_relative_to(output.resolve()):
            raise FileError(
                "the smaller model would take the place of the study",
                where=study.place(("cut", "output")),
                mend="choose another folder",
            )
        if known is None or (count is not None and len(known) != count):
            with _in_the_file():
                check_output(source, output, overwrite=section.overwrite)
        check_can_make(output)
    weights = sum(path.stat().st_size for path in weight_files(source))
    # The least that may be left: whole blocks only, and everything else stays.
    check_disk(output, int(weights * (1 - most / ready.model.stack.num_blocks)))


def cut(
    study: StudyFile,
    section: CutSection,
    ready: ReadySearch,
    removal: Removal,
    transcript: Transcript,
) -> Cut:
    """Write the checkpoint without these blocks, unless it is there already; tell it.

    Raises:
        FileError: the output holds something else, or there is no room.
    """
    request, options = ready.request, ready.request.model
    name = removal_name(removal)
    given = study.cut_output()
    model = ready.model.record.name.rpartition("/")[2]
    output = request.folder / CUT / f"{model}-removed{name}" if given is None else given
    with stage("cut"):
        plan = plan_cut(
            options.source,
            removal,
            name=options.name,
            part=options.stack,
            max_shard_size=section.max_shard_size,
            trust_remote_code=options.trust_remote_code,
            revision=options.revision,
            download=options.download,
        )
        known = _known_cut(output, ready.model.loaded.fingerprint, options.stack)
        result = None
        parts: list[RenderableType] = [
            t("The smaller model"),
            "",
            *section_parts(plan_section(plan)),
        ]
        if known != removal:
            with progress(f"writing {output.name}", plan.bytes_after) as bar, _in_the_file():
                result = execute_cut(
                    plan,
                    output,
                    # In the study, a checkpoint of this name that is not whole is our own.
                    overwrite=section.overwrite or given is None,
                    on_bytes=bar.advance,
                    drops=measured_drops(request.folder, plan),
                    command=cut_command(study.model, plan, output, section.max_shard_size),
                )
        verified = None
        if section.verify:
            verified = _verified(
                request.folder / f"verification_removed{name}.json",
                output,
                lambda: verify_cut(
                    plan.source,
                    output,
                    removal,
                    part=options.stack,
                    trust_remote_code=options.trust_remote_code,
                    quantized=plan.quantized,
                ),
            )
        if result is None:
            closing = [t("Kept: {path} holds this cut already.").format(path=output)]
        else:
            closing = closing_parts(result, None)
        if verified is not None:
            closing.append(verified_line(verified))
        value = plan_value(plan) | closing_value(output, result, verified)
        transcript.tell(parts, {"cut": value}, closing=closing)
    return Cut(output, plan.loader.name, verified)


@contextmanager
def _in_the_file() -> Iterator[None]:
    """Name the one option of a cut that the study file has as well by its field there."""
    others = spelling()
    with spelled(lambda n, value: "`overwrite: true`" if n == "overwrite" else others(n, value)):
        yield


def _known_cut(output: Path, fingerprint: str, part: str) -> Removal | None:
    """Return the blocks that a whole checkpoint there lacks; None if it is none of this model."""
    try:
        record = read_json(output / PROVENANCE_NAME)
        weight_files(output)
    except (FileError, ModelError):
        return None
    source = record.get("source") if isinstance(record, dict) else None
    if not isinstance(source, dict) or source.get("fingerprint") != fingerprint:
        return None
    removed = record.get("removed")
    return tuple(removed) if isinstance(removed, list) and record.get("part") == part else None


def _verified(record: Path, output: Path, verify: Callable[[], Verification]) -> Verification:
    """Return how a cut was verified, by a record of it where these very files were."""
    fingerprint = model_fingerprint(output)
    try:
        known = read_json(record)
        if known["fingerprint"] == fingerprint:
            return Verification(**known["verification"])
    except (FileError, KeyError, TypeError):
        pass
    verified = verify()
    write_json(record, {"fingerprint": fingerprint, "verification": asdict(verified)})
    return verified
