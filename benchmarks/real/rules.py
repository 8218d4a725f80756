"""Which rule chooses the blocks that a real model can lose best? Other facts judge.

python benchmarks/real/rules.py REAL --small

REAL is the folder that `build.py` wrote. Every rule chooses 2, 4, 6 and 8 blocks on the training
halves of four multiple-choice tasks; accuracy and perplexity on the other halves judge. After every
rule the tables so far are printed. What is measured is kept in REAL/rules: stop at any time and run
the same command again. `--kept` measures nothing, and shows the rules of which all is there.

Strategies, proxies and intervals are those of depthprune. Removals are measured by the walk of
`objectives.py`, which shares what removals have in common and the tokens all questions begin with.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from proxies import scored

from depthprune.analysis.intervals import Differences, mean_intervals
from depthprune.base.removal import Removal, format_removal
from depthprune.strategies import Beam, Evolutionary, Greedy, SearchSpace, Strategy
from depthprune.strategies.warm_start import mean_scores, proposals

TASKS = ("definitions", "capitals", "elements", "last_words")
TEXTS = "prose"
CHANCE = 0.25
NUMBERS = (2, 4, 6, 8)
SEEDS = 5
WARM = "block_influence"
OURS = "joint beam, by loss"
PIECE = 16
"""Rows that a process measures at once."""

_walk: Any = None


def start(folder: Path) -> None:
    """Load the model, in every process once."""
    global _walk
    import torch
    from objectives import Walk

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    _walk = Walk(folder)


def piece(
    rows: Sequence[Mapping[str, Any]], removals: Sequence[Removal]
) -> tuple[dict[Removal, list[list[float]]], float]:
    """Return the loss of every option of some rows without each removal, and the CPU seconds."""
    started = process_time()
    found = _walk.losses(rows, removals)
    return {one: found[one][0].tolist() for one in removals}, process_time() - started


def pieces(rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the places of all rows, in lots of like length."""
    order = sorted(range(len(rows)), key=lambda place: len(json.dumps(rows[place])))
    return [order[start : start + PIECE] for start in range(0, len(order), PIECE)]


class Measured:
    """The losses of all options of some samples of each task, by removal; kept in a file."""

    def __init__(
        self, real: Path, half: str, samples: Mapping[str, int], pool: ProcessPoolExecutor | None
    ) -> None:
        self.pool = pool
        self.rows: dict[str, list[dict[str, Any]]] = {}
        for task, most in samples.items():
            text = (real / "data" / task / f"{half}.jsonl").read_text(encoding="utf-8")
            self.rows[task] = list(map(json.loads, text.splitlines()))[:most]
        name = "-".join(f"{task}{len(rows)}" for task, rows in self.rows.items())
        self.path = real / "rules" / f"{half}-{name}.jsonl"
        self.path.parent.mkdir(exist_ok=True)
        self.losses: dict[Removal, dict[str, list[list[float]]]] = {}
        self.seconds: dict[Removal, float] = {}
        kept = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in kept.splitlines():
            # The last one may have been cut short.
            with suppress(ValueError):
                value = json.loads(line)
                removal = tuple(value["removal"])
                self.losses[removal], self.seconds[removal] = value["losses"], value["seconds"]

    def measure(self, removals: Iterable[Removal]) -> None:
        """Measure what is not known, and keep it."""
        new = [one for one in dict.fromkeys(removals) if one not in self.losses]
        if not new or self.pool is None:
            return
        # Rows of like length are measured together: nothing is computed for padding.
        running = [
            (task, places, self.pool.submit(piece, [rows[one] for one in places], new))
            for task, rows in self.rows.items()
            for places in pieces(rows)
        ]
        losses: dict[Removal, dict[str, Any]] = {
            one: {task: [None] * len(rows) for task, rows in self.rows.items()} for one in new
        }
        seconds = 0.0
        for task, places, each in running:
            found, spent = each.result()
            seconds += spent
            for one in new:
                for place, each_loss in zip(places, found[one], strict=True):
                    losses[one][task][place] = each_loss
        with self.path.open("a", encoding="utf-8") as file:
            for one in new:
                self.losses[one], self.seconds[one] = losses[one], seconds / len(new)
                value = {"removal": one, "losses": losses[one], "seconds": self.seconds[one]}
                file.write(f"\n{json.dumps(value)}")
        print(f"{self.path.name}: {len(self.losses)} removals", flush=True)

    def right(self, removal: Removal, task: str) -> NDArray[np.float64]:
        """Return 1 where the right option is the likeliest, 0 elsewhere, by sample."""
        losses, answers = self._options(removal, task)
        return (losses.argmin(-1) == answers).astype(np.float64)

    def log_losses(self, removal: Removal, task: str) -> NDArray[np.float64]:
        """Return the log-loss over the options, in units of a blind guess; of a text, its own."""
        losses, answers = self._options(removal, task)
        if losses.shape[1] == 1:
            return losses[:, 0]
        chances = np.exp(losses.min(-1, keepdims=True) - losses)
        chances /= chances.sum(-1, keepdims=True)
        found: NDArray[np.float64] = -np.log(chances[np.arange(len(answers)), answers])
        return found / np.log(losses.shape[1])

    def _options(self, removal: Removal, task: str) -> tuple[NDArray[np.float64], list[int]]:
        answers = [row.get("answer", 0) for row in self.rows[task]]
        return np.array(self.losses[removal][task]), answers

    def error(self, removal: Removal) -> float:
        """Return the share of wrong answers, the mean over the tasks."""
        return 1 - float(np.mean([self.right(removal, task).mean() for task in self.rows]))

    def loss(self, removal: Removal) -> float:
        """Return the mean loss over the tasks."""
        return float(np.mean([self.log_losses(removal, task).mean() for task in self.rows]))


