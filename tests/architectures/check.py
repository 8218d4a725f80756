"""Check one architecture: skipping blocks, building without them and cutting them out agree."""

from __future__ import annotations

import copy
import re
import time
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from transformers.models.auto import modeling_auto

from depthprune.base.errors import DepthpruneError, StackError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.layer_fields import shorten_config
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack, find_stack
from tests.architectures.cutting import cut_and_load, load_again
from tests.architectures.inputs import MEDIA, make_inputs
from tests.architectures.tiny_configs import FIRST_SPECIAL_TOKEN, VOCABULARY, tiny_config

CLASSES = {
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "vlm": "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    "mlm": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "vit": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    "s2s": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
}
TOLERANCE = 1e-4
REMOVAL = (1, 3)
OTHER_REMOVALS = ((1,), (3,), (2, 3), (0,), (2,), (4,), (5,))
NEW_TOKENS = 6
NOT_CUT = "not cut: transformers itself does not get the unpruned tiny model back"


Tokens = torch.Tensor | None
"""Generated tokens, or None when a model does not generate in this way."""


@dataclass(frozen=True)
class Outcome:
    """What became of one stack.

    Attributes:
        role: causal, vlm, mlm, vit or s2s.
        model_type: e.g. llama.
        part: of the model, see `find_stack`.
        status: `pass`; `refused` (the architecture cannot be done, and the tool says why); `fail`;
            `unavailable` (the tiny model does not run even unpruned, or not through these blocks).
        stack: path of the stack.
        removal: that was tested: REMOVAL, or the first admissible one when REMOVAL is refused.
        images: whether a picture was among the inputs (for encoder-decoders: sound).
        note: the reason of a refusal, failure or restriction.
        seconds: it took.
        fields: of the configuration, that were given other values for other blocks.
    """

    role: str
    model_type: str
    part: str
    status: str
    stack: str = ""
    removal: Removal = ()
    images: bool = False
    note: str = ""
    seconds: float = 0.0
    fields: tuple[str, ...] = ()


class CheckFailed(Exception):
    """What the tool promises does not hold."""


class NotReached(Exception):
    """The test says nothing, because the blocks play no part in it."""


def entries(role: str) -> list[str]:
    """Return the model types that transformers has in a role."""
    return sorted(getattr(modeling_auto, CLASSES[role]))


def check_architecture(role: str, model_type: str, part: str = "text") -> Outcome:
    """Build a tiny random model and compare skipping with building; never raises."""
    start = time.monotonic()

    def outcome(status: str, **facts: Any) -> Outcome:
        seconds = time.monotonic() - start
        return Outcome(role, model_type, part, status, seconds=seconds, **facts)

    try:
        model = build(role, model_type, part)
        inputs = make_inputs(model, role)
        before = run(model, inputs)
    except Exception as error:
        return outcome("unavailable", note=summary(error))
    images = any(name in MEDIA for name in inputs)
    if not torch.isfinite(before).all():
        return outcome("unavailable", note="the unpruned tiny model computes no finite numbers")
    try:
        stack = find_stack(model, part)
    except StackError as error:
        return outcome("refused", note=error.what)
    except Exception as error:
        return outcome("fail", note=summary(error))
    facts: dict[str, Any] = {"stack": stack.path, "images": images}
    try:
        removal, note = first_admissible(stack)
        if not removal:
            return outcome("refused", note=note, **facts)
        facts |= {"removal": removal}
        notes = [note, *compare(model, stack, removal, inputs, before, role, part)]
    except NotReached as error:
        return outcome("unavailable", note=str(error), **facts)
    except Exception as error:
        return outcome("fail", note=summary(error), **facts)
    return outcome("pass", note="; ".join(filter(None, notes)), **facts)


def build(role: str, model_type: str, part: str = "text") -> nn.Module:
    """Build a tiny model with weights so large that every block counts, six of them in `part`."""
    torch.manual_seed(0)
    name = getattr(modeling_auto, CLASSES[role])[model_type]
    names = [name] if isinstance(name, str) else name
    model_class = getattr(transformers, names[0])
    config = tiny_config(model_type, "vision" if part == "vision" else role)
    if not isinstance(config, model_class.config_class):
        inner = config.get_text_config(decoder=True)
        config = inner if isinstance(inner, model_class.config_class) else config
    if role == "causal" and hasattr(config, "is_decoder"):
        config.is_decoder = True
    model = model_class(config).eval()
    if model.can_generate():
        model.generation_config.pad_token_id = 0
        model.generation_config.decoder_start_token_id = 1
    give_weights(model)
    return model


