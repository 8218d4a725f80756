"""Specification of workers: however many share the samples, the study holds the same rows."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import depthprune as dp
from depthprune.base.errors import DepthpruneError, TaskError
from depthprune.base.progress import Progress, pace_of
from depthprune.engine.options import ModelOptions, Workers
from depthprune.engine.workers import ray_pool
from depthprune.engine.workers import worker as worker_module
from depthprune.engine.workers.sliced import SlicedEvaluator, cut
from depthprune.strategies import Beam, model
from depthprune.strategies.kinds.beam import RaceOptions
from depthprune.strategies.model import ModelSource, OpenModel, model_source, open_on_worker
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import (
    SearchRequest,
    load_splits,
    make_ready,
    run_search,
    search_model,
)
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.sources import LocalSource
from depthprune.tasks.task import TaskSplit
from depthprune.testing.workers import LocalPool
from depthprune.workflow.study_file import read_study_file
from tests.cli.program import Program
from tests.cli.test_kill import content

STAYING = frozenset(range(16)) - {1, 4, 7, 13}
TASKS = ("demo_okvqa", "demo_coco_caption", "demo_science_qa_img")
"""The last one is asked for likelihoods."""


def request(folder: Path, workers: Workers, tasks: tuple[str, ...] = TASKS) -> SearchRequest:
    data = DataOptions(tasks=tasks, num_samples=12)
    found = [
        replace(one, answer="choose", metric="choice_likelihood") if "science" in one.name else one
        for one in data.find_tasks("demo")
    ]
    beam = Beam(max_removed=2, width=1, race=RaceOptions(chunk=4))
    return SearchRequest(
        model=model_source("demo", ModelOptions(dtype="float32", device="cpu"), workers=workers),
        tasks=tuple(found),
        splits=("validation",),
        folder=folder,
        search=SearchOptions(beam, protect=STAYING, joint=True),
        num_samples=12,
        allow_weak_baseline=True,
        data=data,
    )


def in_process(monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[LocalPool]:
    pools: list[LocalPool] = []

    def start(source: ModelSource) -> LocalPool:
        number = source.workers.wanted
        assert isinstance(number, int)
        pools.append(LocalPool(number, partial(open_on_worker, source), **options))
        return pools[-1]

    monkeypatch.setattr(model, "start_workers", start)
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    return pools


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("alone")
    search_model(request(folder, Workers()))
    return content(folder)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_study_holds_the_same_rows_for_any_number_of_workers(
    number: int, alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pools := in_process(monkeypatch)).clear()
    search_model(request(tmp_path, Workers(number)))
    assert content(tmp_path) == alone
    assert {worker for worker, _ in pools[0].jobs} == set(range(number))


def test_what_a_lost_worker_had_is_answered_by_the_others(
    alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = in_process(monkeypatch, lost=(1, 9, 16, 17, 28))
    search_model(request(tmp_path, Workers(3)))
    assert content(tmp_path) == alone
    checks = [job for _, job in pools[0].jobs[:9] if not job.removals]
    assert len(checks) == 8, "of three workers, of which one was lost at once, for three splits"
    again = pools[0].jobs[11:13]
    assert sum(len(job.places) for _, job in again) == len(pools[0].jobs[9][1].places)


def test_the_driver_holds_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(monkeypatch)
    opened = model.open_model(request(tmp_path, Workers(1)).model)
    whole = model.open_model(request(tmp_path, Workers()).model)
    assert opened.loaded.model.device.type == "meta"
    assert opened.record == whole.record
    assert opened.state == whole.state
    assert opened.with_weights().loaded.model.device.type == "cpu"


def test_a_worker_keeps_its_slice_of_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = in_process(monkeypatch)
    search_model(request(tmp_path, Workers(2), ("demo_okvqa",)))
    places = {(w, job.split.number, job.places) for w, job in pools[0].jobs if len(job.places) > 2}
    assert len(places) <= 4, "one for each worker and order of the samples"


class Paced(LocalPool):
    """Workers of which the first takes three times as long."""

    def result(self, handle: Any) -> Any:
        answered = super().result(handle)
        worker, job = self.jobs[handle]
        seconds = len(job.places) * len(job.removals) * (3.0 if worker == 0 else 1.0)
        return type(answered)(answered.answers, seconds, answered.removals_per_call)


def test_slices_are_sized_by_the_pace_of_the_baseline_then_fixed(tmp_path: Path) -> None:
    asked = request(tmp_path, Workers(), ("demo_okvqa",))
    (split,) = model_splits(asked)
    opened: OpenModel = model.open_model(asked.model)
    pool = Paced(2, partial(open_on_worker, asked.model))
    evaluator = SlicedEvaluator(pool, opened.stack, lambda _: None)
    evaluator.evaluate(split, [()])
    for removal in [(1,), (4,)]:
        evaluator.evaluate(split, [removal])
    assert [len(job.places) for _, job in pool.jobs] == [6, 6, 3, 9, 3, 9]


def test_workers_are_not_asked_about_a_split_of_an_earlier_search(tmp_path: Path) -> None:
    asked = request(tmp_path, Workers(), ("demo_okvqa",))
    opened = model.open_model(asked.model)
    pool = LocalPool(2, partial(open_on_worker, asked.model))
    (first,), (fresh,) = model_splits(asked), model_splits(replace(asked, seed=1))
    for split in (first, fresh, first):  # as stages of `run` do, each with its own evaluator
        evaluator = SlicedEvaluator(pool, opened.stack, lambda _: None)
        expected = opened.evaluator(Progress()).evaluate(split, [(), (4,)])
        assert evaluator.evaluate(split, [(), (4,)]).answers == expected.answers


def test_the_progress_tells_the_pace_of_each_worker(tmp_path: Path) -> None:
    asked = request(tmp_path, Workers(), ("demo_okvqa",))
    opened = model.open_model(asked.model)
    pool, bar = Paced(2, partial(open_on_worker, asked.model)), Progress("measuring", 48)
    evaluator = replace(opened, pool=pool).evaluator(bar)
    evaluator.evaluate(*model_splits(asked), [(), (4,)])
    assert bar.done == 24
    assert bar.value()["workers_per_second"] == pytest.approx([1 / 3, 1])
    assert bar.line().startswith("measuring: ")
    assert "per second, by worker 0.33 + 1," in bar.line()


def test_paces_of_many_workers_are_told_as_a_range() -> None:
    assert pace_of(700.4, [10.0] * 63 + [123.4]) == (
        "700 per second, by each of 64 workers 10 to 123"
    )


STUDY = """
model: {source: demo, dtype: float32, device: cpu}
tasks: [demo_okvqa]
num_samples: 6
output: study
workers: 5
ray: auto
profile: {splits: [train]}
search: {beam_width: 1, max_blocks_to_remove: 1, protect: [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]}
"""


def test_a_study_file_run_by_workers_holds_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = in_process(monkeypatch)
    (tmp_path / "study.yaml").write_text(STUDY)
    whole = dp.run(tmp_path / "study.yaml", workers=0, output=tmp_path / "whole")
    assert not pools
    shared = dp.run(tmp_path / "study.yaml", workers=2, output=tmp_path / "shared")
    assert content(shared.folder) == content(whole.folder)
    assert {worker for worker, _ in pools[0].jobs} == {0, 1}


def test_workers_of_the_command_line_go_before_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    study = read_study_file(tmp_path / "study.yaml")
    for given, expected in [
        (Workers(), Workers(5, ray="auto")),
        (Workers(2), Workers(2, ray="auto")),
        (Workers(0), Workers(0, ray="auto")),
        (Workers(ray="gpu1:6379", max_restarts=0), Workers(5, ray="gpu1:6379", max_restarts=0)),
    ]:
        assert study.requests(workers=given)["search"].model.workers == expected


def pictured(folder: Path, number: int = 6) -> TaskSplit:
    """Return a split with pictures in files."""
    Image = pytest.importorskip("PIL.Image")
    for name in range(number):
        Image.new("RGB", (32, 32), (40 * name, 0, 0)).save(folder / f"{name}.png")
    rows = [
        {"image": f"{name}.png", "question": "How red?", "answers": ["very"]}
        for name in range(number)
    ]
    (folder / "validation.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (task,) = DataOptions(tasks=("demo_okvqa",)).find_tasks("demo")
    return load_split(replace(task, name="mine", source=LocalSource(folder)), "validation", None)


def test_pictures_that_a_node_lacks_are_found_before_anything_is_measured(tmp_path: Path) -> None:
    asked = request(tmp_path, Workers())
    pool = LocalPool(2, partial(open_on_worker, asked.model))
    opened = replace(model.open_model(asked.model), pool=pool)
    split = pictured(tmp_path)
    opened.check_samples([split])
    (tmp_path / "4.png").write_bytes((tmp_path / "3.png").read_bytes())
    with pytest.raises(TaskError, match=r"has another image there(.|\n)*at the same path"):
        opened.check_samples([split])
    (tmp_path / "4.png").unlink()
    with pytest.raises(TaskError, match=r"image file cannot be read(.|\n)*4\.png(.|\n)*same path"):
        opened.check_samples([split])


class NotThere:
    """A sample's part whose module another machine lacks."""

    def open(self) -> Any:
        """Nothing is opened here."""

    def __reduce__(self) -> Any:
        return importlib.import_module, ("a_module_of_one_machine",)


