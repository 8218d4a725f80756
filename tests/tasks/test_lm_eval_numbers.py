"""Tasks of the lm-evaluation-harness: our evaluator's numbers are its own."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from depthprune.base.errors import MetricError, TaskError
from depthprune.base.prompting import PromptSettings
from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.skipping import skip
from depthprune.engine.chat import prompt_remarks, prompted
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.lm_eval import catalogue, harness_task, lm_eval_metrics
from depthprune.tasks.load import load_split
from depthprune.tasks.task import TaskSplit
from depthprune.testing import tiny_models as tiny
from tests.tasks import harness
from tests.tasks.harness import own_metrics, own_run

pytest.importorskip("lm_eval")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.write_definitions(tmp_path_factory.mktemp("definitions"))


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the cache of `datasets` apart; let standard errors be drawn in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.setenv("DISABLE_MULTIPROC", "1")
        # The harness's own 15,000 definitions take seconds to read.
        patch.setattr(catalogue, "_shipped_index", dict)
        yield


def llama() -> LoadedModel:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def gpt2() -> LoadedModel:
    """Absolute positions, and no start token of the tokenizer's own."""
    return tiny.loaded(tiny.gpt2(), tiny.word_tokenizer(start=False))


def llava() -> LoadedModel:
    return tiny.loaded(tiny.llava(), tiny.demo_processor())


def split_of(folder: Path, name: str, **options: Any) -> TaskSplit:
    return load_split(harness_task(name, paths=[folder], **options), "validation")


def our_metrics(
    loaded: LoadedModel, split: TaskSplit, removal: Removal = ()
) -> dict[str, float | None]:
    found = ReferenceEvaluator(loaded, batch_size=4).evaluate(split, [removal])
    return lm_eval_metrics(split, found.answers[0], bootstrap_iters=harness.DRAWS)


