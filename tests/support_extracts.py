"""A federation of three sites with curated tables, which they have committed to."""

import functools
from dataclasses import replace

import numpy as np

from hetao.cdm import open_tables
from hetao.cdm.committing import acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only, insert
from hetao.cdm.extract import Extract
from hetao.cdm.store import Manifest, folder_of, write_manifest
from hetao.dictionary import ddl, dictionary
from hetao.permit import (
    Bundle,
    Directory,
    Person,
    new_identity,
    write_directory,
    write_identity,
)
from hetao.study import Analysis, Level, Study, Variable
from support_federation import Federation, Plan

PEOPLE = 120
MASTER = b"s" * 32
CANARY = "CANARY-陳大文-"  # in every text of every patient, with a number behind it
STUDY = Study(
    "acts",
    "Acts",
    "Is it true?",
    "1",
    "omop-5.4",
    ("a", "b", "c"),
    (
        Variable("age", "number", "age", bounds=(0.0, 120.0)),
        Variable("sex", "category", "sex", levels=(Level("f", 8532), Level("m", 8507))),
        Variable(
            "ill",
            "category",
            "condition",
            (317576,),
            levels=(Level("no", 0), Level("yes", 1)),
        ),
    ),
    (
        Analysis("attrition", "counts"),
        Analysis("model", "logistic", outcome="ill", terms=("1", "age", "sex")),
    ),
    dictionary_digest=dictionary().digest,
)


def write_snapshot(store, name):
    """Write a site's tables as a curation leaves them; return database and manifest."""
    snapshot = "sha256:" + name.encode().hex() * 32
    home = folder_of(store, snapshot)
    home.mkdir(parents=True)
    with connect(home / "cdm.duckdb") as connection:
        for table in dictionary().tables.values():
            connection.execute(ddl(table, "duckdb"))
        for table, rows in _rows(name).items():
            columns = ", ".join(rows[0])
            target = f"{table} ({columns})"
            insert(connection, target, [tuple(row.values()) for row in rows])
        connection.execute(
            "CREATE TABLE snapshot AS SELECT 'omop-5.4' AS dictionary, "
            f"'{snapshot}' AS digest, '{dictionary().digest}' AS dictionary_digest"
        )
    about = ("omop-5.4", dictionary().digest, "", "sha256:" + "0" * 64, "2026-01-01")
    manifest = Manifest(name, snapshot, *about, {})
    write_manifest(home, manifest)
    return home / "cdm.duckdb", manifest


def _rows(name):
    draw = np.random.default_rng(ord(name))
    people, visits, conditions = [], [], []
    for number in range(1, PEOPLE + 1):
        age, man = int(draw.integers(40, 80)), bool(draw.integers(0, 2))
        people.append(
            {"person_id": number, "gender_concept_id": 8507 if man else 8532}
            | {"year_of_birth": 2020 - age, "race_concept_id": 0}
            | {"ethnicity_concept_id": 0, "person_source_value": CANARY + str(number)}
        )
        visits.append(
            {"visit_occurrence_id": number, "person_id": number}
            | {"visit_concept_id": 9202, "visit_start_date": "2020-03-01"}
            | {"visit_end_date": "2020-03-01", "visit_type_concept_id": 32817}
        )
        if draw.random() < age / 120:
            conditions.append(
                {"condition_occurrence_id": number, "person_id": number}
                | {"condition_concept_id": 317576, "visit_occurrence_id": number}
                | {"condition_start_date": "2020-03-01"}
                | {"condition_type_concept_id": 32817}
                | {"condition_source_value": CANARY + str(number)}
            )
    return {
        "person": people,
        "visit_occurrence": visits,
        "condition_occurrence": conditions,
    }


class Committed(Federation):
    """Sites with curated tables; all but `without` have committed to them."""

    def __init__(self, folder, without=(), committed=""):
        super().__init__(folder, Plan(STUDY))
        if committed:  # what the permit demands of each extract
            draft = Bundle(replace(self.bundle.permit, committed=committed))
            self.bundle = self.cast.approved(draft, self.clock())
        self.databases, self.manifests = {}, {}
        for name in STUDY.sites:
            store = self.store(name)
            self.databases[name], self.manifests[name] = write_snapshot(store, name)
            if name not in without:
                with self.tables(name) as tables:
                    self.extract(name, tables).engine.close()

    def store(self, name):
        return self.folder / f"store-{name}"

    def tables(self, name):
        return DuckDBEngine(connect_read_only(self.databases[name]))

    def extract(self, name, engine):
        """Commit, once; return the extract, opened."""
        store, manifest = self.store(name), self.manifests[name]
        commitment = commit_acts(engine, store, manifest, MASTER)
        home = acts_folder(store, manifest.snapshot)
        return Extract(commitment, home, engine, MASTER)

    def setup(self, name):
        opens = functools.partial(open_tables, self.databases[name])
        setup = super().setup(name)
        return replace(setup, open_source=opens, open_snapshot=lambda _: opens())


NETWORK = """
[network]
home = "hub-sz"
folder = "net"

[network.hubs]
hub-hk = "https://127.0.0.1:1"
hub-sz = "https://127.0.0.1:2"

[keys]
sign = "shenzhen.sign.pem"
tls_certificate = "none.pem"
tls_key = "none.pem"
tls_authority = "none.pem"

[provenance]
open_to = ["auditor"]
"""


def people_of(number):
    """Return rows of an extract as `write_folder` takes them."""
    sexes = "男女"
    return [
        f"P{n},2020-01-{n % 28 + 1:02},{40 + n % 40},{sexes[n % 2]},{150 + n},I25.1"
        for n in range(number)
    ]


def write_network(path):
    """Let a site folder take part in a network, in which an auditor is known."""
    folder = path.parent
    identity = new_identity("shenzhen")
    write_identity(folder, identity)
    persons = (
        Person("may", "SZ", "Regulator", ("auditor",)),
        Person("chan", "HK", "Hospital", ("ethics",)),
    )
    parties = (identity.party("SZ", "site", "Hospital"),)
    write_directory(folder / "parties.toml", Directory(parties, persons))
    path.write_text(path.read_text("utf-8") + NETWORK, "utf-8")
