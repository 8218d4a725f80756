"""Tasks of the lm-evaluation-harness: names, splits, examples, metrics, and what is refused."""

from __future__ import annotations

import json
import logging
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest

from depthprune.base.errors import MetricError, MissingSplitError, TaskError
from depthprune.tasks.lm_eval import harness_task, harness_tasks
from depthprune.tasks.lm_eval.source import LmEvalSource, guarded
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import find_task, find_tasks, get_task, load_task_file, place_task
from depthprune.tasks.task import Request, Sample, Task, TaskSplit
from tests.tasks import harness
from tests.tasks.harness import write_definition

pytest.importorskip("lm_eval")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Definitions that no test changes."""
    return harness.write_definitions(tmp_path_factory.mktemp("definitions"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Definitions of one test's own."""
    return harness.write_definitions(tmp_path / "definitions")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the cache of `datasets` apart."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def source_of(task: Task) -> LmEvalSource:
    assert isinstance(task.source, LmEvalSource)
    return task.source


def names(tasks: list[Task]) -> list[str]:
    return [task.name for task in tasks]


def variant(folder: Path, name: str, text: str, *, of: str = harness.CHOICE, old: str = "") -> str:
    """Write a definition that differs from another one; return its name."""
    base = of.format(folder=folder)
    changed = base.replace(old, text) if old else base + text
    assert changed != base
    kind = base.split("task: ")[1].split()[0]
    write_definition(folder, name, changed.replace(f"task: {kind}", f"task: {name}"))
    return name


def load(folder: Path, name: str, split: str = "validation", **options: Any) -> TaskSplit:
    return load_split(harness_task(name, paths=[folder], **options), split)


# Names


def test_a_task_of_the_harness_is_named_with_a_prefix(shared: Path) -> None:
    (task,) = find_tasks("lm_eval:tiny_choice", [], [shared])
    assert (task.name, task.folder) == ("lm_eval_tiny_choice", "lm-eval-tiny-choice")
    assert find_task(" LM-EVAL:Tiny-Choice ", [], [shared]).name == task.name
    assert get_task("lm_eval:tiny_choice", lm_eval_path=[shared]).name == task.name


def test_what_the_harness_ships_is_known() -> None:
    (task,) = find_tasks("lm_eval:arc_easy", [])
    assert (task.name, task.task_type, task.answer) == (
        "lm_eval_arc_easy",
        "Multiple Choice",
        "respond",
    )
    assert source_of(task).describe() == "lm-eval task arc_easy"
    assert len(find_tasks("lm_eval:mmlu", [])) == 57


def test_types_follow_what_a_task_asks(shared: Path) -> None:
    types = [find_task(f"lm_eval:{name}", [], [shared]).task_type for name in harness.KINDS]
    assert types == ["Multiple Choice", "Exact Match", "Language Modeling"]


def test_a_group_stands_for_its_members_with_what_it_changes_about_them(shared: Path) -> None:
    tasks = harness_tasks("tiny_group", [shared])
    assert names(tasks) == [
        "lm_eval_tiny_texts",
        "lm_eval_tiny_choice",
        "lm_eval_tiny_written",
        "lm_eval_tiny_group__inline",
    ]
    assert source_of(tasks[1]).task.config.num_fewshot == 2
    inline = load_split(tasks[3], "validation")
    assert inline.samples[0].requests[0].continuation.startswith("what is the colour of a dog")


def test_a_tag_stands_for_its_tasks(shared: Path) -> None:
    tasks = harness_tasks("tiny_tag", [shared])
    assert names(tasks) == ["lm_eval_tiny_choice", "lm_eval_tiny_written"]


def test_a_group_is_no_single_task(shared: Path) -> None:
    with pytest.raises(TaskError) as error:
        find_task("lm_eval:tiny_group", [], [shared])
    assert "stands for 4 lm-eval tasks" in error.value.what
    assert "tiny_texts" in str(error.value.mend)


def test_groups_within_groups_and_groups_in_circles(folder: Path) -> None:
    write_definition(folder, "outer", "group: outer\ntask: [tiny_tag, {group: tiny_group}]\n")
    write_definition(folder, "circle", "group: circle\ntask: [circle]\n")
    write_definition(folder, "hollow", "group: hollow\ntask: []\n")
    write_definition(folder, "nameless", "group: nameless\ntask: [{num_fewshot: 2}]\n")
    assert len(harness_tasks("outer", [folder])) == 6
    with pytest.raises(TaskError, match="holds itself"):
        harness_tasks("circle", [folder])
    with pytest.raises(TaskError, match="a member without a name"):
        harness_tasks("nameless", [folder])
    with pytest.raises(TaskError, match="has no tasks"):
        harness_tasks("hollow", [folder])


