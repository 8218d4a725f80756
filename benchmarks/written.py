"""What does sharing work save where a real model writes, or reads solved examples first?

Compares the shared evaluator with the reference, in turns in one process on one thread, on a
folder with SmolLM2-135M-Instruct and the data of `benchmarks/real/build.py`:

- sums after four solved ones, with answers of up to 64 tokens (ended by an empty line), and of up
  to 6 tokens (ended by the line) as in `make real`;
- definitions after five solved ones, the likelihoods of four letters, as in MMLU.

    DEPTHPRUNE_REAL=real python benchmarks/written.py MODEL [--samples 32] [--every 7] [--case ...]

The shared evaluator measures all single removals, then all pairs with one block; the reference only
every seventh of them, because its cost is the same for each. Prints a table in markdown: CPU
seconds for a removal, their ratio, tokens that were read once for all rows, differing answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measuring import machine, measured

from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.models import load_model
from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.engine.shared.agreement import alike
from depthprune.tasks.load import load_split
from depthprune.tasks.task import Request, Sample, Scorer, Task

sys.path.insert(0, str(Path(__file__).parent / "real"))
import tasks as real

HEADING = (
    *("case", "step", "removals", "reference CPU s", "shared CPU s", "ratio"),
    *("block tokens, ratio", "read once", "rounds", "differing"),
)
PARTNER = 10


class LongSums(real.Sums):
    """Sums whose answers end with an empty line."""

    def sample(self, row: dict[str, object]) -> Sample:
        """Return one sum."""
        sample = super().sample(row)
        asked = replace(sample.requests[0], until=("\n\n",), max_new_tokens=64)
        return replace(sample, requests=(asked,))


class FiveShots(real.Data):
    """Questions after five solved ones, with the likelihood of each letter."""

    def samples(self, split: str) -> Sequence[Sample]:
        """Return the samples of a half, after the first five of the other."""
        (other,) = set(self.splits()) - {split}
        solved = [
            _question(one) + f" {one.references[0]}\n\n" for one in super().samples(other)[:5]
        ]
        samples = []
        for one in super().samples(split):
            context = "".join(solved) + _question(one)
            asked = tuple(Request("loglikelihood", context, f" {letter}") for letter in "ABCD")
            samples.append(replace(one, requests=asked))
        return samples

    def scorer(self, samples: Sequence[Sample]) -> Scorer:
        """Return the scorer of these samples."""
        return real.Likeliest()


def _question(sample: Sample) -> str:
    options = zip("ABCD", sample.choices, strict=True)
    return "\n".join([sample.question, *(f"{a}. {b}" for a, b in options), "Answer:"])


def _task(name: str, data: real.Data) -> Task:
    return Task(name, "Text", data, answer="respond")


CASES = {
    "sums, 64 tokens": _task("sums64", LongSums("arithmetic", real.first_number)),
    "sums, 6 tokens": _task("sums6", real.Sums("arithmetic", real.first_number)),
    "definitions, 5 shots": _task("definitions5", FiveShots("definitions")),
}


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--case", choices=CASES, nargs="*", default=list(CASES))
    parser.add_argument("--steps", choices=("singles", "pairs"), nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model(options.model, dtype="float32")
    print(machine(), f"\n\n| {' | '.join(HEADING)} |\n|{' --- |' * len(HEADING)}", flush=True)
    for name in options.case:
        split = load_split(CASES[name], "validation", num_samples=options.samples)
        shared = SharedEvaluator(loaded, batch_size=options.batch_size, self_check=False)
        reference = ReferenceEvaluator(loaded, batch_size=options.batch_size)
        blocks = range(shared.stack.num_blocks)
        steps: dict[str, list[Removal]] = {
            "singles": [(block,) for block in blocks],
            "pairs": [(*sorted((block, PARTNER)),) for block in blocks if block != PARTNER],
        }
        shared.evaluate(split, [()])
        for step in options.steps or steps:
            removals = [
                one for one in steps[step] if inadmissible_reason(shared.stack, one) is None
            ]
            before = shared.statistics
            with measured(loaded) as ours:
                found = shared.evaluate(split, removals)
            few = removals[options.every // 2 :: options.every]
            with measured(loaded) as theirs:
                plain = reference.evaluate(split, few)
            answers = dict(zip(removals, found.answers, strict=True))
            differing = sum(
                not alike(one, other)
                for removal, row in zip(few, plain.answers, strict=True)
                for one, other in zip(answers[removal], row, strict=True)
            )
            work = shared.statistics
            read = work.real_tokens - before.real_tokens
            once = work.common_tokens - before.common_tokens
            share = len(few) / len(removals)
            cells = (
                *(name, step, f"{len(removals)} ({len(few)})", f"{theirs.cpu / len(few):.1f}"),
                *(f"{ours.cpu / len(removals):.2f}", f"{theirs.cpu / share / ours.cpu:.2f}"),
                f"{theirs.tokens / share / ours.tokens:.2f}",
                *(f"{once / read:.0%}" if read else "", work.rounds - before.rounds),
                f"{differing} of {len(few) * len(split.samples)}",
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
