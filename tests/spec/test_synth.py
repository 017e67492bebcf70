"""What `hetao synth` promises: files to work with, and truth that a study finds."""

import hashlib
import itertools
import json
from importlib import resources
from pathlib import Path

import duckdb
import numpy as np
import pytest

from hetao import cohort as cohorts
from hetao.analysis import oracle
from hetao.cdm import curate, open_site, open_tables
from hetao.cli import main
from hetao.dictionary import dictionary
from hetao.errors import InvalidData, InvalidMapping
from hetao.study import read_study
from hetao.synth import allot, catalogue, read_sites, read_world, shipped_world
from hetao.synth.effects import effect_columns
from hetao.synth.tables import write_tables
from support_synth import generated, population

PERSONS = 12_000
FIVE_YEARS = 1825  # the study's time at risk, in days
ROOT = Path(__file__).parents[2]


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def synth(out, *more):
    words = ["synth", "--sites", "gba", "--persons", "400", "--out", str(out), *more]
    return main(words)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    assert synth(tmp_path / "one", "--seed", "7") == 0
    assert synth(tmp_path / "two", "--seed", "7") == 0
    assert synth(tmp_path / "other", "--seed", "8") == 0

    one = files(tmp_path / "one")
    assert one == files(tmp_path / "two")
    other = files(tmp_path / "other")
    assert not {name for name in one if one[name] == other.get(name)}


def test_a_site_of_tables_is_asked_like_any_other(tmp_path, capsys):
    assert synth(tmp_path / "out", "--as", "cdm") == 0
    made = json.loads((tmp_path / "out" / "truth.json").read_text("utf-8"))["sites"][0]
    path = tmp_path / "out" / made["folder"] / "site.toml"
    study = resources.files("hetao.demo") / "gba" / "study.toml"
    capsys.readouterr()

    words = ["cohort", "attrition", str(study), "--site", str(path), "--json"]
    assert main([*words, "--local"]) == 0

    steps = json.loads(capsys.readouterr().out)["steps"]
    assert made["people"] >= steps[0][1] >= steps[-1][1] > 0
    with open_site(path) as opened:
        digest = opened.snapshot
    with open_site(path, digest) as again:
        assert again.snapshot == digest
    with pytest.raises(InvalidData, match="another snapshot"):
        open_site(path, "sha256:" + "0" * 64)
    with pytest.raises(InvalidMapping, match="nothing to curate"):
        curate(path, print)


def test_the_truth_stands_beside_the_extracts(tmp_path):
    assert synth(tmp_path / "out") == 0

    truth = json.loads((tmp_path / "out" / "truth.json").read_text("utf-8"))
    assert sum(site["people"] for site in truth["sites"]) == 400
    assert {site["profile"] for site in truth["sites"]} == {
        site.profile for site in read_sites("gba")
    }
    for site in truth["sites"]:
        for file in site["files"]:
            assert (tmp_path / "out" / site["folder"] / file).is_file()
    assert any(effect["negative_control"] for effect in truth["effects"])


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep", "utf-8")

    assert synth(tmp_path) == 2

    assert "something else" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def people():
    return population(PERSONS, seed=4)


