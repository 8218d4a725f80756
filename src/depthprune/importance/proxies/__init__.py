"""Proxies: cheap guesses at what a block is worth, without measuring any answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from depthprune.base.documents import (
    COUNT,
    NUMBER,
    TEXT,
    Field,
    Kind,
    Layout,
    WrongFieldError,
    named,
    read_document,
)
from depthprune.base.errors import (
    DepthpruneError,
    FileError,
    LayoutError,
    RemovalError,
    StudyError,
    option,
)
from depthprune.base.files import write_json
from depthprune.base.registry import Registry
from depthprune.base.removal import Removal, format_removal, parse_removal
from depthprune.importance.proxies.calibration import Calibration, Tokens
from depthprune.study import ModelRecord
from depthprune.study.layouts import SCORES
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


Needs = Literal["hidden states", "gradients", "removals"]
"""What a proxy is computed from: hidden states of one forward pass, gradients of one forward and
backward pass, or the loss without each block: a forward pass per block."""


@dataclass(frozen=True)
class Proxy:
    """A guess at the importance of blocks that needs no answer of the model.

    Attributes:
        name: as users write it.
        formula: for block f with input x, output y.
        source: the paper it is from.
        needs: what it is computed from.
        measure: returns the scores of some proxies; those that share it share a pass.
    """

    name: str
    formula: str
    source: str
    needs: Needs
    measure: Callable[[Sequence[str], Calibration], dict[str, ProxyScores]] = field(
        repr=False, compare=False
    )


@dataclass(frozen=True)
class ProxyScores:
    """What a proxy found on one split; a higher score is a more important block.

    Attributes:
        name: of the proxy.
        scores: by block, in the proxy's own unit: only the order compares with measured drops.
        runs: by run of consecutive blocks; of `angular_distance` only.
        num_samples: how many samples were read.
        num_tokens: how many tokens were averaged over.
    """

    name: str
    scores: dict[int, float]
    runs: dict[Removal, float] = field(default_factory=dict)
    num_samples: int = 0
    num_tokens: int = 0


PROXIES: Registry[Proxy] = Registry(
    "proxy",
    "depthprune.importance.proxies",
    first=(
        *("block_influence", "angular_distance", "relative_magnitude"),
        *("taylor", "perplexity"),
    ),
    accepts=lambda found: isinstance(found, Proxy),
)
"""The proxies by name. L is the mean negative log-likelihood of the reference answers' tokens."""


def proxy(
    name: str, formula: str, source: str, needs: Needs
) -> Callable[[Callable[[Calibration], ProxyScores]], Proxy]:
    """Return a decorator that makes a proxy of a function that scores the blocks, and adds it."""

    def make(score: Callable[[Calibration], ProxyScores]) -> Proxy:
        def measure(names: Sequence[str], calibration: Calibration) -> dict[str, ProxyScores]:
            return {name: score(calibration)}

        made = Proxy(name, formula, source, needs, measure)
        PROXIES.add(name)(made)
        return made

    return make


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of proxies, each once, in the order of `PROXIES`.

    Raises:
        DepthpruneError: there is no such proxy, or none is named.
    """
    wanted = {PROXIES.find(name).name for name in names}
    if not wanted:
        raise DepthpruneError("no proxy was named", mend=f"choose one of {', '.join(PROXIES)}")
    return tuple(name for name in PROXIES if name in wanted)


def proxy_scores(
    name: str,
    loaded: LoadedModel,
    split: TaskSplit,
    *,
    part: str = "text",
    batch_size: int | Literal["auto"] = "auto",
    on_batch: Callable[[float], None] | None = None,
) -> ProxyScores:
    """Return the scores of one proxy on one split; see `measure_proxies`."""
    found = measure_proxies(
        [name], loaded, split, part=part, batch_size=batch_size, on_batch=on_batch
    )
    return next(iter(found.values()))


def measure_proxies(
    names: Sequence[str],
    loaded: LoadedModel,
    split: TaskSplit,
    *,
    part: str = "text",
    batch_size: int | Literal["auto"] = "auto",
    angular_tokens: Tokens = "last",
    on_batch: Callable[[float], None] | None = None,
) -> dict[str, ProxyScores]:
    """Return the scores of several proxies on one split, by name, in the order of `PROXIES`.

    What is read of a sample is its prompt in the model's own words and its first reference answer.
    Scores depend neither on the batch size nor on padding; the model is as before afterwards.

    Args:
        names: see `PROXIES`.
        loaded: a language model or a vision-language model.
        split: the samples; each proxy that needs hidden states shares one pass over them.
        part: the stack whose blocks are scored, see `find_stack`.
        batch_size: rows at once; "auto" guesses from the device's memory. Either is halved for
            good when memory runs out.
        angular_tokens: angular distance at the `last` token of each sample, as in its paper, or at
            `all` tokens, which takes memory for one batch's hidden states of every block.
        on_batch: called after every batch with how many samples were read; `num_passes` says how
            often each sample is.

    Raises:
        DepthpruneError: there is no such proxy, or a single sample does not fit into memory.
        ModelError: the model is no decoder, its weights are quantised (`taylor`), or it overflows.
        TaskError: a sample cannot be used, or has no reference answer.
    """
    wanted = check_names(names)
    calibration = Calibration(loaded, split, part=part, batch_size=batch_size, on_batch=on_batch)
    calibration.angular_tokens = angular_tokens
    found: dict[str, ProxyScores] = {}
    for measure in dict.fromkeys(PROXIES[name].measure for name in wanted):
        together = [name for name in wanted if PROXIES[name].measure is measure]
        found |= measure(together, calibration)
    return {name: found[name] for name in wanted}


def num_passes(names: Sequence[str], num_blocks: int) -> int:
    """Return how often each sample is read for these proxies.

    At most: blocks that cannot be removed are not tried for `perplexity`.
    """
    needs = {PROXIES[name].needs for name in check_names(names)}
    passes = {"hidden states": 1, "gradients": 1, "removals": num_blocks + 1}
    return sum(passes[need] for need in needs)


PROXIES_FOLDER = "proxies"


def proxy_file(folder: Path, name: str, split: TaskSplit) -> Path:
    """Return where the scores of a proxy lie in the study's `folder`."""
    return folder / PROXIES_FOLDER / split.task.folder / split.split / f"{name}.json"


