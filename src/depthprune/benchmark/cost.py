"""What a model costs: its parameters and bytes, and the time and memory that generation takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from depthprune.base.documents import Json
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import counted
from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import Stack
from depthprune.engine.generate import greedily
from depthprune.engine.inputs import max_positions
from depthprune.engine.reference import input_device

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


KINDS = ("embedding", "attention", "mlp", "norm", "lm_head", "vision", "other")

_VISION = re.compile(r"vision|visual|image|pixel|projector|connector|^vit$|patch_embed")
_AUDIO = re.compile(r"audio|speech")
_ATTENTION = re.compile(r"attn|attention")
_MLP = re.compile(
    r"mlp|feed_?forward|ffn|expert|moe|^fc\d|^intermediate$|^output$|dense_(h|4h)_to|"
    r"^(gate|up|down)_proj$"
)
_NORM = re.compile(r"norm|^ln_")
_POSITIONS = re.compile(r"^wpe$|embed_positions|position_embed")


def model_info(
    loaded: LoadedModel, stack: Stack, removal: Removal = (), *, name: str | None = None
) -> Json:
    """Return what the file of an evaluation says of a model; inside `skip`, of what is left of it.

    Args:
        loaded: the model.
        stack: of its blocks.
        removal: the blocks that are skipped.
        name: of the model in the file; its own when None.
    """
    by_kind = parameters_by_kind(loaded.model)
    return {
        "name": name or loaded.name,
        # Of the whole checkpoint, also where blocks are skipped.
        "fingerprint": loaded.fingerprint,
        "architecture": type(loaded.model).__name__,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "stack": stack.path,
        "num_blocks": stack.num_blocks,
        "removed": list(removal),
        "num_active_blocks": stack.num_blocks - len(removal),
        "parameters": sum(by_kind.values()),
        "module_parameters": by_kind,
    }


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers; what is shared counts once."""
    tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return sum(tensor.nbytes for tensor in tensors.values())


def parameters_by_kind(model: PreTrainedModel) -> dict[str, int]:
    """Return the number of parameters of every kind of module; a shared tensor counts once.

    Everything in a vision tower, or between it and the text model, is `vision`, its norms too. An
    output head that is tied to the embedding is `embedding`. The kind is read from the names of the
    modules; what no name tells (audio, convolutions, state spaces) is `other`.
    """
    heads = _of(model, "get_output_embeddings")
    embeddings = _of(model, "get_input_embeddings")
    counts = dict.fromkeys(KINDS, 0)
    for path, parameter in model.named_parameters():
        if id(parameter) in embeddings:
            kind = "embedding"
        elif id(parameter) in heads:
            kind = "lm_head"
        else:
            kind = _kind(path.lower().split("."))
        counts[kind] += parameter.numel()
    return counts


def _kind(path: list[str]) -> str:
    modules = path[:-1]
    if any(map(_VISION.search, path)):
        return "vision"
    if any(map(_AUDIO.search, path)):
        return "other"
    if modules and _NORM.search(modules[-1]):
        return "norm"
    for kind, names in (("embedding", _POSITIONS), ("attention", _ATTENTION), ("mlp", _MLP)):
        if any(map(names.search, modules)):
            return kind
    return "other"


def _of(model: PreTrainedModel, getter: str) -> set[int]:
    try:
        module = getattr(model, getter)()
    except (NotImplementedError, AttributeError):
        return set()
    return set() if module is None else {id(tensor) for tensor in module.parameters()}


PROMPT = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. "
"""What the model reads before it writes, repeated; time does not depend on the words."""


