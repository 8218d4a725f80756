"""Files of a checkpoint folder that would contradict a smaller model, by their names.

No load with transformers opens them: weights in formats of other programs, the state of training,
and what describes the whole model to other programs.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

Reason = Literal[
    "hidden", "broken link", "link out of the folder", "no file", "weights", "whole model",
    "too large",
]  # fmt: skip
"""Why a file is left out; weights: other copies of the model's, or the state of training; whole
model: it describes the whole model, which the smaller one is not."""

TENSOR_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
"""Files whose tensors tell whether they are the model's own."""

_FORMATS = (
    "*.h5", "*.msgpack", "*.gguf", "*.ggml", "*.onnx", "*.onnx_data", "*.onnx.data", "*.pb",
    "*.tflite", "*.ot", "*.mlmodel", "*.nemo", "*.distcp", "*.llamafile", "*.engine", "*.plan",
    "*.tar", "*.tar.gz", "*.tgz", "*.zip",
)  # fmt: skip
"""Weights in formats of other programs, wherever they lie."""

_WEIGHTS_AT_TOP = (
    "model.safetensors", "model-*-of-*.safetensors", "model.*.safetensors", "pytorch_model*.bin",
    "consolidated*", "params_shard_*", "openvino_*model.bin", "model.bin", "mp_rank_*",
    "optimizer*.pt", "optimizer*.bin", "scheduler.pt", "scaler.pt", "rng_state*", "random_states*",
    "training_args.bin", "trainer_state.json", "events.out.tfevents*", "latest", "*imatrix*",
)  # fmt: skip

_DESCRIPTIONS_AT_TOP = (
    "*.index.json", "*.index.*.json", "config.*.json", "params.json", "genai_config.json",
    "ort_config.json", "openvino_*", "recipe.yaml", "mergekit_config.y*ml", "mlc-chat-config.json",
    "ndarray-cache*.json", "tensor-cache.json", "measurement.json", "*_results.json",
    "adapter_*",
)  # fmt: skip

_FOLDERS = (
    "checkpoint-*", "global_step*", "onnx*", "openvino*", "coreml", "gguf", "ggml", "original",
    "tensorrt*", "runs", "mlx*",
)  # fmt: skip


def leftover(name: str, *, at_top: bool) -> Reason | None:
    """Return why a file is left out by its name, None when the name says nothing against it.

    Args:
        name: of the file.
        at_top: whether it lies in the folder of the checkpoint itself.
    """
    if _matches(name.lower(), _FORMATS):
        return "weights"
    if at_top and _matches(name, _WEIGHTS_AT_TOP):
        return "weights"
    if at_top and _matches(name, _DESCRIPTIONS_AT_TOP):
        return "whole model"
    return None


def is_copy_folder(name: str) -> bool:
    """Return whether a folder holds the whole model once more, or an earlier state of it."""
    return _matches(name, _FOLDERS)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
