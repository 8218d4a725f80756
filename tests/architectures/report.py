"""What came of the sweep, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import transformers

from depthprune.base.removal import format_removal
from tests.architectures.check import NOT_CUT, REMOVAL, Outcome

OUT_OF_SCOPE = (
    "spread over stages",
    "no stack of transformer blocks",
    "has no stack for part 'vision'",
    "2 stacks that could be meant by part 'vision'",
)


@dataclass(frozen=True)
class Goal:
    """What a class of architectures must reach.

    Attributes:
        role: of the outcomes.
        title: for readers.
        share: of the stacks that run, how many must pass.
        scope: whether stacks that are refused as out of scope (stages) count as well.
        vision: whether the stacks are vision towers; of other classes than image classifiers.
    """

    role: str
    title: str
    share: float
    scope: bool = True
    vision: bool = False


GOALS = (
    Goal("causal", "causal language models", 0.98),
    Goal("vlm", "vision-language models (text decoder)", 0.95),
    Goal("vlm", "vision-language models (vision tower)", 0.95, scope=False, vision=True),
    Goal("mlm", "masked language models", 0.96),
    Goal("vit", "image classifiers with one stack (ViT-like)", 0.95, scope=False),
    Goal("s2s", "encoder-decoders (both stacks)", 0.90),
)


@dataclass(frozen=True)
class Tally:
    """Counts of one class; `run` leaves out what cannot run or is out of scope."""

    goal: Goal
    entries: int
    unavailable: int
    out_of_scope: int
    run: int
    passed: int
    not_cut: int
    passed_otherwise: int
    refused: int
    failed: int
    pictures: int

    @property
    def share(self) -> float:
        """The share of the stacks that run which pass."""
        return self.passed / self.run if self.run else 0.0

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.share >= self.goal.share


def tally(outcomes: Sequence[Outcome], goal: Goal) -> Tally:
    """Count the outcomes of one class."""
    ours = [
        outcome
        for outcome in outcomes
        if outcome.role == goal.role and (outcome.part == "vision") == goal.vision
    ]
    passed = [outcome for outcome in ours if outcome.status == "pass"]
    refused = [outcome for outcome in ours if outcome.status == "refused"]
    beyond = [] if goal.scope else [outcome for outcome in refused if is_out_of_scope(outcome)]
    unavailable = sum(outcome.status == "unavailable" for outcome in ours)
    return Tally(
        goal=goal,
        entries=len(ours),
        unavailable=unavailable,
        out_of_scope=len(beyond),
        run=len(ours) - unavailable - len(beyond),
        passed=len(passed),
        not_cut=sum(NOT_CUT in outcome.note for outcome in passed),
        passed_otherwise=sum(outcome.removal != REMOVAL for outcome in passed),
        refused=len(refused) - len(beyond),
        failed=sum(outcome.status == "fail" for outcome in ours),
        pictures=sum(outcome.images for outcome in passed),
    )


def is_out_of_scope(outcome: Outcome) -> bool:
    """Return whether a model is refused because it has no single stack of blocks."""
    return any(words in outcome.note for words in OUT_OF_SCOPE)


def class_table(outcomes: Sequence[Outcome]) -> str:
    """Return the counts of every class as a table."""
    lines = [
        "| class | stacks | do not run | out of scope | run | pass | of these, not cut "
        "| of these, another removal "
        "| refused | fail | share | goal |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for goal in GOALS:
        row = tally(outcomes, goal)
        cells = (
            goal.title,
            row.entries,
            row.unavailable,
            row.out_of_scope,
            row.run,
            row.passed,
            row.not_cut,
            row.passed_otherwise,
            row.refused,
            row.failed,
            f"{row.share:.1%}",
            f">= {goal.share:.0%}{'' if row.reached else ' (missed)'}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def document(outcomes: Sequence[Outcome]) -> str:
    """Return the whole of docs/architectures.md."""
    pictures = tally(outcomes, GOALS[1]).pictures
    vision = tally(outcomes, GOALS[1]).passed
    return f"""# Which architectures depthprune can prune

Written by `make test-architectures` with transformers {transformers.__version__}; do not edit.

