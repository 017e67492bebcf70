"""Whatever bytes come, every parser reads them or refuses them in our words.

`make fuzz` tries a million at each; here a seeded few.
"""

import argparse
import json
import re
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
    "study",
    "release record",
    "vote",
    "news",
    "letters",
    "batch of letters",
    "certificate",
    "certificate signed anew",
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
    "lists shown to a hub",
    "answer of a hub",
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
    "orders of an escrow",
    "word of an attestor",
    "key of a chain",
    "answers about a root",
    "answers about an escrow",
    "terms of a licence",
    "licence",
    "licence signed anew",
    "tile of a log",
    "time-stamp",
    "roots of an authority",
    "key of a party",
    "opening of an allocation",
    "network of a site",
    "trial",
    "plan of watching",
    "made-up sites",
    "made-up effects",
    "delegation in a file",
    "sample of acts",
    "field of an analysis",
    "formula",
    "table in CSV",
    "table in HTML",
    "table in a workbook",
    "table in JSON lines",
    "table in Parquet",
    "list of codes",
    "list of units",
    "certificate of a revoked study",
    "revoked study signed anew",
    "revoked study in one file",
    "ask of an auditor",
    "draw of acts",
    "answers of a signing service",
    "keys of three kinds",
    "enrolled of a trial",
    "submission to a witness",
    "answer of a witness",
    "name of a tile",
    "transparent statement",
    "receipt of a statement signed anew",
    "keys of a transparency service",
    "answer of a transparency service",
)
DEAR = 40  # of a certificate and what is made of it, up to 50 ms each
INPUTS = 400
BIG = (
    "certificate",
    "certificate signed anew",
    "certificate in one file",
    "certificate of a revoked study",
    "revoked study signed anew",
    "revoked study in one file",
    "findings to be checked",
    "word of an attestor",
    "licence",
    "licence signed anew",
    "table in CSV",
    "table in HTML",
    "table in a workbook",
    "table in JSON lines",
    "table in Parquet",
)
EPCIS = {"type": "EPCISDocument", "schemaVersion": "2.0"}
# What once ended a parser in an error that is not ours.
MENDED = {
    "an event of a kind that is a list": (
        "EPCIS document",
        lambda _: json.dumps(EPCIS | {"epcisBody": {"eventList": [{"type": ["a"]}]}}),
    ),
    "a patient's identifier that is no text": (
        "EPCIS document",
        lambda true: true.replace("H123456(7)", "\\ud800"),
    ),
    "a key of a kind that nobody knows": (
        "key of a party",
        lambda true: true.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2X/"),
    ),
    "a key of another length than its kind's": (
        "key of a party",
        lambda true: true.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vv"),
    ),
    "a key of zeros": ("key of a chain", lambda _: "0" * 64),
    "a key beyond the curve": ("key of a chain", lambda _: "f" * 64),
    "a slope beyond every float": (
        "made-up effects",
        lambda true: true.replace(
            "log_hazard_ratio = -0.357", "log_hazard_ratio = " + "9" * 400
        ),
    ),
    "slopes that are no table": (
        "made-up effects",
        lambda true: re.sub("hazard = {.*?}", "hazard = 1", true),
    ),
    "an address of brackets": (
        "network of a site",
        lambda true: true.replace("https://127.0.0.1:8441", "https://["),
    ),
    "a time beyond every calendar": (
        "answers about a root",
        lambda true: true.replace("0000", "ffff"),
    ),
    "code that is none": (
        "answers about a root",
        lambda true: json.dumps(
            json.loads(true) | {"eth_getCode": None}, separators=(",", ":")
        ),
    ),
    "an escrow that ends before 1970": (
        "orders of an escrow",
        lambda true: true.replace("2027-06-30", "1927-06-30"),
    ),
    "an escrow on a chain below zero": (
        "orders of an escrow",
        lambda true: true.replace('"chain":7', '"chain":-7'),
    ),
    "a chain of more blocks than can be": (
        "answers about an escrow",
        lambda true: true.replace('"0x70"', f'"0x{"f" * 60}"'),
    ),
    "a licence until beyond every calendar": (
        "licence signed anew",
        lambda true: re.sub('"exp":[0-9]+', '"exp":9007199254740991', true),
    ),
    "a licence for findings without names": (
        "licence signed anew",
        lambda true: re.sub('"places":.*?]', '"places":[1]', true),
    ),
    "a batch that is cut short": ("batch of letters", lambda true: true[:40]),
}


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_read_or_refused(name, record_property):
    inputs = DEAR if name in BIG else INPUTS

    read, refused = fuzz.fuzzed(parsers(), inputs, 1, [name])[name]

    record_property("figure", f"{name}: 0 crashes in {inputs}")
    assert read + refused == inputs
    assert refused > inputs / 4


@pytest.mark.parametrize("what", MENDED)
def test_what_once_crashed_a_parser_is_refused(what):
    name, bend = MENDED[what]
    parse, true = parsers()[name]
    data = bend(true.decode("latin-1")).encode("latin-1")
    assert data != true

    with pytest.raises(HetaoError):
        parse(data)


def test_every_parser_is_tried():
    assert tuple(parsers()) == NAMES


def test_every_count_on_the_page_is_of_a_parser_and_as_it_was_counted():
    counted = fuzz.kept()

    assert set(counted) == set(NAMES)
    assert fuzz.FROM + fuzz.table(counted) + fuzz.UNTIL in fuzz.PAGE.read_text("utf-8")


def breaks(data):
    if len(data) % 7 == 0:
        raise KeyError("a fault")
    raise HetaoError("refused")


def test_a_parser_that_crashes_is_found():
    def parse(data):
        return None if data == b"true one" else breaks(data)

    with pytest.raises(AssertionError, match="crashed"):
        fuzz.fuzzed({"bad": (parse, b"true one")}, 200, 1)


def test_a_parser_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(fuzz, "SLOW", 0.02)

    def parse(data):
        while data != b"true one":
            pass

    with pytest.raises(AssertionError, match="hung"):
        fuzz.fuzzed({"bad": (parse, b"true one")}, 1, 1)


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "BATCH", 30)
    every = {
        "bad": (lambda data: data == b"true" or breaks(data), b"true"),
        "good": (lambda data: data, b"true"),
    }
    asked = argparse.Namespace(inputs=50, seed=1, seconds=0.0, state=tmp_path / "kept")

    assert fuzz.go_on(every, tuple(every), asked) == 0  # no time
    asked.seconds = float("inf")
    faults = fuzz.go_on(every, tuple(every), asked)

    counted = fuzz.kept(asked.state)
    assert [one.inputs for one in counted.values()] == [50, 50]
    assert counted["bad"].faults == faults > 0
    assert fuzz.go_on(every, tuple(every), asked) == 0
