"""From a curated site to one act in an auditor's hands, on the command line."""

import base64
import io
import json
import shutil
from pathlib import Path

import pytest

from hetao.cdm.epcis import pseudonym_of
from hetao.cdm.pseudonym import read_key
from hetao.cli.main import main
from hetao.ledger.acts import decode_act
from hetao.report.leaving import WORDS
from support_cdm import write_folder
from support_extracts import people_of, write_network

OWN = "P7"  # the hospital's own number of a patient


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    """Return a curated site's folder; curating has committed, and logged the root."""
    path = write_folder(tmp_path_factory.mktemp("curated") / "site", people_of(40))
    write_network(path)
    assert main(["site", "curate", str(path)]) == 0
    return path.parent


@pytest.fixture
def site(curated, tmp_path):
    """Return the file of a site of this test's own, curated."""
    return Path(shutil.copytree(curated, tmp_path / "site")) / "site.toml"


def _opened(site, *words, to="may"):
    out = site.parent / "shown.json"
    code = main(
        ["provenance", "open", str(site), "--to", to, *words, "--out", str(out)]
    )
    return code, out


def _checked(site, out, capsys, *words):
    capsys.readouterr()
    parties = ["--trust", str(site.parent / "parties.toml")]
    code = main(["provenance", "verify", str(out), *parties, *words])
    return code, capsys.readouterr().out


def test_curating_commits_and_to_commit_again_changes_nothing(site, capsys):
    capsys.readouterr()
    assert main(["site", "commit", str(site), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert (said["people"], said["logged"]) == (40, 0)
    assert said["acts"] >= 80
    assert main(["site", "commit", str(site), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == said


def test_an_act_is_shown_to_whom_the_site_allows_and_checked_offline(site, capsys):
    code, out = _opened(site, "--index", "3")
    assert code == 0
    code, text = _checked(site, out, capsys, "--json")
    said = json.loads(text)

    assert (code, said["site"], said["to"]) == (0, "shenzhen", "may")
    person = said["acts"]["3"]["person"]
    code, out = _opened(site, "--act", str(person))
    assert code == 0
    assert f"person {person}, visit None" in _checked(site, out, capsys, "--show")[1]


def test_a_patient_is_found_by_the_hospitals_own_number(site, capsys, monkeypatch):
    code, out = _opened(site, "--patient", OWN)
    assert code == 0
    every = json.loads(_checked(site, out, capsys, "--json")[1])["acts"]
    person = pseudonym_of(OWN, read_key(site.parent / "pseudonym.key"))
    assert {act["person"] for act in every.values()} == {person}
    assert len(every) > 1
    visits = [
        (index, row["values"]["visit_start_date"])
        for index, act in every.items()
        for row in act["rows"]
        if row["table"] == "visit_occurrence"
    ]
    index, day = visits[0]

    monkeypatch.setattr("sys.stdin", io.StringIO(OWN + "\n"))
    code, out = _opened(site, "--patient", "-", "--day", day)

    assert code == 0
    found = json.loads(_checked(site, out, capsys, "--json")[1])["acts"]
    assert index in found
    assert len(found) < len(every)
    assert _opened(site, "--patient", OWN, "--day", "1901-01-01")[0] == 4
    assert _opened(site, "--patient", OWN + "0")[0] == 4
    assert OWN not in capsys.readouterr().err


def test_a_patient_who_wishes_it_is_shredded_by_that_number(site, capsys):
    assert main(["provenance", "shred", str(site), "--patient", OWN]) == 0

    assert _opened(site, "--patient", OWN)[0] == 3
    assert main(["provenance", "shred", str(site), "--patient", OWN]) == 4


def test_nobody_else_is_shown_an_act(site, capsys):
    assert _opened(site, "--index", "3", to="chan")[0] == 3  # of another office
    assert _opened(site, "--index", "3", to="nobody")[0] == 4
    assert "shows no acts to chan" in capsys.readouterr().err


def test_a_site_that_names_no_office_shows_nothing(site):
    text = site.read_text("utf-8").replace('open_to = ["auditor"]', "open_to = []")
    site.write_text(text, "utf-8")

    assert _opened(site, "--index", "3")[0] == 3


def test_no_byte_of_a_shown_act_can_be_changed(site, capsys):
    _, out = _opened(site, "--index", "3")
    data = out.read_bytes()
    for place in range(0, len(data), 331):
        out.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert _checked(site, out, capsys)[0] == 6


def test_the_log_says_that_acts_were_shown_and_not_which(site, capsys):
    _, out = _opened(site, "--index", "3")
    person = _shown_first(out).person
    capsys.readouterr()
    assert main(["site", "releases", str(site), "--json"]) == 0
    said = capsys.readouterr().out

    assert "1 act was shown to may" in said
    assert str(person) not in said
    for language in ("en", "zh-Hant", "zh-Hans"):
        words = ["site", "releases", str(site), "--language", language]
        assert main([*words, "--html", str(site.parent / "left.html")]) == 0
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "1 act was shown to may" in told
        assert WORDS[language]["outside"] in told


def _shown_first(out):
    shown = json.loads(out.read_bytes())["body"]["shown"][0]
    return decode_act(base64.b64decode(shown["act"]))


def test_a_shredded_person_is_shown_no_more(site, capsys):
    _, out = _opened(site, "--index", "3")
    person = _shown_first(out).person
    assert main(["provenance", "shred", str(site), "--person", str(person)]) == 0

    assert _opened(site, "--index", "3")[0] == 3
    assert _checked(site, out, capsys)[0] == 0  # what was shown before still holds
    assert main(["provenance", "shred", str(site), "--person", str(person)]) == 4
