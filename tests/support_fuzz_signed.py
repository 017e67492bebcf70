"""Parsers to fuzz: of uses, passkeys, status lists and acts, whose signers may lie."""

import base64
import functools

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.canonical import canonical, parse_canonical
from hetao.federation.cosigning import Answer, Shown, shown_from
from hetao.federation.cosigning import answer_from as hub_answer
from hetao.ledger.acts import decode_act, encode_act
from hetao.ledger.credential import PURPOSES, issuer_of, sign_credential
from hetao.ledger.merkle import inclusion_path, leaf_hash, root
from hetao.ledger.note import Checkpoint, sign_checkpoint
from hetao.ledger.proof import Proof
from hetao.ledger.showing import check_shown
from hetao.ledger.status import (
    TYPE,
    check_status,
    list_claims,
    read_list,
    read_snapshot,
)
from hetao.permit import format_time, new_identity, services
from hetao.permit.keys import DOMAIN
from hetao.permit.passkey import challenge
from hetao.permit.signing_ask import answer_from, ask_key, key_from
from hetao.permit.uses import (
    Amount,
    read_receipt,
    read_use,
    receipt_for,
    sign_receipt,
    sign_use,
)
from support_acts import USED, acts_by_hand
from support_parsers import Parsers, of_object, signed_by
from support_permit import HOUR, NOW, VALID
from support_showing import shown_by
from support_signers import ORIGIN, Authenticator, Example
from support_uses import HK, SZ, a_use, scene_of

LOG = "log.example"


@functools.cache
def of_uses() -> Parsers:
    """Return the parsers of a use and of its receipt, each signed as it stands."""
    scene = scene_of("materials")
    permit = scene.permit
    use = sign_use(
        permit, scene.machines[HK], a_use(scene, count=2, items=("T-1", "T-2"))
    )
    sent = read_use(permit, use)
    lost = [Amount("tubes", 1)]
    made = receipt_for(sent, lost, ("broken", ("T-2",)), NOW + 9 * HOUR)
    receipt = sign_receipt(permit, scene.machines[SZ], sent, made)
    return {
        "use": (
            signed_by(scene.machines[HK], lambda one: read_use(permit, one)),
            canonical(use.body),
        ),
        "receipt": (
            signed_by(scene.machines[SZ], lambda one: read_receipt(permit, sent, one)),
            canonical(receipt.body),
        ),
    }


@functools.cache
def of_passkeys() -> Parsers:
    """Return the parsers of what a signing page and a signing service give back."""
    passkey = Authenticator(Ed25519PrivateKey.from_private_bytes(b"\4" * 32))
    body = ask_key("new", "ethics-hk", ORIGIN, VALID, "1").body
    made = passkey.assertion(DOMAIN + canonical(body))
    parts = {
        "authenticatorData": made.authenticator,
        "clientDataJSON": made.client,
        "signature": made.signature,
    }
    answer = {
        "do": "register",
        "body": body,
        "assertion": {k: base64.b64encode(v).decode() for k, v in parts.items()},
        "public": passkey.key().public,
    }
    service, data = Example(), b"a statement"
    key = service.key()
    given = service.sign_hash(challenge(data)).as_signature()
    return {
        "answer of a signing page": (
            of_object(lambda table: key_from(answer_from(table))),
            canonical(answer),
        ),
        "signature of a service": (
            lambda raw: services.verify(key.public, key.subject, data, raw, NOW),
            base64.b64decode(given),
        ),
    }


@functools.cache
def of_status() -> Parsers:
    """Return the parsers of a snapshot of status lists, and of a list as signed."""
    key = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
    public = key.public_key()
    issuer, when = issuer_of(LOG, public), format_time(NOW)
    claims = [list_claims(issuer, one, frozenset({3}), when) for one in PURPOSES]
    texts = [sign_credential(key, one) for one in claims]
    leaves = [leaf_hash(b"%d" % i) for i in range(5)]
    leaves += [leaf_hash(text.encode()) for text in texts]
    note = sign_checkpoint(Checkpoint(LOG, len(leaves), root(leaves)), key)
    lists = {
        purpose: {
            "credential": text,
            "proof": Proof(at, tuple(inclusion_path(at, leaves)), note).text,
        }
        for at, (purpose, text) in enumerate(zip(PURPOSES, texts, strict=True), 5)
    }
    snapshot = canonical({"lists": lists, "type": TYPE})
    shown = Shown(3, ("0" * 64,) * 3, snapshot.decode())
    return {
        "status lists": (
            lambda data: check_status(data, (LOG, public), 3),
            snapshot,
        ),
        "lists shown to a hub": (
            lambda data: read_snapshot(
                shown_from(data).snapshot.encode("utf-8", "replace"), (LOG, public)
            ),
            shown.encoded(),
        ),
        "answer of a hub": (hub_answer, Answer(7, "\u2014 hub-hk AA==\n").encoded()),
        "status list signed anew": (
            of_object(
                lambda table: read_list(
                    sign_credential(key, table), LOG, public, PURPOSES[0]
                )
            ),
            canonical(claims[0]),
        ),
    }


@functools.cache
def of_acts() -> Parsers:
    """Return the parsers of an act, and of a file in which a site shows some."""
    acts = [encode_act(act, USED) for act in acts_by_hand()]
    site = new_identity("a")
    party = site.party("HK", "site", "An owner")
    file = parse_canonical(shown_by(site, acts, (2, 4)))
    return {
        "act": (decode_act, acts[4]),
        "acts shown": (
            signed_by(site, lambda one: check_shown(canonical(one.as_json()), party)),
            canonical(file["body"]),
        ),
    }
