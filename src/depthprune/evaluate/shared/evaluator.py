"""The default evaluator: many removals at once, with all the work shared that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from depthprune.base.log import logger
from depthprune.base.removal import Removal, make_removal
from depthprune.blocks import check_admissible
from depthprune.evaluate.batching import is_out_of_memory, run_in_batches
from depthprune.evaluate.evaluator import Evaluation
from depthprune.evaluate.generate import decode
from depthprune.evaluate.inputs import move, tokenizer_of
from depthprune.evaluate.modes import Generate, Mode
from depthprune.evaluate.prepared import PreparedRows
from depthprune.evaluate.reference import ReferenceEvaluator, evaluation_mode
from depthprune.evaluate.shared.drafts import KnownAnswers
from depthprune.evaluate.shared.shared_model import SharedModel, follows, share
from depthprune.evaluate.shared.stem import Stem, rows_of
from depthprune.evaluate.shared.unshareable import Unshareable
from depthprune.evaluate.shared.walk import plan_walk
from depthprune.evaluate.shared.work import Statistics, Work
from depthprune.evaluate.shared.writing import Writing
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

ROWS_PER_BATCH = 4
"""Answers (of one sample without some blocks) under way at a time, as a multiple of the batch
size. Fewer calls are made with more; a batch of the reference holds as much memory as one does."""


class SharedEvaluator:
    """Evaluates many removals at once: the answers of `ReferenceEvaluator` at less cost.

    What blocks that removals have in common compute is computed once; known answers to a sample
    are checked in one pass; what is left is decoded for all removals together; vision tower and
    embeddings run once for all of them. Models and removals for which this cannot be are evaluated
    by the reference, which is said once.

    Args:
        loaded: the model and its processor (or tokenizer).
        part: the stack that blocks are removed from, see `find_stack`.
        batch_size: rows at once; "auto" guesses from the device's memory.
        read_tokens: the most tokens that are read of a text (answer mode `read`).
        cache_bytes: memory for prepared inputs, and as much again for what comes before the blocks.
        on_batch: called with the number of answers that were finished since the last call (a call
            of `evaluate` for R removals of N samples adds up to R times N).
    """

    removals_per_call = 64

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        part: str = "text",
        batch_size: int | Literal["auto"] = "auto",
        read_tokens: int | None = None,
        cache_bytes: int = 2 * 1024**3,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self._reference = ReferenceEvaluator(
            loaded,
            part=part,
            batch_size=batch_size,
            read_tokens=read_tokens,
            cache_bytes=cache_bytes,
            on_batch=on_batch,
        )
        self.loaded = loaded
        self.stack = self._reference.stack
        self.on_batch = on_batch
        self._size = self._reference.batch_size
        self._work = Work()
        self._shared: SharedModel | None = None
        self._why_not: str | None = None
        self._stems: dict[tuple[int, range, int, int, int], Stem] = {}
        self._known: list[tuple[TaskSplit, KnownAnswers]] = []

    @property
    def settings(self) -> str:
        """See `Evaluator.settings`; the same as those of the reference."""
        return self._reference.settings

    @property
    def statistics(self) -> Statistics:
        """What was done so far, counted."""
        return self._work.statistics

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """Return the scores of `removals` on `split.samples[samples]`; see `Evaluator.evaluate`.

        Raises:
            RemovalError: a block does not exist.
            InadmissibleRemovalError: the architecture cannot express a removal.
            TaskError: a sample cannot be used (an image that cannot be read, a text too long).
            DepthpruneError: a single sample does not fit into memory.
        """
        wanted = tuple(make_removal(removal) for removal in removals)
        for removal in wanted:
            check_admissible(self.stack, removal)
        chosen = split.samples[samples]
        places = range(len(split.samples))[samples]
        mode = self._reference.mode_of(split)
        groups = self._reference.prepare(split, places, mode)
        answers: dict[Removal, tuple[str, ...]] = {}
        different = tuple(dict.fromkeys(wanted))
        with evaluation_mode(self.loaded.model):
            shareable = self._shareable(different, mode) if chosen else ()
            if shareable and isinstance(mode, Generate):
                try:
                    answers |= self._generate(split, places, mode, groups, shareable)
                except Unshareable as error:
                    self._give_up(str(error))
        rest = [removal for removal in different if removal not in answers]
        if rest:
            self._work.add(fallbacks=len(rest))
            found = self._reference.evaluate(split, rest, samples)
            answers |= dict(zip(rest, found.answers, strict=True))
        rows = tuple(answers[removal] for removal in wanted)
        scores = [split.scorer.score_many(chosen, row) for row in rows]
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(sample.id for sample in chosen),
            scores=np.array(scores, dtype=np.float32).reshape(len(wanted), len(chosen)),
            answers=rows,
        )

    def _shareable(self, removals: Sequence[Removal], mode: Mode) -> tuple[Removal, ...]:
        """Return the removals that can be evaluated together."""
        if not isinstance(mode, Generate) or self._why_not is not None:
            return ()
        if self._shared is None:
            import torch

            try:
                with torch.inference_mode():
                    self._shared = share(
                        self.loaded.model,
                        tokenizer_of(self.loaded.processor),
                        self.stack,
                        self._work,
                    )
            # A block may raise anything when it is called in a way it does not know.
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                self._give_up(str(error))
                return ()
        model = self.loaded.model
        return tuple(removal for removal in removals if follows(model, self.stack, removal))

    def _give_up(self, reason: str) -> None:
        self._why_not = reason
        logger.warning("%s is evaluated one removal after the other: %s", self.loaded.name, reason)

    def _generate(
        self,
        split: TaskSplit,
        places: range,
        mode: Generate,
        groups: Sequence[PreparedRows],
        removals: Sequence[Removal],
    ) -> dict[Removal, tuple[str, ...]]:
        import torch

        assert self._shared is not None
        shared = self._shared
        texts: dict[Removal, list[str]] = {removal: [""] * len(places) for removal in removals}
        ordered = sorted(removals)
        in_flight = self._size * ROWS_PER_BATCH
        with torch.inference_mode():
            for start in range(0, len(ordered), in_flight):
                together = ordered[start : start + in_flight]
                walk = plan_walk(together, self.stack.num_blocks)

                def done(
                    removal: int,
                    place: int,
                    answer: Sequence[int],
                    together: Sequence[Removal] = together,
                ) -> None:
                    text = decode(shared.tokenizer, answer, shared.ends)
                    texts[together[removal]][places.index(place)] = text
                    if self.on_batch is not None:
                        self.on_batch(1)

                writing = Writing(
                    shared, walk, mode.new_tokens, self._known_answers(split), in_flight, done
                )
                for number, group in enumerate(groups):
                    self._read_group(
                        shared, writing, split, places, mode, group, number, walk_size=len(together)
                    )
                writing.settle()
        return {removal: tuple(row) for removal, row in texts.items()}

    def _read_group(
        self,
        shared: SharedModel,
        writing: Writing,
        split: TaskSplit,
        places: range,
        mode: Generate,
        group: PreparedRows,
        number: int,
        walk_size: int,
    ) -> None:
        in_flight = self._size * ROWS_PER_BATCH

        def run(start: int, stop: int) -> None:
            stem = self._stem(shared, split, places, mode, group, number, start, stop)
            step = max(1, in_flight // walk_size)
            run_in_batches(stop - start, step, partial(read, stem, start))

        def read(stem: Stem, offset: int, start: int, stop: int) -> None:
            part = rows_of(stem, shared.wiring.slots, start, stop)
            rows = group.rows[offset + start : offset + stop]
            writing.read(part, [places[row.index] for row in rows])

        self._size = run_in_batches(len(group.rows), self._size, run)

    def _stem(
        self,
        shared: SharedModel,
        split: TaskSplit,
        places: range,
        mode: Generate,
        group: PreparedRows,
        number: int,
        start: int,
        stop: int,
    ) -> Stem:
        key = id(split), places, number, start, stop
        stem = self._stems.get(key)
        if stem is None:
            inputs = move(group.inputs(start, stop), self._reference.device)
            stem = self._stems[key] = shared.stem(inputs, max(0, mode.new_tokens - 1))
            self._work.add(stems=1)
        return stem

    def _known_answers(self, split: TaskSplit) -> KnownAnswers:
        for known_split, known in self._known:
            if known_split is split:
                return known
        known = KnownAnswers()
        self._known.append((split, known))
        return known
