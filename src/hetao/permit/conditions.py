"""When a rule applies: a small expression, written as data, judged in three values.

    ["data.sensitive", "is", true]       a fact compared with a value
    { all = [...] }   { any = [...] }   { not = ... }   { term = "name" }

Nothing is evaluated as code. A fact that nobody has given makes what hangs on it
unknown, never false (Kleene's strong three-valued logic), so that taking a fact away
can turn yes or no into "ask", and never one into the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetao.errors import InvalidRulebook
from hetao.permit.facts import Fact, FactValue

KINDS_OF = {  # operator -> kinds of fact that it can be asked of
    "is": ("yes-no", "choice"),
    "in": ("choice",),
    "has": ("choices",),
    ">=": ("number",),
    "<": ("number",),
}
DEEPEST = 12


@dataclass(frozen=True)
class Test:
    """One fact compared with one value: `fact op value`."""

    fact: str
    op: str
    value: FactValue


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: "Condition"


Condition = Test | All | AnyOf | Not
ALWAYS = All(())


@dataclass(frozen=True)
class Verdict:
    """What a condition comes to.

    Attributes:
        holds: True, False, or None where facts are missing on which it hangs.
        asks: names of facts to ask for next, sorted; empty unless `holds` is None.
    """

    holds: bool | None
    asks: tuple[str, ...] = ()


def condition_from(
    form: object,
    facts: Mapping[str, Fact],
    terms: Mapping[str, Condition],
    where: str,
    depth: int = 0,
) -> Condition:
    """Return the condition that a TOML value says.

    Args:
        form: a list of three, or a table with one of all, any, not, term.
        facts: every known fact; what is compared must be one of them.
        terms: conditions that were named before in the same pack.
        where: the place to name in an error.
        depth: how deep in the whole condition this one stands.

    Raises:
        InvalidRulebook: an unknown form, fact, operator, value or term.
    """
    if depth > DEEPEST:
        raise InvalidRulebook(f"{where}: nested too deeply")

    def inner(part: object) -> Condition:
        return condition_from(part, facts, terms, where, depth + 1)

    match form:
        case [str(fact), str(op), value]:
            return _test(fact, op, value, facts, where)
        case {"all": [*parts], **rest} if not rest and parts:
            return All(tuple(inner(part) for part in parts))
        case {"any": [*parts], **rest} if not rest and parts:
            return AnyOf(tuple(inner(part) for part in parts))
        case {"not": part, **rest} if not rest:
            return Not(inner(part))
        case {"term": str(name), **rest} if not rest:
            if name not in terms:
                raise InvalidRulebook(
                    f"{where}: no term {name[:60]!r} stands above it in its pack"
                )
            return terms[name]
    raise InvalidRulebook(
        f"{where}: a condition is [fact, operator, value], or a table with one of "
        "all, any, not, term"
    )


def _test(
    name: str, op: str, value: object, facts: Mapping[str, Fact], where: str
) -> Test:
    fact = facts.get(name)
    if fact is None:
        raise InvalidRulebook(f"{where}: no fact is called {name[:60]!r}")
    if fact.kind not in KINDS_OF.get(op, ()):
        raise InvalidRulebook(
            f"{where}: {op[:20]!r} cannot be asked of {name}, which is {fact.kind}",
            fix="operators: is, in, has, >=, <",
        )
    if op == "in":
        if not isinstance(value, list) or not value:
            raise InvalidRulebook(f"{where}: {name} in … takes a list of choices")
        return Test(name, op, tuple(str(_choice(fact, v, where)) for v in value))
    if op == "has":
        return Test(name, op, str(_choice(fact, value, where)))
    if fact.kind == "number":
        if type(value) is not int or value < 0:
            raise InvalidRulebook(f"{where}: {name} is compared with a whole number")
        return Test(name, op, value)
    if fact.kind == "yes-no":
        if type(value) is not bool:
            raise InvalidRulebook(f"{where}: {name} is true or false")
        return Test(name, op, value)
    return Test(name, op, _choice(fact, value, where))


def _choice(fact: Fact, value: object, where: str) -> str:
    if not isinstance(value, str) or value not in fact.choices:
        raise InvalidRulebook(
            f"{where}: {fact.name} has no choice {str(value)[:60]!r}",
            fix="choices: " + ", ".join(fact.choices),
        )
    return value


def judge(condition: Condition, values: Mapping[str, FactValue]) -> Verdict:
    """Return what the condition comes to for these facts; absent ones are unknown."""
    match condition:
        case Test(fact, op, value):
            if fact not in values:
                return Verdict(None, (fact,))
            return Verdict(_holds(values[fact], op, value))
        case Not(part):
            inner = judge(part, values)
            return inner if inner.holds is None else Verdict(not inner.holds)
        case All(parts):
            return _joined([judge(part, values) for part in parts], decides=False)
        case AnyOf(parts):
            return _joined([judge(part, values) for part in parts], decides=True)


def _joined(verdicts: Sequence[Verdict], decides: bool) -> Verdict:
    """One part of the deciding value settles it; else an unknown one leaves it open.

    Of all parts that must hold, only the first unknown one is asked for: whoever says
    that no sample is used is not asked how it was stored.
    """
    if any(verdict.holds is decides for verdict in verdicts):
        return Verdict(decides)
    unknown = [verdict for verdict in verdicts if verdict.holds is None]
    if not unknown:
        return Verdict(not decides)
    asked = unknown if decides else unknown[:1]
    return Verdict(None, tuple(sorted({fact for v in asked for fact in v.asks})))


def _holds(given: FactValue, op: str, value: FactValue) -> bool:
    match op, given, value:
        case "is", _, _:
            return given == value
        case "in", str(), tuple():
            return given in value
        case "has", tuple(), str():
            return value in given
        case ">=", int(), int():
            return given >= value
        case "<", int(), int():
            return given < value
    raise InvalidRulebook(f"a fact cannot be compared by {op!r}")


def tests_in(condition: Condition) -> tuple[Test, ...]:
    """Return every comparison that stands in the condition, in its order."""
    match condition:
        case Test():
            return (condition,)
        case Not(part):
            return tests_in(part)
        case All(parts) | AnyOf(parts):
            return tuple(test for part in parts for test in tests_in(part))


def thresholds(condition: Condition, fact: str) -> tuple[int, ...]:
    """Return the whole numbers at which the condition looks at that fact anew."""
    return tuple(
        test.value
        for test in tests_in(condition)
        if test.fact == fact and type(test.value) is int
    )
