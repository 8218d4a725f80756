"""The config.json of the smaller model, for any class of configurations."""

from __future__ import annotations

import copy
import json
import math
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import StackError
from depthprune.blocks.layer_rules import Section

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


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

    def differing(candidate: Section) -> Section:
        found = _comparable(rebuild_config(config, _numbers_from_json(candidate)))
        return {
            name: value
            for name, value in wanted.items()
            if name not in found or found[name] != value
        }

    written = _changed(copy.deepcopy(raw), before, after, config)
    if not differing(written):
        return _storable(written)
    explicit = written | {
        name: after.get(name, value) for name, value in differing(written).items()
    }
    if not differing(explicit):
        return _storable(explicit)
    whole = {**raw, **after}
    left = differing(whole)
    if left:
        raise StackError(
            f"the configuration of the smaller model cannot be written: {min(left)} would differ",
            where="config.json",
            mend="save the model with this version of transformers, then cut it",
        )
    return _storable(whole)


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


def _storable(section: Section) -> Section:
    """Return a copy of a configuration that JSON can hold, see `_numbers_from_json`."""
    return {name: _numbers_to_json(value) for name, value in section.items()}


def _numbers_to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        names = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return {_NO_JSON_NUMBER: names.get(value, "NaN")}
    if isinstance(value, dict):
        return _storable(value)
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
