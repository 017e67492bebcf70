"""What holds of every made-up population, whatever the seed, the parts, the threads."""

import math

import duckdb
import numpy as np
import pytest
from scipy.stats import binom

from hetao.analysis import oracle
from hetao.synth import (
    create_truth,
    define_draws,
    fault_rates,
    fault_sql,
    shipped_world,
)
from hetao.synth.effects import effect_columns, effect_study
from hetao.synth.labs import LEVELS
from hetao.synth.population import fill_block
from support_synth import content, generated, population

SMALL = 30  # independent small populations in the large one
CRITICAL = 1.959963984540054
RARE = 1e-6  # how often chance alone may fail a test


@pytest.fixture(scope="module")
def people():
    return population(240_000, seed=20)


@pytest.fixture(scope="module")
def truth(people):
    with generated(people) as connection:
        yield connection


def number(connection, query):
    return connection.execute(query).fetchone()[0]


def within_chance(successes, trials, share):
    """Tell whether chance could give so many, or so few, successes."""
    low, high = binom.ppf([RARE / 2, 1 - RARE / 2], trials, share)
    return low <= successes <= high


def test_the_same_seed_gives_the_same_rows_on_any_number_of_threads():
    with generated(population(3_000), threads=1) as one:
        expected = content(one)

    with generated(population(3_000), threads=4) as many:
        assert content(many) == expected


def test_another_seed_gives_other_people():
    with (
        generated(population(500, seed=1)) as one,
        generated(population(500, 2)) as two,
    ):
        assert content(one)["person"] != content(two)["person"]


@pytest.mark.parametrize(("persons", "size"), [(6, 1), (1_200, 170)])
def test_any_parts_make_the_same_whole(persons, size):
    people = population(persons)
    with generated(people) as whole:
        expected = content(whole)

    with duckdb.connect() as parts:
        create_truth(parts)
        define_draws(parts, people.seed)
        for site in reversed(people.sites):
            for start in range(site.first, site.last + 1, size):
                part = range(start, min(start + size, site.last + 1))
                fill_block(parts, people.world, site, part)
        assert content(parts) == expected


def test_keys_are_unique(truth):
    for table, key in [
        ("person", "person_no"),
        ("visit", "visit_no"),
        ("diagnosis", "(visit_no, rank)"),
        ("drug", "rx_no"),
        ("lab", "lab_no"),
        ("procedure", "proc_no"),
        ("special", "use_no"),
    ]:
        rows, keys = truth.execute(
            f"SELECT count(*), count(DISTINCT {key}) FROM {table}"
        ).fetchone()

        assert rows == keys > 0, table


@pytest.mark.parametrize(
    ("table", "day"),
    [
        ("visit", "start_date"),
        ("visit", "end_date"),
        ("diagnosis", "day"),
        ("drug", "day"),
        ("lab", "taken_at::DATE"),
        ("procedure", "day"),
        ("special", "day"),
    ],
)
def test_nothing_happens_before_entry_or_after_death(truth, people, table, day):
    outside = number(
        truth,
        f"SELECT count(*) FROM {table} JOIN person USING (person_no) "
        f"WHERE {day} < entry_date OR {day} < birth_date OR {day} > death_date "
        f"OR {day} > DATE '{people.world.last}'",
    )

    assert outside == 0


def test_every_event_belongs_to_a_visit_of_its_day_and_site(truth):
    for table, day in [
        ("diagnosis", "day"),
        ("drug", "day"),
        ("lab", "taken_at::DATE"),
        ("procedure", "day"),
        ("special", "day"),
    ]:
        lost = number(
            truth,
            f"SELECT count(*) FROM {table} t LEFT JOIN visit v "
            "ON v.visit_no = t.visit_no AND v.person_no = t.person_no "
            f"AND v.site = t.site AND v.start_date = {day} WHERE v.visit_no IS NULL",
        )

        assert lost == 0, table


def test_everybody_is_seen_on_the_day_of_entry(truth):
    seen = number(
        truth,
        "SELECT count(*) FROM person JOIN visit USING (person_no) "
        "WHERE start_date = entry_date AND visit_no % 64 = 0",
    )

    assert seen == number(truth, "SELECT count(*) FROM person")


