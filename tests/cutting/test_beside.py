"""What lies beside the weights, the same removal for other tools, and where a source is found."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from depthprune.base.errors import (
    DepthpruneError,
    InadmissibleRemovalError,
    ModelError,
    StackError,
)
from depthprune.base.removal import active_blocks
from depthprune.cutting import probe
from depthprune.cutting.configuration import ABSENT, FieldChange, field_changes
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.model_card import also_for, model_card
from depthprune.cutting.plan import plan_cut
from depthprune.cutting.shards import runs_of
from depthprune.cutting.verify import verify_cut
from tests import models as tiny
from tests.cutting.cutting import cut, saved


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tiny.llama(), tmp_path / "whole")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def reasons(source: Path) -> dict[str, str]:
    return dict(plan_cut(source, (1,)).files.left_out)


def test_small_files_are_copied_with_their_folders(source: Path, tmp_path: Path) -> None:
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates" / "rag.jinja").write_text("x")
    (source / "modeling_mine.py").write_text("raise SystemExit('executed')")
    (source / "LICENSE").write_text("mine")
    cut(source, (1,), tmp_path / "out")
    assert {"additional_chat_templates/rag.jinja", "modeling_mine.py", "LICENSE"} <= files(
        tmp_path / "out"
    )


def test_weights_in_other_formats_and_hidden_files_are_left_out(
    source: Path, tmp_path: Path
) -> None:
    for name in (
        "pytorch_model.bin",
        "tf_model.h5",
        "model-q4.gguf",
        "optimizer.pt",
        ".gitattributes",
    ):
        (source / name).write_bytes(b"x")
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("x")
    assert reasons(source) == {
        ".gitattributes": "hidden",
        "model-q4.gguf": "weights",
        "optimizer.pt": "weights",
        "pytorch_model.bin": "weights",
        "tf_model.h5": "weights",
    }
    cut(source, (1,), tmp_path / "out")
    assert files(tmp_path / "out") == files(source) - set(reasons(source)) - {".git/config"} | {
        "README.md",
        "depthprune.json",
    }


def test_tensors_that_are_not_the_models_own_are_copied(source: Path, tmp_path: Path) -> None:
    for name in ("2_Dense", "speech_tokenizer"):
        (source / name).mkdir()
    modules = [{"path": ""}, {"path": "3_Copy"}]
    (source / "modules.json").write_text(json.dumps(modules))
    shutil.copytree(source, tmp_path / "3_Copy")
    (tmp_path / "3_Copy").rename(source / "3_Copy")
    save_file({"linear.weight": torch.ones(4, 4)}, source / "2_Dense" / "model.safetensors")
    save_file({"layers.0.a": torch.ones(2)}, source / "speech_tokenizer" / "model.safetensors")
    torch.save({"Chelsie": {"cond": torch.ones(1, 4)}}, source / "spk_dict.pt")
    (source / "voice.npz").write_bytes(b"x")
    (source / "bpe.txt.gz").write_bytes(b"x")
    assert reasons(source) == {}
    cut(source, (1,), tmp_path / "out")
    for name in ("2_Dense/model.safetensors", "spk_dict.pt", "3_Copy/model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize("prefix", ["", "module.", "base.model."])
def test_copies_of_the_weights_are_known_by_their_tensors(prefix: str, source: Path) -> None:
    tensors = load_file(source / "model.safetensors")
    (source / "old").mkdir()
    kept = {f"{prefix}{name}": tensor for name, tensor in tensors.items() if ".2.mlp" in name}
    torch.save({"state_dict": kept}, source / "old" / "ema.pt")
    save_file(kept, source / "best.safetensors")
    assert reasons(source) == {"best.safetensors": "weights", "old/ema.pt": "weights"}


def test_an_adapter_in_a_folder_is_left_out_because_it_is_for_the_whole_model(source: Path) -> None:
    (source / "speech-lora").mkdir()
    (source / "speech-lora" / "adapter_config.json").write_text('{"layers_to_transform": [3]}')
    save_file({"a": torch.ones(1)}, source / "speech-lora" / "adapter_model.safetensors")
    assert reasons(source) == {
        "speech-lora/adapter_config.json": "whole model",
        "speech-lora/adapter_model.safetensors": "whole model",
    }


def test_what_describes_the_whole_model_to_other_programs_is_left_out(source: Path) -> None:
    for name in ("checkpoint-500", "onnx", "openvino", "original", "global_step7"):
        (source / name).mkdir()
        (source / name / "config.json").write_text("{}")
    described = ("params.json", "genai_config.json", "recipe.yaml", "eval_results.json")
    copies = ("consolidated.00.pth", "flax_model.msgpack", "trainer_state.json")
    for name in (*described, *copies, "openvino_model.xml", "vocab.json", "model_notes.txt"):
        (source / name).write_text("{}")
    found = reasons(source)
    assert {name for name, why in found.items() if why == "whole model"} == {
        *described, "checkpoint-500/", "onnx/", "openvino/", "original/", "global_step7/",
        "openvino_model.xml",
    }  # fmt: skip
    assert {name for name, why in found.items() if why == "weights"} == set(copies)


def test_a_list_of_modules_leads_nowhere_else(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.txt").write_text("x")
    (source / "modules.json").write_text('[{"path": "../secret"}, {"path": 3}, 4]')
    cut(source, (1,), tmp_path / "out")
    assert not any("a.txt" in name for name in files(tmp_path / "out"))


def test_links_that_lead_out_of_the_folder_are_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    (source / "notes.txt").symlink_to(tmp_path / "secret")
    (source / "more").symlink_to(tmp_path / "folder")
    (source / "gone.txt").symlink_to(tmp_path / "nowhere")
    (source / "copy.json").symlink_to("config.json")
    os.mkfifo(source / "pipe")
    assert reasons(source) == {
        "gone.txt": "broken link",
        "more": "link out of the folder",
        "notes.txt": "link out of the folder",
        "pipe": "no file",
    }
    cut(source, (1,), tmp_path / "out")
    assert not (tmp_path / "out" / "copy.json").is_symlink()
    assert (tmp_path / "out" / "copy.json").is_file()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_that_is_a_link_out_of_the_folder_is_refused(
    source: Path, tmp_path: Path, name: str
) -> None:
    (source / name).rename(tmp_path / name)
    (source / name).symlink_to(tmp_path / name)
    with pytest.raises(ModelError, match="leads out of the model's folder"):
        plan_cut(source, (1,))


def in_cache(source: Path, cache: Path, name: str = "owner/model") -> Path:
    """Lay a checkpoint out as the hub's cache does: links to blobs."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for path in source.iterdir():
        blob = repository / "blobs" / f"blob-{path.name}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    return snapshot


