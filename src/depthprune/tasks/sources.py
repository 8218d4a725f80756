"""Where the data of a task lie: a dataset of the hub, or files on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from depthprune.base.errors import MissingDependencyError, TaskError, option
from depthprune.base.log import logger
from depthprune.tasks.fields import Fields, RowSamples, make_samples
from depthprune.tasks.images import PictureFolder
from depthprune.tasks.rows import (
    COMPRESSED,
    JoinedRows,
    ParquetRows,
    Row,
    Rows,
    read_json_file,
    read_json_lines,
    read_table,
)


@dataclass(frozen=True)
class HubSource:
    """A dataset of the hub, or a local folder in one of the formats that `datasets` reads.

    Code of a dataset is never executed. Unless `download` is set nothing is fetched: the dataset
    must be a folder or lie in the cache of `datasets`.

    Attributes:
        name: `owner/name` on the hub, or a folder.
        config: the dataset's configuration, for datasets that have several.
        revision: a branch, tag or commit.
        fields: which columns hold what.
        download: whether the network may be used.
    """

    name: str
    config: str | None = None
    revision: str | None = None
    fields: Fields | None = None
    download: bool = False

    def splits(self) -> tuple[str, ...]:
        """Return the splits of the dataset; raises TaskError when it is not in the cache."""
        return tuple(self._dataset)

    def samples(self, split: str) -> RowSamples:
        """Return the samples of a split; raises TaskError where data are missing or broken."""
        if split not in self._dataset:
            raise TaskError(f"there is no split {split}", where=self.describe())
        root = self._image_root()
        rows = DatasetRows(self._dataset[split], root, f"{self.name}, {split}")
        return make_samples(rows, self.fields, split, PictureFolder(root, root), or_plain=False)

    def describe(self) -> str:
        """Return the name, with the configuration."""
        config = f" ({self.config})" if self.config else ""
        return (
            f"{self.name}{config}" if self._is_folder else f"Hugging Face hub, {self.name}{config}"
        )

    @property
    def _is_folder(self) -> bool:
        return Path(self.name).is_dir()

    @cached_property
    def _dataset(self) -> Any:
        datasets = _import_datasets()
        try:
            with network(self.download):
                return datasets.load_dataset(
                    self.name, self.config, revision=self.revision, trust_remote_code=False
                )
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> TaskError:
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        if self.download or self._is_folder:
            return TaskError(f"the dataset cannot be loaded: {reason}", where=self.describe())
        return TaskError(
            f"the dataset is not in the cache of this machine: {reason}",
            where=self.describe(),
            mend=f"allow the download ({option('download')}), or give a folder with a copy "
            f"({option('data_dir')})",
        )

    def _image_root(self) -> Path:
        if self._is_folder:
            return Path(self.name)
        return Path(_import_datasets().config.HF_CACHE_HOME)


class DatasetRows:
    """Rows of a `datasets.Dataset`; its files are mapped into memory, pictures stay encoded."""

    def __init__(self, dataset: Any, root: Path | None, name: str) -> None:
        self.root = root
        self.columns: tuple[str, ...] = tuple(dataset.column_names)
        self._dataset = dataset.with_format("arrow")
        self._name = name
        self._chosen: tuple[tuple[str, ...], Any] = (self.columns, self._dataset)

    def __len__(self) -> int:
        return len(self._dataset)

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        row: Row = self._choose(columns)[index : index + 1].to_pylist()[0]
        return row

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        cells: list[Any] = self._choose([name])[:].column(name).to_pylist()
        return cells

    def place(self, index: int) -> str:
        """Return the dataset and the row."""
        return f"{self._name}, row {index + 1}"

    def _choose(self, columns: Sequence[str]) -> Any:
        present = tuple(name for name in columns if name in self.columns)
        # Choosing columns takes longer than reading a row, so the last choice is kept.
        if self._chosen[0] != present:
            self._chosen = (present, self._dataset.select_columns(list(present)))
        return self._chosen[1]


def read_saved_dataset(folder: Path) -> DatasetRows:
    """Read one split that `datasets.Dataset.save_to_disk` wrote.

    Raises:
        TaskError: the folder is damaged.
    """
    datasets = _import_datasets()
    try:
        return DatasetRows(datasets.load_from_disk(str(folder)), folder, str(folder))
    except Exception as error:
        raise TaskError(
            f"the saved dataset cannot be loaded: {error}", where=str(folder)
        ) from error


def _import_datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "reading this data needs the package datasets", mend="pip install 'depthprune[run]'"
        ) from error
    return datasets


@contextmanager
def network(allowed: bool) -> Iterator[None]:
    """Keep `datasets` from asking the hub while the body runs, unless that is allowed."""
    import datasets.config
    import huggingface_hub.constants

    if allowed:
        yield
        return
    switches: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    try:
        for switch in switches:
            switch.HF_HUB_OFFLINE = True
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value


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
        pictures = PictureFolder(rows.root, folder, self.follow_links)
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
            around = self.path.parent
            beside = (
                sorted(e.name for e in around.iterdir() if e.is_dir()) if around.is_dir() else []
            )
            raise TaskError(
                "there is no such folder of data",
                where=str(self.path),
                mend=f"folders that are there: {', '.join(beside[:20]) or 'none'}",
            )
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
