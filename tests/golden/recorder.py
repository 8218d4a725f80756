"""Run the commands of a group and say in one text for each what it printed and wrote."""

from __future__ import annotations

import contextlib
import difflib
import gzip
import hashlib
import importlib
import os
import shlex
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.golden.commands import GROUPS, Command, help_commands
from tests.golden.masks import masked

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files"
TEXTS = {".txt", ".json", ".csv", ".md", ".html", ".tex", ".yaml", ".jinja"}
COMPRESSED_FROM = 16_000
"""Characters; a larger golden file is compressed."""
SHORT = 200
"""Characters; a shorter text is repeated where it comes again."""

ENVIRONMENT = {
    "COLUMNS": "80",
    "LINES": "24",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "MPLBACKEND": "Agg",
}
KEPT = ("HOME", "PATH", "TMPDIR", "VIRTUAL_ENV")
"""Of the caller's environment; everything else is left out."""

# Every command runs in a fork of this process: what takes long to import is imported once. What
# belongs to depthprune is imported by each command anew.
IMPORTED = "numpy scipy.stats pydantic.type_adapter cyclopts rich.console openpyxl jinja2 yaml"
IMPORTED_TO_MEASURE = (
    "torch._dynamo accelerate transformers.models.llava.modeling_llava "
    "transformers.models.llava.processing_llava transformers.models.llama.modeling_llama "
    "transformers.models.siglip.modeling_siglip safetensors.torch PIL.Image matplotlib.pyplot "
    "matplotlib.backends.backend_agg"
)


