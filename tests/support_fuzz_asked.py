"""Parsers to fuzz: of revoked studies, auditors, trials, keys, and signing services."""

import base64
import dataclasses
import functools
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from hetao.canonical import canonical, parse_canonical
from hetao.cli import trial
from hetao.errors import NotApproved, NotCanonical
from hetao.federation.signing_csc import CscService
from hetao.ledger.coin import Ask, answered, ask_from, bound, draw_of, joint_seed
from hetao.ledger.revoked import verify_any, verify_revoked
from hetao.permit import bundle_from, format_time, new_identity, services, sign_notice
from hetao.permit.directory import directory_from
from hetao.permit.passkey import challenge
from hetao.records import fields_of
from hetao.trial import Minimisation, assign, commit_minimisation, verify_minimisation
from support_federation import START
from support_fuzz_run import a_run, of_one_file, resigned
from support_parsers import Parsers, of_file, of_object
from support_permit import NOW, VALID, Scene
from support_signers import Authenticator, Example

SIGNED, SECRET = b"a statement", b"\5" * 32
RULE = Minimisation("t", (("a", 1), ("b", 1)), (("site", ("hk", "sz"), 1.0),))
CAME = (("hk",), ("sz",), ("hk",))


@functools.cache
def of_revoked() -> Parsers:
    """Return the parsers of the certificate of a study that was revoked."""
    ran = a_run()[0]
    trusted = ran.cast.directory
    bundle = bundle_from(ran.body["permit"])
    said = sign_notice(bundle, ran.cast.identities["ethics-hk"], "revoke", START)
    own = ("study", "run", "rounds", "software")
    body = {
        **{name: ran.body[name] for name in own},
        "type": "hetao.revoked-certificate/1",
        "permit": said.as_json(),
        "revoked": format_time(START),
        "issued": format_time(START),
    }
    data = ran.resigned({**body, "sums": {}})

    def verified(data: bytes) -> object:
        return verify_any(data, trusted)

    def signed_anew(data: bytes) -> object:
        return verify_revoked(resigned(ran.cast, data), trusted)

    return {
        "certificate of a revoked study": (verified, data),
        "revoked study signed anew": (signed_anew, data),
        "revoked study in one file": (of_one_file, data),
    }


@functools.cache
def of_auditors() -> Parsers:
    """Return the parsers of an auditor's ask, and of the draw that came of it."""
    site = new_identity("a")
    party = site.party("HK", "site", "An owner")
    ask = bound(Ask("a", "auditor", "sha256:" + "ab" * 32, 5, ""), SECRET)
    draw = draw_of(SECRET, answered(site, ask))
    return {
        "ask of an auditor": (of_object(ask_from), canonical(ask.as_json())),
        "draw of acts": (
            of_object(lambda value: joint_seed(value, party, ask)),
            canonical(draw),
        ),
    }


@dataclasses.dataclass(frozen=True)
class Told(CscService):
    """A signing service of given answers: one for each method, or one for all."""

    data: bytes = b""

    def _sent(self, method: str, body: Mapping[str, Any]) -> bytes:
        try:
            answers = parse_canonical(self.data)
        except NotCanonical:
            answers = None
        if not isinstance(answers, dict):
            return self.data
        if method not in answers:
            raise NotApproved("the service refuses")
        return json.dumps(answers[method]).encode()


@functools.cache
def of_signers() -> Parsers:
    """Return the parsers of what a signing service answers, and of keys in a list."""
    example, tls = Example(), ssl.create_default_context()
    key, digest = example.key(), challenge(SIGNED)
    leaf = base64.b64encode(example.leaf.public_bytes(Encoding.DER)).decode()
    made = base64.b64encode(example.sign_hash(digest).signature).decode()
    answers = {
        "credentials/authorize": {"SAD": "sad-1"},
        "credentials/info": {
            "auth": {"mode": "explicit", "objects": [{"id": "PIN"}]},
            "cert": {"certificates": [leaf]},
        },
        "signatures/signHash": {"signatures": [made]},
    }

    def signed(data: bytes) -> object:
        told = Told("https://nobody.invalid", "c", "t", tls, lambda _: "1", data=data)
        given = base64.b64decode(told.sign_hash(digest).as_signature())
        return services.verify(key.public, key.subject, SIGNED, given, NOW)

    scene = Scene()
    passkey = Authenticator(Ed25519PrivateKey.from_private_bytes(b"\4" * 32)).key()
    own = scene.identities["ethics-hk"].key("ethics-hk", VALID)
    keys = [
        own,
        dataclasses.replace(passkey, name="b"),
        dataclasses.replace(key, name="c"),
    ]
    listed = {
        "keys": [fields_of(one) for one in keys],
        "parties": [fields_of(scene.permit.parties[0])],
        "persons": [fields_of(scene.permit.directory.person("ethics-hk"))],
    }
    return {
        "answers of a signing service": (signed, canonical(answers)),
        "keys of three kinds": (of_object(directory_from), canonical(listed)),
    }


@functools.cache
def of_minimised() -> Parsers:
    """Return the parser of who was enrolled by minimisation, held to its commitment."""
    published = commit_minimisation(RULE, SECRET)
    came: list[Any] = []
    for levels in CAME:
        came.append(assign(RULE, SECRET, came, levels))

    def checked(path: Path) -> object:
        enrolled = trial._enrolled(path)
        verify_minimisation(published, RULE, SECRET, enrolled)
        return enrolled

    rows = [{"levels": [*one.levels], "arm": one.arm} for one in came]
    true = canonical(rows)
    return {"enrolled of a trial": (of_file(checked, "enrolled.json"), true)}
