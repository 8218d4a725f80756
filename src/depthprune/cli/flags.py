"""How the command line spells an option; messages of the library name its field."""

from __future__ import annotations

SHORT = {
    "tasks": "task",
    "splits": "split",
    "task_files": "task_file",
    "lm_eval_paths": "lm_eval_path",
}
"""Flags that are repeated rather than given a list: one task after the other."""

UNDERSCORED = frozenset(
    {
        "base_model",
        "block_configs",
        "compare_with",
        "comparison_dir",
        "dataset_name",
        "dataset_weights",
        "importance_scores_file",
        "max_shard_size",
        "max_shift",
        "num_active_blocks",
        "num_blocks",
        "output_file",
        "results_dir",
        "top_k",
        "train_scores",
        "train_val_weight",
        "validation_scores",
    }
)
"""Flags that are documented with underscores; the parser takes either spelling of any."""


def flag(name: str, value: str | None = None) -> str:
    """Return the flag that sets an option, as it is documented, and a value behind it."""
    name = SHORT.get(name, name)
    spelled = name if name in UNDERSCORED else name.replace("_", "-").replace(".", "-")
    return f"--{spelled}" if value is None else f"--{spelled} {value}"
