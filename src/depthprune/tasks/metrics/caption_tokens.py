"""Split captions into words as the caption metrics do: Penn Treebank tokens without punctuation."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from depthprune.base.errors import MetricError, MissingDependencyError

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