@pytest.mark.parametrize("side", ["HK", "SZ"])
def test_ages_and_sexes_are_those_of_the_side(truth, people, side):
    declared = people.world.sides[side]
    sites = tuple(site.name for site in people.sites if site.side == side)
    bands = truth.execute(
        "SELECT least(floor(date_diff('day', birth_date, ?) / 365.25 / 10), 9)::INTEGER"
        " AS band, count(*), sum((sex = 'M')::INTEGER) FROM person "
        f"WHERE site IN {sites} GROUP BY band ORDER BY band",
        [people.world.census],
    ).fetchall()
    everybody = sum(row[1] for row in bands)
    shares = np.array(declared.ages) / sum(declared.ages)

    for (band, found, _), share in zip(bands, shares, strict=True):
        # A day more or less at the edge of a band moves a few people.
        slack = 0.002 * everybody * share + 5
        low, high = binom.ppf([RARE, 1 - RARE], everybody, share)
        assert low - slack <= found <= high + slack, band
    assert within_chance(int(sum(row[2] for row in bands)), everybody, declared.male)


def test_diseases_grow_with_age_and_reach_their_plateau(truth, people):
    diagnosed = dict(
        truth.execute("""
            SELECT floor(date_diff('day', birth_date, DATE '2024-12-31') / 3652.5)::INT
                AS band, avg(coalesce(ill, 0)) FROM person LEFT JOIN (
                    SELECT DISTINCT person_no, 1 AS ill FROM diagnosis
                    WHERE disease = 'hypertension') USING (person_no)
            WHERE death_date IS NULL GROUP BY band HAVING count(*) > 2000
        """).fetchall()
    )

    shares = [diagnosed[band] for band in range(2, 8)]
    assert shares == sorted(shares)
    assert 0.25 < diagnosed[6] < 0.6
    assert diagnosed[2] < 0.05


def test_the_rare_disease_is_rare_and_of_men_alone(truth, people):
    men = number(truth, "SELECT count(*) FROM person WHERE sex = 'M'")
    ill = truth.execute(
        "SELECT sex, count(DISTINCT person_no) FROM diagnosis JOIN person "
        "USING (person_no) WHERE disease = 'haemophilia_a' GROUP BY sex"
    ).fetchall()

    assert [sex for sex, _ in ill] == ["M"]
    # Not everybody is ever coded; nobody is coded who does not have it.
    rate = people.world.diseases["haemophilia_a"].plateau
    assert 0.3 * rate * men < ill[0][1] <= binom.ppf(1 - RARE, men, rate)


def test_special_products_are_used_in_the_designated_hospital_alone(truth, people):
    used = truth.execute("SELECT DISTINCT site FROM special").fetchall()

    assert used == [(site.name,) for site in people.sites if site.designated]


def test_labs_lie_in_their_ranges(truth):
    found = truth.execute(
        "SELECT analyte, min(value), median(value), max(value) FROM lab GROUP BY ALL"
    ).fetchall()

    assert {row[0] for row in found} == {
        *LEVELS,
        "creatinine",
        "glucose_fasting",
        "diastolic_pressure",
    }
    for analyte, low, middle, high in found:
        if analyte in LEVELS:
            assert low >= LEVELS[analyte].low
            assert high <= LEVELS[analyte].high
        assert low < middle < high


@pytest.mark.parametrize(
    ("analyte", "drug", "least"),
    [
        ("hba1c", "gliclazide", 5),
        ("hbv_dna", "entecavir", 1e5),
        ("systolic_pressure", "amlodipine", 8),
    ],
)
def test_a_treatment_lowers_what_it_treats(truth, analyte, drug, least):
    before, after = truth.execute(f"""
        WITH begun AS (SELECT person_no, min(day) AS day FROM drug
            WHERE drug = '{drug}' GROUP BY person_no)
        SELECT avg(value) FILTER (taken_at < day + 1),
            avg(value) FILTER (taken_at >= day + 1)
        FROM lab JOIN begun USING (person_no) WHERE analyte = '{analyte}'
            AND abs(date_diff('day', day, taken_at::DATE)) < 730
    """).fetchone()

    assert float(before) - float(after) > least


def test_creatinine_and_egfr_of_one_sample_agree(truth):
    """The CKD-EPI equation of 2021, written the usual way round."""
    rows = truth.execute("""
        SELECT sex, c.value::DOUBLE AS creatinine, e.value::DOUBLE AS egfr,
            greatest(date_diff('day', birth_date, c.taken_at::DATE) / 365.25, 18) AS age
        FROM lab c JOIN lab e USING (visit_no) JOIN person p
            ON p.person_no = c.person_no
        WHERE c.analyte = 'creatinine' AND e.analyte = 'egfr' LIMIT 20000
    """).fetchnumpy()
    man = rows["sex"] == "M"
    scale, power = np.where(man, 79.6, 61.9), np.where(man, -0.302, -0.241)
    part = rows["creatinine"] / scale

    expected = 142 * np.minimum(part, 1) ** power * np.maximum(part, 1) ** -1.2
    expected *= 0.9938 ** rows["age"] * np.where(man, 1, 1.012)

    settled = rows["creatinine"] > 20
    error = np.abs(np.log(expected / rows["egfr"]))[settled]
    assert np.quantile(error, 0.99) < 0.06  # both are rounded as reported
    assert settled.mean() > 0.99


