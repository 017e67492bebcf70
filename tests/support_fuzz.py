"""Every parser of what comes from outside, each with a true input to bend."""

import base64
import functools
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.canonical import canonical
from hetao.cdm import read_site
from hetao.federation.reports import Report, report_from
from hetao.ledger.account import Account, account_from
from hetao.ledger.credential import read_credential, sign_credential
from hetao.ledger.fraud import fraud_between, parse_fraud
from hetao.ledger.merkle import consistency_path, inclusion_path, leaf_hash, root
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    Verifier,
    cosign,
    parse_checkpoint,
    parse_vkey,
    sign_checkpoint,
    verify_cosignature,
    verify_note,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.proof import Proof, parse_proof
from hetao.ledger.redaction import Redaction, parse_redaction, redaction_entry
from hetao.ledger.submission import Submission, parse_submission
from hetao.ledger.tiles import pack as pack_entries
from hetao.ledger.tiles import unpack as unpack_entries
from hetao.permit import (
    Bundle,
    Directory,
    Words,
    parse_time,
    read_directory,
    read_facts,
    read_notice,
    rulebook,
    rulebook_with,
    sign_notice,
    statement_from,
    write_directory,
)
from hetao.permit.passkey import Assertion, assertion_from
from hetao.release import read_policy
from hetao.study import read_study
from support_fuzz_asked import of_auditors, of_minimised, of_revoked, of_signers
from support_fuzz_chains import of_chains
from support_fuzz_outside import of_files, of_licences, of_readers
from support_fuzz_run import of_a_run
from support_fuzz_scitt import of_transparency
from support_fuzz_signed import of_acts, of_passkeys, of_status, of_uses
from support_fuzz_tables import of_tables
from support_fuzz_watched import of_witnesses
from support_fuzz_written import of_plans, of_settlement, of_studies
from support_parsers import Parsers, of_file, of_object, of_text, signed_by
from support_permit import NOW, PEOPLE, VALID, Scene

SOURCE = Path(__file__).parents[1] / "src" / "hetao"
POLICY = b"""reason = "few patients"
highest_grade = 3

[minimum]
people = 40
cell = 5
share = 0.2
"""
STUDY = b"""[study]
name = "lung"
title = "Survival with lung cancer"
question = "Do women live longer?"
version = "1"
dictionary = "omop-5.4"
[sites]
members = ["a", "b", "c"]
[population]
criteria = [{ label = "Adults", rule = "age >= 18" }]
[variables.age]
kind = "number"
source = "age"
unit = "a"
bounds = [18, 100]
[variables.sex]
kind = "category"
source = "sex"
levels = { male = 8507, female = 8532 }
[variables.ecog]
kind = "number"
source = "measurement"
concepts = [2000000101]
unit = "{score}"
bounds = [0, 5]
[variables.died]
kind = "category"
source = "death"
levels = { no = 0, yes = 1 }
[[analyses]]
name = "model"
method = "logistic"
outcome = "died"
terms = ["1", "ns(age, df = 3)", "sex:ecog"]
"""
SITE = SOURCE / "demo" / "lung" / "lung-east" / "site.toml"
PACK = SOURCE / "permit" / "rules" / "ethics.toml"

FACTS = b"""
[request]
crossing = "data"
[route]
leaves_mainland = true
[counts]
sensitive_since_1_january = 150
[use]
codes = ["GRU"]
[bases]
"ethics-waiver" = { reference = "1", valid_until = 2027-01-01 }
"""


def two_rules(pack: bytes) -> bytes:
    """Return what a pack of rules says of itself, and its first two rules."""
    return b"[[rules]]".join(pack.split(b"[[rules]]")[:3])


def parsers() -> Parsers:
    """Return name → (parser, a true input)."""
    return {
        **of_a_run(),
        **of_words(),
        **of_a_log(),
        **of_own_files(),
        **of_uses(),
        **of_passkeys(),
        **of_status(),
        **of_acts(),
        **of_settlement(),
        **of_studies(),
        **of_plans(),
        **of_chains(),
        **of_licences(),
        **of_readers(),
        **of_files(),
        **of_tables(),
        **of_revoked(),
        **of_auditors(),
        **of_signers(),
        **of_minimised(),
        **of_witnesses(),
        **of_transparency(),
    }


