"""The linear maps that a cut writes in place of removed blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from depthprune.base.errors import ModelError
from depthprune.base.progress import progress as show_progress
from depthprune.cutting import CutOptions
from depthprune.healing import LinearMap
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    import torch

    from depthprune.checkpoint.stored import StoredTensor
    from depthprune.cutting.plan import CutPlan


@dataclass(frozen=True)
class NewNumbers:
    """A tensor of a checkpoint with other numbers, of the same type and shape.

    Attributes:
        source: the tensor.
        numbers: its new ones.
    """

    source: StoredTensor
    numbers: torch.Tensor

    @property
    def name(self) -> str:
        """Its key."""
        return self.source.name

    @property
    def dtype(self) -> str:
        """Its number type."""
        return self.source.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.source.shape

    @property
    def storage(self) -> str:
        """What identifies its bytes."""
        return f"healed {self.source.storage}"

    @property
    def file(self) -> Path:
        """Where it lay before."""
        return self.source.file

    def pieces(self, size: int = 2**22) -> Iterator[bytes]:
        """Yield its new bytes."""
        import torch

        given = self.numbers.to(_TYPES[self.dtype](torch)).contiguous().cpu()
        content = given.view(torch.uint8).numpy().tobytes()
        for start in range(0, len(content), size):
            yield content[start : start + size]


_TYPES = {
    "F64": lambda torch: torch.float64,
    "F32": lambda torch: torch.float32,
    "F16": lambda torch: torch.float16,
    "BF16": lambda torch: torch.bfloat16,
}


def healed_plan(
    plan: CutPlan,
    source: str,
    how: CutOptions,
    heal: LinearMap,
    samples: Sequence[TaskSplit] | None = None,
) -> CutPlan:
    """Return a plan whose checkpoint has a linear map in place of each run of removed blocks.

    Args:
        plan: of the cut.
        source: the model, as a user names it.
        how: the options of the cut.
        heal: what the maps are fitted to.
        samples: the samples themselves, where they are loaded already.

    Raises:
        ModelError: the model's weights are quantised, or see `fit`.
        DepthpruneError: there are too few samples, or none were named.
    """
    from depthprune.engine.options import ModelOptions
    from depthprune.healing.linear import described, fit, runs_of
    from depthprune.importance.proxies.calibration import Calibration
    from depthprune.strategies.model import model_source, open_model, prompted_tasks
    from depthprune.strategies.pipeline import load_splits

    runs_of(plan.removal)
    if plan.quantized or plan.part != "text":
        raise ModelError(
            "the weights are quantised" if plan.quantized else "only the language model is healed",
            where=str(plan.source),
            mend="cut without healing",
            option="heal",
        )
    # Of hidden states in half precision, the sums would be noise as much as signal.
    run = ModelOptions(
        dtype="float32", trust_remote_code=how.trust_remote_code, revision=how.revision
    )
    options = model_source(source, run, download=how.download)
    if samples is None:
        data = DataOptions(
            tasks=heal.tasks,
            task_files=heal.task_files,
            data_dir=heal.data_dir,
            download=how.download,
        )
        tasks = prompted_tasks(options, data.find_tasks(source))
        samples = load_splits(tasks, [heal.split], heal.num_samples or None, heal.seed)
    model = open_model(options, [split.task for split in samples])
    with show_progress("healing", sum(len(split.samples) for split in samples)) as bar:
        found = fit(
            [Calibration(model.loaded, split, on_batch=bar.advance) for split in samples],
            plan.removal,
            heal.positions,
        )
    prefix = model.stack.path.rpartition(".")[2]
    new = {
        f"{prefix}.{one.block}.{name}": value for one in found for name, value in one.values.items()
    }
    data_of = ", ".join(f"{split.task.name} {split.split}" for split in samples)
    lines = (*map(described, found), f"calibration samples: {data_of}")
    return replace(_with_numbers(plan, new), healed=lines)


def _with_numbers(plan: CutPlan, new: dict[str, torch.Tensor]) -> CutPlan:
    """Return a plan that writes other numbers for tensors whose keys end so.

    Raises:
        ModelError: a key is not there, or there are several, or its shape is another one.
    """
    left = dict(new)
    shards = []
    for shard in plan.shards:
        tensors = []
        for tensor in shard.tensors:
            key = tensor.source.name
            ending = next((one for one in new if f".{key}".endswith(f".{one}")), None)
            if ending is not None:
                numbers = left.pop(ending, None)
                fits = numbers is not None and tuple(numbers.shape) == tensor.shape
                if numbers is None or not fits or tensor.source.dtype not in _TYPES:
                    raise ModelError(f"{key} is stored in a way that cannot be healed")
                tensor = replace(tensor, source=NewNumbers(tensor.source, numbers))
            tensors.append(tensor)
        shards.append(replace(shard, tensors=tuple(tensors)))
    if left:
        raise ModelError(f"the checkpoint has no tensor {next(iter(left))}", where=str(plan.source))
    return replace(plan, shards=tuple(shards))
