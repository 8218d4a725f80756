"""What names blocks: keys of tensors, and lists of layers that are not quantised."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from depthprune.base.errors import ModelError
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.keys import CutNote, Numbering, change_keys
from depthprune.cutting.model_card import model_card
from depthprune.cutting.plan import CutPlan, plan_cut
from depthprune.cutting.quantization import BlockNames, is_quantized, rename_blocks
from depthprune.report.sections.cut import plan_section
from tests import models as tiny
from tests.cutting.cutting import saved

LAYERS = Numbering("model.layers.")


def test_keys_of_blocks_are_renumbered_and_others_stay() -> None:
    keys = ["embed", "model.layers.0.a", "model.layers.1.a", "model.layers.2.a", "layers.0.a"]
    changes = change_keys(keys, (LAYERS,), 3, (1,))
    assert changes.new_names == {
        "embed": "embed",
        "model.layers.0.a": "model.layers.0.a",
        "model.layers.2.a": "model.layers.1.a",
        "layers.0.a": "layers.0.a",
    }
    assert changes.dropped == ("model.layers.1.a",)


def test_parts_that_are_counted_by_themselves_follow_their_blocks() -> None:
    keys = ["model.layers.0.a", "model.layers.1.a", "model.layers.2.a", "extra.0.b", "extra.1.b"]
    changes = change_keys(keys, (LAYERS, Numbering("extra.", 1)), 3, (1,))
    assert changes.new_names == {
        "model.layers.0.a": "model.layers.0.a",
        "model.layers.2.a": "model.layers.1.a",
        "extra.1.b": "extra.0.b",
    }


def test_blocks_beyond_the_last_are_told() -> None:
    keys = ["model.layers.0.a", "model.layers.1.a", "model.layers.2.a"]
    assert change_keys(keys, (LAYERS,), 2, (0,)).extra == {"model.layers.2.a": 2}


NAMES = BlockNames(
    lists=("model.language_model.layers", "language_model.layers"),
    modules=frozenset({"lm_head", "model.vision.layers.3.mlp", "model.vision.layers.3"}),
    num_blocks=6,
    removal=(1, 3),
    inner=(frozenset({"self_attn", "mlp", "mlp.gate", "mlp.gate_up"}),) * 6,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lm_head", "lm_head"),
        ("re:.*lm_head", "re:.*lm_head"),
        ("model.language_model.layers.0", "model.language_model.layers.0"),
        ("model.language_model.layers.2.mlp.gate", "model.language_model.layers.1.mlp.gate"),
        ("language_model.layers.5.mlp", "language_model.layers.3.mlp"),
        ("model.language_model.layers.3.mlp", None),
        ("language_model.layers.4.experts.4.up", "language_model.layers.2.experts.4.up"),
        (r"re:^language_model\.layers\.4\.mlp$", r"re:^language_model\.layers\.2\.mlp$"),
        (r"-:model\.language_model\.layers\.3\.self_attn.*", None),
        (r"+:model.language_model.layers.5.mlp.*", r"+:model.language_model.layers.3.mlp.*"),
        ("re:.*language_model.layers.5.mlp", "re:.*language_model.layers.3.mlp"),
        ("model.vision.layers.3.mlp", "model.vision.layers.3.mlp"),
        ("model.vision.layers.3", "model.vision.layers.3"),
        ("model.language_model.layers.*.mlp.gate", "model.language_model.layers.*.mlp.gate"),
        ("w8a8", "w8a8"),
        (r"re:model\.language_model\.layers\.[0-3]\..*",
         r"re:model\.language_model\.layers\.(?:0|1)(?!\d)\..*"),
        (r"re:.*language_model\.layers\.(0|1)\.mlp", r"re:.*language_model\.layers\.0\.mlp"),
        (r"re:.*language_model\.layers\.[^0]\.mlp", r"re:.*language_model\.layers\.[^0]\.mlp"),
        ("layers.3.mlp", "model.vision.layers.3.mlp"),
    ],
)  # fmt: skip
def test_names_of_modules_follow_their_blocks(name: str, expected: str | None) -> None:
    assert NAMES.rename(name, "ignore") == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("lists", "text", "expected"),
    [
        ("model.layers", "layers.5.mlp", ("layers.3.mlp",)),
        ("model.layers", "language_model.model.layers.2", ("language_model.model.layers.1",)),
        ("transformer.h", "h.4.mlp", ("h.2.mlp",)),
        ("transformer.h", "h.1.mlp", ()),
    ],
)
def test_names_without_their_prefix_or_with_another(
    lists: str, text: str, expected: tuple[str, ...]
) -> None:
    names = BlockNames((lists,), frozenset({"lm_head"}), 6, (1, 3))
    assert names.rename(text, "ignore") == expected


LONG = BlockNames(
    ("model.layers",), frozenset({"lm_head"}), 24, (1, 12), (frozenset({"mlp", "mlp.up"}),) * 24
)
NEW = {old: new for new, old in enumerate(block for block in range(24) if block not in (1, 12))}


@pytest.mark.parametrize(
    "pattern",
    [
        "model.layers.1.*",
        r"model\.layers\.1\d?\.mlp\.up",
        r"model\.layers\.\d\.mlp.*",
        r".*layers\.(0|1|2|12|23)\.mlp\.up$",
        r".*\.(?:layers\.3|layers\.13)\.mlp",
        r"model.layers..\.mlp",
        r".*\.(?!1\.)\d+\.mlp\.up",
        r".*layers.[0-9]{2}.mlp.up",
        "model.layers.12.*",
        ".*mlp.*",
    ],
)
def test_a_pattern_matches_the_same_modules_at_their_new_places(pattern: str) -> None:
    def hits(texts: Any, blocks: Any) -> set[str]:
        ends = ("", ".mlp", ".mlp.up")
        names = [f"model.layers.{block}{end}" for block in blocks for end in ends]
        return {name for name in names for text in texts if re.match(text, name)}

    expected = {
        name.replace(f".{old}", f".{new}", 1)
        for old, new in NEW.items()
        for name in hits([pattern], [old])
    }
    renamed = LONG.rename(f"re:{pattern}", "ignore")
    assert all(text.startswith("re:") for text in renamed)
    assert hits([text[3:] for text in renamed], range(22)) == expected
    assert len(renamed) == bool(expected)


def test_patterns_of_file_names_are_read_as_modelopt_reads_them() -> None:
    names = replace(LONG, method="modelopt")
    assert names.rename("model.layers.23*", "ignore") == ("model.layers.21*",)
    assert names.rename("model.layers.1?.mlp.up", "ignore") == tuple(
        f"model.layers.{block}.mlp.up" for block in (10, 11, 12, 13, 14, 15, 16, 17, 9)
    )
    assert names.rename("model.layers.12*", "ignore") == ()


def test_names_between_commas_and_single_texts() -> None:
    renamed = rename_blocks(
        {
            "skip": "model.layers.0.mlp, model.layers.1.mlp, model.layers.3.mlp,lm_head",
            "blocks": "model.layers",
            "one": "model.layers.23",
            "version": "1.12.3",
        },
        LONG,
        "quantization_config",
    )
    assert renamed == {
        "skip": "model.layers.0.mlp, model.layers.2.mlp, lm_head",
        "blocks": "model.layers",
        "one": "model.layers.21",
        "version": "1.12.3",
    }
    with pytest.raises(ModelError, match="cannot say none"):
        rename_blocks({"one": "model.layers.1.mlp"}, LONG, "quantization_config")


@pytest.mark.parametrize("name", ["*blocks.1*", r"re:layers\.(3|4)\.mlp"])
def test_what_may_mean_blocks_and_is_not_understood_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="cannot be renumbered"):
        NAMES.rename(name, "ignore")


def test_keys_and_lists_are_renamed_wherever_they_stand() -> None:
    value = {
        "bits": 4,
        "dynamic": {"-:model.language_model.layers.3.mlp": {}, "lm_head": {"bits": 8}},
        "groups": [{"targets": ["Linear", "model.language_model.layers.2.mlp"]}],
    }
    assert rename_blocks(value, NAMES, "quantization_config") == {
        "bits": 4,
        "dynamic": {"lm_head": {"bits": 8}},
        "groups": [{"targets": ["Linear", "model.language_model.layers.1.mlp"]}],
    }


def test_a_list_with_a_number_for_every_block_is_refused() -> None:
    with pytest.raises(ModelError, match="an entry for every block"):
        rename_blocks({"bits": [4, 4, 4, 4, 8, 8]}, NAMES, "quantization_config")


def test_quantisation_inside_the_text_configuration_is_seen() -> None:
    assert is_quantized({"text_config": {"quantization_config": {"bits": 4}}})
    assert not is_quantized({"text_config": {"quantization_config": None}})


def plan_with(folder: Path, config: dict[str, Any], removal: tuple[int, ...] = (1,)) -> CutPlan:
    """Plan a cut of a tiny Llama whose config.json says more."""
    source = saved(tiny.llama(), folder)
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return plan_cut(source, removal)


def test_exclusion_lists_in_the_configuration_are_renumbered(tmp_path: Path) -> None:
    quantization = {
        "quant_method": "fp8",
        "modules_to_not_convert": ["model.layers.2.mlp", "lm_head"],
    }
    plan = plan_with(tmp_path, {"quantization_config": quantization})
    assert plan.config["quantization_config"]["modules_to_not_convert"] == [
        "model.layers.1.mlp",
        "lm_head",
    ]
    assert plan.quantized
    changed = [change.path for change in plan.fields]
    assert changed == ["num_hidden_layers", "quantization_config.modules_to_not_convert"]


def test_quantisation_files_beside_are_renumbered(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    (source / "quantize_config.json").write_text('{"dynamic": {"-:model.layers.5.mlp": {}}}')
    assert plan_cut(source, (1,)).documents == {
        "quantize_config.json": {"dynamic": {"-:model.layers.4.mlp": {}}}
    }


def with_extra_block(folder: Path, index: int) -> Path:
    """Save a tiny Llama whose weights hold one more block."""
    source = saved(tiny.llama(), folder)
    path = source / "model.safetensors"
    save_file(
        load_file(path) | {f"model.layers.{index}.eh_proj.weight": torch.ones(2)},
        path,
        metadata={"format": "pt"},
    )
    return source


def test_heads_that_predict_further_tokens_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    source = with_extra_block(tmp_path, 6)
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_nextn_predict_layers": 1}))
    plan = plan_cut(source, (1,))
    assert "model.layers.6.eh_proj.weight" in plan.dropped
    assert plan.config["num_nextn_predict_layers"] == 0
    assert "left out" in str(plan.notes[0])
    assert "num_nextn_predict_layers" in model_card(plan, (), None)


def test_other_blocks_beyond_the_last_are_refused(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    path = source / "model.safetensors"
    save_file(load_file(path) | {"model.layers.6.mlp.up_proj.weight": torch.ones(2)}, path)
    with pytest.raises(ModelError, match="counts 6 blocks, but the weights have 7"):
        plan_cut(source, (1,))


def test_an_unknown_list_with_an_entry_for_every_block_is_shortened_and_told(
    tmp_path: Path,
) -> None:
    plan = plan_with(tmp_path, {"my_scales": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "my_sizes": [1, 2]})
    assert plan.notes == (CutNote("found field", "my_scales"),)
    assert len(plan.config["my_scales"]) == 5
    assert plan.config["my_sizes"] == [1, 2]


@pytest.mark.parametrize("probed", [False, True])
def test_numbers_that_json_lacks_stay_as_they_are(probed: bool, tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path / "whole")
    path = source / "config.json"
    path.write_text(path.read_text().replace("{", '{"time_step_limit": [0.0, Infinity],', 1))
    execute_cut(plan_cut(source, (1,), probed=probed), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written["time_step_limit"][1] in (float("inf"), {"__float__": "Infinity"})


@pytest.mark.parametrize(
    ("lang", "word"), [("en", "left out"), ("zh", "额外块")], indirect=["lang"]
)
def test_notes_are_shown(lang: Any, word: str, tmp_path: Path) -> None:
    source = with_extra_block(tmp_path, 6)
    path = source / "config.json"
    extra = {"num_nextn_predict_layers": 1, "my_scales": [1.0] * 6}
    path.write_text(json.dumps(json.loads(path.read_text()) | extra))
    found = plan_section(plan_cut(source, (1,)))
    parts = [*found.sentences, *found.notes]
    assert word in parts[-2]
    assert "my_scales" in parts[-1]


def test_an_adapter_beside_the_weights_is_refused(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    (source / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="adapter"):
        plan_cut(source, (1,))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"base_model.model.{name}",
        lambda name: name.replace("mlp.", "_checkpoint_wrapped_module.mlp."),
    ],
    ids=["DataParallel", "compiled", "PEFT", "checkpointed"],
)
def test_what_wrappers_add_to_the_keys_is_taken_off_and_that_is_told(
    wrap: Any, tmp_path: Path
) -> None:
    source = saved(tiny.llama(), tmp_path / "whole")
    expected = plan_cut(source, (1, 3)).shards[0]
    path = source / "model.safetensors"
    save_file({wrap(name): one for name, one in load_file(path).items()}, path)
    plan = plan_cut(source, (1, 3))
    assert {one.name for one in plan.shards[0].tensors} == {one.name for one in expected.tensors}
    assert [note.kind for note in plan.notes] == ["wrapped keys"]
    execute_cut(plan, tmp_path / "out")
    loaded, report = type(tiny.llama()).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert loaded.config.num_hidden_layers == 4


def test_an_adapter_that_is_not_merged_is_refused(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    path = source / "model.safetensors"
    tensors = {f"base_model.model.{name}": one for name, one in load_file(path).items()}
    tensors["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"] = torch.ones(2)
    save_file(tensors, path)
    with pytest.raises(ModelError, match="not merged"):
        plan_cut(source, (1,))


@pytest.mark.parametrize("field", ["num_nextn_predict_layers", "num_mtp_modules", None])
def test_extra_heads_are_known_by_their_count_or_their_tensors(
    field: str | None, tmp_path: Path
) -> None:
    source = with_extra_block(tmp_path, 6)  # it has an eh_proj
    if field:
        path = source / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: 1}))
    plan = plan_cut(source, (1,))
    assert plan.notes[0].kind == "extra blocks"
    assert field is None or plan.config[field] == 0


def test_a_wrong_count_of_extra_heads_is_named_as_such(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    path = source / "model.safetensors"
    extra = {f"model.layers.{index}.mlp.up_proj.weight": torch.ones(2) for index in (6, 7)}
    save_file(load_file(path) | extra, path)
    config = source / "config.json"
    text = json.loads(config.read_text()) | {"num_nextn_predict_layers": 1}
    config.write_text(json.dumps(text))
    with pytest.raises(ModelError, match=r"6 blocks and 1 that predict further tokens \(num_nextn"):
        plan_cut(source, (1,))
