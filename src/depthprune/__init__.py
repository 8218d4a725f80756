"""Find the transformer blocks that a model can lose, and what each loss costs."""

__version__ = "0.1.0"

__all__ = ["__version__"]