def test_samples_that_a_node_cannot_read_are_refused_by_name(tmp_path: Path) -> None:
    asked = request(tmp_path, Workers(), ("demo_okvqa",))
    pool = LocalPool(1, partial(open_on_worker, asked.model))
    opened = replace(model.open_model(asked.model), pool=pool)
    (split,) = model_splits(asked)
    strange = replace(split.samples[0], images=(NotThere(),))
    with pytest.raises(TaskError, match=r"demo_okvqa cannot be read there: .*of_one_machine"):
        opened.check_samples([replace(split, samples=(strange,))])


def model_splits(asked: SearchRequest) -> list[Any]:
    return load_splits(asked.tasks, asked.splits, asked.num_samples, asked.seed)


@pytest.mark.parametrize("number", [1, 3, 7, 12])
@pytest.mark.parametrize("places", [range(5), range(3, 40, 2), range(9, -1, -1), range(0)])
def test_slices_are_consecutive_and_whole(number: int, places: range) -> None:
    shares = np.random.default_rng(number).random(number) + 0.01
    parts = cut(places, list(shares))
    assert len(parts) == number
    assert [place for part in parts for place in part] == list(places)


def test_another_version_on_a_node_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    there = worker_module.versions()
    monkeypatch.setattr(worker_module, "versions", lambda: there | {"torch": "2.0.1"})
    with pytest.raises(DepthpruneError, match=r"torch 2\.0\.1, and this machine " + there["torch"]):
        worker_module.Worker().open(b"", there, ".", None)


