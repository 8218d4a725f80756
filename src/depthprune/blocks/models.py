"""Load a model with its processor, from a folder or from the hub, ready to be measured."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError, option
from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.blocks.processors import (
    adopt_chat_template,
    first_line,
    how_to_install,
    limit_pixels,
    load_processor,
)
from depthprune.blocks.skeleton import ModelKind, build_model, model_kind, quiet
from depthprune.checkpoint.fingerprint import model_fingerprint, module_fingerprint
from depthprune.checkpoint.folder import checkpoint_folder, find_weight_files, read_config

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to be measured.

    Attributes:
        model: in eval mode, on its device.
        processor: its processor (image-text), tokenizer (text) or image processor (image).
        kind: what goes in and what comes out.
        name: the hub name, or the name of the folder.
        fingerprint: see `model_fingerprint`.
        prompt: how questions are put to it.
    """

    model: PreTrainedModel
    processor: Any
    kind: ModelKind
    name: str
    fingerprint: str
    prompt: PromptSettings = USUAL_PROMPTS

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, which a processor holds and which may be the processor itself."""
        return getattr(self.processor, "tokenizer", self.processor)


def load_model(
    source: str | Path,
    *,
    dtype: str = "auto",
    device: str = "auto",
    device_map: Any = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
    prompt: PromptSettings = USUAL_PROMPTS,
    weights: bool = True,
) -> LoadedModel:
    """Load a model with its tokenizer (which pads a decoder's rows on the left) or processor.

    Args:
        source: a checkpoint folder, or the name of a model on the hub.
        dtype: `float32`, `bfloat16`, `float16` (or fp32, bf16, fp16); `auto` takes the
            checkpoint's, but float32 for float16 on a CPU, which computes float16 slowly.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes the best that is there.
        device_map: passed to transformers in place of `device`, e.g. `auto`.
        trust_remote_code: whether code that comes with the checkpoint may run.
        revision: of the model on the hub.
        download: whether the network may be asked for what the local cache lacks.
        prompt: how questions are put to it.
        weights: whether they are loaded; without, the model is on the meta device and has no
            fingerprint.

    Raises:
        ModelError: the model, its configuration, its weights or the device are not there, or the
            weights do not fit the configuration.
    """
    torch_dtype = _dtype(dtype)
    if not weights:
        folder, remote, config = _found(source, trust_remote_code, revision, download)
        model = build_model(config, trust_remote_code=trust_remote_code).eval()
        kind = model_kind(config)[0]
        processor = _load_processor(folder or source, kind, config, remote, prompt)
        name = folder.resolve().name if folder else str(source)
        return LoadedModel(model, processor, kind, name, "", prompt)
    place = None if device_map is not None else _device(device)
    folder, remote, config = _found(source, trust_remote_code, revision, download)
    where = folder or source
    variant = find_weight_files(folder).variant if folder else None
    kind, auto_class = model_kind(config)
    stored = str(config.dtype).removeprefix("torch.")
    if torch_dtype == "auto" and place == "cpu" and stored == "float16":
        torch_dtype = _dtype("float32")
    try:
        with quiet():
            model, report = auto_class.from_pretrained(
                where,
                config=config,
                dtype=torch_dtype,
                device_map=device_map,
                output_loading_info=True,
                variant=variant,
                **remote,
            )
    except Exception as error:  # damaged files fail in as many ways as there are libraries
        raise _not_loaded(where, error) from error
    _refuse_missing_weights(report, where)
    if place is not None:
        model = model.to(place)
    return LoadedModel(
        model.eval(),
        _load_processor(where, kind, config, remote, prompt),
        kind,
        folder.resolve().name if folder else str(source),
        model_fingerprint(source, revision=revision),
        prompt,
    )


def loaded_module(module: nn.Module, processor: Any = None) -> LoadedModel:
    """Return a model that is in memory already; it is put into eval mode and stays where it is.

    Args:
        module: a model of transformers.
        processor: its processor or tokenizer, which is copied; None where nothing is measured.

    Raises:
        ModelError: it is no model of transformers, or of a kind that cannot be measured.
    """
    from transformers import PreTrainedModel

    if not isinstance(module, PreTrainedModel):
        raise ModelError(
            f"a {type(module).__name__} is no model of transformers",
            mend="find_stack and skip work on any torch module; measuring needs a PreTrainedModel",
        )
    kind, _ = model_kind(module.config)
    if processor is not None:
        processor = _ready(deepcopy(processor), kind, module.config)
    name = type(module).__name__
    return LoadedModel(module.eval(), processor, kind, name, module_fingerprint(module))


def load_model_processor(
    source: str | Path,
    *,
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
    prompt: PromptSettings = USUAL_PROMPTS,
) -> Any:
    """Load a model's processor or tokenizer alone, as `load_model` does.

    Raises:
        ModelError: it, or the configuration of the model, is not there.
    """
    folder, remote, config = _found(source, trust_remote_code, revision, download)
    return _load_processor(folder or source, model_kind(config)[0], config, remote, prompt)


def _found(
    source: str | Path, trust_remote_code: bool, revision: str | None, download: bool
) -> tuple[Path | None, dict[str, Any], PreTrainedConfig]:
    """Return a local model's folder, the options to load from there or the hub, and the config."""
    folder = checkpoint_folder(source, revision=revision, download=download)
    local = Path(source).expanduser().is_dir()
    # A local folder is never completed from the network.
    options = {
        "trust_remote_code": trust_remote_code,
        "revision": revision,
        "local_files_only": local or not download,
    }
    return folder if local else None, options, load_config(folder if local else source, **options)


def load_config(source: str | Path, **options: Any) -> PreTrainedConfig:
    """Return the configuration of a checkpoint; `options` as for `AutoConfig.from_pretrained`.

    Raises:
        ModelError: there is none, or it is broken or of an unknown kind of model.
    """
    from transformers import AutoConfig

    download = not options.get("local_files_only", True)
    folder = checkpoint_folder(source, revision=options.get("revision"), download=download)
    read_config(folder)  # its errors say more than those of transformers
    try:
        return AutoConfig.from_pretrained(source, **options)
    except Exception as error:
        raise _not_loaded(source, error) from error


_DTYPES = {
    **dict.fromkeys(("fp32", "float", "float32"), "float32"),
    **dict.fromkeys(("bf16", "bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "half", "float16"), "float16"),
}


def _dtype(name: str) -> torch.dtype | str:
    import torch

    if name == "auto":
        return name
    if name.removeprefix("torch.") not in _DTYPES:
        raise ModelError(
            f"{name!r} is not a number type", mend="choose float32, bfloat16, float16 or auto"
        )
    dtype: torch.dtype = getattr(torch, _DTYPES[name.removeprefix("torch.")])
    return dtype


def _device(name: str) -> str:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"{name!r} is not a device", mend="choose cpu, cuda, cuda:1, mps or auto"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"there is no device {name!r}: this machine shows {torch.cuda.device_count()} GPUs",
            mend=f"use {option('device', 'cpu')}, or check the driver and the CUDA build of torch",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(
            "there is no device 'mps' on this machine", mend=f"use {option('device', 'cpu')}"
        )
    return name


def _load_processor(
    source: str | Path,
    kind: ModelKind,
    config: PreTrainedConfig,
    options: dict[str, Any],
    prompt: PromptSettings,
) -> Any:
    name = {"image-text": "AutoProcessor", "image": "AutoImageProcessor"}.get(kind, "AutoTokenizer")
    processor = load_processor(source, name, **options)
    limit_pixels(processor, prompt)
    if kind != "image":
        adopt_chat_template(processor, checkpoint_folder(source, revision=options["revision"]))
    return _ready(processor, kind, config)


def _ready(processor: Any, kind: ModelKind, config: PreTrainedConfig) -> Any:
    """Return a processor that pads as a model of this kind needs it."""
    tokenizer = getattr(processor, "tokenizer", processor)
    if kind in ("text", "image-text") and not config.is_encoder_decoder:
        # A decoder continues the end of a row: padding belongs at its start.
        tokenizer.padding_side = "left"
    if kind != "image" and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return processor


def _refuse_missing_weights(report: dict[str, Any], source: str | Path) -> None:
    missing = sorted(map(str, report.get("missing_keys") or ()))
    if missing:
        raise ModelError(
            f"the checkpoint lacks {len(missing)} of the model's tensors, e.g. {missing[0]}",
            where=str(source),
            mend="they would be random; use a complete checkpoint of this architecture",
        )


def _not_loaded(source: str | Path, error: Exception) -> ModelError:
    mend = how_to_install(error)
    if "trust_remote_code" in str(error):
        mend = (
            "the checkpoint brings its own code; allow it with "
            f"{option('trust_remote_code')} if you trust it"
        )
    return ModelError(
        f"the model cannot be loaded: {first_line(error)}",
        where=str(source),
        mend=mend or "check the files, and that this version of transformers knows the model",
    )
