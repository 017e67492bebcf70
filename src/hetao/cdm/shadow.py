"""A SELECT → the same SELECT with a shadow beside each column that reads texts.

The shadow `x!` of a column `x` is NULL, or says why a text that was there could not be
read. It is carried through CTEs, CASE, coalesce, aggregates and UNION ALL as the value
itself is, so that a cell which became NULL on the way is never lost unseen. A CAST in a
mapping is read as a TRY_CAST with a shadow: no text can stop a curation.
"""

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp

from hetao.cdm.macros import MACROS, OF, unreadable_sql
from hetao.cdm.selecting import branches, outputs
from hetao.errors import InvalidMapping

MARK = "!"
BRANCH = "branch!"
ROW = "source_row"
Found = list[exp.Expr | None]  # one a column: what its shadow is, None for none


def with_shadows(
    query: exp.Query, table: str, headers: Mapping[str, tuple[str, ...]]
) -> tuple[exp.Query, tuple[str, ...]]:
    """Return a copy of a qualified query with its shadows, and the shadowed columns.

    The copy also gives `branch!`, the place of each row's branch of UNION ALL from 0,
    and `source_row`, NULL where a branch does not tell it.

    Args:
        query: of `read_select`.
        table: the CDM table, to name in errors.
        headers: source → its columns, to name in reasons.

    Raises:
        InvalidMapping: a text is read inside a scalar subquery, where nothing could
            be kept aside.
    """
    copy = query.copy()
    _label(copy, headers)
    _cast_softly(copy)
    _refuse_hidden(copy, table)
    _name_rows(copy)
    known: dict[str, frozenset[str]] = {}
    for cte in copy.ctes:
        found = _found(cte.this, known)
        names = outputs(cte.this)
        kept = [place for place, shadow in enumerate(found) if shadow is not None]
        _append(cte.this, found, [(place, names[place]) for place in kept], known)
        known[cte.alias.lower()] = frozenset(names[place] for place in kept)
    found, names = _found(copy, known), outputs(copy)
    kept = [place for place, shadow in enumerate(found) if shadow is not None]
    _append(copy, found, [(place, names[place]) for place in kept], known)
    for place, branch in enumerate(branches(copy)):
        branch.select(
            exp.alias_(exp.Literal.number(place), BRANCH, quoted=True), copy=False
        )
    return copy, tuple(names[place] for place in kept)


def _label(query: exp.Query, headers: Mapping[str, tuple[str, ...]]) -> None:
    """Note on each column of a source what its header is, as written."""
    written = {
        name: {header.lower(): header for header in columns}
        for name, columns in headers.items()
    }
    for select in query.find_all(exp.Select):
        start = select.args.get("from_") or select.args.get("from")
        items = [*([start] if start else []), *(select.args.get("joins") or [])]
        named = {
            item.this.alias_or_name.lower(): written[item.this.name.lower()]
            for item in items
            if isinstance(item.this, exp.Table) and item.this.name.lower() in written
        }
        for column in select.find_all(exp.Column):
            header = named.get(column.table.lower(), {}).get(column.name.lower(), "")
            if header and column.find_ancestor(exp.Select) is select:
                column.meta["header"] = header


def _cast_softly(query: exp.Query) -> None:
    for cast in list(query.find_all(exp.Cast)):
        if type(cast) is exp.Cast and not isinstance(cast.this, exp.Literal):
            cast.replace(exp.TryCast(**cast.args))


def _refuse_hidden(query: exp.Query, table: str) -> None:
    for node in query.find_all(exp.Subquery, exp.Exists, exp.In):
        if isinstance(node, exp.Subquery) and isinstance(
            node.parent, exp.From | exp.Join | exp.SetOperation
        ):
            continue
        inner = node.args.get("query") or node.this
        if isinstance(inner, exp.Query) and any(map(_reads, inner.walk())):
            raise InvalidMapping(
                f"{table}.sql: a text is read inside a subquery of an expression",
                fix="read it in a CTE: what cannot be read there is kept aside",
            )


def _reads(node: exp.Expr) -> bool:
    return isinstance(node, exp.TryCast) or bool(_macro(node))


def _macro(node: exp.Expr) -> str:
    """Return the name of a macro that reads a text, "" for anything else."""
    if not isinstance(node, exp.Anonymous):
        return ""
    name = node.name.lower()
    return name if name in MACROS and MACROS[name].reason else ""


def _name_rows(query: exp.Query) -> None:
    """Have every branch tell its source row, where a table of it can."""
    parts = branches(query)
    if ROW in outputs(query):
        return
    for branch in parts:
        branch.select(exp.alias_(_row_of(branch), ROW, quoted=True), copy=False)


def _row_of(branch: exp.Select) -> exp.Expr:
    start = branch.args.get("from_") or branch.args.get("from")
    table = start.this if start else None
    merged = branch.args.get("group") or branch.args.get("distinct")
    merged = merged or _is_merged(branch)
    if isinstance(table, exp.Table) and not merged and not _is_cte(branch, table.name):
        return exp.column(ROW, table=table.alias_or_name, quoted=True)
    return exp.cast(exp.null(), "BIGINT")


def is_row_for_row(branch: exp.Select) -> bool:
    """Return whether each row is one of a single source table, and hands its row on."""
    start = branch.args.get("from_") or branch.args.get("from")
    table = start.this if start else None
    row = next((p.unalias() for p in branch.selects if p.alias_or_name == ROW), None)
    return (
        isinstance(table, exp.Table)
        and not _is_cte(branch, table.name)
        and not any(branch.args.get(part) for part in ("joins", "laterals"))
        and branch.find(exp.Explode, exp.Unnest) is None
        and isinstance(row, exp.Column)
        and row.name.lower() == ROW
    )


