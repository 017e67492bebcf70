"""`hetao permit`: needs the permit and a key, and loads nothing that computes."""

import argparse
import datetime
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hetao.canonical import digest
from hetao.cli.main import say
from hetao.errors import InvalidData, InvalidNetwork, NotActive, NotApproved, Usage
from hetao.federation.clock import utc_now
from hetao.federation.renewing import Renewal, keep
from hetao.permit import (
    Bundle,
    Key,
    Permit,
    Standing,
    Statement,
    Words,
    check_form,
    code,
    draft_delegation,
    draft_notice,
    format_time,
    key_of,
    office_of,
    read_bundle,
    read_delegation,
    read_identity,
    sign_notice,
    standing,
    state,
    statement_from,
    write_bundle,
)
from hetao.permit.signing_ask import permit_rows
from hetao.permit.signing_words import WORDS
from hetao.permit.terms import terms_told
from hetao.whole import write_whole

NUMBERS = ("highest_grade", "most_attempts", "most_runs", "lease_hours", "report_days")
TEXTS = ("number", "purpose", "not_before", "not_after")
MOST_DAYS = 366


def show(chosen: argparse.Namespace) -> int:
    """Say how a permit stands, and why."""
    bundle = read_bundle(chosen.permit)
    found = standing(bundle, utc_now())
    check_documents(bundle.permit, chosen.document)
    if chosen.json:
        sys.stdout.write(json.dumps(_told(bundle, found), ensure_ascii=False) + "\n")
        return 0
    permit = bundle.permit
    say(f"{permit.number}, version {permit.version}: {found.state}")
    say(f"code {code(permit.canonical)}: compare it with everybody else's")
    for reason in found.why:
        say(f"  {reason}")
    _show_reasons(bundle)
    _show_crossing(permit, chosen.language)
    _show_bases(permit, {digest_of(path): path for path in chosen.document})
    for approval in found.approvals:
        say(f"  approved by {approval.by} ({approval.role}, {approval.side})")
    for side, until in found.leases.items():
        say(f"  side {side}: renewed until {until}")
    for warning in found.warnings:
        say(f"  said {warning}")
    if found.report_due:
        say(f"  a report is due by {found.report_due}")
    if found.replaced_by:
        say(f"  replaced by {found.replaced_by}")
    sys.stdout.write(permit.digest + "\n")
    return 0


def _show_reasons(bundle: Bundle) -> None:
    """Say why people said what they did; what warns or varies is told as such."""
    for one in (heard.notice for heard in bundle.heard):
        if one.reason and one.verb not in ("warn", "vary"):
            say(f"  {one.by} said {one.verb!r} at {one.at}: {one.reason}")


def _show_crossing(permit: Permit, language: str) -> None:
    """Say in plain words what is allowed, as the page of a passkey does."""
    words = WORDS[language]
    colon = ": " if language == "en" else "："
    say(f"{words['what']}{colon}".rstrip())
    for name, value in permit_rows(permit, words):
        say(f"  {name}{colon}{value}")


def _show_bases(permit: Permit, seen: Mapping[str, Path]) -> None:
    for basis in permit.bases:
        what = f"{basis.instrument} ({basis.reference})"
        say(f"  basis {what}, until {basis.valid_until}")
        if basis.document in seen:
            say(f"    {seen[basis.document]} is its document")
        elif basis.document:
            say(f"    its document: {basis.document}")
        told = terms_told(basis.terms)
        if told:
            say(f"    at most: {told}")
    for instrument, reference, said in permit.conditions:
        say(f"  condition of {instrument} ({reference}): {said}")


def _told(bundle: Bundle, found: Standing) -> dict[str, Any]:
    return {
        "permit": bundle.permit.digest,
        "number": bundle.permit.number,
        "code": code(bundle.permit.canonical),
        "state": found.state,
        "why": list(found.why),
        "approved_by": [vars(approval) for approval in found.approvals],
        "missing": [vars(need) for need in found.missing],
        "leases": dict(found.leases),
        "warnings": list(found.warnings),
        "conditions": [list(one) for one in bundle.permit.conditions],
        "report_due": found.report_due,
        "replaced_by": found.replaced_by,
    }


