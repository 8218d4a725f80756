"""Load the whole model and the smaller one, and compare skipping with cutting."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from depthprune.blocks.models import LoadedModel
    from depthprune.cutting.plan import CutPlan

TOLERANCE = 1e-4
"""Largest difference of logits, for logits up to 1; above, in proportion to the largest."""

_TEXTS = ("What is in the picture?", "The quick brown fox jumps over", "1 + 1 =")


@dataclass(frozen=True)
class LogitComparison:
    """How the whole model with skipped blocks and the smaller one compare.

    Attributes:
        difference: the largest of any logit, over all inputs.
        largest: the largest absolute logit.
        num_inputs: how many inputs were compared.
        images: whether pictures were among them.
    """

    difference: float
    largest: float
    num_inputs: int
    images: bool

    @property
    def agrees(self) -> bool:
        """Whether the difference is within `TOLERANCE`."""
        return self.difference <= TOLERANCE * max(1.0, self.largest)


@dataclass(frozen=True, eq=False)
class SkippedLogits:
    """What a whole model computes while blocks are skipped.

    Attributes:
        inputs: that it was given.
        logits: (rows, positions, words) of each, float32.
        loading: how it was loaded, see `load_model`; the smaller one is loaded alike.
    """

    inputs: tuple[dict[str, torch.Tensor], ...]
    logits: tuple[torch.Tensor, ...]
    loading: Mapping[str, Any]


def verify_cut(plan: CutPlan, output: Path, *, trust_remote_code: bool = False) -> LogitComparison:
    """Return how the logits of both models compare in float32, on the same few inputs.

    The models are loaded one after the other. A quantised one is loaded as it is.

    Args:
        plan: of the cut.
        output: the folder of the smaller checkpoint.
        trust_remote_code: whether code that comes with the checkpoints may run.

    Raises:
        ModelError: a model cannot be loaded, lacks weights, or gives logits of another shape.
    """
    return compare_cut(output, skipped_logits(plan, trust_remote_code=trust_remote_code))


def skipped_logits(
    plan: CutPlan,
    *,
    trust_remote_code: bool = False,
    mask: Callable[[PreTrainedModel], None] | None = None,
) -> SkippedLogits:
    """Return what the whole model computes while blocks are skipped; see `verify_cut`.

    Nothing of the smaller one is needed: what cannot be verified is said before it is written.

    Args:
        plan: of the cut.
        trust_remote_code: whether code that comes with the checkpoint may run.
        mask: sets to zero what goes within the blocks.

    Raises:
        ModelError: the model cannot be loaded, or has no tokenizer.
    """
    from depthprune.blocks.models import load_model
    from depthprune.blocks.skipping import skip
    from depthprune.blocks.stack import find_stack

    loading: dict[str, Any] = {
        "dtype": "auto" if plan.quantized else "float32",
        "device": "auto" if plan.quantized else "cpu",
        "trust_remote_code": trust_remote_code,
    }
    whole = load_model(plan.source, **loading)
    inputs = _inputs(whole)
    stack = find_stack(whole.model, plan.part).with_settings(plan.settings)
    if mask is not None:
        mask(whole.model)
    with skip(whole.model, plan.removal, stack):
        logits = [_logits(whole, one) for one in inputs]
    del whole
    gc.collect()
    # The code of a pruned model was written with it.
    loading["trust_remote_code"] = trust_remote_code or plan.loader.remote_code
    return SkippedLogits(tuple(inputs), tuple(logits), loading)


def compare_cut(output: Path, skipped: SkippedLogits) -> LogitComparison:
    """Return how the smaller model compares with what `skipped_logits` returned.

    Raises:
        ModelError: it cannot be loaded, lacks weights, or gives logits of another shape.
    """
    import torch

    from depthprune.blocks.models import load_model

    smaller = load_model(output, **skipped.loading)
    difference = largest = 0.0
    for one, logits in zip(skipped.inputs, skipped.logits, strict=True):
        found = _logits(smaller, one)
        if found.shape != logits.shape or not torch.isfinite(found).all():
            raise ModelError(
                f"the smaller model gives logits {tuple(found.shape)}, where skipping gives "
                f"{tuple(logits.shape)}",
                where=str(output),
            )
        difference = max(difference, float((found - logits).abs().max()))
        largest = max(largest, float(logits.abs().max()))
    images = any("pixel_values" in one for one in skipped.inputs)
    return LogitComparison(difference, largest, len(skipped.inputs), images)


def _logits(loaded: LoadedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    import torch

    model = loaded.model
    with torch.no_grad():
        output = model(**{name: value.to(model.device) for name, value in inputs.items()})
    logits: torch.Tensor = output.logits.float().cpu()
    return logits


def _inputs(loaded: LoadedModel) -> list[dict[str, torch.Tensor]]:
    """Return a few inputs of the kind that the model takes."""
    if loaded.kind == "image":
        pixels = loaded.processor(images=_picture(), return_tensors="pt")["pixel_values"]
        return [{"pixel_values": pixels}]
    inputs = []
    for text in _TEXTS:
        ids = dict(loaded.tokenizer(text, return_tensors="pt"))
        kept = {name: ids[name] for name in ("input_ids", "attention_mask") if name in ids}
        if not kept["input_ids"].numel():
            raise ModelError(
                "the tokenizer makes no tokens of words",
                where=loaded.name,
                mend="add the tokenizer files of the model that it was made from",
            )
        if loaded.kind == "seq2seq":
            kept["decoder_input_ids"] = kept["input_ids"]
        inputs.append(kept)
    if loaded.kind == "image-text":
        inputs.append(_question_about(_picture(), loaded.processor))
    return inputs


def _picture() -> Any:
    from PIL import Image

    return Image.effect_noise((96, 96), 80).convert("RGB")


def _question_about(picture: Any, processor: Any) -> dict[str, torch.Tensor]:
    content = [{"type": "image", "image": picture}, {"type": "text", "text": _TEXTS[0]}]
    try:
        return dict(
            processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        )
    except Exception:  # without a chat template, or with one of another kind
        mark = getattr(processor, "image_token", "<image>")
        return dict(processor(images=picture, text=f"{mark}{_TEXTS[0]}", return_tensors="pt"))
