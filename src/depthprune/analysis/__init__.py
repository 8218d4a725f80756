"""Pure functions from measurements to findings; no torch, no files."""
