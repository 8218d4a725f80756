"""The config.json of the smaller model: what changes in it, for any class of configurations."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from depthprune.base.errors import StackError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.layer_fields import (
    EXTRA_COUNTS,
    CountField,
    readings,
    shorten_dict,
    shortening,
    unclear,
    unknown_fields,
)
from depthprune.blocks.layer_rules import Section, filter_list
from depthprune.blocks.stack import Stack

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


ABSENT: Final = "(absent)"
"""Stands for the value of a field that is not there."""


@dataclass(frozen=True)
class FieldChange:
    """A field of the configuration that has another value in the smaller checkpoint.

    Attributes:
        path: e.g. `text_config.num_hidden_layers`.
        before: its value, or ABSENT.
        after: its new value, or ABSENT.
    """

    path: str
    before: Any
    after: Any


def field_changes(before: Section, after: Section, prefix: str = "") -> tuple[FieldChange, ...]:
    """Return the fields that differ, those of inner configurations by their own paths."""
    changes: list[FieldChange] = []
    for name in (*before, *(name for name in after if name not in before)):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            changes += field_changes(old, new, f"{prefix}{name}.")
        elif old != new:
            changes.append(FieldChange(f"{prefix}{name}", old, new))
    return tuple(changes)


def written_config(
    raw: Section, config: PreTrainedConfig, before: Section, after: Section
) -> Section:
    """Return the new config.json: the old one, but for what must be said differently.

    What its class derives from the number of blocks (kinds of layers) is written out.

    Raises:
        StackError: no such file leads to the configuration that is wanted.
    """
    from depthprune.blocks.skeleton import rebuild_config

    wanted = _comparable(rebuild_config(config, after))

    def differing(candidate: Section) -> list[Path]:
        found = _comparable(rebuild_config(config, _numbers_from_json(candidate)))
        return _differences(wanted, found)

    written = _changed(copy.deepcopy(raw), before, after, config)
    # What differs is written out: field by field, else section by section, else everything.
    for depth in (None, 1):
        explicit = copy.deepcopy(written)
        for path in differing(written):
            _put(explicit, path[:depth], _get(after, path[:depth], _get(wanted, path[:depth])))
        if not differing(explicit):
            stored: Section = _numbers_to_json(explicit)
            return stored
    whole = {**raw, **after}
    left = differing(whole)
    if left:
        raise StackError(
            "the configuration of the smaller model cannot be written: "
            f"{'.'.join(left[0])} would differ",
            where="config.json",
            mend="save the model with this version of transformers, then cut it",
        )
    complete: Section = _numbers_to_json(whole)
    return complete


def shorten_stored(raw: Section, stack: Stack, removal: Removal) -> Section:
    """Return config.json in which the fields that its class converts are shortened as well.

    Hubs have fields (`compress_ratios`) that transformers reads into others and forgets: other
    programs still read them. What is given in `stack.settings` is set.

    Raises:
        StackError: such a field has entries that may be those of blocks, and nobody knows.
    """
    assert stack.origin is not None
    raw = copy.deepcopy(raw)
    count = CountField.parse(stack.config_path)
    section, known = raw, stack.origin.data
    for name in count.sections:
        section, known = section.get(name, section), known[name]
    stored = {name: value for name, value in section.items() if name not in known}
    if count.index is None and type(known[count.name]) is int:
        extra = {name: known[name] for name in EXTRA_COUNTS if name in known}
        whole = {count.name: stack.num_blocks, **extra, **stored}
        shorter = shorten_dict(whole, count.name, removal)
        short = shortening(whole, count.name, active_blocks(removal, stack.num_blocks))
        for path, value in unknown_fields(whole, count.name, short):
            if ".".join((*count.sections, *path)) in stack.settings:
                continue
            if readings(path, value, short) or len(path) > 1:
                raise StackError(unclear(path, "numbers of blocks"), where="config.json")
            filter_list(shorter, path[0], short)
        section |= {name: shorter[name] for name in stored}
    for name, value in stack.settings.items():
        _put(raw, tuple(name.split(".")), value)
    return raw


def check_settings(settings: Section, raw: Section, data: Section) -> None:
    """Raise StackError when a field that is to be set is in neither of two configurations."""
    for name in settings:
        path = tuple(name.split("."))
        if _get(raw, path, _MISSING) is _MISSING and _get(data, path, _MISSING) is _MISSING:
            raise StackError(
                f"the configuration has no field {name!r}",
                option="set",
                mend="write it as config.json does: text_config.moe_layers",
            )


_MISSING: Final = object()
Path = tuple[str, ...]


def _differences(wanted: Section, found: Section, place: Path = ()) -> list[Path]:
    """Return the paths of the fields of `wanted` that `found` lacks or has with another value."""
    paths: list[Path] = []
    for name, value in wanted.items():
        other = found.get(name, _MISSING)
        if isinstance(value, dict) and isinstance(other, dict) and value.keys() == other.keys():
            paths += _differences(value, other, (*place, name))
        elif other is _MISSING or other != value:
            paths.append((*place, name))
    return paths


def _get(data: Any, path: Path, default: Any = None) -> Any:
    for name in path:
        if not isinstance(data, dict) or name not in data:
            return default
        data = data[name]
    return data


def _put(data: Section, path: Path, value: Any) -> None:
    for name in path[:-1]:
        data = data.setdefault(name, {})
    data[path[-1]] = value


_NO_JSON_NUMBER = "__float__"
"""The only key of what transformers writes for a number that JSON lacks."""


def _numbers_from_json(value: Any) -> Any:
    """Return a copy of a configuration with `{"__float__": "Infinity"}` as the number it means."""
    if isinstance(value, dict):
        if value.keys() == {_NO_JSON_NUMBER}:
            return float(value[_NO_JSON_NUMBER])
        return {name: _numbers_from_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_from_json(entry) for entry in value]
    return value


def _numbers_to_json(value: Any) -> Any:
    """Return a copy of a configuration that JSON can hold, see `_numbers_from_json`."""
    if isinstance(value, float) and not math.isfinite(value):
        names = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return {_NO_JSON_NUMBER: names.get(value, "NaN")}
    if isinstance(value, dict):
        return {name: _numbers_to_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_to_json(entry) for entry in value]
    return value


def _changed(raw: Section, before: Section, after: Section, config: Any) -> Section:
    """Change in `raw` what differs between `before` and `after`, section by section."""
    aliases: dict[str, str] = getattr(config, "attribute_map", None) or {}
    for alias, name in aliases.items():
        if alias in raw and before.get(name) != after.get(name):
            del raw[alias]
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if name not in after:
            raw.pop(name, None)
        elif isinstance(old, dict) and isinstance(new, dict) and isinstance(raw.get(name), dict):
            _changed(raw[name], old, new, getattr(config, name, None))
        elif (
            isinstance(old, dict)
            and isinstance(new, dict)
            and name not in raw
            and _lies_outside(raw, old, new)
        ):
            _changed(raw, old, new, getattr(config, name, None))
        elif old != new or name not in before:
            raw[name] = new
    return raw


def _lies_outside(raw: Section, old: Section, new: Section) -> bool:
    """Return whether the fields of an inner section stand in the outer one, as in older files."""
    return any(old[name] != new.get(name) and type(raw.get(name)) is int for name in old)


def _comparable(config: PreTrainedConfig) -> Section:
    """Return all that a configuration says but for its origin, as JSON would keep it."""
    data = json.loads(json.dumps(config.to_dict(), default=str))
    return {
        name: value
        for name, value in data.items()
        if name not in ("transformers_version", "_name_or_path", "architectures")
    }
