"""A COSE receipt that a certificate stands in its issuer's log (RFC 9942, RFC 9943).

The same tree and the same path as in the C2SP proof, in the encoding of SCITT:
`COSE_Sign1` over the root, with the inclusion proof in its unprotected header, and the
root left out, since whoever verifies reckons it from the entry and the path. Its signer
is the log, so that only the issuer can make one. The little CBOR that it takes is
written here; nothing reads any.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hetao.dossier.code import facts_of
from hetao.dossier.own import issuers_own
from hetao.ledger.credential import did_key
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.proof import parse_proof
from hetao.permit import Identity

EDDSA: Final = -8
ALG, KID, CWT, VDS, VDP = 1, 4, 15, 395, 396  # labels of COSE headers
ISSUER, SUBJECT = 1, 2  # of a CWT's claims
RFC9162_SHA256: Final = 1
INCLUSION: Final = -1
SIGN1: Final = 18  # the tag of a COSE_Sign1


def make_receipt(certificate: bytes, issuer: Identity) -> bytes:
    """Return the receipt of a certificate's entry, `log.credential`.

    Args:
        certificate: its bytes.
        issuer: the coordinator's keys, with which its log signs.

    Raises:
        Unverified: the certificate does not verify, or is another issuer's.
    """
    value, boss = issuers_own(certificate, issuer, "make its receipt")
    proof = parse_proof(value["log"]["proof"])
    tree = parse_checkpoint(parse_note(proof.note)[0])
    name = did_key(boss.sign_key)
    subject = f"urn:hetao:certificate:{facts_of(value).body}"
    protected = encode(
        {
            ALG: EDDSA,
            KID: name.encode("ascii"),
            CWT: {ISSUER: name, SUBJECT: subject},
            VDS: RFC9162_SHA256,
        }
    )
    signed = encode(["Signature1", protected, b"", tree.root])
    inclusion = encode([tree.size, proof.index, list(proof.path)])
    signature = issuer.signing_key.sign(signed)
    unprotected = {VDP: {INCLUSION: [inclusion]}}
    return bytes([0xC0 | SIGN1]) + encode([protected, unprotected, None, signature])


def encode(value: Any) -> bytes:
    """Return the deterministic CBOR (RFC 8949 4.2.1) of a value.

    Args:
        value: None, an int within 64 bits, bytes, text, a list or a mapping of these.
    """
    match value:
        case None:
            return b"\xf6"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            data = value.encode()
            return _head(3, len(data)) + data
        case Mapping():
            pairs = sorted((encode(key), encode(item)) for key, item in value.items())
            return _head(5, len(pairs)) + b"".join(k + item for k, item in pairs)
        case Sequence():
            return _head(4, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"no CBOR of a {type(value).__name__}")


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes([kind << 5 | number])
    size = next(i for i in range(4) if number < 1 << 8 * (1 << i))
    return bytes([kind << 5 | 24 + size]) + number.to_bytes(1 << size, "big")
