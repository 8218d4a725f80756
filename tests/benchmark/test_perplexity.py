"""Perplexity of a text: the windowed reading is the plain loop's, token for token."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from depthprune.base.errors import DepthpruneError, TaskError
from depthprune.benchmark import perplexity as card_perplexity
from depthprune.benchmark import perplexity as texts
from depthprune.benchmark.perplexity import HUB_TEXTS, Windows, perplexity, text_sets, text_tokens
from depthprune.blocks.skipping import skip
from depthprune.testing import tiny_models as tiny

TEXT = " ".join(tiny.QUESTIONS * 4)


def llama() -> Any:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def plain_loop(model: Any, tokens: tuple[int, ...], window: int, stride: int) -> tuple[float, int]:
    """The slow twin: the recipe of Hugging Face's page on perplexity, a window at a time."""
    ids = torch.tensor([tokens])
    nll, count, before = 0.0, 0, 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + window, len(tokens))
        inputs = ids[:, begin:end]
        targets = inputs.clone()
        targets[:, : -(end - before)] = -100
        predicted = int((targets[:, 1:] != -100).sum())
        if predicted:
            with torch.no_grad():
                nll += float(model(inputs, labels=targets).loss) * predicted
        count, before = count + predicted, end
        if end == len(tokens):
            break
    return nll, count


@pytest.mark.parametrize("make", [tiny.llama, tiny.gpt2, tiny.sliding_qwen2])
@pytest.mark.parametrize(("window", "stride"), [(32, 8), (32, 32), (20, 7), (2, 1), (64, 64)])
def test_it_is_the_plain_loop_s(make: Any, window: int, stride: int) -> None:
    loaded = tiny.loaded(make(), tiny.word_tokenizer())
    tokens = text_tokens(loaded, TEXT)
    nll, count = plain_loop(loaded.model, tokens, window, stride)
    found = perplexity(loaded, tokens, Windows(window, stride), batch_size=3)
    assert found.tokens == count
    assert found.nll == pytest.approx(nll, rel=1e-6)
    assert found.ppl == pytest.approx(math.exp(nll / count), rel=1e-6)


@pytest.mark.parametrize("length", [2, 31, 32, 33, 40, 65])
def test_so_it_is_at_the_edges_of_windows(length: int) -> None:
    loaded = llama()
    tokens = text_tokens(loaded, TEXT)[:length]
    for windows in (Windows(32, 8), Windows(32, 32)):
        nll, count = plain_loop(loaded.model, tokens, windows.window, windows.stride)
        found = perplexity(loaded, tokens, windows)
        assert (found.tokens, found.nll) == (count, pytest.approx(nll, rel=1e-6))


def test_with_overlap_every_token_but_the_first_is_foretold_once() -> None:
    loaded = llama()
    tokens = text_tokens(loaded, TEXT)
    assert perplexity(loaded, tokens, Windows(16, 5)).tokens == len(tokens) - 1


def test_without_blocks_it_is_that_of_the_shorter_model() -> None:
    loaded = llama()
    tokens = text_tokens(loaded, TEXT)
    nll, _ = plain_loop(tiny.without_blocks(loaded.model, (1, 2)), tokens, 32, 8)
    with skip(loaded.model, (1, 2)):
        assert perplexity(loaded, tokens, Windows(32, 8)).nll == pytest.approx(nll, rel=1e-6)


def test_a_vision_language_model_reads_text() -> None:
    loaded = tiny.loaded(tiny.llava(), tiny.demo_processor())
    tokens = text_tokens(loaded, "What colour is the cat?")
    nll, count = plain_loop(loaded.model, tokens, 8, 4)
    found = perplexity(loaded, tokens, Windows(8, 4))
    assert (found.tokens, found.nll) == (count, pytest.approx(nll, rel=1e-6))


