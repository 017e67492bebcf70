"""What a legal ground allows, as a machine checks it.

A contract, filing or approval comes with conditions. Those that can be written as these
terms are evaluated wherever a permit is: at the draft, at each site for each message,
and by whoever verifies. The others are text, which each approver says that they read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hetao.errors import InvalidNetwork
from hetao.permit.keys import SIDES
from hetao.records import fields_of

LISTS: Final = ("sites", "sides", "recipients", "data_use", "protocols", "kinds")


@dataclass(frozen=True)
class Terms:
    """What a basis allows at most; what is left out, it does not limit.

    Attributes:
        exporters: side whose sites it binds; every site if empty. The other terms of
            what leaves (`most_people`, `highest_grade`, `kinds`) are of those alone.
        most_people: people of each such site, of whom anything is sent in a run, be
            it how many of them left the cohort at which step.
        highest_grade: highest class (1-5) of what leaves such a site.
        kinds: kinds of payload that may leave such a site; notices always may.
        sites, sides: that may take part.
        recipients: organisations that may run a hub or the coordinator: to nobody else
            does anything go on.
        data_use: codes of the Data Use Ontology by which the use may be judged.
        protocols: that may run.
    """

    exporters: str = ""
    most_people: int | None = None
    highest_grade: int | None = None
    kinds: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    data_use: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()

    def binds(self, side: str) -> bool:
        """Return whether what leaves a site of this side is bound."""
        return self.exporters in ("", side)


NONE: Final = Terms()


def check_terms(
    terms: Terms, reference: str, crossing: str, kinds: Sequence[str]
) -> None:
    """Return quietly if somebody can check every term of a basis.

    Args:
        terms: of the basis.
        reference: of the basis, to name in an error.
        crossing: of the permit.
        kinds: names of all kinds of payload of that crossing.

    Raises:
        InvalidNetwork: nobody could, or it could never be kept.
    """
    what = f"the terms of the basis {reference}"
    if terms.exporters not in ("", *SIDES) or set(terms.sides) - set(SIDES):
        raise InvalidNetwork(f"{what}: a side is one of {', '.join(SIDES)}")
    if terms.most_people is not None and (terms.most_people < 1 or crossing != "data"):
        raise InvalidNetwork(f"{what}: most_people is of data, and from 1")
    if terms.highest_grade is not None and not 1 <= terms.highest_grade <= 5:
        raise InvalidNetwork(f"{what}: highest_grade is 1 to 5")
    if set(terms.kinds) - set(kinds):
        raise InvalidNetwork(f"{what}: kinds are among {', '.join(sorted(kinds))}")
    if crossing != "data" and (terms.data_use or terms.protocols):
        raise InvalidNetwork(f"{what}: data_use and protocols are of data")
    for name in LISTS:
        given = getattr(terms, name)
        if len(set(given)) != len(given) or not all(given):
            raise InvalidNetwork(f"{what}: an entry of {name} is empty or stands twice")


def terms_told(terms: Terms) -> str:
    """Return the terms as they stand in a file, on one line; "" for none."""
    found = []
    for name, value in fields_of(terms).items():
        if isinstance(value, list) and value:
            found.append(f"{name} = {' '.join(value)}")
        elif isinstance(value, int | str) and value != "":
            found.append(f"{name} = {value}")
    return ", ".join(found)
