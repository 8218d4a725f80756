"""The skeleton of a model: all its modules without any weights, for any number of blocks.

A skeleton is built from the configuration on the meta device, in milliseconds and without memory,
whatever the size of the model. Comparing two skeletons shows what a removal changes. Skeletons are
also how it is found out which class of transformers loads a checkpoint.
"""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from depthprune.base.errors import DepthpruneError, ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class ModuleFacts:
    """What one module consists of, its children left out.

    Attributes:
        kind: the name of its class.
        values: its plain attributes (numbers, texts, and lists and dictionaries of them).
        others: by attribute, the names of functions and classes that it holds.
        configs: the configurations it holds, by attribute.
        tensors: shape and type of its own parameters and persistent buffers, by name.
        buffers: its buffers that no checkpoint holds, by name.
    """

    kind: str
    values: dict[str, Any]
    configs: dict[str, PreTrainedConfig]
    tensors: dict[str, tuple[tuple[int, ...], torch.dtype]]
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


Skeleton = dict[str, ModuleFacts]
"""The facts of every module by its path; the model itself is ``""``."""


def build_skeleton(
    construct: Callable[[PreTrainedConfig], PreTrainedModel], config: PreTrainedConfig
) -> PreTrainedModel:
    """Build a model of `config` on the meta device; raises what `construct`, its class, raises."""
    import torch
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights(), quiet():
        return construct(config)


def rebuild_config(config: PreTrainedConfig, data: dict[str, Any]) -> PreTrainedConfig:
    """Return a configuration of the class of `config` that holds `data`."""
    data = {key: value for key, value in data.items() if key != "transformers_version"}
    with quiet():
        rebuilt = type(config).from_dict(data)
    # Not serialized, and a model with another attention would not be the same model.
    rebuilt._attn_implementation = config._attn_implementation
    return rebuilt


def describe(model: nn.Module) -> Skeleton:
    """Return the facts of every module of `model`."""
    import torch
    from transformers import PreTrainedConfig

    ours = set(vars(_empty_module()))
    skeleton: Skeleton = {}
    # A module that several blocks share is looked at in each of them.
    for path, module in model.named_modules(remove_duplicate=False):
        values: dict[str, Any] = {}
        others: dict[str, str] = {}
        configs: dict[str, PreTrainedConfig] = {}
        for name, value in vars(module).items():
            if name in ours or name in _MODEL_ATTRIBUTES:
                continue
            if isinstance(value, PreTrainedConfig):
                configs[name] = value
            elif _is_plain(value):
                values[name] = value
            elif isinstance(value, type | types.FunctionType | types.MethodType | torch.dtype):
                others[name] = getattr(value, "__qualname__", str(value))
        transient = module._non_persistent_buffers_set
        skeleton[path] = ModuleFacts(
            type(module).__name__,
            values,
            configs,
            {
                name: (tuple(tensor.shape), tensor.dtype)
                for name, tensor in (*module._parameters.items(), *module._buffers.items())
                if tensor is not None and name not in transient
            },
            {
                name: tuple(tensor.shape)
                for name, tensor in module._buffers.items()
                if tensor is not None and name in transient
            },
            others,
        )
    return skeleton


def list_lengths(model: nn.Module) -> dict[str, int]:
    """Return the length of every list of modules (children named 0, 1, 2, ...) by its path."""
    lengths = {}
    for path, module in model.named_modules():
        names = list(module._modules)
        if path and names and names == [str(index) for index in range(len(names))]:
            lengths[path] = len(names)
    return lengths


# Bookkeeping of transformers on the outermost model that follows from the names of the modules.
_MODEL_ATTRIBUTES = frozenset(
    {
        "all_tied_weights_keys",
        "generation_config",
        "name_or_path",
        "_keep_in_fp32_modules",
        "_keep_in_fp32_modules_strict",
        "_no_split_modules",
        "_skip_keys_device_placement",
        "_keys_to_ignore_on_load_unexpected",
        "_keys_to_ignore_on_load_missing",
        "_keys_to_ignore_on_save",
        "_tp_plan",
        "_ep_plan",
        "_pp_plan",
        "_fsdp_plan",
    }
)


def _empty_module() -> nn.Module:
    from torch import nn

    return nn.Module()