def test_an_unknown_name_is_told_with_those_that_are_alike(shared: Path) -> None:
    with pytest.raises(TaskError, match="no task 'tiny_chioce'") as error:
        find_tasks("lm_eval:tiny_chioce", [], [shared])
    assert "did you mean lm_eval:tiny_choice" in str(error.value.mend)


def test_our_own_name_leads_to_the_harness_s() -> None:
    with pytest.raises(TaskError) as error:
        find_task("lm_eval_arc_easy", [])
    assert "did you mean lm_eval:arc_easy?" in str(error.value.mend)


def test_a_definition_that_cannot_be_read_is_named(folder: Path) -> None:
    write_definition(folder, "zz_broken", "task: [")
    with pytest.raises(TaskError, match=r"zz_broken\.yaml .* cannot be read"):
        harness_tasks("broken", [folder])


def test_a_folder_of_definitions_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no such folder") as error:
        harness_tasks("arc_easy", [tmp_path / "absent"])
    assert error.value.where == str(tmp_path / "absent")


def test_without_the_harness_python_says_what_is_missing(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ModuleNotFoundError) as error:
        find_tasks("lm_eval:arc_easy", [], [shared])
    assert str(error.value.name).split(".")[0] == "lm_eval"


# Task files


def test_a_task_file_gives_options(shared: Path) -> None:
    file = shared / "tasks.yml"
    file.write_text(
        "two_shots: {lm_eval: tiny_choice, num_fewshot: 2, metric: acc_norm, lm_eval_path: .}\n"
        "short: {lm_eval: 'lm_eval:tiny_written', lm_eval_path: ., max_new_tokens: 3, "
        "metric: 'exact_match,word', task_type: Document QA, note: short}\n",
        encoding="utf-8",
    )
    two_shots, short = load_task_file(file)
    assert (two_shots.name, two_shots.metric) == ("two_shots", "acc_norm")
    split = load_split(two_shots, "validation")
    assert split.samples[0].requests[0].context.count("answer :") == 3
    assert split.scorer.name == "acc_norm (lm-eval)"
    split = load_split(short, "validation")
    assert split.samples[0].requests[0].max_new_tokens == 3
    assert split.scorer.name == "exact_match,word (lm-eval)"
    assert (short.task_type, short.note, short.enabled) == ("Document QA", "short", True)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{lm_eval: tiny_choice, shots: 2}", "no field 'shots'"),
        ("{lm_eval: tiny_choice, num_fewshot: -1}", "num_fewshot"),
        ("{lm_eval: tiny_choice, lm_eval_path: ..}", "leads out of"),
        ("{lm_eval: no_such_thing}", "no task 'no_such_thing'"),
    ],
)
def test_mistakes_in_a_task_file_are_told(entry: str, complaint: str, shared: Path) -> None:
    file = shared / "wrong.yml"
    file.write_text(f"mine: {entry}\n", encoding="utf-8")
    with pytest.raises(TaskError, match=complaint):
        load_task_file(file)


# Splits


def test_the_harness_s_test_split_plays_validation(shared: Path) -> None:
    source = source_of(harness_task("tiny_choice", paths=[shared]))
    assert source.splits() == ("train", "validation", "development")
    sizes = {split: len(source.samples(split)) for split in source.splits()}
    assert sizes == {"train": 4, "validation": 6, "development": 2}
    assert source_of(harness_task("tiny_texts", paths=[shared])).splits() == ("validation",)


def test_without_a_test_split_validation_plays_itself(folder: Path) -> None:
    name = variant(folder, "tested", "", old="test_split: test\n")
    source = source_of(harness_task(name, paths=[folder]))
    assert source.splits() == ("train", "validation")
    assert len(source.samples("validation")) == 2


