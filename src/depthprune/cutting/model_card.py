"""What a smaller checkpoint says about itself: model card, provenance, the same for other tools."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune import __version__
from depthprune.base.errors import DepthpruneError, FileError, option
from depthprune.base.files import format_size, read_json
from depthprune.base.language import counted
from depthprune.base.removal import Removal, active_blocks, format_removal
from depthprune.base.terminal import printable
from depthprune.checkpoint.folder import CONFIGS_FIELD, WEIGHTS_FIELD
from depthprune.cutting import Tool
from depthprune.cutting.shards import runs_of

if TYPE_CHECKING:
    from depthprune.cutting.plan import CutPlan, Pruned


PROVENANCE_NAME = "depthprune.json"


def provenance(
    plan: CutPlan, source_fingerprint: str, fingerprint: str, command: str | None
) -> dict[str, Any]:
    """Return what made the checkpoint, out of what, and which blocks of the source are left.

    Args:
        plan: of the cut.
        source_fingerprint: of the whole checkpoint, see `model_fingerprint`.
        fingerprint: of the smaller one.
        command: that was run.
    """
    return {
        "versions": {
            "depthprune": __version__,
            "python": platform.python_version(),
            "transformers of the source": plan.config.get("transformers_version"),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "source": {
            "name": plan.name,
            "fingerprint": source_fingerprint,
            "num_blocks": plan.num_blocks,
            "tensor_bytes": plan.bytes_before,
            "made_by_depthprune": _earlier(plan),
        },
        "part": plan.part,
        "count": plan.config_path,
        "removed": list(plan.removal),
        "original_indices": list(plan.kept),
        "fingerprint": fingerprint,
        "num_blocks": len(plan.kept),
        "tensor_bytes": plan.bytes_after,
        "changed_fields": [
            {"field": change.path, "before": change.before, "after": change.after}
            for change in plan.fields
        ],
        "notes": [str(note) for note in plan.notes],
        **({} if plan.pruned is None else {"pruned": _units(plan.pruned)}),
        **({"healed": list(plan.healed)} if plan.healed else {}),
    }


def _units(pruned: Pruned) -> dict[str, Any]:
    """Return which units stay, ranges of their original indices as texts: `0-12,14`."""

    def ranges(layers: Sequence[Sequence[int]]) -> list[str]:
        return [",".join(_text_of(run[0], run[-1]) for run in runs_of(kept)) for kept in layers]

    return {
        "method": pruned.method,
        "num_groups": pruned.num_groups,
        "num_channels": pruned.num_channels,
        "parameters_before": pruned.parameters_before,
        "parameters_after": pruned.parameters_after,
        "groups": ranges(pruned.groups),
        "channels": ranges(pruned.channels),
    }


def _text_of(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _earlier(plan: CutPlan) -> Any:
    """Return the record of a source that was cut itself; its indices are of its own source."""
    path = plan.source / PROVENANCE_NAME
    try:
        return read_json(path) if path.is_file() else None
    except FileError:  # it is not what the checkpoint is loaded from
        return None


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
        for run in runs_of(active_blocks(removal, num_blocks))
    ]
    content = {"slices": slices, "merge_method": "passthrough"}
    text: str = yaml.safe_dump(
        content | ({"dtype": dtype} if dtype else {}), sort_keys=False, default_flow_style=None
    )
    return text


def prune_layers(removal: Removal) -> str:
    """Return the arguments of llama.cpp's `llama-quantize`, to be used on the whole model."""
    return f"--prune-layers {format_removal(removal, ',')}"


