"""Few-shot contexts: those of a whole run of the harness, whichever documents are asked for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

SEED = 1234
"""`fewshot_random_seed` of the harness's `simple_evaluate` and of its command line."""


class Shots:
    """The contexts of one split's documents.

    The harness draws the examples of one document after those of another, from one stream of random
    numbers. So the draws of documents that are not asked for are made as well, without their texts.
    """

    def __init__(
        self,
        task: Any,
        docs: Sequence[Any],
        *,
        own: bool,
        chat: Callable[..., str] | None = None,
        system_prompt: str = "",
    ) -> None:
        """Take the task's documents.

        Args:
            task: the harness's task.
            docs: of one split.
            own: whether the harness itself evaluates them. Of others, such as the training split,
                a document is never among its own examples.
            chat: see `LmEvalSource`.
            system_prompt: see `LmEvalSource`.
        """
        self._chat = chat
        self._system_prompt = system_prompt
        self._task = task
        self._docs = docs
        self._own = own
        self._count = int(task.config.num_fewshot or 0)
        self._random = random.Random(SEED)
        self._next = 0

    def context(self, index: int) -> Any:
        """Return what stands before document `index`: a text, or one per option."""
        if not self._count:
            return self._build(index)
        if index < self._next:
            self._random, self._next = random.Random(SEED), 0
        while self._next < index:
            self._pass_over(self._next)
            self._next += 1
        self._next = index + 1
        return self._build(index)

    def _build(self, index: int) -> Any:
        task, doc = self._task, self._docs[index]
        task.fewshot_rnd = self._random
        sampler = getattr(task, "sampler", None)
        if sampler is None:
            return self._fewshot_context(doc)
        sampler.rnd = self._random
        task.sampler = sampler if self._own else _Without(sampler, doc)
        try:
            return self._fewshot_context(doc)
        finally:
            task.sampler = sampler

    def _fewshot_context(self, doc: Any) -> Any:
        return self._task.fewshot_context(
            doc,
            num_fewshot=self._count,
            system_instruction=self._system_prompt or None,
            # With a template examples are turns of their own, as the harness does it.
            apply_chat_template=self._chat is not None,
            fewshot_as_multiturn=self._chat is not None,
            chat_template=self._chat,
            gen_prefix=self._task.doc_to_prefix(doc),
        )

    def _pass_over(self, index: int) -> None:
        """Draw the examples of a document without writing them out."""
        task = self._task
        if not draws_as_usual(task):
            self._build(index)
            return
        task.sampler.rnd = self._random
        excluded = None
        # As in `ConfigurableTask.fewshot_context`.
        if not self._own or task.fewshot_cfg.split == task.config.test_split:
            excluded = self._docs[index]
        task.sampler.sample(n=self._count, eval_doc=excluded)


class _Without:
    """A sampler of examples that never draws one document."""

    def __init__(self, sampler: Any, doc: Any) -> None:
        self._sampler = sampler
        self._doc = doc

    def sample(self, n: int, eval_doc: Any = None, **options: Any) -> Any:
        return self._sampler.sample(n=n, eval_doc=self._doc, **options)


def draws_as_usual(task: Any) -> bool:
    """Return whether a task draws its examples as the harness's own class of tasks does."""
    from lm_eval.api.task import ConfigurableTask

    return type(task).fewshot_context is getattr(ConfigurableTask, "fewshot_context")  # noqa: B009
