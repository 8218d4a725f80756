"""`depthprune cut`: which blocks, the plan, what lies beside the weights, mistakes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import depthprune
from depthprune.study import ModelRecord, SplitRecord, StudyStore
from depthprune.tasks.demo import MODEL_PATH
from tests.cli.program import Program

REMOVED = (4, 13)


def config(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return value


def record(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "depthprune.json").read_text())
    return value


def test_a_cut_of_the_demo_model_loads_without_depthprune_and_answers_as_skipping_does(
    program: Program, tmp_path: Path
) -> None:
    done = program("cut", "demo", "--remove", "4,13", "--output", tmp_path / "smaller")
    assert done.code == 0, done.err
    place = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    python = [sys.executable, "-P", str(tmp_path / "answer.py")]
    (tmp_path / "answer.py").write_text(ANSWER)
    given = questions()
    alone = subprocess.run(
        [*python, str(tmp_path / "smaller")], input=json.dumps(given), capture_output=True,
        text=True, env=place, cwd=tmp_path,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert json.loads(alone.stdout) == answers_while_skipping(given)


ANSWER = """
import json, sys
from pathlib import Path
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from PIL import Image

def answer(model, processor, questions):
    said = []
    for path, text in questions:
        content = [{"type": "image", "image": Image.open(path)}, {"type": "text", "text": text}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True,
            return_dict=True, return_tensors="pt",
        )
        tokens = model.generate(**inputs, max_new_tokens=8, do_sample=False)
        said.append(tokens[0].tolist())
    return said

if __name__ == "__main__":
    sys.modules["depthprune"] = None  # as where it is not installed: importing it fails
    try:
        import depthprune
        raise SystemExit("depthprune can be imported")
    except ModuleNotFoundError:
        pass
    torch.set_num_threads(1)
    model, report = AutoModelForImageTextToText.from_pretrained(
        sys.argv[1], dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values()), report
    processor = AutoProcessor.from_pretrained(sys.argv[1])
    print(json.dumps(answer(model.eval(), processor, json.load(sys.stdin))))
