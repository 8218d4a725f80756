"""The file of an evaluation: written after every part, and gone on with when it is there."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthprune.base.documents import read_value
from depthprune.base.errors import FileError, option
from depthprune.base.files import check_can_make, write_json
from depthprune.base.removal import Removal, active_blocks
from depthprune.benchmark.perplexity import TextPerplexity, Windows
from depthprune.benchmark.speed import Peak, Speed, SpeedOptions, speed_ratio
from depthprune.benchmark.zero_shot import TaskAccuracy
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import Stack
from depthprune.engine.evaluator import Evaluation
from depthprune.engine.reference import input_device
from depthprune.engine.session import cut_places
from depthprune.tasks.damage import damage
from depthprune.tasks.task import Task, TaskSplit

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SCHEMA_VERSION = 1

Part = tuple[str, ...]
"""Where something that is measured by itself lies in the file, e.g. `("ppl", "wikitext2")`."""

Card = dict[str, Any]
"""The content of the file, see docs/evaluate.md."""

SAME_MODEL = ("fingerprint", "stack", "removed", "dtype")
"""Fields of `model_info` that must agree for a file to be gone on with."""


class CardFile:
    """What was found about one model, kept in a file.

    Args:
        path: of the file; what it holds about this model already is kept, and so are its other
            fields.
        model_info: of the model.
        overwrite: begin anew, whatever is there.

    Raises:
        FileError: the file is none of these, is about another model, or cannot be written.
    """

    def __init__(self, path: Path, model_info: Mapping[str, Any], *, overwrite: bool) -> None:
        check_card_path(path, overwrite=overwrite)
        self.path = path
        self.card: Card = {
            "schema_version": SCHEMA_VERSION,
            "model_info": dict(model_info),
            "ppl": {},
            "zeroshot": {"tasks": {}, "average": None, "average_of": []},
            "scores": {},
            "speed": {},
            "memory": {},
            "errors": {},
            "config": {},
        }
        if path.exists() and not overwrite:
            before = read_value(path)
            _check_same_model(before["model_info"], model_info, path)
            self.card |= before | {"model_info": dict(model_info)}

    def kept(self, part: Part, fingerprint: str) -> bool:
        """Return whether the part was measured with these very settings."""
        entry: Any = self.card
        for name in part:
            entry = entry.get(name) if isinstance(entry, dict) else None
        return isinstance(entry, dict) and entry.get("fingerprint") == fingerprint

    def store(self, part: Part, entry: Mapping[str, Any], fingerprint: str) -> None:
        """Keep what was measured, on the disk when this returns."""
        self._holder(part)[part[-1]] = {**entry, "fingerprint": fingerprint}
        self.card["errors"].pop(part_name(part), None)
        self.write()

    def fail(self, part: Part, error: str) -> None:
        """Keep why a part could not be measured, in place of what was found with other settings."""
        self._holder(part).pop(part[-1], None)
        self.card["errors"][part_name(part)] = error
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all; raises FileError when that cannot be done."""
        write_json(self.path, self.card)

    def _holder(self, part: Part) -> dict[str, Any]:
        holder = self.card
        for name in part[:-1]:
            holder = holder[name]
        return holder


def part_name(part: Part) -> str:
    """Return what a part is called in `errors`: `ppl.wikitext2`, `zeroshot.piqa`."""
    return ".".join(name for name in part if name != "tasks")