def write_proxy(
    folder: Path, found: ProxyScores, split: TaskSplit, model: ModelRecord, settings: str
) -> Path:
    """Write what a proxy found, in a layout that `select` reads (`importance_scores`).

    Args:
        folder: of the study.
        found: the scores.
        split: the samples that were read.
        model: the model that was looked at.
        settings: the number type and quantisation, see `Evaluator.settings`.

    Raises:
        FileError: the file cannot be written, or a score is not finite.
        StudyError: the file there is about another model.
    """
    path = proxy_file(folder, found.name, split)
    held = _read(path)
    if held is not None and not _is_of(held, model):
        raise StudyError(
            f"the folder holds proxies of another model, {held['model'].name}, not of {model.name}",
            where=str(path),
            mend=f"use another folder for this model ({option('output')})",
        )
    write_json(
        path, PROXY_FILE.write(_ProxyFile(found, PROXIES[found.name], split, model, settings))
    )
    return path


def kept_proxy(
    folder: Path, name: str, split: TaskSplit, model: ModelRecord, settings: str
) -> ProxyScores | None:
    """Return what `write_proxy` kept for the same model, samples and settings, or None.

    A file that was spoiled holds nothing.
    """
    held = _read(proxy_file(folder, name, split))
    if held is None or not held["scores"] or not _is_of(held, model):
        return None
    if (held["fingerprint"], held["settings"]) != (split.fingerprint, settings):
        return None
    read = (held[one] for one in ("scores", "runs", "num_samples", "num_tokens"))
    return ProxyScores(name, *read)


@dataclass(frozen=True)
class _ProxyFile:
    """What the file of a proxy is written from."""

    found: ProxyScores
    proxy: Proxy
    split: TaskSplit
    model: ModelRecord
    settings: str


def _runs(value: Any) -> dict[Removal, float]:
    return {_run(run): score for run, score in named(NUMBER).read(value).items()}


def _run(text: str) -> Removal:
    try:
        return parse_removal(text)
    except RemovalError as error:
        raise WrongFieldError(error.what) from error


_RUNS = Kind(
    "a JSON object of run: score",
    _runs,
    lambda runs: {format_removal(run): score for run, score in runs.items()},
)
_MODEL = Layout(
    SimpleNamespace,
    Field("name", TEXT, required=True),
    Field("fingerprint", TEXT, required=True),
    Field("architecture", TEXT, required=True),
    Field("stack", TEXT, required=True),
)
PROXY_FILE = Layout(
    dict,
    Field("proxy", TEXT, "found.name"),
    Field("formula", TEXT, "proxy.formula", derived=True),
    Field("source", TEXT, "proxy.source", derived=True),
    Field("dataset_name", TEXT, "split.task.name"),
    Field("split", TEXT, "split.split"),
    Field("num_blocks", COUNT, "model.num_blocks"),
    Field("num_samples", COUNT, "found.num_samples", required=True),
    Field("num_tokens", COUNT, "found.num_tokens", required=True),
    Field("model", _MODEL, required=True),
    Field("task_fingerprint", TEXT, "split.fingerprint", required=True),
    Field("settings", TEXT, required=True),
    Field("importance_scores", SCORES, "found.scores", required=True),
    Field("runs", _RUNS, lambda one: one.found.runs or None, omit=True),
)
"""Of `proxies/{task}/{split}/{proxy}.json`."""


def _read(path: Path) -> dict[str, Any] | None:
    """Return what the file of a proxy says; None where there is none, or a spoiled one."""
    try:
        found: dict[str, Any] = read_document(path, PROXY_FILE.read)
        return {"runs": {}} | found
    except (FileError, LayoutError):
        return None


def _is_of(held: Mapping[str, Any], model: ModelRecord) -> bool:
    return (held["model"].fingerprint, held["model"].stack) == (model.fingerprint, model.stack)
