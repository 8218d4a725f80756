"""The documents of one task of the lm-evaluation-harness, with the requests it makes of a model."""

from __future__ import annotations

import logging
import random
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from depthprune.base.errors import DepthpruneError, TaskError, option
from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.tasks.sources import network
from depthprune.tasks.task import Request, Sample

if TYPE_CHECKING:
    from depthprune.tasks.lm_eval.scoring import LmEvalScorer


@contextmanager
def guarded(*, download: bool) -> Iterator[None]:
    """Run code of the harness: what it prints goes to standard error, its warnings nowhere.

    Unless `download` is set, `datasets` does not ask the hub, and any other connection to the
    network that a task's own code tries to make fails.
    """
    log = logging.getLogger("lm_eval")
    level = log.level
    # A word about every default of a definition is no help to somebody who did not write it.
    log.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr), network(download), _connections(download):
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _connections(allowed: bool) -> Iterator[None]:
    if allowed:
        yield
        return
    connect = socket.socket.connect

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("the network is not allowed")

    def connect_here(self: socket.socket, address: Any) -> None:
        # Processes of this machine talk to each other through sockets without a network.
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse()
        connect(self, address)

    with (
        patch.object(socket.socket, "connect", connect_here),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        yield


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


DEFAULT_NEW_TOKENS = 256
"""The longest text of a definition that states none (`max_gen_toks` of the harness's HFLM)."""

TOKEN_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Their names, the first that is there counts (`normalize_gen_kwargs` of the harness)."""

WITHOUT_EFFECT = {"do_sample", "temperature", "top_p", "top_k", "min_p", "seed", "use_cache"}
"""What may be said about generation that changes nothing once it is greedy."""


@dataclass(frozen=True)
class LmEvalSource:
    """The documents that the harness evaluates, and those it trains on.

    `validation` is what the harness measures: the data's test split, or where there is none its
    validation split. `train` is its training split; `development` the data's validation split,
    where `validation` is its test split.

    Attributes:
        name: as the harness calls it.
        entry: its definition in the harness's index.
        overrides: what the group that named it changes about it.
        num_fewshot: see `harness_task`.
        metric: see `harness_task`.
        max_new_tokens: see `harness_task`.
        download: whether the network may be used.
        chat: writes turns by a model's chat template, as the harness's `apply_chat_template` does:
            given the turns and, by name, `add_generation_prompt`; None asks without a template.
        system_prompt: see `system_instruction` of the harness.
    """

    name: str
    entry: Any
    overrides: Mapping[str, Any] = field(default_factory=dict)
    num_fewshot: int | None = None
    metric: str = "auto"
    max_new_tokens: int | None = None
    download: bool = False
    chat: Callable[..., str] | None = None
    system_prompt: str = ""

    def splits(self) -> tuple[str, ...]:
        """Return the splits that are there; raises TaskError when the data cannot be loaded."""
        return tuple(self._docs)

    def samples(self, split: str) -> LmEvalSamples:
        """Return the documents of a split as samples with requests."""
        if split not in self._docs:
            raise TaskError(f"there is no split {split}", where=self.describe())
        return LmEvalSamples(self, split, self._docs[split])

    def describe(self) -> str:
        """Return the name, and where the definition lies when it is a user's own."""
        place = self.entry.yaml_path
        own = place is not None and not self._is_shipped
        return f"lm-eval task {self.name}" + (f", {place}" if own else "")

    def scorer(self, samples: Sequence[Sample]) -> LmEvalScorer:
        """Return the scorer: the task's own metrics and filters."""
        from depthprune.tasks.lm_eval.scoring import LmEvalScorer

        return LmEvalScorer(self, samples)

    def doc(self, sample: Sample) -> Any:
        """Return the document behind a sample."""
        split, _, place = sample.id.rpartition("/")
        return self._docs[split][int(place)]

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Run the task's own code, whose errors are told with the task's name."""
        try:
            with guarded(download=self.download):
                yield
        except DepthpruneError:
            raise
        except ModuleNotFoundError as error:
            raise TaskError(
                f"{self.describe()} needs the package {error.name}, which is not installed",
                mend=f"pip install {error.name} (`pip install 'lm-eval[...]'` has sets for tasks)",
            ) from error
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            may_download = isinstance(error, OSError) and not self.download
            raise TaskError(
                f"{self.describe()} cannot be used: {type(error).__name__}: {reason}",
                mend="if its data are not on this machine, allow the download "
                f"({option('download')})"
                if may_download
                else None,
            ) from error

    @cached_property
    def task(self) -> Any:
        """The harness's own task object, with its data."""
        config = {**(self.entry.cfg or {}), **self.overrides}
        with self.guarded():
            from lm_eval.tasks._factory import TaskFactory

            self._refuse_code(config)
            overrides = {**self.overrides, **self._own_metrics(config)}
            task = TaskFactory().build(self.entry, overrides=overrides, registry={})
            _set_fewshot(task, self.num_fewshot)
            if getattr(task, "UNSAFE_CODE", False):
                raise _refusal(self, "executes code that the model writes")
            if getattr(task, "MULTIMODAL", False):
                raise _refusal(self, "shows pictures or sounds, for which there is no path yet")
        return task

    @cached_property
    def _docs(self) -> dict[str, Any]:
        task = self.task
        docs: dict[str, Any] = {}
        with self.guarded():
            # A few old tasks draw examples by themselves, the document itself maybe among them.
            if task.has_training_docs() and (task.config.num_fewshot == 0 or draws_as_usual(task)):
                docs["train"] = _indexed(task.training_docs())
            docs["validation"] = _indexed(task.eval_docs)
            if task.has_test_docs() and task.has_validation_docs():
                docs["development"] = _indexed(task.validation_docs())
        return docs

    @property
    def _is_shipped(self) -> bool:
        import lm_eval

        place = self.entry.yaml_path
        return place is None or str(place).startswith(str(next(iter(lm_eval.__path__))))

    def _refuse_code(self, config: Mapping[str, Any]) -> None:
        """Refuse what would execute code that neither the harness nor the user brought."""
        import datasets

        options = config.get("dataset_kwargs") or {}
        # Later versions of datasets know no such code.
        if options.get("trust_remote_code") and int(datasets.__version__.split(".")[0]) < 4:
            raise _refusal(self, "loads its data by code of the hub")
        if config.get("unsafe_code"):
            raise _refusal(self, "executes code that the model writes")
        if config.get("custom_dataset") and self._is_shipped and not self.download:
            raise _refusal(
                self,
                "makes its data by code that may use the network",
                f"allow it by {option('download')}",
            )

    def _own_metrics(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics without those whose code is loaded from the hub.

        Of an answer that is chosen the harness knows the score by itself: it never calls them.
        """
        from lm_eval.api import metrics  # noqa: F401 - fills the registry
        from lm_eval.api.registry import metric_registry
        from lm_eval.tasks._yaml_loader import load_yaml

        if config.get("process_results") is not None:
            return {}
        listed = config.get("metric_list") or []
        foreign = [
            entry["metric"]
            for entry in listed
            # Paths are the metrics that a definition names as Python functions.
            if isinstance(entry.get("metric"), str)
            and "/" not in entry["metric"]
            and (entry.get("hf_evaluate") is True or entry["metric"] not in metric_registry)
        ]
        if not foreign:
            return {}
        known = all(metric in metric_registry for metric in foreign)
        if config.get("output_type") != "multiple_choice" or not known:
            raise _refusal(self, f"scores by {foreign[0]}, whose code is loaded from the hub")
        if "metric_list" not in self.overrides and self.entry.yaml_path is not None:
            listed = load_yaml(self.entry.yaml_path)["metric_list"]
        return {
            "metric_list": [
                {key: value for key, value in entry.items() if key != "hf_evaluate"}
                for entry in listed
            ]
        }


class LmEvalSamples:
    """The documents of one split; a sample is made when it is asked for."""

    def __init__(self, source: LmEvalSource, split: str, docs: Any) -> None:
        self._source = source
        self._split = split
        self._docs = docs
        self._shots = Shots(
            source.task,
            docs,
            own=split == "validation",
            chat=source.chat,
            system_prompt=source.system_prompt,
        )

    def __len__(self) -> int:
        return len(self._docs)

    def __getitem__(self, index: int) -> Sample:
        """Return a document with its requests; raises TaskError when they cannot be made."""
        name = f"{self._split}/{index}"
        task = self._source.task
        with self._source.guarded():
            doc = self._docs[index]
            context = self._shots.context(index)
            made = task.construct_requests(
                doc=doc,
                ctx=context,
                metadata=(self._source.name, index, task.config.repeats),
                apply_chat_template=self._source.chat is not None,
                chat_template=self._source.chat,
            )
            instances = made if isinstance(made, list) else [made]
            requests = tuple(
                _request(self._source, instance)
                for instance in sorted(instances, key=lambda instance: int(instance.idx))
            )
            references = _references(task, doc)
        return Sample(
            id=name,
            question=requests[0].context,
            references=references or ("",),
            requests=requests,
        )


def _references(task: Any, doc: Any) -> tuple[str, ...]:
    """Return the accepted answers; where options compete, the places of the right ones."""
    chooses = task.OUTPUT_TYPE == "multiple_choice"
    # As in `ConfigurableTask.process_results`: here the options are contexts of one continuation.
    is_place = chooses and getattr(task, "multiple_input", False)
    target = task.doc_to_text(doc) if is_place else task.doc_to_target(doc)
    targets = target if isinstance(target, list) else [target]
    options = task.doc_to_choice(doc) if chooses and task.config.doc_to_choice is not None else ()
    return tuple(
        str(options.index(one) if isinstance(one, str) and one in options else one)
        for one in targets
    )


def _request(source: LmEvalSource, instance: Any) -> Request:
    kind, arguments = instance.request_type, instance.args
    if kind == "loglikelihood" and len(arguments) == 2:
        return Request("loglikelihood", str(arguments[0]), str(arguments[1]))
    if kind == "loglikelihood_rolling" and len(arguments) == 1:
        return Request("rolling", "", str(arguments[0]))
    if kind == "generate_until" and len(arguments) == 2:
        until, longest = _generation(source, arguments[1])
        longest = source.max_new_tokens or longest
        return Request("generate", str(arguments[0]), until=until, max_new_tokens=longest)
    raise _refusal(source, f"makes a request {kind} with {counted(len(arguments), 'part')}")


def _generation(source: LmEvalSource, options: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Return the stop texts and the longest answer that a definition asks for."""
    until = options.get("until") or []
    texts = tuple(map(str, until)) if isinstance(until, list | tuple) else (str(until),)
    stated = [options[name] for name in TOKEN_LIMITS if options.get(name) is not None]
    if int(options.get("num_beams") or 1) != 1:
        raise _refusal(source, "searches answers with beams")
    unknown = set(options) - {"until", "num_beams", *TOKEN_LIMITS} - WITHOUT_EFFECT
    if unknown:
        raise _refusal(source, f"generates with {', '.join(sorted(unknown))}")
    return texts, int(stated[0]) if stated else DEFAULT_NEW_TOKENS


def samples_answers(options: Mapping[str, Any] | None) -> bool:
    """Return whether a definition wants answers drawn at random instead of the likeliest."""
    chosen = (options or {}).get("do_sample")
    return float((options or {}).get("temperature") or 0.0) > 0 if chosen is None else bool(chosen)


def _set_fewshot(task: Any, asked: int | None) -> None:
    """Set the number of examples by the rule of the harness's `simple_evaluate`."""
    defined = task.config.num_fewshot
    if asked is None or defined == 0:
        if asked:
            logger.warning(
                "%s fixes that it has no examples; num_fewshot is ignored", task.config.task
            )
        task.set_config(key="num_fewshot", value=defined or 0)
    else:
        task.set_config(key="num_fewshot", value=asked)
    if samples_answers(task.config.generation_kwargs):
        logger.warning(
            "%s asks for answers drawn at random; they are generated greedily, so that a drop is "
            "no chance (the harness's numbers differ)",
            task.config.task,
        )


def _indexed(docs: Any) -> Any:
    return docs if hasattr(docs, "__getitem__") else list(docs)


def _refusal(source: LmEvalSource, what: str, mend: str | None = None) -> TaskError:
    return TaskError(
        f"{source.describe()} {what}: that is not supported", mend=mend or "choose another task"
    )
