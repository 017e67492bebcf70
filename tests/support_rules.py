"""Facts of worked requests, and a witness for any condition."""

import datetime
import json

from hetao.permit.conditions import All, AnyOf, Condition, Not, Test, judge
from hetao.permit.facts import Fact, Facts, FactValue, Held
from hetao.permit.rulebook import rulebook

BOOK = rulebook()
TODAY = datetime.date(2026, 11, 28)

# A Shenzhen hospital sends sums about 150 patients to a recipient in Hong Kong.
SHENZHEN: dict[str, FactValue] = {
    "request.crossing": "data",
    "route.leaves_mainland": True,
    "route.leaves_hong_kong": False,
    "route.both_in_gba": False,
    "route.onward_outside_gba": False,
    "route.foreign_authority": False,
    "exporter.ciio": False,
    "exporter.people_processed": 400_000,
    "exporter.exemption": "none",
    "data.personal_information": True,
    "data.sensitive": True,
    "data.important": False,
    "data.core": False,
    "data.graded": True,
    "data.level_released": 3,
    "data.derived": True,
    "counts.plain_since_1_january": 0,
    "counts.sensitive_since_1_january": 150,
    "counts.people_since_1_january_last_year": 150,
    "counts.sensitive_since_1_january_last_year": 150,
    "consent.mainland": "separate-consent",
    "consent.waived": False,
    "hgr.used": False,
    "hk.personal_data": False,
    "hk.ehealth": False,
    "hk.ha": False,
    "trial.in_hong_kong": False,
    "use.codes": (),
    "profile.hipaa_safe_harbour": False,
}
# A Hong Kong hospital sends sums to Shenzhen; none of the Mainland's data leave it.
HONG_KONG: dict[str, FactValue] = {
    **SHENZHEN,
    "route.leaves_mainland": False,
    "route.leaves_hong_kong": True,
    "hk.personal_data": True,
    "hk.new_purpose": True,
    "hk.research_only": True,
    "hk.results_identify": False,
    "hk.processor": False,
}


def facts(
    base: dict[str, FactValue],
    *held: str,
    **changed: FactValue,
) -> Facts:
    """Return facts, some changed (`a__b` for `a.b`), with these instruments held."""
    values = {key.replace("__", "."): value for key, value in changed.items()}
    bases = tuple(Held(instrument, f"no. of {instrument}") for instrument in held)
    return Facts({**base, **values}, tuple(sorted(bases, key=lambda b: b.instrument)))


def as_toml(values: dict[str, FactValue]) -> str:
    """Return facts as the text of a facts file."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        table, _, key = name.partition(".")
        plain = list(value) if isinstance(value, tuple) else value
        groups.setdefault(table, []).append(f"{key} = {json.dumps(plain)}")
    return "".join(
        f"[{table}]\n" + "\n".join(lines) + "\n" for table, lines in groups.items()
    )


def witness(
    condition: Condition, schema: dict[str, Fact], wanted: bool = True
) -> dict[str, FactValue] | None:
    """Return facts for which the condition is `wanted`, or None if none was found."""
    for found in _ways(condition, schema, wanted):
        if judge(condition, found).holds is wanted:
            return found
    return None


def _ways(
    condition: Condition, schema: dict[str, Fact], wanted: bool
) -> list[dict[str, FactValue]]:
    match condition:
        case Test(name, op, value):
            return [{name: v} for v in _values(schema[name], op, value, wanted)]
        case Not(part):
            return _ways(part, schema, not wanted)
        case All(parts) | AnyOf(parts):
            together = isinstance(condition, All) is wanted
            if not together:
                return [way for part in parts for way in _ways(part, schema, wanted)]
            found: list[dict[str, FactValue]] = [{}]
            for part in parts:
                ways = _ways(part, schema, wanted)
                found = [{**one, **way} for one in found for way in ways][:400]
            return found
    return []


def _values(fact: Fact, op: str, value: FactValue, wanted: bool) -> list[FactValue]:
    if fact.kind == "yes-no":
        return [value if wanted else not value]
    if fact.kind == "number":
        assert type(value) is int
        above = (op == ">=") is wanted
        return [value] if above else [max(value - 1, 0)]
    if fact.kind == "choices":
        return [(str(value),)] if wanted else [()]
    chosen = value if isinstance(value, tuple) else (str(value),)
    inside = [c for c in fact.choices if c in chosen]
    outside = [c for c in fact.choices if c not in chosen]
    return list(inside if wanted else outside)
