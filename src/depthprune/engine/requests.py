"""Answers to requests: how likely a continuation or a text is, and what follows a context.

Texts become tokens as in the `HFLM` class of the lm-evaluation-harness (models/huggingface.py), so
that its tasks give its numbers: no chat template; blanks at a context's end belong to the
continuation; an empty context is the start token; what is too long loses its beginning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from depthprune.base.errors import TaskError
from depthprune.base.language import counted
from depthprune.engine.chat import tokenizer_of
from depthprune.engine.generate import AnswerEnd, StopAtTexts, StopTexts, checkpoint_ends, greedily
from depthprune.engine.inputs import Inputs, Row, Tokens, move, pad
from depthprune.engine.likelihood import Likelihood, score
from depthprune.tasks.task import Request, Sample

DEFAULT_LENGTH = 2048
"""Tokens that a model is taken to read at most when neither it nor its tokenizer says."""


def rows_to_respond(
    model: Any, processor: Any, samples: Sequence[Sample], limit: int | None
) -> list[Row]:
    """Return the rows of all requests; likelihoods that one pass can tell share a row.

    Args:
        model: for the number of tokens it reads.
        processor: the model's, or its tokenizer.
        samples: with requests.
        limit: the most tokens that are read, when fewer than the model could.

    Raises:
        TaskError: a request is empty, or longer than what the model can read; names the sample.
    """
    tokenizer = tokenizer_of(processor)
    longest = context_length(model, tokenizer)
    longest = longest if limit is None else min(longest, limit)
    return [
        row
        for index, sample in enumerate(samples)
        for row in _rows_of_sample(tokenizer, index, sample, longest)
    ]


def respond(processor: Any, model: Any, inputs: Inputs, rows: Sequence[Row]) -> list[Any]:
    """Return the outcome of every row of a right-padded batch: likelihoods, or a text."""
    tokenizer = tokenizer_of(processor)
    outcomes: dict[int, Any] = {}
    asked = [place for place, row in enumerate(rows) if row.targets]
    if asked:
        part = {name: value[asked] for name, value in inputs.items()}
        found = score(model, part, [rows[place] for place in asked])
        outcomes.update(zip(asked, found, strict=True))
    alike: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for place, row in enumerate(rows):
        if not row.targets:
            request = request_of(row)
            alike.setdefault((request.until, request.max_new_tokens), []).append(place)
    for (until, longest), places in alike.items():
        # What follows a row's end needs its padding in front.
        fill = tokenizer.pad_token_id or 0
        prompts = pad([rows[place].tokens for place in places], "left", fill)
        prompts = move(prompts, inputs["input_ids"].device)
        texts = write(model, prompts, ending_of(model, tokenizer, until, longest))
        outcomes.update(zip(places, texts, strict=True))
    return [outcomes[place] for place in range(len(rows))]


def responses(sample: Sample, outcomes: Sequence[tuple[Row, Any]]) -> str:
    """Return the responses to a sample's requests as a JSON list.

    Of a `loglikelihood` request [log-likelihood in nats, whether every token was the likeliest], of
    a `rolling` one the log-likelihood, of `generate` the text. A log-likelihood that is not finite
    (a model that overflows without some block) is null.
    """
    found: dict[int, list[Likelihood]] = {}
    texts: dict[int, str] = {}
    for row, outcome in outcomes:
        if isinstance(outcome, str):
            texts[row.options[0]] = outcome
            continue
        for place, one in zip(row.options, outcome, strict=True):
            found.setdefault(place, []).append(one)
    answers = [
        texts[place]
        if request.kind == "generate"
        else _likelihood_response(request, found.get(place, []))
        for place, request in enumerate(sample.requests)
    ]
    return json.dumps(answers)


def request_of(row: Row) -> Request:
    """Return the request that a row to be continued stands for."""
    return row.sample.requests[row.options[0]]


def context_length(model: Any, tokenizer: Any) -> int:
    """Return how many tokens are read at once, as the harness finds it.

    That is what the model's config says, else its tokenizer, else `DEFAULT_LENGTH`.
    """
    config = model.config.get_text_config(decoder=True)
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    stated = getattr(tokenizer, "model_max_length", None)
    # Tokenizers without a limit state 10^30.
    return int(stated) if isinstance(stated, int) and stated < 10**18 else DEFAULT_LENGTH


def encode_pair(tokenizer: Any, context: str, continuation: str) -> tuple[Tokens, Tokens]:
    """Return the tokens of a context and of what follows it.

    They are read together, so that the continuation's are those of running text.
    """
    if not context:
        start = start_token(tokenizer)
        tokens = tuple(tokenizer.encode(continuation, add_special_tokens=False))
        return ((start,), tokens) if tokens[:1] != (start,) else (tokens[:1], tokens[1:])
    bare = context.rstrip()
    whole = _encode(tokenizer, context + continuation)
    before = _encode(tokenizer, bare)
    return before, whole[len(before) :]


def rolling_windows(
    tokens: Sequence[int], start: int, longest: int
) -> Iterator[tuple[Tokens, Tokens]]:
    """Cut a text into windows of `longest` predicted tokens, each with what it is predicted from.

    Every token is predicted once: those of the first window from `start` and each other, those of a
    later one from as many before them as fit, at least one.
    """
    tokens = tuple(tokens)
    for begin in range(0, len(tokens), longest):
        end = min(begin + longest, len(tokens))
        if begin == 0:
            yield (start,), tokens[:end]
        else:
            yield tokens[end - longest - 1 : begin], tokens[begin:end]


def start_token(tokenizer: Any) -> int:
    """Return what stands before a text that nothing precedes.

    Raises:
        TaskError: the tokenizer has neither a start nor an end token.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise TaskError(
        "the model's tokenizer has neither a start nor an end token",
        mend="likelihoods of whole texts need one: choose another task, or mend the tokenizer",
    )


