"""What any architecture's smaller checkpoint must look like, found out from skeletons of the model.

Needs torch, and is therefore done in a process of its own where torch is not loaded already: the
process that copies stays small. `depthprune.blocks.cut.plain` spares ordinary models all of it.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from depthprune.base import errors
from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.cut.keys import Numbering, change_keys
from depthprune.blocks.layer_fields import shorten_dict
from depthprune.blocks.layer_rules import Section

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from depthprune.blocks.stack import Stack

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of every tensor of a checkpoint by its key."""


@dataclass(frozen=True)
class ProbeRequest:
    """What is to be found out.

    Attributes:
        folder: of the checkpoint.
        config: the content of its config.json.
        shapes: of its tensors.
        part: the stack that is meant, see `find_stack`.
        removal: the blocks that go.
        trust_remote_code: whether code that comes with the checkpoint may run.
    """

    folder: str
    config: Section
    shapes: Shapes
    part: str
    removal: Removal
    trust_remote_code: bool = False


@dataclass(frozen=True)
class ProbedStack:
    """The stack, and how its checkpoint becomes the smaller one.

    Attributes:
        path: the list of blocks in the model.
        config_path: the count in the configuration.
        num_blocks: of the whole model.
        containers: all lists in the model that shrink together.
        numberings: where the keys of the checkpoint count the blocks.
        slices: axis of the slices, by key, of tensors with one slice per block.
        config: the content of the new config.json.
    """

    path: str
    config_path: str
    num_blocks: int
    containers: tuple[str, ...]
    numberings: tuple[Numbering, ...]
    slices: dict[str, int]
    config: Section


def probe_apart(request: ProbeRequest) -> ProbedStack:
    """Do `probe` without loading torch into this process, which has it or does not.

    Raises:
        DepthpruneError: as `probe`; also when the other process dies.
    """
    if "torch" in sys.modules:
        return probe(request)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # -P: the folder in which a user happens to be is no place to import from.
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(asdict(request)).encode(),
        capture_output=True,
        env=environment,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise ModelError(
            f"the model could not be examined: {lines[-1]}",
            where=request.folder,
            mend="check that torch and transformers are installed: pip install 'depthprune[run]'",
        ) from error
    if "error" in answer:
        kind = getattr(errors, answer["error"].pop("kind"), DepthpruneError)
        raise kind(answer["error"]["what"], where=answer["error"]["where"],
                   mend=answer["error"]["mend"])  # fmt: skip
    found = answer["found"]
    return ProbedStack(
        **found
        | {
            "containers": tuple(found["containers"]),
            "numberings": tuple(Numbering(**one) for one in found["numberings"]),
        }
    )


def probe(request: ProbeRequest) -> ProbedStack:
    """Return the stack that is meant and the smaller checkpoint's configuration and keys.

    Raises:
        ModelError: the model cannot be built, or the keys of the checkpoint do not fit it.
        StackError: it has no such stack, or its configuration cannot be written.
        RemovalError: a block does not exist, or no block would be left.
        InadmissibleRemovalError: the architecture cannot express the removal.
    """
    from depthprune.blocks.admissible import check_admissible
    from depthprune.blocks.finding import choose_stack
    from depthprune.blocks.models import load_config
    from depthprune.blocks.probing import find_stacks
    from depthprune.blocks.skeleton import build_skeleton, rebuild_config

    config = load_config(
        request.folder, trust_remote_code=request.trust_remote_code, local_files_only=True
    )
    whole = _build(config, request)
    model_class = type(whole)
    stack = choose_stack(find_stacks(model_class, whole.config), request.part, model_class.__name__)
    check_admissible(stack, request.removal)
    assert stack.origin is not None
    data = shorten_dict(stack.origin.data, stack.config_path, request.removal)
    shorter = build_skeleton(model_class, rebuild_config(whole.config, data))
    numberings, slices = _find_numberings(whole, stack, request.shapes)
    _check_keys(whole, shorter, stack, numberings, request)
    return ProbedStack(
        path=stack.path,
        config_path=stack.config_path,
        num_blocks=stack.num_blocks,
        containers=stack.containers,
        numberings=numberings,
        slices=slices,
        config=_written_config(request.config, config, stack.origin.data, data),
    )


def _build(config: PreTrainedConfig, request: ProbeRequest) -> PreTrainedModel:
    """Build the skeleton of the class that the checkpoint names, or else of its kind's."""
    import transformers

    from depthprune.blocks.models import model_kind
    from depthprune.blocks.skeleton import build_skeleton

    def construct(config: Any) -> Any:
        names = [] if request.config.get("auto_map") else config.architectures or ()
        for name in names:
            model_class: Any = getattr(transformers, name, None)
            if isinstance(config, getattr(model_class, "config_class", None) or ()):
                return model_class(config)
        auto_class = model_kind(config)[1]
        return auto_class.from_config(config, trust_remote_code=request.trust_remote_code)

    try:
        return build_skeleton(construct, config)
    except DepthpruneError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model cannot be built from its configuration: {error}",
            where=request.folder,
            mend="check config.json, and that this version of transformers knows the model",
        ) from error