def test_a_missing_training_split_is_only_a_warning(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        split = load(shared, "tiny_texts", "train+validation")
    assert len(split.samples) == 6
    assert "no split train" in caplog.text
    with pytest.raises(MissingSplitError):
        load(shared, "tiny_texts", "train")
    with pytest.raises(TaskError, match="no split test"):
        source_of(split.task).samples("test")


def test_requests_are_what_the_harness_would_ask(shared: Path) -> None:
    (choice, written, texts, last) = (
        load(shared, name).samples[0] for name in (*harness.KINDS, "tiny_last_word")
    )
    question = "what is the colour of a dog ?"
    options = (" red", " blue dog", " green")
    assert choice.requests == tuple(
        Request("loglikelihood", f"{question} answer :", option) for option in options
    )
    assert written.requests == (
        Request("generate", question, until=("cat", ". ?"), max_new_tokens=8),
    )
    assert texts.requests == (Request("rolling", "", f"{question} red . blue dog . green"),)
    assert last.requests == (Request("loglikelihood", question, " red"),)
    assert choice.references == ("0",)


@pytest.mark.parametrize(
    ("text", "target", "right"),
    [
        ("{{question}}", "{{choices[gold]}}", "the option"),
        ("{{question}}", "{{[gold, 1]}}", "the first of several"),
        ("{{gold}}", "is it", "the context"),
    ],
    ids=["text", "several", "contexts"],
)
def test_the_reference_is_the_place_of_the_right_request(
    text: str, target: str, right: str, folder: Path
) -> None:
    old = 'doc_to_text: "{{question}} answer :"'
    new = f'doc_to_text: "{text}"'
    variant(folder, "other", new, of=harness.CHOICE, old=old)
    path = folder / "other.yaml"
    changed = path.read_text(encoding="utf-8").replace('{{gold}}"\nmetric', f'{target}"\nmetric')
    assert target in changed
    path.write_text(changed, encoding="utf-8")
    split = load(folder, "other")
    source = source_of(split.task)
    golds = [str(source.doc(sample)["gold"]) for sample in split.samples]
    assert [sample.references[0] for sample in split.samples] == golds, right
    assert len(set(golds)) == 3


def test_what_a_definition_leaves_open_is_as_in_the_harness(folder: Path) -> None:
    old = '{until: ["cat", ". ?"], max_gen_toks: 8, do_sample: false}'
    variant(folder, "open", "{}", of=harness.WRITTEN, old=old)
    variant(folder, "one", '{until: "?", max_tokens: 5}', of=harness.WRITTEN, old=old)
    (request,) = load(folder, "open").samples[0].requests
    assert (request.until, request.max_new_tokens) == (("\n\n",), 256)
    (request,) = load(folder, "one").samples[0].requests
    assert (request.until, request.max_new_tokens) == (("?",), 5)


# Examples


def contexts(split: TaskSplit) -> dict[str, str]:
    return {sample.id: sample.requests[0].context for sample in split.samples}


def test_examples_do_not_depend_on_which_documents_are_measured(shared: Path) -> None:
    task = harness_task("tiny_choice", paths=[shared], num_fewshot=2)
    everything = contexts(load_split(task, "validation"))
    some = contexts(load_split(task, "validation", num_samples=2, seed=3))
    assert 0 < len(some) < len(everything)
    assert some.items() <= everything.items()
    assert len({text.split(" answer :")[0] for text in everything.values()}) > 1


def test_examples_do_not_depend_on_the_order_of_asking(shared: Path) -> None:
    source = source_of(harness_task("tiny_choice", paths=[shared], num_fewshot=2))
    samples, others = source.samples("validation"), source.samples("train")
    forward = [samples[index] for index in range(6)]
    for index in (5, 0, 3):
        others[index % 4]
        assert samples[index] == forward[index]


def test_a_document_of_the_training_split_is_no_example_of_its_own(shared: Path) -> None:
    """Its examples come from that split too: three of four documents are left to draw from."""
    split = load(shared, "tiny_choice", "train", num_fewshot=3)
    for sample in split.samples:
        parts = sample.requests[0].context.split("\n\n")
        assert len(set(parts)) == len(parts) == 4
        questions = [part.split(" answer :")[0] for part in parts]
        assert len(set(questions)) == 4


def test_more_examples_than_there_are_is_an_error_that_names_the_task(shared: Path) -> None:
    with pytest.raises(TaskError, match="tiny_choice"):
        load(shared, "tiny_choice", num_fewshot=9)


def test_a_definition_that_fixes_no_examples_keeps_none(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = variant(folder, "bare", "num_fewshot: 0\n")
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        split = load(folder, name, num_fewshot=2)
    assert contexts(split)["validation/0"].count("answer :") == 1
    assert "num_fewshot is ignored" in caplog.text


PYTHON_TASK = """
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task


class Mine(Task):
    VERSION = 1

    def __init__(self, config=None):
        super().__init__(config={"task": "mine"})

    def download(self, *args, **kwargs):
        self.docs = [{"q": f"what is {word} ?", "a": word} for word in ("red", "blue", "two")]

    def has_training_docs(self):
        return True

    def has_validation_docs(self):
        return True

    def has_test_docs(self):
        return False

    def training_docs(self):
        return iter(self.docs)

    def validation_docs(self):
        return iter(self.docs)

    def doc_to_text(self, doc):
        return doc["q"]

    def doc_to_target(self, doc):
        return " " + doc["a"]

    def construct_requests(self, doc, ctx, **kwargs):
        kwargs = {"metadata": kwargs["metadata"]}
        write = (ctx, {"until": ["two"], "max_gen_toks": 2})
        return [
            Instance("generate_until", doc, write, 0, **kwargs),
            Instance("loglikelihood", doc, (ctx, " " + doc["a"]), 0, **kwargs),
        ]

    def process_results(self, doc, results):
        text, (likelihood, is_greedy) = results
        return {"right": float(text.strip() == doc["a"] or is_greedy)}

    def aggregation(self):
        return {"right": mean}

    def higher_is_better(self):
        return {"right": True}
"""


def test_a_task_that_is_a_python_class_asks_what_it_likes(folder: Path) -> None:
    (folder / "mine.py").write_text(PYTHON_TASK, encoding="utf-8")
    write_definition(folder, "mine", "task: mine\nclass: !function mine.Mine\n")
    split = load(folder, "mine")
    assert [request.kind for request in split.samples[0].requests] == ["generate", "loglikelihood"]
    assert scores(split, ["no", [-1.0, True]]) == 1.0
    assert scores(split, ["no", [-1.0, False]]) == 0.0
    assert source_of(split.task).splits() == ("train", "validation")
    # It draws examples by its own rule, which may draw the document itself.
    task = harness_task("mine", paths=[folder], num_fewshot=1)
    assert source_of(task).splits() == ("validation",)
    everything = contexts(load_split(task, "validation"))
    some = contexts(load_split(task, "validation", num_samples=1, seed=2))
    assert some.items() <= everything.items()
    assert everything["validation/2"].count("what is") == 2


# Fingerprints


def test_fingerprints_tell_prompts_examples_metrics_and_data_apart(folder: Path) -> None:
    variant(folder, "asked", "is the answer", old="answer :")
    variant(folder, "filtered", "red|dog", of=harness.WRITTEN, old="red|blue|green")
    found = {
        load(folder, name, **options).fingerprint
        for name, options in (
            ("tiny_choice", {}),
            ("tiny_choice", {"num_fewshot": 1}),
            ("tiny_choice", {"num_fewshot": 2}),
            ("tiny_choice", {"metric": "acc_norm"}),
            ("asked", {}),
            ("tiny_written", {}),
            ("tiny_written", {"max_new_tokens": 4}),
            ("filtered", {}),
        )
    }
    assert len(found) == 8


def test_fingerprints_do_not_depend_on_where_the_data_lie(
    folder: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = {load(place, "tiny_written").fingerprint for place in (folder, shared)}
    assert len(prints) == 1
    monkeypatch.setattr("lm_eval.__version__", "9.9")
    assert load(shared, "tiny_written").fingerprint not in prints


def test_the_functions_of_a_definition_are_part_of_the_fingerprint(folder: Path) -> None:
    (folder / "mine.py").write_text("def right(doc):\n    return doc['choices'][0]\n")
    name = variant(
        folder, "coded", "!function mine.right", of=harness.WRITTEN, old='"{{choices[gold]}}"'
    )
    first, again = (load(folder, name).fingerprint for _ in range(2))
    assert first == again
    (folder / "mine.py").write_text("def right(doc):\n    return doc['choices'][1]\n\n")
    assert load(folder, name).fingerprint != first


def test_other_tasks_keep_their_fingerprints() -> None:
    """A study that was begun before tasks could make requests goes on."""
    from depthprune.tasks.load import _sample_line

    line = _sample_line(Sample("validation/0", "what ?", references=("a",)), ())
    assert line == b'["validation/0", "what ?", ["a"], [], []]\n'


# Scores


def scores(split: TaskSplit, answer: list[Any]) -> float:
    return split.scorer.score(split.samples[0], json.dumps(answer))


def test_multiple_choice_scores_by_the_metric_that_is_asked_for(shared: Path) -> None:
    """The right option is the first; the second is likelier per byte."""
    answer = [[-3.0, True], [-4.0, False], [-9.0, False]]
    found = {
        metric: scores(load(shared, "tiny_choice", metric=metric), answer)
        for metric in ("auto", "acc", "acc_norm", "mcc", "brier_score")
    }
    assert found["auto"] == found["acc"] == found["mcc"] == 1.0
    assert found["acc_norm"] == 0.0
    assert -2.0 < found["brier_score"] < 0.0  # lower is better: its negative
    wrong = [[-9.0, True], [-4.0, False], [-9.0, False]]
    assert scores(load(shared, "tiny_choice", metric="mcc"), wrong) == 0.0


def test_written_answers_pass_the_filter_that_is_named(shared: Path) -> None:
    answer = ["it is red"]
    assert scores(load(shared, "tiny_written"), answer) == 0.0
    assert scores(load(shared, "tiny_written", metric="exact_match,word"), answer) == 1.0


def test_a_text_scores_its_probability_per_unit(shared: Path) -> None:
    split = load(shared, "tiny_texts")
    text = split.samples[0].requests[0].continuation
    assert split.scorer.name == "1 / word_perplexity (lm-eval)"
    assert scores(split, [-2.0]) == pytest.approx(2.718281828 ** (-2 / len(text.split())))
    by_byte = load(shared, "tiny_texts", metric="bits_per_byte")
    assert scores(by_byte, [-2.0]) == pytest.approx(2.718281828 ** (-2 / len(text)))
    last = load(shared, "tiny_last_word", metric="perplexity")
    assert scores(last, [[-1.0, False]]) == pytest.approx(0.36787944)
    assert load(shared, "tiny_last_word").scorer.name == "acc (lm-eval)"


def test_what_is_no_number_scores_nothing(shared: Path) -> None:
    assert scores(load(shared, "tiny_texts"), [None]) == 0.0
    broken = [[None, False]] * 3
    assert scores(load(shared, "tiny_choice", metric="brier_score"), broken) == 0.0


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        ("acc_nrom", "no metric 'acc_nrom'"),
        ("acc,strict", "no filter 'strict'"),
        ("exact_match", "no metric 'exact_match'"),
    ],
)
def test_a_metric_or_filter_that_is_not_there(metric: str, complaint: str, shared: Path) -> None:
    with pytest.raises(MetricError, match=complaint) as error:
        load(shared, "tiny_choice", metric=metric)
    assert "acc_norm" in str(error.value) or "none" in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "blue",
        "{}",
        "[]",
        "[[-1.0, true]]",
        "[1, 2, 3]",
        '[[-1.0, "yes"], [1, true], [1, true]]',
    ],
)
def test_answers_of_another_form_are_refused(answer: str, shared: Path) -> None:
    split = load(shared, "tiny_choice")
    with pytest.raises(MetricError, match="response") as error:
        split.scorer.score(split.samples[0], answer)
    assert "validation/0" in str(error.value)


