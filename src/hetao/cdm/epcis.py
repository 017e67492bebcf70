"""EPCIS 2.0 events of devices and drugs → bytes that become leaves beside the acts.

    <site>/events/*.json    EPCIS documents in JSON, as makers, carriers and wards write

All five types are taken. An ObjectEvent says that items were made, sent, received,
dispensed or installed; an AggregationEvent that they were packed into or taken out of
something; an AssociationEvent that they were fixed to something; a TransactionEvent
which order or letter they belong to; a TransformationEvent what was made of what.

A leaf tells the fields of `TOLD` and no other: readings, what a maker writes on an item
and extensions may hold a patient's data. The document is taken all the same. One
extension is read: `hetao:person`, the patient's identifier in the site's extract, which
becomes the pseudonym that the tables have. The event is then under that person's key.
"""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical
from hetao.cdm.committing import Event
from hetao.cdm.epcis_fields import PARTS, TOLD, wrong_around, wrong_in
from hetao.cdm.naming import Identifiers, is_telling, plain
from hetao.errors import InvalidData, NotCanonical
from hetao.records import once
from hetao.whole import read_whole

FORM: Final = "hetao.event/1"
FOLDER: Final = "events"
LARGEST: Final = 64 * 2**20  # bytes of one document
PERSON: Final = "hetao:person"
# GS1's own number of one who is served (GSRN, 8018): in a hospital, a patient.
_SERVED = re.compile(
    r"urn:epc:[a-z]+:gsrn(-[0-9]+)?:|[/?&](8018|gsrn)[/=][0-9]{18}(?![0-9])",
    re.IGNORECASE,
)


def read_events(folder: Path, key: bytes) -> list[Event]:
    """Return the events of a site's folder, in one order; none where it has none.

    Args:
        folder: of the site; its documents lie under `events`.
        key: the pseudonym secret.

    Raises:
        InvalidData: a document does not hold; the error names it, never a patient.
    """
    paths = sorted((folder / FOLDER).glob("*.json*"))
    people = Identifiers(one for path in paths for one in _people_in(path))
    found = list[Event]()
    for path in paths:
        found += _read(path, key, people)
    return sorted(found, key=lambda event: (event.data, event.person or 0))


def read_document(path: Path, key: bytes) -> list[Event]:
    """Return the events of one EPCIS document, as they stand there.

    Raises:
        InvalidData: it does not hold; the error names the event and its fields.
    """
    return _read(path, key, Identifiers(_people_in(path)))


def _read(path: Path, key: bytes, people: Identifiers) -> list[Event]:
    return [
        _event(event, key, people, f"{path.name}, event {number}")
        for number, event in enumerate(_events_in(path), 1)
    ]


def _people_in(path: Path) -> list[str]:
    """Return those identifiers of a document's patients that tell them from items."""
    named = (e.get(PERSON) for e in _events_in(path) if isinstance(e, Mapping))
    return [one for one in named if isinstance(one, str) and is_telling(one)]


def _events_in(path: Path) -> list[Any]:
    if not path.is_file():
        raise InvalidData(f"{path.name} is no file", fix="take it away, or mend it")
    try:
        document = json.loads(
            read_whole(path, LARGEST), parse_constant=_no_number, object_pairs_hook=once
        )
    except (ValueError, RecursionError):
        document = None
    match document:
        case {"type": "EPCISDocument", "epcisBody": {"eventList": list(events)}}:
            _refuse(wrong_around(document), path.name)
            return events
    raise InvalidData(
        f"{path.name} is no EPCIS 2.0 document in JSON",
        fix="write an EPCISDocument with an eventList, and each name once",
    )


def _no_number(word: str) -> None:
    raise ValueError(word)  # NaN, Infinity: Python's, not JSON's


def _refuse(fields: list[str], where: str) -> None:
    if fields:
        raise InvalidData(f"{where}: {', '.join(fields)} is not as EPCIS has it")


def _event(event: Any, key: bytes, people: Identifiers, where: str) -> Event:
    kind = event.get("type") if isinstance(event, Mapping) else None
    if not isinstance(kind, str) or kind not in TOLD:
        raise InvalidData(f"{where}: its type is none of {', '.join(TOLD)}")
    _refuse(wrong_in(event), where)
    person = event.get(PERSON)
    if person is not None and not _is_identifier(person):
        raise InvalidData(f"{where}: {PERSON} is the identifier of a patient, as text")
    about = None if person is None else pseudonym_of(person, key)
    own = {name: _told(name, event[name]) for name in event if name in TOLD[kind]}
    told = {name: value for name, value in own.items() if value is not None}
    try:
        _refuse_naming(told, (people, Identifiers([person] if person else [])), where)
        body = canonical({"person": None if about is None else str(about), **told})
    except NotCanonical as error:
        raise InvalidData(f"{where}: {error.what}") from error
    return Event(about, FORM.encode() + body)


def _is_identifier(person: object) -> bool:
    if not isinstance(person, str) or not person.strip():
        return False
    return person.encode("utf-8", "ignore").decode() == person  # no lone surrogates


def _told(name: str, value: Any) -> Any:
    """Return what a leaf tells of a field; None where nothing is left to tell."""
    if name in PARTS:
        value = {part: value[part] for part in PARTS[name] if part in value}
    return _without_served(value)


def _without_served(value: Any) -> Any:
    """Return the value without what bears a number of one who is served, or None."""
    if isinstance(value, str):
        return None if _SERVED.search(plain(value)) else value
    if isinstance(value, Mapping):
        parts = {name: _without_served(held) for name, held in value.items()}
        return None if None in parts.values() else parts
    if isinstance(value, list):
        kept = [one for one in map(_without_served, value) if one is not None]
        return kept if kept or not value else None
    return value


def _refuse_naming(
    told: Mapping[str, Any], people: Sequence[Identifiers], where: str
) -> None:
    """Refuse an event that names a patient in a field that a leaf would tell."""
    for name, value in told.items():
        text = canonical(value).decode()
        if any(some.are_in(text) for some in people):
            raise InvalidData(
                f"{where}: {name} has the identifier of a patient",
                fix=f"name the patient in {PERSON} alone",
            )


def pseudonym_of(identifier: str, key: bytes) -> int:
    """Return a patient's pseudonym, the one that `pseudonym()` of a mapping gives."""
    digest = hmac.digest(key, identifier.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def event_id(data: bytes) -> str:
    """Return the eventID of an event's bytes; "" where it has none."""
    body = json.loads(data.removeprefix(FORM.encode()))
    return str(body.get("eventID", ""))
