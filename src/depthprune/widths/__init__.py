"""Prune within the blocks: attention groups and MLP channels go, every block stays.

A group is a key-value head with the query heads that read it; a channel is one number between the
two halves of the MLP. `layout` knows which slices of which tensors a unit is, `scores` what each is
worth, `choose` which go within a budget, `plan` what is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.options import Options

Widths = Literal["uniform", "global"]
"""Whether all blocks keep equally many units, or the lowest scores of the whole model go."""

METHODS = {
    "magnitude": "sum of |w| over the unit's weights; reads no samples",
    "wanda": "sum of |w| times the root mean square of what the weight is multiplied with",
    "taylor": "sum of |w * dL/dw|, L the loss of the reference answers",
    "hgsp": "taylor times (ln(1 + drop))^T, the drop of its block as a study measured it",
    "llm-pruner": "taylor; blocks 4 to n-3 lose a quarter of their groups, 28% of their channels",
    "shortgpt": "whole blocks, by block influence",
}
"""What a unit's score is, divided by its parameters; by method."""

_ELSEWHERE = {
    "slicegpt": (
        "SliceGPT rotates the hidden states between blocks, which no class of transformers builds",
        "analyze such a model with `depthprune structure analyze`, or choose one of "
        + ", ".join(METHODS),
    ),
}


@dataclass(frozen=True)
class PruneOptions(Options):
    """How much is pruned, and how."""

    method: str = "wanda"
    """Score of a unit: magnitude (|w|, reads no samples), wanda (|w| times the size of its input),
    taylor (|w times its gradient|) or hgsp (taylor, weighed by --study). llm-pruner: taylor, a
    fixed share of the inner blocks. shortgpt: whole blocks go, by block influence."""

    ratio: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the model's parameters to remove, at most."""

    widths: Widths = "uniform"
    """uniform: every block keeps equally many units, and transformers loads the model as ever.
    global: the lowest scores of all blocks go; needs trust_remote_code to load."""

    keep_kv_heads: Annotated[int, Ge(1)] | None = None
    """Key-value heads that each block keeps (uniform; default: all) or keeps at least (global;
    default: 1)."""

    multiple_of: Annotated[int, Ge(1)] = 1
    """Round the MLP channels that stay in a block down to a multiple, e.g. 128."""

    keep_at_least: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of its groups and channels that every block keeps (global)."""

    protect_layers: tuple[str, ...] = ()
    """Blocks that are not pruned, with ranges: 0-3,29 (global)."""

    study: Path | None = None
    """Study of this model whose drops of single blocks hgsp weighs their units by."""

    temperature: Annotated[float, Ge(0)] = 1.0
    """Power T of hgsp's weight (ln(1 + drop))^T; 0 is taylor."""

    dry_run: bool = False
    """Show what would be kept, without writing anything."""

    overwrite: bool = False
    """Replace an existing checkpoint once the new one is complete."""

    max_shard_size: str = "5GB"
    """Maximum size of one weight file, e.g. 5GB, 500MB, 2GiB."""

    verify: bool = False
    """Load both models and compare the pruned one with the whole one whose pruned units are set to
    zero."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method in _ELSEWHERE:
            what, mend = _ELSEWHERE[self.method]
            raise DepthpruneError(what, option="method", mend=mend)
        if self.method not in METHODS:
            raise DepthpruneError(
                f"there is no method {self.method!r}",
                option="method",
                mend=f"choose one of {', '.join(METHODS)}",
            )
        if self.method in ("hgsp", "llm-pruner") and self.widths == "uniform":
            raise DepthpruneError(
                f"{self.method} makes blocks differ, and uniform widths are all alike",
                option="method",
                mend=f"add {option('widths', 'global')}",
            )
        if (self.method == "hgsp") != (self.study is not None):
            raise DepthpruneError(
                "hgsp weighs units by the drops of their blocks, which a study has measured; no "
                "other method reads one",
                option="study",
                mend=f"{option('method', 'hgsp')} with {option('study', 'FOLDER')}, or taylor",
            )
        for name in ("protect_layers", "keep_at_least"):
            if getattr(self, name) and self.widths == "uniform":
                raise DepthpruneError(
                    f"{option(name)} makes blocks differ, and uniform widths are all alike",
                    option=name,
                    mend=f"add {option('widths', 'global')}",
                )

    def protected(self, num_blocks: int) -> frozenset[int]:
        """Return the blocks that are not pruned.

        Raises:
            DepthpruneError: one does not exist, or it is no list of blocks and ranges.
        """
        found: set[int] = set()
        for part in " ".join(self.protect_layers).replace(",", " ").split():
            first, dash, last = part.partition("-")
            last = last if dash else first
            if not (first.isdecimal() and last.isdecimal() and len(part) < 20):
                raise self._wrong(f"{part!r} is neither a block nor a range of blocks")
            if not int(first) <= int(last) < num_blocks:
                raise self._wrong(f"there are no blocks {part}: they are 0 to {num_blocks - 1}")
            found |= set(range(int(first), int(last) + 1))
        return frozenset(found)

    def _wrong(self, what: str) -> DepthpruneError:
        return DepthpruneError(what, option="protect_layers", mend="write for example 0-3,29")
