"""`benchmarks/real/rules.py`: rules choose on one half, the other half judges, nothing twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parents[2] / "benchmarks" / "real"
BLOCKS = 10
HARMLESS = (1, 3, 4, 6)
"""Blocks that cost little; every other one turns answers wrong."""


class Walk:
    """Answers as a model would whose blocks cost what is said above; counts what it measured."""

    measured = 0

    def losses(self, rows: Sequence[dict[str, Any]], removals: Sequence[Any]) -> dict[Any, Any]:
        Walk.measured += len(removals)
        found = {}
        for removal in removals:
            cost = sum(0.05 + block / 1000 if block in HARMLESS else 0.4 for block in removal)
            options = np.full((len(rows), len(rows[0].get("choices", [0]))), 1.0)
            for place, row in enumerate(rows):
                # Some questions are harder than others.
                options[place, row.get("answer", 0)] = cost + place / len(rows) / 2
            found[removal] = options, None
        return found


class Here:
    """A pool of processes that computes at once, in this one."""

    def __init__(self, *given: Any, **options: Any) -> None: ...

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *given: object) -> None: ...

    def submit(self, work: Any, *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*given))
        return done


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module, which measures with the model above."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(HERE))
    import rules

    monkeypatch.setattr(rules, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(rules, "_walk", Walk())
    monkeypatch.setattr(Walk, "measured", 0)
    yield rules
    for name in ("rules", "proxies", "objectives", "tasks"):
        sys.modules.pop(name, None)


@pytest.fixture
def real(rules: Any, tmp_path: Path) -> Path:
    """Return a folder as `build.py` writes it, with what the proxies said."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"num_hidden_layers": BLOCKS}))
    for half in ("train", "validation"):
        for task in (*rules.TASKS, rules.TEXTS):
            row = {"text": "one"} if task == rules.TEXTS else {"choices": [*"abcd"], "answer": 2}
            path = tmp_path / "data" / task / f"{half}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{json.dumps(row)}\n" * 20)
    (tmp_path / "rules").mkdir()
    for name in rules.scored.__globals__["PROXIES"]:
        scores = [[[block, float(block)] for block in range(BLOCKS)], []]
        kept = json.dumps([[scores] * 3, 1.0])
        (tmp_path / "rules" / f"proxy-{name}-4.json").write_text(kept)
    return tmp_path


def run(rules: Any, real: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    sizes = ("--samples", "4", "--held-out", "20")
    monkeypatch.setattr(sys, "argv", ["rules.py", str(real), *sizes, *options])
    rules.main()


def table(printed: str, number: int) -> dict[str, list[str]]:
    """Return the cells of the last table of so many blocks, by rule."""
    part = printed.rsplit(f"{number} blocks removed", 1)[1].split("blocks removed")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if " | " in line]
    return {row[0]: row[1:] for row in rows[1:]}


def test_searches_find_what_rules_of_thumb_miss(
    rules: Any,
    real: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(rules, real, monkeypatch)
    found = table(capsys.readouterr().out, 4)
    for name in (rules.OURS, "greedy, by loss", "greedy, by perplexity (SLEB)"):
        assert found[name][0] == "1-3-4-6"
    assert found["first n"][0] == "0-1-2-3"
    assert found["block influence"][0] == "0-1-2-3"
    whole, last = float(found[rules.OURS][1]), float(found["last n"][1])
    assert whole == 100 and last < whole
    assert found["last n"][2].startswith(f"+{whole - last:.1f} [+")


def test_what_is_kept_is_not_measured_again(
    rules: Any,
    real: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(rules, real, monkeypatch)
    first, measured = capsys.readouterr().out, Walk.measured
    run(rules, real, monkeypatch, "--kept")
    assert table(capsys.readouterr().out, 8) == table(first, 8)
    assert Walk.measured == measured > 0


def test_a_run_that_was_killed_while_it_wrote_goes_on(
    rules: Any,
    real: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(rules, real, monkeypatch)
    first, measured = capsys.readouterr().out, Walk.measured
    (held,) = (real / "rules").glob("validation-def*.jsonl")
    text = held.read_text()
    held.write_text(text[: len(text) // 2])
    run(rules, real, monkeypatch)
    assert table(capsys.readouterr().out, 8) == table(first, 8)
    assert Walk.measured > measured
    run(rules, real, monkeypatch, "--kept")
    assert table(capsys.readouterr().out, 8) == table(first, 8)


def test_a_rule_that_is_not_measured_is_left_out(
    rules: Any,
    real: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(rules, real, monkeypatch)
    (texts,) = (real / "rules").glob("train-prose*.jsonl")
    texts.unlink()
    capsys.readouterr()
    run(rules, real, monkeypatch, "--kept")
    found = table(capsys.readouterr().out, 2)
    assert "greedy, by perplexity (SLEB)" not in found
    assert rules.OURS in found


def test_a_task_no_better_than_guessing_does_not_judge(
    rules: Any,
    real: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"choices": [*"abcd"], "answer": n % 4} for n in range(20)]

    class Guesses(Walk):
        def losses(self, given: Any, removals: Any) -> dict[Any, Any]:
            found = super().losses(given, removals)
            if given[0].get("field") == "capitals":
                return {one: (np.tile([0.1, 1, 1, 1], (len(given), 1)), None) for one in removals}
            return found

    text = "".join(f"{json.dumps({**row, 'field': 'capitals'})}\n" for row in rows)
    (real / "data" / "capitals" / "validation.jsonl").write_text(text)
    monkeypatch.setattr(rules, "_walk", Guesses())
    run(rules, real, monkeypatch)
    printed = capsys.readouterr().out
    assert "left out: ['capitals']" in printed
    assert len(table(printed, 2)["first n"]) == 4 + 3 + 2
