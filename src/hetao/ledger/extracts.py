"""In a certificate: extract root → input root → each message, each citing the last.

A part of step 8 of `hetao.ledger.certificate`. What it proves and what it does not is
said in `docs/specs/provenance.md`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import (
    from_hex,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from hetao.ledger.note import COSIGNATURE, Checkpoint, vkey
from hetao.ledger.opened import Opened, match
from hetao.ledger.policy import Policy, parse_policy
from hetao.ledger.sealed_counts import what_of
from hetao.permit import Party, statement_from

TYPE: Final = "hetao.extract/1"
FIELDS: Final = {
    "type",
    "site",
    "at",
    "snapshot",
    "dictionary",
    "vocabulary",
    "mapping",
    "acts",
    "people",
    "root",
}
PLAIN: Final = {"record", "index", "path"}
SEEN: Final = {"seen", "then", "growth"}  # where the permit demands witnesses


def cited(record: Mapping[str, Any], seen: Sequence[str] = ()) -> str:
    """Return the digest by which a site's first record cites its extract.

    Args:
        record: the signed record of the extract.
        seen: the lines of what witnesses cosigned before; none where nobody asked.
    """
    return digest({"record": record, "seen": list(seen)} if seen else record)


def policy_of(committed: str, site: Party) -> Policy:
    """Return by which witnesses a permit demands that a site's log was seen.

    Raises:
        InvalidData: the permit's text, below a line for this log, is no policy; or a
            witness has a key whose line no notice out of a site can hold.
    """
    policy = parse_policy(f"log {vkey(site.name, site.sign_key)}\n{committed}".encode())
    keys = policy.witnesses.values()
    if len(policy.logs) != 1 or any(key.kind != COSIGNATURE for key in keys):
        raise InvalidData(
            "a permit names no log and only Ed25519 keys of witnesses in `committed`"
        )
    return policy


def check_extract(
    certificate: Opened, entry: Mapping[str, Any], checkpoint: Checkpoint
) -> None:
    """Return when a site's extract was in its log before anything left for the study.

    A site that committed to none says so by its `extract`, which is then nothing.

    Raises:
        Unverified: it was not, or is of another site or other tables; or the permit
            demands it, or that witnesses had seen it, and they had not.
    """
    extract, site = entry["extract"], entry["name"]
    committed = certificate.permit.committed
    if extract is None:
        if committed:
            raise Unverified(f"{site} had not committed, which the permit demands")
        return
    if set(extract) != (PLAIN | SEEN if committed else PLAIN):
        raise Unverified(f"the extract of {site} holds other fields than it should")
    record = statement_from(extract["record"])
    record.verify(certificate.party(site, "site"))
    if set(record.body) != FIELDS:
        raise Unverified(f"{site} signed an extract of other fields")
    expected = {"type": TYPE, "site": site, "snapshot": entry["snapshot"]}
    match(record.body, expected, f"the extract of {site}")
    path = list(map(from_hex, extract["path"]))
    leaf = leaf_hash(canonical(extract["record"]))
    index = extract["index"]
    verify_inclusion(index, checkpoint.size, leaf, path, checkpoint.root)
    if any(proof["index"] <= index for proof in entry["proofs"]):
        raise Unverified(f"{site} committed to its extract after a release")
    if committed:
        policy = policy_of(committed, certificate.party(site, "site"))
        _check_seen(entry, checkpoint, policy)


def _check_seen(
    entry: Mapping[str, Any], checkpoint: Checkpoint, policy: Policy
) -> None:
    """Return when witnesses had seen the extract before the site's first record.

    That record cites what they signed, and each release cites the record.
    """
    extract, site = entry["extract"], entry["name"]
    seen = policy.check("\n".join(map(str, extract["seen"]))).checkpoint
    then = list(map(from_hex, extract["then"]))
    leaf = leaf_hash(canonical(extract["record"]))
    verify_inclusion(extract["index"], seen.size, leaf, then, seen.root)
    growth = list(map(from_hex, extract["growth"]))
    verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, growth)
    if any(proof["index"] < seen.size for proof in entry["proofs"]):
        raise Unverified(f"witnesses saw the extract of {site} after a release")


def check_citations(entry: Mapping[str, Any], receipts: Mapping[str, Any]) -> None:
    """Return when each of a site's releases cites the one before, from its begin on.

    Raises:
        Unverified: one does not; or two rounds of an analysis are of unlike input.
    """
    site, inputs = entry["name"], dict[str, str]()
    for task, receipt in receipts.items():
        body = receipt["body"]
        analysis, attempt, number = task.rsplit("/", 2)
        before = entry["ready"]
        if not what_of(task) and int(number):
            before = receipts.get(f"{analysis}/{attempt}/{int(number) - 1}")
        if before is None or body["cites"] != digest(before):
            raise Unverified(f"{site} does not cite what went before {task}")
        if inputs.setdefault(analysis, body["input"]) != body["input"]:
            raise Unverified(f"{site} took other rows in {task} than before")
