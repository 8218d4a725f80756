"""Find the files of a checkpoint: a folder, or a model of the hub in the local cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, ModelError
from depthprune.base.files import read_json

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")

LARGEST_INDEX = 64 * 1024**2
"""Bytes of an index of weight files; for 200,000 tensors it takes some 20 million."""


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
        if not (path / "config.json").is_file():
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
    return _hub_folder(str(source), revision, download)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of `config.json` of a checkpoint folder.

    Raises:
        ModelError: it is missing, broken or no JSON object.
    """
    path = folder / "config.json"
    try:
        # The limits of Mamba's time steps are written so.
        config = read_json(path, infinity=True)
    except FileError as error:
        raise ModelError(
            f"config.json is broken: {error.what}", where=error.where, mend="download it again"
        ) from error
    if not isinstance(config, dict):
        raise ModelError("config.json is not a JSON object", where=str(path))
    return config


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the weight files of a checkpoint folder, in order of name.

    Raises:
        ModelError: it has none, its index is broken, or names a file that is not in the folder.
    """
    # In the order in which transformers looks for them.
    for name, index in zip(_SINGLE_FILES, _INDEXES, strict=True):
        if (folder / name).is_file():
            return (folder / name,)
        if (folder / index).is_file():
            return tuple(_indexed_file(folder, index, file) for file in _file_names(folder / index))
    raise ModelError(
        "the checkpoint has no weights",
        where=str(folder),
        mend="it needs model.safetensors (or pytorch_model.bin), or their parts with an index",
    )


def _file_names(index: Path) -> list[str]:
    try:
        if index.stat().st_size > LARGEST_INDEX:
            raise ValueError("it is larger than any")
        content: Any = read_json(index)
        names = set(content["weight_map"].values())
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError("it names no files")
    except (FileError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "the index of the weight files is broken",
            where=str(index),
            mend="download the checkpoint again",
        ) from error
    return sorted(names)


def _indexed_file(folder: Path, index: str, name: str) -> Path:
    if Path(name).name != name or not _is_file(folder / name):
        raise ModelError(
            f"the index of the weights names {name!r}, which is not in the folder",
            where=str(folder / index),
            mend="download the checkpoint again",
        )
    return folder / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is longer than any, or its folder closed
        return False


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


def _hub_folder(name: str, revision: str | None, download: bool) -> Path:
    from transformers.utils import cached_file

    for only_cache in (True, False) if download else (True,):
        try:
            found = cached_file(name, "config.json", revision=revision, local_files_only=only_cache)
        except (OSError, ValueError) as error:
            failure = error
            continue
        if found:
            return Path(found).parent
    raise ModelError(
        f"there is no model {name!r}: no such folder, not in the local cache"
        + (", not on the hub" if download else ""),
        where=str(failure).splitlines()[0] if download else None,
        mend="check the name; gated models need `huggingface-cli login`"
        if download
        else "check the name, or allow fetching it from the hub with --download",
    ) from failure