Chosen = Mapping[int, Removal]
"""The removal that a rule chooses, by number of blocks."""

Rules = dict[str, tuple[list[Chosen], float]]
"""What each rule chooses, a rule of chance several times, and its CPU seconds."""


def by_hand(blocks: int) -> Rules:
    """Return the rules that look at nothing."""
    draws = map(random.Random, range(SEEDS))
    drawn = [{n: tuple(sorted(one.sample(range(blocks), n))) for n in NUMBERS} for one in draws]
    return {
        "first n": ([{n: tuple(range(n)) for n in NUMBERS}], 0.0),
        "last n": ([{n: tuple(range(blocks - n, blocks)) for n in NUMBERS}], 0.0),
        "random": (drawn, 0.0),
    }


def by_proxies(real: Path, samples: int, space: SearchSpace) -> tuple[Rules, tuple[Removal, ...]]:
    """Return what each proxy removes, by the mean rank of its blocks over the tasks, and what
    `WARM` proposes to a search."""
    found: Rules = {}
    proposed: dict[str, tuple[Removal, ...]] = {}
    for name, (scores, seconds) in scored(real, samples).items():
        mean = mean_scores(list(scores.values()))
        proposed[name] = proposals(mean.scores, mean.runs, space, max(NUMBERS))
        # Where a proxy scores runs, its best run is what its paper removes; it is proposed last.
        found[name.replace("_", " ")] = [{len(one): one for one in proposed[name]}], seconds
    return found, proposed[WARM]


def searched(
    strategy: Strategy,
    space: SearchSpace,
    measured: Measured,
    number_of: Callable[[Removal], float],
) -> tuple[list[Chosen], float] | None:
    """Return the best removal of each number of blocks that a search found, and its CPU seconds;
    None where something is not measured and nothing is to be."""
    asked: Sequence[Removal] = [()]
    known: dict[Removal, float] = {}
    while asked:
        measured.measure(asked)
        if any(one not in measured.losses for one in asked):
            return None
        known |= {one: number_of(one) for one in asked}
        asked = strategy.ask(space, {one: value - known[()] for one, value in known.items()})
    best = {n: min((known[one], one) for one in known if len(one) == n)[1] for n in NUMBERS}
    return [best], sum(measured.seconds[one] for one in known)


