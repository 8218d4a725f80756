"""The study file: one YAML file that names model, tasks, samples and what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from depthprune.base.errors import DepthpruneError, StudyFileError
from depthprune.base.yaml_file import YamlFile, read_yaml
from depthprune.cli.measure import search_request
from depthprune.cli.options import DEMO, DataFlags, ModelFlags, study_folder
from depthprune.cli.search_flags import SearchFlags
from depthprune.importance.compare import THRESHOLD, TOP_K
from depthprune.importance.merge import TRAIN_WEIGHT, Merged, Method, merge_scores, parse_weights
from depthprune.importance.sources import DatasetScores
from depthprune.report.language import Lang
from depthprune.search.options import SearchOptions
from depthprune.search.pipeline import SearchRequest, check_request

DEPTH = 3
"""Keys are checked this deep: sections, their fields, and weights by name within those."""

_Value = TypeVar("_Value")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _each_once(blocks: list[int]) -> list[int]:
    if len(set(blocks)) < len(blocks):
        raise ValueError("a block is named twice")
    return blocks


def _with_defaults(value: Any) -> Any:
    return {} if value is None else value


Names = Annotated[list[str], BeforeValidator(_as_list)]
"""One name, or a list of them."""

Place = Annotated[Path, Field(strict=False)]
Places = Annotated[list[Place], BeforeValidator(_as_list)]


Weight = Annotated[float, Field(ge=0)]


class _Section(BaseModel):
    # Strict: `yes` is no number of samples. The example explains every field; a test holds that.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ModelSection(_Section):
    """The model, and how it is run: the options of `depthprune search` about the model."""

    source: str
    dtype: str = ModelFlags.dtype
    device: str = ModelFlags.device
    device_map: str | None = ModelFlags.device_map
    batch_size: Annotated[int, Field(ge=1)] | None = ModelFlags.batch_size
    stack: str = ModelFlags.stack
    trust_remote_code: bool = ModelFlags.trust_remote_code
    revision: str | None = ModelFlags.revision


class ProfileSection(_Section):
    """Every single block alone, on the first split and on the one held out, and how they agree."""

    splits: Annotated[Names, Field(min_length=1, max_length=2)] = ["train", "validation"]
    threshold: float = Field(default=THRESHOLD, ge=-1, le=1)
    top_k: int = Field(default=TOP_K, ge=1)


class MergeSection(_Section):
    """One ranking of the blocks from what `profile` measured on all datasets."""

    method: Method = "average"
    train_val_weight: float = Field(default=TRAIN_WEIGHT, ge=0, le=1)
    dataset_weights: dict[str, Weight] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _weights_fit_the_method(self) -> Self:
        if (self.method == "weighted_avg") != bool(self.dataset_weights):
            raise ValueError("`dataset_weights` belong to the method weighted_avg, and it to them")
        if self.dataset_weights and not any(self.dataset_weights.values()):
            raise ValueError("`dataset_weights` are all zero")
        return self


class SearchSection(_Section):
    """The search: the options of `depthprune search`."""

    strategy: Literal["beam", "greedy", "exhaustive", "evolutionary"] = SearchFlags.strategy
    beam_width: int = Field(default=SearchFlags.beam_width, ge=1)
    max_blocks_to_remove: Annotated[int, Field(ge=1)] | None = SearchFlags.max_blocks_to_remove
    max_drop: Annotated[float, Field(le=1)] | None = SearchFlags.max_drop
    offspring: int = Field(default=SearchFlags.offspring, ge=1)
    generations: int = Field(default=SearchFlags.generations, ge=1)
    exhaustive_limit: int = Field(default=SearchFlags.exhaustive_limit, ge=1)
    protect: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_each_once)] = Field(
        default_factory=list
    )
    joint: bool = SearchFlags.joint
    task_weights: dict[str, Weight] = Field(default_factory=dict)
    complete: int = Field(default=SearchFlags.complete, ge=0)
    warm_start: str | None = SearchFlags.warm_start
    min_coverage: int = Field(default=2, ge=1)
    min_drop: float = 0.0


class StudyContent(_Section):
    """What a study file says; the shipped example explains every field."""

    model: ModelSection
    tasks: Names = Field(default_factory=list)
    task_files: Places = Field(default_factory=list)
    lm_eval_paths: Places = Field(default_factory=list)
    data_dir: Place | None = None
    splits: Annotated[Names, Field(min_length=1)] = list(DataFlags.split)
    num_samples: int = Field(default=DataFlags.num_samples, ge=0)
    seed: int = DataFlags.seed
    download: bool = DataFlags.download
    output: Place | None = None
    lang: Lang = "en"
    profile: Annotated[ProfileSection | None, BeforeValidator(_with_defaults)] = None
    merge: Annotated[MergeSection | None, BeforeValidator(_with_defaults)] = None
    search: Annotated[SearchSection | None, BeforeValidator(_with_defaults)] = None

    @model_validator(mode="after")
    def _says_what_to_do(self) -> Self:
        if not self.tasks and self.model.source != DEMO:
            raise ValueError("no task is named: add `tasks: [okvqa, text_vqa]`, for example")
        if self.profile is None and self.search is None:
            raise ValueError("nothing is to be done: add `profile:` or `search:` or both")
        if self.merge is not None and self.profile is None:
            raise ValueError("`merge` needs `profile`, whose scores it merges")
        return self


FIELD_OF_OPTION = {
    "task": ("tasks",),
    "task_file": ("task_files",),
    "lm_eval_path": ("lm_eval_paths",),
    "data_dir": ("data_dir",),
    **{name: ("model", name) for name in ModelSection.model_fields},
    **{name: ("merge", name) for name in MergeSection.model_fields},
    **{name: ("search", name) for name in SearchSection.model_fields},
}
"""Where a study file says what an option of the command line says; `num_samples` was checked."""


@dataclass(frozen=True)
class StudyFile:
    """A study file that was read; what it says means what the same options would mean.

    Attributes:
        file: where everything stands, for messages.
        content: what it says, checked.
    """

    file: YamlFile
    content: StudyContent

    @property
    def model(self) -> str:
        """The model as the command line would name it; a folder is looked for beside the file."""
        source = self.content.model.source
        beside = self._beside(Path(source))
        is_path = source.startswith((".", "~", "/")) or beside.is_dir()
        return str(beside) if is_path and source != DEMO else source

    @property
    def search(self) -> SearchSection:
        """The section about the search; the usual values when there is none."""
        return self.content.search or SearchSection()

    def model_flags(self) -> ModelFlags:
        """Return the options about the model."""
        return ModelFlags(**self.content.model.model_dump(exclude={"source"}))

    def data_flags(self, num_samples: int | None = None) -> DataFlags:
        """Return the options about the data; `num_samples` replaces what the file says."""
        said = self.content
        return DataFlags(
            task=tuple(said.tasks),
            split=tuple(said.splits),
            num_samples=said.num_samples if num_samples is None else num_samples,
            seed=said.seed,
            data_dir=None if said.data_dir is None else self._beside(said.data_dir),
            task_file=tuple(self._beside(path) for path in said.task_files),
            lm_eval_path=tuple(self._beside(path) for path in said.lm_eval_paths),
            download=said.download,
        )

    def search_flags(self) -> SearchFlags:
        """Return the options of the search."""
        ours = {"protect", "task_weights", "min_coverage", "min_drop"}
        weights = tuple(_as_options(self.search.task_weights))
        return SearchFlags(**self.search.model_dump(exclude=ours), task_weights=weights)

    def folder(self) -> Path:
        """Return the folder of the study."""
        output = self.content.output
        return self._beside(study_folder(None, self.model) if output is None else output)

    def requests(
        self, output: Path | None = None, num_samples: int | None = None
    ) -> dict[str, SearchRequest]:
        """Return what is to be measured: `profile`, `search` or both, in this order.

        Args:
            output: a folder instead of the one in the file.
            num_samples: instead of the number in the file; 0 means all.

        Raises:
            DepthpruneError: there is no such task, or options do not fit each other.
        """
        search = self._about_tasks(
            lambda: search_request(
                self.model,
                output=self.folder() if output is None else output,
                protect=tuple(map(str, self.search.protect)),
                how=self.search_flags(),
                run=self.model_flags(),
                data=self.data_flags(num_samples),
            )
        )
        requests = {}
        if self.content.profile is not None:
            requests["profile"] = replace(
                search,
                splits=tuple(self.content.profile.splits),
                search=SearchOptions("ablation"),
                protect=frozenset(),
                joint=False,
                task_weights={},
                complete=0,
                warm_start=None,
            )
        if self.content.search is not None:
            self._about_tasks(lambda: check_request(search))
            requests["search"] = search
        if self.content.merge is not None and self.content.merge.dataset_weights:
            weights = _as_options(self.content.merge.dataset_weights)
            self._about_tasks(lambda: parse_weights(weights, [task.name for task in search.tasks]))
        return requests

    def merge(self, datasets: Sequence[DatasetScores]) -> Merged:
        """Return the importance over all datasets, as the section `merge` says.

        Raises:
            DepthpruneError: the weights do not fit the datasets, or the datasets each other.
        """
        section = self.content.merge or MergeSection()
        given = _as_options(section.dataset_weights)
        weights = parse_weights(given, [one.dataset for one in datasets]) if given else None
        return self._about_tasks(
            lambda: merge_scores(
                datasets,
                method=section.method,
                train_weight=section.train_val_weight,
                dataset_weights=weights,
            )
        )

    def blame(self, do: Callable[[], _Value]) -> _Value:
        """Return what `do` returns; an error about an option names the field and its line instead.

        An error about anything else stays as it is.
        """
        try:
            return do()
        except DepthpruneError as error:
            where = error.where or ""
            field = FIELD_OF_OPTION.get(where.removeprefix("--").replace("-", "_"))
            if field is None or not where.startswith("--"):
                raise
            place = f"{self.file.place(field)}, {'.'.join(field)}"
            raise type(error)(error.what, where=place, mend=error.mend) from error

    def _about_tasks(self, do: Callable[[], _Value]) -> _Value:
        """Do the same for what is about the tasks wherever an error names no place."""

        def named() -> _Value:
            try:
                return do()
            except DepthpruneError as error:
                if error.where:
                    raise
                raise type(error)(error.what, where="--task", mend=error.mend) from error

        return self.blame(named)

    def _beside(self, path: Path) -> Path:
        """Return a path that is relative to the folder of the file."""
        return self.file.path.parent / path.expanduser()


def read_study_file(path: Path) -> StudyFile:
    """Read a study file, and check every field.

    Raises:
        StudyFileError: the file cannot be read, is not YAML, or a field is unknown, missing or of
            the wrong type; names file, line and field.
    """
    file = read_yaml(path, thing="the study file", error=StudyFileError)
    file.check_keys(DEPTH)
    if not isinstance(file.content, dict):
        raise StudyFileError(
            "the study file is empty" if file.content is None else "a study file maps fields",
            where=str(path),
            mend="`depthprune init` writes an example that runs",
        )
    return StudyFile(file, file.validate(StudyContent, thing="a study"))


def _as_options(weights: Mapping[str, float]) -> list[str]:
    """Return weights by name as the command line takes them; no digit is lost."""
    return [f"{name}={weight!r}" for name, weight in weights.items()]
