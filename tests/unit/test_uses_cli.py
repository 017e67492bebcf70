"""What crosses besides data, from the command line: four words, two site files."""

import json

import pytest

from hetao.cli.main import main
from hetao.permit import write_bundle, write_directory, write_identity
from support_permit import HOUR, NOW
from support_uses import HK, SZ, approved, scene_of, trusted_of

SCENE = scene_of("materials")
SITE = """
[network]
home = "hub-hk"
folder = "site"

[keys]
sign = "{name}.sign.pem"
tls_certificate = "none"
tls_key = "none"
tls_authority = "none"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two sites' folders, and a permit that everybody has approved."""
    for name in (HK, SZ):
        (tmp_path / name).mkdir()
        write_identity(tmp_path / name, SCENE.machines[name])
        write_directory(tmp_path / name / "parties.toml", trusted_of(SCENE))
        (tmp_path / name / "site.toml").write_text(SITE.format(name=name), "utf-8")
    for check in SCENE.permit.checks:
        (tmp_path / f"{check}.pdf").write_text(check, "utf-8")
    write_bundle(tmp_path / "permit.json", approved(SCENE))
    monkeypatch.setattr("hetao.cli.uses.utc_now", lambda: NOW + HOUR)
    return tmp_path


def called(place, verb, site, *words):
    head = ("permit", verb, place / "permit.json", "--site", place / site / "site.toml")
    return main([str(word) for word in (*head, *words)])


def dispatch(place, amount="tubes=30", checks=SCENE.permit.checks, labels=0):
    items = [f"--item=T  {number}" for number in range(labels)]
    shown = [f"--check={name}={place / name}.pdf" for name in checks]
    return called(
        place,
        "use",
        HK,
        *("--number", "W-1", "--to", SZ, "--amount", amount),
        *items,
        *shown,
        *("--out", place / "use.json"),
    )


def test_a_consignment_goes_from_side_to_side(place, capsys):
    assert dispatch(place, labels=30) == 0
    assert called(place, "expect", SZ, place / "use.json") == 0
    words = ("--missing", "tubes=1", "--reason", "broken", "--item", " T\u30001")
    out = ("--out", place / "receipt.json")
    assert called(place, "receive", SZ, place / "use.json", *words, *out) == 0
    assert called(place, "reconcile", HK, place / "receipt.json") == 0
    capsys.readouterr()

    assert called(place, "balance", HK) == 0
    text = capsys.readouterr().out
    assert called(place, "balance", HK, "--json") == 0
    found = json.loads(capsys.readouterr().out)

    assert (
        "hospital-hk, tubes: 70 of 100 left, 0 under way (0 overdue), 29 received, "
        "1 missing, 0 late" in text
    )
    assert found["uses"] == [json.loads((place / "use.json").read_text("utf-8"))]
    receipt = json.loads((place / "receipt.json").read_text("utf-8"))
    assert found["receipts"] == [receipt]


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        ("tubes=101", 3, "HT-334"),
        ("tubes", 2, "HT-001"),
        ("tubes=-1", 2, "HT-001"),
        ("tubes=١", 2, "HT-001"),
        ("tubes=0", 3, "HT-301"),
    ],
)
def test_an_amount_that_does_not_hold_is_refused(place, capsys, amount, status, code):
    assert dispatch(place, amount) == status
    assert code in capsys.readouterr().err
    assert not (place / "use.json").exists()


def test_labels_are_written_in_their_one_form(place):
    assert dispatch(place, "tubes=2", labels=2) == 0

    found = json.loads((place / "use.json").read_text("utf-8"))
    assert found["body"]["items"] == ["T 0", "T 1"]


@pytest.mark.parametrize(
    ("table", "hours", "status"),
    [
        ("", 72, 0),
        ("", 74, 3),
        ("[crossings]\nlate_hours = 1\n", 1, 0),
        ("[crossings]\nlate_hours = 1\n", 3, 3),
        ("[crossings]\nlate_hours = 0\n", 1, 4),
        ("[crossings]\nlate_hours = 745\n", 1, 4),
        ("[crossings]\nlate_hours = true\n", 1, 4),
        ("[crossings]\nlate = 1\n", 1, 4),
    ],
)
def test_a_site_file_says_how_far_back_a_use_may_be_dated(
    place, monkeypatch, table, hours, status
):
    assert dispatch(place) == 0
    file = place / SZ / "site.toml"
    file.write_text(file.read_text("utf-8") + table, "utf-8")
    later = NOW + HOUR + hours * HOUR
    monkeypatch.setattr("hetao.cli.uses.utc_now", lambda: later)

    words = (place / "use.json", "--out", place / "receipt.json")
    assert called(place, "receive", SZ, *words) == status
    assert (place / "receipt.json").exists() == (status == 0)


def test_a_late_receipt_says_so(place, monkeypatch, capsys):
    assert dispatch(place) == 0
    assert called(place, "expect", SZ, place / "use.json") == 0
    later = NOW + 24 * 9 * HOUR
    monkeypatch.setattr("hetao.cli.uses.utc_now", lambda: later)

    words = (place / "use.json", "--out", place / "receipt.json")
    assert called(place, "receive", SZ, *words) == 0
    assert called(place, "reconcile", HK, place / "receipt.json") == 0
    assert capsys.readouterr().err.count("late: it was due by 2026") == 2


def test_a_check_that_was_not_shown_stops_it(place, capsys):
    assert dispatch(place, checks=("consent",)) == 3
    assert "manifest, packaging, temperature" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"", b"{}", b"[", b"\xff", b"[" * 99_999])
def test_what_is_no_record_is_refused(place, capsys, text):
    (place / "use.json").write_bytes(text)

    words = (place / "use.json", "--out", place / "receipt.json")
    assert called(place, "receive", SZ, *words) in (3, 4)
    assert "HT-" in capsys.readouterr().err
