"""What README and docs/ say is what the program has: links, commands, options, fields, defaults."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from cyclopts import App, CycloptsError
from pydantic import BaseModel

from depthprune.cli.app import app
from depthprune.workflow.study_file import StudyContent

ROOT = Path(__file__).parents[2]
NAMES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "BENCHMARKS.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]
MANUAL = [page for page in PAGES if page.name not in ("CHANGELOG.md", "api.md")]
"""Pages about today's program; the history names options as they were called."""

FOREIGN = {
    *("--help", "--version", "--verbose", "--quiet", "--debug", "--install-completion"),
    *("--depth", "--growth", "--walk", "--rounds", "--hidden", "--residual"),  # benchmarks
    *("--limit", "--apply-chat-template", "--system-instruction"),  # the harness
    "--prune-layers",  # NVIDIA's
}
"""Options of the program itself, and of other programs."""


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S):
        if language in languages:
            yield body


def commands(page: Path) -> list[str]:
    """Return the command lines of a page, each on one line, without its comment."""
    lines = "\n".join(blocks(page, "bash", "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("depthprune ")]


# --- links ---------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.M)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


# --- commands and options ------------------------------------------------------------------------


def parse(line: str) -> None:
    """Let the program parse a command line, and do nothing.

    Raises:
        CycloptsError: it would refuse it.
    """
    # A strategy in a file that the page makes first is read when it is parsed.
    line = re.sub(r"--strategy \S+\.py:\w+", "--strategy beam", line)
    tokens = shlex.split(line, comments=True)[1:]
    app.parse_args(tokens, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", MANUAL, ids=page_id)
def test_commands_are_understood(page: Path) -> None:
    refused = []
    for line in commands(page):
        try:
            parse(line)
        except CycloptsError as error:
            refused.append(f"{line}: {error}")
    assert not refused


def test_a_command_with_another_option_would_be_refused() -> None:
    with pytest.raises(CycloptsError):
        parse("depthprune search MODEL --task okvqa --beam-widht 3")


def all_options(program: App = app, name: str = "") -> dict[str, dict[str, Any]]:
    """Return by command and option what its default is."""
    found: dict[str, dict[str, Any]] = {}
    for word in program:
        if word.startswith("-"):
            continue
        command = program[word]
        if list(command) and any(not inner.startswith("-") for inner in command):
            found |= all_options(command, f"{name}{word} ")
            continue
        found[f"{name}{word}"] = {
            one: argument.field_info.default
            for argument in command.assemble_argument_collection()
            for one in argument.names
            if one.startswith("--")
        }
    return found


OPTIONS = all_options()


def spelled_names(text: str) -> set[str]:
    """Return the options that a page names, with dashes."""
    code = "\n".join(re.findall(r"`[^`\n]+`", without_code(text)))
    return {name.replace("_", "-") for name in re.findall(r"(?<![\w-])--[a-z][\w-]*\w", code)}


@pytest.mark.parametrize("page", MANUAL, ids=page_id)
def test_every_option_that_is_named_is_there(page: Path) -> None:
    known = {name for options in OPTIONS.values() for name in options} | FOREIGN
    assert spelled_names(page.read_text()) - known == set()


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_is_named(command: str) -> None:
    """By one of its names, in any page; those that switch something off go with the others."""
    text = "\n".join(page.read_text() for page in MANUAL)
    named = {name.replace("_", "-") for name in re.findall(r"--[a-z][\w-]*\w", text)}
    program: App = app
    for word in command.split():
        program = program[word]
    absent = [
        argument.names[0]
        for argument in program.assemble_argument_collection()
        if argument.names[0].startswith("--")
        and not named & set(argument.names)
        # What is given by its place is called MODEL, STUDY or FOLDER.
        and argument.index is None
    ]
    assert absent == []


# --- defaults ------------------------------------------------------------------------------------


def fields_of(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return the defaults of all fields of a study file, those of sections as `search.joint`."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if section:
            found |= fields_of(section, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.get_default(call_default_factory=True)
    return found


def test_defaults_of_the_study_file_are_as_it_says() -> None:
    """Numbers and words behind `default` in the comments of the example."""
    (example,) = [one for one in blocks(ROOT / "docs" / "study-file.md", "yaml") if "tasks:" in one]
    defaults, wrong, section, checked = fields_of(StudyContent), [], "", 0
    for line in example.splitlines():
        if top := re.match(r"(\w+):\s*(#|$)", line):
            section = f"{top[1]}."
        elif re.match(r"\w+:", line):
            section = ""
        said = re.match(r"\s*(\w+):.*?# .*?\bdefault (null|true|false|[\d.]+)\b", line)
        if not said:
            continue
        checked += 1
        real, written = defaults[section + said[1]], yaml.safe_load(said[2].rstrip("."))
        if real != written:
            wrong.append(f"{section}{said[1]}: {written} is written, {real} is the default")
    assert not wrong
    assert checked > 8


@pytest.mark.parametrize("page", MANUAL, ids=page_id)
def test_defaults_of_options_are_as_tables_say(page: Path) -> None:
    """Numbers in the column `default` of a table of options."""
    wrong = []
    for table in re.findall(r"^\| option[^\n]*\bdefault \|\n(?:\|.*\n)+", page.read_text(), re.M):
        rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
        place = next(n for n, cell in enumerate(rows[0]) if cell == "default")
        for row in rows[2:]:
            number = re.match(r"`?(-?\d+(?:\.\d+)?)`?(?:$|[ ,(])", row[place])
            for name in re.findall(r"--[\w-]+", row[0]) if number else ():
                defaults = {o[name] for o in OPTIONS.values() if name in o}
                if number and defaults and float(number[1]) not in defaults:
                    wrong.append(f"{name}: {row[place]}, not {defaults}")
    assert not wrong
