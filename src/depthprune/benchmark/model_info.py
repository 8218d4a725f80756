"""What a model consists of: its parameters by the kind of module that holds them, and its bytes."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from depthprune.base.documents import Json
from depthprune.base.removal import Removal
from depthprune.blocks.stack import Stack

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from depthprune.blocks.models import LoadedModel

KINDS = ("embedding", "attention", "mlp", "norm", "lm_head", "vision", "other")

_VISION = re.compile(r"vision|visual|image|pixel|projector|connector|^vit$|patch_embed")
_AUDIO = re.compile(r"audio|speech")
_ATTENTION = re.compile(r"attn|attention")
_MLP = re.compile(
    r"mlp|feed_?forward|ffn|expert|moe|^fc\d|^intermediate$|^output$|dense_(h|4h)_to|"
    r"^(gate|up|down)_proj$"
)
_NORM = re.compile(r"norm|^ln_")
_POSITIONS = re.compile(r"^wpe$|embed_positions|position_embed")


def model_info(
    loaded: LoadedModel, stack: Stack, removal: Removal = (), *, name: str | None = None
) -> Json:
    """Return what the file of an evaluation says of a model; inside `skip`, of what is left of it.

    Args:
        loaded: the model.
        stack: of its blocks.
        removal: the blocks that are skipped.
        name: of the model in the file; its own when None.
    """
    by_kind = parameters_by_kind(loaded.model)
    return {
        "name": name or loaded.name,
        # Of the whole checkpoint, also where blocks are skipped.
        "fingerprint": loaded.fingerprint,
        "architecture": type(loaded.model).__name__,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "stack": stack.path,
        "num_blocks": stack.num_blocks,
        "removed": list(removal),
        "num_active_blocks": stack.num_blocks - len(removal),
        "parameters": sum(by_kind.values()),
        "module_parameters": by_kind,
    }


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers; what is shared counts once."""
    tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return sum(tensor.nbytes for tensor in tensors.values())


def parameters_by_kind(model: PreTrainedModel) -> dict[str, int]:
    """Return the number of parameters of every kind of module; a shared tensor counts once.

    Everything in a vision tower, or between it and the text model, is `vision`, its norms too. An
    output head that is tied to the embedding is `embedding`. The kind is read from the names of the
    modules; what no name tells (audio, convolutions, state spaces) is `other`.
    """
    heads = _of(model, "get_output_embeddings")
    embeddings = _of(model, "get_input_embeddings")
    counts = dict.fromkeys(KINDS, 0)
    for path, parameter in model.named_parameters():
        if id(parameter) in embeddings:
            kind = "embedding"
        elif id(parameter) in heads:
            kind = "lm_head"
        else:
            kind = _kind(path.lower().split("."))
        counts[kind] += parameter.numel()
    return counts


def _kind(path: list[str]) -> str:
    modules = path[:-1]
    if any(map(_VISION.search, path)):
        return "vision"
    if any(map(_AUDIO.search, path)):
        return "other"
    if modules and _NORM.search(modules[-1]):
        return "norm"
    for kind, names in (("embedding", _POSITIONS), ("attention", _ATTENTION), ("mlp", _MLP)):
        if any(map(names.search, modules)):
            return kind
    return "other"


def _of(model: PreTrainedModel, getter: str) -> set[int]:
    try:
        module = getattr(model, getter)()
    except (NotImplementedError, AttributeError):
        return set()
    return set() if module is None else {id(tensor) for tensor in module.parameters()}
