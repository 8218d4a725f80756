"""What any architecture's smaller checkpoint must look like, found out from skeletons of the model.

Needs torch, and is therefore done in a process of its own where torch is not loaded already: the
process that copies stays small. `depthprune.cutting.plain` spares ordinary models all of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from depthprune.base import errors
from depthprune.base.errors import DepthpruneError, ModelError, StackError, option, spelled
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.comparing import moved_path, place_of
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.skeleton import Loader
from depthprune.cutting.configuration import check_settings, shorten_stored, written_config
from depthprune.cutting.keys import Numbering, change_keys

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from depthprune.blocks.stack import Stack


Shapes = Mapping[str, tuple[int, ...]]
"""The shape of every tensor of a checkpoint by its key."""

Namer = Callable[[str], str]
"""From a key of a checkpoint to the tensor of the model that it is loaded into."""


def key_namer(model: PreTrainedModel, keys: Iterable[str]) -> Namer:
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


def find_numberings(
    model: PreTrainedModel, stack: Stack, shapes: Shapes
) -> tuple[tuple[Numbering, ...], dict[str, int]]:
    """Return where the keys count the blocks, and which tensors have a slice per block."""
    name = key_namer(model, shapes)
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
        place = place_of(target, stack)
        if place is None or any(one.block(key) == place[1] for one in numberings.values()):
            continue
        numbering = _numbering(key, *place, stack.num_blocks, name)
        other = numberings.setdefault(numbering.prefix, numbering)
        if other != numbering:
            raise _unclear(key)
    return tuple(sorted(numberings.values(), key=lambda one: (-len(one.prefix), one))), slices


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
        if name(moved) == f"{container}.{other}{rest}":
            return Numbering(key[: match.start()], block - int(match[0]))
    raise _unclear(key)


def _unclear(key: str) -> ModelError:
    return ModelError(
        f"it is not clear which number in the key {key!r} is that of the block",
        mend="save the model with this version of transformers, then cut it",
    )


def check_keys(
    whole: PreTrainedModel,
    shorter: PreTrainedModel,
    stack: Stack,
    numberings: tuple[Numbering, ...],
    keys: Collection[str],
    removal: Removal,
) -> None:
    """Raise when the new keys would not be loaded into the tensors that they belong to."""
    kept = active_blocks(removal, stack.num_blocks)
    changes = change_keys(keys, numberings, stack.num_blocks, removal)
    before = key_namer(whole, keys)
    after = key_namer(shorter, changes.new_names.values())
    own = whole.state_dict()
    for key, new_key in changes.new_names.items():
        target = before(key)
        if target in own and after(new_key) != moved_path(target, stack, kept):
            raise ModelError(
                f"the key {key!r} cannot be renumbered: {new_key!r} would be loaded as "
                f"{after(new_key)!r}",
                mend="save the model with this version of transformers, then cut it",
            )
    missing_before = _missing(whole, {before(key) for key in keys})
    missing = _missing(shorter, {after(key) for key in changes.new_names.values()})
    new = missing - {moved_path(target, stack, kept) for target in missing_before}
    if new:
        raise ModelError(
            f"without these blocks, the checkpoint would lack {min(new)}",
            where=stack.path,
            mend="the blocks that stay share tensors with one that goes: keep that one",
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


_OPTIONS = ("set", "trust_remote_code")
"""The options that errors of `probe` name; the other process names them as this one does."""


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
        settings: values that the user gives for fields of the new config.json.
    """

    folder: str
    config: Section
    shapes: Shapes
    part: str
    removal: Removal
    trust_remote_code: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CutStack:
    """The stack, and how its checkpoint becomes the smaller one.

    Attributes:
        path: the list of blocks in the model.
        config_path: the count in the configuration.
        num_blocks: of the whole model.
        containers: all lists in the model that shrink together.
        numberings: where the keys of the checkpoint count the blocks.
        slices: axis of the slices, by key, of tensors with one slice per block.
        config: the content of the new config.json.
        loader: how transformers loads the checkpoint.
        is_text: whether it is the stack of a language model that has no encoder.
        found_fields: fields in it that no table knows, which were shortened after the modules.
        constants: attributes that the model computes from the place of a block.
    """

    path: str
    config_path: str
    num_blocks: int
    containers: tuple[str, ...]
    numberings: tuple[Numbering, ...]
    slices: dict[str, int]
    config: Section
    loader: Loader
    is_text: bool = True
    found_fields: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()


