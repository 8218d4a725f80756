"""How long does a whole beam search over the eight demo datasets take?

In turns in one process, the same search (beam of width 3, down to four blocks removed) by

- a plain loop as in existing tools: a shorter list of blocks, inputs encoded anew, `generate`;
- the reference evaluator: the same, but inputs are encoded once;
- the shared evaluator, the default;
- the shared evaluator with `--race`, which is statistical: how many beams are the same is printed.

    python benchmarks/search.py [--samples 32] [--batch-size 16] [--threads 1] [--tasks NAME ...]

Prints a table in markdown: ratios of CPU and wall time, block executions, differing answers.
Racing needs samples: with fewer than some hundred hardly a candidate is stopped, and
`python benchmarks/racing.py` tells more of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import (
    Cost,
    PlainLoop,
    beam_search,
    differing,
    machine,
    measured,
    number_of_answers,
)

from depthprune.base.removal import Removal, rounded
from depthprune.blocks.models import LoadedModel, load_model
from depthprune.blocks.stack import find_stack
from depthprune.engine import Evaluation, Evaluator, ReferenceEvaluator, SharedEvaluator
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import Beam, RaceOptions, SearchSpace
from depthprune.strategies.model import model_record
from depthprune.strategies.one_shot import Compared
from depthprune.strategies.runner import run
from depthprune.study import StudyStore
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import list_tasks
from depthprune.tasks.task import TaskSplit

Found = dict[Removal, Evaluation]
RACED = "shared, racing"
WIDTH, MOST = 3, 4


def main() -> None:
    """Search every dataset by every engine and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=32, help="of each dataset")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tasks", nargs="*", help="names of demo tasks; all when left out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    loaded = load_model(MODEL_PATH, dtype=options.dtype, device=options.device)
    num_blocks = find_stack(loaded.model).num_blocks
    size = options.batch_size
    engines: dict[str, Callable[[], Evaluator]] = {
        "plain loop": lambda: PlainLoop(loaded, size),
        "reference": lambda: ReferenceEvaluator(loaded, batch_size=size),
        "shared": lambda: SharedEvaluator(loaded, batch_size=size),
    }
    totals = {name: Cost() for name in [*engines, RACED]}
    # One of each for the whole search, as the program has it.
    ready = {name: make() for name, make in engines.items()}
    racer = engines["shared"]()
    wrong = dict.fromkeys(totals, 0)
    answers = same = 0
    warm_up(engines)
    names = options.tasks or [one.name for one in list_tasks() if one.name.startswith("demo_")]
    for task in (one for one in list_tasks() if one.name in names):
        split = load_split(task, "validation", num_samples=options.samples)
        found: dict[str, Found] = {}
        for name, evaluator in ready.items():
            with measured(loaded) as cost:
                found[name] = beam_search(evaluator, split, num_blocks, width=WIDTH, most=MOST)
            _add(totals[name], cost)
            wrong[name] += differing(found["plain loop"], found[name])
        with measured(loaded) as cost:
            beam, found[RACED] = race(loaded, racer, split)
        _add(totals[RACED], cost)
        full = found["plain loop"]
        common = {removal: one for removal, one in found[RACED].items() if removal in full}
        wrong[RACED] += differing({removal: full[removal] for removal in common}, common)
        same += beam == best(full)
        answers += number_of_answers(found["plain loop"])
        cells = " ".join(f"{name} {totals[name].cpu:.1f} s" for name in totals)
        print(f"after {task.name}: {cells} CPU", flush=True)
    plain = totals["plain loop"]
    print(f"\n{answers} answers of {options.samples} samples of each of {len(names)} datasets\n")
    print("| engine | CPU s | of plain | wall s | of plain | block calls | of plain | differing |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, cost in totals.items():
        print(
            f"| {name} | {cost.cpu:.1f} | {plain.cpu / cost.cpu:.2f}x "
            f"| {cost.wall:.1f} | {plain.wall / cost.wall:.2f}x "
            f"| {cost.calls} | {plain.calls / cost.calls:.1f}x | {wrong[name]} |"
        )
    print(f"\nracing kept {same} of {len(names)} final beams")
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}")


def race(
    loaded: LoadedModel, evaluator: Evaluator, split: TaskSplit
) -> tuple[tuple[Removal, ...], Found]:
    """Search one split racing; return the last beam and what was measured in full."""
    stack = find_stack(loaded.model)
    space = SearchSpace(stack.num_blocks)
    with (
        tempfile.TemporaryDirectory(prefix="depthprune-") as folder,
        StudyStore.open(Path(folder), model=model_record(loaded, stack)) as study,
    ):
        options = RaceOptions(chunk=max(8, len(split.samples) // 8))
        strategy = Compared(Beam(WIDTH, max_removed=MOST, race=options))
        session = Session(study, evaluator)
        run(strategy, space, session, SplitGroup((split,)))
        key = session.key(split)
        found = {}
        for one in study.measurements(key, evaluator.settings):
            assert one.scores is not None
            assert one.answers is not None
            ids = tuple(sample.id for sample in split.samples)
            found[one.removal] = Evaluation(
                (one.removal,), ids, one.scores[None], (tuple(one.answers),)
            )
    return best(found), found


def best(found: Found) -> tuple[Removal, ...]:
    """Return the last beam of a search."""
    longest = [removal for removal in found if len(removal) == MOST]
    accuracy = {
        removal: rounded(float(found[removal].scores.mean(dtype=float))) for removal in longest
    }
    return tuple(sorted(longest, key=lambda one: (-accuracy[one], one))[:WIDTH])


def warm_up(engines: dict[str, Callable[[], Evaluator]]) -> None:
    """Let every engine answer a few samples: what is imported or made once is not its cost."""
    task = next(one for one in list_tasks() if one.name.startswith("demo_"))
    split = load_split(task, "validation", num_samples=2)
    for make in engines.values():
        make().evaluate(split, [(), (3,)])


def _add(total: Cost, cost: Cost) -> None:
    total.wall += cost.wall
    total.cpu += cost.cpu
    total.calls += cost.calls
    total.tokens += cost.tokens
    total.memory = max(total.memory, cost.memory)


if __name__ == "__main__":
    main()
