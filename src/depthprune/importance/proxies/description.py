"""Which proxies there are: name, formula and source of each, and what one of them found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal

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
    """

    name: str
    formula: str
    source: str
    needs: Needs


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


PROXIES: Mapping[str, Proxy] = MappingProxyType(
    {
        proxy.name: proxy
        for proxy in (
            Proxy(
                "block_influence",
                "mean over tokens of 1 - cos(x, y)",
                "Men et al. 2024, ShortGPT: Layers in Large Language Models are More Redundant "
                "Than You Expect, arXiv:2403.03853",
                "hidden states",
            ),
            Proxy(
                "angular_distance",
                "mean over samples of arccos(cos(x, y)) / pi at the last token",
                "Gromov et al. 2024, The Unreasonable Ineffectiveness of the Deeper Layers, "
                "arXiv:2403.17887 (PruneMe)",
                "hidden states",
            ),
            Proxy(
                "relative_magnitude",
                "mean over tokens of |y - x| / |y|",
                "Samragh et al. 2023, Weight Subcloning: Direct Initialization of Transformers "
                "Using Larger Pretrained Ones, arXiv:2312.09299",
                "hidden states",
            ),
            Proxy(
                "taylor",
                "sum over the block's weights w of |w * dL/dw|",
                "Kim et al. 2024, Shortened LLaMA: Depth Pruning for Large Language Models, "
                "arXiv:2402.02834",
                "gradients",
            ),
            Proxy(
                "perplexity",
                "L without the block - L",
                "Song et al. 2024, SLEB: Streamlining LLMs through Redundancy Verification and "
                "Elimination of Transformer Blocks, arXiv:2402.09025",
                "removals",
            ),
        )
    }
)
"""The proxies by name. L is the mean negative log-likelihood of the reference answers' tokens."""


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of proxies, each once, in the order of `PROXIES`.

    Raises:
        DepthpruneError: there is no such proxy, or none is named.
    """
    for name in names:
        if name not in PROXIES:
            raise DepthpruneError(
                f"there is no proxy {name!r}", mend=f"choose among {', '.join(PROXIES)}"
            )
    if not names:
        raise DepthpruneError("no proxy was named", mend=f"choose among {', '.join(PROXIES)}")
    return tuple(name for name in PROXIES if name in names)