def ending_of(model: Any, tokenizer: Any, until: Sequence[str], longest: int) -> AnswerEnd:
    """Return how an answer to a request ends.

    That is before the first of the texts `until`, with an end token, or after `longest` tokens.
    """
    stops = list(until)
    if tokenizer.eos_token_id is not None:
        stops.append(tokenizer.decode([tokenizer.eos_token_id], skip_special_tokens=False))
    ends = checkpoint_ends(model, tokenizer)
    return AnswerEnd(tokenizer, ends, longest, StopTexts(tokenizer, stops))


def write(model: Any, inputs: Mapping[str, Any], ending: AnswerEnd) -> list[str]:
    """Return what the model writes after every row of a left-padded batch, greedily."""
    assert ending.stops is not None
    start = inputs["input_ids"].shape[1]
    stopping, ends = StopAtTexts(ending.stops, start), ending.ends
    with greedily(model, ending.tokenizer, ends, ending.longest) as config:
        written = model.generate(**inputs, generation_config=config, stopping_criteria=[stopping])
    texts = []
    for tokens, end in zip(written[:, start:].tolist(), stopping.ends, strict=True):
        last = next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))
        texts.append(ending.text(tokens[: last if end is None else min(end, last)]))
    return texts


def _rows_of_sample(tokenizer: Any, index: int, sample: Sample, longest: int) -> Iterator[Row]:
    # Likelihoods of which the model reads the same come out of one pass.
    shared: dict[Tokens, list[tuple[int, Tokens]]] = {}
    for place, request in enumerate(sample.requests):
        if request.kind == "generate":
            tokens = _prompt_tokens(tokenizer, sample, request, longest)
            yield Row(index, sample, request.context, tokens, options=(place,))
            continue
        for context, target in _pairs(tokenizer, request, longest):
            _check_pair(sample, context, target, longest)
            read = (context + target)[-(longest + 1) :][:-1]
            shared.setdefault(read, []).append((place, target))
    for read, targets in shared.items():
        places, wanted = zip(*targets, strict=True)
        yield Row(index, sample, "", read, options=places, targets=wanted)


def _pairs(tokenizer: Any, request: Request, longest: int) -> list[tuple[Tokens, Tokens]]:
    if request.kind == "loglikelihood":
        return [encode_pair(tokenizer, request.context, request.continuation)]
    tokens = _encode(tokenizer, request.continuation)
    return list(rolling_windows(tokens, start_token(tokenizer), longest))


def _check_pair(sample: Sample, context: Tokens, target: Tokens, longest: int) -> None:
    where = f"sample {sample.id}"
    if not context or not target:
        missing = "continuation" if context else "context"
        raise TaskError(f"the {missing} of a request has no tokens", where=where)
    if len(target) > longest:
        raise TaskError(
            f"a continuation has {counted(len(target), 'token')}, but the model reads {longest} "
            "at most",
            where=where,
            mend="leave the sample out, or choose a model that reads more",
        )


def _prompt_tokens(tokenizer: Any, sample: Sample, request: Request, longest: int) -> Tokens:
    room = longest - request.max_new_tokens
    if room < 1:
        raise TaskError(
            f"an answer of {counted(request.max_new_tokens, 'token')} leaves no room for its "
            "question: the "
            f"model reads {counted(longest, 'token')} at most",
            where=f"sample {sample.id}",
            mend="set a smaller max_new_tokens for the task, in a task file",
        )
    start = tokenizer.bos_token
    special = not (start and request.context.startswith(start))
    tokens = tuple(tokenizer.encode(request.context, add_special_tokens=special))[-room:]
    if not tokens:
        raise TaskError("the context of a request has no tokens", where=f"sample {sample.id}")
    return tokens


def _encode(tokenizer: Any, text: str) -> Tokens:
    """Return the tokens of a text, with a start token unless it is written there already."""
    start = tokenizer.decode([start_token(tokenizer)])
    return tuple(tokenizer.encode(text, add_special_tokens=not text.startswith(start)))


def _likelihood_response(request: Request, found: Sequence[Likelihood]) -> Any:
    nlls = [one.nll for one in found]
    # Exact whatever the order in which windows were run.
    total = 0.0 - math.fsum(nlls) if all(map(math.isfinite, nlls)) else None
    if request.kind == "rolling":
        return total
    return [total, all(one.correct == one.tokens for one in found)]
