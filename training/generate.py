"""Ask a checkpoint the demo's questions with plain `generate`, whole or without some blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

BATCH = 100


def load(folder: Path) -> tuple[Any, Any]:
    """The model (in single precision) and its processor, as any user would load them."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(folder)


def prompt(row: dict[str, Any]) -> str:
    """A dataset's row as the text that the model was trained on."""
    letters = zip("ABC", row.get("choices", ()), strict=False)
    return " ".join([row["question"], *(f"{letter}) {text}" for letter, text in letters)])


def encode(processor: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as one padded batch of model inputs."""
    messages = [
        [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": row["image"]},
                    {"type": "text", "text": prompt(row)},
                ],
            }
        ]
        for row in rows
    ]
    return processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


@torch.no_grad()
def answer(model: Any, processor: Any, batches: Sequence[Any]) -> list[str]:
    """The answers to encoded batches."""
    texts: list[str] = []
    for batch in batches:
        generated = model.generate(**batch, do_sample=False, max_new_tokens=16)
        new = generated[:, batch["input_ids"].shape[1] :]
        texts += [t.strip() for t in processor.batch_decode(new, skip_special_tokens=True)]
    return texts


def encode_all(processor: Any, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Rows as batches."""
    return [encode(processor, rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]


@contextmanager
def without(model: Any, removal: Sequence[int]) -> Iterator[None]:
    """Leave blocks out for a while: the simplest way, independent of `depthprune.blocks`."""
    text = model.model.language_model
    blocks, count = text.layers, text.config.num_hidden_layers
    kept = [block for number, block in enumerate(blocks) if number not in removal]
    try:
        text.layers = torch.nn.ModuleList(kept)
        text.config.num_hidden_layers = len(kept)
        for number, block in enumerate(kept):
            block.self_attn.layer_idx = number
        yield
    finally:
        text.layers, text.config.num_hidden_layers = blocks, count
        for number, block in enumerate(blocks):
            block.self_attn.layer_idx = number
