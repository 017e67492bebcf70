"""An error is a way out of a site: rules and columns pass, values and counts do not."""

import ast
import json
import re
from pathlib import Path

import pytest

from hetao import errors
from hetao.canonical import digest_bytes
from hetao.errors import HetaoError
from hetao.federation.entries import SENTENCE
from hetao.federation.reports import is_of_a_study
from hetao.ledger.account import account_of
from hetao.ledger.envelope import parse_envelope
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

FAMILY = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HetaoError)
]
# Repeats another process's sentence, which bears its own code.
ECHO = {"federation/processes.py: Told"}


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_what_only_the_site_may_read_is_in_no_form_of_the_error(kind):
    error = kind("a rule", fix="a remedy", local="people: 7 of Wong Tai Sin")

    for shown in (str(error), repr(error), f"{error}", str(error.args)):
        assert "7" not in shown.replace(kind.code, "")
        assert "Wong" not in shown
    assert str(error) == f"{kind.code}: a rule (a remedy)"
    assert error.local == "people: 7 of Wong Tai Sin"


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do_whoever_raises_it(kind):
    remedy = vars(kind)["remedy"]  # its own, not its parent's

    assert remedy.strip()
    assert not re.search(r"\d", remedy)
    assert str(kind("a rule")) == f"{kind.code}: a rule ({remedy})"


def test_every_error_has_a_code_of_its_own_and_its_familys_exit_code():
    codes = [kind.code for kind in FAMILY]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"HT-\d{3}", code) for code in codes)
    for kind in FAMILY:
        parent = kind.__base__
        if parent not in (HetaoError, Exception):
            assert kind.exit_code == parent.exit_code


def test_a_file_without_its_header_line_tells_nobody_its_first_row(tmp_path):
    """Its column names are then the cells of a patient."""
    with Federation(tmp_path, Plan(toy_study((COUNTS,)))) as federation:
        _, *rows = federation.patients.read_text(encoding="utf-8").splitlines()
        row = "Wong Tai Sin,A123456(7),f,yes"
        federation.patients.write_text("\n".join([row, *rows]), encoding="utf-8")

        said = federation.refusals(
            federation.sites["a"].handle(federation.begin("a").data)
        )

    assert len(said) == 1
    assert "has no column 'hospital'" in said[0]
    assert not [cell for cell in row.split(",")[:2] if cell in said[0]]


def test_every_deliberate_error_stands_in_one_module():
    source = Path(errors.__file__).parent
    names = {kind.__name__ for kind in FAMILY}

    elsewhere = {
        f"{path.relative_to(source)}: {node.name}"
        for path in source.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and names & {getattr(base, "id", "") for base in node.bases}
    }

    assert elsewhere == ECHO


# --- a study over bad rows ------------------------------------------------------------
CANARY = "Qzx81737"
BAD_ROWS = {
    "a number beyond its bounds": "b,981737.25,f,no",
    "a number below its bounds": "b,-981737.25,f,no",
    "a text for a number": f"b,{CANARY},f,no",
    "an unknown level": f"b,50,{CANARY},no",
    "an unknown outcome": f"b,50,f,{CANARY}",
    "a cell too many": f"b,50,f,no,{CANARY}",
    "a quote that never closes": f'b,50,f,"{CANARY}',
    "infinity": "b,inf,f,no",
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_stops_the_study_or_is_left_out_and_is_never_quoted(tmp_path, case):
    plan = Plan(toy_study((COUNTS, LOGISTIC), deadline_seconds=5))
    with Federation(tmp_path / "f", plan) as federation:
        with federation.patients.open("a", encoding="utf-8") as file:
            file.write(BAD_ROWS[case] + "\n")

        try:
            said = federation.run().certificate.decode()
        except HetaoError as error:
            said = str(error)

        for text in (said, *everything_said(federation)):
            assert CANARY not in text
            assert "981737" not in text


@pytest.mark.parametrize("people", [1, 7, 43, 49])
def test_a_site_that_is_too_small_does_not_say_how_small(tmp_path, people):
    plan = Plan(toy_study((COUNTS, LOGISTIC)), people=people)
    with Federation(tmp_path / "f", plan) as federation:
        with pytest.raises(HetaoError) as caught:
            federation.run()

        sentence = str(caught.value)
        assert "HT-401" in sentence
        numbers = set(re.findall(r"\d+", sentence.replace("attrition/1/0", "")))
        assert numbers == {"420", "401", "50"}
        for rule in rules_sent(federation):
            assert not re.search(rf"\b{people}\b", rule.replace("/1/0", ""))


def everything_said(federation):
    """Yield what every envelope holds and every log keeps, as text."""
    for data in federation.carried:
        envelope = parse_envelope(data)
        recipient = federation.cast.identities[envelope.header.recipient]
        yield envelope.open(recipient).decode("latin-1")
    for site in federation.sites.values():
        for entry in federation.log_entries(site):
            yield entry.decode()


def rules_sent(federation):
    for data in federation.carried:
        if parse_envelope(data).header.kind == "refusal":
            _, meta, _ = federation.opened(data)
            assert set(meta) <= {"code", "rule", "site", "record"}
            yield meta["rule"]


def logged(federation, **fields):
    """Yield the sites' own entries with such fields."""
    for site in federation.sites.values():
        for data in federation.log_entries(site):
            entry = json.loads(data)
            if fields.items() <= entry.items():
                yield entry, data


def test_what_a_site_logs_of_a_refusal_is_what_it_sent(tmp_path):
    plan = Plan(toy_study(), people=43)
    with Federation(tmp_path / "f", plan) as federation:
        with pytest.raises(HetaoError):
            federation.run()

        sent = set(rules_sent(federation))
        own = [entry for entry, _ in logged(federation, type=SENTENCE)]
        assert sent
        assert sent <= {entry["rule"] for entry in own}
        refused = [digest_bytes(d) for _, d in logged(federation, what="refused")]
        assert sorted(entry["of"] for entry in own) == sorted(refused)
        assert len({entry["salt"] for entry in own}) == len(own)


def test_the_other_parties_are_told_the_code_of_a_refusal_and_not_its_sentence(
    tmp_path,
):
    """A level that the study does not name: its variable is for the coordinator."""
    plan = Plan(toy_study((COUNTS, LOGISTIC), deadline_seconds=5))
    with Federation(tmp_path / "f", plan) as federation:
        with federation.patients.open("a", encoding="utf-8") as file:
            file.write(BAD_ROWS["an unknown level"] + "\n")
        with pytest.raises(HetaoError):
            federation.run()

        sentences = [entry["rule"] for entry, _ in logged(federation, type=SENTENCE)]
        told = [
            json.loads(words)
            for site in federation.sites.values()
            for words in account_of(site.log, 0, is_of_a_study).entries.values()
        ]
        refused = [entry for entry in told if entry["what"] == "refused"]
        assert any("sex" in sentence for sentence in sentences)
        assert refused
        for entry in told:
            assert not any(text in str(entry) for text in (*sentences, "sex"))
        (kind,) = {entry["code"] for entry in refused}
        (of_code,) = [one for one in FAMILY if one.code == kind]
        assert {entry["rule"] for entry in refused} == {of_code("").general}


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_what_every_error_of_a_code_says_tells_nothing_of_one(kind):
    error = kind("Wong", fix="Tai", local="Sin")

    assert error.general == kind("other").general
    assert error.general.startswith(f"{kind.code}: ")
    assert error.general.endswith(f" ({kind.remedy})")
    assert not re.search("Wong|Tai|Sin", error.general)
