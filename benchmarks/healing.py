"""How much of what a cut costs a linear map wins back.

python benchmarks/healing.py FOLDER
python benchmarks/healing.py FOLDER --model M --task-file F --task T ... --remove 4,13 --num-samples 256

Each removal is cut plain and healed on train samples, both are scored on validation samples, and so is the whole model.
"""  # noqa: E501

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from time import process_time

import depthprune as dp
from depthprune.base.removal import parse_removal


def main() -> None:
    """Cut, heal, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--task", nargs="+", default=["demo"])
    parser.add_argument("--task-file", type=Path, nargs="*", default=[])
    parser.add_argument("--remove", nargs="+", default=["5,9", "3,5,8,9"])
    parser.add_argument("--num-samples", type=int, default=32, help="of each task, to fit to")
    parser.add_argument("--judging", type=int, default=64, help="samples of each task, to score")
    asked = parser.parse_args()
    tasks, files = tuple(asked.task), tuple(asked.task_file)

    def score(model: str | Path) -> float:
        found = dp.evaluate(
            model, score=tasks, task_files=files, num_samples=asked.judging, progress=False
        )
        return fmean(found.scores.values())

    whole = score(asked.model)
    print(
        f"whole model {100 * whole:.2f} %\n\nremoved | cut | healed | won back | CPU s of healing"
    )
    print("--- | --: | --: | --: | --:")
    for text in asked.remove:
        removal = parse_removal(text)
        found, seconds = [], 0.0
        for heal in (
            None,
            dp.LinearMap(tasks=tasks, task_files=files, num_samples=asked.num_samples),
        ):
            name = f"{'plain' if heal is None else 'healed'}-{text.replace(',', '-')}"
            before = process_time()
            dp.cut(
                asked.model, removal, asked.folder / name, heal=heal, overwrite=True, progress=False
            )
            seconds = process_time() - before
            found.append(score(asked.folder / name))
        plain, healed = found
        won = (healed - plain) / (whole - plain) if whole > plain else float("nan")
        print(
            f"{text} | {100 * plain:.2f} | {100 * healed:.2f} | {won:.0%} | {seconds:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
