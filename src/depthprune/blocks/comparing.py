"""How the skeleton of a shorter model differs from the blocks that stay of the whole one.

A block that stays must be what it was. Of what differs all the same, its index, the number of
blocks and a few constants that the model computes from its place are explained; the rest is a
reason to refuse.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from depthprune.blocks.layer_fields import way_out
from depthprune.blocks.layer_rules import (
    Inexpressible,
    Section,
    Shortening,
    filter_list,
    remap_indices,
    remap_keys,
    remap_one_based,
    remap_outputs,
    remap_states,
)
from depthprune.blocks.skeleton import ModuleFacts, Skeleton

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from depthprune.blocks.stack import Stack

ABSENT: Final = object()
"""The value of an attribute that is not there."""


@dataclass(frozen=True)
class AttributeChange:
    """An attribute that has another value in the shorter model.

    Attributes:
        module: path of the module in the whole model.
        configs: attributes that lead from the module to a configuration in it; empty when the
            attribute is the module's own.
        name: the attribute.
        after: its value in the shorter model, or ABSENT.
    """

    module: str
    configs: tuple[str, ...]
    name: str
    after: Any


@dataclass(frozen=True)
class BlockComparison:
    """What differs between the blocks that stay and the shorter model.

    Attributes:
        problems: what a block would have to be otherwise, in words; empty when nothing.
        changes: the attributes that the modules that stay must be given.
        constants: names of the attributes that follow the place of a block.
    """

    problems: tuple[str, ...]
    changes: tuple[AttributeChange, ...] = ()
    constants: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlaceConstant:
    """A number that a model computes from the place of a block, or from how many there are.

    It cannot be stored, so it is that of the new place, under `skip` as in what `cut` writes.

    Attributes:
        name: of the attribute.
        kind: of the module, a regular expression.
        flag: attribute of the module without which it does not follow the place.
    """

    name: str
    kind: str = ".*"
    flag: str = ""


PLACE_CONSTANTS = (
    PlaceConstant("lambda_init", "DiffLlama.*"),
    PlaceConstant("scaling", flag="scale_attn_by_inverse_layer_idx"),
    PlaceConstant("scaling_factor", "(?i)esmc.*"),
    PlaceConstant("attn_residual_add_idx", "Beam.*"),
    PlaceConstant("mlp_residual_add_idx", "Beam.*"),
)


@dataclass(frozen=True)
class FixedAttribute:
    """An attribute that a block's weights were trained with, and that its new place would change.

    Attributes:
        name: of the attribute.
        reason: why the change is no way out.
        matters: whether a new value does any harm.
    """

    name: str
    reason: str
    matters: Callable[[Any], bool] = lambda after: True


FIXED_ATTRIBUTES = (
    FixedAttribute(
        "shift_size", "every other block shifts its windows; remove neighbours in pairs"
    ),
    FixedAttribute(
        "store_full_length_kv",
        "later blocks read the keys and values of a block that would be gone",
        matters=bool,
    ),
)
"""They are judged by `depthprune.blocks.admissible`."""

_ONLY_IN_TRAINING = re.compile(r".*(drop|gradient|checkpoint|initializer).*")
_NAMES_BLOCKS = re.compile(r".*(layer|block|idx|index|indices|source|shared|depth|_ids?).*")
_INEXPRESSIBLE = "the configuration cannot express this pattern of blocks"


def compare(
    whole: Skeleton, shorter: Skeleton, stack: Stack, kept: tuple[int, ...]
) -> BlockComparison:
    """Compare the modules that stay, at their new places, with the shorter model."""
    places = {
        path: new_path for path in whole if (new_path := moved_path(path, stack, kept)) is not None
    }
    problems = list(_misfits(whole, shorter, places, stack))
    if problems:
        return BlockComparison(tuple(problems))
    judged = _Judged(whole, shorter, places, stack, kept)
    problems = [*judged.problems(), *_renamed_outside(whole, shorter, places, stack, kept)]
    return BlockComparison(
        tuple(problems), tuple(_changes(whole, shorter, places)), judged.constants()
    )


def _renamed_outside(
    whole: Skeleton,
    shorter: Skeleton,
    places: dict[str, str],
    stack: Stack,
    kept: tuple[int, ...],
) -> Iterator[str]:
    """Say where a module around the blocks would name other blocks than those it named."""
    short = Shortening(kept, stack.num_blocks)
    for path, new_path in places.items():
        if place_of(path, stack) or not stack.path.startswith(path):
            continue
        for name in differing(whole[path], shorter[new_path]):
            before = _numbers(whole[path].values.get(name))
            after = _numbers(shorter[new_path].values.get(name))
            if before is None or after is None or not _NAMES_BLOCKS.fullmatch(name):
                continue
            if after not in _renamings(before, short):
                yield (
                    f"{path or 'the model'}.{name} names the blocks {before}, and would name "
                    f"{after}, which are not the same blocks"
                )


def _numbers(value: Any) -> list[int] | None:
    """Return the sorted entries of a set or list of numbers, None of anything else."""
    if not isinstance(value, set | frozenset | list | tuple):
        return None
    return sorted(value) if all(type(entry) is int for entry in value) else None


def _renamings(numbers: list[int], short: Shortening) -> Iterator[list[int]]:
    """Yield what numbers of blocks, or of the states between them, are without some blocks."""
    for rule in (remap_indices, remap_one_based, remap_states, remap_outputs, filter_list):
        section: Section = {"": numbers}
        with contextlib.suppress(Inexpressible):
            rule(section, "", short)
            yield sorted(section[""])


def changed_outside(some: Skeleton, other: Skeleton, stack: Stack, values: list[Any]) -> bool:
    """Return whether two skeletons of equally many blocks differ outside the blocks.

    Attributes that hold one of `values`, the lists that were shortened, may differ.
    """
    inside = tuple(f"{container}." for container in stack.containers)
    if some.keys() != other.keys():
        return True
    for path, facts in some.items():
        if path.startswith(inside):
            continue
        facing = other[path]
        if (facts.kind, facts.tensors, facts.buffers) != (
            facing.kind,
            facing.tensors,
            facing.buffers,
        ):
            return True
        for name in facts.values.keys() | facing.values.keys():
            value = facts.values.get(name)
            if _differ(value, facing.values.get(name)) and value not in values:
                return True
    return False


def _misfits(
    whole: Skeleton, shorter: Skeleton, places: dict[str, str], stack: Stack
) -> Iterator[str]:
    """Say why the modules that stay, at their new places, are not the shorter model."""
    for path, new_path in places.items():
        if new_path not in shorter:
            yield f"at its new place, {path} could not be: {_INEXPRESSIBLE}"
        else:
            yield from _structural_differences(path, whole[path], shorter[new_path], stack)
    missing = shorter.keys() - places.values()
    if missing:
        yield (
            f"the model without these blocks needs a {min(missing)}, which no block that stays "
            "can be"
        )


def _structural_differences(
    path: str, whole: ModuleFacts, shorter: ModuleFacts, stack: Stack
) -> Iterator[str]:
    """Say how a module would be built differently in the shorter model, if it would."""
    place = path or "the model"
    if whole.kind != shorter.kind and not _both_pass_through(whole, shorter):
        yield (
            f"at its new place, {place} would be a {shorter.kind} instead of a {whole.kind}: "
            + _INEXPRESSIBLE
        )
    for name in whole.others.keys() & shorter.others.keys():
        if whole.others[name] != shorter.others[name]:
            yield (
                f"at its new place, {place}.{name} would be {shorter.others[name]} instead of "
                f"{whole.others[name]}: {_INEXPRESSIBLE}"
            )
    sliced = {tensor.name for tensor in stack.tensors}
    for name in sorted(whole.tensors.keys() | shorter.tensors.keys()):
        before, after = whole.tensors.get(name), shorter.tensors.get(name)
        if before != after and f"{path}.{name}".lstrip(".") not in sliced:
            yield (
                f"at its new place, {place}.{name} would have shape "
                f"{after[0] if after else 'none'} instead of {before[0] if before else 'none'}"
            )


def _both_pass_through(some: ModuleFacts, other: ModuleFacts) -> bool:
    """Return whether two modules do nothing outside training (stochastic depth, and none)."""
    return all(
        facts.kind == "Identity" or "DropPath" in facts.kind or "Dropout" in facts.kind
        for facts in (some, other)
    )


def moved_path(path: str, stack: Stack, kept: tuple[int, ...]) -> str | None:
    """Return where a module lies in the shorter model; None when its block is missing."""
    place = place_of(path, stack)
    if place is None:
        return path
    container, block, rest = place
    return f"{container}.{kept.index(block)}{rest}" if block in kept else None


def place_of(path: str, stack: Stack) -> tuple[str, int, str] | None:
    """Return the list of blocks that a module lies in, its block, and the rest of its path."""
    for container in stack.containers:
        match = re.match(rf"{re.escape(container)}\.(\d+)(?=\.|$)", path)
        if match:
            return container, int(match[1]), path[match.end() :]
    return None


@dataclass(frozen=True)
class _Attribute:
    """One attribute of the blocks: its values before and after, by block that stays."""

    name: str
    before: dict[int, Any]
    after: dict[int, Any]
    every: dict[int, Any]  # of the whole model, removed blocks included


class _Judged:
    """The attributes of blocks that have another value at their new place."""

    def __init__(
        self,
        whole: Skeleton,
        shorter: Skeleton,
        places: dict[str, str],
        stack: Stack,
        kept: tuple[int, ...],
    ) -> None:
        self._stack, self._kept = stack, kept
        self._position = {block: index for index, block in enumerate(kept)}
        self._constants: set[str] = set()
        self._whole, self._shorter = whole, shorter
        self._suspects: dict[tuple[str, str, str], str] = {}
        for path, new_path in places.items():
            place = place_of(path, stack)
            if place is None or _ONLY_IN_TRAINING.fullmatch(whole[path].kind.lower()):
                continue
            for name in differing(whole[path], shorter[new_path]):
                if _ONLY_IN_TRAINING.fullmatch(name) or any(
                    name == fixed.name for fixed in FIXED_ATTRIBUTES
                ):
                    continue
                self._suspects.setdefault((place[0], place[2], name), path)

    def problems(self) -> Iterator[str]:
        for (container, rest, name), path in self._suspects.items():
            facts = self._whole[path]
            if self._is_constant(name, facts):
                self._constants.add(name)
            elif not self._is_explained(self._attribute(container, rest, name)):
                before = facts.values.get(name, ABSENT)
                new_path = moved_path(path, self._stack, self._kept) or ""
                after = self._shorter[new_path].values.get(name, ABSENT)
                yield (
                    f"{path}.{name} is {_shown(before)}, and would be {_shown(after)} at its new "
                    "place, and no field of the configuration is found that says so; if there is "
                    f"one, {way_out()}"
                )

    def constants(self) -> tuple[str, ...]:
        return tuple(sorted(self._constants))

    def _is_constant(self, name: str, facts: ModuleFacts) -> bool:
        return any(
            name == row.name
            and re.fullmatch(row.kind, facts.kind)
            and (not row.flag or facts.values.get(row.flag))
            for row in PLACE_CONSTANTS
        )

    def _attribute(self, container: str, rest: str, name: str) -> _Attribute:
        every, before, after = {}, {}, {}
        for block in range(self._stack.num_blocks):
            facts = self._whole.get(f"{container}.{block}{rest}")
            if facts is None:
                continue
            every[block] = facts.values.get(name)
            if block in self._position:
                before[block] = every[block]
                new_path = f"{container}.{self._position[block]}{rest}"
                after[block] = self._shorter[new_path].values.get(name)
        return _Attribute(name, before, after, every)

    def _is_explained(self, one: _Attribute) -> bool:
        before, after = list(one.before.values()), list(one.after.values())
        if all(isinstance(value, list | tuple) for value in (*before, *after)):
            return all(map(self._is_shortened, before, after))
        if all(isinstance(value, dict) for value in (*before, *after)):
            return all(map(self._is_rekeyed, before, after))
        if not all(type(value) is int or value is None for value in (*before, *after)):
            return False
        numbers = {block: value for block, value in one.before.items() if value is not None}
        after_of = one.after
        if [value is None for value in before] != [value is None for value in after]:
            return False
        return (
            self._is_index(one.name, numbers, after_of)
            or self._is_count(numbers, after_of)
            or self._is_rank(one)
            or (
                _NAMES_BLOCKS.fullmatch(one.name) is not None
                and self._names_blocks(numbers, after_of)
            )
        )

    def _is_index(self, name: str, before: dict[int, int], after: dict[int, Any]) -> bool:
        """Return whether the values are those of the blocks' indices, counted from 0 or from 1."""
        pairs = list(before.items())
        pairs += [(self._position[block], after[block]) for block in before]
        # A block of several parts may count them: 2 i and 2 i + 1.
        strides = range(1, 5) if "idx" in name or "index" in name else (1,)
        return any(len({value - stride * at for at, value in pairs}) == 1 for stride in strides)

    def _is_count(self, before: dict[int, int], after: dict[int, Any]) -> bool:
        return set(before.values()) == {self._stack.num_blocks} and {
            after[block] for block in before
        } == {len(self._kept)}

    def _is_rank(self, one: _Attribute) -> bool:
        """Return whether the values count the blocks that have this attribute."""
        whole = [value for value in one.every.values() if value is not None]
        shorter = [value for value in one.after.values() if value is not None]
        return whole == list(range(len(whole))) and shorter == list(range(len(shorter)))

    def _names_blocks(self, before: dict[int, int], after: dict[int, Any]) -> bool:
        """Return whether the values are indices of other blocks, which stay."""
        return all(
            after[block] == (self._position.get(value) if 0 <= value < self._stack.num_blocks
                             else value)
            for block, value in before.items()
        )  # fmt: skip

    def _is_shortened(self, before: Any, after: Any) -> bool:
        """Return whether a list that a block holds is one entry per block, or indices of them."""
        if before == after:
            return True
        if len(before) == self._stack.num_blocks and list(after) == [
            before[block] for block in self._kept
        ]:
            return True
        if not all(type(entry) is int for entry in before):
            return False
        return list(after) == [self._position[entry] for entry in before if entry in self._position]

    def _is_rekeyed(self, before: dict[Any, Any], after: dict[Any, Any]) -> bool:
        """Return whether a dictionary that a block holds is keyed by blocks, and follows them."""
        follows = {key: entry for key, entry in before.items() if str(key).isdecimal()}
        short = Shortening(self._kept, self._stack.num_blocks)
        section: Section = {"": follows}
        remap_keys(section, "", short)
        return len(follows) == len(before) and bool(section[""] == after)


