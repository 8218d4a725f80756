"""Tiny random models, tokenizers and tasks: all that an evaluator needs, in milliseconds."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoProcessor,
    GPT2Config,
    GPT2LMHeadModel,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
    SiglipVisionConfig,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from depthprune.base.errors import TaskError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.skeleton import ModelKind
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.task import AnswerMode, Sample, Scorer, Task, TaskSplit

WORDS = (
    *("what", "is", "the", "colour", "of", "a", "red", "blue", "green", "cat", "dog", "sky"),
    *("fish", "two", "three", "answer", ":", "A", "B", "C", "D", ".", "?"),
)
CHAT = "{% for turn in messages %}<user> {{ turn['content'] }} {% endfor %}<answer> "
BLOCKS = 4


def word_tokenizer(
    *, chat: bool = False, start: bool = True, pad: bool = True, extra: Sequence[str] = ()
) -> Any:
    """Return a tokenizer of whole words; with `start`, it adds a start token to a text."""
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<user>", "<answer>"]
    vocabulary = {word: index for index, word in enumerate([*specials, *WORDS, *extra])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if start:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>" if pad else None,
        additional_special_tokens=list(extra),
    )
    if chat:
        fast.chat_template = CHAT
    return fast


def spread(model: Any, *, seed: int = 0, scale: float = 0.3) -> Any:
    """Fill a model with weights so large that its answers differ between prompts and removals."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            elif name.endswith("bias"):
                parameter.zero_()
    return model.eval()


def llama(*, blocks: int = BLOCKS, seed: int = 0, **options: Any) -> Any:
    """Return a Llama: rotary positions, grouped keys and values."""
    config = LlamaConfig(
        vocab_size=6 + len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **options,
    )
    return spread(LlamaForCausalLM(config), seed=seed)


