"""Finding tasks: built in, of the demo, and of a user's own files."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from depthprune.base.errors import TaskError
from depthprune.tasks import find_task, get_task, list_tasks, load_split, load_task_file, place_task
from depthprune.tasks.metrics import METRICS
from depthprune.tasks.sources import HubSource
from depthprune.tasks.task import Task
from tests.tasks.samples import write_picture

BUILT_IN = {
    "coco_2014_vqa", "text_vqa", "okvqa", "science_qa_img", "st_qa", "doc_qa", "tally_qa",
    "coco_caption", "mmmu",
}  # fmt: skip
DEMO = {f"demo_{name}" for name in BUILT_IN - {"mmmu"}}


class TestKnownTasks:
    def test_the_nine_and_the_eight_of_the_demo(self) -> None:
        assert {task.name for task in list_tasks()} == BUILT_IN | DEMO

    def test_only_mmmu_is_off_and_says_why(self) -> None:
        off = [(task.name, task.note) for task in list_tasks() if not task.enabled]
        assert off == [("mmmu", "off by default: its scores do not agree between its splits")]

    def test_hyphens_and_underscores_are_the_same(self) -> None:
        assert get_task("coco-2014-vqa").name == get_task("coco_2014_vqa").name == "coco_2014_vqa"

    def test_folders_have_hyphens(self) -> None:
        assert get_task("science_qa_img").folder == "science-qa-img"

    def test_the_test_split_plays_validation_in_tally_qa(self) -> None:
        assert get_task("tally_qa").validation_split == "test"

    @pytest.mark.parametrize("name", sorted(BUILT_IN | DEMO))
    def test_every_metric_fits_its_task(self, name: str) -> None:
        task = get_task(name)
        assert METRICS[task.metric][1] == task.answer

    @pytest.mark.parametrize("name", sorted(DEMO))
    def test_a_demo_task_has_the_type_and_metric_of_its_sibling(self, name: str) -> None:
        demo, sibling = get_task(name), get_task(name.removeprefix("demo_"))
        assert (demo.task_type, demo.metric) == (sibling.task_type, sibling.metric)

    def test_an_unknown_task_names_close_ones(self) -> None:
        with pytest.raises(TaskError, match=r"did you mean .*okvqa") as error:
            get_task("ok-vqa")
        assert "known tasks: coco_2014_vqa" in str(error.value)

    def test_case_does_not_matter(self) -> None:
        assert get_task("OKVQA").name == "okvqa"
        with pytest.raises(TaskError, match="did you mean okvqa"):
            get_task("OKVQUA")

    def test_one_reading_serves_many_names(self) -> None:
        known = list_tasks()
        names = ["okvqa", "demo-okvqa"]
        assert [find_task(name, known) for name in names] == [get_task(name) for name in names]

    def test_the_network_is_off_unless_allowed(self) -> None:
        off, on = get_task("okvqa").source, get_task("okvqa", download=True).source
        assert isinstance(off, HubSource)
        assert isinstance(on, HubSource)
        assert (off.download, on.download) == (False, True)


class TestDemo:
    @pytest.mark.parametrize("name", sorted(DEMO))
    def test_a_right_answer_scores_one(self, name: str) -> None:
        split = load_split(get_task(name), "validation", num_samples=20)
        sample = split.samples[0]
        right = max(sample.references, key=sample.references.count)
        assert split.scorer.score(sample, right) == pytest.approx(1.0, abs=0.11)
        assert sample.images[0].open().size == (48, 48)

    def test_is_the_same_every_time(self) -> None:
        task = get_task("demo_okvqa")
        first, second = (load_split(task, "validation", 10) for _ in range(2))
        assert first.fingerprint == second.fingerprint

    def test_its_splits(self) -> None:
        source = get_task("demo_okvqa").source
        assert source.splits() == ("train", "validation")
        assert "demo_okvqa" in source.describe()


class TestLocalCopies:
    def test_plain_names(self, tmp_path: Path) -> None:
        row = {"image": "a.png", "question": "?", "answers": ["red"] * 10}
        write_picture(tmp_path / "coco-2014-vqa" / "a.png")
        (tmp_path / "coco-2014-vqa" / "train.jsonl").write_text(json.dumps(row))
        split = load_split(get_task("coco_2014_vqa", data_dir=tmp_path), "train+validation")
        assert split.samples[0].references == ("red",) * 10

    def test_the_hub_s_names(self, tmp_path: Path) -> None:
        row = {"image": "a.png", "question": "?", "answers": [{"answer": "red", "answer_id": 1}]}
        write_picture(tmp_path / "coco_2014_vqa" / "a.png")
        (tmp_path / "coco_2014_vqa" / "train.jsonl").write_text(json.dumps(row))
        split = load_split(get_task("coco_2014_vqa", data_dir=tmp_path), "train")
        assert split.samples[0].references == ("red",)

    def test_other_names_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "okvqa").mkdir()
        (tmp_path / "okvqa" / "val2014.jsonl").write_text('{"q": 1}')
        with pytest.raises(TaskError, match="'answers' is missing"):
            load_split(get_task("okvqa", data_dir=tmp_path), "validation")

    def test_a_task_without_copy_names_the_folders_there(self, tmp_path: Path) -> None:
        (tmp_path / "okvqa").mkdir()
        task = get_task("text_vqa", data_dir=tmp_path)
        with pytest.raises(TaskError, match="no such folder of data") as error:
            load_split(task, "validation")
        assert error.value.where == str(tmp_path / "text-vqa")
        assert "folders that are there: okvqa" in str(error.value)

    def test_a_missing_data_folder(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such data folder"):
            get_task("text_vqa", data_dir=tmp_path / "nowhere")

    def test_a_task_that_is_not_of_the_hub_does_not_use_it_and_says_so(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        task = get_task("demo_okvqa")
        with caplog.at_level(logging.WARNING, "depthprune"):
            assert place_task(task, tmp_path) is task
        assert f"demo_okvqa has data of its own and does not use {tmp_path}" in caplog.text

    def test_a_missing_data_folder_is_told_whatever_the_task(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such data folder"):
            get_task("demo_okvqa", data_dir=tmp_path / "nowhere")


def write_task_file(folder: Path, entry: str, name: str = "tasks.yaml") -> Path:
    path = folder / name
    path.write_text(entry)
    return path


GOOD = """
# my own task
my-colors:
  task_type: VQA
  path: data
  metric: exact_match
  prompt: "{question} One word."
