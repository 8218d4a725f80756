"""Files of importance scores: read every known layout, find one, tell how many blocks it is of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from depthprune.base.documents import Field, Layout, WrongFieldError, object_at, read_document
from depthprune.base.errors import DepthpruneError, FileError, LayoutError, RemovalError, option
from depthprune.base.files import write_json
from depthprune.base.language import counted
from depthprune.base.removal import check_removal, make_removal, rounded
from depthprune.study import filenames
from depthprune.study.layouts import SCORES


def comparable(scores: Mapping[int, float]) -> dict[int, float]:
    """Return scores to be compared with each other: without rounding noise, on any scale.

    Drops lose what is beyond their sixth decimal (see `base.drops`). Scores that are all far
    smaller than drops, as those of some proxies, keep as many digits of the largest one.
    """
    largest = max((abs(score) for score in scores.values()), default=0.0)
    scale = min(1.0, largest) or 1.0
    return {block: rounded(score / scale) for block, score in scores.items()}


def least_important_first(scores: Mapping[int, float]) -> tuple[int, ...]:
    """Return the blocks from the lowest score to the highest; of equal scores, the lower index."""
    values = comparable(scores)
    return tuple(sorted(scores, key=lambda block: (values[block], block)))


FIELDS = ("merged_scores", "train_scores", "importance_scores", "validation_scores")
"""Where a file may keep its scores, the first that is there and not empty; else it is nothing but
scores, `{"0": 0.65, ...}`."""

RANKING = "ranking"
"""The blocks, least important first: `[[5, 0.0196], ...]` with their scores, or `[5, ...]` alone.
Read where a file has no scores; of blocks alone the places in the order are taken."""

BLOCK_COUNTS = ("num_blocks", "num_total_blocks")

MENTIONED = 8
"""Blocks that an error message lists at most."""


@dataclass(frozen=True)
class ScoreFile:
    """Importance scores as a file holds them.

    Attributes:
        path: of the file.
        field: one of `FIELDS`, or `RANKING`; None for a file that is nothing but scores.
        scores: by block, ascending; higher = more important.
        num_blocks: of the model, as far as the file says it.
        instead_of: the file that was asked for, where this one is a substitute.
    """

    path: Path
    field: str | None
    scores: Mapping[int, float]
    num_blocks: int | None = None
    instead_of: Path | None = None


def read_scores(path: Path) -> ScoreFile:
    """Read a file of importance scores, in any known layout.

    Raises:
        FileError: the file is missing, no JSON, holds NaN, or has a key twice.
        LayoutError: there are no scores in it, a key is no block, or a score is no number.
    """
    path = Path(path)
    return read_document(path, partial(_scores, path=path), unique_keys=True)


def find_scores(paths: Sequence[Path]) -> ScoreFile:
    """Read the first of the files that exists, or else the one single-dataset file beside them.

    When none exists, the folder of the first is searched for `layer_importance_scores.json` and
    then, with its direct subfolders, for `importance_comparison_{dataset}.json`.

    Raises:
        FileError: there is no such file and no substitute, or several datasets could be meant.
        LayoutError: see `read_scores`.
    """
    asked = [Path(path) for path in paths]
    if not asked:
        raise DepthpruneError("no score file was named", option="importance_scores_file")
    for path in asked:
        if path.exists():
            return replace(read_scores(path), instead_of=None if path == asked[0] else asked[0])
    substitutes = _substitutes(asked[0].parent)
    if len(substitutes) == 1:
        return replace(read_scores(substitutes[0]), instead_of=asked[0])
    named = ", ".join(map(str, asked))
    if substitutes:
        raise FileError(
            "there is no such file, and "
            f"{counted(len(substitutes), 'dataset has', 'datasets have')} scores "
            "beside it: "
            f"{', '.join(str(path.relative_to(asked[0].parent)) for path in substitutes[:4])}"
            f"{', ...' if substitutes[4:] else ''}",
            where=named,
            mend=f"name one of them, or merge them: depthprune merge "
            f"{option('comparison_dir', asked[0].parent)} {option('output_file', asked[0])}",
        )
    raise FileError(
        "there is no such file, and no single-dataset scores beside it "
        f"({filenames.IMPORTANCE}, {filenames.comparison_file('*')})",
        where=named,
        mend="write it with `depthprune merge`, `profile` or `scores from-removals`",
    )


def count_blocks(found: ScoreFile, given: int | None = None) -> int:
    """Return how many blocks the model has whose scores these are.

    Known from `given` or `stated_blocks`; where neither tells it, the largest index and one.

    Raises:
        DepthpruneError: `given` contradicts the file, or is smaller than a block in it; or neither
            tells it, and the first block, which goes with the last, has no score.
        FileError, LayoutError: a file beside it is broken.
    """
    largest = max(found.scores)
    stated = stated_blocks(found)
    if given is not None and stated is not None and given != stated:
        raise DepthpruneError(
            f"{option('num_blocks')} says {counted(given, 'block')}, the score file {stated}",
            where=str(found.path),
        )
    known = given if given is not None else stated
    if known is None:
        if 0 not in found.scores:
            # Scripts that never measure the first block leave out the last one too.
            raise DepthpruneError(
                f"blocks {min(found.scores)} to {largest} have scores, block 0 has none, and no "
                "file tells how many blocks the model has",
                where=str(found.path),
                mend=f"say it: `select {option('num_blocks', largest + 2)}`, if the last block has "
                "no score either; `cut` and `sweep` take the file that "
                f"`select {option('output_file')}` writes",
            )
        return largest + 1
    if largest >= known:
        raise LayoutError(
            f"block {largest} has a score, but the model has {counted(known, 'block')} (0 to "
            f"{known - 1})",
            where=str(found.path),
            mend="name the scores of this model, or its number of blocks with "
            f"{option('num_blocks')}",
        )
    return known


def stated_blocks(found: ScoreFile) -> int | None:
    """Return how many blocks the model has, as far as files say it.

    That is the file itself, `provenance.json`, a summary or the full merged file beside it.
    """
    return found.num_blocks if found.num_blocks is not None else _blocks_beside(found.path)


def check_complete(
    scores: Collection[int],
    num_blocks: int,
    *,
    excused: Collection[int] = (),
    where: str | None = None,
) -> None:
    """Check that every block of the model has a score.

    Args:
        scores: the blocks that have one.
        num_blocks: of the model.
        excused: blocks that stay whatever their score; they need none.
        where: the file concerned.

    Raises:
        DepthpruneError: with the blocks that have none.
    """
    missing = sorted(set(range(num_blocks)) - set(scores) - set(excused))
    if missing:
        raise DepthpruneError(
            f"the scores cover only part of the {counted(num_blocks, 'block')}: "
            f"{list_blocks(missing)} {'has' if len(missing) == 1 else 'have'} none",
            where=where,
            mend="measure every block (`depthprune profile`); a block that cannot be measured may "
            f"be named in {option('protect')}: it then stays; {option('num_blocks')} says another "
            "number of blocks",
        )


def list_blocks(blocks: Iterable[int]) -> str:
    """Return blocks for a message: `block 3`, or `blocks 3, 7, 9`."""
    named = list(blocks)
    return f"block{'s' if len(named) != 1 else ''} {', '.join(map(str, named))}"


def check_output(path: Path) -> Path:
    """Return a path that a score file may be written to.

    Raises:
        FileError: it is a folder, or its name is that of measured results.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(
            "this is a folder",
            where=str(path),
            mend=f"name a file, for example {path / 'merged_importance_scores.json'}",
        )
    if filenames.is_result_file(path.name) or filenames.is_comparison_file(path.name):
        raise FileError(
            "files of this name hold measured results",
            where=str(path),
            mend="choose another name, for example merged_importance_scores.json",
        )
    return path


