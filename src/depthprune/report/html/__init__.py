"""`report.html`: one file that answers, shows and lets one try removals, without any network."""

from depthprune.report.html.page import render_report, write_report

__all__ = ["render_report", "write_report"]
