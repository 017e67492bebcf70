"""Parties and keys: who somebody is, by what they can sign.

A party is a machine: a site, a hub, the coordinator. A key belongs to a person. Three
kinds of key sign the same bytes: an Ed25519 key in a file, a passkey in a browser or
telephone, and a certificate of a service that is handed a hash and hands back a
signature.
"""

import base64
import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.exceptions import (
    InternalError,
    InvalidSignature,
    UnsupportedAlgorithm,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
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

from hetao.alone import alone
from hetao.canonical import canonical, digest_bytes
from hetao.errors import BadSignature, InvalidNetwork
from hetao.permit import passkey, services
from hetao.permit.dates import parse_time
from hetao.permit.points import is_weak, is_weak_seal
from hetao.whole import write_new

SIDES = ("HK", "SZ")
DOMAIN = b"hetao-statement-v1\n"  # no other protocol signs bytes that start so
KINDS: Final = ("ed25519", "passkey", "certificate")
SCOPES: Final = ("any", "renew")


@dataclass(frozen=True)
class Party:
    """A party as others know it.

    Attributes:
        name: unique; also the common name of its TLS certificate.
        side: "HK" or "SZ".
        role: "site", "hub" or "coordinator".
        organisation: who it belongs to.
        sign: Ed25519 public key, 32 bytes in base64.
        seal: X25519 public key, 32 bytes in base64.
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
        return _public(self.sign_half)

    @property
    def sign_half(self) -> bytes:
        """Return the 32 bytes of that key."""
        return _point(self.sign, self.name)

    @property
    def seal_key(self) -> X25519PublicKey:
        """Return the key to which messages for this party are sealed."""
        return X25519PublicKey.from_public_bytes(self.seal_half)

    @property
    def seal_half(self) -> bytes:
        """Return the 32 bytes of that key."""
        raw = _raw(self.seal, self.name)
        if is_weak_seal(raw):
            raise InvalidNetwork(
                f"{self.name}: a sealing key is of small order, or in another form "
                "than its one: what is sealed to it is open to everybody",
                fix="have its owner make new keys",
            )
        return raw

    @property
    def fingerprint(self) -> str:
        """Return sixteen hex digits to compare over the telephone."""
        return digest_bytes(self.sign_half).removeprefix("sha256:")[:16]


def _raw(text: str, name: str) -> bytes:
    try:
        raw = _half(text) if len(text) == _HALF else decoded(text)
    except BadSignature as error:
        raise InvalidNetwork(
            f"{name}: a public key is not base64 in its one form"
        ) from error
    if len(raw) != 32:
        raise InvalidNetwork(f"{name}: a public key is not 32 bytes")
    return raw


def _point(text: str, name: str) -> bytes:
    raw = _raw(text, name)
    if is_weak(raw):
        raise InvalidNetwork(
            f"{name}: a public key is of small order, or in another form than its one: "
            "a signature under it proves nothing",
            fix="have its owner make new keys",
        )
    return raw


@dataclass(frozen=True)
class Identity:
    """Somebody's own secret keys; never sent, never logged, no repr of keys."""

    name: str
    _sign: Ed25519PrivateKey
    _seal: X25519PrivateKey | None = None
    _log: MLDSA44PrivateKey | None = None

    def __repr__(self) -> str:
        """Return the name only."""
        return f"Identity({self.name!r})"

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """Return the key that signs what the party says."""
        return self._sign

    @property
    def log_keys(
        self,
    ) -> Ed25519PrivateKey | tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
        """Return what signs the party's own log: one key, or the second one as well."""
        return self._sign if self._log is None else (self._sign, self._log)

    @property
    def second_log_key(self) -> MLDSA44PrivateKey | None:
        """Return what signs the party's own log beside it; None for none."""
        return self._log

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

    def holds(self, key: "Key") -> bool:
        """Return whether this is the secret half of `key`."""
        return key.kind == "ed25519" and key.public == self.sign_public

    def signed(self, data: bytes) -> str:
        """Return the signature over a statement's bytes, as statements bear it."""
        return base64.b64encode(self._sign.sign(data)).decode()

    def party(self, side: str, role: str, organisation: str) -> Party:
        """Return what others may know of this machine."""
        seal = self.seal_public if self._seal else ""
        return Party(self.name, side, role, organisation, self.sign_public, seal)

    def key(self, owner: str, valid: tuple[str, str], scope: str = "any") -> "Key":
        """Return what others may know of a person's key, named as this identity.

        Args:
            owner: the person's name.
            valid: from when until when, UTC.
            scope: "any", or "renew" for a key that only renews.
        """
        return Key(self.name, owner, "ed25519", self.sign_public, *valid, scope=scope)


@dataclass(frozen=True)
class Key:
    """A person's key, as others know it.

    Attributes:
        name: unique in a list; a statement names the key that signed it.
        owner: the person whose it is.
        kind: "ed25519", "passkey" or "certificate".
        public: 32 bytes of an Ed25519 key; a passkey's public key, or the certificate
            of a signing service's authority, as DER; in base64.
        valid_from, valid_until: UTC times; the last second is outside.
        revoked_at: UTC time from which nothing that it signed counts; "" if it holds.
        scope: "renew" for a key that lies on a server and can only renew.
        origin: of a passkey: the page that it signs on, `https://name`.
        subject: of a certificate: the holder, as RFC 4514 writes the name.
    """

    name: str
    owner: str
    kind: str
    public: str
    valid_from: str
    valid_until: str
    revoked_at: str = ""
    scope: str = "any"
    origin: str = ""
    subject: str = ""

    def check_form(self) -> None:
        """Return quietly if the entry can be used.

        Raises:
            InvalidNetwork: it cannot.
        """
        if self.kind not in KINDS or self.scope not in SCOPES:
            raise InvalidNetwork(
                f"the key {self.name}: kind is one of {', '.join(KINDS)}, scope one "
                f"of {', '.join(SCOPES)}"
            )
        if not parse_time(self.valid_from) < parse_time(self.valid_until):
            raise InvalidNetwork(f"the key {self.name} is never valid")
        if self.revoked_at:
            parse_time(self.revoked_at)
        for bound, kind in ((self.origin, "passkey"), (self.subject, "certificate")):
            if bound and self.kind != kind:  # else one key could stand twice
                raise InvalidNetwork(
                    f"the key {self.name}: only a passkey has an origin, only a "
                    "certificate a subject"
                )
        if self.kind == "ed25519":
            _point(self.public, self.name)
        elif self.kind == "passkey":
            passkey.check_key(self.name, self.public, self.origin)
        else:
            services.check_key(self.name, self.public, self.subject)

    @property
    def public_half(self) -> bytes:
        """Return what stands for one secret key, in whatever form it was written.

        An Ed25519 key is the same 32 bytes in a file and in a passkey.

        Raises:
            InvalidNetwork, BadSignature: the entry cannot be used; see `check_form`.
        """
        if self.kind == "ed25519":
            return _point(self.public, self.name)
        if self.kind == "passkey":
            return passkey.public_half(self.public)
        return services.public_half(self.public, self.subject)

    @property
    def fingerprint(self) -> str:
        """Return sixteen hex digits to compare over the telephone."""
        return digest_bytes(decoded(self.public)).removeprefix("sha256:")[:16]

    def check_time(self, at: str) -> None:
        """Return quietly if what was signed at that time counts.

        Raises:
            BadSignature: the key was not yet, or no longer, valid, or was revoked.
        """
        when = parse_time(at)
        if not parse_time(self.valid_from) <= when < parse_time(self.valid_until):
            raise BadSignature(f"the key {self.name} was not valid at that time")
        self.check_unrevoked(at)

    def check_unrevoked(self, at: str) -> None:
        """Return quietly if the key had not been revoked by that time.

        Raises:
            BadSignature: it had.
        """
        if self.revoked_at and parse_time(at) >= parse_time(self.revoked_at):
            raise BadSignature(f"the key {self.name} was revoked before it signed")

    def verify(self, data: bytes, signature: str, at: datetime.datetime) -> None:
        """Return quietly if this key signed exactly these bytes.

        Args:
            data: a statement's bytes, its domain in front.
            signature: as the statement bears it.
            at: when it says that it was signed; decides whether a certificate held.

        Raises:
            BadSignature: it did not.
        """
        if self.kind == "ed25519":
            _verify_raw(self.public, self.name, data, decoded(signature))
        elif self.kind == "passkey":
            passkey.verify(self.public, self.origin, data, decoded(signature))
        else:
            services.verify(self.public, self.subject, data, decoded(signature), at)


class Signer(Protocol):
    """Whatever signs statements for a person: a key file, a passkey, a service."""

    def holds(self, key: Key) -> bool:
        """Return whether this signs for `key`."""

    def signed(self, data: bytes) -> str:
        """Return the signature over a statement's bytes, as statements bear it."""


@dataclass(frozen=True)
class ServiceSigner:
    """A person who signs by a service that is handed a hash: their key, the service."""

    name: str
    service: services.HashSigningService

    def holds(self, key: Key) -> bool:
        """Return whether this signs for `key`."""
        return key.kind == "certificate" and key.name == self.name

    def signed(self, data: bytes) -> str:
        """Return what the service makes of the hash of a statement's bytes."""
        return self.service.sign_hash(passkey.challenge(data)).as_signature()


def new_identity(name: str, *, sealing: bool = True) -> Identity:
    """Return an identity with fresh keys from the operating system's randomness."""
    seal = X25519PrivateKey.generate() if sealing else None
    log = MLDSA44PrivateKey.generate() if sealing else None  # machines keep logs
    return Identity(name, Ed25519PrivateKey.generate(), seal, log)


def write_identity(folder: Path, identity: Identity) -> Path:
    """Write the secret keys as PEM files of mode 0600 and return the signing key's.

    It comes last: without it the others are nobody's, and those that a killed command
    left are put aside, as `….aside`.

    Raises:
        FileExistsError: an identity of this name stands there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identity.name}.sign.pem"
    seal = identity.sealing_key if identity.has_sealing_key else None
    others = {"seal": seal, "log": identity.second_log_key}
    with alone(folder):
        for kind, key in () if os.path.lexists(path) else others.items():
            other = folder / f"{identity.name}.{kind}.pem"
            if os.path.lexists(other):
                other.replace(f"{other}.aside")
            if key is not None:
                _write_secret(other, key)
        _write_secret(path, identity.signing_key)
    return path


def add_log_key(path: Path) -> Identity:
    """Make the second key of a party's log beside its signing key; return the party.

    Raises:
        InvalidNetwork: it has one, or there is no signing key.
    """
    identity = read_identity(path)
    if identity.second_log_key is not None:
        raise InvalidNetwork(f"the log of {identity.name} has a second key already")
    target = path.with_name(f"{identity.name}.log.pem")
    _write_secret(target, MLDSA44PrivateKey.generate())
    return read_identity(path)


def _write_secret(
    path: Path, key: Ed25519PrivateKey | X25519PrivateKey | MLDSA44PrivateKey
) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, lambda: pem)


def read_identity(path: Path) -> Identity:
    """Return the identity of `NAME.sign.pem`, and of those of its other keys there are.

    Beside it stand `NAME.seal.pem`, and `NAME.log.pem`, the second key of its log.

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
    log_path = path.with_name(f"{name}.log.pem")
    log = _read_key(log_path) if log_path.exists() else None
    if log is not None and not isinstance(log, MLDSA44PrivateKey):
        raise InvalidNetwork(f"{log_path.name} holds no ML-DSA-44 key")
    return Identity(name, sign, seal, log)


def _read_key(path: Path) -> object:
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InvalidNetwork(
            f"the key file {path} cannot be read: {error.strerror}",
            fix="name a key that `hetao` wrote, NAME.sign.pem",
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        raise InvalidNetwork(f"{path.name} is no unencrypted PEM key") from error


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
        verify(party, DOMAIN, self.signed_bytes, decoded(self.signature))

    def verify_key(self, key: Key, at: str) -> None:
        """Return quietly if `key` signed exactly this body, and counted at that time.

        Raises:
            BadSignature: it did not.
        """
        key.check_time(at)
        self.verify_by(key, at)

    def verify_by(self, key: Key, at: str) -> None:
        """Return quietly if `key` signed exactly this body, whether it counted or not.

        Raises:
            BadSignature: it did not.
        """
        key.verify(DOMAIN + self.signed_bytes, self.signature, parse_time(at))

    @property
    def signed_bytes(self) -> bytes:
        """Return the canonical text of the body; DOMAIN goes before what is signed."""
        return canonical(self.body)


def state(identity: Signer, body: Mapping[str, Any]) -> Statement:
    """Return `body` signed by `identity`; its `type` field keeps kinds apart."""
    return Statement(body, identity.signed(DOMAIN + canonical(body)))


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
    _verify_raw(party.sign, party.name, domain + data, signature)


def _verify_raw(public: str, name: str, data: bytes, signature: bytes) -> None:
    try:
        check = _remembered if len(data) <= _REMEMBERED else _check
        check(_point(public, name), signature, data)
    except InvalidSignature as error:
        raise BadSignature(f"the signature is not {name}'s") from error


def _check(key: bytes, signature: bytes, data: bytes) -> None:
    _public(key).verify(signature, data)


# The same few public keys are asked for again in each file and in each message.
_public = lru_cache(maxsize=1024)(Ed25519PublicKey.from_public_bytes)


# A permit's notices are asked again at each release's time. Only that a signature holds
# is remembered, never that it fails; and no envelope, whose bytes would be held on to.
_REMEMBERED: Final = 16_384  # bytes
_remembered = lru_cache(maxsize=256)(_check)


_HALF: Final = 44  # letters of 32 bytes in base64


@lru_cache(maxsize=1024)
def _half(text: str) -> bytes:
    return decoded(text)


def decoded(text: str) -> bytes:
    """Return the bytes of a text in its one base64 form.

    Raises:
        BadSignature: it is not base64, or not in that form.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadSignature("a signature is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise BadSignature("a signature is not in its one base64 form")
    return raw
