"""What left a site, read from the site's own log, which is verified while it is read.

Every entry is hashed again and held to the checkpoint that the site signed last; every
record to the site's key. The journal adds what each run was: its study, and who allowed
it. Nothing here opens the site's data.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from hetao.canonical import digest_bytes
from hetao.errors import BadEnvelope, BadSignature, InvalidData, Unverified
from hetao.federation.entries import SENTENCE
from hetao.federation.logs import has_log, open_log
from hetao.federation.site import SiteSetup
from hetao.federation.usage import Used, usage
from hetao.ledger.durable import reading
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.note import parse_checkpoint, verify_note
from hetao.ledger.redaction import is_redaction
from hetao.ledger.sealed_counts import PEOPLE, SITES, is_count, what_of
from hetao.permit import Bundle, bundle_from, statement_from
from hetao.release import unpack
from hetao.study import Study, study_from

RECORD, ENTRY = "hetao.release/", "hetao.entry/"  # types of entries, any version
WITH_NOISE: Final = "hetao.private/"  # an answer to a question of the site's own people
SUM: Final = "sum"
COUNT: Final = PEOPLE  # of combinations, sealed: a sum that nobody opens
DIFFERING: Final = SITES  # in which numbers people differ, the same
PRIVATE: Final = "private"  # counts with noise, within the privacy budget
REFUSED: Final = "refused"  # what was asked, and this site said no to
RECEIVED: Final = "received"  # what was asked
OPENED: Final = "opened"  # single medical acts were shown to an auditor
DROPPED: Final = "dropped"  # what could not be proved to come from the coordinator


@dataclass(frozen=True)
class Allowed:
    """One approval of a permit."""

    by: str
    role: str
    side: str
    organisation: str
    at: str


@dataclass(frozen=True)
class Course:
    """A run as a site knows it: what was asked, under which permit, who allowed it.

    A run that the journal has forgotten has no title.
    """

    run: str = ""
    study: str = ""
    title: str = ""
    question: str = ""
    permit: str = ""
    number: str = ""
    purpose: str = ""
    not_after: str = ""
    allowed: tuple[Allowed, ...] = ()


@dataclass(frozen=True)
class Departure:
    """One entry of a site's log: a message that left, or a request that was refused.

    Attributes:
        place: in the log, from 0.
        at: UTC time.
        kind: SUM, COUNT, DIFFERING, the kind of a notice, OPENED, REFUSED or DROPPED.
        course: which run it belongs to.
        analysis, attempt, round: where in it.
        values, bytes, people: of a sum, how many numbers, and sealed bytes, and the
            band of people.
        to: of a sum, the hubs that got a share each.
        members: of a sum, the sites over which alone it is ever opened.
        epsilon, spent, of: of an answer with noise, its privacy loss, that of all so
            far, and the most.
        source, released, why: its class; 0 for what did not leave.
        lineage: table → fields that it was made of.
        checks: outcome → checks → limits.
        rule: why it was refused.
        record: digest of the entry.
    """

    place: int
    at: str
    kind: str
    course: Course
    record: str
    analysis: str = ""
    attempt: int = 0
    round: int = 0
    values: int = 0
    bytes: int = 0
    people: str = ""
    epsilon: float = 0.0
    spent: float = 0.0
    of: float = 0.0
    to: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    source: int = 0
    released: int = 0
    why: str = ""
    lineage: Mapping[str, list[str]] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rule: str = ""

    @property
    def has_left(self) -> bool:
        """Return whether something left the site."""
        return self.kind not in (REFUSED, DROPPED)


@dataclass(frozen=True)
class Releases:
    """What a site's log says.

    Attributes:
        site: its name.
        size: entries in the log, all of which were hashed again.
        departures: what was asked for, in the log's order.
        others: entries of other kinds, which are counted and not shown.
        budgets: how much is used of what may be shown and told; of the site alone.
        since: UTC day or time from which on departures are listed; "" for all.
    """

    site: str
    size: int
    departures: tuple[Departure, ...]
    others: int
    budgets: tuple[Used, ...] = ()
    since: str = ""


def read_releases(setup: SiteSetup, since: str = "") -> Releases:
    """Return what left a site, and what it refused.

    A site may be serving meanwhile.

    Args:
        setup: of the site.
        since: UTC day or time; what is older is read and verified, and not returned.

    Raises:
        InvalidData: the site has no log yet.
        Unverified: the log does not hold what was signed, or a record in it is not the
            site's own.
    """
    if not has_log(setup.folder, setup.identity, setup.log):
        raise InvalidData(
            f"{setup.identity.name} has no log yet: it was never served",
            fix="hetao site serve, in the folder that site.toml names",
        )
    with open_log(setup.folder, setup.identity, setup.log, asks=False) as log:
        note = log.checkpoint()
        log.fsck()
        size = _signed_size(note, setup)
        entries = log.entries(0, size)
    courses, sentences = _courses(setup), _sentences(entries)
    found, others = [], 0
    for place, data in enumerate(entries):
        departure = _departure(place, data, setup, courses)
        if departure is None:
            others += 1
        elif departure.at >= since:
            rule = sentences.get(departure.record, departure.rule)
            found.append(replace(departure, rule=rule))
    name, used = setup.identity.name, usage(setup)
    return Releases(name, size, tuple(found), others, used, since)


def _signed_size(note: str, setup: SiteSetup) -> int:
    name, key = setup.identity.name, setup.identity.signing_key.public_key()
    return parse_checkpoint(verify_note(note, name, key)).size


# --- entries --------------------------------------------------------------------------
def _sentences(entries: Iterable[bytes]) -> dict[str, str]:
    """Return digest of a refusal's entry → its sentence, which stays at the site."""
    start = b'{"of":'  # canonical, so its fields stand in this order
    found = (json.loads(data) for data in entries if data.startswith(start))
    return {
        str(one["of"]): str(one["rule"]) for one in found if one.get("type") == SENTENCE
    }


