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

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest, parse_canonical
from hetao.errors import HetaoError, Unverified
from hetao.ledger.concept_sets import AcrossSites, across_sites
from hetao.ledger.credential import check_certificate_entry
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, verify_cosignature, verify_note
from hetao.ledger.opened import FILE, Opened, open_certificate
from hetao.ledger.proof import parse_proof
from hetao.ledger.rounds import check_integers, check_releases, check_totals
from hetao.ledger.site_logs import check_site_logs
from hetao.permit import (
    SKEW,
    Directory,
    Identity,
    Statement,
    check_votes,
    package_digest,
    parse_time,
    standing,
    state,
    statement_from,
    strangers_in,
    voided_in,
)
from hetao.whole import read_whole

LOG: Final = {"credential", "proof"}
LARGEST: Final = 512 * 2**20  # bytes
LATEST: Final = 3600  # seconds between the certificate's date and its cosignatures
FINDING: Final = {"analysis", "members", "rounds", "withheld", "finding"}


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
    signature = state(identity, _signed(digest(body), log)).signature
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


def _signed(body: str, log: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "hetao.signed-certificate/1", "body": body, "log": dict(log)}


def read_certificate(path: Path) -> bytes:
    """Return the bytes of a certificate file.

    Raises:
        InvalidData: there is none that could be read.
        Unverified: it is larger than a certificate can be, or is a page.
    """
    data = read_whole(path, LARGEST, beyond=Unverified)
    if data[:99].lstrip().startswith(b"<"):
        raise Unverified(
            f"{path.name} is a page, for people to read",
            fix="take the very file that was written, the .json beside it; "
            f"{Unverified.remedy}",
        )
    return data


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
    with step("step 1, canonical form"):
        certificate = open_certificate(data, trusted)
    said = [f"the text is canonical, {len(data)} bytes"]
    for number, (name, check) in enumerate(STEPS, 2):
        with step(f"step {number}, {name}"):
            said.append(check(certificate))
    try:
        return _verdict(certificate, said, later)
    except HetaoError as error:
        raise Unverified(f"what was said since does not hold: {error}") from error


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Make whatever input can bring about an `Unverified` that names the step."""
    try:
        yield
    except HetaoError as error:
        raise Unverified(
            f"{name}: {error.code}: {error.what}",
            fix=f"{error.fix}; {Unverified.remedy}",
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Unverified(f"{name}: malformed") from error
    except (RecursionError, OverflowError) as error:
        raise Unverified(f"{name}: malformed") from error


def check_issuer(certificate: Opened) -> str:  # 2
    """Hold the text to the coordinator's signature; say whose it is."""
    coordinator = certificate.permit.coordinator
    signed = _signed(certificate.digest, certificate.log)
    Statement(signed, certificate.signature).verify(coordinator)
    return f"{coordinator.name} signed exactly this text"


def _permit_stands(certificate: Opened) -> str:  # 3
    study = digest(certificate.body["study"])
    times = {str(certificate.body["issued"])}
    for round_ in (*certificate.body["rounds"], *certificate.counts):
        times |= {str(r["body"]["at"]) for r in round_["receipts"].values()}
    # As it stood then: a suspension may have come, and gone, between two releases.
    for when in map(parse_time, sorted(times)):
        certificate.stood(study, when)
    signers = sorted(str(n.body["by"]) for n in certificate.bundle.notices)
    return f"study {study[:19]}… was permitted, approved by {', '.join(signers)}"


def check_parties(certificate: Opened) -> str:  # 4
    """Hold everybody of the permit to the verifier's own list; say how many."""
    if certificate.trusted is None:
        return "no list of trusted parties was given: compare the fingerprints"
    for name in strangers_in(certificate.bundle, certificate.trusted):
        raise Unverified(f"{name} is not in the list of trusted parties")
    for words in voided_in(certificate.bundle, certificate.trusted):
        raise Unverified(words)
    issued = parse_time(str(certificate.body["issued"]))
    people = (
        certificate.trusted.people
    )  # the list may know of more names than the permit
    for words in standing(
        certificate.bundle.as_of(issued, SKEW), issued, people
    ).conflicts:
        raise Unverified(words)
    permit = certificate.permit
    count = len(permit.parties) + len(permit.persons)
    return f"all {count} parties and people are in the trusted list, with their keys"


def check_issue_log(certificate: Opened) -> str:  # 9
    """Hold the credential to the issuer's log and its hubs; say where it stands."""
    coordinator = certificate.permit.coordinator
    name, key = coordinator.name, coordinator.sign_key
    if set(certificate.log) != LOG:
        raise Unverified("the log's part holds other fields than it should")
    entry, proof = (
        str(certificate.log["credential"]),
        parse_proof(certificate.log["proof"]),
    )
    body, named = certificate.body, certificate.digest
    check_certificate_entry(entry, name, key, body, proof.index, named)
    checkpoint = parse_checkpoint(verify_note(proof.note, name, key))
    if checkpoint.origin != name:
        raise Unverified("the issuer's log bears another name")
    if proof.extra is not None:
        raise Unverified("the proof bears bytes that nothing vouches for")
    if proof.index != checkpoint.size - 1:  # whoever cosigned it looked at the last one
        raise Unverified("the issuer's log does not end with the certificate")
    leaf, root = leaf_hash(entry.encode("ascii")), checkpoint.root
    verify_inclusion(proof.index, checkpoint.size, leaf, proof.path, root)
    if not isinstance(body["software"], str):
        raise Unverified("which version wrote it is not told in words")
    issued = parse_time(str(certificate.body["issued"])).timestamp()
    for hub in certificate.permit.hubs:
        hub_key = certificate.party(hub, "hub").sign_key
        seen = verify_cosignature(proof.note, hub, hub_key)
        if abs(seen - issued) > LATEST:
            raise Unverified(f"{hub} cosigned at another time than it was issued")
    return f"entry {proof.index}, cosigned by " + " and ".join(certificate.permit.hubs)


