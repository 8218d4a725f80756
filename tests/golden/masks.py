"""What cannot be equal from run to run or from machine to machine, and what stands in its place."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import depthprune


@dataclass(frozen=True)
class Mask:
    """A rule: every match of a pattern is replaced.

    Attributes:
        name: of the rule.
        pattern: a regular expression, over lines.
        replacement: for its matches; `\\1` is the first group.
        where: a regular expression that fits where the rule holds, as `results/compare: stdout`
            or `measured/sweep: file swept/sweep/sweep_summary.json`.
    """

    name: str
    pattern: str
    replacement: str
    where: str = ""

    def __call__(self, where: str, text: str) -> str:
        """Return the text that is found there with the matches replaced."""
        if not re.search(self.where, where):
            return text
        return re.sub(self.pattern, self.replacement, text, flags=re.MULTILINE)


MEASURED = "^(demo|study|measured)/"
"""Not where results of others are read: what they say stays the same."""
VERSIONED = (
    "depthprune|python|torch|transformers|transformers of the source|accelerate|datasets|"
    "tokenizers|safetensors|numpy|scipy|lm_eval|depthprune_version|transformers_version"
)

MASKS = (
    Mask(
        "dates and times", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?([+-]\d\d:\d\d|Z)?", "DATE"
    ),
    Mask("dates of documents", r"(?<=generated: )\d{4}-\d\d-\d\d", "DATE"),
    Mask("versions in JSON", rf'"({VERSIONED})": "[^"]*"', r'"\1": "VERSION"'),
    Mask("seconds of a search", r"( in )[\d.]+( s[;.,])", r"\1SECONDS\2"),
    Mask("seconds of a search, Chinese", r"[\d.]+( 秒)", r"SECONDS\1"),
    Mask("seconds in JSON", r'"((?:\w+_)?seconds)": [\d.e+-]+', r'"\1": "SECONDS"'),
    Mask("processor", r'"(device|hardware)": "cpu: [^"]*"', r'"\1": "PROCESSOR"', MEASURED),
    Mask("memory in JSON", r'"((?:\w+_)?peak_\w+)": [\d.e+-]+', r'"\1": "MEMORY"', MEASURED),
    Mask("memory in text", r"(Peak memory: |峰值内存[:\uff1a] ?)[\d.,]+", r"\1MEMORY", MEASURED),
    Mask(
        "when files were written", r'"state": "[0-9a-f]{16}"', '"state": "STATE"', "structure-batch"
    ),
    Mask("process", r"process \d+ on [^ ,]+", "PROCESS", "/status"),
    Mask("process, Chinese", r"\S+ 上的进程 \d+", "PROCESS", "/status"),
    Mask("ages", r"\d+ (s|min|秒|分钟)( ago| 前)", "AGE", "/status"),
    # The scripts and styles of a page belong to the source; the data it embeds is compared.
    Mask("styles of a page", r"(?s:<style>.*?</style>)", "<style>STYLE</style>", r"\.html$"),
    Mask("scripts of a page", r"(?s:<script>.*?</script>)", "<script>SCRIPT</script>", r"\.html$"),
    Mask("digests of a page", r"(?<=sha256-)[\w+/=]+", "DIGEST", r"\.html$"),
)


def masked(where: str, text: str, folder: Path) -> str:
    """Return a text with all rules applied.

    Args:
        where: it is found, see `Mask`.
        text: of it.
        folder: where the command ran; its path is replaced like that of the package.
    """
    package = Path(depthprune.__file__).parent
    for path, stands in ((folder, "FOLDER"), (package, "PACKAGE"), (Path(sys.prefix), "PYTHON")):
        text = text.replace(str(path), stands)
    for mask in MASKS:
        text = mask(where, text)
    return text


def rounded(text: str) -> str:
    """Return a text whose numbers of more than nine digits are rounded to nine.

    The last digits of a mean differ between processors and versions of numpy.
    """
    number: Callable[[re.Match[str]], str] = lambda match: f"{float(match[0]):.9g}"  # noqa: E731
    return re.sub(r"-?\d+\.\d{6,}(?:e[+-]?\d+)?", number, text)
