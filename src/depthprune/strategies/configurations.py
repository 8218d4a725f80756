"""Which blocks stay for each number of active blocks: by scores, or as a file lists them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.documents import object_at, read_document
from depthprune.base.errors import DepthpruneError, LayoutError, RemovalError, option
from depthprune.base.language import counted
from depthprune.base.removal import Removal, check_removal
from depthprune.importance.score_files import ScoreFile, stated_blocks
from depthprune.importance.select import make_selection
from depthprune.strategies.block_files import BlockConfig, read_block_file
from depthprune.study import ModelRecord, filenames


@dataclass(frozen=True)
class Configuration:
    """A model of fewer blocks.

    Attributes:
        num_active: how many blocks stay.
        removal: those that go.
    """

    num_active: int
    removal: Removal


def check_counts(counts: Sequence[int], num_blocks: int) -> tuple[int, ...]:
    """Return the numbers of active blocks, each once.

    Raises:
        DepthpruneError: there is none, or the model cannot have so many.
    """
    if not counts:
        raise DepthpruneError(
            "the number of blocks that stay is required",
            option="num_active_blocks",
            mend=f"give one or more numbers, as {option('num_active_blocks', '12 14 16')}",
        )
    for count in counts:
        if not 1 <= count <= num_blocks:
            raise DepthpruneError(
                f"{counted(count, 'block')} cannot stay: the model has {num_blocks}",
                option="num_active_blocks",
                mend=f"give numbers from 1 to {num_blocks}; {num_blocks} is the unpruned model",
            )
    return tuple(dict.fromkeys(counts))


def configurations_from_scores(
    found: ScoreFile, counts: Sequence[int], protect: Collection[int] | None, model: ModelRecord
) -> list[Configuration]:
    """Return the configurations in which the blocks with the lowest scores go.

    Args:
        found: the scores, of this model.
        counts: how many blocks stay.
        protect: blocks that stay whatever their score; None: the first and the last.
        model: that is pruned.

    Raises:
        DepthpruneError: the scores are of another model, or so many blocks cannot stay.
    """
    _check_same_model(found, model)
    configurations = []
    for count in check_counts(counts, model.num_blocks):
        if count == model.num_blocks:
            configurations.append(Configuration(count, ()))
            continue
        one = make_selection(
            found.scores, count, protect, num_blocks=model.num_blocks, where=str(found.path)
        )
        configurations.append(Configuration(count, one.removal))
    return configurations


def choose_configurations(
    known: Mapping[int, Removal], counts: Sequence[int], num_blocks: int, where: str
) -> list[Configuration]:
    """Return the configurations of some numbers of active blocks, out of known ones.

    Args:
        known: removals by number of active blocks; the unpruned model need not be among them.
        counts: how many blocks stay; all that are known when empty.
        num_blocks: of the model.
        where: what the configurations are from, for messages.

    Raises:
        DepthpruneError: there is none for a number.
        RemovalError: a block does not exist.
    """
    for removal in known.values():
        _existing(removal, num_blocks, where)
    wanted = check_counts(counts or sorted(known), num_blocks)
    whole = {num_blocks: ()} | dict(known)
    missing = [count for count in wanted if count not in whole]
    if missing:
        raise DepthpruneError(
            f"there is no configuration of {counted(missing[0], 'active block')}",
            where=where,
            mend=f"there are those of {', '.join(map(str, sorted(whole)))}; or choose by scores "
            f"({option('importance_scores_file')})",
        )
    return [Configuration(count, whole[count]) for count in wanted]


def read_configurations(path: Path, num_blocks: int) -> dict[int, Removal]:
    """Read which blocks go, by number of active blocks.

    Of `pruning_recommendations.json` its stepwise path, where that ends the best of each number.

    Args:
        path: of the file.
        num_blocks: of the model.

    Raises:
        FileError: the file is missing or no JSON, or has a key twice.
        LayoutError: no configuration is in it, one contradicts itself or its number of blocks, or
            the file is of a model with another number of blocks.
        RemovalError: a block does not exist, or is named twice.
    """
    file = read_block_file(path)
    if file.num_blocks not in (None, num_blocks):
        raise LayoutError(
            f"the file is of a model of {counted(file.num_blocks or 0, 'block')}, "
            f"this one has {num_blocks}",
            where=str(path),
            mend="name a file that was written for this model",
        )
    if file.configs is None:
        # The steps come last: they win over the best of their number.
        best = (one for one in (*file.independent.values(), *(file.steps or ())) if one)
        return {num_blocks - len(one): _existing(one, num_blocks, path) for one in best}
    return {
        count: _entry(count, entry, num_blocks, f"{path}, {count}")
        for count, entry in file.configs.items()
    }


def _entry(count: int, entry: BlockConfig, num_blocks: int, where: str) -> Removal:
    removed = entry.removed
    for blocks in (entry.removed, entry.active):
        _existing(blocks or (), num_blocks, where)
    if entry.active is not None:
        rest = tuple(sorted(set(range(num_blocks)) - set(entry.active)))
        if removed is not None and removed != rest:
            raise LayoutError(
                "removed_block_indices and active_block_indices contradict each other",
                where=where,
                mend="give one of them",
            )
        removed = rest
    assert removed is not None
    if num_blocks - len(removed) != count:
        raise LayoutError(
            f"the entry of {counted(count, 'active block')} leaves {num_blocks - len(removed)}",
            where=where,
            mend=f"remove {num_blocks - count} of the {counted(num_blocks, 'block')}",
        )
    return removed


def _existing(removal: Removal, num_blocks: int, where: object) -> Removal:
    try:
        check_removal(removal, num_blocks)
    except RemovalError as error:
        raise RemovalError(error.what, where=str(where), mend=error.mend) from error
    return removal


def _check_same_model(found: ScoreFile, model: ModelRecord) -> None:
    stated = stated_blocks(found)
    # Without a word about it, the largest block that has a score is all that is known.
    stated = max(max(found.scores) + 1, model.num_blocks) if stated is None else stated
    if stated != model.num_blocks:
        raise DepthpruneError(
            f"the scores are of a model of {counted(stated, 'block')}, this one has "
            f"{model.num_blocks}",
            where=str(found.path),
            mend="name the scores of this model",
        )
    for path in (found.path, found.path.with_name(filenames.PROVENANCE)):
        fingerprint = read_document(path, _fingerprint) if path.is_file() else None
        if fingerprint not in (None, model.fingerprint):
            raise DepthpruneError(
                "the scores were measured on another model (its fingerprint differs)",
                where=str(path),
                mend=f"name scores of {model.name}, or write the blocks down and give them by "
                f"{option('block_configs')}",
            )


def _fingerprint(value: Any) -> str | None:
    fingerprint = object_at(value, "model").get("fingerprint")
    # What was imported has a fingerprint of its files, not of weights.
    if not isinstance(fingerprint, str) or fingerprint.startswith("imported:"):
        return None
    return fingerprint
