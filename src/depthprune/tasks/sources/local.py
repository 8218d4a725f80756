"""Data on this machine: a file per split, a folder per split, or what `datasets` saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import TaskError
from depthprune.tasks.sources.fields import Fields, RowSamples, make_samples
from depthprune.tasks.sources.rows import ParquetRows, Rows, read_json_array, read_json_lines

# train.jsonl, train-00000-of-00003.parquet, train-00000-of-00003-0c0c59b0a0d43ef3.parquet
_DATA_FILE = re.compile(r"(?P<split>.+?)(-\d{5}-of-\d{5}(-[0-9a-f]+)?)?\.(jsonl|json|parquet)")
_DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
# A folder with one of these is one split.
_WHOLE_FOLDER = ("metadata.jsonl", "state.json")
_ONLY_SPLIT = "validation"


@dataclass(frozen=True)
class LocalSource:
    """Data in local files.

    Attributes:
        path: a folder with `{split}.jsonl`, `.json`, `.parquet` (also in shards, also below
            `data/`) or `{split}/` with such files or images and `metadata.jsonl`; a folder that
            `datasets.save_to_disk` wrote; one file, which is the split `validation`; or a path
            per split.
        fields: which columns hold what; None means the plain names.
        or_plain: whether data without the columns of `fields` may have the plain names.
    """

    path: Path | Mapping[str, Path]
    fields: Fields | None = None
    or_plain: bool = False

    def splits(self) -> tuple[str, ...]:
        """Return the splits that are there; raises TaskError when the folder is missing."""
        return tuple(self._files())

    def samples(self, split: str) -> RowSamples:
        """Return the samples of a split; raises TaskError where data are missing or broken."""
        files = self._files()
        if split not in files:
            raise TaskError(f"there is no split {split}", where=self.describe())
        rows = _read(files[split], split)
        return make_samples(rows, self.fields, split, or_plain=self.or_plain)

    def describe(self) -> str:
        """Return the path."""
        if isinstance(self.path, Path):
            return str(self.path)
        return ", ".join(f"{split}: {path}" for split, path in self.path.items())

    def _files(self) -> dict[str, list[Path]]:
        """Return the files (or the folder) of each split."""
        if not isinstance(self.path, Path):
            return {split: _of_split(path) for split, path in self.path.items()}
        if self.path.is_file() or any((self.path / mark).is_file() for mark in _WHOLE_FOLDER):
            return {_ONLY_SPLIT: _of_split(self.path)}
        if not self.path.is_dir():
            raise TaskError("there is no such folder of data", where=str(self.path))
        return _scan(self.path)


def _scan(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in _DESCRIPTIONS:
            continue
        match = _DATA_FILE.fullmatch(entry.name)
        if entry.is_dir():
            inner = _data_files(entry)
            if entry.name == "data" and inner:
                for split, files in _scan(entry).items():
                    found.setdefault(split, []).extend(files)
            elif inner:
                found.setdefault(entry.name, []).extend(inner)
        elif match:
            found.setdefault(match["split"], []).append(entry)
    return found


def _of_split(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = _data_files(path) if path.is_dir() else []
    if not files:
        raise TaskError(
            "there is no data file" if path.is_dir() else "there is no such file or folder",
            where=str(path),
            mend="give a .jsonl, .json or .parquet file, or a folder with metadata.jsonl",
        )
    return files


def _data_files(folder: Path) -> list[Path]:
    """Return the data files of one split's folder; what `save_to_disk` wrote is the folder."""
    if (folder / "state.json").is_file():
        return [folder]
    if (folder / "metadata.jsonl").is_file():
        return [folder / "metadata.jsonl"]
    return [
        entry
        for entry in sorted(folder.iterdir())
        if _DATA_FILE.fullmatch(entry.name) and entry.name not in _DESCRIPTIONS
    ]


def _read(files: list[Path], split: str) -> Rows:
    if all(file.suffix == ".parquet" for file in files):
        return ParquetRows(files, files[0].parent)
    if len(files) > 1:
        raise TaskError(
            f"there are several files for the split {split}",
            where=", ".join(map(str, files)),
            mend="keep one of them; only Parquet may come in several files",
        )
    file = files[0]
    if file.is_dir():
        from depthprune.tasks.sources.hub import read_saved_dataset

        return read_saved_dataset(file)
    if file.suffix == ".json":
        return read_json_array(file)
    if file.suffix == ".jsonl":
        return read_json_lines(file)
    raise TaskError(
        f"files of type {file.suffix!r} are not read",
        where=str(file),
        mend="give .jsonl, .json or .parquet",
    )