Every architecture that transformers has in these classes is built with tiny random weights and
{_blocks(REMOVAL)} of (usually) 6 are removed. A stack passes when

- it is found without code per architecture;
- the logits under `skip` equal those of a model that is built from the shortened configuration and
  strictly loaded with the weights that stay, to 1e-4;
- greedy generation under `skip`, with and without cache, equals that of the built model;
- afterwards the model is as before: logits, modules, attributes and configurations;
- the checkpoint that `cut` makes of the saved model loads in plain transformers without missing,
  unexpected or mismatched keys, and has the logits (to 1e-4) and greedy tokens of `skip`.

Where an architecture cannot express this removal, the first one that it can express is tested.

{class_table(outcomes)}

Of the {vision} vision-language models that pass, {pictures} are tested with a picture in every
row; the others with text alone, because no picture of random pixels fits their tiny model.
*Refused* means that depthprune raises an error with the reason; searches keep away from such
removals. *Do not run*: the tiny model does not run even unpruned, or random inputs do not reach
the blocks. *Out of scope*: stacks spread
over stages of different width; one stage can be named, see `find_stack`. *Not cut*: transformers
does not load even the unpruned tiny model from what it has saved of it.

## Refusals and failures

{_rows(outcomes, ("fail", "refused"))}

## Passed with a remark

{_rows([outcome for outcome in outcomes if outcome.note], ("pass",))}

## Not tested: the tiny model does not run, or not through these blocks

{_rows(outcomes, ("unavailable",))}
"""


def _blocks(removal: tuple[int, ...]) -> str:
    return "blocks " + " and ".join(map(str, removal))


def _rows(outcomes: Sequence[Outcome], statuses: tuple[str, ...]) -> str:
    chosen = [outcome for status in statuses for outcome in outcomes if outcome.status == status]
    if not chosen:
        return "None."
    lines = ["| class | architecture | stack | removed | | remark |", "|---|---|---|---|---|---|"]
    for outcome in chosen:
        stack = outcome.stack or outcome.part
        removed = format_removal(outcome.removal, ", ") if outcome.removal else ""
        note = outcome.note.replace("|", "\\|")
        cells = (outcome.role, outcome.model_type, stack, removed, outcome.status, note)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


PER_LAYER = "## Per-layer fields"

_BEFORE = """Before what is unknown was found out (commit 877a749), of 68 causal models with
such fields 65 were equal, 1 was refused and 2 were different (BEAM, HunYuan-MoE); of the 37
vision-language models that were measured, 35 were equal, 1 was refused and 1 was different
(Step 3.7)."""


def per_layer_tally(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Count the outcomes of the sweep of per-layer fields by their status."""
    found = dict.fromkeys(("equal", "refused", "different", "none", "unavailable"), 0)
    for outcome in outcomes:
        found["different" if outcome.status == "fail" else outcome.status] += 1
    return found


def per_layer_part(outcomes: Sequence[Outcome]) -> str:
    """Return the part of the document about per-layer fields."""
    lines = [
        "| class | stacks | no such field | do not run | run | equal | refused | different |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for role, part in dict.fromkeys((one.role, one.part) for one in outcomes):
        ours = [one for one in outcomes if (one.role, one.part) == (role, part)]
        found = per_layer_tally(ours)
        run = found["equal"] + found["refused"] + found["different"]
        cells = (f"{role}, {part}", len(ours), found["none"], found["unavailable"], run)
        cells += (found["equal"], found["refused"], found["different"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return f"""{PER_LAYER}

Written by `make test-per-layer` with transformers {transformers.__version__}; do not edit.

Every list- or dict-valued field is filled with other values for other blocks, as far as the tiny
model then computes something else. Block 2 of 6 is removed, and the logits of skipping and of the
cut checkpoint are compared with those of the whole model in which that block passes its input
through, without a cache (constants of the place are those of the new place). In vision towers a
hidden state from between the blocks is taken, where the configuration names one.

{chr(10).join(lines)}

{_BEFORE}

{_rows(outcomes, ("refused", "different", "fail"))}
"""


def replace_part(document: str, part: str) -> str:
    """Return the document with another part about per-layer fields, which is its last."""
    return document.partition(PER_LAYER)[0].rstrip() + f"\n\n{part}"