Namer = Callable[[str], str]
"""From a key of a checkpoint to the tensor of the model that it is loaded into."""


def _namer(model: PreTrainedModel, keys: Iterable[str]) -> Namer:
    """Return what `from_pretrained` makes of the keys of a checkpoint."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    tensors = model.state_dict()
    prefix = model.base_model_prefix

    def name(key: str) -> str:
        target: str = rename_source_key(key, renamings, converters, prefix, tensors)[0]
        if target not in tensors and key in tensors:
            target = rename_source_key(key, [], [], prefix, tensors)[0]
        return target

    for key in sorted(keys, key=dot_natural_key):
        name(key)  # some renamings begin to act when they have seen a certain key
    return name


def _find_numberings(
    model: PreTrainedModel, stack: Stack, shapes: Shapes
) -> tuple[tuple[Numbering, ...], dict[str, int]]:
    """Return where the keys count the blocks, and which tensors have a slice per block."""
    name = _namer(model, shapes)
    own = model.state_dict()
    axes = {tensor.name: tensor.axis for tensor in stack.tensors}
    numberings: dict[str, Numbering] = {}
    slices = {}
    for key, shape in shapes.items():
        target = name(key)
        if target in axes:
            if tuple(shape) != tuple(own[target].shape):
                raise ModelError(
                    f"{key} has a slice per block and another shape than in the model",
                    where=f"{list(shape)} instead of {list(own[target].shape)}",
                    mend="cut the model before it is quantised",
                )
            slices[key] = axes[target]
        place = _place(target, stack)
        if place is None or any(one.block(key) == place[1] for one in numberings.values()):
            continue
        numbering = _numbering(key, *place, stack.num_blocks, name)
        other = numberings.setdefault(numbering.prefix, numbering)
        if other != numbering:
            raise _unclear(key)
    return tuple(sorted(numberings.values(), key=lambda one: (-len(one.prefix), one))), slices


def _place(target: str, stack: Stack) -> tuple[str, int, str] | None:
    """Return the list of blocks, the block and the rest of a tensor's name in the model."""
    for container in stack.containers:
        match = re.match(rf"{re.escape(container)}\.(\d+)\.", target)
        if match:
            return container, int(match[1]), target[match.end() :]
    return None


def _numbering(
    key: str, container: str, block: int, rest: str, num_blocks: int, name: Namer
) -> Numbering:
    """Return which number in a key is that of the block: changing it leads to another block."""
    other = block + 1 if block + 1 < num_blocks else block - 1
    for match in re.finditer(r"(?:^|(?<=\.))\d+(?=\.|$)", key):
        number = int(match[0]) + other - block
        if number < 0:
            continue
        moved = f"{key[: match.start()]}{number}{key[match.end() :]}"
        if name(moved) == f"{container}.{other}.{rest}":
            return Numbering(key[: match.start()], block - int(match[0]))
    raise _unclear(key)


def _unclear(key: str) -> ModelError:
    return ModelError(
        f"it is not clear which number in the key {key!r} is that of the block",
        mend="save the model with this version of transformers, then cut it",
    )


def _check_keys(
    whole: PreTrainedModel,
    shorter: PreTrainedModel,
    stack: Stack,
    numberings: tuple[Numbering, ...],
    request: ProbeRequest,
) -> None:
    """Raise when the new keys would not be loaded into the tensors that they belong to."""
    kept = active_blocks(request.removal, stack.num_blocks)
    changes = change_keys(request.shapes, numberings, stack.num_blocks, request.removal)
    before = _namer(whole, request.shapes)
    after = _namer(shorter, changes.new_names.values())
    own = whole.state_dict()

    def at_new_place(target: str) -> str | None:
        place = _place(target, stack)
        if place is None:
            return target
        return f"{place[0]}.{kept.index(place[1])}.{place[2]}" if place[1] in kept else None

    for key, new_key in changes.new_names.items():
        target = before(key)
        if target in own and after(new_key) != at_new_place(target):
            raise ModelError(
                f"the key {key!r} cannot be renumbered: {new_key!r} would be loaded as "
                f"{after(new_key)!r}",
                mend="save the model with this version of transformers, then cut it",
            )
    missing_before = _missing(whole, {before(key) for key in request.shapes})
    missing = _missing(shorter, {after(key) for key in changes.new_names.values()})
    new = missing - {at_new_place(target) for target in missing_before}
    if new:
        raise ModelError(
            f"without these blocks, the checkpoint would lack {min(new)}",
            where=stack.path,
            mend="the blocks that stay share tensors with one that goes; choose other blocks",
        )


