"""A certificate as a claim of ERC-735, which a tokenisation platform may take.

An ERC-3643 token asks an identity registry, and that the claims of identities. This
makes one claim, over 32 bytes: the digest of the certificate's body. Nothing here talks
to a chain, holds a token, or says that one may be issued: in the Mainland that is
forbidden without an approval (Document 42 of 6 February 2026), so that the export is
refused to its side; in Hong Kong ask counsel. A licence needs no token.

Source: ERC-735; ONCHAINID 2.2, `ClaimIssuer.isClaimValid`. Test:
`tests/contract/test_erc3643.py`, against the published contracts on a real node.
"""

from dataclasses import dataclass
from typing import Any, Final

from hetao.anchor.node import evm_library
from hetao.canonical import digest, parse_canonical
from hetao.errors import AnchorForbidden
from hetao.ledger.certificate import verify_certificate

TYPE: Final = "hetao.erc3643/1"
TOPIC: Final = "urn:hetao:certificate"  # its keccak-256 is the claim's topic
ECDSA: Final = 1


@dataclass(frozen=True)
class Place:
    """Where a claim is to stand.

    Attributes:
        chain: the chain's number (EIP-155).
        identity: address of the identity contract of the asset, or of its holder.
        issuer: address of the claim issuer's contract, which lists the signing key.
    """

    chain: int
    identity: str
    issuer: str


def make_claim(
    certificate: bytes, place: Place, key: bytes, side: str
) -> dict[str, Any]:
    """Return a signed claim over a certificate's digest, and what a registry trusts.

    Args:
        certificate: its bytes.
        place: where the claim is to stand.
        key: 32 bytes, of the claim issuer.
        side: of whoever exports, "HK" or "SZ".

    Raises:
        AnchorForbidden: the side may not.
        Unverified: the certificate does not verify.
    """
    if side != "HK":
        raise AnchorForbidden(
            "a claim for a token is made by parties of the Hong Kong side alone",
            fix="use a licence: `hetao licence issue`",
        )
    verify_certificate(certificate)
    body = digest(parse_canonical(certificate)["body"]).partition(":")[2]
    account, utils = evm_library("eth_account"), evm_library("eth_utils")
    topic = int.from_bytes(utils.keccak(text=TOPIC), "big")
    data = bytes.fromhex(body)
    said = utils.keccak(
        evm_library("eth_abi").encode(
            ["address", "uint256", "bytes"], [place.identity, topic, data]
        )
    )
    signer = account.Account.from_key(key)
    # isClaimValid takes the hash as 32 bytes of an Ethereum message (EIP-191).
    message = account.messages.encode_defunct(primitive=said)
    signature = bytes(signer.sign_message(message).signature)
    return {
        "chain": place.chain,
        "claim": {
            "data": "0x" + body,
            "identity": place.identity,
            "issuer": place.issuer,
            "scheme": ECDSA,
            "signature": "0x" + signature.hex(),
            "topic": hex(topic),
            "uri": "",
        },
        "registry": {
            "claimTopics": [hex(topic)],
            "signer": signer.address.lower(),
            "trustedIssuers": [{"issuer": place.issuer, "topics": [hex(topic)]}],
        },
        "type": TYPE,
    }
