"""`<table>.sql` → one checked SELECT: parsed, closed, every column traced to its table.

The language is DuckDB's SELECT with CTEs, joins and UNION ALL over the extract's own
tables, and a closed list of functions: none reads a file, the network, a setting, a
clock or a random number, so that a mapping means the same on every day and machine.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, ParseError, TokenError
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from hetao.cdm.macros import MACROS
from hetao.errors import InvalidMapping

PSEUDO: Final = ("source_row", "source_file")
# sqlglot's own names of the functions that a mapping may use. Left out on purpose: what
# reads a file, a setting, a clock or chance; what picks one of several equal rows; and
# hashes without the site's key.
_KNOWN: Final = """
    abs and array arraycontains arraydistinct arraysize arraysort arraytostring
    ascii avg case cast ceil chr coalesce concat concatws contains count
    cumedist dateadd datediff datefromparts day dayname dayofweek dayofweekiso
    dayofyear denserank endswith exists exp explode extract firstvalue floor
    greatest hour if isnan jsonextract jsonextractscalar jsonkeys jsontype lag
    lastday lastvalue lead least left length levenshtein ln log logicaland
    logicalor lower max median min minute month monthname nthvalue ntile nullif
    or pad percentilecont percentrank pow quarter rank regexpextract
    regexpextractall regexpfullmatch regexplike regexpreplace regexpsplit repeat
    replace reverse right round rownumber second sign split splitpart sqrt
    startswith strposition substring sum timestamptrunc timetostr translate trim
    trunc unicode unnest upper week year
"""
# DuckDB's names of those that sqlglot has no name for.
_PLAIN: Final = """
    date_part date_sub even json_array_length json_exists json_valid json_value
    list_extract list_sort nfc_normalize prefix strip_accents suffix
    try_strptime
"""
FUNCTIONS: Final = frozenset(_KNOWN.split())
PLAIN: Final = frozenset(_PLAIN.split())
REFUSED_NODES: Final = (
    exp.DDL,
    exp.DML,
    exp.Command,
    exp.Into,
    exp.Lambda,
    exp.Limit,
    exp.Fetch,
    exp.Offset,
    exp.TableSample,
    exp.Pivot,
    exp.Parameter,
    exp.Placeholder,
    exp.SessionParameter,
    exp.TryCast,
    exp.Columns,
)


def read_select(
    table: str, text: str, headers: Mapping[str, tuple[str, ...]]
) -> exp.Query:
    """Return the SELECT of a mapping file, every name in it resolved.

    Args:
        table: the CDM table, to name in errors.
        text: of `<table>.sql`.
        headers: source → its columns; `source_row` and `source_file` are added here.

    Returns:
        A qualified syntax tree: each column carries its table's alias, each output a
        name in lower case.

    Raises:
        InvalidMapping: the text is not one SELECT, uses what the closed list lacks, or
            names a table or column that is not there; the closest ones are named.
    """
    where = f"{table}.sql"
    tree = _parse(text, where)
    _check_closed(tree, where)
    _check_tables(tree, headers, where)
    schema = MappingSchema(
        {
            name: {_quoted(column): "VARCHAR" for column in (*columns, *PSEUDO)}
            for name, columns in headers.items()
        },
        dialect="duckdb",
    )
    try:
        found = qualify(tree, schema=schema, dialect="duckdb")
    except OptimizeError as problem:
        raise _unresolved(str(problem), headers, where) from None
    _check_resolved(found, where)
    return found


def outputs(query: exp.Query) -> tuple[str, ...]:
    """Return the names of a query's columns."""
    return tuple(query.named_selects)


def branches(query: exp.Expr) -> tuple[exp.Select, ...]:
    """Return the SELECTs whose rows UNION ALL puts together, in order."""
    if isinstance(query, exp.SetOperation):
        return (*branches(query.left), *branches(query.right))
    if isinstance(query, exp.Subquery):
        return branches(query.this)
    return (query,) if isinstance(query, exp.Select) else ()