def test_links_of_the_hubs_cache_become_files(source: Path, tmp_path: Path) -> None:
    (source / "tokenizer.json").write_text("{}")
    snapshot = in_cache(source, tmp_path / "cache")
    cut(snapshot, (1,), tmp_path / "out")
    assert "tokenizer.json" in files(tmp_path / "out")
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_a_model_of_the_hub_is_found_in_the_cache(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    snapshot = in_cache(source, tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    plan = plan_cut("owner/model", (1,))
    assert plan.source.resolve() == snapshot.resolve()
    assert plan.name == "owner/model"
    assert "base_model: owner/model" in model_card(plan, (), None)


@pytest.mark.parametrize("name", ["owner/no-such-model", "./no-such-folder", "a/b/c"])
def test_a_model_that_is_not_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="there is no"):
        plan_cut(name, (1,))


@pytest.mark.parametrize(
    ("make", "loader"),
    [(tiny.llama, "AutoModelForCausalLM"), (tiny.llava, "AutoModelForImageTextToText"),
     (tiny.t5, "AutoModelForSeq2SeqLM"), (tiny.bert, "AutoModelForMaskedLM"),
     (tiny.vit, "AutoModelForImageClassification")],
)  # fmt: skip
def test_the_card_names_the_class_to_load_with(make: Any, loader: str, tmp_path: Path) -> None:
    plan = plan_cut(saved(make(), tmp_path), (1,))
    assert f"model = {loader}.from_pretrained" in model_card(plan, (), None)


def test_changed_fields_are_listed_by_path() -> None:
    before = {"a": 1, "text": {"n": 3, "kinds": ["x", "y"]}, "gone": 1}
    after = {"a": 1, "text": {"n": 2, "kinds": ["x"]}, "new": 2}
    assert field_changes(before, after) == (
        FieldChange("text.n", 3, 2),
        FieldChange("text.kinds", ["x", "y"], ["x"]),
        FieldChange("gone", 1, ABSENT),
        FieldChange("new", ABSENT, 2),
    )


def test_kinds_of_layers_that_the_class_derives_are_written_out(tmp_path: Path) -> None:
    source = saved(tiny.qwen2(), tmp_path)
    path = source / "config.json"
    raw = json.loads(path.read_text())
    kinds = raw.pop("layer_types")
    path.write_text(json.dumps(raw))
    plan = plan_cut(source, (0,))
    assert plan.config["layer_types"] == kinds[1:]
    assert plan.way == "probed"


# --- other tools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removal", "runs"),
    [
        ((1, 3), [(0, 1), (2, 3), (4, 6)]),
        ((0,), [(1, 6)]),
        ((5,), [(0, 5)]),
        ((2, 3), [(0, 2), (4, 6)]),
    ],
)
def test_runs_of_blocks_that_stay(removal: tuple[int, ...], runs: list[tuple[int, int]]) -> None:
    assert runs_of(active_blocks(removal, 6)) == [range(*run) for run in runs]


def test_an_unknown_tool() -> None:
    with pytest.raises(DepthpruneError, match="nothing is known"):
        also_for("other", "model", 6, (1,), None)  # type: ignore[arg-type]


# --- the process that probes ---------------------------------------------------------------------


