"""Write trained weights as a plain Hugging Face checkpoint in half precision."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig, LlavaForConditionalGeneration, LlavaProcessor

from architecture import build_config


def export(
    weights: dict[str, torch.Tensor], blocks: int, processor: LlavaProcessor, folder: Path
) -> None:
    """Save model, processor and generation settings; every file can be read by everyone."""
    model = LlavaForConditionalGeneration(build_config(processor.tokenizer, blocks))
    own = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    model.load_state_dict(own)
    model.half()
    tokenizer = processor.tokenizer
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=16,
        do_sample=False,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    # safetensors writes its file for the owner only.
    for path in folder.iterdir():
        path.chmod(0o644)
