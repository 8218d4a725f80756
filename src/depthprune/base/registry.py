"""What users name: ours by a short name, their own as `file.py:Name`, which is executed."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

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


Member = TypeVar("Member")
Added = TypeVar("Added")


class Registry(Mapping[str, Member], Generic[Member]):
    """All of one kind by name: a module of the package adds itself by `@REGISTRY.add(name)`.

    To add one, write a file in the package. To use one of your own without that, name it as
    `file.py:Name`: the file is executed.
    """

    def __init__(
        self,
        kind: str,
        package: str,
        *,
        first: tuple[str, ...] = (),
        accepts: Callable[[Any], bool] = lambda found: True,
        error: type[DepthpruneError] = DepthpruneError,
    ) -> None:
        """Begin with nothing: modules are imported at the first look.

        Args:
            kind: what a user calls one of them, for messages.
            package: whose modules add to it.
            first: names that are listed first, in this order; others follow by name.
            accepts: whether an object of a user's file is of this kind.
            error: raised where a name is not known.
        """
        self.kind = kind
        self._package = package
        self._first = first
        self._accepts = accepts
        self._error = error
        self._members: dict[str, Member] = {}
        self._complete = False

    def add(self, name: str, about: Callable[[Any], Any] = lambda found: found) -> Any:
        """Return a decorator that adds what it decorates; `about` makes the member of it."""

        def added(found: Added) -> Added:
            self._members[name] = about(found)
            return found

        return added

    def find(self, name: str, option: str | None = None) -> Member:
        """Return a member by name; hyphens and underscores are the same.

        Args:
            name: of a member, or `file.py:Name` of a user's own.
            option: that named it, for messages.

        Raises:
            DepthpruneError: there is none; names those that there are.
        """
        if is_own(name):
            found = own_object(name, self._error)
            if not self._accepts(found):
                raise self._error(f"{name} is not a {self.kind}", option=option)
            return cast(Member, found)
        known = self._all()
        wanted = name.strip().replace("-", "_")
        if wanted not in known:
            close = difflib.get_close_matches(wanted, known, n=2)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise self._error(
                f"there is no {self.kind} {name!r}",
                option=option,
                mend=f"{hint}choose one of {', '.join(known)}, or file.py:Name of your own",
            )
        return known[wanted]

    def forget(self, *names: str) -> None:
        """Let members go that a user's file added."""
        for name in names:
            self._members.pop(name, None)

    def __getitem__(self, name: str) -> Member:
        if name not in self._members:
            self._all()
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> Mapping[str, Member]:
        if not self._complete:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
            self._complete = True
        names = [*self._first, *sorted(self._members.keys() - set(self._first))]
        return {name: self._members[name] for name in names}
