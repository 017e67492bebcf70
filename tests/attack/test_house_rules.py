"""A hospital's own rules at its own gate, whoever drafted the permit."""

import datetime
import shutil
from dataclasses import replace

import pytest

from hetao.errors import (
    BasisMissing,
    FactsMissing,
    InvalidData,
    InvalidFacts,
    InvalidNetwork,
    InvalidRulebook,
    NotApproved,
    OutOfTime,
    RuleForbids,
)
from hetao.federation.site import Site
from hetao.federation.site_file import read_site_file
from hetao.permit import Basis, rulebook
from hetao.permit.house import check_house, read_house, shipped
from hetao.permit.law import Law
from support_federation import COUNTS, START, Federation, Plan, toy_study
from support_permit import NOW, Scene
from support_system import write_network

SCENE = Scene()
UNTIL_IT_HOLDS = 20 * 3600  # seconds; within the lease
HEAD = """
[pack]
id = "ours"
jurisdiction = "HK"
verified_by = "counsel"
title = { en = "Ours", zh-Hant = "本院", zh-Hans = "本院" }

[[facts]]
name = "ours.ward_open"
kind = "yes-no"
ask = { en = "Is it open?", zh-Hant = "開放嗎？", zh-Hans = "开放吗？" }

[[instruments]]
id = "our-letter"
name = { en = "our letter", zh-Hant = "本院函件", zh-Hans = "本院函件" }
"""
RULE = """
[[rules]]
id = "our-rule"
title = {{ en = "Ours", zh-Hant = "本院", zh-Hans = "本院" }}
{says} = {{ en = "So.", zh-Hant = "如此。", zh-Hans = "如此。" }}
source = {{ title = "Handbook", article = "3", url = "https://hospital.example/3" }}
effective = {effective}
verified_on = 2026-01-01
confidence = "high"
{more}
"""
WARD = 'applies_when = ["ours.ward_open", "is", true]'


def pack(says="forbids", more="", effective="2020-01-01"):
    return HEAD + RULE.format(says=says, more=more, effective=effective)


def house(folder, text, facts=""):
    (folder / "packs").mkdir()
    (folder / "packs" / "ours.toml").write_text(text, encoding="utf-8")
    (folder / "facts.toml").write_text(facts, encoding="utf-8")
    return read_house(folder / "packs", folder / "facts.toml")


def held(days=(-1, 1)):
    first, last = (
        (NOW + datetime.timedelta(days=n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in days
    )
    basis = Basis("our-letter", "no. 1", "", first, last)
    return SCENE.varied(bases=(basis,)).permit


def test_a_site_without_rules_of_its_own_goes_by_the_shipped_ones():
    assert shipped().book is rulebook()
    assert not shipped().own
    check_house(shipped(), SCENE.permit, NOW)


def test_what_the_sites_own_rule_forbids_is_refused(tmp_path):
    with pytest.raises(RuleForbids, match="our-rule"):
        check_house(house(tmp_path, pack()), SCENE.permit, NOW)


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ("", FactsMissing),
        ("[ours]\nward_open = true", RuleForbids),
        ("[ours]\nward_open = false", None),
    ],
)
def test_a_rule_that_hangs_on_a_fact_asks_for_it(tmp_path, facts, error):
    rules = house(tmp_path, pack(more=WARD), facts)

    if error is None:
        check_house(rules, SCENE.permit, NOW)
    else:
        with pytest.raises(error, match="our-rule"):
            check_house(rules, SCENE.permit, NOW)


@pytest.mark.parametrize(
    ("condition", "is_refused"),
    [
        ('["request.crossing", "is", "data"]', True),
        ('["request.crossing", "is", "people"]', False),
        ('["data.level_released", ">=", 3]', True),
        ('["data.level_released", ">=", 4]', False),
        ('["route.leaves_mainland", "is", true]', True),
        ('["use.codes", "has", "HMB"]', True),
        ('["use.codes", "has", "GRU"]', False),
    ],
)
def test_what_the_permit_says_needs_no_facts_and_is_not_contradicted(
    tmp_path, condition, is_refused
):
    lie = '[request]\ncrossing = "capital"\n[data]\nlevel_released = 1\n'
    rules = house(tmp_path, pack(more=f"applies_when = {condition}"), lie)
    permit = SCENE.varied(data_use=("HMB",)).permit

    if is_refused:
        with pytest.raises(RuleForbids):
            check_house(rules, permit, NOW)
    else:
        check_house(rules, permit, NOW)


def test_codes_that_a_permit_does_not_name_are_not_known(tmp_path):
    rules = house(tmp_path, pack(more='applies_when = ["use.codes", "has", "HMB"]'))

    with pytest.raises(FactsMissing, match=r"use\.codes"):
        check_house(rules, SCENE.permit, NOW)


@pytest.mark.parametrize("act", ["approve", "review"])
def test_an_office_that_only_the_site_asks_must_be_in_the_permit(tmp_path, act):
    needs = f'[{{ side = "HK", role = "matron", act = "{act}" }}]'
    rules = house(tmp_path, pack("requires", f"offices = {needs}"))

    with pytest.raises(NotApproved, match=f"matron on side HK {act}"):
        check_house(rules, SCENE.permit, NOW)

    there = needs.replace("matron", "ethics" if act == "approve" else "output-checker")
    (tmp_path / "more").mkdir()
    check_house(
        house(tmp_path / "more", pack("requires", f"offices = {there}")),
        SCENE.permit,
        NOW,
    )