def test_a_warning_of_a_worker_is_passed_on_once() -> None:
    handler = worker_module._Messages()
    handler.emit(worker_module.logging.LogRecord("x", 30, "", 0, "slow: %s", ("why",), None))
    assert handler.fetch() == ((30, "slow: why"),)
    assert handler.fetch() == ()


@pytest.mark.parametrize("wrong", ["both", -1, 1.5, True, ""])
def test_a_number_of_workers_is_a_number_or_all(wrong: Any) -> None:
    with pytest.raises(DepthpruneError, match="0 or more, or all"):
        Workers(wrong)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nobody.invalid:6379", "127.0.0.1:999999"])
def test_an_address_that_nobody_answers_is_refused_at_once(address: str) -> None:
    ray: Any = SimpleNamespace(is_initialized=lambda: False)
    with pytest.raises(DepthpruneError, match=f"no cluster of Ray at '{address}': "):
        ray_pool._connect(ray, Workers(2, ray=address))


def test_a_cluster_alone_means_all_of_it() -> None:
    assert Workers(ray="auto").wanted == "all"
    assert Workers().wanted == 0


def test_without_ray_the_extra_is_named_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(capsys)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("depthprune.strategies.pipeline.load_splits", None)
    done = program("search", "demo", "--workers", 2, "--output", tmp_path / "study")
    assert done.code == 2
    assert "pip install 'depthprune[distributed]'" in done.err


HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="the extra `distributed` is not installed")


