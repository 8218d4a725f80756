"""Find which transformer blocks a model can lose, what each loss costs, and write the smaller model."""

__version__ = "0.1.0"

__all__ = ["__version__"]
