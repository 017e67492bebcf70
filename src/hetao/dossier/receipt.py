"""A COSE receipt that a certificate stands in its issuer's log (RFC 9942, RFC 9943).

The same tree and the same path as in the C2SP proof, in the encoding of SCITT:
`COSE_Sign1` over the root, with the inclusion proof in its unprotected header, and the
root left out, since whoever verifies reckons it from the entry and the path. Its signer
is the log, so that only the issuer can make one.
"""

from hetao.dossier.code import facts_of
from hetao.dossier.own import issuers_own
from hetao.ledger import cose
from hetao.ledger.cbor import encode
from hetao.ledger.credential import did_key
from hetao.ledger.note import parse_checkpoint, parse_note
from hetao.ledger.proof import parse_proof
from hetao.permit import Identity


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
    headers = {
        cose.KID: name.encode("ascii"),
        cose.CWT: {cose.ISSUER: name, cose.SUBJECT: subject},
        cose.VDS: cose.RFC9162_SHA256,
    }
    inclusion = encode([tree.size, proof.index, list(proof.path)])
    unprotected = {cose.VDP: {cose.INCLUSION: [inclusion]}}
    key = issuer.signing_key
    return cose.sign(headers, tree.root, key, unprotected, detached=True).data
