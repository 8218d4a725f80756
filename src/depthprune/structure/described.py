"""Tensors that torch pickles in a form of their own: what their records say of name and shape.

Forms: of the meta device (`_rebuild_meta_tensor_no_storage`), sparse (`_rebuild_sparse_tensor`),
quantised by torch (`_rebuild_qtensor`), subclasses as torchao's and DTensor
(`_rebuild_wrapper_subclass`); https://github.com/pytorch/pytorch/blob/main/torch/_utils.py
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from depthprune.checkpoint.inert_pickle import Record, Reference
from depthprune.checkpoint.pickled_tensor import DTYPES, LARGEST, MOST_AXES, PickledTensor, Storage
from depthprune.checkpoint.stored import DTYPE_BITS
from depthprune.structure.checkpoint import Tensor
from depthprune.structure.made_tensors import Described, Shape, Sparse, stored_bytes

LARGEST_DENSE = 2**33
"""Bytes of a sparse tensor that is read as a dense one, at most."""

_REBUILD = "torch._utils._rebuild_"
_DENSE_LAYOUTS = {"torch.sparse_coo": 3, "torch.sparse_csr": 4, "torch.sparse_csc": 4}
"""How many values describe a sparse tensor, at least: indices, numbers, shape."""


def described(name: str, record: Record) -> Tensor | None:
    """Return the tensor that a record describes, by its shape at least; None where none is told."""
    form, arguments = record.kind.removeprefix(_REBUILD), record.arguments
    if form == "sparse_tensor":
        return _sparse(name, arguments)
    if form == "meta_tensor_no_storage" and len(arguments) >= 2:
        return _described(name, _dtype(arguments[0]), arguments[1])
    if form == "qtensor" and len(arguments) >= 3 and isinstance(arguments[0], Storage):
        return _described(name, "I8", arguments[2], arguments[0].length)
    if form == "wrapper_subclass" and len(arguments) >= 3:
        inner = list(_tensors_in(record.state))
        dtype = max(inner, key=stored_bytes).dtype if inner else _dtype(arguments[1])
        return _described(name, dtype, arguments[2], sum(map(stored_bytes, inner)))
    return None


def packed_linear(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weight and the bias of a linear layer that torch quantised, by their names.

    Args:
        name: under which they are packed, `..._packed_params`.
        value: the pair, or the object that holds it.
    """
    pair = value.state if isinstance(value, Record) else value
    if isinstance(pair, tuple) and pair and isinstance(pair[0], tuple):
        pair = pair[0]  # behind it stands the name of the class
    if not isinstance(pair, tuple):
        return
    module = name
    while module.endswith("._packed_params"):
        module = module.removesuffix("._packed_params")
    for part, found in zip(("weight", "bias"), pair, strict=False):
        if found is not None:
            yield f"{module}.{part}", found


def _sparse(name: str, arguments: tuple[Any, ...]) -> Tensor | None:
    if len(arguments) < 2 or not isinstance(arguments[1], tuple):
        return None
    layout, data = _layout(arguments[0]), arguments[1]
    count = _DENSE_LAYOUTS.get(layout)
    tensors = [each for each in data if isinstance(each, PickledTensor)]
    shape = next((found for each in reversed(data) if (found := _shape(each)) is not None), None)
    if not tensors or shape is None:
        return None
    indices, values = tuple(tensors[:-1]), tensors[-1]
    width = DTYPE_BITS[values.dtype] // 8
    matrix = layout == "torch.sparse_coo" or len(shape) == 2
    if count and len(indices) == count - 2 and matrix and prod(shape) * width <= LARGEST_DENSE:
        return Sparse(name, shape, layout, indices, values)
    stored = sum(map(stored_bytes, tensors))
    return _described(name, values.dtype, shape, stored)


def _layout(value: Any) -> str:
    arguments = value.arguments if isinstance(value, Record) else ()
    return arguments[0] if arguments and isinstance(arguments[0], str) else ""


def _described(name: str, dtype: str | None, size: Any, length: int = 0) -> Described | None:
    shape = _shape(size)
    if shape is None or dtype is None:
        return None
    return Described(name, dtype, shape, f"described:{name}", length)


def _dtype(value: Any) -> str | None:
    return DTYPES.get(value.name) if isinstance(value, Reference) else None


def _shape(value: Any) -> Shape | None:
    """Return a size, which torch pickles as a tuple or as a `torch.Size`."""
    if isinstance(value, Record) and value.kind == "torch.Size" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, tuple) or len(value) > MOST_AXES:
        return None
    if not all(type(size) is int and 0 <= size < LARGEST for size in value):
        return None
    return value if prod(value) < LARGEST else None


def _tensors_in(state: Any) -> Iterator[PickledTensor]:
    """Yield the tensors among the attributes of a tensor of a class of its own."""
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        for value in part.values() if isinstance(part, dict) else ():
            if isinstance(value, PickledTensor):
                yield value
