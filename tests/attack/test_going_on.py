"""Nobody lets a permit go on who could not have approved it, by whatever name."""

import itertools
from dataclasses import replace

import pytest

from hetao.errors import ConflictOfDuties
from hetao.permit import Directory, Person, check_standing, sign_notice, standing, state
from hetao.permit.bundle import Words, draft_notice, key_of
from hetao.permit.persons import People
from support_permit import HOUR, NOW, STUDY, Scene

SCENE = Scene()
APPROVED = SCENE.approve_all()
SZ = ("SZ", "ethics")
# Who holds or is lent the office, and so much more: asks, runs a hub, checks, or
# approved on the other side as somebody else.
BARRED = (
    ("author-b", "hk", None),
    ("operator", "hk", None),
    ("checker-sz", "sz", None),
    ("twin-sz", "sz", SCENE.delegation("ethics-sz", "twin-sz", SZ)),
    ("deputy-sz", "sz", SCENE.delegation("checker-sz", "deputy-sz", SZ)),
)


def said(bundle, by, verb, hours, lent=None, scene=SCENE):
    """Return a bundle with what somebody truly signs, whoever would refuse to."""
    signer, when = scene.identities[by], NOW + hours * HOUR
    key = key_of(bundle.permit, signer)
    body = draft_notice(bundle, key, verb, when, Words(delegation=lent))
    return replace(bundle, notices=(*bundle.notices, state(signer, body)))


@pytest.mark.parametrize(("by", "side", "lent"), BARRED, ids=lambda x: str(x)[:10])
def test_a_suspension_is_not_lifted_by_who_holds_another_duty(by, side, lent):
    bundle = said(APPROVED, f"ethics-{side}", "suspend", 0.5)

    with pytest.raises(ConflictOfDuties):
        sign_notice(
            bundle,
            SCENE.identities[by],
            "resume",
            NOW + 0.6 * HOUR,
            Words(delegation=lent),
        )
    forced = said(bundle, by, "resume", 0.6, lent)
    assert standing(forced, NOW + HOUR).state == "suspended"
    theirs = said(forced, f"ethics-{side}", "resume", 0.7)
    assert standing(theirs, NOW + HOUR).is_active


@pytest.mark.parametrize(("by", "side", "lent"), BARRED, ids=lambda x: str(x)[:10])
def test_a_lease_is_not_renewed_by_who_holds_another_duty(by, side, lent):
    other = {"hk": "sz", "sz": "hk"}[side]
    bundle = said(APPROVED, f"ethics-{other}", "renew", 20)

    forced = said(bundle, by, "renew", 20, lent)

    assert standing(forced, NOW + 30 * HOUR).state == "suspended"
    theirs = said(forced, f"privacy-{side}", "renew", 21)
    assert standing(theirs, NOW + 30 * HOUR).is_active


def test_a_deputy_with_no_other_duty_lets_a_permit_go_on():
    lent = SCENE.delegation("ethics-sz", "deputy-sz", SZ)
    bundle = said(APPROVED, "ethics-sz", "suspend", 0.5)

    bundle = said(bundle, "deputy-sz", "resume", 0.6, lent)

    assert standing(bundle, NOW + HOUR).is_active


# One more person with an office on each side, under two names; others approved.
TWO_SIDED = Scene(
    (
        *SCENE.persons,
        Person("second-hk", "HK", "REC", ("ethics",)),
        Person("second-sz", "SZ", "REC", ("ethics",), same_as=("second-hk",)),
        Person("third-sz", "SZ", "REC", ("ethics",)),
    )
)
TWICE = TWO_SIDED.approve_all()


def renewed(bundle, *said_at):
    """Return a bundle with renewals, each by whom and how many hours after."""
    for by, hours in said_at:
        bundle = said(bundle, by, "renew", hours, scene=TWO_SIDED)
    return bundle


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_one_person_of_two_names_does_not_renew_the_leases_of_both_sides(order):
    words = (("second-hk", 20), ("second-sz", 21))

    bundle = renewed(TWICE, *(words[at] for at in order))

    found = standing(bundle, NOW + 30 * HOUR)
    assert found.state == "suspended"
    assert found.why == ("side SZ has not renewed within 24 hours",)
    assert standing(renewed(bundle, ("third-sz", 22)), NOW + 30 * HOUR).is_active


def test_one_person_of_two_names_renews_not_even_at_one_moment():
    bundle = renewed(TWICE, ("second-hk", 20), ("second-sz", 20))

    assert standing(bundle, NOW + 30 * HOUR).state == "suspended"


