"""Every command of README and docs/ that the demo model can take runs, one after the other (slow).

What a page calls a model is the demo model here, a task its namesake among the demo tasks, and few
samples are taken. Commands that need the hub, or a package's own data, are named in `NOT_HERE`.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
from depthprune.tasks.demo import MODEL_PATH
from tests.cli.program import Program
from tests.docs.test_documentation import MANUAL, OPTIONS, commands, page_id

pytestmark = pytest.mark.slow

MODELS = ("MODEL", "BASE", "model", "Qwen2.5-VL-3B-Instruct", "Llama-3-8B-Instruct")
TASKS = {"okvqa", "text_vqa", "text-vqa", "doc_qa", "st_qa"}
NOT_HERE = {
    "lm_eval:": "data of the hub",
    "evaluate ./model --download": "texts of the hub",
    "evaluate ./model --remove": "texts of the hub",
    "evaluate ./Qwen2.5": "texts of the hub",
    "zeroshot": "data of the hub",
    "ppl,speed": "a text of the user's",
    "my_plates": "pictures of the user's",
    "exp3_beam_search_multi_dataset": "an old study's folder",
}
FEW = {
    "--num-samples": ("--num-samples", "4"),
    "--allow-weak-baseline": ("--allow-weak-baseline",),
    "--latency-samples": ("--latency-samples", "1"),
    "--latency-tokens": ("--latency-tokens", "2"),
    "--warmup": ("--warmup", "0"),
    "--beam-width": ("--beam-width", "1"),
    "--max-blocks-to-remove": ("--max-blocks-to-remove", "4"),
}
"""Added where a command has the option, so that it takes seconds."""
PAGES = [page for page in MANUAL if commands(page) and page.parent.name != "tutorials"]
"""Tutorials run as they stand, see `test_tutorials`."""


def adapted(line: str) -> list[str]:
    """Return the arguments of a command line for the demo model and few samples."""
    words = [
        f"demo_{word.replace('-', '_')}"
        if word in TASKS
        # What `proxies MODEL` wrote, in the study of that name.
        else word.replace("STUDY/proxies/okvqa/", "depthprune-MODEL/proxies/demo-okvqa/")
        for word in shlex.split(line, comments=True)[1:]
        if word != "--download"
    ]
    if "--num_active_blocks" in words:
        # Of the page's 36 blocks and of our 16: all, and all but the one that a few samples free.
        words = [{"34": "15", "36": "16"}.get(word, word) for word in words]
        words = [word for word in words if word not in ("30", "32")]
    if "--num-samples" in words:
        words[words.index("--num-samples") + 1] = "4"
    name = " ".join(words[:2]) if " ".join(words[:2]) in OPTIONS else words[0]
    if name in ("profile", "search", "sweep", "proxies", "run", "demo", "evaluate"):
        for option, more in FEW.items():
            if option in OPTIONS[name] and option not in words:
                words += more
    if name == "search":
        words += ["--protect", "0,2,3,5,6,8,9,10,11,14"]
    return words


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which everything that pages name without making it is there."""
    folder = tmp_path_factory.mktemp("world")
    for name in MODELS:
        shutil.copytree(MODEL_PATH, folder / name)
    cut = folder / "PRUNED"
    execute_cut(plan_cut(MODEL_PATH, (7,)), cut)
    for name in ("cut", "baselines/removed7", "results/removed7", "results/HGSP_2000"):
        shutil.copytree(cut, folder / name)
    (weights,) = (folder / "results" / "HGSP_2000").glob("*.safetensors")
    torch.save(load_file(weights), weights.with_name("pruned_model.bin"))
    weights.unlink()
    (folder / "sums.py").write_text(
        "from depthprune.tasks import Sample, Task\n"
        "class Sums:\n"
        "    def splits(self): return ('validation',)\n"
        "    def samples(self, split):\n"
        "        return [Sample(str(n), f'{n} + {n} =', references=('2',)) for n in range(9)]\n"
        "    def describe(self): return 'sums'\n"
        "TASK = Task('sums', 'Exact Match', Sums(), metric='exact_match', max_new_tokens=4)\n"
    )
    removed = {"12": [4, 7, 13, 15], "14": [4, 13]}
    configs = {n: {"removed_block_indices": blocks} for n, blocks in removed.items()}
    for name in ("block_configs_for_core_exp.json", "pruning_recommendations.json"):
        (folder / name).write_text(json.dumps({"block_configs": configs}))
    return folder


@pytest.fixture(scope="module")
def measured(world: Path) -> Path:
    """Return the same folder with the studies that pages go on from."""
    from depthprune.cli.app import main

    def run(line: str) -> None:
        with pytest.raises(SystemExit) as stopped:
            main([str(world / "MODEL") if w == "MODEL" else w for w in adapted(line)])
        assert not stopped.value.code, line

    for name in ("depthprune-model", "my-study", "STUDY", "depthprune-demo"):
        run(f"depthprune search MODEL --task okvqa doc_qa --joint --output {world / name}")
    run(f"depthprune profile MODEL --task okvqa doc_qa --output {world / 'profile'}")
    run(f"depthprune merge --study {world / 'profile'} --output_file {world / 'merged.json'}")
    run(f"depthprune evaluate MODEL --task okvqa --output {world / 'one.json'}")
    for name in ("evaluation_results.json", "without_4_13.json", "whole.json", "cut.json"):
        shutil.copy(world / "one.json", world / name)
    return world


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_commands_of_a_page_run(
    page: Path, measured: Path, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    shutil.copytree(measured, place)
    if page.name == "importance.md":
        shutil.rmtree(place / "my-study")  # the page makes its own
    monkeypatch.chdir(place)
    ran = 0
    for line in commands(page):
        if any(re.search(re.escape(one), line) for one in NOT_HERE):
            continue
        done = program(*adapted(line))
        assert done.code == 0, f"{line}\n{done.err}"
        ran += 1
    assert ran


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)
