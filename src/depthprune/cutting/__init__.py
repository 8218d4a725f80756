"""Cut blocks out of a checkpoint: plan what will be written, then copy bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthprune.base.options import Options

Tool = Literal["mergekit", "llama.cpp"]
"""Another program that can make the same removal."""


@dataclass(frozen=True)
class CutOptions(Options):
    """How the smaller checkpoint is written."""

    dry_run: bool = False
    """Show what is kept, removed and changed, without writing anything."""

    overwrite: bool = False
    """Replace an existing checkpoint once the new one is complete."""

    max_shard_size: str = "5GB"
    """Maximum size of one weight file, e.g. 5GB, 500MB, 2GiB."""

    stack: str = "text"
    """Stack of blocks to cut: text, vision, encoder or decoder."""

    study: Path | None = None
    """Folder of a study of this model, whose measured drops are added to the model card."""

    also: tuple[Tool, ...] = ()
    """Other tools to write the removal for as well: mergekit (YAML), llama.cpp (--prune-layers)."""

    settings: tuple[str, ...] = ()
    """Field of the new config.json to set, as FIELD=JSON; repeatable."""

    verify: bool = False
    """Load both models and compare the cut one with skipping the blocks; needs memory for the whole
    model."""

    trust_remote_code: bool = False
    """Run code that comes with the checkpoint. Only for checkpoints you trust."""

    revision: str | None = None
    """Branch, tag or commit of a hub model."""

    download: bool = False
    """Download the model from the hub; otherwise only the local cache is read."""