@dataclass(frozen=True)
class MeasuredDrop:
    """What the removal costs on a dataset, or in the mean over some.

    Attributes:
        dataset: its name; how many there are, of a mean.
        split: of the data that was measured on; empty for a mean.
        baseline: accuracy of the whole model, a fraction.
        accuracy: without the blocks.
        num_samples: that were measured.
        interval: ends of the 95% interval of the drop, fractions; None where there is none.
        is_fresh: whether the samples had no part in finding any removal.
    """

    dataset: str
    split: str
    baseline: float
    accuracy: float
    num_samples: int
    interval: tuple[float, float] | None = None
    is_fresh: bool = False

    @property
    def drop(self) -> float:
        """Accuracy of the whole model minus that without the blocks."""
        return self.baseline - self.accuracy


def model_card(plan: CutPlan, drops: Sequence[MeasuredDrop], command: str | None) -> str:
    """Return the text of README.md (Markdown with the hub's front matter)."""
    saved = 1 - plan.bytes_after / plan.bytes_before if plan.bytes_before else 0.0
    parts = [
        _front_matter(plan),
        f"# {_title(plan)}",
        f"{_name(plan)} {_what_goes(plan)}, "
        f"{format_size(plan.bytes_after)} instead of {format_size(plan.bytes_before)} "
        f"({saved:.1%} less). All other weights are those of the source, byte by byte; nothing was "
        "trained.",
        _changes(plan),
        _healing(plan),
        _drops(drops),
        _loading(plan),
        _reproducing(plan, command),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what_goes(plan: CutPlan) -> str:
    if plan.pruned is not None:
        pruned = plan.pruned
        groups, channels = zip(*pruned.widths, strict=True)
        heads = (
            f"{_range(groups)} of {pruned.num_groups} attention groups (key-value heads with their "
            "query heads)"
            if pruned.num_groups
            else "all attention heads"
        )
        return (
            f"with narrower blocks: {heads} and {_range(channels)} of {pruned.num_channels} MLP "
            f"channels stay in each of its {plan.num_blocks} transformer blocks ({_part(plan)}), "
            f"those that the method {pruned.method} scores highest: {pruned.parameters_after:,} of "
            f"{pruned.parameters_before:,} parameters"
        )
    removed = format_removal(plan.removal, ", ")
    return (
        f"without {_count(plan.removal)} {removed} of its {plan.num_blocks} "
        f"transformer blocks ({_part(plan)}, counted from 0): "
        f"{counted(len(plan.kept), 'block is', 'blocks are')} left"
    )


def _healing(plan: CutPlan) -> str:
    if not plan.healed:
        return ""
    lines = "\n".join(f"- {line}" for line in plan.healed)
    return f"""## What was put in place of the blocks

Without training, and without a new parameter:

{lines}

Drops that were measured by skipping blocks are those without it."""


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def _front_matter(plan: CutPlan) -> str:
    """Return what the hub reads of a card: of the source's card, or else of the checkpoint."""
    import yaml

    stated = _stated(plan.source)
    # The hub wants a name that it knows; a folder's name may be anybody's.
    hub_name = re.fullmatch(r"[\w.-]+/[\w.-]+", plan.name)
    modules = any(file.path == "modules.json" for file in plan.files.copied)
    known = {
        "base_model": plan.name if hub_name else stated.get("base_model"),
        **{name: stated.get(name) for name in ("license", "license_name", "license_link")},
        "library_name": stated.get("library_name")
        or ("sentence-transformers" if modules else "transformers"),
        "pipeline_tag": stated.get("pipeline_tag") or plan.loader.pipeline_tag,
        "tags": ["depthprune", "pruned"],
    }
    kept = {name: value for name, value in known.items() if value}
    text: str = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{text}---"


def _stated(source: Path) -> dict[str, str]:
    """Return what the card of the source states in single texts."""
    import yaml

    card = source / "README.md"
    try:
        text = card.read_text(encoding="utf-8")[:20000] if card.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return {}
    match = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    try:
        stated = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError, RecursionError):  # it may be anything
        return {}
    if not isinstance(stated, dict):
        return {}
    # The hub takes a list of one for a text.
    single = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in stated.items()
    }
    return {name: value for name, value in single.items() if isinstance(value, str)}


