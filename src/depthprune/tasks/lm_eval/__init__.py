"""Tasks of the lm-evaluation-harness: its documents, prompts, few-shot examples and metrics."""

from depthprune.tasks.lm_eval.catalogue import PREFIX, harness_task, harness_tasks
from depthprune.tasks.lm_eval.scoring import lm_eval_metrics

__all__ = ["PREFIX", "harness_task", "harness_tasks", "lm_eval_metrics"]
