"""Compute proxies on one split: what needs the same pass over the samples shares it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from depthprune.importance.proxies.calibration import Calibration, Tokens
from depthprune.importance.proxies.description import PROXIES, ProxyScores, check_names
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


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
