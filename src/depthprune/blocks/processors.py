"""Load a model's tokenizer, image processor or processor, in the environment that is there.

What is measured are texts and pictures. Processors of several architectures have a half for videos,
which needs torchvision; they are loaded without it, so that nobody needs torchvision for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from depthprune.base.errors import ModelError
from depthprune.base.files import read_json
from depthprune.base.prompting import PromptSettings
from depthprune.blocks.skeleton import quiet


def load_processor(source: str | Path, class_name: str, **options: Any) -> Any:
    """Return what turns texts and pictures into a model's inputs.

    Pictures are prepared by Pillow where transformers has such a processor, also where torchvision
    is installed: the same pixels on every machine.

    Args:
        source: a checkpoint folder, or the name of a model on the hub.
        class_name: `AutoProcessor`, `AutoImageProcessor` or `AutoTokenizer`.
        options: as for `from_pretrained` of that class.

    Raises:
        ModelError: files or a package are missing; names the package.
    """
    import transformers

    try:
        with quiet(), _without_videos():
            auto_class = getattr(transformers, class_name)
            if class_name == "AutoImageProcessor":
                return auto_class.from_pretrained(source, backend="pil", **options)
            processor = auto_class.from_pretrained(source, **options)
            _prepare_by_pillow(processor, source, options)
    except Exception as error:  # damaged files fail in as many ways as there are libraries
        raise ModelError(
            f"the model has no usable {class_name.removeprefix('Auto').lower()}: "
            f"{first_line(error)}",
            where=str(source),
            mend=how_to_install(error)
            or "add the tokenizer and processor files of the model that it was made from",
        ) from error
    return processor


def adopt_chat_template(processor: Any, folder: Path) -> None:
    """Give a processor or tokenizer without chat template the one that lies elsewhere.

    That is the tokenizer's, or that of `chat_template.json`, which processors alone look for.
    """
    if getattr(processor, "chat_template", None):
        return
    found = getattr(getattr(processor, "tokenizer", None), "chat_template", None)
    path = folder / "chat_template.json"
    if not found and path.is_file():
        content = read_json(path)
        found = content.get("chat_template") if isinstance(content, dict) else None
    if found:
        processor.chat_template = found


def limit_pixels(processor: Any, prompt: PromptSettings) -> None:
    """Let a processor keep pictures within the pixels that the settings name, if they name any.

    Raises:
        ModelError: the model reads no pictures, its processor knows no such limit, or the two
            limits leave no picture.
    """
    asked = {"min_pixels": prompt.min_pixels, "max_pixels": prompt.max_pixels}
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not wanted:
        return
    images: Any = getattr(processor, "image_processor", None)
    known = getattr(getattr(images, "valid_kwargs", None), "__annotations__", {})
    for name in wanted:
        # Whoever takes both as arguments keeps them as the ends of its size.
        if name not in known or not getattr(images.size, _EDGES[name], None):
            kind = type(processor if images is None else images).__name__
            raise ModelError(
                f"the model's {kind} knows no limit of pixels",
                option=name,
                mend="leave it out: pictures get the size that the processor's own files say",
            )
    size = dict(images.size) | {_EDGES[name]: value for name, value in wanted.items()}
    least, most = (size[edge] for edge in _EDGES.values())
    if least > most:
        raise ModelError(
            f"no picture has at least {least} and at most {most} pixels",
            option=next(iter(wanted)),
            mend="give both limits: the other one is the processor's own",
        )
    images.size = type(images.size)(**size)


_EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}


def how_to_install(error: BaseException) -> str | None:
    """Return the pip command for the package that an error misses; None for any other error."""
    package = missing_package(error)
    if package is None:
        # A build for another torch breaks whatever imports it, though nobody needs it here.
        broken = any("torchvision::" in str(one) for one in _chain(error))
        return "torchvision does not fit torch: pip uninstall torchvision" if broken else None
    command = f"run: pip install {package}"
    if package == "torchvision":
        command += " (from the index that torch was installed from, and of the release beside it)"
    return command


def missing_package(error: BaseException) -> str | None:
    """Return the package, as pip calls it, that an error or one behind it says is missing."""
    for seen in _chain(error):
        if isinstance(seen, ImportError | ValueError):
            match = next(filter(None, (pattern.search(str(seen)) for pattern in _MISSING)), None)
            if match:
                name = match[1].strip("`'\".,").lower()
                return _PIP_NAMES.get(name, name)
            if isinstance(seen, ModuleNotFoundError) and seen.name:
                name = seen.name.partition(".")[0].lower()
                return _PIP_NAMES.get(name, name.replace("_", "-"))
    return None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says; libraries add pages of advice."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# In the words of transformers: of its placeholders for classes, of models, of image processors.
_MISSING = (
    re.compile(r"pip install (?:-U |--upgrade )?([\w.`'\"-]+)"),
    re.compile(r"requires the ([\w-]+) library"),
    re.compile(r"Missing optional dependencies: ([\w-]+)"),
)

_PIP_NAMES = {
    "pil": "pillow",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "mistral_common": "mistral-common",
}


class _NoVideos(dict[str, Any]):
    """Stands where a processor keeps its half for videos; it has no settings and no inputs.

    A dictionary, because processors write their parts out as JSON.
    """

    model_input_names = ()

    @classmethod
    def from_pretrained(cls, *_: Any, **__: Any) -> _NoVideos:
        return cls()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _without_videos() -> Iterator[None]:
    """Let processors load their other halves alone, also where torchvision is installed."""
    # The first import of this one makes the package anew: what was imported before is not used.
    import_module("transformers.processing_utils")
    transformers = import_module("transformers")
    video_processing_auto = import_module("transformers.models.auto.video_processing_auto")
    places = ((video_processing_auto, "AutoVideoProcessor"), (transformers, "VideoProcessorMixin"))
    before = [vars(module).get(name) for module, name in places]
    for module, name in places:
        setattr(module, name, _NoVideos)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            if value is None:
                delattr(module, name)
            else:
                setattr(module, name, value)


def _prepare_by_pillow(processor: Any, source: str | Path, options: dict[str, Any]) -> None:
    import transformers
    from transformers.image_processing_backends import PilBackend

    current = getattr(processor, "image_processor", None)
    is_pillows = isinstance(current, PilBackend)
    if current is None or is_pillows or not type(current).__module__.startswith("transformers."):
        return
    other = transformers.AutoImageProcessor.from_pretrained(source, backend="pil", **options)
    if isinstance(other, PilBackend):
        processor.image_processor = other
