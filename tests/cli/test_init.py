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