def test_on_an_index_day_everything_that_is_known_is_coded(truth):
    """A cohort then sees what the truth reads: the model is correctly specified."""
    missing = number(
        truth,
        """
        WITH begun AS (SELECT person_no, min(day) AS day FROM drug
            WHERE drug IN ('losartan', 'amlodipine') GROUP BY person_no),
        earlier AS (SELECT DISTINCT person_no, disease, begun.day FROM diagnosis d
            JOIN begun USING (person_no) WHERE d.day < begun.day
            AND disease IN ('diabetes', 'ckd', 'ihd', 'hypertension', 'gout'))
        SELECT count(*) FROM earlier e WHERE NOT EXISTS (SELECT 1 FROM diagnosis d
            WHERE d.person_no = e.person_no AND d.disease = e.disease AND d.day = e.day)
        """,
    )

    assert missing == 0


def estimates(truth, people, comparison, outcome):
    """Return (estimate, se) adjusted and crude, of each small population."""
    sites = tuple(site.name for site in people.sites)
    study = effect_study(people.world, comparison, outcome, sites)
    whole = effect_columns(truth, people.world, comparison, outcome)
    found = []
    for which in range(SMALL):
        part = {
            site: {name: column[which::SMALL] for name, column in columns.items()}
            for site, columns in whole.items()
        }
        terms = [oracle(study, a, part).payload["terms"][0] for a in study.analyses]
        found.append([(term["estimate"], term["se"]) for term in terms])
    return np.array(found)


def test_the_known_effects_are_found_and_crude_ones_are_not(truth, people):
    """Small populations, four drugs' outcomes, two of them negative controls.

    The 95 % intervals of the federated site-stratified Cox model cover the truth as
    often as they say; without the measured confounders they do not.
    """
    covered, misled, controls = [], [], []
    for name in ("diabetes", "blood-pressure"):
        comparison = people.world.comparison(name)
        for outcome in comparison.outcomes:
            found = estimates(truth, people, comparison, outcome)
            off = np.abs(found[:, :, 0] - outcome.log_hazard_ratio)
            inside = off < CRITICAL * found[:, :, 1]
            covered.extend(inside[:, 0])
            misled.extend(inside[:, 1])
            if outcome.log_hazard_ratio == 0:
                controls.extend(inside[:, 0])

    low = binom.ppf(1e-4, len(covered), 0.95)
    assert low <= sum(covered)
    assert sum(misled) < low
    assert binom.ppf(1e-4, len(controls), 0.95) <= sum(controls)


def test_faults_fall_as_often_as_declared():
    with duckdb.connect() as connection:
        define_draws(connection, 3)
        for fault, rate in fault_rates().items():
            hit = number(
                connection,
                f"SELECT sum({fault_sql(fault, 'i')}::INTEGER) FROM range(400000) t(i)",
            )

            assert within_chance(int(hit), 400_000, rate), fault


def test_draws_are_uniform_and_independent():
    with duckdb.connect() as connection:
        define_draws(connection, 9)
        table = connection.execute("""
            SELECT floor(u(i, 0, 1) * 10) * 10 + floor(u(i, 0, 2) * 10) AS cell,
                count(*) FROM range(200000) t(i) GROUP BY cell
        """).fetchall()
        mean, spread = connection.execute(
            "SELECT avg(normal(i, 0, 5)), stddev(normal(i, 0, 5)) "
            "FROM range(200000) t(i)"
        ).fetchone()

    squares = sum((count - 2000) ** 2 / 2000 for _, count in table)
    assert len(table) == 100
    assert 40 < squares < 180  # chi-squared of 99 degrees
    assert abs(mean) < 5 / math.sqrt(200_000)
    assert abs(spread - 1) < 0.01


def test_a_null_effect_of_the_world_is_null():
    nulls = [
        outcome
        for comparison in shipped_world().comparisons
        for outcome in comparison.outcomes
        if outcome.log_hazard_ratio == 0
    ]

    assert len(nulls) >= 3
