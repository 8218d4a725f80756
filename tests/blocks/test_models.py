"""Models are loaded whole and ready, or refused with what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, PreTrainedTokenizerFast

from depthprune.base.errors import ModelError
from depthprune.blocks.models import load_model
from depthprune.blocks.skeleton import model_kind
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.tasks.demo import MODEL_PATH
from tests import models as tiny


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a text model whose tokenizer has no pad token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("models") / "llama"
    tiny.llama(2).to(torch.bfloat16).save_pretrained(folder)
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, "yes": 3, "no": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(llama_folder: Path, tmp_path: Path) -> Path:
    """The same checkpoint in another folder, to be damaged."""
    return Path(shutil.copytree(llama_folder, tmp_path / "copy"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}, indent=7))


class TestLoading:
    def test_a_vision_language_model_comes_with_its_processor(self) -> None:
        loaded = load_model(MODEL_PATH)
        assert loaded.kind == "image-text"
        assert type(loaded.model).__name__ == "LlavaForConditionalGeneration"
        assert hasattr(loaded.processor, "image_processor")
        assert loaded.tokenizer.padding_side == "left"
        assert loaded.name == "model"
        assert not loaded.model.training

    def test_a_text_model_comes_with_its_tokenizer(self, llama_folder: Path) -> None:
        loaded = load_model(llama_folder)
        assert loaded.kind == "text"
        assert loaded.tokenizer is loaded.processor
        assert loaded.tokenizer.padding_side == "left"

    def test_without_a_pad_token_the_end_token_pads(self, llama_folder: Path) -> None:
        assert load_model(llama_folder).tokenizer.pad_token == "</s>"

    def test_an_encoders_rows_are_padded_as_its_tokenizer_does(self, copy: Path) -> None:
        tiny.t5().save_pretrained(copy)
        loaded = load_model(copy)
        assert loaded.kind == "seq2seq"
        assert loaded.tokenizer.padding_side == "right"

    def test_the_fingerprint_is_that_of_the_files(self, llama_folder: Path) -> None:
        assert load_model(llama_folder).fingerprint == model_fingerprint(llama_folder)

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [
            ("float32", torch.float32),
            ("fp32", torch.float32),
            ("bf16", torch.bfloat16),
            ("fp16", torch.float16),
            ("auto", torch.bfloat16),
        ],
    )
    def test_number_types(self, llama_folder: Path, name: str, dtype: torch.dtype) -> None:
        assert load_model(llama_folder, dtype=name, device="cpu").model.dtype == dtype

    def test_float16_becomes_float32_on_a_cpu(self, copy: Path) -> None:
        tiny.llama(2).to(torch.float16).save_pretrained(copy)
        assert load_model(copy, device="cpu").model.dtype == torch.float32
        assert load_model(copy, device="cpu", dtype="float16").model.dtype == torch.float16

    def test_a_device_map_is_left_to_transformers(self, llama_folder: Path) -> None:
        pytest.importorskip("accelerate")
        loaded = load_model(llama_folder, device_map={"": "cpu"})
        assert loaded.model.device.type == "cpu"

    def test_nothing_is_written_to_the_terminal(
        self, llama_folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        load_model(llama_folder)
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ("llama", "text"),
        ("llava", "image-text"),
        ("t5", "seq2seq"),
        ("distilbert", "masked"),
        ("vit", "image"),
    ],
)
def test_the_kind_of_a_model_follows_from_its_configuration(model_type: str, kind: str) -> None:
    assert model_kind(AutoConfig.for_model(model_type))[0] == kind


def test_the_architecture_decides_where_a_type_has_several() -> None:
    config = AutoConfig.for_model("bert", architectures=["BertForMaskedLM"])
    assert model_kind(config)[0] == "masked"


class TestRefusals:
    @pytest.mark.parametrize("source", ["./no-such-model", "/no/such/model", "~/no-such-model"])
    def test_a_path_that_is_not_there(self, source: str) -> None:
        with pytest.raises(ModelError, match="no such model"):
            load_model(source)

    def test_a_name_that_is_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("transformers.utils.cached_file", _not_cached)
        with pytest.raises(ModelError, match=r"no model 'nobody/nothing'"):
            load_model("nobody/nothing")

    def test_a_file(self, copy: Path) -> None:
        with pytest.raises(ModelError, match="this is a file"):
            load_model(copy / "config.json")

    def test_a_folder_without_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no config\.json"):
            load_model(tmp_path)

    def test_a_configuration_that_is_not_json(self, copy: Path) -> None:
        (copy / "config.json").write_text('{"model_type": "llama",')
        with pytest.raises(ModelError, match=r"config\.json is broken") as caught:
            load_model(copy)
        assert "line 1" in str(caught.value)

    def test_a_configuration_that_is_no_object(self, copy: Path) -> None:
        (copy / "config.json").write_text("[]")
        with pytest.raises(ModelError, match="not a JSON object"):
            load_model(copy)

    def test_an_unknown_kind_of_model(self, copy: Path) -> None:
        edit_config(copy, model_type="steam_engine")
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_model(copy)

    def test_a_kind_of_model_that_does_not_answer(self) -> None:
        with pytest.raises(ModelError, match="neither write text nor classify"):
            model_kind(AutoConfig.for_model("sam_vision_model"))

    def test_code_of_the_checkpoint_that_is_not_allowed(self, copy: Path) -> None:
        edit_config(copy, model_type="mine", auto_map={"AutoConfig": "mine.Config"})
        (copy / "mine.py").write_text("raise SystemExit('was run')")
        with pytest.raises(ModelError, match="cannot be loaded") as caught:
            load_model(copy)
        assert "trust_remote_code" in str(caught.value)

    def test_no_weights(self, copy: Path) -> None:
        (copy / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="no weights"):
            load_model(copy)

    def test_damaged_weights(self, copy: Path) -> None:
        (copy / "model.safetensors").write_bytes(b"\x00" * 100)
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_model(copy)

    def test_weights_that_lack_tensors(self, copy: Path) -> None:
        edit_config(copy, num_hidden_layers=3)
        with pytest.raises(ModelError, match=r"lacks 9 of the model's tensors"):
            load_model(copy)

    def test_weights_of_other_shapes(self, copy: Path) -> None:
        edit_config(copy, intermediate_size=64)
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_model(copy)

    def test_an_index_that_leads_out_of_the_folder(self, copy: Path) -> None:
        (copy / "model.safetensors").rename(copy / "part.safetensors")
        index = {"weight_map": {"lm_head.weight": "../copy/part.safetensors"}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(ModelError, match="not in the folder"):
            load_model(copy)

    def test_an_index_that_is_broken(self, copy: Path) -> None:
        (copy / "model.safetensors").rename(copy / "part.safetensors")
        (copy / "model.safetensors.index.json").write_text("{}")
        with pytest.raises(ModelError, match="index of the weight files is broken"):
            load_model(copy)

    def test_no_tokenizer(self, copy: Path) -> None:
        (copy / "tokenizer.json").unlink()
        (copy / "tokenizer_config.json").unlink()
        with pytest.raises(ModelError, match="no usable tokenizer"):
            load_model(copy)

    def test_an_unknown_number_type(self, llama_folder: Path) -> None:
        with pytest.raises(ModelError, match="'int3' is not a number type"):
            load_model(llama_folder, dtype="int3")

    def test_a_device_that_is_not_there(self, llama_folder: Path) -> None:
        with pytest.raises(ModelError, match="no device 'cuda:99'"):
            load_model(llama_folder, device="cuda:99")

    def test_an_unknown_device(self, llama_folder: Path) -> None:
        with pytest.raises(ModelError, match="'toaster' is not a device"):
            load_model(llama_folder, device="toaster")


def _not_cached(*_: object, **__: object) -> None:
    raise OSError("not in the cache")


class TestPickledWeights:
    def test_tensors_are_loaded(self, copy: Path) -> None:
        torch.save(tiny.llama(2).state_dict(), copy / "pytorch_model.bin")
        (copy / "model.safetensors").unlink()
        assert load_model(copy).kind == "text"

    def test_code_is_not_run(self, copy: Path, tmp_path: Path) -> None:
        torch.save({"lm_head.weight": Payload(tmp_path / "was_run")}, copy / "pytorch_model.bin")
        (copy / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="cannot be loaded"):
            load_model(copy)
        assert not (tmp_path / "was_run").exists()


class Payload:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class TestFingerprints:
    def test_equal_copies_agree(self, llama_folder: Path, copy: Path) -> None:
        assert model_fingerprint(copy) == model_fingerprint(llama_folder)

    def test_what_does_not_change_the_model_does_not_count(
        self, llama_folder: Path, copy: Path
    ) -> None:
        edit_config(copy, transformers_version="1.0", dtype="float16", _name_or_path="elsewhere")
        (copy / "README.md").write_text("words")
        assert model_fingerprint(copy) == model_fingerprint(llama_folder)

    def test_another_configuration_differs(self, llama_folder: Path, copy: Path) -> None:
        edit_config(copy, rms_norm_eps=1e-3)
        assert model_fingerprint(copy) != model_fingerprint(llama_folder)

    def test_one_other_byte_differs(self, llama_folder: Path, copy: Path) -> None:
        weights = copy / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
        assert model_fingerprint(copy) != model_fingerprint(llama_folder)

    def test_of_a_large_file_a_block_of_every_tensor_counts(
        self, llama_folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("depthprune.checkpoint.fingerprint.WHOLE_FILE_BYTES", 0)
        monkeypatch.setattr("depthprune.checkpoint.fingerprint.NUM_BLOCKS", 2)
        monkeypatch.setattr("depthprune.checkpoint.fingerprint.BLOCK_BYTES", 16)
        assert model_fingerprint(copy) == model_fingerprint(llama_folder)
        model = tiny.llama(2).to(torch.bfloat16)
        with torch.no_grad():
            model.model.layers[1].mlp.up_proj.weight.add_(1)
        model.save_pretrained(copy)
        assert model_fingerprint(copy) != model_fingerprint(llama_folder)

    @pytest.mark.parametrize("content", [b"\xff" * 64, b"\x02" + b"\x00" * 7 + b"[]" + b"\x00" * 9])
    def test_a_damaged_header_is_an_error(
        self, copy: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        monkeypatch.setattr("depthprune.checkpoint.fingerprint.WHOLE_FILE_BYTES", 0)
        (copy / "model.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            model_fingerprint(copy)
