"""The obvious evaluator: one plain `generate` per removal; the oracle that faster ones match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.base.removal import Removal, make_removal
from depthprune.blocks.admissible import check_admissible
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from depthprune.engine.batching import guess_batch_size, run_in_batches
from depthprune.engine.evaluator import Evaluation
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
from depthprune.engine.modes import CollectedOutcomes, Mode, mode_of
from depthprune.tasks.task import Sample, TaskSplit

if TYPE_CHECKING:
    import torch
    from torch import nn

    from depthprune.blocks.models import LoadedModel
    from depthprune.blocks.stack import Stack

KEPT_SPLITS = 16
"""How many splits' inputs are kept at most; a search goes round all its tasks at every step."""


class ReferenceEvaluator:
    """Evaluates one removal after the other, with nothing shared but the prepared inputs.

    Deterministic: greedy decoding in evaluation mode, no sampling, no seeds, no global setting of
    torch changed. In float32 answers do not depend on the batch size; in half precision two almost
    equally likely tokens may swap with it, so compare runs of one batch size there.

    Args:
        loaded: the model and its processor (or tokenizer).
        part: the stack that blocks are removed from, see `find_stack`.
        stack: that stack, where it has been found before: what it knows of removals is not worked
            out again.
        batch_size: rows at once; "auto" guesses from the device's memory. Either is halved for
            good when memory runs out.
        read_tokens: the most tokens that are read of a text (answer mode `read`); the model's
            number of positions when None.
        cache_bytes: memory for prepared inputs; what goes beyond is prepared anew per removal.
        on_batch: called after every batch with the number of samples that were finished (per
            removal, a call for N samples adds up to N).
    """

    removals_per_call = 1

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        part: str = "text",
        stack: Stack | None = None,
        batch_size: int | Literal["auto"] = "auto",
        read_tokens: int | None = None,
        cache_bytes: int = 2 * 1024**3,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        if loaded.kind not in ("text", "image-text"):
            raise ModelError(
                f"{loaded.name} is a {loaded.kind} model, and answers are measured of language and "
                "vision-language models only",
                mend="choose a model that writes text",
            )
        self.loaded = loaded
        self.stack = find_stack(loaded.model, part) if stack is None else stack
        self.on_batch = on_batch
        self._device = input_device(loaded.model)
        self._size = (
            guess_batch_size(loaded.model, self._device) if batch_size == "auto" else batch_size
        )
        self._read_tokens = read_tokens
        self._cache_bytes = cache_bytes
        self._prepared: list[tuple[TaskSplit, range, tuple[PreparedRows, ...]]] = []
        if self._size < 1:
            raise DepthpruneError(
                f"a batch of {batch_size} samples cannot be run",
                mend="choose a batch size of at least 1, or auto",
            )

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self._device

    @property
    def batch_size(self) -> int:
        """How many rows are run at once."""
        return self._size

    @property
    def settings(self) -> str:
        """See `Evaluator.settings`."""
        model = self.loaded.model
        parts = ["greedy", f"dtype={str(model.dtype).removeprefix('torch.')}"]
        quantization = getattr(model.config, "quantization_config", None)
        if quantization is not None:
            parts.append(f"quantization={_quantization_method(quantization)}")
        if self._read_tokens is not None:
            parts.append(f"read_tokens={self._read_tokens}")
        if self.loaded.prompt.text:
            parts.append(self.loaded.prompt.text)
        return " ".join(parts)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """Return the scores of `removals` on `split.samples[samples]`; see `Evaluator.evaluate`.

        Everything that can be wrong with removals and samples is found before the model runs.

        Raises:
            RemovalError: a block does not exist.
            InadmissibleRemovalError: the architecture cannot express a removal.
            TaskError: a sample cannot be used (an image that cannot be read, a text too long).
            DepthpruneError: a single sample does not fit into memory.
        """
        wanted = admissible_removals(self.stack, removals)
        chosen = split.samples[samples]
        mode = self.mode_of(split)
        groups = self.prepare(split, range(len(split.samples))[samples], mode)
        with evaluation_mode(self.loaded.model):
            answers = tuple(self._answers(removal, mode, chosen, groups) for removal in wanted)
        scores = [split.scorer.score_many(chosen, row) for row in answers]
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(sample.id for sample in chosen),
            scores=np.array(scores, dtype=np.float32).reshape(len(wanted), len(chosen)),
            answers=answers,
        )

    def mode_of(self, split: TaskSplit) -> Mode:
        """Return how the samples of a split are answered."""
        return mode_of(self.loaded, split, self._read_limit())

    def _read_limit(self) -> int | None:
        limits = (self._read_tokens, max_positions(self.loaded.model))
        return min((limit for limit in limits if limit is not None), default=None)

    def prepare(self, split: TaskSplit, places: range, mode: Mode) -> tuple[PreparedRows, ...]:
        """Return the inputs of these samples: those of an earlier call for them, or new ones."""
        for index, (known, known_places, groups) in enumerate(self._prepared):
            # By identity: a fingerprint would do as well, but only the object itself proves it.
            if known is split and known_places == places:
                self._prepared.append(self._prepared.pop(index))
                return groups
        model, processor = self.loaded.model, self.loaded.processor
        limit, dtype = max_positions(model), model.dtype

        def encoded(rows: Sequence[Row]) -> Inputs:
            inputs = encode(processor, rows, mode.side, dtype)
            check_lengths(inputs, rows, limit, mode.new_tokens)
            check_continuations(inputs, rows)
            return inputs

        rows = mode.rows([split.samples[place] for place in places])
        groups = prepare_rows(rows, encoded, self._size, self._cache_bytes, mode.ahead)
        self._prepared = [*self._prepared[1 - KEPT_SPLITS :], (split, places, groups)]
        while len(self._prepared) > 1 and self._cached_bytes() > self._cache_bytes:
            del self._prepared[0]
        return groups

    def _cached_bytes(self) -> int:
        return sum(group.num_bytes for *_, groups in self._prepared for group in groups)

    def _answers(
        self,
        removal: Removal,
        mode: Mode,
        samples: Sequence[Sample],
        groups: Sequence[PreparedRows],
    ) -> tuple[str, ...]:
        """Return the answers to `samples` without the blocks of `removal`."""
        import torch

        all_rows = [row for group in groups for row in group.rows]
        collected = CollectedOutcomes(mode, samples, all_rows, 1)

        def run(group: PreparedRows, start: int, stop: int) -> None:
            rows, before = group.rows[start:stop], collected.finished
            inputs = move(group.inputs(start, stop), self._device)
            for row, outcome in zip(rows, mode.run(self.loaded.model, inputs, rows), strict=True):
                collected.add(0, row, outcome)
            if self.on_batch is not None:
                self.on_batch(collected.finished - before)

        with skip(self.loaded.model, removal, self.stack), torch.inference_mode():
            for group in groups:
                self._size = run_in_batches(len(group.rows), self._size, partial(run, group))
        (answers,) = collected.answers()
        return answers


def admissible_removals(stack: Stack, removals: Iterable[Iterable[int]]) -> tuple[Removal, ...]:
    """Return removals in their usual form.

    Raises:
        RemovalError: a block does not exist.
        InadmissibleRemovalError: the architecture cannot express a removal.
    """
    wanted = tuple(map(make_removal, removals))
    for removal in wanted:
        check_admissible(stack, removal)
    return wanted


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout and the like off, and every module back to what it was afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def input_device(model: Any) -> torch.device:
    """Return where a model takes its inputs: the first device, for one spread over several."""
    import torch

    embedding = model.get_input_embeddings()
    # Weights that were moved out to disk or memory are loaded where the hook says.
    hook = getattr(embedding, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return torch.device(embedding.weight.device if device is None else device)


def _quantization_method(quantization: Any) -> str:
    method = (
        quantization.get("quant_method")
        if isinstance(quantization, dict)
        else getattr(quantization, "quant_method", None)
    )
    return str(getattr(method, "value", method))
