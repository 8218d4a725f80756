"""The JSON files of an anatomy and of a comparison, of this program and of older scripts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from depthprune.base.documents import Json, read_document
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.anatomy_file import ANATOMY
from depthprune.structure.comparison import Comparison
from depthprune.structure.comparison_file import COMPARISON

ANATOMY_FILES = ("model_structure.json", "pruned_model_analysis.json")
"""The two names of the same file, of the pruned model."""

ORIGINAL_FILE = "original_model_analysis.json"

COMPARISON_FILES = ("pruning_comparison.json", "model_comparison.json")
"""The two names of the same file."""

FOLDER = "analysis"
"""The folder of these files, in that of the model."""

GENERIC_NAMES = frozenset({"原始模型", "剪枝后模型"})
"""What older scripts wrote where they knew no name: original model, pruned model."""

_MEND = "mend the file, or analyse the model again"


def read_anatomy(path: Path) -> Anatomy:
    """Read a `model_structure.json`, or a `pruned_` or `original_model_analysis.json`.

    What an older file counts in its total and in no part is `other`.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong, or the parts are more than the whole; with its place.
    """
    found: Anatomy = read_document(path, ANATOMY.read, mend=_MEND)
    return found if found.name else replace(found, name=_folder_name(path))


def read_comparison(path: Path) -> Comparison:
    """Read a `model_comparison.json` or `pruning_comparison.json`.

    An older file compares layer i with layer i: of layers that were removed it tells only the
    number, by its sums (`missing_layers`); its strategy follows from its numbers.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: a field is wrong; with its place.
    """
    found: Comparison = read_document(path, COMPARISON.read, mend=_MEND)
    return found if found.pruned_name else replace(found, pruned_name=_folder_name(path))


def anatomy_document(anatomy: Anatomy) -> Json:
    """Return the content of `model_structure.json`; a count that is not known is null."""
    return dict(ANATOMY.write(anatomy))


def comparison_document(comparison: Comparison) -> Json:
    """Return the content of `model_comparison.json`, one entry for each layer of the original."""
    return dict(COMPARISON.write(comparison))


def _folder_name(path: Path) -> str:
    folder = path.absolute().parent
    return (folder.parent if folder.name == "analysis" else folder).name