@functools.cache
def of_words() -> Parsers:
    """Return the parsers of what people say: notices, delegations, passkeys, times."""
    scene = Scene()
    said = scene.approve_all().notices[0]
    office = ("SZ", "ethics")
    lent = scene.delegation("ethics-sz", "deputy-sz", office)
    bundle = sign_notice(
        Bundle(scene.permit),
        scene.identities["deputy-sz"],
        "approve",
        NOW,
        Words(delegation=lent),
    )

    def notice(value: dict[str, Any]) -> object:
        return read_notice(scene.permit, statement_from(value))

    assertion = Assertion(b"{}", b"a" * 37, b"s" * 64).as_signature()
    return {
        "notice": (of_object(notice), canonical(said.as_json())),
        "delegated notice": (
            of_object(notice),
            canonical(bundle.notices[0].as_json()),
        ),
        "notice signed anew": (
            signed_by(
                scene.identities["deputy-sz"],
                lambda one: read_notice(scene.permit, one),
            ),
            canonical(bundle.notices[0].body),
        ),
        "passkey's assertion": (assertion_from, base64.b64decode(assertion)),
        "time": (of_text(parse_time), b"2026-11-22T08:00:00Z"),
    }


@functools.cache
def of_a_log() -> Parsers:
    """Return the parsers of what logs and witnesses publish."""
    key = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    witness = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
    beside = MLDSA44PrivateKey.from_seed_bytes(b"\3" * 32)
    leaves = [leaf_hash(b"%d" % i) for i in range(7)]
    note = sign_checkpoint(Checkpoint("log.example", 7, root(leaves)), key)
    seen = note + cosign(note, "w.example", witness, 1_700_000_000)
    seen += cosign(note, "u.example", beside, 1_700_000_000)
    policy = (
        f"log {vkey('log.example', key.public_key())}\n"
        f"witness w {vkey('w.example', witness.public_key(), COSIGNATURE)}\n"
        f"witness u {vkey('u.example', beside.public_key(), SUBTREE)}\n"
        "group all all w u\nquorum all\n"
    ).encode()
    believed = parse_policy(policy)
    proof = Proof(3, tuple(inclusion_path(3, leaves)), seen).text

    def proved(text: str) -> object:
        return parse_proof(text).verify(b"3", believed)

    public = key.public_key()
    log_key = Verifier.of("log.example", public, LOG_SIGNATURE)
    grown = Submission(3, tuple(consistency_path(3, leaves)), note).text
    forked = [leaf_hash(b"x"), *leaves[1:]]
    other = sign_checkpoint(Checkpoint("log.example", 7, root(forked)), key)
    fraud = fraud_between(note, other)
    told = Account(note, 5, tuple(leaves[5:]), {5: b"5"})
    struck = redaction_entry(Redaction(3, leaves[3]), "log.example", key)
    return {
        "checkpoint": (
            of_text(parse_checkpoint),
            note.partition("\n\n")[0].encode() + b"\n",
        ),
        "note": (
            of_text(lambda t: verify_note(t, "log.example", public)),
            note.encode(),
        ),
        "cosignature": (
            of_text(lambda t: verify_cosignature(t, "w.example", witness.public_key())),
            seen.encode(),
        ),
        "proof of logging": (of_text(proved), proof.encode()),
        "witness policy": (parse_policy, policy),
        "vkey": (of_text(parse_vkey), vkey("log.example", public).encode()),
        "submission": (of_text(parse_submission), grown.encode()),
        "fraud proof": (
            lambda data: parse_fraud(data).verify([log_key]),
            fraud.text if fraud else b"",
        ),
        "account of a log": (of_object(account_from), canonical(told.as_json())),
        "report of logs": (report_from, Report((told,), {"a": 1}, (note,)).encoded()),
        "bundle of entries": (unpack_entries, pack_entries([b"one", b"two" * 90, b""])),
        "redaction": (
            lambda data: parse_redaction(data, "log.example", public),
            struck,
        ),
        "credential": (
            of_text(lambda t: read_credential(t, public)),
            sign_credential(key, {"iss": "did:key:a", "n": 1}).encode(),
        ),
    }


@functools.cache
def of_own_files() -> Parsers:
    """Return the parsers of files that people write, or are sent to use."""
    book = rulebook()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parties.toml"
        scene, four = Scene(), PEOPLE[:4]
        keys = tuple(scene.identities[one.name].key(one.name, VALID) for one in four)
        write_directory(path, Directory(scene.permit.parties[:2], four, keys))
        parties = path.read_bytes()
    return {
        "study file": (of_file(read_study, "study.toml"), STUDY),
        "policy": (of_file(read_policy, "policy.toml"), POLICY),
        "site file": (of_file(read_site, "site.toml"), SITE.read_bytes()),
        "parties": (of_file(read_directory, "parties.toml"), parties),
        "rule pack": (
            of_file(lambda path: rulebook_with(path.parent), "own.toml"),
            two_rules(PACK.read_bytes()).replace(b'id = "', b'id = "own-'),
        ),
        "facts": (
            of_file(
                lambda path: read_facts(path, book.facts, set(book.instruments)),
                "facts.toml",
            ),
            FACTS,
        ),
    }
