"""Parsers to fuzz: of files about money, studies, goods and plans that people write."""

import functools
import json
import tempfile
from pathlib import Path

from hetao.anchor import read_stamp
from hetao.anchor.stamp import Stamp
from hetao.canonical import canonical
from hetao.cdm.epcis import read_events
from hetao.cohort.circe_native import translate
from hetao.federation.propose_crossing import read_crossing
from hetao.permit import Identity, Statement, new_identity
from hetao.settlement import accepted, attest, read_contract
from hetao.study.circe_file import read_circe
from hetao.study.terms import parse_criterion, parse_term
from support_circe import counted, entry, first, group, rules
from support_epcis import KEY, WAY, WHOLE, write_events
from support_parsers import Parsers, of_file, of_text, signed_by
from support_permit import NOW

CROSSING = b"""crossing = "capital"
number = "grant-7"
study = "sha256:5555555555555555555555555555555555555555555555555555555555555555"
purpose = "the second part of the grant"
sites = ["hospital-hk"]
receivers = ["hospital-sz"]
[[limits]]
unit = "HKD-cents"
most = 100
site = "hospital-hk"
"""
CONTRACT = """name = "stroke-2026"
study = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
currency = "HKD"
quorum = 2

[payer]
name = "sponsor"
side = "HK"
owner = "Example Sponsor Limited"
number = "012-345-678901-002"
bank = "HSBCHKHHHKH"

[[payees]]
name = "hospital"
side = "SZ"
owner = "深圳示例医院"
number = "6222020000001234567"
bank = "ICBKCNBJSZN"
{attestors}
[[milestones]]
name = "curated"
payee = "hospital"
says = "The extract is curated."
amount = 12345
units = 40
"""


def written_contract(attestors: list[Identity]) -> bytes:
    """Return a contract whose milestones these people attest."""
    blocks = [
        f'[[attestors]]\nname = "{one.name}"\norganisation = "Audit {one.name}"\n'
        f'sign = "{one.sign_public}"\n'
        for one in attestors
    ]
    return CONTRACT.format(attestors="\n".join(blocks)).encode()


@functools.cache
def of_settlement() -> Parsers:
    """Return the parsers of contracts, attestations and an anchor's stamps."""
    attestors = [new_identity(f"attestor-{n}") for n in (1, 2)]
    text = written_contract(attestors)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contract.toml"
        path.write_bytes(text)
        contract = read_contract(path)
    evidence = "sha256:" + "ab" * 32
    said, other = (attest(contract, one, "curated", evidence, NOW) for one in attestors)

    def attested(one: Statement) -> object:
        return accepted(contract, "curated", [one, other])

    stamp = Stamp("rfc3161", "ab" * 32, "https://tsa.example", "AAAA")
    return {
        "contract": (of_file(read_contract, "contract.toml"), text),
        "attestation": (signed_by(attestors[0], attested), canonical(said.body)),
        "stamp": (of_file(lambda path: read_stamp(path).raw, "stamp.json"), stamp.data),
    }


@functools.cache
def of_studies() -> Parsers:
    """Return the parsers of what a study says in others' words, and in its own."""
    visits = group(counted(entry("VisitOccurrence", 5), -30, 0))
    definition = first(InclusionRules=rules(visits))
    return {
        "CIRCE definition": (
            of_file(lambda path: translate(read_circe(path).definition), "cohort.json"),
            json.dumps(definition).encode(),
        ),
        "criterion": (of_text(parse_criterion), b"age_years >= 18"),
        "term": (of_text(parse_term), b"ns(log(bmi), knots = c(22, 30))"),
    }


@functools.cache
def of_plans() -> Parsers:
    """Return the parsers of goods' events, and of a crossing that is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        document = write_events(Path(folder), [*WAY, *WHOLE.values()])
    return {
        "EPCIS document": (
            of_file(lambda path: read_events(path.parents[1], KEY), "events/way.json"),
            json.dumps(document, ensure_ascii=False).encode(),
        ),
        "crossing": (of_file(read_crossing, "crossing.toml"), CROSSING),
    }
