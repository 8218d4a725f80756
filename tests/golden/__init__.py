"""Golden files: what commands print and write, recorded, so that refactoring is proven harmless.

`make golden` records them, `make golden-check` compares; see `commands`, `masks`, `recorder`.
"""
