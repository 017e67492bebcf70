"""A mapping's SELECTs: proven, checked, and run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from hetao.cdm.engine_duckdb import Connection, Problem, count, text, texts
from hetao.cdm.hiding import select_hidden
from hetao.cdm.lineage import Proof, check_headers, prove
from hetao.cdm.mapping import SiteFolder
from hetao.cdm.selecting import branches, outputs, read_select
from hetao.cdm.shadow import ROW, is_row_for_row, with_shadows
from hetao.cdm.staging import Staged
from hetao.dictionary import Table, dictionary
from hetao.errors import InvalidMapping

SOURCES: Final = "extract"  # the schema that the SELECTs read
NO_CONCEPT: Final = 0
# Required columns that a mapping may leave out, and what they are then.
DEFAULTS: Final = {
    "race_concept_id": str(NO_CONCEPT),
    "ethnicity_concept_id": str(NO_CONCEPT),
    "visit_end_date": "visit_start_date",
    "visit_detail_end_date": "visit_detail_start_date",
    "drug_exposure_end_date": "drug_exposure_start_date",
    "observation_period_end_date": "observation_period_start_date",
}


@dataclass(frozen=True)
class Selected:
    """One table's SELECT, ready to run.

    Attributes:
        table: of the dictionary.
        query: with shadows.
        columns: outputs that the mapping wrote, pseudo-columns too, in order.
        shadowed: those with a shadow.
        places: branch → output → source columns that it comes from, to name them.
    """

    table: Table
    query: exp.Query
    columns: tuple[str, ...]
    shadowed: tuple[str, ...]
    places: tuple[Mapping[str, str], ...]

    @property
    def coded(self) -> tuple[str, ...]:
        """Return each x of which the mapping gives x_source_value and x_system."""
        return tuple(
            name.removesuffix("_system")
            for name in self.columns
            if name.endswith("_system")
        )

    @property
    def is_row_for_row(self) -> bool:
        """Return whether no two rows of a branch come from the same source row."""
        return all(map(is_row_for_row, branches(self.query)))


def links(selected: Selected) -> dict[str, str]:
    """Return table → key of the other tables that a table's rows must point to."""
    table, found = selected.table, {}
    for column in selected.columns:
        target = table.fields[column].references if column in table.fields else ""
        other, _, key = target.partition(".")
        if other and other not in (table.name, "person", "concept"):
            found[other] = key
    if "person_id" in table.columns and table.name != "person":
        found["person"] = "person_id"
    return found


def prepare(
    site: SiteFolder, staged: Sequence[Staged]
) -> tuple[tuple[Selected, ...], Proof]:
    """Return a folder's SELECTs, ready to run, and the proof about identifiers.

    Raises:
        InvalidMapping: a SELECT does not hold.
        IdentifierLeak: an identifier could reach a table.
    """
    headers: dict[str, tuple[str, ...]] = {}
    for part in staged:
        headers.setdefault(part.source, part.headers)
    sources = {source.name: source for source in site.sources}
    check_headers(sources, headers)
    queries = {
        table: read_select(table, body, headers) for table, body in site.selects.items()
    }
    proof = prove(queries, sources, headers)
    tables = frozenset(queries)
    selects = tuple(
        _selected(table, query, proof, headers) for table, query in queries.items()
    )
    mixed = len({source.decimal for source in site.sources}) > 1
    for selected in selects:
        check_columns(selected, tables)
        if mixed:
            check_marks(selected)
    return selects, proof


def _selected(
    table: str,
    query: exp.Query,
    proof: Proof,
    headers: Mapping[str, tuple[str, ...]],
) -> Selected:
    shadowed, names = with_shadows(query, table, headers)
    for node in shadowed.find_all(exp.Table):
        if not node.db and node.name.lower() not in _own_names(shadowed):
            node.set("db", exp.to_identifier("main"))
            node.set("catalog", exp.to_identifier(SOURCES))
    places = tuple(
        {
            name: ", ".join(sorted(_column_name(place) for place in flow.columns))
            for name, flow in flows.items()
            if flow.columns
        }
        for flows in proof.branches[table]
    )
    return Selected(
        table=dictionary().tables[table],
        query=shadowed,
        columns=outputs(query),
        shadowed=names,
        places=places,
    )


def _own_names(query: exp.Query) -> frozenset[str]:
    return frozenset(cte.alias.lower() for cte in query.find_all(exp.CTE))


def _column_name(place: str) -> str:
    return place.partition(".")[2]


