"""The fields of a study file: what each may be, and what it is when it is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

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
from depthprune.cli.options import DEMO
from depthprune.engine.options import ModelOptions
from depthprune.importance.compare import THRESHOLD, TOP_K
from depthprune.importance.merge import TRAIN_WEIGHT, Method
from depthprune.strategies.options import search_options
from depthprune.tasks.options import DataOptions


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


class ModelSection(_Section):
    """The model, and how it is run: the options of `depthprune search` about the model."""

    source: str
    dtype: str = ModelOptions.dtype
    device: str = ModelOptions.device
    device_map: str | None = ModelOptions.device_map
    batch_size: Annotated[int, Field(ge=1)] | None = ModelOptions.batch_size
    stack: str = ModelOptions.stack
    trust_remote_code: bool = ModelOptions.trust_remote_code
    revision: str | None = ModelOptions.revision
    self_check: bool = ModelOptions.self_check
    chat_template: str | None = ModelOptions.chat_template
    system_prompt: str = ModelOptions.system_prompt
    thinking: bool = ModelOptions.thinking
    prompt_date: str = ModelOptions.prompt_date


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


class AnalyzeSection(_Section):
    """Findings, recommendations, figures and page: the options of `depthprune analyze`."""

    min_coverage: Annotated[int, Field(ge=1)] | None = None
    min_drop: Annotated[float, Field(ge=-1, le=1)] | None = None
    robust_coverage: int = Field(default=Ranking.robust_coverage, ge=1)
    max_drop: Annotated[float, Field(ge=0, le=1)] | None = Targets.max_drop
    speedup: Annotated[float, Field(gt=1)] | None = Targets.speedup
    params: Annotated[float, Field(gt=0, lt=1)] | None = Targets.params
    formats: Annotated[
        list[Literal["png", "svg", "pdf"]], BeforeValidator(_as_list), Field(min_length=1)
    ] = ["png"]
    skip: Annotated[list[Literal["figures", "html", "latex"]], BeforeValidator(_as_list)] = Field(
        default_factory=list
    )


class SweepSection(_Section):
    """Accuracy against latency on every task: the options of `depthprune sweep`."""

    num_active_blocks: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    latency_samples: int = Field(default=8, ge=1)
    latency_tokens: int = Field(default=16, ge=2)
    warmup: int = Field(default=2, ge=0)


class CutSection(_Section):
    """The smaller checkpoint: the options of `depthprune cut`."""

    removed: Annotated[int, Field(ge=1)] | Literal["recommended"] = "recommended"
    output: Place | None = None
    overwrite: bool = False
    max_shard_size: str = "5GB"
    verify: bool = False


class EvaluateSection(_Section):
    """The smaller checkpoint on the tasks of the study, and as `depthprune evaluate` has it."""

    metrics: Annotated[list[Metric], BeforeValidator(_as_list)] = Field(default_factory=list)
    ppl_texts: Annotated[Names, Field(min_length=1)] = ["wikitext2", "ptb"]
    zeroshot_tasks: Annotated[Names, Field(min_length=1)] = [
        "boolq",
        "piqa",
        "hellaswag",
        "winogrande",
        "arc_easy",
        "arc_challenge",
        "openbookqa",
    ]
    num_samples: int = Field(default=0, ge=0)


class StudyContent(_Section):
    """What a study file says; the shipped example explains every field."""

    model: ModelSection
    tasks: Names = Field(default_factory=list)
    task_files: Places = Field(default_factory=list)
    lm_eval_paths: Places = Field(default_factory=list)
    data_dir: Place | None = None
    follow_links: bool = DataOptions.follow_links
    splits: Annotated[Names, Field(min_length=1)] = list(DataOptions.splits)
    num_samples: int = Field(default=DataOptions.num_samples, ge=0)
    seed: int = DataOptions.seed
    download: bool = DataOptions.download
    output: Place | None = None
    allow_weak_baseline: bool = False
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
        return Ranking(
            min_coverage=search.min_coverage if said.min_coverage is None else said.min_coverage,
            min_drop=search.min_drop if said.min_drop is None else said.min_drop,
            robust_coverage=said.robust_coverage,
        )

    @property
    def targets(self) -> Targets:
        """What is asked for instead of a number of blocks."""
        said = self.analyze or AnalyzeSection()
        return Targets(said.max_drop, said.speedup, said.params)
