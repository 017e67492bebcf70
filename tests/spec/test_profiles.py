"""What each profile promises: its source's records become the same facts, all of them.

A made-up population is written in a source's own form, with its habits and with faults
at known rates; its mapping is curated as a hospital would; and the tables are held
against the truth, row by row. What a fault took away is found and counted.
"""

from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hetao.cdm import open_tables
from hetao.cdm.engine_postgres import connect
from hetao.cdm.quality import read_quality
from hetao.cdm.vocabulary import resolve
from hetao.dictionary import dictionary, local_concept_id
from hetao.study import CodeList, ConceptSet
from hetao.synth.here import MISDATED
from hetao.synth.write_flat import TESTS
from support_postgres import postgres_server
from support_profiles import Held, held

# More faults than usual, so that each kind is there among few people.
TIMES = 5.0
PEOPLE = 600
WHOLE = ("ha-cdars", "wst500", "fhir", "omop", "ehealth")  # everything of the truth
DIAGNOSIS = "visit_no * 32 + rank"  # what the table of faults calls a diagnosis
PLACED = "row_number() OVER (PARTITION BY visit_no ORDER BY {order})"


@pytest.fixture(scope="module", params=[*WHOLE, "flat"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with held(request.param, folder, PEOPLE, TIMES) as it:
        yield it


@pytest.fixture(scope="module")
def special(tmp_path_factory):
    folder = tmp_path_factory.mktemp("special")
    with held("gba-special", folder, 20_000, 20 * TIMES) as it:
        yield it


def hit(fault: str, subject: str, key: str) -> str:
    return (
        f"({key}) IN (SELECT key FROM fault WHERE fault = '{fault}' "
        f"AND subject = '{subject}')"
    )


def test_the_same_people_with_the_same_sex_and_birth(site: Held):
    sex = hit("unknown_sex", "person", "person_no")
    year_only = hit("estimated_birth", "person", "person_no")
    truth = f"""
        SELECT person_no, CASE WHEN {sex} THEN 0 WHEN sex = 'M' THEN 8507 ELSE 8532 END,
            year(birth_date), CASE WHEN NOT {year_only} THEN month(birth_date) END,
            CASE WHEN NOT {year_only} THEN day(birth_date) END
        FROM here_person"""
    found = """
        SELECT person_no, gender_concept_id, year_of_birth, month_of_birth, day_of_birth
        FROM site.person LEFT JOIN who USING (person_id)"""

    assert site.differing(truth, found) == []
    assert site.faults("unknown_sex", "person") > 0
    assert site.faults("estimated_birth", "person") > 0


def test_the_same_visits(site: Held):
    distinct = "DISTINCT" if site.profile == "flat" else ""
    truth = f"""
        SELECT {distinct} person_no, CASE kind WHEN 'inpatient' THEN 9201
            WHEN 'emergency' THEN 9203 ELSE 9202 END, start_date, {end_day(site)}
        FROM here_visit"""
    found = """
        SELECT person_no, visit_concept_id, visit_start_date, visit_end_date
        FROM site.visit_occurrence LEFT JOIN who USING (person_id)"""

    assert site.differing(truth, found) == []


def end_day(site: Held) -> str:
    """A clinic keeps one day a consultation."""
    return "start_date" if site.profile == "ehealth" else "end_date"


def test_the_same_diagnoses_but_for_the_days_that_cannot_be(site: Held):
    key = DIAGNOSIS
    limit = 3 if site.profile == "flat" else 999
    truth = f"""
        SELECT person_no, CASE WHEN {hit("partial_date", "diagnosis", key)}
                THEN date_trunc('month', day)::DATE ELSE day END,
            CASE WHEN {hit("unknown_code", "diagnosis", key)} THEN '(unknown)'
                ELSE disease END
        FROM (SELECT *, {PLACED.format(order="rank")} AS place FROM here_diagnosis)
        JOIN (VALUES (1), (2)) AS copies(copy)
            ON copy = 1 OR {twice(site, "diagnosis", key)}
        WHERE place <= {limit} AND NOT {never("diagnosis", key)}"""
    found = """
        SELECT person_no, condition_start_date,
            coalesce(thing, 'not meant: ' || condition_source_value)
        FROM site.condition_occurrence LEFT JOIN who USING (person_id)
        LEFT JOIN meant ON code = lower(condition_source_value)
        WHERE condition_source_concept_id NOT IN (
            SELECT concept_id FROM site.concept WHERE vocabulary_id = 'GBT15657')"""

    assert site.differing(truth, found) == []


def twice(site: Held, subject: str, key: str) -> str:
    """A visit that stands twice in one table brings everything of it twice."""
    if site.profile == "flat":
        return hit("duplicate_row", "visit", "visit_no")
    return hit("duplicate_row", subject, key)


def never(subject: str, key: str) -> str:
    """A day that cannot be takes the row out, unless only its month was written."""
    days = " OR ".join(hit(fault, subject, key) for fault in MISDATED)
    return f"(NOT {hit('partial_date', subject, key)} AND ({days}))"


def lines(site: Held, faults: str) -> int:
    """How many lines of the source tell of diagnoses with such faults."""
    return site.number(
        f"SELECT count(*) FROM (SELECT {DIAGNOSIS} AS key FROM here_diagnosis "
        f"WHERE {faults}) JOIN (VALUES (1), (2)) AS copies(copy) "
        f"ON copy = 1 OR {hit('duplicate_row', 'diagnosis', 'key')}"
    )


def test_a_day_that_cannot_be_is_kept_aside_and_counted(site: Held):
    key, month = DIAGNOSIS, hit("partial_date", "diagnosis", DIAGNOSIS)
    unreal = " OR ".join(hit(fault, "diagnosis", key) for fault in MISDATED[:2])
    late = hit("future_date", "diagnosis", key)
    expected = {
        "not a date": lines(site, f"NOT {month} AND ({unreal})"),
        "date lies in the future": lines(
            site, f"NOT {month} AND NOT ({unreal}) AND {late}"
        ),
    }

    counted = dict(
        site.rows(
            "SELECT reason, count(*) FROM site.rejected WHERE reason IN "
            "('not a date', 'date lies in the future') GROUP BY reason"
        )
    )

    assert counted == {reason: n for reason, n in expected.items() if n}
    assert all(expected.values()) or site.profile in ("omop", "flat")


def test_a_day_of_which_only_the_month_is_known_is_counted(site: Held):
    completed = site.number(
        "SELECT coalesce(sum(number), 0) FROM site.curation_counts "
        "WHERE counted = 'completed' "
        "AND source IN ('condition_occurrence.sql', 'death.sql')"
    )

    months = lines(site, hit("partial_date", "diagnosis", DIAGNOSIS))
    assert completed == months + site.faults("partial_death", "person")


def test_a_code_that_nobody_knows_has_no_concept_and_is_counted(site: Held):
    for table, stem, subject in (
        ("condition_occurrence", "condition", "diagnosis"),
        ("drug_exposure", "drug", "drug"),
    ):
        concepts = site.rows(
            f"SELECT DISTINCT {stem}_concept_id FROM site.{table} "
            f"WHERE lower({stem}_source_value) IN ("
            "SELECT code FROM meant WHERE thing = '(unknown)')"
        )
        expected = {(0,)} if site.faults("unknown_code", subject) else set()
        assert (table, set(concepts)) == (table, expected)


def test_the_same_drugs_for_the_same_days(site: Held):
    limit = drugs_a_row(site)
    truth = f"""
        SELECT person_no, day, CASE WHEN {hit("unknown_code", "drug", "rx_no")}
            THEN '(unknown)' ELSE drug END, days, day + (days - 1)::INTEGER
        FROM (SELECT here_drug.* REPLACE (CASE WHEN
                    {hit("after_death", "drug", "rx_no")}
                    THEN death_date + (90 + rx_no % 90)::INTEGER ELSE day END AS day),
                {PLACED.format(order="rx_no")} AS place
            FROM here_drug JOIN here_person USING (person_no))
        JOIN (VALUES (1), (2)) AS copies(copy)
            ON copy = 1 OR {twice(site, "drug", "rx_no")}
        WHERE place <= {limit}"""
    found = """
        SELECT person_no, drug_exposure_start_date,
            coalesce(thing, 'not meant: ' || drug_source_value), days_supply,
            drug_exposure_end_date
        FROM site.drug_exposure LEFT JOIN who USING (person_id)
        LEFT JOIN meant ON code = lower(drug_source_value)"""

    assert site.differing(truth, found) == []


# Why a value that carries a fault is not in the tables.
KEPT_ASIDE = {
    "lost_value": "nothing was measured",
    "unreadable_value": "not a number",
    "zero_for_missing": "zero stands for not measured",
    "unknown_unit": "unit has no conversion for this analyte",
    "unit_mislabelled": "outside the plausible range",
}


def kept_aside() -> str:
    """Say in SQL whether a row of `reported` cannot be in the tables.

    A value under a wrong label is found by its range alone: one that is plausible all
    the same stands in the tables as what its label says.
    """
    named = ", ".join(f"'{f}'" for f in KEPT_ASIDE if f != "unit_mislabelled")
    ranges = " ".join(
        f"WHEN '{name}' THEN expected NOT BETWEEN {a.plausible[0]} AND {a.plausible[1]}"
        for name, a in dictionary().analytes.items()
    )
    return (
        f"(coalesce(fault IN ({named}), false) OR (coalesce(fault, '') = "
        f"'unit_mislabelled' AND CASE analyte {ranges} END))"
    )


def shown_labs(site: Held) -> str:
    """The laboratory values that a source holds, each as often as it does."""
    if site.profile != "flat":
        return "(SELECT *, 1 AS copy FROM reported)"
    tests = tuple(TESTS.values())
    return f"""(
        SELECT * FROM (SELECT * FROM reported WHERE analyte IN {tests}
            QUALIFY row_number() OVER (
                PARTITION BY visit_no, analyte ORDER BY lab_no) = 1)
        JOIN (VALUES (1), (2)) AS copies(copy)
            ON copy = 1 OR {hit("duplicate_row", "visit", "visit_no")})"""


def test_laboratory_values_are_the_same_to_the_last_digit_shown(site: Held):
    concepts = ", ".join(
        f"('{name}', {analyte.concept_id})"
        for name, analyte in dictionary().analytes.items()
    )
    truth = f"""
        SELECT person_no, taken_at::DATE, concept_id, expected,
            CASE fault WHEN 'censored_value' THEN 4171756 END
        FROM {shown_labs(site)} JOIN (VALUES {concepts}) AS known(analyte, concept_id)
            USING (analyte)
        WHERE NOT {kept_aside()}"""
    found = """
        SELECT person_no, measurement_date, measurement_concept_id,
            value_as_number, operator_concept_id
        FROM site.measurement LEFT JOIN who USING (person_id)"""

    assert site.differing(truth, found) == []
    assert (
        site.number(
            "SELECT count(*) FROM reported WHERE fault IS NULL "
            "AND abs(expected - value) > tolerance + 0.000001"
        )
        == 0
    )


def test_units_are_the_analytes_own(site: Held):
    units = dictionary().units
    wanted = {
        analyte.concept_id: units[analyte.unit].concept_id
        for analyte in dictionary().analytes.values()
    }

    found = dict(
        site.rows(
            "SELECT DISTINCT measurement_concept_id, unit_concept_id "
            "FROM site.measurement"
        )
    )

    assert found == {concept: wanted[concept] for concept in found}
    assert len(found) >= 5


@pytest.mark.parametrize("fault", KEPT_ASIDE)
def test_a_value_that_tells_nothing_is_kept_aside_and_counted(site: Held, fault):
    hits = site.number(
        f"SELECT count(*) FROM {shown_labs(site)} WHERE fault = '{fault}' "
        f"AND {kept_aside()}"
    )
    if site.profile == "flat" and fault == "lost_value":
        hits = 0  # an empty cell among others is no result

    counted = site.number(
        "SELECT count(*) FROM site.rejected "
        f"WHERE reason = '{KEPT_ASIDE[fault]}' AND {of_measurements()}"
    )

    assert counted == hits
    assert hits > 0 or site.profile == "flat"


def of_measurements() -> str:
    return (
        "source IN ('laboratory', 'tests', 'result', 'visits', 'cdm_measurement', "
        "'measurement.sql')"
    )


def test_the_same_procedures(site: Held):
    if site.profile == "flat":
        assert site.number("SELECT count(*) FROM site.procedure_occurrence") == 0
        return
    truth = "SELECT person_no, day, procedure FROM here_procedure"
    found = """
        SELECT person_no, procedure_date,
            coalesce(thing, 'not meant: ' || procedure_source_value)
        FROM site.procedure_occurrence LEFT JOIN who USING (person_id)
        LEFT JOIN meant ON code = lower(procedure_source_value)"""

    assert site.differing(truth, found) == []
    assert site.number("SELECT count(*) FROM here_procedure") > 0


def test_the_same_deaths_on_the_same_days(site: Held):
    month = hit("partial_death", "person", "person_no")
    truth = f"""
        SELECT person_no, CASE WHEN {month} THEN date_trunc('month', death_date)::DATE
            ELSE death_date END
        FROM here_person WHERE death_date IS NOT NULL"""
    found = """
        SELECT person_no, death_date FROM site.death LEFT JOIN who USING (person_id)"""

    assert site.differing(truth, found) == []
    assert site.number("SELECT count(*) FROM site.death") > 0


def test_everybody_is_observed_from_the_first_visit(site: Held):
    truth = "SELECT person_no, min(start_date) FROM here_visit GROUP BY person_no"
    found = """
        SELECT person_no, observation_period_start_date
        FROM site.observation_period LEFT JOIN who USING (person_id)"""

    assert site.differing(truth, found) == []


def test_who_does_not_come_back_is_observed_to_the_end_of_the_extract(site: Held):
    """All but the dead are observed to one day, close to the last of all visits."""
    if site.profile == "omop":
        end = "DATE '2024-12-31'"  # of its own table
    else:
        end = "(SELECT max(observation_period_end_date) FROM site.observation_period)"
    early = f"""
        SELECT count(*) FROM site.observation_period p
        LEFT JOIN site.death d USING (person_id)
        WHERE observation_period_end_date <> {end} AND death_date IS NULL"""
    away = f"SELECT date_diff('day', max(start_date), {end}) FROM here_visit"

    assert site.number(early) == 0
    assert -14 <= site.number(away) <= 31


def test_links_of_events_lead_to_visits_of_the_same_person(site: Held):
    for table in ("condition_occurrence", "drug_exposure", "measurement"):
        lost = site.number(
            f"SELECT count(*) FROM site.{table} AS event "
            "LEFT JOIN site.visit_occurrence AS visit USING (visit_occurrence_id) "
            "WHERE event.visit_occurrence_id IS NOT NULL "
            "AND event.person_id IS DISTINCT FROM visit.person_id"
        )
        assert (table, lost) == (table, 0)
    assert (
        site.number("SELECT count(visit_occurrence_id) FROM site.condition_occurrence")
        > 0
    )


def test_what_stands_twice_is_counted_by_a_quality_check(site: Held):
    found = {
        check.table: check.violated
        for check in read_quality(site.folder / "quality.json").checks
        if check.type == "duplicate-events"
    }

    twice_over = site.number(f"""
        SELECT count(*) FROM (
            SELECT *, {PLACED.format(order="rx_no")} AS place FROM here_drug)
        WHERE {twice(site, "drug", "rx_no")} AND place <= {drugs_a_row(site)}""")
    assert found["drug_exposure"] == twice_over
    assert twice_over > 0 or site.profile == "fhir"


def drugs_a_row(site: Held) -> int:
    return 2 if site.profile == "flat" else 999


def test_what_the_dead_were_given_is_found_by_a_quality_check(site: Held):
    found = {
        check.id: check.violated
        for check in read_quality(site.folder / "quality.json").checks
    }

    late = site.number(
        f"SELECT count(*) FROM here_drug JOIN (VALUES (1), (2)) AS copies(copy) "
        f"ON copy = 1 OR {twice(site, 'drug', 'rx_no')} "
        f"WHERE {hit('after_death', 'drug', 'rx_no')}"
    )
    name = "plausibleBeforeDeath:drug_exposure.drug_exposure_start_date"
    assert found[name] == late
    assert late > 0 or site.profile != "ha-cdars"


# The same question at each site, in that site's own codes: who has the disease, who
# ever had the drug?
AFIB = ConceptSet(
    "afib",
    lists=(CodeList("icd10", ("I48",)), CodeList("icd9cm", ("427.3",))),
)
STATIN = ConceptSet(
    "statin",
    lists=(CodeList("atc", ("C10AA",)), CodeList("bnf", ("2.12",))),
)


ASKED = {
    # what is asked: concept set, table of the tables, of the truth, its things
    "disease": (AFIB, "condition", "diagnosis", "('afib')"),
    "drug": (STATIN, "drug", "drug", "('simvastatin', 'atorvastatin')"),
}


@pytest.mark.parametrize("what", ASKED)
def test_one_concept_set_finds_the_same_people_at_every_site(site: Held, what):
    concepts, stem, subject, names = ASKED[what]
    with open_tables(site.folder / "cdm.duckdb") as tables:
        listed = ", ".join(map(str, resolve(tables.engine, concepts).ids))
    table = {"condition": "condition_occurrence", "drug": "drug_exposure"}[stem]
    key, order = {"disease": (DIAGNOSIS, "rank"), "drug": ("rx_no", "rx_no")}[what]
    limit = {"disease": 3, "drug": 2}[what] if site.profile == "flat" else 999
    # A class that comes with each row finds an item that no list knows.
    by_class = site.profile == "ha-cdars" and what == "drug"
    unfound = "FALSE" if by_class else hit("unknown_code", subject, key)
    truth = f"""
        SELECT DISTINCT person_no
        FROM (SELECT *, {PLACED.format(order=order)} AS place FROM here_{subject})
        WHERE {what} IN {names} AND place <= {limit}
            AND NOT {unfound} AND NOT {never(subject, key)}"""
    found = f"""
        SELECT DISTINCT person_no FROM site.{table} LEFT JOIN who USING (person_id)
        WHERE {stem}_concept_id IN ({listed})
            OR {stem}_source_concept_id IN ({listed})"""

    assert site.differing(truth, found) == []
    assert site.number(f"SELECT count(*) FROM ({truth})") > 0


def test_chinese_medicine_has_local_concepts_that_are_the_same_everywhere(site: Held):
    local = {
        (system, str(code)): local_concept_id(system, str(code))
        for system, query in (
            ("gbt15657", "SELECT DISTINCT tcm_code FROM code_diseases"),
            ("hkcmms", "SELECT DISTINCT hkcmms FROM code_drugs"),
        )
        for (code,) in site.rows(query)
        if code
    }
    found = {
        ({"GBT15657": "gbt15657", "HKCMMS": "hkcmms"}[vocabulary], code): number
        for vocabulary, code, number in site.rows(
            "SELECT vocabulary_id, concept_code, concept_id FROM site.concept "
            "WHERE vocabulary_id IN ('GBT15657', 'HKCMMS')"
        )
    }

    assert found == {key: local[key] for key in found}
    assert found or site.profile == "fhir"


# --- a designated hospital's register ------------------------------------------------
def kept(site: Held) -> str:
    """Uses of special products with a day that can be, each as often as it stands."""
    return f"""(
        SELECT here_special.*, kind,
            CASE WHEN {hit("unknown_code", "special", "use_no")} THEN 'unknown'
                ELSE kind END AS shown_kind
        FROM here_special JOIN code_products ON name = product
        JOIN (VALUES (1), (2)) AS copies(copy)
            ON copy = 1 OR {hit("duplicate_row", "special", "use_no")}
        WHERE NOT {hit("impossible_date", "special", "use_no")})"""


def test_special_drugs_and_devices_are_exposures_of_the_same_people(special: Held):
    truth = f"""
        SELECT CASE shown_kind WHEN 'device' THEN 'device' ELSE 'drug' END, person_no,
            day, CASE shown_kind WHEN 'unknown' THEN 'GBA-X-9999' ELSE approval END
        FROM {kept(special)} JOIN (SELECT name AS product, approval FROM code_products)
            USING (product)"""
    found = """
        SELECT 'drug', person_no, drug_exposure_start_date, drug_source_value
        FROM site.drug_exposure LEFT JOIN who USING (person_id)
        UNION ALL
        SELECT 'device', person_no, device_exposure_start_date, device_source_value
        FROM site.device_exposure LEFT JOIN who USING (person_id)"""

    assert special.differing(truth, found) == []
    for kind in ("drug", "device"):
        assert special.number(f"SELECT count(*) FROM site.{kind}_exposure") > 0
    assert special.faults("unknown_code", "special") > 0
    assert special.faults("duplicate_row", "special") > 0


def test_the_people_of_a_register_are_those_who_used_something(special: Held):
    truth = """
        SELECT person_no, CASE sex WHEN 'M' THEN 8507 ELSE 8532 END, birth_date
        FROM here_person
        WHERE person_no IN (SELECT person_no FROM here_special)"""
    found = """
        SELECT person_no, gender_concept_id,
            make_date(year_of_birth, month_of_birth, day_of_birth)
        FROM site.person LEFT JOIN who USING (person_id)"""

    assert special.differing(truth, found) == []


def test_each_use_tells_designation_approval_and_consent(special: Held):
    uses = special.number(f"SELECT count(*) FROM {kept(special)}")
    known = special.number(
        f"SELECT count(*) FROM {kept(special)} WHERE shown_kind <> 'unknown'"
    )
    refused = special.number(
        f"SELECT count(*) FROM {kept(special)} WHERE use_no % 50 = 0"
    )

    flags = special.rows("""
        SELECT observation_source_value, value_source_value, value_as_concept_id,
            count(*), count(value_as_string)
        FROM site.observation GROUP BY ALL ORDER BY ALL""")

    yes, no = 4188539, 4188540
    expected = [
        ("批准文号", None, None, known, known),
        ("指定医疗机构", "是", yes, uses, 0),
        ("知情同意", "否", no, refused, 0),
        ("知情同意", "是", yes, uses - refused, 0),
    ]
    assert flags == [row for row in expected if row[3]]


# --- a database that is there already ------------------------------------------------
@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An OMOP database on a real PostgreSQL server, curated from there."""
    folder = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch, postgres_server() as uri:

        def load(extract: Path) -> str:
            with closing(connect(uri)) as connection, connection.cursor() as cursor:
                for file in sorted(extract.glob("*.parquet")):
                    cursor.adbc_ingest(file.stem, pq.read_table(file))
                    file.unlink()
                connection.commit()
            patch.setenv("HETAO_OMOP_DSN", uri)
            return "postgres.toml"

        with held("omop", folder, PEOPLE, TIMES, load) as it:
            yield it


@pytest.mark.xdist_group("engines")
@pytest.mark.parametrize(
    "claim",
    [
        test_the_same_people_with_the_same_sex_and_birth,
        test_the_same_visits,
        test_the_same_diagnoses_but_for_the_days_that_cannot_be,
        test_the_same_drugs_for_the_same_days,
        test_laboratory_values_are_the_same_to_the_last_digit_shown,
        test_the_same_procedures,
        test_the_same_deaths_on_the_same_days,
    ],
    ids=lambda claim: claim.__name__.removeprefix("test_"),
)
def test_a_postgresql_server_gives_what_its_files_would(database: Held, claim):
    claim(database)


# --- habits of one source alone ------------------------------------------------------
@pytest.fixture(scope="module")
def harbour(tmp_path_factory):
    with held("ha-cdars", tmp_path_factory.mktemp("harbour"), 300, 0.0) as it:
        yield it


def test_without_faults_nothing_is_kept_aside(harbour: Held):
    assert harbour.rows("SELECT * FROM site.rejected") == []
    assert harbour.written.faults == {}


def test_who_pays_and_how_urgent_it_was_are_observations(harbour: Held):
    truth = """
        SELECT person_no, end_date, CASE WHEN person_no % 50 = 0 THEN 'NE' ELSE 'EP' END
        FROM here_visit WHERE kind = 'inpatient'
        UNION ALL
        SELECT person_no, start_date, 'Triage ' || (1 + visit_no % 5)
        FROM here_visit WHERE kind = 'emergency'"""
    found = """
        SELECT person_no, observation_date, value_source_value
        FROM site.observation LEFT JOIN who USING (person_id)"""

    assert harbour.differing(truth, found) == []
    assert harbour.number("SELECT count(*) FROM site.observation") > 0


def test_each_visit_was_at_the_institution_that_the_export_names(harbour: Held):
    found = harbour.rows(
        "SELECT care_site_source_value, count(*) FROM site.visit_occurrence "
        "LEFT JOIN site.care_site USING (care_site_id) GROUP BY ALL"
    )

    assert found == [("example", harbour.number("SELECT count(*) FROM here_visit"))]


def test_race_is_what_its_code_means(harbour: Held):
    people = harbour.number("SELECT count(*) FROM here_person")

    found = harbour.rows(
        "SELECT race_source_value, race_concept_id, count(*) FROM site.person "
        "GROUP BY ALL"
    )

    assert found == [("CHINESE", 38003579, people)]


def test_a_district_is_all_that_is_known_of_an_address(harbour: Held):
    truth = "SELECT person_no, upper(district) FROM here_person"
    found = """
        SELECT person_no, county FROM site.person LEFT JOIN who USING (person_id)
        LEFT JOIN site.location USING (location_id)"""

    assert harbour.differing(truth, found) == []


def test_patients_are_observed_to_their_death_or_the_end_of_the_extract(harbour: Held):
    truth = """
        SELECT person_no, least(death_date, (SELECT max(start_date) FROM (
            SELECT start_date FROM here_visit GROUP BY ALL HAVING count(*) > 1)))
        FROM here_person"""
    found = """
        SELECT person_no, observation_period_end_date
        FROM site.observation_period LEFT JOIN who USING (person_id)"""

    assert harbour.differing(truth, found) == []
