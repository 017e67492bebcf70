"""SD-JWT (RFC 9901): signed claims of which a holder may hide parts.

    <JWS>~<disclosure>~<disclosure>~                  as issued
    <JWS>~<disclosure>~<key binding>                  as presented by who holds a key

An issuer signs digests of what can be hidden, each behind 128 bits of salt; a holder
hands on the disclosures that a reader is to see. Two kinds are written and read:
elements of an array, and fields of the claims themselves.
"""

import datetime
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from hetao.canonical import canonical, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.credential import did_key, from_url64, url64

TYPE: Final = "dc+sd-jwt"
BINDING: Final = "kb+jwt"
SALT_BYTES: Final = 16
LARGEST: Final = 2**22  # characters
FRESH: Final = 300  # seconds that a key binding is taken for

Salter = Callable[[], str]
_OWN: Final = ("_sd", "_sd_alg")


def fresh_salt() -> str:
    """Return 128 random bits as base64url."""
    return url64(secrets.token_bytes(SALT_BYTES))


def hide(value: Any, salt: Salter) -> tuple[dict[str, str], str]:
    """Return what stands for an array's element, and its disclosure."""
    part = url64(canonical([salt(), value]))
    return {"...": _digest(part)}, part


def sign(
    claims: Mapping[str, Any],
    hidden: Mapping[str, Any],
    parts: Sequence[str],
    key: Ed25519PrivateKey,
    salt: Salter = fresh_salt,
) -> str:
    """Return an SD-JWT with every disclosure.

    Args:
        claims: what everybody reads, elements that `hide` put there among them.
        hidden: fields that the holder may hide.
        parts: the disclosures of the elements.
        key: the issuer's.
        salt: a new salt at each call.
    """
    own = [url64(canonical([salt(), name, value])) for name, value in hidden.items()]
    table = {**claims, "_sd_alg": "sha-256"}
    if own:  # sorted: their order would tell which is which
        table["_sd"] = sorted(map(_digest, own))
    token = _signed(_header(key.public_key()), table, key)
    return "~".join([token, *parts, *own]) + "~"


def present(text: str, shows: Callable[[Any], bool]) -> str:
    """Return an SD-JWT with only the disclosures whose value is to be shown.

    Args:
        text: an SD-JWT.
        shows: is asked of each hidden element, and of the name of each hidden field.

    Raises:
        Unverified: it is no SD-JWT.
    """
    token, *parts = _split(text)
    kept = [
        part for part in parts if shows(_opened(part)[-2 if _is_field(part) else -1])
    ]
    return "~".join([token, *kept]) + "~"


def bind(
    text: str, key: Ed25519PrivateKey, audience: str, nonce: str, now: datetime.datetime
) -> str:
    """Return what is to be presented, signed by its holder for one reader and once.

    Source:
        RFC 9901 4.3. Test: `tests/unit/test_licence.py`.
    """
    claims = {
        "aud": audience,
        "iat": int(now.timestamp()),
        "nonce": nonce,
        "sd_hash": _digest(text),
    }
    return text + _signed({"alg": "EdDSA", "typ": BINDING}, claims, key)