def probe_apart(request: ProbeRequest) -> CutStack:
    """Do `probe` without loading torch into this process, which has it or does not.

    Raises:
        DepthpruneError: as `probe`; also when the other process dies.
    """
    if "torch" in sys.modules:
        return probe(request)
    spelled_here = {name: option(name) for name in _OPTIONS}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # -P: the folder in which a user happens to be is no place to import from.
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(asdict(request) | {"spelled": spelled_here}).encode(),
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
        raise kind(**answer["error"])
    found = answer["found"]
    return CutStack(
        **found
        | {
            "containers": tuple(found["containers"]),
            "found_fields": tuple(found["found_fields"]),
            "constants": tuple(found["constants"]),
            "numberings": tuple(Numbering(**one) for one in found["numberings"]),
            "loader": Loader(**found["loader"]),
        }
    )


def probe(request: ProbeRequest) -> CutStack:
    """Return the stack that is meant and the smaller checkpoint's configuration and keys.

    Raises:
        ModelError: the model cannot be built, or the keys of the checkpoint do not fit it.
        StackError: it has no such stack, or its configuration cannot be written.
        RemovalError: a block does not exist, or no block would be left.
        InadmissibleRemovalError: the architecture cannot express the removal.
    """
    from depthprune.blocks.admissible import check_admissible
    from depthprune.blocks.models import load_config
    from depthprune.blocks.removal_plan import plan_removal
    from depthprune.blocks.skeleton import build_model, build_skeleton, find_loader, rebuild_config
    from depthprune.blocks.stack import choose_stack, find_stacks

    config = load_config(
        request.folder, trust_remote_code=request.trust_remote_code, local_files_only=True
    )
    whole = build_model(config, trust_remote_code=request.trust_remote_code)
    model_class = type(whole)
    stacks = find_stacks(model_class, whole.config)
    stack = choose_stack(stacks, request.part, model_class.__name__)
    assert stack.origin is not None
    check_settings(request.settings, request.config, stack.origin.data)
    origin, stack = stack.origin, stack.with_settings(request.settings)
    check_admissible(stack, request.removal)
    plan = plan_removal(stack, request.removal)
    data = plan.data
    shorter = build_skeleton(model_class, rebuild_config(whole.config, data))
    numberings, slices = find_numberings(whole, stack, request.shapes)
    check_keys(whole, shorter, stack, numberings, request.shapes, request.removal)
    return CutStack(
        path=stack.path,
        config_path=stack.config_path,
        num_blocks=stack.num_blocks,
        containers=stack.containers,
        numberings=numberings,
        slices=slices,
        loader=find_loader(whole, config),
        is_text=_is_text(stack, stacks, model_class.__name__),
        config=written_config(
            shorten_stored(request.config, stack, request.removal), config, origin.data, data
        ),
        found_fields=plan.fields,
        constants=plan.constants,
    )


def _is_text(stack: Stack, stacks: tuple[Stack, ...], name: str) -> bool:
    from depthprune.blocks.stack import choose_stack

    try:
        text = choose_stack(stacks, "text", name)
    except StackError:
        return False
    return stack == text and not any(other.part == "encoder" for other in stacks if other != stack)


def _answer() -> None:
    """Read a request from stdin and write what was found, or the error, to stdout as JSON."""
    output = os.dup(1)
    os.dup2(2, 1)  # what libraries and remote code print is no part of the answer
    data = json.loads(sys.stdin.buffer.read())
    names = data.pop("spelled")
    shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
    request = ProbeRequest(**data | {"shapes": shapes, "removal": tuple(data["removal"])})
    answer: dict[str, Any]
    try:
        with spelled(lambda name, _: names.get(name, name)):
            answer = {"found": asdict(probe(request))}
    except DepthpruneError as error:
        answer = {
            "error": {
                "kind": type(error).__name__,
                "what": error.what,
                "where": error.where,
                "mend": error.mend,
                "option": error.option,
            }
        }
    with os.fdopen(output, "wb") as file:
        file.write(json.dumps(answer, default=str).encode())


if __name__ == "__main__":
    _answer()
