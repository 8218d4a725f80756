"""What every evaluator must do: subclass `EvaluatorConformance`, define `make`, and run pytest.

    class TestMine(EvaluatorConformance):
        def make(self, loaded, batch_size):
            return MyEvaluator(loaded, batch_size=batch_size)

The suite is the contract in the docstring of `Evaluator`, on tiny random models whose answers
differ between any two removals. Its oracle decodes every sample alone, without padding, cache or
`generate`, on a model that was built without the blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from depthprune.base.errors import InadmissibleRemovalError, RemovalError, TaskError
from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.engine.evaluator import Evaluation, Evaluator
from depthprune.tasks.task import ChosenOption, Sample, TaskSplit, messages, render_prompt
from depthprune.testing import tiny_models as tiny

REMOVALS: tuple[Removal, ...] = ((), (0,), (1, 2), (0, 1, 3))


@dataclass(frozen=True)
class Subject:
    """A model and a task that an evaluator is tried on."""

    loaded: LoadedModel
    split: TaskSplit


def llama_writes() -> Subject:
    return Subject(
        tiny.loaded(tiny.llama(), tiny.word_tokenizer()), tiny.split_of(tiny.text_samples())
    )


def llama_chats() -> Subject:
    return Subject(
        tiny.loaded(tiny.llama(seed=1), tiny.word_tokenizer(chat=True)),
        tiny.split_of(tiny.text_samples()),
    )


def gpt2_writes() -> Subject:
    return Subject(
        tiny.loaded(tiny.gpt2(), tiny.word_tokenizer(start=False, pad=False)),
        tiny.split_of(tiny.text_samples(), max_new_tokens=5),
    )


def llava_sees() -> Subject:
    return Subject(
        tiny.loaded(tiny.llava(), tiny.demo_processor()),
        tiny.split_of(tiny.picture_samples(), max_new_tokens=4),
    )


def qwen2_vl_sees() -> Subject:
    samples = [
        replace(
            sample, images=(tiny.PlainPicture((30 * index, 200, 90), [], (24 + 8 * index, 40)),)
        )
        for index, sample in enumerate(tiny.picture_samples())
    ]
    return Subject(
        tiny.loaded(tiny.qwen2_vl(), tiny.qwen2_vl_processor()),
        tiny.split_of(samples, max_new_tokens=4),
    )


def llama_chooses_letters() -> Subject:
    return Subject(
        tiny.loaded(tiny.llama(), tiny.word_tokenizer()),
        tiny.split_of(
            tiny.choice_samples(), answer="choose", prompt="{question} {choices} answer :"
        ),
    )


def gpt2_chooses_texts() -> Subject:
    return Subject(
        tiny.loaded(tiny.gpt2(), tiny.word_tokenizer(start=False, pad=False)),
        tiny.split_of(tiny.choice_samples(), answer="choose"),
    )


def llava_chooses_letters() -> Subject:
    samples = [
        replace(sample, choices=("red", "blue", "green")) for sample in tiny.picture_samples()
    ]
    return Subject(
        tiny.loaded(tiny.llava(), tiny.demo_processor()),
        tiny.split_of(samples, answer="choose", prompt="{question} {choices}"),
    )


def llama_reads() -> Subject:
    return Subject(
        tiny.loaded(tiny.llama(), tiny.word_tokenizer()),
        tiny.split_of(tiny.read_samples(), answer="read"),
    )


# Every mode, every way of counting positions, with and without pictures; the others differ from
# them in the words of their prompts only.
SUBJECTS = (llama_writes, gpt2_writes, llava_sees, qwen2_vl_sees, gpt2_chooses_texts, llama_reads)
ALL_SUBJECTS = (*SUBJECTS, llama_chats, llama_chooses_letters, llava_chooses_letters)


@cache
def in_one_call(suite: type[EvaluatorConformance], make: Callable[[], Subject]) -> Evaluation:
    subject = make()
    return suite().make(subject.loaded, 8).evaluate(subject.split, REMOVALS)


def name(make: Any) -> str:
    return str(make.__name__)


class EvaluatorConformance:
    """The contract of `Evaluator`."""

    def make(self, loaded: LoadedModel, batch_size: int) -> Evaluator:
        """Return the evaluator under test; `batch_size` may be taken as a hint."""
        raise NotImplementedError

    @pytest.fixture(params=SUBJECTS, ids=name)
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return request.param()  # type: ignore[no-any-return]

    @pytest.fixture(params=ALL_SUBJECTS, ids=name)
    def any_subject(self, request: pytest.FixtureRequest) -> Subject:
        return request.param()  # type: ignore[no-any-return]

    @pytest.fixture
    def whole(self, subject: Subject, request: pytest.FixtureRequest) -> Evaluation:
        """All removals on all samples in one call of an evaluator and a model of its own."""
        make_subject = request.node.callspec.params["subject"]
        return in_one_call(type(self), make_subject)  # type: ignore[arg-type]  # classes are hashable

    # What comes back

    def test_scores_are_float32_with_a_row_per_removal_and_a_column_per_sample(
        self, subject: Subject
    ) -> None:
        evaluation = self.make(subject.loaded, 3).evaluate(subject.split, REMOVALS)
        assert evaluation.scores.dtype == np.float32
        assert evaluation.scores.shape == (len(REMOVALS), len(subject.split.samples))
        assert evaluation.removals == REMOVALS
        assert evaluation.sample_ids == tuple(sample.id for sample in subject.split.samples)

    def test_scores_are_what_the_scorer_says_of_the_answers(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        expected = [
            [
                subject.split.scorer.score(*pair)
                for pair in zip(subject.split.samples, row, strict=True)
            ]
            for row in whole.answers
        ]
        np.testing.assert_array_equal(whole.scores, np.array(expected, np.float32))

    def test_no_removals_and_no_samples_give_empty_scores(self, subject: Subject) -> None:
        evaluator = self.make(subject.loaded, 3)
        assert evaluator.evaluate(subject.split, []).scores.shape == (0, 8)
        nothing = evaluator.evaluate(subject.split, [(), (1,)], slice(0, 0))
        assert nothing.scores.shape == (2, 0)
        assert nothing.answers == ((), ())

    def test_settings_are_one_line_that_names_the_number_type(self, subject: Subject) -> None:
        settings = self.make(subject.loaded, 3).settings
        assert "dtype=float32" in settings.split()
        assert settings == self.make(subject.loaded, 8).settings

    # What the answers are

    def test_answers_are_those_of_a_model_built_without_the_blocks(
        self, any_subject: Subject
    ) -> None:
        subject = any_subject
        evaluation = self.make(subject.loaded, 3).evaluate(subject.split, REMOVALS)
        for removal, answers in zip(REMOVALS, evaluation.answers, strict=True):
            shorter = tiny.without_blocks(subject.loaded.model, removal)
            expected = [
                plain_answer(shorter, subject.loaded, subject.split, sample)
                for sample in subject.split.samples
            ]
            assert_same_answers(answers, expected)

    def test_answers_differ_between_removals(self, any_subject: Subject) -> None:
        """Guards the suite itself: equal answers would make the other tests pass for nothing."""
        evaluation = self.make(any_subject.loaded, 8).evaluate(any_subject.split, REMOVALS)
        assert len(set(evaluation.answers)) == len(REMOVALS)

    @pytest.mark.parametrize("make_subject", [llama_writes, llava_sees], ids=name)
    def test_answers_ignore_the_sampling_that_the_checkpoint_asks_for(
        self, make_subject: Callable[[], Subject]
    ) -> None:
        subject = make_subject()
        before = self.make(subject.loaded, 8).evaluate(subject.split, REMOVALS)
        subject.loaded.model.generation_config.update(
            do_sample=True,
            temperature=5.0,
            repetition_penalty=3.0,
            min_new_tokens=4,
            max_length=500,
            num_beams=2,
        )
        assert_same(self.make(subject.loaded, 8).evaluate(subject.split, REMOVALS), before)

    def test_answers_are_without_dropout_also_for_a_model_left_in_training(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        for module in subject.loaded.model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.9
        subject.loaded.model.train()
        assert_same(self.make(subject.loaded, 8).evaluate(subject.split, REMOVALS), whole)

    # What they do not depend on

    @pytest.mark.parametrize("batch_size", [1, 7])
    def test_answers_do_not_depend_on_the_batch_size(
        self, subject: Subject, whole: Evaluation, batch_size: int
    ) -> None:
        assert_same(self.make(subject.loaded, batch_size).evaluate(subject.split, REMOVALS), whole)

    def test_answers_do_not_depend_on_their_neighbours(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        backwards = replace(subject.split, samples=subject.split.samples[::-1])
        turned = self.make(subject.loaded, 3).evaluate(backwards, REMOVALS)
        for row, other in zip(whole.answers, turned.answers, strict=True):
            assert_same_answers(other[::-1], row)

    def test_answers_do_not_depend_on_the_other_removals(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        turned = self.make(subject.loaded, 8).evaluate(subject.split, REMOVALS[::-1])
        alone = self.make(subject.loaded, 8).evaluate(subject.split, [REMOVALS[2]])
        for row, other in zip(whole.answers, turned.answers[::-1], strict=True):
            assert_same_answers(other, row)
        assert_same_answers(alone.answers[0], whole.answers[2])

    def test_a_removal_asked_for_twice_is_answered_twice(self, subject: Subject) -> None:
        twice = self.make(subject.loaded, 8).evaluate(subject.split, [(1,), (1,)])
        assert_same_answers(twice.answers[0], twice.answers[1])

    @pytest.mark.parametrize("part", [slice(0, 3), slice(3, None), slice(None, None, 3)], ids=str)
    def test_answers_do_not_depend_on_the_slice(
        self, subject: Subject, whole: Evaluation, part: slice
    ) -> None:
        piece = self.make(subject.loaded, 4).evaluate(subject.split, REMOVALS, part)
        assert piece.sample_ids == whole.sample_ids[part]
        for row, other in zip(whole.answers, piece.answers, strict=True):
            assert_same_answers(other, row[part])

    def test_answers_do_not_depend_on_earlier_calls(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        evaluator = self.make(subject.loaded, 4)
        evaluator.evaluate(subject.split, [(2,)], slice(1, 5))
        assert_same(evaluator.evaluate(subject.split, REMOVALS), whole)
        assert_same(evaluator.evaluate(subject.split, REMOVALS), whole)

    def test_samples_with_one_two_and_no_pictures_go_together(self) -> None:
        subject = llava_sees()
        samples = list(subject.split.samples)
        samples[3] = replace(samples[3], images=())
        samples[6] = replace(samples[6], images=samples[6].images * 2)
        split = replace(subject.split, samples=tuple(samples))
        together = self.make(subject.loaded, 8).evaluate(split, REMOVALS)
        alone = self.make(subject.loaded, 1).evaluate(split, REMOVALS)
        assert_same(together, alone)

    # What they leave behind

    def test_the_model_is_as_before(self, subject: Subject) -> None:
        # Transformers itself leaves marks when a model runs for the first time.
        answer_first(subject)
        subject.loaded.model.train()
        with untouched(subject.loaded):
            self.make(subject.loaded, 4).evaluate(subject.split, REMOVALS)

    def test_the_model_is_as_before_after_a_failure(
        self, subject: Subject, whole: Evaluation
    ) -> None:
        evaluator = self.make(subject.loaded, 4)
        answer_first(subject)
        with (
            untouched(subject.loaded),
            failing(subject.loaded.model, after=1),
            pytest.raises(RuntimeError, match="broken on purpose"),
        ):
            evaluator.evaluate(subject.split, REMOVALS)
        assert_same(evaluator.evaluate(subject.split, REMOVALS), whole)

    # What is refused

    @pytest.mark.parametrize("removal", [(99,), (0, 99), (0, 1, 2, 3), (2, 2), (-1,)], ids=str)
    def test_blocks_that_are_not_there_are_refused_before_anything_runs(
        self, removal: Removal
    ) -> None:
        subject = llama_writes()
        with (
            untouched(subject.loaded),
            failing(subject.loaded.model, after=0),
            pytest.raises(RemovalError),
        ):
            self.make(subject.loaded, 4).evaluate(subject.split, [(), removal])

    def test_removals_that_the_architecture_cannot_express_are_refused(self) -> None:
        loaded = tiny.loaded(tiny.lfm2(), tiny.word_tokenizer())
        split = tiny.split_of(tiny.text_samples())
        with (
            untouched(loaded),
            failing(loaded.model, after=0),
            pytest.raises(InadmissibleRemovalError),
        ):
            self.make(loaded, 4).evaluate(split, [(), (1,)])

    def test_a_picture_that_cannot_be_read_is_named_before_anything_runs(self) -> None:
        subject = llava_sees()
        broken = replace(subject.split.samples[5], images=(tiny.BrokenPicture(),))
        samples = (*subject.split.samples[:5], broken, *subject.split.samples[6:])
        split = replace(subject.split, samples=samples)
        with (
            untouched(subject.loaded),
            failing(subject.loaded.model, after=0),
            pytest.raises(TaskError) as error,
        ):
            self.make(subject.loaded, 2).evaluate(split, [(), (1,)])
        assert "validation/5" in str(error.value)
        assert "broken.png" in str(error.value)

    def test_a_broken_picture_outside_the_slice_is_nobody_s_business(self) -> None:
        subject = llava_sees()
        broken = replace(subject.split.samples[5], images=(tiny.BrokenPicture(),))
        split = replace(subject.split, samples=(*subject.split.samples[:5], broken))
        part = self.make(subject.loaded, 2).evaluate(split, [()], slice(0, 5))
        whole = self.make(subject.loaded, 2).evaluate(subject.split, [()])
        assert part.answers[0] == whole.answers[0][:5]

    def test_pictures_are_refused_by_a_model_of_texts(self) -> None:
        loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
        with pytest.raises(TaskError, match="text only"):
            self.make(loaded, 4).evaluate(tiny.split_of(tiny.picture_samples()), [()])


def answer_first(subject: Subject) -> str:
    """Answer the first sample with the whole model."""
    loaded, split = subject.loaded, subject.split
    return plain_answer(loaded.model, loaded, split, split.samples[0])


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    assert found.removals == expected.removals
    assert found.sample_ids == expected.sample_ids
    for row, other in zip(found.answers, expected.answers, strict=True):
        assert_same_answers(row, other)


def assert_same_answers(found: Sequence[str], expected: Sequence[str]) -> None:
    """Texts and letters are equal; of a text that was read, sums of floats are so nearly."""
    if expected and expected[0].startswith("{"):
        for answer, other in zip(map(json.loads, found), map(json.loads, expected), strict=True):
            assert answer == {**other, "nll": pytest.approx(other["nll"], rel=1e-4)}
        return
    assert list(found) == list(expected)
    for answer, other in zip(found, expected, strict=True):
        if isinstance(other, ChosenOption):
            assert isinstance(answer, ChosenOption)
            assert answer.losses == pytest.approx(other.losses, rel=1e-4)


def plain_answer(model: Any, loaded: LoadedModel, split: TaskSplit, sample: Sample) -> str:
    """Answer one sample alone: no batch, no padding, no cache, no `generate`."""
    if split.task.answer == "read":
        return _plain_reading(model, loaded, sample)
    prompt = _plain_prompt(loaded, split, sample)
    if split.task.answer == "choose":
        return _plain_choice(model, loaded, split, sample, prompt)
    tokens = prompt["input_ids"]
    new: list[int] = []
    for _ in range(split.task.max_new_tokens):
        following = int(_logits(model, prompt, tokens)[-1].argmax())
        if following == 2:
            break
        new.append(following)
        tokens = torch.cat([tokens, torch.tensor([[following]])], dim=1)
    return str(loaded.tokenizer.decode(new, skip_special_tokens=True)).strip()


def _plain_prompt(loaded: LoadedModel, split: TaskSplit, sample: Sample) -> dict[str, Any]:
    if not sample.images:
        text = render_prompt(split.task, sample)
        if loaded.tokenizer.chat_template:
            text = f"<user> {text} <answer> "
        special = not loaded.tokenizer.chat_template
        return dict(loaded.tokenizer(text, add_special_tokens=special, return_tensors="pt"))
    turns = messages(split.task, sample)
    turns[0]["content"][0]["image"] = sample.images[0].open()
    return dict(
        loaded.processor.apply_chat_template(
            turns,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )
    )


def _plain_choice(
    model: Any, loaded: LoadedModel, split: TaskSplit, sample: Sample, prompt: dict[str, Any]
) -> str:
    losses = []
    for letter, text in zip("ABC", sample.choices, strict=False):
        option = letter if "{choices}" in split.task.prompt else text
        end = loaded.tokenizer(option, add_special_tokens=False, return_tensors="pt")["input_ids"]
        tokens = torch.cat([prompt["input_ids"], end], dim=1)
        chances = _logits(model, prompt, tokens).log_softmax(-1)[-1 - end.shape[1] : -1]
        size = 1 if option == letter else len(option.encode())
        losses.append(-float(chances.gather(1, end[0][:, None]).sum()) / size)
    return ChosenOption("ABC"[int(np.argmin(losses))], losses)


def _plain_reading(model: Any, loaded: LoadedModel, sample: Sample) -> str:
    tokens = loaded.tokenizer(sample.references[0], return_tensors="pt")["input_ids"]
    chances = _logits(model, {}, tokens).log_softmax(-1)[:-1]
    wanted = tokens[0, 1:]
    return json.dumps(
        {
            "nll": -float(chances.gather(1, wanted[:, None]).sum()),
            "tokens": len(wanted),
            "correct": int((chances.argmax(-1) == wanted).sum()),
        }
    )


def _logits(model: Any, prompt: dict[str, Any], tokens: torch.Tensor) -> torch.Tensor:
    """Return the logits at every position of one unpadded row."""
    seen: dict[str, Any] = {
        key: prompt[key] for key in ("pixel_values", "image_grid_thw") if key in prompt
    }
    if "mm_token_type_ids" in prompt:
        kinds = prompt["mm_token_type_ids"]
        missing = tokens.shape[1] - kinds.shape[1]
        seen["mm_token_type_ids"] = torch.nn.functional.pad(kinds, (0, missing))
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=tokens, use_cache=False, **seen).logits
    return logits[0].float()


class untouched:
    """Checks that model, tokenizer and torch's global state are the same after the body."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def __enter__(self) -> None:
        self._before = self._state()

    def __exit__(self, kind: Any, *_: object) -> None:
        after = self._state()
        for key, value in self._before.items():
            assert after[key] == value, f"{key} is not as before"
        assert after.keys() == self._before.keys()

    def _state(self) -> dict[str, Any]:
        model: Any = self._loaded.model
        state: dict[str, Any] = {
            "modules": [(path, id(module)) for path, module in model.named_modules()],
            "training": [module.training for module in model.modules()],
            "weights": {
                key: (id(value), value._version, value.requires_grad, float(value.detach().sum()))
                for key, value in model.named_parameters()
            },
            "attributes": [sorted(vars(module)) for module in model.modules()],
            "indices": [getattr(module, "layer_idx", None) for module in model.modules()],
            "hooks": [
                (list(module._forward_hooks), list(module._forward_pre_hooks))
                for module in model.modules()
            ],
            "config": model.config.to_dict(),
            "generation": (id(model.generation_config), model.generation_config.to_dict()),
            "padding": (self._loaded.tokenizer.pad_token, self._loaded.tokenizer.padding_side),
            "torch": (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.get_num_threads(),
                torch.are_deterministic_algorithms_enabled(),
                torch.get_default_dtype(),
            ),
            "random": torch.get_rng_state().tolist(),
        }
        return state


class failing:
    """Makes the model's head raise from its call number `after` on."""

    def __init__(self, model: Any, after: int) -> None:
        self._head = model.get_output_embeddings()
        self._after = after
        self._calls = 0

    def __enter__(self) -> None:
        self._whole = self._head.forward

        def forward(*arguments: Any, **options: Any) -> Any:
            self._calls += 1
            if self._calls > self._after:
                raise RuntimeError("broken on purpose")
            return self._whole(*arguments, **options)

        self._head.forward = forward

    def __exit__(self, *_: object) -> None:
        del self._head.forward
