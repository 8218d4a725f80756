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
    """Show what stays, what goes and what changes; write nothing."""

    overwrite: bool = False
    """Replace a checkpoint that is there, once the new one is whole."""

    max_shard_size: str = "5GB"
    """Weights in one file at most: 5GB, 500MB, 2GiB."""

    stack: str = "text"
    """The stack to cut: text, vision, encoder, decoder."""

    study: Path | None = None
    """Folder of a study of this model: the measured drops go into the model card."""

    also: tuple[Tool, ...] = ()
    """Write the same removal for other tools: mergekit (YAML), llama.cpp (--prune-layers)."""

    settings: tuple[str, ...] = ()
    """Set a field of the new config.json, as FIELD=JSON; repeatable."""

    verify: bool = False
    """Load both models and compare skipping with cutting; needs memory for the whole model."""

    trust_remote_code: bool = False
    """Run code that comes with the checkpoint. Only for checkpoints you trust."""

    revision: str | None = None
    """Branch, tag or commit of a hub model."""

    download: bool = False
    """Allow fetching the model from the hub; otherwise only the local cache is read."""
