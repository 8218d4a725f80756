"""Data on this machine: a file per split, a folder per split, or what `datasets` saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import TaskError
from depthprune.base.log import logger
from depthprune.tasks.sources.fields import Fields, RowSamples, make_samples
from depthprune.tasks.sources.images import Pictures
from depthprune.tasks.sources.rows import JoinedRows, ParquetRows, Rows
from depthprune.tasks.sources.text_files import (
    COMPRESSED,
    read_json_file,
    read_json_lines,
    read_table,
)

# train.jsonl, train-00000-of-00003.parquet, train-00000-of-00003-0c0c59b0a0d43ef3.parquet
_DATA_FILE = re.compile(
    r"(?P<split>.*?)(?P<shard>(?:^|[-_])(?P<number>\d+)[-_]of[-_](?P<count>\d+)(-[0-9a-f]+)?)?"
    r"\.(parquet|(jsonl|ndjson|json|csv|tsv)(\.(gz|bz2|xz|zst))?)"
)
_KINDS = ".jsonl, .json, .csv, .tsv (each also .gz, .bz2, .xz or .zst) and .parquet"
_DESCRIPTIONS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
# A folder with one of these is one split.
_WHOLE_FOLDER = (*_METADATA, "state.json")
_ONLY_SPLIT = "validation"
# The hub's own conversion to Parquet: default/validation/0000.parquet.
_CONVERTED = re.compile(r"\d{4,}\.parquet")


@dataclass(frozen=True)
class LocalSource:
    """Data in local files.

    Attributes:
        path: a folder with `{split}.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet` (also compressed,
            in shards, below `data/` or `default/`) or `{split}/` with such files or images and
            `metadata.jsonl` or `.csv`; a folder that `datasets.save_to_disk` wrote; one file,
            which is the split `validation`; or a path per split.
        fields: which columns hold what; None means the plain names.
        or_plain: whether data without the columns of `fields` may have the plain names.
        follow_links: whether pictures may lie behind symbolic links that leave the folder.
    """

    path: Path | Mapping[str, Path]
    fields: Fields | None = None
    or_plain: bool = False
    follow_links: bool = False

    def splits(self) -> tuple[str, ...]:
        """Return the splits that are there; raises TaskError when the folder is missing."""
        return tuple(self._files())

    def samples(self, split: str) -> RowSamples:
        """Return the samples of a split; raises TaskError where data are missing or broken."""
        files = self._files()
        if split not in files:
            raise TaskError(f"there is no split {split}", where=self.describe())
        rows = _read(files[split], split)
        if files[split][0].parent.name.startswith("partial-"):
            logger.warning(
                "%s: the hub converted only the first part of this split", files[split][0].parent
            )
        folder = self.path if isinstance(self.path, Path) and self.path.is_dir() else rows.root
        pictures = Pictures(rows.root, folder, self.follow_links)
        return make_samples(rows, self.fields, split, pictures, or_plain=self.or_plain)

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
        found = _scan(self.path)
        if not found:
            present = sorted(entry.name for entry in self.path.iterdir())
            raise TaskError(
                "there is no data file in the folder",
                where=str(self.path),
                mend=f"files of these types are read: {_KINDS}; the folder holds "
                + (", ".join(present[:8]) or "nothing"),
            )
        return found


def _scan(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in _DESCRIPTIONS:
            continue
        match = _DATA_FILE.fullmatch(entry.name)
        if entry.is_dir():
            inner = _data_files(entry)
            converted = _converted(entry)
            if entry.name == "data" and inner:
                for split, files in _scan(entry).items():
                    found.setdefault(split, []).extend(files)
            elif inner:
                found.setdefault(entry.name, []).extend(inner)
            elif converted and found.keys() & converted.keys():
                raise TaskError(
                    "the folder holds several configurations of a dataset",
                    where=str(folder),
                    mend=f"name one of them as the path, for example {entry}",
                )
            else:
                found |= converted
        elif match:
            found.setdefault(match["split"], []).append(entry)
    return found


def _converted(folder: Path) -> dict[str, list[Path]]:
    """Return the splits of one configuration as the hub converts datasets to Parquet."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            files = [file for file in sorted(entry.iterdir()) if _CONVERTED.fullmatch(file.name)]
            if files:
                found[entry.name.removeprefix("partial-")] = files
    return found


