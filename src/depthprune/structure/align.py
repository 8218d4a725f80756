"""Which layer of the original each layer of a pruned model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

from depthprune.base.errors import AnalysisError, option
from depthprune.base.language import counted, filled
from depthprune.structure.anatomy import Anatomy, Layer, added
from depthprune.structure.comparison import AlignedBy
from depthprune.structure.origin import has_record, recorded_layers
from depthprune.structure.samples import ReadModel, differences, same_layers
from depthprune.structure.tensors import Checkpoint

Costs = Sequence[Sequence[float]]
"""One row for each thing to place, one number for each place."""


def assign(costs: Costs) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return a column for every row, ascending, of the least total cost; of equal ones the first.

    Dynamic programming over rows and columns, as in the alignment of two sequences (Needleman and
    Wunsch, 1970) where every row must be placed.

    Args:
        costs: finite, rows x columns, at least as many columns as rows.

    Returns:
        The columns, and for each row by how much the total grows at least when that row goes
        elsewhere: infinite where it has no other place, 0 where another is as good.
    """
    rows, columns = len(costs), len(costs[0]) if costs else 0
    before = _prefixes(costs, columns)
    after = [row[::-1] for row in _prefixes([row[::-1] for row in costs[::-1]], columns)][::-1]
    through = [
        [up + down - cost for up, down, cost in zip(*both, strict=True)]
        for both in zip(before, after, costs, strict=True)
    ]
    chosen: list[int] = []
    for row in range(rows):
        first = chosen[-1] + 1 if chosen else 0
        # A place that only rounding makes dearer is as good.
        best = min(through[row][first:])
        chosen.append(
            next(c for c in range(first, columns) if through[row][c] <= best + 1e-12 * (1 + best))
        )
    margins = []
    for row, place in enumerate(chosen):
        elsewhere = min((cost for c, cost in enumerate(through[row]) if c != place), default=inf)
        margins.append(max(0.0, elsewhere - through[row][place]))
    assert all(a < b for a, b in pairwise(chosen))
    return tuple(chosen), tuple(margins)


def _prefixes(costs: Costs, columns: int) -> list[list[float]]:
    """Return the least cost of all rows up to each one when it stands in each column."""
    found: list[list[float]] = []
    for number, row in enumerate(costs):
        line = []
        least = 0.0 if number == 0 else inf
        for column in range(columns):
            line.append(least + row[column])
            if found:
                least = min(least, found[-1][column])
        found.append(line)
    return found


DOUBTS: dict[str, str] = {
    "no original weights": "of the original only counts are known, no weights to know layers by",
    "weights alike": "the weights do not tell the layers apart: all alike, or none comparable",
    "record unfit": "what the checkpoint says of removed layers does not fit these two models",
    "record contradicted": "what the checkpoint says of removed layers is not true of its weights, "
    "which were followed",
    "reordered": "the layers stand in another order than in the original",
    "copies": "layers with the weights of another layer of the original: {layers}",
    "could be others": "layers of the pruned model that could be others as well: {layers}",
    "unknown": "{number} {number:layer was|layers were} removed, but nothing tells which: layer i "
    "is set beside layer i, and the rest is missing",
    "added": "the model has {number} {number:layer|layers} more than the original, and nothing "
    "tells "
    "which: the last {number:one is|ones are} taken for them",
    "grown": "these layers hold more than in the original, which may be another model: {layers}",
}
"""What is said of a doubt; `layers` and `number` are filled in."""

LEAST_MARGIN = 0.1
"""By how much another place must be worse, where 1 is as unlike as two layers of the original."""

LEAST_SIZE_MARGIN = 0.01
"""The same for sizes, where 1 is all of the layer."""

MOST_UNLIKE = 0.7
"""Layers that are less alike than this, on average, are not known by their weights."""


@dataclass(frozen=True)
class Doubt:
    """What a reader should know of an alignment; `str` tells it in English.

    Attributes:
        kind: a key of `DOUBTS`.
        layers: of the pruned model, that it is about.
        number: of layers, where it is not known which.
    """

    kind: str
    layers: tuple[int, ...] = ()
    number: int = 0

    def __str__(self) -> str:
        layers = ", ".join(map(str, self.layers))
        return filled(DOUBTS[self.kind], layers=layers, number=self.number)


