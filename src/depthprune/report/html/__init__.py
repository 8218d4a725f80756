"""`report.html`: one file that answers, shows and lets one try removals, without any network."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily

if TYPE_CHECKING:
    from depthprune.report.html.page import render_report, write_report

__all__ = ["render_report", "write_report"]

# Modules of this package and of `render` import each other's neighbours, in any order.
__getattr__ = lazily(__name__, dict.fromkeys(__all__, "depthprune.report.html.page"))
