"""Texts that perplexity is measured on: those everybody uses, or a file of your own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import MissingDependencyError, TaskError
from depthprune.base.naming import option
from depthprune.tasks.sources.hub import network
from depthprune.tasks.sources.text_files import read_json_lines

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