def coded(folder: Path, body: str, metrics: str) -> str:
    """Define a task whose results are made by a function."""
    (folder / "results.py").write_text(f"def results(doc, found):\n    {body}\n")
    text = f"process_results: !function results.results\nmetric_list: [{metrics}]\n"
    base = harness.WRITTEN.format(folder=folder).split("filter_list:")[0]
    write_definition(folder, "coded", base.replace("tiny_written", "coded") + text)
    return "coded"


def test_a_metric_that_a_document_lacks_is_told(folder: Path) -> None:
    entry = "{metric: one, aggregation: mean, higher_is_better: true}"
    name = coded(folder, "return {'other': 0.5}", entry)
    assert scores(load(folder, name), ["red"]) == 0.5
    with pytest.raises(MetricError, match="does not tell one"):
        scores(load(folder, name, metric="one"), ["red"])


def test_what_a_task_s_code_prints_is_no_result(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = "{metric: one, aggregation: mean, higher_is_better: true}"
    name = coded(folder, "print('loud'); return {'one': float('nan')}", entry)
    assert scores(load(folder, name), ["red"]) == 0.0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "loud" in captured.err


def test_other_aggregations_are_of_the_document_alone(folder: Path) -> None:
    (folder / "sums.py").write_text("def total(items):\n    return 10 * sum(items)\n")
    entry = "{metric: one, aggregation: !function sums.total, higher_is_better: true}"
    name = coded(folder, "return {'one': 2}", entry)
    assert scores(load(folder, name), ["red"]) == 20.0


# What is refused


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("unsafe_code: true\n", "executes code that the model writes"),
        ('doc_to_image: ["question"]\n', "shows pictures or sounds"),
        ("doc_to_choice: !function nowhere.choices\n", "cannot be used"),
    ],
)
def test_tasks_that_are_not_supported_say_why(text: str, complaint: str, folder: Path) -> None:
    with pytest.raises(TaskError, match=complaint):
        load(folder, variant(folder, "odd", text))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [("{num_beams: 4}", "beams"), ("{repetition_penalty: 1.2}", "repetition_penalty")],
)
def test_ways_of_generation_that_are_not_greedy_are_refused(
    options: str, complaint: str, folder: Path
) -> None:
    old = '{until: ["cat", ". ?"], max_gen_toks: 8, do_sample: false}'
    with pytest.raises(TaskError, match=complaint):
        load(folder, variant(folder, "odd", options, of=harness.WRITTEN, old=old))


