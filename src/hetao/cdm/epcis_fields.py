"""What each field of an EPCIS 2.0 event may hold, by the event's type.

Two tables: `TOLD` has the fields that a leaf tells, `LEFT_OUT` those that are held to
the standard and go no further. Any other field is an extension: its name is a URI.

Source:
    GS1 EPCIS 2.0.1, sections 7.4 and 10; CBV 2.0 for words and for the forms of
    identifiers. The rules here are our own statement of them, narrower than the
    standard: what is taken is valid there. Test:
    `tests/contract/test_epcis_standard.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from hetao.canonical import canonical
from hetao.cdm.cbv import (
    ALERTS,
    COMPONENTS,
    DISPOSITIONS,
    MEASURES,
    PARTIES,
    REASONS,
    STEPS,
    TRANSACTIONS,
)
from hetao.errors import NotCanonical

Check = Callable[[Any], bool]
ACTIONS: Final = ("ADD", "OBSERVE", "DELETE")
LONGEST: Final = 4000  # characters of an identifier
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,12})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_OFFSET = re.compile(r"[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)")
_VERSION = re.compile(r"2\.0(\.[0-9]{1,3})?")
# RFC 3986, appendix A, without addresses in brackets.
_REG = r"(?:[A-Za-z0-9_.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_CHAR = r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_MORE = r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_USER = r"(?:[A-Za-z0-9_.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@"
_PATH = rf"(?:/{_CHAR}*)*"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.-]*:(?://(?:{_USER})?{_REG}*(?::[0-9]*)?{_PATH}"
    rf"|/(?:{_CHAR}+{_PATH})?|(?:{_CHAR}+{_PATH})?)(?:\?{_MORE})?(?:#{_MORE})?"
)
# The forms in which CBV 8 names things, places and papers.
_NAMED = re.compile(r"(urn:[a-z0-9][a-z0-9-]{0,31}:|https?://|ni:///|geo:).")
# In JSON the standard's own words stand bare, never as addresses.
_CBV = re.compile(r"urn:epcglobal:cbv|https?://ns\.gs1\.org/cbv/")
_VOC = re.compile(r"https?://(www\.)?gs1\.org/voc/")  # where those of sensors stand
_UNIT = re.compile(r"[A-Z0-9]{2,3}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
OTHER: Final = "a field of another name"


# --- one value ------------------------------------------------------------------------
def is_uri(value: Any) -> bool:
    """Return whether this is a URI, of any scheme."""
    short = isinstance(value, str) and len(value) <= LONGEST
    return short and bool(_URI.fullmatch(value))


def _is_id(value: Any) -> bool:
    """Return whether this names a thing, a place or a paper, in a form of CBV."""
    return is_uri(value) and bool(_NAMED.match(value))


def _word_of(words: frozenset[str], standard: re.Pattern[str] = _CBV) -> Check:
    """Return what asks for one of these words, or for a URI of somebody's own."""

    def check(value: Any) -> bool:
        own = is_uri(value) and not standard.match(value)
        return isinstance(value, str) and (value in words or own)

    return check