def _is_merged(branch: exp.Select) -> bool:
    return any(
        isinstance(node, exp.AggFunc) and not _windowed(node)
        for projection in branch.selects
        for node in projection.find_all(exp.AggFunc)
    )


def _windowed(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def _is_cte(branch: exp.Select, name: str) -> bool:
    root = branch.root()
    return name.lower() in {c.alias.lower() for c in root.find_all(exp.CTE)}


# --- what a column's shadow is --------------------------------------------------------
def _found(query: exp.Expr, known: Mapping[str, frozenset[str]]) -> Found:
    """Return each output's shadow over all branches; any branch's counts."""
    whole: Found = []
    for branch in branches(query):
        local = _local(branch, known)
        grouped = bool(branch.args.get("group")) or _is_merged(branch)
        own: Found = []
        for projection in branch.selects:
            shadow = _problem(projection.unalias(), local)
            if shadow is not None and grouped:
                shadow = exp.Max(this=shadow)
            own.append(shadow)
        branch.meta["shadows"] = own
        whole = [a or b for a, b in zip(whole, own, strict=True)] if whole else own
    return whole


def _local(
    branch: exp.Select, known: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return alias → shadowed columns of what a branch reads; subqueries are done."""
    local = {}
    start = branch.args.get("from_") or branch.args.get("from")
    joins = branch.args.get("joins") or []
    for item in [*([start] if start else []), *joins]:
        table = item.this
        if isinstance(table, exp.Table):
            local[table.alias_or_name.lower()] = known.get(
                table.name.lower(), frozenset()
            )
        elif isinstance(table, exp.Subquery):
            inner = table.this
            found, names = _found(inner, known), outputs(inner)
            kept = [place for place, shadow in enumerate(found) if shadow is not None]
            _append(inner, found, [(place, names[place]) for place in kept], known)
            local[table.alias.lower()] = frozenset(names[place] for place in kept)
    return local


def _append(
    query: exp.Expr,
    found: Found,
    kept: Sequence[tuple[int, str]],
    known: Mapping[str, frozenset[str]],
) -> None:
    del found, known
    for branch in branches(query):
        own = branch.meta["shadows"]
        for place, name in kept:
            shadow = own[place] if own[place] is not None else exp.null()
            typed = exp.cast(shadow.copy(), "TEXT")
            branch.select(exp.alias_(typed, name + MARK, quoted=True), copy=False)


def _problem(
    node: exp.Expr | None, local: Mapping[str, frozenset[str]]
) -> exp.Expr | None:
    if node is None or isinstance(node, exp.Query | exp.Subquery | exp.Literal):
        return None
    if isinstance(node, exp.Column):
        shadowed = node.name in local.get(node.table.lower(), frozenset())
        name = node.name + MARK
        return exp.column(name, table=node.table, quoted=True) if shadowed else None
    if isinstance(node, exp.Case):
        return _of_case(node, local)
    inner = [_problem(child, local) for child in node.iter_expressions()]
    first = _first(inner)
    if isinstance(node, exp.Coalesce) and first is not None:
        return exp.Case().when(exp.Is(this=node.copy(), expression=exp.null()), first)
    own = _own(node)
    return _first([first, own])


def _own(node: exp.Expr) -> exp.Expr | None:
    """Return what goes wrong when this very node cannot read its text."""
    name = _macro(node)
    if name:
        argument = node.expressions[0]
        said = unreadable_sql(
            name, argument.sql("duckdb"), node.sql("duckdb"), _header(argument)
        )
        return sqlglot.parse_one(said, dialect="duckdb")
    if isinstance(node, exp.TryCast):
        kind = node.to.sql("duckdb")
        missing = exp.and_(
            exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.null())),
            exp.Is(this=node.copy(), expression=exp.null()),
        )
        reason = f"not a {kind}{OF}{_header(node.this)}"
        return exp.Case().when(missing, exp.Literal.string(reason))
    return None


def _header(argument: exp.Expr) -> str:
    """Return the source column that an expression reads, if it is one alone."""
    found = {column.meta.get("header", "") for column in argument.find_all(exp.Column)}
    return str(found.pop()) if len(found) == 1 else ""


def _of_case(node: exp.Case, local: Mapping[str, frozenset[str]]) -> exp.Expr | None:
    """Return the shadow of the branch of a CASE that is taken, or of its conditions."""
    conditions = [node.args.get("this"), *(part.this for part in node.args["ifs"])]
    values = [_problem(part.args["true"], local) for part in node.args["ifs"]]
    default = _problem(node.args.get("default"), local)
    taken: exp.Expr | None = None
    if default is not None or any(value is not None for value in values):
        copy = node.copy()
        for part, value in zip(copy.args["ifs"], values, strict=True):
            part.set("true", value or exp.null())
        copy.set("default", default or exp.null())
        taken = copy
    return _first([*(_problem(part, local) for part in conditions), taken])


def _first(parts: Sequence[exp.Expr | None]) -> exp.Expr | None:
    there = [part.copy() for part in parts if part is not None]
    if len(there) < 2:
        return there[0] if there else None
    return exp.Coalesce(this=there[0], expressions=there[1:])
