"""What a weight file looks like by its first bytes: enough to tell a model from other tensors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from depthprune.checkpoint.links import leads_out

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")

Look = Literal["slicegpt", "layers", "unreadable"]
"""What SliceGPT wrote; tensors of numbered layers, or modules; a file that may not be read, or a
link out of its folder."""

# Names come first in every format.
_GLANCE = 1024**2
_LAYERS = re.compile(rb"\.\d+\.|_modules|\.(layers|blocks|h)\.")


def glance(path: Path) -> Look | None:
    """Return what a weight file looks like; None when nothing in it is a layer's."""
    if not path.name.endswith(SUFFIXES):
        return None
    if leads_out(path):
        return "unreadable"
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            return None
        with path.open("rb") as file:
            start = file.read(_GLANCE)
    except OSError:
        return "unreadable"
    if b"shortcut_Q" in start:
        return "slicegpt"
    return "layers" if _LAYERS.search(start) else None
