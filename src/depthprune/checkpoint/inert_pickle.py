"""Read a pickle without running it: its instructions are followed, and none of them calls anything.

Python's own unpickler calls whatever a file names. Here there is nothing that could be called: what
a pickle wants to be built becomes a `Record` of what it says, and only the functions that the
caller passes by name turn some of these into values. `pickletools` decodes the instructions.

An unpickler of the standard library whose `find_class` returns inert classes would run nothing
either, but has no limits: it hashes the keys of dictionaries itself (59 bytes, a nest of 26 pairs,
take five seconds, each pair more doubles that), and makes room for the memo that a file asks for
(9 bytes take 2 GiB).
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

MAX_INSTRUCTIONS = 5_000_000
"""A state dictionary takes some 40 per tensor; each may cost some 100 bytes of memory."""

MAX_NAME = 1000
"""Characters of the name of a class with that of its module."""

MAX_VALUE = 64 * 1024**2
"""Bytes of one text or number; a tokenizer pickled beside a model has some 10 million."""

MAX_LINE = 1024**2
"""Bytes of a number or text that ends with its line, as old pickles write them."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A class or function that a pickle names, e.g. `torch.nn.modules.linear.Linear`."""

    name: str


@dataclass(eq=False, slots=True)
class Record:
    """An object that was not built: what the pickle says about it.

    Attributes:
        kind: the class or function that would have built it, e.g. `torch.device`.
        arguments: of that call, without those given by keyword.
        state: what it would have been given after that, usually its attributes.
        additions: entries, or pairs of key and value, that would have been put into it.
    """

    kind: str
    arguments: tuple[Any, ...]
    state: Any = None
    additions: list[Any] = field(default_factory=list)


Builder = Callable[..., Any]
"""Makes a value of the arguments of a call; raises ValueError or TypeError when they are wrong."""


