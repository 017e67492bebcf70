"""A few made-up people in OMOP 5.4 tables on one DuckDB connection."""

import datetime

import duckdb

from hetao.dictionary import dictionary

KINDS = {
    "bigint": "BIGINT",
    "integer": "INTEGER",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "text": "VARCHAR",
    "decimal": "DECIMAL(18,6)",
}
# Tables that OHDSI's SQL may name, which the data dictionary does not have.
OTHERS = {
    "dose_era": "dose_era_id BIGINT, person_id BIGINT, drug_concept_id BIGINT, "
    "unit_concept_id BIGINT, dose_value DECIMAL(18,6), dose_era_start_date DATE, "
    "dose_era_end_date DATE",
}


def day(text):
    return datetime.date.fromisoformat(text)


def omop(rows=None):
    """Return a connection with every table of the dictionary, and rows by table.

    Args:
        rows: by table, dicts of column to value; other columns are NULL.
    """
    connection = duckdb.connect()
    for table in dictionary().tables.values():
        columns = ", ".join(f"{f.name} {KINDS[f.type]}" for f in table.fields.values())
        connection.execute(f"CREATE TABLE {table.name} ({columns})")
    for name, columns in OTHERS.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
    for name, items in (rows or {}).items():
        add(connection, name, *items)
    return connection


def add(connection, table, *rows):
    """Add rows, each a dict of column to value."""
    for row in rows:
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            list(row.values()),
        )


def person(number, born=1950, sex=8507):
    return {"person_id": number, "year_of_birth": born, "gender_concept_id": sex}


def observed(number, start, end, key=None):
    return {
        "observation_period_id": key or number,
        "person_id": number,
        "observation_period_start_date": day(start),
        "observation_period_end_date": day(end),
    }


def condition(key, number, concept, start, end=None, **more):
    return {
        "condition_occurrence_id": key,
        "person_id": number,
        "condition_concept_id": concept,
        "condition_start_date": day(start),
        "condition_end_date": day(end) if end else None,
        **more,
    }


def drug(key, number, concept, start, end=None, **more):
    return {
        "drug_exposure_id": key,
        "person_id": number,
        "drug_concept_id": concept,
        "drug_exposure_start_date": day(start),
        "drug_exposure_end_date": day(end) if end else None,
        **more,
    }


def concepts(*ids, ancestors=()):
    """Return vocabulary rows: each concept its own ancestor, and the pairs given."""
    return {
        "concept": [{"concept_id": one} for one in ids],
        "concept_ancestor": [
            {"ancestor_concept_id": above, "descendant_concept_id": below}
            for above, below in [*((one, one) for one in ids), *ancestors]
        ],
    }


def circe(*criteria, sets=None, **changes):
    """Return a CIRCE definition: primary criteria, concept sets, and what differs.

    `sets` is by number a list of concept ids, each with its descendants; a negative
    one is excluded.
    """
    primary = {
        "CriteriaList": list(criteria),
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": changes.pop("primary", "First")},
    }
    window = changes.pop("window", None)
    if window:
        primary["ObservationWindow"] = {"PriorDays": window[0], "PostDays": window[1]}
    return {
        "PrimaryCriteria": primary,
        "ConceptSets": [
            {
                "id": number,
                "name": f"set {number}",
                "expression": {"items": [_item(one) for one in ids]},
            }
            for number, ids in (sets or {}).items()
        ],
        "QualifiedLimit": {"Type": changes.pop("qualified", "First")},
        "ExpressionLimit": {"Type": changes.pop("limit", "First")},
        "InclusionRules": [],
        "CensoringCriteria": [],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": changes.pop("pad", 0)},
        "CensorWindow": {},
        **changes,
    }


def _item(concept):
    return {
        "concept": {"CONCEPT_ID": abs(concept)},
        "isExcluded": concept < 0,
        "includeDescendants": True,
        "includeMapped": False,
    }
