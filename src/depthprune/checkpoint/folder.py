"""The folder of a checkpoint: where it is, and which of its files transformers loads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, MissingModelError, ModelError, option
from depthprune.base.files import read_json
from depthprune.base.language import counted


def check_link(path: Path, folder: Path) -> None:
    """Refuse a file or folder that is a link out of a model's folder.

    The hub's cache keeps the files of all revisions of a model in one folder, and links them.

    Raises:
        ModelError: it leads out, or in a circle.
    """
    try:
        target, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ModelError("the link leads nowhere", where=str(path)) from error
    caches = [
        place.parent
        for place in home.parents
        if place.name == "snapshots" and place.parent.name.startswith("models--")
    ]
    if not any(target.is_relative_to(place) for place in (home, *caches)):
        raise ModelError(
            "the link leads out of the model's folder, and is not followed",
            where=f"{path} -> {target}",
            mend="name the file or folder itself that it leads to",
        )


def leads_out(path: Path, folder: Path | None = None) -> bool:
    """Return whether a file or folder is a link out of a folder: the one it is in by default."""
    try:
        check_link(path, folder or path.parent)
    except ModelError:
        return True
    return False


LARGEST_JSON = 8 * 1024**2
"""Bytes of a configuration; those with the names of 20,000 classes take some 2 million."""


def read_json_object(path: Path, folder: Path, *, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Return the JSON object in a file, see `read_json_value`; FileError when it holds none."""
    value = read_json_value(path, folder, most=most)
    if not isinstance(value, dict):
        raise FileError("it holds no JSON object", where=str(path))
    return value


def read_json_value(path: Path, folder: Path, *, most: int = LARGEST_JSON) -> Any:
    """Return what a JSON file of a model holds, of `most` bytes; `NaN` and `Infinity` pass.

    Raises:
        ModelError: it is a link out of the folder.
        FileError: it cannot be read, is no JSON, or larger than any.
    """
    check_link(path, folder)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    if size > most:
        raise FileError(
            f"its {counted(size, 'byte')} are more than any model needs", where=str(path)
        )
    return read_json(path, infinity=True)


CONFIG_NAME = "config.json"
WEIGHTS_FIELD, CONFIGS_FIELD = "transformers_weights", "configuration_files"
"""Fields of config.json that name other files than the usual ones."""

_STEMS = (("model", ".safetensors"), ("pytorch_model", ".bin"))

LARGEST_INDEX = 64 * 1024**2
"""Bytes of an index of weight files; for 200,000 tensors it takes some 20 million."""


def configuration_path(folder: Path) -> Path:
    """Return the configuration that transformers reads: config.json, or one that it names.

    `configuration_files` lists files such as `config.4.0.0.json`; the one with the highest version
    up to the installed one counts, see `transformers.configuration_utils.get_configuration_file`.

    Raises:
        ModelError: the file that it names is not in the folder.
    """
    path = folder / CONFIG_NAME
    named = _field(path, CONFIGS_FIELD)
    try:
        found = version("transformers")
    except PackageNotFoundError:
        return path
    if not isinstance(named, list):
        return path
    from packaging.version import InvalidVersion, Version

    chosen = CONFIG_NAME
    versions = {
        match[1]: name
        for name in named
        if isinstance(name, str) and (match := re.fullmatch(r"config\.(.+)\.json", name))
    }
    try:
        for number in sorted(versions):
            if Version(number) > Version(found):
                break
            chosen = versions[number]
    except InvalidVersion as error:
        raise ModelError(f"{CONFIGS_FIELD} names no version: {error}", where=str(path)) from error
    if Path(chosen).name != chosen or not _is_file(folder / chosen):
        raise ModelError(
            f"{CONFIGS_FIELD} names {chosen!r}, which is not in the folder",
            where=str(path),
            mend="download the checkpoint again",
        )
    return folder / chosen


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of the configuration of a checkpoint folder, see `configuration_path`.

    Raises:
        ModelError: it is missing, broken or no JSON object.
    """
    path = configuration_path(folder)
    refuse_pointer(path)
    try:
        # The limits of Mamba's time steps are written so.
        config = read_json(path, infinity=True)
    except FileError as error:
        raise ModelError(
            f"{path.name} is broken: {error.what}", where=error.where, mend="download it again"
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path.name} is not a JSON object", where=str(path))
    return config


def _field(path: Path, name: str) -> Any:
    """Return a field of a configuration; None where there is none, or a broken one."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_INDEX:  # a pipe would wait for ever
            return None
        config = read_json(path, infinity=True)
    except (FileError, OSError):  # `read_config` tells it
        return None
    return config.get(name) if isinstance(config, dict) else None