def give_weights(model: nn.Module) -> None:
    """Give a model random weights so large that every block counts: the same ones every time."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2 and parameter.is_floating_point():
                parameter.normal_(std=0.1)
            elif parameter.is_floating_point():
                parameter.add_(torch.randn_like(parameter) * 0.02)


def run(model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
    """Return the logits."""
    with torch.no_grad():
        output = model(**inputs)
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = next(value for value in output.values() if isinstance(value, torch.Tensor))
    return logits


def first_admissible(stack: Stack) -> tuple[Removal, str]:
    """Return REMOVAL or the first other removal that is admissible, and why REMOVAL is not."""
    first = ""
    for removal in (REMOVAL, *OTHER_REMOVALS):
        if max(removal) >= stack.num_blocks or len(removal) >= stack.num_blocks:
            continue
        reason = inadmissible_reason(stack, removal)
        if reason is None:
            return removal, first
        first = first or f"{removal} is refused: {reason}"
    return (), first


def compare(
    model: nn.Module,
    stack: Stack,
    removal: Removal,
    inputs: dict[str, Any],
    before: torch.Tensor,
    role: str,
    part: str,
) -> list[str]:
    """Raise CheckFailed when skipping, building and cutting differ; return remarks."""
    built = build_shorter(model, stack, removal)
    generates = role in {"causal", "vlm", "s2s"} and model.can_generate()
    whole = generate_both_ways(model, inputs) if generates else None
    run(model, inputs)  # what it leaves on a model is not what skipping leaves
    snapshot = take_snapshot(model)
    with skip(model, removal, stack):
        skipped = run(model, inputs)
        generated = generate_both_ways(model, inputs) if generates else None
    compare_logits(skipped, run(built, inputs), before)
    notes: list[str] = []
    if whole is not None and generated is not None:
        notes += compare_generation(whole, generated, generate_both_ways(built, inputs))
    if not torch.equal(run(model, inputs), before):
        raise CheckFailed("the model's logits have changed after skipping")
    changed = snapshot_difference(snapshot, take_snapshot(model))
    if changed:
        raise CheckFailed(f"the model has changed after skipping: {changed}")
    return notes + compare_cut(model, removal, part, inputs, skipped, generated)


def compare_cut(
    model: nn.Module,
    removal: Removal,
    part: str,
    inputs: dict[str, Any],
    skipped: torch.Tensor,
    generated: tuple[Tokens, Tokens] | None,
) -> list[str]:
    """Raise CheckFailed when the cut checkpoint is not what skipping shows; return remarks."""
    try:
        _compare_cut(cut_and_load(model, removal, part), inputs, skipped, generated)
        return []
    except Exception as error:
        failure = error
    try:
        stored = load_again(model)
    except Exception:
        return [NOT_CUT]
    if torch.allclose(run(stored, inputs), run(model, inputs), rtol=0, atol=TOLERANCE):
        raise CheckFailed(f"cut: {summary(failure)}") from failure
    # The tiny model has random numbers where no checkpoint holds any: begin with the stored one.
    with skip(stored, removal, find_stack(stored, part)):
        skipped = run(stored, inputs)
        generated = generate_both_ways(stored, inputs) if generated else None
    _compare_cut(cut_and_load(stored, removal, part), inputs, skipped, generated)
    return []


def _compare_cut(
    cut: nn.Module,
    inputs: dict[str, Any],
    skipped: torch.Tensor,
    generated: tuple[Tokens, Tokens] | None,
) -> None:
    logits = run(cut, inputs)
    if logits.shape != skipped.shape:
        raise CheckFailed(f"logits {tuple(logits.shape)} instead of {tuple(skipped.shape)}")
    difference = (logits - skipped).abs().max().item()
    if difference > TOLERANCE:
        raise CheckFailed(f"logits differ by {difference:.2g}")
    if generated is not None:
        of_cut = generate_both_ways(cut, inputs)
        for way, ours, theirs in zip(("with", "without"), generated, of_cut, strict=True):
            if ours is not None and not _same(ours, theirs):
                raise CheckFailed(f"generation {way} cache differs")


def compare_logits(skipped: torch.Tensor, expected: torch.Tensor, before: torch.Tensor) -> None:
    """Raise CheckFailed when logits differ, NotReached when the removal changes nothing."""
    if skipped.shape != expected.shape or not torch.isfinite(skipped).all():
        raise CheckFailed(f"logits {tuple(skipped.shape)} instead of {tuple(expected.shape)}")
    difference = (skipped - expected).abs().max().item()
    if difference > TOLERANCE:
        raise CheckFailed(f"logits differ from the built model's by {difference:.2g}")
    if skipped.shape == before.shape and (skipped - before).abs().max().item() < 1e-3:
        raise NotReached("the inputs at hand do not reach these blocks")


def generate_both_ways(model: nn.Module, inputs: dict[str, Any]) -> tuple[Tokens, Tokens]:
    """Return the greedy continuation with and without cache."""
    tokens: list[Tokens] = []
    for use_cache in (True, False):
        try:
            tokens.append(generate(model, inputs, use_cache=use_cache))
        except Exception:  # some tiny models do not generate, pruned or not
            tokens.append(None)
    return tokens[0], tokens[1]


def compare_generation(
    whole: tuple[Tokens, Tokens], skipped: tuple[Tokens, Tokens], built: tuple[Tokens, Tokens]
) -> list[str]:
    """Raise CheckFailed when generated tokens differ; return remarks."""
    for way, of_whole, ours, theirs in zip(("with", "without"), whole, skipped, built, strict=True):
        if of_whole is not None and (ours is None or not _same(ours, theirs)):
            raise CheckFailed(f"generation {way} cache differs from the built model's")
    if whole[0] is None:
        return ["the unpruned tiny model does not generate"]
    if whole[1] is None:
        return ["the unpruned tiny model does not generate without cache"]
    if _same(skipped[0], skipped[1]):
        return []
    # The built model agrees both ways, so it is the architecture's cache that differs.
    return [
        "generation with cache differs from without, in the "
        + ("built model as well" if _same(*whole) else "unpruned model as well")
    ]


def _same(some: Tokens, other: Tokens) -> bool:
    return some is not None and other is not None and torch.equal(some, other)


def generate(model: nn.Module, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
    """Return the greedy continuation."""
    inputs = {name: value for name, value in inputs.items() if name != "decoder_input_ids"}
    with torch.no_grad():
        return model.generate(
            **copy.deepcopy(inputs),
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            # A picture token among the answer would ask for another picture.
            suppress_tokens=list(range(FIRST_SPECIAL_TOKEN, VOCABULARY)),
            **options,
        )


def build_shorter(model: nn.Module, stack: Stack, removal: Removal) -> nn.Module:
    """Build the model of the shortened configuration and give it the weights that stay."""
    kept = active_blocks(removal, stack.num_blocks)
    torch.manual_seed(1)
    config = shorten_config(model.config, stack.config_path, removal)
    built = type(model)(config).eval()
    sliced = {tensor.name: tensor.axis for tensor in stack.tensors}
    weights = {}
    for name, tensor in model.state_dict().items():
        new_name = renumber(name, stack, kept)
        if new_name is None:
            continue
        if name in sliced:
            chunks = tensor.chunk(stack.num_blocks, dim=sliced[name])
            tensor = torch.cat([chunks[block] for block in kept], dim=sliced[name])
        weights[new_name] = tensor.clone()
    built.load_state_dict(weights, strict=True)
    if built.can_generate():
        built.generation_config = copy.deepcopy(model.generation_config)
    return built


def renumber(name: str, stack: Stack, kept: tuple[int, ...]) -> str | None:
    """Return a tensor's name in the shorter model; None when its block is missing."""
    for container in stack.containers:
        match = re.match(rf"{re.escape(container)}\.(\d+)\.", name)
        if match:
            block = int(match[1])
            if block not in kept:
                return None
            return f"{container}.{kept.index(block)}.{name[match.end() :]}"
    return name


