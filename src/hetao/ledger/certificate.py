"""A certificate: what was asked, allowed, sent and found; checked with files alone.

    {"body": {...}, "log": {"credential", "proof"}, "signature": "...",
     "sums": {task: {hub: {"words", "tag"}}}}

The credential is the entry in the issuer's log, the proof shows that it stands there.

Of `sums`, each is held against the digests that its hub signed, and any may be left
out: exact integers give exact counts, and so do their tags to whoever has the keys in
the receipts. So what is published holds none of them.

Verification runs these steps and stops at the first that fails. It needs the standard
library and `cryptography`, no network, and the same `check_standing` that opened the
doors of the sites:

     1  the text is canonical JSON of type hetao.certificate/3
     2  the coordinator of the permit signed exactly this text
     3  the permit is for this study, and was in force with every required approval
        when the certificate was issued and when each release was made
     4  every party of the permit is in the verifier's own list, where one is given
     5  every release is signed by its site, under this permit, by a listed protocol,
        and of no lower class than its lineage and the checks that it passed give;
        class and checks are such as the permit let leave at that time
     6  every sum is signed by both hubs and is of the very shares that sites released
     7  the integers are the signed ones, and hold one part from each member
     8  every release stands in its site's log, under a checkpoint the site signed; the
        site's policy, snapshot, quality and what its vocabulary makes of the study's
        concept sets are as it signed them, and no release of the run is left out
     9  a credential of exactly this certificate, signed by the coordinator, stands in
        its log, cosigned by both hubs
    10  there is one finding for each analysis of the study, over these very rounds
    11  the output checkers whom the permit asks accepted these very findings

Specification: `docs/specs/certificate.md`.
"""

import base64
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest, digest_bytes, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.classes import PASSED, Lineages, check_class
from hetao.ledger.concept_sets import AcrossSites, across_sites
from hetao.ledger.credential import check_certificate_entry
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, verify_cosignature, verify_note
from hetao.ledger.proof import parse_proof
from hetao.permit import (
    SKEW,
    Bundle,
    Directory,
    Identity,
    Party,
    Payload,
    Permit,
    Statement,
    bundle_from,
    check_standing,
    check_votes,
    package_digest,
    parse_time,
    standing,
    state,
    statement_from,
    strangers_in,
    voided_in,
)
from hetao.study import study_from

TYPE: Final = "hetao.certificate/3"
LARGEST: Final = 512 * 2**20  # bytes
ONE: Final = 1 << 56  # a site's count word, in fixed point
LATEST: Final = 3600  # seconds between the certificate's date and its cosignatures
BODY: Final = {
    "type",
    "software",
    "issued",
    "study",
    "permit",
    "run",
    "sites",
    "lost",
    "rounds",
    "findings",
    "smallest_shown",
    "rounded_to",
    "checks",
    "review",
}
FILE: Final = {"body", "log", "signature", "sums"}
LOG: Final = {"credential", "proof"}
FINDING: Final = {"analysis", "members", "rounds", "withheld", "finding"}
TOLD: Final = {"name", "digest"}  # of a concept set


@dataclass(frozen=True)
class Verified:
    """What a certificate proves, for a reader.

    Attributes:
        steps: each step's sentence, in order.
        study: digest; title: the study's own.
        lowered: site → counts that its policy lowered, with its reason.
        fingerprints: party → sixteen hex digits, for a check by telephone.
        pinned: whether the keys were held against the verifier's own list.
        unchecked: analyses whose integers are not here, so that their findings stand
            on the coordinator's word alone.
        withheld: those of them whose integers nobody is given, for small counts.
        concept_sets: of the study, and which sites' vocabularies make the same of each.
        revoked: UTC time of the first revocation that the verifier was told of; "" if
            of none.
        before_revocation: findings all of whose releases were made before it.
        tainted: the others.
    """

    steps: tuple[str, ...]
    study: str
    title: str
    sites: tuple[str, ...]
    lowered: Mapping[str, Mapping[str, Any]]
    fingerprints: Mapping[str, str]
    pinned: bool
    unchecked: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    concept_sets: tuple[AcrossSites, ...] = ()
    revoked: str = ""
    before_revocation: tuple[str, ...] = ()
    tainted: tuple[str, ...] = ()


