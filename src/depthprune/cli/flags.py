"""The flags of the command line: those that commands share, and how options become flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from cyclopts import Group, Parameter

from depthprune.base.errors import RemovalError
from depthprune.base.language import Lang
from depthprune.base.options import Options
from depthprune.base.removal import Removal, parse_removal

Language = Annotated[Lang, Parameter(name="--lang", help="Output language: en or zh (Chinese).")]
AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object on stdout, for scripts.")
]
Model = Annotated[
    str, Parameter(name=("--model", "--model-path"), help="Model: a folder, a hub name, or demo.")
]
Output = Annotated[
    Path | None,
    Parameter(
        name=("--output", "--output-dir"),
        help="Study folder (default: depthprune-MODEL).",
    ),
]
DryRun = Annotated[
    bool, Parameter(help="Check everything and print the amount of work, without measuring.")
]
Estimate = Annotated[
    bool,
    Parameter(help="Like --dry-run, and run 8 samples of each task to estimate the time."),
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

NAMES = {
    "beam_width": ("beam-width", "width"),
    "lm_eval_paths": ("lm-eval-path",),
    "settings": ("set",),
    "splits": ("split", "splits"),
    "strategy": ("strategy", "method"),
    "task_files": ("task-file",),
    "tasks": ("task", "tasks", "dataset-name"),
}
"""The flags of options that have others than their own name; messages name the first."""

UNDERSCORED = frozenset(
    {
        "base_model",
        "block_configs",
        "compare_with",
        "comparison_dir",
        "dataset_name",
        "dataset_weights",
        "importance_scores_file",
        "max_shard_size",
        "max_shift",
        "num_active_blocks",
        "num_blocks",
        "output_file",
        "results_dir",
        "top_k",
        "train_scores",
        "train_val_weight",
        "validation_scores",
    }
)
"""Flags that are documented with underscores; the parser takes either spelling of any."""


def flag(name: str, value: str | None = None) -> str:
    """Return the flag that sets an option, as it is documented, and a value behind it."""
    spelled = NAMES.get(name, (name,))[0]
    if spelled not in UNDERSCORED:
        spelled = spelled.replace("_", "-").replace(".", "-")
    return f"--{spelled}" if value is None else f"--{spelled} {value}"


def with_flags(command: _Command) -> _Command:
    """Let a command take every field of its dataclasses of options as a flag.

    The first line of a dataclass is the heading of its flags in the help, the docstring of a field
    its explanation. Where the command says `Annotated[..., Parameter(name="*")]`, they stand among
    its others.
    """
    for name, hint in get_type_hints(command, include_extras=True).items():
        kind = getattr(hint, "__origin__", hint)
        if isinstance(kind, type) and issubclass(kind, Options):
            title = (getdoc(kind) or "").splitlines()[0].rstrip(".")
            heading = {"group": Group.create_ordered(title, sort_key=0)} if hint is kind else {}
            command.__annotations__[name] = Annotated[_flagged(kind, heading), Parameter(name="*")]
    return command


def _flagged(options: type, heading: dict[str, Any]) -> type:
    """Return a class that is made as `options` is, whose fields say how their flags look."""
    hints = get_type_hints(options)  # without the bounds, which the class itself checks
    flags = {
        one.name: Annotated[
            hints[one.name],
            Parameter(
                name=tuple(f"--{name}" for name in NAMES.get(one.name, ())) or None,
                **heading,
                negative=f"--no-{one.name.replace('_', '-')}" if one.default is True else (),
            ),
        ]
        for one in fields(options)
    }

    class Flags(options):  # type: ignore[misc]
        __annotations__ = flags

        def __new__(cls, **given: Any) -> Any:
            return options(**given)

        def __init__(self, **_: Any) -> None:
            # Never called. The parser asks it which fields must be given: none.
            pass

        @classmethod
        def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
            # The parser lets pydantic check what it made, where that is imported already.
            from pydantic_core import core_schema

            return core_schema.any_schema()

    return Flags


def words_of(*options: Options) -> list[str]:
    """Return the flags that set options to what they are, where that is not their default."""
    words = []
    for given in options:
        kind: Any = type(given)
        for each in fields(kind):
            value = getattr(given, each.name)
            if value == each.default:
                continue
            words.append(flag(each.name if value is not False else f"no_{each.name}"))
            if not isinstance(value, bool):
                words += map(str, value if isinstance(value, tuple) else (value,))
    return words


def block_set(given: Sequence[str]) -> Removal:
    """Return blocks that were written as `0 15` or `0,15`; `0-15` is the pair, as in file names.

    Raises:
        RemovalError: no block indices.
    """
    return parse_removal(" ".join(given))


def protected_blocks(given: Sequence[str]) -> Removal | None:
    """Return the blocks that stay; None where none were given.

    Raises:
        RemovalError: no block indices, or what could be a range.
    """
    if any("-" in one for one in given):
        raise RemovalError(
            f"{' '.join(given)!r} could be two blocks or all from one to the other",
            option="protect",
            mend="write every block, as 0 15 or 0,15",
        )
    return block_set(given) if given else None