def _scores(value: Any, path: Path) -> ScoreFile:
    if not isinstance(value, dict):
        mend = 'scores are written as {"0": 0.65, "1": 0.14}'
        raise WrongFieldError("not a JSON object", mend=mend)
    field = next((name for name in FIELDS if value.get(name)), None)
    if field is not None:
        return ScoreFile(path, field, _at(value, field), _stated_blocks(value))
    if value.get(RANKING):
        return ScoreFile(path, RANKING, _ranked_scores(value[RANKING]), _stated_blocks(value))
    strange = next((key for key in value if not key.isdigit()), None)
    if strange is not None:
        raise WrongFieldError(
            f"there are no scores: none of {', '.join(FIELDS)}, and {strange!r} is not a block",
            mend="name a file that `merge`, `profile` or `scores from-removals` has written",
        )
    if not value:
        raise WrongFieldError("there are no scores in the file")
    return ScoreFile(path, None, SCORES.read(value))


def _at(value: Mapping[str, Any], name: str) -> dict[int, float]:
    found: dict[str, dict[int, float]] = Layout(dict, Field(name, SCORES)).read(value)
    return found[name]


def _substitutes(folder: Path) -> list[Path]:
    single = folder / filenames.IMPORTANCE
    if single.is_file():
        return [single]
    pattern = filenames.comparison_file("*")
    return sorted([*folder.glob(pattern), *folder.glob(f"*/{pattern}")])


