"""The program `depthprune`: its commands, and what happens when something goes wrong."""

from __future__ import annotations

import ast
import os
import signal
import sys
from collections.abc import Sequence
from contextvars import copy_context
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.markup import escape

from depthprune import __version__
from depthprune.base.errors import DepthpruneError, missing_package, spelled
from depthprune.base.log import configure_logging
from depthprune.base.progress import shown
from depthprune.base.terminal import terminal
from depthprune.cli.flags import flag

USER_ERROR = 2
INTERRUPTED = 130

app = App(
    name="depthprune",
    help="""Find out which transformer blocks a language or vision-language model can lose,
and what each loss costs on every dataset.

For example:

    depthprune demo                            see it work, in minutes
    depthprune inspect MODEL                   its blocks, and which can go
    depthprune profile MODEL --task okvqa      the drop of every single block
    depthprune search MODEL --task okvqa       pairs, triples, quads
    depthprune init                            a study file: all of it at once, by `run`
    depthprune proxies MODEL --task okvqa      guesses at the drops, quickly
    depthprune recommend FOLDER                which blocks to remove, and why
    depthprune analyze FOLDER                  reports, figures, files for what follows
    depthprune answers FOLDER --removal 4,13   what was asked and answered: why a score fell
    depthprune tasks --show okvqa --model MODEL   what the model is sent
    depthprune sweep MODEL --task okvqa --num_active_blocks 12 14 16   what they cost and gain
    depthprune cut MODEL --remove 4,13 --output DIR      the smaller checkpoint
    depthprune evaluate MODEL                  perplexity, zero-shot accuracy, speed, memory
    depthprune structure analyze MODEL         parameters of every layer, and what pruning took
    depthprune status FOLDER                   is it still working, and how far is it?
    depthprune table --result_dir DIR          every pruned model in one table
    depthprune compare --study FOLDER          do train and validation agree?
    depthprune merge --study FOLDER --output_file merged.json
    depthprune select --importance_scores_file merged.json --num_active_blocks 12 14

Every option may be written with dashes or with underscores. A command that was stopped goes on
where it was when it is run again.
""",
    help_format="markdown",
    version=__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(consume_multiple=True, negative=()),
    error_console=terminal(stderr=True),
)
COMMANDS = (
    "demo:demo",
    "init:init",
    "inspect:inspect",
    "measure:profile",
    "proxies:proxies",
    "run:run",
    "measure:search",
    "sweep:sweep",
    "analyze:analyze",
    "answers:answers",
    "recommend:recommend",
    "cut:cut",
    "evaluate:evaluate",
    "table:table",
    "structure:structure",
    "status:status",
    "study:study",
    "compare:compare",
    "merge:merge",
    "select:select",
    "scores:scores",
    "tasks:tasks",
)
"""Module and name; each is imported when it is run: `cut` copies gigabytes in less memory than
numpy takes."""
for command in COMMANDS:
    app.command(f"depthprune.cli.{command}")


@app.meta.default
def start(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: bool = False,
    verbose: bool = False,
    debug: bool = False,
) -> int:
    """Run one command; user errors end with exit code 2.

    Parameters
    ----------
    quiet
        Show no progress on stderr, only warnings and errors.
    verbose
        Show what is being done, on stderr.
    debug
        Show the Python traceback of an error.
    """
    configure_logging(verbose=verbose or debug)
    with spelled(flag), shown(not quiet):
        return _run(tokens, debug=debug)


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
    if not given or given[0].startswith("-"):
        _describe_commands()
    elif given[0] in app and (len(given) == 1 or given[1] in app.help_flags):
        app[given[0]].resolved_commands()
    try:
        sys.exit(app.meta(arguments, exit_on_error=False))
    except CycloptsError:
        sys.exit(USER_ERROR)


def _describe_commands() -> None:
    """Give every command its help, of which their list shows the first line.

    It is read from the sources: to import all commands would take a second. Those that are made of
    further commands are imported, which is quick.
    """
    for command in COMMANDS:
        module, name = command.split(":")
        text = _docstring(Path(__file__).with_name(f"{module}.py"), name)
        del app[name]
        app.command(f"depthprune.cli.{command}", help=text)
        if text is None:
            app[name]  # imports it


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
