"""`depthprune prune` and `dp.prune`: the plan, the folder, and what is told of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import depthprune as dp
from depthprune.base.errors import DepthpruneError
from depthprune.cutting import shards
from depthprune.testing import tiny_models
from tests.cli.program import Program
from tests.widths.models import MODELS, save

FEW = ("--num-samples", "8")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save(MODELS["llama"](), tmp_path_factory.mktemp("model"))
    tiny_models.word_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "whole"))


def change_config(source: Path, **fields: Any) -> None:
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_dry_run_says_what_stays_and_writes_nothing(
    program: Program, source: Path, tmp_path: Path
) -> None:
    done = program("prune", source, "--method", "magnitude", "--dry-run", "--json")
    value = json.loads(done.out)
    assert [one["groups"] for one in value["widths"]] == [3, 3, 3]
    assert value["parameters_after"] >= 0.8 * value["parameters_before"]
    assert (value["written"], value["method"]) == (False, "magnitude")
    text = program("prune", source, "--method", "magnitude", "--dry-run").out
    assert "MLP channels of 40" in text and "Nothing was written" in text
    assert sorted(tmp_path.iterdir()) == [source]


def test_the_folder_says_how_it_was_made_and_which_units_stayed(
    program: Program, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "small"
    done = program("prune", source, "--method", "magnitude", "--keep-kv-heads", 2, "--ratio", 0.3,
               "--output", output, "--verify")  # fmt: skip
    assert done.code == 0, done.err
    assert "Verified: masking and pruning agree" in done.out
    record = json.loads((output / "depthprune.json").read_text())
    pruned = record["pruned"]
    assert (pruned["num_groups"], pruned["num_channels"]) == (3, 40)
    config = json.loads((output / "config.json").read_text())
    first = [int(end) for part in pruned["channels"][0].split(",") for end in part.split("-")]
    assert max(first) < 40
    assert config["num_key_value_heads"] == 2
    card = (output / "README.md").read_text()
    assert "2 of 3 attention groups" in card and "without block" not in card
    again = record["command"].replace("--output small", "--dry-run").split()[1:]
    assert "verify" not in record["command"]
    assert program(*again).code == 0
    assert AutoModelForCausalLM.from_pretrained(output).config.num_attention_heads == 4
    assert (output / "tokenizer.json").is_file()


def test_wanda_and_taylor_read_samples_of_the_demo_and_both_languages_tell_the_plan(
    program: Program,
    tmp_path: Path,
) -> None:
    for method in ("wanda", "taylor"):
        done = program("prune", "demo", "--method", method, "--task", "demo_okvqa", *FEW,
                   "--widths", "global", "--output", tmp_path / method, "--lang", "zh")  # fmt: skip
        assert done.code == 0, done.err
        assert "剪枝" in done.out
        assert "block" not in done.out.replace("block_widths", "")
        assert "modeling_widths.py" in {path.name for path in (tmp_path / method).iterdir()}
    model = dp.load_model(tmp_path / "wanda", trust_remote_code=True)
    with dp.skip(model.model, (12,)):
        pass
    assert model.num_blocks == 16


def test_the_function_takes_samples_and_returns_the_plan(tmp_path: Path) -> None:
    samples = dp.load_tasks("demo_okvqa", num_samples=8)
    report = dp.prune("demo", tmp_path / "small", calibration=samples, progress=False)
    assert report.folder == tmp_path / "small"
    assert report.plan.pruned is not None
    assert report.plan.pruned.parameters_after == dp.structure.analyze(report.folder).anatomy.total
    again = dp.prune("demo", calibration=samples, dry_run=True, progress=False)
    assert again.plan.pruned == report.plan.pruned


def test_a_disk_that_fills_up_leaves_nothing_behind(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "_write", full)
    with pytest.raises(DepthpruneError, match="No space left"):
        dp.prune(source, tmp_path / "small", method="magnitude", progress=False)
    assert sorted(tmp_path.iterdir()) == [source]


Refused = Callable[..., str]


@pytest.fixture
def refused(program: Program) -> Refused:
    def prune(source: Path | str, *options: str) -> str:
        done = program("prune", source, *options, "--dry-run")
        assert done.code == 2, done.out + done.err
        assert "Traceback" not in done.err
        return " ".join(done.err.split())

    return prune


def test_what_cannot_be_pruned_is_told(refused: Refused, source: Path) -> None:
    assert "which no class of transformers builds" in refused(source, "--method", "slicegpt")
    assert "choose one of" in refused(source, "--method", "sparsegpt")
    assert "--ratio must be" in refused(source, "--method", "magnitude", "--ratio", "nan")
    assert "no task was named" in refused(source, "--method", "wanda")
    assert "7 samples are too few" in refused("demo", "--num-samples", "7", "--task", "demo_okvqa")
    assert "only the blocks of the language model" in refused("demo", "--stack", "vision")
    magnitude = ("--method", "magnitude")
    change_config(source, quantization_config={"quant_method": "gptq", "bits": 4})
    assert "quantised" in refused(source, *magnitude)
    change_config(source, quantization_config=None, model_type="mamba")
    assert "'mamba'" in refused(source, *magnitude)
    change_config(source, model_type="llama", auto_map={"AutoModel": "x.Y"})
    assert "code of its own" in refused(source, *magnitude)
    change_config(source, auto_map=None, num_attention_heads=5)
    assert "5 heads" in refused(source, *magnitude)
    change_config(source, num_attention_heads=4)
    assert "by the weights these are 4, 2 and 12" in refused(source, *magnitude)


def test_weights_that_are_no_numbers_are_told(refused: Refused, source: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(source)
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = torch.nan
    save(model, source)
    assert "scores of block 1 are not finite" in refused(source, "--method", "magnitude")


def test_an_existing_folder_is_kept(program: Program, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "small"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    done = program("prune", source, "--method", "magnitude", "--output", output)
    assert done.code == 2
    assert [path.name for path in output.iterdir()] == ["mine.txt"]


def test_shortgpt_removes_as_many_whole_blocks_as_the_ratio_pays(
    program: Program, tmp_path: Path
) -> None:
    shortgpt = ("prune", "demo", "--method", "shortgpt", "--task", "demo_okvqa", *FEW)
    done = program(*shortgpt, "--output", tmp_path / "fewer")
    assert done.code == 0, done.err
    anatomy = dp.structure.analyze(tmp_path / "fewer").anatomy
    whole = dp.structure.analyze("demo").anatomy
    assert (whole.total, anatomy.total) == (1_638_432, 1_638_432 - 3 * 83_136)
    found = program("proxies", "demo", "--task", "demo_okvqa", *FEW, "--output", tmp_path / "study",
                    "--proxy", "block_influence", "--json")  # fmt: skip
    assert found.code == 0
    (path,) = (tmp_path / "study").rglob("block_influence.json")
    scores = json.loads(path.read_text())["importance_scores"]
    removed = json.loads((tmp_path / "fewer" / "depthprune.json").read_text())["removed"]
    assert removed == sorted(sorted(map(int, scores), key=lambda block: scores[str(block)])[:3])
    assert program(*shortgpt, "--dry-run", "--ratio", 0.01).code == 2
    assert program(*shortgpt, "--dry-run", "--widths", "global").code == 2


def test_hgsp_reads_the_drops_of_a_study_of_this_model(
    program: Program, source: Path, tmp_path: Path
) -> None:
    samples = dp.load_tasks("demo_okvqa", num_samples=8)
    study = dp.profile("demo", samples, folder=tmp_path / "study", progress=False)
    how = {
        "calibration": samples,
        "widths": "global",
        "keep_at_least": 0.3,
        "dry_run": True,
        "progress": False,
    }
    found, plain = (
        dp.prune("demo", method="hgsp", study=study.folder, temperature=power, **how)  # type: ignore[arg-type]
        for power in (1.0, 0.0)
    )
    assert found.plan.pruned is not None and plain.plan.pruned is not None
    taylor = dp.prune("demo", method="taylor", **how)  # type: ignore[arg-type]
    assert taylor.plan.pruned is not None
    assert plain.plan.pruned.widths == taylor.plan.pruned.widths
    assert found.plan.pruned.widths != taylor.plan.pruned.widths
    done = program("prune", source, "--method", "hgsp", "--study", study.folder, "--widths",
                   "global", "--task", "demo_okvqa", "--dry-run")  # fmt: skip
    assert "the study is about another model" in done.err


def test_of_a_model_that_keeps_its_heads_channels_alone_are_told(
    program: Program, tmp_path: Path
) -> None:
    source = save(MODELS["gpt2"](), tmp_path / "whole")
    done = program("prune", source, "--method", "magnitude", "--output", tmp_path / "small")
    assert "MLP channels of 128" in done.out and "attention groups" not in done.out
    card = (tmp_path / "small" / "README.md").read_text()
    assert "all attention heads" in card and "0 of 0" not in card
    assert program("prune", source, "--method", "magnitude", "--keep-kv-heads", 1).code == 2