def _name(plan: CutPlan) -> str:
    return printable(" ".join(plan.name.split()))


def _title(plan: CutPlan) -> str:
    if plan.pruned is not None:
        return f"{_name(plan).rpartition('/')[2]}, {plan.pruned.ratio:.0%} of its weights pruned"
    blocks = counted(plan.num_blocks, "block")
    return f"{_name(plan).rpartition('/')[2]} with {len(plan.kept)} of {blocks}"


def _changes(plan: CutPlan) -> str:
    if not plan.fields:
        return ""
    rows = [
        f"| `{_cell(change.path)}` | {_value(change.before)} | {_value(change.after)} |"
        for change in plan.fields
    ]
    notes = "".join(f"\n\nNote: {printable(str(note))}." for note in plan.notes)
    head = "What changed in `config.json`:\n\n| field | before | after |\n|---|---|---|\n"
    return head + "\n".join(rows) + notes


FRESH = "On fresh samples, which had no part in finding these blocks:"

SEARCHED = "On the samples that chose these blocks, on which they look better than they are:"

NEVER = "They were not measured on fresh samples."


def _drops(drops: Sequence[MeasuredDrop]) -> str:
    if not drops:
        return "What the removal costs was not measured."
    parts = [
        "## What the removal costs\n\nDrop: accuracy of the whole model minus accuracy without the "
        "blocks, in percentage points; measured by skipping the blocks."
    ]
    fresh = [one for one in drops if one.is_fresh]
    searched = [one for one in drops if not one.is_fresh]
    parts += [FRESH, _drop_table(fresh)] if fresh else []
    parts += [SEARCHED, _drop_table(searched)] if searched else []
    return "\n\n".join(parts if fresh else [*parts, NEVER])


def _drop_table(drops: Sequence[MeasuredDrop]) -> str:
    head = "| dataset | split | n | whole % | without % | drop (points) | 95% interval |\n"
    head += "|---|---|--:|--:|--:|--:|--:|\n"
    rows = [
        f"| {_cell(one.dataset)} | {_cell(one.split)} | {one.num_samples} | "
        f"{100 * one.baseline:.2f} | {100 * one.accuracy:.2f} | {100 * one.drop:.2f} | "
        f"{_interval(one.interval)} |"
        for one in drops
    ]
    return head + "\n".join(rows)


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else "[{:.1f}, {:.1f}]".format(*(100 * end for end in ends))


def _loading(plan: CutPlan) -> str:
    loader = plan.loader
    like = "Like the source; depthprune is not needed."
    if loader.remote_code and plan.pruned is not None:
        like = (
            "No class of transformers has blocks of different widths: the modelling file of this "
            "folder, a few lines, builds them. depthprune is not needed."
        )
    remote = ", trust_remote_code=True" if loader.remote_code else ""
    return (
        f"## How to load it\n\n{like}\n\n```python\n"
        f"from transformers import {loader.name}\n\n"
        f'model = {loader.name}.from_pretrained("THIS_FOLDER"{remote})\n```'
    )


def _reproducing(plan: CutPlan, command: str | None) -> str:
    blocks = format_removal(plan.removal, ",")
    made = command or f"depthprune cut {shlex.quote(_name(plan))} --remove {blocks} --output DIR"
    index = "block" if plan.pruned is None else "group and channel that stayed"
    return (
        f"## How to make it again\n\n```bash\n{printable(made)}\n```\n\n"
        f"`depthprune.json` has the fingerprint of the source and the original index of every "
        f"{index}."
    )


def _count(removal: Sequence[int]) -> str:
    return "block" if len(removal) == 1 else "blocks"


def _part(plan: CutPlan) -> str:
    return "of the language model" if plan.part == "text" else f"of the part {plan.part!r}"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("`", "'")


def _value(value: object) -> str:
    text = _cell(json.dumps(value, ensure_ascii=False))
    return f"`{text}`" if len(text) <= 160 else f"`{text[:150]} ...`"