"""


class TestYamlFiles:
    def test_one_entry_adds_a_task(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "data" / "a.png")
        row = {"image": "a.png", "question": "which color ?", "answer": "red"}
        (tmp_path / "data" / "validation.jsonl").write_text(json.dumps(row))
        task = get_task("my-colors", files=[write_task_file(tmp_path, GOOD)])
        split = load_split(task, "validation")
        assert task.name == "my_colors"
        assert split.scorer.score(split.samples[0], "Red.") == 1.0

    def test_a_path_per_split(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"text": "once"}')
        entry = """
reading:
  task_type: Language Modeling
  path: {train: a.jsonl, validation: a.jsonl}
  metric: perplexity
  answer: read
"""
        (task,) = load_task_file(write_task_file(tmp_path, entry))
        assert load_split(task, "train").samples[0].references == ("once",)

    def test_fields_are_mapped(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"q": "?", "a": "yes", "o": ["no", "yes"]}')
        entry = """
mapped:
  task_type: Multiple Choice
  path: a.jsonl
  fields: {question: q, answers: a, choices: o}
  metric: choice_letter
"""
        (task,) = load_task_file(write_task_file(tmp_path, entry))
        assert load_split(task, "validation").samples[0].references == ("B",)

    def test_a_folder_that_the_datasets_library_reads(self, tmp_path: Path) -> None:
        pytest.importorskip("datasets")
        (tmp_path / "csv").mkdir()
        (tmp_path / "csv" / "train.csv").write_text("question,answer\n1 + 1 ?,2\n")
        entry = "sums:\n  task_type: Exact Match\n  hub: csv\n"
        (task,) = load_task_file(write_task_file(tmp_path, entry))
        assert load_split(task, "train").samples[0].references == ("2",)

    def test_a_task_of_a_known_name_replaces_it_with_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write_task_file(tmp_path, GOOD.replace("my-colors", "okvqa"))
        with caplog.at_level(logging.WARNING, "depthprune"):
            assert get_task("okvqa", files=[path]).metric == "exact_match"
        assert "replaces the task okvqa" in caplog.text

    @pytest.mark.parametrize(
        ("entry", "what", "where"),
        [
            (GOOD.replace("metric:", "metrik:"), "no field 'metrik'", "line 6, task my-colors"),
            (GOOD.replace("VQA", "VQAA"), "the field 'task_type'", "line 4"),
            (GOOD.replace("  task_type: VQA\n", ""), "'task_type': Field required", "line 3"),
            (GOOD.replace("  path: data\n", ""), "exactly one of hub, path and module", "line 3"),
            (GOOD.replace("metric:", "hub: a/b\n  metric:"), "exactly one of", "line 3"),
            (GOOD + "  max_new_tokens: 0\n", "the field 'max_new_tokens'", "line 8"),
            (GOOD + "  fields:\n    questions: q\n", "'fields.questions'", "line 9"),
            (GOOD.replace("my-colors", "3 d"), "'3 d' cannot be the name", "line 3"),
            (GOOD + GOOD, "'my-colors' is defined twice", "lines 3 and 10"),
            (GOOD + GOOD.replace("my-c", "my_c"), "'my_colors' is defined twice", "lines 3 and 10"),
            (GOOD + "  path: other\n", "'path' is defined twice", "lines 5 and 8"),
            (GOOD + "  metric_options: {a: 1, a: 2}\n", "'a' is defined twice", "lines 8 and 8"),
            (GOOD.replace("my-colors", "yes"), "the key yes is not a text", "line 3"),
            (GOOD + "  3: 4\n", "the key 3 is not a text", "line 8"),
            (GOOD.replace("my-colors", "all"), "cannot be named 'all'", "line 3"),
            (GOOD.replace("my-colors", "demo"), "cannot be named 'demo'", "line 3"),
            (GOOD + "  note: 2024-13-45\n", "not a YAML file: month", "tasks.yaml"),
            (GOOD + "  note: !!bool maybe\n", "not a YAML file", "tasks.yaml"),
            ("[" * 3000, "not a YAML file", "tasks.yaml"),
            ("a:\n  - b: [\n", "not a YAML file", "line 3"),
            ("- a\n", "maps names of tasks", "tasks.yaml"),
            ("a: 3\n", "maps names of tasks", "tasks.yaml"),
        ],
    )
    def test_a_mistake_is_named_with_its_line(
        self, tmp_path: Path, entry: str, what: str, where: str
    ) -> None:
        with pytest.raises(TaskError) as error:
            load_task_file(write_task_file(tmp_path, entry))
        assert what in error.value.what
        assert where in str(error.value.where)

    def test_a_mistake_is_told_in_our_words(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError) as error:
            load_task_file(write_task_file(tmp_path, GOOD.replace("  path: data\n", "")))
        assert error.value.what.startswith("give exactly one of")

    def test_entries_may_share_fields(self, tmp_path: Path) -> None:
        entry = "a: &a\n  task_type: VQA\n  path: a\nb:\n  <<: *a\n  path: b\n"
        assert [t.name for t in load_task_file(write_task_file(tmp_path, entry))] == ["a", "b"]

    def test_a_misspelt_field_gets_a_suggestion(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="did you mean metric"):
            load_task_file(write_task_file(tmp_path, GOOD.replace("metric:", "metrik:")))

    def test_an_empty_file_holds_no_task(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="holds no task"):
            load_task_file(write_task_file(tmp_path, "{}"))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such task file"):
            load_task_file(tmp_path / "nowhere.yaml")

    def test_a_file_that_is_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "tasks.yaml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(TaskError, match="cannot read"):
            load_task_file(tmp_path / "tasks.yaml")

    def test_yaml_cannot_run_code(self, tmp_path: Path) -> None:
        entry = "a: !!python/object/apply:os.system ['touch broken']\n"
        with pytest.raises(TaskError, match="not a YAML file"):
            load_task_file(write_task_file(tmp_path, entry))


SOURCE = """
from depthprune.tasks import Sample, Task

