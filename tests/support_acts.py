"""A small CDM with every type and every trap of a text, for acts."""

from datetime import date, datetime
from decimal import Decimal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hetao.cdm.committing import Event, acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.extract import Extract
from hetao.cdm.store import Manifest
from hetao.dictionary import ddl, dictionary
from hetao.ledger.acts import Act, ActRow, fixed_text

ANNA, BO = 9_223_372_036_854_775_807, 12
PEOPLE = (ANNA, BO)  # in the order of the leaves
MASTER = b"m" * 32
DIGEST = "sha256:" + "ab" * 32
MANIFEST = Manifest("s", DIGEST, "omop-5.4", "sha256:d", "", "", "2026-01-01", {}, "")
WORDS = (
    "a|b",
    'q"uo\\te',
    "line\nfeed\ttab\x01",
    "肌鈣蛋白𠮷",
    "",
    "[1,2]",
    "null",
    "n",
)


def _at(*parts):
    return datetime(*parts)  # noqa: DTZ001  a CDM's times have no zone


def _measurement(number, person, visit, **more):
    return {
        "measurement_id": number,
        "person_id": person,
        "measurement_concept_id": 3016723,
        "measurement_date": date(2020, 2, 29),
        "measurement_type_concept_id": 32817,
        "visit_occurrence_id": visit,
        **more,
    }


# table → rows, each with the columns that it has.
ROWS = {
    "person": [
        {"person_id": p, "gender_concept_id": 8532, "year_of_birth": 1900 + n}
        | {"race_concept_id": 0, "ethnicity_concept_id": 0}
        for n, p in enumerate((BO, ANNA))
    ],
    "visit_occurrence": [
        {
            "visit_occurrence_id": number,
            "person_id": person,
            "visit_concept_id": 9202,
            "visit_start_date": date(2020, 2, 28),
            "visit_start_datetime": when,
            "visit_end_date": date(2020, 2, 29),
            "visit_type_concept_id": 32817,
        }
        for number, person, when in (
            (70, ANNA, _at(2020, 2, 28, 23, 59, 59, 500000)),
            (8, ANNA, _at(2020, 2, 28, 0, 0, 0)),
            (9, BO, None),
        )
    ],
    "measurement": [
        *(
            _measurement(100 + n, ANNA, 70, measurement_source_value=word)
            for n, word in enumerate(WORDS)
        ),
        _measurement(3, ANNA, 8, value_as_number=Decimal("-0.000001")),
        _measurement(2, ANNA, 8, value_as_number=Decimal("123456789012.345678")),
        _measurement(1, BO, None, value_as_number=Decimal("7")),
        _measurement(4, BO, None, measurement_time="23:59"),
        _measurement(5, BO, 9, measurement_datetime=_at(2020, 2, 29, 1, 2, 3, 1)),
    ],
    "death": [
        {
            "person_id": BO,
            "death_date": date(2021, 1, 1),
            "death_type_concept_id": 32817,
        }
    ],
    "care_site": [
        {"care_site_id": 5, "care_site_name": "Ward 5 東"},
        {"care_site_id": 3, "care_site_name": None, "care_site_source_value": "3"},
    ],
}
USED = {
    name: tuple(
        c
        for c in dictionary().tables[name].columns
        if any(row.get(c) is not None for row in rows)
        and c not in ("person_id", "visit_occurrence_id")
    )
    for name, rows in ROWS.items()
}


def write_acts(folder):
    """Write the tables as a snapshot's database."""
    folder.mkdir(parents=True, exist_ok=True)
    with connect(folder / "cdm.duckdb") as connection:
        for table in dictionary().tables.values():
            connection.execute(ddl(table, "duckdb"))
            for row in ROWS.get(table.name, ()):
                places = ", ".join("?" for _ in row)
                connection.execute(
                    f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({places})",  # noqa: S608
                    list(row.values()),
                )


