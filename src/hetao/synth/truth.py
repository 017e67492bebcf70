"""What is true of a made-up population: seven tables, in no hospital's form yet.

Each row belongs to one site; whoever writes a site's extract finds only that site's
rows in them. `person_no` is the serial number of a made-up person and means nothing:
writers make identifiers of their own from it.

- No event lies before a person's birth, entry or after the death.
- A person is observed from the entry visit, the first of all visits (slot 0), until
  death or the last day of the window, whichever is first. Nobody is lost.
- `value` is in the unit of the data dictionary's analyte, rounded as it is reported.
"""

from typing import Final

import duckdb

Connection = duckdb.DuckDBPyConnection

# Names of `disease`, `drug`, `analyte`, `procedure`, `product`, `specialty` are keys
# of the catalogue. Keys grow with the person, so rows are written in a fixed order.
TRUTH: Final[dict[str, str]] = {
    "person": """
        person_no BIGINT, site VARCHAR, sex VARCHAR, birth_date DATE,
        entry_date DATE, death_date DATE, death_cause VARCHAR, district VARCHAR""",
    "visit": """
        visit_no BIGINT, person_no BIGINT, site VARCHAR, kind VARCHAR,
        start_date DATE, end_date DATE, specialty VARCHAR""",
    "diagnosis": """
        visit_no BIGINT, person_no BIGINT, site VARCHAR, day DATE,
        disease VARCHAR, rank INTEGER""",
    "drug": """
        rx_no BIGINT, visit_no BIGINT, person_no BIGINT, site VARCHAR, day DATE,
        drug VARCHAR, days INTEGER, quantity DECIMAL(18,6)""",
    "lab": """
        lab_no BIGINT, visit_no BIGINT, person_no BIGINT, site VARCHAR,
        taken_at TIMESTAMP, analyte VARCHAR, value DECIMAL(18,6)""",
    "procedure": """
        proc_no BIGINT, visit_no BIGINT, person_no BIGINT, site VARCHAR, day DATE,
        procedure VARCHAR""",
    "special": """
        use_no BIGINT, visit_no BIGINT, person_no BIGINT, site VARCHAR, day DATE,
        product VARCHAR""",
}


def create_truth(connection: Connection) -> None:
    """Make the seven tables, empty; tables of these names are replaced."""
    for name, columns in TRUTH.items():
        connection.execute(f'CREATE OR REPLACE TABLE "{name}" ({columns})')