def _findings(certificate: Opened) -> str:  # 10
    asked = [analysis["name"] for analysis in certificate.body["study"]["analyses"]]
    found = [finding["analysis"] for finding in certificate.body["findings"]]
    if asked != found:
        raise Unverified("the findings are not those that the study asks for")
    for finding in certificate.body["findings"]:
        _finding(certificate, finding)
    unchecked = _unchecked(certificate)
    more = f"; on the issuer's word alone: {', '.join(unchecked)}"
    return f"{len(found)} findings, one for each analysis" + more * bool(unchecked)


def _review(certificate: Opened) -> str:  # 11
    review = certificate.body["review"]
    if set(review) != {"package", "votes"}:
        raise Unverified("the review holds other fields than it should")
    package = package_digest(certificate.body)
    if review["package"] != package:
        raise Unverified("the output checkers looked at something else than this")
    votes = [statement_from(vote) for vote in review["votes"]]
    found = check_votes(certificate.permit, package, votes, certificate.trusted)
    if len(votes) != len(found.said):
        raise Unverified("the review holds votes about something else")
    return f"shown after output checks by {' and '.join(sorted(found.said))}"


def _unchecked(certificate: Opened) -> tuple[str, ...]:
    """Return the analyses of which an integer of a sum is not here."""
    missing = {
        r["analysis"]
        for r in certificate.body["rounds"]
        if r["task"] not in certificate.sums
    }
    found = [finding["analysis"] for finding in certificate.body["findings"]]
    return tuple(name for name in found if name in missing)


def _finding(certificate: Opened, finding: Mapping[str, Any]) -> None:
    rounds = [
        r for r in certificate.body["rounds"] if r["analysis"] == finding["analysis"]
    ]
    if set(finding) != FINDING:
        raise Unverified("a finding holds other fields than it should")
    numbers = finding["rounds"], certificate.body["smallest_shown"]
    if any(type(one) is not int for one in (*numbers, certificate.body["rounded_to"])):
        raise Unverified(f"{finding['analysis']} counts in no whole numbers")
    if type(finding["withheld"]) is not bool:
        raise Unverified(f"{finding['analysis']} does not say whether it is withheld")
    payload = finding["finding"]
    if finding["withheld"] and "terms" in payload and not _hides(payload):
        raise Unverified(f"{finding['analysis']} hides nothing, so it is checkable")
    proved = {entry["name"] for entry in certificate.body["sites"]}
    if not set(finding["members"]) <= proved - set(certificate.body["lost"]):
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


def _revoked(certificate: Opened, later: Sequence[Statement]) -> str:
    """Return when somebody first revoked or withdrew, as far as was told."""
    heard = certificate.bundle.with_notices(tuple(later)).counting
    ends = [n.notice.at for n in heard if n.notice.verb in ("revoke", "withdraw")]
    return min(ends, default="")


def _released_after(certificate: Opened, when: str) -> set[str]:
    """Return the analyses with a release from that time on."""
    return {
        str(round_["analysis"])
        for round_ in (*certificate.body["rounds"], *certificate.counts)
        for receipt in round_["receipts"].values()
        if when and str(receipt["body"]["at"]) >= when
    }


def _verdict(
    certificate: Opened, said: Sequence[str], later: Sequence[Statement]
) -> Verified:
    revoked = _revoked(certificate, later)
    after = _released_after(certificate, revoked)
    named = [str(finding["analysis"]) for finding in certificate.body["findings"]]
    return Verified(
        revoked=revoked,
        before_revocation=tuple(n for n in named if revoked and n not in after),
        tainted=tuple(name for name in named if name in after),
        steps=tuple(said),
        study=certificate.permit.study,
        title=str(certificate.body["study"].get("title", "")),
        sites=tuple(certificate.permit.sites),
        lowered={
            site: receipt["body"]["policy"]
            for round_ in certificate.body["rounds"]
            for site, receipt in round_["receipts"].items()
            if receipt["body"]["policy"].get("lowered")
        },
        fingerprints={k.name: k.fingerprint for k in certificate.permit.keys}
        | {p.name: p.fingerprint for p in certificate.permit.parties},
        pinned=certificate.trusted is not None,
        unchecked=_unchecked(certificate),
        withheld=tuple(
            f["analysis"] for f in certificate.body["findings"] if f["withheld"]
        ),
        concept_sets=across_sites(
            {entry["name"]: entry["concepts"] for entry in certificate.body["sites"]}
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
    no_sums = payload.get("combinations", 0) is None  # the sums alone tell of few
    curves = "baseline" in payload  # whose steps may have been joined
    counts = (payload["n"], *arms, *bins, *strata)
    return None in counts or no_events or no_bins or no_sites or no_sums or curves


# Each says what it found in a sentence. Of the first, `open_certificate` is the step.
STEPS: Final[tuple[tuple[str, Callable[[Opened], str]], ...]] = (
    ("issuer's signature", check_issuer),  # 2
    ("permit and approvals", _permit_stands),
    ("trusted parties", check_parties),
    ("releases", check_releases),
    ("sums of shares", check_totals),
    ("integers", check_integers),
    ("sites' logs", check_site_logs),
    ("the issuer's log", check_issue_log),
    ("findings", _findings),
    ("output checks", _review),
)
