"""A certificate → one page for people: no network, no script, made for paper too."""

from hetao.report.extras import ComparedTerm, Comparison, Extras
from hetao.report.page import render_body, render_report, write_report

__all__ = [
    "ComparedTerm",
    "Comparison",
    "Extras",
    "render_body",
    "render_report",
    "write_report",
]
