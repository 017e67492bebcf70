"""Whatever bytes come, every parser reads them or refuses them in our words.

`make fuzz` tries a million at each; here a seeded few.
"""

import sys
from pathlib import Path

import pytest

from hetao.errors import HetaoError
from support_fuzz import parsers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import fuzz

NAMES = (
    "permit",
    "envelope",
    "message",
    "certificate",
    "certificate signed anew",
    "study",
    "release record",
    "vote",
    "news",
    "letters",
    "list of what left",
    "findings to be checked",
    "certificate as SD-JWT",
    "certificate in one file",
    "notice",
    "delegated notice",
    "notice signed anew",
    "passkey's assertion",
    "time",
    "checkpoint",
    "note",
    "cosignature",
    "proof of logging",
    "witness policy",
    "vkey",
    "submission",
    "fraud proof",
    "account of a log",
    "report of logs",
    "bundle of entries",
    "redaction",
    "credential",
    "study file",
    "policy",
    "site file",
    "parties",
    "rule pack",
    "facts",
    "use",
    "receipt",
    "answer of a signing page",
    "signature of a service",
    "status lists",
    "status list signed anew",
    "act",
    "acts shown",
    "contract",
    "attestation",
    "stamp",
    "CIRCE definition",
    "criterion",
    "term",
    "EPCIS document",
    "crossing",
)
DEAR = 40  # of a certificate and what is made of it, up to 50 ms each
INPUTS = 400
BIG = (
    "certificate",
    "certificate signed anew",
    "certificate in one file",
    "findings to be checked",
)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_read_or_refused(name, record_property):
    inputs = DEAR if name in BIG else INPUTS

    read, refused = fuzz.fuzzed(parsers(), inputs, 1, [name])[name]

    record_property("figure", f"{name}: 0 crashes in {inputs}")
    assert read + refused == inputs
    assert refused > inputs / 4


def test_every_parser_is_tried():
    assert tuple(parsers()) == NAMES


def breaks(data):
    if len(data) % 7 == 0:
        raise KeyError("a fault")
    raise HetaoError("refused")


def test_a_parser_that_crashes_is_found():
    def parse(data):
        return None if data == b"true one" else breaks(data)

    with pytest.raises(AssertionError, match="crashed"):
        fuzz.fuzzed({"bad": (parse, b"true one")}, 200, 1)