def check_columns(selected: Selected, tables: frozenset[str]) -> None:
    """Refuse a SELECT that cannot fill its table, before anything runs.

    Args:
        selected: the SELECT.
        tables: CDM tables that have a SELECT.

    Raises:
        InvalidMapping: a required column is missing, an output is unknown, or a
            column points to a table that has no SELECT.
    """
    table, where = selected.table, f"{selected.table.name}.sql"
    allowed = {*table.columns, *_pseudo(table), ROW, "source_file"}
    for name in selected.columns:
        if name not in allowed:
            raise InvalidMapping(
                f"{where}: {table.name} has no column {name[:60]!r}",
                fix="it has: " + ", ".join(table.columns)[:600],
            )
    for name in selected.coded:
        if f"{name}_source_value" not in selected.columns:
            raise InvalidMapping(
                f"{where}: {name}_system stands without {name}_source_value",
                fix="a code needs both its text and its system",
            )
    for name in table.required:
        if name not in selected.columns and not _is_made(name, selected):
            raise InvalidMapping(
                f"{where}: the required column {name!r} is missing",
                fix="SELECT … AS " + name,
            )
    for name in selected.columns:
        target = table.fields[name].references if name in table.fields else ""
        other = target.partition(".")[0]
        kind = dictionary().tables[other].kind if other else ""
        if kind == "content" and other != table.name and other not in tables:
            raise InvalidMapping(
                f"{where}: {name} points to {other}, which has no SELECT",
                fix=f"write {other}.sql, or leave {name} out",
            )


def check_marks(selected: Selected) -> None:
    """Refuse a number without a decimal mark where sources write it differently.

    Raises:
        InvalidMapping: as_number() has one argument.
    """
    for node in selected.query.find_all(exp.Anonymous):
        if node.name.lower() == "as_number" and len(node.expressions) == 1:
            raise InvalidMapping(
                f"{selected.table.name}.sql: the sources have two decimal marks, and "
                "as_number() does not say which it reads",
                fix="write as_number(x, ',') or as_number(x, '.')",
            )


def _pseudo(table: Table) -> list[str]:
    stems = {
        name.removesuffix("_concept_id").removesuffix("_as")
        for name in table.columns
        if name.endswith("_concept_id") and not name.endswith("_source_concept_id")
    }
    stems |= {"value"} if "value_as_concept_id" in table.columns else set()
    names = [f"{stem}_{end}" for stem in stems for end in ("system", "classes")]
    # A code of a column that OMOP keeps no text of, such as `unit`'s.
    return [*names, *(f"{stem}_source_value" for stem in stems)]


def _is_made(name: str, selected: Selected) -> bool:
    """Return whether curation itself gives a required column."""
    table = selected.table
    stem = name.removesuffix("_concept_id")
    return (
        name in DEFAULTS
        or name.endswith("_type_concept_id")
        or (name == table.key[0] and table.event is not None)
        or (name == table.key[0] and name == f"{table.name}_id" and name != "person_id")
        or (name.endswith("_concept_id") and stem in selected.coded)
    )


# --- running a SELECT -----------------------------------------------------------------
def run_select(connection: Connection, selected: Selected) -> int:
    """Make the temporary table `sel_<table>` and return its number of rows.

    Raises:
        InvalidMapping: the engine cannot carry the SELECT out.
    """
    name = selected.table.name
    # S608, here and below: names are the dictionary's, literals quoted by `text`.
    try:
        select_hidden(connection, selected.query, f"sel_{name}")
    except Problem as problem:
        # `from None`: the engine's message may quote a cell.
        raise InvalidMapping(
            f"{name}.sql cannot be carried out",
            fix="see the local details; compare types, and names of functions",
            local=str(problem),
        ) from None
    return count(connection, f"sel_{name}")


def gather_codes(connection: Connection, every: Sequence[Selected], used: str) -> None:
    """Add the codes of SELECTs that were run to `used_code`, by the table they fill.

    Args:
        connection: the curation's.
        every: the SELECTs; `sel_<table>` of each is there.
        used: the table `(target, system, code, classes)` that takes the codes.

    Raises:
        InvalidMapping: a system is not in the dictionary.
    """
    for selected in every:
        for stem in selected.coded:
            classes = f"{stem}_classes"
            given = classes if classes in selected.columns else "NULL"
            connection.execute(f"""
                INSERT INTO {used}
                SELECT DISTINCT {text(selected.table.name)}, {stem}_system::VARCHAR,
                    {stem}_source_value::VARCHAR, {given}::VARCHAR
                FROM sel_{selected.table.name}
                WHERE {stem}_system IS NOT NULL AND {stem}_source_value IS NOT NULL
            """)  # noqa: S608
    known = tuple(dictionary().systems)
    odd = connection.execute(
        f"SELECT min(system) FROM {used} WHERE system NOT IN {texts(known)}"  # noqa: S608
    ).fetchone()
    if odd and odd[0] is not None:
        raise InvalidMapping(
            "a mapping names a code system that the dictionary does not have",
            fix="known systems: " + ", ".join(known),
            local=str(odd[0])[:60],
        )
