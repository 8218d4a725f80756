"""From samples to the tensors a model reads: the prompt in words, tokens, images, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from depthprune.base.errors import DepthpruneError, TaskError, option
from depthprune.base.language import counted
from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.chat import chat_template, in_words, prompt_text
from depthprune.engine.chat import tokenizer_of as tokenizer_of
from depthprune.tasks.task import Sample, Task, messages

if TYPE_CHECKING:
    import torch


Inputs = Mapping[str, Any]
"""Keyword arguments of one forward pass: tensors with the batch in front, on the CPU."""

Tokens = tuple[int, ...]

Side = Literal["left", "right"]
"""Where padding goes: left of prompts that are continued, right of texts that are only read."""


@dataclass(frozen=True)
class Row:
    """What one row of a batch holds.

    Attributes:
        index: the position of the sample it belongs to.
        sample: that sample; its images are opened when the row is encoded.
        text: everything the model reads, in words; every image is one placeholder.
        tokens: `text` as token ids, for length and for rows without images.
        add_special_tokens: whether the tokenizer still has to add its start token.
        continuations: token ids whose likelihood is asked for; each would end the row, and they
            differ in their last token only, so that one pass serves all of them.
        options: for each continuation or target, the position of the option, or of the request, it
            stands for.
        targets: token ids whose likelihood is asked for, of which the last is not read any more:
            the row ends with the others.
    """

    index: int
    sample: Sample
    text: str
    tokens: tuple[int, ...]
    add_special_tokens: bool = True
    continuations: tuple[tuple[int, ...], ...] = ()
    options: tuple[int, ...] = ()
    targets: tuple[tuple[int, ...], ...] = ()

    @property
    def asked(self) -> tuple[Tokens, ...]:
        """All tokens whose likelihood is asked for."""
        return self.targets or self.continuations

    def span(self, length: int) -> tuple[int, int]:
        """Return the positions whose logits predict what is asked, first and last (excluded).

        Args:
            length: of the row in tokens, pictures included.
        """
        stop = length if self.targets else length - 1
        return stop - max(map(len, self.asked)), stop


@dataclass(frozen=True)
class Prompt:
    """A question in the words of one model: with its chat template, if it has one."""

    text: str
    add_special_tokens: bool
    is_chat: bool

    def answered(self, answer: str) -> str:
        """Return the question with an answer behind it."""
        # A chat template ends where the answer begins; after a plain prompt stands a space.
        space = "" if self.is_chat or self.text[-1:].isspace() else " "
        return self.text + space + answer


def prompt_of(
    processor: Any, task: Task, sample: Sample, settings: PromptSettings = USUAL_PROMPTS
) -> Prompt:
    """Put a sample into the words that this model was trained on.

    With a chat template: the question as the user's turn, up to where the assistant's begins
    (without a thinking phase, where the template offers the choice). Without: the plain prompt,
    with one image placeholder per picture, in front or where the text names them (`messages`).

    Raises:
        TaskError: the sample has images and the model reads text only, or the template refuses it.
    """
    sees_images = tokenizer_of(processor) is not processor
    if sample.images and not sees_images:
        raise TaskError(
            "the task has images, but this model reads text only",
            where=f"sample {sample.id} of {task.name}",
            mend="choose a vision-language model, or a task of texts",
        )
    template = chat_template(processor, settings)
    placeholder = _image_placeholder(processor)
    if not template:
        before = f"{settings.system_prompt}\n\n" if settings.system_prompt else ""
        plain = in_words(messages(task, sample)[0]["content"], placeholder)
        return Prompt(before + plain, True, is_chat=False)
    turns = messages(task, sample, settings.system_prompt)
    try:
        text = prompt_text(processor, template, turns, settings, placeholder)
    except TaskError as error:
        where = f"sample {sample.id} of {task.name}"
        raise TaskError(error.what, where=where, mend=error.mend) from error
    # A template writes the start token itself; some processors' templates leave it out.
    start = tokenizer_of(processor).bos_token
    adds = sees_images and not (start and text.startswith(start))
    return Prompt(text, adds, is_chat=True)


def tokenize(processor: Any, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
    """Return the token ids of `text`; an image is its one placeholder."""
    encoded = tokenizer_of(processor)(text, add_special_tokens=add_special_tokens)
    return tuple(encoded["input_ids"])


def encode(processor: Any, rows: Sequence[Row], side: Side, dtype: torch.dtype) -> Inputs:
    """Return the inputs of a batch whose rows all have images, or all have none.

    Raises:
        TaskError: an image cannot be read, or the processor refuses a sample; names the sample.
    """
    if not rows[0].sample.images:
        return pad([row.tokens for row in rows], side, fill=_padding_token(processor))
    images = [open_images(row.sample) for row in rows]
    try:
        encoded = _process(processor, rows, images, side)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise _refusal(processor, rows, images, side, error) from error
    return {
        name: value.to(dtype) if _is_floating(value) else value for name, value in encoded.items()
    }


def pad(tokens: Sequence[Sequence[int]], side: Side, fill: int) -> Inputs:
    """Return `input_ids` and `attention_mask`, int64 of shape (rows, longest row)."""
    import torch

    longest = max(len(row) for row in tokens)
    ids = torch.full((len(tokens), longest), fill)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(tokens):
        place = slice(longest - len(row), None) if side == "left" else slice(len(row))
        ids[index, place] = torch.tensor(row, dtype=ids.dtype)
        mask[index, place] = 1
    return {"input_ids": ids, "attention_mask": mask}


def lengths(inputs: Inputs) -> list[int]:
    """Return how many tokens each row has, images included and padding not."""
    counts: list[int] = inputs["attention_mask"].sum(dim=1).tolist()
    return counts


def num_bytes(inputs: Inputs) -> int:
    """Return how much memory the tensors take."""
    return sum(value.nbytes for value in inputs.values() if hasattr(value, "nbytes"))


def move(inputs: Inputs, device: torch.device) -> dict[str, Any]:
    """Return the inputs on `device`."""
    return {
        name: value.to(device) if hasattr(value, "to") else value for name, value in inputs.items()
    }


def max_positions(model: Any) -> int | None:
    """Return how many tokens the model can read at once, None where it sets no limit."""
    limit = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def check_lengths(inputs: Inputs, rows: Sequence[Row], limit: int | None, new_tokens: int) -> None:
    """Check that every row, and the answer that may follow, fits into the model's positions.

    Raises:
        TaskError: a sample is too long; it is never cut silently.
    """
    if limit is None:
        return
    # The last new token is an answer only: it is never read.
    ahead = max(0, new_tokens - 1)
    for row, length in zip(rows, lengths(inputs), strict=True):
        if length + ahead > limit:
            raise TaskError(
                f"the sample has {counted(length, 'token')} and the answer up to {new_tokens}, "
                f"but the model reads {limit} at most",
                where=f"sample {row.sample.id}",
                mend="leave the sample out, shorten it, or allow fewer new tokens",
            )


def check_continuations(inputs: Inputs, rows: Sequence[Row]) -> None:
    """Check that rows end with the tokens whose likelihood is asked for.

    Raises:
        TaskError: the model's processor writes something of its own after the text.
    """
    ends = lengths(inputs)
    for row, tokens, end in zip(rows, inputs["input_ids"].tolist(), ends, strict=True):
        for continuation in row.continuations[:1]:
            if tuple(tokens[end - len(continuation) : end]) != continuation:
                raise TaskError(
                    "this model's processor changes what follows the prompt, so that likelihoods "
                    "of options cannot be measured",
                    where=f"sample {row.sample.id}",
                    mend="let the model generate its answer (answer: generate)",
                )


def _process(
    processor: Any, rows: Sequence[Row], images: Sequence[Sequence[Any]], side: Side
) -> dict[str, Any]:
    options: dict[str, Any] = {"padding": True, "padding_side": side, "return_tensors": "pt"}
    if not rows[0].add_special_tokens:
        options["add_special_tokens"] = False
    return dict(processor(text=[row.text for row in rows], images=list(images), **options))


def open_images(sample: Sample) -> list[Any]:
    """Return the pictures of a sample.

    Raises:
        TaskError: one cannot be read; names the sample.
    """
    opened = []
    for image in sample.images:
        try:
            opened.append(image.open())
        except (DepthpruneError, OSError, ValueError, SyntaxError) as error:
            what = error.what if isinstance(error, DepthpruneError) else str(error)
            where = error.where if isinstance(error, DepthpruneError) else None
            raise TaskError(
                f"an image cannot be read: {what}",
                where=f"sample {sample.id}" + (f", {where}" if where else ""),
                mend="replace the file, or leave the sample out",
            ) from error
    return opened


def _refusal(
    processor: Any,
    rows: Sequence[Row],
    images: Sequence[Sequence[Any]],
    side: Side,
    error: Exception,
) -> TaskError:
    """Find the sample that the processor refuses: a batch's error does not name it."""
    for row, pictures in zip(rows, images, strict=True):
        try:
            _process(processor, [row], [pictures], side)
        except (ValueError, TypeError, IndexError, KeyError) as single:
            return TaskError(
                f"the model's processor refuses the sample: {single}",
                where=f"sample {row.sample.id}",
                mend="check its images and that its question holds no image placeholder",
            )
    return TaskError(
        f"the model's processor refuses a batch: {error}",
        where=f"samples {rows[0].sample.id} to {rows[-1].sample.id}",
        mend=f"its samples work one by one: choose {option('batch_size', 1)}",
    )


