"""How each function and operator of a plan is said on each engine."""

from collections.abc import Callable
from functools import cache
from typing import cast

from sqlglot import exp, parse_one

ASCII_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASCII_LOWER = ASCII_UPPER.lower()
TEXTS = ("TEXT", "VARCHAR")
WHOLE = ("BIGINT", "INT")
# Where PostgreSQL compares a literal by bytes, or not as text, whatever the collation.
BYTEWISE = (exp.EQ, exp.NEQ, exp.In, exp.Like, exp.StartsWith, exp.Cast, exp.Replace)

# A form → for each engine its words, in which :a, :b and :c stand for the arguments.
FORMS: dict[type[exp.Expr], dict[str, str]] = {
    exp.DateDiff: {
        "duckdb": "DATE_DIFF('day', CAST(:b AS DATE), CAST(:a AS DATE))",
        "postgres": "CAST(CAST(:a AS DATE) - CAST(:b AS DATE) AS BIGINT)",
        "spark": "CAST(DATEDIFF(CAST(:a AS DATE), CAST(:b AS DATE)) AS BIGINT)",
    },
    exp.Anonymous: {  # add_days, the only one
        "duckdb": "(CAST(:a AS DATE) + CAST(:b AS INT))",
        "postgres": "(CAST(:a AS DATE) + CAST(:b AS INT))",
        "spark": "DATE_ADD(CAST(:a AS DATE), CAST(:b AS INT))",
    },
    exp.AddMonths: {
        "duckdb": "CAST(CAST(:a AS DATE) + TO_MONTHS(CAST(:b AS INT)) AS DATE)",
        "postgres": "CAST(CAST(:a AS DATE) + MAKE_INTERVAL(months => CAST(:b AS INT)) "
        "AS DATE)",
        "spark": "ADD_MONTHS(CAST(:a AS DATE), CAST(:b AS INT))",
    },
    **{
        part: {
            "duckdb": f"{name}(:a)",
            "postgres": f"CAST(EXTRACT({name} FROM :a) AS BIGINT)",
            "spark": f"CAST({name}(:a) AS BIGINT)",
        }
        for part, name in (
            (exp.Year, "YEAR"),
            (exp.Month, "MONTH"),
            (exp.Day, "DAY"),
        )
    },
    exp.DateFromParts: dict.fromkeys(
        ("duckdb", "postgres", "spark"),
        "MAKE_DATE(CAST(:a AS INT), CAST(:b AS INT), CAST(:c AS INT))",
    ),
    exp.Div: dict.fromkeys(
        ("duckdb", "postgres", "spark"),
        "(CAST(:a AS DOUBLE PRECISION) / NULLIF(CAST(:b AS DOUBLE PRECISION), 0))",
    )
    | {"spark": "(CAST(:a AS DOUBLE) / NULLIF(CAST(:b AS DOUBLE), 0))"},
    exp.IntDiv: {
        "duckdb": "(:a // NULLIF(:b, 0))",
        "postgres": "CAST(DIV(CAST(:a AS DECIMAL), CAST(NULLIF(:b, 0) AS DECIMAL)) "
        "AS BIGINT)",
        "spark": "(:a DIV NULLIF(:b, 0))",
    },
    exp.Mod: dict.fromkeys(("duckdb", "postgres", "spark"), "(:a % NULLIF(:b, 0))"),
    exp.Length: {
        "duckdb": "LENGTH(:a)",
        "postgres": "CAST(LENGTH(:a) AS BIGINT)",
        "spark": "CAST(LENGTH(:a) AS BIGINT)",
    },
    exp.Lower: dict.fromkeys(
        ("duckdb", "postgres", "spark"),
        f"TRANSLATE(:a, '{ASCII_UPPER}', '{ASCII_LOWER}')",
    ),
    exp.Upper: dict.fromkeys(
        ("duckdb", "postgres", "spark"),
        f"TRANSLATE(:a, '{ASCII_LOWER}', '{ASCII_UPPER}')",
    ),
    exp.Trim: dict.fromkeys(("duckdb", "postgres", "spark"), "TRIM(:a)")
    | {"duckdb": "TRIM(:a, ' ')"},
    exp.SHA2: {
        "duckdb": "SHA256(:a)",
        "postgres": "(ENCODE(SHA256(CONVERT_TO(:a, 'UTF8')), 'hex') COLLATE \"C\")",
        "spark": "SHA2(:a, 256)",
    },
    exp.Substring: {},
    exp.Cast: {},
    exp.Avg: {},
}
ARGUMENTS: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.DateFromParts: ("year", "month", "day"),
    exp.Anonymous: ("expressions",),
}


def rewrite(plan: exp.Expr, engine: str) -> exp.Expr:
    """Return the plan's tree in one engine's words; the given one is used up."""
    # Outermost first: an average holds a sum, a quotient holds what it divides.
    plan = plan.transform(_average, copy=False)
    if engine != "duckdb":
        plan = plan.transform(_without_qualify, copy=False)
    if engine == "spark":
        plan = plan.transform(_without_filtered_window, copy=False)
    return _deepest_first(plan, lambda node: _said(node, engine))


