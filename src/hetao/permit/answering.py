"""Facts and a day → what the rules say: forbidden, unknown, required. Not legal advice.

A pure function of facts, day and rulebook: the same three give the same answer, to the
byte, and the answer carries the digests of facts and rulebook that it came from.
"""

import datetime
import functools
from collections.abc import Iterable
from dataclasses import dataclass

from hetao.canonical import digest
from hetao.errors import BasisMissing, FactsMissing, RuleForbids
from hetao.permit.conditions import judge, thresholds
from hetao.permit.facts import Facts, Held
from hetao.permit.rule import ROUTES, Rule, Rulebook
from hetao.permit.rulebook import Requirement, offices_of


@dataclass(frozen=True)
class Finding:
    """What one rule comes to.

    Attributes:
        verdict: "applies", "does not apply" or "unknown".
        asks: facts that would settle it, where it is unknown.
    """

    rule: Rule
    verdict: str
    asks: tuple[str, ...] = ()


@dataclass(frozen=True)
class BasisNeed:
    """One of these instruments must be held, as a rule asks.

    `held` is the first of them that the facts name and that is valid on the day.
    """

    rule: str
    one_of: tuple[str, ...]
    held: Held | None


@dataclass(frozen=True)
class Answer:
    """What the rules in force on a day say to these facts.

    Attributes:
        findings: one for each rule in force on the day, sorted by rule id.
    """

    facts: Facts
    day: datetime.date
    book: Rulebook
    findings: tuple[Finding, ...]

    def of(self, verdict: str, *effects: str) -> tuple[Finding, ...]:
        """Return the findings of that verdict, of rules with one of these effects."""
        return tuple(
            finding
            for finding in self.findings
            if finding.verdict == verdict
            and (not effects or finding.rule.effect in effects)
        )

    @property
    def forbidden(self) -> tuple[Finding, ...]:
        """Return the rules that forbid the crossing."""
        return self.of("applies", "forbids")

    @property
    def unknown(self) -> tuple[Finding, ...]:
        """Return the rules that forbid or require, perhaps."""
        return self.of("unknown", "forbids", "requires")

    @property
    def asks(self) -> tuple[str, ...]:
        """Return every fact that is missing for a full answer, sorted."""
        found = {fact for finding in self.of("unknown") for fact in finding.asks}
        return tuple(sorted(found))

    @functools.cached_property
    def needs(self) -> tuple[BasisNeed, ...]:
        """Return the instruments that applying rules ask for."""
        return tuple(
            BasisNeed(finding.rule.id, some, _held(some, self.facts, self.day))
            for finding in self.of("applies")
            for some in finding.rule.bases
        )

    @functools.cached_property
    def gaps(self) -> tuple[str, ...]:
        """Return packs whose matter is at hand, where no rule settles the route."""
        if any(f.rule.route and f.verdict != "does not apply" for f in self.findings):
            return ()
        return tuple(
            pack.id
            for pack in self.book.packs
            if pack.settles is not None
            and judge(pack.settles, self.facts.values).holds is not False
        )

    @functools.cached_property
    def holds_below(self) -> tuple[tuple[str, int], ...]:
        """For each counted fact, the next number at which a rule looks anew."""
        found = []
        for fact in self.book.facts.values():
            value = self.facts.values.get(fact.name)
            if fact.counted and type(value) is int:
                above = [
                    limit
                    for finding in self.findings
                    for limit in thresholds(finding.rule.condition, fact.name)
                    if limit > value
                ]
                found += [(fact.name, min(above))] if above else []
        return tuple(sorted(found))

    @property
    def missing(self) -> tuple[BasisNeed, ...]:
        """Return the instruments that are required and not held."""
        return tuple(need for need in self.needs if need.held is None)

    @property
    def route(self) -> str:
        """Return the route of Mainland export: one of ROUTES, or "unknown".

        Unknown where a pack has a gap, or where a rule of a higher route may apply yet.
        """
        if self.gaps:
            return "unknown"
        routes = [f.rule.route for f in self.of("applies") if f.rule.route]
        highest = max(map(ROUTES.index, routes), default=0)
        open_ = [f.rule.route for f in self.of("unknown") if f.rule.route]
        if any(ROUTES.index(route) > highest for route in open_):
            return "unknown"
        return ROUTES[highest]

    @property
    def effective(self) -> datetime.date | None:
        """Return the latest day on which an applying rule came into force."""
        return max((f.rule.effective for f in self.of("applies")), default=None)

    def offices(self, sides: Iterable[str], act: str) -> tuple[Requirement, ...]:
        """Return the approvals, or reviews, that applying rules ask of these sides."""
        return offices_of((f.rule for f in self.of("applies")), sides, act)

    @functools.cached_property
    def digest(self) -> str:
        """Return `sha256:…` over the answer: rules, verdicts, day, facts."""
        return digest(
            {
                "type": "hetao.answer/1",
                "on": self.day.isoformat(),
                "rulebook": self.book.digest,
                "facts": self.facts.digest,
                "findings": [[f.rule.id, f.verdict, *f.asks] for f in self.findings],
                "gaps": list(self.gaps),
                "route": self.route,
            }
        )


def answer(facts: Facts, day: datetime.date, book: Rulebook) -> Answer:
    """Return what the rules in force on `day` say to these facts."""
    return Answer(facts, day, book, tuple(_finding(r, facts) for r in book.on(day)))


def _finding(rule: Rule, facts: Facts) -> Finding:
    verdict = judge(rule.condition, facts.values)
    if verdict.holds is None:
        return Finding(rule, "unknown", verdict.asks)
    return Finding(rule, "applies" if verdict.holds else "does not apply")


def _held(
    instruments: tuple[str, ...], facts: Facts, day: datetime.date
) -> Held | None:
    held = {b.instrument: b for b in facts.bases if b.holds_on(day)}
    return next((held[name] for name in instruments if name in held), None)


def check_allowed(found: Answer) -> None:
    """Return quietly if nothing forbids, nothing is unknown and every basis is held.

    Raises:
        RuleForbids: a rule forbids the crossing.
        FactsMissing: a rule that forbids or requires may apply; or none covers it.
        BasisMissing: an instrument that must be there beforehand is not, or has ended.
    """
    for finding in found.forbidden:
        source = finding.rule.source
        raise RuleForbids(
            f"rule {finding.rule.id} forbids this: {finding.rule.says['en']} "
            f"[{source.title}, {source.article}]",
            fix="hetao rules explain says the rest; ask counsel",
        )
    if found.gaps:
        raise FactsMissing(
            f"no rule of the pack {found.gaps[0]} settles this request on that day",
            fix="unknown is never 'not required': ask counsel",
        )
    if found.unknown:
        asks = sorted({fact for f in found.unknown for fact in f.asks})
        more = f" and {len(asks) - 3} more" if len(asks) > 3 else ""
        raise FactsMissing(
            f"rule {found.unknown[0].rule.id} may apply; facts are missing: "
            f"{', '.join(asks[:3])}{more}"
        )
    for need in found.missing:
        raise BasisMissing(
            f"rule {need.rule} asks for {' or '.join(need.one_of)}, which the facts do "
            "not name or which is not valid on that day"
        )
