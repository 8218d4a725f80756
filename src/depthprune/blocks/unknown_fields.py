"""Fields of a configuration that may say something block by block, and that no table knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from depthprune.base.errors import option
from depthprune.blocks.layer_fields import CountField, known_fields
from depthprune.blocks.layer_rules import (
    Rule,
    Section,
    Shortening,
    filter_list,
    remap_indices,
    remap_keys,
    remap_one_based,
)

Path = tuple[str, ...]
"""The names that lead to a field of a configuration."""

_NOT_PER_BLOCK = re.compile(
    r".*token.*|.*_(mean|std)|image_.*|.*(patch|pixel|grid|kernel|window)_(size|shape|pinpoints)s?"
    r"|architectures|id2label|label2id|rope_(parameters|scaling).*|(mtp|num_mtp)_.*|auto_map"
    r"|.*_config|_?out_(features|indices)|stage_names|.*mrope_section|conv_(dim|stride|kernel)"
    r"|quantiles|langs|languages|time_step_limit|layer_norm_.*|ssm_multipliers|mlp_multipliers"
)
"""Fields that say nothing block by block, whatever their length."""

_SOUNDS_LIKE_BLOCKS = re.compile(
    r"(.*_)?(layers?|blocks?)(_\w+)?|.*(layer|block)_?(ids?|idxs?|indices|indexes|numbers)|.*_idxs"
)


def own_fields(data: Section, config_path: str) -> Iterator[tuple[Path, Any]]:
    """Yield the fields beside a count of blocks, and those of plain dictionaries beside it."""
    count = CountField.parse(config_path)
    for name, value in count.chain(data)[-1].items():
        if name == count.name or _NOT_PER_BLOCK.fullmatch(str(name)):
            continue
        yield (*count.sections, name), value
        if isinstance(value, dict) and "model_type" not in value:
            for inner, entry in value.items():
                yield (*count.sections, name, inner), entry


def unknown_fields(data: Section, config_path: str, short: Shortening) -> list[tuple[Path, Any]]:
    """Return the fields that the table lacks and that have entries, or numbers, for blocks."""
    if CountField.parse(config_path).index is not None or short.num_blocks < 2:
        return []
    known = known_fields(data, config_path)
    return [
        (path, value)
        for path, value in own_fields(data, config_path)
        if path not in known and (short.is_per_block(value) or readings(path, value, short))
    ]


def readings(path: Path, value: Any, short: Shortening) -> tuple[Rule, ...]:
    """Return what a list or dictionary may mean, where more than its length speaks for it."""
    num_blocks = short.num_blocks
    named = _SOUNDS_LIKE_BLOCKS.fullmatch(str(path[-1]))
    if not isinstance(value, list | tuple | dict) or not value:
        return ()
    if isinstance(value, dict):
        return (remap_keys, leave) if keyed_by_block(value, num_blocks) and named else ()
    indices = (
        all(type(entry) is int and -num_blocks <= entry <= num_blocks for entry in value)
        and len(set(value)) == len(value)
        and len(value) <= num_blocks
    )
    if not indices:
        return ()
    if short.is_per_block(value):
        in_order = list(value) in (list(range(num_blocks)), list(range(1, num_blocks + 1)))
        return (filter_list, remap_indices) if named or in_order else ()
    return (remap_indices, remap_one_based, leave) if named else ()


def keyed_by_block(value: dict[Any, Any], num_blocks: int) -> bool:
    """Return whether all keys could be numbers of blocks."""
    return all(str(key).isdecimal() and int(key) <= num_blocks for key in value)


def leave(section: Section, name: str, short: Shortening) -> None:
    """Leave a field as it is: a rule for what is not about blocks."""


def unclear(path: Path, meaning: str) -> str:
    """Return the sentence that refuses a field whose meaning nothing shows."""
    return (
        f"{'.'.join(map(str, path))} may hold {meaning}, and nothing in the model shows how it "
        f"follows the blocks: {way_out()}"
    )


def way_out() -> str:
    """Return how a user says what cannot be found out."""
    return f"give its new value with `cut {option('set', 'FIELD=JSON')}`"


MEANINGS: dict[Rule, str] = {
    filter_list: "one entry per block",
    remap_indices: "numbers of blocks",
    remap_one_based: "numbers of blocks that count from 1",
    remap_keys: "entries by the number of a block",
    leave: "something else than numbers of blocks",
}
