"""Answers that are read off probabilities: the likeliest option, and how well a text is predicted.

Rows are padded on the right, where a causal model cannot see: the padding changes nothing, whatever
the model does with positions.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import TaskError
from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.inputs import Inputs, Prompt, Row, lengths, prompt_of, tokenize
from depthprune.tasks.task import ChosenOption, Sample, Task

if TYPE_CHECKING:
    import torch

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

LOGITS_BYTES = 1024**3
"""The logits of texts that are computed at once. A CPU that runs out of memory kills the process
instead of raising an error, so that a batch cannot be halved after the fact."""


@dataclass(frozen=True)
class Likelihood:
    """How well a model predicts some tokens.

    Attributes:
        nll: negative log-likelihood, summed over the tokens, in nats.
        tokens: how many tokens.
        correct: how many of them were the likeliest.
    """

    nll: float
    tokens: int
    correct: int


def rows_to_choose(
    processor: Any, task: Task, samples: Sequence[Sample], settings: PromptSettings = USUAL_PROMPTS
) -> list[Row]:
    """Return the rows that the options of every sample need: one if they are single tokens.

    Where the prompt shows the options (`{choices}`), their letters compete; otherwise their texts.

    Raises:
        TaskError: a sample has no options, too many, or an empty one.
    """
    rows = []
    for index, sample in enumerate(samples):
        prompt = prompt_of(processor, task, sample, settings)
        texts = [prompt.answered(option) for option in options_of(task, sample)]
        rows += rows_of_texts(processor, index, sample, prompt, texts)
    return rows


def rows_to_read(
    processor: Any, task: Task, samples: Sequence[Sample], limit: int | None
) -> list[Row]:
    """Return one row per sample: its text as it stands, without prompt, cut after `limit` tokens.

    Its first token has nothing before it and is not predicted.

    Raises:
        TaskError: a sample has no text, fewer than two tokens, or images.
    """
    rows, cut = [], 0
    for index, sample in enumerate(samples):
        if len(sample.references) != 1 or sample.images:
            raise TaskError(
                "a text to be read is the only reference of its sample, without images",
                where=f"sample {sample.id} of {task.name}",
                mend="give the task another answer mode, or mend the data",
            )
        tokens = tokenize(processor, sample.references[0], add_special_tokens=True)
        if limit is not None and len(tokens) > limit:
            tokens, cut = tokens[:limit], cut + 1
        if len(tokens) < 2:
            raise TaskError(
                "the text is too short to be read: nothing is left to predict",
                where=f"sample {sample.id} of {task.name}",
                mend="leave the sample out",
            )
        rows.append(Row(index, sample, sample.references[0], tokens, continuations=(tokens[1:],)))
    if cut:
        logger.warning(
            "%s: %d of %d texts are read up to token %d only", task.name, cut, len(rows), limit
        )
    return rows


def score(model: Any, inputs: Inputs, rows: Sequence[Row]) -> list[list[Likelihood]]:
    """Return the likelihood of all that every row of a right-padded batch asks about.

    Rows without images are run so many at once that their logits fit into memory.
    """
    if rows[0].sample.images:
        return _score_at_once(model, inputs, rows)
    starts, stops = _spans(inputs, rows)
    whole: int = inputs["input_ids"].shape[1]
    length = max(stops) - min(starts) if _takes_logits_to_keep(model) else whole
    step = rows_at_once(model, length)
    return [
        found
        for start in range(0, len(rows), step)
        for found in _score_at_once(
            model,
            {name: value[start : start + step] for name, value in inputs.items()},
            rows[start : start + step],
        )
    ]


def _score_at_once(model: Any, inputs: Inputs, rows: Sequence[Row]) -> list[list[Likelihood]]:
    import torch

    result = []
    for row, logits in zip(rows, predictions(model, inputs, rows), strict=True):
        log_probabilities = logits.float().log_softmax(dim=-1)
        likeliest = log_probabilities.argmax(dim=-1)
        found = []
        for asked in row.asked:
            tokens = torch.tensor(asked, device=log_probabilities.device)
            own = slice(len(likeliest) - len(asked), None)
            nll = -float(log_probabilities[own].gather(1, tokens[:, None]).double().sum())
            # A model that overflows without some block predicts nothing: no score, but no error.
            nll = math.inf if math.isnan(nll) else nll
            found.append(Likelihood(nll, len(asked), int((likeliest[own] == tokens).sum())))
        result.append(found)
    return result


def predictions(model: Any, inputs: Inputs, rows: Sequence[Row]) -> list[torch.Tensor]:
    """Return for each row of a right-padded batch the logits that predict what it asks about.

    Each of shape (longest that is asked about, vocabulary).
    """
    starts, stops = _spans(inputs, rows)
    first = min(starts)
    logits = logits_between(model, inputs, first, max(stops))
    return [
        own[start - first : stop - first]
        for own, start, stop in zip(logits, starts, stops, strict=True)
    ]


def _spans(inputs: Inputs, rows: Sequence[Row]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where the logits that each row asks for start and stop."""
    starts, stops = zip(*map(Row.span, rows, lengths(inputs)), strict=True)
    return starts, stops


