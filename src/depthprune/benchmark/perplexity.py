"""Perplexity of long texts, those everybody uses or files, read in overlapping windows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from depthprune.base.documents import Json
from depthprune.base.errors import DepthpruneError, MissingDependencyError, TaskError, option
from depthprune.blocks.models import LoadedModel
from depthprune.engine.batching import run_in_batches
from depthprune.engine.inputs import move, pad
from depthprune.engine.likelihood import LOGITS_BYTES, logits_between
from depthprune.engine.reference import input_device
from depthprune.tasks.rows import read_json_lines
from depthprune.tasks.sources import network

TEXT_FIELDS = ("text", "sentence", "content")
"""Fields of a JSON line that may hold its text; the first that is there counts."""


@dataclass(frozen=True)
class HubText:
    """One split of a dataset on the hub, joined to one text.

    Attributes:
        places: its names there, the first that can be loaded counts: name, configuration, revision.
        split: the data's split.
        column: which holds the text.
        separator: between two rows.
    """

    places: tuple[tuple[str, str | None, str | None], ...]
    split: str
    column: str
    separator: str


HUB_TEXTS: Mapping[str, HubText] = {
    "wikitext2": HubText(
        (
            ("Salesforce/wikitext", "wikitext-2-raw-v1", None),
            ("wikitext", "wikitext-2-raw-v1", None),
        ),
        "test",
        "text",
        "\n\n",
    ),
    # The original is a script, which `datasets` runs no more: the hub's copy of its data is read,
    # whose only configuration has another name. The others are caches of older versions.
    "ptb": HubText(
        (
            ("ptb-text-only/ptb_text_only", None, "refs/convert/parquet"),
            ("ptb-text-only/ptb_text_only", "penn_treebank", None),
            ("ptb_text_only", "penn_treebank", None),
        ),
        "test",
        "sentence",
        " ",
    ),
}
"""Joined as the perplexities that papers state are: GPTQ, SparseGPT."""


@dataclass(frozen=True)
class Text:
    """A text, and the name that its perplexity has in results."""

    name: str
    content: str

    @property
    def digest(self) -> str:
        """A hash that identifies the content."""
        return hashlib.sha256(self.content.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class TextSet:
    """Where a text comes from; it is read when it is asked for."""

    name: str
    file: Path | None = None

    def read(self, *, download: bool = False) -> Text:
        """Return the text.

        Raises:
            TaskError: the file is not text or empty, or the data are not on this machine.
        """
        if self.file is None:
            content = _read_hub(self.name, HUB_TEXTS[self.name], download=download)
        else:
            content = _read_file(self.file)
        if not content.strip():
            raise TaskError("the text is empty", where=str(self.file or self.name))
        return Text(self.name, content)


def text_sets(names: tuple[str, ...]) -> tuple[TextSet, ...]:
    """Return the text sets of these names: `wikitext2`, `ptb`, or a file.

    Raises:
        TaskError: there is no such set and no such file, or two have the same name.
    """
    sets = tuple(_text_set(name) for name in dict.fromkeys(names))
    called = [one.name for one in sets]
    for name in called:
        if called.count(name) > 1:
            raise TaskError(
                f"two texts are called {name}",
                option="ppl_texts",
                mend="rename one of the files: results are kept by name",
            )
    return sets


def _text_set(name: str) -> TextSet:
    known = name.strip().lower().replace("-", "")
    if known in HUB_TEXTS:
        return TextSet(known)
    path = Path(name).expanduser()
    if path.is_file():
        return TextSet(path.name, path)
    raise TaskError(
        f"{name!r} is neither a text set nor a file",
        option="ppl_texts",
        mend=f"name {' or '.join(HUB_TEXTS)}, or a text file or .jsonl file that exists",
    )


def _read_file(path: Path) -> str:
    if path.suffix == ".jsonl":
        return _read_rows(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskError(
            f"not a UTF-8 text file: {error.reason}",
            where=f"{path}, byte {error.start}",
            mend="give plain text in UTF-8, or .jsonl",
        ) from error
    except OSError as error:
        raise TaskError(f"cannot read: {error.strerror or error}", where=str(path)) from error


def _read_rows(path: Path) -> str:
    rows = read_json_lines(path)
    column = next((name for name in TEXT_FIELDS if name in rows.columns), None)
    if len(rows) and column is None:
        raise TaskError(
            f"no line has a field {', '.join(TEXT_FIELDS)}",
            where=str(path),
            mend=f"write each line as {{{TEXT_FIELDS[0]!r}: ...}}",
        )
    texts = rows.column(column) if column is not None else ()
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TaskError(f"the field {column!r} is missing or no text", where=rows.place(place))
    return "\n\n".join(texts)


def _read_hub(name: str, text: HubText, *, download: bool) -> str:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "reading this text needs the package datasets", mend="pip install 'depthprune[run]'"
        ) from error
    first: Exception | None = None
    with network(download):
        for place, config, revision in text.places:
            try:
                rows = datasets.load_dataset(place, config, revision=revision, split=text.split)
                return text.separator.join(map(str, rows[text.column]))
            except Exception as error:  # as many kinds as there are ways to lack data
                first = first or error
    reason = " ".join(str(first).split())[:300]
    raise TaskError(
        f"the text {name} cannot be loaded: {reason}",
        where=f"Hugging Face hub, {text.places[0][0]}, split {text.split}",
        mend="give a local copy as a text file"
        if download
        else f"allow the download ({option('download')}), or give a local copy as a text file",
    )


BATCH_TOKENS = 4096
"""Tokens of the windows that are read at once, where no batch size is asked for."""


@dataclass(frozen=True)
class Windows:
    """How a text is read: `window` tokens at once, of which `stride` are new."""

    window: int
    stride: int

    def __post_init__(self) -> None:
        """Refuse windows that predict nothing, or leave tokens out."""
        if self.window < 2 or self.stride < 1:
            raise DepthpruneError(
                f"a text cannot be read in windows of {self.window} with stride {self.stride}",
                option=("window", "stride"),
                mend="give a window of at least 2 tokens and a stride of at least 1",
            )
        if self.stride > self.window:
            raise DepthpruneError(
                f"a stride of {self.stride} would leave tokens out between windows of "
                f"{self.window}",
                option="stride",
                mend="give a stride that is no longer than the window",
            )

    def within(self, positions: int | None) -> Windows:
        """Return these windows, no longer than the model can read; new tokens keep their share."""
        if positions is None or self.window <= positions:
            return self
        return Windows(positions, max(1, positions * self.stride // self.window))


@dataclass(frozen=True)
class TextPerplexity:
    """What a model made of a text.

    Attributes:
        nll: negative log-likelihood, summed over the tokens, in nats.
        tokens: how many were predicted.
        windows: as they were read.
    """

    nll: float
    tokens: int
    windows: Windows

    @property
    def ppl(self) -> float | None:
        """exp(nll / tokens); None where that is beyond all numbers."""
        mean = self.nll / self.tokens
        return math.exp(mean) if mean < 700 else None

    def entry(self, asked: Windows) -> Json:
        """Return what the file of an evaluation says; other windows may have been asked for."""
        return {
            "ppl": self.ppl,
            "nll": self.nll,
            "tokens": self.tokens,
            "window": self.windows.window,
            "stride": self.windows.stride,
            "window_asked": asked.window,
            "stride_asked": asked.stride,
        }


def text_tokens(loaded: LoadedModel, text: str) -> tuple[int, ...]:
    """Return a text as token ids, with the special tokens that the tokenizer adds to a text.

    Raises:
        TaskError: there are fewer than two, so that nothing can be predicted.
    """
    # Longer than the model reads is what windows are for: no warning.
    encoded = loaded.tokenizer(text, verbose=False)
    tokens = tuple(encoded["input_ids"])
    if len(tokens) < 2:
        raise TaskError(
            f"the text is too short: {len(tokens)} token(s), so nothing is left to predict",
            mend="give a longer text",
        )
    return tokens


def perplexity(
    loaded: LoadedModel,
    tokens: Sequence[int],
    windows: Windows,
    *,
    batch_size: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> TextPerplexity:
    """Return the perplexity of a text, read in windows that overlap.

    Every window but the first begins `stride` tokens after the one before, and only the tokens that
    were in no window before count; those in front are their context
    (https://huggingface.co/docs/transformers/perplexity). Every token but the first of the text is
    predicted once; with a stride as long as the window, all but the first of every window.

    Args:
        loaded: a language model, or a vision-language model, which reads the text without pictures.
        tokens: of the text, see `text_tokens`.
        windows: no longer than the model's positions, see `Windows.within`.
        batch_size: windows at once; None chooses by their length. Halved when memory runs out.
        on_progress: called with the share of the text that was read since the last call.

    Raises:
        DepthpruneError: a single window does not fit into memory, or the model overflows.
    """
    import torch

    model, device = loaded.model, input_device(loaded.model)
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    spans = list(_spans(len(tokens), windows))
    size = batch_size or max(1, BATCH_TOKENS // windows.window)
    found: list[float] = []

    def read(group: Sequence[_Span], start: int, stop: int) -> None:
        rows = [tokens[span.begin : span.end] for span in group[start:stop]]
        found.append(_nll(model, move(pad(rows, "right", 0), device), group[0].predicted))
        if on_progress is not None:
            on_progress((stop - start) / len(spans))

    with torch.inference_mode():
        # One batch has windows of one length with equally many new tokens: nothing is padded.
        for _, alike in groupby(spans, key=lambda span: (span.end - span.begin, span.new)):
            group = list(alike)
            fitting = min(size, LOGITS_BYTES // (group[0].predicted * vocabulary * 4) or 1)
            held = run_in_batches(len(group), fitting, partial(read, group))
            size = held if held < fitting else size
    nll = math.fsum(found)
    if not math.isfinite(nll):
        raise DepthpruneError(
            "the model overflows: the likelihood of the text is not a number",
            mend=f"try {option('dtype', 'float32')} or bfloat16; a model that lost too much may be "
            "beyond help",
        )
    return TextPerplexity(nll, sum(span.predicted for span in spans), windows)


@dataclass(frozen=True)
class _Span:
    """One window: its tokens `begin` to `end`, of which the last `new` count."""

    begin: int
    end: int
    new: int

    @property
    def predicted(self) -> int:
        """How many tokens count: the new ones, but never one with nothing before it."""
        return min(self.new, self.end - self.begin - 1)


def _spans(length: int, windows: Windows) -> Iterator[_Span]:
    before = 0
    for begin in range(0, length, windows.stride):
        end = min(begin + windows.window, length)
        # A last window of the text's last token alone would have nothing in front of it.
        if end - begin > 1:
            yield _Span(begin, end, end - before)
        before = end
        if end == length:
            return


def _nll(model: Any, inputs: dict[str, Any], predicted: int) -> float:
    import torch

    length = inputs["input_ids"].shape[1]
    logits = logits_between(model, inputs, length - 1 - predicted, length - 1)
    targets = inputs["input_ids"][:, length - predicted :].to(logits.device)
    losses = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none"
    )
    return float(losses.double().sum())
