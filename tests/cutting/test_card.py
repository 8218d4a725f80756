"""What the card and the files for other tools say is about this model, and can be followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
import yaml
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from depthprune.base.errors import DepthpruneError
from depthprune.blocks.inspect import inspect_model
from depthprune.blocks.skeleton import build_model, find_loader
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.model_card import check_also, model_card, unfitting_fields
from depthprune.cutting.plain import PLAIN_TYPES, PLAIN_WRAPPERS, _loader
from depthprune.cutting.plan import plan_cut
from depthprune.report.sections.cut import also_warnings
from tests import models as tiny
from tests.architectures.tiny_configs import tiny_config
from tests.cutting.cutting import cut, saved

SMALL = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
         "num_hidden_layers": 4}  # fmt: skip


def whisper() -> Any:
    config = transformers.WhisperConfig(
        vocab_size=64, d_model=32, encoder_layers=2, decoder_layers=4, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_mel_bins=8,
        max_source_positions=10, max_target_positions=32, decoder_start_token_id=1,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, begin_suppress_tokens=None,
        suppress_tokens=None,
    )  # fmt: skip
    return transformers.WhisperForConditionalGeneration(config)


def t5_encoder() -> Any:
    sizes = {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 4}
    return transformers.T5EncoderModel(transformers.T5Config(**sizes, num_heads=4))


def tagger() -> Any:
    return transformers.BertForTokenClassification(transformers.BertConfig(**SMALL))


def classifier() -> Any:
    config = transformers.LlamaConfig(**SMALL, pad_token_id=0)
    return transformers.LlamaForSequenceClassification(config)


def trunk() -> Any:
    return transformers.LlamaModel(transformers.LlamaConfig(**SMALL))


CARDS = {
    whisper: ("AutoModelForSpeechSeq2Seq", "automatic-speech-recognition"),
    t5_encoder: ("AutoModelForTextEncoding", "feature-extraction"),
    tagger: ("AutoModelForTokenClassification", "token-classification"),
    classifier: ("AutoModelForSequenceClassification", "text-classification"),
    trunk: ("AutoModel", "feature-extraction"),
    tiny.llama: ("AutoModelForCausalLM", "text-generation"),
    tiny.llava: ("AutoModelForImageTextToText", "image-text-to-text"),
}


@pytest.mark.parametrize("make", CARDS, ids=lambda make: make.__name__)
def test_the_model_loads_by_the_class_that_the_card_names(make: Any, tmp_path: Path) -> None:
    loader, tag = CARDS[make]
    model = make()
    cut(saved(model, tmp_path / "whole"), (1,), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"from transformers import {loader}\n" in card
    assert yaml.safe_load(card.split("---\n")[1])["pipeline_tag"] == tag
    loaded, report = getattr(transformers, loader).from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert type(loaded) is type(model)
    assert not any(report.values())


ROWS = sorted(set(PLAIN_TYPES) - {"gemma3_text", "qwen2_vl_text", "qwen2_5_vl_text"})


@pytest.mark.parametrize("model_type", ROWS)
def test_the_table_names_the_class_that_is_found_by_trying(model_type: str) -> None:
    wrapped = model_type in PLAIN_WRAPPERS
    config = tiny_config(model_type, "vlm" if wrapped else "causal")
    mappings = [one for name, one in vars(modeling_auto).items() if name.endswith("MAPPING_NAMES")]
    named = {one[model_type] for one in mappings if isinstance(one.get(model_type), str)}
    compared = 0
    for name in sorted(named):
        config.architectures = [name]
        table = _loader({"model_type": model_type, "architectures": [name]})
        if table is not None:
            found = find_loader(build_model(config, trust_remote_code=False), config)
            assert table == found, name
            compared += 1
    assert compared


def test_the_front_matter_comes_from_the_card_of_the_source(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path)
    (source / "README.md").write_text(
        "---\nlicense: [apache-2.0]\nbase_model: a/b\ntags: [x]\npipeline_tag: other\n---\nWhole."
    )
    front = yaml.safe_load(model_card(plan_cut(source, (1,)), (), None).split("---\n")[1])
    assert front == {
        "base_model": "a/b",
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "other",
        "tags": ["depthprune", "pruned"],
    }
    named = plan_cut(source, (1,), name="owner/model")
    assert "base_model: owner/model\n" in model_card(named, (), None)


def test_code_is_not_asked_for_where_the_model_loads_without_it(tmp_path: Path) -> None:
    source = saved(tiny.llama(), tmp_path / "whole")
    path = source / "config.json"
    auto = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Mine"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": auto}))
    plan = plan_cut(source, (1,))
    assert not plan.loader.remote_code
    assert "trust_remote_code" not in model_card(plan, (), None)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_models_that_cannot_be_measured_are_inspected(part: str, tmp_path: Path) -> None:
    model = whisper()
    found = inspect_model(saved(model, tmp_path), part)
    assert found.architecture == "WhisperForConditionalGeneration"
    assert found.kind == "automatic-speech-recognition"
    assert found.parameters == sum(one.numel() for one in model.parameters())
    assert found.num_blocks == {"encoder": 2, "decoder": 4}[part]


# --- other tools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "part"), [(tiny.llava, "vision"), (tiny.t5, "decoder")])
def test_other_tools_remove_blocks_of_language_models_alone(
    make: Any, part: str, tmp_path: Path
) -> None:
    plan = plan_cut(saved(make(), tmp_path), (1,), part=part)
    with pytest.raises(DepthpruneError, match="can only remove blocks of a language model"):
        check_also(("mergekit", "llama.cpp"), plan)
    check_also((), plan)


@pytest.mark.parametrize("make", [tiny.llama, tiny.llava])
def test_the_blocks_of_a_language_model_by_any_name(make: Any, tmp_path: Path) -> None:
    source = saved(make(), tmp_path)
    plan = plan_cut(source, (1,))
    assert plan == plan_cut(source, (1,)) and plan.is_text
    check_also(("mergekit",), plan_cut(source, (1,), part=plan.config_path))


def test_what_other_tools_do_not_shorten_is_told(tmp_path: Path) -> None:
    kinds = plan_cut(saved(tiny.qwen2(), tmp_path / "qwen2"), (0,))
    assert unfitting_fields(kinds) == ("layer_types", "max_window_layers")
    plain = plan_cut(saved(tiny.llama(), tmp_path / "llama"), (0,))
    assert unfitting_fields(plain) == ()
    assert also_warnings(("mergekit",), ()) == []
    told = also_warnings(("mergekit", "llama.cpp"), unfitting_fields(kinds))
    assert all("layer_types, max_window_layers would not fit" in str(line) for line in told)


def test_a_smaller_checkpoint_is_inspected_as_what_it_is(tmp_path: Path) -> None:
    plan = plan_cut(saved(tagger(), tmp_path / "whole"), (1,))
    execute_cut(plan, tmp_path / "out")
    assert AutoConfig.from_pretrained(tmp_path / "out").num_hidden_layers == 3
    assert inspect_model(tmp_path / "out").architecture == "BertForTokenClassification"
