"""Parsers to fuzz: of what a transparency service sends, publishes and answers."""

import functools
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.anchor import Stamp, scrapi
from hetao.anchor.scitt import TransparencyService, statement_about
from hetao.canonical import canonical
from hetao.errors import InvalidData, Unverified
from hetao.ledger import cose
from hetao.ledger.cbor import decode, encode
from hetao.ledger.cose import read_keys, thumbprint
from hetao.ledger.note import to_base64
from hetao.records import record
from support_parsers import Parsers, of_file, of_object
from support_scitt import Bent, key_set, new_keys, receipt_of

ROOT = bytes(range(32))
ANSWER = {
    "status": 303,
    "location": "/entries/1",
    "wait": "Fri, 31 Dec 2027 23:59:59 GMT",
    "body": '{"title":"Rejected"}',
}


@dataclass(frozen=True)
class Told:
    """An answer, as JSON."""

    status: int
    location: str | None
    wait: str
    body: str


def answered(value: object) -> object:
    """Return where a service sends us and how long it makes us wait, or its refusal."""
    told = record(Told, value, "answer", InvalidData)
    body = told.body.encode("utf-8", "surrogatepass")
    answer = scrapi.Answer(told.status, body, told.location, told.wait)
    if told.status >= 400:
        raise scrapi._refusal(answer)
    place = scrapi._moved("https://notary.example/entries", answer)
    return place, scrapi._seconds(answer.wait)


@functools.cache
def of_transparency() -> Parsers:
    """Return the parsers of stamps, receipts, keys and answers of a service."""
    keys = new_keys()
    own = keys["EdDSA"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.cbor"
        path.write_bytes(key_set(keys))
        trusted = TransparencyService("", path)
    statement = statement_about(ROOT, Ed25519PrivateKey.from_private_bytes(b"\5" * 32))
    entries = [b"one", b"two", statement.data]
    receipt = receipt_of(statement.data, entries, own)
    bent = Bent.of(statement.data, entries)

    def stamped(data: bytes) -> object:
        name = thumbprint(own.public_key())
        return trusted.verify(Stamp("scitt", ROOT.hex(), name, to_base64(data)), ROOT)

    def signed_anew(data: bytes) -> object:
        match decode(data):
            case [headers, unprotected, payload]:
                pass
            case _:
                raise Unverified("not three parts")
        said = encode(["Signature1", encode(headers), b"", bent.root])
        parts = [encode(headers), unprotected, payload, own.sign(said)]
        other = b"\xd2" + encode(parts)
        return stamped(replace(statement, unprotected={cose.RECEIPTS: [other]}).data)

    true = replace(statement, unprotected={cose.RECEIPTS: [receipt]})
    return {
        "transparent statement": (stamped, true.data),
        "receipt of a statement signed anew": (
            signed_anew,
            encode([bent.protected, bent.unprotected, None]),
        ),
        "keys of a transparency service": (
            of_file(read_keys, "keys.cbor"),
            key_set(keys),
        ),
        "answer of a transparency service": (of_object(answered), canonical(ANSWER)),
    }
