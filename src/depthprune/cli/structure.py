"""`depthprune structure`: what checkpoints consist of, and what pruning took from them."""

from __future__ import annotations

from cyclopts import App

structure = App(
    name="structure",
    help="""Look into checkpoints without loading them: what is in each layer, and what is gone.

Only the headers of the weight files are read; nothing of a pickled model is executed.

For example:

    depthprune structure analyze MODEL                        parts and layers
    depthprune structure analyze MODEL --compare_with BASE    what is gone
    depthprune structure batch --models_dir D --base_model BASE --output_dir O
    depthprune structure summarize --dirs baselines results --output summary
""",
    help_format="markdown",
)
# Each is imported when it is run.
structure.command("depthprune.cli.structure_analyze:analyze")
structure.command("depthprune.cli.structure_batch:batch")
structure.command("depthprune.cli.structure_summarize:summarize", alias="summarise")
