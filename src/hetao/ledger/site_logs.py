"""The sites of a certificate: their logs, and what each of them signed it is.

Step 8 of `hetao.ledger.certificate`.
"""

from collections.abc import Mapping
from typing import Any, Final

from hetao.canonical import canonical, digest
from hetao.errors import Unverified
from hetao.ledger.classes import check_class
from hetao.ledger.extracts import check_citations, check_extract, cited
from hetao.ledger.merkle import from_hex, leaf_hash, verify_inclusion
from hetao.ledger.note import parse_checkpoint, verify_note
from hetao.ledger.opened import Opened, match
from hetao.permit import statement_from

SITE: Final = {
    "name",
    "side",
    "snapshot",
    "policy",
    "concepts",
    "ready",
    "quality",
    "checkpoint",
    "proofs",
    "extract",
    "closing",
}
PROOF: Final = {"task", "index", "path"}
TOLD: Final = {"name", "digest"}  # of a concept set


def check_site_logs(certificate: Opened) -> str:  # 8
    """Hold each release and what a site told to its log; say how many logs."""
    tasks: dict[str, dict[str, Any]] = {}
    for round_ in (*certificate.body["rounds"], *certificate.counts):
        for site, receipt in round_["receipts"].items():
            tasks.setdefault(site, {})[round_["task"]] = receipt
    proved = {entry["name"] for entry in certificate.body["sites"]}
    if len(proved) != len(certificate.body["sites"]):
        raise Unverified("a site stands twice")
    _check_lost(certificate)
    for site in set(tasks) - proved - set(certificate.body["lost"]):
        raise Unverified(f"the log of {site} is missing")
    for entry in certificate.body["sites"]:
        _site_log(certificate, entry, tasks.get(entry["name"], {}))
    bound = sum(entry["extract"] is not None for entry in certificate.body["sites"])
    more = ", each seen by the permit's witnesses before" * bool(
        certificate.permit.committed
    )
    return (
        f"every release stands in the log of its site ({len(proved)} logs), and cites "
        f"what went before; {bound} had committed to their extracts{more}"
    )


def _check_lost(certificate: Opened) -> None:
    """Hold what is said of lost sites to its form: the words are the issuer's own."""
    lost = certificate.body["lost"]
    if not isinstance(lost, dict) or set(lost) - set(certificate.permit.sites):
        raise Unverified("one that is no site of the permit is said to be lost")
    if not all(isinstance(why, str) for why in lost.values()):
        raise Unverified("why a site was lost is not told in words")


def _site_log(
    certificate: Opened, entry: Mapping[str, Any], receipts: Mapping[str, Any]
) -> None:
    site = entry["name"]
    if set(entry) != SITE or any(set(one) != PROOF for one in entry["proofs"]):
        raise Unverified(f"what is told of {site} holds other fields than it should")
    party = certificate.party(site, "site")
    key = party.sign_key
    if entry["side"] != party.side:
        raise Unverified(f"{site} is on another side than the certificate says")
    _policies(certificate, entry, receipts)
    checkpoint = parse_checkpoint(verify_note(entry["checkpoint"], site, key))
    if checkpoint.origin != site:
        raise Unverified(f"the log of {site} bears another name")
    proofs = {proof["task"]: proof for proof in entry["proofs"]}
    if len(proofs) != len(entry["proofs"]):
        raise Unverified(f"{site} gives a place twice")
    _ready(certificate, entry)
    _closing(certificate, entry)
    check_extract(certificate, entry, checkpoint)
    check_citations(entry, receipts)
    left_out = set(proofs) - set(receipts)
    if set(receipts) - set(proofs) or not all(
        _given_up(certificate, task) for task in left_out
    ):
        raise Unverified(f"a release of {site} is left out")
    for task, receipt in receipts.items():
        for field in ("policy", "snapshot"):
            if receipt["body"][field] != entry[field]:
                raise Unverified(f"{site} signed another {field}")
        proof = proofs[task]
        path = list(map(from_hex, proof["path"]))
        leaf = leaf_hash(canonical(receipt))
        verify_inclusion(proof["index"], checkpoint.size, leaf, path, checkpoint.root)


def _policies(
    certificate: Opened, entry: Mapping[str, Any], receipts: Mapping[str, Any]
) -> None:
    """Hold what is shown of counts against what each release's policy allows."""
    site = entry["name"]
    for receipt in receipts.values():
        # Else a lying issuer could hide that a site lowered its counts.
        if receipt["body"]["policy"] != entry["policy"]:
            raise Unverified(f"{site} released under another policy than is shown")
        minimum = receipt["body"]["policy"]["minimum"]
        if minimum["cell"] > certificate.smallest:
            raise Unverified(f"{site} shows no count so small as the findings may")
        if minimum["rounding"] > certificate.body["rounded_to"]:
            raise Unverified(f"{site} rounds counts more than the findings do")


def _given_up(certificate: Opened, task: str) -> bool:
    """Return whether a task belongs to an attempt that a later one replaced."""
    name, attempt, _ = task.rsplit("/", 2)
    attempts = [
        r["attempt"] for r in certificate.body["rounds"] if r["analysis"] == name
    ]
    return bool(attempts) and int(attempt) < max(attempts)


def _ready(certificate: Opened, entry: Mapping[str, Any]) -> None:
    """Hold what the site said at the beginning against its own signature."""
    study, told = certificate.body["study"], entry["concepts"]
    names = [one["name"] for one in study.get("concepts", ())]
    if not isinstance(told, list) or any(set(one) != TOLD for one in told):
        raise Unverified(f"{entry['name']} tells of concept sets in another form")
    if told and [one["name"] for one in told] != names:
        raise Unverified(f"{entry['name']} tells of other concept sets")
    content = {key: entry[key] for key in ("snapshot", "policy")}
    content |= {"dictionary": study["dictionary"]}
    if told:
        content["concepts"] = told
    if entry["extract"] is not None:
        extract = entry["extract"]
        content["extract"] = cited(extract["record"], extract.get("seen", ()))
    _notice(certificate, entry, "ready", content)


def _closing(certificate: Opened, entry: Mapping[str, Any]) -> None:
    """Hold what the site said at the end against its own signature."""
    content = {key: entry[key] for key in ("checkpoint", "proofs", "quality")}
    if entry["extract"] is not None:
        content["extract"] = entry["extract"]
    _notice(certificate, entry, "closing", content)


def _notice(
    certificate: Opened, entry: Mapping[str, Any], kind: str, content: Mapping[str, Any]
) -> None:
    site = entry["name"]
    said = statement_from(entry[kind])
    said.verify(certificate.party(site, "site"))
    check_class(said.body, f"the {kind} of {site}", known=True)
    expected = {
        "type": "hetao.release/2",
        "site": site,
        "kind": kind,
        "study": certificate.permit.study,
        "permit": certificate.permit.digest,
        "run": certificate.body["run"],
        "content": digest({**content, "site": site}),
    }
    match(said.body, expected, f"the {kind} of {site}")
