"""One logger for the package: warnings on stderr, details with `--verbose`."""

from __future__ import annotations

import logging

logger = logging.getLogger("depthprune")
# A call from Python prints nothing: whoever wants the messages configures `logging`.
logger.addHandler(logging.NullHandler())


def configure_logging(*, verbose: bool = False) -> None:
    """Send the package's messages to stderr: warnings, or everything when `verbose`."""
    logger.handlers.clear()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
