"""Models are found below a folder, whatever program wrote them, each once and in order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from depthprune.base.errors import DepthpruneError, FileError
from depthprune.structure.finding import FoundModel, find_models, recognise
from depthprune.structure.reading import read_checkpoint
from tests.structure.shapes import SMALL_LLAMA, llama_shapes, write_llama, write_pickled_llama

SHAPES = llama_shapes(SMALL_LLAMA)


def save(path: Path, **more: tuple[int, ...]) -> Path:
    """Write a small Llama's state dictionary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.zeros(shape) for name, shape in (SHAPES | more).items()}, path)
    return path


def found(root: Path) -> list[tuple[str, str]]:
    return [(model.name, model.kind) for model in find_models(root)]


def write_results(folder: Path) -> None:
    """Write what lies beside a model: analysis, evaluation, a state of training."""
    for part in ("analysis", "evaluation", "logs", "checkpoint-20"):
        (folder / part).mkdir(parents=True)
        save(folder / part / "pruned_model.bin")
    (folder / "analysis" / "model_structure.json").write_text("{}")
    torch.save({"step": 3}, folder / "optimizer.pt")
    torch.save({"a": torch.ones(2)}, folder / "importance.pt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as users have them."""
    root = tmp_path / "baselines"
    write_llama(root / "Magnitude_2000", SMALL_LLAMA)
    write_results(root / "Magnitude_2000")
    write_pickled_llama(root / "LLM-Pruner_1937" / "pruned_model.bin", SMALL_LLAMA, whole=True)
    write_results(root / "LLM-Pruner_1937")
    write_llama(root / "Wanda_2000" / "pruned_model", SMALL_LLAMA, shards=2)
    write_results(root / "Wanda_2000")
    save(root / "SliceGPT_2000" / "Llama_0.2.pt", **{"model.layers.0.mlp_shortcut_Q": (4, 4)})
    (root / "SliceGPT_2000" / "Llama_0.2.json").write_text('{"embedding_dimensions": {}}')
    (root / "only_results" / "analysis").mkdir(parents=True)
    (root / "only_results" / "analysis" / "model_comparison.json").write_text("{}")
    (root / "run_magnitude.py").write_text("")
    return root


def test_every_kind_of_model_is_found_once(root: Path) -> None:
    assert found(root) == [
        ("LLM-Pruner_1937", "bin"),
        ("Magnitude_2000", "huggingface"),
        ("SliceGPT_2000", "slicegpt"),
        ("Wanda_2000", "pruned_model"),
    ]


def test_what_was_found_can_be_read(root: Path) -> None:
    for model in find_models(root):
        assert model.folder == root / model.name
        assert set(read_checkpoint(model.source).tensors) >= set(SHAPES) - {"lm_head.weight"}
        assert recognise(model.folder) == model


def test_folders_in_folders(root: Path) -> None:
    write_llama(root / "deep" / "er" / "model", SMALL_LLAMA)
    write_llama(root / "Magnitude_2000" / "another", SMALL_LLAMA)
    names = [name for name, _ in found(root)]
    assert names[1:4] == ["Magnitude_2000", "Magnitude_2000/another", "SliceGPT_2000"]
    assert names[-1] == "deep/er/model"
    assert [name for name, _ in found(root.parent)][1] == "baselines/Magnitude_2000"


def test_a_folder_that_is_a_model_itself(root: Path) -> None:
    (model,) = find_models(root / "Magnitude_2000")
    assert model == FoundModel(
        "Magnitude_2000", root / "Magnitude_2000", root / "Magnitude_2000", "huggingface"
    )


def test_states_of_a_training_are_models_where_there_is_no_other(tmp_path: Path) -> None:
    for step in (10, 20):
        write_llama(tmp_path / "run" / f"checkpoint-{step}", SMALL_LLAMA)
    assert [name for name, _ in found(tmp_path)] == ["run/checkpoint-10", "run/checkpoint-20"]
    write_llama(tmp_path / "run", SMALL_LLAMA)
    assert [name for name, _ in found(tmp_path)] == ["run"]


def test_weights_of_a_folder_come_before_its_folder_pruned_model(tmp_path: Path) -> None:
    write_llama(tmp_path / "base", SMALL_LLAMA)
    write_llama(tmp_path / "base" / "pruned_model", SMALL_LLAMA)
    assert found(tmp_path) == [("base", "huggingface"), ("base/pruned_model", "huggingface")]


def test_several_files_in_a_folder_are_a_model_each(tmp_path: Path) -> None:
    for ratio in ("0.2", "0.3"):
        save(tmp_path / "sliced" / f"Llama_{ratio}.pt", **{"model.layers.0.mlp_shortcut_Q": (4,)})
    first, second = find_models(tmp_path)
    folder = tmp_path / "sliced"
    assert first == FoundModel(
        "sliced/Llama_0.2", folder / "Llama_0.2", folder / "Llama_0.2.pt", "slicegpt"
    )
    assert second.source == folder / "Llama_0.3.pt"
    assert any("shortcut_Q" in name for name in read_checkpoint(second.source).tensors)
    assert recognise(folder) is None


def test_one_file_with_layers_among_others_is_the_model(tmp_path: Path) -> None:
    save(tmp_path / "m" / "mine.pt")
    torch.save({"gradient": torch.ones(2)}, tmp_path / "m" / "other.pt")
    (tmp_path / "m" / "vocabulary.bin").write_bytes(b"abc")
    (model,) = find_models(tmp_path)
    assert model == FoundModel("m", tmp_path / "m", tmp_path / "m", "bin")
    assert read_checkpoint(model.source).path.name == "mine.pt"


def test_files_of_other_kinds_are_no_models(tmp_path: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state_0.pth"):
        save(tmp_path / name)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "data.pt").write_bytes(b"nothing of a model")
    (tmp_path / "config.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe.bin")
    assert found(tmp_path) == []
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "config.json") is None
    assert recognise(tmp_path / "nowhere") is None


