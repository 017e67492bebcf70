"""Files of rules → a rulebook, every pack checked as a whole. Not legal advice.

A pack is a TOML file in `rules/`, or in a folder of a site's own. No rule has code: it
is data what one says and when it applies. Rules only ever ask for more or forbid, so a
pack of a site's own can add, and never remove.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hetao.canonical import digest
from hetao.errors import InvalidRulebook
from hetao.permit.conditions import ALWAYS, All, Condition, Test, condition_from
from hetao.permit.facts import Fact, check_languages, facts_schema
from hetao.permit.keys import SIDES
from hetao.permit.rule import (
    ACTS,
    CONFIDENCES,
    CROSSINGS,
    EVERY,
    ROUTES,
    STARTS,
    UNITS,
    Instrument,
    Pack,
    Rule,
    Rulebook,
    Written,
)
from hetao.records import record

DEEPEST = 40  # of tables and lists in one another
_TABLES = {"pack", "terms", "facts", "instruments", "rules"}


def rulebook_from(
    tables: Sequence[tuple[str, Mapping[str, Any]]],
    facts: Mapping[str, Fact],
    base: Rulebook | None = None,
) -> Rulebook:
    """Return the rulebook of these packs, every one checked as a whole.

    Args:
        tables: file name and tables of each pack.
        facts: facts that every pack may ask.
        base: a rulebook that they are added to; then they are a site's own.

    Raises:
        InvalidRulebook: a pack is malformed, or names something that is there already.
    """
    known = dict(facts) if base is None else dict(base.facts)
    instruments = {} if base is None else dict(base.instruments)
    packs = [] if base is None else list(base.packs)
    rules = [] if base is None else list(base.rules)
    for where, table in tables:  # facts and instruments first: packs may share them
        _check_tables(table, where)
        known |= facts_schema(_rows(table, "facts", where), where, known)
        for row in _rows(table, "instruments", where):
            found = record(Instrument, row, f"{where}, instrument", InvalidRulebook)
            check_languages(found.name, f"{where}, {found.id}")
            if found.id in instruments:
                raise InvalidRulebook(
                    f"{where}: instrument {found.id} is there already"
                )
            instruments[found.id] = found
    for where, table in tables:
        terms = _terms(table, known, where)
        pack = _pack(table, known, terms, where, base is not None)
        if pack.id in {other.id for other in packs}:
            raise InvalidRulebook(f"{where}: a pack {pack.id} is there already")
        packs.append(pack)
        for row in _rows(table, "rules", where):
            rule = _rule(row, pack, known, terms, where)
            _check_rule(rule, instruments, f"{where}, {rule.id}")
            if pack.own and rule.route:
                raise InvalidRulebook(
                    f"{where}, {rule.id}: only shipped rules have a route",
                    fix="say what is required; a pack of your own settles no route",
                )
            if rule.id in {other.id for other in rules}:
                raise InvalidRulebook(f"{where}: a rule {rule.id} is there already")
            rules.append(rule)
    return Rulebook(
        tuple(sorted(packs, key=lambda pack: pack.id)),
        tuple(sorted(rules, key=lambda rule: rule.id)),
        known,
        instruments,
    )


def _check_tables(table: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(table) - _TABLES)
    if unknown or "pack" not in table:
        what = f"unknown table {unknown[0]!r}" if unknown else "table [pack] is missing"
        raise InvalidRulebook(f"{where}: {what}")


def _rows(table: Mapping[str, Any], name: str, where: str) -> list[Any]:
    rows = table.get(name, [])
    if not isinstance(rows, list):
        raise InvalidRulebook(f"{where}: write [[{name}]], one for each")
    return rows


def _terms(
    table: Mapping[str, Any], facts: Mapping[str, Fact], where: str
) -> dict[str, Condition]:
    rows = table.get("terms", {})
    if not isinstance(rows, Mapping):
        raise InvalidRulebook(f"{where}: [terms] is a table of conditions")
    terms: dict[str, Condition] = {}
    for name, form in rows.items():
        terms[str(name)] = condition_from(form, facts, terms, f"{where}, term {name}")
    return terms


def _pack(
    table: Mapping[str, Any],
    facts: Mapping[str, Fact],
    terms: Mapping[str, Condition],
    where: str,
    own: bool,
) -> Pack:
    if not isinstance(table["pack"], Mapping) or {"digest", "own"} & set(table["pack"]):
        raise InvalidRulebook(f"{where}: [pack] is a table, without digest or own")
    fields = dict(table["pack"])
    form = fields.pop("settles", None)
    pack = record(
        Pack,
        {**fields, "digest": digest(_dated(table, where)), "own": own},
        f"{where} [pack]",
        InvalidRulebook,
    )
    check_languages(pack.title, where)
    if form is None:
        return pack
    settles = condition_from(form, facts, terms, f"{where}, settles")
    return replace(pack, settles=settles)


def _dated(value: Any, where: str, depth: int = 0) -> Any:
    """Return TOML with its dates written out, so that it has a canonical form."""
    if depth > DEEPEST:
        raise InvalidRulebook(f"{where}: nested too deeply")
    if isinstance(value, Mapping):
        return {str(k): _dated(item, where, depth + 1) for k, item in value.items()}
    if isinstance(value, list):
        return [_dated(item, where, depth + 1) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


def _rule(
    row: Any,
    pack: Pack,
    facts: Mapping[str, Fact],
    terms: Mapping[str, Condition],
    where: str,
) -> Rule:
    if not isinstance(row, Mapping):
        raise InvalidRulebook(f"{where}: a rule is a table")
    at = f"{where}, {str(row.get('id', 'a rule without id'))[:60]}"
    fields = {"jurisdiction": pack.jurisdiction, "crossings": ["data"], **row}
    applies: Condition = ALWAYS
    if "applies_when" in fields:
        applies = condition_from(fields.pop("applies_when"), facts, terms, at)
    if not {"pack", "condition"}.isdisjoint(fields):
        raise InvalidRulebook(f"{at}: unknown field 'pack' or 'condition'")
    # The condition is no field of TOML's; the rest is checked field by field.
    plain = record(Written, fields, at, InvalidRulebook)
    whole = All((Test("request.crossing", "in", plain.crossings), applies))
    return Rule(pack=pack.id, condition=whole, **vars(plain))


def _check_rule(rule: Rule, instruments: Mapping[str, Instrument], where: str) -> None:
    texts = [t for t in (rule.requires, rule.forbids, rule.notes) if t is not None]
    if len(texts) != 1:
        raise InvalidRulebook(f"{where}: says one of requires, forbids, notes")
    check_languages(rule.title, f"{where}, title")
    check_languages(texts[0], where)
    if rule.effect != "requires" and (rule.offices or rule.bases):
        raise InvalidRulebook(f"{where}: only what requires asks offices and bases")
    choices = {
        "confidence": (rule.confidence, CONFIDENCES),
        "route": (rule.route, ("", *ROUTES)),
        "clock unit": (rule.clock.unit if rule.clock else UNITS[0], UNITS),
        "clock start": (rule.clock.start if rule.clock else STARTS[0], STARTS),
        **{f"side of {o.role}": (o.side, (*SIDES, EVERY)) for o in rule.offices},
        **{f"act of {o.role}": (o.act, ACTS) for o in rule.offices},
        **{f"crossing {c}": (c, CROSSINGS) for c in rule.crossings},
        **{
            f"instrument {name}": (name, tuple(instruments))
            for some in rule.bases
            for name in some
        },
    }
    for what, (value, allowed) in choices.items():
        if value not in allowed:
            raise InvalidRulebook(f"{where}: {what} is one of {', '.join(allowed)}")
    if not rule.crossings or not all(rule.bases):
        raise InvalidRulebook(f"{where}: names no crossing, or no instrument of a list")
    source = rule.source
    if not all((source.title, source.article, source.url.startswith("https://"))):
        raise InvalidRulebook(f"{where}: a source has title, article and https url")
    if rule.expires is not None and rule.expires < rule.effective:
        raise InvalidRulebook(f"{where}: expires lies before effective")
