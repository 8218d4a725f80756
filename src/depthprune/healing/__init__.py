"""Win back a part of what a cut costs, without training: a linear map for removed blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from depthprune.base.options import Options

Method = Literal["linear"]
Positions = Literal["auto", "all", "answers"]


@dataclass(frozen=True)
class LinearMap(Options):
    """Healing."""

    heal: Method | None = None
    """Win back a part of the loss: linear puts a linear map in place of every run of removed
    blocks, fitted to samples of --task and folded into a weight of the block before it."""

    positions: Positions = "auto"
    """Tokens that it is fitted to: all, answers (those that predict an answer), or auto (what is
    better on a fifth of the samples)."""

    tasks: tuple[str, ...] = ()
    """Tasks whose prompts and reference answers it is fitted to."""

    task_files: tuple[Path, ...] = ()
    """Files that define your own tasks: YAML, or Python, which is executed."""

    data_dir: Path | None = None
    """Folder with local copies of the data: DIR/TASK/SPLIT.jsonl, .parquet or a folder."""

    split: str = "train"
    """Split of the tasks."""

    num_samples: Annotated[int, Ge(0)] = 256
    """Number of samples of each task; 0 means all."""

    seed: int = 0
    """Random seed of the choice of samples."""