@dataclass(frozen=True)
class Alignment:
    """Which layer of the original each layer of a pruned model is.

    Attributes:
        indices: in the original, one for each layer of the pruned model that is not added; all
            different.
        by: what told it.
        known: False when layers were removed and nothing tells which: then `indices` only count.
        doubts: what a reader should know.
        added: layers of the pruned model beyond those of the original, by their index; for each the
            layer of the original that it is a copy of, or None.
    """

    indices: tuple[int, ...]
    by: AlignedBy
    known: bool = True
    doubts: tuple[Doubt, ...] = ()
    added: Mapping[int, int | None] = field(default_factory=dict)


def align(original: ReadModel, pruned: ReadModel) -> Alignment:
    """Return which layer of the original each layer of the pruned model is.

    What the checkpoint says of itself, if its weights do not disprove it; else equal weights; else
    the same number of layers; else the least different weights, then sizes, in the same order; else
    the position. Of the weights a few kilobytes of every tensor are read.

    Raises:
        AnalysisError: the pruned model has layers, and the original has none.
        FileError: a weight file ends early or cannot be read.
    """
    whole, rest = original.anatomy, pruned.anatomy
    number, left = len(whole.layers), len(rest.layers)
    if left and not number and not whole.unknown:
        raise AnalysisError(
            f"the pruned model has {counted(left, 'layer')}, its original none",
            where=f"{rest.name}; {whole.name}",
            mend=f"check that {option('compare_with')} ({option('base_model')}) names the original",
        )
    if left == 0 or number == 0:
        return Alignment((), "position", added={layer.index: None for layer in rest.layers})
    weights = _Weights(original, pruned)
    if left > number:
        return _with_added(whole, rest, weights)
    found = _aligned(whole, rest, pruned.checkpoint, weights)
    grown = tuple(
        after.index
        for place, after in zip(found.indices, rest.layers, strict=True)
        if _grew(whole.layers[place].attention.total, after.attention.total)
        or _grew(whole.layers[place].mlp.total, after.mlp.total)
    )
    return replace(found, doubts=(*found.doubts, Doubt("grown", grown))) if grown else found


def _with_added(original: Anatomy, pruned: Anatomy, weights: _Weights) -> Alignment:
    """Match a model that has more layers: the first of equal ones is the original's, others copies.

    Where the weights do not tell all layers of the original, the last ones count as added.
    """
    number = len(original.layers)
    firsts: dict[int, int] = {}
    copies: dict[int, int] = {}
    unlike: list[int] = []
    for place, vote in enumerate(weights.votes):
        if vote is None:
            unlike.append(place)
        elif vote in firsts:
            copies[place] = vote
        else:
            firsts[vote] = place
    if len(firsts) == number:
        indices = tuple(sorted(firsts, key=firsts.__getitem__))
        added: dict[int, int | None] = {pruned.layers[place].index: None for place in unlike}
        added |= {pruned.layers[place].index: vote for place, vote in copies.items()}
        return Alignment(indices, "content", added=added)
    beyond = {layer.index: None for layer in pruned.layers[number:]}
    doubt = Doubt("added", number=len(beyond))
    return Alignment(tuple(range(number)), "position", doubts=(doubt,), added=beyond)


