"""Names of modules and patterns of them, as quantisation settings list them, without some blocks.

A name is renumbered. A pattern is tried on the names of all modules: what replaces it must match
the same modules at their new places, in every way in which programs read such a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from typing import Any

from depthprune.base.errors import ModelError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.layer_rules import Section
from depthprune.cutting.keys import Numbering

_GLOBS = ("modelopt", "quark")
"""Methods of quantisation whose names are patterns of file names: `*` stands for any text."""

_PLAIN = re.compile(r"[\w.\-/]*")
_MARK = re.compile(r"re:|[+-]:")

# A number in a pattern: digits, [0-3], \d, (1|3) and what repeats them.
_PIECE = r"(?:\((?:\?:)?[\d|]+\)|\[[\d\-]+\]|\\d|\d)(?:[*+?]|\{\d+(?:,\d*)?\})?"
_NUMBER = re.compile(rf"(?<!\w)(?:{_PIECE})+")

_DIGITS = re.compile(r"(?<!\w)\d+")

_MOST_NAMES = 5000
"""Names that one pattern is replaced by at most."""

Matcher = Callable[[str], bool]


@dataclass(frozen=True)
class BlockNames:
    """How to rename what names modules of blocks: lists of layers that are not quantised.

    Attributes:
        lists: paths of the lists of blocks, as the model and as the checkpoint call them, the
            longest first.
        modules: the paths of all modules outside, which tell other stacks apart.
        num_blocks: of the whole model.
        removal: the blocks that go.
        inner: of each block, the paths of the modules in it.
        method: of quantisation, which decides how patterns are read.
    """

    lists: tuple[str, ...]
    modules: frozenset[str]
    num_blocks: int
    removal: Removal
    inner: tuple[frozenset[str], ...] = ()
    method: str = ""

    def rename(self, text: str, where: str) -> tuple[str, ...]:
        """Return what stands for a name or pattern in the smaller model; nothing when it goes.

        Raises:
            ModelError: it may mean blocks, and nothing is found that means the same ones.
        """
        renamed = self._name(text) if _PLAIN.fullmatch(text) else None
        return self._pattern(text, where) if renamed is None else renamed

    def _name(self, text: str) -> tuple[str, ...] | None:
        """Return the new name of a module; None when it is not clear which module it is."""
        if not re.search(r"\d", text):
            return (text,)
        for path in self.lists:
            if text.startswith(f"{path}.") and (
                found := re.match(r"\d+(?=\.|$)", text[len(path) + 1 :])
            ):
                return self._moved(text, len(path) + 1, found[0])
        if self._is_elsewhere(text):
            return (text,)
        # As other programs call the list, or a part of its path.
        for name in {path.rpartition(".")[2] for path in self.lists}:
            found = re.search(rf"(?:^|\.){re.escape(name)}\.(\d+)(?=\.|$)", text)
            alone = not any(
                re.search(rf"(?:^|\.){re.escape(name)}\.\d", one) for one in self.modules
            )
            if found and alone:
                return self._moved(text, found.start(1), found[1])
        return None

    def _moved(self, text: str, start: int, number: str) -> tuple[str, ...]:
        kept = active_blocks(self.removal, self.num_blocks)
        if int(number) not in kept:
            return ()
        return (f"{text[:start]}{kept.index(int(number))}{text[start + len(number) :]}",)

    def _is_elsewhere(self, name: str) -> bool:
        """Return whether a name is that of a module or tensor outside the lists."""
        return any(
            module == name or module.startswith(f"{name}.") or name.startswith(f"{module}.")
            for module in self.modules
            if module
        )

    @cached_property
    def _places(self) -> dict[str, str | None]:
        """The name of every module in the smaller model by that in the whole; None when it goes."""
        kept = active_blocks(self.removal, self.num_blocks)
        places: dict[str, str | None] = {name: name for name in self.modules}
        for path in self.lists:
            for block, inner in enumerate(self.inner):
                new = kept.index(block) if block in kept else None
                for name in ("", *inner):
                    end = f".{name}" if name else ""
                    places[f"{path}.{block}{end}"] = None if new is None else f"{path}.{new}{end}"
        return places

    def _pattern(self, text: str, where: str) -> tuple[str, ...]:
        mark = _MARK.match(text)
        start = mark[0] if mark else ""
        bare = re.sub(r"^\^?(\.\*\.?)?", "", text[len(start) :].replace("\\", ""))
        ways = _ways(text, self.method)
        before = [{name for name in self._places if way(name)} for way in ways]
        wanted = [{new for name in found if (new := self._places[name])} for found in before]
        if any(before) and not any(wanted):
            return ()
        if any(before) or not re.search(r"\d", text):
            names = [new for new in self._places.values() if new]
            for candidate in self._candidates(text, start, before, wanted):
                found = [set[str]() for _ in ways]
                for one in candidate:
                    for way, hits in zip(_ways(one, self.method), found, strict=False):
                        hits |= {name for name in names if way(name)}
                if found == wanted:
                    return candidate
        elif self._is_elsewhere(bare.removesuffix("$")) or not self._may_count(bare):
            return (text,)
        raise ModelError(
            f"{text!r} may mean blocks of the stack that is cut, and cannot be renumbered",
            where=where,
            mend="write it as the names of modules, such as model.layers.3.mlp",
        )

    def _may_count(self, text: str) -> bool:
        """Return whether a text that is no module's may mean blocks all the same."""
        names = "|".join({re.escape(path.rpartition(".")[2]) for path in self.lists})
        wild = re.search(r"[*?|\[]", text) and re.search(r"(^|[.*])\d+($|[.*$])", text)
        return bool(wild or "(" in text or re.search(rf"(^|[.*])({names})[.\[(]", text))

    def _candidates(
        self, text: str, start: str, before: Sequence[set[str]], wanted: Sequence[set[str]]
    ) -> Iterator[tuple[str, ...]]:
        """Yield what may replace a pattern, the most readable first."""
        yield (text,)
        blocks = sorted(
            {
                int(number[0])
                for name in set().union(*wanted)
                for path in self.lists
                if name.startswith(f"{path}.")
                and (number := re.match(r"\d+", name[len(path) + 1 :]))
            }
        )
        numbers = [*_NUMBER.finditer(text, len(start)), *_DIGITS.finditer(text, len(start))]
        for found in numbers if blocks else ():
            head, tail = text[: found.start()], text[found.end() :]
            if len(blocks) == 1:
                yield (f"{head}{blocks[0]}{tail}",)
            yield (f"{head}(?:{'|'.join(map(str, blocks))})(?!\\d){tail}",)
        for names, end in ((sorted(wanted[0]), "$"), (sorted(wanted[-1]), "")):
            if 0 < len(names) <= _MOST_NAMES:
                listed = f"{start}(?:{'|'.join(map(re.escape, names))}){end}"
                yield (listed,) if start else tuple(names)


