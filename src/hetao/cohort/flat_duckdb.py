"""Study + a flat table → one array a variable, in the file's order of rows."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hetao.cdm import FlatTable, flat_number
from hetao.errors import InvalidData, InvalidStudy
from hetao.study import Study, Variable

NUMBER, KEY = "number", "key"
Array = npt.NDArray[Any]


def read_columns(
    study: Study, source: FlatTable, faults: list[InvalidData]
) -> dict[str, Array]:
    """Return an array for each variable over every row of the site.

    A key's cells become numbers, alike for alike cells and -1 where missing.

    A cell that fits neither the variable nor the texts that mean missing is put among
    the faults, by its column's name, never the cell: who knows how many people it is
    about decides whether it may be said. Nothing may be made of the columns then.

    Raises:
        InvalidStudy: a variable's source is not a column, or the study says otherwise
            than the site whose each row is.
        InvalidData: the file lacks a column.
    """
    _check_person(study, source)
    for variable in study.variables:
        if variable.source != "column":
            raise InvalidStudy(
                f"variable {variable.name!r}: a flat file has columns, no "
                f"{variable.source!r}",
                fix='write source = "column"',
            )
        if variable.column not in source.columns:
            raise InvalidData(
                f"the site's table has no column {variable.column!r}",
                fix="compare the study's columns with the table's header",
                local=f"{source.path.name}: " + ", ".join(source.columns)[:400],
            )
        if variable.column in source.doubled:
            raise InvalidData(
                f"the site's table has two columns {variable.column!r}",
                fix="rename one of them in the export",
            )
    wanted = ", ".join(_sql(i, v, source) for i, v in enumerate(study.variables))
    # S608: places are numbers, literals are quoted below.
    query = f"SELECT {wanted} FROM flat"  # noqa: S608
    found = cast("dict[str, Array]", source.connection.execute(query).fetchnumpy())
    return {
        variable.name: _column(variable, (found[f"c{i}"], found[f"m{i}"]), faults)
        for i, variable in enumerate(study.variables)
    }


def _check_person(study: Study, source: FlatTable) -> None:
    """Refuse a study that tells people apart otherwise than the site does.

    Asked of every study, whatever the rows hold: the answer says nothing about them.
    Were it the study that chose, what a site remembers of one study's people would
    say nothing about another's.
    """
    named = study.variable(study.person).column if study.person else ""
    if named and not source.person:
        raise InvalidStudy(
            "each row of this site's table is a person, and the study says by a column "
            "whose it is",
            fix="ask of one row a person; or, where one may have several, let the site "
            f"write person = {named!r} under [flat] of its site.toml",
        )
    if named != source.person:
        raise InvalidStudy(
            "one person may have several rows in this site's table, and the study "
            + ("says so by another column" if named else "counts each row as a person"),
            fix="name whose each row is: person and most_rows of each analysis, a key "
            f"of the column {source.person!r}",
        )


def identities(source: FlatTable) -> tuple[str, Array]:
    """Return the kind of identifiers, and whose row each is in every edition.

    It is one kind for all studies of a site: people are known by the cell of the
    column that the site names; else by the whole row and by how many rows alike stand
    before it, so that a row that was changed is another's. The two halves of such a
    number are a hash of what it is known by, and a place.
    """
    column = source.person
    if column:
        cell = f"c{source.columns.index(column)}"
        wanted, place = f"md5_number_lower(coalesce(trim({cell}::VARCHAR), ''))", "0"
    else:
        cells = ", ".join(f"c{i}::VARCHAR" for i in range(len(source.columns)))
        wanted = f"md5_number_lower([{cells}]::VARCHAR)"
        place = f"row_number() OVER (PARTITION BY {wanted} ORDER BY rowid)"
    query = f"SELECT {wanted} AS h, {place}::UBIGINT AS p FROM flat ORDER BY rowid"  # noqa: S608
    found = source.connection.execute(query).fetchnumpy()
    pair = (np.asarray(found["h"], np.uint64), np.asarray(found["p"], np.uint64))
    return f"flat {column}", np.stack(pair, axis=1)


def _sql(number: int, variable: Variable, source: FlatTable) -> str:
    """Return SQL for a variable's values `c<i>` and whether each is missing `m<i>`."""
    column = f"c{source.columns.index(variable.column)}"
    cell = f"trim({column}::VARCHAR)"
    missing = f"({cell} IS NULL OR lower({cell}) = 'nan'"
    if source.missing:
        missing += f" OR {cell} IN ({', '.join(map(_text, source.missing))})"
    missing += ")"
    if variable.kind == NUMBER:
        value = flat_number(column)
    elif variable.kind == KEY:
        value = cell
    else:
        levels = " ".join(
            f"WHEN {_matches(cell, level.value)} THEN {index}"
            for index, level in enumerate(variable.levels)
        )
        value = f"(CASE {levels} END)::BIGINT"
    return (
        f"CASE WHEN {missing} THEN NULL ELSE {value} END AS c{number}, "
        f"{missing} AS m{number}"
    )


def _matches(cell: str, value: int | str) -> str:
    """Match a text as it stands, a number also when it is written `1.0`."""
    same = f"{cell} = {_text(str(value))}"
    if isinstance(value, int):
        return f"({same} OR {flat_number(cell)} = {value})"
    return same


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _column(
    variable: Variable, cells: tuple[Array, Array], faults: list[InvalidData]
) -> Array:
    found, missing = cells
    empty = np.ma.getmaskarray(found)
    if variable.kind == NUMBER:
        values = np.ma.filled(found.astype(np.float64), np.nan)
        unfit = (empty | ~np.isfinite(values)) & ~missing
        what = "a cell that is not a number"
    elif variable.kind == KEY:
        _, codes = np.unique(np.ma.filled(found, "").astype(str), return_inverse=True)
        return np.where(empty, -1, codes).astype(np.int64)
    else:
        values = np.ma.filled(found.astype(np.int64), -1)
        unfit = empty & ~missing
        what = "a cell for which the study names no level"
    if unfit.any():
        fault = InvalidData(
            f"column {variable.column!r} holds {what}",
            fix="correct the file, list the level, or declare it as missing",
            local=f"{int(unfit.sum())} rows",
        )
        faults.append(fault)
    return np.asarray(values)
