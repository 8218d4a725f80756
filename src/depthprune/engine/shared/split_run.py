"""What came out for the rows of a call, until every sample of every removal has its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from depthprune.base.errors import DepthpruneError
from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.engine.batching import free_memory, is_out_of_memory, no_memory, run_in_batches
from depthprune.engine.inputs import PreparedRows, Row, move
from depthprune.engine.modes import Mode, Outcome
from depthprune.engine.shared.generation import KnownAnswers, Writing
from depthprune.engine.shared.prefix_state import Stem, StemStore, rows_of
from depthprune.engine.shared.scoring import Reading
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.trie_schedule import BatchStates, KeptStates, Key, StateStore
from depthprune.tasks.task import Sample, TaskSplit


class Collected:
    """Collects outcomes of rows.

    Args:
        mode: makes answers of them.
        samples: the N samples of the call.
        rows: all their rows.
        count: R, how many removals there are.
    """

    def __init__(
        self,
        mode: Mode,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        count: int,
    ) -> None:
        self._mode = mode
        self._samples = samples
        self._outcomes: list[list[list[tuple[Row, Outcome]]]] = [
            [[] for _ in samples] for _ in range(count)
        ]
        self._rows_of = Counter(row.index for row in rows)
        self.finished = 0
        """How many answers are complete."""

    def add(self, removal: int, row: Row, outcome: Outcome) -> None:
        """Take the outcome of a row for the removal at a position."""
        found = self._outcomes[removal][row.index]
        found.append((row, outcome))
        self.finished += len(found) == self._rows_of[row.index]

    def answers(self) -> list[tuple[str, ...]]:
        """Return R tuples of N answers."""
        return [
            tuple(map(self._mode.answer, self._samples, outcomes)) for outcomes in self._outcomes
        ]


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
        batch: rows that go through the stem together.
        most: answers that are under way at a time, at most; None while nothing is known.
    """

    batch: int
    most: int | None = None


@dataclass(frozen=True)
class Stores:
    """What is kept between calls."""

    stems: StemStore
    states: StateStore


Done = Callable[[int, Row, Outcome], None]


class TooManyRemovals(Exception):
    """Not even one sample fits into memory without the blocks of so many removals."""