def _missing(model: PreTrainedModel, loaded: set[str]) -> set[str]:
    """Return the tensors that a checkpoint does not bring, and no tie to one that it brings."""
    tied: dict[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    partners: dict[str, set[str]] = {}
    for target, source in tied.items():
        group = partners.get(target, {target}) | partners.get(source, {source})
        for name in group:
            partners[name] = group
    return {
        name
        for name in model.state_dict()
        if name not in loaded and not partners.get(name, set()) & loaded
    }


def _written_config(
    raw: Section, config: PreTrainedConfig, before: Section, after: Section
) -> Section:
    """Return the new config.json: the old one, but for what must be said differently.

    What its class derives from the number of blocks (kinds of layers) is written out.

    Raises:
        StackError: no such file leads to the configuration that is wanted.
    """
    from depthprune.blocks.skeleton import rebuild_config

    wanted = _comparable(rebuild_config(config, after))

    def differing(candidate: Section) -> Section:
        found = _comparable(rebuild_config(config, _numbers_from_json(candidate)))
        return {
            name: value
            for name, value in wanted.items()
            if name not in found or found[name] != value
        }

    written = _changed(copy.deepcopy(raw), before, after, config)
    if not differing(written):
        return _storable(written)
    explicit = written | {
        name: after.get(name, value) for name, value in differing(written).items()
    }
    if not differing(explicit):
        return _storable(explicit)
    whole = {**raw, **after}
    left = differing(whole)
    if left:
        raise errors.StackError(
            f"the configuration of the smaller model cannot be written: {min(left)} would differ",
            where="config.json",
            mend="save the model with this version of transformers, then cut it",
        )
    return _storable(whole)


_NO_JSON_NUMBER = "__float__"
"""The only key of what transformers writes for a number that JSON lacks."""


def _numbers_from_json(value: Any) -> Any:
    """Return a copy of a configuration with `{"__float__": "Infinity"}` as the number it means."""
    if isinstance(value, dict):
        if value.keys() == {_NO_JSON_NUMBER}:
            return float(value[_NO_JSON_NUMBER])
        return {name: _numbers_from_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_from_json(entry) for entry in value]
    return value


def _storable(section: Section) -> Section:
    """Return a copy of a configuration that JSON can hold, see `_numbers_from_json`."""
    return {name: _numbers_to_json(value) for name, value in section.items()}


def _numbers_to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        names = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return {_NO_JSON_NUMBER: names.get(value, "NaN")}
    if isinstance(value, dict):
        return _storable(value)
    if isinstance(value, list | tuple):
        return [_numbers_to_json(entry) for entry in value]
    return value


def _changed(raw: Section, before: Section, after: Section, config: Any) -> Section:
    """Change in `raw` what differs between `before` and `after`, section by section."""
    aliases: dict[str, str] = getattr(config, "attribute_map", None) or {}
    for alias, name in aliases.items():
        if alias in raw and before.get(name) != after.get(name):
            del raw[alias]
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if name not in after:
            raw.pop(name, None)
        elif isinstance(old, dict) and isinstance(new, dict) and isinstance(raw.get(name), dict):
            _changed(raw[name], old, new, getattr(config, name, None))
        elif old != new or name not in before:
            raw[name] = new
    return raw


def _comparable(config: PreTrainedConfig) -> Section:
    """Return all that a configuration says but for its origin, as JSON would keep it."""
    data = json.loads(json.dumps(config.to_dict(), default=str))
    return {
        name: value
        for name, value in data.items()
        if name not in ("transformers_version", "_name_or_path", "architectures")
    }


def _answer() -> None:
    """Read a request from stdin and write what was found, or the error, to stdout as JSON."""
    output = os.dup(1)
    os.dup2(2, 1)  # what libraries and remote code print is no part of the answer
    data = json.loads(sys.stdin.buffer.read())
    shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
    request = ProbeRequest(**data | {"shapes": shapes, "removal": tuple(data["removal"])})
    answer: dict[str, Any]
    try:
        answer = {"found": asdict(probe(request))}
    except DepthpruneError as error:
        answer = {
            "error": {
                "kind": type(error).__name__,
                "what": error.what,
                "where": error.where,
                "mend": error.mend,
            }
        }
    with os.fdopen(output, "wb") as file:
        file.write(json.dumps(answer, default=str).encode())


if __name__ == "__main__":
    _answer()
