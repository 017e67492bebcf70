"""A site's codes → its `concept` tables, and what each code is mapped to.

A code gets its concept id from the loaded vocabulary or, where there is none, an id of
its own that is the same at every site. Its standard concept comes from the first that
knows one: a row of `codes.csv` that a person confirmed, the loaded vocabulary ("Maps
to"), none (0). All of it is SQL over whole columns.
"""

from pathlib import Path
from typing import Final

from hetao.cdm.engine_duckdb import Connection, text
from hetao.cdm.macros import clean_sql
from hetao.cdm.vocabulary.codes import CONFIRMED, load_codes
from hetao.dictionary import FIRST_LOCAL, dictionary

ATTACHED: Final = "loaded_vocabulary"
NO_CONCEPT: Final = 0  # OMOP: no matching concept
FOREVER: Final = "DATE '1970-01-01', DATE '2099-12-31', NULL"  # OMOP's own habit
TABLES: Final = ("concept", "concept_ancestor", "concept_relationship", "vocabulary")


def make_concepts(
    connection: Connection, codes: Path | None, vocabulary: Path | None
) -> None:
    """Fill the vocabulary tables for the codes that a site uses, and map each code.

    Reads the table `used_code(system, code, classes)`: every code of the source once
    or more, `classes` being NULL or written as `bnf:2.8.2|atc:B01AA03`.

    Adds rows to the tables `concept`, `concept_ancestor`, `concept_relationship` and
    `vocabulary` (of the data dictionary, made and empty), and makes the temporary
    table `code_map`, one row a code:

        system, code        as the source writes it; `Ｉ１０` and `I10` are one code
        source_concept_id   the vocabulary's id of the code, or the local one
        concept_id          the standard concept, 0 for none
        targets             how many standard concepts the vocabulary maps it to; of
                            several, the one with the smallest id is taken
        analyte             of a confirmed row of codes.csv; else NULL

    Args:
        connection: the curation's own; `known_code` is left behind as a temporary
            table.
        codes: the site's codes.csv, or None.
        vocabulary: a loaded vocabulary's database file, or None.

    Raises:
        InvalidMapping: codes.csv does not hold.
    """
    load_codes(connection, codes)
    _make_systems(connection)
    _clean_codes(connection)
    _attach(connection, vocabulary)
    try:
        _make_pairs(connection)
        _map_codes(connection)
        _insert_concepts(connection)
        _insert_ancestors(connection)
        _insert_relationships(connection)
        _insert_vocabularies(connection)
        _map_as_written(connection)
    finally:
        _detach(connection, vocabulary)


def local_id_sql(system: str, code: str) -> str:
    """Return SQL for `dictionary.local_concept_id` of two text expressions."""
    first = f"substr(sha256({system} || '|' || {code}), 1, 16)"
    return f"({FIRST_LOCAL} + (('0x' || {first})::UBIGINT >> 14)::BIGINT)"


def plain_sql(code: str) -> str:
    """Return SQL for a code as classifications are compared: no dots, upper case."""
    return f"replace(upper({code}), '.', '')"


# S608, here and below: names are our own, values are quoted by `text`.
def _make_systems(connection: Connection) -> None:
    rows = ", ".join(
        f"({text(name)}, {text(system.vocabulary_id)}, {text(system.labels['en'])}, "
        f"{text(system.domain or 'Metadata')})"
        for name, system in dictionary().systems.items()
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE code_system AS FROM (VALUES "
        f"{rows}) AS s(system, vocabulary_id, label, domain_id)"
    )


def _clean_codes(connection: Connection) -> None:
    """Make `clean_code`, the used codes without full-width forms and outer spaces."""
    clean = f"coalesce(nullif({clean_sql('code')}, ''), code)"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE clean_code AS SELECT DISTINCT system, "  # noqa: S608
        f"code AS written, {clean} AS code, {clean_sql('classes')} AS classes "
        "FROM used_code WHERE system IS NOT NULL AND code IS NOT NULL"
    )


def _map_as_written(connection: Connection) -> None:
    """Add to `code_map` each code in every other way in which the source writes it."""
    connection.execute("""
        INSERT INTO code_map
        SELECT DISTINCT m.system, c.written, m.source_concept_id, m.concept_id,
            m.targets, m.analyte
        FROM clean_code c JOIN code_map m ON m.system = c.system AND m.code = c.code
        WHERE (c.system, c.written) NOT IN (SELECT (o.system, o.code) FROM code_map o)
    """)


def _attach(connection: Connection, vocabulary: Path | None) -> None:
    """Make the views `v_concept` …: of the loaded vocabulary, or without rows."""
    if vocabulary is not None:
        connection.execute(f"ATTACH {text(str(vocabulary))} AS {ATTACHED} (READ_ONLY)")
    for table in TABLES:
        source = (
            f"SELECT * FROM {ATTACHED}.main.{table}"  # noqa: S608
            if vocabulary is not None
            else f"SELECT * FROM {table} WHERE FALSE"  # noqa: S608
        )
        connection.execute(f"CREATE OR REPLACE TEMP VIEW v_{table} AS {source}")


