"""Profiles as they are laid down: whole, in the site's name, never over another's."""

import csv
import json
import tomllib

import pytest

from hetao.cdm.profiles import PROFILES, lay_profile
from hetao.cli.main import main
from hetao.errors import InvalidMapping, Usage
from hetao.synth import WRITERS, catalogue
from hetao.synth.example import PEOPLE, write_example
from hetao.synth.write_ehealth import ICPC2


def codes(folder) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "codes.csv").open(encoding="utf-8", newline="") as file:
        return {(row["system"], row["code"]): row for row in csv.DictReader(file)}


def test_each_profile_has_a_writer_and_each_writer_a_profile():
    assert set(PROFILES) == set(WRITERS)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_laid_down_whole(profile, tmp_path):
    path = lay_profile(profile, tmp_path / "north", "north")

    names = {file.name for file in path.parent.iterdir()}
    assert {"site.toml", "person.sql", "codes.csv", "units.csv", "README.md"} <= names
    config = tomllib.loads(path.read_text("utf-8"))
    assert config["site"]["name"] == "north"
    assert all(name.endswith((".sql", ".toml", ".csv", ".md")) for name in names)


def test_every_configuration_of_a_profile_takes_the_name(tmp_path):
    lay_profile("omop", tmp_path, "north")

    for name in ("site.toml", "postgres.toml"):
        config = tomllib.loads((tmp_path / name).read_text("utf-8"))
        assert config["site"]["name"] == "north"


def test_a_mapping_is_never_overwritten(tmp_path):
    (tmp_path / "person.sql").write_text("SELECT 1")

    with pytest.raises(Usage, match=r"holds a mapping already: person\.sql"):
        lay_profile("flat", tmp_path, "north")

    assert [file.name for file in tmp_path.iterdir()] == ["person.sql"]


@pytest.mark.parametrize("name", ["", "North", "a b", "1st", "../x", "x" * 41])
def test_a_name_that_studies_cannot_write_is_refused(name, tmp_path):
    with pytest.raises(InvalidMapping, match="cannot be a site's name"):
        lay_profile("flat", tmp_path / "site", name)

    assert not (tmp_path / "site").exists()


def test_an_unknown_profile_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(InvalidMapping, match="ha-cdars, wst500"):
        lay_profile("other", tmp_path, "north")


# What the made-up population can bring to each source, by system.
DISEASES = {
    "ha-cdars": ("icd9cm", "icd10"),
    "wst500": ("icd10cn", "icd10cn_nhsa", "icd10"),
    "fhir": ("icd10cn", "icd10"),
    "omop": ("icd10",),
    "ehealth": ("icd10",),
    "gba-special": ("icd10cn",),
    "flat": ("icd10",),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_code_of_the_example_has_its_row(profile, tmp_path):
    lay_profile(profile, tmp_path, "north")
    known = codes(tmp_path)

    systems = {"icd10cn_nhsa": "icd10cn"}
    wanted = {
        (systems.get(system, system), getattr(disease, system))
        for disease in catalogue().diseases.values()
        for system in DISEASES[profile]
    }
    if profile == "ehealth":
        wanted |= {("icpc2", code) for code in ICPC2.values()}
    if profile == "wst500":
        wanted |= {("nhsa", drug.nhsa) for drug in catalogue().drugs.values()}
        wanted |= {("loinc", lab.loinc) for lab in catalogue().labs.values()}
    if profile == "ha-cdars":
        items = catalogue().drugs.values()
        wanted |= {("ha_drug", drug.ha_drug) for drug in items if drug.ha_drug}
        wanted |= {("hkcmms", drug.hkcmms) for drug in items if drug.hkcmms}
        wanted |= {("ha_lis", lab.ha_lis) for lab in catalogue().labs.values()}
    if profile == "gba-special":
        wanted |= {("local", p.approval) for p in catalogue().products.values()}

    assert wanted - set(known) == set()


def test_every_disease_that_a_clinic_sees_has_a_rubric():
    assert set(ICPC2) == set(catalogue().diseases)


@pytest.mark.parametrize("profile", PROFILES)
def test_tests_name_the_analyte_that_they_measure(profile, tmp_path):
    lay_profile(profile, tmp_path, "north")
    named = {row["analyte"] for row in codes(tmp_path).values()} - {""}

    assert named <= set(catalogue().labs)
    assert named or profile == "gba-special"


@pytest.mark.parametrize("profile", PROFILES)
def test_each_source_of_a_mapping_has_a_file_in_the_example(profile, tmp_path):
    path = lay_profile(profile, tmp_path, "north")

    written = write_example(profile, tmp_path / "extract", PEOPLE.get(profile, 300))

    sources = tomllib.loads(path.read_text("utf-8"))["sources"]
    read = {file for source in sources for file in tmp_path.glob(source["files"])}
    assert read == set(written.files)
    assert all(list(tmp_path.glob(source["files"])) for source in sources)


@pytest.mark.parametrize("profile", ["fhir", "gba-special"])
def test_an_example_is_curated_at_once(profile, tmp_path, capsys):
    folder = tmp_path / "north"

    assert main(["site", "init", "--profile", profile, "--example", str(folder)]) == 0
    assert main(["site", "curate", "--json", str(folder / "site.toml")]) == 0

    done = json.loads(capsys.readouterr().out)
    assert done["site"] == "north"
    assert done["people"] > 0


def test_every_source_about_people_declares_what_identifies_them(tmp_path):
    for profile in PROFILES:
        path = lay_profile(profile, tmp_path / profile, "north")
        config = tomllib.loads(path.read_text("utf-8"))
        for source in config["sources"]:
            assert source.get("identifiers") or source["name"] in (
                "product",
                "institution",
                "cdm_concept",
            )