def test_running_out_of_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = llama()
    tokens = text_tokens(loaded, TEXT)
    whole = perplexity(loaded, tokens, Windows(32, 8), batch_size=1)
    forward, sizes = loaded.model.forward, []

    def tight(input_ids: Any, **named: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("no memory")
        return forward(input_ids=input_ids, **named)

    monkeypatch.setattr(loaded.model, "forward", tight)
    found = perplexity(loaded, tokens, Windows(32, 8), batch_size=8)
    assert found.nll == pytest.approx(whole.nll, rel=1e-6)
    assert found.tokens == whole.tokens
    assert max(sizes) > 2


def test_few_logits_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = llama()
    tokens = text_tokens(loaded, TEXT)
    whole = perplexity(loaded, tokens, Windows(32, 8), batch_size=4)
    monkeypatch.setattr(card_perplexity, "LOGITS_BYTES", 1)
    found = perplexity(loaded, tokens, Windows(32, 8), batch_size=4)
    assert found.nll == pytest.approx(whole.nll, rel=1e-6)


def test_progress_adds_up_to_the_whole_text() -> None:
    loaded = llama()
    shares: list[float] = []
    tokens = text_tokens(loaded, TEXT)
    perplexity(loaded, tokens, Windows(16, 8), batch_size=2, on_progress=shares.append)
    assert len(shares) > 2
    assert sum(shares) == pytest.approx(1)


def test_a_model_that_overflows_is_told() -> None:
    loaded = llama()
    loaded.model.get_output_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(DepthpruneError, match="overflows"):
        perplexity(loaded, (1, 7, 8, 9), Windows(4, 2))


@pytest.mark.parametrize("text", ["", "sky"])
def test_a_text_too_short_is_told(text: str) -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer(start=False))
    with pytest.raises(TaskError, match="too short"):
        text_tokens(loaded, text)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (8, 0), (0, 0), (8, 9), (8, -1)])
def test_windows_that_make_no_sense(window: int, stride: int) -> None:
    with pytest.raises(DepthpruneError, match="stride"):
        Windows(window, stride)


def test_windows_fit_the_positions_of_the_model() -> None:
    asked = Windows(2048, 512)
    assert asked.within(None) == asked.within(4096) == asked.within(2048) == asked
    assert asked.within(256) == Windows(256, 64)
    assert asked.within(3) == Windows(3, 1)


class TestTexts:
    def read(self, path: Path) -> str:
        (text_set,) = text_sets((str(path),))
        return text_set.read().content

    def test_a_text_file_is_read_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "my.txt"
        path.write_text("Zwei\n\nZeilen. 两行\n", encoding="utf-8")
        assert self.read(path) == "Zwei\n\nZeilen. 两行\n"

    @pytest.mark.parametrize("field", ["text", "sentence", "content"])
    def test_json_lines_are_joined(self, tmp_path: Path, field: str) -> None:
        path = tmp_path / "my.jsonl"
        path.write_text("".join(json.dumps({field: one, "id": 1}) + "\n" for one in ("a", "b")))
        assert self.read(path) == "a\n\nb"

    @pytest.mark.parametrize(
        ("name", "content", "complaint"),
        [
            ("a.txt", b"", "empty"),
            ("a.txt", b" \n", "empty"),
            ("a.txt", b"ab\xff", "not a UTF-8 text file"),
            ("a.jsonl", b"", "empty"),
            ("a.jsonl", b'{"words": "a"}\n', "no line has a field"),
            ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', "missing or no text"),
            ("a.jsonl", b'{"text": "a"}\n{"x": "b"}\n', "line 2"),
            ("a.jsonl", b'{"text": "a"}\n{"text"\n', "line 2"),
        ],
    )
    def test_a_file_without_text(
        self, tmp_path: Path, name: str, content: bytes, complaint: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TaskError, match=complaint):
            self.read(tmp_path / name)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="neither a text set nor a file"):
            text_sets((str(tmp_path / "my.txt"),))

    def test_two_files_of_one_name(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "my.txt").write_text("a")
        with pytest.raises(TaskError, match="two texts are called my"):
            text_sets((str(tmp_path / "a" / "my.txt"), str(tmp_path / "b" / "my.txt")))

    def test_the_known_sets_go_by_their_names(self) -> None:
        assert [one.name for one in text_sets(("WikiText-2", "ptb", "ptb"))] == ["wikitext2", "ptb"]

    def test_offline_they_are_told_how_to_get(self) -> None:
        with pytest.raises(TaskError, match=r"wikitext2 cannot be loaded[^$]*\(download\)"):
            text_sets(("wikitext2",))[0].read()

    @pytest.mark.parametrize(("name", "separator"), [("wikitext2", "\n\n"), ("ptb", " ")])
    def test_rows_are_joined_as_in_papers(
        self, monkeypatch: pytest.MonkeyPatch, name: str, separator: str
    ) -> None:
        import datasets

        asked = []

        def load(place: str, config: str | None, *, revision: str | None, split: str) -> Any:
            asked.append((place, config, revision, split))
            if len(asked) == 1:
                raise OSError("not here")
            return {texts.HUB_TEXTS[name].column: ["a", "b"]}

        monkeypatch.setattr(datasets, "load_dataset", load)
        assert text_sets((name,))[0].read(download=True).content == f"a{separator}b"
        assert [one[:3] for one in asked] == list(HUB_TEXTS[name].places[:2])
        assert asked[0][3] == "test"