def interval(differences: Sequence[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Return the mean over tasks of paired differences, and its 95 % interval, in points."""
    share = 1 / len(differences)
    (ends,) = mean_intervals([Differences(one[None], share) for one in differences])
    assert ends is not None, "so few samples judge nothing"
    return (
        100 * float(np.mean([one.mean() for one in differences])),
        100 * ends.low,
        100 * ends.high,
    )


class Judged:
    """What the rules chose, on samples that none of them saw."""

    def __init__(self, held: Measured, texts: Measured) -> None:
        self.held, self.texts = held, texts
        self.measure([()])
        if () not in held.losses or () not in texts.losses:
            sys.exit("nothing is measured yet: leave out --kept")
        whole = {task: interval([held.right((), task)]) for task in held.rows}
        self.tasks = [task for task, (_, low, _) in whole.items() if low > 100 * CHANCE]
        """Those on which the whole model is better than guessing."""
        self.weak = [task for task in held.rows if task not in self.tasks]
        if not self.tasks:
            sys.exit("the whole model is no better than guessing on every task")

    def measure(self, removals: Iterable[Removal]) -> None:
        """Measure what is not known."""
        wanted = list(removals)
        self.held.measure(wanted)
        self.texts.measure(wanted)

    def known(self, rules: Rules) -> Rules:
        """Return the rules, and of a rule of chance the draws, that are measured."""

        def is_known(chosen: Chosen) -> bool:
            wanted = [chosen[number] for number in NUMBERS]
            return all(one in self.held.losses and one in self.texts.losses for one in wanted)

        found = {name: (list(filter(is_known, one)), cost) for name, (one, cost) in rules.items()}
        return {name: one for name, one in found.items() if one[0]}

    def right(self, chosen: Sequence[Removal]) -> list[NDArray[np.float64]]:
        """Return how often each sample is right, by task."""
        return [
            np.mean([self.held.right(one, task) for one in chosen], axis=0) for task in self.tasks
        ]

    def accuracy(self, chosen: Sequence[Removal]) -> float:
        """Return the mean over the tasks, in per cent."""
        return 100 * float(np.mean([one.mean() for one in self.right(chosen)]))

    def perplexity(self, chosen: Sequence[Removal]) -> float:
        """Return the perplexity of the texts."""
        return float(np.exp(np.mean([self.texts.loss(one) for one in chosen])))


def ours_of(rules: Rules) -> str:
    """Return what the other rules are held against: the beam, or while there is none, greedy."""
    return OURS if OURS in rules else "greedy, by loss"


def show(rules: Rules, judged: Judged) -> None:
    """Print a table for each number of blocks."""
    counts = ", ".join(f"{task} {len(judged.held.rows[task])}" for task in judged.tasks)
    base = judged.right([()])
    print(f"\nheld-out samples: {counts}; no better than guessing, left out: {judged.weak or '-'}")
    cells = " | ".join(f"{100 * one.mean():.1f}" for one in base)
    print(f"whole model: {judged.accuracy([()]):.1f} | {cells} | {judged.perplexity([()]):.1f}")
    ours = ours_of(rules)
    for number in NUMBERS:
        columns = ["rule", "blocks", "mean", f"{ours} minus rule", f"{ours} worse on"]
        columns += [*judged.tasks, "perplexity", "CPU s"]
        print(f"\n{number} blocks removed\n\n| {' | '.join(columns)} |")
        print(f"|---|---|{'--:|' * (len(columns) - 2)}")
        own = judged.right([rules[ours][0][0][number]])
        for name, (choices, seconds) in rules.items():
            chosen = [one[number] for one in choices]
            right = judged.right(chosen)
            less = [a - b for a, b in zip(own, right, strict=True)]
            mean, low, high = interval(less)
            worse = [
                task for task, one in zip(judged.tasks, less, strict=True) if interval([one])[2] < 0
            ]
            line = [
                name if len(chosen) == 1 else f"{name}, mean of {len(chosen)}",
                format_removal(chosen[0]) if len(chosen) == 1 else "",
                f"{judged.accuracy(chosen):.1f}",
                "" if name == ours else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]",
                ", ".join(worse),
                *(f"{100 * one.mean():.1f}" for one in right),
                f"{judged.perplexity(chosen):.4g}",
                f"{seconds:.0f}",
            ]
            print(f"| {' | '.join(line)} |", flush=True)


def draw(rules: Rules, judged: Judged, blocks: int, path: Path) -> None:
    """Draw accuracy on the other halves against the blocks removed, a line for each rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = {
        name: [judged.accuracy([one[n] for one in choices]) for n in NUMBERS]
        for name, (choices, _) in rules.items()
    }
    ours = ours_of(rules)
    figure, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    colors = iter(plt.get_cmap("tab20").colors)  # type: ignore[attr-defined]
    for name in sorted(lines, key=lambda one: -lines[one][1]):
        axes.plot(
            (0, *NUMBERS),
            [judged.accuracy([()]), *lines[name]],
            label=name,
            color="black" if name == ours else next(colors),
            lw=2.6 if name == ours else 1.4,
            marker="o",
            ms=5 if name == ours else 3,
            zorder=3 if name == ours else 2,
        )
    axes.axhline(100 * CHANCE, color="grey", lw=1, ls=":")
    axes.annotate(
        "guessing", (0, 100 * CHANCE), xytext=(0, 3), textcoords="offset points", color="grey"
    )
    axes.set(
        xlabel=f"blocks removed of {blocks}",
        ylabel="mean accuracy on other facts (%)",
        xticks=(0, *NUMBERS),
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Choose, judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("real", type=Path)
    parser.add_argument("--small", action="store_true", help="16 samples choose, 100 judge")
    parser.add_argument("--samples", type=int, help="of each task, that choose (48)")
    parser.add_argument("--held-out", type=int, help="samples of each task, that judge (600)")
    parser.add_argument("--kept", action="store_true", help="measure nothing")
    parser.add_argument("--figure", type=Path, help="PNG of accuracy against blocks removed")
    asked = parser.parse_args()
    real, samples = asked.real, asked.samples or (16 if asked.small else 48)
    most_judges, num_texts = asked.held_out or (100 if asked.small else 600), 16
    config = json.loads((real / "model" / "config.json").read_text(encoding="utf-8"))
    blocks, most = config["num_hidden_layers"], max(NUMBERS)
    workers = ProcessPoolExecutor(os.cpu_count(), initializer=start, initargs=(real / "model",))
    with nullcontext() if asked.kept else workers as pool:
        train = Measured(real, "train", dict.fromkeys(TASKS, samples), pool)
        texts = Measured(real, "train", {TEXTS: samples}, pool)
        held = Measured(real, "validation", dict.fromkeys(TASKS, most_judges), pool)
        judged = Judged(held, Measured(real, "validation", {TEXTS: num_texts}, pool))
        space = SearchSpace(blocks)
        rules, proposed = by_proxies(real, samples, space)
        rules = by_hand(blocks) | rules
        warm = SearchSpace(blocks, proposed=proposed)
        beam, greedy = Beam(3, max_removed=most), Greedy(max_removed=most)
        searches: tuple[tuple[str, Strategy, SearchSpace, Measured, Any], ...] = (
            ("greedy, by loss", greedy, space, train, train.loss),
            ("greedy, by perplexity (SLEB)", greedy, space, texts, texts.loss),
            (OURS, beam, space, train, train.loss),
            ("joint beam, warm-started", beam, warm, train, train.loss),
            ("joint beam, by accuracy", beam, space, train, train.error),
            ("evolutionary, by loss", Evolutionary(max_removed=most), space, train, train.loss),
        )
        for name, strategy, admitted, measured, number_of in searches:
            found = searched(strategy, admitted, measured, number_of)
            if found is None:
                continue
            rules[name] = found
            judged.measure(one[n] for each, _ in rules.values() for one in each for n in NUMBERS)
            known = judged.known(rules)
            show(known, judged)
            if asked.figure is not None:
                draw(known, judged, blocks, asked.figure)


if __name__ == "__main__":
    main()