def _ways(text: str, method: str) -> tuple[Matcher, ...]:
    """Return the ways in which programs look for a module by a name or pattern.

    Raises nothing: a way in which a pattern is none finds nothing.
    """
    mark = _MARK.match(text)
    body = text[mark.end() :] if mark else text
    if mark:
        # compressed-tensors and GPTQModel match the start, torchao the whole.
        return (_regex(body), _regex(f"(?:{body})$"))
    if method in _GLOBS:
        return (_regex(translate(text)),)
    # As transformers reads such lists, see `should_convert_module`; other programs: as file names.
    matches = _regex(rf"(?:{body})(?:(?<=\.)|(?=\.|$))")
    listed: Matcher = lambda name: matches(name) or name.endswith(text)  # noqa: E731
    return (listed,) if _PLAIN.fullmatch(text) else (listed, _regex(translate(text)))


def _regex(pattern: str) -> Matcher:
    try:
        match = re.compile(pattern).match
    except (re.error, RecursionError, OverflowError):
        return lambda _name: False
    return lambda name: match(name) is not None


def names_of_blocks(
    keys: Iterable[str],
    numberings: Sequence[Numbering],
    containers: Iterable[str],
    num_blocks: int,
    removal: Removal,
) -> BlockNames:
    """Return how the modules of a checkpoint with these keys are renamed."""
    lists = block_lists(numberings, containers)
    inner: list[set[str]] = [set() for _ in range(num_blocks)]
    outside: set[str] = set()
    for key in keys:
        module = key.rpartition(".")[0]
        path = next((path for path in lists if module.startswith(f"{path}.")), None)
        if path is None:
            outside |= _with_parents(module)
            continue
        number, _, rest = module[len(path) + 1 :].partition(".")
        if number.isdecimal() and int(number) < num_blocks:
            inner[int(number)] |= _with_parents(rest)
    return BlockNames(lists, frozenset(outside), num_blocks, removal, tuple(map(frozenset, inner)))


