"""The types of checks → the tables of `docs/guide/quality.md`."""

from collections.abc import Iterator

from hetao.dictionary.checks import CATEGORIES, CheckType, check_types


def checks_tables() -> str:
    """Return one Markdown table for each of Kahn's categories, in English."""
    return "\n".join(line for category in CATEGORIES for line in _table(category))


def _table(category: str) -> Iterator[str]:
    yield f"### {category.capitalize()}"
    yield ""
    yield "| check | asks | fails above | what is found | what to do |"
    yield "|---|---|---:|---|---|"
    for kind in check_types().values():
        if kind.category == category:
            yield _row(kind)
    yield ""


def _row(kind: CheckType) -> str:
    words = kind.wording["en"]
    cells = (
        f"`{kind.name}`",
        words.label,
        f"{kind.threshold:.0%}",
        words.meaning,
        words.remedy,
    )
    return "| " + " | ".join(cells) + " |"
