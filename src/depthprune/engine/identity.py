"""What decides a loaded model's answers beside its weights, as a study keeps and compares it.

Everything is taken from the loaded objects, so that files which are saved again, or moved, without
a change of what they say give the same identity.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.engine.generate import end_tokens
from depthprune.engine.inputs import tokenizer_of
from depthprune.study.records import MODEL_CONFIG, Identity

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

_LONGEST = 2000
"""Characters of a field that are kept as they are; of a longer one a hash is."""

_UNUSED = frozenset(
    {
        "_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype",
        "processor_class", "_processor_class", "auto_map", "chat_template", "tokenizer",
        # What a file says of padding and cutting; the program decides both itself.
        "padding", "truncation", "padding_side", "truncation_side",
        "version",  # of the format of tokenizer.json
    }
)  # fmt: skip
"""Fields of files that change no answer, or that stand elsewhere in the identity."""


def identity_of(loaded: LoadedModel) -> Identity:
    """Return what decides the answers of a loaded model, by part and field."""
    processor, tokenizer = loaded.processor, tokenizer_of(loaded.processor)
    parts: dict[str, Mapping[str, Any]] = {
        "chat template": _texts(getattr(processor, "chat_template", None)),
        "tokenizer": _tokenizer(tokenizer) if hasattr(tokenizer, "get_vocab") else {},
        "processor": {} if processor is tokenizer else _settings(processor),
        "generation config": _generation(loaded.model, processor),
        "code of the checkpoint": _code(loaded.model, processor, tokenizer),
        MODEL_CONFIG: _flat(loaded.model.config.to_dict()),
    }
    return {
        part: {field: _text(value) for field, value in fields.items() if value is not None}
        for part, fields in parts.items()
    }


def _texts(template: Any) -> dict[str, Any]:
    """Return a chat template by its names; one without a name has the empty one."""
    return dict(template) if isinstance(template, Mapping) else {"": template or "none"}


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Return how texts become tokens, and tokens texts."""
    names = ("model_input_names", "clean_up_tokenization_spaces", "split_special_tokens")
    fields = {name: getattr(tokenizer, name, None) for name in names}
    # Where neither config nor tokenizer states a length, tokenizers say 10^30.
    fields["model_max_length"] = min(getattr(tokenizer, "model_max_length", 0), 10**18)
    fields |= {f"special_tokens.{name}": token for name, token in _special_tokens(tokenizer)}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        added = {str(place): repr(token) for place, token in tokenizer.added_tokens_decoder.items()}
        fields |= {"vocabulary": tokenizer.get_vocab(), "added_tokens": added}
        fields["class"] = type(tokenizer).__name__
        for name in ("add_bos_token", "add_eos_token", "do_lower_case"):
            fields[name] = getattr(tokenizer, name, None)
        return fields
    stated: dict[str, Any] = json.loads(backend.to_str())
    algorithm = stated.pop("model")
    fields |= {name: value for name, value in stated.items() if name not in _UNUSED}
    return fields | {f"model.{name}": value for name, value in algorithm.items()}


def _special_tokens(tokenizer: Any) -> Iterable[tuple[str, str]]:
    for name, token in sorted(tokenizer.special_tokens_map.items()):
        yield name, str(token) if not isinstance(token, list) else " ".join(map(str, token))


def _settings(processor: Any) -> dict[str, Any]:
    """Return the settings of a processor: how pictures become tensors and placeholders."""
    return _flat(processor.to_dict()) if hasattr(processor, "to_dict") else {}


def _generation(model: Any, processor: Any) -> dict[str, Any]:
    """Return what greedy decoding takes from the generation config; see `generate.greedily`."""
    if getattr(model, "generation_config", None) is None:
        return {}
    return {
        "eos_token_id": sorted(end_tokens(model, processor)),
        "bos_token_id": model.generation_config.bos_token_id,
        "pad_token_id": getattr(tokenizer_of(processor), "pad_token_id", None),
    }


def _code(*objects: Any) -> dict[str, Any]:
    """Return hashes of the code that came with the checkpoint."""
    modules = (sys.modules.get(type(one).__module__) for one in objects)
    own = {one for one in modules if one and one.__name__.startswith("transformers_modules")}
    files = (Path(str(one.__file__)) for one in own)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, `image_processor.size.height`."""
    fields: dict[str, Any] = {}
    for name, entry in value.items():
        if name in _UNUSED:
            continue
        if isinstance(entry, Mapping):
            fields |= _flat(entry, f"{prefix}{name}.")
        else:
            fields[prefix + str(name)] = entry
    return fields


def _text(value: Any) -> str:
    """Return a value as text; of a long one its size and hash, but a template is kept whole."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True, default=_plain)
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    size = f"{len(value)} entries, " if isinstance(value, Mapping | list) else ""
    return f"{size}sha256 {digest[:16]}"


def _plain(value: Any) -> Any:
    """Return what JSON does not know, the same in every process."""
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if hasattr(value, "tolist"):
        return value.tolist()
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text
