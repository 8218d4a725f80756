"""Importance scores of blocks: compare, merge, select."""
