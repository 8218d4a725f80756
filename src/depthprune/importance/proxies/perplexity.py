"""The proxy that removes: how much worse the reference answers are predicted without each block."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from depthprune.base.errors import ModelError, option
from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.skipping import skip
from depthprune.engine.inputs import Row
from depthprune.engine.likelihood import score
from depthprune.importance.proxies import ProxyScores, proxy
from depthprune.importance.proxies.calibration import Calibration


@proxy(
    "perplexity",
    "L without the block - L",
    "Song et al. 2024, SLEB: Streamlining LLMs through Redundancy Verification and "
    "Elimination of Transformer Blocks, arXiv:2402.09025",
    "removals",
)
def perplexity_scores(calibration: Calibration) -> ProxyScores:
    """Return the change of the mean negative log-likelihood when each block is removed (SLEB).

    In nats per token of the references: the logarithm of the factor by which perplexity grows. It
    is the first step of the paper's algorithm, which removes the block with the least loss and
    begins again. Blocks that the architecture cannot lose alone have no score.

    Raises:
        ModelError: the loss is not finite.
    """
    whole = _loss(calibration, ())
    scores = {
        block: _loss(calibration, (block,)) - whole
        for block in range(calibration.stack.num_blocks)
        if inadmissible_reason(calibration.stack, (block,)) is None
    }
    return ProxyScores(
        "perplexity",
        scores,
        num_samples=calibration.num_samples,
        num_tokens=calibration.num_reference_tokens,
    )


def _loss(calibration: Calibration, removal: Removal) -> float:
    """Return the mean negative log-likelihood per reference token without `removal`, in nats."""
    import torch

    losses: list[float] = []

    def run(inputs: dict[str, Any], rows: Sequence[Row]) -> None:
        losses.extend(found.nll for (found,) in score(calibration.model, inputs, rows))

    with skip(calibration.model, removal, calibration.stack), torch.inference_mode():
        calibration.read(run, whole_logits=True)
    loss = sum(losses) / calibration.num_reference_tokens
    if not isfinite(loss):
        without = f"without block {removal[0]} " if removal else ""
        raise ModelError(
            f"the model overflowed {without}and predicts nothing",
            mend=f"compute with {option('dtype', 'float32')} or bfloat16, or leave the "
            "proxy perplexity out",
        )
    return loss
