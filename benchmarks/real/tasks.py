"""Seven real tasks for a real model, from the data that `build.py` wrote into the folder DEPTHPRUNE_REAL.

DEPTHPRUNE_REAL=real depthprune search real/model --task-file benchmarks/real/tasks.py --task capitals
"""  # noqa: E501

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from depthprune.tasks import Sample, Task
from depthprune.tasks.metrics.likelihood import parse_responses
from depthprune.tasks.task import Request, Scorer

FOLDER = Path(os.environ.get("DEPTHPRUNE_REAL", "real")) / "data"
EXAMPLES = "12 + 5 = 17\n30 - 4 = 26\n8 + 21 = 29\n45 - 13 = 32\n"


class Data:
    """The rows of one task, a file for each half."""

    def __init__(self, name: str) -> None:
        self.name = name

    def splits(self) -> Sequence[str]:
        """Return the halves, which share no fact."""
        return ("train", "validation")

    def samples(self, split: str) -> Sequence[Sample]:
        """Return the samples of a half."""
        lines = (FOLDER / self.name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        return [self.sample(json.loads(line)) for line in lines]

    def sample(self, row: dict[str, Any]) -> Sample:
        """Return one sample: a text to be read, or a question with options or answers."""
        if "text" in row:
            return Sample(row["id"], "", references=(row["text"],))
        if "choices" in row:
            letter = "ABCD"[row["answer"]]
            return Sample(
                row["id"], row["question"], references=(letter,), choices=tuple(row["choices"])
            )
        return Sample(row["id"], row["question"], references=tuple(row["answers"]))

    def describe(self) -> str:
        """Return where the data lie."""
        return str(FOLDER / self.name)


class Judged(Data):
    """Rows whose answers a function judges."""

    def __init__(self, name: str, judge: Callable[[str, str], bool]) -> None:
        super().__init__(name)
        self.judge = judge

    def scorer(self, samples: Sequence[Sample]) -> Scorer:
        """Return the scorer of these samples."""
        return ByJudge(self.judge)


class ByJudge(Scorer):
    """1 where a function says that the answer is right."""

    bounds = (0.0, 1.0)

    def __init__(self, judge: Callable[[str, str], bool]) -> None:
        self.judge, self.name = judge, judge.__name__

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1 or 0."""
        return float(self.judge(answer, sample.references[0]))


class Sums(Judged):
    """Sums after worked examples, as they stand: a chat template makes sentences of the answers."""

    def sample(self, row: dict[str, Any]) -> Sample:
        """Return one sum, whose answer ends with its line."""
        context = EXAMPLES + row["question"]
        request = Request("generate", context, until=("\n",), max_new_tokens=6)
        return replace(super().sample(row), requests=(request,))


class LastWords(Data):
    """Sentences that go on with one of four words, as they stand."""

    def sample(self, row: dict[str, Any]) -> Sample:
        """Return one sentence with four continuations."""
        context = row["question"].removesuffix(" ...")
        requests = [Request("loglikelihood", context, f" {word}") for word in row["choices"]]
        return replace(super().sample(row), requests=tuple(requests))

    def scorer(self, samples: Sequence[Sample]) -> Scorer:
        """Return the scorer of these samples."""
        return Likeliest()


class Likeliest(Scorer):
    """1 where the right continuation has the highest likelihood per byte."""

    name = "likeliest"
    bounds = (0.0, 1.0)

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1 or 0."""
        found = parse_responses(sample, answer)
        likelihoods = [
            likelihood / len(one.continuation.encode())
            for (likelihood, _), one in zip(found, sample.requests, strict=True)
        ]
        return float("ABCD"[likelihoods.index(max(likelihoods))] == sample.references[0])


def first_number(answer: str, wanted: str) -> bool:
    """Return whether the first number that was written is the wanted one."""
    found = re.search(r"-?\d+", json.loads(answer)[0])
    return found is not None and found[0] == wanted


def by_rule(answer: str, wanted: str) -> bool:
    """Return whether an answer does what was asked, see `RULES` of `build.py`."""
    rule, _, thing = wanted.partition("|")
    kind, _, value = rule.partition(":")
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    words = re.findall(r"[A-Za-z']+", answer)
    if kind == "words":
        return len(words) == int(value)
    if kind == "upper":
        return bool(words) and answer == answer.upper()
    if kind == "list":
        return len(lines) == int(value) and all(line.startswith("-") for line in lines)
    if kind == "begins":
        return words[:1] == [value]
    if kind == "contains":
        return thing in [word.lower() for word in words]
    return len(lines) == 1 and len(words) > 2


def chosen(name: str) -> Task:
    """Return a task in which the likeliest option counts."""
    return Task(name, "Multiple Choice", Data(name), metric="choice_likelihood", answer="choose")


definitions, capitals, elements = map(chosen, ("definitions", "capitals", "elements"))
last_words = Task(
    "last_words", "Multiple Choice", LastWords("last_words"), metric="exact_match", answer="respond"
)
prose = Task("prose", "Language Modeling", Data("prose"), metric="perplexity", answer="read")
arithmetic = Task(
    "arithmetic", "Exact Match", Sums("arithmetic", first_number), answer="respond"
)  # fmt: skip
instructions = Task(
    "instructions", "Exact Match", Judged("instructions", by_rule), max_new_tokens=48
)
