"""In a certificate: extract root → input root → each message, each citing the last.

A part of step 8 of `hetao.ledger.certificate`. What it proves and what it does not is
said in `docs/specs/provenance.md`.
"""

from collections.abc import Mapping
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.errors import Unverified
from hetao.ledger.merkle import leaf_hash, verify_inclusion
from hetao.ledger.note import Checkpoint
from hetao.ledger.opened import Opened, match
from hetao.permit import statement_from

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


def check_extract(
    certificate: Opened, entry: Mapping[str, Any], checkpoint: Checkpoint
) -> None:
    """Return when a site's extract was in its log before anything left for the study.

    A site that committed to none says so by its `extract`, which is then nothing.

    Raises:
        Unverified: it was not, or is of another site or other tables.
    """
    extract, site = entry["extract"], entry["name"]
    if extract is None:
        return
    if set(extract) != {"record", "index", "path"}:
        raise Unverified(f"the extract of {site} holds other fields than it should")
    record = statement_from(extract["record"])
    record.verify(certificate.party(site, "site"))
    if set(record.body) != FIELDS:
        raise Unverified(f"{site} signed an extract of other fields")
    expected = {"type": TYPE, "site": site, "snapshot": entry["snapshot"]}
    match(record.body, expected, f"the extract of {site}")
    path = [bytes.fromhex(node) for node in extract["path"]]
    leaf = leaf_hash(canonical(extract["record"]))
    index = extract["index"]
    verify_inclusion(index, checkpoint.size, leaf, path, checkpoint.root)
    if any(proof["index"] <= index for proof in entry["proofs"]):
        raise Unverified(f"{site} committed to its extract after a release")


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
        if int(number):
            before = receipts.get(f"{analysis}/{attempt}/{int(number) - 1}")
        if before is None or body["cites"] != digest(before):
            raise Unverified(f"{site} does not cite what went before {task}")
        if inputs.setdefault(analysis, body["input"]) != body["input"]:
            raise Unverified(f"{site} took other rows in {task} than before")