def _detach(connection: Connection, vocabulary: Path | None) -> None:
    for table in TABLES:
        connection.execute(f"DROP VIEW IF EXISTS v_{table}")
    if vocabulary is not None:
        connection.execute(f"DETACH {ATTACHED}")


def _make_pairs(connection: Connection) -> None:
    """Make `code_pair`, every code that needs a concept, and `code_class`."""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE code_class AS
        WITH given AS (
            SELECT system, code, classes FROM clean_code WHERE classes IS NOT NULL
            UNION
            SELECT system, code, classes FROM known_code
            WHERE classes IS NOT NULL AND status = {text(CONFIRMED)}
                AND (system, code) IN (SELECT (u.system, u.code) FROM clean_code u)),
        parts AS (
            SELECT system, code, trim(unnest(string_split(classes, '|'))) AS class
            FROM given)
        SELECT DISTINCT p.system, p.code, s.system AS class_system,
            trim(substr(class, strpos(class, ':') + 1)) AS class_code
        FROM parts p
        JOIN code_system s ON s.system = trim(split_part(class, ':', 1))
        WHERE strpos(class, ':') > 0
            AND trim(substr(class, strpos(class, ':') + 1)) <> ''
    """)  # noqa: S608
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE code_pair AS
        SELECT DISTINCT system, code FROM clean_code
        UNION SELECT class_system, class_code FROM code_class
    """)


def _map_codes(connection: Connection) -> None:
    """Make `code_map` of every pair: the code's own concept, then its standard one."""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE code_source AS
        WITH candidates AS (
            SELECT p.system, p.code, v.concept_id, v.standard_concept,
                row_number() OVER (PARTITION BY p.system, p.code ORDER BY
                    v.concept_code <> p.code, v.invalid_reason IS NOT NULL,
                    v.concept_id) AS place
            FROM code_pair p JOIN code_system s USING (system)
            JOIN v_concept v ON v.vocabulary_id = s.vocabulary_id
                AND {plain_sql("v.concept_code")} = {plain_sql("p.code")})
        SELECT p.system, p.code, c.concept_id AS loaded_id, c.standard_concept,
            coalesce(c.concept_id, {local_id_sql("p.system", "p.code")}) AS own_id
        FROM code_pair p
        LEFT JOIN candidates c ON c.system = p.system AND c.code = p.code
            AND c.place = 1
    """)  # noqa: S608
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE code_map AS
        WITH mapped AS (
            SELECT s.system, s.code, min(r.concept_id_2) AS concept_id,
                count(DISTINCT r.concept_id_2) AS targets
            FROM code_source s
            JOIN v_concept_relationship r ON r.concept_id_1 = s.loaded_id
                AND r.relationship_id = 'Maps to' AND r.invalid_reason IS NULL
            JOIN v_concept t ON t.concept_id = r.concept_id_2
                AND t.standard_concept = 'S'
            GROUP BY s.system, s.code)
        SELECT s.system, s.code, s.own_id AS source_concept_id,
            coalesce(k.concept_id, m.concept_id,
                CASE WHEN s.standard_concept = 'S' THEN s.loaded_id END,
                {NO_CONCEPT}) AS concept_id,
            coalesce(m.targets, 0) AS targets, k.analyte
        FROM code_source s
        LEFT JOIN known_code k ON k.system = s.system AND k.code = s.code
            AND k.status = {text(CONFIRMED)}
        LEFT JOIN mapped m ON m.system = s.system AND m.code = s.code
    """)  # noqa: S608


