"""The certificate of a study that was revoked: what had been released, and by whom.

It has the form of the others: body, credential in the coordinator's log, signature. It
holds no finding, for none was shown, and no integer. It says who ended the permit and
when, which releases were made before and which from then on, and what is tainted:
whatever somebody may have worked out of them.

Its steps, of which the first that fails stops it:

     1  the text is canonical JSON of type hetao.revoked-certificate/1
     2  the coordinator of the permit signed exactly this text
     3  the permit is for this study, and was revoked when the body says
     4  every party of the permit is in the verifier's own list, where one is given
     5  every release is signed by its site, under this permit, by a listed protocol, of
        the class that it must have; and the permit stood at that time, but for its end
     6  every sum is signed by its hub and is of the very shares that sites released
     7  a site's own list, where one is given, is of a site of the permit and of this
        run, stands in the site's log, and holds these releases and no others, but for
        some that its log says it does not know to have reached its hub
     8  a credential of exactly this certificate, signed by the coordinator, stands in
        its log, cosigned by both hubs

Specification: `docs/specs/certificate.md`.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from hetao.canonical import canonical, digest, digest_bytes
from hetao.errors import Unverified
from hetao.ledger.certificate import (
    Verified,
    check_issue_log,
    check_issuer,
    check_parties,
    step,
    verify_certificate,
)
from hetao.ledger.credential import REVOKED
from hetao.ledger.opened import Opened, parts_of
from hetao.ledger.released import Released, check_released
from hetao.ledger.rounds import check_place, check_release, check_said, check_total
from hetao.ledger.sealed_counts import COUNTED, NAME, is_count, task_of
from hetao.permit import (
    SKEW,
    Bundle,
    Directory,
    Permit,
    Statement,
    parse_time,
    standing,
)
from hetao.permit.lifecycle import REVOKING
from hetao.permit.notices import Heard

BODY: Final = {
    "type",
    "software",
    "issued",
    "study",
    "permit",
    "run",
    "revoked",
    "rounds",
}


@dataclass(frozen=True)
class Ending:
    """Who ended a permit, by which word, when and why."""

    by: str
    role: str
    side: str
    verb: str
    at: str
    reason: str


@dataclass(frozen=True)
class Course:
    """What became of one analysis.

    Attributes:
        analysis: its name in the study.
        sites: that released something for it, sorted.
        releases: how many there were, each of one site in one round.
        late: those of them that are dated from the revocation on.
        opened: rounds of which both hubs handed the coordinator their sum.
        first, last: UTC times of its releases.
    """

    analysis: str
    sites: tuple[str, ...]
    releases: int
    late: int
    opened: int
    first: str
    last: str


@dataclass(frozen=True)
class Unsent:
    """A release that a site lists and that is not here, for it may not have arrived.

    The site does not know that its hub has it: it may have, all the same.

    Attributes:
        site: that made it.
        analysis, task: of which.
        is_late: whether it is dated from the revocation on.
    """

    site: str
    analysis: str
    task: str
    is_late: bool


@dataclass(frozen=True)
class Revoked:
    """What the certificate of a revoked study proves, for a reader.

    Attributes:
        steps: each step's sentence, in order.
        study: digest; title: the study's own; run: its name.
        revoked: UTC time of the first word that ended the permit, its signer's own.
        endings: every such word, in the order of their times.
        courses: of each analysis of the study of which anything was released.
        destroyed: site → when it destroyed what it kept, "" where it has not; of the
            sites whose own list was given.
        unlisted: sites of the permit of which no own list shows that they came to
            their end: that they released no more is the coordinator's word.
        open: those of them whose list was given, and is of before they destroyed what
            they kept: more may have left them since.
        unsent: releases of lists that were given, which are not here.
        fingerprints: party → sixteen hex digits, for a check by telephone.
        pinned: whether the keys were held against the verifier's own list.
    """

    steps: tuple[str, ...]
    study: str
    title: str
    run: str
    revoked: str
    endings: tuple[Ending, ...]
    courses: tuple[Course, ...]
    destroyed: Mapping[str, str]
    unlisted: tuple[str, ...]
    open: tuple[str, ...]
    unsent: tuple[Unsent, ...]
    fingerprints: Mapping[str, str]
    pinned: bool

    @property
    def before_revocation(self) -> tuple[str, ...]:
        """Return the analyses all of whose releases were made before."""
        late = {one.analysis for one in self.unsent if one.is_late}
        late |= {one.analysis for one in self.courses if one.late}
        return tuple(name for name in self.tainted if name not in late)

    @property
    def tainted(self) -> tuple[str, ...]:
        """Return the analyses of which something may have been worked out: all here.

        And those of an unsent release, which somebody may have got and hides.
        """
        names = [one.analysis for one in self.courses]
        names += [one.analysis for one in self.unsent]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Ended(Opened):
    """The parts of such a certificate, none believed until its step has passed.

    Attributes:
        lists: of sites, as given.
    """

    lists: Sequence[object] = field(default=())

    @cached_property
    def endings(self) -> tuple[Heard, ...]:
        """Return the notices that ended the permit, the first one first."""
        found = [o for o in self.bundle.counting if o.notice.verb in REVOKING]
        return tuple(sorted(found, key=lambda one: one.notice.at))

    @cached_property
    def _unended(self) -> Bundle:
        ends = {one.digest for one in self.endings}
        kept = (o.statement for o in self.bundle.heard if o.digest not in ends)
        return Bundle(self.permit, tuple(kept))

    def held(self, when: datetime.datetime) -> Bundle:
        """Return what a site may have known: of the end, later than it was signed."""
        late = when >= parse_time(str(self.body["revoked"]))
        return self._unended if late else self.bundle

    @cached_property
    def listed(self) -> dict[str, Released]:
        """Return each site's own list, checked by the keys of the permit."""
        found: dict[str, Released] = {}
        for table in self.lists:
            one = check_released(table, self.permit.directory)
            if found.setdefault(one.site, one) is not one:
                raise Unverified(f"two lists of {one.site} are given")
        return found

    @cached_property
    def unsent(self) -> tuple[Unsent, ...]:
        """Return the releases in sites' lists that are not here."""
        here, end = _released_by(self), str(self.body["revoked"])
        return tuple(
            Unsent(site, str(b["analysis"]), str(b["task"]), str(b["at"]) >= end)
            for site, one in self.listed.items()
            for name, b in one.sums.items()
            if name not in here.get(site, ())
        )

    @cached_property
    def unlisted(self) -> tuple[str, ...]:
        """Return the permit's sites of which no list is of after their end."""
        ended = {site for site, one in self.listed.items() if one.destroyed}
        return tuple(sorted(set(self.permit.sites) - ended))


