"""Many folders of analyses become one summary, whatever lies in them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import AnalysisError, FileError
from depthprune.structure.finding import (
    is_near_ratio,
    is_of_method,
    parse_ratio,
    ratio_in_name,
)
from depthprune.structure.summaries import ModelSummary, facts_of, summarize, summarize_model

COPIES = Path(__file__).with_name("pruned_models")
SHARED = Path("/work/shared/pruned_models")
HGSP = COPIES / "results/HGSP_2000/analysis"
SHORTGPT = COPIES / "baselines/ShortGPT_remove_7/analysis"
LAYERWISE = COPIES / "results/layerwise_20/analysis"


def analysed(folder: Path, *files: Path) -> Path:
    """Return a folder with copies of these files in its `analysis/`."""
    (folder / "analysis").mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder / "analysis" / file.name)
    return folder


def weights(folder: Path, *names: str) -> Path:
    """Return a folder with files that have the names of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"model.layers.0.mlp.up_proj.weight")
    return folder


def edit(path: Path, **fields: Any) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(value | fields, ensure_ascii=False), encoding="utf-8")


def only(root: Path) -> ModelSummary:
    (model,) = summarize([root]).models
    return model


def names(root: Path, **selection: Any) -> list[str]:
    return [model.name for model in summarize([root], **selection).models]


