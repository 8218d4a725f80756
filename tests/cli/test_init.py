"""The example study: it runs as it is, and explains every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from depthprune.cli.run import EXAMPLE
from depthprune.workflow.study_file import StudyContent, read_study_file
from tests.cli.program import Program

DOCUMENT = Path(__file__).parents[2] / "docs" / "study-file.md"


def fields_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the names of all fields, those of sections as `search.joint`."""
    names = set()
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        names |= fields_of(section, f"{name}.") if section else {prefix + name}
    return names


def test_every_field_stands_in_the_example_and_no_other() -> None:
    written = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")).items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert written == fields_of(StudyContent)


def test_every_field_of_the_example_is_explained() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\s+\w+: ", line)]
    assert [line for line in lines if "# " not in line] == []


def test_the_example_stands_in_the_documentation() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") in DOCUMENT.read_text(encoding="utf-8")


def test_the_example_runs_as_it_is(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    written = program("init", path)
    assert written.code == 0, written.err
    assert f"depthprune run {path}" in written.out
    assert path.read_text(encoding="utf-8") == EXAMPLE.read_text(encoding="utf-8")
    done = program("run", path, "--num-samples", 1)
    assert done.code == 0, done.err
    assert (tmp_path / "my-study" / "summary.txt").is_file()
    assert (tmp_path / "my-study" / "merged_importance_simple.json").is_file()
    assert (tmp_path / "my-study" / "analysis" / "report.html").is_file()
    # One sample a task has no interval, so nothing is recommended, and nothing cut.
    assert "nothing: no removal is certain enough" in done.out


def test_a_file_is_not_overwritten_unless_asked(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("mine\n")
    refused = program("init", path)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert path.read_text() == "mine\n"
    assert program("init", path, "--overwrite").code == 0
    assert read_study_file(path).content.model.source == "demo"


def test_a_folder_is_no_place_for_a_file_of_that_name(program: Program, tmp_path: Path) -> None:
    for flags in ([], ["--overwrite"]):
        refused = program("init", tmp_path, *flags)
        assert refused.code == 2
        assert f"{tmp_path / 'study.yaml'}" in refused.err
    assert not any(tmp_path.iterdir())


def test_without_a_name_it_is_study_yaml(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program("init").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_it_is_written_for_a_model_and_its_tasks(program: Program, tmp_path: Path) -> None:
    """Every field but the asked ones stays, and so does every remark."""
    path = tmp_path / "studies" / "mine.yaml"
    path.parent.mkdir()
    mine = tmp_path / "mine.py"
    mine.write_text("")
    given = ("--model", "org/model: 3B", "--task", "okvqa", "lm_eval:arc_easy", "--task-file", mine)
    assert program("init", path, *given).code == 0
    content = read_study_file(path).content
    assert content.model.source == "org/model: 3B"
    assert content.tasks == ["okvqa", "lm_eval:arc_easy"]
    assert content.task_files == [mine]
    assert (content.num_samples, content.output) == (1000, None)
    assert content.search is not None
    assert content.search.joint
    example = EXAMPLE.read_text(encoding="utf-8").splitlines()
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = [one for one, other in zip(lines, example, strict=True) if one != other]
    assert len(changed) == 7
    assert [line for line in changed if line != line.rstrip()] == []
    assert all("#" in line for line in changed if "tasks:" not in line)


def test_a_model_folder_is_named_as_seen_from_the_file(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "studies").mkdir()
    for path in (Path("one.yaml"), Path("studies/two.yaml")):
        assert program("init", path, "--model", "model", "--minimal").code == 0
    assert yaml.safe_load(Path("one.yaml").read_text())["model"]["source"] == "model"
    assert yaml.safe_load(Path("studies/two.yaml").read_text())["model"]["source"] == "../model"
    # The tasks of the demo are not those of another model.
    refused = program("run", "one.yaml")
    assert refused.code == 2
    assert "tasks" in refused.err


def test_the_minimal_file_runs_too_and_its_fields_are_explained(
    program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    assert program("init", path, "--minimal", "--model", "demo", "--task", "demo_okvqa").code == 0
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 30
    fields = re.findall(r"^ *\w+:.*$", text, re.MULTILINE)
    assert [line for line in fields if "# " not in line] == ["model:", 'tasks: ["demo_okvqa"]']
    assert program("run", path, "--num-samples", 1).code == 0


def test_completion_knows_every_command_and_option(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert program("--install-completion").code == 0
    (script,) = (tmp_path / ".local").rglob("depthprune")
    text = script.read_text()
    for word in ("--beam-width", "--importance-scores-file", "summarize", "recommend"):
        assert word in text
