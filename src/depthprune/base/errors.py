"""Errors that a user can cause: what is wrong, where, how to mend it; names of options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

from depthprune.base.terminal import printable, printable_lines

Spelling = Callable[[str, str | None], str]
"""What names an option, with a value where one is proposed."""


def _as_field(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


_SPELLING: ContextVar[Spelling] = ContextVar("spelling", default=_as_field)


def option(name: str, value: object = None) -> str:
    """Return the name of an option for a message, as its reader gives it.

    Args:
        name: of the field: `max_drop`.
        value: one that is proposed; a caller in Python reads `dtype=float32`, a user of the command
            line `--dtype float32`.
    """
    return _SPELLING.get()(name, None if value is None else str(value))


def spelling() -> Spelling:
    """Return what names options at the moment."""
    return _SPELLING.get()


@contextmanager
def spelled(by: Spelling) -> Iterator[None]:
    """Name options by `by` for as long as the context lasts."""
    token = _SPELLING.set(by)
    try:
        yield
    finally:
        _SPELLING.reset(token)


class DepthpruneError(Exception):
    """A mistake a user can mend; the command line prints it without traceback and exits with 2.

    Args:
        what: one sentence that says what is wrong.
        where: the file, line or block concerned.
        mend: what the user can do about it.
        option: the field of the option concerned, or several; it is the place where none is given,
            not even an empty one.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        mend: str | None = None,
        option: str | tuple[str, ...] | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        self.option = option
        super().__init__(what)

    def __str__(self) -> str:
        lines = [printable_lines(self.what)]
        if place := self._options() if self.where is None else self.where:
            lines.append(f"  where: {printable(place)}")
        if self.mend:
            lines.append(f"  mend:  {printable_lines(self.mend)}")
        return "\n".join(lines)

    def _options(self) -> str:
        names = (self.option,) if isinstance(self.option, str) else self.option or ()
        return ", ".join(map(option, names))

    def but(
        self, *, what: str | None = None, where: str | None = None, mend: str | None = None
    ) -> Self:
        """Return the same error with another text, place or remedy."""
        return type(self)(
            what or self.what,
            where=where or self.where,
            mend=mend or self.mend,
            option=self.option,
        )


class RemovalError(DepthpruneError):
    """A removal that is malformed or names blocks that the model does not have."""


class InadmissibleRemovalError(DepthpruneError):
    """A removal that this architecture cannot express or survive, with the reason."""


class StackError(DepthpruneError):
    """No block stack was found in a model, or more than one could be meant."""


class ModelError(DepthpruneError):
    """A model that cannot be found, read or built."""


class MissingModelError(ModelError):
    """There is no such model on this machine."""


class TaskError(DepthpruneError):
    """A task, dataset or sample that cannot be used as it is."""


class MissingSplitError(TaskError):
    """A dataset that lacks the split asked for; other datasets may have it."""


class NoSampleLeftError(TaskError):
    """Every sample of a split was seen already; another split may have some left."""


class MetricError(DepthpruneError):
    """An unknown metric, or one that does not fit the task."""


class StudyError(DepthpruneError):
    """A study folder that cannot be opened, is in use, or belongs to something else."""


class DamagedError(StudyError):
    """Something in a study's file is not what was stored; names what it was about."""


class StudyFileError(DepthpruneError):
    """A study file that cannot be read, or that says what makes no sense."""


class LayoutError(DepthpruneError):
    """A result file that is not in a documented layout."""


class AnalysisError(DepthpruneError):
    """A question that what was measured cannot answer, or that makes no sense."""


class WeakBaselineError(DepthpruneError):
    """The whole model's answers are no basis for drops; names the tasks and shows samples."""


class FileError(DepthpruneError):
    """A file or folder that cannot be read or written."""


class MissingDependencyError(DepthpruneError):
    """An optional package is needed for what was asked."""


EXTRAS = {
    "PIL": "run",
    "accelerate": "run",
    "datasets": "run",
    "jinja2": "report",
    "lm_eval": "lm-eval",
    "matplotlib": "report",
    "nltk": "caption",
    "openpyxl": "report",
    "pyarrow": "run",
    "pycocoevalcap": "caption",
    "ray": "distributed",
    "safetensors": "run",
    "torch": "run",
    "transformers": "run",
}
"""Packages that the base install leaves out, and the extra that brings each."""


def missing_package(error: ModuleNotFoundError) -> MissingDependencyError | None:
    """Return how to install the package that an import missed; None where no extra brings it."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    return MissingDependencyError(
        f"this needs the package {package}, which is not installed",
        mend=f"pip install 'depthprune[{EXTRAS[package]}]'",
    )


class Problems:
    """Errors that are told together, so that they can be mended together."""

    def __init__(self) -> None:
        self.found: list[DepthpruneError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note a user's mistake, or a package that is missing, in place of raising it."""
        try:
            yield
        except DepthpruneError as error:
            self.found.append(error)
        except ModuleNotFoundError as error:
            missing = missing_package(error)
            if missing is None:
                raise
            self.found.append(missing)

    def check(self) -> None:
        """Raise what was noted: one error as it is, several in a list, equal ones once.

        Raises:
            DepthpruneError: something was noted.
        """
        different = list({str(error): error for error in self.found}.values())
        if len(different) == 1:
            raise different[0]
        if different:
            raise DepthpruneError(_listed(different))


def _listed(errors: Sequence[DepthpruneError]) -> str:
    lines = [f"{len(errors)} things are missing or wrong:"]
    for number, error in enumerate(errors, start=1):
        first, *others = str(error).splitlines()
        lines += [f"{number}. {first}", *(f"   {line}" for line in others)]
    return "\n".join(lines)
