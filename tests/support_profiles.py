"""One made-up site in each profile's form, curated for real, beside its own truth."""

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from hetao.cdm import curate
from hetao.cdm.profiles import lay_profile
from hetao.cdm.pseudonym import pads, pseudonym_sql
from hetao.synth.example import example_population, example_site
from hetao.synth.identifiers import hkid, record_no, reference_key
from hetao.synth.write_fhir import patient_id
from hetao.synth.write_wst500 import citizen_id
from hetao.synth.writing import Written, write_extract

TODAY = datetime.date(2025, 1, 1)  # the extracts are made the day after the last event
IDENTIFIER = {
    "ha-cdars": reference_key("person_no"),
    "wst500": citizen_id(),
    "fhir": patient_id(),
    "omop": "person_no::VARCHAR",
    "ehealth": hkid("person_no"),
    "gba-special": citizen_id(),
    "flat": record_no("P", "person_no"),
}
UNKNOWN = (
    "v99.9",
    "z99.999x999",
    "z99.9",
    "x999",
    "xz99zzz999z999999999999",
    "zzzz",
    "as before",
)


@dataclass(frozen=True)
class Held:
    """A curated site, and what it is held to.

    Attributes:
        profile: whose form the extract has.
        written: the extract, and the faults in it.
        engine: a connection in which the truth (`here_person` …), the faults
            (`fault`), `reported`, who is who (`who`) and the curated tables
            (`site.person` …) stand.
    """

    profile: str
    written: Written
    engine: duckdb.DuckDBPyConnection
    folder: Path

    def rows(self, query: str) -> list[tuple]:
        """Return a query's rows."""
        return self.engine.execute(query).fetchall()

    def number(self, query: str) -> int:
        """Return a query's one number."""
        return int(self.rows(query)[0][0])

    def faults(self, fault: str, subject: str) -> int:
        """Return how many rows carry a fault."""
        return self.written.faults.get((fault, subject), 0)

    def differing(self, truth: str, found: str) -> list[tuple]:
        """Return rows of one query that the other lacks, each as often as it does."""
        return self.rows(
            f"(SELECT 'lost', * FROM (FROM ({truth}) EXCEPT ALL FROM ({found}))) "
            f"UNION ALL (SELECT 'made up', * FROM (FROM ({found}) EXCEPT ALL "
            f"FROM ({truth}))) ORDER BY ALL LIMIT 20"
        )


@contextmanager
def held(
    profile: str,
    folder: Path,
    people: int,
    times: float,
    between: Callable[[Path], str] = lambda _: "site.toml",
) -> Iterator[Held]:
    """Write a site's extract, curate it, and open both sides.

    Args:
        profile: of the site.
        folder: where the site's folder goes.
        people: how many.
        times: how many times the declared rates of faults.
        between: what happens to the extract's folder before curation; gives the name
            of the file that is curated.
    """
    site = example_site(profile, people)
    lay_profile(profile, folder, "example")
    with example_population(site, seed=11) as engine:
        written = write_extract(engine, site, folder / "extract", times)
        config = between(folder / "extract")
        done = curate(folder / config, lambda _: None, today=TODAY)
        engine.execute(f"ATTACH '{done.database}' AS site (READ_ONLY)")
        _name_people(engine, profile, folder / "pseudonym.key")
        _name_codes(engine)
        yield Held(profile, written, engine, done.folder)


def _name_people(engine: duckdb.DuckDBPyConnection, profile: str, key: Path) -> None:
    for name, pad in pads(bytes.fromhex(key.read_text().strip())).items():
        engine.execute(f"SET VARIABLE hetao_{name} = $pad", {"pad": pad})
    engine.execute(
        "CREATE TEMP TABLE who AS SELECT person_no, "
        f"{pseudonym_sql(IDENTIFIER[profile])} AS person_id FROM here_person"
    )


def _name_codes(engine: duckdb.DuckDBPyConnection) -> None:
    """Make `meant(code, thing)`: what every code of every form stands for."""
    parts = [
        f"SELECT {code}, name FROM code_{kind}"
        for kind, codes in {
            "diseases": ("icd9cm", "icd10", "icd10cn", "icd10cn_nhsa", "names_en"),
            "drugs": ("ha_drug", "nhsa", "atc", "hkcmms"),
            "labs": ("ha_lis", "loinc", "names_en", "name"),
            "procedures": ("icd9proc", "names_en"),
            "products": ("approval",),
        }.items()
        for code in codes
    ]
    form = (
        "CASE form WHEN 'tablet' THEN 'tab' WHEN 'capsule' THEN 'cap' "
        "WHEN 'injection' THEN 'inj' WHEN 'inhaler' THEN 'inh' ELSE form END"
    )
    parts.append(
        f"SELECT names_en || ' ' || strength || ' ' || unnest([form, {form}]), name "
        "FROM code_drugs"
    )
    parts.append(
        "SELECT split_part(names_en, ' ', 1) || ' ' || replace(strength, ' ', '') "
        f"|| ' ' || {form}, name FROM code_drugs WHERE form <> 'herb'"
    )
    parts += [f"SELECT '{code}', '(unknown)'" for code in UNKNOWN]
    parts.append("SELECT 'Z' || coalesce(ha_drug, hkcmms), '(unknown)' FROM code_drugs")
    there = engine.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'problem_code'"
    ).fetchone()
    if there and there[0]:
        parts += [
            "SELECT icpc2, disease FROM problem_code",
            "SELECT term_id, disease FROM problem_code",
        ]
    engine.execute(
        "CREATE TEMP TABLE meant AS SELECT DISTINCT lower(code) AS code, thing "
        f"FROM ({' UNION ALL '.join(parts)}) AS said(code, thing) "
        "WHERE code IS NOT NULL"
    )