def _of_split(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = _data_files(path) if path.is_dir() else []
    if not files:
        raise TaskError(
            "there is no data file" if path.is_dir() else "there is no such file or folder",
            where=str(path),
            mend=f"give a file of these types: {_KINDS}, or a folder with metadata.jsonl or .csv",
        )
    return files


def _data_files(folder: Path) -> list[Path]:
    """Return the data files of one split's folder; what `save_to_disk` wrote is the folder."""
    if (folder / "state.json").is_file():
        return [folder]
    for name in _METADATA:
        if (folder / name).is_file():
            return [folder / name]
    return [
        entry
        for entry in sorted(folder.iterdir())
        if _DATA_FILE.fullmatch(entry.name) and entry.name not in _DESCRIPTIONS and entry.is_file()
    ]


def _read(files: list[Path], split: str) -> Rows:
    _check_shards(files)
    if all(file.suffix == ".parquet" for file in files):
        return ParquetRows(files, files[0].parent)
    are_shards = [match for file in files if (match := _DATA_FILE.fullmatch(file.name))]
    if len(files) > 1 and not all(match["shard"] for match in are_shards):
        raise TaskError(
            f"there are several files for the split {split}",
            where=", ".join(map(str, files)),
            mend="keep one of them, or name them as parts: "
            f"{split}-00000-of-{len(files):05}.jsonl, ...; only Parquet may have other names",
        )
    tables = [_read_file(file) for file in files]
    return tables[0] if len(tables) == 1 else JoinedRows(tables)


def _check_shards(files: list[Path]) -> None:
    """Refuse a dataset of which a part is missing, or there twice."""
    numbers: dict[int, list[int]] = {}
    for file in files:
        match = _DATA_FILE.fullmatch(file.name)
        if match and match["shard"]:
            numbers.setdefault(int(match["count"]), []).append(int(match["number"]))
        elif _CONVERTED.fullmatch(file.name):
            numbers.setdefault(0, []).append(int(file.stem))
    for count, present in numbers.items():
        first = 1 if count and count in present else 0
        expected = range(first, first + (count or max(present) + 1))
        missing = [number for number in expected if number not in present]
        twice = [number for number in present if present.count(number) > 1]
        if missing or twice or len(numbers) > 1:
            what = (
                f"part {missing[0]} of the data is missing"
                if missing
                else (
                    f"part {twice[0]} of the data is there twice"
                    if twice
                    else f"there are parts of {' and of '.join(map(str, sorted(numbers)))} at once"
                )
            )
            like = _sibling(files[0], missing[0]) if missing else files[0]
            raise TaskError(
                what if not missing[1:] else f"{what}, and {len(missing) - 1} more",
                where=str(like),
                mend="download the dataset again, whole"
                if missing
                else "delete the parts of another version",
            )


def _sibling(file: Path, number: int) -> Path:
    """Return the path of another part of the same data (without the hash in its name)."""
    match = _DATA_FILE.fullmatch(file.name)
    if match and match["shard"]:
        width = len(match["number"])
        shard = match["shard"].replace(match["number"], f"{number:0{width}}", 1)
        if match[5]:
            shard = shard.removesuffix(match[5])
        return file.with_name(file.name.replace(match["shard"], shard))
    return file.with_name(f"{number:0{len(file.stem)}}{file.suffix}")


def _read_file(file: Path) -> Rows:
    if file.is_dir():
        from depthprune.tasks.sources.hub import read_saved_dataset

        return read_saved_dataset(file)
    kind = Path(file.name.removesuffix(file.suffix)).suffix
    kind = kind if file.suffix in COMPRESSED else file.suffix
    if kind == ".json":
        return read_json_file(file)
    if kind in (".jsonl", ".ndjson"):
        return read_json_lines(file)
    if kind in (".csv", ".tsv"):
        return read_table(file)
    raise TaskError(
        f"files of type {file.suffix!r} are not read", where=str(file), mend=f"give {_KINDS}"
    )