class PickleStream:
    """A part of a file that holds pickles, never read beyond its end.

    Args:
        file: is read from where it stands.
        size: bytes that may be read.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int) -> bytes:
        """Return `count` bytes; raises ValueError when the part has fewer."""
        if not 0 <= count <= self._left:
            raise ValueError("it ends early")
        if count > MAX_VALUE:
            raise ValueError("it has a text or number that is longer than any model needs")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        """Return the bytes up to the end of the line, or as many as a line may have."""
        line = self._file.readline(min(self._left, MAX_LINE))
        self._left -= len(line)
        return line

    def tell(self) -> int:
        """Return the position in the file."""
        return self._file.tell()


def read_inert(
    stream: PickleStream,
    builders: Mapping[str, Builder],
    stored: Callable[[Any], Any] | None = None,
) -> Any:
    """Return what one pickle holds, as plain values, `Reference`s and `Record`s.

    Sets become lists. A key of a dictionary that is neither a text nor a number is a `Record`.

    Args:
        stream: is left behind the end of the pickle.
        builders: what becomes of the calls to some names; all others become records.
        stored: returns what a persistent id stands for, a piece of data outside the pickle.

    Raises:
        ValueError: the pickle is damaged, or larger than any that describes a model.
    """
    machine = _Machine(builders, stored)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
            if count >= MAX_INSTRUCTIONS:
                raise ValueError("it has more instructions than any model needs")
            if opcode.name == "STOP":
                return machine.pop()
            machine.follow(opcode.name, argument)
    except (IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"its instructions make no sense: {error}") from error
    raise ValueError("it ends early")


class _Machine:
    """The stack and the memo of a pickle that is being read."""

    def __init__(
        self, builders: Mapping[str, Builder], stored: Callable[[Any], Any] | None
    ) -> None:
        self.builders = {**_BUILDERS, **builders}
        self.stored = stored
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        if name in _PUSHING:
            self.push(argument)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name not in _SILENT:
            if name not in _INSTRUCTIONS:
                raise ValueError(f"it uses {name}, which no checkpoint needs")
            _INSTRUCTIONS[name](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        entries, self.stack = self.stack, self.marked.pop()
        return entries

    def mark(self, _: Any) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else int(index)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[int(index)])

    def drop(self, _: Any) -> None:
        # An unpickler pops the mark where nothing was put since.
        if self.stack:
            self.stack.pop()
        else:
            self.pop_marked()

    def drop_marked(self, _: Any) -> None:
        self.pop_marked()

    def make_tuple(self, length: int | None) -> None:
        if length is None:
            self.push(tuple(self.pop_marked()))
            return
        if len(self.stack) < length:
            raise ValueError("its instructions make no sense: a tuple lacks entries")
        entries = tuple(self.stack[-length:])
        self.stack[-length:] = [entries]

    def add(self, entries: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.additions.extend(entries)
        elif isinstance(target, list):
            target.extend(entries)
        else:
            raise ValueError("its instructions make no sense: entries for what is no list")

    def set_items(self, entries: list[Any]) -> None:
        if len(entries) % 2:
            raise ValueError("its instructions make no sense: a key without a value")
        pairs = zip(entries[::2], entries[1::2], strict=True)
        target = self.stack[-1]
        if isinstance(target, Record):
            target.additions.extend(pairs)
        elif isinstance(target, dict):
            target.update((_as_key(key), value) for key, value in pairs)
        else:
            raise ValueError("its instructions make no sense: items for what is no dictionary")

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("its instructions make no sense: a name that is no text")
        if len(module) + len(name) > MAX_NAME:
            raise ValueError("it names a class whose name is longer than any")
        self.push(Reference(f"{_RENAMED.get(module, module)}.{name}"))

    def call(self, callee: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            raise ValueError("its instructions make no sense: arguments that are no tuple")
        kind = callee.name if isinstance(callee, Reference) else "unknown"
        if kind in self.builders:
            self.push(self.builders[kind](*arguments))
        else:
            self.push(Record(kind, arguments))

    def set_state(self, state: Any) -> None:
        # Attributes of dictionaries and tensors (`_metadata`, hooks) are of no use to anyone.
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state

    def look_up(self, identity: Any) -> None:
        if self.stored is None:
            raise ValueError("it refers to data outside")
        self.push(self.stored(identity))


def _as_key(key: Any) -> Any:
    """Return a key whose hash takes no time; a nest of tuples may take forever to hash."""
    if key is None or isinstance(key, str | bytes | float | Reference | Record):
        return key
    if isinstance(key, int) and key.bit_length() <= 64:
        return key
    return Record("builtins.object", (key,))


def _empty_dict(*pairs: Any) -> dict[Any, Any]:
    if pairs:
        raise ValueError("it was written by Python 2")
    return {}


def _reconstruct(kind: Any, *_: Any) -> Record:
    return Record(kind.name if isinstance(kind, Reference) else "unknown", ())


# Nothing is copied here: a few bytes could ask for a copy of a large list again and again.
_BUILDERS: dict[str, Builder] = {
    "collections.OrderedDict": _empty_dict,
    "collections.defaultdict": lambda *_: {},
    "builtins.set": lambda entries: entries,
    "builtins.frozenset": lambda entries: entries,
    "copyreg._reconstructor": _reconstruct,
    "torch.Size": lambda sizes: sizes,
}

# Up to its protocol 2, which torch writes, pickle uses the names of Python 2.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}

_PUSHING = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}

_SILENT = {"PROTO", "FRAME"}


def _call(machine: _Machine, _: Any) -> None:
    arguments, callee = machine.pop(), machine.pop()
    machine.call(callee, arguments)


def _call_with_keywords(machine: _Machine, _: Any) -> None:
    machine.pop()
    _call(machine, None)


def _call_marked(machine: _Machine, _: Any) -> None:
    callee, *arguments = machine.pop_marked()
    machine.call(callee, tuple(arguments))


def _call_named(machine: _Machine, argument: str) -> None:
    arguments = tuple(machine.pop_marked())
    machine.name(*argument.split(" ", 1))
    machine.call(machine.pop(), arguments)


def _name_from_stack(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _push_dict(machine: _Machine, _: Any) -> None:
    entries = machine.pop_marked()
    machine.push({})
    machine.set_items(entries)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_marked,
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda machine, _: machine.push([])),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.push(machine.pop_marked())),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": _push_dict,
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.make_tuple(None),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "APPEND": lambda machine, _: machine.add([machine.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.add(machine.pop_marked())),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "GLOBAL": lambda machine, argument: machine.name(*argument.split(" ", 1)),
    "STACK_GLOBAL": _name_from_stack,
    **dict.fromkeys(
        ("EXT1", "EXT2", "EXT4"), lambda machine, code: machine.name("extension", str(code))
    ),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call),
    "NEWOBJ_EX": _call_with_keywords,
    "OBJ": _call_marked,
    "INST": _call_named,
    "BUILD": lambda machine, _: machine.set_state(machine.pop()),
    "PERSID": _Machine.look_up,
    "BINPERSID": lambda machine, _: machine.look_up(machine.pop()),
}