def test_a_file(root: Path) -> None:
    path = root / "SliceGPT_2000" / "Llama_0.2.pt"
    assert recognise(path) == FoundModel("Llama_0.2", path.parent, path, "slicegpt")


def test_broken_models_are_found_and_their_reading_says_why(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pruned_model.bin").write_bytes(b"")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "model.safetensors.index.json").write_text("{")
    assert found(tmp_path) == [("a", "bin"), ("b", "huggingface")]
    for model in find_models(tmp_path):
        with pytest.raises(DepthpruneError):
            read_checkpoint(model.source)


def test_hidden_folders_and_linked_folders_are_not_searched(root: Path, tmp_path: Path) -> None:
    write_llama(root / ".cache" / "model", SMALL_LLAMA)
    write_llama(tmp_path / "elsewhere", SMALL_LLAMA)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(root / "Magnitude_2000")
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    assert len(find_models(root)) == 4


def test_links_out_of_a_models_folder_are_named(tmp_path: Path) -> None:
    target = save(tmp_path / "elsewhere.bin")
    inner = write_llama(tmp_path / "elsewhere", SMALL_LLAMA)
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "model.pt").symlink_to(target)
    (root / "b").mkdir()
    (root / "b" / "pruned_model").symlink_to(inner)
    (root / "c").mkdir()
    (root / "c" / "pruned_model.bin").symlink_to(target)
    save(root / "d" / "own.pt")
    save(root / "d" / "other.pt")
    (root / "d" / "linked.pt").symlink_to(target)
    assert found(root) == [
        ("a", "unreadable"),
        ("b", "unreadable"),
        ("c", "bin"),
        ("d/other", "bin"),
        ("d/own", "bin"),
    ]
    for model in find_models(root)[:3]:
        with pytest.raises(DepthpruneError, match="leads out of the model's folder"):
            read_checkpoint(model.source)


def test_a_folder_in_itself_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "pruned_model").symlink_to(".")
    assert found(tmp_path) == []


def test_folders_that_may_not_be_read_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "Magnitude_2000":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert ("Magnitude_2000", "unreadable") in found(root)
    assert len(find_models(root)) == 4


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a", "c/d/e", "B", "a/b"):
        write_llama(tmp_path / name, SMALL_LLAMA)
    assert [name for name, _ in found(tmp_path)] == ["B", "a", "a/b", "a/z", "b", "c/d/e"]


def test_the_hubs_cache_can_be_searched(tmp_path: Path) -> None:
    repository = tmp_path / "models--owner--model"
    (repository / "blobs").mkdir(parents=True)
    folder = write_llama(tmp_path / "made", SMALL_LLAMA)
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        path.rename(repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    folder.rmdir()
    # Blobs of the cache have no names; these here are those of the files.
    (repository / "blobs" / "model.safetensors").rename(repository / "blobs" / "ab12")
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to("../../blobs/ab12")
    assert found(tmp_path) == [("models--owner--model/snapshots/0123", "huggingface")]


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", save(tmp_path / "a.bin"), Path("a" * 5000)):
        with pytest.raises(FileError):
            find_models(root)


def test_a_thousand_folders_take_no_time(tmp_path: Path) -> None:
    import time

    for number in range(1000):
        (tmp_path / f"m{number}" / "analysis").mkdir(parents=True)
    write_llama(tmp_path / "m500", SMALL_LLAMA)
    start = time.process_time()
    assert found(tmp_path) == [("m500", "huggingface")]
    assert time.process_time() - start < 5
