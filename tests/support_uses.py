"""Permits for samples, people and money, and a book for each of the two sites."""

from dataclasses import replace

from hetao.federation.book import Book
from hetao.permit import (
    Bundle,
    Directory,
    Person,
    requirements,
    sign_notice,
)
from hetao.permit.decision import MANDATORY
from hetao.permit.permit import Limit
from hetao.permit.uses import KIND_OF, Amount, Use
from support_permit import HOUR, NOW, PEOPLE, Scene, at

OFFICES = ("sample-custody", "host", "finance")
STAFF = tuple(
    Person(f"{role}-{side.lower()}", side, "Office", (role,))
    for role in OFFICES
    for side in ("HK", "SZ")
)
SCENE = Scene((*PEOPLE, *STAFF))
UNITS = {"materials": "tubes", "people": "entries", "capital": "HKD-cents"}
SHOWN = "sha256:" + "a" * 64
HK, SZ = "hospital-hk", "hospital-sz"


def scene_of(crossing, most=100, **fields):
    """Return a scene whose permit lets so much of a crossing's unit leave each site."""
    unit = UNITS[crossing]
    chosen = {
        "crossing": crossing,
        "required": requirements(crossing, ("HK", "SZ"), NOW.date()),
        "reviews": (),
        "protocols": (),
        "checks": tuple(sorted(MANDATORY[KIND_OF[crossing]])),
        "limits": tuple(Limit(unit, most, site) for site in (HK, SZ)),
        **fields,
    }
    return SCENE.varied(**chosen)


def approved(scene, hours=0):
    """Return the permit with every approval that its crossing asks."""
    bundle = Bundle(scene.permit)
    for need in scene.permit.required:
        who = f"{need.role}-{need.side.lower()}"
        when = NOW + hours * HOUR
        bundle = sign_notice(bundle, scene.identities[who], "approve", when)
    return bundle


def a_use(scene, number="W-1", count=10, hours=1.0, **fields):
    """Return a use that the scene's permit lets leave, but for what a test changes."""
    permit = scene.permit
    made = Use(
        permit=permit.digest,
        number=number,
        kind=KIND_OF[permit.crossing],
        site=HK,
        to=SZ,
        grade=2,
        amounts=(Amount(UNITS[permit.crossing], count),),
        checks=dict.fromkeys(permit.checks, SHOWN),
        at=at(hours),
        due=at(hours + 72),
    )
    return replace(made, **fields)


def trusted_of(scene):
    permit = scene.permit
    return Directory(permit.parties, permit.persons, permit.keys)


def book_of(scene, folder, site, notices=tuple):
    return Book(scene.machines[site], trusted_of(scene), folder / site, notices)