def is_of_revoked(data: bytes) -> bool:
    """Return whether these bytes say that they are a revoked study's certificate."""
    with step("step 1, canonical form"):
        return bool(parts_of(data)[0]["type"] == REVOKED)


def verify_any(
    data: bytes,
    trusted: Directory | None = None,
    later: Sequence[Statement] = (),
    lists: Sequence[object] = (),
) -> Verified | Revoked:
    """Return what a certificate proves, of a study that ended well or was revoked.

    Raises:
        Unverified: a step fails, or lists are given of a study that ended well.
    """
    if is_of_revoked(data):
        return verify_revoked(data, trusted, lists)
    if lists:
        raise Unverified("the certificate is not of a revoked study, and needs no list")
    return verify_certificate(data, trusted, later)


def verify_revoked(
    data: bytes, trusted: Directory | None = None, lists: Sequence[object] = ()
) -> Revoked:
    """Return what the certificate of a revoked study proves.

    Args:
        data: its bytes, to the last one.
        trusted: as of `verify_certificate`.
        lists: of what sites say left them in its run, as their files have them.

    Raises:
        Unverified: a step fails; whatever the input, no other error is raised.
    """
    with step("step 1, canonical form"):
        opened = open_revoked(data, trusted, lists)
    said = [f"the text is canonical, {len(data)} bytes"]
    for number, (name, check) in enumerate(STEPS, 2):
        with step(f"step {number}, {name}"):
            said.append(check(opened))
    with step("the verdict"):
        return _verdict(opened, said)


