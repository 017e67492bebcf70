"""Devices and drugs from the maker to the ward, as leaves beside the acts."""

import hashlib
import json
import os

import pytest

from hetao.cdm.committing import acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.epcis import pseudonym_of, read_document, read_events
from hetao.cdm.epcis_fields import LEFT_OUT, PARTS, TOLD
from hetao.cdm.extract import Extract
from hetao.cdm.macros import make_macros
from hetao.cdm.store import Manifest
from hetao.errors import InvalidData
from support_acts import write_acts
from support_epcis import (
    BED,
    BOX,
    KEY,
    NOTE,
    PATIENT,
    SERVED,
    STENT,
    WAY,
    WHOLE,
    document_of,
    write_document,
    write_events,
)

MASTER, DIGEST = b"m" * 32, "sha256:" + "ab" * 32
MANIFEST = Manifest("s", DIGEST, "omop-5.4", "sha256:d", "", "", "2026-01-01", {})


def test_the_way_of_a_stent_ends_in_its_patient_and_each_step_is_shown(tmp_path):
    write_acts(tmp_path)
    patient = pseudonym_of(PATIENT, KEY)
    with connect(tmp_path / "cdm.duckdb") as connection:
        for table in ("person", "visit_occurrence", "measurement", "death"):
            connection.execute(
                f"UPDATE {table} SET person_id = {patient} WHERE person_id = 12"  # noqa: S608
            )
    write_events(tmp_path)
    engine = DuckDBEngine(connect_read_only(tmp_path / "cdm.duckdb"))
    events = read_events(tmp_path, KEY)
    commitment = commit_acts(engine, tmp_path, MANIFEST, MASTER, events)
    extract = Extract(commitment, acts_folder(tmp_path, DIGEST), engine, MASTER)

    steps = []
    for data in extract.events():
        opened = extract.open(extract.index_of_event(data))
        opened.check(bytes.fromhex(commitment.root.removeprefix("sha256:")))
        assert opened.act == data
        body = json.loads(data.removeprefix(b"hetao.event/1"))
        steps.append((body["eventTime"], body["bizStep"], body["person"]))
    assert [step for _, step, _ in sorted(steps)] == [
        "commissioning",
        "packing",
        "shipping",
        "receiving",
        "unpacking",
        "installing",
    ]
    assert [who for _, _, who in sorted(steps)] == [None] * 5 + [str(patient)]
    assert extract.shred(patient) == 5  # four acts, and the event


def test_the_bytes_of_a_leaf_stay(tmp_path):
    """A leaf that a site has committed to is one of these bytes for good."""
    write_events(tmp_path)
    whole = b"\n".join(event.data for event in read_events(tmp_path, KEY))

    assert hashlib.sha256(whole).hexdigest() == (
        "bbc96a5540ab30b9650b63d515873b90e84db1addb41d85c3c26d2070d7e6da4"
    )


def test_no_identifier_of_a_patient_is_in_an_event(tmp_path):
    write_events(tmp_path, [*WAY, *WHOLE.values()])
    assert json.dumps(list(WHOLE.values())).count(NOTE) > 5 * 8  # wherever text may be
    events = read_events(tmp_path, KEY)

    assert len(events) == 6 + 5
    assert any(STENT.encode() in event.data for event in events)
    for event in events:
        assert PATIENT.encode() not in event.data
        assert b"1234567" not in event.data.replace(BOX.encode(), b"")
        assert b"free text" not in event.data


@pytest.mark.parametrize("kind", WHOLE)
def test_a_leaf_tells_the_fields_of_its_type_and_no_other(tmp_path, kind):
    event = WHOLE[kind]
    write_events(tmp_path, [event])

    (found,) = read_events(tmp_path, KEY)

    about = pseudonym_of(PATIENT, KEY)
    told = {name: event[name] for name in TOLD[kind]}
    for name, parts in PARTS.items():
        told[name] = {part: event[name][part] for part in parts if part in event[name]}
    assert found.person == about
    assert json.loads(found.data.removeprefix(b"hetao.event/1")) == {
        "person": str(about),
        **told,
    }


def named_in(event, name, text):
    """Return the event with a text in one of its fields, wherever one stands there."""

    def put(value):
        if isinstance(value, dict):
            return {key: put(held) for key, held in value.items() if key != "type"} | (
                {"type": value["type"]} if "type" in value else {}
            )
        if isinstance(value, list):
            return [put(held) for held in value]
        return (
            text if isinstance(value, str) and value[:4] in ("urn:", "http") else value
        )

    return {**event, name: put(event[name])}


NAMED = [
    (kind, name)
    for kind, event in WHOLE.items()
    for name in TOLD[kind]
    if named_in(event, name, "urn:x:y") != event
]