def _insert_concepts(connection: Connection) -> None:
    """Add codes, their classes, their standard concepts, and all ancestors of these."""
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE wanted_concept AS
        WITH named AS (
            SELECT source_concept_id AS concept_id FROM code_map
            UNION SELECT concept_id FROM code_map)
        SELECT concept_id FROM named
        UNION
        SELECT a.ancestor_concept_id FROM v_concept_ancestor a
        JOIN named n ON n.concept_id = a.descendant_concept_id
    """)
    columns = (
        "concept_id, concept_name, domain_id, vocabulary_id, concept_class_id, "
        "standard_concept, concept_code, valid_start_date, valid_end_date, "
        "invalid_reason"
    )
    connection.execute(f"""
        INSERT INTO concept ({columns})
        SELECT {columns} FROM v_concept
        WHERE concept_id IN (SELECT concept_id FROM wanted_concept)
            AND concept_id NOT IN (SELECT concept_id FROM concept)
    """)  # noqa: S608
    # Two spellings of one code ("I48", "i48") are two local concepts; two codes whose
    # local ids collide would be one, and the key of `concept` refuses the second.
    connection.execute(f"""
        INSERT INTO concept ({columns})
        SELECT m.source_concept_id, coalesce(k.name, m.code), s.domain_id,
            s.vocabulary_id, 'Undefined', NULL, m.code, {FOREVER}
        FROM code_map m JOIN code_system s USING (system)
        LEFT JOIN known_code k ON k.system = m.system AND k.code = m.code
            AND k.status = {text(CONFIRMED)}
        WHERE m.source_concept_id NOT IN (SELECT concept_id FROM concept)
    """)  # noqa: S608
    # A standard concept that only codes.csv names: its own name is not known here.
    connection.execute(f"""
        INSERT INTO concept ({columns})
        SELECT m.concept_id, arg_min(coalesce(k.name, m.code), (m.system, m.code)),
            arg_min(s.domain_id, (m.system, m.code)), 'None', 'Undefined', 'S',
            m.concept_id::VARCHAR, {FOREVER}
        FROM code_map m JOIN code_system s USING (system)
        LEFT JOIN known_code k ON k.system = m.system AND k.code = m.code
            AND k.status = {text(CONFIRMED)}
        WHERE m.concept_id <> {NO_CONCEPT}
            AND m.concept_id NOT IN (SELECT concept_id FROM concept)
        GROUP BY m.concept_id
    """)  # noqa: S608


def _insert_ancestors(connection: Connection) -> None:
    """Add each concept over itself, classes over items, and the vocabulary's own."""
    connection.execute("""
        INSERT INTO concept_ancestor (ancestor_concept_id, descendant_concept_id,
            min_levels_of_separation, max_levels_of_separation)
        WITH own AS (
            SELECT source_concept_id AS concept_id FROM code_map
            UNION SELECT concept_id FROM code_map WHERE concept_id <> 0),
        loaded AS (
            SELECT a.ancestor_concept_id AS above, a.descendant_concept_id AS below,
                a.min_levels_of_separation AS least,
                a.max_levels_of_separation AS most
            FROM v_concept_ancestor a
            WHERE a.descendant_concept_id IN (SELECT concept_id FROM own)),
        classed AS (
            SELECT u.source_concept_id AS above, d.source_concept_id AS below
            FROM code_class c
            JOIN code_map u ON u.system = c.class_system AND u.code = c.class_code
            JOIN code_map d ON d.system = c.system AND d.code = c.code),
        every_row AS (
            SELECT concept_id AS above, concept_id AS below, 0 AS least, 0 AS most
            FROM own
            UNION ALL FROM loaded
            UNION ALL SELECT above, below, 1, 1 FROM classed
            UNION ALL
            SELECT l.above, c.below, l.least + 1, l.most + 1
            FROM classed c JOIN loaded l ON l.below = c.above)
        SELECT above, below, min(least), max(most) FROM every_row
        WHERE NOT EXISTS (
            SELECT 1 FROM concept_ancestor e
            WHERE e.ancestor_concept_id = above AND e.descendant_concept_id = below)
        GROUP BY above, below
    """)


def _insert_relationships(connection: Connection) -> None:
    columns = (
        "concept_id_1, concept_id_2, relationship_id, valid_start_date, "
        "valid_end_date, invalid_reason"
    )
    connection.execute(f"""
        INSERT INTO concept_relationship ({columns})
        WITH maps AS (
            SELECT DISTINCT source_concept_id AS code, concept_id AS standard
            FROM code_map WHERE concept_id <> {NO_CONCEPT}),
        both_ways AS (
            SELECT code AS a, standard AS b, 'Maps to' AS relation FROM maps
            UNION ALL SELECT standard, code, 'Mapped from' FROM maps)
        SELECT a, b, relation, {FOREVER} FROM both_ways
        WHERE NOT EXISTS (
            SELECT 1 FROM concept_relationship e
            WHERE e.concept_id_1 = a AND e.concept_id_2 = b
                AND e.relationship_id = relation)
    """)  # noqa: S608


def _insert_vocabularies(connection: Connection) -> None:
    columns = (
        "vocabulary_id, vocabulary_name, vocabulary_reference, vocabulary_version, "
        "vocabulary_concept_id"
    )
    connection.execute(f"""
        INSERT INTO vocabulary ({columns})
        WITH used AS (SELECT DISTINCT vocabulary_id FROM concept)
        SELECT u.vocabulary_id,
            coalesce(v.vocabulary_name, s.label, u.vocabulary_id),
            v.vocabulary_reference, v.vocabulary_version,
            coalesce(v.vocabulary_concept_id, {NO_CONCEPT})
        FROM used u LEFT JOIN v_vocabulary v USING (vocabulary_id)
        LEFT JOIN (
            SELECT vocabulary_id, min(label) AS label FROM code_system
            GROUP BY vocabulary_id) s USING (vocabulary_id)
        WHERE u.vocabulary_id NOT IN (SELECT vocabulary_id FROM vocabulary)
    """)  # noqa: S608