@pytest.fixture(scope="module")
def tables(people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return {
        site.name: write_tables(people, site, folder / f"{site.name}.duckdb")
        for site in people.sites
    }


@pytest.fixture(scope="module")
def truth(people):
    with generated(people) as connection:
        yield connection


@pytest.fixture(scope="module")
def study():
    return read_study(resources.files("hetao.demo") / "gba" / "study.toml")


@pytest.fixture(scope="module")
def cohort(tables, study):
    found = {}
    for site, written in tables.items():
        with open_tables(written.path) as opened:
            found[site] = cohorts.build(study, opened)
    return found


def test_tables_hold_every_row_of_the_truth(tables, truth):
    for name, table in [
        ("person", "person"),
        ("visit", "visit_occurrence"),
        ("diagnosis", "condition_occurrence"),
        ("lab", "measurement"),
        ("procedure", "procedure_occurrence"),
    ]:
        (rows,) = truth.execute(f"SELECT count(*) FROM {name}").fetchone()

        assert rows == sum(w.rows[table] for w in tables.values()) > 0, name


def test_tables_keep_the_rules_of_the_dictionary(tables):
    """Keys are unique and every reference finds its row."""
    for written in tables.values():
        with open_tables(written.path) as opened:
            for table in dictionary().tables.values():
                key = ", ".join(table.key)
                twice = opened.connection.execute(
                    f"SELECT {key} FROM {table.name} GROUP BY {key} "
                    "HAVING count(*) > 1 LIMIT 1"
                ).fetchall()
                assert not twice, table.name
                for name, field in table.fields.items():
                    if not field.references or table.kind == "record":
                        continue
                    other, _, column = field.references.partition(".")
                    if (table.name, name) == ("concept", "vocabulary_id"):
                        continue  # no vocabulary is loaded
                    lost = opened.connection.execute(
                        f"SELECT {name} FROM {table.name} WHERE {name} IS NOT NULL "
                        f"AND {name} NOT IN (SELECT {column} FROM {other}) LIMIT 1"
                    ).fetchall()
                    assert not lost, f"{table.name}.{name}"


def test_a_study_over_both_sides_codes_finds_the_cohort_of_the_truth(
    cohort, truth, people
):
    """Concept sets in several systems and the cohort algebra: nobody lost or gained."""
    comparison = people.world.comparison("diabetes")
    failure, zoster = comparison.outcomes
    expected = effect_columns(truth, people.world, comparison, failure)

    for site, built in cohort.items():
        columns = expected[site]
        # The study also asks for an age, an eGFR, a day at risk and no zoster so far.
        free = np.isin(
            _people(truth, site, failure.disease), _people(truth, site, zoster.disease)
        )
        free &= (columns["age"] >= 30) & (columns["age"] <= 79)
        free &= (columns["egfr"] >= 30) & (columns["days"] >= 1)
        wanted = {name: values[free] for name, values in columns.items()}
        wanted["ill"] = wanted["ill"] * (wanted["days"] <= FIVE_YEARS)
        wanted["days"] = np.minimum(wanted["days"], FIVE_YEARS)
        assert built.people == free.sum() > 50
        names = {"arm": "arm", "days": "days", "failed": "ill", "age": "age"}
        names |= {name: name for name in ("hypertension", "hba1c", "egfr")}
        for mine, theirs in names.items():
            np.testing.assert_array_equal(built.columns[mine], wanted[theirs], mine)
        np.testing.assert_array_equal(built.columns["sex"], wanted["male"])


def _people(truth, site, disease):
    """Return who begins one of the drugs at a site, free of a disease, in order."""
    rows = truth.execute(
        """
        WITH begun AS (SELECT person_no, min(day) AS entry_day FROM drug
            WHERE drug IN ('empagliflozin', 'gliclazide') AND site = ? GROUP BY ALL)
        SELECT person_no FROM begun ANTI JOIN diagnosis d
            ON d.person_no = begun.person_no AND disease = ? AND day <= entry_day
        ORDER BY person_no
        """,
        [site, disease],
    )
    return rows.fetchnumpy()["person_no"]


def test_the_estimate_of_the_study_lies_near_the_truth(cohort, study, people):
    parts = {site: built.columns for site, built in cohort.items()}
    found = {
        name: oracle(study, study.analysis(name), parts).payload["terms"][0]
        for name in ("crude", "adjusted", "control")
    }
    failure, zoster = people.world.comparison("diabetes").outcomes

    def off(name, truth):
        return abs(found[name]["estimate"] - truth) / found[name]["se"]

    assert off("adjusted", failure.log_hazard_ratio) < 3
    assert off("control", zoster.log_hazard_ratio) < 3
    # Doctors give the newer drug to the healthier: crude, it looks better than it is.
    assert found["crude"]["estimate"] < found["adjusted"]["estimate"] - 0.2


# --- what cannot be made -----------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("", "no list of sites"),
        ("[[site]]\nname = 'a'", "no list of sites"),
        ("[[sites]]\nname = 'a'", "is missing"),
        (
            "[[sites]]\nname = 'A b'\ntitle = ''\nside = 'HK'\nkind = 'clinic'\n"
            "profile = 'fhir'\nshare = 1.0",
            "no name of a site",
        ),
        (
            "[[sites]]\nname = 'a'\ntitle = ''\nside = 'UK'\nkind = 'clinic'\n"
            "profile = 'fhir'\nshare = 1.0",
            "cannot be",
        ),
    ],
)
def test_a_list_of_sites_that_cannot_be_is_refused(tmp_path, body, word):
    file = tmp_path / "sites.toml"
    file.write_text(body, "utf-8")

    with pytest.raises(InvalidData, match=word):
        read_sites(file)