def sign_certificate(
    identity: Identity,
    body: Mapping[str, Any],
    log: Mapping[str, Any],
    sums: Mapping[str, Any],
) -> bytes:
    """Return the certificate's bytes, signed by the coordinator."""
    signature = state(identity, _signed(body, log)).signature
    return canonical({"body": body, "log": log, "signature": signature, "sums": sums})


def published(certificate: bytes) -> bytes:
    """Return the certificate without its sums, fit for anybody's eyes.

    Raises:
        Unverified: it is no certificate.
    """
    value = parse_canonical(certificate)
    if not isinstance(value, dict) or set(value) != FILE:
        raise Unverified("not a certificate")
    return canonical({**value, "sums": {}})


def _signed(body: Mapping[str, Any], log: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "hetao.signed-certificate/1",
        "body": digest(body),
        "log": dict(log),
    }


def read_certificate(path: Path) -> bytes:
    """Return the bytes of a certificate file.

    Raises:
        Unverified: it cannot be read, or is larger than a certificate can be.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise Unverified(f"{path.name} is larger than a certificate can be")
        return path.read_bytes()
    except OSError as error:
        raise Unverified(
            f"{path} cannot be read: {error.strerror}", fix="check the path"
        ) from error


def verify_certificate(
    data: bytes, trusted: Directory | None = None, later: Sequence[Statement] = ()
) -> Verified:
    """Return what a certificate proves.

    Args:
        data: the certificate's bytes, to the last one.
        trusted: the verifier's own list of parties; None holds the keys against
            nothing, and `Verified.pinned` says so.
        later: what was said about the permit since, as its file has it; a revocation
            among it takes nothing back, and `Verified` says what it taints.

    Raises:
        Unverified: a step fails; whatever the input, no other error is raised.
    """
    check = _Check(trusted, tuple(later))
    for number, (name, step) in enumerate(check.steps, 1):
        try:
            check.said.append(step(data))
        except HetaoError as error:
            raise Unverified(f"step {number}, {name}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise Unverified(f"step {number}, {name}: malformed") from error
        except (RecursionError, OverflowError) as error:
            raise Unverified(f"step {number}, {name}: malformed") from error
    try:
        return check.verdict()
    except HetaoError as error:
        raise Unverified(f"what was said since does not hold: {error}") from error


class _Check:
    """The steps of one verification, and what they share."""

    body: dict[str, Any]
    log: dict[str, Any]
    signature: str
    sums: dict[str, Any]
    bundle: Bundle

    def __init__(self, trusted: Directory | None, later: tuple[Statement, ...]) -> None:
        self.trusted, self.later = trusted, later
        self.said: list[str] = []
        self.steps: tuple[tuple[str, Callable[[bytes], str]], ...] = (
            ("canonical form", self.parse),
            ("issuer's signature", self.issuer),
            ("permit and approvals", self.permit_stands),
            ("trusted parties", self.parties),
            ("releases", self.releases),
            ("sums of shares", self.totals),
            ("integers", self.integers),
            ("sites' logs", self.site_logs),
            ("the issuer's log", self.issue_log),
            ("findings", self.findings),
            ("output checks", self.review),
        )

    @property
    def smallest(self) -> int:
        return int(self.body["smallest_shown"])

    @property
    def permit(self) -> Permit:
        return self.bundle.permit

    def parse(self, data: bytes) -> str:  # 1
        value = parse_canonical(data)
        if not isinstance(value, dict) or set(value) != FILE:
            raise Unverified("not a certificate")
        self.body, self.log = value["body"], value["log"]
        self.signature, self.sums = str(value["signature"]), value["sums"]
        if self.body["type"] != TYPE:
            raise Unverified(f"not a {TYPE}")
        if set(self.body) != BODY:
            raise Unverified("the body holds other fields than a certificate's")
        return f"the text is canonical, {len(data)} bytes"

    def issuer(self, _: bytes) -> str:  # 2
        self.bundle = bundle_from(self.body["permit"], "certificate")
        coordinator = self.permit.coordinator
        Statement(_signed(self.body, self.log), self.signature).verify(coordinator)
        return f"{coordinator.name} signed exactly this text"

    def permit_stands(self, _: bytes) -> str:  # 3
        study = digest(self.body["study"])
        times = {str(self.body["issued"])}
        for round_ in self.body["rounds"]:
            times |= {str(r["body"]["at"]) for r in round_["receipts"].values()}
        # As it stood then: a suspension may have come, and gone, between two releases.
        for when in map(parse_time, sorted(times)):
            self._stood(study, when)
        signers = sorted(str(n.body["by"]) for n in self.bundle.notices)
        return f"study {study[:19]}… was permitted, approved by {', '.join(signers)}"

    def _stood(
        self, study: str, when: datetime.datetime, payload: Payload | None = None
    ) -> None:
        """Refuse unless an honest site may have seen the permit stand at that time.

        Sites count what lets go on though its signer's clock runs a little ahead.
        """
        try:
            check_standing(self.bundle.as_of(when), study, when, None, payload)
        except HetaoError:
            skewed = self.bundle.as_of(when, SKEW)
            check_standing(skewed, study, when, None, payload)

    def parties(self, _: bytes) -> str:  # 4
        if self.trusted is None:
            return "no list of trusted parties was given: compare the fingerprints"
        for name in strangers_in(self.bundle, self.trusted):
            raise Unverified(f"{name} is not in the list of trusted parties")
        for words in voided_in(self.bundle, self.trusted):
            raise Unverified(words)
        issued = parse_time(str(self.body["issued"]))
        people = self.trusted.people  # the list may know of more names than the permit
        for words in standing(
            self.bundle.as_of(issued, SKEW), issued, people
        ).conflicts:
            raise Unverified(words)
        permit = self.permit
        count = len(permit.parties) + len(permit.persons)
        return (
            f"all {count} parties and people are in the trusted list, with their keys"
        )

    def releases(self, _: bytes) -> str:  # 5
        count = 0
        seen: set[tuple[str, int, int]] = set()
        for round_ in self.body["rounds"]:
            place = (round_["analysis"], round_["attempt"], round_["round"])
            if place in seen:
                raise Unverified(f"round {round_['task']} stands twice")
            seen.add(place)
            if sorted(round_["receipts"]) != sorted(round_["members"]):
                raise Unverified(f"round {round_['task']} lacks a member's release")
            for site in round_["members"]:
                self._release(site, round_)
                count += 1
        more = "" if self.lineages.known else ", graded by another dictionary's levels"
        return f"{count} releases, each signed by its site under this permit{more}"

    def _release(self, site: str, round_: Mapping[str, Any]) -> None:
        party = self._party(site, "site")
        if site not in self.permit.sites:
            raise Unverified(f"{site} is not a site of the permit")
        receipt = statement_from(round_["receipts"][site])
        receipt.verify(party)
        body = receipt.body
        expected = {
            "type": "hetao.release/2",
            "site": site,
            "kind": "sum",
            "members": round_["members"],
            **self._place(round_),
        }
        _match(body, expected, f"the release of {site} in {round_['task']}")
        name, _, version = str(body["protocol"]).partition("/")
        listed = self.permit.protocol(name)
        if name != round_["protocol"] or listed is None:
            raise Unverified(f"{site} ran an unlisted protocol in {round_['task']}")
        if (listed.version, listed.hash) != (version, body["protocol_hash"]):
            raise Unverified(f"{site} ran another code of {name} than was permitted")
        if not 0 <= round_["round"] < listed.most_rounds:
            raise Unverified(f"{round_['task']} lies beyond the permitted rounds")
        self._class(site, body)
        if not isinstance(body["policy"]["lowered"], list):  # also of a lost site
            raise Unverified(f"{site} does not say what its policy lowered")

    def _class(self, site: str, body: Mapping[str, Any]) -> None:
        """Grade a release again, and hold it to the permit's terms of that time."""
        what = f"the release of {site} in {body['task']}"
        if not self.lineages.covers(str(body["analysis"]), body["lineage"]):
            raise Unverified(f"{what} leaves out what its analysis reads")
        check_class(body, what, self.lineages.known)
        said, checks = body["class"], frozenset(body["checks"].get(PASSED, {}))
        payload = Payload(str(said["kind"]), site, int(said["released"]), checks)
        self._stood(self.permit.study, parse_time(str(body["at"])), payload)

    @cached_property
    def lineages(self) -> Lineages:
        """Return what each analysis of the certified study reads."""
        return Lineages(study_from(self.body["study"]))

    def _place(self, round_: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "study": self.permit.study,
            "permit": self.permit.digest,
            "run": self.body["run"],
            "task": round_["task"],
            "analysis": round_["analysis"],
            "attempt": round_["attempt"],
            "round": round_["round"],
        }

    def _party(self, name: str, role: str) -> Party:
        party = self.permit.directory[name]
        if party.role != role:
            raise Unverified(f"{name} is not a {role} of the permit")
        return party

    def totals(self, _: bytes) -> str:  # 6
        for round_ in self.body["rounds"]:
            if sorted(round_["totals"]) != sorted(self.permit.hubs):
                raise Unverified(f"{round_['task']} lacks a hub's sum")
            for hub in self.permit.hubs:
                total = statement_from(round_["totals"][hub])
                total.verify(self._party(hub, "hub"))
                shares = {
                    site: receipt["body"]["shares"][hub]
                    for site, receipt in round_["receipts"].items()
                }
                expected = {
                    "type": "hetao.total/1",
                    "hub": hub,
                    "shares": shares,
                    **self._place(round_),
                }
                _match(total.body, expected, f"the sum of {hub} in {round_['task']}")
        return f"{len(self.body['rounds'])} sums, each signed by both hubs"

    def integers(self, _: bytes) -> str:  # 7
        shown = 0
        if set(self.sums) - {round_["task"] for round_ in self.body["rounds"]}:
            raise Unverified("integers are shown of a round that is not certified")
        for round_ in self.body["rounds"]:
            if round_["task"] not in self.sums:
                continue
            shown_of = self.sums[round_["task"]]
            if set(shown_of) != set(self.permit.hubs):
                raise Unverified(
                    f"{round_['task']} shows other integers than two hubs'"
                )
            parts = [
                self._integers_of(hub, shown_of[hub], round_)
                for hub in self.permit.hubs
            ]
            if _last_value(parts) != len(round_["members"]) * ONE:
                raise Unverified(f"{round_['task']} lacks a part of a member")
            shown += 1
        missing = len(self.body["rounds"]) - shown
        more = f"; those of {missing} are not here"
        return f"the exact integers of {shown} sums" + (more if missing else "")

    def _integers_of(
        self, hub: str, part: Mapping[str, str], round_: Mapping[str, Any]
    ) -> bytes:
        """Return the words that a hub signed; their tag and length are checked too."""
        task, body = round_["task"], round_["totals"][hub]["body"]
        raw = base64.b64decode(part["words"], validate=True)
        if set(part) != {"words", "tag"} or digest_bytes(raw) != body["words"]:
            raise Unverified(f"{hub} signed other integers in {task}")
        if digest_bytes(bytes.fromhex(part["tag"])) != body["tag"]:
            raise Unverified(f"{hub} signed another sum of tags in {task}")
        if len(raw) != 16 * (body["values"] + 1):
            raise Unverified(f"the sum of {task} has another length")
        return raw

    def site_logs(self, _: bytes) -> str:  # 8
        tasks: dict[str, dict[str, Any]] = {}
        for round_ in self.body["rounds"]:
            for site, receipt in round_["receipts"].items():
                tasks.setdefault(site, {})[round_["task"]] = receipt
        proved = {entry["name"] for entry in self.body["sites"]}
        for site in set(tasks) - proved - set(self.body["lost"]):
            raise Unverified(f"the log of {site} is missing")
        for entry in self.body["sites"]:
            self._site_log(entry, tasks.get(entry["name"], {}))
        return f"every release stands in the log of its site ({len(proved)} logs)"

    def _site_log(self, entry: Mapping[str, Any], receipts: Mapping[str, Any]) -> None:
        site = entry["name"]
        party = self._party(site, "site")
        key = party.sign_key
        if entry["side"] != party.side:
            raise Unverified(f"{site} is on another side than the certificate says")
        self._policies(entry, receipts)
        checkpoint = parse_checkpoint(verify_note(entry["checkpoint"], site, key))
        if checkpoint.origin != site:
            raise Unverified(f"the log of {site} bears another name")
        proofs = {proof["task"]: proof for proof in entry["proofs"]}
        self._ready(entry)
        self._closing(entry)
        left_out = set(proofs) - set(receipts)
        if set(receipts) - set(proofs) or not all(map(self._given_up, left_out)):
            raise Unverified(f"a release of {site} is left out")
        for task, receipt in receipts.items():
            for field in ("policy", "snapshot"):
                if receipt["body"][field] != entry[field]:
                    raise Unverified(f"{site} signed another {field}")
            proof = proofs[task]
            path = [bytes.fromhex(node) for node in proof["path"]]
            leaf = leaf_hash(canonical(receipt))
            verify_inclusion(
                proof["index"], checkpoint.size, leaf, path, checkpoint.root
            )

    def _policies(self, entry: Mapping[str, Any], receipts: Mapping[str, Any]) -> None:
        """Hold what is shown of counts against what each release's policy allows."""
        site = entry["name"]
        for receipt in receipts.values():
            # Else a lying issuer could hide that a site lowered its counts.
            if receipt["body"]["policy"] != entry["policy"]:
                raise Unverified(f"{site} released under another policy than is shown")
            minimum = receipt["body"]["policy"]["minimum"]
            if minimum["cell"] > self.smallest:
                raise Unverified(f"{site} shows no count so small as the findings may")
            if minimum["rounding"] > self.body["rounded_to"]:
                raise Unverified(f"{site} rounds counts more than the findings do")

    def _given_up(self, task: str) -> bool:
        """Return whether a task belongs to an attempt that a later one replaced."""
        name, attempt, _ = task.rsplit("/", 2)
        attempts = [r["attempt"] for r in self.body["rounds"] if r["analysis"] == name]
        return bool(attempts) and int(attempt) < max(attempts)

    def _ready(self, entry: Mapping[str, Any]) -> None:
        """Hold what the site said at the beginning against its own signature."""
        study, told = self.body["study"], entry["concepts"]
        names = [one["name"] for one in study.get("concepts", ())]
        if not isinstance(told, list) or any(set(one) != TOLD for one in told):
            raise Unverified(f"{entry['name']} tells of concept sets in another form")
        if told and [one["name"] for one in told] != names:
            raise Unverified(f"{entry['name']} tells of other concept sets")
        content = {key: entry[key] for key in ("snapshot", "policy")}
        content |= {"dictionary": study["dictionary"]}
        self._notice(entry, "ready", content | ({"concepts": told} if told else {}))

    def _closing(self, entry: Mapping[str, Any]) -> None:
        """Hold what the site said at the end against its own signature."""
        content = {key: entry[key] for key in ("checkpoint", "proofs", "quality")}
        self._notice(entry, "closing", content)

    def _notice(
        self, entry: Mapping[str, Any], kind: str, content: Mapping[str, Any]
    ) -> None:
        site = entry["name"]
        said = statement_from(entry[kind])
        said.verify(self._party(site, "site"))
        check_class(said.body, f"the {kind} of {site}", known=True)
        expected = {
            "type": "hetao.release/2",
            "site": site,
            "kind": kind,
            "study": self.permit.study,
            "permit": self.permit.digest,
            "run": self.body["run"],
            "content": digest({**content, "site": site}),
        }
        _match(said.body, expected, f"the {kind} of {site}")

    def issue_log(self, _: bytes) -> str:  # 9
        coordinator = self.permit.coordinator
        name, key = coordinator.name, coordinator.sign_key
        if set(self.log) != LOG:
            raise Unverified("the log's part holds other fields than it should")
        entry, proof = str(self.log["credential"]), parse_proof(self.log["proof"])
        check_certificate_entry(entry, name, key, self.body, proof.index)
        checkpoint = parse_checkpoint(verify_note(proof.note, name, key))
        if checkpoint.origin != name:
            raise Unverified("the issuer's log bears another name")
        if proof.extra is not None:
            raise Unverified("the proof bears bytes that nothing vouches for")
        leaf, root = leaf_hash(entry.encode("ascii")), checkpoint.root
        verify_inclusion(proof.index, checkpoint.size, leaf, proof.path, root)
        issued = parse_time(str(self.body["issued"])).timestamp()
        for hub in self.permit.hubs:
            hub_key = self._party(hub, "hub").sign_key
            seen = verify_cosignature(proof.note, hub, hub_key)
            if abs(seen - issued) > LATEST:
                raise Unverified(f"{hub} cosigned at another time than it was issued")
        return f"entry {proof.index}, cosigned by " + " and ".join(self.permit.hubs)

    def findings(self, _: bytes) -> str:  # 10
        asked = [analysis["name"] for analysis in self.body["study"]["analyses"]]
        found = [finding["analysis"] for finding in self.body["findings"]]
        if asked != found:
            raise Unverified("the findings are not those that the study asks for")
        for finding in self.body["findings"]:
            self._finding(finding)
        unchecked = self.unchecked()
        more = f"; on the issuer's word alone: {', '.join(unchecked)}"
        return f"{len(found)} findings, one for each analysis" + more * bool(unchecked)

    def review(self, _: bytes) -> str:  # 11
        review = self.body["review"]
        if set(review) != {"package", "votes"}:
            raise Unverified("the review holds other fields than it should")
        package = package_digest(self.body)
        if review["package"] != package:
            raise Unverified("the output checkers looked at something else than this")
        votes = [statement_from(vote) for vote in review["votes"]]
        found = check_votes(self.permit, package, votes, self.trusted)
        if len(votes) != len(found.said):
            raise Unverified("the review holds votes about something else")
        return f"shown after output checks by {' and '.join(sorted(found.said))}"

    def unchecked(self) -> tuple[str, ...]:
        """Return the analyses of which an integer of a sum is not here."""
        missing = {
            r["analysis"] for r in self.body["rounds"] if r["task"] not in self.sums
        }
        found = [finding["analysis"] for finding in self.body["findings"]]
        return tuple(name for name in found if name in missing)

    def _finding(self, finding: Mapping[str, Any]) -> None:
        rounds = [
            r for r in self.body["rounds"] if r["analysis"] == finding["analysis"]
        ]
        if set(finding) != FINDING:
            raise Unverified("a finding holds other fields than it should")
        payload = finding["finding"]
        if finding["withheld"] and "terms" in payload and not _hides(payload):
            raise Unverified(f"{finding['analysis']} hides nothing, so it is checkable")
        proved = {entry["name"] for entry in self.body["sites"]}
        if not set(finding["members"]) <= proved - set(self.body["lost"]):
            raise Unverified(
                f"{finding['analysis']} counts a site that is lost or has no log here"
            )
        last = max(r["attempt"] for r in rounds)
        course = [r for r in rounds if r["attempt"] == last]
        if [r["round"] for r in course] != list(range(finding["rounds"])):
            raise Unverified(f"{finding['analysis']} lacks a round")
        if any(r["members"] != finding["members"] for r in course):
            raise Unverified(f"{finding['analysis']} changed its members midway")
        method = course[0]["protocol"]
        if any(r["protocol"] != method for r in course):
            raise Unverified(f"{finding['analysis']} changed its protocol midway")

    def revoked(self) -> str:
        """Return when somebody first revoked or withdrew, as far as was told."""
        heard = self.bundle.with_notices(self.later).heard
        ends = [n.notice.at for n in heard if n.notice.verb in ("revoke", "withdraw")]
        return min(ends, default="")

    def released_after(self, when: str) -> set[str]:
        """Return the analyses with a release from that time on."""
        return {
            str(round_["analysis"])
            for round_ in self.body["rounds"]
            for receipt in round_["receipts"].values()
            if when and str(receipt["body"]["at"]) >= when
        }

    def verdict(self) -> Verified:
        revoked = self.revoked()
        after = self.released_after(revoked)
        named = [str(finding["analysis"]) for finding in self.body["findings"]]
        return Verified(
            revoked=revoked,
            before_revocation=tuple(n for n in named if revoked and n not in after),
            tainted=tuple(name for name in named if name in after),
            steps=tuple(self.said),
            study=self.permit.study,
            title=str(self.body["study"].get("title", "")),
            sites=tuple(self.permit.sites),
            lowered={
                site: receipt["body"]["policy"]
                for round_ in self.body["rounds"]
                for site, receipt in round_["receipts"].items()
                if receipt["body"]["policy"].get("lowered")
            },
            fingerprints={k.name: k.fingerprint for k in self.permit.keys}
            | {p.name: p.fingerprint for p in self.permit.parties},
            pinned=self.trusted is not None,
            unchecked=self.unchecked(),
            withheld=tuple(
                f["analysis"] for f in self.body["findings"] if f["withheld"]
            ),
            concept_sets=across_sites(
                {entry["name"]: entry["concepts"] for entry in self.body["sites"]}
            ),
        )


