"""One logger for the package: warnings on stderr, details with `--verbose`."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("depthprune")
# A call from Python prints nothing: whoever wants the messages configures `logging`.
logger.addHandler(logging.NullHandler())


class _ToStderr(logging.Handler):
    """Writes to what stderr is at that moment: above a bar, where one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")


def configure_logging(*, verbose: bool = False) -> None:
    """Send the package's messages to stderr: warnings, or everything when `verbose`."""
    logger.handlers.clear()
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