class Call:
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
            Unshareable: the samples cannot be evaluated together.
            DepthpruneError: a single sample does not fit into memory.
        """
        batches = sum(-(-len(group.rows) // self._sizes.batch) for group in self._memory.groups)
        self._stores.states.use(self._memory.number, batches)
        answers: dict[Removal, tuple[str, ...]] = {}
        count = MOST_REMOVALS
        while len(answers) < len(removals):
            together = tuple(removals[len(answers) : len(answers) + count])
            complaint = self._complaint(together, answers)
            if complaint is not None:
                free_memory()
                if len(together) == 1:
                    raise no_memory(complaint)
                count = len(together) // 2
                logger.warning("out of memory with %d removals at once", len(together))
        return answers

    def _complaint(
        self, together: tuple[Removal, ...], answers: dict[Removal, tuple[str, ...]]
    ) -> str | None:
        """Add the answers for some removals; say why when there is not enough memory."""
        try:
            answers.update(zip(together, self._answers(together), strict=True))
        except TooManyRemovals as error:
            return str(error)
        # Where more were under way before memory ran out, some of the next are reported already.
        finished = len(together) * len(self._memory.places)
        self._reported = max(0, self._reported - finished)
        return None

    def _answers(self, together: tuple[Removal, ...]) -> list[tuple[str, ...]]:
        memory = self._memory
        samples = [memory.split.samples[place] for place in memory.places]
        collected = Collected(self._mode, samples, memory.rows, len(together))

        def done(removal: int, row: Row, outcome: Outcome) -> None:
            collected.add(removal, row, outcome)
            self._report(collected.finished)

        job = self._job(together, done)
        for number in range(len(memory.groups)):
            self._run_group(job, number, len(together))
        job.settle()
        return collected.answers()

    def _job(self, together: tuple[Removal, ...], done: Done) -> Writing | Reading:
        if self._mode.side == "left":
            longest, known = self._mode.new_tokens, self._memory.known
            return Writing(self._shared, together, longest, known, done)
        return Reading(self._shared, together, self._mode, done)

    def _run_group(self, job: Writing | Reading, number: int, count: int) -> None:
        group = self._memory.groups[number]

        def run(start: int, stop: int) -> None:
            key = self._memory.number, number, start, stop
            stem = self._stem(key, group)
            states = self._states(key, job, stem, group.rows[start:stop])
            self._read(job, stem, states, group.rows[start:stop], count)

        self._sizes.batch = run_in_batches(len(group.rows), self._sizes.batch, run)

    def _read(
        self,
        job: Writing | Reading,
        stem: Stem,
        states: BatchStates | None,
        rows: Sequence[Row],
        count: int,
    ) -> None:
        """Run a batch in parts of so many rows as can be under way at a time."""
        slots = self._shared.wiring.slots
        start = 0
        while start < len(rows):
            limit = self._limit(stem)
            stop = min(start + max(1, limit // count), len(rows))
            part = rows_of(stem, slots, start, stop)
            kept = None if states is None else _kept(states, stem, part, start, stop)
            complaint = _complaint_of(job, part, rows[start:stop], kept)
            if complaint is None:
                start = stop
                if job.waiting >= limit:
                    job.settle()
                continue
            del part, kept
            # What waits to be decoded takes memory too, and so do states.
            if self._stores.states.clear() or job.waiting:
                states = None
                job.settle()
            elif stop - start == 1:
                raise TooManyRemovals(complaint)
            else:
                self._sizes.most = count * (stop - start) // 2
            free_memory()

    def _limit(self, stem: Stem) -> int:
        """Return how many answers may be under way at a time."""
        row = stem.hidden[0].nbytes + stem.hidden[0, 0].nbytes * stem.ahead
        # Keys and values of a block take no more than two hidden states, and a trie of removals
        # has half as many nodes as their paths have blocks; some more are in the works.
        bytes_per_answer = row * (len(self._shared.wiring.blocks) + 8)
        limit = max(self._sizes.batch * ROWS_PER_BATCH, FLIGHT_BYTES // bytes_per_answer)
        return limit if self._sizes.most is None else min(limit, self._sizes.most)

    def _stem(self, key: Key, group: PreparedRows) -> Stem:
        stem = self._stores.stems.get(key)
        if stem is None:
            device = self._shared.wiring.model.get_input_embeddings().weight.device
            inputs = move(group.inputs(*key[2:]), device)
            stem = self._shared.stem(inputs, max(0, self._mode.new_tokens - 1))
            self._stores.stems.put(key, stem)
            # From now on the stem stands for them; pictures are large.
            group.forget(*key[2:])
            self._shared.wiring.work.add(stems=1)
        return stem

    def _states(
        self, key: Key, job: Writing | Reading, stem: Stem, rows: Sequence[Row]
    ) -> BatchStates | None:
        """Return the hidden states that are kept of a batch, None where they are not."""
        states = self._stores.states.get(key)
        if states is not None:
            return states
        drafts = job.drafts(rows)
        if stem.ahead and not any(drafts):
            # There will be drafts soon, and states hold what is read of them.
            return None
        length = stem.prompt + max(map(len, drafts))
        least = stem.hidden.nbytes * len(self._shared.wiring.blocks)
        return self._stores.states.begin(key, drafts, length, least)

    def _report(self, finished: int) -> None:
        """Say how many answers were completed; none twice, when removals are run again."""
        if finished > self._reported:
            if self._on_finished is not None:
                self._on_finished(finished - self._reported)
            self._reported = finished


def _kept(states: BatchStates, stem: Stem, part: Stem, start: int, stop: int) -> KeptStates:
    """Return the kept states of a part of a batch, without padding that all its rows have."""
    cut = stem.prompt - part.prompt
    return states.rows(start, stop, cut if stem.side == "left" else 0, states.length - cut)


def _complaint_of(
    job: Writing | Reading, stem: Stem, rows: Sequence[Row], kept: KeptStates | None
) -> str | None:
    """Run some rows; return the first line of the error where memory ran out."""
    try:
        job.read(stem, rows, kept)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, DepthpruneError) or not is_out_of_memory(error):
            raise
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None