def test_every_site_gets_its_people_and_nobody_is_two_sites():
    for name, persons in [("gba", 5), ("gba", 1_001), ("ha", 11_000_000)]:
        sites = allot(read_sites(name), persons)

        numbers = [(site.first, site.last) for site in sites]
        assert numbers[0][0] == 1
        assert numbers[-1][1] == persons
        assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(numbers))


def test_too_few_people_for_every_site_are_refused():
    with pytest.raises(InvalidData, match="do not reach every site"):
        allot(read_sites("ha"), 100)


def test_the_large_service_has_its_hospitals_and_clinics():
    sites = read_sites("ha")

    kinds = [site.kind for site in sites]
    assert (kinds.count("hospital"), kinds.count("clinic")) == (43, 123)
    shares = [site.share for site in sites if site.kind == "hospital"]
    assert max(shares) > 20 * min(shares)


def effects(tmp_path, old, new):
    text = (resources.files("hetao.synth") / "effects.toml").read_text("utf-8")
    assert old in text
    file = tmp_path / "effects.toml"
    file.write_text(text.replace(old, new), "utf-8")
    return file


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('disease = "cataract"', 'disease = "stroke"', "outcome of two comparisons"),
        ('exposed = "apixaban"', 'exposed = "snake-oil"', "names the drug"),
        ("choice = { age", "choice = { gout = 1.0, age", "names the variable"),
        ("shape = 1.2", 'shape = "steep"', "does not describe effects"),
        ('disease = "afib"', 'disease = "spleen"', "names the disease"),
    ],
)
def test_effects_that_could_not_all_be_true_are_refused(tmp_path, old, new, word):
    with pytest.raises(InvalidData, match=word):
        read_world(effects(tmp_path, old, new))


def test_effects_of_ones_own_hold_in_the_population(tmp_path):
    """A drug that is told to do harm does: the truth follows the file."""
    file = effects(tmp_path, "log_hazard_ratio = -0.288", "log_hazard_ratio = 1.2")
    world = read_world(file)
    own, shipped = population(9_000, world=world), population(9_000)

    def after(people):
        with generated(people) as connection:
            comparison = people.world.comparison("blood-pressure")
            parts = effect_columns(
                connection, people.world, comparison, comparison.outcomes[0]
            )
        arms = np.concatenate([part["arm"] for part in parts.values()])
        ill = np.concatenate([part["ill"] for part in parts.values()])
        return ill[arms == 1].mean()

    assert after(own) > 1.8 * after(shipped)
    assert shipped_world().comparison("blood-pressure").outcomes[0].log_hazard_ratio < 0


def test_tables_are_never_written_over(people, tables):
    written = next(iter(tables.values()))

    with pytest.raises(InvalidData, match="there already"):
        write_tables(people, people.sites[0], written.path)


def test_duckdb_reads_the_tables_without_us(tables):
    written = next(iter(tables.values()))

    with duckdb.connect(str(written.path), read_only=True) as connection:
        (people,) = connection.execute("SELECT count(*) FROM person").fetchone()

    assert people == written.rows["person"]


def test_the_guide_lists_the_effects_that_hold():
    guide = (ROOT / "docs" / "guide" / "synthetic.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in guide.partition("## The effects")[2].splitlines()
        if line.startswith("|") and "---" not in line
    ][1:]

    listed = [float(row[4].split()[0]) for row in rows]
    drugs = [(row[1], row[2]) for row in rows if row[1]]
    comparisons = shipped_world().comparisons
    assert drugs == [(one.exposed, one.comparator) for one in comparisons]
    assert listed == [o.log_hazard_ratio for one in comparisons for o in one.outcomes]
    assert [("negative control" in row[4]) for row in rows] == [
        effect == 0 for effect in listed
    ]


def test_the_guide_counts_what_there_is():
    guide = (ROOT / "docs" / "guide" / "synthetic.md").read_text("utf-8")
    known = catalogue()

    assert (
        f"{len(known.diseases)} diseases, {len(known.drugs)} drugs, "
        f"{len(known.labs)} tests, {len(known.procedures)} procedures"
    ) in " ".join(guide.split())