@pytest.mark.parametrize("text", ["urn:mrn:{}:1", "https://a.example/{}", "urn:a:{}"])
@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_a_patient_is_named_in_one_field_alone(tmp_path, kind, name, text):
    forms = {"urn:mrn:{}:1": "h123456%287%29", "urn:a:{}": "H1234567"}
    event = named_in(WHOLE[kind], name, text.format(forms.get(text, PATIENT)))
    write_events(tmp_path, [event])

    with pytest.raises(InvalidData, match=f"{name} has the identifier") as caught:
        read_events(tmp_path, KEY)
    assert "123456" not in str(caught.value)


def naming(text, person=PATIENT):
    """Return an event of a patient, with a paper named by that text."""
    return {**WAY[0], "hetao:person": person, "bizTransactionList": [paper(text)]}


def paper(text):
    return {"bizTransaction": f"urn:x:{text}"}


@pytest.mark.parametrize(
    ("person", "text"),
    [
        ("H1234567", "H123456-7"),
        ("H1234567", "h.123.456.7"),
        ("H123456(7)", "H1234%252567:H12345%2536%252537"),
        ("H123456(7)", "%EF%BC%A81234567"),  # full width
        ("12-34567", "12.34567"),
        ("H1234567", "MRN_H1234567_1"),
    ],
)
def test_a_patient_is_found_however_the_identifier_is_written(tmp_path, person, text):
    write_events(tmp_path, [naming(text, person)])

    with pytest.raises(InvalidData, match="bizTransactionList has the identifier"):
        read_events(tmp_path, KEY)


def test_two_numbers_of_an_item_are_no_patient_together(tmp_path):
    write_events(tmp_path, [naming("123.4567", "1234567")])

    assert len(read_events(tmp_path, KEY)) == 1


@pytest.mark.parametrize("other", [None, "B7654321"])
def test_a_patient_is_named_in_no_event_of_another_in_the_folder(tmp_path, other):
    event = naming("H1234567", other)
    if other is None:
        del event["hetao:person"]
    write_events(tmp_path, [event])
    assert len(read_events(tmp_path, KEY)) == 1  # nobody is known by it

    elsewhere = json.dumps(document_of([naming("1")]))
    (tmp_path / "events" / "z.json").write_text(elsewhere, "utf-8")
    with pytest.raises(InvalidData, match="identifier of a patient") as caught:
        read_events(tmp_path, KEY)
    assert "1234567" not in str(caught.value)


def test_a_number_of_one_patient_may_be_an_item_s_in_an_event_of_another(tmp_path):
    write_events(tmp_path, [naming("7654321", "1234567"), naming("1", "7654321")])
    assert len(read_events(tmp_path, KEY)) == 2

    long = "110101199003070011"  # of digits that no item has by chance
    write_events(tmp_path, [naming(long, "1234567"), naming("1", long)])
    with pytest.raises(InvalidData, match="identifier of a patient"):
        read_events(tmp_path, KEY)


def test_whatever_is_encoded_ever_so_often_ends(tmp_path):
    write_events(tmp_path, [naming("%" + "25" * 1900)])

    assert len(read_events(tmp_path, KEY)) == 1


def test_a_number_within_another_is_no_patient(tmp_path):
    for person in ("400", "32814", "891668"):  # short, or a part of one in the item's
        write_events(tmp_path, [{**WAY[0], "hetao:person": person}])
        assert len(read_events(tmp_path, KEY)) == 1
    write_events(tmp_path, [{**WAY[0], "hetao:person": "4891668"}])
    with pytest.raises(InvalidData, match="readPoint has the identifier"):
        read_events(tmp_path, KEY)


SERVED_FORMS = [
    SERVED,
    "urn:epc:tag:gsrn-96:0.4891668.0000012345",
    "https://id.gs1.org/8018/489166800000123454",
    "https://ward.example/x/8018/489166800000123454?a=b",
    "https://ward.example/?8018=489166800000123454",
    "https://ward.example/gsrn/489166800000123454",
]


@pytest.mark.parametrize("number", SERVED_FORMS)
def test_the_number_of_one_who_is_served_is_in_no_leaf(tmp_path, number):
    event = {**WHOLE["AssociationEvent"], "parentID": number, "readPoint": {"id": BED}}
    event["bizTransactionList"] = [
        {"type": "po", "bizTransaction": number},
        {"bizTransaction": BED},
    ]
    letter = {**WHOLE["TransactionEvent"], "epcList": [number, STENT], "parentID": BOX}
    given = {**letter, "epcList": [number], "quantityList": []}
    write_events(tmp_path, [event, letter, given])

    fixed, *letters = (
        json.loads(one.data.removeprefix(b"hetao.event/1"))
        for one in read_document(tmp_path / "events" / "way.jsonld", KEY)
    )

    assert number not in json.dumps([fixed, *letters])
    assert "parentID" not in fixed
    assert fixed["bizTransactionList"] == [{"bizTransaction": BED}]
    assert [one.get("epcList") for one in letters] == [[STENT], None]
    assert letters[1]["quantityList"] == []  # as it stood there


