"""A model that several processes saved, each its own part: the files of ranks, put together.

Known are the splits of Meta's Llama (https://github.com/meta-llama/llama: columns or rows of a
projection by its name) and of FSDP (the first axis; DTensors say it themselves). Of other programs
only the names of the files are known, and that a single one is not the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from depthprune.base.language import Note
from depthprune.checkpoint.stored import Tensor
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import (
    MadeTensor,
    first_bytes,
    has_numbers,
    joined_tensor,
    stored_bytes,
)

Program = Literal["meta", "fsdp", "other"]

_NAMES: tuple[tuple[Program, re.Pattern[str]], ...] = (
    ("meta", re.compile(r"(?P<stem>consolidated)\.(?P<rank>\d\d)\.(pth|safetensors)")),
    ("fsdp", re.compile(r"(?P<stem>.*?)_?world_size_(?P<count>\d+)_rank_(?P<rank>\d+)\.(pt|bin)")),
    ("other", re.compile(r"(?P<stem>.*mp_rank_)(?P<rank>\d+)(_model_states)?\.(pt|bin)")),
    ("other", re.compile(r"(?P<stem>.*[-_.])(tp|pp|rank)[-_]?(?P<rank>\d+)\.(pth?|bin)")),
)  # fmt: skip


@dataclass(frozen=True)
class Rank:
    """What the name of a file says of the process that saved it.

    Attributes:
        program: whose way to split is meant.
        stem: what the files of one model have in common.
        rank: of the process.
        count: of processes; None where the name does not say.
    """

    program: Program
    stem: str
    rank: int
    count: int | None


def rank_of(name: str) -> Rank | None:
    """Return what a file's name says of its rank; None when it says nothing."""
    for program, pattern in _NAMES:
        if found := pattern.fullmatch(name):
            parts = found.groupdict()
            count = parts.get("count")
            return Rank(program, parts["stem"], int(parts["rank"]), int(count) if count else None)
    return None


def lacking(files: Sequence[Path]) -> Note | None:
    """Return why files of ranks are not a whole model, or None when they are."""
    ranks = [rank for file in files if (rank := rank_of(file.name))]
    if not ranks:
        return None
    there = sorted(rank.rank for rank in ranks)
    count = ranks[0].count or max(len(there), there[-1] + 1, _beside(files[0]))
    if there != list(range(count)):
        return Note(Sentence.SOME_RANKS, n=len(there), count=count)
    if ranks[0].program == "other" and count > 1:
        return Note(Sentence.UNKNOWN_SPLIT, n=count)
    return None


def _beside(file: Path) -> int:
    """Return how many ranks of the same model lie in the folder of a file."""
    own = rank_of(file.name)
    try:
        others = [rank_of(other.name) for other in file.parent.iterdir()]
    except OSError:
        return 1
    return sum(other is not None and own is not None and other.stem == own.stem for other in others)


def join_ranks(
    program: Program, ranks: Sequence[Mapping[str, Tensor]]
) -> tuple[dict[str, Tensor], dict[str, Note]]:
    """Return the tensors of a model, each put together from the parts of all ranks.

    Args:
        program: that saved them.
        ranks: the tensors of every rank, in order.

    Returns:
        The tensors, and the names of those whose split is not known, each with the reason.
    """
    found: dict[str, Tensor] = {}
    unknown: dict[str, Note] = {}
    hidden = {
        tensor.shape[0]
        for name, tensor in ranks[0].items()
        if name.endswith("norm.weight") and len(tensor.shape) == 1
    }
    sharded = program == "fsdp" and _is_sharded(ranks)
    for name in dict.fromkeys(name for rank in ranks for name in rank):
        parts = tuple(rank[name] for rank in ranks if name in rank)
        if isinstance(parts[0], MadeTensor) and not has_numbers(parts[0]):
            # It says its whole shape itself (DTensor); its bytes are those of all ranks.
            found[name] = replace(parts[0], length=sum(map(stored_bytes, parts)))
            continue
        if len(parts) == 1:
            found[name] = parts[0]
            continue
        axis = 0 if sharded and parts[0].shape else None
        if program == "meta":
            axis = _axis_of_meta(name, parts, hidden)
        if axis is None and _are_copies(parts):
            found[name] = parts[0]
        elif axis is not None and len(parts) == len(ranks) and _fit(parts, axis):
            found[name] = joined_tensor(name, parts, axis)
        else:
            unknown[name] = Note(Sentence.UNFIT_RANKS, ranks=len(parts))
    return found, unknown


_COLUMNS = re.compile(r"(wq|wk|wv|w1|w3|output)\.(weight|bias)")
_ROWS = re.compile(r"(wo|w2)\.weight")
_EMBEDDING = re.compile(r"tok_embeddings\.weight")


def _axis_of_meta(name: str, parts: Sequence[Tensor], hidden: set[int]) -> int | None:
    """Return along which axis Meta's code splits a tensor; None where every rank has all of it."""
    own = ".".join(name.split(".")[-2:])
    if _COLUMNS.fullmatch(own):
        return 0
    if _ROWS.fullmatch(own):
        return 1
    if _EMBEDDING.fullmatch(own) and len(parts[0].shape) == 2:
        # Llama 2 splits the width, Llama 3 the words: norms are as wide as the model.
        return 0 if parts[0].shape[1] in hidden else 1
    return None


def _is_sharded(ranks: Sequence[Mapping[str, Tensor]]) -> bool:
    """Return whether plain tensors are parts: the ranks differ in some that are no DTensors."""
    return any(
        not _are_copies([rank[name] for rank in ranks if name in rank])
        for name, tensor in ranks[0].items()
        if has_numbers(tensor) and tensor.shape
    )


def _are_copies(parts: Sequence[Tensor]) -> bool:
    """Return whether all ranks hold the same, as far as their first numbers tell."""
    if any(part.shape != parts[0].shape for part in parts):
        return False
    if not all(map(has_numbers, parts)):
        return True
    return len({first_bytes(part, _SAMPLE) for part in parts}) == 1


_SAMPLE = 65_536


def _fit(parts: Sequence[Tensor], axis: int) -> bool:
    """Return whether parts can be put together: equal but along this axis."""
    shapes = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    return all(len(part.shape) > axis for part in parts) and len(shapes) == 1