def _grew(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _aligned(
    original: Anatomy, pruned: Anatomy, checkpoint: Checkpoint | None, weights: _Weights
) -> Alignment:
    number, left = len(original.layers), len(pruned.layers)
    same = weights.same()
    record = checkpoint and recorded_layers(checkpoint, number, left)
    if record and (same is None or same.indices == record[0]):
        return Alignment(record[0], record[1])
    doubts: tuple[Doubt, ...] = ()
    if record:
        doubts = (Doubt("record contradicted"),)
    elif checkpoint and has_record(checkpoint):
        doubts = (Doubt("record unfit"),)
    found = same or _by_position(original, pruned, weights) or weights.nearest()
    if found is None:
        doubts += (Doubt("weights alike" if weights.at_hand else "no original weights"),)
        found = _by_sizes(original, pruned) or Alignment(
            tuple(range(left)),
            "position",
            known=False,
            doubts=(Doubt("unknown", number=number - left),),
        )
    return replace(found, doubts=(*doubts, *found.doubts))


def _by_position(original: Anatomy, pruned: Anatomy, weights: _Weights) -> Alignment | None:
    """Return every layer's own index where that says it: none is gone, or numbers are left out.

    A state dictionary from which layers were deleted keeps the numbers of the others.
    """
    number, left = len(original.layers), len(pruned.layers)
    own = tuple(layer.index for layer in pruned.layers)
    if left == number:
        own = tuple(range(number))
    elif own == tuple(range(left)) or own[-1] >= number:
        return None
    copies = tuple(
        index
        for index, other in zip(own, weights.votes, strict=True)
        if other is not None and other != index
    )
    return Alignment(own, "position", doubts=(Doubt("copies", copies),) if copies else ())


def _by_sizes(original: Anatomy, pruned: Anatomy) -> Alignment | None:
    """Return the order-preserving match of least different sizes; None when all matches are equal.

    A difference is a share of the layer's attention or MLP; what a layer cannot have gained counts
    as all of it.
    """
    costs = [[_size_cost(before, after) for before in original.layers] for after in pruned.layers]
    return _best(costs, LEAST_SIZE_MARGIN)


def _size_cost(before: Layer, after: Layer) -> float:
    parts = (
        (before.attention.total, after.attention.total),
        (before.mlp.total, after.mlp.total),
        (added((before.norm, before.other)), added((after.norm, after.other))),
    )
    return sum(_part_cost(was, now) for was, now in parts) / len(parts)


def _part_cost(was: int | None, now: int | None) -> float:
    """Return what a part has lost; of an unknown count nothing, wherever it may belong."""
    if was is None or now is None:
        return 0.0
    return 1.0 if now > was else (was - now) / max(was, 1)


def _best(costs: list[list[float]], least_margin: float) -> Alignment | None:
    """Return the cheapest match and who could be elsewhere; None when most layers could."""
    indices, margins = assign(costs)
    unsure = tuple(row for row, margin in enumerate(margins) if margin < least_margin)
    if 2 * len(unsure) > len(indices):
        return None
    doubts = (Doubt("could be others", unsure),) if unsure else ()
    return Alignment(indices, "best match", doubts=doubts)


class _Weights:
    """What samples of the weights tell; nothing where one of the checkpoints is not at hand."""

    def __init__(self, original: ReadModel, pruned: ReadModel) -> None:
        self.at_hand = original.checkpoint is not None and pruned.checkpoint is not None
        self._original, self._pruned = (
            [
                (model.samples if self.at_hand else {}).get(one.index, {})
                for one in model.anatomy.layers
            ]
            for model in (original, pruned)
        )
        self.votes = same_layers(self._original, self._pruned)

    def same(self) -> Alignment | None:
        """Return where the same bytes are, when every layer that holds any is found."""
        found = [vote for vote in self.votes if vote is not None]
        holding = sum(bool(layer) for layer in self._pruned)
        if not found or len(found) < holding or len(set(found)) < len(found):
            return None
        if found != sorted(found):
            complete = len(found) == len(self._pruned)
            return (
                Alignment(tuple(found), "content", doubts=(Doubt("reordered"),))
                if complete
                else None
            )
        indices, margins = assign(self._costs_of_votes(otherwise=0.0))
        return None if min(margins) <= 0 else Alignment(indices, "content")

    def nearest(self) -> Alignment | None:
        """Return the order-preserving match of least different weights, if there is a clear one."""
        costs = differences(self._original, self._pruned)
        if costs is None and not any(vote is not None for vote in self.votes):
            return None
        costs = costs or self._costs_of_votes(otherwise=1.0)
        for row, vote in zip(costs, self.votes, strict=True):
            if vote is not None:
                row[:] = [float(column != vote) for column in range(len(row))]
        found = _best(costs, LEAST_MARGIN)
        if found is None:
            return None
        unlike = sum(row[place] for row, place in zip(costs, found.indices, strict=True))
        return found if unlike / len(costs) <= MOST_UNLIKE else None

    def _costs_of_votes(self, otherwise: float) -> list[list[float]]:
        columns = range(len(self._original))
        return [
            [otherwise if vote is None else float(column != vote) for column in columns]
            for vote in self.votes
        ]
