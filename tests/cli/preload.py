"""What the server that forks the killed programs imports once: loading a model takes seconds."""

from __future__ import annotations

import torch

import depthprune.workflow.run
import depthprune.workflow.verifying  # noqa: F401
from depthprune.blocks.models import load_model
from depthprune.tasks.demo import MODEL_PATH

torch.set_num_threads(1)
load_model(MODEL_PATH)
