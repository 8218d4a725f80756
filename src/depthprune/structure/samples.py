"""A few kilobytes from every tensor of every layer: enough to know a layer again.

A layer that was only moved holds the same bytes. One that lost heads or neurons has other shapes,
but its norms are still the same; where those tell nothing, rows of its output projections hold what
is left of the original's, in its order. One that was trained on is near to what it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from depthprune.checkpoint.stored import DTYPE_BITS
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.count_stored import stored_parameters
from depthprune.structure.names import find_text_stack, list_of, split_path
from depthprune.structure.tensors import Checkpoint, first_bytes

if TYPE_CHECKING:
    import numpy

SAMPLE_BYTES = 4096

_LEAST_BYTES = 16
_WORDS: Mapping[int, Literal["H", "I", "Q"]] = {2: "H", 4: "I", 8: "Q"}
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True, slots=True)
class TensorSample:
    """The first bytes of a tensor.

    Attributes:
        dtype: as safetensors names it.
        shape: of the whole tensor.
        data: as stored, at most `SAMPLE_BYTES`.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def tells(self) -> bool:
        """Whether it could tell one layer from others: neither tiny nor one number repeated."""
        width = max(1, DTYPE_BITS[self.dtype] // 8)
        return len(self.data) >= _LEAST_BYTES and self.data[width:] != self.data[:-width]

    def row(self) -> Sequence[int]:
        """Return the bits of the numbers of the first row, as far as sampled; none of vectors."""
        width = DTYPE_BITS[self.dtype] // 8
        if len(self.shape) < 2 or width not in _WORDS:
            return ()
        data = self.data[: self.shape[-1] * width]
        return memoryview(data[: len(data) // width * width]).cast(_WORDS[width]).tolist()


LayerSamples = Mapping[str, TensorSample]
"""Of one layer, by the tensors' names below it."""


def layer_samples(checkpoint: Checkpoint) -> dict[int, LayerSamples]:
    """Return the samples of the layers of the text decoder that hold tensors, by their indices.

    Raises:
        FileError: a weight file ends early or cannot be read.
    """
    stored = stored_parameters(checkpoint).stored
    stack = find_text_stack(stored, checkpoint.config)
    if stack is None:
        return {}
    found: dict[int, dict[str, TensorSample]] = {index: {} for index in stack.indices}
    for name, tensor in checkpoint.tensors.items():
        path = split_path(name)
        place = list_of(path)
        if place is None or place[0] not in stack.prefixes or place[1] not in found:
            continue
        inner = path[len(place[0]) + 1 :]
        # The first of hundreds of experts tells as much as all.
        if all(part == "0" for part in inner if part.isdecimal()):
            # Parallel lists hold parts of the same layer under the same names.
            below = ".".join((str(stack.prefixes.index(place[0])), *inner))
            data = first_bytes(tensor, SAMPLE_BYTES)
            found[place[1]][below] = TensorSample(tensor.dtype, tensor.shape, data)
    return dict(found)


@dataclass(frozen=True)
class ReadModel:
    """A model whose parts are counted; read once, it may be the original of many.

    Attributes:
        anatomy: what it consists of.
        checkpoint: where its weights lie; None when it was read from an analysis file.
    """

    anatomy: Anatomy
    checkpoint: Checkpoint | None = None

    @cached_property
    def samples(self) -> Mapping[int, LayerSamples]:
        """A few kilobytes of every layer, by index; none where no weights are at hand."""
        return layer_samples(self.checkpoint) if self.checkpoint is not None else {}


def same_layers(
    original: Sequence[LayerSamples], pruned: Sequence[LayerSamples]
) -> list[int | None]:
    """Return for each pruned layer the one with the same bytes, None where none or several have.

    Only what no other layer of the original has counts: equal norms of ones say nothing. Where
    nothing is the same, a row from which columns were taken tells the layer.
    """
    owners: dict[tuple[str, TensorSample], list[int]] = defaultdict(list)
    for index, layer in enumerate(original):
        for item in layer.items():
            if item[1].tells:
                owners[item].append(index)

    @cache
    def rows(name: str) -> Sequence[tuple[int, TensorSample, Sequence[int], Set[int]]]:
        known = ((index, layer[name]) for index, layer in enumerate(original) if name in layer)
        return [(index, one, one.row(), frozenset(one.row())) for index, one in known]

    def thinned(name: str, left: TensorSample) -> list[int]:
        """Return the layers whose first row of this tensor has the numbers of `left`, and more.

        So it is where heads or neurons were cut from the inputs of a projection (`o_proj`).
        """
        wanted = left.row()[:_MOST_IN_ROW]
        distinct = set(wanted)
        if len(distinct) < _LEAST_IN_ROW:
            return []
        return [
            index
            for index, whole, row, numbers in rows(name)
            if whole.dtype == left.dtype
            and whole.shape[:-1] == left.shape[:-1]
            and whole.shape[-1] > left.shape[-1]
            and distinct <= numbers
            and _in_order(wanted, row)
        ]

    found = []
    for layer in pruned:
        same = _votes(owners.get(item, []) for item in layer.items())
        votes = (same or _votes(thinned(*item) for item in layer.items())).most_common(2)
        alone = len(votes) == 1 or (len(votes) == 2 and votes[0][1] > votes[1][1])
        found.append(votes[0][0] if alone else None)
    return found


def _votes(candidates: Iterable[Sequence[int]]) -> Counter[int]:
    """Count the layers that are alone in something."""
    return Counter(each[0] for each in candidates if len(each) == 1)


def _in_order(wanted: Sequence[int], row: Sequence[int]) -> bool:
    """Return whether a row holds these numbers one behind the other, others between them."""
    rest = iter(row)
    return all(number in rest for number in wanted)


_LEAST_IN_ROW, _MOST_IN_ROW = 16, 64
"""So many different numbers do not follow each other by chance; more need not be looked for."""


def differences(
    original: Sequence[LayerSamples], pruned: Sequence[LayerSamples]
) -> list[list[float]] | None:
    """Return how unlike each pruned layer is to each of the original: None when nothing compares.

    Mean over the tensors of equal shape of the mean absolute difference of their sampled numbers,
    in units of the median over pairs of layers of the original: 0 is the same, 1 (the most) is as
    unlike as two different layers. Numbers that are zero in the pruned layer are left out, for
    pruning may have set them.

    Returns:
        Pruned x original; 1 where a pair has nothing to compare.
    """
    import numpy as np

    total = np.zeros((len(pruned), len(original)))
    number = np.zeros_like(total)
    for name, columns, rows in _comparable(original, pruned):
        known = np.stack([_numbers(original[column][name]) for column in columns])
        apart = [np.abs(known[i + 1 :] - known[i]).mean(axis=1) for i in range(len(known) - 1)]
        spread = float(np.median(np.concatenate(apart)))
        if not spread > 0:
            continue
        for row in rows:
            values = _numbers(pruned[row][name])
            left = values != 0
            if left.any():
                unlike = np.abs(known[:, left] - values[left]).mean(axis=1) / spread
                total[row, columns] += np.minimum(unlike, 1)
                number[row, columns] += 1
    if not number.any():
        return None
    means = np.divide(total, number, out=np.ones_like(total), where=number > 0)
    costs: list[list[float]] = means.tolist()
    return costs


def _comparable(
    original: Sequence[LayerSamples], pruned: Sequence[LayerSamples]
) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield names with the layers of both that have a float tensor of one shape by that name."""
    columns: dict[tuple[str, tuple[int, ...]], list[int]] = defaultdict(list)
    rows: dict[tuple[str, tuple[int, ...]], list[int]] = defaultdict(list)
    for layers, found in ((original, columns), (pruned, rows)):
        for index, layer in enumerate(layers):
            for name, sample in layer.items():
                if sample.data and sample.dtype in (*_FLOATS, "BF16"):
                    found[name, sample.shape].append(index)
    for key, known in columns.items():
        if len(known) > 1 and key in rows:
            yield key[0], known, rows[key]


def _numbers(sample: TensorSample) -> numpy.ndarray[Any, Any]:
    """Return the sampled numbers, as many as the widest number type fits into a sample."""
    import numpy as np

    if sample.dtype == "BF16":
        high = np.frombuffer(sample.data, "<u2").astype("<u4")
        values = (high << 16).view("<f4")
    else:
        values = np.frombuffer(sample.data, _FLOATS[sample.dtype])
    return np.nan_to_num(values[: SAMPLE_BYTES // 8].astype(np.float64))