@dataclass(frozen=True)
class WeightFiles:
    """The weight files of a checkpoint folder that transformers loads.

    Attributes:
        files: in order of name.
        index: the file that lists them, None for a single file.
        variant: what `from_pretrained` must be given as `variant`; None for the usual names.
    """

    files: tuple[Path, ...]
    index: Path | None = None
    variant: str | None = None


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the weight files of a checkpoint folder, see `find_weight_files`."""
    return find_weight_files(folder).files


def find_weight_files(folder: Path) -> WeightFiles:
    """Return which weight files of a checkpoint folder transformers loads, and how it is told to.

    The file that `transformers_weights` names; else model.safetensors, its index,
    pytorch_model.bin, its index; else the only variant (`model.fp16.safetensors`).

    Raises:
        ModelError: it has none, or several variants; its index is broken, or names a file that is
            not in the folder; a file is a pointer to one that was not downloaded.
    """
    explicit = named_weights(folder)
    if explicit is not None:
        return _listed(folder, explicit, None)
    names = [f"{stem}{suffix}{index}" for stem, suffix in _STEMS for index in ("", ".index.json")]
    for name in names:
        if _is_file(folder / name):
            return _listed(folder, name, None)
    variants = dict(_variants(folder))
    if len(variants) == 1:
        ((variant, name),) = variants.items()
        return _listed(folder, name, variant)
    raise _no_weights(folder, variants)


def named_weights(folder: Path) -> str | None:
    """Return the weight file or index that the configuration names itself, if it does.

    Raises:
        ModelError: it is none of safetensors, or not in the folder.
    """
    name = _field(configuration_path(folder), WEIGHTS_FIELD)
    if name is None:
        return None
    if not isinstance(name, str) or not name.endswith((".safetensors", ".safetensors.index.json")):
        raise ModelError(
            f"{WEIGHTS_FIELD} names {name!r}, which is neither a safetensors file nor an index",
            where=str(folder / CONFIG_NAME),
        )
    return name


def _listed(folder: Path, name: str, variant: str | None) -> WeightFiles:
    path = _file_within(folder, CONFIG_NAME, name)
    refuse_pointer(path)
    if not name.endswith(".json"):
        return WeightFiles((path,), None, variant)
    files = tuple(_file_within(folder, name, file) for file in _file_names(path))
    for file in files:
        refuse_pointer(file)
    return WeightFiles(files, path, variant)


def _variants(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the variants of a folder, each once, with the file or index that stands for it."""
    seen: set[str] = set()
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for stem, suffix in _STEMS:
        for pattern in (
            rf"{stem}\.([\w-]+)\{suffix}",
            rf"{stem}\{suffix}\.index\.([\w-]+)\.json",
        ):
            for name in names:
                match = re.fullmatch(pattern, name)
                if match and match[1] not in seen:
                    seen.add(match[1])
                    yield match[1], name


def _no_weights(folder: Path, variants: dict[str, str]) -> ModelError:
    what = "the checkpoint has no weights"
    mend = "it needs model.safetensors (or pytorch_model.bin), or their parts with an index"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if re.match(r"consolidated.*\.(safetensors|pth)$", name)]
    others += [name for name in names if name.endswith((".gguf", ".h5", ".msgpack", ".onnx"))]
    if variants:
        what = f"the checkpoint has weights in several variants: {', '.join(variants.values())}"
        mend = f"rename the one that is meant, for example {next(iter(variants.values()))}, so "
        mend += "that its name has no variant (model.safetensors, pytorch_model.bin)"
    elif "adapter_config.json" in names:
        what = "the folder holds an adapter (PEFT), not a model"
        mend = "merge it into its model (`merge_and_unload`), and save that"
    elif others:
        what = f"the checkpoint has no weights that transformers loads, but {', '.join(others[:3])}"
        mend = "convert it with the scripts of transformers, or download the files in its format"
    return ModelError(what, where=str(folder), mend=mend)


def refuse_pointer(path: Path) -> None:
    """Raise ModelError when a file is a pointer of Git LFS: it says where the real file is."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError:  # told where it is read
        return
    if start == _POINTER:
        raise ModelError(
            f"{path.name} is a pointer of Git LFS: the file itself was not downloaded",
            where=str(path),
            mend="run `git lfs pull` in the folder, or download the checkpoint again",
        )


_POINTER = b"version https://git-lfs.github.com/spec/"


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


def _file_within(folder: Path, origin: str, name: str) -> Path:
    """Return a file of the folder or a folder in it, by the name that `origin` gives."""
    inside = name and not Path(name).is_absolute() and ".." not in Path(name).parts
    if not inside or not _is_file(folder / name):
        what = "the index of the weights" if origin != CONFIG_NAME else WEIGHTS_FIELD
        raise ModelError(
            f"{what} names {name!r}, which is not in the folder",
            where=str(folder / origin),
            mend="download the checkpoint again",
        )
    return folder / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is longer than any, or its folder closed
        return False


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
