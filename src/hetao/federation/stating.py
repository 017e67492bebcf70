"""What a site states at the beginning and at the end, held to its form.

Nobody but the site can know whether it is true; but what everybody is shown of it is
made of names, bands and counts of closed lists, signed by the site, and a site that
states anything else is named before others release anything, or before a certificate
is made that nobody could verify or show.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import BadEnvelope, HetaoError
from hetao.ledger.concept_sets import are_told
from hetao.ledger.merkle import from_hex
from hetao.permit import Permit, statement_from
from hetao.release.policy import check_told
from hetao.release.quality import check_graded
from hetao.study import Study

READY: Final = {"site", "snapshot", "dictionary", "policy", "record"}
CLOSING: Final = {"site", "checkpoint", "proofs", "quality", "record"}
PROOF: Final = {"task", "index", "path"}
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, HetaoError)


def check_ready(site: str, said: Mapping[str, Any], study: Study) -> None:
    """Return quietly if a site's `ready` has its form.

    Raises:
        BadEnvelope: it does not.
    """
    told = said.get("concepts", [])
    names = [one.name for one in study.concepts]
    try:
        is_good = (
            READY <= set(said) <= READY | {"concepts", "extract"}
            and DIGEST.fullmatch(said["snapshot"]) is not None
            and isinstance(said["dictionary"], str)
            and are_told(told)
            and (not told or [one["name"] for one in told] == names)
            and all(not t["digest"] or DIGEST.fullmatch(t["digest"]) for t in told)
            and DIGEST.fullmatch(said.get("extract", said["snapshot"])) is not None
        )
        check_told(said["policy"])
    except MALFORMED as error:
        raise _malformed(site, "ready") from error
    if not is_good:
        raise _malformed(site, "ready")


def check_closing(site: str, said: Mapping[str, Any]) -> None:
    """Return quietly if a site's `closing` has its form.

    Whether its log holds what it should, a certificate's steps say.

    Raises:
        BadEnvelope: it does not.
    """
    try:
        is_good = CLOSING <= set(said) <= CLOSING | {"extract"}
        is_good &= isinstance(said["checkpoint"], str)
        is_good &= isinstance(said["proofs"], list)
        for proof in said["proofs"]:
            path = [from_hex(node) for node in proof["path"]]
            is_good &= set(proof) == PROOF and isinstance(proof["task"], str)
            is_good &= type(proof["index"]) is int and len(path) <= 64
        check_graded(said["quality"])
    except MALFORMED as error:
        raise _malformed(site, "closing") from error
    if not is_good:
        raise _malformed(site, "closing")


def check_signed(
    site: str, kind: str, said: Mapping[str, Any], permit: Permit, run: str
) -> None:
    """Return quietly if a site signed, in its record, exactly what it states.

    Raises:
        BadEnvelope: it did not.
    """
    content = {key: value for key, value in said.items() if key != "record"}
    if content.get("site") != site:
        raise _malformed(site, kind)
    try:
        expected = {
            "site": site,
            "kind": kind,
            "study": permit.study,
            "permit": permit.digest,
            "run": run,
            "content": digest(content),
        }
        record = statement_from(said["record"])
        record.verify(permit.directory[site])
        is_good = all(record.body.get(key) == text for key, text in expected.items())
    except MALFORMED as error:
        raise _malformed(site, kind) from error
    if not is_good:
        raise _malformed(site, kind)


def _malformed(site: str, kind: str) -> BadEnvelope:
    return BadEnvelope(f"{site} sent a malformed {kind!r}")