def _is_plain(value: object) -> bool:
    if value is None or isinstance(value, bool | int | float | str | enum.Enum):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(entry) for key, entry in value.items())
    return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what transformers says while it builds: the user did not ask for this model."""
    from transformers.utils import logging

    verbosity, progress_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress_bar:
            logging.enable_progress_bar()


ModelKind = Literal["image-text", "text", "seq2seq", "masked", "image"]


@dataclass(frozen=True)
class Loader:
    """How a checkpoint is loaded.

    Attributes:
        name: of the class of transformers.
        remote_code: whether it needs the code that comes with the checkpoint.
    """

    name: str
    remote_code: bool = False

    @property
    def pipeline_tag(self) -> str | None:
        """What the hub calls models that are loaded by this class; None where it has no word."""
        return PIPELINE_TAGS.get(self.name)


PIPELINE_TAGS = {
    "AutoModelForImageTextToText": "image-text-to-text",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForSpeechSeq2Seq": "automatic-speech-recognition",
    "AutoModelForSeq2SeqLM": "text2text-generation",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForImageClassification": "image-classification",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForCTC": "automatic-speech-recognition",
    "AutoModelForAudioClassification": "audio-classification",
    "AutoModelForObjectDetection": "object-detection",
    "AutoModelForTextEncoding": "feature-extraction",
    "AutoModelForTextToWaveform": "text-to-audio",
    "AutoModelForTextToSpectrogram": "text-to-speech",
    "AutoModelForDepthEstimation": "depth-estimation",
    "AutoModel": "feature-extraction",
}
"""The kinds of models by the classes that load them, in the order in which these are tried."""


def model_kind(config: PreTrainedConfig) -> tuple[ModelKind, Any]:
    """Return what kind of model a configuration describes, and the transformers class to load it.

    Raises:
        ModelError: it is none of the kinds that can be measured.
    """
    import transformers
    from transformers.models.auto import modeling_auto

    remote = getattr(config, "auto_map", None) or {}
    architectures = set(config.architectures or ())
    known: list[tuple[ModelKind, Any]] = []
    for kind in get_args(ModelKind):
        auto_name, mapping_name = _AUTO_CLASSES[kind]
        names = getattr(modeling_auto, mapping_name).get(config.model_type)
        names = {names} if isinstance(names, str) else set(names or ())
        if auto_name in remote or names & architectures:
            return kind, getattr(transformers, auto_name)
        if names:
            known.append((kind, getattr(transformers, auto_name)))
    if not known:
        raise ModelError(
            f"models of type {config.model_type!r} neither write text nor classify images",
            mend="use a language model, a vision-language model or an image classifier",
        )
    return known[0]


_AUTO_CLASSES = {
    "image-text": (
        "AutoModelForImageTextToText",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    ),
    "text": ("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    "seq2seq": ("AutoModelForSeq2SeqLM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
    "masked": ("AutoModelForMaskedLM", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
    "image": (
        "AutoModelForImageClassification",
        "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    ),
}

KINDS = {auto_name: kind for kind, (auto_name, _) in _AUTO_CLASSES.items()}
"""The kinds of models that can be measured, by the classes that load them."""

# Its mapping has classes of every kind.
_LAST = "AutoModelForPreTraining"


def build_model(config: PreTrainedConfig, *, trust_remote_code: bool) -> PreTrainedModel:
    """Return the skeleton of the class that a checkpoint names, or else of its kind's.

    Args:
        config: of the checkpoint.
        trust_remote_code: whether code that comes with it may run.

    Raises:
        ModelError: the model cannot be built.
    """
    import transformers

    remote = trust_remote_code and bool(getattr(config, "auto_map", None))

    def construct(config: Any) -> Any:
        for name in () if remote else config.architectures or ():
            model_class: Any = getattr(transformers, name, None)
            if isinstance(config, getattr(model_class, "config_class", None) or ()):
                return model_class(config)
        try:
            auto_class = model_kind(config)[1]
        except ModelError:  # it cannot be measured, but cut
            auto_class = transformers.AutoModel
        return auto_class.from_config(config, trust_remote_code=trust_remote_code)

    try:
        return build_skeleton(construct, config)
    except DepthpruneError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model cannot be built from its configuration: {error}",
            mend="check config.json, and that this version of transformers knows the model",
        ) from error


def find_loader(model: PreTrainedModel, config: PreTrainedConfig) -> Loader:
    """Return the class that loads a checkpoint of this model and configuration.

    It was tried on the meta device: it makes a model of the same class.

    Args:
        model: from `build_model`.
        config: of the checkpoint.
    """
    model_class = type(model)
    if model_class.__module__.startswith("transformers_modules."):
        native = _native(model, config)
        if native is None:
            return Loader(_remote_name(model_class, config), remote_code=True)
        model_class = type(native)
    for name, classes in _auto_classes(config):
        if model_class in classes and _makes(name, config) is model_class:
            return Loader(name)
    return Loader(model_class.__name__)


def _native(model: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel | None:
    """Return the model of transformers itself that has the same tensors as one of remote code."""
    from transformers import AutoConfig

    try:
        data = config.to_dict()
        data.pop("auto_map", None)
        own = AutoConfig.for_model(data.pop("model_type"), **data)
        native = build_model(own, trust_remote_code=False)
    except Exception:  # transformers does not know it
        return None
    shapes = [
        {name: one.shape for name, one in each.state_dict().items()} for each in (model, native)
    ]
    return native if shapes[0] == shapes[1] else None


def _remote_name(model_class: type, config: PreTrainedConfig) -> str:
    mapped = getattr(config, "auto_map", None) or {}
    names = [
        name for name, place in mapped.items() if str(place).endswith(f".{model_class.__name__}")
    ]
    known = [name for name in PIPELINE_TAGS if name in names]
    return next(iter((*known, *names)), "AutoModel")


def _auto_classes(config: PreTrainedConfig) -> Iterator[tuple[str, tuple[type, ...]]]:
    """Yield the classes that load models by their configuration, with what they make of this."""
    from transformers.models.auto import modeling_auto

    found = [name for name in vars(modeling_auto) if name.startswith("AutoModel")]
    others = [name for name in found if name not in PIPELINE_TAGS and name != _LAST]
    for name in (*PIPELINE_TAGS, *others, _LAST):
        mapping = getattr(getattr(modeling_auto, name), "_model_mapping", None)
        if mapping is not None and type(config) in mapping:
            classes = mapping[type(config)]
            yield name, classes if isinstance(classes, tuple) else (classes,)


def _makes(name: str, config: PreTrainedConfig) -> type | None:
    import transformers

    try:
        return type(build_skeleton(getattr(transformers, name).from_config, config))
    except Exception:  # whatever it is, it is not this class
        return None
