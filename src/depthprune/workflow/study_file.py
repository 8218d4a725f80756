"""The study file: one YAML file that names model, tasks, samples and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from depthprune.analysis.options import Ranking, Targets
from depthprune.base import prompting
from depthprune.base.errors import DepthpruneError, StudyFileError
from depthprune.base.language import Lang
from depthprune.base.options import Options
from depthprune.base.registry import is_own
from depthprune.base.weights import check_weights
from depthprune.base.yaml_file import YamlFile, read_yaml
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.options import BenchmarkOptions, ScoredTasks
from depthprune.cutting import CutOptions
from depthprune.engine.options import ModelOptions, Workers
from depthprune.importance.compare import THRESHOLD, TOP_K
from depthprune.importance.merge import OPTION, TRAIN_WEIGHT, Method, Scores, merge_scores
from depthprune.importance.sources import DatasetScores
from depthprune.strategies.kinds.exhaustive import Ablation
from depthprune.strategies.options import SearchChoice, SearchOptions, default_of
from depthprune.strategies.pipeline import SearchRequest, task_shares
from depthprune.study.records import FEWEST_FRESH
from depthprune.tasks.demo import DEMO
from depthprune.tasks.options import DataOptions
from depthprune.workflow.measuring import search_request, study_folder


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _each_once(blocks: list[int]) -> list[int]:
    if len(set(blocks)) < len(blocks):
        raise ValueError("a block is named twice")
    return blocks


def _enough_to_verify(asked: bool | int) -> bool | int:
    if asked is not True and asked is not False and asked < FEWEST_FRESH:
        raise ValueError(f"give true, false, or a number of samples of {FEWEST_FRESH} or more")
    return asked


def _with_defaults(value: Any) -> Any:
    return {} if value is None else value


Names = Annotated[list[str], BeforeValidator(_as_list)]
"""One name, or a list of them."""

Place = Annotated[Path, Field(strict=False)]


Weight = Annotated[float, Field(ge=0)]


_Options = TypeVar("_Options", bound=Options)

Metric = Literal["ppl", "zeroshot", "speed", "memory"]

_NEEDED = (
    ("sweep", "analyze", "which recommends the blocks"),
    ("cut", "analyze", "which recommends the blocks"),
    ("evaluate", "cut", "whose model it evaluates"),
)
"""A section, the one that it needs, and why."""


class _Section(BaseModel):
    # Strict: `yes` is no number of samples. The example explains every field; a test holds that.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def fields_of(options: type[Options], *names: str) -> dict[str, Any]:
    """Return the fields of a dataclass of options, or some of them, for a section."""
    hints = get_type_hints(options, include_extras=True)
    chosen = [one for one in fields(options) if not names or one.name in names]  # type: ignore[arg-type]
    return {one.name: (_in_yaml(hints[one.name]), default_of(one)) for one in chosen}


def _in_yaml(hint: Any) -> Any:
    """Return how YAML writes a type: values as a list, or one without it; a path as text."""
    if hint is Path:
        return Place
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return Union[tuple(map(_in_yaml, get_args(hint)))]  # noqa: UP007 - made of parts
    if hasattr(hint, "__metadata__"):
        return Annotated[(_in_yaml(hint.__origin__), *hint.__metadata__)]
    if get_origin(hint) is tuple:
        return Annotated[list[_in_yaml(get_args(hint)[0])], BeforeValidator(_as_list)]  # type: ignore[misc]
    return hint


def taken(section: BaseModel, options: type[_Options]) -> _Options:
    """Return the options that a section says."""
    said = {
        one.name: getattr(section, one.name)
        for one in fields(options)  # type: ignore[arg-type]
        if hasattr(section, one.name)
    }
    return options(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()})


def _section(name: str, **content: Any) -> Any:
    return create_model(name, __base__=_Section, **content)


class ModelSection(_section("_Model", source=(str, ...), **fields_of(ModelOptions))):  # type: ignore[misc]
    """The model, and how it is run: the options of `depthprune search` about the model."""


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


_FLAT = fields_of(SearchChoice) | fields_of(Ranking, "min_coverage", "min_drop")
_FLAT["protect"] = (Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_each_once)], [])


class SearchSection(create_model("_Search", __base__=_Section, **_FLAT)):  # type: ignore[misc]
    """The search: the options of `depthprune search`."""


_RANKING = fields_of(Ranking, "min_coverage", "min_drop", "robust_coverage")
# As the search ranks, unless `analyze` says otherwise.
_RANKING["min_coverage"] = (_RANKING["min_coverage"][0] | None, None)


class AnalyzeSection(_section("_Analyze", **_RANKING, **fields_of(Targets))):  # type: ignore[misc]
    """Findings, recommendations, figures and page: the options of `depthprune analyze`."""

    formats: Annotated[
        list[Literal["png", "svg", "pdf"]], BeforeValidator(_as_list), Field(min_length=1)
    ] = Field(default=["png"])
    skip: Annotated[list[Literal["figures", "html", "latex"]], BeforeValidator(_as_list)] = Field(
        default_factory=list
    )


class SweepSection(_section("_Sweep", **fields_of(LatencyOptions))):  # type: ignore[misc]
    """Accuracy against latency on every task: the options of `depthprune sweep`."""

    num_active_blocks: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)


_CUT = fields_of(CutOptions, "overwrite", "max_shard_size", "verify")


class CutSection(_section("_Cut", **_CUT)):  # type: ignore[misc]
    """The smaller checkpoint: the options of `depthprune cut`."""

    removed: Annotated[int, Field(ge=1)] | Literal["recommended"] = "recommended"
    output: Place | None = None


_CARD = fields_of(BenchmarkOptions, "ppl_texts", "zeroshot_tasks", "num_samples")
_CARD |= fields_of(ScoredTasks, "tasks", "splits")


class EvaluateSection(_section("_Evaluate", **_CARD)):  # type: ignore[misc]
    """The smaller checkpoint on the tasks of the study, and as `depthprune evaluate` has it."""

    metrics: Annotated[list[Metric], BeforeValidator(_as_list)] = Field(default_factory=list)


_CONTENT = fields_of(DataOptions) | fields_of(Workers)


class StudyContent(_section("_Content", model=(ModelSection, ...), **_CONTENT)):  # type: ignore[misc]
    """What a study file says; the shipped example explains every field."""

    output: Place | None = None
    allow_weak_baseline: bool = False
    verify: Annotated[bool | int, AfterValidator(_enough_to_verify)] = True
    lang: Lang = "en"
    profile: Annotated[ProfileSection | None, BeforeValidator(_with_defaults)] = None
    merge: Annotated[MergeSection | None, BeforeValidator(_with_defaults)] = None
    search: Annotated[SearchSection | None, BeforeValidator(_with_defaults)] = None
    analyze: Annotated[AnalyzeSection | None, BeforeValidator(_with_defaults)] = None
    sweep: Annotated[SweepSection | None, BeforeValidator(_with_defaults)] = None
    cut: Annotated[CutSection | None, BeforeValidator(_with_defaults)] = None
    evaluate: Annotated[EvaluateSection | None, BeforeValidator(_with_defaults)] = None

    @model_validator(mode="after")
    def _says_what_to_do(self) -> Self:
        if not self.tasks and self.model.source != DEMO:
            raise ValueError("no task is named: add `tasks: [okvqa, text_vqa]`, for example")
        if self.profile is None and self.search is None:
            raise ValueError("nothing is to be done: add `profile:` or `search:` or both")
        if self.merge is not None and self.profile is None:
            raise ValueError("`merge` needs `profile`, whose scores it merges")
        for section, needed, why in _NEEDED:
            if getattr(self, section) is not None and getattr(self, needed) is None:
                raise ValueError(f"`{section}` needs `{needed}`, {why}")
        return self

    @property
    def ranking(self) -> Ranking:
        """What is ranked: as the search ranks, unless `analyze` says otherwise."""
        said = self.analyze or AnalyzeSection()
        search = self.search or SearchSection()
        least, drop = said.min_coverage, said.min_drop
        return Ranking(
            min_coverage=search.min_coverage if least is None else least,
            min_drop=search.min_drop if drop is None else drop,
            robust_coverage=said.robust_coverage,
        )

    @property
    def targets(self) -> Targets:
        """What is asked for instead of a number of blocks."""
        return taken(self.analyze or AnalyzeSection(), Targets)


DEPTH = 3
"""Keys are checked this deep: sections, their fields, and weights by name within those."""

_OWN = ("tasks", "task_files", "lm_eval_paths", "data_dir")
"""Options that are fields of the file itself; `num_samples` was checked."""

_SECTIONS: dict[str, type[BaseModel]] = {
    "search": SearchSection,
    "evaluate": EvaluateSection,
    "sweep": SweepSection,
    "merge": MergeSection,
    "model": ModelSection,
}
"""Sections whose fields are options of a command; the first that has an option is meant."""


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

    def model_options(self) -> ModelOptions:
        """Return the options about the model."""
        options = taken(self.content.model, ModelOptions)
        if options.chat_template in (None, prompting.OWN, prompting.NONE):
            return options
        return replace(options, chat_template=str(self._beside(Path(options.chat_template))))

    def data_options(self, num_samples: int | None = None) -> DataOptions:
        """Return the options about the data; `num_samples` replaces what the file says."""
        said = taken(self.content, DataOptions)
        return replace(
            said,
            num_samples=said.num_samples if num_samples is None else num_samples,
            data_dir=None if said.data_dir is None else self._beside(said.data_dir),
            task_files=tuple(map(self._beside, said.task_files)),
            lm_eval_paths=tuple(map(self._beside, said.lm_eval_paths)),
        )

    def search_options(self, tasks: Sequence[str]) -> SearchOptions:
        """Return the options of the search, over these tasks."""
        said = taken(self.search, SearchChoice)
        if is_own(said.strategy):
            said = replace(said, strategy=str(self._beside(Path(said.strategy))))
        if said.task_weights and said.joint:
            weights = check_weights(said.task_weights, tasks, option="task_weights", thing="task")
            said = replace(said, task_weights=weights)
        return said.options()

    def folder(self) -> Path:
        """Return the folder of the study."""
        output = self.content.output
        return self._beside(study_folder(None, self.model) if output is None else output)

    def cut_output(self) -> Path | None:
        """Return the folder of the smaller checkpoint; None: one in the study, by its blocks."""
        section = self.content.cut
        output = None if section is None else section.output
        return None if output is None else self._beside(output)

    def requests(
        self,
        output: Path | None = None,
        num_samples: int | None = None,
        workers: Workers = Workers(),
    ) -> dict[str, SearchRequest]:
        """Return what is to be measured: `profile`, `search` or both, in this order.

        Args:
            output: a folder instead of the one in the file.
            num_samples: instead of the number in the file; 0 means all.
            workers: what is not as usual in these is instead of what the file says.

        Raises:
            DepthpruneError: there is no such task, or options do not fit each other.
        """
        with self.about("tasks"):
            return self._requests(output, num_samples, workers)

    def _requests(
        self, output: Path | None, num_samples: int | None, workers: Workers
    ) -> dict[str, SearchRequest]:
        given = {
            one.name: value
            for one in fields(Workers)
            if (value := getattr(workers, one.name)) != one.default
        }
        request = search_request(
            self.model,
            self.folder() if output is None else output,
            self.model_options(),
            self.data_options(num_samples),
            workers=replace(taken(self.content, Workers), **given),
        )
        search = replace(
            request,
            search=self.search_options([task.name for task in request.tasks]),
            allow_weak_baseline=self.content.allow_weak_baseline,
        )
        requests = {}
        if self.content.profile is not None:
            splits = tuple(self.content.profile.splits)
            requests["profile"] = replace(
                search,
                splits=splits,
                data=replace(search.data, splits=splits),
                search=SearchOptions(Ablation()),
            )
        if self.content.search is not None:
            task_shares(search)
            requests["search"] = search
        if self.content.merge is not None and self.content.merge.dataset_weights:
            tasks = sorted(task.name for task in search.tasks)
            check_weights(self.content.merge.dataset_weights, tasks, option=OPTION, thing="dataset")
        return requests

    def merge(self, datasets: Sequence[DatasetScores]) -> Scores:
        """Return the importance over all datasets, as the section `merge` says.

        Raises:
            DepthpruneError: the weights do not fit the datasets, or the datasets each other.
        """
        section = self.content.merge or MergeSection()
        with self.about("tasks"):
            return merge_scores(
                datasets,
                method=section.method,
                train_weight=section.train_val_weight,
                dataset_weights=section.dataset_weights or None,
            )

    def place(self, field: Sequence[str]) -> str:
        """Return file, line and name of a field, for messages."""
        return f"{self.file.place(field)}, {'.'.join(field)}"

    @contextmanager
    def about(self, *field: str) -> Iterator[None]:
        """Name field and line where an error names an option, or `field` if it names no place."""
        try:
            yield
        except DepthpruneError as error:
            concerned = field if error.option is None else _field_of(error.option)
            if error.where or not concerned:
                raise
            raise error.but(where=self.place(concerned)) from error

    def file_or_name(self, name: str) -> str:
        """Return the path of a file that lies beside the study file; another name as it is."""
        path = self._beside(Path(name))
        return str(path) if path.is_file() else name

    def _beside(self, path: Path) -> Path:
        """Return a path that is relative to the folder of the file."""
        return self.file.path.parent / path.expanduser()


def _field_of(option: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return where a study file says what an option says; empty where it says no such thing."""
    if option in _OWN:
        return (str(option),)
    for name, section in _SECTIONS.items():
        if option in section.model_fields and option != "num_samples":
            return name, str(option)
    return ()


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
