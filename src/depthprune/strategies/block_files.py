"""Files that say which blocks go; read without numpy, as `cut` is.

Either `block_configs`, by number of active blocks, as `select --output_file` and `analyze` write
them (or that mapping alone), or `pruning_recommendations.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthprune.base.documents import (
    BLOCKS,
    COUNT,
    TEXT,
    Field,
    Kind,
    Layout,
    WrongFieldError,
    each,
    named,
    read_document,
)
from depthprune.base.errors import DepthpruneError, LayoutError, option
from depthprune.base.language import counted
from depthprune.base.removal import Removal

STRATEGIES = ("conservative", "balanced", "aggressive")

EXAMPLE = 'write {"block_configs": {"14": {"removed_block_indices": [4, 13]}}}'


@dataclass(frozen=True)
class BlockConfig:
    """One of the `block_configs`: the blocks that go, those that stay, or both."""

    removed: Removal | None = None
    active: Removal | None = None


@dataclass(frozen=True)
class BlockFile:
    """What such a file says.

    Attributes:
        num_blocks: of the unpruned model, where it is said.
        configs: by number of active blocks; None in a file of recommendations.
        levels: the configuration of each strategy.
        recommended: `...` in a file that does not say whether anything is.
        strategies: of each strategy its removals; the last is the one that it ends with.
        steps: of the stepwise path; None where there is none.
        robust, independent: the best removal of each number of blocks.
        weak: the reasons why a baseline is weak.
    """

    num_blocks: int | None = None
    configs: Mapping[int, BlockConfig] | None = None
    levels: Mapping[str, BlockConfig] = field(default_factory=dict)
    recommended: Any = ...
    strategies: Mapping[str, tuple[Removal, ...]] | None = None
    steps: tuple[Removal, ...] | None = None
    robust: Mapping[str, Removal | None] = field(default_factory=dict)
    independent: Mapping[str, Removal | None] = field(default_factory=dict)
    weak: tuple[str, ...] = ()

    def ranked(self) -> Iterator[Removal]:
        """Yield everything that is recommended, the best founded first."""
        named = [(self.strategies or {}).get(name, ())[::-1] for name in STRATEGIES]
        best = (*self.robust.values(), *self.independent.values())
        for removal in (self.recommended, *sum(named, ()), *(self.steps or ()), *best):
            if isinstance(removal, tuple):
                yield removal


def read_block_file(path: Path) -> BlockFile:
    """Read a file of either layout.

    Raises:
        FileError: it is missing or no JSON, or has a key twice.
        LayoutError: it has neither layout, or something in it is broken; with its place.
    """
    mend = f"give the pruning_recommendations.json of `depthprune analyze`, or {EXAMPLE}"
    found: BlockFile = read_document(path, _read, mend=mend, unique_keys=True)
    return found


def recommended_removal(path: Path, removed: int | None) -> tuple[Removal, int | None]:
    """Return the blocks to remove, and of how many, where the file says it.

    Of `pruning_recommendations.json` what is recommended, or the first of so many blocks among the
    strategies, the stepwise path, the robust and the independent best. Of `block_configs` the list
    of so many blocks; where it is not said how many, the only one, or the conservative one.

    Raises:
        FileError, LayoutError: see `read_block_file`.
        DepthpruneError: it recommends nothing, or nothing of so many blocks; or it has several
            lists, and it is not said which.
    """
    file = read_block_file(path)
    says = file.recommended is not ... or file.strategies is not None
    if file.configs is not None:
        found = [(_gone(one, file, count, path), count) for count, one in file.configs.items()]
        totals = {len(removal): (removal, count + len(removal)) for removal, count in found}
        level = file.levels.get("conservative")
        if removed is None and len(totals) == 1:
            return next(iter(totals.values()))
        if removed is None and level is not None:
            return _gone(level, file, None, path), file.num_blocks
        if removed not in totals:
            raise _none(removed, totals, path)
        return totals[removed]
    if removed is not None or not says:
        ranked = list(file.ranked())
        chosen = next((one for one in ranked if len(one) == removed), None)
        if chosen is None:
            raise _none(removed, map(len, ranked), path)
        return chosen, file.num_blocks
    removal = file.recommended
    if removal is ...:
        removal = next(reversed((file.strategies or {}).get("conservative", ())), None)
    if removal is None:
        why = f": the baseline is weak, {file.weak[0]}" if file.weak else ""
        raise DepthpruneError(
            f"nothing is recommended{why}",
            where=str(path),
            mend=f"`depthprune recommend` says why; {option('remove')} names blocks all the same",
        )
    return removal, file.num_blocks


def _gone(entry: BlockConfig, file: BlockFile, count: int | None, path: Path) -> Removal:
    if entry.removed is not None:
        return entry.removed
    if file.num_blocks is None or entry.active is None:
        what = f"the entry of {count} needs a list removed_block_indices, or num_blocks is required"
        raise LayoutError(what, where=str(path), mend=EXAMPLE)
    return tuple(sorted(set(range(file.num_blocks)) - set(entry.active)))


def _none(removed: int | None, sizes: Iterable[int], path: Path) -> DepthpruneError:
    return DepthpruneError(
        f"no recommendation removes {counted(removed, 'block')}"
        if removed is not None
        else "the number of blocks to remove is required",
        where=f"{option('removed')}; {path}",
        mend=f"there are recommendations for {', '.join(map(str, sorted(set(sizes)))) or 'none'}",
    )


def _read(value: Any) -> BlockFile:
    if isinstance(value, dict) and value and all(map(str.isdecimal, value)):
        value = {"block_configs": value}
    if isinstance(value, dict) and "block_configs" in value:
        return CONFIGS.read(value)  # type: ignore[no-any-return]
    found: BlockFile = RECOMMENDATIONS.read(value)
    if found == BlockFile(found.num_blocks, weak=found.weak):
        raise WrongFieldError("there are neither recommendations nor block_configs")
    return found


def _configs(value: Any) -> dict[int, BlockConfig]:
    found = named(ENTRY).read(value)
    if not found or not all(name.isdecimal() and len(name) < 10 for name in found):
        raise WrongFieldError("block_configs are required, by number of active blocks")
    if len({int(name) for name in found}) < len(found):
        raise WrongFieldError("a number of active blocks is listed twice")
    return {int(name): entry for name, entry in found.items()}


def _entry(**found: Removal) -> BlockConfig:
    if not found:
        raise WrongFieldError("neither removed_block_indices nor active_block_indices")
    return BlockConfig(**found)


ENTRY = Layout(
    _entry,
    Field("removed_block_indices", BLOCKS, "removed"),
    Field("active_block_indices", BLOCKS, "active"),
)
REMOVAL = Layout(lambda removal: removal, Field("removed_blocks", BLOCKS, "removal", required=True))
BEST = Layout(lambda best=None: best, Field("best", REMOVAL))
STEPS = Layout(lambda steps: steps, Field("steps", each(REMOVAL), required=True))
WEAK = Layout(lambda reason="": reason, Field("reason", TEXT))
CONFIGS = Layout(
    BlockFile,
    Field("num_blocks", COUNT),
    Field("block_configs", Kind("a JSON object", _configs), "configs", required=True),
    Field("levels", named(ENTRY)),
)
"""Of `block_configs_for_core_exp.json`, and of what `select` writes."""

RECOMMENDATIONS = Layout(
    BlockFile,
    Field("num_blocks", COUNT),
    Field("recommended", REMOVAL, null=True),
    Field("strategies", named(each(REMOVAL))),
    Field("stepwise", STEPS, "steps"),
    Field("robust_best", named(BEST), "robust"),
    Field("independent_best", named(BEST), "independent"),
    Field("weak_baselines", each(WEAK), "weak"),
)
"""Of `pruning_recommendations.json`, as far as it is read."""