def open_revoked(
    data: bytes, trusted: Directory | None = None, lists: Sequence[object] = ()
) -> Ended:
    """Return the parts of such a certificate's bytes.

    Raises:
        Unverified: the text is not the canonical one of a certificate of this type.
    """
    opened = Ended(*parts_of(data), trusted, lists)
    if opened.body["type"] != REVOKED:
        raise Unverified(f"not a {REVOKED}")
    if set(opened.body) != BODY or opened.sums != {}:
        raise Unverified("it holds other fields, or integers")
    return opened


# --- the steps ------------------------------------------------------------------------
def _ended(certificate: Ended) -> str:  # 3
    if digest(certificate.body["study"]) != certificate.permit.study:
        raise Unverified("the permit is for another study")
    issued = parse_time(str(certificate.body["issued"]))
    if not certificate.endings or standing(certificate.bundle, issued).state != (
        "revoked"
    ):
        raise Unverified("nobody who may has revoked the permit, or withdrawn from it")
    for one in certificate.endings:  # else the end would be of an honest signer's past
        if parse_time(one.notice.at) > issued + SKEW:
            raise Unverified("the permit was revoked after the certificate was issued")
    first = certificate.endings[0].notice
    if certificate.body["revoked"] != first.at:
        raise Unverified("the permit was revoked at another time than it says")
    names = sorted({one.notice.by for one in certificate.endings})
    return f"the permit was REVOKED at {first.at}, by {', '.join(names)}"


def _releases(certificate: Ended) -> str:  # 5
    seen: set[object] = set()
    count = 0
    for round_ in certificate.body["rounds"]:
        check_place(round_, seen)
        if not round_["receipts"] or set(round_["receipts"]) - set(round_["members"]):
            raise Unverified(f"round {round_['task']} has a release of no member")
        for site in round_["receipts"]:
            check_release(certificate, site, round_)
            count += 1
    return f"{count} releases, each signed by its site under this permit"


def _totals(certificate: Ended) -> str:  # 6
    both = 0
    for round_ in certificate.body["rounds"]:
        if set(round_["totals"]) - set(certificate.permit.hubs):
            raise Unverified(f"a sum of {round_['task']} is no hub's")
        for hub, total in round_["totals"].items():
            shares = dict(total["body"]["shares"])
            if set(shares) != set(round_["members"]):
                raise Unverified(f"a sum of {round_['task']} is over other members")
            check_total(certificate, hub, round_, shares)
        if round_["protocol"] == NAME and len(round_["totals"]) == 2:
            check_said(certificate, round_)
        both += _is_opened(round_, certificate.permit)
    return f"{both} sums had been opened; none of them was shown to anybody"


def _is_opened(round_: Mapping[str, Any], permit: Permit) -> bool:
    """Return whether both hubs' sums came; those of a sealed count nobody opens."""
    return round_["protocol"] != NAME and len(round_["totals"]) == len(permit.hubs)


def _lists(certificate: Ended) -> str:  # 7
    here = _released_by(certificate)
    for one in certificate.listed.values():
        _check_list(certificate, one, set(here.get(one.site, ())))
    rest, listed = certificate.unlisted, certificate.listed
    words = f"{len(listed)} sites' own lists hold the very same"
    if certificate.unsent:
        names = ", ".join(f"{one.task} of {one.site}" for one in certificate.unsent)
        words += f", and what is not known to have reached its hub, {names}"
    if open_ := [site for site in rest if site in listed]:
        words += f", that of {', '.join(open_)} of before its end"
    if rest:
        words += f"; that no more left {', '.join(rest)} is the issuer's word"
    return words