def test_answers_drawn_at_random_are_greedy_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = variant(folder, "drawn", "do_sample: true", of=harness.WRITTEN, old="do_sample: false")
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        load(folder, name)
    assert "generated greedily" in caplog.text


def test_metrics_whose_code_is_loaded_from_the_hub_are_refused(folder: Path) -> None:
    name = variant(folder, "foreign", "f2_of_the_hub", of=harness.WRITTEN, old="exact_match")
    with pytest.raises(TaskError, match="f2_of_the_hub, whose code is loaded from the hub"):
        load(folder, name)
    # Of a choice the harness never calls them.
    known = "{metric: f1, hf_evaluate: true, aggregation: f1, higher_is_better: true}"
    name = variant(folder, "unused", known, old="{metric: brier_score}")
    split = load(folder, name, metric="f1")
    assert scores(split, [[-1.0, True], [-2.0, False], [-3.0, False]]) == 1.0


def test_code_of_a_dataset_is_refused_where_it_would_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "dataset_kwargs:\n  trust_remote_code: true\n"
    name = variant(folder, "scripted", text, old="dataset_kwargs:\n")
    assert len(load(folder, name).samples) == 6
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(TaskError, match="by code of the hub"):
        load(folder, name)


def test_data_that_a_shipped_task_makes_need_the_network_s_permission() -> None:
    task = find_tasks("lm_eval:niah_single_1", [])[0]
    with pytest.raises(TaskError, match="code that may use the network"):
        load_split(task, "validation")


