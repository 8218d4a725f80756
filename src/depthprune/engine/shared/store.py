"""Stems of many batches: in memory while there is room, then in files, then not at all.

A stem that is nowhere is computed anew, so that neither a full disk nor a lost file is an error.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from depthprune.base.log import logger
from depthprune.engine.shared.stem import Stem

Key = tuple[int, int, int, int]
"""Number of the split's memory, of the group, first and last row."""


class StemStore:
    """Keeps stems; those used longest ago go to disk first.

    Args:
        room: how many bytes may be kept in memory.
        disk_room: how many bytes may be kept in files, in a temporary folder of this store that is
            removed with it.
    """

    def __init__(self, room: int, disk_room: int) -> None:
        self._room = room
        self._disk_room = disk_room
        self._kept: dict[Key, Stem] = {}
        self._spilled: dict[Key, tuple[Path, Stem, int]] = {}
        self._folder: Path | None = None
        self._number = 0

    def get(self, key: Key) -> Stem | None:
        """Return a stem that was put here, or None when it is here no more."""
        stem = self._kept.pop(key, None)
        if stem is None:
            stem = self._load(key)
        if stem is not None:
            self.put(key, stem)
        return stem

    def put(self, key: Key, stem: Stem) -> None:
        """Keep a stem."""
        self._kept[key] = stem
        size = self.num_bytes()
        while size > self._room and self._kept:
            oldest = next(iter(self._kept))
            evicted = self._kept.pop(oldest)
            size -= evicted.num_bytes()
            self._spill(oldest, evicted)

    def forget(self, memory: int) -> None:
        """Drop all stems of a split's memory."""
        for key in [key for key in self._kept if key[0] == memory]:
            del self._kept[key]
        for key in [key for key in self._spilled if key[0] == memory]:
            self._spilled.pop(key)[0].unlink(missing_ok=True)

    def num_bytes(self) -> int:
        """How much memory the stems take."""
        return sum(stem.num_bytes() for stem in self._kept.values())

    def _spill(self, key: Key, stem: Stem) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        size = stem.num_bytes()
        path = None
        if size + sum(size for *_, size in self._spilled.values()) > self._disk_room:
            return
        try:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="depthprune-"))
                weakref.finalize(self, rmtree, self._folder, ignore_errors=True)
            path = self._folder / f"{self._number}.safetensors"
            self._number += 1
            # Copies: several tensors may be views of one, which the format does not know.
            named = {
                name: tensor.cpu().clone(memory_format=torch.contiguous_format)
                for name, tensor in stem.named().items()
            }
            save_file(named, path)
        except (OSError, SafetensorError) as error:
            logger.warning(
                "inputs cannot be kept on disk and are computed anew: %s",
                getattr(error, "strerror", None) or error,
            )
            self._disk_room = 0
            with suppress(OSError):
                if path is not None:
                    path.unlink()
            return
        # What is left of the stem in memory has no data: it says how to put the file together.
        self._spilled[key] = path, stem.with_tensors({}), size

    def _load(self, key: Key) -> Stem | None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if key not in self._spilled:
            return None
        path, rest, _ = self._spilled.pop(key)
        try:
            tensors = load_file(path, device=str(rest.device))
            path.unlink()
        except (OSError, SafetensorError):
            return None
        return rest.with_tensors(tensors)
