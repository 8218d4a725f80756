"""The default evaluator: many removals at once, with all the work shared that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from depthprune.base.log import logger
from depthprune.base.removal import Removal, make_removal
from depthprune.blocks import check_admissible
from depthprune.evaluate.batching import free_memory, is_out_of_memory, run_in_batches
from depthprune.evaluate.evaluator import Evaluation
from depthprune.evaluate.inputs import Row, move, tokenizer_of
from depthprune.evaluate.modes import Choose, Generate, Mode, Read, Respond
from depthprune.evaluate.prepared import PreparedRows
from depthprune.evaluate.reference import KEPT_SPLITS, ReferenceEvaluator, evaluation_mode
from depthprune.evaluate.shared.collected import Collected
from depthprune.evaluate.shared.drafts import KnownAnswers
from depthprune.evaluate.shared.kept import BatchStates, KeptStates, Key, StateStore
from depthprune.evaluate.shared.reading import Reading, can_read
from depthprune.evaluate.shared.self_check import differences
from depthprune.evaluate.shared.shared_model import SharedModel, follows, share
from depthprune.evaluate.shared.stem import Stem, rows_of
from depthprune.evaluate.shared.store import StemStore
from depthprune.evaluate.shared.unshareable import Unshareable
from depthprune.evaluate.shared.work import Statistics, Work
from depthprune.evaluate.shared.writing import Writing
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    import torch

    from depthprune.blocks.models import LoadedModel

ROWS_PER_BATCH = 4
"""Answers (of one sample without some blocks) under way at a time, as a multiple of the batch
size: one batch of the reference holds as much memory as a batch of them."""

MOST_REMOVALS, FEWEST_REMOVALS = 64, 16
CALL_SECONDS = 600
"""What a call may take: measurements are stored when it ends, and what is interrupted is lost."""


@dataclass
class SplitMemory:
    """What is remembered of a split between calls.

    Attributes:
        split: the split itself: two may look the same.
        places: of the samples.
        groups: the rows of these samples, and their inputs.
        number: that no other memory has.
        known: answers to all samples of the split.
    """

    split: TaskSplit
    places: range
    groups: Sequence[PreparedRows]
    number: int
    known: KnownAnswers = field(default_factory=KnownAnswers)


class SharedEvaluator:
    """Evaluates many removals at once: the answers of `ReferenceEvaluator` at less cost.

    What the blocks that removals have in common compute is computed once; known answers to a
    sample are checked in one pass; what is left is decoded for all removals together; vision tower
    and embeddings run once for all of them. Models, tasks and removals for which this cannot be are
    evaluated by the reference, which is said once.

    Args:
        loaded: the model and its processor (or tokenizer).
        part: the stack that blocks are removed from, see `find_stack`.
        batch_size: rows at once; "auto" guesses from the device's memory. Either is halved for
            good when memory runs out.
        read_tokens: the most tokens that are read of a text (answer mode `read`); the model's
            number of positions when None.
        cache_bytes: memory for prepared inputs, and as much again for what comes before the blocks.
        disk_bytes: room in temporary files for what goes beyond it.
        on_batch: called with the number of answers that were finished since the last time (a call
            of `evaluate` for R removals of N samples adds up to R times N).
        self_check: whether a few answers are compared with the reference's at first.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        part: str = "text",
        batch_size: int | Literal["auto"] = "auto",
        read_tokens: int | None = None,
        cache_bytes: int = 2 * 1024**3,
        disk_bytes: int = 16 * 1024**3,
        on_batch: Callable[[int], None] | None = None,
        self_check: bool = True,
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
        self._models: dict[str, SharedModel] = {}
        self._refused: dict[str, str] = {}
        self._unchecked = {(way, bare) for way in _WAYS.values() for bare in (True, False)}
        if not self_check:
            self._unchecked.clear()
        self._stems = StemStore(cache_bytes, disk_bytes)
        self._states = StateStore(_room(self._reference.device, cache_bytes))
        self._memories: list[SplitMemory] = []
        self._numbers = count()
        self._pace = 0.0

    @property
    def settings(self) -> str:
        """See `Evaluator.settings`; the same as those of the reference."""
        return self._reference.settings

    @property
    def removals_per_call(self) -> int:
        """How many removals to ask for at once: what takes about ten minutes at the last pace.

        The more there are, the more work is shared; what a call found is lost when it is stopped.
        """
        if self._pace == 0.0:
            return MOST_REMOVALS
        return min(MOST_REMOVALS, max(FEWEST_REMOVALS, int(CALL_SECONDS / self._pace)))

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
        started = perf_counter()
        wanted = tuple(make_removal(removal) for removal in removals)
        for removal in wanted:
            check_admissible(self.stack, removal)
        chosen = split.samples[samples]
        mode = self._reference.mode_of(split)
        memory = self._remember(split, range(len(split.samples))[samples], mode)
        different = tuple(dict.fromkeys(wanted))
        answers = self._shared_answers(memory, mode, different) if chosen else {}
        rest = [removal for removal in different if removal not in answers]
        if rest:
            self._work.add(fallbacks=len(rest))
            found = self._reference.evaluate(split, rest, samples)
            answers |= dict(zip(rest, found.answers, strict=True))
        rows = tuple(answers[removal] for removal in wanted)
        scores = [split.scorer.score_many(chosen, row) for row in rows]
        if wanted:
            self._pace = (perf_counter() - started) / len(wanted)
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(sample.id for sample in chosen),
            scores=np.array(scores, dtype=np.float32).reshape(len(wanted), len(chosen)),
            answers=rows,
        )

    def _remember(self, split: TaskSplit, places: range, mode: Mode) -> SplitMemory:
        """Return what is known of these samples; prepare them when that is nothing."""
        for index, memory in enumerate(self._memories):
            # By identity: a fingerprint would do as well, but only the object itself proves it.
            if memory.split is split and memory.places == places:
                self._memories.append(self._memories.pop(index))
                return memory
        groups = self._reference.prepare(split, places, mode)
        memory = SplitMemory(split, places, groups, next(self._numbers))
        for other in self._memories:
            if other.split is split:
                memory.known = other.known
        self._memories.append(memory)
        for old in self._memories[:-KEPT_SPLITS]:
            self._stems.forget(old.number)
            self._states.forget(old.number)
        del self._memories[:-KEPT_SPLITS]
        return memory

    def _shared_answers(
        self, memory: SplitMemory, mode: Mode, removals: Sequence[Removal]
    ) -> dict[Removal, tuple[str, ...]]:
        """Return the answers for those removals that can be evaluated together."""
        import torch

        way = _WAYS[type(mode)]
        with evaluation_mode(self.loaded.model), torch.inference_mode():
            try:
                shared = self._model(way)
                if shared is None:
                    return {}
                self._check_rows(memory, mode)
                model = self.loaded.model
                together = [each for each in removals if follows(model, self.stack, each)]
                answers = self._run(shared, memory, mode, sorted(together))
            except Unshareable as error:
                self._refuse(way, str(error))
                return {}
        return answers if self._is_right(way, memory, answers) else {}

    def _model(self, way: str) -> SharedModel | None:
        """Return the model ready for a way of answering, None when it cannot be."""
        if way in self._refused:
            return None
        if way not in self._models:
            tokenizer = tokenizer_of(self.loaded.processor)
            model = self.loaded.model
            try:
                self._models[way] = share(model, tokenizer, self.stack, self._work, way)
            # A block may raise anything when it is called in a way that it does not know.
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise Unshareable(str(error)) from error
        return self._models[way]

    def _refuse(self, way: str, reason: str) -> None:
        self._refused[way] = reason
        logger.warning(
            "%s is evaluated one removal after the other, which takes longer: %s",
            self.loaded.name,
            reason,
        )

    def _check_rows(self, memory: SplitMemory, mode: Mode) -> None:
        rows = [row for group in memory.groups for row in group.rows]
        if isinstance(mode, Respond) and not can_read(mode, rows):
            raise Unshareable("some of a task's requests are for texts")

    def _is_right(
        self, way: str, memory: SplitMemory, answers: dict[Removal, tuple[str, ...]]
    ) -> bool:
        """Compare with the reference the first time; say so loudly when it is not the same."""
        checks = {(way, not removal) for removal in answers} & self._unchecked
        if not checks:
            return True
        self._unchecked -= checks
        on_batch, self._reference.on_batch = self._reference.on_batch, None
        try:
            problem = differences(self._reference, memory.split, memory.places, answers)
        finally:
            self._reference.on_batch = on_batch
        if problem is None:
            return True
        self._refuse(way, f"{problem}; please report this")
        return False

    def _run(
        self, shared: SharedModel, memory: SplitMemory, mode: Mode, removals: Sequence[Removal]
    ) -> dict[Removal, tuple[str, ...]]:
        answers: dict[Removal, tuple[str, ...]] = {}
        batches = sum(-(-len(group.rows) // self._size) for group in memory.groups)
        self._states.use(memory.number, batches)
        limit = self._size * ROWS_PER_BATCH
        for start in range(0, len(removals), limit):
            together = tuple(removals[start : start + limit])
            rows = [row for group in memory.groups for row in group.rows]
            samples = [memory.split.samples[place] for place in memory.places]
            collected = Collected(mode, samples, rows, len(together), self.on_batch)
            job: Writing | Reading
            if isinstance(mode, Generate):
                known = memory.known
                job = Writing(shared, together, mode.new_tokens, known, limit, collected.add)
            elif isinstance(mode, Choose | Read | Respond):
                job = Reading(shared, together, mode, collected.add)
            else:
                raise Unshareable("its way of answering is not known")
            for number, group in enumerate(memory.groups):
                self._run_group(job, shared, memory, mode, group, number, collected, len(together))
            job.settle()
            collected.report()
            answers |= dict(zip(together, collected.answers(), strict=True))
        return answers

    def _run_group(
        self,
        job: Writing | Reading,
        shared: SharedModel,
        memory: SplitMemory,
        mode: Mode,
        group: PreparedRows,
        number: int,
        collected: Collected,
        count: int,
    ) -> None:
        def run(start: int, stop: int) -> None:
            stem = self._stem(shared, memory, mode, group, number, start, stop)
            rows = group.rows[start:stop]
            states = self._batch_states((memory.number, number, start, stop), job, stem, rows)

            def read(first: int, last: int) -> None:
                part = rows_of(stem, shared.wiring.slots, first, last)
                kept = None
                if states is not None:
                    cut = stem.prompt - part.prompt if stem.side == "left" else 0
                    length = part.prompt + states.length - stem.prompt
                    kept = states.rows(first, last, cut, length)
                if not self._fits(job, part, rows[first:last], kept):
                    # What waits to be decoded takes memory too, and so do states.
                    self._states.clear()
                    job.settle()
                    free_memory()
                    job.read(part, rows[first:last], None)
                collected.report()

            step = max(1, self._size * ROWS_PER_BATCH // count)
            run_in_batches(stop - start, step, read)

        self._size = run_in_batches(len(group.rows), self._size, run)

    def _stem(
        self,
        shared: SharedModel,
        memory: SplitMemory,
        mode: Mode,
        group: PreparedRows,
        number: int,
        start: int,
        stop: int,
    ) -> Stem:
        key = memory.number, number, start, stop
        stem = self._stems.get(key)
        if stem is None:
            inputs = move(group.inputs(start, stop), self._reference.device)
            stem = shared.stem(inputs, max(0, mode.new_tokens - 1))
            self._stems.put(key, stem)
            self._work.add(stems=1)
        return stem

    def _batch_states(
        self, key: Key, job: Writing | Reading, stem: Stem, rows: Sequence[Row]
    ) -> BatchStates | None:
        """Return the hidden states that are kept of a batch, None where they are not."""
        states = self._states.get(key)
        if states is None:
            drafts = job.drafts(rows)
            if stem.ahead and not any(drafts):
                # There will be drafts soon, and states hold what is read of them.
                return None
            length = stem.prompt + max(map(len, drafts))
            least = stem.hidden.nbytes * self.stack.num_blocks
            states = self._states.begin(key, drafts, length, least)
        return states

    def _fits(
        self,
        job: Writing | Reading,
        stem: Stem,
        rows: Sequence[Row],
        kept: KeptStates | None,
    ) -> bool:
        """Run some rows; return False when there was no memory, but some can be given back."""
        try:
            job.read(stem, rows, kept)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not (job.holds_memory or kept is not None):
                raise
            return False
        return True


_WAYS: dict[type, str] = {
    Generate: "continue",
    Choose: "read",
    Read: "read",
    Respond: "read",
}


def _room(device: torch.device, cache_bytes: int) -> int:
    """Return how much memory hidden states may take: on a GPU, a part of what is free."""
    import torch

    if device.type != "cuda":
        return cache_bytes
    return min(cache_bytes, torch.cuda.mem_get_info(device)[0] // 4)
