"""`hetao rules explain`, `list` and `facts`: what the law asks of a request."""

import argparse
import datetime
import json
import sys

from hetao.cli.main import say
from hetao.errors import Usage
from hetao.federation.clock import utc_now
from hetao.permit import Rulebook, answer, read_facts, rulebook_with
from hetao.permit.explanation import (
    answer_json,
    empty_form,
    explain,
    rule_json,
    rule_lines,
)
from hetao.permit.explanation import say as phrase
from hetao.permit.law import day_of_law
from hetao.whole import write_whole


def explain_facts(chosen: argparse.Namespace) -> int:
    """Say what the rules of a day make of a facts file."""
    book = rulebook_with(chosen.packs)
    facts = read_facts(chosen.facts, book.facts, set(book.instruments))
    found = answer(facts, day_of(chosen.on), book)
    if chosen.json:
        sys.stdout.write(json.dumps(answer_json(found), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(explain(found, chosen.language))
    return 0


def listing(chosen: argparse.Namespace) -> int:
    """List rules: those in force on a day, of one pack, or due to be read again."""
    book, day = rulebook_with(chosen.packs), day_of(chosen.on)
    if chosen.pack is not None:
        _check_pack(book, chosen.pack)
    rules = book.due(day, chosen.due) if chosen.due is not None else book.on(day)
    rules = tuple(r for r in rules if chosen.pack in (None, r.pack))
    if chosen.json:
        body = {"on": day.isoformat(), "rules": [rule_json(r) for r in rules]}
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    for rule in rules:
        lines = rule_lines(rule, book.instruments, chosen.language)
        sys.stdout.write("\n".join(lines) + "\n")
    say(phrase("advice", chosen.language))
    if chosen.due is not None:
        say(
            f"{len(rules)} of {len(book.rules)} rules were last read over "
            f"{chosen.due} days before {day}"
        )
    return 0


def write_form(chosen: argparse.Namespace) -> int:
    """Write an empty facts file, with every question."""
    form = empty_form(rulebook_with(chosen.packs), chosen.language)
    if chosen.out is None:
        sys.stdout.write(form)
        return 0
    if chosen.out.exists():
        raise Usage(f"{chosen.out} is already there", fix="name another file: --out")
    write_whole(chosen.out, form.encode())
    say(f"{chosen.out} is written")
    return 0


def day_of(text: str | None) -> datetime.date:
    """Return the day that is named, or today's in Hong Kong and the Mainland.

    Raises:
        Usage: it is no day.
    """
    if text is None:
        return day_of_law(utc_now())
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise Usage(
            f"{text[:40]!r} is not a day", fix="write it as 2026-01-31"
        ) from error


def _check_pack(book: Rulebook, name: str) -> None:
    packs = [pack.id for pack in book.packs]
    if name not in packs:
        raise Usage(
            f"no pack is called {name[:60]!r}", fix="packs: " + ", ".join(packs)
        )