def _hides(payload: Mapping[str, Any]) -> bool:
    """Return whether a model's finding hides a count; linear has no events.

    That of an effect also has counts of its arms and in bins of its score; that of a
    prediction's performance hides its bins wherever anything is hidden.
    """
    no_events = payload["model"] != "linear" and payload.get("events", 0) is None
    arms = [arm["n"] for arm in payload.get("arms", ())]
    bins = [count for counts in payload.get("overlap", ()) for count in counts]
    no_bins = payload.get("bins", 0) is None
    strata = [one["n"] for one in payload.get("strata", ())]
    no_sites = payload.get("sites", 0) is None  # of a meta-analysis, by site
    curves = "baseline" in payload  # whose steps may have been joined
    counts = (payload["n"], *arms, *bins, *strata)
    return None in counts or no_events or no_bins or no_sites or curves


def _match(body: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    for key, value in expected.items():
        if body[key] != value:
            raise Unverified(f"{what} names another {key}")


def _last_value(parts: Sequence[bytes]) -> int:
    """Return the last summed value as an integer multiple of 2^-56."""
    high = low = 0
    for raw in parts:
        half = len(raw) // 2
        high += int.from_bytes(raw[half - 8 : half], "little")
        low += int.from_bytes(raw[-8:], "little")
    high, low = high % 2**64, low % 2**64
    return ((high - 2**64 if high >= 2**63 else high) << 48) + low
