"""The payer's one signature: a token's permit (EIP-2612) for an escrow.

What a permit is signed over besides the terms, the token's domain, is rebuilt here from
the terms' own chain and token. A node that could choose it would have the payer sign
for another token, or another chain.
"""

import datetime
from typing import Any, Final

from hetao.anchor.node import Node, evm_library
from hetao.errors import NotAccepted, Unverified
from hetao.settlement.escrow import Placed, Terms, call_of, encode

LASTS: Final = 4 * 3600  # seconds in which a permit is good
_PERMIT: Final = (
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
_FIELDS: Final = (  # of a domain, by the bits that EIP-5267 gives them
    (1, "string name"),
    (2, "string version"),
    (4, "uint256 chainId"),
    (8, "address verifyingContract"),
    (16, "bytes32 salt"),
)
_OWN: Final = 4 | 8  # chain and token: without them a permit is good elsewhere too
_USUAL: Final = 1 | 2 | _OWN
_LONGEST: Final = 4096  # bytes of an answer about a domain


def permit_call(
    node: Node, found: Terms, placed: Placed, key: bytes, now: datetime.datetime
) -> bytes:
    """Return the call that takes all the orders' money by the payer's one signature.

    Args:
        node: of the chain; the token is asked for its domain and the payer's count.
        found: the terms.
        placed: the escrow, found by `escrow.find_escrow`.
        key: the payer's.
        now: UTC time; the permit is good for four hours.

    Raises:
        NotAccepted: the key is not the payer's.
        Unverified: the token knows no permit, or one of a domain that is not its own.
    """
    account = evm_library("eth_account").Account.from_key(key)
    if account.address.lower() != found.payer:
        raise NotAccepted("a permit is signed by the payer of the escrow")
    keccak = evm_library("eth_utils").keccak
    domain = _domain(node, found)
    count = _asked(node, found.token, "nonces(address)", found.payer)
    if len(count) != 32:
        raise _no_permit()
    deadline = min(found.seconds, int(now.timestamp()) + LASTS)
    values = [keccak(text=_PERMIT), found.payer, placed.address, found.total,
              int.from_bytes(count, "big"), deadline]  # fmt: skip
    kinds = ["bytes32", "address", "address", *["uint256"] * 3]
    signed = account.unsafe_sign_hash(
        keccak(b"\x19\x01" + domain + keccak(encode(kinds, values)))
    )
    ids = [bytes.fromhex(one.id[2:]) for one in found.orders]
    r, s = (one.to_bytes(32, "big") for one in (signed.r, signed.s))
    return call_of(
        "fund_with_permit(bytes32[],uint256,uint256,uint8,bytes32,bytes32)",
        ["bytes32[]", "uint256", "uint256", "uint8", "bytes32", "bytes32"],
        [ids, found.total, deadline, signed.v, r, s],
    )


def _domain(node: Node, found: Terms) -> bytes:
    """Return the token's domain, rebuilt; the token must say the same."""
    said = _asked(node, found.token, "DOMAIN_SEPARATOR()")
    if len(said) != 32:
        raise _no_permit()
    described = _asked(node, found.token, "eip712Domain()")
    if described:  # EIP-5267
        flags, name, version, salt = _described(described)
    else:
        flags, salt = _USUAL, bytes(32)
        name = _text(_asked(node, found.token, "name()"))
        version = _text(_asked(node, found.token, "version()")) or "1"
    keccak = evm_library("eth_utils").keccak
    fields = [field for bit, field in _FIELDS if flags & bit]
    values = [keccak(text=name), keccak(text=version), found.chain, found.token, salt]
    kinds = ["bytes32", "bytes32", "uint256", "address", "bytes32"]
    there = [place for place, (bit, _) in enumerate(_FIELDS) if flags & bit]
    own = keccak(
        keccak(text=f"EIP712Domain({','.join(fields)})")
        + encode([kinds[n] for n in there], [values[n] for n in there])
    )
    if own != said or flags & _OWN != _OWN:
        raise Unverified(
            "what the token says of its permits is not of this chain and token",
            fix="approve the escrow from the payer's wallet, and fund without a permit",
        )
    return bytes(own)


def _described(answer: bytes) -> tuple[int, str, str, bytes]:
    """Return flags, name, version and salt; chain and token are the terms'."""
    kinds = ["bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"]
    flags, name, version, _, _, salt, more = _decoded(kinds, answer)
    if more or flags[0] >= 32:
        raise _no_permit()
    return int(flags[0]), str(name), str(version), bytes(salt)


def _text(answer: bytes) -> str:
    return str(_decoded(["string"], answer)[0]) if answer else ""


def _decoded(kinds: list[str], answer: bytes) -> tuple[Any, ...]:
    library = evm_library("eth_abi")
    try:
        found: tuple[Any, ...] = library.decode(kinds, answer[:_LONGEST])
    except (library.exceptions.DecodingError, ValueError, OverflowError) as error:
        raise _no_permit() from error
    return found


def _asked(node: Node, token: str, function: str, *addresses: str) -> bytes:
    """Return the token's answer; nothing where it has no such function."""
    asked = evm_library("eth_utils").keccak(text=function)[:4]
    asked += encode(["address"] * len(addresses), list(addresses))
    try:
        return node.call(token, asked)
    except Unverified:
        return b""


def _no_permit() -> Unverified:
    return Unverified(
        "the token knows no permit",
        fix="approve the escrow from the payer's wallet, and fund without a permit",
    )
