"""A site's signed list of what left it in one run, also of a run that never ended.

A study that was revoked halfway has no certificate. What had been released by then
stands in each site's log; this list takes it from there, record by record, each with
the proof that it stands in the log, and says whether the run was closed and when its
keys and states were destroyed, with the log's own entry of that. Anybody checks it with
the site's public key alone. That nothing is left out of it is the site's word,
under its signature.
"""

import json
from collections.abc import Mapping
from typing import Any

from hetao.errors import InvalidData
from hetao.federation.logs import has_log, open_log
from hetao.federation.releases import ENTRY, RECORD
from hetao.federation.site import SiteSetup
from hetao.ledger.note import size_of
from hetao.ledger.released import TYPE, Released, check_released, digests
from hetao.permit import Statement, state

__all__ = ["Released", "check_released", "digests", "sign_released"]


def sign_released(setup: SiteSetup, run: str, at: str) -> Statement:
    """Return the signed list of one run; the site may be serving meanwhile.

    Raises:
        InvalidData: the site has no log, or nothing of such a run stands in it.
        Unverified: the log does not hold what was signed.
    """
    if not has_log(setup.folder, setup.identity, setup.log):
        raise InvalidData(f"{setup.identity.name} has no log yet: it was never served")
    with open_log(setup.folder, setup.identity, setup.log) as log:
        note = log.checkpoint()
        log.fsck()
        size = size_of(note)
        found: list[dict[str, Any]] = []
        destroyed, ended = "", None
        for index, data in enumerate(log.entries(0, size)):
            what, body = _of_run(data, run)
            if not what:
                continue
            path = [node.hex() for node in log.inclusion(index, size)]
            one = {"index": index, "entry": data.decode("ascii"), "path": path}
            if what == "destroyed":
                destroyed, ended = str(body["at"]), one
            else:
                found.append(one)
    if not found:
        raise InvalidData(
            f"nothing left {setup.identity.name} in a run of that name",
            fix="hetao site releases SITE.toml --json names the runs",
        )
    bodies = [json.loads(one["entry"])["body"] for one in found]
    body = {
        "type": TYPE,
        "site": setup.identity.name,
        "run": run,
        "permit": bodies[0]["permit"],
        "at": at,
        "is_closed": any(one["kind"] == "closing" for one in bodies),
        "destroyed": destroyed,
        "checkpoint": note,
        "entries": found,
        **({"ended": ended} if ended else {}),
    }
    return state(setup.identity, body)


def _of_run(data: bytes, run: str) -> tuple[str, Mapping[str, Any]]:
    """Return what an entry of the log says of a run: "record", "destroyed" or ""."""
    try:
        value = json.loads(data)
    except ValueError:
        return "", {}  # taken out of the log since
    if not isinstance(value, dict):
        return "", {}
    body = value.get("body", {})
    if str(body.get("type", "")).startswith(RECORD) and body.get("run") == run:
        return "record", body
    is_entry = str(value.get("type", "")).startswith(ENTRY)
    if is_entry and (value.get("what"), value.get("run")) == ("destroyed", run):
        return "destroyed", value
    return "", {}