# Network


def test_data_that_are_not_here_are_not_fetched() -> None:
    (task,) = find_tasks("lm_eval:arc_easy", [])
    with pytest.raises(TaskError) as error:
        load_split(task, "validation")
    assert "arc_easy" in error.value.what
    assert "download" in str(error.value.mend)


def test_a_download_is_allowed_by_saying_so(shared: Path) -> None:
    task = harness_task("tiny_choice", paths=[shared])
    assert not source_of(task).download
    assert source_of(place_task(task, download=True)).download


def test_a_folder_of_data_is_not_for_the_harness(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        place_task(harness_task("tiny_choice", paths=[shared]), shared)
    assert "does not use" in caplog.text


def test_no_connection_is_made_unless_allowed() -> None:
    with guarded(download=False), pytest.raises(OSError, match="not allowed"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    with guarded(download=False), socket.socket() as one, pytest.raises(OSError, match="allowed"):
        one.connect(("127.0.0.1", 9))
    with socket.socket() as one, pytest.raises(ConnectionRefusedError):
        one.connect(("127.0.0.1", 9))
    with guarded(download=True), socket.socket() as one, pytest.raises(ConnectionRefusedError):
        one.connect(("127.0.0.1", 9))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets of one machine")
def test_processes_of_this_machine_may_talk(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with guarded(download=False):
            client.connect(str(tmp_path / "s"))


# Sources of one's own


def test_a_sample_without_requests_cannot_respond() -> None:
    class Silent:
        def splits(self) -> tuple[str, ...]:
            return ("validation",)

        def samples(self, split: str) -> list[Sample]:
            return [Sample("validation/0", "what ?", references=("a",))]

        def describe(self) -> str:
            return "silent"

        def scorer(self, samples: Any) -> Any:
            return SimpleNamespace(name="none")

    task = Task("silent", "Exact Match", Silent(), answer="respond")
    with pytest.raises(TaskError, match="has no requests"):
        load_split(task, "validation")
    with pytest.raises(MetricError, match="mode is `respond`"):
        load_split(replace(task, source=_Plain()), "validation")


class _Plain:
    """A source that scores nothing by itself."""

    def splits(self) -> tuple[str, ...]:
        return ("validation",)

    def samples(self, split: str) -> list[Sample]:
        return []

    def describe(self) -> str:
        return "plain"
