"""YAML files that people write: what is wrong in them is told with file, line and field."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from depthprune.base.errors import DepthpruneError

Location = Sequence[str | int]
"""The way to a value: keys of mappings, places in lists."""

_Model = TypeVar("_Model", bound=BaseModel)
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


@dataclass(frozen=True)
class YamlFile:
    """A YAML file, and where in it everything stands.

    Attributes:
        path: of the file.
        content: what it says; None when it is empty.
        root: its syntax tree, which knows the lines.
        error: what is raised for a mistake in it.
    """

    path: Path
    content: Any
    root: yaml.Node | None
    error: type[DepthpruneError]

    def place(self, location: Location = ()) -> str:
        """Return file and line of the value at `location`, as far as that exists."""
        line, node = 1, self.root
        for part in location:
            entry = _entry(node, part)
            if entry is None:
                break
            line, node = entry
        return f"{self.path}, line {line}"

    def check_keys(self, depth: int, top_name: Callable[[str], str] = lambda key: key) -> None:
        """Refuse keys that are not texts or stand twice, of which YAML keeps the last in silence.

        Args:
            depth: of the mappings that are looked into.
            top_name: what a key of the outermost mapping means; two with one meaning are one.
        """

        def check(node: yaml.Node | None, depth: int, name_of: Callable[[str], str]) -> None:
            seen: dict[str, int] = {}
            for key, value in node.value if isinstance(node, yaml.MappingNode) and depth else ():
                line = key.start_mark.line + 1
                if key.tag not in _TEXT_TAGS:
                    raise self.error(
                        f"the key {getattr(key, 'value', key.tag)} is not a text",
                        where=f"{self.path}, line {line}",
                        mend="write it in quotes",
                    )
                name = name_of(key.value)
                if name in seen:
                    raise self.error(
                        f"{key.value!r} is defined twice",
                        where=f"{self.path}, lines {seen[name]} and {line}",
                        mend="rename or delete one of them",
                    )
                seen[name] = line
                check(value, depth - 1, lambda key: key)

        check(self.root, depth, top_name)

    def validate(
        self, model: type[_Model], location: Location = (), *, thing: str, note: str = ""
    ) -> _Model:
        """Return the mapping at `location` as a pydantic model.

        Args:
            model: which fields there are, and their types.
            location: of the mapping; the whole file when empty.
            thing: what the mapping describes, for messages: `a task`.
            note: stands behind file and line.

        Raises:
            DepthpruneError: the first mistake, with its line; for a field that does not exist also
                the fields that do.
        """
        content = self.content
        for part in location:
            content = content[part]
        try:
            return model.model_validate(content)
        except ValidationError as error:
            raise self._explain(model, location, error, thing, note) from error

    def _explain(
        self,
        model: type[BaseModel],
        location: Location,
        error: ValidationError,
        thing: str,
        note: str,
    ) -> DepthpruneError:
        first = error.errors()[0]
        inside = first["loc"]
        field = ".".join(map(str, inside))
        where = self.place([*location, *inside]) + note
        if first["type"] == "extra_forbidden":
            known = list(_model_at(model, inside[:-1]).model_fields)
            return self.error(
                f"{thing} has no field {field!r}",
                where=where,
                mend=f"{did_you_mean(str(inside[-1]), known)}fields: {', '.join(known)}",
            )
        reason = first["msg"].removeprefix("Value error, ")
        given = first["input"]
        if field and first["type"] != "missing" and isinstance(given, str | int | float | None):
            reason = f"{reason}, not {given!r}"
        return self.error(f"the field {field!r}: {reason}" if field else reason, where=where)


def read_yaml(path: Path, *, thing: str, error: type[DepthpruneError]) -> YamlFile:
    """Read a YAML file; no code in it runs.

    Args:
        path: of the file.
        thing: what the file is, for messages: `the task file`.
        error: what is raised for a mistake in it.

    Raises:
        DepthpruneError: `error`, when the file cannot be read, or is not YAML; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"cannot read {thing}: {problem}", where=str(path)) from problem
    try:
        return YamlFile(
            path, yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader), error
        )
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", None) or problem
        raise error(f"not a YAML file: {what}", where=f"{path}{line}") from problem
    except Exception as problem:
        # What PyYAML's constructors meet, such as the date 2024-13-45, comes as Python's own error.
        raise error(f"not a YAML file: {problem}", where=str(path)) from problem


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean a or b? ` for names like `name`, nothing when there are none."""
    close = difflib.get_close_matches(name, list(known), n=2)
    return f"did you mean {' or '.join(close)}? " if close else ""


def _entry(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line at which an entry of a mapping or list begins, and its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value.start_mark.line + 1, value
    return None


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the model of a field within fields, `Section` for a field of type `Section | None`."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        model = next(
            kind
            for kind in (annotation, *get_args(annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return model