def test_standard_errors_are_drawn_in_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork of a process that runs threads can hang."""
    monkeypatch.delenv("DISABLE_MULTIPROC")
    monkeypatch.setattr("multiprocessing.Pool", lambda *_: pytest.fail("a pool was forked"))
    found = our_metrics(llama(), split_of(folder, "tiny_choice"))
    assert found["mcc_stderr,none"] is not None


def assert_equal(ours: dict[str, float | None], theirs: dict[str, float | None]) -> None:
    """Accuracies are equal to the last digit; what is computed from likelihoods nearly."""
    assert set(ours) == set(theirs)
    for metric, value in theirs.items():
        rounded = metric.startswith(("word", "byte", "bits", "perplexity", "brier"))
        nearly = rounded and value is not None
        assert ours[metric] == (pytest.approx(value, rel=1e-6) if nearly else value), metric


@pytest.mark.parametrize("make", [llama, gpt2, llava])
@pytest.mark.parametrize("name", [*harness.KINDS, "tiny_last_word"])
def test_the_numbers_of_the_whole_model_are_the_harness_s_own(
    make: Any, name: str, folder: Path
) -> None:
    loaded = make()
    ours = our_metrics(loaded, split_of(folder, name))
    assert_equal(ours, own_metrics(own_run(loaded.model, loaded.tokenizer, folder, name), name))


@pytest.mark.parametrize("name", harness.KINDS)
def test_so_are_those_without_some_blocks(name: str, folder: Path) -> None:
    loaded = llama()
    ours = our_metrics(loaded, split_of(folder, name), (1, 2))
    with skip(loaded.model, (1, 2)):
        run = own_run(loaded.model, loaded.tokenizer, folder, name)
    assert_equal(ours, own_metrics(run, name))


@pytest.mark.parametrize("name", ["tiny_choice", "tiny_written"])
def test_so_are_those_with_examples(name: str, folder: Path) -> None:
    loaded = llama()
    split = split_of(folder, name, num_fewshot=2)
    run = own_run(loaded.model, loaded.tokenizer, folder, name, shots=2)
    assert_equal(our_metrics(loaded, split), own_metrics(run, name))


@pytest.mark.parametrize("make", [llama, gpt2])
def test_texts_longer_than_the_model_reads_are_treated_alike(
    make: Any, folder: Path, tmp_path: Path
) -> None:
    """Examples are cut off at their beginning, whole texts are read in windows."""
    loaded = make()
    loaded.model.config.max_position_embeddings = 12
    for name, shots in (("tiny_choice", 2), ("tiny_written", 2), ("tiny_texts", None)):
        split = split_of(folder, name, num_fewshot=shots)
        run = own_run(loaded.model, loaded.tokenizer, folder, name, shots=shots)
        assert_equal(our_metrics(loaded, split), own_metrics(run, name))


CHAT = (
    "{% for turn in messages %}{% if turn['role'] == 'assistant' %}<answer> "
    "{% elif turn['role'] == 'system' %}: {% else %}<user> {% endif %}{{ turn['content'] }} "
    "{% endfor %}{% if add_generation_prompt %}<answer> {% endif %}"
)


@pytest.mark.parametrize("system", ["", "the answer is a colour ."])
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("name", ["tiny_choice", "tiny_written", "tiny_last_word"])
def test_so_are_those_with_a_chat_template_where_it_is_asked_for(
    name: str, shots: int, system: str, folder: Path
) -> None:
    if name == "tiny_last_word" and shots:
        pytest.skip("it has no examples")
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    loaded.processor.chat_template = CHAT
    plain = split_of(folder, name, num_fewshot=shots)
    loaded = replace(loaded, prompt=PromptSettings("auto", system))
    task = prompted(plain.task, loaded.processor, loaded.prompt)
    split = load_split(task, "validation")
    assert split.fingerprint != plain.fingerprint
    assert split.samples[0].requests[0].context.endswith("<answer> ")
    run = own_run(
        loaded.model,
        loaded.tokenizer,
        folder,
        name,
        shots=shots,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        system_instruction=system or None,
    )
    assert_equal(our_metrics(loaded, split), own_metrics(run, name))


def test_without_being_asked_for_nothing_changes(folder: Path) -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer(chat=True))
    plain = split_of(folder, "tiny_choice")
    task = prompted(plain.task, loaded.processor, loaded.prompt)
    assert load_split(task, "validation").fingerprint == plain.fingerprint
    (remark,) = prompt_remarks(loaded, [task])
    assert "chat_template=auto" in remark
    asked = replace(loaded, prompt=PromptSettings("auto"))
    assert prompt_remarks(asked, [task]) == []


def test_a_template_that_a_model_lacks_is_refused(folder: Path) -> None:
    task = split_of(folder, "tiny_choice").task
    with pytest.raises(TaskError, match="has no chat template"):
        prompted(task, tiny.word_tokenizer(), PromptSettings("auto"))


def test_answers_are_the_harness_s_one_by_one(folder: Path) -> None:
    loaded = llama()
    split = split_of(folder, "tiny_written")
    ours = ReferenceEvaluator(loaded, batch_size=4).evaluate(split, [()]).answers[0]
    run = own_run(loaded.model, loaded.tokenizer, folder, "tiny_written")
    logged = [one for one in run["samples"]["tiny_written"] if one["filter"] == "whole"]
    theirs = [one["resps"][0][0] for one in logged]
    assert [json.loads(answer) for answer in ours] == [[text] for text in theirs]
    assert len(set(theirs)) > 2


def test_a_model_that_overflows_has_numbers_too(folder: Path) -> None:
    loaded = llama()
    loaded.model.get_output_embeddings().weight.data.fill_(float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = our_metrics(loaded, split_of(folder, "tiny_texts"))
        scores = ReferenceEvaluator(loaded).evaluate(split_of(folder, "tiny_texts"), [()]).scores
        choice = our_metrics(loaded, split_of(folder, "tiny_choice"))
    assert texts["word_perplexity,none"] == float("inf")
    assert scores.tolist() == [[0.0] * 6]
    assert choice["acc,none"] is not None


def test_a_perplexity_beyond_all_numbers_is_infinite(folder: Path) -> None:
    split = split_of(folder, "tiny_texts")
    answers = ["[-1e6]"] * len(split.samples)
    assert lm_eval_metrics(split, answers)["word_perplexity,none"] == float("inf")


def test_without_draws_there_are_no_standard_errors(folder: Path) -> None:
    split = split_of(folder, "tiny_texts")
    found = lm_eval_metrics(split, ["[-9.5]"] * len(split.samples), bootstrap_iters=0)
    assert found["byte_perplexity_stderr,none"] is None


@pytest.mark.parametrize("answers", [[], ["[-1.0]"]], ids=["none", "too few"])
def test_there_is_one_answer_per_sample(answers: list[str], folder: Path) -> None:
    with pytest.raises(MetricError, match=f"{len(answers)} answers? to the 6 samples"):
        lm_eval_metrics(split_of(folder, "tiny_texts"), answers)


def test_metrics_are_of_tasks_of_the_harness(folder: Path) -> None:
    split = tiny.split_of(tiny.text_samples())
    with pytest.raises(MetricError, match="no task of the lm-evaluation-harness"):
        lm_eval_metrics(split, [""] * 8)
