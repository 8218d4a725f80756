"""Data as people have them: what is read as it is meant, and what is refused with its reason."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from depthprune.base.errors import TaskError
from depthprune.tasks import get_task, load_split, load_task_file, messages, render_prompt
from depthprune.tasks.fields import Fields
from depthprune.tasks.sources import LocalSource
from depthprune.tasks.task import Sample, Task
from tests.tasks.samples import make_task, png, write_picture

CASES = Path(__file__).parent / "cases"
ROWS = [
    {"question": "a ?", "answer": "yes", "note": "1"},
    {"question": "b, c ?", "answer": "no", "note": "2"},
]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
TABLE = 'question,answer,note\na ?,yes,1\n"b, c ?",no,2\n'


def read(source: LocalSource, split: str = "validation") -> list[tuple[str, tuple[str, ...]]]:
    samples = source.samples(split)
    return [(samples[i].question, samples[i].references) for i in range(len(samples))]


def one(folder: Path, row: Mapping[str, Any], fields: Fields | None = None) -> Sample:
    (folder / "validation.jsonl").write_text(json.dumps(row), encoding="utf-8")
    return LocalSource(folder, fields).samples("validation")[0]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TaskError) as error:
        call()
    return str(error.value)


def zst(content: bytes) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return packed


EXPECTED = [("a ?", ("yes",)), ("b, c ?", ("no",))]


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("validation.csv", TABLE),
            ("validation.csv", "\ufeff" + TABLE.replace("\n", "\r\n")),
            ("validation.csv", "question;answer\na ?;yes\nb, c ?;no\n"),
            ("validation.tsv", "question\tanswer\na ?\tyes\nb, c ?\tno\n"),
            ("validation.json", LINES),
            ("validation.json", json.dumps(ROWS)),
            ("validation.ndjson", LINES),
            ("validation.jsonl", LINES),
        ],
    )
    @pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress, lzma.compress, zst])
    def test_every_kind_is_read(
        self, tmp_path: Path, name: str, text: str, pack: Callable[[bytes], bytes] | None
    ) -> None:
        end = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz", zst: ".zst"}
        content = text.encode()
        path = tmp_path / (name + end.get(pack, ""))  # type: ignore[arg-type]
        path.write_bytes(pack(content) if pack else content)
        assert read(LocalSource(tmp_path)) == EXPECTED
        assert read(LocalSource(path)) == EXPECTED

    def test_metadata_csv(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "test" / "a.png")
        (tmp_path / "test" / "metadata.csv").write_text("file_name,question,answer\na.png,?,red\n")
        sample = LocalSource(tmp_path).samples("test")[0]
        assert sample.images[0].open().getpixel((0, 0)) == (255, 0, 0)

    def test_what_the_hub_converted(self, tmp_path: Path) -> None:
        for number, row in enumerate(ROWS):
            write_parquet(tmp_path / "default" / "validation" / f"000{number}.parquet", [row])
        assert read(LocalSource(tmp_path)) == EXPECTED
        assert read(LocalSource(tmp_path / "default")) == EXPECTED

    def test_several_configurations_are_refused(self, tmp_path: Path) -> None:
        for name in ("easy", "hard"):
            write_parquet(tmp_path / name / "validation" / "0000.parquet", ROWS)
        text = refusal(LocalSource(tmp_path).splits)
        assert "several configurations" in text
        assert "hard" in text

    def test_shards_of_lines(self, tmp_path: Path) -> None:
        for number, row in enumerate(ROWS):
            path = tmp_path / f"validation-0000{number}-of-00002.jsonl.gz"
            path.write_bytes(gzip.compress(json.dumps(row).encode()))
        assert read(LocalSource(tmp_path)) == EXPECTED

    @pytest.mark.parametrize(
        ("names", "missing"),
        [
            (["validation-00000-of-00002.parquet"], "validation-00001-of-00002.parquet"),
            (["data/validation-00001-of-00002-0c0c59b0a0d43ef3.parquet"],
             "data/validation-00000-of-00002.parquet"),
            (["validation-1-of-3.parquet", "validation-3-of-3.parquet"],
             "validation-2-of-3.parquet"),
            (["validation/00000-of-00002.parquet"], "validation/00001-of-00002.parquet"),
            (["default/validation/0000.parquet", "default/validation/0002.parquet"],
             "default/validation/0001.parquet"),
        ],
    )  # fmt: skip
    def test_a_missing_part_is_named(self, tmp_path: Path, names: list[str], missing: str) -> None:
        for name in names:
            write_parquet(tmp_path / name, ROWS)
        text = refusal(lambda: LocalSource(tmp_path).samples("validation"))
        assert "is missing" in text
        assert str(tmp_path / missing) in text

    @pytest.mark.parametrize(
        "other", ["validation-00000-of-00003.parquet", "validation-00000-of-00001-ab12.parquet"]
    )
    def test_parts_of_two_versions_are_refused(self, tmp_path: Path, other: str) -> None:
        write_parquet(tmp_path / "validation-00000-of-00001.parquet", ROWS)
        write_parquet(tmp_path / other, ROWS)
        assert "part" in refusal(lambda: LocalSource(tmp_path).samples("validation"))

    def test_the_order_of_columns_does_not_matter(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "validation-00000-of-00002.parquet", ROWS[:1])
        turned = [dict(reversed(ROWS[1].items()))]
        write_parquet(tmp_path / "validation-00001-of-00002.parquet", turned)
        assert read(LocalSource(tmp_path)) == EXPECTED

    @pytest.mark.parametrize(
        ("name", "content", "what"),
        [
            ("validation.csv", b"question,answer\na ?,b,c\n", "line 2"),
            ("validation.csv", b'question,answer\n"a\n?",b\nc\n', "line 4"),
            ("validation.csv", b"answer,answer\na,b\n", "two columns are called 'answer'"),
            ("validation.csv", b"question,answer\n\xff\xfe,b\n", "not a UTF-8 text file"),
            ("validation.csv", b'question,answer\n"a,b\n', "line 2"),
            ("validation.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-12], "cannot read"),
            ("validation.jsonl.gz", b"no gzip", "cannot read"),
            ("validation.jsonl.zst", b"no zstd", "cannot read"),
            ("validation.jsonl.gz", gzip.compress(b'{"a": 1}\n{oops', mtime=0), "line 2"),
            ("validation.json", b'{"questions": [1], "annotations": []}', "lists in questions"),
            ("validation.json", b'{"a": 1}\n{oops\n', "line 2"),
            ("notes.xlsx", b"", "no data file in the folder"),
            ("validation.parquet", b"", "not a Parquet file"),
            ("validation.jsonl", POINTER, "Git LFS pointer"),
            ("validation.csv", POINTER, "Git LFS pointer"),
            ("validation.parquet", POINTER, "Git LFS"),
        ],
    )  # fmt: skip
    def test_broken_files_are_named(
        self, tmp_path: Path, name: str, content: bytes, what: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        text = refusal(lambda: LocalSource(tmp_path).samples("validation"))
        assert what in text
        assert str(tmp_path) in text


def write_parquet(path: Path, rows: list[dict[str, str]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


class TestAnswers:
    @pytest.mark.parametrize("text", ['["red", "crimson"]', "['red', 'crimson']"])
    def test_a_list_written_as_text(self, tmp_path: Path, text: str) -> None:
        assert one(tmp_path, {"question": "?", "answers": text}).references == ("red", "crimson")

    @pytest.mark.parametrize(
        ("column", "text", "references"),
        [
            ("labels", '["red", "crimson"]', ("red", "crimson")),
            ("labels", "[1, 2]", ("[1, 2]",)),
            ("answer", "['a', 'b']", ("['a', 'b']",)),
        ],
    )
    def test_a_list_written_as_text_in_other_columns(
        self, tmp_path: Path, column: str, text: str, references: tuple[str, ...]
    ) -> None:
        sample = one(tmp_path, {"question": "?", column: text}, Fields(answers=column))
        assert sample.references == references

    def test_objects_written_as_text(self, tmp_path: Path) -> None:
        row = {"question": "?", "answers": '{"text": ["red"], "start": [3]}'}
        assert one(tmp_path, row, Fields(answers="answers.text")).references == ("red",)

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            ({"question": "?", "answers": None}, "the field 'answers' is null"),
            ({"question": None, "answers": "a"}, "the field 'question' is null"),
            ({"question": "?", "answers": []}, "has no reference answer"),
            ({"question": "?", "answers": [" ", ""]}, "has no reference answer"),
            ({"question": "?", "answers": [None]}, "neither text nor number"),
            ({"question": "?", "answers": float("nan")}, "neither text nor number"),
        ],
    )
    def test_what_is_no_answer_is_named_with_its_line(
        self, tmp_path: Path, row: dict[str, Any], what: str
    ) -> None:
        (tmp_path / "validation.jsonl").write_text(LINES.splitlines()[0] + "\n" + json.dumps(row))
        task = make_task(source=LocalSource(tmp_path, Fields(answers="answers")))
        (tmp_path / "validation.jsonl").write_text(json.dumps(row))
        text = refusal(lambda: load_split(task, "validation"))
        assert what in text
        assert "validation.jsonl, line 1" in text


class TestOptions:
    @pytest.mark.parametrize(
        "names",
        [("A", "B", "C"), ("a", "b", "c"), ("option_a", "option_b", "option_c"),
         ("Option A", "Option B", "Option C"), ("choiceA", "choiceB", "choiceC")],
    )  # fmt: skip
    def test_a_column_for_each_option(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        row = {
            "question": "?",
            **dict(zip(names, ["cat", "dog", None], strict=True)),
            "answer": "B",
        }
        sample = one(tmp_path, row)
        assert (sample.choices, sample.references) == (("cat", "dog"), ("B",))

    def test_an_object_of_letters(self, tmp_path: Path) -> None:
        row = {"question": "?", "options": {"B": "dog", "A": "cat"}, "answer": "B"}
        assert one(tmp_path, row).choices == ("cat", "dog")

    def test_named_columns(self, tmp_path: Path) -> None:
        row = {"question": "?", "sol1": "cat", "sol2": "dog", "label": 1}
        sample = one(tmp_path, row, Fields(answers="label", choices=("sol1", "sol2")))
        assert (sample.choices, sample.references) == (("cat", "dog"), ("B",))

    def test_an_empty_option_in_the_middle_is_refused(self, tmp_path: Path) -> None:
        row = {"question": "?", "A": "cat", "B": "", "C": "fish", "answer": "C"}
        assert "the option 'B' is empty" in refusal(lambda: one(tmp_path, row))

    @pytest.mark.parametrize(
        "options",
        [["A. cat", "B. dog"], ["(A) cat", "(B) dog"], ["A) cat", "B) dog"], ["a: cat", "b: dog"]],
    )
    @pytest.mark.parametrize("answer", ["B", "b", "(B)", 1, "dog"])
    def test_options_that_are_lettered_are_not_lettered_twice(
        self, tmp_path: Path, options: list[str], answer: object
    ) -> None:
        sample = one(tmp_path, {"question": "?", "options": options, "answer": answer})
        task = make_task(prompt="{question}\n{choices}")
        assert render_prompt(task, sample) == "?\nA. cat\nB. dog"
        assert sample.references == ("B",)

    @pytest.mark.parametrize(
        "options",
        [
            ["Option A: cat", "Option B: dog"], ["Ａ．cat", "Ｂ．dog"], ["A - cat", "B - dog"],
            ["1. cat", "2. dog"], ["(1) cat", "(2) dog"], {"a": "cat", "b": "dog"},
            {"label": ["A", "B"], "text": ["cat", "dog"]},
            [{"label": "1", "text": "cat"}, {"label": "2", "text": "dog"}],
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("answer", ["B", "Ｂ", "dog"])
    def test_marks_of_other_forms_go_too(
        self, tmp_path: Path, options: object, answer: str
    ) -> None:
        sample = one(tmp_path, {"question": "?", "options": options, "answer": answer})
        assert (sample.choices, sample.references) == (("cat", "dog"), ("B",))

    @pytest.mark.parametrize("answer", ["2", 2, "(2)"])
    def test_of_numbered_options_the_answer_is_the_number(
        self, tmp_path: Path, answer: object
    ) -> None:
        row = {"question": "?", "options": ["1) cat", "2) dog", "3) fish"], "answer": answer}
        assert one(tmp_path, row).references == ("B",)

    def test_decimal_numbers_are_not_numbered(self, tmp_path: Path) -> None:
        row = {"question": "?", "options": ["1.5", "2.5"], "answer": 1}
        sample = one(tmp_path, row)
        assert (sample.choices, sample.references) == (("1.5", "2.5"), ("B",))

    @pytest.mark.parametrize("names", [("option1", "option2"), ("answer_a", "answer_b")])
    def test_multiple_choice_without_known_options_is_refused(
        self, tmp_path: Path, names: tuple[str, str]
    ) -> None:
        row = {"question": "?", names[0]: "cat", names[1]: "dog", "answer": "B"}
        (tmp_path / "validation.jsonl").write_text(json.dumps(row))
        task = make_task(
            source=LocalSource(tmp_path), prompt="{question}\n{choices}",
            task_type="Multiple Choice", metric="choice_letter",
        )  # fmt: skip
        text = refusal(lambda: load_split(task, "validation"))
        assert "no column is known to hold the options" in text
        assert f"choices: [{', '.join(names)}]" in text

    def test_the_answer_may_be_a_lettered_option(self, tmp_path: Path) -> None:
        row = {"question": "?", "options": ["A. cat", "B. dog"], "answer": "B. dog"}
        assert one(tmp_path, row).references == ("B",)

    @pytest.mark.parametrize(
        "options", [["A. Smith", "C. Jones"], ["vitamin A", "vitamin B"], ["B. dog", "A. cat"]]
    )
    def test_options_that_only_look_so_stay(self, tmp_path: Path, options: list[str]) -> None:
        row = {"question": "?", "options": options, "answer": 0}
        assert one(tmp_path, row).choices == tuple(options)


QUESTION = {"question": "?", "answer": "red"}


class TestPictureColumns:
    def load(self, folder: Path, row: dict[str, Any], **settings: Any) -> Sample:
        write_picture(folder / "a.png")
        (folder / "validation.jsonl").write_text(json.dumps(row))
        settings = {"task_type": "VQA", "source": LocalSource(folder)} | settings
        return load_split(make_task(**settings), "validation").samples[0]

    @pytest.mark.parametrize(
        "name", ["image_path", "img", "picture", "photo", "Image", "ImagePath"]
    )
    @pytest.mark.parametrize("task_type", ["VQA", "Exact Match", "Multiple Choice"])
    def test_an_unknown_one_is_refused_and_named(
        self, tmp_path: Path, name: str, task_type: str
    ) -> None:
        row = {**QUESTION, name: "a.png", "image_id": 3}
        text = refusal(lambda: self.load(tmp_path, row, task_type=task_type))
        assert f"{name!r} may" in text
        assert f"fields: {{image: {name}}}" in text
        assert "'image_id'" not in text

    def test_a_picture_task_without_any(self, tmp_path: Path) -> None:
        assert "no column is known to hold the pictures" in refusal(
            lambda: self.load(tmp_path, QUESTION)
        )

    def test_a_task_of_texts_says_so(self, tmp_path: Path) -> None:
        entry = "t:\n  task_type: VQA\n  path: validation.jsonl\n  fields: {image: []}\n"
        (tmp_path / "tasks.yaml").write_text(entry)
        (tmp_path / "validation.jsonl").write_text(json.dumps({**QUESTION, "image": "a.png"}))
        (task,) = load_task_file(tmp_path / "tasks.yaml")
        assert load_split(task, "validation").samples[0].images == ()

    def test_other_tasks_need_none(self, tmp_path: Path) -> None:
        row = {**QUESTION, "image_id": "17"}
        assert self.load(tmp_path, row, task_type="Exact Match").images == ()

    def test_a_local_copy_of_a_built_in_task_needs_one(self, tmp_path: Path) -> None:
        (tmp_path / "okvqa").mkdir()
        row = {"question": "?", "answers": ["red"] * 10, "image_path": "a.png"}
        (tmp_path / "okvqa" / "validation.jsonl").write_text(json.dumps(row))
        task = get_task("okvqa", data_dir=tmp_path)
        assert "'image_path' may" in refusal(lambda: load_split(task, "validation"))

    @pytest.mark.parametrize(
        ("image", "what"),
        [
            ("", "empty text, which is not an image"),
            ("https://example.org/a.png", "the picture is an address"),
            ({"url": "https://example.org/a.png"}, "the picture is an address"),
            ({"name": "a.png"}, "{'name': 'a.png'}\" is not an image"),
            ("iVBORw0KGgo" + "A" * 300, "in base64 that is damaged"),
            (None, "has no picture, and the task is about pictures"),
            (float("nan"), "has no picture, and the task is about pictures"),
            ([], "has no picture, and the task is about pictures"),
        ],
    )
    def test_what_is_no_picture_is_told_truly(
        self, tmp_path: Path, image: object, what: str
    ) -> None:
        text = refusal(lambda: self.load(tmp_path, {**QUESTION, "image": image}))
        assert what in text
        assert "validation.jsonl, line 1" in text

    def test_of_several_numbered_columns_all_are_named(self, tmp_path: Path) -> None:
        row = {**QUESTION, "image": "blue.png", "image_2": "blue.png"}
        write_picture(tmp_path / "blue.png")
        text = refusal(lambda: self.load(tmp_path, row))
        assert "more columns hold pictures: image_2" in text
        assert "image: [image, image_2]" in text

    def test_pictures_of_later_rows_are_seen(self, tmp_path: Path) -> None:
        rows = [{**QUESTION, "foto": None}, {**QUESTION, "foto": "blue.png"}]
        (tmp_path / "validation.jsonl").write_text("\n".join(map(json.dumps, rows)))
        task = make_task(source=LocalSource(tmp_path))
        assert "'foto' may" in refusal(lambda: load_split(task, "validation"))

    def test_a_pointer_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "b.png").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        )
        text = refusal(lambda: self.load(tmp_path, {**QUESTION, "image": "b.png"}))
        assert "Git LFS pointer" in text
        assert "b.png" in text


class TestLinks:
    def test_a_circle_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").symlink_to("a.png")
        sample = one(tmp_path, {**QUESTION, "image": "a.png"})
        assert "loop" in refusal(sample.images[0].open)

    @pytest.fixture
    def task(self, tmp_path: Path) -> Task:
        """Pictures of a split are links: one inside the data folder, one that leaves it."""
        data = tmp_path / "data"
        write_picture(data / "all" / "red.png", "red")
        write_picture(tmp_path / "store" / "blue.png", "blue")
        (data / "validation").mkdir()
        (data / "validation" / "in.png").symlink_to("../all/red.png")
        (data / "validation" / "out.png").symlink_to(tmp_path / "store" / "blue.png")
        return make_task(source=LocalSource(data))

    def picture(self, task: Task, name: str, follow_links: bool = False) -> Any:
        source = task.source
        assert isinstance(source, LocalSource)
        folder = Path(str(source.path)) / "validation"
        (folder / "metadata.jsonl").write_text(json.dumps({**QUESTION, "file_name": name}))
        task = replace(task, source=replace(source, follow_links=follow_links))
        return load_split(task, "validation").samples[0].images[0].open().getpixel((0, 0))

    def test_inside_the_data_folder_they_are_followed(self, task: Task) -> None:
        assert self.picture(task, "in.png") == (255, 0, 0)

    def test_out_of_it_only_when_asked(self, task: Task) -> None:
        assert "follow_links" in refusal(lambda: self.picture(task, "out.png"))
        assert self.picture(task, "out.png", follow_links=True) == (0, 0, 255)

    @pytest.mark.parametrize("name", ["../../store/blue.png", "../all/red.png", "/etc/hostname"])
    def test_other_paths_never(self, task: Task, name: str) -> None:
        assert "leads out" in refusal(lambda: self.picture(task, name, follow_links=True))


class TestWhatIsSeen:
    def seen(self, path: Path) -> Image.Image:
        row = {**QUESTION, "image": path.name}
        return one(path.parent, row).images[0].open()

    def test_transparent_text_is_laid_on_white(self, tmp_path: Path) -> None:
        path = shutil.copy(CASES / "transparent_text.png", tmp_path / "text.png")
        grey = self.seen(Path(path)).convert("L")
        darkest, lightest = grey.getextrema()
        assert darkest < 20 < lightest == 255  # type: ignore[operator]
        assert sum(value > 200 for value in grey.tobytes()) > grey.width * grey.height / 2

    @pytest.mark.parametrize("name", ["LA.png", "P.png", "RGB.png", "L.png", "P.gif", "RGBA.webp"])
    def test_every_kind_of_transparency(self, tmp_path: Path, name: str) -> None:
        mode = name.partition(".")[0]
        if mode in ("LA", "RGBA"):
            picture = Image.new(mode, (8, 8), (0,) * len(mode))
            picture.save(tmp_path / name, **({"lossless": True} if mode == "RGBA" else {}))
        else:
            Image.new(mode, (8, 8), 0).save(
                tmp_path / name, transparency=(0, 0, 0) if mode == "RGB" else 0
            )
        assert self.seen(tmp_path / name).getpixel((4, 4)) == (255, 255, 255)

    def test_half_transparent_is_half_white(self, tmp_path: Path) -> None:
        Image.new("RGBA", (2, 2), (0, 0, 0, 128)).save(tmp_path / "half.png")
        assert self.seen(tmp_path / "half.png").getpixel((0, 0)) == (127, 127, 127)

    def test_the_first_picture_of_an_animation(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        assert self.seen(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)

    def test_four_inks(self, tmp_path: Path) -> None:
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
        red, green, blue = self.seen(tmp_path / "ink.jpg").getpixel((4, 4))  # type: ignore[misc]
        assert red > 240 > 15 > max(green, blue)

    def test_a_camera_s_broken_notes_leave_the_picture_as_it_is(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 2), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*broken")
        assert self.seen(tmp_path / "a.jpg").size == (4, 2)


class TestMmmu:
    def sample(self, folder: Path, **changes: Any) -> tuple[Task, Sample]:
        (folder / "mmmu").mkdir()
        row = {
            "question": "Compare <image 1> with <image 2> ?",
            "options": "['cat', 'dog']",
            "answer": "B",
            "question_type": "multiple-choice",
            **{f"image_{i}": None for i in range(1, 8)},
        } | changes
        for name in ("a.png", "b.png"):
            (folder / "mmmu" / name).write_bytes(png())
        row |= {"image_1": "a.png", "image_2": "b.png"}
        (folder / "mmmu" / "validation.jsonl").write_text(json.dumps(row))
        task = get_task("mmmu", data_dir=folder)
        return task, load_split(task, "validation").samples[0]

    def test_an_open_question_is_asked_as_one(self, tmp_path: Path) -> None:
        changes = {"question_type": "open", "options": "[]", "answer": "['24', '24.0']"}
        task, sample = self.sample(tmp_path, **changes)
        assert (sample.choices, sample.references) == ((), ("24", "24.0"))
        assert render_prompt(task, sample).endswith("using a single word or phrase.")

    def test_open_counts_more_than_options(self, tmp_path: Path) -> None:
        _, sample = self.sample(tmp_path, question_type="open", answer="24")
        assert (sample.choices, sample.references) == ((), ("24",))

    def test_pictures_stand_where_the_text_names_them(self, tmp_path: Path) -> None:
        content = messages(*self.sample(tmp_path))[0]["content"]
        assert [part.get("text", "IMAGE") for part in content[:4]] == [
            "Compare ", "IMAGE", " with ", "IMAGE",
        ]  # fmt: skip
        assert content[4]["text"].startswith(" ?\nA. cat\nB. dog")

    @pytest.mark.parametrize("question", ["see <image 2>", "<image 2> and <image 1> ?", "which ?"])
    def test_else_they_come_first_and_the_text_stays(self, tmp_path: Path, question: str) -> None:
        content = messages(*self.sample(tmp_path, question=question))[0]["content"]
        assert [part["type"] for part in content] == ["image", "image", "text"]
        assert content[2]["text"].startswith(question)