def _departure(
    place: int, data: bytes, setup: SiteSetup, courses: Mapping[str, Course]
) -> Departure | None:
    if not data or is_redaction(data):
        return None
    value = json.loads(data)
    here = Departure(place, "", "", Course(), digest_bytes(data))
    if str(value.get("type", "")).startswith(ENTRY):
        if value["what"] == RECEIVED:
            return None  # what left for it is told by itself
        return replace(
            here,
            at=str(value["at"]),
            kind=str(value["what"]),
            course=Course(study=str(value.get("study", ""))),
            analysis=str(value.get("task", "")).partition("/")[0],
            rule=str(value.get("rule", "")),
        )
    body = value.get("body", {})
    if str(body.get("type", "")).startswith(WITH_NOISE):
        _check_signed(value, setup, place)
        return _with_noise(here, body)
    if not str(body.get("type", "")).startswith(RECORD):
        return None
    _check_signed(value, setup, place)
    run = str(body["run"])
    said = body.get("class", {"released": body.get("grade", 0)})
    return replace(
        here,
        at=str(body["at"]),
        kind=what_of(str(body["task"])) if is_count(body) else str(body["kind"]),
        course=courses.get(run, Course(run, str(body["study"]), permit=body["permit"])),
        analysis=str(body["analysis"]),
        attempt=int(body["attempt"]),
        round=int(body["round"]) + 1,
        values=int(body.get("values", 0)),
        bytes=int(body.get("bytes", 0)),
        people=str(body.get("people", "")),
        to=tuple(body.get("shares", {})),
        members=tuple(body.get("members", ())),
        source=int(said.get("source", 0)),
        released=int(said["released"]),
        why=str(said.get("why", "")),
        lineage=body.get("lineage", {}),
        checks=body.get("checks", {}),
    )


def _with_noise(here: Departure, body: Mapping[str, Any]) -> Departure:
    """Return an answer to a question that the site's own people asked."""
    said = body["class"]
    return replace(
        here,
        at=str(body["at"]),
        kind=PRIVATE,
        course=Course(PRIVATE, str(body["study"]), str(body["title"])),
        values=len(body["steps"]) + len(body["cells"]),
        epsilon=float(body["epsilon"]),
        spent=float(body["spent"]),
        of=float(body["of"]),
        source=int(said["source"]),
        released=int(said["released"]),
        why=str(said["why"]),
        lineage=body["lineage"],
        checks=body["checks"],
    )


def _check_signed(value: Mapping[str, Any], setup: SiteSetup, place: int) -> None:
    statement, name = statement_from(value), setup.identity.name
    try:
        statement.verify(setup.identity.party("", "site", name))
    except BadSignature as error:
        raise Unverified(
            f"entry {place} of the log is not signed by {name}",
            fix="do not sign on: find out who wrote into the site's folder",
        ) from error
    if statement.body["site"] != name:
        raise Unverified(f"entry {place} of the log is another site's")


# --- runs -----------------------------------------------------------------------------
def _courses(setup: SiteSetup) -> dict[str, Course]:
    """Return the runs that the journal knows, by name."""
    return {
        run: _course(run, data, setup)
        for run, data in _begun(setup.folder / "site.sqlite")
    }


def _begun(path: Path) -> list[tuple[str, bytes]]:
    """Read the journal beside a site that may be serving: nothing is written."""
    if not path.is_file():
        return []
    with reading(path, "the site's journal") as store:
        rows = store.execute("SELECT run, data FROM begun").fetchall()
    return [(str(run), bytes(data)) for run, data in rows]


def _course(run: str, data: bytes, setup: SiteSetup) -> Course:
    try:
        meta, _ = unpack(parse_envelope(data).open(setup.identity))
    except BadEnvelope:  # sealed to a key that this site has no more
        return Course(run)
    return course_of(run, study_from(meta["study"]), bundle_from(meta["permit"]))


def course_of(run: str, study: Study, bundle: Bundle) -> Course:
    """Return what a data manager needs to know of a run."""
    permit = bundle.permit
    return Course(
        run=run,
        study=study.digest,
        title=study.title or study.name,
        question=study.question,
        permit=permit.digest,
        number=permit.number,
        purpose=permit.purpose,
        not_after=permit.not_after,
        allowed=tuple(_allowed(bundle)),
    )


def _allowed(bundle: Bundle) -> Iterator[Allowed]:
    persons = {person.name: person for person in bundle.permit.persons}
    for notice in bundle.notices:
        said = notice.body
        if said.get("verb") == "approve":
            person = persons.get(str(said["by"]))
            yield Allowed(
                by=str(said["by"]),
                role=str(said["role"]),
                side=str(said["side"]),
                organisation=person.organisation if person else "",
                at=str(said["at"]),
            )