def _shown(value: Any) -> str:
    text = "absent" if value is ABSENT else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def differing(whole: ModuleFacts, shorter: ModuleFacts) -> list[str]:
    """Return the plain attributes that differ between two modules."""
    return [
        name
        for name in sorted(whole.values.keys() | shorter.values.keys())
        if _differ(whole.values.get(name, ABSENT), shorter.values.get(name, ABSENT))
    ]


def _changes(
    whole: Skeleton, shorter: Skeleton, places: dict[str, str]
) -> Iterator[AttributeChange]:
    """Yield every attribute that differs, of modules and of the configurations they hold."""
    compared: dict[tuple[int, int], list[AttributeChange]] = {}
    for path, new_path in places.items():
        facts, other = whole[path], shorter[new_path]
        for name in differing(facts, other):
            yield AttributeChange(path, (), name, other.values.get(name, ABSENT))
        for name in facts.configs.keys() & other.configs.keys():
            # Many modules hold the same configuration, which is compared once.
            pair = facts.configs[name], other.configs[name]
            key = id(pair[0]), id(pair[1])
            if key not in compared:
                compared[key] = list(_config_changes(*pair, configs=()))
            for change in compared[key]:
                yield AttributeChange(path, (name, *change.configs), change.name, change.after)


def _config_changes(
    whole: PreTrainedConfig, shorter: PreTrainedConfig, configs: tuple[str, ...]
) -> Iterator[AttributeChange]:
    from transformers import PreTrainedConfig

    before, after = vars(whole), vars(shorter)
    for name in before.keys() | after.keys():
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(old, PreTrainedConfig) and isinstance(new, PreTrainedConfig):
            yield from _config_changes(old, new, (*configs, name))
        elif _differ(old, new):
            yield AttributeChange("", configs, name, new)


def _differ(before: Any, after: Any) -> bool:
    if type(before) is float and type(after) is float and math.isclose(before, after):
        return False  # a root that is multiplied and divided again
    try:
        return before is not after and bool(before != after)
    except Exception:  # values that cannot be compared (configurations in lists, arrays)
        return True
