"""Every text that is printed has a Chinese one, and no catalogue holds what nobody prints."""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

import pytest
import yaml

import depthprune
from depthprune.base.language import (
    Note,
    catalogue,
    counted,
    current_language,
    language,
    set_language,
    t,
)
from depthprune.cutting.keys import NOTES
from depthprune.report.render.html import shown_texts
from depthprune.structure.align import DOUBTS
from depthprune.structure.notes import Sentence
from depthprune.tasks.weak import SENTENCES

PACKAGE = Path(depthprune.__file__).parent
CATALOGUES = sorted((PACKAGE / "base" / "zh").glob("*.yaml"))
PRINTING = sorted(
    path
    for place in ("base/progress.py", "report", "workflow", "cli")
    for path in ([PACKAGE / place] if place.endswith(".py") else (PACKAGE / place).rglob("*.py"))
)
PAGES = sorted(
    path for ending in ("html", "js") for path in (PACKAGE / "report").rglob(f"*.{ending}")
)


def texts_of(path: Path) -> set[str]:
    """Return the texts that a file gives to `t(...)`; in a module, each must be a literal."""
    if path.suffix != ".py":
        return set(shown_texts(path.read_text(encoding="utf-8")))
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t":
            (argument,) = node.args
            assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: no literal"
            found.add(argument.value)
    return found


@pytest.mark.parametrize("path", PRINTING + PAGES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_text_has_a_chinese_one(path: Path) -> None:
    assert texts_of(path) - catalogue().keys() == set()


EDGES = {"base", "cli", "workflow"}
"""Where a language may be asked for, and set."""


def test_no_function_below_the_edges_takes_a_language() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in EDGES:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.arg) and node.arg == "lang"), path


@pytest.mark.parametrize("path", PRINTING, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_text_is_translated_while_a_module_is_imported(path: Path) -> None:
    """It would keep the language of that moment."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    later = {id(inner) for node in functions for line in node.body for inner in ast.walk(line)}
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if called and node.func.id == "t":
            assert id(node) in later, f"{path}:{node.lineno}"


def test_every_reason_of_a_weak_baseline_has_a_chinese_text() -> None:
    assert set(SENTENCES.values()) <= catalogue().keys()


def test_every_note_on_a_cut_has_a_chinese_text() -> None:
    assert catalogue().keys() >= set(NOTES.values())


def test_every_note_on_parameters_has_a_chinese_text() -> None:
    assert set(Sentence) <= catalogue().keys()


def test_every_doubt_on_layers_has_a_chinese_text() -> None:
    assert set(DOUBTS.values()) <= catalogue().keys()


def test_nothing_is_translated_that_is_not_printed() -> None:
    printed = {*SENTENCES.values(), *NOTES.values(), *Sentence, *DOUBTS.values()}
    printed = printed.union(*map(texts_of, PRINTING + PAGES))
    assert catalogue().keys() - printed == set()


def test_no_text_is_translated_twice() -> None:
    keys = Counter(
        key for path in CATALOGUES for key in yaml.safe_load(path.read_text(encoding="utf-8"))
    )
    assert [key for key, number in keys.items() if number > 1] == []


def test_templates_keep_their_fields() -> None:
    for english, chinese in catalogue().items():
        fields = [
            sorted(
                name
                for _, name, form, _ in string.Formatter().parse(text)
                if name is not None and "|" not in (form or "")
            )
            for text in (english, chinese)
        ]
        assert fields[0] == fields[1], english


def test_every_word_for_a_number_fits_it() -> None:
    template = "{n} of {all} {all:dataset|datasets} {n:orders|order} the blocks alike"
    assert t(template, n=1, all=1) == "1 of 1 dataset orders the blocks alike"
    assert t(template, n=1, all="20") == "1 of 20 datasets orders the blocks alike"
    assert t(template, n=0, all=2) == "0 of 2 datasets order the blocks alike"
    assert str(Note("{n} {n:sample|samples}, {p:.1f}", n=1, p=0.25)) == "1 sample, 0.2"
    assert (counted(1, "entry", "entries"), counted(2000, "block")) == ("1 entry", "2,000 blocks")


COUNTED = (
    "answers|blocks|combinations|datasets|drops|files|figures|layers|measurements|models|"
    "parameters|removals|samples|tasks|tensors|tokens"
)


def test_no_text_has_one_form_of_a_word_behind_a_number() -> None:
    """What is counted may be one: `{n} {n:block|blocks}`; two sentences never count one thing."""
    never_one = {"{n} models lost", "of the {total} datasets only", "over {n} datasets: {weights}"}
    for english in catalogue():
        if not any(text in english for text in never_one):
            assert not re.search(rf"\{{\w+\}} (\w+ )?({COUNTED})\b", english), english


def test_english_is_the_default_and_an_unknown_text_stays() -> None:
    assert t("block") == "block"
    with language("zh"):
        assert t("block") == "块"
        assert t("no such text") == "no such text"


def test_a_language_ends_with_its_block_also_when_that_fails() -> None:
    with suppress(ZeroDivisionError), language("zh"):
        assert current_language() == "zh"
        with language("en"):
            assert t("block") == "block"
        assert t("block") == "块"
        _ = 1 / 0
    assert current_language() == "en"


def test_two_threads_speak_two_languages_and_a_context_is_handed_on() -> None:
    with ThreadPoolExecutor(1) as pool, language("zh"):
        assert pool.submit(t, "block").result() == "block"
        assert pool.submit(copy_context().run, t, "block").result() == "块"


def test_what_is_set_in_a_context_ends_with_it() -> None:
    copy_context().run(set_language, "zh")
    assert current_language() == "en"