def test_probing_in_another_process_finds_the_same(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = plan_cut(source, (1, 3), probed=True)
    monkeypatch.delitem(sys.modules, "torch")
    apart = plan_cut(source, (1, 3), probed=True)
    assert apart == here


@pytest.mark.parametrize(
    ("make", "options", "error"),
    [
        (tiny.llama, {"part": "vision"}, StackError),
        (tiny.swin, {"part": "depths[1]"}, InadmissibleRemovalError),
    ],
)
def test_errors_of_the_other_process_are_told(
    make: Any, options: dict[str, Any], error: type[DepthpruneError], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source = saved(make(), tmp_path)
    with pytest.raises(error) as here:
        plan_cut(source, (1,), **options)
    asked: list[bytes] = []

    def answer_here(
        command: list[str], *, input: bytes, **_options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Do what the other process does, which takes seconds to load torch."""
        asked.append(input)
        output = os.dup(1)
        with tempfile.TemporaryFile() as written, monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(input)))
            os.dup2(written.fileno(), 1)
            try:
                probe._answer()
            finally:
                os.dup2(output, 1)
                os.close(output)
            written.seek(0)
            return subprocess.CompletedProcess(command, 0, written.read(), b"")

    monkeypatch.setattr(probe.subprocess, "run", answer_here)
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(error) as apart:
        plan_cut(source, (1,), **options)
    assert str(apart.value) == str(here.value)
    assert len(asked) == 1


def test_another_process_that_dies_is_told(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_arguments: Any, **_options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 1, b"", b"Traceback\nModuleNotFoundError: no torch")

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(probe.subprocess, "run", die)
    with pytest.raises(ModelError, match="could not be examined: ModuleNotFoundError"):
        plan_cut(source, (1,), probed=True)


def test_code_of_the_checkpoint_does_not_run_unless_asked(source: Path, tmp_path: Path) -> None:
    path = source / "config.json"
    auto = {"auto_map": {"AutoModelForCausalLM": "mine.Mine", "AutoConfig": "mine.Config"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | auto | {"model_type": "mine"}))
    (source / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="trust"):
        plan_cut(source, (1,))
    assert not (tmp_path / "ran").exists()


MINE = """
from transformers import LlamaConfig, LlamaForCausalLM
class MineConfig(LlamaConfig):
    model_type = "mine"
class Mine(LlamaForCausalLM):
    config_class = MineConfig
"""


def test_a_checkpoint_with_code_of_its_own_is_cut_when_it_is_trusted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    path = source / "config.json"
    auto = {"auto_map": {"AutoModelForCausalLM": "mine.Mine", "AutoConfig": "mine.MineConfig"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | auto | {"model_type": "mine"}))
    (source / "mine.py").write_text(MINE)
    plan = plan_cut(source, (1, 3), trust_remote_code=True)
    assert plan.numberings[0].prefix == "model.layers."
    execute_cut(plan, tmp_path / "out")
    assert (tmp_path / "out" / "mine.py").read_text() == MINE
    assert "trust_remote_code=True" in (tmp_path / "out" / "README.md").read_text()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", trust_remote_code=True)
    assert type(loaded).__name__ == "Mine"
    assert len(loaded.model.layers) == 4


# --- verifying -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tiny.t5, tiny.vit, tiny.bert], ids=lambda make: make.__name__)
def test_other_kinds_of_models_are_verified(make: Any, tmp_path: Path) -> None:
    source = saved(make(), tmp_path / "whole")
    if make is tiny.vit:
        from transformers import ViTImageProcessor

        ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(source)
    else:
        tokenizer(source)
    part = "decoder" if make is tiny.t5 else "text"
    plan = plan_cut(source, (1,), part=part)
    execute_cut(plan, tmp_path / "out")
    found = verify_cut(plan, tmp_path / "out")
    assert found.agrees
    assert found.images == (make is tiny.vit)


def test_a_wrong_checkpoint_is_not_verified(source: Path, tmp_path: Path) -> None:
    tokenizer(source)
    cut(source, (2,), tmp_path / "out")
    assert not verify_cut(plan_cut(source, (1,)), tmp_path / "out").agrees


def tokenizer(folder: Path) -> None:
    """Save a tokenizer of single characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "<s>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz?=+1"]
    made = Tokenizer(
        models.WordLevel({text: i for i, text in enumerate(letters)}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


@pytest.mark.parametrize("has_weights", [False, True])
def test_what_the_cache_lacks_is_fetched_when_allowed(
    has_weights: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(name: str, *, revision: str | None, local_files_only: bool) -> str:
        asked.append(local_files_only)
        if not local_files_only and not (source / "model.safetensors").exists():
            (tmp_path / "weights").rename(source / "model.safetensors")
        return str(source)

    if not has_weights:
        (source / "model.safetensors").rename(tmp_path / "weights")
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert plan_cut("owner/model", (1,), download=True).source == source
    assert asked == ([True] if has_weights else [True, False])


def test_a_cut_of_a_cut_says_so(source: Path, tmp_path: Path) -> None:
    cut(source, (1,), tmp_path / "first")
    cut(tmp_path / "first", (1,), tmp_path / "second")
    record = json.loads((tmp_path / "second" / "depthprune.json").read_text())
    assert record["source"]["made_by_depthprune"]["removed"] == [1]
    assert record["original_indices"] == [0, 2, 3, 4]
