"""A permit, and a list of parties, at the edges of what their form allows."""

import tomllib
from dataclasses import replace

import pytest

from hetao.errors import InvalidNetwork
from hetao.permit import Basis, Directory, Limit, Person
from hetao.permit.directory import (
    directory_from,
    key_text,
    read_directory,
    write_directory,
)
from hetao.permit.duties import conflicts
from hetao.permit.permit import (
    LONGEST_COMMITTED,
    LONGEST_LEASE,
    LONGEST_REPORT,
    check_form,
    permit_from,
)
from support_permit import Scene, at

SCENE = Scene()
LISTED = SCENE.directory
SECOND = 1 / 3600
HK = "hospital-hk"
BEFORE = "sha256:" + "0" * 64


def basis(first, last):
    return {"bases": (Basis("waiver", "W-1", "", at(first), at(last)),)}


WITHIN = [
    {"highest_grade": 1},
    {"highest_grade": 5},
    {"most_attempts": 1},
    {"most_runs": 1},
    {"report_days": 1},
    {"report_days": LONGEST_REPORT},
    {"lease_hours": 1},
    {"lease_hours": LONGEST_LEASE},
    {"not_after": at(SECOND)},
    {"version": 2, "amends": BEFORE},
    {"limits": (Limit("tubes", 1),)},
    {"limits": (Limit("tubes", 1, HK),)},
    basis(0, SECOND),
]
BEYOND = [
    ({"highest_grade": 0}, "highest_grade"),
    ({"highest_grade": 6}, "highest_grade"),
    ({"most_attempts": 0}, "most_attempts"),
    ({"most_runs": 0}, "most_runs"),
    ({"report_days": 0}, "report_days"),
    ({"report_days": LONGEST_REPORT + 1}, "report_days"),
    ({"lease_hours": 0}, "lease_hours"),
    ({"lease_hours": LONGEST_LEASE + 1}, "lease_hours"),
    ({"not_after": at(0)}, "not_before"),
    ({"version": 1, "amends": BEFORE}, "amends nothing"),
    ({"version": 2}, "the one before"),
    ({"version": 0, "amends": BEFORE}, "the one before"),
    ({"limits": (Limit("tubes", 0),)}, "from 1"),
    ({"limits": (Limit("", 1),)}, "has a unit"),
    ({"limits": (Limit("tubes", 1, "hub-hk"),)}, "site of the permit"),
    ({"limits": (Limit("tubes", 1),) * 2}, "limits stands twice"),
    ({"sites": (HK, HK)}, "sites stands twice"),
    ({"authors": ("nobody",)}, "nobody"),
    ({"operators": ("nobody",)}, "nobody"),
    ({"number": "P\n1"}, "unprintable"),
    ({"purpose": "To\x00see"}, "unprintable"),
    ({"crossing": "samples"}, "crossing is one of"),
    (basis(0, 0), "never valid"),
]


@pytest.mark.parametrize("fields", WITHIN, ids=str)
def test_a_permit_at_the_edge_is_taken(fields):
    check_form(SCENE.varied(**fields).permit, "here")


@pytest.mark.parametrize(("fields", "words"), BEYOND, ids=str)
def test_a_permit_beyond_the_edge_is_refused(fields, words):
    with pytest.raises(InvalidNetwork, match=words):
        check_form(SCENE.varied(**fields).permit, "here")


def test_whose_witness_is_demanded_is_of_data_and_up_to_a_length():
    asked = "w" * LONGEST_COMMITTED
    check_form(SCENE.varied(committed=asked).permit, "here")

    with pytest.raises(InvalidNetwork, match="committed is of data"):
        check_form(SCENE.varied(committed=asked + "w").permit, "here")
    tubes = {"crossing": "materials", "limits": (Limit("tubes", 1, HK),)}
    with pytest.raises(InvalidNetwork, match="committed is of data"):
        check_form(SCENE.varied(committed="w", **tubes).permit, "here")


def test_what_demands_no_witness_says_nothing_of_one():
    table = SCENE.permit.as_json()
    assert permit_from(table, "here") == SCENE.permit

    with pytest.raises(InvalidNetwork, match="committed is left out"):
        permit_from({**table, "committed": ""}, "here")


def test_a_protocol_is_the_one_of_that_name():
    assert SCENE.permit.protocol("mean") == SCENE.permit.protocols[0]
    assert SCENE.permit.protocol("median") is None


def test_who_holds_an_office_of_the_reviews_votes_by_a_key_that_does_not_only_renew():
    permit = SCENE.varied().permit
    renewing = tuple(replace(key, scope="renew") for key in permit.keys)

    assert [(one.name, one.side, one.role) for one in permit.checkers] == [
        ("checker-hk", "HK", "output-checker"),
        ("checker-sz", "SZ", "output-checker"),
    ]
    assert SCENE.varied(keys=renewing).permit.checkers == ()


