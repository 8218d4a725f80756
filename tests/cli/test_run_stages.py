"""A study file goes through to the end: what is recommended is timed, cut out, and answers."""

from __future__ import annotations

import json
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from depthprune.analysis.verified import VerifiedRemoval
from depthprune.base.errors import FileError
from depthprune.study import StudyStore
from tests.cli.program import Finished, Program

STUDY = """
model: {source: demo}
tasks: [demo_okvqa, demo_doc_qa]
num_samples: 2
output: study
search:
  joint: true
  beam_width: 1
  max_blocks_to_remove: 2
  min_coverage: 2
  protect: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
"""
ANALYZE = "analyze: {skip: [figures, latex, html]}\n"
SWEEP = "sweep: {latency_samples: 1, latency_tokens: 2, warmup: 0}\n"
STAGES = STUDY + ANALYZE


def study_file(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def ending(done: Finished) -> str:
    return done.out.partition("\nIn short\n")[2]


def value_of(done: Finished) -> dict[str, dict]:  # type: ignore[type-arg]
    assert done.code == 0, done.err
    return json.loads(done.out)  # type: ignore[no-any-return]


def test_a_run_goes_from_measuring_to_the_smaller_model_and_does_nothing_twice(
    program: Program, tmp_path: Path
) -> None:
    path = study_file(
        tmp_path,
        STUDY
        + "analyze: {skip: [figures]}\n"
        + SWEEP
        + "cut: {verify: true, removed: 2}\nevaluate:\n",
    )
    first = program("run", path)
    assert first.code == 0, first.err
    folder = tmp_path / "study"
    cut = next((folder / "cut").iterdir())
    end = " ".join(ending(first).split())
    rest = (f"All that was printed: {folder / 'summary.txt'}", f"Study: {folder / 'study.db'}")
    for words in ("Recommended: remove", "datasets 2/2", "n = 4", "times as fa", *rest):
        assert words in end
    assert "Cut = skipped: equal scores on all 4 samples of 2 tasks." in end
    assert (folder / "analysis" / "report.html").is_file()
    assert (folder / "sweep" / "sweep_summary.json").is_file()
    # What it says loads the model does load it.
    lines = ending(first).splitlines()
    code = "\n".join(
        line.strip() for line in lines if "from_pretrained" in line or "import" in line
    )
    names: dict[str, object] = {}
    exec(code, names)
    removed = json.loads((cut / "depthprune.json").read_text())["removed"]
    config = names["model"].config  # type: ignore[attr-defined]
    assert config.text_config.num_hidden_layers == 16 - len(removed)
    summary = (folder / "summary.txt").read_text()
    assert "In short" in summary
    written = {one: one.stat().st_mtime_ns for one in cut.iterdir()}

    again = program("run", path)
    assert again.code == 0, again.err
    assert again.out.count("Nothing was measured anew") == 3
    assert "holds this cut already" in again.out
    assert ending(again) == ending(first)
    assert (folder / "summary.txt").read_text() == summary
    assert {one: one.stat().st_mtime_ns for one in cut.iterdir()} == written

    value = value_of(program("run", path, "--json"))
    stages = ["search", "verify", "analyze", "sweep", "cut", "evaluate", "end"]
    assert list(value) == stages
    assert (
        value["sweep"]["timed"] == value["evaluate"]["measured"] == value["search"]["measured"] == 0
    )
    assert (value["cut"]["written"], value["cut"]["verified"]["agrees"]) == (False, True)
    assert value["end"]["removed"] == removed
    assert value["end"]["cut_equals_skipped"] is True

    chinese = program("run", path, "--lang", "zh")
    assert chinese.code == 0, chinese.err
    assert "小结" in chinese.out
    assert "In short" not in chinese.out


def test_the_number_of_blocks_to_cut_may_be_said(program: Program, tmp_path: Path) -> None:
    path = study_file(tmp_path, STAGES + "cut: {removed: 2, output: smaller}\n")
    value = value_of(program("run", path, "--json"))
    configs = json.loads(
        (tmp_path / "study" / "analysis" / "block_configs_for_core_exp.json").read_text()
    )
    assert value["cut"]["removed"] == configs["block_configs"]["14"]["removed_block_indices"]
    assert value["cut"]["output"] == str(tmp_path / "smaller")
    assert value["end"]["rule"] == "asked"
    # Another number does not fit this folder: that is said before anything is measured.
    path.write_text(path.read_text().replace("removed: 2", "removed: 1"))
    refused = program("run", path, "--output", tmp_path / "other")
    assert refused.code == 2
    assert "the output exists already" in refused.err
    assert "`overwrite: true`" in refused.err
    assert not (tmp_path / "other").exists()


def test_what_fresh_samples_do_not_confirm_is_told_and_not_cut_out(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study_file(
        tmp_path,
        "model: {source: demo}\ntasks: [demo_okvqa]\nsplits: train\nnum_samples: 50\n"
        "output: study\nsearch: {beam_width: 1, max_blocks_to_remove: 2, "
        "protect: [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15]}\n"
        "analyze: {skip: [figures, latex, html]}\ncut:\n",
    )
    monkeypatch.setattr(VerifiedRemoval, "keeps_to", lambda one, *_, **__: len(one.removal) < 2)
    done = program("run", path)
    assert done.code == 0, done.err
    end = " ".join(ending(done).split())
    assert "Recommended: remove 1 of 16 blocks" in end
    assert "Not confirmed: 4, 13: drop" in end
    assert "instead" in end
    (cut,) = (tmp_path / "study" / "cut").iterdir()
    assert len(json.loads((cut / "depthprune.json").read_text())["removed"]) == 1

    # None is left: the model is not cut at all, and what was measured is kept.
    monkeypatch.setattr(VerifiedRemoval, "keeps_to", lambda *_, **__: False)
    again = program("run", path, "--json")
    value = value_of(again)
    assert (value["search"]["measured"], value["end"]["removed"]) == (0, None)
    assert value["end"]["not_confirmed"][0] == [4, 13]
    assert "cut" not in value
    assert len(list((tmp_path / "study" / "cut").iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cut: {removed: 3}\n", ("no more than 2", "line 13, cut.removed")),
        ("cut: {max_shard_size: big}\n", ("'big' is not a size", "line 13, cut.max_shard_size")),
        ("cut: {output: .}\n", ("would take the place of the study", "line 13, cut.output")),
        ("sweep: {num_active_blocks: [13]}\n", ("13 active blocks", "from 14 to 16", "line 13")),
        (
            "cut:\nevaluate: {metrics: ppl, ppl_texts: nowhere}\n",
            ("nowhere", "line 14, evaluate.ppl_texts"),
        ),
        (
            "cut:\nevaluate: {tasks: [okvqaa]}\n",
            ("okvqaa", "line 14, evaluate.tasks"),
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    program: Program, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    done = program("run", study_file(tmp_path, STAGES + text))
    assert done.code == 2
    assert "Traceback" not in done.err
    for word in words:
        assert word in " ".join(done.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]


def test_a_full_disk_is_known_before_anything_is_measured(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("depthprune.cutting.execute.shutil.disk_usage", lambda _: usage(1000))
    done = program("run", study_file(tmp_path, STAGES + "cut:\n"))
    assert done.code == 2
    assert "are needed" in done.err
    assert not (tmp_path / "study").exists()


def test_an_error_in_a_late_stage_names_it_and_loses_nothing(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileError("the disk is gone", where="here", mend="buy another")

    path = study_file(tmp_path, STAGES + "cut: {removed: 2}\n")
    with monkeypatch.context() as patched:
        patched.setattr("depthprune.workflow.run_make.execute_cut", fail)
        failed = program("run", path)
    assert failed.code == 2
    told = " ".join(failed.err.split())
    for words in (
        "cut: the disk is gone",
        "where: here",
        "buy another",
        "what was measured is kep",
    ):
        assert words in told
    with StudyStore.open(tmp_path / "study", read_only=True) as study:
        assert len(study.measurements()) == 2 * 6  # the baseline, three blocks and two pairs
    assert (tmp_path / "study" / "analysis" / "pruning_recommendations.json").is_file()
    value = value_of(program("run", path, "--json"))
    assert value["search"]["measured"] == 0
    assert value["cut"]["written"] is True


def test_packages_that_are_missing_cost_their_part_alone(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("matplotlib", "jinja2")
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("depthprune.report.figures")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("matplotlib", "jinja2"):
        monkeypatch.setitem(sys.modules, name, None)
    done = program(
        "run", study_file(tmp_path, STUDY + "analyze:\n" + SWEEP + "cut: {removed: 1}\n")
    )
    assert done.code == 0, done.err
    assert "Not written: html. It needs jinja2" in done.out
    assert "Not written: figures. It needs matplotlib" in done.out
    assert "Not written: pareto_accuracy_latency.png. It needs matplotlib" in done.out
    assert "Report:" not in ending(done)
    assert "from_pretrained" in ending(done)


def test_where_nothing_is_ranked_nothing_is_cut(program: Program, tmp_path: Path) -> None:
    text = STUDY + "analyze: {min_drop: 1, skip: [figures, latex, html]}\n" + SWEEP + "cut:\n"
    done = program("run", study_file(tmp_path, text + "evaluate:\n"))
    assert done.code == 0, done.err
    assert "nothing: no removal is certain enough" in " ".join(ending(done).split())
    assert not (tmp_path / "study" / "cut").exists()


def test_too_few_samples_recommend_nothing_and_cut_nothing(
    program: Program, tmp_path: Path
) -> None:
    done = program("run", study_file(tmp_path, STAGES + "cut:\n"))
    assert done.code == 0, done.err
    assert "4 samples are too few to tell" in " ".join(done.out.split())
    assert "nothing: no removal is certain enough" in " ".join(ending(done).split())
    assert not (tmp_path / "study" / "cut").exists()


def test_exactly_what_this_run_measured_is_analysed(program: Program, tmp_path: Path) -> None:
    path = study_file(tmp_path, STAGES)
    assert program("run", path).code == 0
    value = value_of(program("run", path, "--num-samples", 1, "--json"))
    best = value["analyze"]["independent_best"]["1"]["best"]
    assert best["num_samples"] == 2  # one of each dataset
    assert value["analyze"]["problems"] == []


def test_a_cut_model_that_answers_otherwise_is_told_by_the_exit_code(
    program: Program, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = study_file(tmp_path, STAGES + "cut: {removed: 1}\nevaluate:\n")
    assert program("run", path).code == 0
    (weights,) = (tmp_path / "study" / "cut").rglob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: torch.zeros_like(one) for name, one in tensors.items()}, weights)
    done = program("run", path)
    assert done.code == 1
    assert "Cut and skipped DIFFER on" in " ".join(ending(done).split())


def test_a_profile_alone_may_be_carried_out(program: Program, tmp_path: Path) -> None:
    text = (
        STUDY.partition("search:")[0]
        + "profile: {splits: validation}\n"
        + ANALYZE
        + "cut: {removed: 1}\n"
    )
    value = value_of(program("run", study_file(tmp_path, text), "--json"))
    assert list(value) == ["profile", "verify", "analyze", "cut", "end"]
    assert len(value["cut"]["removed"]) == 1


def test_a_number_that_nothing_ranked_has_is_an_error_that_names_the_field(
    program: Program, tmp_path: Path
) -> None:
    text = STUDY + "analyze: {min_drop: 1}\ncut: {removed: 1}\n"
    done = program("run", study_file(tmp_path, text))
    assert done.code == 2
    told = " ".join(done.err.split())
    assert "analyze: no combination of 1 block is ranked" in told
    assert "line 13, cut.removed" in told


def test_metrics_of_the_smaller_model_are_measured_once(program: Program, tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("what is in the picture? a red circle. " * 4)
    card = "{metrics: ppl, ppl_texts: my.txt, tasks: demo_tally_qa, num_samples: 3}"
    text = STAGES + f"cut: {{removed: 1}}\nevaluate: {card}\n"
    path = study_file(tmp_path, text)
    first = value_of(program("run", path, "--json"))["evaluate"]["card"]
    assert first["ppl"]
    assert first["scores"]["demo_tally_qa"]["n"] == 3
    again = value_of(program("run", path, "--json"))["evaluate"]["card"]
    assert again["ppl"] == first["ppl"]
