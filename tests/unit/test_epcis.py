"""Devices and drugs from the maker to the ward, as leaves beside the acts."""

import copy
import json

import pytest

from hetao.cdm.committing import acts_folder, commit_acts
from hetao.cdm.engine_duckdb import DuckDBEngine, connect, connect_read_only
from hetao.cdm.epcis import pseudonym_of, read_events
from hetao.cdm.extract import Extract
from hetao.cdm.macros import make_macros
from hetao.cdm.store import Manifest
from hetao.errors import InvalidData
from support_acts import write_acts
from support_epcis import KEY, PATIENT, STENT, WAY, write_events

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


def test_no_identifier_of_a_patient_is_in_an_event(tmp_path):
    write_events(tmp_path)
    events = read_events(tmp_path, KEY)

    assert len(events) == 6
    assert any(STENT.encode() in event.data for event in events)
    for event in events:
        assert PATIENT.encode() not in event.data
        assert b"free text" not in event.data


def test_the_pseudonym_is_the_one_of_the_tables():
    connection = connect()
    make_macros(connection, KEY)
    (found,) = connection.execute(f"SELECT pseudonym('{PATIENT}')").fetchone()

    assert found == pseudonym_of(PATIENT, KEY)


def test_a_site_without_events_has_none(tmp_path):
    assert read_events(tmp_path, KEY) == []


CHANGES = {
    "type": "TransformationEvent",
    "eventTime": "2026-03-01",
    "eventTimeZoneOffset": "8",
    "action": "MOVE",
    "bizStep": "Some Step",
    "readPoint": "urn:epc:id:sgln:0614141.00777.0",
    "epcList": ["614141"],
    "quantityList": [{"epcClass": "urn:epc:class:x", "quantity": "2"}],
    "sourceList": [{"type": "location"}],
    "patientName": "x",
    "hetao:person": 7,
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_is_not_as_epcis_has_it_is_refused(tmp_path, field):
    event = copy.deepcopy(WAY[-1])
    event[field] = CHANGES[field]
    write_events(tmp_path, [event])

    with pytest.raises(InvalidData) as caught:
        read_events(tmp_path, KEY)
    assert PATIENT not in str(caught.value)


@pytest.mark.parametrize(
    "field", ["eventTime", "eventTimeZoneOffset", "action", "epcList"]
)
def test_an_object_event_has_what_it_must(tmp_path, field):
    event = {name: value for name, value in WAY[0].items() if name != field}
    write_events(tmp_path, [event])

    with pytest.raises(InvalidData, match=field):
        read_events(tmp_path, KEY)


@pytest.mark.parametrize("field", ["parentID", "childEPCs"])
def test_an_aggregation_has_what_it_must(tmp_path, field):
    event = {name: value for name, value in WAY[1].items() if name != field}
    write_events(tmp_path, [event])

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
