"""CIDEr-D: how much of what people say about a picture a caption says too."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from depthprune.base.errors import MetricError, MissingDependencyError
from depthprune.base.log import logger
from depthprune.tasks.metrics import scores_by
from depthprune.tasks.task import Sample, Scorer

VARIABLE = "DEPTHPRUNE_CAPTION_TOKENS"
NAMES = {"ptb": "PTB tokens by Java", "treebank": "nltk Treebank tokens"}

# What pycocoevalcap's PTBTokenizer leaves out; its list has brackets too, but in upper case only.
PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))


class CaptionTokens:
    """The words of captions, each caption split once.

    Args:
        kind: `ptb` (Stanford's PTBTokenizer in Java, as the published figures), `treebank`
            (nltk's, needs no Java and no nltk data), or `auto`: what the environment variable
            DEPTHPRUNE_CAPTION_TOKENS says, else `ptb` where Java and pycocoevalcap are present.

    Raises:
        MetricError: there is no such kind.
        MissingDependencyError: Java, pycocoevalcap or nltk is needed and absent.
    """

    def __init__(self, kind: str = "auto") -> None:
        if kind == "auto":
            kind = os.environ.get(VARIABLE) or ("ptb" if _has_ptb() else "treebank")
        if kind not in NAMES:
            raise MetricError(
                f"there is no tokenizer {kind!r} for captions",
                mend=f"choose auto, {' or '.join(NAMES)} (option `tokens`, or {VARIABLE})",
            )
        self.name = NAMES[kind]
        self._split = _split_ptb if kind == "ptb" else _split_treebank
        self._words: dict[str, tuple[str, ...]] = {}

    def prepare(self, captions: Iterable[str]) -> None:
        """Split all captions that were not split before, in one go (Java starts once)."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._words]
        if new:
            self._words.update(zip(new, self._split(new), strict=True))

    def __getitem__(self, caption: str) -> tuple[str, ...]:
        """Return the words of `caption`, lower case, without punctuation."""
        if caption not in self._words:
            self.prepare([caption])
        return self._words[caption]


@cache
def _has_ptb() -> bool:
    if not (shutil.which("java") and importlib.util.find_spec("pycocoevalcap")):
        return False
    # Some systems have a `java` that only tells how to install one.
    return subprocess.run(["java", "-version"], capture_output=True, check=False).returncode == 0


def _split_treebank(captions: Sequence[str]) -> list[tuple[str, ...]]:
    try:
        from nltk.tokenize import NLTKWordTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            "CIDEr-D needs nltk (or Java and pycocoevalcap) to split captions into words",
            mend="pip install 'depthprune[caption]'",
        ) from error
    tokenizer = NLTKWordTokenizer()
    return [
        _words(tokenizer.tokenize(_one_line(caption), convert_parentheses=True))
        for caption in captions
    ]


def _split_ptb(captions: Sequence[str]) -> list[tuple[str, ...]]:
    if not _has_ptb():
        raise MissingDependencyError(
            "the tokenizer `ptb` needs Java and pycocoevalcap",
            mend="install a Java runtime and 'depthprune[caption]', or choose `tokens: treebank`",
        )
    import pycocoevalcap.tokenizer.ptbtokenizer as ptb

    folder = Path(ptb.__file__).parent
    command = ["java", "-cp", str(folder / ptb.STANFORD_CORENLP_3_4_1_JAR)]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    text = "\n".join(map(_one_line, captions)) + "\n"
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    lines = done.stdout.decode().split("\n")[: len(captions)]
    if done.returncode or len(lines) != len(captions):
        raise MetricError(
            f"the Java tokenizer failed: {done.stderr.decode(errors='replace').strip()[-200:]}",
            mend="choose `tokens: treebank`, which needs no Java",
        )
    return [_words(line.split()) for line in lines]


def _one_line(caption: str) -> str:
    return " ".join(caption.split())


def _words(tokens: Iterable[str]) -> tuple[str, ...]:
    # Lower case comes first, so that brackets stay, as `-lrb-`: so it is in the published figures.
    return tuple(token for token in map(str.lower, tokens) if token not in PUNCTUATION)


LONGEST = 4
SIGMA = 6.0

Phrase = tuple[str, ...]


class _Caption(NamedTuple):
    """A caption as tf-idf vectors of its phrases, one vector per phrase length."""

    vectors: tuple[dict[Phrase, float], ...]
    norms: tuple[float, ...]
    length: int


@scores_by("cider_d")
class CiderD(Scorer):
    """CIDEr-D, times `scale`.

    Phrases of 1 to 4 words are weighted by how rare they are among the references of all samples
    of the split; clipped cosine similarity, a Gaussian penalty (sigma 6) on the difference in
    length, the mean over references and phrase lengths, times 10. The document frequencies are
    those of the whole split, so that a score does not depend on which slice is scored.

    The arithmetic is that of pycocoevalcap's CiderScorer (the tests compare them), with the
    references' vectors computed once instead of for every candidate. Unlike there, the split's
    frequencies are at hand when a single caption is scored.

    Args:
        samples: all samples of the split.
        scale: 1.0 as published (0..10); 0.1 makes a perfect caption score 1.
        tokens: see `CaptionTokens`.

    Source: Vedantam et al., CIDEr, CVPR 2015, section 6; github.com/salaniz/pycocoevalcap.
    """

    def __init__(self, samples: Sequence[Sample], scale: float = 1.0, tokens: str = "auto") -> None:
        if len(samples) < 2:
            logger.warning(
                "CIDEr-D weighs words by the other samples' captions: with %d sample every "
                "caption scores 0",
                len(samples),
            )
        self._tokens = CaptionTokens(tokens)
        self.name = f"cider_d ({self._tokens.name})"
        self._scale = scale
        captions = [reference for sample in samples for reference in sample.references]
        self._tokens.prepare(captions)
        documents: Counter[Phrase] = Counter()
        for sample in samples:
            documents.update({p for r in sample.references for p in _phrases(self._tokens[r])})
        self._frequency = {phrase: math.log(count) for phrase, count in documents.items()}
        self._rarest = math.log(max(1, len(samples)))
        self._references: dict[str, _Caption] = {}

    def score(self, sample: Sample, answer: str) -> float:
        """Return CIDEr-D of `answer` against the sample's captions, 0..10 times the scale."""
        if not sample.references:
            return 0.0
        given = self._weigh(answer)
        total = sum(_similarity(given, self._reference(r)) for r in sample.references)
        return self._scale * 10 * total / LONGEST / len(sample.references)

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Return the score of each pair; the answers are split into words in one go."""
        self._tokens.prepare(answers)
        return super().score_many(samples, answers)

    def _reference(self, caption: str) -> _Caption:
        if caption not in self._references:
            self._references[caption] = self._weigh(caption)
        return self._references[caption]

    def _weigh(self, caption: str) -> _Caption:
        vectors: tuple[dict[Phrase, float], ...] = tuple({} for _ in range(LONGEST))
        words = self._tokens[caption]
        for phrase, count in _phrases(words).items():
            rarity = self._rarest - self._frequency.get(phrase, 0.0)
            vectors[len(phrase) - 1][phrase] = count * rarity
        norms = tuple(math.sqrt(sum(w * w for w in vector.values())) for vector in vectors)
        # pycocoevalcap takes the number of two-word phrases for the length.
        return _Caption(vectors, norms, max(0, len(words) - 1))


def _phrases(words: Sequence[str]) -> Counter[Phrase]:
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, LONGEST + 1)
        for start in range(len(words) - size + 1)
    )


def _similarity(given: _Caption, reference: _Caption) -> float:
    """Return the clipped cosine similarities of all phrase lengths, summed and penalised."""
    total = 0.0
    for mine, theirs, my_norm, their_norm in zip(
        given.vectors, reference.vectors, given.norms, reference.norms, strict=True
    ):
        common = sum(
            min(weight, theirs[phrase]) * theirs[phrase]
            for phrase, weight in mine.items()
            if phrase in theirs
        )
        if my_norm and their_norm:
            total += common / (my_norm * their_norm)
    return total * math.exp(-((given.length - reference.length) ** 2) / (2 * SIGMA**2))
