"""A hospital's bulk export of HL7 FHIR R4 resources, one JSON object a line.

Habits kept: several codings of one concept, references between resources, births of
which only the year is known, a resource that stands twice in two versions, conditions
entered in error, results that are no numbers (`valueString`, `dataAbsentReason`,
`comparator`), dispensing for those who go home and orders for those who stay.
"""

from pathlib import Path

from hetao.dictionary import dictionary
from hetao.synth.files import write_ndjson
from hetao.synth.here import (
    DIAGNOSIS_KEY,
    MISDATED,
    Here,
    misdated,
    twice,
    written,
)
from hetao.synth.identifiers import hkid, resident_id
from hetao.synth.reported import reported
from hetao.synth.sites import SyntheticSite

OWN_DRUGS = "http://hospital.example/drug"
OWN_TESTS = "http://hospital.example/test"
RESIDENT_CARD = "urn:oid:2.16.156.10011.1.3"
HK_CARD = "http://hospital.example/hkid"
CLASSES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def write_fhir(here: Here, site: SyntheticSite, folder: Path) -> tuple[Path, ...]:
    """Write the extract of one site that exports FHIR, and return its files.

    Args:
        here: the site's part of the population; faults put in are noted there.
        site: whose extract.
        folder: where the files go.
    """
    reported(here, site.side)
    resources = {
        "Patient": _patients(here, site.side),
        "Encounter": _encounters(),
        "Condition": _conditions(here, site.side),
        "MedicationDispense": _dispenses(here),
        "MedicationRequest": _requests(here),
        "Observation": _observations(),
        "Procedure": _procedures(),
    }
    files = tuple(
        # A member that is null is no FHIR: merging with nothing takes it away.
        write_ndjson(
            here.connection,
            f"SELECT json_merge_patch('{{}}', to_json(resource))::VARCHAR "
            f"FROM ({query})",
            folder / f"{name}.ndjson",
        )
        for name, query in resources.items()
    )
    _note(here)
    return files


def patient_id() -> str:
    """Return SQL of the logical id of a person."""
    return _id("person", "person_no")


def _id(kind: str, key: str) -> str:
    return f"left(md5('{kind} ' || ({key})), 20)"


def _subject() -> str:
    return f"{{'reference': 'Patient/' || {patient_id()}}}"


def _encounter() -> str:
    return f"{{'reference': 'Encounter/' || {_id('visit', 'visit_no')}}}"


def _system(name: str) -> str:
    return f"'{dictionary().systems[name].uri}'"


def _patients(here: Here, side: str) -> str:
    card = (
        hkid("person_no")
        if side == "HK"
        else resident_id("person_no", "sex", "birth_date")
    )
    system = HK_CARD if side == "HK" else RESIDENT_CARD
    birth = here.hits("estimated_birth", "person_no")
    partial = here.hits("partial_death", "person_no")
    died = written("death_date", "%Y-%m-%dT12:00:00+08:00", partial, "%Y-%m")
    return f"""
        SELECT {{'resourceType': 'Patient', 'id': {patient_id()},
            'identifier': [{{'system': '{system}', 'value': {card}}}],
            'name': [{{'text': 'Person ' || person_no}}],
            'gender': CASE WHEN {here.hits("unknown_sex", "person_no")} THEN 'unknown'
                WHEN sex = 'M' THEN 'male' ELSE 'female' END,
            'birthDate': {written("birth_date", "%Y-%m-%d", birth, "%Y")},
            'deceasedDateTime': {died},
            'address': [{{'district': district}}]}} AS resource
        FROM here_person ORDER BY person_no"""


def _encounters() -> str:
    return f"""
        SELECT {{'resourceType': 'Encounter', 'id': {_id("visit", "visit_no")},
            'status': 'finished',
            'class': {{'system': '{CLASSES}', 'code': CASE kind WHEN 'inpatient'
                THEN 'IMP' WHEN 'emergency' THEN 'EMER' ELSE 'AMB' END}},
            'subject': {_subject()},
            'period': {{'start': strftime(start_date, '%Y-%m-%dT09:00:00+08:00'),
                'end': strftime(end_date, '%Y-%m-%dT17:00:00+08:00')}},
            'serviceType': {{'text': specialty}}}} AS resource
        FROM here_visit ORDER BY visit_no"""


def _conditions(here: Here, side: str) -> str:
    """Write conditions; some stand again under another code, entered in error."""
    key = DIAGNOSIS_KEY
    code = "icd10cn" if side == "SZ" else "icd10"
    unknown = here.hits("unknown_code", key)
    return f"""
        SELECT {{'resourceType': 'Condition',
            'id': {_id("diagnosis", key + " || ' ' || copy")},
            'verificationStatus': {{'coding': [{{'system': '{VERIFIED}', 'code':
                CASE copy WHEN 1 THEN 'confirmed' ELSE 'entered-in-error' END}}]}},
            'code': {{'coding': [
                    {{'system': '{OWN_TESTS}/diagnosis', 'code': upper(disease)}},
                    {{'system': {_system(code)}, 'code': CASE WHEN {unknown}
                        THEN 'Z99.999x999' WHEN copy = 2 THEN 'R69'
                        ELSE {code} END}}],
                'text': names_zh_hans}},
            'subject': {_subject()}, 'encounter': {_encounter()},
            'recordedDate': CASE WHEN {here.hits("partial_date", key)}
                THEN strftime(day, '%Y-%m')
                ELSE {misdated(here, "day", "%Y-%m-%dT10:00:00+08:00", key)} END}}
                AS resource
        FROM here_diagnosis JOIN code_diseases ON code_diseases.name = disease
        {twice(here.hits("duplicate_row", key))}
        ORDER BY visit_no, rank, copy"""