def test_the_number_of_one_who_serves_is_told(tmp_path):
    doctor = "urn:epc:id:gsrnp:4891668.0000012345"
    order = "https://shop.example/8018/1"
    event = {**WAY[0], "epcList": [STENT, doctor, order]}
    write_events(tmp_path, [event])

    (found,) = read_events(tmp_path, KEY)
    assert json.loads(found.data[13:])["epcList"] == [STENT, doctor, order]


def test_the_pseudonym_is_the_one_of_the_tables():
    connection = connect()
    make_macros(connection, KEY)
    (found,) = connection.execute(f"SELECT pseudonym('{PATIENT}')").fetchone()

    assert found == pseudonym_of(PATIENT, KEY)


def test_a_site_without_events_has_none(tmp_path):
    assert read_events(tmp_path, KEY) == []


CHANGES = {
    "type": "ward:Event",
    "eventTime": "2026-03-01",
    "recordTime": "yesterday",
    "eventTimeZoneOffset": "8",
    "action": "MOVE",
    "bizStep": "Some Step",
    "disposition": 7,
    "eventID": "7",
    "readPoint": "urn:epc:id:sgln:0614141.00777.0",
    "bizLocation": {"id": "here"},
    "epcList": ["614141"],
    "quantityList": [{"epcClass": "urn:epc:class:x", "quantity": "2"}],
    "parentID": "x",
    "childEPCs": ["614141"],
    "childQuantityList": [{"quantity": 2}],
    "inputEPCList": [STENT, STENT],
    "inputQuantityList": [{"epcClass": "x"}],
    "outputEPCList": STENT,
    "outputQuantityList": [{"epcClass": STENT, "uom": "kilogramme"}],
    "transformationID": ["urn:x:y"],
    "bizTransactionList": [{"type": "po"}],
    "sourceList": [{"type": "location"}],
    "destinationList": [{"destination": STENT}],
    "errorDeclaration": {"reason": "incorrect_data"},
    "certificationInfo": 7,
    "ilmd": {"lot": "AB"},
    "persistentDisposition": {},
    "sensorElementList": [{"sensorReport": [{"value": 4.5}]}],
    "@context": 7,
    "hetao:person": 7,
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("field", CHANGES)
def test_what_is_not_as_epcis_has_it_is_refused(tmp_path, field, kind):
    """A field that is wrong, or another type's: neither is taken."""
    write_events(tmp_path, [{**WHOLE[kind], field: CHANGES[field]}])

    with pytest.raises(InvalidData, match=field) as caught:
        read_events(tmp_path, KEY)
    assert PATIENT not in str(caught.value)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", [PATIENT, "ChanTaiMan", "patientName", "note"])
def test_a_field_named_after_a_patient_is_not_said(tmp_path, name, kind):
    write_events(tmp_path, [{**WHOLE[kind], name: 1}])
    with pytest.raises(InvalidData, match="a field of another name") as caught:
        read_events(tmp_path, KEY)
    assert name not in str(caught.value)

    write_document(tmp_path, document_of(WAY, **{name: 1}))
    with pytest.raises(InvalidData, match="a field of another name") as caught:
        read_events(tmp_path, KEY)
    assert name not in str(caught.value)


ALWAYS = ("eventTime", "eventTimeZoneOffset")
NEEDED = {
    "ObjectEvent": {*ALWAYS, "action"},
    "AggregationEvent": {*ALWAYS, "action", "parentID"},
    "TransactionEvent": {*ALWAYS, "action", "bizTransactionList"},
    "TransformationEvent": {*ALWAYS},
    "AssociationEvent": {*ALWAYS, "action", "parentID"},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_an_event_has_what_it_must_and_may_lack_the_rest(tmp_path, kind):
    for field in {*TOLD[kind], *LEFT_OUT[kind]} - {"type"}:
        event = {name: value for name, value in WHOLE[kind].items() if name != field}
        write_events(tmp_path, [event])
        if field not in NEEDED[kind] and (field, kind) != ("action", "ObjectEvent"):
            assert len(read_events(tmp_path, KEY)) == 1
            continue
        with pytest.raises(InvalidData, match=field):
            read_events(tmp_path, KEY)


ITEMS = ("epcList", "quantityList")
CHILDREN = ("childEPCs", "childQuantityList")
INPUT = ("inputEPCList", "inputQuantityList")
OUTPUT = ("outputEPCList", "outputQuantityList")
NAME = "transformationID"
ABOUT_NOTHING = [
    ("ObjectEvent", (*ITEMS, "sensorElementList"), {}, "epcList"),
    ("ObjectEvent", (*ITEMS, "readPoint"), {}, "epcList"),
    ("ObjectEvent", ITEMS, {"sensorElementList": []}, "epcList"),
    ("ObjectEvent", ITEMS, {}, ""),  # a reading at a place
    ("ObjectEvent", (), {"action": "OBSERVE"}, "ilmd"),
    ("ObjectEvent", ("ilmd",), {"action": "DELETE"}, ""),
    ("AggregationEvent", CHILDREN, {}, "childEPCs"),
    ("AggregationEvent", CHILDREN, {"action": "DELETE"}, ""),
    ("AggregationEvent", ("parentID",), {"action": "OBSERVE"}, ""),
    ("AggregationEvent", ("parentID",), {"action": "DELETE"}, "parentID"),
    ("AssociationEvent", CHILDREN, {"action": "OBSERVE"}, "childEPCs"),
    ("AssociationEvent", CHILDREN, {"action": "DELETE"}, ""),
    ("AssociationEvent", ("parentID",), {"action": "OBSERVE"}, "parentID"),
    ("TransactionEvent", ITEMS, {}, "epcList"),
    ("TransactionEvent", ITEMS, {"action": "DELETE"}, ""),
    ("TransactionEvent", (), {"bizTransactionList": []}, "bizTransactionList"),
    ("TransformationEvent", (*INPUT, NAME), {}, "inputEPCList"),
    ("TransformationEvent", (*OUTPUT, NAME), {}, "outputEPCList"),
    ("TransformationEvent", INPUT, {}, ""),  # its output stands in another event
    ("TransformationEvent", (*INPUT, *OUTPUT), {}, "inputEPCList, outputEPCList"),
]


@pytest.mark.parametrize(("kind", "without", "changed", "wrong"), ABOUT_NOTHING)
def test_an_event_is_about_something(tmp_path, kind, without, changed, wrong):
    held = WHOLE[kind].items()
    event = {name: value for name, value in held if name not in without} | changed
    write_events(tmp_path, [event])
    if not wrong:
        assert len(read_events(tmp_path, KEY)) == 1
        return

    with pytest.raises(InvalidData, match=f"event 1: {wrong} is not as EPCIS"):
        read_events(tmp_path, KEY)


@pytest.mark.parametrize(
    "field", ["@context", "creationDate", "schemaVersion", "epcisHeader", "sender"]
)
def test_a_document_is_held_to_the_standard_too(tmp_path, field):
    write_document(tmp_path, document_of(WAY, **{field: 7}))

    with pytest.raises(InvalidData, match=field):
        read_events(tmp_path, KEY)


@pytest.mark.parametrize("field", ["@context", "creationDate", "schemaVersion"])
def test_a_document_has_what_it_must(tmp_path, field):
    document = document_of(WAY)
    del document[field]
    write_document(tmp_path, document)

    with pytest.raises(InvalidData, match=field):
        read_events(tmp_path, KEY)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"type": "EPCISDocument"}', '{"type": 1, "epcisBody": {}}'],
)
def test_another_file_is_no_document(tmp_path, text):
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "x.json").write_text(text)

    with pytest.raises(InvalidData, match="no EPCIS"):
        read_events(tmp_path, KEY)