def _with_parents(path: str) -> set[str]:
    names = path.split(".") if path else []
    return {".".join(names[:end]) for end in range(1, len(names) + 1)}


def block_lists(numberings: Sequence[Numbering], containers: Iterable[str]) -> tuple[str, ...]:
    """Return all paths by which the lists of blocks may be named, the longest first.

    The keys of the checkpoint, the modules of the model, and either without the `model.` before.
    """
    paths = [numbering.prefix.rstrip(".") for numbering in numberings]
    paths += list(containers)
    shorter = [path.removeprefix("model.") for path in paths]
    return tuple(sorted({*paths, *shorter}, key=lambda path: (-len(path), path)))


def method_of(section: Mapping[str, object]) -> str:
    """Return the method of quantisation that a section of a configuration names."""
    method = section.get("quant_method")
    return method if isinstance(method, str) else ""


QUANTIZATION_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json",
                      "quantization_config.json")  # fmt: skip
"""Files beside config.json that say how a checkpoint was quantised."""

_QUANTIZATION_SECTIONS = ("quantization_config", "compression_config", "quantization")
# The last is that of MLX.


def rename_in_quantization(config: Section, names: BlockNames) -> Section:
    """Return `config` with the blocks renamed in its quantisation sections; others are the same.

    Raises:
        ModelError: a list in it may name blocks in a way that is not understood.
    """
    return {
        name: rename_blocks(value, replace(names, method=method_of(value)), name)
        if _is_quantization(name, value)
        else (rename_in_quantization(value, names) if isinstance(value, dict) else value)
        for name, value in config.items()
    }


def rename_blocks(value: Any, names: BlockNames, where: str) -> Any:
    """Return a JSON value in which all names of modules are those of the smaller model.

    List entries and keys of objects that name removed blocks go.

    Raises:
        ModelError: a text may name blocks in a way that is not understood, or a list has one entry
            per block.
    """
    if isinstance(value, dict):
        if value and all(re.fullmatch(r"\d+", str(key)) for key in value):
            raise _unknown_numbers(where)
        return {
            new: rename_blocks(entry, names, f"{where}.{key}")
            for key, entry in value.items()
            for new in names.rename(key, where)
        }
    if isinstance(value, list):
        if len(value) == names.num_blocks and not all(isinstance(entry, str) for entry in value):
            raise ModelError(
                f"{where} has an entry for every block, and it is not known what they mean",
                where="config.json",
                mend="cut the model before it is quantised",
            )
        if re.search(r"layers|blocks", where.rpartition(".")[2]) and int in map(type, value):
            raise _unknown_numbers(where)
        renamed: list[Any] = []
        for entry in value:
            if isinstance(entry, str):
                renamed += names.rename(entry, where)
            else:
                renamed.append(rename_blocks(entry, names, where))
        return renamed
    return _rename_text(value, names, where) if isinstance(value, str) else value


def _rename_text(text: str, names: BlockNames, where: str) -> str:
    """Return a text, which may be a name, a pattern or names between commas, with new names."""
    lists = "|".join(re.escape(path.rpartition(".")[2]) for path in names.lists)
    if not lists or not re.search(rf"(^|[.*])({lists})\\?\.\W*\d", text):
        return text
    parts = [text] if text.startswith("re:") else re.split(r"\s*,\s*", text)
    renamed = [new for part in parts for new in names.rename(part, where)]
    if not renamed or (len(parts) == 1 < len(renamed)):
        raise ModelError(
            f"{where} names modules of blocks that go, {text!r}, and cannot say none or several",
            where="config.json",
            mend="write it as a list, or cut the model before it is quantised",
        )
    return (", " if ", " in text else ",").join(renamed)


def _unknown_numbers(where: str) -> ModelError:
    return ModelError(
        f"{where} has numbers that may mean blocks, and it is not known how they follow them",
        where="config.json",
        mend="cut the model before it is quantised",
    )


def is_quantized(config: Section) -> bool:
    """Return whether a configuration, or one inside it, says that the weights are quantised."""
    return any(
        (_is_quantization(name, value) and bool(value))
        or (isinstance(value, dict) and is_quantized(value))
        for name, value in config.items()
    )


def _is_quantization(name: str, value: Any) -> bool:
    return name in _QUANTIZATION_SECTIONS and isinstance(value, dict)
