"""Checkpoint folders of tiny vision-language models, with the files of the real ones on the hub.

The real tokenizers and weights are large; everything else is laid out as in the folders of
Qwen/Qwen2-VL-2B-Instruct, Qwen/Qwen2.5-VL-3B-Instruct, Qwen/Qwen3-VL-2B-Instruct,
llava-hf/llava-1.5-7b-hf, llava-hf/llava-onevision-qwen2-0.5b-ov-hf, OpenGVLab/InternVL3-1B-hf,
HuggingFaceTB/SmolVLM-256M-Instruct (and SmolVLM2), google/gemma-3-4b-it and
HuggingFaceM4/Idefics3-8B-Llama3, with sizes that fit the tiny models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from depthprune.testing.tiny_models import spread
from tests.architectures.tiny_configs import tiny_config

WORDS = ("what", "is", "this", "?", "a", "cat", "user", "assistant", ":", "red", "blue")
PLAIN = ("<pad>", "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>")

Files = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class HubModel:
    """What the folder of one architecture holds beside weights and plain words.

    Attributes:
        model_type: of transformers.
        picture: how a chat template writes one picture.
        tokens: the special tokens of pictures, by the field of config.json that holds the id.
        files: JSON files by name.
        named: attributes of the tokenizer that name special tokens (`extra_special_tokens`).
        place: where the chat template lies: a file name, or `tokenizer_config.json`.
        settings: fields of config.json, with dots for inner ones.
    """

    model_type: str
    picture: str
    tokens: Mapping[str, str]
    files: Files
    named: Mapping[str, str] = field(default_factory=dict)
    place: str = "chat_template.json"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chat_template(self) -> str:
        """A template in the way of the real ones."""
        return (
            "{% for turn in messages %}<|im_start|>{{ turn['role'] }} : "
            "{% for part in turn['content'] %}{% if part['type'] == 'image' %}"
            + self.picture
            + " {% else %}{{ part['text'] }} {% endif %}{% endfor %}<|im_end|>{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant : {% endif %}"
        )

    def write(self, folder: Path) -> Path:
        """Write the folder of the tiny model."""
        extra = [*dict.fromkeys([*self.tokens.values(), *self.named.values(), *MORE])]
        vocabulary = {word: place for place, word in enumerate([*PLAIN, *WORDS, *extra])}
        config = tiny_config(self.model_type, "vlm")
        for name, token in self.tokens.items():
            setattr(config, name, vocabulary[token])
        for path, value in self.settings.items():
            *sections, name = path.split(".")
            owner = config
            for section in sections:
                owner = getattr(owner, section)
            setattr(owner, name, value)
        # Projections that begin at zero would hide every picture.
        spread(AutoModelForImageTextToText.from_config(config)).save_pretrained(folder)
        self._write_tokenizer(folder, vocabulary, extra)
        for name, content in self.files.items():
            (folder / name).write_text(json.dumps(content, indent=2))
        put_chat_template(folder, self.chat_template, self.place)
        return folder

    def _write_tokenizer(self, folder: Path, vocabulary: dict[str, int], extra: list[str]) -> None:
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token="<s>",
            eos_token="<|im_end|>",
            unk_token="<unk>",
            pad_token="<pad>",
            additional_special_tokens=["<|im_start|>", *extra],
        ).save_pretrained(folder)
        if self.named:
            path = folder / "tokenizer_config.json"
            content = json.loads(path.read_text())
            path.write_text(json.dumps({**content, "extra_special_tokens": dict(self.named)}))


def put_chat_template(folder: Path, template: str, place: str) -> None:
    """Write a chat template into a folder, at one of the places where real folders have it."""
    if place == "chat_template.jinja":
        (folder / place).write_text(template)
    elif place == "chat_template.json":
        (folder / place).write_text(json.dumps({"chat_template": template}))
    elif place == "additional_chat_templates":
        (folder / place).mkdir()
        (folder / place / "tool_use.jinja").write_text("tools")
        (folder / "chat_template.jinja").write_text(template)
    else:
        name, _, form = place.partition(":")
        path = folder / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        named = [
            {"name": "tool_use", "template": "tools"},
            {"name": "default", "template": template},
        ]
        path.write_text(json.dumps({**content, "chat_template": named if form else template}))


MORE = ("<row_1_col_1>", "<row_1_col_2>", "<row_2_col_1>", "<row_2_col_2>", "<end_of_utterance>")

_NORMAL = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}
_SCALE = {"do_rescale": True, "rescale_factor": 1 / 255, "do_resize": True, "resample": 3}
_QWEN = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
_QWEN_PICTURE = "<|vision_start|> <|image_pad|> <|vision_end|>"


def _qwen(model_type: str, processor: str, **options: Any) -> HubModel:
    pixels = {
        "min_pixels": 16 * 16,
        "max_pixels": 64 * 64,
        "patch_size": 8,
        "temporal_patch_size": 2,
        "merge_size": 2,
        **_NORMAL,
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": processor,
    }
    return HubModel(
        model_type, _QWEN_PICTURE, _QWEN, {"preprocessor_config.json": pixels}, **options
    )


def _idefics(model_type: str, processor: str, image_processor: str) -> HubModel:
    return HubModel(
        model_type,
        "<image>",
        {"image_token_id": "<image>"},
        {
            "preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "do_convert_rgb": True,
                "do_image_splitting": True,
                "do_pad": True,
                "resample": 1,
                "max_image_size": {"longest_edge": 32},
                "size": {"longest_edge": 64},
                "image_processor_type": image_processor,
                "processor_class": processor,
            },
            "processor_config.json": {"image_seq_len": 4, "processor_class": processor},
        },
        named={
            "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>",
            "image_token": "<image>",
        },
        settings={"scale_factor": 2},
    )


HUB_MODELS = {
    "qwen2_vl": _qwen("qwen2_vl", "Qwen2VLProcessor"),
    "qwen2_5_vl": _qwen("qwen2_5_vl", "Qwen2_5_VLProcessor"),
    "qwen3_vl": HubModel(
        "qwen3_vl",
        _QWEN_PICTURE,
        _QWEN,
        {
            "preprocessor_config.json": {
                "size": {"longest_edge": 64 * 64, "shortest_edge": 16 * 16},
                "patch_size": 8,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
                "processor_class": "Qwen3VLProcessor",
                "image_processor_type": "Qwen2VLImageProcessorFast",
            },
            "video_preprocessor_config.json": {
                "size": {"longest_edge": 25165824, "shortest_edge": 4096},
                "patch_size": 8,
                "temporal_patch_size": 2,
                "merge_size": 2,
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
                "processor_class": "Qwen3VLProcessor",
                "video_processor_type": "Qwen3VLVideoProcessor",
            },
        },
    ),
    "llava": HubModel(
        "llava",
        "<image>",
        {"image_token_id": "<image>"},
        {
            "preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "crop_size": {"height": 32, "width": 32},
                "do_center_crop": True,
                "image_processor_type": "CLIPImageProcessor",
                "processor_class": "LlavaProcessor",
                "size": {"shortest_edge": 32},
            },
            "processor_config.json": {
                "image_token": "<image>",
                "num_additional_image_tokens": 1,
                "patch_size": 8,
                "processor_class": "LlavaProcessor",
                "vision_feature_select_strategy": "default",
            },
        },
        named={"image_token": "<image>"},
        place="chat_template.jinja",
        settings={"vision_feature_layer": -1},
    ),
    "llava_onevision": HubModel(
        "llava_onevision",
        "<image>",
        {"image_token_id": "<image>", "video_token_id": "<video>"},
        {
            "preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "do_pad": True,
                "image_grid_pinpoints": [[32, 32]],
                "image_processor_type": "LlavaOnevisionImageProcessor",
                "processor_class": "LlavaOnevisionProcessor",
                "size": {"height": 32, "width": 32},
            },
            "processor_config.json": {
                "image_token": "<image>",
                "num_image_tokens": 16,
                "processor_class": "LlavaOnevisionProcessor",
                "video_token": "<video>",
                "vision_feature_select_strategy": "full",
            },
            "video_preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "size": {"height": 32, "width": 32},
                "processor_class": "LlavaOnevisionProcessor",
                "video_processor_type": "LlavaOnevisionVideoProcessor",
            },
        },
        place="additional_chat_templates",
    ),
    "internvl": HubModel(
        "internvl",
        "<IMG_CONTEXT>",
        {"image_token_id": "<IMG_CONTEXT>"},
        {
            "preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "crop_to_patches": False,
                "image_processor_type": "GotOcr2ImageProcessorFast",
                "max_patches": 2,
                "min_patches": 1,
                "processor_class": "InternVLProcessor",
                "size": {"height": 32, "width": 32},
            },
            "processor_config.json": {
                "image_seq_length": 4,
                "processor_class": "InternVLProcessor",
            },
            "video_preprocessor_config.json": {
                **_NORMAL,
                "size": {"height": 32, "width": 32},
                "processor_class": "InternVLProcessor",
                "video_processor_type": "InternVLVideoProcessor",
            },
        },
        named={
            "context_image_token": "<IMG_CONTEXT>",
            "end_image_token": "</img>",
            "start_image_token": "<img>",
            "video_token": "<video>",
        },
        place="tokenizer_config.json",
    ),
    "smolvlm": _idefics("smolvlm", "SmolVLMProcessor", "SmolVLMImageProcessor"),
    "gemma3": HubModel(
        "gemma3",
        "<start_of_image>",
        {
            "image_token_id": "<image_soft_token>",
            "boi_token_index": "<start_of_image>",
            "eoi_token_index": "<end_of_image>",
        },
        {
            "preprocessor_config.json": {
                **_NORMAL,
                **_SCALE,
                "do_convert_rgb": None,
                "do_pan_and_scan": None,
                "image_processor_type": "Gemma3ImageProcessor",
                "image_seq_length": 4,
                "processor_class": "Gemma3Processor",
                "resample": 2,
                "size": {"height": 32, "width": 32},
            },
            "processor_config.json": {"image_seq_length": 4, "processor_class": "Gemma3Processor"},
        },
        named={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        place="tokenizer_config.json:named",
    ),
    "idefics3": _idefics("idefics3", "Idefics3Processor", "Idefics3ImageProcessor"),
}
"""The architectures that users prune most, by model type."""
