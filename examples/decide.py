"""Decide from results that were measured earlier, by depthprune or by other scripts.

    python examples/decide.py FOLDER REPORT

FOLDER is a study or a folder of documented result files; the report goes to REPORT. No model is
loaded, and torch is not needed.
"""

from __future__ import annotations

import sys

import depthprune as dp


def main(folder: str, report: str) -> None:
    """Print what is recommended and why, and write the report."""
    study = dp.open_study(folder)
    found = dp.analyze(study, max_drop=0.05)
    recommendations = found.recommendations
    print(f"{study.num_blocks} blocks, {len(study.datasets)} datasets")
    print(f"Blocks that must stay: {recommendations.must_stay}")
    for name, choices in recommendations.strategies.items():
        for one in choices:
            print(
                f"{name}: remove {one.removal}, drop {one.drop:.4f}, {len(one.datasets)} datasets"
            )
    best = recommendations.recommended
    if best is None:
        print(f"Nothing is recommended: {recommendations.why}")
    else:
        print(f"Recommended ({best.rule}): remove {best.removal}, drop {best.drop:.4f}")
    for path in dp.write_report(found, report, formats=("txt", "json")):
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
