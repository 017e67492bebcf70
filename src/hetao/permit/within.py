"""What of a permit, and of what leaves under it, its own legal grounds allow."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from hetao.errors import BeyondBasis
from hetao.permit.permit import Permit
from hetao.permit.terms import Terms

NOT_STATED: Final = "(none stated)"
WANTED: Final[Mapping[str, Callable[[Permit], Iterable[str]]]] = {  # term → of a permit
    "sites": lambda p: p.sites,
    "sides": lambda p: p.sides,
    "recipients": lambda p: {m.organisation for m in p.parties if m.role != "site"},
    "data_use": lambda p: p.data_use or (NOT_STATED,),
    "protocols": lambda p: {one.name for one in p.protocols},
}


def beyond(permit: Permit) -> tuple[str, ...]:
    """Return, in words, what of a permit its own bases do not allow.

    A code of use that nobody stated is not an allowed one.
    """
    return tuple(
        f"{basis.instrument} allows other {name} than {', '.join(sorted(over))}"
        for basis in permit.bases
        for name, wanted in WANTED.items()
        if (allowed := getattr(basis.terms, name))
        and (over := set(wanted(permit)) - set(allowed))
    )


def kind_beyond(permit: Permit, site: str, kind: str) -> tuple[str, ...]:
    """Return, in words, which bases of a permit do not let such a payload leave a site.

    What is no sum, but a notice of fixed fields, always may.
    """
    return tuple(
        f"{instrument} does not allow {kind} to leave"
        for instrument, terms in _binding(permit, site, "kinds")
        if kind not in (*terms.kinds, "notice")
    )


def grade_beyond(permit: Permit, site: str, grade: int) -> tuple[str, ...]:
    """Return, in words, which bases do not let such a class leave a site."""
    return tuple(
        f"{instrument} allows nothing above class {terms.highest_grade}"
        for instrument, terms in _binding(permit, site, "highest_grade")
        if terms.highest_grade is None or not grade <= terms.highest_grade
    )


def _binding(permit: Permit, site: str, term: str) -> Iterator[tuple[str, Terms]]:
    """Yield instrument and terms of each basis that limits such a site by this term."""
    for basis in permit.bases:
        limits = getattr(basis.terms, term) not in (None, ())
        if limits and basis.terms.binds(permit.directory[site].side):
            yield basis.instrument, basis.terms


def check_people(permit: Permit, site: str, people: int) -> None:
    """Return quietly if a permit's bases allow something to leave of so many people.

    Args:
        permit: whose bases are asked.
        site: whose people they are.
        people: different people of the run. Never said to anybody.

    Raises:
        BeyondBasis: they do not.
    """
    for instrument, terms in _binding(permit, site, "most_people"):
        most = terms.most_people or 0
        if not people <= most:
            raise BeyondBasis(
                f"{instrument} allows {most:,} people of {site} at most, and the study "
                "is about more",
                local=f"{people} people",
            )
