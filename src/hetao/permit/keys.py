"""Parties and their keys: who somebody is, by what they can sign.

Trusted: a party file says which key belongs to whom. Whoever can write a site's own
copy of it can make that site accept approvals that nobody gave.
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadSignature, InvalidNetwork
from hetao.records import read_toml, record

SIDES = ("HK", "SZ")
DOMAIN = b"hetao-statement-v1\n"  # no other protocol signs bytes that start so


@dataclass(frozen=True)
class Party:
    """A party as others know it.

    Attributes:
        name: unique; also the common name of its TLS certificate.
        side: "HK" or "SZ".
        role: "site", "hub", "coordinator", or an approver's office such as "ethics".
        organisation: who it belongs to.
        sign: Ed25519 public key, 32 bytes in base64.
        seal: X25519 public key, 32 bytes in base64; "" for approvers.
    """

    name: str
    side: str
    role: str
    organisation: str
    sign: str
    seal: str = ""

    @property
    def sign_key(self) -> Ed25519PublicKey:
        """Return the key that verifies what this party signed."""
        return Ed25519PublicKey.from_public_bytes(_raw(self.sign, self.name))

    @property
    def seal_key(self) -> X25519PublicKey:
        """Return the key to which messages for this party are sealed."""
        return X25519PublicKey.from_public_bytes(_raw(self.seal, self.name))

    @property
    def fingerprint(self) -> str:
        """Return sixteen hex digits to compare over the telephone."""
        return digest_bytes(_raw(self.sign, self.name)).removeprefix("sha256:")[:16]


def _raw(text: str, name: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidNetwork(f"{name}: a public key is not base64") from error
    if len(raw) != 32:
        raise InvalidNetwork(f"{name}: a public key is not 32 bytes")
    return raw


@dataclass(frozen=True)
class Identity:
    """A party with its own secret keys; never sent, never logged, no repr of keys."""

    name: str
    _sign: Ed25519PrivateKey
    _seal: X25519PrivateKey | None = None

    def __repr__(self) -> str:
        """Return the name only."""
        return f"Identity({self.name!r})"

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """Return the key for the party's own log."""
        return self._sign

    @property
    def has_sealing_key(self) -> bool:
        """Return whether messages can be sealed to this party."""
        return self._seal is not None

    @property
    def sealing_key(self) -> X25519PrivateKey:
        """Return the key that opens what is sealed to this party.

        Raises:
            InvalidNetwork: the party has none.
        """
        if self._seal is None:
            raise InvalidNetwork(f"{self.name} holds no sealing key")
        return self._seal

    @property
    def sign_public(self) -> str:
        """Return the public signing key in base64."""
        return base64.b64encode(self._sign.public_key().public_bytes_raw()).decode()

    @property
    def seal_public(self) -> str:
        """Return the public sealing key in base64."""
        raw = self.sealing_key.public_key().public_bytes_raw()
        return base64.b64encode(raw).decode()

    def sign(self, domain: bytes, data: bytes) -> bytes:
        """Return the 64-byte signature over `domain` followed by `data`."""
        return self._sign.sign(domain + data)

    def party(self, side: str, role: str, organisation: str) -> Party:
        """Return what others may know of this identity."""
        seal = self.seal_public if self._seal else ""
        return Party(self.name, side, role, organisation, self.sign_public, seal)


def new_identity(name: str, *, sealing: bool = True) -> Identity:
    """Return an identity with fresh keys from the operating system's randomness."""
    seal = X25519PrivateKey.generate() if sealing else None
    return Identity(name, Ed25519PrivateKey.generate(), seal)


