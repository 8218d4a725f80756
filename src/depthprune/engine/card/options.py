"""What is measured of a model by itself: the options of `depthprune evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Options
from depthprune.base.removal import parse_removal
from depthprune.engine.card.measure import METRICS, CardOptions, check_metrics
from depthprune.engine.card.perplexity import Windows
from depthprune.engine.card.speed import SpeedOptions
from depthprune.engine.card.texts import HUB_TEXTS, text_sets
from depthprune.engine.card.zero_shot import ZERO_SHOT_TASKS, zero_shot_tasks
from depthprune.engine.options import ModelOptions


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """What is measured."""

    metrics: tuple[str, ...] = METRICS
    """Some of ppl, zeroshot, speed, memory; as ppl,speed or ppl speed."""

    ppl_texts: tuple[str, ...] = tuple(HUB_TEXTS)
    """wikitext2, ptb, or files of your own: plain text, or .jsonl with a field text."""

    window: int = 2048
    """Tokens of a text that are read at once; a model with fewer positions reads fewer."""

    stride: int | None = None
    """Tokens from one window to the next, the rest is context; a quarter of the window: 512."""

    zeroshot_tasks: tuple[str, ...] = ZERO_SHOT_TASKS
    """Tasks or groups of the lm-evaluation-harness, or YAML files with definitions."""

    lm_eval_paths: tuple[Path, ...] = ()
    """Folders with definitions of the lm-evaluation-harness; Python they name is executed."""

    num_samples: Annotated[int, Ge(0)] = 0
    """Documents of each zero-shot task, drawn at random; 0 means all."""

    prompt_tokens: int = 64
    """Tokens that are read before the timed generation."""

    new_tokens: int = 128
    """Tokens that every row generates while it is timed."""

    repeats: int = 5
    """How often each batch size is timed, after one run to warm up."""

    remove: tuple[str, ...] = ()
    """Blocks that are skipped, as 4,13: what the model would be without them."""

    download: bool = False
    """Allow fetching model, texts and tasks from the hub; otherwise only the cache is read."""


def card_options(asked: BenchmarkOptions, run: ModelOptions) -> CardOptions:
    """Return what is measured, with texts and tasks looked up.

    Raises:
        DepthpruneError: a metric, text or task does not exist, or a number makes no sense.
    """
    metrics = check_metrics(_split(asked.metrics))
    stride = asked.window // 4 if asked.stride is None else asked.stride
    tasks = _split(asked.zeroshot_tasks)
    return CardOptions(
        metrics=metrics,
        texts=text_sets(listed(asked.ppl_texts, "ppl_texts")) if "ppl" in metrics else (),
        windows=Windows(asked.window, stride),
        tasks=zero_shot_tasks(tasks, asked.lm_eval_paths) if "zeroshot" in metrics else (),
        num_samples=asked.num_samples or None,
        speed=SpeedOptions(
            prompt_tokens=asked.prompt_tokens, new_tokens=asked.new_tokens, repeats=asked.repeats
        ),
        removal=parse_removal(" ".join(asked.remove)),
        part=run.stack,
        batch_size=run.batch_size,
        download=asked.download,
    )


def listed(given: Sequence[str], option: str) -> tuple[str, ...]:
    """Return files or names that were written as `a b` or `a,b`; a file's own comma stays.

    Raises:
        DepthpruneError: none is named.
    """
    words = [(word,) if Path(word).is_file() else _split((word,)) for word in given]
    names = tuple(name for word in words for name in word)
    if not names:
        raise DepthpruneError("nothing is named", option=option, mend="name at least one")
    return names


def _split(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for word in given for name in word.split(",") if name)
