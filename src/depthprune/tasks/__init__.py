"""Datasets, prompts and metrics, and the embedded demo."""