def _ranked_scores(value: Any) -> dict[int, float]:
    if not isinstance(value, list):
        raise WrongFieldError("not a list of blocks, or of pairs [block, score]", RANKING)
    pairs = all(isinstance(one, list) and len(one) == 2 for one in value)
    ranked = value if pairs else [[block, place] for place, block in enumerate(value)]
    scores: dict[str, Any] = {}
    for block, score in ranked:
        if not isinstance(block, int) or isinstance(block, bool):
            raise WrongFieldError(f"{block!r} is not a block", RANKING)
        if str(block) in scores:
            raise WrongFieldError(f"block {block} is listed twice", RANKING)
        scores[str(block)] = score
    return _at({RANKING: scores}, RANKING)


def _stated_blocks(value: Mapping[str, Any]) -> int | None:
    stated = {name: value.get(name) for name in BLOCK_COUNTS}
    stated["config.total_blocks"] = object_at(value, "config").get("total_blocks")
    for name, count in stated.items():
        if count is not None:
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise WrongFieldError(f"{name} is not a number of blocks: {count!r}")
            return count
    return None


def _blocks_beside(path: Path) -> int | None:
    full = path.with_name(path.name.removesuffix("_simple.json") + ".json")
    beside = [path.with_name(filenames.PROVENANCE), path.with_name(filenames.SUMMARY)]
    if full != path:
        beside.insert(0, full)
    stated = (read_document(other, _blocks_of_model) for other in beside if other.is_file())
    return next((count for count in stated if count is not None), None)


def _blocks_of_model(value: Any) -> int | None:
    return _stated_blocks(value | object_at(value, "model")) if isinstance(value, dict) else None


def scores_from_removals(order: Sequence[int], num_blocks: int) -> dict[int, float]:
    """Return scores by which the blocks go in this order; all others come after them, tied.

    The block named first gets `1 / (k + 1)` for k named blocks, the next one `2 / (k + 1)`, and so
    on; blocks that are not named get 1.

    Raises:
        RemovalError: no block is named, one is named twice or does not exist, or all are named.
    """
    if not order:
        raise RemovalError("no block is named", mend="name blocks in the order in which they go")
    check_removal(make_removal(order), num_blocks)
    place = {block: number / (len(order) + 1) for number, block in enumerate(order, start=1)}
    return {block: place.get(block, 1.0) for block in range(num_blocks)}


def write_scores_from_removals(path: Path, order: Sequence[int], num_blocks: int) -> Path:
    """Write a score file that forces this order of removal, and return its path.

    Raises:
        RemovalError: see `scores_from_removals`.
        FileError: the file cannot be written.
    """
    scores = scores_from_removals(order, num_blocks)
    write_json(
        path,
        {
            "source": "order of removal, not measured",
            "removal_order": list(order),
            "num_blocks": num_blocks,
            "importance_scores": SCORES.write(scores),
        },
    )
    return path
