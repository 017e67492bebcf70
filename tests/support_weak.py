"""Public keys that do nothing, to sign by and to seal to, and where they stand."""

import base64
import json
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors" / "ledger"
SPKI = bytes.fromhex("302a300506032b6570032100")  # before an Ed25519 key, in DER


def listed(name):
    """Return the keys of small order of a file of vectors, and all of its keys."""
    said = json.loads((VECTORS / name).read_text())
    small, other = (
        [bytes.fromhex(one) for one in said[kind]]
        for kind in ("small_order", "other_form")
    )
    return small, [*small, *other]


SMALL, WEAK = listed("weak_keys.json")
SMALL_SEALS, WEAK_SEALS = listed("weak_seals.json")


def packed(raw):
    return base64.b64encode(raw).decode()


def of_party(body, raw):
    body["permit"]["permit"]["parties"][-1]["sign"] = packed(raw)


def of_seal(body, raw):
    body["permit"]["permit"]["parties"][-1]["seal"] = packed(raw)


def of_person(body, raw):
    body["permit"]["permit"]["keys"][-1]["public"] = packed(raw)


def of_passkey(body, raw):
    key = body["permit"]["permit"]["keys"][-1]
    key |= {"kind": "passkey", "public": packed(SPKI + raw)}
    key["origin"] = "https://permits.example"


# Who names a key in a certificate, and a key that it must not name.
NAMED = [
    *((whose, raw) for whose in (of_party, of_person, of_passkey) for raw in WEAK),
    *((of_seal, raw) for raw in WEAK_SEALS),
]
