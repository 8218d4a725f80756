"""That a model's blocks cannot be run apart from the model."""

from __future__ import annotations


class Unshareable(Exception):
    """This model, or this batch, must be evaluated one removal after the other; says why."""
