"""The stages of an answer, timed while a model runs: looking at pictures, reading, writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


LOOK = "get_image_features"
"""The method by which models of transformers turn pictures into what the decoder reads: the vision
tower and the projector behind it."""


@dataclass(frozen=True)
class Pass:
    """One forward pass of a model.

    Attributes:
        tokens: that each row has in this pass; 1 where a cache holds the others.
        milliseconds: of the whole pass, vision included.
    """

    tokens: int
    milliseconds: float


class StageClock:
    """What was seen while a model ran; see `watch`.

    Attributes:
        passes: in order.
        vision: milliseconds spent on pictures; None where the model looked at none.
    """

    def __init__(self, synchronise: Callable[[], None]) -> None:
        """Take what waits until the devices have done their work."""
        self.passes: list[Pass] = []
        self.vision: float | None = None
        self._synchronise = synchronise
        self._started = 0.0
        self._tokens = 0
        self._looking = 0
        self._looked = 0.0

    def now(self) -> float:
        """Return the time in milliseconds, after all work that was begun is done."""
        self._synchronise()
        return 1000 * perf_counter()

    def clear(self) -> None:
        """Forget what was seen."""
        self.passes = []
        self.vision = None
        # A run that failed in the midst of a picture must not spoil the next one.
        self._looking = 0

    def begin_pass(self, tokens: int) -> None:
        """Note that a forward pass begins."""
        self._tokens = tokens
        self._started = self.now()

    def end_pass(self) -> None:
        """Note that it ended."""
        self.passes.append(Pass(self._tokens, self.now() - self._started))

    def begin_look(self) -> None:
        """Note that a part of the model which looks at pictures begins; parts may be nested."""
        if self._looking == 0:
            self._looked = self.now()
        self._looking += 1

    def end_look(self) -> None:
        """Note that it ended; only the outermost part counts."""
        self._looking -= 1
        if self._looking == 0:
            self.vision = (self.vision or 0.0) + self.now() - self._looked


@contextmanager
def watch(model: Any) -> Iterator[StageClock]:
    """Time every forward pass of `model` and its work on pictures while the body runs.

    Watched are the model itself, the root of its vision tower, and every `get_image_features`. On
    leaving, the model is as before.
    """
    clock = StageClock(synchroniser(model))

    def begin(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        clock.begin_pass(_num_tokens(args, kwargs))

    with ExitStack() as undo:
        undo.enter_context(model.register_forward_pre_hook(begin, with_kwargs=True))
        undo.enter_context(model.register_forward_hook(lambda *_: clock.end_pass()))
        for path in vision_roots(model):
            tower = model.get_submodule(path)
            undo.enter_context(tower.register_forward_pre_hook(lambda *_: clock.begin_look()))
            undo.enter_context(tower.register_forward_hook(lambda *_: clock.end_look()))
        for module in model.modules():
            if callable(getattr(module, LOOK, None)):
                undo.enter_context(_timed_look(module, clock))
        yield clock


def vision_roots(model: Any) -> list[str]:
    """Return where vision towers begin: the outermost modules around their blocks alone."""
    from depthprune.blocks.stack import find_stacks

    stacks = find_stacks(type(model), model.config)
    others = [f"{stack.path}." for stack in stacks if stack.part in ("text", "decoder")]
    roots = []
    for stack in stacks:
        if stack.part != "vision" or "[" in stack.config_path:
            continue
        names = stack.path.split(".")
        prefixes = (".".join(names[:end]) for end in range(1, len(names)))
        root = next((p for p in prefixes if not any(o.startswith(f"{p}.") for o in others)), None)
        if root is not None and others:
            roots.append(root)
    return list(dict.fromkeys(roots))


def synchroniser(model: nn.Module) -> Callable[[], None]:
    """Return what waits for the accelerators that hold the model; nothing for a CPU."""
    import torch

    devices = {parameter.device for parameter in model.parameters()}
    gpus = [device for device in devices if device.type == "cuda"]
    has_mps = any(device.type == "mps" for device in devices)

    def wait() -> None:
        for device in gpus:
            torch.cuda.synchronize(device)
        if has_mps:
            torch.mps.synchronize()

    return wait


@contextmanager
def _timed_look(module: nn.Module, clock: StageClock) -> Iterator[None]:
    attributes = vars(module)
    own = attributes.get(LOOK)
    look = getattr(module, LOOK)

    @wraps(look)
    def timed(*args: Any, **kwargs: Any) -> Any:
        clock.begin_look()
        found = look(*args, **kwargs)
        clock.end_look()
        return found

    attributes[LOOK] = timed
    try:
        yield
    finally:
        del attributes[LOOK]
        if own is not None:
            attributes[LOOK] = own


def _num_tokens(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    read = [*args[:1], kwargs.get("input_ids"), kwargs.get("inputs_embeds")]
    return next((int(value.shape[1]) for value in read if value is not None), 0)
