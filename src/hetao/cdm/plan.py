"""A plan in the portable subset → the same plan in one engine's own SQL.

The closed lists here are the subset that `docs/specs/plans.md` explains. What is not in
them is refused by name, on every engine, the embedded one too.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hetao.cdm.plan_forms import FORMS, rewrite
from hetao.errors import UnportablePlan

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
PLANS_KEPT = 1024  # translations kept: a study has tens of plans

# What a plan may hold beside the forms that are translated one by one.
SHAPE: tuple[type[exp.Expr], ...] = (
    *(exp.Select, exp.Subquery, exp.Union, exp.Intersect, exp.Except, exp.Values),
    *(exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group, exp.Having),
    *(exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Distinct, exp.Tuple),
    *(exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star),
    *(exp.Window, exp.WindowSpec, exp.Filter, exp.Exists, exp.In, exp.Paren),
    *(exp.Literal, exp.Null, exp.Boolean, exp.DataType, exp.DataTypeParam, exp.Var),
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.Between, exp.Like, exp.Case, exp.If),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    *(exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.DPipe),
    *(exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
    *(exp.Abs, exp.Floor, exp.Ceil, exp.Round, exp.StartsWith, exp.Replace),
    *(exp.Count, exp.Sum, exp.Min, exp.Max, exp.LogicalAnd, exp.LogicalOr),
    *(exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
    *(exp.FirstValue, exp.LastValue, exp.GroupConcat),
)
ALLOWED = frozenset((*SHAPE, *FORMS))
ORDERED_WINDOWS = (
    *(exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
    *(exp.FirstValue, exp.LastValue),
)
EXACT = (exp.Sum, exp.Avg, exp.Round, exp.Floor, exp.Ceil, exp.Cast)
# Arguments of a node that change what it means, beyond the node's class.
FLAGS: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Select: ("kind", "hint", "into", "sample", "pivots", "laterals", "offset"),
    exp.Group: ("all", "cube", "rollup", "grouping_sets", "totals"),
    exp.Union: ("by_name", "side", "kind"),
    exp.Intersect: ("by_name",),
    exp.Except: ("by_name",),
    exp.With: ("recursive",),
    exp.Distinct: ("on",),
    exp.Table: ("db", "catalog", "sample", "pivots", "joins", "laterals", "version"),
    exp.Join: ("method",),
    exp.Column: ("db", "catalog"),
    exp.Star: ("except_", "except", "replace", "rename", "ilike"),
    exp.Between: ("symmetric",),
    exp.Ordered: ("with_fill",),
    exp.In: ("unnest", "field"),
    exp.Order: ("all", "siblings"),
}
TYPES = ("BIGINT", "INT", "DECIMAL", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMPNTZ")
TEXTS = ("TEXT", "VARCHAR")


@lru_cache(maxsize=PLANS_KEPT)
def translate(sql: str, engine: str) -> str:
    """Return a plan as one engine's own SQL.

    Args:
        sql: one SELECT in the portable subset.
        engine: "duckdb", "postgres" or "spark".

    Raises:
        UnportablePlan: the text cannot be parsed, or lies outside the subset.
    """
    plan = parse(sql)
    for node in plan.walk():
        _check(node)
    own = rewrite(plan, engine)  # a tree that nobody else reads
    return own.sql(dialect=engine, identify=True, copy=False)


@lru_cache(maxsize=PLANS_KEPT)
def named_columns(sql: str) -> tuple[str, ...] | None:
    """Return the names of a plan's columns; None where a * stands for some.

    Raises:
        UnportablePlan: the text cannot be parsed.
    """
    plan = parse(sql)
    if plan.is_star:
        return None
    return tuple(plan.named_selects)


def parse(sql: str) -> exp.Query:
    """Return the tree of a text that is one query.

    Raises:
        UnportablePlan: it is not.
    """
    try:
        found = sqlglot.parse(sql, read="duckdb")
    except SqlglotError as e:
        raise UnportablePlan(
            "a plan cannot be parsed", fix=GRAMMAR, local=str(e)[:400]
        ) from None
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise UnportablePlan("a plan is one SELECT, nothing else", fix=GRAMMAR)
    return found[0]


GRAMMAR = "see docs/specs/plans.md"


def checked_name(name: str) -> str:
    """Return a name that a plan may give a table or column.

    Raises:
        UnportablePlan: it is none.
    """
    if not NAME.fullmatch(name):
        raise UnportablePlan(
            f"a plan names something {name[:80]!r}",
            fix="use a-z, 0-9 and _ for names, and name every column",
        )
    return name


def _check(node: exp.Expr) -> None:
    if type(node) not in ALLOWED:  # the class itself: TRY_CAST is a kind of CAST
        _refuse(_called(node))
    for flag in FLAGS.get(type(node), ()):
        if node.args.get(flag):
            _refuse(f"{_called(node)} … {flag.rstrip('_')}")
    check = CHECKS.get(type(node))
    if check is not None:
        check(node)
    if isinstance(node, EXACT) and _is_double(node):
        _refuse(f"{_called(node)} of a DOUBLE", "a DOUBLE is a plan's last step")


def _refuse(what: str, fix: str = GRAMMAR) -> None:
    raise UnportablePlan(f"a plan holds {what}, which is not portable", fix=fix)


def _called(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"{node.name}()"
    if isinstance(node, exp.Func):
        return f"{node.sql_name().lower()}()"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def _is_double(node: exp.Expr) -> bool:
    """Say whether an exact operation would read what is a DOUBLE on its face."""
    operand = node.this
    return any(
        isinstance(part, (exp.Div, exp.Avg))
        or (isinstance(part, exp.Cast) and part.to.this.name == "DOUBLE")
        for part in _within(operand)
    )


def _within(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield a node and what its value is made of, not what merely chooses it."""
    yield node
    for name, value in node.args.items():
        if isinstance(node, exp.If) and name == "this":
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Expr) and not isinstance(part, exp.Predicate):
                yield from _within(part)