def test_whoever_joins_two_names_by_their_own_list_counts_one_person():
    """The permit does not say that they are one."""
    apart = tuple(replace(one, same_as=()) for one in TWO_SIDED.persons)
    people = People((*apart[:-2], replace(apart[-2], same_as=("second-hk",))))
    scene = Scene(apart)
    scene.__dict__.update(machines=TWO_SIDED.machines, identities=TWO_SIDED.identities)
    bundle = scene.approve_all()
    for by in ("second-hk", "second-sz"):
        bundle = said(bundle, by, "renew", 20, scene=scene)

    assert standing(bundle, NOW + 30 * HOUR).is_active
    assert standing(bundle, NOW + 30 * HOUR, people).state == "suspended"


def test_one_person_of_two_names_lifts_no_suspensions_of_two_offices():
    bundle = said(TWICE, "ethics-hk", "suspend", 0.5, scene=TWO_SIDED)
    bundle = said(bundle, "ethics-sz", "suspend", 0.5, scene=TWO_SIDED)
    bundle = said(bundle, "second-hk", "resume", 0.6, scene=TWO_SIDED)

    bundle = said(bundle, "second-sz", "resume", 0.7, scene=TWO_SIDED)

    found = standing(bundle, NOW + HOUR)
    assert found.why == ("ethics-sz said 'suspend' to this permit",)
    bundle = said(bundle, "third-sz", "resume", 0.8, scene=TWO_SIDED)
    assert standing(bundle, NOW + HOUR).is_active


def test_who_lifted_a_suspension_renews_no_lease_of_the_other_side():
    bundle = said(TWICE, "ethics-hk", "suspend", 0.5, scene=TWO_SIDED)
    bundle = said(bundle, "second-hk", "resume", 20, scene=TWO_SIDED)

    with pytest.raises(ConflictOfDuties, match="spoke in another office"):
        sign_notice(bundle, TWO_SIDED.identities["second-sz"], "renew", NOW + 21 * HOUR)

    assert standing(renewed(bundle, ("second-sz", 21)), NOW + 30 * HOUR).why == (
        "side SZ has not renewed within 24 hours",
    )


def test_who_approves_after_letting_it_go_on_elsewhere_speaks_in_that_office_alone():
    """What they said in the other one stops counting; an approval decides."""
    bundle = renewed(TWICE, ("second-hk", 20), ("ethics-sz", 20))
    assert standing(bundle, NOW + 30 * HOUR).is_active

    bundle = said(bundle, "second-sz", "approve", 21, scene=TWO_SIDED)

    assert standing(bundle, NOW + 30 * HOUR).why == (
        "side HK has not renewed within 24 hours",
    )


ORCID = "0000-0002-1825-009X"


@pytest.mark.parametrize(
    "written",
    [
        f"https://orcid.org/{ORCID}",
        f"ORCID: {ORCID.lower()}",
        ORCID.replace("-", ""),
        ORCID.replace("-", "\u2011"),
        "\uff10" + ORCID[1:],
        f" {ORCID}\n",
    ],
)
def test_an_identifier_is_the_same_in_whichever_form_it_is_written(written):
    people = People(
        (
            Person("one", "HK", "A", ("ethics",), identifier=ORCID),
            Person("other", "SZ", "B", ("author",), identifier=written),
        )
    )

    assert people.one("other") == people.one("one")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0000-0002-1825-0097", "0000-0002-1825-0098"),
        ("110101199003071234", "110101199003071235"),  # longer, and no ORCID
        ("HK:17", "SZ:17"),
        ("", ""),
    ],
)
def test_two_identifiers_are_two_people(one, other):
    people = People(
        (
            Person("one", "HK", "A", ("ethics",), identifier=one),
            Person("other", "SZ", "B", ("author",), identifier=other),
        )
    )

    assert people.one("other") != people.one("one")


def test_a_site_whose_list_knows_an_author_by_another_form_refuses():
    def named(name, identifier):
        return Person(name, "HK", "REC", ("ethics",), identifier=identifier)

    persons = (named("author", ORCID), named("ethics-hk", f"https://orcid.org/{ORCID}"))
    names = {one.name for one in persons}
    others = tuple(one for one in SCENE.persons if one.name not in names)
    scene = SCENE.varied(persons=(*others, *persons))
    known = Directory(scene.permit.parties, scene.permit.persons, scene.permit.keys)
    bundle = replace(APPROVED, permit=scene.permit, notices=())
    for name in ("ethics-hk", "ethics-sz", "privacy-hk", "privacy-sz"):
        signer = SCENE.identities[name]
        body = draft_notice(bundle, key_of(bundle.permit, signer), "approve", NOW)
        bundle = replace(bundle, notices=(*bundle.notices, state(signer, body)))

    with pytest.raises(ConflictOfDuties):
        check_standing(bundle, STUDY, NOW + HOUR, known)
