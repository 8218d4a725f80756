"""The same removal for other tools: mergekit's YAML, llama.cpp's argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from depthprune.base.errors import DepthpruneError
from depthprune.base.naming import option
from depthprune.base.removal import Removal, active_blocks, format_removal
from depthprune.checkpoint.loaded_files import CONFIGS_FIELD, WEIGHTS_FIELD

if TYPE_CHECKING:
    from depthprune.cutting.plan import CutPlan

Tool = Literal["mergekit", "llama.cpp"]

FILE_NAMES: dict[Tool, str] = {"mergekit": "mergekit.yaml", "llama.cpp": "llama.cpp.txt"}
"""What the file for each tool is called in the smaller checkpoint."""


def also_for(tool: Tool, model: str, num_blocks: int, removal: Removal, dtype: str | None) -> str:
    """Return the text for a tool that makes the same model out of `model`.

    Args:
        tool: mergekit (a configuration: it writes the weights, and for most models with kinds of
            layers a config.json that does not fit them) or llama.cpp (arguments of llama-quantize).
        model: hub name or folder of the whole model.
        num_blocks: of the whole model.
        removal: the blocks that go.
        dtype: of the weights, as config.json names it.

    Raises:
        DepthpruneError: there is no such tool.
    """
    if tool == "mergekit":
        return mergekit_yaml(model, num_blocks, removal, dtype)
    if tool == "llama.cpp":
        return prune_layers(removal) + "\n"
    raise DepthpruneError(
        f"nothing is known to be written for {tool!r}", mend="choose mergekit or llama.cpp"
    )


def check_also(tools: Sequence[Tool], plan: CutPlan) -> None:
    """Raise when the blocks are none that these tools remove.

    Raises:
        DepthpruneError: they are of another stack than the language model's, or there is an encoder
            beside it: the tools count the blocks of one stack.
    """
    if tools and not plan.is_text:
        raise DepthpruneError(
            f"{' and '.join(tools)} can only remove blocks of a language model without an encoder, "
            f"and these are counted by {plan.config_path}",
            option="also",
            mend=f"leave {option('also')} out; the smaller checkpoint itself can be converted",
        )


def unfitting_fields(plan: CutPlan) -> tuple[str, ...]:
    """Return the fields that change beside the count: these tools leave them as they are.

    Neither shortens lists of kinds of layers: mergekit copies config.json and changes the count,
    llama-quantize does the same with the metadata of the file.
    """
    return tuple(
        change.path
        for change in plan.fields
        if change.path.rpartition(".")[2] != plan.config_path.rpartition(".")[2]
        and change.path not in (WEIGHTS_FIELD, CONFIGS_FIELD)
        and "quantization" not in change.path
    )


def mergekit_yaml(model: str, num_blocks: int, removal: Removal, dtype: str | None) -> str:
    """Return mergekit's configuration: one slice per run of blocks that stay.

    https://github.com/arcee-ai/mergekit, merge method `passthrough`; ranges exclude their end.
    """
    import yaml

    slices = [
        {"sources": [{"model": model, "layer_range": [run.start, run.stop]}]}
        for run in kept_runs(num_blocks, removal)
    ]
    content = {"slices": slices, "merge_method": "passthrough"}
    text: str = yaml.safe_dump(
        content | ({"dtype": dtype} if dtype else {}), sort_keys=False, default_flow_style=None
    )
    return text


def prune_layers(removal: Removal) -> str:
    """Return the arguments of llama.cpp's `llama-quantize`, to be used on the whole model."""
    return f"--prune-layers {format_removal(removal, ',')}"


def kept_runs(num_blocks: int, removal: Removal) -> tuple[range, ...]:
    """Return the blocks that stay as runs of neighbours."""
    runs: list[range] = []
    for block in active_blocks(removal, num_blocks):
        if runs and runs[-1].stop == block:
            runs[-1] = range(runs[-1].start, block + 1)
        else:
            runs.append(range(block, block + 1))
    return tuple(runs)
