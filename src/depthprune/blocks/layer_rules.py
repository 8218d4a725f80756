"""How the per-layer fields of a configuration follow the blocks that stay: one rule per kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from depthprune.base.language import counted

Section = dict[str, Any]
"""A configuration, or a configuration inside one, as a plain dictionary."""


class Inexpressible(ValueError):
    """No value of a field says what it said of the whole model; the text names field and reason."""


@dataclass(frozen=True)
class Shortening:
    """The blocks that stay (`kept`, ascending) out of `num_blocks`.

    `num_extra` heads that predict further tokens may have entries of their own after the blocks'.
    """

    kept: tuple[int, ...]
    num_blocks: int
    num_extra: int = 0

    @property
    def position(self) -> dict[int, int]:
        """The new index of every block that stays."""
        return {block: index for index, block in enumerate(self.kept)}

    def is_per_block(self, value: Any) -> bool:
        """Return whether a value is a list of one entry per block, extra heads included or not."""
        lengths = (self.num_blocks, self.num_blocks + self.num_extra)
        return isinstance(value, list | tuple) and len(value) in lengths

    def state(self, index: int) -> int:
        """Return which hidden state is that of `index` (0: before the first block) in the whole.

        A block that is missing passes its input through, so every hidden state still exists.
        """
        return sum(block < index for block in self.kept)


Rule = Callable[[Section, str, Shortening], None]


def filter_list(section: Section, name: str, short: Shortening) -> None:
    """Keep the entries of the blocks that stay in a list (or string) of one entry per block."""
    value = section[name]
    if isinstance(value, str) and len(value) == short.num_blocks:
        section[name] = "".join(value[block] for block in short.kept)
    elif short.is_per_block(value):
        entries = [value[block] for block in short.kept]
        section[name] = [*entries, *value[short.num_blocks :]]


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


def remap_one_based(section: Section, name: str, short: Shortening) -> None:
    """Rename the block indices in a list that counts from 1; those of missing blocks go."""
    value = section[name]
    if isinstance(value, list | tuple) and all(type(entry) is int for entry in value):
        position, last = short.position, short.num_blocks
        section[name] = [
            entry if not 1 <= entry <= last else position[entry - 1] + 1
            for entry in value
            if not 1 <= entry <= last or entry - 1 in position
        ]


def remap_text(section: Section, name: str, short: Shortening) -> None:
    """Rename the block indices in a text such as `3,4,5`; those of missing blocks go."""
    value = section[name]
    if isinstance(value, str) and all(one.strip().isdecimal() for one in value.split(",")):
        indices: Section = {name: [int(one) for one in value.split(",")]}
        remap_indices(indices, name, short)
        section[name] = ",".join(map(str, indices[name]))


def remap_states(section: Section, name: str, short: Shortening) -> None:
    """Rename indices of hidden states: 0 is what the first block is given, -1 the last state."""
    section[name] = _each(section[name], lambda index: _state(index, short))


def _state(index: int, short: Shortening) -> int:
    if index >= 0:
        return short.state(index) if index <= short.num_blocks else index
    if index < -short.num_blocks - 1:
        return index
    new = short.state(index + short.num_blocks + 1)
    # Some models take the output of the whole tower for -1: of another state it is not said.
    return index if index == -1 else new if new == len(short.kept) else new - len(short.kept) - 1


def remap_outputs(section: Section, name: str, short: Shortening) -> None:
    """Rename indices of blocks whose output is taken; of a missing one, that of the one before.

    Raises:
        Inexpressible: there is none before, or two entries would name one block.
    """
    value = section[name]
    section[name] = _each(value, lambda index: _output(index, name, short))
    if isinstance(value, list | tuple) and len(set(section[name])) < len(set(value)):
        raise Inexpressible(f"two entries of {name} would name the same block")


def remap_feature_layers(section: Section, name: str, short: Shortening) -> None:
    """Rename what Molmo takes: outputs of blocks from the start, hidden states from the end."""
    section[name] = _each(
        section[name],
        lambda index: _state(index, short) if index < 0 else _output(index, name, short),
    )


def _output(index: int, name: str, short: Shortening) -> int:
    last = short.num_blocks
    if not -last <= index < last:
        return index
    new = short.state(index % last + 1) - 1
    if new < 0:
        raise Inexpressible(
            f"{name} names the output of block {index}, and no block before it would be left"
        )
    return new if index >= 0 else new - len(short.kept)


def _each(value: Any, rename: Callable[[int], int]) -> Any:
    if type(value) is int:
        return rename(value)
    if isinstance(value, list | tuple) and all(type(entry) is int for entry in value):
        return [rename(entry) for entry in value]
    return value


def remap_first_of_pairs(section: Section, name: str, short: Shortening) -> None:
    """Rename the block index in pairs (block, head); the pairs of missing blocks go."""
    pairs, position = section[name], short.position
    if isinstance(pairs, list | tuple) and all(isinstance(pair, list | tuple) for pair in pairs):
        found = [[position[pair[0]], *pair[1:]] for pair in pairs if pair[0] in position]
        section[name] = found or None


def remap_pair_states(section: Section, name: str, short: Shortening) -> None:
    """Rename the hidden state in pairs (hidden state of this stack, block of another stack)."""
    section[name] = [[_state(state, short), *rest] for state, *rest in section[name]]


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


def enter_leading(section: Section, name: str, short: Shortening) -> None:
    """Leave a list of blocks of the vision tower, n of which send features to the first n blocks.

    Raises:
        Inexpressible: one of the first n is missing, and features would enter elsewhere.
    """
    depth = section.get("depth", section.get("num_hidden_layers", math.inf))
    number = sum(0 <= index < depth for index in section[name])
    if short.kept[:number] != tuple(range(min(number, short.num_blocks))):
        raise Inexpressible(
            f"features of pictures enter after each of the first {counted(number, 'block')} "
            f"({name}), and "
            "would enter after other blocks"
        )


def keep_middle(section: Section, name: str, short: Shortening) -> None:
    """Check encoders that feed the scores of their middle back after half of their blocks.

    Raises:
        Inexpressible: with the blocks that stay, that would happen elsewhere.
    """
    moved = short.state(short.num_blocks // 2) != len(short.kept) // 2
    if moved and re.fullmatch(r"granite_speech\w*_encoder", str(section[name])):
        raise Inexpressible(
            "the scores of the middle are fed back after half of the blocks, and would be fed back "
            "after another block; remove as many of the first half as of the second"
        )


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
    """Write Qwen's `decoder_sparse_step` as the list of blocks with a dense layer.

    NLLB has no such list: there another step is looked for. Where none fits, the step stays, and
    `admissible` sees blocks of another kind.
    """
    step, dense = section[name], section.get("mlp_only_layers")
    if type(step) is not int or step < 1:
        return
    if isinstance(dense, list):
        gone = set(dense)
        section[name] = 1
        section["mlp_only_layers"] = sorted(
            block for block in range(short.num_blocks) if block in gone or (block + 1) % step != 0
        )
        return
    wanted = [(block + 1) % step == 0 for block in short.kept]
    length = len(wanted)
    for other in (step, *range(1, length + 2)):
        if [(index + 1) % other == 0 for index in range(length)] == wanted:
            section[name] = other
            return
