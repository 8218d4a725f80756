"""What came out for the rows of a call, until every sample of every removal has its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.engine.batching import (
    free_memory,
    memory_complaint,
    no_memory,
    run_in_batches,
)
from depthprune.engine.inputs import PreparedRows, Row, move
from depthprune.engine.modes import CollectedOutcomes, Mode, Outcome
from depthprune.engine.shared.generation import GenerationRun, KnownAnswers
from depthprune.engine.shared.prefill import Heads
from depthprune.engine.shared.prefix_state import PrefixState, PrefixStore, rows_of
from depthprune.engine.shared.scoring import ScoringRun
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.trie_schedule import BatchStates, CachedStates, HiddenStateCache, Key
from depthprune.tasks.task import TaskSplit

MOST_REMOVALS = 64
"""More removals at once gain little; the last of them hold a hidden state each."""

ROWS_PER_BATCH = 4
FLIGHT_BYTES = 256 * 1024**2
"""Answers (of one sample without some blocks) are under way at a time: a multiple of the batch
size, because a batch of the reference holds as much memory as one of them; and as many as take no
more than some memory that is always there, because fewer and larger calls are faster."""


@dataclass
class SplitMemory:
    """What is remembered of a split between calls.

    Attributes:
        split: the split itself: two may look the same.
        places: of the samples.
        groups: the rows of these samples, and their inputs.
        number: that no other memory has.
        known: answers to all samples of the split.
        scores: of (place, answer) pairs.
    """

    split: TaskSplit
    places: range
    groups: Sequence[PreparedRows]
    number: int
    known: KnownAnswers = field(default_factory=KnownAnswers)
    scores: dict[tuple[int, str], float] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """All rows of the samples."""
        return [row for group in self.groups for row in group.rows]


@dataclass
class Sizes:
    """How much is run at once; both are lowered when memory runs out.

    Attributes:
        batch: rows that go through the prefix state together.
        most: answers that are under way at a time, at most; None while nothing is known.
    """

    batch: int
    most: int | None = None


@dataclass(frozen=True)
class Stores:
    """What is kept between calls."""

    prefix_states: PrefixStore
    states: HiddenStateCache


Done = Callable[[int, Row, Outcome], None]


class TooManyRemovals(Exception):
    """Not even one sample fits into memory without the blocks of so many removals."""


class SplitRun:
    """Finds the answers to a split's samples.

    Args:
        shared: the model.
        memory: the split.
        mode: how its samples are answered.
        stores: what earlier calls left.
        sizes: how much to run at once.
        on_finished: called with the number of answers that were completed since the last time.
    """

    def __init__(
        self,
        shared: SharedModel,
        memory: SplitMemory,
        mode: Mode,
        stores: Stores,
        sizes: Sizes,
        on_finished: Callable[[int], None] | None,
    ) -> None:
        self._shared = shared
        self._memory = memory
        self._mode = mode
        self._stores = stores
        self._sizes = sizes
        self._on_finished = on_finished
        self._reported = 0

    def answers(self, removals: Sequence[Removal]) -> dict[Removal, tuple[str, ...]]:
        """Return the answers without the blocks of each removal, which all differ.

        Raises:
            NotShareable: the samples cannot be evaluated together.
            DepthpruneError: a single sample does not fit into memory.
        """
        batches = sum(-(-len(group.rows) // self._sizes.batch) for group in self._memory.groups)
        self._stores.states.use(self._memory.number, batches)
        answers: dict[Removal, tuple[str, ...]] = {}
        count = MOST_REMOVALS
        while len(answers) < len(removals):
            together = tuple(removals[len(answers) : len(answers) + count])
            try:
                answers.update(zip(together, self._answers(together), strict=True))
            except TooManyRemovals as error:
                complaint = str(error)
            else:
                # Where more were under way before memory ran out, some of the next are reported.
                finished = len(together) * len(self._memory.places)
                self._reported = max(0, self._reported - finished)
                continue
            free_memory()
            if len(together) == 1:
                raise no_memory(complaint)
            count = len(together) // 2
            logger.warning("out of memory with %d removals at once", len(together))
        return answers

    def _answers(self, together: tuple[Removal, ...]) -> list[tuple[str, ...]]:
        memory = self._memory
        samples = [memory.split.samples[place] for place in memory.places]
        collected = CollectedOutcomes(self._mode, samples, memory.rows, len(together))

        def done(removal: int, row: Row, outcome: Outcome) -> None:
            collected.add(removal, row, outcome)
            self._report(collected.finished)

        job = self._job(together, done)
        for number in range(len(memory.groups)):
            self._run_group(job, number, len(together))
            # Answers of another group may be longer.
            job.settle()
        return collected.answers()

    def _job(self, together: tuple[Removal, ...], done: Done) -> GenerationRun | ScoringRun:
        if self._mode.ending is not None:
            known = self._memory.known
            return GenerationRun(self._shared, together, self._mode.ending, known, done)
        return ScoringRun(self._shared, together, self._mode, done)

    def _run_group(self, job: GenerationRun | ScoringRun, number: int, count: int) -> None:
        group = self._memory.groups[number]

        def run(start: int, stop: int) -> None:
            key = self._memory.number, number, start, stop
            prefix = self._prefix(key, group)
            states = self._states(key, job, prefix, group.rows[start:stop])
            self._read(job, prefix, states, group.rows[start:stop], count)

        self._sizes.batch = run_in_batches(len(group.rows), self._sizes.batch, run)

    def _read(
        self,
        job: GenerationRun | ScoringRun,
        prefix: PrefixState,
        states: BatchStates | None,
        rows: Sequence[Row],
        count: int,
    ) -> None:
        """Run a batch in parts of so many rows as can be under way at a time."""
        slots = self._shared.traced.slots
        start, heads = 0, Heads()
        while start < len(rows):
            limit = self._limit(prefix)
            stop = min(start + max(1, limit // count), len(rows))
            part = rows_of(prefix, slots, start, stop)
            kept = None if states is None else _kept(states, prefix, part, start, stop)
            complaint = memory_complaint(partial(job.read, part, rows[start:stop], kept, heads))
            if complaint is None:
                start = stop
                if job.waiting >= limit:
                    job.settle()
                continue
            del part, kept
            # What waits to be decoded takes memory too, and so do states and heads.
            heads = Heads()
            if self._stores.states.clear() or job.waiting:
                states = None
                job.settle()
            elif stop - start == 1:
                raise TooManyRemovals(complaint)
            else:
                self._sizes.most = count * (stop - start) // 2
            free_memory()

    def _limit(self, prefix: PrefixState) -> int:
        """Return how many answers may be under way at a time."""
        row = prefix.hidden[0].nbytes + prefix.hidden[0, 0].nbytes * prefix.ahead
        # Keys and values of a block take no more than two hidden states, and a trie of removals
        # has half as many nodes as their paths have blocks; some more are in the works.
        bytes_per_answer = row * (len(self._shared.traced.blocks) + 8)
        limit = max(self._sizes.batch * ROWS_PER_BATCH, FLIGHT_BYTES // bytes_per_answer)
        return limit if self._sizes.most is None else min(limit, self._sizes.most)

    def _prefix(self, key: Key, group: PreparedRows) -> PrefixState:
        prefix = self._stores.prefix_states.get(key)
        if prefix is None:
            device = self._shared.traced.model.get_input_embeddings().weight.device
            inputs = move(group.inputs(*key[2:]), device)
            prefix = self._shared.prefix(inputs, self._mode.ahead(group.rows[0]))
            self._stores.prefix_states.put(key, prefix)
            # From now on the prefix state stands for them; pictures are large.
            group.forget(*key[2:])
            self._shared.traced.work.add(prefix_states=1)
        return prefix

    def _states(
        self, key: Key, job: GenerationRun | ScoringRun, prefix: PrefixState, rows: Sequence[Row]
    ) -> BatchStates | None:
        """Return the hidden states that are kept of a batch, None where they are not."""
        states = self._stores.states.get(key)
        if states is not None:
            return states
        drafts = job.drafts(rows)
        if prefix.ahead and not any(drafts):
            # There will be drafts soon, and states hold what is read of them.
            return None
        length = prefix.prompt + max(map(len, drafts))
        least = prefix.hidden.nbytes * len(self._shared.traced.blocks)
        return self._stores.states.begin(key, drafts, length, least)

    def _report(self, finished: int) -> None:
        """Say how many answers were completed; none twice, when removals are run again."""
        if finished > self._reported:
            if self._on_finished is not None:
                self._on_finished(finished - self._reported)
            self._reported = finished


def _kept(
    states: BatchStates, prefix: PrefixState, part: PrefixState, start: int, stop: int
) -> CachedStates:
    """Return the kept states of a part of a batch, without padding that all its rows have."""
    cut = prefix.prompt - part.prompt
    return states.rows(start, stop, cut if prefix.side == "left" else 0, states.length - cut)
