"""Specification of files that are whole or absent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from depthprune.base import files
from depthprune.base.errors import FileError
from depthprune.base.files import (
    check_can_make,
    is_number,
    make_folder,
    read_json,
    together,
    write_json,
    write_text,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "scores.json"
    write_json(path, {"0": 0.5, "名": "块"})
    assert read_json(path) == {"0": 0.5, "名": "块"}


def test_a_result_is_as_readable_as_any_file_of_the_user(tmp_path: Path) -> None:
    write_text(tmp_path / "result.txt", "a")
    (tmp_path / "other.txt").write_text("a")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("result.txt", "other.txt")}
    assert len(modes) == 1


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, "old")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", disk_full)
    with pytest.raises(FileError, match="No space left"):
        write_json(path, "new")
    assert read_json(path) == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_number_that_json_lacks_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        write_json(tmp_path / "result.json", {"drop": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_json(tmp_path / "absent.json")


def test_broken_json_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{\n "a": 1,\n "b": \n}')
    with pytest.raises(FileError, match=r"broken\.json, line 4, column 1"):
        read_json(path)


@pytest.mark.parametrize("text", ["[NaN]", "[Infinity]", "[-Infinity]"])
def test_numbers_that_json_lacks_are_not_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nan.json"
    path.write_text(text)
    with pytest.raises(FileError, match="not a JSON number"):
        read_json(path)


def test_json_nested_ten_thousand_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(FileError):
        read_json(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(FileError, match="UTF-8"):
        read_json(path)
    with pytest.raises(FileError, match="cannot read"):
        read_json(tmp_path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_text(json.dumps([1]), encoding="utf-8-sig")
    assert read_json(path) == [1]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write into the folder"):
        make_folder(tmp_path / "file" / "inside")
    assert make_folder(tmp_path / "a" / "b").is_dir()


def test_whether_a_folder_can_be_made_is_known_without_making_it(tmp_path: Path) -> None:
    check_can_make(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write into the folder"):
        check_can_make(tmp_path / "file" / "inside")


def test_numbers_are_finite_and_not_booleans() -> None:
    assert is_number(1)
    assert is_number(0.5)
    assert not any(map(is_number, (True, None, "1", float("nan"), float("inf"))))


def test_infinity_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"limits": [0.0, Infinity]}')
    assert read_json(path, infinity=True) == {"limits": [0.0, float("inf")]}
    with pytest.raises(FileError, match="not a JSON number"):
        read_json(path)


def test_a_set_of_files_stays_as_it_was_where_one_of_them_cannot_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "first.txt", "old")
    (tmp_path / "second.txt").mkdir()
    with pytest.raises(FileError, match=r"second\.txt"), together():
        write_text(tmp_path / "first.txt", "new")
        write_text(tmp_path / "second.txt", "new")
    assert (tmp_path / "first.txt").read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["first.txt", "second.txt"]