"""


def questions() -> list[tuple[str, str]]:
    """Draw a few pictures of each demo dataset, with their questions."""
    import tempfile

    from depthprune.tasks import get_task, load_split, render_prompt
    from depthprune.tasks.demo import NAMES

    folder = Path(tempfile.mkdtemp())
    found = []
    for name in NAMES:
        task = get_task(name)
        for number, sample in enumerate(load_split(task, "validation", 2).samples):
            path = folder / f"{name}-{number}.png"
            sample.images[0].open().save(path)
            found.append((str(path), render_prompt(task, sample)))
    return found


def answers_while_skipping(given: list[tuple[str, str]]) -> Any:
    from depthprune.blocks.models import load_model
    from depthprune.blocks.skipping import skip

    space: dict[str, Any] = {"__name__": "answer"}
    exec(ANSWER, space)
    loaded = load_model(MODEL_PATH, dtype="float32", device="cpu")
    with skip(loaded.model, REMOVED):
        return space["answer"](loaded.model, loaded.processor, given)


# --- which blocks --------------------------------------------------------------------------------


def removed(program: Program, *arguments: object) -> list[int]:
    """Return the blocks that a dry run says go."""
    done = program("cut", "demo", *arguments, "--dry-run", "--json")
    assert done.code == 0, done.err
    blocks: list[int] = json.loads(done.out)["removed"]
    return blocks


@pytest.mark.parametrize("given", [["4,13"], ["13,4"], ["4", "13"], ["[4, 13]"]])
def test_blocks_are_named(program: Program, given: list[str]) -> None:
    assert removed(program, "--remove", *given) == [4, 13]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({str(block): (block * 7) % 16 for block in range(16)}))
    return path


def test_blocks_are_chosen_by_scores(program: Program, scores: Path) -> None:
    arguments = ["--num_active_blocks", 14, "--importance_scores_file", scores]
    assert removed(program, *arguments) == [7, 14]
    assert removed(program, *arguments, "--protect", "none") == [0, 7]


def test_blocks_are_those_of_a_recommendation(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "configs.json"
    configs = {
        "15": {"removed_block_indices": [4]},
        "14": {"removed_block_indices": [2, 7]},
    }
    path.write_text(json.dumps({"block_configs": configs}))
    assert removed(program, "--recommendation", path, "--removed", 2) == [2, 7]
    done = program("cut", "demo", "--recommendation", path, "--dry-run")
    assert done.code == 2
    assert "1, 2" in done.err


RECOMMENDED: dict[str, object] = {
    "num_blocks": 16,
    "recommended": {"rule": "conservative", "removed_blocks": [4, 13]},
    "strategies": {
        "conservative": [{"removed_blocks": [4]}, {"removed_blocks": [4, 13]}],
        "balanced": [{"removed_blocks": [2, 4, 7]}],
        "aggressive": [{"removed_blocks": [2, 4, 13, 14]}, {"removed_blocks": [3, 4, 13, 14]}],
    },
    "stepwise": {"steps": [{"removed_blocks": [4]}, {"removed_blocks": [4, 13]}]},
    "levels": {"conservative": {"max_drop_point": 0.01}},
    "robust_best": {"3": {"best": {"removed_blocks": [2, 7, 9]}}},
    "independent_best": {"5": {"best": {"removed_blocks": [1, 2, 3, 4, 5]}}, "6": {"best": None}},
}


@pytest.mark.parametrize(
    ("options", "blocks"),
    [
        ((), [4, 13]),
        (("--removed", 1), [4]),
        (("--removed", 3), [2, 4, 7]),
        (("--removed", 4), [3, 4, 13, 14]),
        (("--removed", 5), [1, 2, 3, 4, 5]),
    ],
)
def test_pruning_recommendations_are_one_too(
    program: Program, tmp_path: Path, options: tuple[object, ...], blocks: list[int]
) -> None:
    path = tmp_path / "pruning_recommendations.json"
    path.write_text(json.dumps(RECOMMENDED))
    assert removed(program, "--recommendation", path, *options) == blocks
    unmarked = {name: one for name, one in RECOMMENDED.items() if name != "recommended"}
    path.write_text(json.dumps(unmarked))
    assert removed(program, "--recommendation", path, *options) == blocks


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"recommended": None}, (), "nothing is recommended"),
        ({"recommended": None, "weak_baselines": [{"reason": "all empty"}]}, (), "all empty"),
        ({}, ("--removed", 7), "recommendations for 1, 2, 3, 4, 5"),
        ({"num_blocks": 12}, (), "chosen out of 12, but the model has 16"),
        ({"recommended": {"removed_blocks": "4"}}, (), "recommended.removed_blocks"),
        ({"recommended": {"removed_blocks": [1, 1]}}, (), "named twice"),
    ],
)
def test_pruning_recommendations_that_do_not_tell_are_refused(
    program: Program,
    tmp_path: Path,
    changes: dict[str, object],
    options: tuple[object, ...],
    message: str,
) -> None:
    path = tmp_path / "pruning_recommendations.json"
    path.write_text(json.dumps(RECOMMENDED | changes))
    done = program("cut", "demo", "--recommendation", path, *options, "--dry-run")
    assert done.code == 2
    assert message in done.err


def test_without_a_number_the_conservative_list_of_an_analysis_goes(
    program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "block_configs_for_core_exp.json"
    configs = {str(n): {"removed_block_indices": list(range(16 - n))} for n in (15, 14, 13)}
    levels = {"conservative": {"removed_block_indices": [4, 13]}, "balanced": None}
    path.write_text(json.dumps({"num_blocks": 16, "block_configs": configs, "levels": levels}))
    assert removed(program, "--recommendation", path) == [4, 13]
    assert removed(program, "--recommendation", path, "--removed", 3) == [0, 1, 2]


def test_what_select_writes_is_a_recommendation(
    program: Program, scores: Path, tmp_path: Path
) -> None:
    path = tmp_path / "selection.json"
    program("select", "--importance_scores_file", scores, "--num_active_blocks", 13,
            "--output_file", path)  # fmt: skip
    assert removed(program, "--recommendation", path) == [5, 7, 14]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "given: none"),
        (["--remove", "4", "--num_active_blocks", "14"], "one way"),
        (["--remove", "4", "--recommendation", "x.json"], "one way"),
        (["--num_active_blocks", "14"], "belong together"),
        (["--importance_scores_file", "x.json"], "belong together"),
        (["--remove", "4", "--removed", "1"], "--removed says nothing"),
        (["--remove", "4", "--protect", "1"], "--protect says nothing"),
        (["--remove", "four"], "not a removal"),
        (["--remove", "4-"], "write block indices such as 4,13"),
        (["--remove", "16"], "does not exist"),
        (["--remove", "none"], "no block is to go"),
        (["--remove", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"], "leaves no model"),
        (["--recommendation", "missing.json"], "no such file"),
        (["--remove", "4", "--max_shard_size", "huge"], "not a size"),
        (["--remove", "4", "--stack", "audio"], "no stack for part"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_end_with_code_2_and_write_nothing(
    program: Program, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = program("cut", "demo", *arguments, "--output", tmp_path / "out")
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"block_configs": {}}',
        '{"block_configs": {"14": {}}}',
        '{"block_configs": {"14": {"removed_block_indices": [1, 1]}}}',
        '{"block_configs": {"14": {"removed_block_indices": "4,13"}}}',
        '{"block_configs": {"30": {"removed_block_indices": [4, 13]}}}',
        "{",
    ],
)
def test_recommendations_that_are_none(program: Program, content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    done = program("cut", "demo", "--recommendation", path, "--dry-run")
    assert done.code == 2
    assert "Traceback" not in done.err


def test_scores_of_another_model_are_refused(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({str(block): block for block in range(12)}))
    done = program("cut", "demo", "--num_active_blocks", 10, "--importance_scores_file", path,
                   "--dry-run")  # fmt: skip
    assert done.code == 2
    assert "chosen out of 12, but the model has 16" in done.err


def test_an_output_is_needed(program: Program) -> None:
    done = program("cut", "demo", "--remove", "4")
    assert done.code == 2
    assert "--output" in done.err


# --- what is shown and written -------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_and_writes_nothing(program: Program, tmp_path: Path) -> None:
    done = program("cut", "demo", "--remove", "4,13", "--output", tmp_path / "out", "--dry-run")
    assert done.code == 0
    for text in (
        "removed: blocks 4 and 13",
        "14 blocks stay",
        "num_hidden_layers",
        "disk needed",
        "tokenizer",
    ):
        assert text in done.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("written", "named"),
    [("4-13", "blocks 4 and 13;"), ("4", "block 4;"), ("13,4,9", "blocks 4, 9 and 13;")],
)
def test_the_plan_names_the_blocks_in_words(program: Program, written: str, named: str) -> None:
    done = program("cut", "demo", "--remove", written, "--dry-run")
    assert f"removed: {named}" in done.out


def test_no_control_character_of_a_name_reaches_the_terminal_or_the_card(
    program: Program, tmp_path: Path
) -> None:
    steering = "\x1b[2J\u202eevil\x07"
    source = tmp_path / f"model{steering}"
    shutil.copytree(MODEL_PATH, source)
    (source / f"file{steering}.json").write_text("{}")
    (source / f".{steering}").write_text("x")
    content = config(source) | {f"kind{steering}": steering}
    (source / "config.json").write_text(json.dumps(content))
    out = tmp_path / f"out{steering}"
    done = program("cut", source, "--remove", "4", "--output", out)
    assert done.code == 0, done.err
    refused = program("cut", source, "--remove", "4", "--output", out)
    assert refused.code == 2
    shown = program("inspect", source)
    for text in (done.out, done.err, refused.err, shown.out, (out / "README.md").read_text()):
        assert all(letter == "\n" or letter.isprintable() for letter in text), text
    assert r"model\x1b[2J\u202eevil" in done.out


def test_a_field_that_nobody_knows_is_refused_by_name_and_then_set(
    program: Program, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(MODEL_PATH, whole)
    said = config(whole)
    said["text_config"]["special_layers"] = [1, 3]
    (whole / "config.json").write_text(json.dumps(said))
    asked = ("cut", whole, "--remove", "2", "--output", tmp_path / "smaller")

    refused = program(*asked)
    assert refused.code == 2
    assert "special_layers" in refused.err
    assert "--set" in refused.err
    assert not (tmp_path / "smaller").exists()

    name = "text_config.special_layers"
    for wrong in (name, f"{name}=[1", "=[1, 2]"):
        done = program(*asked, "--set", wrong)
        assert done.code == 2
        assert f"{wrong!r} is not FIELD=JSON" in done.err

    done = program(*asked, "--set", f"{name}=[1, 2]")
    assert done.code == 0, done.err
    assert config(tmp_path / "smaller")["text_config"]["special_layers"] == [1, 2]
    assert record(tmp_path / "smaller")["removed"] == [2]


def test_a_dry_run_says_what_would_be_refused(program: Program) -> None:
    done = program("cut", "demo", "--remove", "4", "--output", MODEL_PATH / "x", "--dry-run")
    assert done.code == 2
    assert "inside the source" in done.err


def test_the_plan_in_chinese(program: Program) -> None:
    done = program("cut", "demo", "--remove", "4,13", "--dry-run", "--lang", "zh")
    assert "移除：块 4、13" in done.out


def test_everything_a_user_needs_lies_beside_the_weights(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program("cut", "demo", "--remove", "4,13", "--output", out).code == 0
    source = {path.name for path in MODEL_PATH.iterdir()} - {"README.md"}
    assert {path.name for path in out.iterdir()} == source | {"README.md", "depthprune.json"}
    for name in ("tokenizer.json", "generation_config.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (MODEL_PATH / name).read_bytes()
    assert config(out)["text_config"]["num_hidden_layers"] == 14


def test_the_record_says_what_was_made_of_what(program: Program, tmp_path: Path) -> None:
    from depthprune.checkpoint.fingerprint import model_fingerprint

    program("cut", "demo", "--remove", "4,13", "--output", tmp_path / "out")
    told = record(tmp_path / "out")
    assert told["source"]["fingerprint"] == model_fingerprint(MODEL_PATH)
    assert told["fingerprint"] == model_fingerprint(tmp_path / "out")
    assert told["versions"]["depthprune"] == depthprune.__version__
    assert told["removed"] == [4, 13]
    assert told["original_indices"] == [block for block in range(16) if block not in REMOVED]
    assert told["command"] == "depthprune cut demo --remove 4,13 --output out"


def test_the_card_says_what_was_removed_how_to_load_and_how_to_make_it(
    program: Program, tmp_path: Path
) -> None:
    program("cut", "demo", "--remove", "4,13", "--output", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "demo without blocks 4, 13 of its 16 transformer blocks" in card
    assert "AutoModelForImageTextToText.from_pretrained" in card
    assert "depthprune cut demo --remove 4,13 --output out" in card
    assert "was not measured" in card


def study(folder: Path, fingerprint: str) -> Path:
    """Measure the removal on one dataset."""
    model = ModelRecord("demo", fingerprint, "LlavaForConditionalGeneration", 16, "layers")
    with StudyStore.open(folder, model=model) as opened:
        split = SplitRecord("okvqa", "VQA", "validation", "f" * 64, ("a", "b"), "vqa_accuracy")
        key = opened.add_split(split)
        opened.add(key, "settings", (), [1.0, 1.0], ["x", "y"], 1.0)
        opened.add(key, "settings", REMOVED, [1.0, 0.5], ["x", "z"], 1.0)
    return folder


def test_the_card_states_the_measured_drops(program: Program, tmp_path: Path) -> None:
    from depthprune.checkpoint.fingerprint import model_fingerprint

    place = study(tmp_path / "study", model_fingerprint(MODEL_PATH))
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    program("cut", "demo", "--remove", "4,13", "--study", place, "--output", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| okvqa | validation | 2 | 100.00 | 75.00 | 25.00 | - |" in card
    assert "On the samples that chose these blocks" in card
    assert "They were not measured on fresh samples." in card
    assert {path: path.stat().st_mtime_ns for path in place.iterdir()} == before


def test_the_card_has_the_drops_on_fresh_samples_first(program: Program, tmp_path: Path) -> None:
    from depthprune.checkpoint.fingerprint import model_fingerprint

    place = study(tmp_path / "study", model_fingerprint(MODEL_PATH))
    with StudyStore.open(place) as opened:
        ids = tuple(f"fresh-{number}" for number in range(60))
        split = SplitRecord("okvqa", "VQA", "train", "e" * 64, ids, "vqa_accuracy")
        key = opened.add_split(replace(split, role="verification"))
        opened.add(key, "settings", (), [1.0] * 60, ["x"] * 60, 1.0)
        opened.add(key, "settings", REMOVED, [0.0] * 6 + [1.0] * 54, ["z"] * 60, 1.0)
    program("cut", "demo", "--remove", "4,13", "--study", place, "--output", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    fresh, chosen = card.index("On fresh samples, which"), card.index("On the samples that chose")
    rows = card[fresh:chosen].split("|--:|\n")[1].splitlines()
    assert rows[0].startswith("| mean over 1 of 1 dataset |  | 60 | 100.00 | 90.00 | 10.00 | [")
    assert rows[1].startswith("| okvqa | train | 60 | 100.00 | 90.00 | 10.00 | [")
    assert "| okvqa | validation | 2 |" in card[chosen:]
    assert "not measured on fresh samples" not in card


def test_a_study_that_did_not_measure_the_removal_is_told(program: Program, tmp_path: Path) -> None:
    from depthprune.checkpoint.fingerprint import model_fingerprint

    place = study(tmp_path / "study", model_fingerprint(MODEL_PATH))
    done = program("cut", "demo", "--remove", "4", "--study", place, "--dry-run")
    assert "has not measured this removal" in done.out


def test_a_study_of_another_model_is_refused(program: Program, tmp_path: Path) -> None:
    place = study(tmp_path / "study", "0" * 64)
    done = program("cut", "demo", "--remove", "4,13", "--study", place, "--dry-run")
    assert done.code == 2
    assert "another model" in done.err


def test_the_same_removal_for_other_tools(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program("cut", "demo", "--remove", "4,13", "--also", "mergekit", "llama.cpp", "--output", out)
    assert (out / "llama.cpp.txt").read_text() == "--prune-layers 4,13\n"
    told = yaml.safe_load((out / "mergekit.yaml").read_text())
    ranges = [one["sources"][0]["layer_range"] for one in told["slices"]]
    assert ranges == [[0, 4], [5, 13], [14, 16]]
    assert told["merge_method"] == "passthrough"


def test_verify_compares_skipping_with_cutting(program: Program, tmp_path: Path) -> None:
    done = program("cut", "demo", "--remove", "4,13", "--output", tmp_path / "out", "--verify")
    assert done.code == 0, done.err
    assert "Verified: skipping and cutting agree" in done.out
    assert "with a picture" in done.out


def test_verify_finds_a_difference(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthprune.cutting import verify

    monkeypatch.setattr(verify, "TOLERANCE", -1.0)
    done = program(
        "cut", "demo", "--remove", "4", "--output", tmp_path / "out", "--verify", "--json"
    )
    assert done.code == 1
    assert json.loads(done.out)["verified"]["agrees"] is False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_copying_needs_neither_torch_nor_much_memory(tmp_path: Path) -> None:
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from depthprune.cli.app import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "heavy = [name for name in ('torch', 'transformers', 'numpy') if name in sys.modules]\n"
        # Not getrusage: its peak is that of the process that this one was forked from.
        "peak = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())\n"
        "print(heavy, int(peak[1]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "cut", str(MODEL_PATH), "--remove", "4,13", "--output",
         str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    heavy, _, megabytes = done.stdout.splitlines()[-1].rpartition(" ")
    assert heavy == "[]"
    assert int(megabytes) < 60


def test_what_cannot_be_verified_is_not_written(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "whole"
    source.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(MODEL_PATH / name, source)
    out = tmp_path / "smaller"
    done = program("cut", source, "--remove", "4", "--output", out, "--verify")
    assert done.code == 2
    assert "no usable" in done.err
    assert not out.exists()


def test_an_interruption_says_what_is_there(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthprune.cutting import execute

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "write_shards", stop)
    done = program("cut", "demo", "--remove", "4", "--output", tmp_path / "out")
    assert done.code == 130
    assert "was not written" in done.err
    assert not list(tmp_path.iterdir())
