"""Which class of transformers a checkpoint is of, and by which class it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.blocks.models import model_kind
from depthprune.blocks.skeleton import build_skeleton

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


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
