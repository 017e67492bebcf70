"""A cohort's rows as a file, for the site's own eyes."""

import os
from pathlib import Path

import numpy as np

from hetao.cdm.engine_duckdb import DuckDBEngine, connect, text
from hetao.cohort.building import Cohort
from hetao.errors import Usage
from hetao.study import Study

FORMATS = {".csv": "(FORMAT csv, HEADER)", ".parquet": "(FORMAT parquet)"}


def write_rows(study: Study, cohort: Cohort, path: Path) -> None:
    """Write one line a person: numbers as they are, categories by the level's name.

    Patient rows: only the owner may read the file. A missing value is empty.

    Raises:
        Usage: the name does not end in .csv or .parquet, or the file is there.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise Usage(f"{path.name} is neither .csv nor .parquet")
    try:  # made here, readable by the owner alone; the engine only fills it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise Usage(f"{path} is already there", fix="name another file") from None
    columns = {
        f"c{place}": _plain(study, variable.name, cohort)
        for place, variable in enumerate(study.variables)
    }
    named = ", ".join(
        f'c{place} AS "{variable.name}"'
        for place, variable in enumerate(study.variables)
    )
    with DuckDBEngine(connect()) as engine:
        engine.load("cohort_rows", columns)
        # S608: names of variables are plain by the study's own check.
        engine.connection.execute(
            f"COPY (SELECT {named} FROM cohort_rows) TO {text(str(path))} {form}"  # noqa: S608
        )


def _plain(study: Study, name: str, cohort: Cohort) -> np.ndarray:
    variable, values = study.variable(name), cohort.columns[name]
    if variable.kind == "number":
        return np.ma.masked_array(values, mask=np.isnan(values))
    if variable.kind == "key":
        return np.ma.masked_array(values, mask=values < 0)
    levels = np.array([*(level.name for level in variable.levels), ""], dtype=object)
    return np.ma.masked_array(levels[values], mask=values < 0)
