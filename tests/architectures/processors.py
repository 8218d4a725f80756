"""Which vision-language architectures get a processor in the environment at hand.

For each, a folder is written with a tokenizer of plain words and the settings that its classes have
by default; `load_model`'s own loading reads it, and one picture is put in. `python -m
tests.architectures.processors` writes the table into docs/architectures.md.
"""

from __future__ import annotations

import importlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, model_type_to_module_name
from transformers.models.auto.image_processing_auto import (
    IMAGE_PROCESSOR_MAPPING_NAMES,
    get_image_processor_class_from_name,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from depthprune.base.errors import ModelError
from depthprune.blocks.processors import load_processor, missing_package
from depthprune.blocks.skeleton import quiet

DOCUMENT = Path(__file__).parents[2] / "docs" / "architectures.md"
OFFLINE = "no processor can be built offline"
TITLE = "## Processors of vision-language models"

NAMED = {
    "image_token": "<image>",
    "video_token": "<video>",
    "audio_token": "<audio>",
    "boi_token": "<boi>",
    "eoi_token": "<eoi>",
    "boa_token": "<boa>",
    "eoa_token": "<eoa>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "image_boundary_token": "<boundary>",
    "vision_start_token": "<vision_start>",
    "vision_end_token": "<vision_end>",
    "image_start_token": "<image_start>",
    "image_end_token": "<image_end>",
    "image_break_token": "<image_break>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
    "image_wrapper_token": "<image_wrapper>",
    "video_start_token": "<video_start>",
    "video_end_token": "<video_end>",
    "slice_start_token": "<slice_start>",
    "slice_end_token": "<slice_end>",
    "eol_token": "<eol>",
    "eof_token": "<eof>",
}
"""Special tokens by the names under which processors ask their tokenizer for them."""

OTHERS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|image|>")


@dataclass(frozen=True)
class Processor:
    """What came of the processor of one architecture.

    Attributes:
        model_type: e.g. llava.
        name: of the processor's class; empty where transformers has none.
        verdict: `loads`, `needs X`, or why none can be built offline.
        image_processor: class of its part for pictures.
        picture: whether a picture went in.
    """

    model_type: str
    name: str
    verdict: str
    image_processor: str = ""
    picture: bool = False

    @property
    def loads(self) -> bool:
        """Whether the processor is there."""
        return self.verdict == "loads"


def check_processor(model_type: str) -> Processor:
    """Build the processor of an architecture, load it as `load_model` does; never raises."""
    name = _processor_of(model_type)
    if not name:
        return Processor(model_type, "", "transformers names none")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            with quiet():
                _write(folder, model_type, name)
        except Exception as error:
            return Processor(model_type, name, f"{OFFLINE}: {_line(error)}")
        try:
            processor = load_processor(folder, "AutoProcessor", local_files_only=True)
        except ModelError as error:
            package = missing_package(error)
            verdict = f"needs `{package}`" if package else f"{OFFLINE}: {_line(error)}"
            return Processor(model_type, name, verdict)
        part = getattr(processor, "image_processor", None)
        part_name = "" if part is None else type(part).__name__
        with quiet():
            return Processor(model_type, name, "loads", part_name, _takes_a_picture(processor))


def table(processors: Sequence[Processor]) -> str:
    """Return the section of docs/architectures.md about processors."""
    lines = [
        TITLE,
        "",
        f"Of {len(processors)} architectures, {sum(one.loads for one in processors)} get their",
        "processor in the environment that the README installs. Where a package is needed,",
        "the error of `load_model` names it with the pip command. Each was built from the default",
        "settings of its classes, with a tokenizer of plain words, and loaded as by `load_model`.",
        "*Picture*: one went in (`-`: with the settings of a real checkpoint only). *Pictures by*:",
        "the class that prepares them, by Pillow where its name ends in Pil. No videos are read.",
        "Written by `python -m tests.architectures.processors`; do not edit.",
        "",
        "| architecture | processor | loads | pictures by | picture |",
        "|---|---|---|---|---|",
    ]
    for one in processors:
        verdict = one.verdict.replace("|", "\\|")
        picture = "yes" if one.picture else "-"
        cells = (one.model_type, one.name or "-", verdict, one.image_processor or "-", picture)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def section(document: str) -> str:
    """Return the section as it stands in a document, empty where it is not there."""
    _, title, after = document.partition(TITLE)
    body = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]
    return f"{title}{body}".rstrip("\n") + "\n" if title else ""


def _processor_of(model_type: str) -> str:
    """Return the class that transformers names for a type, or the only one beside its model."""
    name = PROCESSOR_MAPPING_NAMES.get(model_type)
    if name:
        return name[0] if isinstance(name, list | tuple) else str(name)
    module = importlib.import_module(f"transformers.models.{model_type_to_module_name(model_type)}")
    parts = ("ImageProcessor", "VideoProcessor")
    found = [one for one in dir(module) if one.endswith("Processor") and not one.endswith(parts)]
    return found[0] if len(found) == 1 else ""


def _write(folder: Path, model_type: str, name: str) -> None:
    specials = ["<pad>", "<s>", "</s>", "<unk>", *NAMED.values(), *OTHERS]
    vocabulary = {word: place for place, word in enumerate([*specials, "what", "is", "this", "?"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=specials[4:],
    ).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra_special_tokens": NAMED}))
    CONFIG_MAPPING[model_type]().save_pretrained(folder)
    # A type without an entry of its own has the classes of those with the same processor.
    alike = [model_type, *(other for other, its in PROCESSOR_MAPPING_NAMES.items() if its == name)]
    known = (IMAGE_PROCESSOR_MAPPING_NAMES.get(other) for other in alike)
    classes = next(filter(None, known), {})
    image_class = classes.get("pil")
    pixels: dict[str, Any] = {"image_processor_type": image_class or classes.get("torchvision")}
    if image_class:
        pixels |= get_image_processor_class_from_name(image_class)().to_dict()
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": name}))


def _takes_a_picture(processor: Any) -> bool:
    token = getattr(processor, "image_token", None)
    picture = Image.radial_gradient("L").convert("RGB").resize((60, 50))
    for text in (f"{token} what is this ?" if token else "what is this ?", "what is this ?"):
        for images in ([[picture]], [picture]):
            try:
                made = processor(text=[text], images=images, return_tensors="pt")
            except Exception:  # not the way in which this processor is asked
                continue
            if any("pixel" in key or "patches" in key for key in made):
                return True
    return False


def _line(error: Exception) -> str:
    text = error.what if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
    text = text.removeprefix("the model has no usable processor: ")
    return re.sub(r"/\S*/tmp\w+|/tmp/tmp\w+", "the folder", " ".join(text.split()))[:120]


def main() -> None:
    """Write the table into docs/architectures.md."""
    from tests.architectures.check import entries

    found = table([check_processor(model_type) for model_type in entries("vlm")])
    document = DOCUMENT.read_text(encoding="utf-8")
    before = section(document)
    document = document.replace(before, found) if before else f"{document}\n{found}"
    DOCUMENT.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
