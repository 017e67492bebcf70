"""A licence to use findings: who may use what for what until when, as an SD-JWT VC.

The issuer of the certificate signs it, and logs its digest; at that entry's place the
issuer's status lists say whether it still stands, as for a certificate. Whom it is
given to, under what conditions, and each finding can be hidden from a reader whom they
do not concern; places, purposes (DUO codes) and times always show. Where it names a
key, whoever presents it signs for the reader with that key.

A licence is a contract's evidence, not a token: it has no fractions, and nobody can
sell it on. Specification: `docs/specs/licence.md`.
"""

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hetao.canonical import canonical, digest, digest_bytes
from hetao.dossier import sd_jwt
from hetao.dossier.code import facts_of
from hetao.dossier.own import issuers_own
from hetao.errors import InvalidData, Refused, Unverified
from hetao.ledger.credential import did_key, from_url64, url64
from hetao.ledger.log import Log
from hetao.ledger.policy import Policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.status import check_status
from hetao.permit import Identity, coordinator_of, format_time, parse_time
from hetao.permit.facts import shipped_facts
from hetao.permit.points import is_weak
from hetao.records import read_toml, record

KIND: Final = "urn:hetao:licence"
LEAF: Final = "hetao.licence/1"
HIDDEN: Final = ("conditions", "licensee")
WORSE: Final = ("valid", "suspended", "revoked")
LAST_SECOND: Final = 253_402_300_799  # of the year 9999
_TRIES: Final = 3


@dataclass(frozen=True)
class Grant:
    """What is granted, as `licence.toml` says it.

    Attributes:
        licensee: legal name of whom it is given to.
        findings: names of analyses of the certificate.
        purposes: DUO codes, such as GRU or NPU.
        places: countries (ISO 3166), such as HK; whatever the licence means by them.
        starts: UTC time.
        ends: UTC time, after which it is void.
        conditions: what else was agreed, in words; "" for nothing.
        key: Ed25519 in base64 of whoever may present it; "" for everybody who has it.
    """

    licensee: str
    findings: tuple[str, ...]
    purposes: tuple[str, ...]
    places: tuple[str, ...]
    starts: str
    ends: str
    conditions: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        """Refuse a grant that nobody could hold anybody to."""
        codes = shipped_facts()["use.codes"].choices
        if not self.licensee.strip() or not (self.findings and self.places):
            raise InvalidData("a licence is given to somebody, for findings, somewhere")
        unknown = [one for one in self.purposes if one not in codes]
        if unknown or not self.purposes:
            raise InvalidData(
                f"the purpose {str(*unknown[:1])[:16]!r} is no DUO code",
                fix="use " + ", ".join(codes),
            )
        if parse_time(self.ends) <= parse_time(self.starts):
            raise InvalidData("the licence ends before it starts")
        _holder(self.key)


@dataclass(frozen=True)
class Licence:
    """What a licence shows to a reader, and how it stood.

    Attributes:
        certificate: digest of the certificate's body.
        licensee: "" where it is hidden.
        findings: those that are shown.
        purposes: DUO codes.
        places: where.
        starts, ends: UTC times.
        conditions: "" where there are none, or they are hidden: see `hides`.
        state: "valid", "suspended" or "revoked", by the status lists.
        as_of: UTC time of those lists.
        hides: how many parts are not shown.
        presented_by: "its holder", who signed for this reader, or "whoever has it".
    """

    certificate: str
    licensee: str
    findings: tuple[str, ...]
    purposes: tuple[str, ...]
    places: tuple[str, ...]
    starts: str
    ends: str
    conditions: str
    state: str
    as_of: str
    hides: int
    presented_by: str


def read_grant(path: Path) -> Grant:
    """Return the grant of a file.

    Raises:
        InvalidData: a field is unknown, missing or cannot be meant.
    """
    return record(Grant, read_toml(path, InvalidData), path.name, InvalidData)


def issue(
    certificate: bytes,
    grant: Grant,
    issuer: Identity,
    log: Log,
    now: datetime.datetime,
) -> str:
    """Log a licence and return it, with everything that its holder may hide.

    Raises:
        Unverified: the certificate does not verify, or is another issuer's.
        InvalidData: it has no such finding.
        Refused: the log grows too quickly to give it a place.
    """
    value, _ = issuers_own(certificate, issuer, "license its findings")
    named = {str(one["analysis"]) for one in value["body"]["findings"]}
    for finding in grant.findings:
        if finding not in named:
            raise InvalidData(
                f"the certificate has no finding {finding[:64]!r}",
                fix="it has " + ", ".join(sorted(named)),
            )
    facts = facts_of(value)
    for _ in range(_TRIES):
        index = log.size
        text = _signed(grant, issuer, facts.body, (log.origin, index), now)
        leaf = canonical({"licence": digest_bytes(_token(text)), "type": LEAF})
        if log.append([leaf]) == index:
            return text
    raise Refused(
        "the log grows too quickly to give a licence its place",
        fix="issue it while no study runs",
    )


def _signed(
    grant: Grant,
    issuer: Identity,
    body: str,
    place: tuple[str, int],
    now: datetime.datetime,
) -> str:
    hidden = [sd_jwt.hide(one, sd_jwt.fresh_salt) for one in grant.findings]
    claims: dict[str, Any] = {
        "certificate": body,
        "exp": _seconds(grant.ends),
        "findings": [stands_for for stands_for, _ in hidden],
        "iat": int(now.timestamp()),
        "iss": did_key(issuer.signing_key.public_key()),
        "nbf": _seconds(grant.starts),
        "places": list(grant.places),
        "purposes": list(grant.purposes),
        "status": {"hetao": {"entry": place[1], "log": place[0]}},
        "vct": KIND,
    }
    if grant.key:
        raw = base64.b64decode(grant.key)
        jwk = {"crv": "Ed25519", "kty": "OKP", "x": url64(raw)}
        claims["cnf"] = {"jwk": jwk}
    fields = {name: getattr(grant, name) for name in HIDDEN}
    parts = [part for _, part in hidden]
    return sd_jwt.sign(claims, fields, parts, issuer.signing_key)


