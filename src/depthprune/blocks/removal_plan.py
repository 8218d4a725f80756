"""What a removal changes in a model: the difference between its skeleton and the shorter one.

The shorter model is what `cut` would write. Skipping gives the blocks that stay every value that
this model has and the whole one has not: indices, counts, lists of layer types, scales by depth.

Fields that the table does not know are tried: a rule is right when, with it, every block that stays
is what it was in the whole model. So lists of one entry per block, boundaries and indices of a new
architecture, or of code that comes with a checkpoint, need no row of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.comparing import (
    AttributeChange,
    BlockComparison,
    changed_outside,
    compare,
    differing,
    place_of,
)
from depthprune.blocks.layer_fields import (
    MEANINGS,
    CountField,
    Path,
    keyed_by_block,
    leave,
    own_fields,
    readings,
    shorten_dict,
    shortening,
    unclear,
    unknown_fields,
)
from depthprune.blocks.layer_rules import (
    Inexpressible,
    Rule,
    Section,
    count_leading,
    count_trailing,
    filter_list,
    remap_indices,
    remap_keys,
    remap_last,
    remap_one_based,
    tile,
)
from depthprune.blocks.skeleton import Skeleton, build_skeleton, describe, rebuild_config

if TYPE_CHECKING:
    from depthprune.blocks.stack import Origin, Stack


@dataclass(frozen=True)
class RemovalPlan:
    """How to run a model without some blocks.

    Attributes:
        kept: the blocks that stay, ascending.
        changes: attributes that the modules that stay must be given.
        problem: why the shorter model cannot be made of the blocks that stay, or None.
        data: the configuration of the shorter model; empty where the model has none.
        constants: names of attributes that follow the place of a block, see `PlaceConstant`.
        fields: fields of the configuration that were shortened without a row in the table.
    """

    kept: tuple[int, ...]
    changes: tuple[AttributeChange, ...]
    problem: str | None
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    constants: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


def plan_removal(stack: Stack, removal: Removal) -> RemovalPlan:
    """Return the plan for a removal; it is made once per stack and removal.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
    """
    plan = stack.plans.get(removal)
    if plan is None:
        plan = stack.plans[removal] = _make_plan(stack, removal)
    return plan


def _make_plan(stack: Stack, removal: Removal) -> RemovalPlan:
    kept = active_blocks(removal, stack.num_blocks)
    if stack.origin is None:
        return RemovalPlan(kept, (), None)
    try:
        return _Search(stack, removal).run()
    except Inexpressible as error:
        return RemovalPlan(kept, (), str(error))


class _Search:
    """Looks for rules until the blocks that stay are what they were."""

    def __init__(self, stack: Stack, removal: Removal) -> None:
        origin: Origin = stack.origin  # type: ignore[assignment]
        self._stack, self._origin, self._removal = stack, origin, removal
        self._kept = active_blocks(removal, stack.num_blocks)
        self._base = shorten_dict(origin.data, stack.config_path, removal)
        self._short = shortening(origin.data, stack.config_path, self._kept)
        self._count = CountField.parse(stack.config_path)
        self._settings = {tuple(name.split(".")): one for name, one in stack.settings.items()}
        self._unknown = unknown_fields(origin.data, stack.config_path, self._short)

    def run(self) -> RemovalPlan:
        """Return the plan with which nothing differs, or what differs at the last."""
        rules: dict[Path, Rule] = {
            path: filter_list
            for path, value in self._unknown
            if self._short.is_per_block(value) and path not in self._settings
        }
        if rules:
            rules = self._without_others(rules)
        found = self._comparison(rules)
        if found.problems and self._count.index is None:
            rules, found = self._improved(rules, found)
        if not found.problems:
            found = self._check_unseen(rules, found)
        return RemovalPlan(
            self._kept,
            found.changes,
            next(iter(found.problems), None),
            self._data(rules),
            found.constants,
            tuple(map(".".join, rules)),
        )

    def _without_others(self, rules: dict[Path, Rule]) -> dict[Path, Rule]:
        """Leave out lists that belong to other parts of the model: without entries, those change.

        Raises:
            Inexpressible: a list belongs to the blocks and to something else.
        """
        if not self._reaches_outside(rules):
            return rules
        return {
            path: rule for path, rule in rules.items() if not self._reaches_outside({path: rule})
        }

    def _reaches_outside(self, rules: dict[Path, Rule]) -> bool:
        left, shortened = self._skeleton({}), self._skeleton(rules)
        if left is None:
            return False
        if shortened is None:
            return True
        values = [_get(self._data(rules), path) for path in rules]
        values += [_get(self._origin.data, path) for path in rules]
        return changed_outside(left, shortened, self._stack, values)

    def _improved(
        self, rules: dict[Path, Rule], found: BlockComparison
    ) -> tuple[dict[Path, Rule], BlockComparison]:
        """Try other rules, as long as fewer and fewer differences are left."""
        best, first = len(found.problems), found
        for path, candidates in self._candidates():
            for rule in candidates:
                attempt = self._with(rules, path, rule)
                if attempt is None or attempt == rules:
                    continue
                other = self._comparison(attempt)
                if len(other.problems) < best and not _unbuilt(other):
                    rules, found, best = attempt, other, len(other.problems)
                    if not best:
                        return rules, found
        return rules, found if best < len(first.problems) else first

    def _with(self, rules: dict[Path, Rule], path: Path, rule: Rule) -> dict[Path, Rule] | None:
        """Return the rules with another one, None where it changes nothing."""
        attempt = {**rules, path: rule}
        try:
            same = self._data(attempt) == self._data(rules)
        except (Inexpressible, TypeError, ValueError, KeyError, IndexError):
            return None
        return None if same else attempt

    def _candidates(self) -> Iterator[tuple[Path, tuple[Rule, ...]]]:
        """Yield fields that could say something about the blocks, and how they could follow."""
        num_blocks = self._stack.num_blocks
        for path, value in own_fields(self._origin.data, self._stack.config_path):
            if path in self._settings:
                continue
            if not self._concerns_blocks(path, value):
                continue
            if type(value) is int and 0 < value <= num_blocks:
                yield path, (count_leading, count_trailing, remap_last)
            elif isinstance(value, str) and len(value) == num_blocks:
                yield path, (filter_list,)
            elif isinstance(value, list | tuple) and value:
                rules: tuple[Rule, ...] = ()
                if self._short.is_per_block(value):
                    rules += (filter_list, leave)
                if all(type(one) is int and abs(one) <= num_blocks for one in value):
                    rules += (remap_indices, remap_one_based)
                if len(value) < num_blocks:
                    rules += (tile,)
                yield path, rules
            elif isinstance(value, dict) and value and keyed_by_block(value, num_blocks):
                yield path, (remap_keys,)

    def _concerns_blocks(self, path: Path, value: Any) -> bool:
        """Return whether another value makes other blocks; it is found out once per field.

        A number that changes all blocks alike, such as a width, is no boundary between them.
        """
        known: dict[Path, bool] = self._stack.memory.setdefault("concerns blocks", {})
        if path not in known:
            changed = [self._blocks_changed(path, other) for other in _others(value)]
            limit = self._stack.num_blocks - (type(value) is int)
            known[path] = any(0 < number <= limit for number in changed)
        return known[path]

    def _blocks_changed(self, path: Path, value: Any) -> int:
        """Return how many blocks another value of a field would make other blocks."""
        data = copy.deepcopy(self._origin.data)
        _get(data, path[:-1])[path[-1]] = value
        try:
            other = _built(self._stack, data)
        except Exception:
            return 1 if not isinstance(value, int) else 0  # its class insists on some order
        whole = whole_skeleton(self._stack)
        return len(
            {
                place[:2]
                for name in whole.keys() | other.keys()
                if (place := place_of(name, self._stack)) and _unlike(whole, other, name)
            }
        )

    def _check_unseen(self, rules: dict[Path, Rule], found: BlockComparison) -> BlockComparison:
        """Refuse where two readings of a field would leave the blocks as they are.

        Modules need not show what a list does. One entry per block is taken for what it seems; a
        list of numbers that may be those of blocks is not.
        """
        problems = []
        for path, value in self._unknown:
            if path in self._settings:
                continue
            taken = _get(self._data(rules), path)
            for rule in readings(path, value, self._short):
                if self._read(path, rule) == taken:
                    continue
                if not self._comparison({**rules, path: rule}).problems:
                    problems.append(unclear(path, MEANINGS[rule]))
                    break
        return BlockComparison(tuple(problems), found.changes, found.constants)

    def _read(self, path: Path, rule: Rule) -> Any:
        return _get(self._data({path: rule}), path)

    def _data(self, rules: Mapping[Path, Rule]) -> Section:
        """Return the configuration by the table and by these rules."""
        data = copy.deepcopy(self._base)
        for path, rule in rules.items():
            section, name = _get(data, path[:-1]), path[-1]
            section[name] = copy.deepcopy(_get(self._origin.data, path))
            rule(section, name, self._short)
        for path, value in self._settings.items():
            _get(data, path[:-1])[path[-1]] = value
        return data

    def _comparison(self, rules: dict[Path, Rule]) -> BlockComparison:
        try:
            shorter = _skeleton(self._stack, self._data(rules))
        except Exception as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            return BlockComparison((f"{_UNBUILT}: {' '.join(first[:2])}",))
        return compare(whole_skeleton(self._stack), shorter, self._stack, self._kept)

    def _skeleton(self, rules: dict[Path, Rule]) -> Skeleton | None:
        try:
            return _skeleton(self._stack, self._data(rules))
        except Exception:
            return None


_UNBUILT = "the model without these blocks cannot be built"


def _unbuilt(found: BlockComparison) -> bool:
    return bool(found.problems) and found.problems[0].startswith(_UNBUILT)


def _others(value: Any) -> Iterator[Any]:
    """Yield other values of a field, near to its own."""
    if type(value) is int:
        yield from (value - 1, value + 1)
    elif isinstance(value, str | list | tuple) and value:
        yield value[::-1]
        if not isinstance(value, str):
            yield list(value[:-1])
    elif isinstance(value, dict) and value:
        yield dict(list(value.items())[:-1])


def _unlike(some: Skeleton, other: Skeleton, path: str) -> bool:
    if path not in some or path not in other:
        return True
    one, two = some[path], other[path]
    return (one.kind, one.tensors, one.buffers, one.others) != (
        (two.kind, two.tensors, two.buffers, two.others)
    ) or bool(differing(one, two))


def _get(data: Any, path: Path) -> Any:
    for name in path:
        data = data[name]
    return data


def whole_skeleton(stack: Stack) -> Skeleton:
    """Return the facts of the whole model; they are found out once per stack."""
    if "whole" not in stack.memory:
        origin: Origin = stack.origin  # type: ignore[assignment]
        stack.memory["whole"] = _built(stack, origin.data)
    whole: Skeleton = stack.memory["whole"]
    return whole


def _skeleton(stack: Stack, data: Section) -> Skeleton:
    """Describe the model of a configuration; of the last few, what is known already."""
    known: list[tuple[Section, Skeleton]] = stack.memory.setdefault("shorter", [])
    for other, skeleton in known:
        if other == data:
            return skeleton
    skeleton = _built(stack, data)
    known[:] = [(data, skeleton), *known[:2]]
    return skeleton


def _built(stack: Stack, data: Section) -> Skeleton:
    origin: Origin = stack.origin  # type: ignore[assignment]
    return describe(
        build_skeleton(origin.model_class, rebuild_config(origin.config, copy.deepcopy(data)))
    )
