"""The fields of a study file: what each may be, and what it is when it is left out."""

from __future__ import annotations

from dataclasses import fields
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
from depthprune.base.language import Lang
from depthprune.base.options import Options
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.options import BenchmarkOptions
from depthprune.cutting.options import CutOptions
from depthprune.engine.options import ModelOptions
from depthprune.importance.compare import THRESHOLD, TOP_K
from depthprune.importance.merge import TRAIN_WEIGHT, Method
from depthprune.strategies.options import search_options
from depthprune.study.seen import FEWEST_FRESH
from depthprune.tasks.demo.place import DEMO
from depthprune.tasks.options import DataOptions


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
    return {one.name: (_in_yaml(hints[one.name]), one.default) for one in chosen}


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


_FLAT: Any = {one.name: (one.hint, one.default) for one in search_options()}


_FLAT["protect"] = (Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_each_once)], [])


class SearchSection(create_model("_Search", __base__=_Section, **_FLAT)):  # type: ignore[misc]
    """The search: the options of `depthprune search`."""

    min_coverage: int = Field(default=2, ge=1)
    min_drop: float | None = None


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


class EvaluateSection(_section("_Evaluate", **_CARD)):  # type: ignore[misc]
    """The smaller checkpoint on the tasks of the study, and as `depthprune evaluate` has it."""

    metrics: Annotated[list[Metric], BeforeValidator(_as_list)] = Field(default_factory=list)


class StudyContent(_section("_Content", model=(ModelSection, ...), **fields_of(DataOptions))):  # type: ignore[misc]
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

    @model_validator(mode="after")
    def _ranks_within_reason(self) -> Self:
        if self.analyze is None or self.search is None or self.analyze.min_drop is not None:
            return self
        least = self.search.min_drop
        if least is not None and not -1 <= least <= 1:
            raise ValueError("`analyze` needs a `search.min_drop` from -1 to 1, or one of its own")
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