def closest(name: str, known: Iterable[str]) -> str:
    """Return the remedy for a name that is not there: those that look like it."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 3, 0.5)
    picked = [n for n in names if n.lower() in near] or names[:12]
    return ("closest: " if near else "there are: ") + ", ".join(picked)[:400]


def _quoted(column: str) -> str:
    return exp.to_identifier(column, quoted=True).sql("duckdb")


def _parse(text: str, where: str) -> exp.Query:
    try:
        found = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree]
    except (ParseError, TokenError, RecursionError) as problem:
        first = str(problem).splitlines()[0][:200]
        raise InvalidMapping(f"{where} cannot be read: {first}") from None
    if len(found) != 1 or not isinstance(found[0], exp.Select | exp.SetOperation):
        raise InvalidMapping(
            f"{where}: a mapping is one SELECT",
            fix="CTEs and UNION ALL are allowed, other statements are not",
        )
    return found[0]


def _check_closed(tree: exp.Query, where: str) -> None:
    for node in tree.walk():
        if isinstance(node, REFUSED_NODES):
            raise InvalidMapping(
                f"{where}: {_word(node)} is not allowed in a mapping",
                fix="see the list of what is in the guide for hospitals",
            )
        if isinstance(node, exp.SetOperation) and (
            not isinstance(node, exp.Union)
            or node.args.get("distinct")
            or node.args.get("by_name")
        ):
            raise InvalidMapping(
                f"{where}: of set operations only UNION ALL is allowed",
                fix="write UNION ALL, the columns in the same order",
            )
        if isinstance(node, exp.With) and node.recursive:
            raise InvalidMapping(f"{where}: WITH RECURSIVE is not allowed in a mapping")
        if isinstance(node, exp.Join) and node.method:
            raise InvalidMapping(
                f"{where}: {node.method} JOIN is not allowed in a mapping",
                fix="name the columns after ON or USING",
            )
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            raise InvalidMapping(
                f"{where}: DISTINCT ON is not allowed in a mapping",
                fix="QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1",
            )
        if isinstance(node, exp.Func) and not isinstance(node, exp.Unnest):
            _check_function(node, where)


def _check_function(node: exp.Func, where: str) -> None:
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        allowed = name in MACROS or name in PLAIN
    else:
        name = node.key
        allowed = name in FUNCTIONS
    if not allowed:
        raise InvalidMapping(
            f"{where}: the function {name[:60]} is not allowed in a mapping",
            fix=closest(name, sorted((*MACROS, *PLAIN))),
        )
    if name in MACROS and len(node.expressions) not in MACROS[name].arguments:
        raise InvalidMapping(
            f"{where}: {name} takes {MACROS[name].says}",
        )


def _word(node: exp.Expr) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).upper()


def _check_tables(
    tree: exp.Query, headers: Mapping[str, tuple[str, ...]], where: str
) -> None:
    own = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    clash = own & set(headers)
    if clash:
        raise InvalidMapping(
            f"{where}: WITH {min(clash)} hides the source of that name",
            fix="give it another name",
        )
    for table in tree.find_all(exp.Table):
        plain = isinstance(table.this, exp.Identifier) and not table.db
        if not plain or (
            table.name.lower() not in own and table.name.lower() not in headers
        ):
            shown = table.this.sql("duckdb")[:60]
            raise InvalidMapping(
                f"{where}: there is no source {shown}",
                fix=closest(table.name, headers),
            )


def _unresolved(
    said: str, headers: Mapping[str, tuple[str, ...]], where: str
) -> InvalidMapping:
    named = re.search(r"[Cc]olumn '(.*?)' could not|Unknown column: (\S+)", said)
    name = next((part for part in (named.groups() if named else ()) if part), "")
    if not name:
        return InvalidMapping(f"{where} cannot be read: {said[:200]}")
    every = dict.fromkeys(column for columns in headers.values() for column in columns)
    return InvalidMapping(
        f"{where}: there is no column {name[:80]!r}", fix=closest(name, every)
    )


def _check_resolved(tree: exp.Query, where: str) -> None:
    """Refuse what would carry a whole row, or a column that nobody could trace."""
    for node in tree.walk():
        if isinstance(node, exp.TableColumn | exp.Star) and not isinstance(
            node.parent, exp.Count
        ):
            raise InvalidMapping(
                f"{where}: a whole row is not a column", fix="name the columns"
            )
        if isinstance(node, exp.Column) and not node.table:
            raise InvalidMapping(
                f"{where}: column {node.name[:80]!r} cannot be traced to a table",
                fix="write it as table.column",
            )
    for branch in branches(tree):
        names = [projection.alias_or_name for projection in branch.selects]
        twice = [name for name in names if names.count(name) > 1]
        if branch is branches(tree)[0] and twice:
            raise InvalidMapping(f"{where}: the column {twice[0]!r} stands twice")