def check(
    text: str,
    certificate: Mapping[str, Any],
    status: bytes,
    now: datetime.datetime,
    policy: Policy | None = None,
    asked: tuple[str, str] | None = None,
) -> Licence:
    """Return what a licence shows, everything checked.

    It stands no better than its certificate: of a revoked one it is revoked too.

    Args:
        text: as presented.
        certificate: the one whose findings it is for, verified before.
        status: the issuer's status snapshot, made after the licence.
        now: UTC time.
        policy: the verifier's own logs and witnesses, who must have seen the lists.
        asked: audience and nonce that the reader gave the presenter; None for none.

    Raises:
        Unverified: the issuer did not sign it, it is of another certificate, not of
            now, not presented by whom it names, or names nobody where a nonce was
            given; or the snapshot does not verify.
    """
    boss = coordinator_of(certificate["body"]["permit"])
    bare = text[: text.rindex("~") + 1] if "~" in text else text
    claims = _claims(bare, boss.sign_key)
    if claims["certificate"] != digest(certificate["body"]):
        raise Unverified("it is no licence for findings of this certificate")
    _check_presenter(text, claims, now, asked)
    if not claims["nbf"] <= now.timestamp() < claims["exp"]:
        raise Unverified(
            "the licence is not of now: it is for "
            f"{_time(claims['nbf'])} to {_time(claims['exp'])}"
        )
    place = claims["status"]["hetao"]
    if (place["log"], claims["iss"]) != (boss.name, did_key(boss.sign_key)):
        raise Unverified("the licence names another issuer than the certificate's")
    own = parse_proof(certificate["log"]["proof"]).index
    issued = boss.name, boss.sign_key
    found = check_status(status, issued, place["entry"], policy)
    of_all = found.state, check_status(status, issued, own, policy).state
    return Licence(
        certificate=claims["certificate"],
        licensee=claims.get("licensee", ""),
        findings=tuple(claims["findings"]),
        purposes=tuple(claims["purposes"]),
        places=tuple(claims["places"]),
        starts=_time(claims["nbf"]),
        ends=_time(claims["exp"]),
        conditions=claims.get("conditions", ""),
        state=max(of_all, key=WORSE.index),
        as_of=found.as_of,
        hides=sd_jwt.hidden_in(bare),
        presented_by="its holder" if "cnf" in claims else "whoever has it",
    )


def place_in_log(text: str, key: Ed25519PublicKey) -> int:
    """Return the entry of the issuer's log that is the licence's.

    Raises:
        Unverified: it is no licence that this key signed.
    """
    entry: int = _claims(text, key)["status"]["hetao"]["entry"]
    return entry


def _claims(text: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """Return the claims of a licence, each of the type that it must have."""
    claims = sd_jwt.read(text, key)
    match claims:
        case {
            "certificate": str(),
            "exp": int(),
            "findings": list(),
            "iss": str(),
            "nbf": int(),
            "places": list(),
            "purposes": list(),
            "status": {"hetao": {"entry": int(), "log": str()}},
            "vct": "urn:hetao:licence",
        } if _can_be_meant(claims):
            return claims
    raise Unverified("it is no licence")


def _can_be_meant(claims: Mapping[str, Any]) -> bool:
    """Return whether times are some of a calendar, and what is to be read is text."""
    times = claims["exp"], claims["nbf"]
    texts = [*claims["findings"], *claims["places"], *claims["purposes"]]
    texts += [claims.get(name, "") for name in HIDDEN]
    return all(0 <= one <= LAST_SECOND for one in times) and all(
        isinstance(one, str) for one in texts
    )


def _check_presenter(
    text: str,
    claims: Mapping[str, Any],
    now: datetime.datetime,
    asked: tuple[str, str] | None,
) -> None:
    """Hold the presenter to the key that the licence names, if it names one."""
    if "cnf" not in claims:
        if not text.endswith("~"):
            raise Unverified("the licence names no key, and somebody signed for it")
        if asked is not None:
            raise Unverified(
                "the licence names no holder, so nobody can sign for a reader",
                fix="check it without --nonce, as one that whoever has it may use",
            )
        return
    if asked is None:
        raise Unverified(
            "the licence is presented by its holder alone",
            fix="give the holder your name and a nonce, and check with both",
        )
    try:
        raw = from_url64(str(claims["cnf"]["jwk"]["x"]))
        holder = _key(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise Unverified("the licence names a key that is none") from error
    sd_jwt.unbind(text, holder, *asked, now)


def _key(raw: bytes) -> Ed25519PublicKey:
    if is_weak(raw):
        raise ValueError("of small order")
    return Ed25519PublicKey.from_public_bytes(raw)


def _holder(key: str) -> None:
    if not key:
        return
    try:
        _key(base64.b64decode(key, validate=True))
    except ValueError as error:
        raise InvalidData("the holder's key is no Ed25519 key in base64") from error


def _token(text: str) -> bytes:
    return text.partition("~")[0].encode("ascii")


def _seconds(time: str) -> int:
    return int(parse_time(time).timestamp())


def _time(seconds: int) -> str:
    return format_time(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
