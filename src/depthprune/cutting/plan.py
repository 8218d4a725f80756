"""Plan the smaller checkpoint: what stays, what goes, what changes; nothing is written.

Two ways lead to a plan. Ordinary language models are looked up in a table (`plain`): only
config.json and the headers of the weight files are read, and torch is not needed. For all others,
and for other parts than the language model, skeletons are built (`probe`), in a process of its own.
Both give the same plan: `tests/cutting/test_plain.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from depthprune.base.errors import FileError, ModelError, RemovalError
from depthprune.base.files import read_json
from depthprune.base.removal import Removal, active_blocks, make_removal
from depthprune.blocks.layer_fields import shorten_dict, shorten_generation
from depthprune.blocks.layer_rules import Section, Shortening
from depthprune.blocks.skeleton import Loader
from depthprune.checkpoint.folder import (
    CONFIGS_FIELD,
    WEIGHTS_FIELD,
    check_link,
    configuration_path,
    read_config,
    source_folder,
)
from depthprune.checkpoint.stored import StoredTensor, num_bytes
from depthprune.cutting import CutOptions
from depthprune.cutting.configuration import FieldChange, field_changes
from depthprune.cutting.keys import (
    CutNote,
    KeyChanges,
    Numbering,
    change_keys,
    without_extra_blocks,
    without_wrappers,
)
from depthprune.cutting.plain import find_plain
from depthprune.cutting.probe import CutStack, ProbeRequest, probe_apart
from depthprune.cutting.quantization import (
    QUANTIZATION_FILES,
    is_quantized,
    names_of_blocks,
    rename_blocks,
    rename_in_quantization,
)
from depthprune.cutting.shards import (
    BlockSlices,
    Shard,
    TargetTensor,
    make_index,
    make_shards,
    parse_size,
)
from depthprune.cutting.source_files import (
    SmallFiles,
    find_small_files,
    read_tensors,
    tensors_of_blocks,
)


@dataclass(frozen=True)
class Pruned:
    """Units that go within the blocks, see `depthprune.widths`.

    Attributes:
        method: that scored them.
        groups: the attention groups that stay in each block.
        channels: the MLP channels that stay in each block.
        num_groups, num_channels: of each block of the whole model.
        parameters_before, parameters_after: of the whole model and of the smaller one.
    """

    method: str
    groups: tuple[tuple[int, ...], ...]
    channels: tuple[tuple[int, ...], ...]
    num_groups: int
    num_channels: int
    parameters_before: int
    parameters_after: int

    @property
    def ratio(self) -> float:
        """The share of the parameters that goes."""
        return 1 - self.parameters_after / self.parameters_before

    @property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """How many groups and channels each block keeps."""
        pairs = zip(self.groups, self.channels, strict=True)
        return tuple((len(groups), len(channels)) for groups, channels in pairs)


@dataclass(frozen=True)
class CutPlan:
    """All that `execute_cut` will do.

    Attributes:
        source: the folder of the whole checkpoint.
        name: of the whole model: the hub name, or the name of its folder.
        part: the stack that was asked for.
        way: `table` for a plain architecture, `probed` for one whose skeleton was built.
        config_path: the count of blocks in the configuration.
        num_blocks: of the whole model.
        removal: the blocks that go.
        numberings: where the keys count the blocks.
        config: the new content of config.json.
        fields: what changes in it.
        documents: new content of other JSON files, by name.
        shards: the weight files to write.
        dropped: keys of the tensors that go.
        files: what is copied beside the weights, and what is left out.
        quantized: whether the weights are quantised.
        notes: what a user should know.
        bytes_before: of the whole model's tensors.
        loader: how transformers loads the smaller checkpoint.
        is_text: whether the blocks are those of a language model that has no encoder.
        settings: what the user gave for fields of config.json.
        pruned: what goes within the blocks; None where whole blocks go.
        healed: the linear maps in place of removed blocks, a line each.
    """

    source: Path
    name: str
    part: str
    way: Literal["table", "probed"]
    config_path: str
    num_blocks: int
    removal: Removal
    numberings: tuple[Numbering, ...]
    config: Section
    fields: tuple[FieldChange, ...]
    documents: Mapping[str, Any]
    shards: tuple[Shard, ...]
    dropped: tuple[str, ...]
    files: SmallFiles
    quantized: bool
    notes: tuple[CutNote, ...]
    bytes_before: int
    loader: Loader
    is_text: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    pruned: Pruned | None = None
    healed: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """The blocks that stay, by their indices in the whole model."""
        return active_blocks(self.removal, self.num_blocks)

    @property
    def num_tensors(self) -> int:
        """How many tensors stay."""
        return sum(len(shard.tensors) for shard in self.shards)

    @property
    def bytes_after(self) -> int:
        """Bytes of the tensors that stay."""
        return sum(tensor.num_bytes for shard in self.shards for tensor in shard.tensors)

    @property
    def disk_needed(self) -> int:
        """Bytes of all files that will be written, with some room for the documents."""
        small = sum(file.num_bytes for file in self.files.copied)
        return sum(shard.num_bytes for shard in self.shards) + small + 2**20

    @property
    def index(self) -> dict[str, Any] | None:
        """The content of the index; None when a single file needs none."""
        return make_index(self.shards) if len(self.shards) > 1 else None


def plan_cut(
    source: str | Path,
    removal: Iterable[int],
    *,
    name: str | None = None,
    part: str = "text",
    max_shard_size: str | int = CutOptions.max_shard_size,
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
    probed: bool = False,
    settings: Mapping[str, Any] | None = None,
    may_stay_whole: bool = False,
) -> CutPlan:
    """Return how to write the checkpoint `source` without the blocks `removal`.

    Args:
        source: a checkpoint folder, or the name of a model on the hub.
        removal: blocks of the stack, counted from 0; at least one.
        name: what the model is called in the model card; its hub name or folder if not given.
        part: the stack, see `find_stack`.
        max_shard_size: bytes of tensors in one file, as a number or as `5GB`.
        trust_remote_code: whether code that comes with the checkpoint may run (not for plain
            architectures, which need none).
        revision: of the model on the hub.
        download: whether the network may be asked for what the local cache lacks.
        probed: build the skeleton even of a plain architecture.
        settings: values for fields of the new config.json, by their paths.
        may_stay_whole: allow removing no block, from plain architectures.

    Raises:
        ModelError: there is no such checkpoint, it is damaged, its configuration and its weights do
            not belong together, or it is quantised in a way that cannot be shortened.
        StackError: it has no such stack.
        RemovalError: no block, all blocks, or one that does not exist.
        InadmissibleRemovalError: the architecture cannot express the removal.
        FileError: a file cannot be read.
    """
    folder = source_folder(source, revision=revision, download=download)
    limit = parse_size(max_shard_size)
    gone = make_removal(removal)
    if not (gone or may_stay_whole):
        raise RemovalError("no block is to go", mend="name at least one block, as in 4,13")
    check_link(configuration_path(folder), folder)
    config = read_config(folder)
    _refuse_adapter(folder)
    tensors, wrapped = without_wrappers(read_tensors(folder))
    way: Literal["table", "probed"] = "table"
    found = None
    if part == "text" and not (probed or settings):
        found = find_plain(config, tensors, gone)
    if found is None and not gone:
        raise ModelError(
            "the weights are not named as this architecture names them",
            where=str(folder),
            mend="save the model with this version of transformers, then prune it",
        )
    if found is None:
        way = "probed"
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        found = probe_apart(
            ProbeRequest(
                str(folder), config, shapes, part, gone, trust_remote_code, dict(settings or {})
            )
        )
    if part == "text":
        found = replace(found, config=_shorten_repeated(config, found, gone))
    changes = change_keys(tensors, found.numberings, found.num_blocks, gone)
    quantized = is_quantized(config)
    new_config, documents = _rename_quantization(folder, found, tensors, gone)
    new_config, notes = without_extra_blocks(new_config, found, changes, gone)
    # One configuration and one set of weights are written, under the usual names.
    for name_of_files in (CONFIGS_FIELD, WEIGHTS_FIELD):
        new_config.pop(name_of_files, None)
    notes += wrapped + tuple(CutNote("found field", name) for name in found.found_fields)
    notes += tuple(CutNote("place constant", name) for name in found.constants)
    generation, lost = _shorten_generation(folder, found, gone)
    documents |= generation
    files = find_small_files(folder, tensors_of_blocks(tensors, found.numberings))
    return CutPlan(
        source=folder,
        name=name or _name(source, folder),
        part=part,
        way=way,
        config_path=found.config_path,
        num_blocks=found.num_blocks,
        removal=gone,
        numberings=found.numberings,
        config=new_config,
        fields=field_changes(config, new_config),
        documents=documents,
        shards=make_shards(_target_tensors(tensors, changes, found, gone), limit),
        dropped=(*changes.dropped, *changes.extra),
        files=replace(
            files, copied=tuple(one for one in files.copied if one.path not in documents)
        ),
        quantized=quantized,
        notes=notes + lost,
        bytes_before=sum(num_bytes(one.dtype, one.shape) for one in tensors.values()),
        loader=found.loader,
        is_text=found.is_text,
        settings=dict(settings or {}),
    )


def _refuse_adapter(folder: Path) -> None:
    # transformers would add it to the smaller model, whose blocks it does not fit.
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            "the checkpoint has an adapter (PEFT) beside its weights",
            where=str(folder / "adapter_config.json"),
            mend="merge the adapter into the weights first (`merge_and_unload`), or move it away",
        )


def _shorten_repeated(config: Section, found: CutStack, removal: Removal) -> Section:
    """Return the new configuration, also where older files say the same beside `text_config`.

    transformers 5 reads the section, other programs may read what stands outside.
    """
    *sections, count = found.config_path.split(".")
    outside = {name: value for name, value in config.items() if not isinstance(value, dict)}
    if not sections or outside.get(count) != found.num_blocks:
        return found.config
    shorter = shorten_dict(outside, count, removal)
    return {name: shorter.get(name, value) for name, value in found.config.items()}


_GENERATION_FILE = "generation_config.json"


def _shorten_generation(
    folder: Path, found: CutStack, removal: Removal
) -> tuple[dict[str, Any], tuple[CutNote, ...]]:
    """Return generation_config.json with the new numbers of the blocks, where it names any."""
    path = folder / _GENERATION_FILE
    if not path.is_file():
        return {}, ()
    check_link(path, folder)
    whole = _read_document(path)
    if not isinstance(whole, dict):
        return {}, ()
    short = Shortening(active_blocks(removal, found.num_blocks), found.num_blocks)
    shorter = shorten_generation(whole, found.config_path, short)
    lost = tuple(CutNote("no alignment", name) for name in whole if shorter[name] != whole[name]
                 and shorter[name] is None)  # fmt: skip
    return ({} if shorter == whole else {_GENERATION_FILE: shorter}), lost


def _target_tensors(
    tensors: Mapping[str, StoredTensor], changes: KeyChanges, found: CutStack, removal: Removal
) -> list[TargetTensor]:
    kept = active_blocks(removal, found.num_blocks)
    return [
        TargetTensor(
            new_key,
            tensors[key],
            BlockSlices(found.slices[key], found.num_blocks, kept) if key in found.slices else None,
        )
        for key, new_key in changes.new_names.items()
    ]


def _rename_quantization(
    folder: Path, found: CutStack, tensors: Mapping[str, StoredTensor], removal: Removal
) -> tuple[Section, dict[str, Any]]:
    """Return configuration and quantisation files in which the blocks have their new names."""
    names = names_of_blocks(tensors, found.numberings, found.containers, found.num_blocks, removal)
    documents = {
        name: rename_blocks(
            _read_document(folder / name),
            # That of modelopt; the others are those of GPTQ and AWQ.
            replace(names, method="modelopt") if name == "hf_quant_config.json" else names,
            name,
        )
        for name in QUANTIZATION_FILES
        if (folder / name).is_file()
    }
    return rename_in_quantization(found.config, names), documents


def _read_document(path: Path) -> Any:
    try:
        return read_json(path)
    except FileError as error:
        raise ModelError(f"{path.name} is broken: {error.what}", where=error.where) from error


def _name(source: str | Path, folder: Path) -> str:
    path = Path(source).expanduser()
    return folder.resolve().name if path.is_dir() else str(source)
