"""Importance scores of blocks: how two sets agree, many become one, and which blocks go by them."""