def environment() -> dict[str, str]:
    """Return the environment in which commands are recorded."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | ENVIRONMENT


def record(group: str) -> Iterator[tuple[str, str]]:
    """Run the commands of a group in a new folder.

    Yields:
        name and text of each golden file, without ending.
    """
    commands = help_commands() if group == "help" else GROUPS[group]
    measures = group not in ("help", "results")
    for module in f"{IMPORTED} {IMPORTED_TO_MEASURE if measures else ''}".split():
        importlib.import_module(module)
    folder = Path(tempfile.mkdtemp(prefix="golden-")).resolve()
    try:
        work = folder / "work"
        _prepare(work)
        before = _digests(work)
        written: dict[str, str] = {}
        last: dict[str, str] = {}
        for command in commands:
            code, out, err = _run(command, work, folder)
            after = _digests(work)
            texts = {"stdout": out, "stderr": err}
            for path in sorted(after):
                if after[path] != before.get(path):
                    texts[f"file {path}"] = _shown(work / path, after[path])
            gone = [f"# gone: {path}\n" for path in sorted(before.keys() - after.keys())]
            parts = [f"$ depthprune {command.line}\n# exit code {code}\n", *gone]
            for name, raw in texts.items():
                text = masked(f"{group}/{command.name}: {name}", raw, work)
                if last.get(name) == text and name.startswith("file "):
                    continue  # written again, with another date or within the same second
                last[name] = text
                place = f"{command.name}: {name}"
                first = written.setdefault(text, place)
                if first != place and len(text) > SHORT:
                    text = f"# the same as {first}\n"
                elif text and not text.endswith("\n"):
                    text += "\n# no line break at the end\n"
                parts.append(f"\n# {name}\n{text}" if text else f"\n# {name}: empty\n")
            yield f"{group}/{command.name}", "".join(parts)
            before = after
    finally:
        shutil.rmtree(folder)


def read_files(group: str) -> dict[str, str]:
    """Return the golden files of a group by name, without ending."""
    found = {}
    for path in sorted((FILES / group).glob("*")):
        data = path.read_bytes()
        name, *ending = path.name.split(".txt")
        found[f"{group}/{name}"] = (gzip.decompress(data) if ending == [".gz"] else data).decode()
    return found


def write_files(group: str, texts: Iterable[tuple[str, str]]) -> None:
    """Write the golden files of a group in place of those that are there."""
    made = dict(texts)
    shutil.rmtree(FILES / group, ignore_errors=True)
    (FILES / group).mkdir(parents=True)
    for name, text in made.items():
        path = FILES / f"{name}.txt"
        if len(text) < COMPRESSED_FROM:
            path.write_bytes(text.encode())
        else:
            Path(f"{path}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def difference(name: str, golden: str | None, now: str | None, lines: int = 60) -> str:
    """Return what differs, as the first lines of a unified diff; "" for equal texts.

    Args:
        name: of the golden file.
        golden: its text; None when there is none.
        now: what was recorded; None when the command is gone.
        lines: at most.
    """
    if golden == now:
        return ""
    if golden is None or now is None:
        return f"{name}: {'no golden file' if golden is None else 'no such command any more'}\n"
    found = list(
        difflib.unified_diff(
            golden.splitlines(), now.splitlines(), f"golden/{name}", f"now/{name}", "", "", 2, ""
        )
    )
    more = f"... {len(found) - lines} more lines\n" if len(found) > lines else ""
    return "\n".join(line[:300] for line in found[:lines]) + "\n" + more


def _prepare(work: Path) -> None:
    tests = ROOT / "tests"
    shutil.copytree(tests / "analysis/data/published", work / "published")
    shutil.copytree(tests / "users", work / "users")
    shutil.copytree(tests / "structure/pruned_models", work / "models")
    shutil.copytree(tests / "structure/evaluations", work / "models", dirs_exist_ok=True)
    (work / "empty").mkdir()
    (work / "wrong.json").write_text('{"importance_scores": {"0": "much"}}')
    (work / "wrong.yaml").write_text("model:\n  source: demo\nsearch:\n  beam_widht: 3\n")
    (work / "value.yaml").write_text("model:\n  source: demo\nsearch:\n  beam_width: wide\n")
    (work / "quick.yaml").write_text(
        "model:\n  source: demo\ntasks: [demo_okvqa, demo_doc_qa]\nnum_samples: 4\n"
        "output: my-study\nprofile:\nmerge:\nsearch:\n  max_blocks_to_remove: 2\n"
        "analyze:\n  skip: [figures, html]\nsweep:\n  latency_samples: 4\n"
    )
    (work / "text.txt").write_text("How many blocks can a model lose? Some, and not any. " * 20)


def _run(command: Command, work: Path, folder: Path) -> tuple[int, str, str]:
    """Run a command in a process of its own; returns exit code, stdout and stderr."""
    out, err = folder / "stdout", folder / "stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _become(shlex.split(command.line), work, out, err)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")


def _become(arguments: list[str], work: Path, out: Path, err: Path) -> None:
    """Be the program `depthprune`, to the end of this process."""
    code = 1
    try:
        os.chdir(work)
        for number, name in ((0, os.devnull), (1, out), (2, err)):
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, number)
        # Whoever captures what this process prints must not have it.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        for name in [one for one in sys.modules if one.split(".")[0] == "depthprune"]:
            del sys.modules[name]
        # How long it takes is not what is recorded.
        sys.argv = ["depthprune", *arguments, "--quiet"]
        ticks = iter(range(sys.maxsize))
        # A clock that ticks when it is looked at, by what floats hold exactly: times are equal.
        time.perf_counter = lambda: next(ticks) / 1024
        from depthprune.cli.app import main

        main()
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _digests(work: Path) -> dict[str, str]:
    """Return the digests of all files below a folder, by path; of databases, that they exist."""
    found = {}
    for path in work.rglob("*"):
        if path.is_file():
            # Of a picture, a database or a lock it only counts that it is there.
            data = path.read_bytes() if path.suffix not in UNCOMPARED else b""
            found[path.relative_to(work).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


UNCOMPARED = {".db", ".db-wal", ".db-shm", ".lock", ".png", ".svg", ".pdf"}


def _shown(path: Path, digest: str) -> str:
    """Return a file as text: of a workbook its cells, of other binary files the digest."""
    if path.suffix in TEXTS:
        return path.read_bytes().decode()  # line breaks stay as they are
    if path.suffix == ".xlsx":
        return "".join(_cells(path))
    return "# not recorded\n" if path.suffix in UNCOMPARED else f"# sha256 {digest}\n"


def _cells(path: Path) -> Iterator[str]:
    from openpyxl import load_workbook

    for sheet in load_workbook(path):
        yield f"sheet {sheet.title!r}, frozen at {sheet.freeze_panes}\n"
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is not None:
                    bold = ", bold" if cell.font.bold else ""
                    yield f"{cell.coordinate} {cell.value!r} {cell.number_format}{bold}\n"