def test_a_number_that_json_does_not_have_is_refused(tmp_path):
    text = json.dumps(document_of([WHOLE["ObjectEvent"]])).replace("4.5", "NaN", 1)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "x.json").write_text(text)

    with pytest.raises(InvalidData, match="no EPCIS"):
        read_events(tmp_path, KEY)


@pytest.mark.parametrize("field", ["hetao:person", "epcList", "type"])
def test_a_name_that_stands_twice_in_an_object_is_refused(tmp_path, field):
    """One reader takes the first, another the last: of two patients either."""
    event = {**WAY[0], "hetao:person": PATIENT}
    text = json.dumps(document_of([event]))
    once = f'"{field}": {json.dumps(event[field])}'
    assert once in text
    (tmp_path / "events").mkdir()
    twice = text.replace(once, f'"{field}": "x", {once}')
    (tmp_path / "events" / "x.json").write_text(twice)

    with pytest.raises(InvalidData, match="each name once"):
        read_events(tmp_path, KEY)


def test_what_is_no_file_is_refused_and_waited_for_by_nobody(tmp_path):
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / "x.json"
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to(tmp_path / "gone")):
        make()
        with pytest.raises(InvalidData, match=r"x\.json is no file"):
            read_events(tmp_path, KEY)
        path.unlink()
