"""The samples that proxies read: told their answers, encoded once, run in batches that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.blocks.stack import find_stack
from depthprune.engine.batching import guess_batch_size, run_in_batches
from depthprune.engine.inputs import (
    Inputs,
    PreparedRows,
    Row,
    check_continuations,
    check_lengths,
    encode,
    max_positions,
    move,
    prepare_rows,
)
from depthprune.engine.likelihood import rows_at_once
from depthprune.engine.reference import evaluation_mode, input_device
from depthprune.engine.teacher_forcing import num_reference_tokens, rows_with_reference
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

KEPT_BYTES = 2 * 1024**3
"""Memory for encoded samples; what goes beyond is encoded again when it is read."""

RunBatch = Callable[[dict[str, Any], Sequence[Row]], None]


Tokens = Literal["last", "all"]
"""Where angular distance looks: at the last token of each sample, as in its paper, or at all."""


class Calibration:
    """The samples of one split, as often as a proxy wants to read them.

    Args:
        loaded: the model and its processor (or tokenizer).
        split: what is read: prompts with reference answers.
        part: the stack whose blocks are looked at.
        batch_size: rows at once; halved for good when memory runs out.
        on_batch: called after every batch with the number of samples that were read.

    Raises:
        ModelError: the model does not write text from left to right.
        TaskError: a sample cannot be used.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        split: TaskSplit,
        *,
        part: str = "text",
        batch_size: int | Literal["auto"] = "auto",
        on_batch: Callable[[float], None] | None = None,
    ) -> None:
        self.angular_tokens: Tokens = "last"
        model, processor = loaded.model, loaded.processor
        if loaded.kind not in ("text", "image-text") or model.config.is_encoder_decoder:
            raise ModelError(
                f"proxies need a model that reads a prompt and its answer as one text, which "
                f"{loaded.name} does not",
                where=f"{type(model).__name__}, a {loaded.kind} model",
                mend="choose a decoder: a language model or a vision-language model",
            )
        if not split.samples:
            raise DepthpruneError("there are no samples to compute a proxy from", where=split.split)
        self.model = model
        self.stack = find_stack(model, part)
        self.num_samples = len(split.samples)
        self._device = input_device(model)
        size = guess_batch_size(model, self._device) if batch_size == "auto" else batch_size
        if size < 1:
            raise DepthpruneError(
                f"a batch of {batch_size} samples cannot be run",
                mend="choose a batch size of at least 1, or auto",
            )
        self._size = size
        self._on_batch = on_batch
        limit = max_positions(model)
        rows = rows_with_reference(processor, split.task, split.samples, limit, loaded.prompt)
        self.num_reference_tokens = num_reference_tokens(rows)

        def encoded(batch: Sequence[Row]) -> Inputs:
            inputs = encode(processor, batch, "right", model.dtype)
            check_lengths(inputs, batch, limit, 0)
            check_continuations(inputs, batch)
            return inputs

        self._groups = prepare_rows(rows, encoded, size, KEPT_BYTES)

    @property
    def blocks(self) -> tuple[Any, ...]:
        """The blocks of the stack, in order."""
        return tuple(self.model.get_submodule(self.stack.path).children())

    def read(self, run: RunBatch, *, whole_logits: bool = False, share: float = 1.0) -> None:
        """Call `run(inputs, rows)` for every batch, the model in evaluation mode.

        `run` must leave nothing behind when it fails: a batch that runs out of memory is run again
        in halves.

        Args:
            run: gets inputs on the model's device.
            whole_logits: `run` computes logits of whole answers; batches are then so small that
                these fit into memory, which a CPU does not complain about in time.
            share: of a sample's work that one call of `read` is, for the progress.
        """

        def batch(group: PreparedRows, start: int, stop: int) -> None:
            rows = group.rows[start:stop]
            run(move(group.inputs(start, stop), self._device), rows)
            if self._on_batch is not None:
                self._on_batch(share * len(rows))

        with evaluation_mode(self.model):
            for group in self._groups:
                size = self._size
                if whole_logits:
                    size = min(size, self._most_with_logits(group.rows))
                held = run_in_batches(len(group.rows), size, partial(batch, group))
                if held < size:
                    self._size = held

    def _most_with_logits(self, rows: Sequence[Row]) -> int:
        return rows_at_once(self.model, max(len(row.tokens) for row in rows))