def write_identity(folder: Path, identity: Identity) -> Path:
    """Write the secret keys as PEM files of mode 0600 and return the signing key's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identity.name}.sign.pem"
    _write_secret(path, identity.signing_key)
    if identity.has_sealing_key:
        _write_secret(folder / f"{identity.name}.seal.pem", identity.sealing_key)
    return path


def _write_secret(path: Path, key: Ed25519PrivateKey | X25519PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)


def read_identity(path: Path) -> Identity:
    """Return the identity of `NAME.sign.pem` and, if it is there, `NAME.seal.pem`.

    Raises:
        InvalidNetwork: the file is missing or holds no Ed25519 key.
    """
    name = path.name.removesuffix(".pem").removesuffix(".sign")
    sign = _read_key(path)
    if not isinstance(sign, Ed25519PrivateKey):
        raise InvalidNetwork(f"{path.name} holds no Ed25519 signing key")
    seal_path = path.with_name(f"{name}.seal.pem")
    seal = _read_key(seal_path) if seal_path.exists() else None
    if seal is not None and not isinstance(seal, X25519PrivateKey):
        raise InvalidNetwork(f"{seal_path.name} holds no X25519 sealing key")
    return Identity(name, sign, seal)


def _read_key(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InvalidNetwork(
            f"the key file {path} cannot be read: {error.strerror}",
            fix="name a key that `hetao` wrote, NAME.sign.pem",
        ) from error
    except (ValueError, TypeError) as error:
        raise InvalidNetwork(f"{path.name} is no unencrypted PEM key") from error


# --- directories -------------------------------------------------------------------
@dataclass(frozen=True)
class Directory:
    """The parties that somebody trusts, by name."""

    parties: tuple[Party, ...]

    def __post_init__(self) -> None:
        """Refuse two parties of one name, or one key under two names."""
        names = [party.name for party in self.parties]
        keys = [party.sign for party in self.parties]
        if len(set(names)) != len(names) or len(set(keys)) != len(keys):
            raise InvalidNetwork("a party's name or signing key stands twice")
        for party in self.parties:
            if party.side not in SIDES:
                raise InvalidNetwork(f"{party.name}: side is one of HK, SZ")
            party.sign_key  # noqa: B018  - refuses a malformed key now, not later

    @cached_property
    def _by_name(self) -> Mapping[str, Party]:
        return {party.name: party for party in self.parties}

    def __getitem__(self, name: str) -> Party:
        """Return the party of that name.

        Raises:
            InvalidNetwork: there is none.
        """
        if name not in self._by_name:
            raise InvalidNetwork(f"no party is named {name[:60]!r}")
        return self._by_name[name]

    def __contains__(self, party: Party) -> bool:
        """Return whether exactly this party, with these keys, is listed."""
        return self._by_name.get(party.name) == party

    def of_role(self, role: str) -> tuple[Party, ...]:
        """Return the parties of that role, in the file's order."""
        return tuple(party for party in self.parties if party.role == role)


def read_directory(path: Path) -> Directory:
    """Return the parties of a `parties.toml`.

    Raises:
        InvalidNetwork: the file does not hold.
    """
    return directory_from(read_toml(path, InvalidNetwork), path.name)


def directory_from(table: Mapping[str, Any], where: str = "parties") -> Directory:
    """Return the parties of a table `{"parties": [...]}`."""
    rows = table.get("parties")
    if not isinstance(rows, list) or not rows or set(table) != {"parties"}:
        raise InvalidNetwork(f"{where}: write each party under [[parties]]")
    return Directory(
        tuple(
            record(Party, row, f"{where} [[parties]] {i}", InvalidNetwork)
            for i, row in enumerate(rows, 1)
        )
    )


def write_directory(path: Path, parties: Iterable[Party]) -> None:
    """Write a `parties.toml` that `read_directory` reads."""
    blocks = []
    for party in parties:
        lines = [f"{key} = {_toml(value)}" for key, value in vars(party).items()]
        blocks.append("[[parties]]\n" + "\n".join(lines) + "\n")
    path.write_text("\n".join(blocks), encoding="utf-8")


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML string


# --- statements --------------------------------------------------------------------
@dataclass(frozen=True)
class Statement:
    """A signed JSON object: what was said, and the signature of who said it."""

    body: Mapping[str, Any]
    signature: str

    def as_json(self) -> dict[str, Any]:
        """Return the form that stands in files and messages."""
        return {"body": dict(self.body), "signature": self.signature}

    def verify(self, party: Party) -> None:
        """Return quietly if `party` signed exactly this body.

        Raises:
            BadSignature: it did not.
        """
        verify(party, DOMAIN, canonical(self.body), _signature(self.signature))


def state(identity: Identity, body: Mapping[str, Any]) -> Statement:
    """Return `body` signed by `identity`; its `type` field keeps kinds apart."""
    signature = identity.sign(DOMAIN, canonical(body))
    return Statement(body, base64.b64encode(signature).decode())


def statement_from(table: object) -> Statement:
    """Return the statement of `{"body": {...}, "signature": "..."}`.

    Raises:
        BadSignature: the object has another shape.
    """
    match table:
        case {"body": dict(body), "signature": str(signature), **rest} if not rest:
            return Statement(body, signature)
    raise BadSignature("a signed statement is malformed")


def verify(party: Party, domain: bytes, data: bytes, signature: bytes) -> None:
    """Return quietly if `party` signed `domain` followed by `data`.

    Raises:
        BadSignature: it did not.
    """
    try:
        party.sign_key.verify(signature, domain + data)
    except InvalidSignature as error:
        raise BadSignature(f"the signature is not {party.name}'s") from error


def _signature(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadSignature("a signature is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise BadSignature("a signature is not in its one base64 form")
    return raw