def children(word: str) -> list[int]:
    """Return the processes whose name holds a word: those of Ray's actors."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                name = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if name.startswith(word):
                found.append(int(place.name))
    return found


@needs_ray
@pytest.mark.slow
def test_real_workers_one_of_them_killed_in_mid_call(
    alone: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    asked = request(tmp_path, Workers(2))
    opened = model.open_model(asked.model)
    try:
        pool: Any = opened.pool
        submit, killed = pool.submit, []

        def deadly(worker: int, job: Any) -> Any:
            handle = submit(worker, job)
            if job.removals != ((),) and not killed:
                killed.extend(children("ray::Worker")[:1])
                os.kill(killed[0], signal.SIGKILL)
            return handle

        pool.submit = deadly
        run_search(make_ready(asked, model_splits(asked), opened))
        assert killed
        assert "was lost and is replaced" in caplog.text
        assert content(tmp_path) == alone
    finally:
        ray.shutdown()


@needs_ray
@pytest.mark.slow
def test_after_max_restarts_the_node_and_the_cause_are_named(tmp_path: Path) -> None:
    import ray

    asked = request(tmp_path, Workers(1, max_restarts=0), ("demo_okvqa",))
    opened = model.open_model(asked.model)
    try:
        for process in children("ray::Worker"):
            os.kill(process, signal.SIGKILL)
        (split,) = model_splits(asked)
        with pytest.raises(DepthpruneError, match=r"1 worker failed, the last one on .*: .*Worker"):
            opened.evaluator(Progress()).evaluate(split, [()])
    finally:
        ray.shutdown()


@needs_ray
@pytest.mark.slow
def test_nothing_is_left_running_after_the_driver_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "depthprune", "search", "demo", "--workers", "2"]
    process = subprocess.Popen([*command, "--output", str(tmp_path / "study")])
    until = time.monotonic() + 120
    while not (len(children("ray::Worker")) == 2 and (tmp_path / "study" / "study.db").exists()):
        assert time.monotonic() < until
        time.sleep(0.5)
    process.kill()
    process.wait()
    until = time.monotonic() + 60
    while children("ray::Worker"):
        assert time.monotonic() < until
        time.sleep(0.5)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of Ray on this machine: two nodes, each with a place for one worker."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **QUIET})
    yield made
    ray.shutdown()
    made.shutdown()


QUIET = {"include_dashboard": False, "object_store_memory": 100 * 2**20}


def searched_on(cluster: Any, folder: Path, before: Callable[[Any], object], **options: Any) -> Any:
    """Search by two workers of a cluster; `before` is called at the first removal."""
    asked = request(folder, Workers(2, ray=cluster.address, **options))
    opened = model.open_model(asked.model)
    pool: Any = opened.pool
    submit, called = pool.submit, []

    def watched(worker: int, job: Any) -> Any:
        if any(job.removals) and not called:
            called.append(worker)
            before(pool)
        return submit(worker, job)

    pool.submit = watched
    run_search(make_ready(asked, model_splits(asked), opened))
    assert called
    return pool


@needs_ray
@pytest.mark.slow
def test_a_node_is_lost(
    alone: Any, cluster: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = cluster.add_node(num_cpus=1, **QUIET)
    searched_on(cluster, tmp_path, lambda _: cluster.remove_node(node, allow_graceful=False))
    assert "was lost and is replaced" in caplog.text
    assert content(tmp_path) == alone


@needs_ray
@pytest.mark.slow
def test_a_node_joins_later(
    alone: Any,
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ray_pool, "ROOM_SECONDS", 15.0)

    def join(pool: Any) -> None:
        assert len(pool.ready()) == 1
        cluster.add_node(num_cpus=1, **QUIET)
        until = time.monotonic() + 90
        while len(pool.ready()) < 2:
            assert time.monotonic() < until
            time.sleep(0.5)

    pool = searched_on(cluster, tmp_path, join)
    assert "1 of 2 workers found a place; the others join" in caplog.text
    assert all(one.signs is not None or one.is_ready for one in pool._slots)
    assert content(tmp_path) == alone


@needs_ray
@pytest.mark.slow
def test_a_worker_runs_out_of_memory(
    alone: Any,
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ray_pool, "ROOM_SECONDS", 15.0)

    def join(pool: Any) -> None:
        # On this node Ray finds that memory is short whatever is used, and kills what works there.
        monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
        node = cluster.add_node(num_cpus=1, **QUIET)
        until = time.monotonic() + 90
        while "was lost and is replaced" not in caplog.text:
            assert time.monotonic() < until
            pool.ready()
        cluster.remove_node(node)

    searched_on(cluster, tmp_path, join, max_restarts=1000)
    assert re.search(r"was lost and is replaced.*running low on memory", caplog.text)
    assert content(tmp_path) == alone
