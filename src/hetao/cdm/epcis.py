"""EPCIS 2.0 events of devices and drugs → bytes that become leaves beside the acts.

    <site>/events/*.json    EPCIS documents in JSON, as makers, carriers and wards write

Two kinds are taken: an ObjectEvent says that items were made, sent, received, dispensed
or installed; an AggregationEvent that they were packed into or taken out of something.
Of an event the fields below are taken and no extension's, since nobody knows what
stands there, but for `hetao:person`: the patient's identifier in the site's extract,
which becomes the pseudonym that the tables have. The event is then under that person's
key.

Source:
    GS1 EPCIS 2.0.1, sections 7.4 and 10; CBV 2.0 for words of steps. The rules here are
    our own statement of them, narrower than the standard: what is taken is valid there.
"""

import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical
from hetao.cdm.cbv import DISPOSITIONS, PARTIES, STEPS, TRANSACTIONS
from hetao.cdm.committing import Event
from hetao.errors import InvalidData, NotCanonical

FORM: Final = "hetao.event/1"
FOLDER: Final = "events"
LARGEST: Final = 64 * 2**20  # bytes of one document
PERSON: Final = "hetao:person"
ACTIONS: Final = ("ADD", "OBSERVE", "DELETE")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_OFFSET = re.compile(r"[+-]((0\d|1[0-3]):[0-5]\d|14:00)")
_SIGN = r"([\w.~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_URI = re.compile(
    rf"(urn:[a-z0-9][a-z0-9-]{{0,31}}:|https?://|ni:///){_SIGN}{{1,2000}}"
    rf"(#{_SIGN}{{0,2000}})?",
    re.ASCII,
)
# In JSON the standard's own words stand bare, never as addresses.
_NOT_OWN = re.compile(r"urn:epcglobal:cbv|https?://ns\.gs1\.org/cbv/")
Check = Callable[[Any], bool]


def _is_uri(value: Any) -> bool:
    return isinstance(value, str) and bool(_URI.fullmatch(value))


def _is_uris(value: Any) -> bool:
    """Return whether these are URIs, each once."""
    return _list_of(_is_uri)(value) and len(set(value)) == len(value)


def _word_of(words: frozenset[str]) -> Check:
    """Return what asks for one of these words, or for a URI of somebody's own."""

    def check(value: Any) -> bool:
        own = _is_uri(value) and not _NOT_OWN.match(value)
        return isinstance(value, str) and (value in words or own)

    return check


def _is_time(value: Any) -> bool:
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_offset(value: Any) -> bool:
    return isinstance(value, str) and bool(_OFFSET.fullmatch(value))


def _is_place(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"id"} and _is_uri(value["id"])


def _is_quantity(value: Any) -> bool:
    if not isinstance(value, Mapping) or not {"epcClass"} <= set(value):
        return False
    number = value.get("quantity", 0)
    return (
        set(value) <= {"epcClass", "quantity", "uom"}
        and _is_uri(value["epcClass"])
        and isinstance(number, int | float)
        and not isinstance(number, bool)
        and bool(re.fullmatch(r"[A-Z0-9]{2,3}", str(value.get("uom", "EA"))))
    )


def _is_typed(key: str, words: frozenset[str], default: str = "") -> Check:
    is_type = _word_of(words)

    def check(value: Any) -> bool:
        return (
            isinstance(value, Mapping)
            and key in value
            and set(value) <= {"type", key}
            and _is_uri(value[key])
            and is_type(value.get("type", default))
        )

    return check


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_action(value: Any) -> bool:
    return value in ACTIONS


