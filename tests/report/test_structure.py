"""What is said of a model's anatomy: every strategy, doubt and oddity in words of two languages."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from depthprune.base.language import Lang, Note, language, t
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts, sections_parts
from depthprune.report.sections.structure import analysis_section, heads, text_files
from depthprune.report.sections.structure_words import (
    aligned_lines,
    label_words,
    strategy_lines,
    what_happened,
)
from depthprune.report.structure_summary import batch_sections
from depthprune.structure.align import DOUBTS, Alignment, Doubt
from depthprune.structure.analyses import ModelAnalysis
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity
from depthprune.structure.batches import BatchOutcome, BatchResult
from depthprune.structure.compare import compare
from depthprune.structure.comparison import (
    AlignedBy,
    CountChange,
    LayerComparison,
    ModelComparison,
    Strategy,
)
from depthprune.structure.notes import Sentence, read_note
from depthprune.structure.summaries import ModelSummaries, ModelSummary
from tests.structure.llamas import made_up, with_layers

LANGS: list[Lang] = ["en", "zh"]
STRATEGIES: list[Strategy] = [
    "unchanged", "uniform", "non-uniform", "layer removal", "unstructured", "sliced", "unknown",
]  # fmt: skip
WAYS: list[AlignedBy] = ["provenance", "content", "config", "best match", "position"]


def told(strategy: Strategy, **evidence: float) -> str:
    change = CountChange(100, 80)
    found = ModelComparison("a", "b", change, change, (), strategy=strategy, evidence=evidence)
    return "\n".join(strategy_lines(found))


def shown(analysis: ModelAnalysis, lang: Lang = "en") -> str:
    with language(lang):
        return as_text(section_parts(analysis_section(analysis)), width=80)


def beside(original: Anatomy, pruned: Anatomy, alignment: Alignment | None = None) -> ModelAnalysis:
    """Return the analysis of two models whose layers stand beside each other."""
    found = alignment or Alignment(tuple(range(len(pruned.layers))), "position")
    return ModelAnalysis(pruned, original, found, compare(original, pruned, found))


# Words


@pytest.mark.parametrize("lang", LANGS, indirect=True)
def test_every_strategy_way_and_doubt_has_its_own_words(lang: Lang) -> None:
    change = CountChange(100, 80)
    found = [ModelComparison("a", "b", change, change, (), strategy=each) for each in STRATEGIES]
    assert len({strategy_lines(each)[0] for each in found}) == len(STRATEGIES)
    compared = [replace(found[0], aligned_by=way) for way in WAYS]
    assert len({aligned_lines(each, None)[0] for each in compared}) == len(WAYS)
    doubts = Alignment((), "position", doubts=tuple(Doubt(kind, (3,), 7) for kind in DOUBTS))
    assert len(set(aligned_lines(found[0], doubts))) == 1 + len(DOUBTS)
    assert len(set(label_words().values())) == 7


def test_the_numbers_stand_beside_the_strategy() -> None:
    text = told("layer removal", layers_removed=7, layers=32, layers_emptied=1, ratio_std=0.4134)
    assert "7 of 32 layers removed, 1 emptied" in text
    assert "standard deviation 41.34 points" in text
    text = told(
        "uniform", layers_smaller=28, layers=32, smaller_ratio_min=0.2, smaller_ratio_max=0.25
    )
    assert "28 of 32 layers smaller, by 20.00 to 25.00 %" in text


def test_sliced_says_what_it_was_seen_by() -> None:
    sizes = {"hidden_size_original": 4096.0, "hidden_size_pruned": 3072.0}
    assert "hidden size 4,096, now 3,072" in told("sliced", **sizes)
    assert "shortcuts" in told("sliced")


def test_zeros_are_told_once() -> None:
    assert told("unstructured", lost_by_zeros=0.5).count("50.00 %") == 1
    assert told("non-uniform", lost_by_zeros=0.125).count("12.50 %") == 1
    assert "zeros" not in told("non-uniform")


def test_a_part_that_is_gone_is_told_beside_the_label() -> None:
    layer = LayerComparison(0, 0, CountChange(10, 6), CountChange(4, 0), CountChange(6, 6))
    assert what_happened(layer) == "moderate, NO ATTENTION"
    layer = LayerComparison(0, 0, CountChange(10, 4), CountChange(4, 4), CountChange(6, 0))
    assert what_happened(layer) == "moderate, NO MLP"
    layer = LayerComparison(0, None, CountChange(10, 0), CountChange(4, 0), CountChange(6, 0))
    assert what_happened(layer) == "REMOVED"


def test_heads() -> None:
    assert heads(Attention(9)) is None
    assert heads(Attention(9, num_heads=8)) == "8"
    assert heads(Attention(9, num_heads=8, num_kv_heads=8)) == "8"
    assert heads(Attention(9, num_heads=8, num_kv_heads=2)) == "8/2"


# Tables


def test_neighbours_that_are_equal_share_a_line() -> None:
    lines = shown(ModelAnalysis(made_up(9, 9, 9, 5, 9, 9))).splitlines()
    firsts = [line.split()[0] for line in lines if line.strip()]
    assert firsts[-3:] == ["0-2", "3", "4-5"]


def test_only_neighbours_share_a_line() -> None:
    model = made_up(9, 9)
    apart = replace(model, layers=tuple(replace(x, index=3 * x.index) for x in model.layers))
    lines = shown(ModelAnalysis(apart)).splitlines()
    assert [line.split()[0] for line in lines if line.strip()][-2:] == ["0", "3"]


def test_a_model_that_grew_is_told() -> None:
    text = shown(beside(made_up(9, 9), made_up(9, 12)))
    assert "6 MORE" in text


def test_what_only_one_of_the_models_has_is_shown_for_both() -> None:
    original = replace(made_up(9), towers={"vision": 50})
    pruned = replace(made_up(9), towers={"adapter": 7}, lm_head=0, tied=True)
    found = {
        line.split("  ")[0].strip(): line.split()
        for line in shown(beside(original, pruned)).splitlines()
    }
    assert found["vision"][-3:] == ["50", "0", "100.00"]
    assert found["adapter"][-3:] == ["0", "7", "-"]
    assert found["LM head (tied)"][-3:] == ["0", "0", "-"]
    assert list(found).index("adapter") < list(found).index("Total")


def test_a_final_norm_that_an_older_file_does_not_tell_is_not_called_lost() -> None:
    original = replace(made_up(9), norm=4)
    old = replace(made_up(9), other=4)
    text = shown(beside(original, old))
    assert "Final norm" not in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(" Other")] == ["0.00"]


def test_experts_and_missing_parts_are_shown() -> None:
    layers = {
        0: Layer(0, 20, Attention(8), Mlp(12, intermediate_size=3, num_experts=4)),
        1: Layer(1, 12, Attention(0), Mlp(12)),
    }
    text = shown(ModelAnalysis(with_layers(made_up(9, 9), layers)))
    assert "4 x 3" in text
    assert "NONE" in text


def test_notes_of_the_model_are_shown() -> None:
    noted = replace(made_up(9), notes=(Note("something odd"),))
    assert "Note: something odd" in shown(ModelAnalysis(noted))
    assert "注意：something odd" in shown(ModelAnalysis(noted), "zh")


def test_a_pattern_of_zeros_is_named() -> None:
    half = Sparsity(10, 20, "2:4")
    sparse = with_layers(made_up(9), {0: replace(made_up(9).layers[0], sparsity=half)})
    text = shown(ModelAnalysis(replace(sparse, sparsity=half)))
    assert "10 of 20 weights (50.00 %); pattern 2:4" in text
    assert "zeros %" in text


def test_an_empty_model_is_shown() -> None:
    nothing = Anatomy("nothing", 0, 0, 0, ())
    assert "0 parameters in 0 layers" in shown(ModelAnalysis(nothing))
    assert "nothing" in shown(beside(nothing, nothing))
    assert text_files(beside(nothing, nothing)).keys() == {
        "structure_summary.txt", "pruning_summary_by_layer.txt",
    }  # fmt: skip


# Text files


def heads_of(before: Attention, after: Attention | None) -> str:
    """Return the cell of the heads of a layer in the text file."""
    original = with_layers(made_up(9), {0: Layer(0, 20, before, Mlp(10))})
    if after is None:
        pruned = replace(original, layers=())
    else:
        pruned = with_layers(original, {0: Layer(0, after.total + 10, after, Mlp(10))})
    text = text_files(beside(original, pruned))["pruning_summary_by_layer.txt"]
    row = next(line for line in text.splitlines() if line.split()[:1] == ["0"])
    cells = [cell for cell in row.split("  ") if cell.strip()]
    return cells[6].strip()


@pytest.mark.parametrize(
    ("after", "cell"),
    [
        (Attention(10, num_heads=8, num_kv_heads=2), "8/2"),
        (Attention(5, num_heads=4, num_kv_heads=1), "8/2 > 4/1"),
        (Attention(10), "8/2"),
        (Attention(5), "8/2 > ?"),
        (Attention(0), "8/2 > 0"),
        (None, "8/2 > 0"),
    ],
)
def test_no_number_of_heads_is_made_up(after: Attention | None, cell: str) -> None:
    assert heads_of(Attention(10, num_heads=8, num_kv_heads=2), after) == cell


def test_unknown_heads_stay_unknown() -> None:
    assert heads_of(Attention(10), Attention(5, num_heads=4)) == "-"


@pytest.mark.parametrize("lang", LANGS, indirect=True)
def test_missing_layers_are_told_in_the_text_file(lang: Lang) -> None:
    unknown = Alignment((0, 1), "position", known=False, doubts=(Doubt("unknown", number=1),))
    texts = text_files(beside(made_up(9, 9, 9), made_up(9, 9), unknown))
    expected = {"en": "1 missing, which one is unknown", "zh": "缺少 1 层，不知是哪几层"}
    assert expected[lang] in texts["pruning_summary_by_layer.txt"]


# Notes, and parts in their order


NOTES = [
    "the configuration says 32 layers, the weights have 25",
    "no numbered list of layers was found: of the layers nothing is known",
    "quantised by gptq: parameters are those of the unpacked weights",
    "3 tensors, e.g. a.weight: packed numbers, and nothing says how many parameters they hold",
    "3 tensors, e.g. a.weight: saved with size 0, as DeepSpeed does where ZeRO-3 is not gathered",
    "3 tensors, e.g. a.weight: packed by torchao, and the file does not say its shape",
    "3 tensors, e.g. a.weight: a bitmask whose shape is not stored",
    "3 tensors, e.g. a.weight: a tensor of a form whose shape is not told (_rebuild_x)",
    "3 tensors, e.g. a.weight: 2 ranks hold parts of it that do not fit each other",
    "1 of 2 ranks: the others hold the rest of every tensor",
    "2 ranks, saved by a program whose way to split is not known",
    "original: model-00002-of-00003.safetensors is one part of 3",
    "zeros were not counted in 3 tensors of packed numbers, e.g. a.qweight",
    "lm_head is taken for tied: counted apart, the parts exceed the total",
    "model-00002-of-00003.safetensors is one part of 3",
    "its parts have no index",
    "other weight files are left out: gradients.pt, b {c}.pt",
    "layers_to_remove.json is left out: it does not say which layers were removed",
    "depthprune.json is left out: not valid JSON",
]
"""As the modules of `structure` write them."""


@pytest.mark.parametrize("note", NOTES)
def test_notes_that_files_hold_in_english_are_told_in_both_languages(note: str) -> None:
    assert read_note(note) == note == read_note(note).translated()
    with language("zh"):
        chinese = read_note(note).translated()
    assert re.search("[一-鿿]", chinese)
    assert " more" not in chinese
    assert re.findall(r"[0-9]+", chinese) == re.findall(r"[0-9]+", note)


def test_a_note_in_a_note_is_told_in_the_same_language() -> None:
    """Also as one that a file holds: all of it is read back."""
    inner = Note(Sentence.OF_TENSORS, n=3, name="a.weight", why=Note(Sentence.BITMASK))
    note = Note(Sentence.OF_ORIGINAL, why=inner)
    for one in (note, read_note(str(note))):
        assert one == "original: 3 tensors, e.g. a.weight: a bitmask whose shape is not stored"
        with language("zh"):
            told = one.translated()
        assert told == "原始模型：3 个张量（例如 a.weight）：位掩码形式，没有存储形状"


@pytest.mark.parametrize("text", ["original: " * 10_000 + "x", "{why}", "{0}{", "original: {n}"])
def test_a_hostile_note_is_a_text_as_any_other(text: str) -> None:
    note = read_note(text)
    assert note == text == copy.deepcopy(note) == pickle.loads(pickle.dumps(note))
    with language("zh"):
        assert note.translated() == text.replace("original: ", "原始模型：", 1)


def test_a_note_that_is_not_known_stays() -> None:
    with language("zh"):
        assert read_note("of another program").translated() == "of another program"


def test_the_notes_of_a_model_are_shown_in_the_language_of_the_report() -> None:
    model = replace(made_up(10, 10), notes=(read_note(NOTES[0]),))
    assert f"Note: {NOTES[0]}" in shown(ModelAnalysis(model))
    assert "注意：配置记为 32 层，权重实有 25 层" in shown(ModelAnalysis(model), "zh")


def test_parts_that_only_the_pruned_model_has_stand_with_their_kind() -> None:
    """Shortcuts of a sliced model are of the layers, and so stand below them."""
    original = made_up(10, 10)
    layer = replace(original.layers[0], total=17, other=5)
    text = shown(beside(original, with_layers(original, {0: layer})))
    parts = [line.strip().split("  ")[0] for line in text.splitlines()]
    first = parts.index("Embedding")
    order = ["Embedding", "Decoder layers", "attention", "MLP", "norms", "other", "LM head"]
    assert parts[first : first + len(order)] == order


def test_towers_have_chinese_names() -> None:
    model = replace(made_up(10), total=36, towers={"vision": 3, "projector": 1, "of [red]": 0})
    assert {"视觉", "投影层", r"of [red]"} <= {
        line.strip().split("  ")[0] for line in shown(ModelAnalysis(model), "zh").splitlines()
    }


def test_what_went_outside_the_layers_is_told_as_such() -> None:
    original = replace(made_up(10, 10), total=54, towers={"vision": 10})
    pruned = replace(original, total=50, towers={"vision": 6})
    text = shown(beside(original, pruned))
    assert "Strategy: non-uniform: 7.41 % of the model went, all of it outside the layers" in text
    assert "0 of 2 layers" not in text


def test_a_final_norm_that_is_gone_is_called_so() -> None:
    """As of a sliced model; what an older file counts as other may be one."""
    original = replace(made_up(10), total=34, norm=2)
    assert "Final norm" in shown(beside(original, replace(original, total=32, norm=0)))
    assert "Final norm" not in shown(beside(original, replace(original, norm=0, other=2)))


@pytest.mark.parametrize("lang", LANGS)
def test_nothing_is_cut_off_in_80_columns(lang: Lang) -> None:
    """Not even of a model with billions of parameters in every layer."""
    zeros = Sparsity(1_000_000_000, 2_504_073_218)
    original = made_up((88_080_384, 2_415_992_832))
    layer = original.layers[0]
    left = replace(
        layer, total=2_415_992_834, attention=Attention(0), sparsity=zeros,
        mlp=replace(layer.mlp, intermediate_size=16384),
    )  # fmt: skip
    text = shown(beside(original, with_layers(original, {0: left})), lang)
    assert "…" not in text
    assert "2,415,992,834" in text
    assert max(map(cell_len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["of_thirty_letters_or_some_less", 9 * "剪枝后的模型_2000_"])
@pytest.mark.parametrize("lang", LANGS, indirect=True)
def test_many_models_fit_80_columns(lang: Lang, name: str) -> None:
    here = Path()
    outcome = BatchOutcome(
        here, None, here, (BatchResult(name, "pruned_model", here, here, "success", reused=True),)
    )
    anatomy = Anatomy("model", 140_621_322_240, 1, 1, ())
    summary = ModelSummaries(
        ("models",), (ModelSummary(name, here, anatomy, original=150_000_000_000),)
    )
    text = as_text(sections_parts(batch_sections(outcome, summary), 80), width=80)
    assert "140,621,322,240" in text
    assert "pruned_model" in text
    assert t("unchanged") in text
    assert "…" not in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_notes_on_one_of_many_models_are_told() -> None:
    here = Path()
    outcome = BatchOutcome(here, None, here, (BatchResult("a/b", "bin", here, here, "success"),))
    model = replace(made_up(10), notes=(read_note(NOTES[0]),))
    summary = ModelSummaries((), (ModelSummary("a/b", here, model),))
    with language("zh"):
        parts = sections_parts(batch_sections(outcome, summary))
    assert "注意：a/b: 配置记为 32 层，权重实有 25 层" in as_text(parts, width=80)
