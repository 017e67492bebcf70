"""A permit for people or money is drafted from what is asked, and by the rules."""

import pytest

from hetao.cli.main import main
from hetao.permit import (
    read_bundle,
    sign_notice,
    standing,
    write_bundle,
    write_directory,
)
from hetao.permit.uses import allotted
from support_permit import HOUR, NOW
from support_rules import as_toml
from support_uses import HK, SCENE, SZ, a_use, book_of, trusted_of

CAPITAL = {
    "request.crossing": "capital",
    "route.leaves_mainland": True,
    "capital.sanctioned_payee": False,
    "capital.by_stablecoin": False,
    "capital.milestones": True,
    "hgr.used": False,
}
BASES = """
[bases]
grant-agreement = { reference = "G-7", valid_until = 2028-01-01 }
bank-review = { reference = "B-1" }
"""
ASKED = """
crossing = "capital"
number = "grant-7"
study = "sha256:5555555555555555555555555555555555555555555555555555555555555555"
purpose = "the second part of the grant"
sites = ["hospital-hk"]
receivers = ["hospital-sz"]
[[limits]]
unit = "HKD-cents"
most = 100
site = "hospital-hk"
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr("hetao.cli.crossing.utc_now", lambda: NOW)
    write_directory(tmp_path / "parties.toml", trusted_of(SCENE))
    return tmp_path


def draft(desk, asked=ASKED, facts=CAPITAL, bases=BASES, days=30):
    (desk / "asked.toml").write_text(asked, "utf-8")
    (desk / "facts.toml").write_text(as_toml(facts) + bases, "utf-8")
    words = ["permit", "draft", desk / "asked.toml", "--facts", desk / "facts.toml"]
    words += ["--parties", desk / "parties.toml", "--days", days]
    return main([str(word) for word in (*words, "--out", desk / "permit.json")])


def test_a_draft_asks_the_offices_and_rests_on_the_grounds_that_the_rules_name(desk):
    assert draft(desk) == 0

    permit = read_bundle(desk / "permit.json").permit
    assert permit.crossing == "capital"
    assert permit.offices == {("HK", "finance"), ("SZ", "finance")}
    assert {basis.instrument for basis in permit.bases} == {
        "bank-review",
        "grant-agreement",
    }
    assert permit.checks == ("milestone", "payee", "sanctions", "unspent")
    assert allotted(permit, HK) == {"HKD-cents": 100}
    assert not allotted(permit, SZ)
    assert permit.law.route == "none"


def test_what_was_drafted_and_approved_is_paid(desk):
    assert draft(desk) == 0
    bundle = read_bundle(desk / "permit.json")
    for name in ("finance-hk", "finance-sz"):
        bundle = sign_notice(bundle, SCENE.identities[name], "approve", NOW)
    write_bundle(desk / "permit.json", bundle)
    assert standing(bundle, NOW + HOUR).is_active

    scene = SCENE.varied()
    scene.__dict__["permit"] = bundle.permit
    book = book_of(SCENE, desk, HK)
    book.dispatch(bundle, a_use(scene, count=60), lambda: NOW + HOUR)
    left = [line.left for line in book.balance(bundle.permit, NOW + HOUR)]
    book.close()
    assert left == [40]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"facts": {**CAPITAL, "capital.sanctioned_payee": True}}, "HT-330"),
        ({"facts": {"request.crossing": "capital"}}, "HT-331"),
        ({"facts": {**CAPITAL, "request.crossing": "people"}}, "HT-106"),
        ({"bases": ""}, "HT-332"),
        ({"days": 900}, "HT-332"),  # past the end of the agreement
        ({"asked": ASKED.replace('"capital"', '"data"')}, "HT-103"),
        ({"asked": ASKED.replace("hospital-hk", "hub-hk")}, "HT-103"),
        ({"asked": ASKED.replace("most = 100", "most = 0")}, "HT-103"),
        ({"asked": ASKED + "[more]\nx = 1\n"}, "HT-103"),
        ({"days": 0}, "HT-001"),
    ],
)
def test_what_the_rules_or_the_list_do_not_bear_is_not_drafted(
    desk, capsys, changes, code
):
    assert draft(desk, **changes) != 0

    assert code in capsys.readouterr().err
    assert not (desk / "permit.json").exists()