def test_the_copies_are_summarised_in_order_of_name() -> None:
    summary = summarize([COPIES / "baselines", COPIES / "results"])
    assert [model.name for model in summary.models] == [
        "baselines/ShortGPT_remove_7",
        "results/HGSP_2000",
        "results/layerwise_20",
    ]
    assert summary.dirs == (str(COPIES / "baselines"), str(COPIES / "results"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared files of real models are not here")
def test_every_number_of_the_shared_models_is_the_one_in_their_files() -> None:
    summary = summarize([SHARED / "baselines", SHARED / "results"])
    found = {model.name: model for model in summary.models}
    assert set(found) == {
        "baselines/Magnitude_2000",
        "baselines/ShortGPT_remove_7",
        "baselines/SliceGPT_2000",
        "results/HGSP_2000",
        "results/base",
        "results/layerwise_20",
    }
    checked = 0
    for path in sorted(SHARED.rglob("*comparison.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        facts = facts_of(found[str(path.parents[1].relative_to(SHARED))])
        assert facts.params == value["total_params"]["pruned"]
        assert facts.original == value["total_params"]["original"]
        assert facts.ratio == value["total_params"]["reduction_ratio"]
        assert facts.num_layers == len(value["layers"])
        checked += 1
    assert checked == 5
    for name in ("baselines/SliceGPT_2000", "results/base"):
        assert found[name].mend is not None
    assert found["results/layerwise_20"].problems


def test_what_short_gpt_removed_is_known_by_number_only() -> None:
    facts = facts_of(only(COPIES / "baselines"))
    assert (facts.num_layers, facts.of_layers, facts.missing) == (25, 32, 7)
    assert (facts.removed, facts.emptied, facts.num_removed) == ((), (), 7)
    assert facts.strategy == "layer removal"


def test_layers_without_attention_are_named() -> None:
    facts = facts_of(only(COPIES / "results/HGSP_2000"))
    assert (facts.no_attention, facts.no_mlp, facts.emptied) == ((11, 12, 25), (), ())


def test_a_zero_attention_is_seen_without_a_comparison_too(tmp_path: Path) -> None:
    facts = facts_of(only(analysed(tmp_path / "m", HGSP / "pruned_model_analysis.json")))
    assert facts.no_attention == (11, 12, 25)
    assert (facts.params, facts.ratio, facts.of_layers) == (6424219648, None, None)


def test_of_two_equal_files_the_one_with_real_names_counts(tmp_path: Path) -> None:
    model = only(
        analysed(tmp_path / "m", HGSP / "model_comparison.json", HGSP / "pruning_comparison.json")
    )
    assert model.comparison is not None
    assert model.comparison.original_name == "Llama-3-8B-Instruct"
    assert model.problems == ()


def test_real_names_count_in_whichever_file_they_are(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m", HGSP / "model_comparison.json") / "analysis"
    shutil.copy(HGSP / "model_comparison.json", folder / "pruning_comparison.json")
    edit(folder / "model_comparison.json", original_name="Llama", pruned_name="HGSP")
    comparison = only(tmp_path).comparison
    assert comparison is not None
    assert comparison.pruned_name == "HGSP"


def test_of_two_files_that_differ_the_first_counts_and_it_is_told(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m", SHORTGPT / "model_structure.json") / "analysis"
    shutil.copy(HGSP / "pruned_model_analysis.json", folder)
    model = only(tmp_path)
    assert model.anatomy is not None
    assert model.anatomy.total == 6503477248
    assert model.problems == (
        f"{folder}/pruned_model_analysis.json: differs from model_structure.json, which counts",
    )


def test_a_broken_file_is_named_and_its_twin_counts(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m", HGSP / "model_comparison.json") / "analysis"
    (folder / "pruning_comparison.json").write_text('{"total_params":\n')
    model = only(tmp_path)
    assert model.comparison is not None
    (problem,) = model.problems
    assert problem.startswith(f"{folder}/pruning_comparison.json, line 2")


def test_a_number_that_json_lacks_is_named_and_the_other_files_count() -> None:
    model = only(COPIES / "results/layerwise_20")
    assert model.comparison is not None
    assert model.anatomy is not None
    (problem,) = model.problems
    assert problem.endswith('layer_importance_similarity.json, ["2"]: NaN is not a JSON number')


def test_a_model_whose_files_are_all_broken_is_told_how_to_mend_it(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m") / "analysis"
    (folder / "model_structure.json").write_text("[]")
    model = only(tmp_path)
    assert model.anatomy is None
    assert "a JSON object was expected" in model.problems[0]
    assert model.mend is not None


def test_a_comparison_that_contradicts_its_model_is_told(tmp_path: Path) -> None:
    analysed(tmp_path / "m", HGSP / "pruning_comparison.json", SHORTGPT / "model_structure.json")
    model = only(tmp_path)
    assert facts_of(model).params == 6424219648
    assert "6503477248 parameters by one file, 6424219648 by the comparison" in model.problems[0]


def test_the_original_is_known_by_its_own_file(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m", SHORTGPT / "model_structure.json") / "analysis"
    original = {"total_params": 8030261248, "embedding_params": 0, "lm_head_params": 0}
    (folder / "original_model_analysis.json").write_text(json.dumps({**original, "layers": []}))
    model = only(tmp_path)
    assert model.original == 8030261248
    assert facts_of(model).ratio == pytest.approx(0.1901288)


def test_a_broken_original_costs_only_itself(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m", SHORTGPT / "model_structure.json") / "analysis"
    (folder / "original_model_analysis.json").write_text("{}")
    model = only(tmp_path)
    assert model.original is None
    assert model.anatomy is not None
    assert len(model.problems) == 1


def test_a_model_without_analysis_is_listed_with_the_command_that_makes_one(
    tmp_path: Path,
) -> None:
    folder = weights(tmp_path / "my models" / "wanda", "pruned_model.bin")
    model = only(tmp_path)
    assert (model.name, model.anatomy) == (f"{tmp_path.name}/my models/wanda", None)
    assert model.mend is not None
    assert shlex.split(model.mend) == [
        *("depthprune", "structure", "analyze", "--model_path", str(folder)),
        *("--output_dir", str(folder / "analysis")),
    ]


def test_an_evaluation_tells_which_model_it_measured(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "evaluation_results.json").write_text('{"model_path": "a b/model.pt; rm", "x": NaN}')
    mend = only(tmp_path).mend
    assert mend is not None
    assert "--model_path 'a b/model.pt; rm' --output_dir" in mend


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"model_path": 3}', '{"model_path": "a\\n"}']
)
def test_an_evaluation_that_names_no_model_leaves_it_open(
    content: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "m" / "evaluation"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "evaluation_results.json").write_text(content)
    mend = only(tmp_path).mend
    assert mend is not None
    assert "--model_path MODEL" in mend


def test_text_files_alone_are_no_analysis(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "m")
    (folder / "analysis" / "structure_summary.txt").write_text("模型结构分析摘要")
    assert only(tmp_path).mend is not None


def test_folders_without_models_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "plots" / "analysis").mkdir(parents=True)
    (tmp_path / "plots" / "analysis" / "quick_summary.md").write_text("of a study")
    weights(tmp_path / "training", "optimizer.pt", "training_args.bin", "rng_state.pth")
    (tmp_path / ".git").mkdir()
    weights(tmp_path / ".git" / "lfs", "model.safetensors")
    assert names(tmp_path) == []


def test_nested_folders_are_found_and_parts_of_a_model_are_not_models(tmp_path: Path) -> None:
    for name in ("a/b/c/deep", "a/b/c/deep/inner"):
        analysed(tmp_path / name, SHORTGPT / "model_structure.json")
    weights(tmp_path / "sub" / "pruned_model", "model.safetensors")
    weights(tmp_path / "trained", "model.safetensors")
    weights(tmp_path / "trained" / "checkpoint-10", "model.safetensors")
    root = tmp_path.name
    assert names(tmp_path) == [
        f"{root}/a/b/c/deep",
        f"{root}/a/b/c/deep/inner",
        f"{root}/sub",
        f"{root}/trained",
    ]


def test_an_analysed_checkpoint_of_a_training_counts(tmp_path: Path) -> None:
    weights(tmp_path / "trained", "model.safetensors")
    analysed(tmp_path / "trained" / "checkpoint-10", SHORTGPT / "model_structure.json")
    root = tmp_path.name
    assert names(tmp_path) == [f"{root}/trained", f"{root}/trained/checkpoint-10"]


def test_several_models_in_one_folder_have_folders_of_their_names(tmp_path: Path) -> None:
    folder = weights(tmp_path / "sliced", "a_0.2.pt", "b_0.3.pt")
    (folder / "scores.pt").write_bytes(b"no model")
    analysed(folder / "a_0.2", SHORTGPT / "model_structure.json")
    analysed_one, lacking = summarize([tmp_path]).models
    assert analysed_one.anatomy is not None
    assert lacking.name == f"{tmp_path.name}/sliced/b_0.3"
    assert lacking.mend is not None
    assert str(folder / "b_0.3.pt") in lacking.mend


def test_a_folder_may_be_the_model_or_its_analysis(tmp_path: Path) -> None:
    analysed(tmp_path / "wanda", SHORTGPT / "model_structure.json")
    assert names(tmp_path / "wanda") == ["wanda"]
    assert names(tmp_path / "wanda" / "analysis") == ["wanda"]


def test_a_folder_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    analysed(tmp_path / "r" / "x", SHORTGPT / "model_structure.json")
    found = summarize([tmp_path / "r", tmp_path / "r" / ".." / "r", tmp_path / "r" / "x"]).models
    assert [model.name for model in found] == ["r/x"]


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for side in "ab":
        analysed(tmp_path / side / "results" / "x", SHORTGPT / "model_structure.json")
    dirs = [tmp_path / side / "results" for side in "ab"]
    assert [model.name for model in summarize(dirs).models] == [f"{one}/x" for one in dirs]


def test_the_current_folder_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed(tmp_path / "x", SHORTGPT / "model_structure.json")
    monkeypatch.chdir(tmp_path)
    (model,) = summarize(["."]).models
    assert (model.name, model.folder) == (f"{tmp_path.name}/x", Path("x"))


def test_links_in_circles_end(tmp_path: Path) -> None:
    analysed(tmp_path / "x", SHORTGPT / "model_structure.json")
    (tmp_path / "x" / "again").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path) == [f"{tmp_path.name}/x"]


def test_a_link_that_leads_out_is_told_and_not_followed(tmp_path: Path) -> None:
    outside = analysed(tmp_path / "elsewhere", SHORTGPT / "model_structure.json")
    inside = tmp_path / "results"
    inside.mkdir()
    (inside / "x").symlink_to(outside)
    model = only(inside)
    assert (model.name, model.anatomy, model.mend) == ("results/x", None, None)
    assert "a link that leads out to" in model.problems[0]


def test_a_file_that_is_a_link_out_is_told_and_not_read(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "x", SHORTGPT / "pruning_comparison.json") / "analysis"
    (folder / "model_structure.json").symlink_to(SHORTGPT / "model_structure.json")
    model = only(tmp_path)
    assert model.anatomy is None
    assert model.comparison is not None
    assert "leads out of the model's folder" in model.problems[0]


def test_what_is_no_file_is_told_and_not_opened(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "x", SHORTGPT / "pruning_comparison.json") / "analysis"
    os.mkfifo(folder / "model_structure.json")
    (folder / "broken.json").symlink_to(folder / "nothing.json")
    model = only(tmp_path)
    assert model.comparison is not None
    assert [problem.rpartition(": ")[2] for problem in model.problems] == ["it must be a file"] * 2


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "x", SHORTGPT / "pruning_comparison.json") / "analysis"
    with (folder / "huge.json").open("wb") as file:
        file.truncate(2**40)
    model = only(tmp_path)
    assert model.comparison is not None
    assert "has more than 64 MiB" in model.problems[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert "cannot read" in only(tmp_path).problems[0]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="it must be a folder"):
        summarize([tmp_path / "file"])
    with pytest.raises(FileError, match="no such folder"):
        summarize([tmp_path / "nowhere"])


def test_one_folder_can_be_read_alone(tmp_path: Path) -> None:
    folder = analysed(tmp_path / "x", SHORTGPT / "model_structure.json")
    model = summarize_model("mine", folder)
    assert (model.name, model.folder) == ("mine", folder)
    assert model.anatomy is not None


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("baselines/Magnitude_2000", "magnitude", True),
        ("baselines/Magnitude_2000", "Magn", True),
        ("baselines/Magnitude_2000", "base", False),
        ("results/HGSP_2000", "h-gsp", True),
        ("results/LLM-Pruner_20", "llm_pruner", True),
        ("results/wanda/2000", "Wanda", True),
        ("results/wanda/2000", "wanda/2*", True),
        ("results/Wanda_2000", "wanda_*", True),
        ("results/Wanda_2000", "wanda", True),
        ("results/Wanda_2000", "?anda", False),
        ("results/Wanda_2000", "results/*", True),
        ("ShortGPT", "short", True),
    ],
)
def test_a_method_is_told_by_the_name(name: str, method: str, expected: bool) -> None:
    assert is_of_method(name, method) is expected


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("0.2", 0.2), ("20", 0.2), ("20%", 0.2), ("2000", 0.2), ("2.5%", 0.025), ("1", 0.01),
     ("100", 1.0), ("0.5%", 0.005), (" 20 ", 0.2)],
)  # fmt: skip
def test_a_ratio_is_written_in_four_ways(text: str, ratio: float) -> None:
    assert parse_ratio(text) == pytest.approx(ratio)


@pytest.mark.parametrize("text", ["", "half", "-20", "0", "20000", "nan", "inf", "101%"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(AnalysisError, match="the pruning ratio must be"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("name", "ratio"),
    [("HGSP_2000", 0.2), ("wanda_0500", 0.05), ("layerwise_20", 0.2), ("slice-0.25", 0.25),
     ("wanda_20%", 0.2), ("wanda/2000", 0.2), ("ShortGPT_remove_7", None), ("seed_20", None),
     ("Llama-3-8B", None), ("wanda", None), ("v2", None), ("wanda_0", None)],
)  # fmt: skip
def test_a_name_may_end_with_its_ratio(name: str, ratio: float | None) -> None:
    assert ratio_in_name(name) == ratio


@pytest.mark.parametrize(
    ("name", "measured", "expected"),
    [
        ("ShortGPT_remove_7", 0.1901288, True),
        ("ShortGPT_remove_7", 0.215, True),
        ("ShortGPT_remove_7", 0.2151, False),
        ("SliceGPT_2000", 0.1, True),
        ("SliceGPT_2000", None, True),
        ("SliceGPT_3000", 0.1, False),
        ("something", None, False),
    ],
)
def test_a_ratio_is_measured_or_named(name: str, measured: float | None, expected: bool) -> None:
    assert is_near_ratio(name, measured, 0.2) is expected


def test_methods_and_ratios_select_together(tmp_path: Path) -> None:
    for name, file in (("wanda_2000", HGSP), ("wanda_3000", HGSP), ("taylor_2000", HGSP)):
        analysed(tmp_path / "r" / name, file / "pruning_comparison.json")
    edit(
        tmp_path / "r/wanda_3000/analysis/pruning_comparison.json",
        total_params={"original": 10, "pruned": 7},
    )
    assert names(tmp_path / "r", method="wanda") == ["r/wanda_2000", "r/wanda_3000"]
    assert names(tmp_path / "r", ratio=0.2) == ["r/taylor_2000", "r/wanda_2000"]
    assert names(tmp_path / "r", method="wanda", ratio=0.3) == ["r/wanda_3000"]


def test_a_thousand_folders_are_summarised(tmp_path: Path) -> None:
    sources = [tmp_path / "sources" / path.parent.name for path in (HGSP, LAYERWISE, SHORTGPT)]
    for source in sources:
        shutil.copytree(next(COPIES.glob(f"*/{source.name}")) / "analysis", source)
    root = tmp_path / "root"
    for number in range(1000):
        analysis = root / f"d{number % 10}" / f"m{number}" / "analysis"
        shutil.copytree(sources[number % 3], analysis, copy_function=os.link)
    found = summarize([root]).models
    assert len(found) == 1000
    assert all(model.comparison is not None for model in found)
