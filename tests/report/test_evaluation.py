"""What an evaluation looks like on a terminal, and several in markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.language import Lang, language
from depthprune.benchmark.compare import compare_evaluations, read_evaluation
from depthprune.report.formatting import as_text
from depthprune.report.render.markdown import section_lines
from depthprune.report.render.text import section_parts
from depthprune.report.sections.evaluation import (
    comparison_section,
    error_lines,
    evaluation_sections,
    ratio_text,
)
from tests.benchmark.cards import card, old_card


def markdown(tmp_path: Path, *contents: Any, lang: Lang = "en") -> str:
    paths = [tmp_path / f"{place}.json" for place in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    with language(lang):
        section = comparison_section(compare_evaluations([read_evaluation(p) for p in paths]))
    lines = section_lines(section)
    return "\n".join(lines[next(n for n, line in enumerate(lines) if line.startswith("|")) :])


def shown(content: Any) -> str:
    return as_text([part for one in evaluation_sections(content) for part in section_parts(one)])


def test_every_part_is_shown() -> None:
    text = shown(card(parameters=8_030_261_248))
    assert "tiny: 16 blocks, 8.03 B parameters, float32" in text
    assert "embedding 100, attention 8.03 B" in text
    assert "mlp" not in text
    assert text.split("wikitext2")[1].split()[:4] == ["2048", "512", "1000", "10.000"]
    assert text.split("piqa")[1].split()[:4] == ["acc", "75.00", "1.00", "100"]
    assert "average of 2" in text
    assert "64 + 128" in text
    assert "peak on GPUs" in text


def test_what_was_not_measured_is_not_shown() -> None:
    little = card(removed=[4, 13], accuracies={}) | {"ppl": {}, "speed": {}, "memory": {}}
    text = shown(little)
    assert "tiny: 14 of 16 blocks (without 4, 13), 1.00 k parameters, float32" in text
    assert text.count("==") == 2


def test_unknown_numbers_and_bounded_windows() -> None:
    content = card(ppl=None, window=256, peak=None)
    content["zeroshot"]["tasks"]["piqa"] |= {"metric": None, "accuracy": None, "stderr": None}
    text = shown(content)
    assert "256 (2048)" in text
    assert text.split("wikitext2")[1].split()[4] == "-"
    assert text.split("piqa")[1].split()[:3] == ["-", "-", "-"]


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
def test_failures_are_told_with_their_part(lang: Lang) -> None:
    (line,) = error_lines({"ppl.ptb": "not here"})
    assert "ppl.ptb" in line
    assert "not here" in line


def test_the_comparison_is_a_table_in_markdown(tmp_path: Path) -> None:
    smaller = card(removed=[4], parameters=800, ppl=12.5, accuracies={"piqa": 0.5}, speed=150.0)
    lines = markdown(tmp_path, card(), smaller).splitlines()
    assert lines[:2] == ["|  | tiny | tiny without 4 |", "|---|--:|--:|"]
    assert "| parameters | 1.00 k | 800 (x0.80) |" in lines
    assert "| active blocks | 16 | 15 (x0.94) |" in lines
    assert "| perplexity, wikitext2 (2048/512) | 10.000 | 12.500 (+2.50) |" in lines
    assert "| piqa % | 75.00 | 50.00 (-25.00) |" in lines
    assert "| boolq % | 75.00 | - |" in lines
    assert "| average of the 1 task that all have, % | 75.00 | 50.00 (-25.00) |" in lines
    assert "| tokens/s, batch 1 | 100.00 | 150.00 (x1.50) |" in lines
    assert lines[-1].startswith("- In brackets: ")
    assert {line.count("|") for line in lines if line.startswith("|")} == {4}


def test_two_models_of_one_name_are_told_by_their_files(tmp_path: Path) -> None:
    heading = markdown(tmp_path, card(), card()).splitlines()[0]
    assert heading == f"|  | tiny ({tmp_path / '0.json'}) | tiny ({tmp_path / '1.json'}) |"


def test_what_was_measured_differently_is_marked(tmp_path: Path) -> None:
    text = markdown(tmp_path, card(), card(window=1024))
    assert "| perplexity, wikitext2 (2048/512, 1024/512) * |" in text
    assert "not comparable" in text


def test_a_large_perplexity_and_a_bar_in_a_name(tmp_path: Path) -> None:
    odd = card(ppl=123456.0)
    odd["model_info"]["name"] = "a|b"
    text = markdown(tmp_path, card(), odd)
    assert "1.23e+05 (+123446.00)" in text
    assert "a\\|b" in text


def test_old_files_stand_beside_ours_in_chinese(tmp_path: Path) -> None:
    text = markdown(tmp_path, old_card(), card(), lang="zh")
    assert "| 困惑度，wikitext2（2048/512） | 39.870 | 10.000 (-29.87) |" in text
    assert "| 内存峰值 | 3.15 MB | - |" in text


def test_what_can_be_no_measurement_is_told_below_the_table(tmp_path: Path) -> None:
    old = old_card()
    old["metrics"]["zeroshot"]["piqa"] = {"accuracy": 71.93}
    lines = markdown(tmp_path, card(), old).splitlines()
    assert lines[-1] == f"- {tmp_path / '1.json'}, accuracy piqa: 71.93 can be no measurement"
    assert "| piqa % | 75.00 | - |" in lines


def test_a_perplexity_whose_window_no_file_states_has_a_row_of_its_own(tmp_path: Path) -> None:
    old = old_card()
    del old["metrics"]["ppl_quick_128"], old["metrics"]["ppl_standard_2048_512"]
    text = markdown(tmp_path, card(), old)
    assert "| perplexity, wikitext2 (2048/512) | 10.000 | - |" in text
    assert "| perplexity, wikitext2 (window not stated) | - | 39.870 |" in text


def test_a_ratio_that_cannot_be_told_from_one_is_not_told() -> None:
    assert ratio_text(1.21, (1.1, 1.3)) == "x1.21 [1.10, 1.30]"
    assert ratio_text(1.21, (0.9, 1.5)) == "not separable"
    assert ratio_text(1.21, None) == "x1.21"


def test_ratios_of_files_with_repeats_have_intervals(tmp_path: Path) -> None:
    slow, fast, alike = card(), card(removed=[4]), card(removed=[5])
    for content, seconds in ((slow, [2.0, 2.1, 2.0]), (fast, [1.0, 1.05, 1.0]), (alike, [2, 3, 1])):
        content["speed"]["batch_size_1"]["seconds"] = seconds
    text = markdown(tmp_path, slow, fast, alike)
    row = next(line for line in text.splitlines() if "tokens/s, batch 1" in line)
    assert "not separable" in row
    assert row.count(r"\[") == 1
    assert "each file was timed by itself" in text


def test_scores_of_tasks_stand_beside_the_rest(tmp_path: Path) -> None:
    entry = {"task": "okvqa", "split": "validation", "metric": "vqa_accuracy", "n": 5}
    entry |= {"accuracy": 0.5, "stderr": 0.2, "task_fingerprint": "f"}
    before, after = card(), card(removed=[4])
    before["scores"] = {"okvqa": entry}
    after["scores"] = {"okvqa": entry | {"accuracy": 0.25}}
    assert "vqa_accuracy" in shown(before)
    assert "| okvqa, score % | 50.00 | 25.00 (-25.00) |" in markdown(tmp_path, before, after)


def test_of_the_memory_of_a_process_nothing_is_told() -> None:
    content = card()
    content["memory"]["batch_size_1"]["peak_of"] = "resident set of the process"
    assert "peak" not in shown(content)
