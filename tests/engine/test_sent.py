"""What a model is sent can be shown: text, tokens, pictures as they are and as it sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.prompting import PromptSettings
from depthprune.blocks.processors import limit_pixels
from depthprune.engine.generate import decode, rows_to_generate
from depthprune.engine.inputs import encode, lengths
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.engine.sent import plainly_sent, prompts_of, sent
from depthprune.engine.session import cut_places
from depthprune.engine.shared import SharedEvaluator
from depthprune.tasks.task import CutAnswer, Request, Sample
from depthprune.testing import tiny_models as tiny

PICTURES = tiny.split_of(
    [
        replace(one, images=(tiny.PlainPicture((0, 0, 0), [], size=(40, 20)),))
        for one in tiny.picture_samples()
    ]
)
TEXTS = tiny.split_of(tiny.text_samples())


@pytest.fixture(scope="module")
def processor() -> Any:
    return tiny.qwen2_vl_processor()


def test_the_text_is_the_one_that_a_study_keeps(processor: Any) -> None:
    for split in (TEXTS, PICTURES):
        found = [sent(processor, split.task, sample) for sample in split.samples]
        assert [one.texts for one in found] == prompts_of(processor, split.task, split.samples)


def test_tokens_are_those_that_the_model_reads(processor: Any) -> None:
    import torch

    rows = rows_to_generate(processor, PICTURES.task, PICTURES.samples)
    read = [lengths(encode(processor, [row], "left", torch.float32))[0] for row in rows]
    found = [sent(processor, PICTURES.task, sample) for sample in PICTURES.samples]
    assert [one.tokens for one in found] == [(length,) for length in read]
    # 40x20 pixels are 10x6 patches of 4 after rounding to 8, merged two by two.
    assert {one.picture_tokens for one in found} == {5 * 2}


def test_pictures_are_shown_as_given_and_as_sent(processor: Any) -> None:
    (picture,) = sent(processor, PICTURES.task, PICTURES.samples[0]).pictures
    assert (picture.given, picture.sent, picture.tiles) == ((40, 20), (40, 16), 1)
    (picture,) = sent(tiny.demo_processor(), PICTURES.task, PICTURES.samples[0]).pictures
    assert (picture.given, picture.sent) == ((40, 20), (48, 48))


def test_a_limit_of_pixels_changes_what_is_sent() -> None:
    small, large = tiny.qwen2_vl_processor(), tiny.qwen2_vl_processor()
    limit_pixels(small, PromptSettings(max_pixels=16 * 16))
    limit_pixels(large, PromptSettings(min_pixels=64 * 32, max_pixels=64 * 64))
    sizes = [
        sent(each, PICTURES.task, PICTURES.samples[0]).pictures[0].sent for each in (small, large)
    ]
    assert sizes == [(16, 8), (64, 32)]
    assert small.image_processor.to_dict()["size"]["longest_edge"] == 256


@pytest.mark.parametrize(
    ("processor_of", "settings", "option"),
    [
        (tiny.demo_processor, PromptSettings(max_pixels=100), "max_pixels"),
        (tiny.word_tokenizer, PromptSettings(min_pixels=100), "min_pixels"),
        (tiny.qwen2_vl_processor, PromptSettings(min_pixels=10**6), "min_pixels"),
    ],
)
def test_a_processor_that_cannot_keep_a_limit_refuses_it_by_name(
    processor_of: Any, settings: PromptSettings, option: str
) -> None:
    with pytest.raises(DepthpruneError) as error:
        limit_pixels(processor_of(), settings)
    assert error.value.option == option


def test_limits_that_leave_nothing_are_refused() -> None:
    with pytest.raises(DepthpruneError, match="at least 5 and at most 4"):
        PromptSettings(min_pixels=5, max_pixels=4)


def test_without_a_model_the_prompt_is_shown_before_any_template() -> None:
    found = plainly_sent(PICTURES.task, PICTURES.samples[0])
    assert found.texts == ("<image>what is the colour of the sky ?",)
    assert (found.tokens, found.pictures[0].sent) == ((), None)


def test_requests_are_shown_as_they_are_asked() -> None:
    sample = Sample("validation/0", "", requests=(Request("loglikelihood", "a cat", " ?"),) * 2)
    split = tiny.split_of([sample], answer="respond")
    found = sent(tiny.word_tokenizer(start=False), split.task, sample)
    assert (found.texts, found.tokens) == (("a cat ?",) * 2, (3, 3))


def test_an_answer_without_an_end_is_cut() -> None:
    tokenizer = tiny.word_tokenizer()
    cat, end = tokenizer.convert_tokens_to_ids(["cat", "</s>"])
    assert isinstance(decode(tokenizer, [cat, cat], [end]), CutAnswer)
    assert not isinstance(decode(tokenizer, [cat, end], [end]), CutAnswer)


def test_both_evaluators_cut_the_same_answers() -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    split = tiny.split_of(tiny.text_samples(), max_new_tokens=5)
    removals = [(), (1,), (0, 2)]
    found = [
        [cut_places(row, split.task) for row in one.evaluate(split, removals).answers]
        for one in (ReferenceEvaluator(loaded), SharedEvaluator(loaded, self_check=False))
    ]
    assert found[0] == found[1]
    cut = [len(places or ()) for places in found[0]]
    assert 0 < sum(cut) < len(removals) * len(split.samples)
