"""Batches: a guess that is halved when memory runs out, with nothing lost and nothing repeated."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from depthprune.base.errors import DepthpruneError
from depthprune.engine import batching
from depthprune.engine.batching import guess_batch_size, is_out_of_memory, run_in_batches

CPU_COMPLAINT = "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 GB"


class Device:
    """Runs batches of at most `room` rows and runs out of memory above."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room = room
        self.error = error
        self.done: list[int] = []
        self.tried: list[int] = []

    def run(self, start: int, stop: int) -> None:
        self.tried.append(stop - start)
        if stop - start > self.room:
            raise self.error
        self.done += range(start, stop)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError(CPU_COMPLAINT),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:12]}",
)
def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(error: Exception) -> None:
    device = Device(5, error)
    assert run_in_batches(23, 16, device.run) == 4
    assert device.done == list(range(23))
    assert device.tried == [16, 8, 4, 4, 4, 4, 4, 3]


def test_batches_that_fit_are_not_halved() -> None:
    device = Device(8, MemoryError())
    assert run_in_batches(20, 8, device.run) == 8
    assert device.tried == [8, 8, 4]


def test_a_last_batch_that_fails_is_halved_by_what_it_held() -> None:
    device = Device(2, MemoryError())
    assert run_in_batches(3, 100, device.run) == 1
    assert device.tried == [3, 1, 1, 1]


def test_no_rows_need_no_batch() -> None:
    device = Device(1, MemoryError())
    assert run_in_batches(0, 4, device.run) == 4
    assert device.tried == []


def test_a_single_row_that_does_not_fit_is_an_error_that_says_what_to_do() -> None:
    device = Device(0, RuntimeError(CPU_COMPLAINT))
    with pytest.raises(DepthpruneError, match="a single sample") as error:
        run_in_batches(4, 4, device.run)
    assert error.value.where == CPU_COMPLAINT
    assert error.value.mend is not None
    assert device.tried == [4, 2, 1]


def test_other_errors_pass_at_once() -> None:
    device = Device(1, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        run_in_batches(4, 4, device.run)
    assert device.tried == [4]


def test_the_tensors_of_a_failed_batch_are_free_before_the_next_try() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def run(start: int, stop: int) -> None:
        assert all(reference() is None for reference in held)
        tensor = torch.zeros(stop - start)
        if stop - start > 1:
            held.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("CUDA out of memory")

    gc.disable()
    try:
        run_in_batches(8, 8, run)
    finally:
        gc.enable()
    assert len(held) == 3


def test_halving_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        run_in_batches(8, 8, Device(4, MemoryError()).run)
    assert "out of memory with 8 samples at once; going on with 4" in caplog.text


def test_only_memory_errors_count_as_such() -> None:
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(RuntimeError("device-side assert triggered"))


def test_small_models_get_larger_batches_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(8, 8)
    small = guess_batch_size(model, torch.device("cpu"))
    monkeypatch.setattr(batching, "SMALL_MODEL_BYTES", 8)
    assert guess_batch_size(model, torch.device("cpu")) < small


@pytest.mark.parametrize(("gibibytes", "rows"), [(0.01, 1), (2, 16), (10, 80), (139, 256)])
def test_an_accelerator_s_free_memory_decides(
    monkeypatch: pytest.MonkeyPatch, gibibytes: float, rows: int
) -> None:
    free = int(gibibytes * 1024**3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    assert guess_batch_size(nn.Linear(8, 8), torch.device("cuda", 0)) == rows


def test_on_a_mac_what_the_driver_has_not_taken_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 6 * 1024**3)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2 * 1024**3)
    assert guess_batch_size(nn.Linear(8, 8), torch.device("mps")) == 32


def test_the_caches_of_every_device_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[Any] = []
    for device in ("cuda", "mps"):
        monkeypatch.setattr(
            f"torch.{'backends.' if device == 'mps' else ''}{device}.is_available", lambda: True
        )
        monkeypatch.setattr(f"torch.{device}.empty_cache", lambda name=device: emptied.append(name))
    batching.free_memory()
    assert emptied == ["cuda", "mps"]