COMMON: Final[dict[str, Check]] = {
    "type": lambda value: isinstance(value, str),
    "eventID": _is_uri,
    "eventTime": _is_time,
    "recordTime": _is_time,
    "eventTimeZoneOffset": _is_offset,
    "action": _is_action,
    "bizStep": _word_of(STEPS),
    "disposition": _word_of(DISPOSITIONS),
    "readPoint": _is_place,
    "bizLocation": _is_place,
    "bizTransactionList": _list_of(
        _is_typed("bizTransaction", TRANSACTIONS, "po")  # the type may be left out
    ),
    "sourceList": _list_of(_is_typed("source", PARTIES)),
    "destinationList": _list_of(_is_typed("destination", PARTIES)),
}
KINDS: Final[dict[str, dict[str, Check]]] = {
    "ObjectEvent": {
        **COMMON,
        "epcList": _is_uris,
        "quantityList": _list_of(_is_quantity),
    },
    "AggregationEvent": {
        **COMMON,
        "parentID": _is_uri,
        "childEPCs": _list_of(_is_uri),
        "childQuantityList": _list_of(_is_quantity),
    },
}
# Of the standard, and left out: readings, free text and what a reader looks up.
LEFT_OUT: Final = (
    "id",
    "ilmd",
    "persistentDisposition",
    "sensorElementList",
    "errorDeclaration",
    "certificationInfo",
)
REQUIRED: Final = ("eventTime", "eventTimeZoneOffset", "action")


def read_events(folder: Path, key: bytes) -> list[Event]:
    """Return the events of a site's folder, in one order; none where it has none.

    Args:
        folder: of the site; its documents lie under `events`.
        key: the pseudonym secret.

    Raises:
        InvalidData: a document does not hold; the error names it, never a patient.
    """
    found = list[Event]()
    for path in sorted((folder / FOLDER).glob("*.json*")):
        for number, event in enumerate(_events_in(path), 1):
            found.append(_event(event, key, f"{path.name}, event {number}"))
    return sorted(found, key=lambda event: (event.data, event.person or 0))


def _events_in(path: Path) -> list[Any]:
    if path.stat().st_size > LARGEST:
        raise InvalidData(f"{path.name} is larger than an EPCIS document may be")
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        document = None
    match document:
        case {
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "epcisBody": {"eventList": list(events)},
        }:
            return events
    raise InvalidData(
        f"{path.name} is no EPCIS 2.0 document in JSON",
        fix="write an EPCISDocument with an eventList",
    )


def _event(event: Any, key: bytes, where: str) -> Event:
    kind = event.get("type") if isinstance(event, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidData(f"{where}: it is neither of {' and '.join(KINDS)}")
    checks = KINDS[kind]
    own = {name: event[name] for name in event if name in checks}
    known = {*checks, *LEFT_OUT}
    others = [n for n in event if n not in known and ":" not in n and n[:1] != "@"]
    wrong = [name for name in own if not checks[name](own[name])]
    wrong += [*others, *_lacking(own)]
    if wrong:
        raise InvalidData(f"{where}: {', '.join(sorted(wrong))} is not as EPCIS has it")
    person = event.get(PERSON)
    if person is not None and not _is_identifier(person):
        raise InvalidData(f"{where}: {PERSON} is the identifier of a patient, as text")
    about = None if person is None else pseudonym_of(person, key)
    try:
        body = canonical({"person": None if about is None else str(about), **own})
    except NotCanonical as error:
        raise InvalidData(f"{where}: {error.what}") from error
    return Event(about, FORM.encode() + body)


def _is_identifier(person: object) -> bool:
    if not isinstance(person, str) or not person.strip():
        return False
    return person.encode("utf-8", "ignore").decode() == person  # no lone surrogates


def _lacking(own: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event must have and has not."""
    yield from (name for name in REQUIRED if name not in own)
    if own["type"] == "ObjectEvent":
        if not own.get("epcList") and not own.get("quantityList"):
            yield "epcList"
        return
    if "parentID" not in own and own.get("action") != "OBSERVE":
        yield "parentID"
    if own.get("action") == "DELETE":  # all that the parent held, where none is named
        return
    if not own.get("childEPCs") and not own.get("childQuantityList"):
        yield "childEPCs"


def pseudonym_of(identifier: str, key: bytes) -> int:
    """Return a patient's pseudonym, the one that `pseudonym()` of a mapping gives."""
    digest = hmac.digest(key, identifier.encode(), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def event_id(data: bytes) -> str:
    """Return the eventID of an event's bytes; "" where it has none."""
    body = json.loads(data.removeprefix(FORM.encode()))
    return str(body.get("eventID", ""))
