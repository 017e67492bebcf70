"""The way of a coronary stent from its maker in Hong Kong to a patient in Shenzhen."""

import json

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


def write_events(folder, events=WAY):
    """Write an EPCIS document into a site's folder."""
    document = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T00:00:00Z",
        "epcisBody": {"eventList": events},
    }
    (folder / "events").mkdir(parents=True, exist_ok=True)
    (folder / "events" / "way.jsonld").write_text(json.dumps(document), "utf-8")
    return document