def read(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what an SD-JWT without key binding says, hidden parts left out.

    Raises:
        Unverified: the issuer did not sign it, or a disclosure is not of it, stands
            twice, or is malformed.

    Source:
        RFC 9901 7.1, for elements of arrays and fields at the top. Test:
        `tests/spec/test_dossier.py`.
    """
    token, *parts = _split(text)
    claims = _verified(token, _header(key), key)
    if claims.get("_sd_alg") != "sha-256" or not isinstance(
        claims.get("_sd", []), list
    ):
        raise Unverified("the claims are not those of an SD-JWT")
    there = {_digest(part): part for part in parts}
    if len(there) != len(parts):
        raise Unverified("a disclosure stands twice")
    found = {
        field: [*_shown(item, there)] if isinstance(item, list) else item
        for field, item in claims.items()
        if field not in _OWN
    }
    for digest in claims.get("_sd", []):
        if isinstance(digest, str) and digest in there:
            name, value = _field(there.pop(digest))
            if name in found or name in ("...", *_OWN):
                raise Unverified("a disclosure says what is said elsewhere")
            found[name] = value
    if there:
        raise Unverified("a disclosure is not of this SD-JWT")
    return found


def hidden_in(text: str) -> int:
    """Return how many parts of an SD-JWT that was read before are not shown."""
    token, *parts = _split(text)
    claims = parse_canonical(from_url64(token.split(".")[1]))
    lists = [item for item in claims.values() if isinstance(item, list)]
    elements = [one for item in lists for one in item if isinstance(one, dict)]
    return len(elements) + len(claims.get("_sd", [])) - len(parts)


def unbind(
    text: str, key: Ed25519PublicKey, audience: str, nonce: str, now: datetime.datetime
) -> str:
    """Return the SD-JWT of a presentation that its holder signed for this reader.

    Raises:
        Unverified: the holder did not, or for another reader, nonce, time or choice.
    """
    if not text.isascii():
        raise Unverified("a presentation is ASCII")
    bare, _, token = text.rpartition("~")
    claims = _verified(token, {"alg": "EdDSA", "typ": BINDING}, key)
    issued = claims.get("iat")
    expected = {"aud": audience, "iat": issued, "nonce": nonce,
                "sd_hash": _digest(bare + "~")}  # fmt: skip
    if claims != expected or type(issued) is not int:
        raise Unverified("the key binding is for another reader, nonce or choice")
    if abs(now.timestamp() - issued) > FRESH:
        raise Unverified("the key binding is not of now")
    return bare + "~"


def _signed(
    header: Mapping[str, str], claims: Mapping[str, Any], key: Ed25519PrivateKey
) -> str:
    signed = f"{url64(canonical(header))}.{url64(canonical(claims))}"
    return f"{signed}.{url64(key.sign(signed.encode('ascii')))}"


def _verified(
    token: str, header: Mapping[str, str], key: Ed25519PublicKey
) -> dict[str, Any]:
    signed, _, last = token.rpartition(".")
    head, _, payload = signed.partition(".")
    if from_url64(head) != canonical(header):
        raise Unverified("the header is not that of an SD-JWT by EdDSA under this key")
    try:
        key.verify(from_url64(last), signed.encode("ascii"))
        claims = parse_canonical(from_url64(payload))
    except InvalidSignature as error:
        raise Unverified("the SD-JWT is not signed by its issuer") from error
    except HetaoError as error:
        raise Unverified("the claims are not canonical JSON") from error
    if not isinstance(claims, dict):
        raise Unverified("the claims are not those of an SD-JWT")
    return claims


def _shown(items: list[Any], there: dict[str, str]) -> Iterator[Any]:
    for item in items:
        if not isinstance(item, dict) or set(item) != {"..."}:
            yield item
        elif isinstance(item["..."], str) and item["..."] in there:
            opened = _opened(there.pop(item["..."]))
            if len(opened) != 2:
                raise Unverified("a disclosure is not a salt and a value")
            yield opened[1]


def _field(part: str) -> tuple[str, Any]:
    match _opened(part):
        case [_, str(name), value]:
            return name, value
    raise Unverified("a disclosure is not a salt, a name and a value")


def _is_field(part: str) -> bool:
    return len(_opened(part)) == 3


def _header(key: Ed25519PublicKey) -> Mapping[str, str]:
    name = did_key(key)
    kid = f"{name}#{name.removeprefix('did:key:')}"
    return {"alg": "EdDSA", "kid": kid, "typ": TYPE}


def _digest(part: str) -> str:
    return url64(hashlib.sha256(part.encode("ascii")).digest())


def _opened(part: str) -> list[Any]:
    try:
        value = json.loads(from_url64(part))
    except (ValueError, RecursionError) as error:
        raise Unverified("a disclosure is not JSON") from error
    if not isinstance(value, list) or not 2 <= len(value) <= 3:
        raise Unverified("a disclosure is not a salt and a value")
    return value


def _split(text: str) -> list[str]:
    if len(text) > LARGEST or not text.isascii() or not text.endswith("~"):
        raise Unverified("an SD-JWT is ASCII, ends with a tilde, and is below 4 MiB")
    return text[:-1].split("~")
