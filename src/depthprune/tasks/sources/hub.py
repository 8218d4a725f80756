"""Data in the format of the Hugging Face hub, read by the `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from depthprune.base.errors import MissingDependencyError, TaskError, option
from depthprune.tasks.sources.fields import Fields, RowSamples, make_samples
from depthprune.tasks.sources.images import Pictures
from depthprune.tasks.sources.rows import Row


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
        return make_samples(rows, self.fields, split, Pictures(root, root), or_plain=False)

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
