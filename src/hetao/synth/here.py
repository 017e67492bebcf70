"""One site's part of a population, and the faults put into its extract."""

from dataclasses import dataclass

from hetao.synth.coding import load_codes
from hetao.synth.faults import fault_sql
from hetao.synth.truth import TRUTH, Connection

LATE = "INTERVAL 40 YEAR"  # beyond any day on which an extract is made
MISDATED = ("impossible_date", "wrong_century", "future_date")
DIAGNOSIS_KEY = "(visit_no * 32 + rank)"  # a whole number, as fault_sql wants it


@dataclass(frozen=True)
class Here:
    """What a writer of one site's extract reads.

    The site's rows stand in the views `here_person`, `here_visit` … and the codes in
    the tables of `load_codes`. Faults that were put in are kept in the table
    `fault(fault, subject, key)`, `subject` being a table of the truth.

    Attributes:
        connection: the population's.
        times: how many times the declared rates of faults; 0 for none.
    """

    connection: Connection
    times: float = 1.0

    def hits(self, fault: str, key: str) -> str:
        """Return a condition in SQL: does the row of this key carry the fault?"""
        return fault_sql(fault, key, self.times)

    def note(self, fault: str, table: str, key: str, where: str = "TRUE") -> None:
        """Keep the keys of a table's rows that a fault hits.

        Args:
            fault: a name of `faults.toml`.
            table: which table of the truth the rows stand in, such as "drug".
            key: SQL of the whole number that names a row.
            where: which rows could carry it.
        """
        self.connection.execute(
            f"INSERT INTO fault SELECT '{fault}', '{table}', {key} "
            f"FROM here_{table} "
            f"WHERE ({where}) AND {self.hits(fault, key)}"
        )


def take_site(connection: Connection, site: str, times: float = 1.0) -> Here:
    """Make the views of one site's rows, the tables of codes and an empty `fault`."""
    load_codes(connection)
    quoted = "'" + site.replace("'", "''") + "'"
    for table in TRUTH:
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW here_{table} AS "
            f'SELECT * FROM "{table}" WHERE site = {quoted}'
        )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE fault (fault VARCHAR, subject VARCHAR, "
        "key BIGINT)"
    )
    return Here(connection, times)


def twice(condition: str) -> str:
    """Return a JOIN that makes two of a row that meets a condition, one of others."""
    return f"JOIN (VALUES (1), (2)) AS copies(copy) ON copy = 1 OR {condition}"


def written(day: str, form: str, hit: str, shorter: str) -> str:
    """Return SQL of a day in a form, and in a shorter one where a fault hits it."""
    return (
        f"(CASE WHEN {hit} THEN strftime({day}, '{shorter}') "
        f"ELSE strftime({day}, '{form}') END)"
    )


def misdated(here: Here, day: str, form: str, key: str) -> str:
    """Return SQL of a day as somebody wrote it, now and then one that cannot be.

    31 February, the year 0202, or long after the extract was made; `MISDATED` names
    the faults, of which a row has the first that hits it.

    Args:
        here: the site's part of the population.
        day: SQL of a date.
        form: how a day is written, in the signs of strftime.
        key: SQL of the whole number that names the row.
    """
    never = form.replace("%m", "02").replace("%d", "31")
    slip = form.replace("%Y", "0202")
    return (
        f"CASE WHEN {here.hits('impossible_date', key)} THEN strftime({day}, '{never}')"
        f" WHEN {here.hits('wrong_century', key)} THEN strftime({day}, '{slip}')"
        f" WHEN {here.hits('future_date', key)} "
        f"THEN strftime({day} + {LATE}, '{form}') "
        f"ELSE strftime({day}, '{form}') END"
    )
