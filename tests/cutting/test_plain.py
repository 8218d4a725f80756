"""What the table says of plain architectures is what probing finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from depthprune.base.errors import ModelError
from depthprune.blocks.layer_fields import LAYER_FIELDS
from depthprune.cutting.plain import PLAIN_TYPES, PLAIN_WRAPPERS
from depthprune.cutting.plan import CutPlan, plan_cut
from tests.architectures.tiny_configs import tiny_config

REMOVALS = ((1, 3), (0,), (5,), (0, 1, 2, 3, 4), (1, 2, 3, 4, 5))
LAYER_FIELD_NAMES = {field.name for field in LAYER_FIELDS}


LANGUAGE_MODELS = sorted(set(PLAIN_TYPES) & set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


@pytest.fixture(scope="module", params=LANGUAGE_MODELS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny model of every row of the table."""
    model_type = "gemma3" if request.param == "gemma3_text" else request.param
    config = tiny_config(model_type, "causal").get_text_config()
    name = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    getattr(transformers, name)(config).save_pretrained(folder)
    return folder


def loaded_config(plan: CutPlan, tmp_path: Path) -> dict[str, Any]:
    """Return what transformers makes of the new config.json."""
    (tmp_path / "config.json").write_text(json.dumps(plan.config), encoding="utf-8")
    return AutoConfig.from_pretrained(tmp_path).to_dict()


def assert_same(table: CutPlan, probed: CutPlan, tmp_path: Path) -> None:
    """Compare all but the way, and configurations by what they mean."""
    assert (table.way, probed.way) == ("table", "probed")
    assert table.config_path == probed.config_path
    assert table.numberings == probed.numberings
    assert table.shards == probed.shards
    assert table.dropped == probed.dropped
    assert (table.loader, table.is_text) == (probed.loader, probed.is_text)
    assert loaded_config(table, tmp_path) == loaded_config(probed, tmp_path)


@pytest.mark.parametrize("removal", REMOVALS, ids=str)
def test_table_and_probing_give_the_same_plan(
    checkpoint: Path, removal: tuple[int, ...], tmp_path: Path
) -> None:
    table = plan_cut(checkpoint, removal)
    assert_same(table, plan_cut(checkpoint, removal, probed=True), tmp_path)


def test_a_configuration_that_leaves_fields_to_its_class_gives_the_same_plan(
    checkpoint: Path, tmp_path: Path
) -> None:
    path = checkpoint / "config.json"
    whole = path.read_text(encoding="utf-8")
    raw = json.loads(whole)
    per_layer = [name for name in raw if name in LAYER_FIELD_NAMES and isinstance(raw[name], list)]
    for name in per_layer:
        del raw[name]
    path.write_text(json.dumps(raw), encoding="utf-8")
    try:
        plan = plan_cut(checkpoint, (1, 3))
        probed = plan_cut(checkpoint, (1, 3), probed=True)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert loaded_config(plan, tmp_path) == loaded_config(probed, tmp_path)


@pytest.mark.parametrize("model_type", sorted(PLAIN_WRAPPERS))
def test_the_language_model_inside_another_model(model_type: str, tmp_path: Path) -> None:
    name = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[model_type]
    torch.manual_seed(0)
    model = getattr(transformers, name)(tiny_config(model_type, "vlm"))
    model.save_pretrained(tmp_path / "whole")
    for removal in ((1, 3), (0,)):
        table = plan_cut(tmp_path / "whole", removal)
        assert_same(table, plan_cut(tmp_path / "whole", removal, probed=True), tmp_path)


@pytest.mark.parametrize("model_type", ["qwen2_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("sliding", [False, True])
def test_older_files_with_the_fields_of_the_text_model_at_the_top(
    model_type: str, sliding: bool, tmp_path: Path
) -> None:
    source = tmp_path / "whole"
    name = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[model_type]
    getattr(transformers, name)(tiny_config(model_type, "vlm")).save_pretrained(source)
    path = source / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    text = raw.pop("text_config")
    del text["model_type"], text["layer_types"]
    flat = raw | text | {"use_sliding_window": sliding, "max_window_layers": 2, "sliding_window": 4}
    path.write_text(json.dumps(flat), encoding="utf-8")
    plan, probed = plan_cut(source, (1, 3)), plan_cut(source, (1, 3), probed=True)
    assert plan.way == ("probed" if sliding else "table")
    assert plan.shards == probed.shards
    assert loaded_config(plan, tmp_path) == loaded_config(probed, tmp_path)


@pytest.mark.parametrize("probed", [False, True])
def test_what_older_files_repeat_beside_the_section_is_changed_too(
    probed: bool, tmp_path: Path
) -> None:
    source = tmp_path / "whole"
    model = transformers.Qwen2_5_VLForConditionalGeneration(tiny_config("qwen2_5_vl", "vlm"))
    model.save_pretrained(source)
    path = source / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    fields = ("num_hidden_layers", "layer_types")
    path.write_text(json.dumps(raw | {name: raw["text_config"][name] for name in fields}), "utf-8")
    new = plan_cut(source, (1, 3), probed=probed).config
    assert new["num_hidden_layers"] == raw["text_config"]["num_hidden_layers"] - 2
    assert [new[name] for name in fields] == [new["text_config"][name] for name in fields]


def test_fields_by_their_other_names_are_written_by_those_of_the_class(tmp_path: Path) -> None:
    source = tmp_path / "whole"
    config = transformers.GPT2Config(n_layer=6, n_embd=32, n_head=4, vocab_size=64)
    transformers.GPT2LMHeadModel(config).save_pretrained(source)
    path = source / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["num_hidden_layers"] = raw.pop("n_layer")
    path.write_text(json.dumps(raw), encoding="utf-8")
    plan = plan_cut(source, (1, 3))
    assert plan.way == "probed"
    assert "num_hidden_layers" not in plan.config
    assert loaded_config(plan, tmp_path)["n_layer"] == 4


def test_a_configuration_that_relies_on_the_sizes_of_its_class(tmp_path: Path) -> None:
    source = tmp_path / "whole"
    config = tiny_config("llava", "vlm")
    transformers.LlavaForConditionalGeneration(config).save_pretrained(source)
    path = source / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    del raw["vision_config"]["num_hidden_layers"]
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match=r"counts \d+ blocks, but the weights have 2"):
        plan_cut(source, (0,), part="vision")
