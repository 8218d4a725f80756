"""Reading data from files: what is understood, and what is refused with the place named."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import TaskError
from depthprune.tasks.fields import Fields
from depthprune.tasks.sources import LocalSource
from tests.tasks.samples import png, write_picture

ROWS = [
    {"image": "red.png", "question": "which color ?", "answers": ["red", "crimson"]},
    {"image": "more/blue.png", "question": "and now ?", "answers": ["blue"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with two pictures."""
    write_picture(tmp_path / "data" / "red.png", "red")
    write_picture(tmp_path / "data" / "more" / "blue.png", "blue")
    return tmp_path / "data"


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]], group: int = 2) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)
    return path


def colors(source: LocalSource, split: str = "validation") -> list[Any]:
    """Return the first pixel of every sample's first picture."""
    samples = source.samples(split)
    return [samples[i].images[0].open().getpixel((0, 0)) for i in range(len(samples))]


RED, BLUE = (255, 0, 0), (0, 0, 255)


class TestLayouts:
    def test_json_lines_with_image_paths(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", ROWS)
        source = LocalSource(folder)
        first = source.samples("train")[0]
        assert source.splits() == ("train",)
        assert (first.id, first.question) == ("train/0", "which color ?")
        assert first.references == ("red", "crimson")
        assert colors(source, "train") == [RED, BLUE]

    def test_json_lines_with_a_byte_order_mark_and_blank_lines(self, folder: Path) -> None:
        text = "\n\n".join(json.dumps(row) for row in ROWS)
        (folder / "train.jsonl").write_text(text, encoding="utf-8-sig")
        assert colors(LocalSource(folder), "train") == [RED, BLUE]

    @pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
    def test_base64(self, folder: Path, prefix: str) -> None:
        text = prefix + base64.b64encode(png("blue")).decode()
        write_lines(folder / "one.jsonl", [{**ROWS[0], "image": text}])
        assert colors(LocalSource(folder / "one.jsonl")) == [BLUE]

    def test_a_json_array(self, folder: Path) -> None:
        (folder / "validation.json").write_text(json.dumps(ROWS))
        assert colors(LocalSource(folder)) == [RED, BLUE]

    def test_parquet_as_the_hub_writes_it(self, folder: Path) -> None:
        rows = [
            {**ROWS[0], "image": {"bytes": png(color), "path": f"{color}.png"}}
            for color in ("red", "blue", "red", "blue", "blue")
        ]
        write_parquet(folder / "data" / "validation-00000-of-00002-0c0c59b0a0d43ef3.parquet", rows)
        write_parquet(folder / "data" / "validation-00001-of-00002-1c0c59b0a0d43ef3.parquet", rows)
        source = LocalSource(folder)
        assert source.splits() == ("validation",)
        assert colors(source) == [RED, BLUE, RED, BLUE, BLUE] * 2

    def test_a_folder_of_images_with_metadata(self, folder: Path) -> None:
        rows = [{"file_name": row["image"], "answer": "red"} for row in ROWS]
        write_lines(folder / "metadata.jsonl", rows)
        source = LocalSource(folder)
        assert source.splits() == ("validation",)
        assert colors(source) == [RED, BLUE]

    def test_a_folder_per_split(self, tmp_path: Path) -> None:
        for split, color in (("train", "red"), ("test", "blue")):
            write_picture(tmp_path / split / "a.png", color)
            rows = [{"file_name": "a.png", "question": "?", "answer": color}]
            write_lines(tmp_path / split / "metadata.jsonl", rows)
        source = LocalSource(tmp_path)
        assert sorted(source.splits()) == ["test", "train"]
        assert colors(source, "test") == [BLUE]

    def test_a_path_per_split(self, folder: Path) -> None:
        file = write_lines(folder / "some.jsonl", ROWS)
        source = LocalSource({"train": file})
        assert source.splits() == ("train",)
        assert colors(source, "train") == [RED, BLUE]

    def test_what_save_to_disk_wrote(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        rows = [{"image": {"bytes": png("blue"), "path": None}, "question": "?", "answer": "blue"}]
        features = datasets.Features(
            image=datasets.Image(),
            question=datasets.Value("string"),
            answer=datasets.Value("string"),
        )
        data = datasets.Dataset.from_list(rows, features=features)
        datasets.DatasetDict({"train": data}).save_to_disk(str(tmp_path / "many"))
        data.save_to_disk(str(tmp_path / "one"))
        assert colors(LocalSource(tmp_path / "many"), "train") == [BLUE]
        assert colors(LocalSource(tmp_path / "one")) == [BLUE]

    def test_pictures_are_opened_in_rgb(self, folder: Path) -> None:
        (folder / "grey.png").write_bytes(png("white", mode="L"))
        write_lines(folder / "train.jsonl", [{**ROWS[0], "image": "grey.png"}])
        picture = LocalSource(folder).samples("train")[0].images[0].open()
        assert picture.mode == "RGB"

    @pytest.mark.parametrize("name", ["grey.png", "grey.tiff", "grey.pgm"])
    def test_16_bits_are_scaled_to_8(self, folder: Path, name: str) -> None:
        from PIL import Image

        levels = [0, 0x1000, 0x8000, 0xFFFF]
        encoded = b"".join(level.to_bytes(2, "little") for level in levels)
        Image.frombytes("I;16", (4, 1), encoded).save(folder / name)
        write_lines(folder / "train.jsonl", [{**ROWS[0], "image": name}])
        picture = LocalSource(folder).samples("train")[0].images[0].open()
        assert [picture.getpixel((x, 0)) for x in range(4)] == [
            (level, level, level) for level in (0, 0x10, 0x80, 0xFF)
        ]

    def test_pictures_are_turned_upright(self, folder: Path) -> None:
        from PIL import Image

        picture = Image.new("RGB", (4, 2))
        exif = picture.getexif()
        exif[0x0112] = 6  # the camera was held sideways
        picture.save(folder / "turned.jpg", exif=exif)
        write_lines(folder / "train.jsonl", [{**ROWS[0], "image": "turned.jpg"}])
        assert LocalSource(folder).samples("train")[0].images[0].open().size == (2, 4)

    def test_the_same_picture_has_the_same_digest_in_every_layout(self, folder: Path) -> None:
        encoded = (folder / "red.png").read_bytes()
        write_lines(folder / "path.jsonl", [ROWS[0]])
        write_lines(
            folder / "text.jsonl", [{**ROWS[0], "image": base64.b64encode(encoded).decode()}]
        )
        write_parquet(folder / "bytes.parquet", [{**ROWS[0], "image": encoded}])
        source = LocalSource(folder)
        digests = {source.samples(s)[0].images[0].digest() for s in source.splits()}  # type: ignore[attr-defined]
        assert len(digests) == 1


class TestFields:
    def sample(self, path: Path, row: Mapping[str, Any], fields: Fields | None = None) -> Any:
        write_lines(path / "train.jsonl", [row])
        return LocalSource(path, fields).samples("train")[0]

    def test_other_names_are_mapped(self, tmp_path: Path) -> None:
        fields = Fields(question=("hint", "query"), answers="labels.text")
        row = {"hint": "Look !", "query": "what ?", "labels": [{"text": "a"}, {"text": "b"}]}
        got = self.sample(tmp_path, row, fields)
        assert (got.question, got.references) == ("Look !\nwhat ?", ("a", "b"))

    def test_an_empty_hint_leaves_no_line(self, tmp_path: Path) -> None:
        row = {"hint": "", "question": "what ?", "answer": 4}
        got = self.sample(tmp_path, row, Fields(question=("hint", "question")))
        assert (got.question, got.references) == ("what ?", ("4",))

    def test_a_text_to_be_read_is_its_own_reference(self, tmp_path: Path) -> None:
        got = self.sample(tmp_path, {"text": "Once upon a time"})
        assert (got.question, got.references) == ("", ("Once upon a time",))

    @pytest.mark.parametrize("answer", ["B", 1, 1.0, "1", "a dog"])
    def test_the_right_option_may_be_letter_number_or_text(
        self, tmp_path: Path, answer: object
    ) -> None:
        row = {"question": "?", "choices": ["a cat", "a dog"], "answer": answer}
        assert self.sample(tmp_path, row).references == ("B",)

    @pytest.mark.parametrize(
        ("choices", "answer", "letter"),
        [
            (["2", "3", "4"], 2, "C"),
            ([2, 3, 4], 2, "C"),
            (["2", "3", "4"], "2", "A"),
            (["B", "A"], "A", "A"),
            (["x", "1", "1"], "1", "B"),
            (["True", "False"], False, "B"),
        ],
    )
    def test_a_whole_number_is_a_place_and_a_text_first_a_letter_then_a_text_then_a_place(
        self, tmp_path: Path, choices: list[object], answer: object, letter: str
    ) -> None:
        row = {"question": "?", "choices": choices, "answer": answer}
        assert self.sample(tmp_path, row).references == (letter,)

    def test_a_text_in_brackets_may_be_the_right_option(self, tmp_path: Path) -> None:
        row = {"question": "?", "choices": ["[1, 2]", "[2, 1]"], "answer": "[2, 1]"}
        assert self.sample(tmp_path, row).references == ("B",)

    def test_an_answer_in_brackets_is_one_answer(self, tmp_path: Path) -> None:
        got = self.sample(tmp_path, {"question": "?", "answer": "[1, 2]"})
        assert got.references == ("[1, 2]",)

    def test_answers_of_an_open_question_among_multiple_choice_may_be_written_so(
        self, tmp_path: Path
    ) -> None:
        row = {"question": "?", "options": "[]", "answer": "['24', '24.0']"}
        assert self.sample(tmp_path, row).references == ("24", "24.0")

    @pytest.mark.parametrize("answers", [{"text": ["a", "b"]}, [{"text": ["a"]}, {"text": "b"}]])
    def test_lists_within_objects_are_joined(self, tmp_path: Path, answers: object) -> None:
        row = {"question": "?", "answers": answers}
        got = self.sample(tmp_path, row, Fields(answers="answers.text"))
        assert got.references == ("a", "b")

    def test_options_may_be_a_list_written_as_text(self, tmp_path: Path) -> None:
        row = {"question": "?", "options": "['a cat', \"a dog\"]", "answer": "A"}
        assert self.sample(tmp_path, row).choices == ("a cat", "a dog")

    def test_an_open_question_has_an_empty_list_of_options(self, tmp_path: Path) -> None:
        got = self.sample(tmp_path, {"question": "?", "options": "[]", "answer": "24"})
        assert (got.choices, got.references) == ((), ("24",))

    def test_text_in_brackets_that_is_no_list_stays_text(self, tmp_path: Path) -> None:
        got = self.sample(tmp_path, {"question": "?", "answer": "[sic]"})
        assert got.references == ("[sic]",)

    def test_whole_numbers_lose_their_point(self, tmp_path: Path) -> None:
        assert self.sample(tmp_path, {"question": "?", "answer": 4.0}).references == ("4",)

    def test_several_pictures(self, folder: Path) -> None:
        row = {"question": "?", "answer": "a", "images": ["red.png", "more/blue.png"]}
        got = self.sample(folder, row)
        assert [image.open().getpixel((0, 0)) for image in got.images] == [RED, BLUE]

    def test_null_means_no_picture(self, folder: Path) -> None:
        row = {"question": "?", "answer": "a", "one": "red.png", "two": None}
        got = self.sample(folder, row, Fields(images=("one", "two", "three")))
        assert len(got.images) == 1

    def test_rows_with_several_records(self, folder: Path) -> None:
        records = [{"question": "how many ?", "answer": 2}, {"question": "and ?", "answer": 3}]
        write_lines(folder / "train.jsonl", [{"image": "red.png", "qa": records}] * 2)
        fields = Fields(question=("question",), answers="answer", records="qa")
        samples = LocalSource(folder, fields).samples("train")
        assert [samples[i].references for i in range(len(samples))] == [("2",), ("3",)] * 2
        assert [samples[i].id for i in (0, 3)] == ["train/0", "train/3"]
        assert samples[3].images[0].open().getpixel((0, 0)) == RED


class TestRefusals:
    def test_a_line_that_is_not_json(self, folder: Path) -> None:
        path = write_lines(folder / "train.jsonl", ROWS)
        path.write_text(path.read_text() + "{oops\n")
        with pytest.raises(TaskError, match="not JSON") as error:
            LocalSource(folder).samples("train")
        assert f"{path}, line 3, column 2" in str(error.value)

    @pytest.mark.parametrize("line", ["[1]", "3", '"text"'])
    def test_a_line_that_is_no_object(self, folder: Path, line: str) -> None:
        (folder / "train.jsonl").write_text(line)
        with pytest.raises(TaskError, match="not a JSON object"):
            LocalSource(folder).samples("train")

    def test_a_line_that_is_not_text(self, folder: Path) -> None:
        (folder / "train.jsonl").write_bytes(b'{"a": "\xff\xfe"}\n')
        with pytest.raises(TaskError, match="not JSON"):
            LocalSource(folder).samples("train")

    @pytest.mark.parametrize("text", ["{}", "[3]", "[", ""])
    def test_a_json_file_without_a_list_of_objects(self, folder: Path, text: str) -> None:
        (folder / "train.json").write_text(text)
        with pytest.raises(TaskError):
            LocalSource(folder).samples("train")

    def test_a_file_that_is_not_parquet(self, folder: Path) -> None:
        (folder / "train.parquet").write_bytes(b"nothing")
        with pytest.raises(TaskError, match="not a Parquet file"):
            LocalSource(folder).samples("train")

    def test_parquet_files_with_different_columns(self, folder: Path) -> None:
        write_parquet(folder / "train-00000-of-00002.parquet", [{"question": "?", "answer": "a"}])
        write_parquet(folder / "train-00001-of-00002.parquet", [{"question": "?", "other": "a"}])
        with pytest.raises(TaskError, match="different columns"):
            LocalSource(folder).samples("train")

    def test_a_missing_column_names_the_place_and_those_that_are_there(self, folder: Path) -> None:
        path = write_lines(folder / "train.jsonl", [{"image": "red.png", "question": "?"}])
        with pytest.raises(TaskError, match="'answers' is missing") as error:
            LocalSource(folder).samples("train")
        assert f"{path}, line 1" in str(error.value)
        assert "available fields: image, question" in str(error.value)

    def test_a_mapped_column_that_is_missing(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", ROWS)
        with pytest.raises(TaskError, match="'label' is missing"):
            LocalSource(folder, Fields(answers="label")).samples("train")

    @pytest.mark.parametrize("field", ["question", "answers", "image"])
    def test_a_field_that_one_line_lacks(self, folder: Path, field: str) -> None:
        lacking = {name: value for name, value in ROWS[1].items() if name != field}
        path = write_lines(folder / "train.jsonl", [ROWS[0], lacking])
        with pytest.raises(TaskError, match=f"'{field}' is missing") as error:
            LocalSource(folder).samples("train")[1]
        assert f"{path}, line 2" in str(error.value)

    def test_a_field_that_an_entry_lacks(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", [{"answers": [{"text": "a"}]}])
        with pytest.raises(TaskError, match="has no field 'answer'"):
            LocalSource(folder, Fields(answers="answers.answer")).samples("train")[0]

    def test_a_record_that_is_no_object(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", [{"qa": ["what ?"]}])
        with pytest.raises(TaskError, match="a record in 'qa'"):
            LocalSource(folder, Fields(records="qa", answers="answer")).samples("train")[0]

    def test_an_answer_that_is_no_option(self, folder: Path) -> None:
        row = {"question": "?", "choices": ["a cat", "a dog"], "answer": "C"}
        write_lines(folder / "train.jsonl", [row])
        with pytest.raises(TaskError, match="'C' is none of the 2 options"):
            LocalSource(folder).samples("train")[0]

    @pytest.mark.parametrize("answer", [2, -1, "²", "9" * 5000])
    def test_a_number_that_is_no_option(self, folder: Path, answer: object) -> None:
        row = {"question": "?", "choices": ["a cat", "a dog"], "answer": answer}
        write_lines(folder / "train.jsonl", [row])
        with pytest.raises(TaskError, match="is none of the 2 options") as error:
            LocalSource(folder).samples("train")[0]
        assert "line 1" in str(error.value)

    @pytest.mark.parametrize(
        "value", [[None, "a"], {"text": ["a"]}, [["a", "b"]], math.nan, [math.inf], [{"a": 1}]]
    )
    @pytest.mark.parametrize("field", ["answers", "choices"])
    def test_what_is_neither_text_nor_number(self, folder: Path, field: str, value: object) -> None:
        row = {"question": "?", "answers": "a", field: value}
        write_lines(folder / "train.jsonl", [row])
        with pytest.raises(TaskError, match="neither text nor number") as error:
            LocalSource(folder).samples("train")[0]
        assert f"the field '{field}'" in str(error.value)
        assert "line 1" in str(error.value)

    def test_a_question_that_is_no_text(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", [{"question": ["a", "b"], "answer": "c"}])
        with pytest.raises(TaskError, match="the field 'question' holds"):
            LocalSource(folder).samples("train")[0]

    def test_a_number_of_5000_digits(self, folder: Path) -> None:
        (folder / "train.jsonl").write_text(f'{{"answer": {"9" * 5000}}}')
        with pytest.raises(TaskError, match="the line is not JSON") as error:
            LocalSource(folder).samples("train")
        assert "line 1" in str(error.value)

    def test_records_that_are_no_list(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", [{"qa": 3}])
        with pytest.raises(TaskError, match="'qa' holds no list of records"):
            LocalSource(folder, Fields(records="qa", answers="answer")).samples("train")

    def test_records_without_a_name_for_the_answers(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", [{"qa": [{"answer": "a"}]}])
        with pytest.raises(TaskError, match="'answers' is missing"):
            LocalSource(folder, Fields(records="qa")).samples("train")

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such folder"):
            LocalSource(tmp_path / "nowhere").splits()

    def test_a_missing_split(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", ROWS)
        with pytest.raises(TaskError, match="no split test"):
            LocalSource(folder).samples("test")

    def test_a_path_per_split_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such file or folder"):
            LocalSource({"train": tmp_path / "nowhere.jsonl"}).splits()

    def test_a_split_s_folder_without_data(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no data file"):
            LocalSource({"train": tmp_path}).splits()

    def test_two_files_for_one_split(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", ROWS)
        (folder / "train.json").write_text("[]")
        with pytest.raises(TaskError, match="several files for the split train"):
            LocalSource(folder).samples("train")

    def test_a_file_of_another_type(self, folder: Path) -> None:
        (folder / "some.xlsx").write_text("a,b")
        with pytest.raises(TaskError, match=r"'\.xlsx' are not read"):
            LocalSource(folder / "some.xlsx").samples("validation")

    def test_a_damaged_saved_dataset(self, folder: Path) -> None:
        pytest.importorskip("datasets")
        (folder / "state.json").write_text("{}")
        with pytest.raises(TaskError, match="saved dataset cannot be loaded"):
            LocalSource(folder).samples("validation")


class TestImageRefusals:
    def open_image(self, folder: Path, image: object) -> None:
        write_lines(folder / "train.jsonl", [{**ROWS[0], "image": image}])
        LocalSource(folder).samples("train")[0].images[0].open()

    def test_a_missing_file_is_named(self, folder: Path) -> None:
        with pytest.raises(TaskError, match="image file cannot be read") as error:
            self.open_image(folder, "nowhere.png")
        assert "nowhere.png" in str(error.value)
        assert "train.jsonl, line 1" in str(error.value)

    def test_a_file_that_is_no_image_is_named(self, folder: Path) -> None:
        (folder / "text.png").write_text("not a picture")
        with pytest.raises(TaskError, match="not an image of the types BMP") as error:
            self.open_image(folder, "text.png")
        assert str(folder / "text.png") in str(error.value)

    def test_a_format_that_needs_other_programs(self, folder: Path) -> None:
        (folder / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EOF\n")
        with pytest.raises(TaskError, match="not an image"):
            self.open_image(folder, "a.png")

    def test_a_truncated_image(self, folder: Path) -> None:
        (folder / "half.png").write_bytes(png(size=64)[:80])
        with pytest.raises(TaskError, match="a damaged image"):
            self.open_image(folder, "half.png")

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_an_image_of_32_bit_numbers(self, folder: Path, mode: str) -> None:
        from PIL import Image

        Image.new(mode, (2, 2)).save(folder / "numbers.tiff")
        with pytest.raises(TaskError, match="an image of 32-bit numbers") as error:
            self.open_image(folder, "numbers.tiff")
        assert str(folder / "numbers.tiff") in str(error.value)

    def test_an_image_of_absurd_size(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from PIL import Image

        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
        with pytest.raises(TaskError, match="a damaged image"):
            self.open_image(folder, "red.png")

    @pytest.mark.parametrize("value", ["", 3, {"bytes": None, "path": ""}])
    def test_what_is_no_image_at_all(self, folder: Path, value: object) -> None:
        with pytest.raises(TaskError, match="is not an image"):
            self.open_image(folder, value)

    @pytest.mark.parametrize("path", ["../secret.png", "more/../../secret.png", "more/../red.png"])
    def test_a_path_with_dots_is_not_followed(self, folder: Path, path: str) -> None:
        write_picture(folder.parent / "secret.png")
        with pytest.raises(TaskError, match="leads out of the data folder"):
            self.open_image(folder, path)

    def test_an_absolute_path_outside_is_not_followed(self, folder: Path) -> None:
        secret = write_picture(folder.parent / "secret.png")
        with pytest.raises(TaskError, match="leads out of the data folder"):
            self.open_image(folder, str(secret))

    def test_an_absolute_path_inside_is(self, folder: Path) -> None:
        self.open_image(folder, str(folder / "red.png"))

    @pytest.mark.parametrize("link", ["file", "folder"])
    def test_a_link_that_leaves_the_folder_is_not_followed(self, folder: Path, link: str) -> None:
        secret = write_picture(folder.parent / "secrets" / "secret.png")
        if link == "file":
            (folder / "link.png").symlink_to(secret)
        else:
            (folder / "link").symlink_to(secret.parent)
        with pytest.raises(TaskError, match="leads out of the data folder"):
            self.open_image(folder, "link.png" if link == "file" else "link/secret.png")

    def test_a_link_within_the_folder_is(self, folder: Path) -> None:
        (folder / "link.png").symlink_to("red.png")
        self.open_image(folder, "link.png")

    def test_a_path_in_a_struct_is_held_to_the_same(self, folder: Path) -> None:
        write_picture(folder.parent / "secret.png")
        with pytest.raises(TaskError, match="leads out of the data folder"):
            self.open_image(folder, {"bytes": None, "path": "../secret.png"})

    def test_a_path_with_a_null_byte(self, folder: Path) -> None:
        with pytest.raises(TaskError, match="is not a path"):
            self.open_image(folder, "a\0b.png")

    def test_a_very_long_name(self, folder: Path) -> None:
        with pytest.raises(TaskError, match="cannot be read"):
            self.open_image(folder, "x" * 5000 + ".png")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, folder: Path) -> None:
        (folder / "red.png").chmod(0)
        with pytest.raises(TaskError, match="cannot be read"):
            self.open_image(folder, "red.png")
