"""The default evaluator: many removals at once, with all the work shared that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.blocks.stack import refuse_while_skipping
from depthprune.engine.batching import is_out_of_memory
from depthprune.engine.evaluator import Evaluation, scored
from depthprune.engine.generate import end_tokens
from depthprune.engine.modes import Mode
from depthprune.engine.reference import (
    ReferenceEvaluator,
    admissible_removals,
    evaluation_mode,
)
from depthprune.engine.shared.agreement import differences
from depthprune.engine.shared.block_calls import NotShareable
from depthprune.engine.shared.block_tracing import Statistics
from depthprune.engine.shared.prefix_state import PrefixStore
from depthprune.engine.shared.shared_model import SharedModel, Way, follows, share
from depthprune.engine.shared.split_run import MOST_REMOVALS, Sizes, SplitMemory, SplitRun, Stores
from depthprune.engine.shared.trie_schedule import HiddenStateCache
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    import torch

    from depthprune.blocks.models import LoadedModel
    from depthprune.blocks.stack import Stack

KEPT_MEMORIES = 256
"""How many splits, and slices of splits, are remembered: their rows and answers take little."""

FEWEST_REMOVALS = 16
CALL_SECONDS = 600
"""What a call may take: measurements are stored when it ends, and what is interrupted is lost."""


class SharedEvaluator:
    """Evaluates many removals at once: the answers of `ReferenceEvaluator` at less cost.

    What the blocks that removals have in common compute is computed once; known answers to a
    sample are checked in one pass; what is left is decoded for all removals together; vision tower
    and embeddings run once for all of them. Models, tasks and removals for which this cannot be are
    evaluated by the reference, which is said once.

    Args:
        loaded: the model and its processor (or tokenizer).
        part: the stack that blocks are removed from, see `find_stack`.
        stack: that stack, where it has been found before.
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
        stack: Stack | None = None,
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
            stack=stack,
            batch_size=batch_size,
            read_tokens=read_tokens,
            cache_bytes=cache_bytes,
            on_batch=self._report_again,
        )
        self.loaded = loaded
        self.stack = self._reference.stack
        self.on_batch = on_batch
        self._sizes = Sizes(self._reference.batch_size)
        self._work = Statistics()
        self._models: dict[Way, SharedModel] = {}
        self._refused: dict[Way, str] = {}
        self._checks = frozenset(
            (way, bare) for way in get_args(Way) for bare in (True, False) if self_check
        )
        self._unchecked = self._checks
        self._stores = Stores(
            PrefixStore(cache_bytes, disk_bytes),
            HiddenStateCache(_room(self._reference.device, cache_bytes)),
        )
        self._memories: list[SplitMemory] = []
        self._numbers = count()
        self._pace = 0.0
        self._mentioned = False
        self._state: object = None
        # Answers of this call that were reported: all, and those of them that were not used.
        self._reported = self._unused = 0

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
        return replace(self._work)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """Return the scores of `removals` on `split.samples[samples]`; see `Evaluator.evaluate`.

        Raises:
            RemovalError: a block does not exist, or blocks are being skipped already.
            InadmissibleRemovalError: the architecture cannot express a removal.
            TaskError: a sample cannot be used (an image that cannot be read, a text too long).
            DepthpruneError: a single sample does not fit into memory.
        """
        started = perf_counter()
        wanted = admissible_removals(self.stack, removals)
        refuse_while_skipping(self.loaded.model)
        self._forget_another_model()
        self._reported = self._unused = 0
        chosen = split.samples[samples]
        mode = self._reference.mode_of(split)
        memory = self._remember(split, range(len(split.samples))[samples], mode)
        different = tuple(dict.fromkeys(wanted))
        answers = self._shared_answers(memory, mode, different) if chosen else {}
        rest = [removal for removal in different if removal not in answers]
        if rest:
            self._work.add(fallbacks=len(rest))
            self._unused = 0 if answers else self._reported
            found = self._reference.evaluate(split, rest, samples)
            answers |= dict(zip(rest, found.answers, strict=True))
        rows = tuple(answers[removal] for removal in wanted)
        scores = scored(split, memory.places, rows, memory.scores)
        if wanted:
            self._pace = (perf_counter() - started) / len(wanted)
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(sample.id for sample in chosen),
            scores=scores,
            answers=rows,
        )

    def _forget_another_model(self) -> None:
        """Drop all that is known of the model when it was changed since the last call."""
        state = _state_of(self.loaded.model, self.loaded.processor)
        if state == self._state:
            return
        if self._state is not None:
            for memory in self._memories:
                self._stores.prefix_states.forget(memory.number)
            self._stores.states.clear()
            self._memories.clear()
            self._models.clear()
            self._refused.clear()
            self._unchecked = self._checks
        self._state = state

    def _report(self, finished: int) -> None:
        """Say how many answers were finished."""
        self._reported += finished
        if self.on_batch is not None:
            self.on_batch(finished)

    def _report_again(self, finished: int) -> None:
        """Say how many answers the reference finished, but for those reported already."""
        again = min(finished, self._unused)
        self._unused -= again
        if finished > again and self.on_batch is not None:
            self.on_batch(finished - again)

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
        for old in self._memories[:-KEPT_MEMORIES]:
            self._stores.prefix_states.forget(old.number)
            self._stores.states.forget(old.number)
        del self._memories[:-KEPT_MEMORIES]
        return memory

    def _shared_answers(
        self, memory: SplitMemory, mode: Mode, removals: Sequence[Removal]
    ) -> dict[Removal, tuple[str, ...]]:
        """Return the answers for those removals that can be evaluated together."""
        import torch

        way: Way = "continue" if mode.side == "left" else "read"
        if way == "read" and not all(row.asked for row in memory.rows):
            return {}
        with evaluation_mode(self.loaded.model), torch.inference_mode():
            try:
                shared = self._model(way)
                if shared is None:
                    return {}
                model = self.loaded.model
                together = [each for each in removals if follows(model, self.stack, each)]
                self._mention(len(removals) - len(together))
                call = SplitRun(shared, memory, mode, self._stores, self._sizes, self._report)
                answers = call.answers(sorted(together))
            except NotShareable as error:
                self._refuse(way, str(error))
                return {}
        return answers if self._is_right(way, memory, answers) else {}

    def _model(self, way: Way) -> SharedModel | None:
        """Return the model ready for a way of answering, None when it cannot be."""
        if way in self._refused:
            return None
        if way not in self._models:
            model, processor = self.loaded.model, self.loaded.processor
            try:
                self._models[way] = share(model, processor, self.stack, self._work, way)
            except NotShareable:
                raise
            # A block may raise anything when it is called in a way that it does not know.
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                lines = str(error).splitlines() or [type(error).__name__]
                raise NotShareable(f"its blocks cannot be run apart ({lines[0]})") from error
        return self._models[way]

    def _refuse(self, way: Way, reason: str) -> None:
        said = reason in self._refused.values()
        self._refused[way] = reason
        if said:
            return
        logger.warning(
            "%s is evaluated one removal after the other, which takes 2 to 5 times as long: %s",
            self.loaded.name,
            reason,
        )

    def _mention(self, apart: int) -> None:
        if apart and not self._mentioned:
            self._mentioned = True
            logger.warning(
                "some removals change blocks of %s that stay: they are evaluated one by one",
                self.loaded.name,
            )

    def _is_right(
        self, way: Way, memory: SplitMemory, answers: dict[Removal, tuple[str, ...]]
    ) -> bool:
        """Compare with the reference the first time; say so loudly when it is not the same."""
        checks = {(way, not removal) for removal in answers} & self._unchecked
        if not checks:
            return True
        on_batch, self._reference.on_batch = self._reference.on_batch, None
        try:
            problem = differences(self._reference, memory.split, memory.places, answers)
        finally:
            self._reference.on_batch = on_batch
        self._unchecked -= checks
        if problem is None:
            return True
        self._refuse(way, f"{problem}; please report this")
        return False


def _state_of(model: Any, processor: Any) -> object:
    """Return what is another when weights were changed, or how the model attends and ends."""
    weights = tuple(
        # What was made in inference mode does not count its changes.
        (id(each), each.dtype, each.device, 0 if each.is_inference() else each._version)
        for each in model.parameters()
    )
    return weights, model.config._attn_implementation, end_tokens(model, processor)


def _room(device: torch.device, cache_bytes: int) -> int:
    """Return how much memory hidden states may take: on a GPU, a part of what is free."""
    import torch

    if device.type != "cuda":
        return cache_bytes
    return min(cache_bytes, torch.cuda.mem_get_info(device)[0] // 4)
