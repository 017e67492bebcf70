"""At a site: which acts are shown to whom, and that it is written down.

The site decides: `[provenance] open_to` in `site.toml` names the offices whose people
may be shown acts, and no one is where it is left out. The site's log says to whom acts
were shown and how many, never which.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.cdm.extract import Extract
from hetao.errors import InvalidNetwork, NotApproved, Refused, Shredded
from hetao.federation.binding import LoggedExtract
from hetao.federation.site import SiteSetup
from hetao.ledger.account import fields_of
from hetao.ledger.coin import Ask, answered
from hetao.ledger.commitments import Opened
from hetao.ledger.log import Log
from hetao.ledger.proof import Proof
from hetao.ledger.showing import JOINT, sign_shown
from hetao.permit import Statement, format_time
from hetao.records import read_toml

TABLE: Final = "provenance"
MOST_SHOWN: Final = 3_000  # acts of a draw: they find 0.1 % of falsified acts by 95 %
AT_ONCE: Final = 4_096  # entries of a log


def offices_shown(path: Path) -> tuple[str, ...]:
    """Return the offices whose people this site shows acts to.

    Raises:
        InvalidNetwork: the table holds something else.
    """
    table = read_toml(path, InvalidNetwork).get(TABLE, {})
    offices = table.get("open_to", []) if isinstance(table, dict) else None
    if (
        not isinstance(offices, list)
        or set(table) - {"open_to"}
        or not all(isinstance(one, str) for one in offices)
    ):
        raise InvalidNetwork(f"{path.name} [{TABLE}]: open_to is a list of offices")
    return tuple(offices)


def check_may_see(setup: SiteSetup, offices: Sequence[str], name: str) -> None:
    """Return quietly if a person of the site's own list may be shown acts.

    Raises:
        InvalidNetwork: the list has nobody of that name.
        NotApproved: the site shows acts to none of this person's offices.
    """
    person = setup.trusted.person(name)
    if not set(person.roles) & set(offices):
        raise NotApproved(
            f"{setup.identity.name} shows no acts to {name}",
            fix="name one of their offices in [provenance] open_to, if the site agrees",
        )


def show_acts(
    setup: SiteSetup,
    log: Log,
    logged: LoggedExtract,
    acts: Sequence[Opened],
    about: "Showing",
) -> bytes:
    """Return the file that shows acts, after the site's log says that they were shown.

    Args:
        setup: of the site.
        log: the site's.
        logged: the extract, as it stands in the log.
        acts: at least one.
        about: to whom, when, and in answer to what.
    """
    at = format_time(about.now)
    told = "1 act was" if len(acts) == 1 else f"{len(acts)} acts were"
    entry = {
        "type": "hetao.entry/1",
        "what": "opened",
        "at": at,
        "to": about.to,
        "extract": logged.digest,
        "drawn": about.drawn,
        "rule": f"{told} shown to {about.to}",
    }
    log.append([canonical(entry)])
    path = tuple(log.inclusion(logged.index, log.size))
    proof = Proof(logged.index, path, log.checkpoint())
    body: dict[str, Any] = {
        "to": about.to,
        "at": at,
        "extract": logged.record.as_json(),
        "log": proof.text,
        "drawn": about.drawn,
        "gone": sorted(about.gone),
    }
    if about.draw is not None:
        body[JOINT] = dict(about.draw)
    return sign_shown(setup.identity, body, acts)


@dataclass(frozen=True)
class Showing:
    """Who is shown acts, when, and in answer to what.

    Attributes:
        to: a person of the site's list.
        now: UTC time.
        drawn: how many draws the acts answer; 0 for none.
        gone: indices that were drawn and whose person was shredded.
        draw: what they were drawn by, where auditor and site drew together.
    """

    to: str
    now: datetime.datetime
    drawn: int = 0
    gone: frozenset[int] = frozenset()
    draw: Mapping[str, Any] | None = None


def answer_ask(
    setup: SiteSetup, log: Log, ask: Ask, extract: str, now: datetime.datetime
) -> Statement:
    """Return the site's answer to an auditor's ask, after its log says that there is.

    Of one extract each person gets one draw: who could ask again would go on until a
    draw falls on whom they look for. The same ask gets the same answer.

    Args:
        setup: of the site.
        log: the site's.
        ask: of somebody who may see acts.
        extract: digest of the record that the study's certificate holds of this site.
        now: UTC time.

    Raises:
        Refused: it is about another extract or too many acts, or this person has had
            a draw from this extract.
    """
    if (ask.site, ask.extract) != (setup.identity.name, extract):
        raise Refused(
            "the ask is about another site or extract than the certificate's",
            fix="ask anew: hetao provenance audit-ask",
        )
    if ask.draws > MOST_SHOWN:
        raise Refused(
            f"{ask.draws} acts are asked for; a site shows {MOST_SHOWN} of a draw"
        )
    said = digest(ask.as_json())
    entry = {
        "type": "hetao.entry/1",
        "what": "audit",
        "at": format_time(now),
        "to": ask.to,
        "extract": ask.extract,
        "ask": said,
        "drawn": ask.draws,
        "rule": f"{ask.draws} acts are drawn with {ask.to}",
    }
    if _first_ask(log, ask) == "":
        log.append([canonical(entry)])
    if _first_ask(log, ask) != said:  # of two at a time, the log says which was first
        raise Refused(
            f"{ask.to} has had a draw from this extract, by another ask",
            fix="go on with that one; or another auditor asks",
        )
    return answered(setup.identity, ask)


def _first_ask(log: Log, ask: Ask) -> str:
    """Return the digest of the first ask of a person about an extract; "" for none."""
    for start in range(0, log.size, AT_ONCE):
        for entry in log.entries(start, min(start + AT_ONCE, log.size)):
            fields = fields_of(entry) if b'"what":"audit"' in entry else None
            if fields and (fields["to"], fields["extract"]) == (ask.to, ask.extract):
                return str(fields["ask"])
    return ""


def opened_of(extract: Extract, wanted: Sequence[int]) -> tuple[list[Opened], set[int]]:
    """Return the acts of these indices, each once, and those that are gone for good.

    Raises:
        Shredded: all of them are gone.
    """
    acts, gone = list[Opened](), set[int]()
    for index, opened in extract.open_all(wanted):
        if opened is None:
            gone.add(index)
        else:
            acts.append(opened)
    if not acts:
        raise Shredded("of these acts every person was shredded")
    return acts, gone