def take_snapshot(model: nn.Module) -> dict[str, Any]:
    """Return everything about a model that skipping could have left changed.

    Tensors that a forward pass leaves on its modules (recurrent states) are the model's own doing.
    """
    snapshot: dict[str, Any] = {"": model.config.to_dict()}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, value in vars(module).items():
            key = f"{path}.{name}"
            if name.endswith("_hooks"):
                snapshot[key] = (id(value), tuple(value))
            elif name in {"_modules", "_parameters"}:
                snapshot[key] = (id(value), {k: id(v) for k, v in value.items()})
            elif isinstance(value, transformers.PreTrainedConfig):
                snapshot |= _config_snapshot(key, value)
            elif _is_data(value):
                snapshot[key] = copy.deepcopy(value)
            elif not isinstance(value, torch.Tensor):
                snapshot[key] = id(value)
    return snapshot


def _config_snapshot(key: str, config: transformers.PreTrainedConfig) -> dict[str, Any]:
    snapshot: dict[str, Any] = {key: id(config)}
    for name, value in vars(config).items():
        if isinstance(value, transformers.PreTrainedConfig):
            snapshot |= _config_snapshot(f"{key}.{name}", value)
        else:
            snapshot[f"{key}.{name}"] = copy.deepcopy(value)
    return snapshot


def snapshot_difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the first few keys that differ."""
    changed = [
        key
        for key in sorted(before.keys() | after.keys())
        if key not in before or key not in after or before[key] != after[key]
    ]
    return ", ".join(changed[:3])


def _is_data(value: Any) -> bool:
    if isinstance(value, list | tuple | set):
        return all(_is_data(entry) for entry in value)
    if isinstance(value, dict):
        return all(_is_data(entry) for entry in value.values())
    return value is None or isinstance(value, int | float | str)


def summary(error: Exception) -> str:
    """Return an error as one short line."""
    text = error.what if isinstance(error, DepthpruneError) else str(error)
    line = " ".join(text.split())[:160]
    return line if isinstance(error, CheckFailed) else f"{type(error).__name__}: {line}"
