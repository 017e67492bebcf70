"""A certificate → what people and other systems keep: page, code, crate."""

from hetao.dossier.page import render_page, write_page

__all__ = ["render_page", "write_page"]
