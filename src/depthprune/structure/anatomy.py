"""What a model consists of: parameters of every part, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from depthprune.base.language import Note


@dataclass(frozen=True, slots=True)
class Attention:
    """The attention of one layer, in parameters; biases count with their projection.

    Attributes:
        total: of all its parts; more than the four where it has norms of its own and the like; None
            where a packed tensor does not say.
        q, k, v, o: of the projections; None where a file does not say. A fused projection is split.
        num_heads, num_kv_heads: None where nothing says.
        type: class name, e.g. `LlamaAttention` or `ZeroAttention`; None where nothing says.
    """

    total: int | None
    q: int | None = None
    k: int | None = None
    v: int | None = None
    o: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Mlp:
    """The feed-forward part of one layer, in parameters; of experts, all of them together.

    Attributes:
        total: None where a packed tensor does not say.
        gate: None for a plain two-layer MLP; a fused `gate_up` is split.
        intermediate_size: of the MLP, or of one expert.
        num_experts: 0 for a dense MLP.
    """

    total: int | None
    gate: int | None = None
    up: int | None = None
    down: int | None = None
    intermediate_size: int | None = None
    num_experts: int = 0
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Zeros among the weights, counted.

    Attributes:
        zeros: numbers that are exactly zero (either sign).
        numbers: all that were counted.
        pattern: `2:4`, `4:8`, ... when every group of m neighbours along the input axis of every
            matrix has at least m - n zeros; None when there is none, or hardly any zeros.
    """

    zeros: int
    numbers: int
    pattern: str | None = None

    @property
    def ratio(self) -> float:
        """Share of zeros, 0..1."""
        return self.zeros / self.numbers if self.numbers else 0.0


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block.

    Attributes:
        index: in this model.
        total: all its parameters: attention + mlp + norm + other; None where one is not known.
        norm: of its norms.
        other: of what is none of these (shortcuts of SliceGPT, adapters, routers count as mlp).
        bytes: as stored; 0 where a file does not say.
        is_zero: as a file says it, or nothing left in it; a layer that only lost its attention is
            not.
        sparsity: where zeros were counted.
    """

    index: int
    total: int | None
    attention: Attention
    mlp: Mlp
    norm: int | None = 0
    other: int | None = 0
    bytes: int = 0
    is_zero: bool = False
    sparsity: Sparsity | None = None


@dataclass(frozen=True)
class Anatomy:
    """What a model consists of; a tensor that is stored or tied twice counts once.

    A count is exact, or None where it is not known; `unknown` says why.

    Attributes:
        name: of the model.
        total: parameters of everything; the other counts and `sum(layer.total)` add up to it.
        embedding: of the token (and position) embeddings of the text model.
        lm_head: of the output head; 0 when it is tied to the embedding (`tied`).
        layers: of the text decoder; none where `unknown` says that no list of them was found.
        norm: of the final norm and the like.
        other: of what belongs to none of these.
        towers: of other parts by name (`vision`, `projector`, `audio`, `encoder`).
        dtypes: stored numbers by number type, e.g. `{"BF16": 8030261248}`.
        bytes: of all tensors as stored, tied ones once.
        tied: whether the head shares the embedding's numbers.
        hidden_size: None where nothing says.
        path: where it was read; empty where a file does not say.
        sparsity: of the whole model, where zeros were counted.
        notes: what a reader should know.
        unknown: why counts are not known, a sentence for each reason; empty where all are exact.
    """

    name: str
    total: int | None
    embedding: int | None
    lm_head: int | None
    layers: tuple[Layer, ...]
    norm: int | None = 0
    other: int | None = 0
    towers: Mapping[str, int | None] = field(default_factory=dict)
    dtypes: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    tied: bool = False
    hidden_size: int | None = None
    path: str = ""
    sparsity: Sparsity | None = None
    notes: tuple[Note, ...] = ()
    unknown: tuple[Note, ...] = ()

    @property
    def knows_layers(self) -> bool:
        """Whether `layers` are those of the model: none means that it has none."""
        return bool(self.layers) or not self.unknown

    @property
    def layer_params(self) -> int | None:
        """Parameters of all layers together; None where those of one are not known."""
        if not self.knows_layers:
            return None
        return added(layer.total for layer in self.layers)


def added(counts: Iterable[int | None]) -> int | None:
    """Return the sum of counts; None where one of them is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