@dataclass(frozen=True)
class SpeedOptions:
    """What is timed.

    Attributes:
        batch_sizes: rows at once, each timed by itself.
        prompt_tokens: read by every row.
        new_tokens: written by every row, no fewer and no more.
        repeats: how often; the mean is told.
        warmup: runs before, which do not count.
    """

    batch_sizes: tuple[int, ...] = (1, 4)
    prompt_tokens: int = 64
    new_tokens: int = 128
    repeats: int = 5
    warmup: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be timed."""
        numbers = (*self.batch_sizes, self.prompt_tokens, self.new_tokens, self.repeats)
        if min(numbers) < 1 or self.warmup < 0:
            raise DepthpruneError(
                "speed needs at least one row, prompt token, new token and repeat",
                option=("prompt_tokens", "new_tokens", "repeats"),
                mend="give positive numbers",
            )


@dataclass(frozen=True)
class Speed:
    """The time that one batch took, in seconds, for every repeat."""

    batch_size: int
    new_tokens: int
    seconds: tuple[float, ...]

    @property
    def tokens_per_second(self) -> float:
        """New tokens of all rows per second, in the mean over repeats."""
        return self.batch_size * self.new_tokens / fmean(self.seconds)

    @property
    def tokens_per_second_std(self) -> float:
        """Population standard deviation of that over the repeats."""
        return pstdev(self.batch_size * self.new_tokens / one for one in self.seconds)

    @property
    def ms_per_token(self) -> float:
        """Milliseconds per new token of all rows: 1000 / tokens_per_second."""
        return 1000 / self.tokens_per_second

    @property
    def ms_per_token_std(self) -> float:
        """Population standard deviation of that over the repeats."""
        return pstdev(1000 * one / (self.batch_size * self.new_tokens) for one in self.seconds)

    @property
    def ms_per_step(self) -> float:
        """Milliseconds until every row has one token more: what one reader waits for."""
        return 1000 * fmean(self.seconds) / self.new_tokens

    def entry(self, options: SpeedOptions, device: str) -> Json:
        """Return what the file of an evaluation says, timed so on a device."""
        asked = asdict(options)
        del asked["batch_sizes"]
        return {
            "tokens_per_second": self.tokens_per_second,
            "tokens_per_second_std": self.tokens_per_second_std,
            "ms_per_token": self.ms_per_token,
            "ms_per_token_std": self.ms_per_token_std,
            "ms_per_step": self.ms_per_step,
            **asked,
            "seconds": list(self.seconds),
            "device": device,
        }


def measure_in_turns(
    loaded: LoadedModel,
    batch_size: int,
    options: SpeedOptions,
    sides: Sequence[Callable[[], AbstractContextManager[object]]],
    *,
    on_progress: Callable[[float], None] | None = None,
) -> list[Speed]:
    """Time `generate` in several states of a model, one repeat of each after the other.

    Reading the prompt is included; decoding is greedy and with KV cache. The devices are waited for
    before the clock is read. A vision-language model is timed on text. What else the machine does
    hits all states alike; each round begins with another one.

    Args:
        loaded: the model.
        batch_size: rows at once.
        options: what is timed.
        sides: each enters a state of the model, e.g. one without some blocks.
        on_progress: is told the share that is done.

    Raises:
        DepthpruneError: the model has too few positions, or memory runs out.
    """
    runs = options.warmup + options.repeats
    seconds: list[list[float]] = [[] for _ in sides]
    for run in range(runs):
        for turn in range(len(sides)):
            place = (run + turn) % len(sides)
            with sides[place](), _writing(loaded, batch_size, options) as write:
                begin = time.perf_counter()
                write()
                if run >= options.warmup:
                    seconds[place].append(time.perf_counter() - begin)
            if on_progress is not None:
                on_progress(1 / runs / len(sides))
    return [Speed(batch_size, options.new_tokens, tuple(each)) for each in seconds]


def write_once(loaded: LoadedModel, batch_size: int, options: SpeedOptions) -> None:
    """Generate once what `measure_in_turns` times, e.g. to see how much memory that takes.

    Raises:
        DepthpruneError: the model has too few positions.
    """
    with _writing(loaded, batch_size, options) as write:
        write()


@contextmanager
def _writing(
    loaded: LoadedModel, batch_size: int, options: SpeedOptions
) -> Iterator[Callable[[], None]]:
    """Yield a function that writes once, and returns when the devices have finished."""
    import torch

    model, device = loaded.model, input_device(loaded.model)
    check_positions(model, options)
    ids = torch.tensor([prompt_tokens(loaded.tokenizer, options.prompt_tokens)] * batch_size)
    inputs = {"input_ids": ids.to(device), "attention_mask": torch.ones_like(ids).to(device)}
    # Without a token that ends an answer every row has as many new tokens as were asked for.
    with (
        torch.inference_mode(),
        greedily(model, loaded.tokenizer, (), options.new_tokens) as config,
    ):

        def write() -> None:
            _wait()
            written: Any = model.generate(**inputs, generation_config=config)
            _wait()
            if written.shape[1] != options.prompt_tokens + options.new_tokens:
                raise DepthpruneError(
                    "the model wrote "
                    f"{counted(written.shape[1] - options.prompt_tokens, 'token')} in place "
                    f"of {options.new_tokens}: its own generation code stops earlier"
                )

        yield write


def prompt_tokens(tokenizer: Any, count: int) -> list[int]:
    """Return `count` tokens of plain words, repeated as often as needed."""
    tokens = list(tokenizer(PROMPT, add_special_tokens=False)["input_ids"])
    if not tokens:
        raise DepthpruneError("the tokenizer makes no tokens of plain words")
    return (tokens * (count // len(tokens) + 1))[:count]


def check_positions(model: Any, options: SpeedOptions) -> None:
    limit, needed = max_positions(model), options.prompt_tokens + options.new_tokens
    if limit is not None and needed > limit:
        raise DepthpruneError(
            f"{counted(options.prompt_tokens, 'prompt token')} and {options.new_tokens} new ones "
            "are more "
            f"than the {limit} that the model reads",
            option=("prompt_tokens", "new_tokens"),
            mend=f"give numbers whose sum is at most {limit}",
        )


def peak_while(run: Callable[[], None], device_type: str) -> int | None:
    """Run something; return the most bytes that were in use meanwhile, weights included.

    Args:
        run: what is watched.
        device_type: `cuda`: what torch has allocated on all GPUs together. Elsewhere nothing runs:
            the memory of a process is that of Python and its libraries.
    """
    import torch

    if device_type != "cuda":
        return None
    devices = range(torch.cuda.device_count())
    for index in devices:
        torch.cuda.reset_peak_memory_stats(index)
    run()
    return sum(torch.cuda.max_memory_allocated(index) for index in devices)


def _wait() -> None:
    """Wait until every device has done what it was given."""
    import torch

    for index in range(torch.cuda.device_count()):
        torch.cuda.synchronize(index)
    if torch.backends.mps.is_available():
        torch.mps.synchronize()