def _is_time(value: Any) -> bool:
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _text_of(form: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and bool(form.fullmatch(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_action(value: Any) -> bool:
    return value in ACTIONS


# --- many -----------------------------------------------------------------------------
def _list_of(check: Check, *, least: int = 0, once: bool = False) -> Check:
    """Return what asks for a list: of at least so many, or of each but once."""

    def holds(value: Any) -> bool:
        if not isinstance(value, list) or len(value) < least:
            return False
        return all(map(check, value)) and not (once and len(set(value)) < len(value))

    return holds


def _record_of(
    needed: Mapping[str, Check],
    others: Mapping[str, Check] | None = None,
    *,
    extended: bool = False,
) -> Check:
    """Return what asks for an object of these fields, and perhaps for extensions."""
    checks = {**needed, **(others or {})}

    def holds(value: Any) -> bool:
        if not isinstance(value, Mapping) or not needed.keys() <= value.keys():
            return False
        return all(
            checks[name](held) if name in checks else extended and is_uri(name)
            for name, held in value.items()
        )

    return holds


def _is_context(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    if not all(is_uri(part) or isinstance(part, Mapping) for part in parts):
        return False
    try:
        return len({canonical(part) for part in parts}) == len(parts)
    except NotCanonical:
        return False


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _is_disposed(value: Any) -> bool:
    dispositions = _list_of(_word_of(DISPOSITIONS), least=1, once=True)
    named = _record_of({}, {"set": dispositions, "unset": dispositions})
    return named(value) and bool(value)


# --- tables ---------------------------------------------------------------------------
_PLACE = _record_of({"id": _is_id}, extended=True)
_IDS, _IDS_ONCE = _list_of(_is_id), _list_of(_is_id, once=True)
_QUANTITIES = _list_of(
    _record_of({"epcClass": _is_id}, {"quantity": _is_number, "uom": _text_of(_UNIT)})
)
_TYPE_OF_PARTY = {"type": _word_of(PARTIES)}
_SENSOR = {  # of a device, in a reading and in what is said of several
    "time": _is_time,
    "deviceID": is_uri,
    "deviceMetadata": is_uri,
    "rawData": is_uri,
    "dataProcessingMethod": is_uri,
}
_REPORT = _record_of(
    {"type": _word_of(MEASURES, _VOC)},
    {
        **_SENSOR,
        "exception": _word_of(ALERTS, _VOC),
        "component": _word_of(COMPONENTS),
        "uom": _is_text,
        "stringValue": _is_text,
        "booleanValue": lambda value: isinstance(value, bool),
        "hexBinaryValue": _text_of(_HEX),
        **dict.fromkeys(
            (
                "microorganism",
                "chemicalSubstance",
                "coordinateReferenceSystem",
                "uriValue",
            ),
            is_uri,
        ),
        **dict.fromkeys(
            (
                "value",
                "minValue",
                "maxValue",
                "meanValue",
                "sDev",
                "percRank",
                "percValue",
            ),
            _is_number,
        ),
    },
    extended=True,
)
_METADATA = _record_of(
    {},
    {**_SENSOR, "startTime": _is_time, "endTime": _is_time, "bizRules": is_uri},
    extended=True,
)
_COMMON: Final[dict[str, Check]] = {
    "type": _is_text,
    "eventID": _is_id,
    "eventTime": _is_time,
    "recordTime": _is_time,
    "eventTimeZoneOffset": _text_of(_OFFSET),
    "errorDeclaration": _record_of(
        {"declarationTime": _is_time},
        {"reason": _word_of(REASONS), "correctiveEventIDs": _IDS},
        extended=True,
    ),
    "bizStep": _word_of(STEPS),
    "disposition": _word_of(DISPOSITIONS),
    "readPoint": _PLACE,
    "bizLocation": _PLACE,
    "bizTransactionList": _list_of(
        _record_of({"bizTransaction": _is_id}, {"type": _word_of(TRANSACTIONS)})
    ),
    "sourceList": _list_of(_record_of({"source": _is_id, **_TYPE_OF_PARTY})),
    "destinationList": _list_of(_record_of({"destination": _is_id, **_TYPE_OF_PARTY})),
}
_DONE: Final[dict[str, Check]] = {**_COMMON, "action": _is_action}
_GATHERED: Final[dict[str, Check]] = {
    **_DONE,
    "parentID": _is_id,
    "childEPCs": _IDS,
    "childQuantityList": _QUANTITIES,
}
TOLD: Final[dict[str, dict[str, Check]]] = {
    "ObjectEvent": {**_DONE, "epcList": _IDS_ONCE, "quantityList": _QUANTITIES},
    "AggregationEvent": _GATHERED,
    "TransactionEvent": {
        **_DONE,
        "parentID": _is_id,
        "epcList": _IDS,
        "quantityList": _QUANTITIES,
    },
    "TransformationEvent": {
        **_COMMON,
        "inputEPCList": _IDS_ONCE,
        "inputQuantityList": _QUANTITIES,
        "outputEPCList": _IDS_ONCE,
        "outputQuantityList": _QUANTITIES,
        "transformationID": _is_id,
    },
    "AssociationEvent": _GATHERED,
}
# Of these a leaf tells no more: the rest of them is extensions.
PARTS: Final = {
    "readPoint": ("id",),
    "bizLocation": ("id",),
    "errorDeclaration": ("declarationTime", "reason", "correctiveEventIDs"),
}
_UNTOLD: Final[dict[str, Check]] = {
    "@context": _is_context,
    "certificationInfo": _either(is_uri, _list_of(is_uri)),
    "sensorElementList": _list_of(
        _record_of(
            {"sensorReport": _list_of(_REPORT, least=1)},
            {"sensorMetadata": _METADATA},
            extended=True,
        )
    ),
}
_OF_THINGS: Final[dict[str, Check]] = {
    **_UNTOLD,
    "ilmd": _record_of({}, extended=True),
    "persistentDisposition": _is_disposed,
}
# Readings, what a maker writes on an item, and what a reader looks up.
LEFT_OUT: Final[dict[str, dict[str, Check]]] = {
    **dict.fromkeys(TOLD, _UNTOLD),
    **dict.fromkeys(("ObjectEvent", "TransformationEvent"), _OF_THINGS),
}
_ATTRIBUTE = _record_of(
    {"id": is_uri},
    {"attribute": _either(_is_number, _is_text, lambda one: isinstance(one, Mapping))},
    extended=True,
)
_ELEMENT = _record_of(
    {"id": is_uri},
    {"attributes": _list_of(_ATTRIBUTE), "children": _list_of(is_uri)},
    extended=True,
)
_VOCABULARY = _record_of(
    {"type": is_uri}, {"vocabularyElementList": _list_of(_ELEMENT)}, extended=True
)
_MASTER_DATA = _record_of({}, {"vocabularyList": _list_of(_VOCABULARY)}, extended=True)
DOCUMENT: Final[dict[str, Check]] = {
    "@context": _is_context,
    "type": lambda value: value == "EPCISDocument",
    "schemaVersion": _text_of(_VERSION),
    "creationDate": _is_time,
    "epcisBody": lambda value: isinstance(value, Mapping),
    "id": is_uri,
    "instanceIdentifier": _is_text,
    "sender": _is_text,
    "receiver": _is_text,
    "epcisHeader": _record_of({}, {"epcisMasterData": _MASTER_DATA}, extended=True),
}
REQUIRED: Final = ("@context", "type", "schemaVersion", "creationDate", "epcisBody")
_ALWAYS: Final = ("eventTime", "eventTimeZoneOffset")
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "ObjectEvent": (*_ALWAYS, "action"),
    "AggregationEvent": (*_ALWAYS, "action"),
    "TransactionEvent": (*_ALWAYS, "action", "bizTransactionList"),
    "TransformationEvent": _ALWAYS,
    "AssociationEvent": (*_ALWAYS, "action", "parentID"),
}
# Names of the standard's own, of any type: those that an error may say.
_SAID: Final = frozenset(DOCUMENT).union(*TOLD.values(), *LEFT_OUT.values())
_THINGS: Final = ("epcList", "quantityList")
_CHILDREN: Final = ("childEPCs", "childQuantityList")
_WHAT: Final = {
    "ObjectEvent": _THINGS,
    "TransactionEvent": _THINGS,
    "AggregationEvent": _CHILDREN,
    "AssociationEvent": _CHILDREN,
}


# --- an event -------------------------------------------------------------------------
def wrong_in(event: Mapping[str, Any]) -> list[str]:
    """Return the fields of an event that are missing, or not as the standard has them.

    Args:
        event: of a type that `TOLD` has.
    """
    kind = event["type"]
    checks = {**TOLD[kind], **LEFT_OUT[kind]}
    return sorted({*_wrong_by(checks, event), *_lacking(event)})


def wrong_around(document: Mapping[str, Any]) -> list[str]:
    """Return what is missing or wrong in a document around its events."""
    missing = (name for name in REQUIRED if name not in document)
    return sorted({*_wrong_by(DOCUMENT, document), *missing})


def _wrong_by(checks: Mapping[str, Check], held: Mapping[str, Any]) -> Iterator[str]:
    for name, value in held.items():
        if not (checks[name](value) if name in checks else is_uri(name)):
            yield name if name in _SAID else OTHER


def _lacking(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event must have and has not, or has and must not."""
    kind, action = event["type"], event.get("action")
    yield from (name for name in _NEEDED[kind] if name not in event)
    if kind == "TransformationEvent":
        yield from _lacking_of_change(event)
        return
    if kind == "ObjectEvent" and "ilmd" in event and action != "ADD":
        yield "ilmd"
    if kind == "TransactionEvent" and not event.get("bizTransactionList"):
        yield "bizTransactionList"
    if kind == "AggregationEvent" and "parentID" not in event and action != "OBSERVE":
        yield "parentID"
    if not any(event.get(name) for name in _WHAT[kind]) and not _is_about_all(event):
        yield _WHAT[kind][0]


def _is_about_all(event: Mapping[str, Any]) -> bool:
    """Return whether an event may name nothing: all that was held, or a place."""
    if event["type"] == "ObjectEvent":
        return bool(event.get("sensorElementList")) and "readPoint" in event
    return event.get("action") == "DELETE"


def _lacking_of_change(event: Mapping[str, Any]) -> Iterator[str]:
    into = any(event.get(name) for name in ("inputEPCList", "inputQuantityList"))
    out = any(event.get(name) for name in ("outputEPCList", "outputQuantityList"))
    # A change that is told by several events has a name, and each tells a part.
    in_parts = "transformationID" in event and (into or out)
    if not into and not in_parts:
        yield "inputEPCList"
    if not out and not in_parts:
        yield "outputEPCList"
