"""Anatomy of checkpoints, without loading weights."""
