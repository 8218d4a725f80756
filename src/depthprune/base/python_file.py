"""Python files that a user names: they are executed, and what they define is used."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from depthprune.base.errors import DepthpruneError


def is_own(name: str) -> bool:
    """Return whether a name is `file.py:Name`: an object in a user's own file."""
    return ".py:" in name


def own_object(name: str, error: type[DepthpruneError] = DepthpruneError) -> Any:
    """Execute the file of `file.py:Name`, and return what it calls so.

    Raises:
        DepthpruneError: the file fails, or has no such object.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file).expanduser()
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    try:
        module = _execute_once(path.resolve(), changed)
    except DepthpruneError as failure:
        raise error(failure.what, where=failure.where) from failure
    if not attribute or not hasattr(module, attribute):
        raise error(
            f"the file has no object {attribute!r}"
            if attribute
            else "the object in the file is not named",
            where=str(path),
            mend=f"write {path.name}:NAME",
        )
    return getattr(module, attribute)


@cache
def _execute_once(path: Path, changed: int) -> ModuleType:
    """Execute a file, once for each state of it: several lookups find the same objects."""
    return execute(path)


def execute(path: Path, error: type[DepthpruneError] = DepthpruneError) -> ModuleType:
    """Execute a Python file.

    Raises:
        DepthpruneError: there is no such file, it fails, or it leaves the program.
    """
    # Files of one name in two folders are two modules.
    number = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"depthprune_user_{path.stem}_{number}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise error("there is no such Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by name.
    sys.modules[spec.name] = module
    try:
        # Results may go to standard output, and must not be mixed with what the file prints.
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        raise error(
            f"the file failed when it was executed: {type(failure).__name__}: {failure}",
            where=str(path),
        ) from failure
    return module
