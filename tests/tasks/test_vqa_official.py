"""`vqa_accuracy` against the official evaluation of VQA v2, written down once more."""

from __future__ import annotations

import random
import re

import depthprune
from depthprune.tasks.metrics.words import CONTRACTIONS

# The lines of VQAEval (github.com/GT-Vision-Lab/VQA) that decide, as they stand there.
PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")
COMMA = re.compile(r"(\d)(\,)(\d)")
PUNCT = [";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@",
         "`", ",", "?", "!"]  # fmt: skip
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
           "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
           "ten": "10"}  # fmt: skip


def process(text: str) -> str:
    text = text.replace("\n", " ").replace("\t", " ").strip()
    out = text
    for p in PUNCT:
        if (p + " " in text or " " + p in text) or (re.search(COMMA, text) is not None):
            out = out.replace(p, "")
        else:
            out = out.replace(p, " ")
    out = PERIOD.sub("", out, re.UNICODE)  # a flag for the count: so it stands there
    words = []
    for word in out.lower().split():
        word = NUMBERS.setdefault(word, word)
        if word not in ("a", "an", "the"):
            words.append(word)
    return " ".join(CONTRACTIONS.get(word, word) for word in words)


def official(answer: str, references: list[str]) -> float:
    answer, references = process(answer), [process(reference) for reference in references]
    earned = []
    for left_out in range(len(references)):
        others = references[:left_out] + references[left_out + 1 :]
        earned.append(min(1, float(len([r for r in others if r == answer])) / 3))
    return float(sum(earned)) / len(earned)


PIECES = [
    "red", "Blue", "the", "a", "An", "two", "None", "10", "1,000", "3.5", ".", ",", "-", "/", "+",
    "?", "!", "'", '"', "dont", "don't", "youd've", "U.S.", " ", "  ", "\n", "\t", "(", ")", "%",
    "$5", "10:30", "é", "ten",
]  # fmt: skip


def test_every_score_is_the_official_one() -> None:
    draw = random.Random(0)
    metric = depthprune.metric("vqa_accuracy")
    different = []
    for _ in range(2000):
        answers = ["".join(draw.choices(PIECES, k=draw.randint(0, 4))) for _ in range(3)]
        references = draw.choices(answers, k=10)
        answer = draw.choice(answers)
        if abs(metric.score(answer, references) - official(answer, references)) > 1e-12:
            different.append((answer, references))
    assert different == []
