"""The names of the documented result files."""

from __future__ import annotations

import hashlib
import re

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal, format_removal, parse_removal

SUMMARY = "exp3_accuracy_sensitivity_v2_results.json"
IMPORTANCE = "layer_importance_scores.json"
BASELINE = "sensitivity_baseline.json"
PROVENANCE = "provenance.json"

_SENSITIVITY = re.compile(r"sensitivity_block_(\d{1,9})\.json")
_BEAM = re.compile(r"beam_search_step\d+_blocks\d+_removed([^/\\]+)\.json")
_COMPARISON = re.compile(r"importance_comparison_[^/\\]+\.json")

# File systems end a name at 255 bytes; the rest is room for the temporary file of an atomic write.
_LONGEST = 220


def removal_file(removal: Removal, num_blocks: int) -> str:
    """Return the name of the file about one removal.

    A list of blocks too long for a file name is replaced by its digest; the file holds the list.
    """
    if not removal:
        return BASELINE
    if len(removal) == 1:
        return f"sensitivity_block_{removal[0]}.json"
    start = f"beam_search_step{len(removal)}_blocks{num_blocks - len(removal)}_removed"
    return f"{start}{removal_name(removal, _LONGEST - len(start))}.json"


def removal_name(removal: Removal, longest: int = _LONGEST // 2) -> str:
    """Return the blocks of a removal as part of a file name: `4-13`, or a digest of a long list."""
    blocks = format_removal(removal)
    if len(blocks) <= longest:
        return blocks
    return "sha" + hashlib.sha256(blocks.encode()).hexdigest()[:16]


def comparison_file(task: str) -> str:
    """Return the name of the file that compares the importance scores of two splits."""
    return f"importance_comparison_{task}.json"


def is_removal_file(name: str) -> bool:
    """Return whether a file of this name is about one removal."""
    return name == BASELINE or bool(_SENSITIVITY.fullmatch(name) or _BEAM.fullmatch(name))


def is_result_file(name: str) -> bool:
    """Return whether a file of this name holds results of one split."""
    return name in (SUMMARY, IMPORTANCE) or is_removal_file(name)


def is_comparison_file(name: str) -> bool:
    """Return whether a file of this name compares the importance scores of two splits."""
    return bool(_COMPARISON.fullmatch(name))


def named_removal(name: str) -> Removal | None:
    """Return the removal that the name of a file states, or None where it states none."""
    if name == BASELINE:
        return ()
    found = _SENSITIVITY.fullmatch(name) or _BEAM.fullmatch(name)
    try:
        return parse_removal(found[1]) if found else None
    except RemovalError:
        return None
