"""A file that shows an auditor some acts, and that anybody can check offline.

    {"body": {...}, "signature": "..."}    canonical JSON, signed by the site

The body names who is shown it, holds the record of the extract with the proof that it
is in the site's log, and of each act its bytes, nonce and path. Whoever has the file
has the acts: it is patients' data, and goes to nobody else.

Specification: `docs/specs/provenance.md`.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hetao.canonical import canonical, digest, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.acts import decode_act
from hetao.ledger.audit import draws, extract_of, seed_of
from hetao.ledger.coin import Ask, joint_seed
from hetao.ledger.commitments import Opened
from hetao.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, verify_note
from hetao.ledger.opened import Opened as Certificate
from hetao.ledger.proof import parse_proof
from hetao.permit import Directory, Identity, Party, Statement, state, statement_from

TYPE: Final = "hetao.shown/2"
LARGEST: Final = 512 * 2**20  # bytes
FIELDS: Final = {
    "type",
    "site",
    "to",
    "at",
    "extract",
    "log",
    "acts",
    "tree",
    "drawn",
    "shown",
    "gone",
}
EVENT: Final = b"hetao.event/1"  # in front of an event's canonical JSON
JOINT: Final = "draw"  # a field more, where auditor and site drew together


@dataclass(frozen=True)
class Shown:
    """What a file of acts proves.

    Attributes:
        site: whose acts; to: who was shown them; at: UTC time.
        extract: the record that the site had logged.
        acts: index → bytes.
        drawn: how many draws they answer; 0 where they were asked for one by one.
        gone: indices that were drawn and cannot be shown: their person was shredded.
        fingerprint: of the site's key.
        pinned: whether it was held against the verifier's own list.
        certified: whether a study's certificate cites this very extract.
        joint: whether the site says that auditor and site drew the acts together.
        own: whether that draw is the verifier's own. Else it proves nothing: a site
            can play both parts, and try until it likes what is drawn.
    """

    site: str
    to: str
    at: str
    extract: Mapping[str, Any]
    acts: Mapping[int, bytes]
    drawn: int
    gone: tuple[int, ...]
    fingerprint: str
    pinned: bool
    certified: bool
    joint: bool = False
    own: bool = False

    @property
    def is_drawn(self) -> bool:
        """Return whether the draw is shown to be none that the site chose."""
        return bool(self.drawn) and (self.own or self.certified)


def sign_shown(
    identity: Identity, about: Mapping[str, Any], acts: Sequence[Opened]
) -> bytes:
    """Return the bytes of a file that shows acts.

    Args:
        identity: of the site.
        about: `to`, `at`, `extract`, `log`, `drawn` and `gone`, and `draw` where
            auditor and site drew together.
        acts: at least one, all of one extract.
    """
    body = {
        "type": TYPE,
        "site": identity.name,
        **about,
        "acts": acts[0].size,
        "tree": acts[0].tree.hex(),
        "shown": [
            {
                "index": one.index,
                "act": base64.b64encode(one.act).decode(),
                "nonce": one.nonce.hex(),
                "path": base64.b64encode(b"".join(one.path)).decode(),
            }
            for one in acts
        ],
    }
    return canonical(state(identity, body).as_json())


def check_shown(
    data: bytes,
    party: Party | Directory,
    certificate: Certificate | None = None,
    draw: Mapping[str, Any] | None = None,
) -> Shown:
    """Return what a file of acts proves.

    Args:
        data: its bytes.
        party: the site, or the verifier's own list of parties.
        certificate: of the study, one that was verified; None holds the acts against
            no study.
        draw: of `hetao.ledger.coin.draw_of`, of the verifier's own secret and of the
            answer that they had before they told it; None where they drew with nobody.
            The site knows the secret by now, and could have answered anew.

    Raises:
        Unverified: it does not hold; whatever the input, no other error is raised.
    """
    try:
        return _checked(data, party, certificate, draw)
    except Unverified:
        raise
    except HetaoError as error:
        raise Unverified(
            f"the acts are not shown as a site shows them: {error}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unverified("the file of acts is malformed") from error


def _checked(
    data: bytes,
    party: Party | Directory,
    certificate: Certificate | None,
    draw: Mapping[str, Any] | None,
) -> Shown:
    if len(data) > LARGEST:
        raise Unverified("the file is larger than one of acts can be")
    said = statement_from(parse_canonical(data))
    body, site = said.body, str(said.body["site"])
    if body["type"] != TYPE or set(body) - {JOINT} != FIELDS:
        raise Unverified("the file is none that shows acts")
    who = party[site] if isinstance(party, Directory) else party
    if who.name != site or who.role != "site":
        raise Unverified(f"the acts are those of {site[:60]}, which is not that site")
    said.verify(who)
    record = statement_from(body["extract"])
    _check_logged(record, body["log"], who)
    acts = _acts(body, record)
    if draw is not None and canonical(body.get(JOINT)) != canonical(draw):
        raise Unverified(
            "the acts were not drawn with your secret and the answer that you had",
            fix="ask the site for the acts of your own sample",
        )
    if JOINT in body:
        asked = Ask(site, str(body["to"]), digest(body["extract"]), body["drawn"], "")
        _check_drawn(body, joint_seed(body[JOINT], who, asked))
    if certificate is not None:
        _check_study(body, certificate, site, own=draw is not None)
    return Shown(
        site=site,
        to=str(body["to"]),
        at=str(body["at"]),
        extract=record.body,
        acts=acts,
        drawn=int(body["drawn"]),
        gone=tuple(map(int, body["gone"])),
        fingerprint=who.fingerprint,
        pinned=isinstance(party, Directory),
        certified=certificate is not None,
        joint=JOINT in body,
        own=draw is not None,
    )


def _check_logged(record: Statement, proof_text: str, site: Party) -> None:
    record.verify(site)
    if record.body["site"] != site.name or record.body["type"] != "hetao.extract/1":
        raise Unverified(f"the extract is not one of {site.name}")
    proof = parse_proof(proof_text)
    text = verify_note(proof.note, site.name, site.sign_key)
    tree = parse_checkpoint(text)
    leaf = leaf_hash(canonical(record.as_json()))
    verify_inclusion(proof.index, tree.size, leaf, list(proof.path), tree.root)


def _acts(body: Mapping[str, Any], record: Statement) -> dict[int, bytes]:
    published = bytes.fromhex(str(record.body["root"]).removeprefix("sha256:"))
    tree, found = bytes.fromhex(body["tree"]), dict[int, bytes]()
    for one in body["shown"]:
        path = base64.b64decode(one["path"], validate=True)
        hashes = [path[n : n + HASH_BYTES] for n in range(0, len(path), HASH_BYTES)]
        act = base64.b64decode(one["act"], validate=True)
        nonce = bytes.fromhex(one["nonce"])
        opened = Opened(act, nonce, one["index"], body["acts"], tuple(hashes), tree)
        opened.check(published)
        _check_act(act)
        found[opened.index] = act
    if not found:
        raise Unverified("the file shows no act")
    return found


def _check_act(data: bytes) -> None:
    """Return quietly if committed bytes state an act or an event.

    A site can commit to whatever it likes; what states neither counts as nothing.
    """
    if not data.startswith(EVENT):
        decode_act(data)
        return
    event = parse_canonical(data.removeprefix(EVENT))
    if not isinstance(event, dict) or not isinstance(event["person"], str | None):
        raise Unverified("an event of the file is malformed")


def _check_study(
    body: Mapping[str, Any], certificate: Certificate, site: str, *, own: bool
) -> None:
    """Hold the extract to the one that a study ran on, and drawn acts to its draws.

    Only the verifier's own draw stands for that of the certificate.
    """
    if extract_of(certificate, site) != body["extract"]:
        raise Unverified(f"the study did not run on this extract of {site}")
    if not own and JOINT in body:
        raise Unverified(
            f"the acts do not follow from the certificate, and that {site[:60]} drew "
            "them with an auditor it alone says",
            fix="the auditor shows their own draw, with --answer and --secret",
        )
    if not own and body["drawn"]:
        _check_drawn(body, seed_of(certificate, site))


def _check_drawn(body: Mapping[str, Any], seed: bytes) -> None:
    wanted = draws(seed, body["drawn"], body["acts"])
    had = {one["index"] for one in body["shown"]} | set(body["gone"])
    if set(wanted) != had:
        raise Unverified("other acts are shown than were drawn")