class Sums:
    def splits(self):
        return ("validation",)

    def samples(self, split):
        return [Sample(f"{split}/{n}", f"{n} + {n} =", references=(str(2 * n),)) for n in range(9)]

    def describe(self):
        return "sums"

NOT_A_SOURCE = 3
"""
TASK = SOURCE + '\nSUMS = Task("sums", "Exact Match", Sums(), metric="exact_match")\n'
MODULE = """
sums:
  task_type: Exact Match
  module: sums.py:Sums
"""


class TestPythonFiles:
    def test_a_task_object_is_taken(self, tmp_path: Path) -> None:
        path = write_task_file(tmp_path, TASK, "sums.py")
        split = load_split(get_task("sums", files=[path]), "validation")
        assert split.scorer.score(split.samples[4], "8") == 1.0

    def test_the_file_may_hold_dataclasses(self, tmp_path: Path) -> None:
        code = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + TASK
        code = code.replace("class Sums:", "@dataclass\nclass Sums:\n    size: int = 9\n")
        assert load_task_file(write_task_file(tmp_path, code, "sums.py"))[0].name == "sums"

    def test_a_yaml_entry_may_name_a_class(self, tmp_path: Path) -> None:
        write_task_file(tmp_path, SOURCE, "sums.py")
        (task,) = load_task_file(write_task_file(tmp_path, MODULE))
        assert len(load_split(task, "validation", 3).samples) == 3

    @pytest.mark.parametrize(
        ("code", "module", "what"),
        [
            (SOURCE, "sums.py:Nothing", "no object 'Nothing'"),
            (SOURCE, "sums.py", "is not named"),
            (SOURCE, "sums.py:NOT_A_SOURCE", "lacks splits, samples, describe"),
            ("1 / 0", "sums.py:Sums", "ZeroDivisionError"),
            ("class Sums:\n  def __init__(self):\n    1 / 0", "sums.py:Sums", "failed"),
            (SOURCE, "nowhere.py:Sums", "no such Python file"),
            (SOURCE, "../sums.py:Sums", "leads out of"),
        ],
    )
    def test_a_mistake_is_named(self, tmp_path: Path, code: str, module: str, what: str) -> None:
        write_task_file(tmp_path, code, "sums.py")
        path = write_task_file(tmp_path, MODULE.replace("sums.py:Sums", module))
        with pytest.raises(TaskError, match=what):
            load_task_file(path)

    def test_a_file_that_leaves_the_program(self, tmp_path: Path) -> None:
        path = write_task_file(tmp_path, "import sys\nsys.exit(0)\n" + TASK, "sums.py")
        with pytest.raises(TaskError, match="SystemExit") as error:
            load_task_file(path)
        assert error.value.where == str(path)

    def test_a_class_that_leaves_the_program(self, tmp_path: Path) -> None:
        write_task_file(tmp_path, "class Sums:\n  def __init__(self):\n    exit(1)", "sums.py")
        with pytest.raises(TaskError, match=r"Sums\(\) failed"):
            load_task_file(write_task_file(tmp_path, MODULE))

    def test_is_executed_once_and_prints_to_standard_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write_task_file(tmp_path, "print('executed')\n" + TASK, "sums.py")
        known = list_tasks([path])
        for name in ("sums", "okvqa", "sums"):
            place_task(find_task(name, known))
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("executed")) == ("", 1)

    def test_files_of_one_name_do_not_get_into_each_other_s_way(self, tmp_path: Path) -> None:
        tasks: list[Task] = []
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            code = SOURCE.replace('return ("validation",)', "1 / 0") + TASK[len(SOURCE) :]
            tasks += load_task_file(write_task_file(tmp_path / folder, code, "sums.py"))
        with pytest.raises(TaskError, match="ZeroDivisionError") as error:
            load_split(tasks[0], "validation")
        assert error.value.where == str(tmp_path / "one" / "sums.py")

    @pytest.mark.parametrize("name", ["all", "my sums", ""])
    def test_a_name_that_cannot_be_asked_for(self, tmp_path: Path, name: str) -> None:
        path = write_task_file(tmp_path, TASK.replace('"sums", "Ex', f'"{name}", "Ex'), "sums.py")
        with pytest.raises(TaskError, match="a task"):
            load_task_file(path)

    def test_a_file_without_task(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="holds no task"):
            load_task_file(write_task_file(tmp_path, SOURCE, "sums.py"))


class TestDocumentation:
    """The examples of docs/tasks.md work as they stand there."""

    PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"

    def example(self, name: str) -> str:
        return self.PAGE.read_text().partition(f"# {name}\n")[2].partition("```")[0]

    def test_the_yaml_entry(self, tmp_path: Path) -> None:
        entry = self.example("my_tasks.yaml")
        (task,) = load_task_file(write_task_file(tmp_path, entry))
        assert (task.name, task.metric, task.max_new_tokens) == ("my_plates", "anls", 12)

    def test_the_python_class(self, tmp_path: Path) -> None:
        path = write_task_file(tmp_path, self.example("sums.py"), "sums.py")
        split = load_split(get_task("sums", files=[path]), "validation", 3)
        assert len(split.samples) == 3

    def test_the_table_of_tasks(self) -> None:
        page = self.PAGE.read_text()
        for task in list_tasks():
            if not task.name.startswith("demo_"):
                assert isinstance(task.source, HubSource)
                row = f"| `{task.name}` | {task.task_type} | `{task.source.name}` |"
                end = f"| `{task.metric}` | {task.max_new_tokens} |"
                assert any(line.startswith(row) and line.endswith(end) for line in page.split("\n"))

    def test_every_metric_is_described(self) -> None:
        page = self.PAGE.read_text()
        assert [metric for metric in METRICS if f"| `{metric}` |" not in page] == []


def test_listing_tasks_needs_no_heavy_package() -> None:
    code = (
        "import sys; from depthprune.tasks import list_tasks; list_tasks();"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'PIL', 'nltk'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
