"""Pictures are read by every usual model in the environment that the README installs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image
from transformers.utils import is_torchvision_available

from depthprune.base.errors import ModelError
from depthprune.blocks.models import load_model
from depthprune.blocks.processors import how_to_install, load_processor, missing_package
from depthprune.engine import inputs
from depthprune.engine.inputs import Row, prompt_of
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.task import Sample
from depthprune.testing import tiny_models as tiny
from tests.blocks.hub_folders import HUB_MODELS

COLOURS = ((250, 10, 10), (10, 10, 250))
SAMPLES = [
    Sample(
        f"validation/{index}",
        "what is this ?",
        images=(tiny.PlainPicture(colour, [], (50, 40)),),
        references=("a cat",),
    )
    for index, colour in enumerate(COLOURS)
]


@pytest.fixture(scope="module", params=HUB_MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one architecture as the hub has it."""
    if request.param == "smolvlm":
        pytest.importorskip("num2words", reason="the extra [run] installs it")
    return HUB_MODELS[request.param].write(tmp_path_factory.mktemp("hub") / request.param)


def test_a_folder_of_the_hub_loads_and_its_pictures_decide(folder: Path) -> None:
    loaded = load_model(folder, device="cpu", dtype="float32")
    split = tiny.split_of(SAMPLES, max_new_tokens=3)
    found = ReferenceEvaluator(loaded, batch_size=2).evaluate(split, [(), (1,)])
    assert found.scores.shape == (2, 2)
    rows = []
    for index, sample in enumerate(SAMPLES):
        prompt = prompt_of(loaded.processor, split.task, sample)
        rows.append(Row(index, sample, prompt.text, (), prompt.add_special_tokens))
    encoded = inputs.encode(loaded.processor, rows, "left", torch.float32)
    with torch.no_grad():
        red, blue = loaded.model(**encoded).logits[:, -1]
    assert not torch.equal(red, blue)


def test_pictures_are_prepared_by_pillow_as_transformers_does_it(folder: Path) -> None:
    processor = load_model(folder, device="cpu").processor
    plain = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert type(processor.image_processor) is type(plain)
    assert type(plain).__name__.endswith("Pil")
    picture = Image.radial_gradient("L").convert("RGB")
    ours = processor.image_processor(picture, return_tensors="pt")["pixel_values"]
    assert torch.equal(ours, plain(picture, return_tensors="pt")["pixel_values"])


def test_a_processor_without_its_half_for_videos_can_be_written_out(folder: Path) -> None:
    content = json.loads(load_model(folder, device="cpu").processor.to_json_string())
    assert "image_processor" in content


def test_a_processor_loads_also_where_nothing_was_loaded_before(tmp_path: Path) -> None:
    """Of transformers: the first import of some of its modules makes the package anew."""
    folder = HUB_MODELS["qwen2_vl"].write(tmp_path / "qwen")
    code = (
        "from depthprune.blocks.models import load_model_processor as load\n"
        f"print(type(load({str(folder)!r})).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "Qwen2VLProcessor", done.stderr


def test_transformers_is_as_before_afterwards(tmp_path: Path) -> None:
    from transformers.models.auto import video_processing_auto

    before = video_processing_auto.AutoVideoProcessor
    mixin = vars(transformers).get("VideoProcessorMixin")
    with pytest.raises(ModelError):
        load_processor(tmp_path, "AutoProcessor", local_files_only=True)
    assert video_processing_auto.AutoVideoProcessor is before
    assert vars(transformers).get("VideoProcessorMixin") is mixin


class TestMissingPackages:
    @pytest.mark.skipif(is_torchvision_available(), reason="nothing is missing")
    def test_a_processor_that_needs_torchvision_says_so(self, tmp_path: Path) -> None:
        folder = HUB_MODELS["llava"].write(tmp_path / "pixtral")
        for name in ("processor_config.json", "preprocessor_config.json"):
            content = json.loads((folder / name).read_text())
            (folder / name).write_text(
                json.dumps({**content, "processor_class": "PixtralProcessor"})
            )
        with pytest.raises(ModelError, match="pip install torchvision") as caught:
            load_model(folder)
        assert "no usable processor" in str(caught.value)

    @pytest.mark.parametrize(
        ("error", "package"),
        [
            (ImportError("use `pip install compressed-tensors`."), "compressed-tensors"),
            (ImportError("You can install it with pip: `pip install timm`. Please note"), "timm"),
            (ImportError("X requires the SentencePiece library but"), "sentencepiece"),
            (ImportError("X requires the PIL library but"), "pillow"),
            (ValueError("None. Missing optional dependencies: torchvision. Please"), "torchvision"),
            (ModuleNotFoundError("No module named 'num2words'", name="num2words"), "num2words"),
            (ModuleNotFoundError("No module named", name="mistral_common.x"), "mistral-common"),
            (ValueError("the file is broken"), None),
            (RuntimeError("pip install everything"), None),
        ],
    )
    def test_is_found_in_what_the_error_says(self, error: Exception, package: str | None) -> None:
        assert missing_package(error) == package
        command = how_to_install(error)
        assert (command is None) == (package is None)
        assert package is None or f"pip install {package}" in str(command)

    def test_is_found_behind_another_error(self) -> None:
        error = ValueError("cannot be loaded")
        error.__cause__ = ImportError("requires the tiktoken library")
        assert missing_package(error) == "tiktoken"

    def test_a_package_of_another_build_is_named(self) -> None:
        error = ModuleNotFoundError("Could not import module 'AutoProcessor'.")
        error.__cause__ = RuntimeError("operator torchvision::nms does not exist")
        assert how_to_install(error) == "torchvision does not fit torch: pip uninstall torchvision"