# --- lists ----------------------------------------------------------------------------
def person(**fields):
    return (replace(LISTED.persons[0], **fields), *LISTED.persons[1:])


def without(name):
    return tuple(one for one in LISTED.persons if one.name != name)


def party(**fields):
    return (replace(LISTED.parties[0], **fields), *LISTED.parties[1:])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"persons": person(name="")}, "a name, a side and a role"),
        ({"persons": person(side="GZ")}, "a name, a side and a role"),
        ({"persons": person(roles=())}, "a name, a side and a role"),
        ({"persons": person(name=HK)}, "name stands twice"),
        ({"persons": without("deputy-sz")}, "belongs to nobody listed"),
        ({"parties": party(side="GZ")}, "side is one of"),
        ({"parties": party(role="ethics")}, "role one of"),
        ({"keys": LISTED.keys[:1] * 2}, "a key's name stands twice"),
    ],
)
def test_a_list_in_which_something_is_amiss_is_refused(fields, words):
    with pytest.raises(InvalidNetwork, match=words):
        replace(LISTED, **fields)


@pytest.mark.parametrize("find", ["__getitem__", "person", "key"])
def test_a_name_that_is_not_listed_is_named_by_sixty_letters(find):
    with pytest.raises(InvalidNetwork) as caught:
        getattr(LISTED, find)("x" * 99)

    assert f"'{'x' * 60}'" in str(caught.value)


def test_whoever_holds_an_office_is_found_on_one_side_or_on_both():
    names = {s: [p.name for p in LISTED.holders("ethics", s)] for s in ("", "HK", "SZ")}

    assert names["HK"] == ["ethics-hk", "author-b", "operator"]
    assert names["SZ"] == ["ethics-sz", "checker-sz"]
    assert sorted(names[""]) == sorted(names["HK"] + names["SZ"])


def test_an_entry_is_listed_as_it_is_and_no_other():
    key, who, machine = LISTED.keys[0], LISTED.persons[0], LISTED.parties[0]
    strangers = (
        Person("new", "HK", "REC", ("ethics",)),
        replace(who, organisation="x"),
        replace(machine, organisation="x"),
        replace(key, name="new"),
        replace(key, valid_until=at(9)),
    )

    assert all(one in LISTED for one in (key, who, machine))
    assert replace(key, revoked_at=at(1)) in LISTED
    assert not any(one in LISTED for one in strangers)
    assert key not in Directory(LISTED.parties)


def test_an_entry_that_does_not_hold_is_named_by_its_place():
    table = {"parties": [vars(one) for one in LISTED.parties]}
    table["parties"][1] = {**table["parties"][1], "side": 7}

    with pytest.raises(InvalidNetwork, match=r"here \[\[parties\]\] 2: side"):
        directory_from(table, "here")
    with pytest.raises(InvalidNetwork, match="and no other table"):
        directory_from({**table, "parties": table["parties"][:1], "more": 1}, "here")


def test_a_list_is_read_as_it_was_written_and_what_is_empty_is_left_out(tmp_path):
    path = tmp_path / "parties.toml"
    some = replace(LISTED, persons=person(same_as=("ethics-sz",)))

    write_directory(path, some)

    assert read_directory(path) == some
    assert path.read_text("utf-8").count("same_as") == 2  # the twin's, and this one
    assert tomllib.loads(key_text(LISTED.keys[0]))["keys"] == [vars(LISTED.keys[0])]


@pytest.mark.parametrize("rows", [1, {"name": "x"}, "x"], ids=str)
def test_entries_that_are_no_list_are_refused(rows):
    table = {"parties": [vars(one) for one in LISTED.parties], "persons": rows}

    with pytest.raises(InvalidNetwork, match=r"each entry under \[\[persons\]\]"):
        directory_from(table, "here")


def test_whoever_is_said_to_be_somebody_else_is_one_of_the_list():
    with pytest.raises(InvalidNetwork, match=f"same_as names '{'x' * 60}', who is"):
        replace(LISTED, persons=person(same_as=("x" * 99,)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operators": ("author",)}, "author is an author and a hub's operator"),
        ({"authors": ("checker-hk",)}, "checker-hk is an author and an output checker"),
        (
            {"operators": ("checker-hk",)},
            "checker-hk is a hub's operator and an output checker",
        ),
    ],
    ids=str,
)
def test_nobody_holds_two_of_the_duties_of_a_permit(fields, words):
    assert words in conflicts(SCENE.varied(**fields).permit, ())
    assert conflicts(SCENE.permit, ()) == ()