def acts_by_hand():
    """Return the acts in their order, put together here and not in a database."""
    return [
        _act(None, None, "", [("care_site", 3)]),
        _act(None, None, "", [("care_site", 5)]),
        _act(ANNA, None, "", [("person", ANNA)]),
        _act(ANNA, 8, "", [("visit_occurrence", 8), ("measurement", 2, 3)]),
        _act(
            ANNA,
            70,
            "",
            [("visit_occurrence", 70), ("measurement", *range(100, 108))],
        ),
        _act(BO, None, "", [("person", BO)]),
        _act(BO, None, "2020-02-29", [("measurement", 1, 4)]),
        _act(BO, None, "2021-01-01", [("death", BO)]),
        _act(BO, 9, "", [("visit_occurrence", 9), ("measurement", 5)]),
    ]


def _act(person, visit, day, chosen):
    rows = []
    for name, *keys in chosen:
        key = dictionary().tables[name].key[0]
        for number in keys:
            (row,) = [r for r in ROWS[name] if r[key] == number]
            values = {c: fixed_text(row.get(c)) for c in USED[name]}
            rows.append(ActRow(name, values))
    return Act(person, visit, day, tuple(rows))


def write_many_acts(folder, *, people, rows):
    """Write people with ten measurements a visit, some of them outside of one."""
    folder.mkdir(parents=True, exist_ok=True)
    with connect(folder / "cdm.duckdb") as connection:
        for table in dictionary().tables.values():
            connection.execute(ddl(table, "duckdb"))
        for statement in MANY:
            connection.execute(statement.format(people=people, rows=rows))


MANY = (
    """INSERT INTO person (person_id, gender_concept_id, year_of_birth,
        race_concept_id, ethnicity_concept_id)
    SELECT * FROM (SELECT (hash(number) >> 1)::BIGINT, 8532, 1930 + number % 70, 0, 0
        FROM range({people}) given(number)) ORDER BY 1""",
    """INSERT INTO measurement (measurement_id, person_id, measurement_concept_id,
        measurement_date, measurement_datetime, measurement_type_concept_id,
        value_as_number, unit_concept_id, visit_occurrence_id,
        measurement_source_value)
    SELECT * FROM (SELECT (hash(row, 'm') >> 1)::BIGINT,
            (hash(number) >> 1)::BIGINT,
            3004410 + row % 50, DATE '2015-01-01' + (row // 10 % 3000)::INTEGER,
            TIMESTAMP '2015-01-01' + INTERVAL (row // 10 % 3000) DAY
                + INTERVAL (row % 1440) MINUTE, 32817,
            CAST(row % 2000 AS DECIMAL(18,6)) / 10, 8840,
            CASE WHEN row // 10 % 20 > 0 THEN (hash(row // 10, 'v') >> 1)::BIGINT END,
            'LAB' || row % 50
        FROM (SELECT row, row // 10 % {people} AS number
            FROM range({rows}) given(row))) ORDER BY 2, 9, 1""",
)


def committed(folder, events=()):
    """Commit to the tables of a folder; return the extract, opened."""
    engine = DuckDBEngine(connect_read_only(folder / "cdm.duckdb"))
    commitment = commit_acts(engine, folder, MANIFEST, MASTER, events)
    return Extract(commitment, acts_folder(folder, DIGEST), engine, MASTER)


def small_extract(folder):
    """Write and commit to two people, nine acts and two events; return it, opened."""
    write_acts(folder)
    return committed(folder, [Event(None, b"made"), Event(BO, b"given")])


def published(extract):
    """Return the root that left the site."""
    return bytes.fromhex(extract.commitment.root.removeprefix("sha256:"))


def in_plain_order(people, size, secret):
    """Return people as the page orders them: groups of a size, then those of each."""

    def enciphered(number, about):
        block = number.to_bytes(8, "big", signed=True) + about.to_bytes(8, "big")
        cipher = Cipher(algorithms.AES(secret), modes.ECB())  # noqa: S305  as the page
        return cipher.encryptor().update(block)

    rising = sorted(people)
    groups = [rising[n : n + size] for n in range(0, len(rising), size)]
    order = sorted(range(len(groups)), key=lambda n: enciphered(n, 1))
    return [
        person
        for n in order
        for person in sorted(groups[n], key=lambda one: enciphered(one, 0))
    ]