def grouped(errors: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """Return errors with the parts that they befell; those that differ in names alone once."""
    found: dict[str, tuple[list[str], str]] = {}
    for part, error in errors.items():
        told = error.replace(part.rpartition(".")[2], "")
        alike = re.sub(r"'[^']*'|where: .*?(?= mend:|$)", "", told)
        found.setdefault(alike, ([], error))[0].append(part)
    return list(found.values())


def fingerprint_of(settings: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that identify the settings of a part."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def check_card_path(path: Path, *, overwrite: bool) -> None:
    """Check, before a model is loaded, that results can be written to a file.

    Raises:
        FileError: it is a folder, cannot be written, or holds something else.
    """
    if path.is_dir():
        raise FileError(
            "this is a folder",
            where=str(path),
            mend=f"name a file, e.g. {option('output', 'evaluation_results.json')}",
        )
    check_can_make(path.parent)
    if not path.exists() or overwrite:
        return
    content = read_value(path)
    sections = ("model_info", "ppl", "zeroshot", "speed", "memory", "errors", "config")
    if (
        not isinstance(content, dict)
        or content.get("schema_version") != SCHEMA_VERSION
        or not all(isinstance(content.get(name), dict) for name in sections)
        or not isinstance(content["zeroshot"].get("tasks"), dict)
    ):
        raise FileError(
            "the file is there, and was not written by this version of `depthprune evaluate`",
            where=str(path),
            mend=f"name another file, or replace it with {option('overwrite')}",
        )


def _check_same_model(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differing = [name for name in SAME_MODEL if before.get(name) != now[name]]
    if differing:
        what = ", ".join(f"{name} {before.get(name)!r:.20} there" for name in differing)
        raise FileError(
            f"the file holds results of another model, or of other blocks ({what})",
            where=str(path),
            mend=f"name another file with {option('output')}, or begin anew with "
            f"{option('overwrite')}",
        )


KINDS = ("embedding", "attention", "mlp", "norm", "lm_head", "vision", "other")

_VISION = re.compile(r"vision|visual|image|pixel|projector|connector|^vit$|patch_embed")
_AUDIO = re.compile(r"audio|speech")
_ATTENTION = re.compile(r"attn|attention")
_MLP = re.compile(
    r"mlp|feed_?forward|ffn|expert|moe|^fc\d|^intermediate$|^output$|dense_(h|4h)_to|"
    r"^(gate|up|down)_proj$"
)
_NORM = re.compile(r"norm|^ln_")
_POSITIONS = re.compile(r"^wpe$|embed_positions|position_embed")


@dataclass(frozen=True)
class ModelInfo:
    """A model, or what is left of it without some blocks.

    Attributes:
        name: of the model.
        fingerprint: of its checkpoint, the whole one also where blocks are skipped.
        architecture: its class.
        dtype: of the weights in memory.
        stack: of the blocks, as a path in the model.
        num_blocks: of the stack in the checkpoint.
        removed: the blocks that are skipped.
        parameters: without those of skipped blocks; tied weights count once.
        module_parameters: the same by kind of module, see `KINDS`.
    """

    name: str
    fingerprint: str
    architecture: str
    dtype: str
    stack: str
    num_blocks: int
    removed: Removal
    parameters: int
    module_parameters: Mapping[str, int]

    @property
    def active(self) -> Removal:
        """The blocks that stay."""
        return active_blocks(self.removed, self.num_blocks)


def model_info(
    loaded: LoadedModel, stack: Stack, removal: Removal = (), *, name: str | None = None
) -> ModelInfo:
    """Return what a model consists of; inside `skip`, what is left of it."""
    by_kind = parameters_by_kind(loaded.model)
    return ModelInfo(
        name=name or loaded.name,
        fingerprint=loaded.fingerprint,
        architecture=type(loaded.model).__name__,
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        stack=stack.path,
        num_blocks=stack.num_blocks,
        removed=removal,
        parameters=sum(by_kind.values()),
        module_parameters=by_kind,
    )


def parameters_by_kind(model: PreTrainedModel) -> dict[str, int]:
    """Return the number of parameters of every kind of module; a shared tensor counts once.

    Everything in a vision tower, or between it and the text model, is `vision`, its norms too. An
    output head that is tied to the embedding is `embedding`. The kind is read from the names of the
    modules; what no name tells (audio, convolutions, state spaces) is `other`.
    """
    heads = _of(model, "get_output_embeddings")
    embeddings = _of(model, "get_input_embeddings")
    counts = dict.fromkeys(KINDS, 0)
    for path, parameter in model.named_parameters():
        if id(parameter) in embeddings:
            kind = "embedding"
        elif id(parameter) in heads:
            kind = "lm_head"
        else:
            kind = _kind(path.lower().split("."))
        counts[kind] += parameter.numel()
    return counts


def _kind(path: list[str]) -> str:
    modules = path[:-1]
    if any(map(_VISION.search, path)):
        return "vision"
    if any(map(_AUDIO.search, path)):
        return "other"
    if modules and _NORM.search(modules[-1]):
        return "norm"
    for kind, names in (("embedding", _POSITIONS), ("attention", _ATTENTION), ("mlp", _MLP)):
        if any(map(names.search, modules)):
            return kind
    return "other"


def _of(model: PreTrainedModel, getter: str) -> set[int]:
    try:
        module = getattr(model, getter)()
    except (NotImplementedError, AttributeError):
        return set()
    return set() if module is None else {id(tensor) for tensor in module.parameters()}


PACKAGES = ("depthprune", "torch", "transformers", "datasets", "lm_eval")


def info_value(info: ModelInfo) -> dict[str, Any]:
    """Return what the file says of the model."""
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "architecture": info.architecture,
        "dtype": info.dtype,
        "stack": info.stack,
        "num_blocks": info.num_blocks,
        "removed": list(info.removed),
        "num_active_blocks": len(info.active),
        "parameters": info.parameters,
        "module_parameters": dict(info.module_parameters),
    }


def perplexity_value(found: TextPerplexity, asked: Windows) -> dict[str, Any]:
    """Return what the file says of a text read in one way."""
    return {
        "ppl": found.ppl,
        "nll": found.nll,
        "tokens": found.tokens,
        "window": found.windows.window,
        "stride": found.windows.stride,
        "window_asked": asked.window,
        "stride_asked": asked.stride,
    }


def accuracy_value(found: TaskAccuracy) -> dict[str, Any]:
    """Return what the file says of a task."""
    return {
        "acc": found.value("acc"),
        "acc_stderr": found.value("acc_stderr"),
        "acc_norm": found.value("acc_norm"),
        "acc_norm_stderr": found.value("acc_norm_stderr"),
        "metric": found.metric,
        "accuracy": found.accuracy,
        "stderr": None if found.metric is None else found.value(f"{found.metric}_stderr"),
        "n": found.num_samples,
        "metrics": dict(found.metrics),
    }


def score_value(split: TaskSplit, found: Evaluation, *, is_cut: bool) -> dict[str, Any]:
    """Return what the file says of a task whose samples were scored.

    Args:
        split: with the samples.
        found: answers of the model, and behind them those of the whole model where `is_cut`.
        is_cut: whether blocks are skipped.
    """
    value = _one_score(split, found.scores[0], found.answers[0], found.answers[-1], is_cut=is_cut)
    if not is_cut:
        return value
    whole = _one_score(split, found.scores[1], found.answers[1], found.answers[1], is_cut=False)
    return value | {"whole": {name: whole[name] for name in ("accuracy", "stderr", "damage")}}


def _one_score(
    split: TaskSplit,
    scores: NDArray[np.float32],
    answers: Sequence[str],
    whole: Sequence[str],
    *,
    is_cut: bool,
) -> dict[str, Any]:
    exact = scores.astype(np.float64)
    std = float(exact.std(ddof=1)) if len(exact) > 1 else None
    return {
        "task": split.task.name,
        "split": split.split,
        "metric": split.scorer.name,
        "accuracy": float(exact.mean()),
        "stderr": None if std is None else std / math.sqrt(len(exact)),
        "n": len(exact),
        "task_fingerprint": split.fingerprint,
        "damage": _damage_value(split.task, answers, whole, is_cut=is_cut),
    }


def _damage_value(
    task: Task, answers: Sequence[str], whole: Sequence[str], *, is_cut: bool
) -> dict[str, Any] | None:
    """Return the damaged answers; None of likelihoods. What it alone writes is its own script."""
    cut = cut_places(answers, task)
    if cut is None:
        return None
    found = vars(damage(answers, whole, cut))
    return found if is_cut else found | {"script": None}


def ratio_value(whole: Speed, speed: Speed) -> dict[str, Any]:
    """Return what the file says of the whole model, which took turns with one without blocks."""
    return {
        "whole_seconds": list(whole.seconds),
        "whole_tokens_per_second": whole.tokens_per_second,
        "times_as_fast": asdict(speed_ratio(whole.seconds, speed.seconds, in_turns=True)),
    }


def speed_value(speed: Speed, options: SpeedOptions, device: str) -> dict[str, Any]:
    """Return what the file says of a timed batch size."""
    return {
        "tokens_per_second": speed.tokens_per_second,
        "tokens_per_second_std": speed.tokens_per_second_std,
        "ms_per_token": speed.ms_per_token,
        "ms_per_token_std": speed.ms_per_token_std,
        "ms_per_step": speed.ms_per_step,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
        "repeats": options.repeats,
        "warmup": options.warmup,
        "seconds": list(speed.seconds),
        "device": device,
    }


def device_name(loaded: LoadedModel) -> str:
    """Return what the model runs on, in words."""
    import torch

    device = input_device(loaded.model)
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{platform.machine()} {device.type}{threads}"


def versions() -> dict[str, str | None]:
    """Return the versions of what took part, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def memory_value(peak: Peak, weights: int, skipped: int, options: SpeedOptions) -> dict[str, Any]:
    """Return what the file says of memory; sizes in bytes."""
    return {
        "weights_bytes": weights,
        "skipped_bytes": skipped,
        "peak_bytes": peak.num_bytes,
        "peak_of": peak.what,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
    }
