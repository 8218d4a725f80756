"""`depthprune compare-methods`: models of equal size on the same samples, resumed, in one table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.report.figures.methods import accuracy_by_size
from depthprune.report.render.markdown import section_lines
from depthprune.report.sections.methods import methods_section
from depthprune.widths.methods import MethodOptions, MethodResult
from depthprune.workflow import methods as comparing
from tests.cli.program import Program

COMMAND = ("compare-methods", "demo", "--task", "demo_okvqa", "--num-samples", 8,
           "--calibration-samples", 8, "--widths", "uniform")  # fmt: skip


def test_models_are_made_scored_kept_and_not_made_again(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "methods"
    done = program(*COMMAND, "--methods", "magnitude", "--ratios", 0.2, "--output", output)
    assert done.code == 0, done.err
    held = json.loads((output / "methods.json").read_text())
    whole, pruned = held["results"]
    assert (whole["method"], whole["parameters"]) == ("whole", 1_638_432)
    assert (pruned["method"], pruned["widths"], pruned["parameters"]) == (
        *("magnitude", "uniform"),
        1_311_264,
    )
    assert 0 <= pruned["mean_accuracy"] <= 1
    assert sorted(path.name for path in output.iterdir()) == ["methods.json", "methods.png"]
    assert "magnitude uniform 0.2" in done.out

    wanted = []
    monkeypatch.setattr(comparing, "_make", lambda one, *_: wanted.append(one.name) or Path())
    monkeypatch.setattr(
        comparing, "_measured", lambda one, *_: replace(one, scores={"demo_okvqa": 0.5})
    )
    again = program(*COMMAND, "--methods", "shortgpt", "magnitude", "--ratios", 0.2,
                    "--output", output, "--json")  # fmt: skip
    assert wanted == ["shortgpt"]
    assert [one["method"] for one in json.loads(again.out)["results"]] == [
        *("whole", "shortgpt", "magnitude")
    ]
    other = program(*COMMAND, "--keep-at-least", 0.2, "--output", output)
    assert other.code == 2 and "another model, or with other settings" in " ".join(
        other.err.split()
    )


def test_what_cannot_be_made_is_told_and_the_others_are_kept(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = {"demo_okvqa": 0.5}

    def measured(one: MethodResult, *_: Any) -> MethodResult:
        return MethodResult(one.method, one.widths, one.ratio, 1000, scored, 16)

    monkeypatch.setattr(comparing, "_measured", measured)
    done = program(*COMMAND, "--methods", "magnitude", "--ratios", 0.0001, 0.2, "--output",
                   tmp_path / "m", "--lang", "zh")  # fmt: skip
    assert done.code == 1
    assert "未生成：magnitude uniform 0.0001" in done.out
    assert "magnitude uniform 0.2" in done.out and "完整模型" in done.out


def test_the_methods_never_read_samples_that_are_scored(program: Program, tmp_path: Path) -> None:
    done = program(*COMMAND, "--splits", "train", "--output", tmp_path / "m")
    assert done.code == 2 and "scored too" in done.err
    assert not (tmp_path / "m").exists()
    missing = program("compare-methods", "capable", "--output", tmp_path / "m")
    assert missing.code == 2 and "no task was named" in missing.err


@pytest.mark.parametrize(
    "options", [{"ratios": (0.2, 1.0)}, {"methods": ("wanda", "obs")}, {"methods": ("hgsp",)},
                {"ratios": ()}, {"methods": ("slicegpt",)}],
)  # fmt: skip
def test_options_that_make_no_comparison_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(DepthpruneError):
        MethodOptions(**options)


WHOLE = MethodResult("whole", "", 0.0, 100, {"a": 0.9, "b": 0.7}, 10, tokens_per_second=10.0)
DEPTH = MethodResult("shortgpt", "", 0.2, 80, {"a": 0.5, "b": 0.5}, 8, tokens_per_second=12.5)


def narrow(speed: float, score: float = 0.6) -> MethodResult:
    scores = {"a": score, "b": score}
    return MethodResult("wanda", "uniform", 0.2, 80, scores, 10, tokens_per_second=speed)


@pytest.mark.parametrize(("speed", "removed"), [(12.5, 2), (11.11, 1), (16.6, 4), (25.0, None),
                                                (9.0, None)])  # fmt: skip
def test_as_many_blocks_go_as_make_it_as_fast(speed: float, removed: int | None) -> None:
    # 100 ms whole, 80 ms with two blocks less: 10 ms a block.
    found = comparing._as_fast([WHOLE, DEPTH, narrow(speed)], 0.2)
    assert (found and found.removed) == removed


def test_without_a_difference_in_speed_nothing_is_as_fast() -> None:
    slow = MethodResult("shortgpt", "", 0.2, 80, {"a": 0.5}, 8, tokens_per_second=9.0)
    assert comparing._as_fast([WHOLE, slow, narrow(12.0)], 0.2) is None
    assert comparing._as_fast([WHOLE, DEPTH], 0.2) is None


def test_the_table_has_drops_sizes_and_speeds_and_the_figure_a_line_for_each_method() -> None:
    fast = MethodResult("shortgpt", "", 0.2, 70, {"a": 0.4, "b": 0.4}, 7, tokens_per_second=14.0,
                        as_fast_as="wanda uniform")  # fmt: skip
    results = [WHOLE, DEPTH, fast, narrow(14.0)]
    text = "\n".join(section_lines(methods_section(results, {})))
    assert "shortgpt 0.2, as fast as wanda uniform" in text
    assert "30.00" in text and "20.0" in text and "12.5" in text
    (axes,) = accuracy_by_size(results).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["wanda uniform"] == pytest.approx([80.0, 60.0])
    assert lines["shortgpt"] == pytest.approx([80.0, 50.0])