def gpt2(*, blocks: int = BLOCKS, seed: int = 0) -> Any:
    """Return a GPT-2: absolute positions, where wrong ones show at once."""
    config = GPT2Config(
        vocab_size=6 + len(WORDS),
        n_embd=32,
        n_layer=blocks,
        n_head=4,
        n_positions=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    return spread(GPT2LMHeadModel(config), seed=seed)


def sliding_qwen2() -> Any:
    """Return a Qwen2 whose blocks take turns in seeing everything and the last four tokens."""
    config = Qwen2Config(
        vocab_size=6 + len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=4,
        layer_types=["full_attention", "sliding_attention"] * (BLOCKS // 2),
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return spread(Qwen2ForCausalLM(config))


def lfm2() -> Any:
    """Return a model whose block 1 alone has attention: it cannot do without."""
    config = Lfm2Config(
        vocab_size=6 + len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv"],
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Lfm2ForCausalLM(config).eval()


def llava(*, blocks: int = BLOCKS, seed: int = 0) -> Any:
    """Return a LLaVA that fits the embedded demo's processor: 36 tokens per image."""
    vision = SiglipVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=48,
        patch_size=8,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=448,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=4,
        image_seq_length=36,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return spread(LlavaForConditionalGeneration(config), seed=seed)


SEEING = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


def qwen2_vl() -> Any:
    """Return a Qwen2-VL: positions in three dimensions, as many tokens as a picture is large."""
    image, video, start, end = range(6 + len(WORDS), 6 + len(WORDS) + len(SEEING))
    text = {
        "vocab_size": end + 1,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [1, 1, 2],
            "rope_theta": 10000.0,
        },
    }
    vision = {
        "depth": 1,
        "embed_dim": 16,
        "hidden_size": 32,
        "num_heads": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "mlp_ratio": 2,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    model = spread(Qwen2VLForConditionalGeneration(config))
    model.generation_config.eos_token_id = 2
    with torch.no_grad():
        # An answer of image placeholders could not be read again without a cache.
        model.lm_head.weight[image:] = 0
    return model


def qwen2_vl_processor() -> Any:
    """Return a processor without its half for videos, which needs torchvision."""
    processor = Qwen2VLProcessor.__new__(Qwen2VLProcessor)
    processor.image_processor = Qwen2VLImageProcessorPil(
        patch_size=4,
        temporal_patch_size=2,
        merge_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
    )
    processor.tokenizer = word_tokenizer(start=False, extra=SEEING)
    processor.video_processor = None
    processor.image_token, processor.video_token = SEEING[:2]
    ids = processor.tokenizer.convert_tokens_to_ids(SEEING[:2])
    processor.image_token_id, processor.video_token_id = ids
    processor.chat_template = (
        "{% for turn in messages %}<user> {% for part in turn['content'] %}"
        "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}<answer> "
    )
    return processor


def without_blocks(model: Any, removal: Removal) -> Any:
    """Return a new, shorter model with the weights of the blocks that stay: skipping's oracle."""
    config = copy.deepcopy(model.config)
    text = config.get_text_config(decoder=True)
    kept = active_blocks(removal, text.num_hidden_layers)
    text.num_hidden_layers = len(kept)
    if getattr(text, "layer_types", None):
        text.layer_types = [text.layer_types[block] for block in kept]
    place = re.compile(
        r"^((?:model\.|transformer\.)(?:language_model\.)?(?:layers|h)\.)(\d+)(\..*)"
    )
    weights = {}
    for name, value in model.state_dict().items():
        match = place.match(name)
        if match is None:
            weights[name] = value
        elif int(match[2]) in kept:
            weights[f"{match[1]}{kept.index(int(match[2]))}{match[3]}"] = value
    shorter = type(model)(config)
    shorter.load_state_dict(weights)
    shorter.generation_config = copy.deepcopy(model.generation_config)
    return shorter.eval()


@dataclass(frozen=True)
class PlainPicture:
    """A picture in memory; counts how often it was opened."""

    colour: tuple[int, int, int]
    opened: list[int]
    size: tuple[int, int] = (48, 48)

    def open(self) -> Image.Image:
        self.opened.append(1)
        return Image.new("RGB", self.size, self.colour)


class BrokenPicture:
    """A picture whose file is damaged."""

    def open(self) -> Image.Image:
        raise TaskError("not a picture", where="broken.png")


class Exactly(Scorer):
    """Scores 1 for the sample's first reference, else the share of letters in common."""

    name = "exactly"

    def score(self, sample: Sample, answer: str) -> float:
        return float(answer == sample.references[0]) if sample.references else len(answer) / 100


QUESTIONS = (
    "what is the colour of the sky ?",
    "a cat ?",
    "what colour is a red fish ?",
    "dog",
    "is the answer : blue . or is the answer : green . or three ?",
    "two",
    "the sky is blue . the fish is green . what is the colour of the dog ?",
    "what is a ?",
)


def split_of(
    samples: Sequence[Sample],
    *,
    answer: AnswerMode = "generate",
    prompt: str = "{question}",
    max_new_tokens: int = 8,
) -> TaskSplit:
    """Return samples as the split of a task."""
    task = Task(
        "tiny_task",
        "Exact Match",
        source=None,  # type: ignore[arg-type]  # never read: the samples are here
        prompt=prompt,
        answer=answer,
        max_new_tokens=max_new_tokens,
    )
    return TaskSplit(task, "validation", tuple(samples), Exactly(), "fingerprint")


def text_samples() -> list[Sample]:
    return [
        Sample(f"validation/{index}", question, references=("blue",))
        for index, question in enumerate(QUESTIONS)
    ]


def choice_samples() -> list[Sample]:
    options = (("red", "blue", "green"), ("cat", "dog"), ("the red cat", "dog", "two fish ."))
    return [
        Sample(f"validation/{index}", question, choices=options[index % 3], references=("A",))
        for index, question in enumerate(QUESTIONS)
    ]


def read_samples() -> list[Sample]:
    return [
        Sample(f"validation/{index}", "", references=(f"{question} the answer",))
        for index, question in enumerate(QUESTIONS)
    ]


def picture_samples() -> list[Sample]:
    return [
        Sample(
            f"validation/{index}",
            question,
            images=(PlainPicture((index * 30, 255 - index * 30, 128), []),),
            references=("blue",),
        )
        for index, question in enumerate(QUESTIONS)
    ]


def loaded(model: Any, processor: Any) -> LoadedModel:
    kind: ModelKind = "text" if isinstance(processor, PreTrainedTokenizerFast) else "image-text"
    return LoadedModel(model, processor, kind, "tiny", "fingerprint")


def demo_processor() -> Any:
    return AutoProcessor.from_pretrained(MODEL_PATH, local_files_only=True)