def _check_identifier(node: exp.Expr) -> None:
    checked_name(node.name)


def _check_join(node: exp.Expr) -> None:
    if node.args.get("kind") in ("SEMI", "ANTI") and node.args.get("using"):
        _refuse("SEMI or ANTI JOIN … USING", "write ON")
    if str(node.args.get("method") or "") or node.args.get("kind") == "POSITIONAL":
        _refuse("a join of a kind of DuckDB's own")


def _check_limit(node: exp.Expr) -> None:
    if node.parent is None or not node.parent.args.get("order"):
        _refuse("LIMIT without ORDER BY", "order the rows totally")


def _check_window(node: exp.Expr) -> None:
    function = node.this.this if isinstance(node.this, exp.Filter) else node.this
    named = node.args.get("alias")
    if (
        isinstance(function, ORDERED_WINDOWS)
        and not node.args.get("order")
        and not named
    ):
        _refuse(f"{_called(function)} without ORDER BY", "order the rows totally")


def _check_frame(node: exp.Expr) -> None:
    bounded = [
        node.args.get(side)
        for side in ("start", "end")
        if isinstance(node.args.get(side), exp.Expr)
    ]
    if str(node.args.get("kind")).upper() != "ROWS" and bounded:
        _refuse("a frame that is not ROWS")
    if node.args.get("exclude"):
        _refuse("EXCLUDE in a frame")


def _check_count(node: exp.Expr) -> None:
    if isinstance(node.this, exp.Distinct) and (
        len(node.this.expressions) != 1
        or isinstance(node.this.expressions[0], exp.Tuple)
    ):
        _refuse("count(DISTINCT …) of several columns", "count rows of SELECT DISTINCT")
    if node.expressions:
        _refuse("count() of several columns")


def _check_cast(node: exp.Expr) -> None:
    target = node.args["to"]
    name = target.this.name
    if node.args.get("format"):
        _refuse("CAST … FORMAT")
    if name == "BOOLEAN" and isinstance(node.this, exp.Null):
        return
    if name in TEXTS and not target.expressions:
        return
    if name not in TYPES or (name == "DECIMAL") != (len(target.expressions) == 2):
        _refuse(f"a cast to {target.sql('duckdb')}")


