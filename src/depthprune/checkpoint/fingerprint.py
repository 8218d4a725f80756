"""The fingerprint of a checkpoint: equal for copies, different for different models.

It is a sha256 over

- `config.json`, keys sorted, without what does not change the model (`transformers_version`,
  `dtype`, `_name_or_path`);
- per weight file in order of name: its size, its header, and for files over 64 MiB 4 KiB from the
  middle of every tensor and 256 blocks of 4 KiB at even distances (smaller files as a whole).

A checkpoint of 20 GB takes well under a second. A change of a few weights of a large file can go
unseen; training, merging or quantizing touches far more.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from depthprune.base.errors import FileError, ModelError
from depthprune.base.files import read_json
from depthprune.checkpoint.folder import checkpoint_folder, configuration_path, weight_files

if TYPE_CHECKING:
    from hashlib import _Hash

    from transformers import PreTrainedModel

WHOLE_FILE_BYTES = 64 * 2**20
LARGE_TENSOR_BYTES = 4 * 2**20
BLOCK_BYTES = 4096
NUM_BLOCKS = 256
_LONGEST_HEADER_BYTES = 100 * 10**6

_VOLATILE = frozenset({"transformers_version", "dtype", "torch_dtype", "_name_or_path"})


def model_fingerprint(source: str | Path, *, revision: str | None = None) -> str:
    """Return the fingerprint of a checkpoint as 64 hexadecimal digits.

    Args:
        source: a checkpoint folder, or the name of a model on the hub that is in the local cache.
        revision: of the model on the hub.

    Raises:
        ModelError: there is no such checkpoint, or it lacks its configuration or its weights.
    """
    folder = checkpoint_folder(source, revision=revision)
    try:
        config = read_json(configuration_path(folder), infinity=True)
    except FileError as error:
        raise ModelError("config.json cannot be read", where=error.where) from error
    digest = hashlib.sha256(json.dumps(_stable(config), sort_keys=True).encode())
    for path in weight_files(folder):
        digest.update(path.name.encode())
        _add_file(digest, path)
    return digest.hexdigest()


def module_fingerprint(model: PreTrainedModel) -> str:
    """Return the fingerprint of a model in memory as 64 hexadecimal digits.

    Over its configuration and its tensors: of one over 4 MiB, 256 blocks of 4 KiB at even
    distances. It is not that of the files the model may have come from.

    Raises:
        ModelError: a tensor has no data: it is offloaded.
    """
    import torch

    digest = hashlib.sha256(
        json.dumps(_stable(model.config.to_dict()), sort_keys=True, default=str).encode()
    )
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_meta:
            raise ModelError("a tensor has no data", where=name, mend="load the whole model")
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().reshape(-1).view(torch.uint8)
        if len(flat) > LARGE_TENSOR_BYTES:
            starts = [i * (len(flat) - BLOCK_BYTES) // (NUM_BLOCKS - 1) for i in range(NUM_BLOCKS)]
            flat = torch.cat([flat[start : start + BLOCK_BYTES] for start in starts])
        digest.update(flat.cpu().numpy().tobytes())
    return digest.hexdigest()


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stable(entry) for name, entry in value.items() if name not in _VOLATILE}
    if isinstance(value, list):
        return [_stable(entry) for entry in value]
    return value


def _add_file(digest: _Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(struct.pack("<Q", size))
    with path.open("rb") as file:
        if size <= WHOLE_FILE_BYTES:
            for piece in iter(lambda: file.read(2**20), b""):
                digest.update(piece)
            return
        offsets = {index * (size - BLOCK_BYTES) // (NUM_BLOCKS - 1) for index in range(NUM_BLOCKS)}
        if path.suffix == ".safetensors":
            offsets |= _tensor_middles(digest, file, size)
        for offset in sorted(offsets):
            file.seek(offset)
            digest.update(file.read(BLOCK_BYTES))


def _tensor_middles(digest: _Hash, file: BinaryIO, size: int) -> set[int]:
    """Add the header of a safetensors file to `digest`; return the middle of every tensor."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(size - 8, _LONGEST_HEADER_BYTES):
        raise ModelError("a weight file is damaged: its header is longer than it", where=file.name)
    header = file.read(length)
    digest.update(header)
    try:
        tensors = json.loads(header)
        spans = [entry["data_offsets"] for name, entry in tensors.items() if name[:2] != "__"]
        return {8 + length + (int(start) + int(end)) // 2 for start, end in spans}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("a weight file is damaged: bad header", where=file.name) from error
