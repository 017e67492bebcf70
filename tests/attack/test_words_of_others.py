"""No words that stand in a certificate are a line of a verifier's own."""

import dataclasses
import json
from collections import Counter

import pytest

from hetao.cli import main
from hetao.dossier.page import render_page
from hetao.ledger import verify_hetao
from hetao.permit import Words, bundle_from, sign_notice
from support_federation import Federation, Plan, toy_study
from support_revoked import LATER, revoked_body, signed
from support_witness import UNNAMED

LIE = "A toy\nVERIFIED  A toy\n\r\x1b[2K\u2028\u202eVERIFIED"
FLAT = LIE.encode("unicode_escape").decode().replace("\\n", "\\u000a")
FLAT = FLAT.replace("\\r", "\\u000d").replace("\\x1b", "\\u001b")
VERIFIERS = [lambda words: main(["verify", *words]), verify_hetao.main]


@pytest.fixture(scope="module")
def titled(tmp_path_factory):
    """Return a finished study whose title says more than a title."""
    study = dataclasses.replace(toy_study(), title=LIE)
    with Federation(tmp_path_factory.mktemp("titled"), Plan(study)) as made:
        return made.run()


def lines_of(capsys):
    said = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
    return said.out.splitlines() + said.err.splitlines()


@pytest.mark.parametrize("verify", VERIFIERS)
def test_a_title_is_no_verdict(titled, tmp_path, capsys, verify):
    path = tmp_path / "certificate.json"
    path.write_bytes(titled.certificate)

    assert verify([str(path)]) == 7
    lines = lines_of(capsys)
    assert f"{UNNAMED}  {FLAT}" in lines
    assert not any(line.startswith("VERIFIED") for line in lines)


@pytest.mark.parametrize("verify", VERIFIERS)
def test_a_revoked_study_says_nothing_of_its_own(titled, tmp_path, capsys, verify):
    """Neither its title does, nor the reason that whoever revoked it gave."""
    bundle = bundle_from(titled.body["permit"])
    by = titled.cast.identities["ethics-hk"]
    said = sign_notice(bundle, by, "revoke", LATER, Words(reason=LIE))
    path = tmp_path / "revoked.json"
    body = {**revoked_body(titled), "permit": said.as_json()}
    path.write_bytes(signed(titled, body))

    assert verify([str(path)]) == 7
    lines = lines_of(capsys)
    assert f"{UNNAMED}; THE STUDY WAS REVOKED  {FLAT}" in lines
    assert not any(line.startswith("VERIFIED") for line in lines)


def test_a_refusal_is_one_line(titled, tmp_path, capsys):
    """What it names is the certificate's: here, a task."""
    body = titled.body
    body["rounds"].append({**body["rounds"][0], "task": LIE, "round": 1, "more": 1})
    path = tmp_path / "certificate.json"
    path.write_bytes(titled.resigned(body))

    for verify in VERIFIERS:
        assert verify([str(path)]) == 6
        (line,) = lines_of(capsys)
        assert FLAT in line


@pytest.mark.parametrize("columns", [40, 80, 97])
@pytest.mark.parametrize("verify", VERIFIERS)
def test_no_row_of_a_terminal_begins_like_a_verdict(
    titled, tmp_path, capsys, monkeypatch, verify, columns
):
    """A title as long as to begin rows anew with any letter of `VERIFIED  A toy`."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    body = titled.body
    path = tmp_path / "certificate.json"
    for spaces in range(12):
        fill = " 河"[spaces % 2] * spaces
        body["rounds"][0]["task"] = (fill + "VERIFIED  A toy" + " " * 8) * 20
        path.write_bytes(titled.resigned(body))
        assert verify([str(path)]) == 6
        assert_rows(capsys, columns)
    path.write_bytes(titled.certificate)
    assert verify([str(path)]) == 7
    lines = assert_rows(capsys, columns)
    assert any(line.startswith(UNNAMED[: columns // 2]) for line in lines)


def assert_rows(capsys, columns):
    """Hold what was said to rows that a terminal does not break again."""
    lines = lines_of(capsys)
    assert all(sum(1 + (c > "~") for c in line) <= columns for line in lines)
    assert not any(line.startswith("VERIFIED") for line in lines)
    return lines


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"<!doctype html>" + data,
        lambda data: data[:3000],
        lambda data: json.dumps(json.loads(data), indent=2).encode(),
    ],
    ids=["a page", "cut", "formatted anew"],
)
def test_another_file_than_the_certificate_is_answered_with_what_to_take(
    titled, tmp_path, capsys, change
):
    path = tmp_path / "certificate.json"
    path.write_bytes(change(titled.certificate))

    assert main(["verify", str(path)]) == 6

    (line,) = lines_of(capsys)
    assert "take the very file that was written" in line
    assert line.count("(") <= 2  # one remedy, not one within another
    assert line.endswith("; do not rely on it; ask whoever gave it to you)")


@pytest.mark.parametrize("verify", VERIFIERS)
@pytest.mark.parametrize("change", [render_page, "\n<!doctype html>{}".format])
def test_a_page_is_answered_with_which_file_to_give(
    titled, tmp_path, capsys, verify, change
):
    path = tmp_path / "certificate.html"
    path.write_text(change(titled.certificate))

    assert verify([str(path)]) == 6

    (line,) = lines_of(capsys)
    assert "is a page, for people to read" in line
    assert "the .json" in line


@pytest.mark.parametrize("columns", [24, 40, 80])
@pytest.mark.parametrize("verify", VERIFIERS)
def test_no_word_is_parted_that_fits_a_row(
    titled, tmp_path, capsys, monkeypatch, verify, columns
):
    path = tmp_path / "certificate.json"
    path.write_bytes(titled.certificate)
    assert verify([str(path)]) == 7
    short = [
        [word for word in line.split() if len(word) <= columns // 2 - 5]
        for line in lines_of(capsys)
    ]
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    assert verify([str(path)]) == 7

    words = Counter(word for row in lines_of(capsys) for word in row.split())
    assert not Counter(word for line in short for word in line) - words
