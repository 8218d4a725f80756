"""The blocks that a file of recommendations says to remove; read without numpy, as `cut` is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError, LayoutError
from depthprune.base.files import read_json
from depthprune.base.language import counted
from depthprune.base.naming import option
from depthprune.base.removal import Removal, make_removal

STRATEGIES = ("conservative", "balanced", "aggressive")
RECOMMENDING = {"recommended", "strategies", "stepwise", "independent_best"}
"""Fields of pruning_recommendations.json, of which one at least is there."""


def read_recommendation(path: Path, removed: int | None) -> tuple[Removal, int | None]:
    """Return the blocks to remove, and of how many, where the file says it.

    Of `pruning_recommendations.json` what is recommended, or the first of so many blocks among the
    strategies, the stepwise path, the robust and the independent best. Of `block_configs` the list
    of so many blocks; where it is not said how many, the only one, or the conservative one.

    Raises:
        FileError: it cannot be read, or is not JSON.
        LayoutError: it has neither layout, or a broken entry.
        DepthpruneError: it recommends nothing, or nothing of so many blocks; or it has several
            lists, and it is not said which.
    """
    content = read_json(path)
    if isinstance(content, dict) and RECOMMENDING & content.keys():
        return _of_recommendations(content, removed, path)
    configs = content.get("block_configs") if isinstance(content, dict) else None
    if not isinstance(configs, dict) or not configs:
        raise LayoutError(
            "there are neither recommendations nor block_configs",
            where=str(path),
            mend="give a file that `depthprune analyze` or `select --output_file` wrote",
        )
    found = {}
    for key, entry in configs.items():
        removal = _blocks(entry, "removed_block_indices", f"block_configs[{key!r}]", path)
        found[len(removal)] = (removal, _total(key, len(removal)))
    levels = content.get("levels")
    conservative = levels.get("conservative") if isinstance(levels, dict) else None
    if removed is None and len(found) == 1:
        return next(iter(found.values()))
    if removed is None and conservative is not None:
        blocks = _blocks(conservative, "removed_block_indices", "levels.conservative", path)
        return blocks, _count(content)
    if removed in found:
        return found[removed]
    raise _none(removed, found, path)


def _of_recommendations(
    content: Mapping[str, Any], removed: int | None, path: Path
) -> tuple[Removal, int | None]:
    ranked = list(_ranked(content, path))
    says = "recommended" in content or "strategies" in content
    if removed is not None or not says:
        chosen = next((one for one in ranked if len(one) == removed), None)
        if chosen is None:
            raise _none(removed, {len(one) for one in ranked}, path)
        return chosen, _count(content)
    if "recommended" in content:
        entry = content["recommended"]
    else:
        named = content["strategies"]
        conservative = named.get("conservative") if isinstance(named, dict) else None
        entry = conservative[-1] if isinstance(conservative, list) and conservative else None
    if entry is None:
        weak = [str(one.get("reason")) for one in _entries(content.get("weak_baselines"))]
        why = f": the baseline is weak, {weak[0]}" if weak else ""
        raise DepthpruneError(
            f"nothing is recommended{why}",
            where=str(path),
            mend="`depthprune recommend` says why; --remove names blocks all the same",
        )
    return _blocks(entry, "removed_blocks", "the recommendation", path), _count(content)


def _ranked(content: Mapping[str, Any], path: Path) -> Iterator[Removal]:
    """Yield everything that the file recommends, the best founded first."""
    strategies, stepwise = content.get("strategies"), content.get("stepwise")
    entries = [content.get("recommended")]
    for name in STRATEGIES:
        # The last of a strategy is the one that it ends with.
        entries += _entries(strategies.get(name) if isinstance(strategies, dict) else None)[::-1]
    entries += _entries(stepwise.get("steps") if isinstance(stepwise, dict) else None)
    for kind in ("robust_best", "independent_best"):
        rankings = content.get(kind)
        for ranking in rankings.values() if isinstance(rankings, dict) else ():
            entries.append(ranking.get("best") if isinstance(ranking, dict) else None)
    for entry in entries:
        if entry is not None:
            yield _blocks(entry, "removed_blocks", "a recommendation", path)


def _entries(value: Any) -> list[Any]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _blocks(entry: Any, field: str, name: str, path: Path) -> Removal:
    blocks = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(blocks, list):
        raise LayoutError(f"{name} has no list {field}", where=str(path))
    return make_removal(blocks)


def _count(content: Mapping[str, Any]) -> int | None:
    count = content.get("num_blocks")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _total(num_active: str, num_removed: int) -> int | None:
    return int(num_active) + num_removed if num_active.isdecimal() else None


def _none(
    removed: int | None, sizes: Mapping[int, object] | set[int], path: Path
) -> DepthpruneError:
    return DepthpruneError(
        f"no recommendation removes {counted(removed, 'block')}"
        if removed is not None
        else "it is not said how many blocks go",
        where=f"{option('removed')}; {path}",
        mend=f"there are recommendations for {', '.join(map(str, sorted(sizes))) or 'none'}",
    )