def _check_literal(node: exp.Expr) -> None:
    if not node.args["is_string"] and "e" in node.name.lower():
        _refuse("a number with an exponent", "write it out")
    if node.args["is_string"] and "\0" in node.name:
        _refuse("a text with U+0000")


def _check_like(node: exp.Expr) -> None:
    pattern = node.args["expression"]
    if not _is_text(pattern) or "\\" in pattern.name:
        _refuse("LIKE with what is not a plain literal")


def _check_replace(node: exp.Expr) -> None:
    if not _is_text(node.args["expression"]) or not node.args["expression"].name:
        _refuse("replace() of what is not a literal")


def _check_substring(node: exp.Expr) -> None:
    start, length = node.args.get("start"), node.args.get("length")
    if not _is_count(start) or str(start) == "0":
        _refuse("substr() that does not start at a literal from 1")
    if length is not None and not _is_count(length):
        _refuse("substr() whose length is not a literal")


def _check_round(node: exp.Expr) -> None:
    decimals = node.args.get("decimals")
    if decimals is not None and not _is_count(decimals):
        _refuse("round() to decimals that are not a literal")


def _check_trim(node: exp.Expr) -> None:
    if node.args.get("expression") or node.args.get("position"):
        _refuse("trim() of other characters than spaces")


def _check_unit(node: exp.Expr) -> None:
    if str(node.args.get("unit")).upper() != "DAY":
        _refuse("date_diff() in another unit than 'day'")


def _check_sha(node: exp.Expr) -> None:
    if str(node.args.get("length")) != "256":
        _refuse("a hash other than sha256()")


def _check_anonymous(node: exp.Expr) -> None:
    if node.name.lower() != "add_days" or len(node.expressions) != 2:
        _refuse(_called(node))


def _check_qualify(node: exp.Expr) -> None:
    select = node.parent
    outputs = select.expressions if select else []
    if any(isinstance(output, exp.Star) or output.is_star for output in outputs):
        _refuse("* beside QUALIFY", "name the columns")
    names = [output.alias_or_name for output in outputs]
    if "" in names or len(set(names)) < len(names):
        _refuse("a column without a name of its own beside QUALIFY")
    made = {o.alias: o.this for o in outputs if isinstance(o, exp.Alias)}
    for column in node.find_all(exp.Column):
        value = made.get(column.name) if not column.table else None
        if value is not None and not (
            value.find(exp.Window) or value.name == column.name
        ):
            _refuse("QUALIFY by an alias of what is no window", "repeat the value")
    order = select.args.get("order") if select else None
    for key in order.expressions if order else ():
        column = key.this
        if (
            not isinstance(column, exp.Column)
            or column.table
            or column.name not in names
        ):
            _refuse("ORDER BY of what is no output beside QUALIFY", "order by outputs")


def _is_text(node: object) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


def _is_count(node: object) -> bool:
    return isinstance(node, exp.Literal) and node.name.isdigit()


def _check_ordered(node: exp.Expr) -> None:
    if isinstance(node.this, exp.Var):
        _refuse("ORDER BY ALL", "name the columns")


def _check_text_of_many(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Order) or not _is_text(node.args.get("separator")):
        _refuse("string_agg() without a literal between and ORDER BY within")


CHECKS: dict[type[exp.Expr], Callable[[exp.Expr], None]] = {
    exp.Ordered: _check_ordered,
    exp.GroupConcat: _check_text_of_many,
    exp.Identifier: _check_identifier,
    exp.Join: _check_join,
    exp.Limit: _check_limit,
    exp.Window: _check_window,
    exp.WindowSpec: _check_frame,
    exp.Count: _check_count,
    exp.Cast: _check_cast,
    exp.Literal: _check_literal,
    exp.Like: _check_like,
    exp.Replace: _check_replace,
    exp.Substring: _check_substring,
    exp.Round: _check_round,
    exp.Trim: _check_trim,
    exp.DateDiff: _check_unit,
    exp.SHA2: _check_sha,
    exp.Anonymous: _check_anonymous,
    exp.Qualify: _check_qualify,
}