def sign(chosen: argparse.Namespace) -> int:
    """Say one thing about a permit, signed with a key."""
    bundle = read_bundle(chosen.permit)
    words = words_of(bundle.permit, chosen)
    signer = read_identity(chosen.key)
    signed = sign_notice(bundle, signer, chosen.verb, utc_now(), words)
    write_bundle(chosen.permit, signed)
    _say_back(signed, chosen)
    return 0


def drafted(
    chosen: argparse.Namespace, kind: str
) -> tuple[Bundle, Key, dict[str, str]]:
    """Return a permit's file, the key that is to sign, and what it is to sign.

    Args:
        chosen: `permit`, `key_name`, `verb`, and the words of `words_of`.
        kind: of the key, "passkey" or "certificate".

    Raises:
        InvalidNetwork: the permit lists no such key.
    """
    bundle = read_bundle(chosen.permit)
    key = key_named(bundle.permit.keys, chosen.key_name, kind)
    words = words_of(bundle.permit, chosen)
    return bundle, key, draft_notice(bundle, key, chosen.verb, utc_now(), words)


def key_named(keys: Sequence[Key], name: str, kind: str) -> Key:
    """Return the key of that name and kind.

    Raises:
        InvalidNetwork: there is none.
    """
    found = {key.name: key for key in keys if key.kind == kind}
    if name not in found:
        raise InvalidNetwork(
            f"no {kind} is named {name[:60]!r} in the permit",
            fix=f"name one with --key-name as parties.toml does: "
            f"{', '.join(found) or 'the permit lists none'}",
        )
    return found[name]


def words_of(permit: Permit, chosen: argparse.Namespace) -> Words:
    """Return what a command's words say beside their verb.

    Raises:
        NotApproved: a document that is given is no basis's.
    """
    check_documents(permit, getattr(chosen, "document", []))
    return Words(
        reason=chosen.reason,
        until=getattr(chosen, "until", ""),
        change=read_pairs(getattr(chosen, "set", [])),
        delegation=lent_by(chosen.delegation),
        recalls=read_recalled(getattr(chosen, "of", [])),
        read=getattr(chosen, "conditions_read", False),
    )


def check_documents(permit: Permit, paths: Sequence[Path]) -> None:
    """Return quietly if each file is, byte for byte, the document of some basis.

    Raises:
        InvalidData: a file cannot be read.
        NotApproved: a file is no basis's document.
    """
    named = {basis.document for basis in permit.bases}
    for path in paths:
        if digest_of(path) not in named:
            raise NotApproved(
                f"{path} is not the document of any basis of {permit.number}",
                fix="get the very file that the permit was drafted with, or have it "
                "drafted anew with yours",
            )


def digest_of(path: Path) -> str:
    """Return the digest of a file, as a basis names its document.

    Raises:
        InvalidData: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidData(f"{path} cannot be read", fix="check the path") from error


def _say_back(signed: Bundle, chosen: argparse.Namespace) -> None:
    said = signed.notices[-1].body
    if chosen.json:
        sys.stdout.write(json.dumps(dict(said)) + "\n")
        return
    say(f"{said['by']} ({said['role']}, {said['side']}) said {said['verb']!r} to")
    sys.stdout.write(signed.permit.digest + "\n")
    if said["verb"] != "approve":
        say("every site and hub heeds it once this file lies in its folder `notices`")
    elif missing := standing(signed, utc_now()).missing:
        offices = ", ".join(f"{one.role} ({one.side})" for one in missing)
        say(f"next: hand this file to whoever has still to approve: {offices}")


def read_pairs(texts: list[str], form: str = "FIELD=VALUE") -> dict[str, str]:
    """Return words of such a form as a table.

    Raises:
        Usage: one is no such word, or a name stands twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise Usage(f"{text[:60]!r} is not {form}, once for each")
        found[name] = value
    return found