def test_an_instrument_that_only_the_site_asks_must_be_held_now(tmp_path):
    rules = house(tmp_path, pack("requires", 'bases = [["our-letter"]]'))

    for permit in (held(), held((0, 1))):
        check_house(rules, permit, NOW)
    for permit in (SCENE.permit, held((1, 2)), held((-2, -1)), held((-1, 0))):
        with pytest.raises(BasisMissing, match="our-letter"):
            check_house(rules, permit, NOW)


def test_a_rule_holds_from_its_day_on(tmp_path):
    rules = house(tmp_path, pack(effective="2026-11-23"))

    check_house(rules, SCENE.permit, NOW)
    with pytest.raises(RuleForbids):
        check_house(rules, SCENE.permit, NOW + datetime.timedelta(days=1))


def test_a_note_stops_nothing(tmp_path):
    check_house(house(tmp_path, pack("notes")), SCENE.permit, NOW)


def test_an_own_rule_that_a_permit_rests_on_and_that_has_ended_is_a_changed_law(
    tmp_path,
):
    rules = house(tmp_path, pack("notes", "expires = 2026-06-01"))
    law = Law("2026-05-01", "", "none", "", "", "", ("our-rule",))

    with pytest.raises(OutOfTime, match="our-rule"):
        check_house(rules, SCENE.varied(law=law).permit, NOW)


# --- in a site ----------------------------------------------------------------------
def answered(federation, site, envelope):
    return federation.refusals(site.handle(envelope.data))


def test_a_site_refuses_at_the_begin_before_it_reads_a_row(tmp_path):
    with Federation(tmp_path / "run", Plan(toy_study((COUNTS,)))) as federation:

        def opened():
            raise AssertionError("a row was read")

        federation.sites["a"].close()
        setup = replace(
            federation.setup("a"), house=house(tmp_path, pack()), open_source=opened
        )
        site = Site(setup, federation.clock)

        assert "HT-330" in str(answered(federation, site, federation.begin("a")))
        site.close()


def test_a_site_refuses_a_task_from_the_day_on_that_its_rule_holds(tmp_path):
    with Federation(tmp_path / "run", Plan(toy_study((COUNTS,)))) as federation:
        day = (START + datetime.timedelta(days=1)).date()
        rules = house(tmp_path, pack(effective=day.isoformat()))
        federation.sites["a"].close()
        site = Site(replace(federation.setup("a"), house=rules), federation.clock)

        assert answered(federation, site, federation.begin("a")) == []
        federation.clock.pass_seconds(UNTIL_IT_HOLDS)
        assert "HT-330" in str(answered(federation, site, federation.task("a")))
        site.close()


# --- site.toml ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    return folder, write_network(folder, toy_study((COUNTS,))).sites["a"]


@pytest.fixture
def site_file(network, tmp_path):
    """A site's file of a network of its own, to which a test adds [rules]."""
    folder, path = network
    shutil.copytree(folder, tmp_path / "network")
    return tmp_path / "network" / path.relative_to(folder)


@pytest.mark.parametrize(
    ("packs", "facts", "error"),
    [
        ({"ours.toml": pack()}, "", None),
        ({}, "", None),
        (None, "", InvalidRulebook),
        ({"ours.toml": "["}, "", InvalidRulebook),
        ({"ours.toml": pack().replace("forbids", "allows")}, "", InvalidRulebook),
        ({"ours.toml": pack(), "two.toml": pack()}, "", InvalidRulebook),
        ({"ours.toml": pack(more='route = "exempt"')}, "", InvalidRulebook),
        ({"ours.toml": pack()}, "[ours]\nward = true", InvalidFacts),
        ({"ours.toml": pack()}, None, InvalidData),
    ],
)
def test_a_site_whose_rules_do_not_hold_does_not_start(
    site_file, tmp_path, packs, facts, error
):
    for name, text in (packs or {}).items():
        (site_file.parent / "rules").mkdir(exist_ok=True)
        (site_file.parent / "rules" / name).write_text(text, encoding="utf-8")
    if packs == {}:
        (site_file.parent / "rules").mkdir()
    if facts is not None:
        (site_file.parent / "facts.toml").write_text(facts, encoding="utf-8")
    add(site_file, '\n[rules]\npacks = "rules"\nfacts = "facts.toml"\n')

    if error is None:
        assert read_site_file(site_file).setup.house.own == (
            {"ours"} if packs else set()
        )
    else:
        with pytest.raises(error):
            read_site_file(site_file)


@pytest.mark.parametrize("text", ["", "pack = 'rules'", "packs = 3", "facts = 'x'"])
def test_a_table_of_rules_that_names_no_folder_is_refused(site_file, text):
    add(site_file, f"\n[rules]\n{text}\n")

    with pytest.raises(InvalidNetwork, match="rules"):
        read_site_file(site_file)


def add(path, text):
    path.write_text(path.read_text("utf-8") + text, encoding="utf-8")
