"""How a sweep measures times, and on what kind of machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_types import Gt

from depthprune.engine.latency import LatencyOptions
from depthprune.engine.options import ModelOptions


@dataclass(frozen=True)
class SweepOptions(LatencyOptions):
    """How times are measured."""

    remeasure_latency: bool = False
    """Measure times that are known already."""

    profile: Literal["h100", "a100", "cpu"] | None = None
    """Device, batch size and memory of a kind of machine; what is given explicitly wins."""

    max_memory: Annotated[float, Gt(0)] | None = None
    """GiB of each GPU that may be used; batches that need more are halved."""

    def memory(self, given: ModelOptions) -> float | None:
        """Return the GiB of each GPU that may be used; None for all, and on what is no GPU."""
        if self.max_memory is not None or self.profile is None:
            return self.max_memory
        device = self.run(given).device
        # A preset's memory is that of its device: a CPU that was asked for wins over both.
        is_gpu = device == "auto" or device.startswith("cuda")
        return PRESETS[self.profile].max_memory if is_gpu else None

    def run(self, given: ModelOptions) -> ModelOptions:
        """Return how the model is run: as given, and where nothing is given as the profile says."""
        if self.profile is None:
            return given
        preset = PRESETS[self.profile]
        is_placed = given.device != "auto" or given.device_map is not None
        return replace(
            given,
            device=given.device if is_placed else preset.device,
            batch_size=preset.batch_size if given.batch_size is None else given.batch_size,
        )


@dataclass(frozen=True)
class SweepPreset:
    """How a sweep uses a kind of machine.

    Attributes:
        device: that it runs on.
        batch_size: samples at once, where accuracies are measured.
        max_memory: GiB of each GPU; None: no limit.
    """

    device: str
    batch_size: int
    max_memory: float | None


PRESETS: Mapping[str, SweepPreset] = {
    "h100": SweepPreset("cuda", 64, 76.0),
    "a100": SweepPreset("cuda", 32, 38.0),
    "cpu": SweepPreset("cpu", 8, None),
}
"""By name. Of an H100 (80 GB) and of the smaller A100 (40 GB), a little is left to others."""
