"""A SCITT transparency service (RFC 9943): a log of others' signed statements.

It is sent one statement, `COSE_Sign1` over the 32 bytes of a root (a hash envelope, RFC
9995), and gives back a receipt (RFC 9942) that the statement stands in its tree. The
statement names a key that was made for anchoring, and a fixed word; nothing else of the
log leaves. The stamp is the statement with its receipt, a transparent statement, and
verifies offline by the keys of services that the verifier trusts.
"""

import datetime
import hashlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.anchor.scrapi import register
from hetao.anchor.stamp import Stamp, Stamped, check_root
from hetao.errors import Unverified, Usage
from hetao.ledger import cose
from hetao.ledger.cbor import decode, encode
from hetao.ledger.cose import PublicKey, Sign1, read_keys, read_sign1, thumbprint
from hetao.ledger.credential import did_key, key_of_did
from hetao.ledger.merkle import leaf_hash, root_above
from hetao.ledger.note import to_base64

SUBJECT: Final = "root"  # of every statement
LONGEST_NAME: Final = 200  # characters of a service's
LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_UNDERSTOOD: Final = {cose.ALG, cose.CRITICAL, cose.KID, cose.CWT, cose.VDS}


class TransparencyService:
    """A transparency service, and the keys by which its receipts are believed."""

    def __init__(
        self,
        url: str,
        keys: Path,
        key: Ed25519PrivateKey | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the service's address and keys, and what signs.

        Args:
            url: https, up to `/entries`; "" to verify only.
            keys: a file of keys of services, as of `read_keys`; the verifier's own.
            key: made for anchoring, and nobody's otherwise; None to verify only.
            tls: how the service's server is trusted; None for the system's authorities.

        Raises:
            InvalidData: the file holds no key.
        """
        self.url, self._key, self._tls = url, key, tls
        self._keys = {thumbprint(one): one for one in read_keys(keys)}

    def stamp(self, root: bytes) -> Stamp:
        """Have the service enter a statement about a root; see `Anchor`."""
        if len(root) != 32:
            raise Usage("a root has 32 bytes")
        if self._key is None:
            raise Usage("a statement takes a key that was made for anchoring")
        statement = statement_about(root, self._key)
        given = read_sign1(register(self.url, statement.data, self._tls))
        receipt = _without_hints(given)
        where = self._signer(receipt, statement.data)
        said = replace(statement, unprotected={cose.RECEIPTS: [receipt.data]})
        stamp = Stamp("scitt", root.hex(), where, to_base64(said.data))
        self.verify(stamp, root)
        return stamp

    def verify(self, stamp: Stamp, root: bytes) -> Stamped:
        """Return which service entered this root, and when, if it says; see `Anchor`.

        Source:
            RFC 9942 4.3. Test: `tests/unit/test_scitt.py`.
        """
        # 1 kind and root  2 the statement is ours, about this root  3 the key is
        # trusted  4 the receipt is of this statement and by that key
        check_root(stamp, "scitt", root)  # 1
        said = read_sign1(stamp.raw)
        statement = replace(said, unprotected={})
        _check_statement(statement, root)  # 2
        key = self._keys.get(stamp.where)  # 3
        if key is None:
            raise Unverified("the stamp is by a service of whose key you hold none")
        receipt = _only_receipt(said)
        _check_receipt(receipt, statement.data, key)  # 4
        return Stamped(root, _time_of(receipt), _name_of(receipt) or stamp.where)

    def _signer(self, receipt: Sign1, statement: bytes) -> str:
        """Return the thumbprint of the trusted key that signed a receipt."""
        refusal = Unverified("no key vouches for the receipt")
        for name, key in self._keys.items():
            try:
                _check_receipt(receipt, statement, key)
            except Unverified as error:
                refusal = error
            else:
                return name
        raise refusal


def statement_about(root: bytes, key: Ed25519PrivateKey) -> Sign1:
    """Return all that leaves: a root, and the key that signs it."""
    return cose.sign(_headers(key.public_key()), root, key)


def _headers(key: Ed25519PublicKey) -> dict[Any, Any]:
    name = did_key(key)
    return {
        cose.KID: name.encode("ascii"),
        cose.CWT: {cose.ISSUER: name, cose.SUBJECT: SUBJECT},
        cose.PAYLOAD_HASH: cose.SHA_256,
    }


def _check_statement(statement: Sign1, root: bytes) -> None:
    """Refuse a statement that is not `statement_about` this root, by whatever key."""
    name = _claims(statement).get(cose.ISSUER)
    key = key_of_did(name if isinstance(name, str) else "")
    if statement.protected != encode({**_headers(key), cose.ALG: cose.EDDSA}):
        raise Unverified("the statement says more or less than a root")
    if statement.payload != root:
        raise Unverified("the statement is about another root")
    statement.verify(key, root)


# --- receipts -------------------------------------------------------------------------
def _without_hints(receipt: Sign1) -> Sign1:
    """Return a receipt as it is kept: with nothing unsigned beside its one proof."""
    proofs = receipt.unprotected.get(cose.VDP)
    found = proofs.get(cose.INCLUSION) if isinstance(proofs, dict) else None
    match found:
        case [bytes(proof)]:
            kept = {cose.VDP: {cose.INCLUSION: [proof]}}
            return replace(receipt, unprotected=kept)
    raise Unverified("the receipt holds not one proof that the statement is in a tree")


def _only_receipt(said: Sign1) -> Sign1:
    """Return the receipt in a transparent statement, both in their one spelling."""
    match said.unprotected:
        case {cose.RECEIPTS: [bytes(data)], **rest} if not rest:
            receipt = read_sign1(data)
            if _without_hints(receipt).data == data:
                return receipt
    raise Unverified("the statement holds something else than its one receipt")


def _check_receipt(receipt: Sign1, statement: bytes, key: PublicKey) -> None:
    """Return when this key signed a tree in which the statement stands.

    Raises:
        Unverified: it did not.
    """
    headers = receipt.headers
    if headers.get(cose.VDS) != cose.RFC9162_SHA256 or receipt.payload is not None:
        raise Unverified("the receipt is of another kind than RFC9162_SHA256")
    critical = headers.get(cose.CRITICAL, [cose.VDS])
    if not isinstance(critical, list) or not critical:
        raise Unverified("the receipt's critical headers are malformed")
    if any(type(one) is not int for one in critical) or not (
        set(critical) <= _UNDERSTOOD & headers.keys()
    ):
        raise Unverified("the receipt holds a critical header that is not understood")
    size, index, path = _proof_of(receipt)
    for entry in _entries(statement):
        reached = root_above(index, size, leaf_hash(entry), path)
        try:
            receipt.verify(key, reached)
        except Unverified as error:
            refusal = error
        else:
            return
    raise Unverified("the receipt is by another key, or not of this statement") from (
        refusal
    )


def _entries(statement: bytes) -> Iterator[bytes]:
    """Yield what a service may have entered: no RFC says which of the two."""
    yield statement
    yield hashlib.sha256(statement).digest()


def _proof_of(receipt: Sign1) -> tuple[int, int, Sequence[bytes]]:
    proofs = receipt.unprotected[cose.VDP]
    match decode(proofs[cose.INCLUSION][0]):
        case [int(size), int(index), list(path)]:
            return size, index, path
    raise Unverified("the receipt's proof is not size, index and path")


def _claims(message: Sign1) -> dict[Any, Any]:
    found = message.headers.get(cose.CWT, {})
    if not isinstance(found, dict):
        raise Unverified("the claims of a message are no mapping")
    return found


def _time_of(receipt: Sign1) -> datetime.datetime | None:
    """Return when a receipt says that it was issued; None where it does not say."""
    at = _claims(receipt).get(cose.ISSUED_AT)
    if at is None:
        return None
    if type(at) is not int or not 0 <= at <= LAST_SECOND:
        raise Unverified("the receipt's time is none")
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _name_of(receipt: Sign1) -> str:
    """Return what the service calls itself; "" where it does not say."""
    name = _claims(receipt).get(cose.ISSUER, "")
    if not isinstance(name, str) or not name.isprintable():
        raise Unverified("the service's name is none")
    if len(name) > LONGEST_NAME:
        raise Unverified("the service's name is longer than such a name is")
    return name
