"""The program `depthprune`: its commands, and what happens when something goes wrong."""

from __future__ import annotations

import ast
import os
import signal
import sys
from collections.abc import Sequence
from contextvars import copy_context
from io import TextIOWrapper
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from rich.markup import escape

from depthprune import __version__
from depthprune.base.errors import DepthpruneError, missing_package, spelled
from depthprune.base.log import configure_logging
from depthprune.base.progress import shown
from depthprune.base.terminal import terminal
from depthprune.cli.flags import flag

USER_ERROR = 2
INTERRUPTED = 130


def _default(value: Any) -> str | None:
    """Return how the help names a default: as it is typed; None where nothing is the default."""
    if value is None or value is False or value in ("", ()):
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


app = App(
    name="depthprune",
    help="""Find out which transformer blocks a language or vision-language model can lose,
and what each loss costs on every dataset.

For example:

    depthprune demo                                  a first example, in minutes
    depthprune search MODEL --task okvqa             blocks to remove together
    depthprune recommend FOLDER                      what to remove, and why
    depthprune cut MODEL --remove 4,13 --output DIR  write the smaller checkpoint

Options can be written with dashes or with underscores. An interrupted command resumes when you run
it again.
""",
    help_format="markdown",
    version=__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(consume_multiple=True, negative=(), show_default=_default),
    error_console=terminal(stderr=True),
)
COMMANDS = {
    "Start": ("run:demo", "run:init", "run:run"),
    "Measure": (
        "measure:profile",
        "proxies:proxies",
        "measure:search",
        "sweep:sweep",
        "evaluate:evaluate",
    ),
    "Decide": ("analyze:recommend", "analyze:analyze"),
    "Make": ("cut:cut", "prune:prune", "methods:compare_methods"),
    "Inspect": ("inspect:inspect", "inspect:tasks", "study:status", "study:answers", "table:table"),
    "Older pipelines": ("importance:compare", "importance:merge", "importance:select"),
}
"""Module and name of each, by heading; it is imported when it is run: `cut` copies gigabytes in
less memory than numpy takes."""

SUBCOMMANDS = {
    "study": ("study:check", "study:repair"),
    "structure": ("structure:analyze", "structure:batch", "structure:summarize"),
    "scores": ("importance:from_removals",),
}
"""Module and name of each, by the command that they belong to."""

_GROUPS = {title: Group.create_ordered(title, sort_key=0) for title in COMMANDS}
_ALWAYS = Group.create_ordered("For every command", sort_key=9)
app.register_install_completion_command(
    help="Install completion of commands and options for this shell.", group=_ALWAYS
)
app["--help"].group = app["--version"].group = _ALWAYS


_LAZY: list[tuple[App, str, dict[str, Any]]] = []
"""Every command with the program or command that it belongs to, and how it is listed."""


def _add(parent: App, command: str, **listed: Any) -> None:
    _LAZY.append((parent, command, listed))
    parent.command(f"depthprune.cli.{command}", **listed)


for _title, _commands in COMMANDS.items():
    for _place, _command in enumerate(_commands):
        _add(app, _command, group=_GROUPS[_title], sort_key=_place)

study = App(
    name="study",
    help="Check a study for damage, and repair it.",
    group=_GROUPS["Inspect"],
)
structure = App(
    name="structure",
    help="""Inspect checkpoints without loading them: what is in each layer, and what was pruned.

Only the headers of the weight files are read; no code of a pickled model is executed.

For example:

    depthprune structure analyze MODEL                        parameters by layer
    depthprune structure analyze MODEL --compare_with BASE    what was pruned
    depthprune structure batch --models_dir D --base_model BASE --output_dir O
    depthprune structure summarize --dirs baselines results --output summary
""",
    help_format="markdown",
    group=_GROUPS["Inspect"],
)
scores = App(
    name="scores",
    help="Create importance score files without measuring.",
    group=_GROUPS["Older pipelines"],
)
for _parent in (study, structure, scores):
    app.command(_parent)
    for _command in SUBCOMMANDS[_parent.name[0]]:
        _add(_parent, _command, alias="summarise" if _command.endswith(":summarize") else None)


@app.meta.default
def start(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[bool, Parameter(group=_ALWAYS)] = False,
    verbose: Annotated[bool, Parameter(group=_ALWAYS)] = False,
    debug: Annotated[bool, Parameter(group=_ALWAYS)] = False,
) -> int:
    """Run one command; user errors end with exit code 2.

    Parameters
    ----------
    quiet
        Show no progress on stderr, only warnings and errors.
    verbose
        Show informational messages on stderr.
    debug
        Show the Python traceback of an error.
    """
    configure_logging(verbose=verbose or debug)
    tokens = tuple(_with_value(*pair) for pair in zip_longest(tokens, tokens[1:], fillvalue=""))
    with spelled(flag), shown(not quiet):
        return _run(tokens, debug=debug)


def _with_value(token: str, following: str) -> str:
    """Return `--verify`, whose number may be left out, such that it takes no folder for one."""
    alone = token == "--verify" and not following.lstrip("+-").isdigit()
    return "--verify=true" if alone else token


def _run(tokens: Sequence[str], *, debug: bool) -> int:
    try:
        # What a command sets, its language, ends with it.
        copy_context().run(app, tokens, exit_on_error=False, print_error=True)
    except CycloptsError:
        return USER_ERROR
    except DepthpruneError as error:
        if debug:
            raise
        _print_error(error)
        return USER_ERROR
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if debug or missing is None:
            raise
        _print_error(missing)
        return USER_ERROR
    except KeyboardInterrupt:
        print(
            "\ninterrupted; what was measured is kept: run the same command again to go on",
            file=sys.stderr,
        )
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output (`| head`) has seen enough.
        sys.stderr.close()
        return 0
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is no reason to stop.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Threads that spin while they wait made small models 2 to 6 times slower on shared cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What a cluster sends before it kills: stop as after Ctrl-C, with files written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = sys.argv[1:] if arguments is None else arguments
    named = next((one for one in given if not one.startswith("-")), None)
    if not given:
        print("New here? depthprune init, then depthprune run study.yaml\n")
    if named is None:
        _describe_commands(app)
    elif named in SUBCOMMANDS:
        _describe_commands(app[named])
    try:
        sys.exit(app.meta(arguments, exit_on_error=False))
    except CycloptsError:
        sys.exit(USER_ERROR)


def _describe_commands(parent: App) -> None:
    """Give the commands of the program, or of a command, their help, whose first line is listed.

    It is read from the sources: to import all commands would take a second.
    """
    for owner, command, listed in _LAZY:
        if owner is not parent:
            continue
        module, name = command.split(":")
        text = _docstring(Path(__file__).with_name(f"{module}.py"), name)
        for known in (name.replace("_", "-"), listed.get("alias")):
            if known is not None:
                del parent[known]
        parent.command(f"depthprune.cli.{command}", help=text, **listed)
        if text is None:
            parent[name.replace("_", "-")]  # imports it


def _docstring(source: Path, function: str) -> str | None:
    """Return the docstring of a function in a file; None where there is none of either."""
    if not source.is_file():
        return None
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return ast.get_docstring(node)
    return None


def _print_error(error: DepthpruneError) -> None:
    console = terminal(stderr=True, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
