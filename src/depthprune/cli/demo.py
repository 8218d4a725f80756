"""`depthprune demo`: the main job on the embedded model and its eight datasets."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from depthprune.cli.measure import AsJson, Output, search
from depthprune.cli.options import DEMO, DataFlags, Language, ModelFlags
from depthprune.report.language import translator

DEMO_SAMPLES = 64


def demo(
    *,
    output: Output = Path("depthprune-demo"),
    num_samples: int = DEMO_SAMPLES,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Run the main job on the embedded model: 16 blocks, eight datasets, a few minutes on a CPU.

    Needs no network and no GPU. The same as
    `depthprune search demo --num-samples 64 --output depthprune-demo`.

    For example:

        depthprune demo

    Parameters
    ----------
    num_samples
        Samples of each dataset; more take longer and give narrower intervals.

    """
    t = translator(lang)
    data = DataFlags(num_samples=num_samples)
    if not json:
        opening = t(
            "Beam search over the 16 blocks of the embedded vision-language model, on each of its "
            "eight datasets, {samples} samples each."
        )
        Console(stderr=True).print(
            opening.format(samples=data.samples or t("all")), highlight=False
        )
    search(DEMO, output=output, json=json, lang=lang, data=data, run=ModelFlags())
