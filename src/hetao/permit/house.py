"""A site's own rules at its own gate: whatever the permit was drafted by.

A site may have a folder of rule packs of its own, and a file of facts that it states of
every request. A rule of such a pack is asked each time, as the permit is: what it
forbids is refused, what it requires the permit must hold, and where a fact is missing
on which it hangs, the request is refused and the fact is named, never guessed.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hetao.errors import (
    BasisMissing,
    FactsMissing,
    InvalidNetwork,
    NotApproved,
    RuleForbids,
)
from hetao.permit.conditions import judge
from hetao.permit.dates import parse_time
from hetao.permit.facts import Facts, FactValue, read_facts
from hetao.permit.law import check_law, day_of_law
from hetao.permit.permit import Permit
from hetao.permit.rule import Rule, Rulebook
from hetao.permit.rulebook import offices_of, rulebook, rulebook_with
from hetao.records import record

LEAVES: Final = {"SZ": "route.leaves_mainland", "HK": "route.leaves_hong_kong"}
NOTHING: Final = Facts({}, ())


@dataclass(frozen=True)
class House:
    """The rules by which a site decides.

    Attributes:
        book: the shipped rules, and the site's own.
        facts: what the site states of every request.
    """

    book: Rulebook
    facts: Facts = NOTHING

    @property
    def own(self) -> frozenset[str]:
        """Return the names of the site's own packs."""
        return frozenset(pack.id for pack in self.book.packs if pack.own)


def shipped() -> House:
    """Return the rules of a site that has none of its own."""
    return House(rulebook())


def read_house(packs: Path | None, facts: Path | None) -> House:
    """Return a site's rules, from a folder of packs and a file of facts.

    Raises:
        InvalidRulebook: a pack does not hold, or the folder is not there.
        InvalidFacts, InvalidData: the facts do not hold.
    """
    book = rulebook_with(packs)
    if facts is None:
        return House(book)
    return House(book, read_facts(facts, book.facts, set(book.instruments)))


@dataclass(frozen=True)
class RulesTable:
    """`[rules]` of a site file: a folder of packs, and a file of facts."""

    packs: str
    facts: str = ""


def house_of(tables: Mapping[str, object], base: Path, where: str) -> House:
    """Return the rules that a site file's tables name, by paths relative to `base`.

    Raises:
        InvalidNetwork: the table does not hold.
        InvalidRulebook, InvalidFacts, InvalidData: as `read_house`.
    """
    table = tables.get("rules")
    if table is None:
        return shipped()
    rules = record(RulesTable, table, f"{where} [rules]", InvalidNetwork)
    facts = base / rules.facts if rules.facts else None
    return read_house(base / rules.packs, facts)


def check_house(house: House, permit: Permit, now: datetime.datetime) -> None:
    """Return quietly if the law stands, and the site's own rules let a permit be.

    Args:
        house: the site's rules.
        permit: under which something is asked of the site.
        now: UTC time.

    Raises:
        OutOfTime: the law has changed since the permit was drafted.
        RuleForbids: a rule of the site's own forbids it.
        FactsMissing: such a rule may apply, and a fact is missing.
        NotApproved: the permit does not ask an office that such a rule asks.
        BasisMissing: nor does it rest, now, on an instrument that such a rule asks.
    """
    check_law(permit.law, now, house.book)
    values = {**house.facts.values, **_told_by(permit)}
    for rule in house.book.on(day_of_law(now)):
        if rule.pack in house.own:
            _check_rule(rule, values, permit, now)


def _told_by(permit: Permit) -> dict[str, FactValue]:
    """Return what a permit itself says; the site's own word does not go before it."""
    values: dict[str, FactValue] = {"request.crossing": permit.crossing}
    from_sides = {permit.directory[name].side for name in permit.sites}
    values |= {fact: side in from_sides for side, fact in LEAVES.items()}
    if permit.crossing == "data":
        values["data.level_released"] = permit.highest_grade
    if permit.data_use:  # of one that names none it is not known
        values["use.codes"] = permit.data_use
    return values


def _check_rule(
    rule: Rule, values: dict[str, FactValue], permit: Permit, now: datetime.datetime
) -> None:
    verdict = judge(rule.condition, values)
    if verdict.holds is False or rule.effect == "notes":
        return
    if verdict.holds is None:
        raise FactsMissing(
            f"the site's own rule {rule.id} may apply: {', '.join(verdict.asks)}",
            fix="state it in the file that [rules] facts of site.toml names",
        )
    if rule.effect == "forbids":
        raise RuleForbids(f"the site's own rule {rule.id} forbids it")
    _check_offices(rule, permit)
    for some in rule.bases:
        if not _is_held(some, permit, now):
            raise BasisMissing(
                f"the site's own rule {rule.id} asks for {' or '.join(some)}, on which "
                "the permit does not rest now",
                fix="obtain it, and have the permit amended with its reference",
            )


def _check_offices(rule: Rule, permit: Permit) -> None:
    for act, asked in (
        ("approve", permit.offices),
        ("review", permit.review_offices),
    ):
        for need in offices_of([rule], permit.sides, act):
            if (need.side, need.role) not in asked:
                raise NotApproved(
                    f"the permit does not have {need.role} on side {need.side} {act}, "
                    f"as the site's own rule {rule.id} demands",
                    fix="have the permit drafted with that pack: --packs",
                )


def _is_held(some: Iterable[str], permit: Permit, now: datetime.datetime) -> bool:
    return any(
        basis.instrument in some
        and parse_time(basis.valid_from) <= now < parse_time(basis.valid_until)
        for basis in permit.bases
    )