def _image_placeholder(processor: Any) -> str:
    owners = (processor, tokenizer_of(processor))
    tokens = (getattr(owner, "image_token", None) for owner in owners)
    return next((token for token in tokens if isinstance(token, str)), "")


def _padding_token(processor: Any) -> int:
    """Return any valid token: what stands under a zero mask is never read."""
    tokenizer = tokenizer_of(processor)
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0


def _is_floating(value: Any) -> bool:
    return hasattr(value, "is_floating_point") and bool(value.is_floating_point())


Encode = Callable[[Sequence[Row]], Inputs]


class PreparedRows:
    """Rows in the order they are run, with the inputs of their batches kept while there is room.

    Longest rows first, so that little is padded and a batch that does not fit into memory fails at
    once, but those of one sample together: they begin alike. All rows have images, or none
    has.
    """

    def __init__(self, rows: Sequence[Row], encode: Encode, room: int) -> None:
        """Take the rows; keep at most `room` bytes of inputs."""
        longest: dict[int, int] = {}
        for row in rows:
            longest[row.index] = max(longest.get(row.index, 0), len(row.tokens))
        order = sorted(rows, key=lambda row: (-longest[row.index], row.index, -len(row.tokens)))
        self.rows = tuple(order)
        self._encode = encode
        self._room = room
        self._kept: dict[tuple[int, int], Inputs] = {}

    @property
    def num_bytes(self) -> int:
        """How much memory the kept inputs take."""
        return sum(num_bytes(inputs) for inputs in self._kept.values())

    def prepare(self, size: int) -> None:
        """Encode every row once, in batches of `size`, so that bad samples show before any run."""
        for start in range(0, len(self.rows), size):
            self.inputs(start, min(start + size, len(self.rows)))

    def inputs(self, start: int, stop: int) -> Inputs:
        """Return the inputs of `rows[start:stop]`: kept ones, or encoded now."""
        kept = self._kept.get((start, stop))
        if kept is not None:
            return kept
        # Batches of another size that hold these rows will not be asked for again.
        for first, last in [place for place in self._kept if place[0] < stop and start < place[1]]:
            del self._kept[first, last]
        inputs = self._encode(self.rows[start:stop])
        if self.num_bytes + num_bytes(inputs) <= self._room:
            self._kept[start, stop] = inputs
        return inputs

    def forget(self, start: int, stop: int) -> None:
        """Let go of the inputs of a batch: they are encoded anew when they are asked for again."""
        self._kept.pop((start, stop), None)


def prepare_rows(
    rows: Sequence[Row],
    encode: Encode,
    size: int,
    room: int,
    ahead: Callable[[Row], int] = lambda _: 0,
) -> tuple[PreparedRows, ...]:
    """Prepare rows in groups: those with images, those without, by the length of their answers.

    Processors of several architectures refuse batches in which only some samples have images.
    `ahead` says how many tokens may follow a row.

    Raises:
        TaskError: an image cannot be read, or a sample cannot be encoded.
    """
    groups = []
    for group in _alike(rows, ahead):
        prepared = PreparedRows(group, encode, room)
        prepared.prepare(size)
        room -= prepared.num_bytes
        groups.append(prepared)
    return tuple(groups)


def _alike(rows: Sequence[Row], ahead: Callable[[Row], int]) -> Iterable[list[Row]]:
    groups: dict[tuple[bool, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((not row.sample.images, ahead(row)), []).append(row)
    return (groups[kind] for kind in sorted(groups))


def on_device(numbers: Sequence[Any], device: torch.device) -> torch.Tensor:
    """Return whole numbers as a tensor on a device; the host does not wait for a GPU to take it."""
    import torch

    tensor = torch.tensor(numbers, dtype=torch.long)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
