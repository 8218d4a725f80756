"""A smaller checkpoint is whole or absent, the source is never touched, mistakes are told."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, ModelError, RemovalError
from depthprune.checkpoint.safetensors_files import make_header
from depthprune.cutting import execute as folder
from depthprune.cutting import shards as copying
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
from tests import models as tiny
from tests.cutting.cutting import cut, saved, tensors


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in several shards."""
    return saved(tiny.llama(), tmp_path_factory.mktemp("model"), max_shard_size="30KB")


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "whole"))


def state(place: Path) -> dict[str, str]:
    """Return a digest of every file under a folder."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def shards(source: Path) -> list[Path]:
    return sorted(source.glob("*.safetensors"))


def test_sharded_source_and_target_hold_the_same_tensors(source: Path, tmp_path: Path) -> None:
    assert len(shards(source)) > 2
    cut(source, (1, 4), tmp_path / "many", max_shard_size="20KB")
    cut(source, (1, 4), tmp_path / "one")
    assert len(shards(tmp_path / "many")) > 2
    assert [path.name for path in shards(tmp_path / "one")] == ["model.safetensors"]
    many, one = tensors(tmp_path / "many"), tensors(tmp_path / "one")
    assert many.keys() == one.keys()
    assert all(many[name].equal(one[name]) for name in one)


def test_the_index_says_where_every_tensor_lies(source: Path, tmp_path: Path) -> None:
    cut(source, (1, 4), tmp_path / "out", max_shard_size="20KB")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == tensors(tmp_path / "out").keys()
    assert set(index["weight_map"].values()) == {path.name for path in shards(tmp_path / "out")}
    sizes = [tensor.nbytes for tensor in tensors(tmp_path / "out").values()]
    assert index["metadata"]["total_size"] == sum(sizes)


def test_a_shard_keeps_to_the_size_but_for_a_single_larger_tensor(
    source: Path, tmp_path: Path
) -> None:
    plan = plan_cut(source, (1,), max_shard_size=7000)
    for shard in plan.shards:
        used = sum(tensor.num_bytes for tensor in shard.tensors)
        assert used <= 7000 or len(shard.tensors) == 1


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 0o644), (0o600, 0o600), (0o444, 0o644)])
def test_files_are_as_readable_as_the_source(
    mode: int, expected: int, source: Path, tmp_path: Path
) -> None:
    for path in source.iterdir():
        path.chmod(mode)
    cut(source, (1,), tmp_path / "out", max_shard_size="20KB")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {expected}


def test_the_plan_foretells_what_is_written(source: Path, tmp_path: Path) -> None:
    plan = plan_cut(source, (1, 4), max_shard_size="20KB")
    before = state(source)
    assert not list(tmp_path.glob("out*"))
    result = execute_cut(plan, tmp_path / "out")
    assert {one.name: one.num_bytes for one in plan.shards} == {
        path.name: path.stat().st_size for path in shards(tmp_path / "out")
    }
    assert result.num_bytes <= plan.disk_needed
    assert state(source) == before


def test_progress_counts_every_byte(source: Path, tmp_path: Path) -> None:
    plan = plan_cut(source, (1,))
    told: list[int] = []
    execute_cut(plan, tmp_path / "out", on_bytes=told.append)
    assert sum(told) == plan.bytes_after


# --- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize("removal", [(), (6,), (0, 1, 2, 3, 4, 5), (1, 1), (-1,)], ids=str)
def test_blocks_that_cannot_go(source: Path, removal: tuple[int, ...], probed: bool) -> None:
    with pytest.raises(RemovalError):
        plan_cut(source, removal, probed=probed)


@pytest.mark.parametrize("size", ["", "many", "0", "-5GB", "5 bananas", "nan"])
def test_sizes_that_are_none(source: Path, size: str) -> None:
    with pytest.raises(DepthpruneError, match="not a size"):
        plan_cut(source, (1,), max_shard_size=size)


# --- where it is written -------------------------------------------------------------------------


def refused(source: Path, output: Path, message: str, **options: Any) -> None:
    """Assert that writing fails and changes nothing anywhere near."""
    root = source.parent
    before = state(root)
    plan = plan_cut(source, (1,))
    with pytest.raises(FileError, match=message):
        execute_cut(plan, output, **options)
    assert state(root) == before
    assert not list(root.rglob("*depthprune-*"))


def test_the_output_may_not_be_the_source(source: Path) -> None:
    refused(source, source, "is the source", overwrite=True)


def test_the_output_may_not_lie_in_the_source(source: Path) -> None:
    refused(source, source / "smaller", "inside the source")
    assert not (source / "smaller").exists()


def test_the_source_may_not_lie_in_the_output(source: Path) -> None:
    refused(source, source.parent, "source inside the output", overwrite=True)


def test_a_link_to_the_source_is_the_source(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    refused(source, tmp_path / "link", "is the source", overwrite=True)


def test_an_existing_output_stays(source: Path, tmp_path: Path) -> None:
    cut(source, (2,), tmp_path / "out")
    refused(source, tmp_path / "out", "exists already")


def test_what_is_no_checkpoint_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("dear diary")
    refused(source, tmp_path / "out", "no checkpoint", overwrite=True)


def test_an_empty_folder_is_filled(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    cut(source, (1,), tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_overwriting_replaces_the_folder(source: Path, tmp_path: Path) -> None:
    cut(source, (1,), tmp_path / "out", max_shard_size="20KB")
    execute_cut(plan_cut(source, (1, 2)), tmp_path / "out", overwrite=True)
    assert [path.name for path in shards(tmp_path / "out")] == ["model.safetensors"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_a_full_disk_is_seen_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    refused(source, tmp_path / "deep" / "out", "1.0 kB left")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_fills_up_leaves_nothing(
    overwrite: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if overwrite:
        cut(source, (2,), tmp_path / "out")
    written = 0

    def fill(out: Any, content: bytes) -> None:
        nonlocal written
        written += 1
        if written > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        out.write(content)

    monkeypatch.setattr(copying, "_write", fill)
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    refused(source, tmp_path / "out", "No space left", overwrite=overwrite)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_real_small_disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let a disk be mounted")
    try:
        monkeypatch.setattr("depthprune.cutting.execute.check_disk", lambda output, needed: None)
        with pytest.raises(FileError, match="No space left"):
            execute_cut(plan_cut(source, (1,)), disk / "out")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(source, tmp_path / "file" / "out", "cannot be written|inside")


def test_an_interruption_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_cut(plan_cut(source, (1,)), tmp_path / "new" / "er" / "out", on_bytes=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_renaming_that_fails_brings_the_old_output_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(source, (2,), tmp_path / "out")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(".out.depthprune-new") and target.name == "out":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    refused(source, tmp_path / "out", "Input/output error", overwrite=True)


KILLED = """
import sys, time
from pathlib import Path
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
def wait(count):
    print("writing", flush=True)
    time.sleep(60)
