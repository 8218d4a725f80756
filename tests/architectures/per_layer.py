"""Whether every per-layer field of a configuration follows its block, over all of transformers.

Every list- or dict-valued field is filled with other values for other blocks, as far as the tiny
model then computes something else; a middle block is removed; and what is left is compared with the
whole model in which that block passes its input through.

`python -m tests.architectures.per_layer causal --only llama4` checks some by hand.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from depthprune.base.errors import DepthpruneError
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.layer_fields import CountField
from depthprune.blocks.skeleton import rebuild_config
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack, find_stack
from tests.architectures.check import (
    CLASSES,
    TOLERANCE,
    Outcome,
    build,
    give_weights,
    summary,
)
from tests.architectures.cutting import cut_and_load, load_again
from tests.architectures.inputs import make_inputs
from tests.architectures.passing import passed_through, placed
from tests.architectures.sweep import all_jobs, sweep
from tests.architectures.tiny_configs import NUM_BLOCKS

MIDDLE = (2,)
NO_FIELD = "no field of its configuration differs from block to block"

_ELSEWHERE = re.compile(
    r".*token.*|.*_ids?$|rope_(parameters|scaling)|.*config|image_.*|.*patch_size|architectures"
    r"|id2label|label2id|_?out_(features|indices)|stage_names|(mtp|num_mtp)_.*|.*stage.*"
)
_HOLDS_INDICES = re.compile(r".*(_ids|indices|indexes|idxs|_layers)$")
# Where two neighbours differ from the block between them: a shift of the list is noticed.
_PATTERN = (0, 1, 1, 0, 1, 0)
_KINDS = (
    *("full_attention", "sliding_attention", "linear_attention", "chunked_attention"),
    *("dense", "sparse", "conv", "mamba", "moe", "mlp"),
)


def check_per_layer(role: str, model_type: str, part: str = "text") -> Outcome:
    """Fill the per-layer fields of a tiny model, remove a middle block and compare; never raises.

    The status is `equal`, `different`, `refused`, `none` (no such field) or `unavailable`.
    """
    start = time.monotonic()
    facts: dict[str, Any] = {}

    def outcome(status: str, note: str = "") -> Outcome:
        seconds = time.monotonic() - start
        return Outcome(role, model_type, part, status, note=note, seconds=seconds, **facts)

    try:
        model = build(role, model_type, part)
        inputs = make_inputs(model, role)
        if "use_cache" in inspect.signature(model.forward).parameters:
            inputs["use_cache"] = False
        stack = find_stack(model, part)
        facts["stack"] = stack.path
        if stack.num_blocks != NUM_BLOCKS or len(stack.containers) > 1:
            return outcome("unavailable", "its blocks are no single list of six")
        model, fields = fill(model, stack, inputs)
        if not fields and part != "vision":
            return outcome("none", NO_FIELD)
        stack = find_stack(model, part)
        with passed_through(model, stack, MIDDLE), placed(model, stack, MIDDLE):
            expected = logits(model, inputs)
        if _same(expected, logits(model, inputs)):
            return outcome("unavailable", "the inputs at hand do not reach these blocks")
    except Exception as error:
        return outcome("unavailable", summary(error))
    facts |= {"removal": MIDDLE, "fields": tuple(fields)}
    try:
        reason = inadmissible_reason(stack, MIDDLE)
        if reason is not None:
            return outcome("refused", reason)
        return outcome(*compare(model, stack, part, inputs, expected))
    except DepthpruneError as error:
        return outcome("refused", error.what)
    except Exception as error:
        return outcome("different", summary(error))


def compare(
    model: nn.Module, stack: Stack, part: str, inputs: dict[str, Any], expected: torch.Tensor
) -> tuple[str, str]:
    """Return the status, and by how much skipping or cutting differs from what is expected."""
    with skip(model, MIDDLE, stack):
        difference = _difference(logits(model, inputs), expected)
    if difference > TOLERANCE:
        return "different", f"skipping differs by {difference:.2g}"
    try:
        difference = _difference(logits(cut_and_load(model, MIDDLE, part), inputs), expected)
    except DepthpruneError:
        raise
    except Exception as error:
        try:
            whole = logits(load_again(model), inputs)
        except Exception:
            return "equal", "not cut: transformers itself does not load the whole model"
        if _difference(whole, logits(model, inputs)) > TOLERANCE:
            return "equal", "not cut: transformers itself does not load the whole model"
        return "different", f"cut: {summary(error)}"
    if difference > TOLERANCE:
        return "different", f"cutting differs by {difference:.2g}"
    return "equal", ""


def fill(
    model: nn.Module, stack: Stack, inputs: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model with other values for other blocks, and the fields that have them."""
    filled: dict[str, Any] = {}
    count = CountField.parse(stack.config_path)
    taken = getattr(model.config, "vision_feature_layer", None)
    if count.sections and "vision" in count.sections[-1] and taken is not None:
        # A state from between the blocks, instead of one of the last.
        model.config.vision_feature_layer = [2, 5][: len(taken)] if _is_list(taken) else 4
        filled["vision_feature_layer"] = model.config.vision_feature_layer
    for name, annotation in _fields(model, count):
        before = logits(model, inputs)
        section = count.chain(model.config.to_dict())[-1]
        for value in _candidates(name, section.get(name), annotation):
            other = _with(model, count, name, value)
            try:
                if other is not None and not _same(logits(other, inputs), before):
                    model, filled[name] = other, value
                    break
            except Exception:
                continue
    return model, filled


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def logits(model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
    """Return the logits; raises ValueError where they are no finite numbers."""
    with torch.no_grad():
        output = model(**inputs)
    found = getattr(output, "logits", None)
    if found is None:
        found = next(value for value in output.values() if isinstance(value, torch.Tensor))
    if not torch.isfinite(found).all():
        raise ValueError("the tiny model computes no finite numbers")
    return found


def _fields(model: nn.Module, count: CountField) -> list[tuple[str, str]]:
    """Return the fields that may hold one value per block, with their annotations."""
    section: Any = model.config
    for name in count.sections:
        section = getattr(section, name)
    annotations = {
        name: str(field.type) for name, field in type(section).__dataclass_fields__.items()
    }
    found = {
        name: annotations.get(name, "")
        for name, value in section.to_dict().items()
        if isinstance(value, list | tuple | dict)
        or re.search(r"\b(list|tuple|dict|List|Dict)\b", annotations.get(name, ""))
    }
    own = [name for name in found if not _ELSEWHERE.fullmatch(name) or _HOLDS_INDICES.match(name)]
    return [(name, found[name]) for name in own if name not in _SHARED and "token" not in name]


_WINDOW = {"sliding_window": 4, "use_sliding_window": True}

_SHARED = frozenset(
    {"eos_token_id", "bos_token_id", "pad_token_id", "architectures", "id2label", "label2id"}
)


def _candidates(name: str, value: Any, annotation: str) -> Iterator[Any]:
    """Yield values for the blocks, the most telling first."""
    if isinstance(value, dict):
        return
    if isinstance(value, list | tuple) and len(value) != NUM_BLOCKS:
        indices = all(type(entry) is int and -1 <= entry <= NUM_BLOCKS for entry in value)
        if not (indices and _HOLDS_INDICES.match(name)):
            return
        size = len(value)
        yield from ([[1, 3, 4][:size]] if size else []) + [[1, 3, 4], [0, 3, 5], [2, 3]]
        return
    entry = value[0] if isinstance(value, list | tuple) and value else value
    if isinstance(entry, list | tuple):
        kinds = [list(one) for one in dict.fromkeys(map(tuple, value))]
        yield [kinds[bit % len(kinds)] for bit in _PATTERN]
    elif isinstance(entry, str):
        kinds = list(dict.fromkeys(value if isinstance(value, list | tuple) else [value]))
        for one, other in [(one, other) for one in kinds for other in (*kinds, *_KINDS)]:
            if one != other:
                yield [(one, other)[bit] for bit in _PATTERN]
                yield [(other, one)[bit] for bit in _PATTERN]
    elif _HOLDS_INDICES.match(name) and "bool" not in annotation:
        if isinstance(value, list | tuple) and set(value) <= {0, 1}:
            yield [1 - bit for bit in _PATTERN]
            yield list(_PATTERN)
        yield from ([1, 3, 4], [0, 3, 5])
        if value is None:
            yield [(("full_attention"), "sliding_attention")[bit] for bit in _PATTERN]
    elif "float" in annotation or isinstance(entry, float):
        yield [0.05 + 0.15 * (5 * block % 7) for block in range(NUM_BLOCKS)]
        yield [10000.0 * (1 + 5 * block % 7) for block in range(NUM_BLOCKS)]
        yield [float(bit) for bit in _PATTERN]
    elif entry is None or isinstance(entry, int):
        yield [1 + 3 * block % 4 for block in range(NUM_BLOCKS)]
        base = entry if isinstance(entry, int) and entry > 0 else 4
        yield [base * (1 + bit) for bit in _PATTERN]
        yield [max(1, base // (1 + bit)) for bit in _PATTERN]
        yield list(_PATTERN)


def _with(model: nn.Module, count: CountField, name: str, value: Any) -> nn.Module | None:
    """Return the model of a configuration with another value; None where there is none such."""
    data = model.config.to_dict()
    section = count.chain(data)[-1]
    section[name] = value
    if "sliding_attention" in value:
        section |= {key: own for key, own in _WINDOW.items() if key in section}
    try:
        other = type(model)(rebuild_config(model.config, data)).eval()
    except Exception:
        return None
    found = count.chain(other.config.to_dict())[-1].get(name)
    if found is None or list(found) != list(value):
        return None
    give_weights(other)
    return other


def _same(some: torch.Tensor, other: torch.Tensor) -> bool:
    return some.shape == other.shape and bool((some - other).abs().max() < TOLERANCE)


def _difference(some: torch.Tensor, other: torch.Tensor) -> float:
    return float((some - other).abs().max()) if some.shape == other.shape else float("inf")


def main() -> None:
    """Print what became of the architectures named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roles", nargs="*", help=f"of {list(CLASSES)}, all if not given")
    parser.add_argument("--only", nargs="*", help="model types")
    parser.add_argument("--part", help="of the model: text, vision, encoder, decoder")
    options = parser.parse_args()
    jobs = [
        job
        for job in all_jobs()
        if job[0] in (options.roles or CLASSES)
        and (not options.only or job[1] in options.only)
        and (not options.part or job[2] == options.part)
    ]
    for outcome in sweep(jobs, check_per_layer):
        if outcome.status != "none":
            sys.stdout.write(f"{outcome}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