def lent_by(path: Path | None) -> Statement | None:
    """Return the delegation of a file; none for no file.

    Raises:
        InvalidNetwork: the file holds none.
    """
    if path is None:
        return None
    try:
        return statement_from(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidNetwork(
            f"{path} holds no delegation", fix="make one with `hetao permit delegate`"
        ) from error


def read_recalled(paths: list[Path]) -> tuple[str, ...]:
    """Return the digests of the delegations of files.

    Raises:
        InvalidNetwork: a file holds none.
    """
    found = (lent_by(path) for path in paths)
    return tuple(digest(one.body) for one in found if one is not None)


def amend(chosen: argparse.Namespace) -> int:
    """End a permit in favour of a new version, which nobody has approved yet."""
    bundle = read_bundle(chosen.permit)
    check_new(chosen.out)
    new = amended(bundle.permit, read_pairs(chosen.set))
    words = Words(
        chosen.reason,
        replaced_by=new.digest,
        delegation=lent_by(chosen.delegation),
    )
    signed = sign_notice(bundle, read_identity(chosen.key), "amend", utc_now(), words)
    write_bundle(chosen.out, Bundle(new))
    write_bundle(chosen.permit, signed)
    if not chosen.json:
        say(f"{chosen.out}: version {new.version}, which nobody has approved yet")
    _say_back(signed, chosen)
    return 0


def check_new(path: Path) -> None:
    """Return quietly if a file can be written anew.

    Raises:
        InvalidNetwork: it is already there.
    """
    if path.exists():
        raise InvalidNetwork(
            f"{path} is already there", fix="name another file with --out"
        )


def amended(permit: Permit, change: dict[str, str]) -> Permit:
    """Return the next version of a permit, with fields changed as words say.

    Raises:
        Usage: a field is not one that is changed so, or its value is no number.
        InvalidNetwork: the new version is not well formed.
    """
    values: dict[str, Any] = {}
    for name, text in change.items():
        if name in TEXTS:
            values[name] = text
        elif name in NUMBERS and text.isascii() and text.isdigit():
            values[name] = int(text)
        else:
            raise Usage(
                f"--set {name[:60]} is not among {', '.join((*TEXTS, *NUMBERS))}",
                fix="what follows from the study changes with the study: draft anew",
            )
    new = replace(permit, version=permit.version + 1, amends=permit.digest, **values)
    check_form(new, "the new version")
    return new


def renew(chosen: argparse.Namespace) -> int:
    """Say that a permit still holds; with --keep, by itself until it has ended."""
    words = Words(chosen.reason, delegation=lent_by(chosen.delegation))
    signers = [read_identity(path) for path in chosen.key]
    renewal = Renewal(chosen.permit, signers, chosen.into, words)
    if chosen.keep or chosen.every:
        keep(renewal, utc_now, time.sleep, say, chosen.every)
        return 0
    bundle = renewal.turn(utc_now())
    if standing(bundle, utc_now()).is_final:
        raise NotActive("the permit has ended, and is renewed no more")
    _say_back(bundle, chosen)
    return 0


def delegate(chosen: argparse.Namespace) -> int:
    """Let somebody act in the office of the key's owner, for a time."""
    permit, signer = read_bundle(chosen.permit).permit, read_identity(chosen.key)
    body = draft_lending(permit, key_of(permit, signer), chosen)
    say(write_delegation(permit, state(signer, body), chosen.out))
    return 0


def draft_lending(
    permit: Permit, key: Key, chosen: argparse.Namespace
) -> dict[str, Any]:
    """Return the delegation that a command's words ask the owner of a key to sign.

    Raises:
        Usage: it would hold for too short or too long.
        NotAParty: the owner holds no office of the permit.
    """
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a delegation holds for 1 to {MOST_DAYS} days")
    now = utc_now()
    end = now + datetime.timedelta(days=chosen.days)
    office = office_of(permit, key.owner, "approve")
    return draft_delegation(
        key, chosen.to, office, (format_time(now), format_time(end))
    )


def write_delegation(permit: Permit, statement: Statement, path: Path) -> str:
    """Write a delegation that holds, and return what it says.

    Raises:
        NotApproved: it does not hold under this permit.
    """
    lent = read_delegation(permit, statement)
    text = json.dumps(statement.as_json(), ensure_ascii=False, indent=1)
    write_whole(path, (text + "\n").encode())
    return f"{lent.by} lends {lent.role} on side {lent.side} to {lent.to}"