plan = plan_cut(sys.argv[1], (1,))
execute_cut(plan, Path(sys.argv[2]), overwrite=True, on_bytes=wait)
"""


def kill_while_writing(source: Path, output: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source), str(output)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_kill_leaves_nothing_that_looks_whole_and_the_next_run_cleans_up(
    source: Path, tmp_path: Path
) -> None:
    kill_while_writing(source, tmp_path / "out")
    left = [path for path in tmp_path.iterdir() if path != source]
    assert len(left) == 1 and left[0].name.startswith(".out.depthprune-")
    assert not (left[0] / "config.json").exists()
    cut(source, (1,), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_kill_while_overwriting_keeps_the_old_output(source: Path, tmp_path: Path) -> None:
    cut(source, (2,), tmp_path / "out")
    before = state(tmp_path / "out")
    kill_while_writing(source, tmp_path / "out")
    assert state(tmp_path / "out") == before


def test_a_kill_between_the_two_renames_is_mended(source: Path, tmp_path: Path) -> None:
    cut(source, (2,), tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.depthprune-replaced-x")
    folder.clear_leftovers(tmp_path / "out")
    assert (tmp_path / "out" / "config.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_what_another_run_is_writing_is_no_leftover(source: Path, tmp_path: Path) -> None:
    with folder.new_folder(tmp_path / "out", overwrite=False) as place:
        assert folder.clear_leftovers(tmp_path / "out") == ()
        assert place.is_dir()
    assert (tmp_path / "out").is_dir()


def test_an_output_that_appears_meanwhile_is_kept(source: Path, tmp_path: Path) -> None:
    def appear(_count: int) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "other").touch()

    with pytest.raises(FileError, match="cannot be written"):
        execute_cut(plan_cut(source, (1,)), tmp_path / "out", on_bytes=appear)
    assert (tmp_path / "out" / "other").exists()


# --- damaged sources -----------------------------------------------------------------------------


def test_a_truncated_shard_is_named(source: Path) -> None:
    path = shards(source)[1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match=rf"{path.name} is damaged: it is truncated"):
        plan_cut(source, (1,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too few"),
        (b"\xff" * 8 + b"x", "no safetensors header"),
        (b"\x64" + b"\0" * 7 + b"{}", "within its header"),
        (b"\x02" + b"\0" * 7 + b"[]", "bad header"),
        (b"\x02" + b"\0" * 7 + b"{x", "bad header"),
        (make_header([("a", "F32", (2,))])[:-9] + b"9" * 20, "bad header|truncated|damaged"),
        (make_header([("a", "F32", (2,))]) + b"0" * 9, "its header promises"),
    ],
)
def test_damaged_weight_files(source: Path, content: bytes, message: str) -> None:
    shards(source)[0].write_bytes(content)
    with pytest.raises(ModelError, match=message):
        plan_cut(source, (1,))


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [2]},
    ],
)
def test_headers_that_make_no_sense(source: Path, entry: dict[str, Any]) -> None:
    header = json.dumps({"model.norm.weight": entry}).encode()
    shards(source)[0].write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 12)
    with pytest.raises(ModelError):
        plan_cut(source, (1,))


@pytest.mark.parametrize("name", ["missing.safetensors", "../other.safetensors", "/etc/passwd"])
def test_an_index_that_names_a_file_elsewhere(source: Path, name: str) -> None:
    index = source / "model.safetensors.index.json"
    files = json.loads(index.read_text())["weight_map"]
    change_json(index, weight_map=files | {"model.norm.weight": name})
    with pytest.raises(ModelError, match="not in the folder"):
        plan_cut(source, (1,))


def test_an_index_that_names_a_tensor_which_is_not_there(source: Path) -> None:
    index = source / "model.safetensors.index.json"
    files = json.loads(index.read_text())["weight_map"]
    change_json(index, weight_map=files | {"model.extra.weight": shards(source)[0].name})
    with pytest.raises(ModelError, match=r"names model\.extra\.weight"):
        plan_cut(source, (1,))


@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize("count", [5, 7])
def test_a_configuration_that_counts_other_blocks_than_the_weights(
    source: Path, count: int, probed: bool
) -> None:
    change_json(source / "config.json", num_hidden_layers=count)
    with pytest.raises(ModelError, match=f"counts {count} blocks, but the weights have 6"):
        plan_cut(source, (1,), probed=probed)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": "never_heard_of"}'])
def test_a_broken_configuration(source: Path, text: str) -> None:
    (source / "config.json").write_text(text)
    with pytest.raises(ModelError):
        plan_cut(source, (1,))


def test_a_source_that_shrinks_while_it_is_copied(source: Path, tmp_path: Path) -> None:
    plan = plan_cut(source, (1,))
    path = shards(source)[-1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises((FileError, ModelError)):
        execute_cut(plan, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_read_only_source_is_enough(source: Path, tmp_path: Path) -> None:
    for path in (*source.iterdir(), source):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        cut(source, (1,), tmp_path / "out")
    finally:
        source.chmod(0o755)
    assert (tmp_path / "out" / "config.json").is_file()


def test_systems_that_cannot_copy_ranges_copy_in_pieces(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_arguments: Any, **_options: Any) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    cut(source, (1,), tmp_path / "fast")
    monkeypatch.setattr(os, "copy_file_range", cannot, raising=False)
    cut(source, (1,), tmp_path / "slow")
    fast, slow = state(tmp_path / "fast"), state(tmp_path / "slow")
    assert fast["model.safetensors"] == slow["model.safetensors"]


def test_two_runs_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        cut(source, (1,), tmp_path / name)
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    assert {k: v for k, v in one.items() if k != "depthprune.json"} == {
        k: v for k, v in two.items() if k != "depthprune.json"
    }
