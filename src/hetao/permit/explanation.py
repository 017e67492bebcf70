"""An answer in words that a data-protection officer reads, in three languages.

Every rule that is shown names its source, article and dates, and how sure it is; every
page says that it is not legal advice. What is unknown is asked as a question.
"""

import functools
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from hetao.permit.answering import Answer, Finding
from hetao.permit.facts import Fact
from hetao.permit.rule import EVERY, Instrument, Rule, Rulebook


@functools.cache
def _words() -> Mapping[str, Mapping[str, str]]:
    file = resources.files("hetao.permit").joinpath("explanation.toml")
    return tomllib.loads(file.read_text("utf-8"))


def say(key: str, language: str, **filled: object) -> str:
    """Return a phrase of the explanation in that language, filled in."""
    return _words()[key][language].format(**filled)


# --- an answer ----------------------------------------------------------------------
def explain(found: Answer, language: str) -> str:
    """Return an answer as plain text, its headings and questions in that language."""
    return "\n".join(_lines(found, language)) + "\n"


def _lines(found: Answer, language: str) -> Iterator[str]:
    yield say("title", language, day=found.day)
    yield say("advice", language)
    yield ""
    route = say(f"route_{found.route}", language)
    yield say("line", language, head=say("route", language), what=route)
    for fact, number in found.holds_below:
        yield "  " + say("holds_below", language, fact=fact, number=f"{number:,}")
    for pack in found.gaps:
        yield "  " + say("gap_line", language, pack=pack)
    yield from _section("forbidden", found, found.forbidden, language)
    yield from _questions(found, language)
    yield from _section("required", found, found.of("applies", "requires"), language)
    yield from _section("noted", found, found.of("applies", "notes"), language)
    yield ""
    yield say(
        "digests",
        language,
        answer=found.digest[7:23],
        book=found.book.digest[7:23],
        facts=found.facts.digest[7:23],
    )


def _section(
    heading: str, found: Answer, findings: tuple[Finding, ...], language: str
) -> Iterator[str]:
    yield ""
    yield f"{say(heading, language)} ({len(findings)})"
    for finding in findings:
        yield from rule_lines(finding.rule, found.book.instruments, language)
        for need in found.needs:
            if need.rule != finding.rule.id:
                continue
            if need.held is None:
                yield f"    → {say('not_held', language)}"
            else:
                name = found.book.instruments[need.held.instrument].name[language]
                text = say("held", language, name=name, reference=need.held.reference)
                yield f"    → {text}"


def _questions(found: Answer, language: str) -> Iterator[str]:
    yield ""
    yield f"{say('unknown', language)} ({len(found.asks)})"
    for name in found.asks:
        asking = [f.rule.id for f in found.of("unknown") if name in f.asks]
        shown = ", ".join(asking[:4]) + (" …" if len(asking) > 4 else "")
        yield f"  ? {found.book.facts[name].ask[language]}"
        yield f"    {name} · {say('for_rules', language, rules=shown)}"


def rule_lines(
    rule: Rule, instruments: Mapping[str, Instrument], language: str
) -> Iterator[str]:
    """Give the lines that say one rule: words, what it asks, where it is written."""
    yield f"  • {rule.title[language]} [{rule.id}]"
    yield f"    {rule.says[language]}"
    for some in rule.bases:
        names = say("or", language).join(instruments[i].name[language] for i in some)
        yield f"    {say('must_hold', language, names=names)}"
    for office in rule.offices:
        side = (
            say("each_side", language)
            if office.side == EVERY
            else say("on_side", language, side=office.side)
        )
        key = "signs" if office.act == "approve" else "reviews"
        yield f"    {say(key, language, role=office.role, side=side)}"
    if rule.clock:
        unit = say(f"unit_{rule.clock.unit}", language)
        start = say(f"start_{rule.clock.start}", language)
        text = say("clock", language, count=rule.clock.count, unit=unit, start=start)
        yield f"    {text}"
    if rule.needs_counsel:
        yield f"    {say('counsel', language)}"
    source = rule.source
    text = say("source", language, title=source.title, article=source.article)
    yield f"    {text}"
    yield f"    {source.url}"
    yield "    " + say(
        "dates_until" if rule.expires else "dates",
        language,
        since=rule.effective,
        until=rule.expires,
        read=rule.verified_on,
        confidence=say(f"confidence_{rule.confidence}", language),
    )


# --- as data ------------------------------------------------------------------------
def answer_json(found: Answer) -> dict[str, Any]:
    """Return the whole answer as JSON values, each rule with its source."""
    return {
        "type": "hetao.answer/1",
        "on": found.day.isoformat(),
        "not_legal_advice": True,
        "answer": found.digest,
        "rulebook": found.book.digest,
        "packs": {pack.id: pack.digest for pack in found.book.packs},
        "facts": found.facts.digest,
        "effective": found.effective.isoformat() if found.effective else None,
        "route": found.route,
        "holds_below": dict(found.holds_below),
        "gaps": list(found.gaps),
        "forbidden": [f.rule.id for f in found.forbidden],
        "asks": {name: found.book.facts[name].ask for name in found.asks},
        "needs": [
            {
                "rule": need.rule,
                "one_of": list(need.one_of),
                "held": need.held.instrument if need.held else None,
            }
            for need in found.needs
        ],
        "findings": [
            {**rule_json(f.rule), "verdict": f.verdict, "asks": list(f.asks)}
            for f in found.findings
            if f.verdict != "does not apply"
        ],
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return one rule as JSON values."""
    return {
        "id": rule.id,
        "pack": rule.pack,
        "jurisdiction": rule.jurisdiction,
        "title": dict(rule.title),
        "effect": rule.effect,
        "says": dict(rule.says),
        "source": vars(rule.source),
        "effective": rule.effective.isoformat(),
        "expires": rule.expires.isoformat() if rule.expires else None,
        "verified_on": rule.verified_on.isoformat(),
        "confidence": rule.confidence,
        "needs_counsel": rule.needs_counsel,
    }


# --- the form -----------------------------------------------------------------------
def empty_form(book: Rulebook, language: str) -> str:
    """Return an empty facts file: every fact with its question, all in comments."""
    lines = [f"# {say('form_head', language)}"]
    group = ""
    for fact in book.facts.values():
        table, _, key = fact.name.partition(".")
        if table != group:
            lines += ["", f"[{table}]"]
            group = table
        lines += [f"# {fact.ask[language]}", f"# {key} =  # {_wanted(fact, language)}"]
    lines += ["", f"# {say('form_bases', language)}"]
    for instrument in sorted(book.instruments.values(), key=lambda i: i.id):
        lines += [
            "",
            f"# {instrument.name[language]}",
            f"# [bases.{instrument.id}]",
            '# reference = ""',
        ]
    return "\n".join(lines) + "\n"


def _wanted(fact: Fact, language: str) -> str:
    key = {"yes-no": "form_yes", "number": "form_number"}.get(
        fact.kind, f"form_{fact.kind}"
    )
    return say(key, language, choices=", ".join(fact.choices))
