"""What the numbers of several analyses of one study tell together about few people.

Each alone may be wide: four distances from ages that lie close to each other, in four
models, are nobody's; the first less the second, less the third, and with the fourth
again, is 1 for whoever lies between and 0 for all others. So they are looked at as if
they stood in one model, in three ways:

- what arithmetic made, with all else that may be added to it;
- one form of each number, with what arithmetic made: two numbers may differ for few;
- published predictions, with all else.

The forms that honest studies take one number in (as it is and its powers, its root, its
logarithm, a spline) are not looked at beside each other: what they add up to is wide,
but for the first and the last few people. They are where there are many, or two splines
whose knots may lie as close as one likes.

Everything in this file stays inside the site.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.carriers import carriers, told
from hetao.analysis.design import INTERCEPT, Column
from hetao.analysis.expressions import Floats, Ints, bounds_of
from hetao.analysis.plan import Plan
from hetao.analysis.prediction import APART, powers_of, predicted, published_of
from hetao.analysis.rows import Columns, Rows, column_of
from hetao.study import Basis, Call, Expression, Name, Number, Operation
from hetao.study.model import SITE
from hetao.study.terms import names_of

AS_IT_IS: Final = ""  # the form of a number, its square and cube
LOGARITHMS: Final = ("log", "log10", "log2")
POWERS: Final = (1.0, 2.0, 3.0)  # of what may be moved
BARE: Final = (0.5, -0.5, -1.0, -2.0, -3.0)  # of a number as it is
SPLINES: Final = ("ns", "bs")
MOST_FORMS: Final = 3  # of one number, that are not looked at beside each other


# --- forms ----------------------------------------------------------------------------
def form_of(expression: Expression) -> str | None:
    """Return the plain form that an expression is of one number; None if it is of none.

    A square or cube of what was moved by a constant is a sum of the same form as the
    number's own. Sums of two forms are none. A spline's form is that of its knots.
    """
    match expression:
        case Basis(_, function, Name(), knots, ends, degree):
            return f"{function} {knots} {ends} {degree}"
        case Operation("/", one, other) if not names_of(one):
            return _powered(other, -1.0)
        case Operation("**", base, power) if not names_of(power):
            return _powered(base, bounds_of(power, {})[0])
        case Operation("+" | "-" | "*" | "/" as sign, one, other):
            sides = [side for side in (one, other) if names_of(side)]
            forms = {form_of(side) for side in sides}
            is_one = len(forms) == 1 and (sign in "+-" or len(sides) == 1)
            return forms.pop() if is_one else None
    return _powered(expression, 1.0)


def _powered(base: Expression, power: float) -> str | None:
    match base:
        case Operation("**", Name(), by) if power < 0 and not names_of(by):
            power, base = power * bounds_of(by, {})[0], base.left
        case Call("sqrt", Name()):
            power, base = power / 2, base.argument
    if isinstance(base, Name) and power in BARE:
        return f"{power:g}"
    return _moved(base) if power in POWERS else None


def _moved(expression: Expression) -> str | None:
    """Return the form of a number or its logarithm, moved or scaled by constants."""
    match expression:
        case Operation("+" | "-" | "*" | "/", one, other) if not names_of(other):
            return _moved(one)
        case Operation("+" | "-" | "*", one, other) if not names_of(one):
            return _moved(other)
        case Call("log1p", Name()):
            return "log+1"
        case Call(function, Name()) if function in LOGARITHMS:
            return "log"
        case Call(function, Operation("+", Name(), Number(1))) if (
            function in LOGARITHMS
        ):
            return "log+1"
    return AS_IT_IS if isinstance(expression, Name) else None


# --- columns --------------------------------------------------------------------------
Where = tuple[object, ...]  # within which levels, by which weights, of whom


@dataclass(frozen=True)
class _Key:
    """What a column is, whatever rows it is summed over.

    Attributes:
        kind: "level", of no number; "plain", of one in a plain form; "made", of other
            arithmetic; "predicted", the logits of a published model.
        of: all that tells it from others.
        number: of a plain one, all that tells it but its form.
        form: of a plain one.
    """

    kind: str
    of: Where
    number: Where = ()
    form: str = AS_IT_IS


class _Table:
    """The columns of a study over all rows of a site's table, each made once.

    Whom an analysis leaves out, since another number of theirs is missing, would hide
    what columns add up to: each is known of everybody who has its own numbers, and all
    are looked at among the people of each analysis.
    """

    def __init__(self, columns: Columns, person: Ints) -> None:
        self.whose = np.unique(person, return_inverse=True)[1].astype(np.int64)
        self.people: dict[bytes, Ints] = {}  # rows that some design tells sums over
        self._known, self._site = columns, np.zeros(len(person), dtype=np.int64)
        self._made: dict[_Key, Floats] = {}

    @property
    def keys(self) -> list[_Key]:
        """Return what is known, in order."""
        return list(self._made)

    def add(self, plan: Plan, rows: Rows, *, of_many: bool) -> set[_Key]:
        """Return what a design tells sums of.

        Of many, as of a screen's pairs, all are looked at among everybody at once.
        """
        everybody = np.arange(len(self.whose))
        at = rows.origin if len(rows.origin) else everybody
        among = everybody if of_many else at
        self.people[among.tobytes()] = among
        self._site[:] = plan.sites.index(rows.site)
        analysis = plan.analysis
        if analysis.coefficients:
            key = _Key(
                "predicted", (plan.columns, analysis.coefficients, analysis.link)
            )
            if key not in self._made:
                self._made[key] = self._predicted(plan, rows)
            return {key}
        found: set[_Key] = set()
        for part, mine in self._parts(plan, rows, at):
            for column in _columns(plan, rows.site):
                where = (column.levels, analysis.weights, part)
                key = _key(column.factors, where)
                if key not in self._made:
                    values = self._values(column) * self._weight(plan)
                    self._made[key] = _filled(values) * mine
                found.add(key)
        return found

    def few(self, free: set[_Key], beside: set[_Key]) -> int:
        """Return the fewest people of some analysis whom columns single out."""
        return min(self._few(rows, free, beside) for rows in self.people.values())

    def _few(self, rows: Ints, free: set[_Key], beside: set[_Key]) -> int:
        whose = self.whose[rows]
        chosen, added = (
            [values[rows] for key, values in self._made.items() if key in keys]
            for keys in (free, beside)
        )
        added.append(np.ones(len(rows)))
        if any(key.kind == "predicted" for key in free):
            chosen = [powers_of(z)[:, 1:] for z in chosen]
            return told(np.column_stack([*chosen, *added]), whose, APART)
        return carriers(
            np.column_stack(chosen), whose, np.column_stack(added), fewest=1
        )

    def _values(self, column: Column) -> Floats:
        with np.errstate(all="ignore"):  # of what is missing
            values = column_of(column, dict(self._known) | {SITE: self._site})
        return np.array(np.broadcast_to(values, self._site.shape), dtype=np.float64)

    def _weight(self, plan: Plan) -> Floats | float:
        """Return what people weigh, of the heaviest, so that no square is too large."""
        if not plan.analysis.weights:
            return 1.0
        weight = self._known[plan.analysis.weights]
        return np.asarray(weight / np.nanmax(weight, initial=0.0))

    def _predicted(self, plan: Plan, rows: Rows) -> Floats:
        published = published_of(plan)
        assert published is not None  # noqa: S101  it has coefficients
        X = np.column_stack([_filled(self._values(one)) for one in plan.columns])
        return predicted(plan, replace(rows, X=X), published)

    def _parts(
        self, plan: Plan, rows: Rows, at: Ints
    ) -> Iterator[tuple[Where, NDArray[np.bool_]]]:
        """Yield the people whose sums are told by themselves: arms, folds, or all."""
        treatment, size = plan.analysis.treatment, len(self.whose)
        if plan.method.fits:
            for arm in range(len(plan.groups)):
                yield (treatment, arm), np.asarray(self._known[treatment] == arm)
        elif len(rows.fold):
            which = (plan.analysis.seed, plan.analysis.folds, at.tobytes())
            for fold in range(plan.analysis.folds):
                mine = np.isin(np.arange(size), at[rows.fold == fold])
                yield (*which, fold), mine
        else:
            yield (), np.ones(size, dtype=bool)


def _filled(values: Floats) -> Floats:
    """Return (n,) values, and their mean where they are missing."""
    is_known = np.isfinite(values)
    return np.where(is_known, values, values[is_known].mean() if is_known.any() else 0)


def _columns(plan: Plan, site: str) -> Iterator[Column]:
    """Yield what a design tells sums of: an intercept, its columns and its offset."""
    yield Column(INTERCEPT)
    yield from (c for c in plan.columns if not c.is_public_at(site, plan.sites))
    if plan.offset is not None:
        yield Column("offset", (plan.offset,))


def _key(factors: tuple[Expression, ...], where: Where) -> _Key:
    if not factors:
        return _Key("plain", where, where) if where[1] else _Key("level", where)
    names = {name for factor in factors for name in names_of(factor)}
    form = form_of(factors[0]) if len(factors) == 1 and len(names) == 1 else None
    if form is None:
        return _Key("made", (factors, *where))
    return _Key("plain", (factors, *where), (*names, *where), form)


# --- looks ----------------------------------------------------------------------------
def together(
    prepared: Mapping[str, tuple[Plan, Rows]], columns: Columns, person: Ints
) -> dict[str, int]:
    """Return the fewest people that the numbers of several analyses single out.

    Args:
        prepared: plan and rows of each analysis of a study by its name; their rows are
            those of one table.
        columns: (n,) of that table by name.
        person: (n,) whose each row of it is.

    Returns:
        Of each analysis whose numbers were looked at with those of another, how many;
        all that there are where none so few were found.
    """
    table = _Table(columns, person)
    own = [
        (name, table.add(*design, of_many=bool(of[0].parts)))
        for name, of in prepared.items()
        for design in _designs(*of)
    ]
    found: dict[str, int] = {}
    for free, beside in _looks(table.keys):
        if any(keys.issuperset(free | beside) for _, keys in own):
            continue  # one alone has all of it, and is looked at by itself
        few = table.few(free, beside)
        for name in {name for name, keys in own if keys & free}:
            found[name] = min(few, found.get(name, few))
    return found


def _designs(plan: Plan, rows: Rows) -> Iterator[tuple[Plan, Rows]]:
    """Yield each design of a plan, of a score and of the pairs of a screen too."""
    for part, of_part in zip(plan.parts, rows.parts, strict=True):
        yield from _designs(part, of_part)
    if plan.columns:
        yield plan, rows
    if plan.score:
        yield plan.score, replace(rows, X=rows.Z)


def _looks(keys: Sequence[_Key]) -> Iterator[tuple[set[_Key], set[_Key]]]:
    """Yield the columns that people are looked for in, and those that may be added."""
    levels, plain, made, predictions = (
        {key for key in keys if key.kind == kind}
        for kind in ("level", "plain", "made", "predicted")
    )
    numbers: dict[Where, dict[str, set[_Key]]] = {}
    for key in sorted(plain, key=keys.index):
        numbers.setdefault(key.number, {}).setdefault(key.form, set()).add(key)
    many = {key for key in plain if _is_many(list(numbers[key.number]))}
    if made | many:
        yield made | many, (plain - many) | levels
    forms = [form for of in numbers.values() for form in of]
    for form in dict.fromkeys((AS_IT_IS, *(f for f in forms if forms.count(f) > 1))):
        alike = [of.get(form, of[min(of)]) for of in numbers.values()]
        if len(alike) > 1:
            yield made.union(*alike), levels
    if predictions:
        yield predictions, made | plain | levels


def _is_many(forms: Sequence[str]) -> bool:
    splines = [form for form in forms if form.startswith(SPLINES)]
    return len(forms) > MOST_FORMS or len(splines) > 1