def _check_list(certificate: Ended, one: Released, mine: set[str]) -> None:
    """Hold a site's list to the certificate, which has these releases of the site."""
    site, body = one.site, certificate.body
    if (one.run, one.permit) != (body["run"], certificate.permit.digest):
        raise Unverified(f"the list of {site} is of another run")
    if site not in certificate.permit.sites:
        raise Unverified(f"{site} is not a site of the permit, and has no list")
    if one.destroyed:  # a site may have heard of the end by a slower clock
        end = parse_time(str(body["revoked"])) - SKEW
        if parse_time(one.destroyed) < end:
            raise Unverified(f"{site} destroyed what it kept before the revocation")
    if not mine <= set(one.sums) <= mine | one.unsent:
        raise Unverified(f"{site} lists other releases than the certificate")
    known = {analysis["name"] for analysis in body["study"]["analyses"]}
    for name in set(one.sums) - mine:
        if not _is_placed(one.sums[name], known):
            raise Unverified(f"{site} lists a release of another study")


def _is_placed(record: Mapping[str, Any], known: Collection[str]) -> bool:
    """Return whether a release that is only listed is named as a study's tasks are."""
    name, attempt, number = (record[n] for n in ("analysis", "attempt", "round"))
    if type(attempt) is not int or type(number) is not int or name not in known:
        return False
    if is_count(record):
        return record["task"] in [task_of(name, attempt, what) for what in COUNTED]
    return bool(record["task"] == f"{name}/{attempt}/{number}")


STEPS: Final = (
    ("issuer's signature", check_issuer),  # 2
    ("permit and its end", _ended),
    ("trusted parties", check_parties),
    ("releases", _releases),
    ("sums of shares", _totals),
    ("sites' own lists", _lists),
    ("the issuer's log", check_issue_log),
)


# --- the verdict ----------------------------------------------------------------------
def _released_by(certificate: Ended) -> dict[str, list[str]]:
    """Return site → the digest of each of its releases, as its log has it."""
    found: dict[str, list[str]] = {}
    for round_ in certificate.body["rounds"]:
        for site, receipt in round_["receipts"].items():
            found.setdefault(site, []).append(digest_bytes(canonical(receipt)))
    return found


def _verdict(certificate: Ended, said: Sequence[str]) -> Revoked:
    body, permit = certificate.body, certificate.permit
    listed = certificate.listed
    return Revoked(
        steps=tuple(said),
        study=permit.study,
        title=str(body["study"].get("title", "")),
        run=str(body["run"]),
        revoked=str(body["revoked"]),
        endings=tuple(
            Ending(n.by, n.role, n.side, n.verb, n.at, n.reason)
            for one in certificate.endings
            for n in (one.notice,)
        ),
        courses=tuple(_courses(certificate)),
        destroyed={site: one.destroyed for site, one in listed.items()},
        unlisted=certificate.unlisted,
        open=tuple(site for site in certificate.unlisted if site in listed),
        unsent=certificate.unsent,
        fingerprints={k.name: k.fingerprint for k in permit.keys}
        | {p.name: p.fingerprint for p in permit.parties},
        pinned=certificate.trusted is not None,
    )


def _courses(certificate: Ended) -> list[Course]:
    rounds, end = certificate.body["rounds"], str(certificate.body["revoked"])
    found = []
    for asked in certificate.body["study"]["analyses"]:
        mine = [r for r in rounds if r["analysis"] == asked["name"]]
        times = [
            str(receipt["body"]["at"])
            for round_ in mine
            for receipt in round_["receipts"].values()
        ]
        if times:
            permit = certificate.permit
            found.append(
                Course(
                    analysis=str(asked["name"]),
                    sites=tuple(sorted({s for r in mine for s in r["receipts"]})),
                    releases=len(times),
                    late=sum(at >= end for at in times),
                    opened=sum(_is_opened(r, permit) for r in mine),
                    first=min(times),
                    last=max(times),
                )
            )
    return found
