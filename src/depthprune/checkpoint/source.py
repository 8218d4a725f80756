"""The folder of a checkpoint: a folder, or a model of the hub in the local cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from depthprune.base.errors import MissingModelError, ModelError, option
from depthprune.checkpoint.loaded_files import CONFIG_NAME, weight_files


def checkpoint_folder(
    source: str | Path, *, revision: str | None = None, download: bool = False
) -> Path:
    """Return the folder that holds `config.json` of a checkpoint.

    Args:
        source: a folder, or the name of a model on the hub, which is looked up in the local cache.
        revision: of the model on the hub.
        download: whether the network may be asked for what the cache lacks.

    Raises:
        ModelError: there is neither, or the folder has no `config.json`.
    """
    path = local_path(source)
    if path.is_dir():
        if not (path / CONFIG_NAME).is_file():
            raise ModelError(
                "the folder has no config.json, so it is not a checkpoint",
                where=str(path),
                mend="name the folder that `save_pretrained` wrote",
            )
        return path
    if path.exists():
        raise ModelError(
            "a model is a folder, this is a file", where=str(path), mend="name its folder"
        )
    if is_path(str(source)):
        raise ModelError("there is no such model", where=str(path), mend="check the path")
    return _hub_folder(str(source), revision, download, _configuration)


def source_folder(source: str | Path, *, revision: str | None, download: bool) -> Path:
    """Return the same with all its files, as cutting needs them; torch is not loaded for it.

    Raises:
        ModelError: see `checkpoint_folder`.
    """
    path = local_path(source)
    if path.exists() or is_path(str(source)):
        return checkpoint_folder(source)
    return checkpoint_folder(_hub_folder(str(source), revision, download, _snapshot, _has_weights))


def local_path(source: str | Path) -> Path:
    """Return the path that a source is, if it is one; ModelError when there can be no such path."""
    try:
        path = Path(source).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"cannot read: {error}", where=str(source)) from error
    return path


def is_path(source: str) -> bool:
    """Return whether a name can only be a path: hub names are `name` or `owner/name`."""
    return source.startswith((".", "/", "~", "\\")) or source.count("/") > 1 or "\\" in source


def _configuration(name: str, revision: str | None, only_cache: bool) -> Path | None:
    from transformers.utils import cached_file

    found = cached_file(name, CONFIG_NAME, revision=revision, local_files_only=only_cache)
    return Path(found).parent if found else None


def _snapshot(name: str, revision: str | None, only_cache: bool) -> Path | None:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=revision, local_files_only=only_cache))


def _has_weights(folder: Path) -> bool:
    """Return whether a snapshot has its weights: the cache may hold the configuration alone."""
    try:
        return bool(weight_files(folder))
    except ModelError:
        return False


def _hub_folder(
    name: str,
    revision: str | None,
    download: bool,
    find: Callable[[str, str | None, bool], Path | None],
    is_enough: Callable[[Path], bool] = lambda folder: True,
) -> Path:
    failure: Exception | None = None
    for only_cache in (True, False) if download else (True,):
        try:
            folder = find(name, revision, only_cache)
        except (OSError, ValueError) as error:
            failure = error
            continue
        if folder and (not only_cache or not download or is_enough(folder)):
            return folder
    raise MissingModelError(
        f"there is no model {name!r}: no such folder, not in the local cache"
        + (", not on the hub" if download else ""),
        where=str(failure).splitlines()[0] if download and str(failure) else None,
        mend="check the name; gated models need `huggingface-cli login`"
        if download
        else f"check the name, or allow fetching it from the hub with {option('download')}",
    ) from failure
