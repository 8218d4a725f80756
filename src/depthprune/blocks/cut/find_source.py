"""The folder of the checkpoint to cut: a folder, or a model of the hub with all its files."""

from __future__ import annotations

from pathlib import Path

from depthprune.base.errors import MissingModelError, ModelError
from depthprune.base.naming import option
from depthprune.blocks.checkpoint import checkpoint_folder, is_path, local_path, weight_files


def source_folder(source: str | Path, *, revision: str | None, download: bool) -> Path:
    """Return the folder of a checkpoint; transformers and torch are not loaded for it.

    Args:
        source: a folder, or the name of a model on the hub, which is looked up in the local cache.
        revision: of the model on the hub.
        download: whether the network may be asked for what the cache lacks.

    Raises:
        ModelError: there is neither, or the folder has no `config.json`.
    """
    path = local_path(source)
    if path.exists() or is_path(str(source)):
        return checkpoint_folder(source)
    from huggingface_hub import snapshot_download

    for only_cache in (True, False) if download else (True,):
        try:
            folder = snapshot_download(str(source), revision=revision, local_files_only=only_cache)
        except (OSError, ValueError) as error:
            failure = error
            continue
        if not only_cache or not download or _is_whole(Path(folder)):
            return checkpoint_folder(folder)
    raise MissingModelError(
        f"there is no model {str(source)!r}: no such folder, not in the local cache"
        + (", not on the hub" if download else ""),
        mend="check the name; gated models need `huggingface-cli login`"
        if download
        else f"check the name, or allow fetching it from the hub with {option('download')}",
    ) from failure


def _is_whole(folder: Path) -> bool:
    """Return whether a snapshot has its weights: the cache may hold the configuration alone."""
    try:
        return bool(weight_files(folder))
    except ModelError:
        return False
