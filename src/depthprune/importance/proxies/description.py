"""Which proxies there are: name, formula and source of each, and what one of them found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from depthprune.base.errors import DepthpruneError
from depthprune.base.registry import Registry
from depthprune.base.removal import Removal

if TYPE_CHECKING:
    from depthprune.importance.proxies.calibration import Calibration

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
