"""Ed25519 public keys under which a signature proves nothing, and where they stand."""

import base64
import json
from pathlib import Path

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "ledger" / "weak_keys.json").read_text()
)
SMALL = [bytes.fromhex(one) for one in VECTORS["small_order"]]
WEAK = [*SMALL, *(bytes.fromhex(one) for one in VECTORS["other_form"])]
SPKI = bytes.fromhex("302a300506032b6570032100")  # before an Ed25519 key, in DER


def packed(raw):
    return base64.b64encode(raw).decode()


def of_party(body, raw):
    body["permit"]["permit"]["parties"][-1]["sign"] = packed(raw)


def of_person(body, raw):
    body["permit"]["permit"]["keys"][-1]["public"] = packed(raw)


def of_passkey(body, raw):
    key = body["permit"]["permit"]["keys"][-1]
    key |= {"kind": "passkey", "public": packed(SPKI + raw)}
    key["origin"] = "https://permits.example"
