"""How the per-layer fields of a configuration follow the blocks that stay: one rule per kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Section = dict[str, Any]
"""A configuration, or a configuration inside one, as a plain dictionary."""


@dataclass(frozen=True)
class Shortening:
    """The blocks that stay (`kept`, ascending) out of `num_blocks`."""

    kept: tuple[int, ...]
    num_blocks: int

    @property
    def position(self) -> dict[int, int]:
        """The new index of every block that stays."""
        return {block: index for index, block in enumerate(self.kept)}


Rule = Callable[[Section, str, Shortening], None]


def filter_list(section: Section, name: str, short: Shortening) -> None:
    """Keep the entries of the blocks that stay in a list (or string) of one entry per block."""
    value = section[name]
    if isinstance(value, str) and len(value) == short.num_blocks:
        section[name] = "".join(value[block] for block in short.kept)
    elif isinstance(value, list | tuple) and len(value) == short.num_blocks:
        section[name] = [value[block] for block in short.kept]


def remap_indices(section: Section, name: str, short: Shortening) -> None:
    """Rename the block indices in a list of them; those of missing blocks go."""
    value = section[name]
    if isinstance(value, list | tuple) and all(type(entry) is int for entry in value):
        position = short.position
        last = short.num_blocks
        absolute = [entry + last if entry < 0 else entry for entry in value]
        section[name] = [
            entry if entry < 0 or entry >= last else position[block]
            for entry, block in zip(value, absolute, strict=True)
            if block in position or block >= last
        ]


def remap_keys(section: Section, name: str, short: Shortening) -> None:
    """Rename the keys of a dictionary that is keyed by block index."""
    value = section[name]
    if isinstance(value, dict):
        position = short.position
        section[name] = {
            str(position[int(key)]) if isinstance(key, str) else position[key]: entry
            for key, entry in value.items()
            if int(key) in position
        }


def count_leading(section: Section, name: str, short: Shortening) -> None:
    """Recount a field that says how many blocks at the start are of another kind."""
    if type(section[name]) is int:
        section[name] = sum(block < section[name] for block in short.kept)


def remap_last(section: Section, name: str, short: Shortening) -> None:
    """Rename the index of the last block of a kind to that of the last one that stays."""
    if type(section[name]) is int and 0 <= section[name] < short.num_blocks:
        section[name] = sum(block <= section[name] for block in short.kept) - 1


def count_trailing(section: Section, name: str, short: Shortening) -> None:
    """Recount a field that says how many blocks at the end are of another kind."""
    if type(section[name]) is int:
        first = short.num_blocks - section[name]
        section[name] = sum(block >= first for block in short.kept)


def scale_by_root(section: Section, name: str, short: Shortening) -> None:
    """Keep a residual scale that the model divides by the root of its number of blocks."""
    if isinstance(section[name], int | float):
        section[name] *= math.sqrt(len(short.kept) / short.num_blocks)


def rewrite_runs(section: Section, name: str, short: Shortening) -> None:
    """Rewrite `[[["global", "local"], 6]]` (a pattern and its repetitions) entry by entry."""
    entries = [kind for kinds, times in section[name] for kind in list(kinds) * times]
    if len(entries) == short.num_blocks:
        section[name] = [[[entries[block]], 1] for block in short.kept]


def remap_pairs(section: Section, name: str, short: Shortening) -> None:
    """Rename the block index in pairs (feature layer, block that it enters).

    What enters a missing block enters the next block that stays.
    """
    section[name] = [
        [
            feature,
            next((index for index, kept in enumerate(short.kept) if kept >= block), block)
            if 0 <= block < short.num_blocks
            else block,
        ]
        for feature, block in section[name]
    ]


def regenerate(section: Section, name: str, short: Shortening) -> None:
    """Drop a backbone's choice of outputs: its class derives names and indices anew."""
    if "stage_names" in section or name == "stage_names":
        del section[name]
    elif isinstance(section[name], list | tuple):
        remap_indices(section, name, short)


def tile(section: Section, name: str, short: Shortening) -> None:
    """Write out a pattern that is tiled over the blocks, one entry per block that stays."""
    pattern = section[name]
    if isinstance(pattern, list | tuple) and pattern:
        section[name] = [pattern[block % len(pattern)] for block in short.kept]


def refit_period(offset_name: str) -> Rule:
    """Return the rule for blocks marked by `index % period == offset`: another such pair.

    When no pair fits, the pair stays, and the shorter model is built with other kinds of blocks:
    `admissible` sees that.
    """

    def rule(section: Section, name: str, short: Shortening) -> None:
        period, offset = section[name], section.get(offset_name)
        if type(period) is not int or type(offset) is not int or period < 1:
            return
        wanted = [block % period == offset for block in short.kept]
        length = len(short.kept)
        for new_period in (period, *range(1, length + 2)):
            for new_offset in range(new_period):
                if [index % new_period == new_offset for index in range(length)] == wanted:
                    section[name], section[offset_name] = new_period, new_offset
                    return

    return rule


def refit_step(section: Section, name: str, short: Shortening) -> None:
    """Write Qwen's `decoder_sparse_step` as the list of blocks with a dense layer."""
    step, dense = section[name], section.get("mlp_only_layers")
    if type(step) is not int or step < 2 or not isinstance(dense, list):
        return
    gone = set(dense)
    section[name] = 1
    section["mlp_only_layers"] = sorted(
        block for block in range(short.num_blocks) if block in gone or (block + 1) % step != 0
    )