def _deepest_first(plan: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    for node in list(reversed(list(plan.walk(bfs=True)))):
        changed = change(node)
        if changed is not node:
            if node is plan:
                return changed
            node.replace(changed)
    return plan


def _said(node: exp.Expr, engine: str) -> exp.Expr:
    words = FORMS.get(type(node), {}).get(engine)
    if words is None:
        return SPECIAL[engine](node)
    form = _form(words, engine).copy()
    arguments: list[exp.Expr] = []
    for name in ARGUMENTS.get(type(node), ("this", "expression")):
        value = node.args.get(name)
        arguments += value if isinstance(value, list) else [value] if value else []
    given = dict(zip("abc", arguments, strict=False))
    for slot in list(form.find_all(exp.Placeholder)):
        slot.replace(_whole(given[slot.name].copy()))
    return form


@cache
def _form(words: str, engine: str) -> exp.Expr:
    return parse_one(words, read=engine)


def _whole(node: exp.Expr) -> exp.Expr:
    """Return what an operator beside it cannot tear apart."""
    if isinstance(node, (exp.Binary, exp.Unary, exp.Predicate)):
        return exp.Paren(this=node)
    return node


def _average(node: exp.Expr) -> exp.Expr:
    """Say an average as sum / count, each with the average's own filter and window."""
    inner = node
    while isinstance(inner, (exp.Window, exp.Filter)):
        inner = inner.this
    if not isinstance(inner, exp.Avg):
        return node
    parts = []
    for aggregate in (exp.Sum, exp.Count):
        part = node.copy()
        average = part.find(exp.Avg)
        assert average is not None  # noqa: S101  a copy holds what its model holds
        changed = aggregate(this=average.this)
        if average is part:
            part = changed
        else:
            average.replace(changed)
        parts.append(part)
    return exp.Div(this=parts[0], expression=parts[1], typed=False, safe=False)


def _without_qualify(node: exp.Expr) -> exp.Expr:
    """Say QUALIFY as a condition over a subselect that holds its truth as a column."""
    qualify = node.args.get("qualify") if isinstance(node, exp.Select) else None
    if qualify is None:
        return node
    made = {o.alias: o.this for o in node.expressions if isinstance(o, exp.Alias)}
    condition = qualify.this.copy()
    holder = exp.Paren(this=condition)
    for column in list(holder.find_all(exp.Column)):
        if not column.table and column.name in made:
            column.replace(exp.Paren(this=made[column.name].copy()))
    inner = cast("exp.Select", node.copy())
    outer = exp.Select(
        expressions=[exp.column(o.alias_or_name) for o in node.expressions]
    )
    for clause in ("order", "limit", "distinct", "with_"):
        if inner.args.get(clause):
            outer.set(clause, inner.args[clause].pop())
    inner.set("qualify", None)
    inner.append("expressions", exp.alias_(holder, "qualify_"))
    outer = outer.from_(inner.subquery("qualified_"))
    return outer.where(exp.column("qualify_"))


def _without_filtered_window(node: exp.Expr) -> exp.Expr:
    """Say a window's FILTER as a CASE within its aggregate: Spark has no other."""
    if not (isinstance(node, exp.Window) and isinstance(node.this, exp.Filter)):
        return node
    aggregate, condition = node.this.this.copy(), node.this.expression.this.copy()
    value = aggregate.this
    if isinstance(value, exp.Star):
        value = exp.Literal.number(1)
    aggregate.set("this", exp.Case(ifs=[exp.If(this=condition, true=value.copy())]))
    changed = node.copy()
    changed.set("this", aggregate)
    return changed


def _as_it_is(node: exp.Expr) -> exp.Expr:
    return node


def _postgres(node: exp.Expr) -> exp.Expr:
    """Give text that does not come from a column the collation that columns have."""
    if isinstance(node, exp.Literal) and node.is_string:
        if isinstance(node.parent, BYTEWISE):
            return node
    elif not (isinstance(node, exp.Cast) and node.to.this.name in TEXTS):
        return node
    if isinstance(node.parent, exp.Collate):
        return node
    by_bytes = exp.Identifier(this="C", quoted=True)
    return exp.Paren(this=exp.Collate(this=node.copy(), expression=by_bytes))


def _spark(node: exp.Expr) -> exp.Expr:
    """Round where Spark would cut; add up whole numbers beyond 64 bits, as all do."""
    if isinstance(node, exp.Sum) and not isinstance(node.this, exp.Distinct):
        one = exp.cast(exp.Literal.number(1), "DECIMAL(1, 0)", dialect="spark")
        wide = exp.Mul(this=_whole(node.this.copy()), expression=one)
        return exp.Sum(this=wide)
    if (
        isinstance(node, exp.Cast)
        and node.to.this.name in WHOLE
        and not isinstance(node.this, (exp.Literal, exp.Null))
    ):
        exact = exp.cast(node.this.copy(), "DECIMAL(38, 18)", dialect="spark")
        rounded = exp.Anonymous(
            this="ROUND", expressions=[exact, exp.Literal.number(0)]
        )
        return exp.Cast(this=rounded, to=node.to.copy())
    return node


SPECIAL: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "duckdb": _as_it_is,
    "postgres": _postgres,
    "spark": _spark,
}