def rows_at_once(model: Any, length: int) -> int:
    """Return of how many rows the logits of `length` positions each fit into memory."""
    vocabulary: int = model.config.get_text_config(decoder=True).vocab_size
    return max(1, LOGITS_BYTES // (length * vocabulary * 4))


def choose(
    task: Task, sample: Sample, outcomes: Sequence[tuple[Row, Sequence[Likelihood]]]
) -> ChosenOption:
    """Return the letter of the likeliest option; of equally likely ones, the first.

    Options compare by their log-likelihood per byte, so that a long text has no handicap
    (`acc_norm` of the lm-evaluation-harness); letters have one byte each.
    """
    by_option = {
        place: found
        for row, likelihoods in outcomes
        for place, found in zip(row.options, likelihoods, strict=True)
    }
    losses = [
        by_option[place].nll / len(option.encode())
        for place, option in enumerate(options_of(task, sample))
    ]
    return ChosenOption(LETTERS[losses.index(min(losses))], losses)


def reading(sample: Sample, outcomes: Sequence[tuple[Row, Sequence[Likelihood]]]) -> str:
    """Return a text's likelihood as the JSON that scorers of texts read.

    `nll` keeps four decimals: further ones depend on the batch a text is part of.
    """
    ((_, (found,)),) = outcomes
    return json.dumps(
        {"nll": round(found.nll, 4), "tokens": found.tokens, "correct": found.correct}
    )


def options_of(task: Task, sample: Sample) -> tuple[str, ...]:
    """Return what the options are as answers: their letters where the prompt shows them.

    Raises:
        TaskError: a sample has no options, too many, or an empty one.
    """
    count = len(sample.choices)
    if not 1 <= count <= len(LETTERS) or not all(choice.strip() for choice in sample.choices):
        raise TaskError(
            f"a sample to choose from needs 1 to {counted(len(LETTERS), 'option')} that are not "
            "empty",
            where=f"sample {sample.id} of {task.name}",
            mend="mend the data, or give the task another answer mode",
        )
    return tuple(LETTERS[:count]) if "{choices}" in task.prompt else sample.choices


def rows_of_texts(
    processor: Any, index: int, sample: Sample, prompt: Prompt, texts: Sequence[str]
) -> list[Row]:
    """Return the rows of the texts prompt + option; those that differ in a last token share one."""
    add = prompt.add_special_tokens
    bare = tokenize(processor, prompt.text, add_special_tokens=add)
    whole = [tokenize(processor, text, add_special_tokens=add) for text in texts]
    # A tokenizer may merge the end of the prompt with an option: then all options are compared from
    # where the first of them leaves the prompt.
    start = max(1, min(_common(bare, tokens) for tokens in whole))
    groups: dict[tuple[int, ...], list[int]] = {}
    for option, tokens in enumerate(whole):
        if len(tokens) == start:
            raise TaskError(
                "what follows the prompt has no token of its own", where=f"sample {sample.id}"
            )
        groups.setdefault(tokens[start:-1], []).append(option)
    return [
        Row(
            index,
            sample,
            texts[members[0]],
            whole[members[0]],
            add,
            continuations=tuple(whole[option][start:] for option in members),
            options=tuple(members),
        )
        for members in groups.values()
    ]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common from their start."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def logits_between(model: Any, inputs: Inputs, first: int, last: int) -> Any:
    """Return the logits at positions `first` to `last` (excluded), of all rows."""
    import torch

    if not _takes_logits_to_keep(model):
        return model(**inputs, use_cache=False).logits[:, first:last]
    # A vocabulary's logits at every position of a long prompt would not fit into memory.
    keep = torch.arange(first, last, device=inputs["input_ids"].device)
    return model(**inputs, use_cache=False, logits_to_keep=keep).logits


def _takes_logits_to_keep(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