def _medication(here: Here) -> str:
    return f"""{{'coding': [
            {{'system': '{OWN_DRUGS}', 'code': CASE
                WHEN {here.hits("unknown_code", "rx_no")} THEN 'ZZZZ' ELSE nhsa END}},
            {{'system': {_system("atc")}, 'code': CASE
                WHEN {here.hits("unknown_code", "rx_no")} THEN NULL ELSE atc END}}],
        'text': names_zh_hans || ' ' || strength}}"""


def _from_drugs(where: str) -> str:
    return f"""
        FROM here_drug JOIN code_drugs ON code_drugs.name = drug
        JOIN here_visit USING (visit_no, person_no)
        WHERE {where} ORDER BY rx_no"""


def _dispenses(here: Here) -> str:
    return f"""
        SELECT {{'resourceType': 'MedicationDispense', 'id': {_id("rx", "rx_no")},
            'status': 'completed', 'medicationCodeableConcept': {_medication(here)},
            'subject': {_subject()}, 'context': {_encounter()},
            'quantity': {{'value': quantity, 'unit': form}},
            'daysSupply': {{'value': days, 'unit': 'day',
                'system': 'http://unitsofmeasure.org', 'code': 'd'}},
            'whenHandedOver': strftime(day, '%Y-%m-%dT11:00:00+08:00')}} AS resource
        {_from_drugs("kind <> 'inpatient'")}"""


def _requests(here: Here) -> str:
    return f"""
        SELECT {{'resourceType': 'MedicationRequest', 'id': {_id("rx", "rx_no")},
            'status': 'completed', 'intent': 'order',
            'medicationCodeableConcept': {_medication(here)},
            'subject': {_subject()}, 'encounter': {_encounter()},
            'authoredOn': strftime(day, '%Y-%m-%dT11:00:00+08:00'),
            'dispenseRequest': {{'quantity': {{'value': quantity, 'unit': form}},
                'expectedSupplyDuration': {{'value': days, 'unit': 'day',
                    'system': 'http://unitsofmeasure.org', 'code': 'd'}}}}}} AS resource
        {_from_drugs("kind = 'inpatient'")}"""


def _observations() -> str:
    """Write results; one in a hundred stands twice, preliminary and then final."""
    return f"""
        SELECT {{'resourceType': 'Observation', 'id': {_id("lab", "lab_no")},
            'meta': {{'lastUpdated': strftime(taken_at + copy * INTERVAL 1 HOUR,
                '%Y-%m-%dT%H:%M:%S+08:00')}},
            'status': CASE copy WHEN 1 THEN 'preliminary' ELSE 'final' END,
            'code': {{'coding': [
                {{'system': '{OWN_TESTS}', 'code': ha_lis}},
                {{'system': {_system("loinc")}, 'code': loinc}}],
                'text': names_zh_hans}},
            'subject': {_subject()}, 'encounter': {_encounter()},
            'effectiveDateTime': strftime(taken_at, '%Y-%m-%dT%H:%M:%S+08:00'),
            'valueQuantity': CASE WHEN number IS NOT NULL THEN {{
                'value': number, 'unit': unit,
                'comparator': CASE WHEN fault = 'censored_value' THEN '<' END,
                'system': CASE WHEN ucum IS NOT NULL
                    THEN 'http://unitsofmeasure.org' END,
                'code': ucum}} END,
            'valueString': CASE WHEN fault = 'unreadable_value' THEN shown END,
            'dataAbsentReason': CASE WHEN fault = 'lost_value' THEN {{'coding': [
                {{'system': '{ABSENT}', 'code': 'unknown'}}]}} END}} AS resource
        FROM (SELECT *, try_cast(replace(shown, '<', '') AS DECIMAL(18,6))
            + CASE WHEN copy = 1 THEN 1 ELSE 0 END AS number
            FROM reported JOIN (VALUES (1), (2)) AS copies(copy)
                ON copy = 2 OR lab_no % 100 = 0)
        JOIN code_labs ON code_labs.name = analyte
        ORDER BY lab_no, copy"""


def _procedures() -> str:
    return f"""
        SELECT {{'resourceType': 'Procedure', 'id': {_id("procedure", "proc_no")},
            'status': 'completed', 'code': {{'coding': [
                {{'system': {_system("icd9proc")}, 'code': icd9proc}}],
                'text': names_zh_hans}},
            'subject': {_subject()}, 'encounter': {_encounter()},
            'performedDateTime': strftime(day, '%Y-%m-%d')}} AS resource
        FROM here_procedure JOIN code_procedures ON code_procedures.name = procedure
        ORDER BY proc_no"""


def _note(here: Here) -> None:
    here.note("estimated_birth", "person", "person_no")
    here.note("unknown_sex", "person", "person_no")
    here.note("partial_death", "person", "person_no", "death_date IS NOT NULL")
    for fault in (*MISDATED, "partial_date", "unknown_code"):
        here.note(fault, "diagnosis", DIAGNOSIS_KEY)
    here.note("unknown_code", "drug", "rx_no")
