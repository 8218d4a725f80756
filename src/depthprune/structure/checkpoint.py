"""A checkpoint as its headers tell it: the tensors' names, shapes, number types and places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from depthprune.base.language import Note

Kind = Literal["huggingface", "state_dict", "module", "slicegpt"]
"""A folder in Hugging Face format; a file with a state dictionary; a module that was pickled whole;
what SliceGPT writes (sliced dimensions, `shortcut_Q`, no norms)."""


class Tensor(Protocol):
    """A tensor that lies in a file; only `pieces` reads its numbers."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str:
        """As safetensors names it, a key of `blocks.cut.stored.DTYPE_BITS`."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def storage(self) -> str:
        """What identifies its bytes: tensors with the same are tied."""
        ...

    def pieces(self, size: int = ...) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a model say about it, without a weight read and without code run.

    Attributes:
        path: the folder or file that was named or found.
        kind: of its format.
        tensors: by name, in the order of the file; names as in the model itself (`model.layers.0.
            self_attn.q_proj.weight`), a wrapper's prefix (`module.`, `_orig_mod.`) taken off.
        files: that were read.
        config: of `config.json` beside it, or of the pickled module; empty when there is none.
        types: class names of the modules of a pickled model by their paths (`model.layers.11.
            self_attn`: `ZeroAttention`); empty for formats that do not say.
        partial: why the files are not the whole model, e.g. those of one rank; None when they are.
        unknown: tensors of which nothing tells how many parameters they hold, each with the reason.
        attributes: numbers that modules of a pickled model hold, by their paths (`num_heads`, ...).
        provenance: `depthprune.json`, or `{"removed": [...]}` from `layers_to_remove.json` and the
            like; None when nothing says where the model comes from.
        notes: what a reader should know, e.g. a file that was left out.
    """

    path: Path
    kind: Kind
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    partial: Note | None = None
    unknown: Mapping[str, Note] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()
