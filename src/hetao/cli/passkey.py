"""`hetao permit passkey`: a person reads a page, and signs by a touch or a look.

The page is shown on this machine where the passkey belongs to `http://localhost:PORT`;
else it is written as a file for the page's own server, and its answer comes back as a
file, which is held against what was asked. Either way what was signed is checked here,
from the permit's own list of keys.
"""

import argparse
import datetime
import json
import secrets
import sys
from pathlib import Path
from typing import Final

from hetao.cli.localhost import ask_here
from hetao.cli.main import say
from hetao.cli.permit import (
    amended,
    check_new,
    draft_lending,
    drafted,
    key_named,
    lent_by,
    read_pairs,
    write_delegation,
)
from hetao.errors import BadSignature, InvalidNetwork, Usage
from hetao.federation.clock import utc_now
from hetao.federation.reviewing import (
    Vote,
    draft_vote_about,
    lay_vote,
    read_package,
)
from hetao.permit import (
    Words,
    add_notice,
    bundle_from,
    draft_notice,
    format_time,
    read_bundle,
    write_bundle,
)
from hetao.permit.directory import key_text
from hetao.permit.lifecycle import check_complete
from hetao.permit.passkey import check_origin
from hetao.permit.signing_ask import (
    Answer,
    Ask,
    Asked,
    answer_from,
    ask_delegation,
    ask_key,
    ask_notice,
    ask_vote,
    asked_from,
    key_from,
)
from hetao.permit.signing_page import page
from hetao.whole import read_whole, write_whole

MOST_DAYS: Final = 366 * 5
LARGEST: Final = 2**20  # bytes of an answer's file
LARGEST_ASKED: Final = 2**23  # of what was asked, which may hold a permit
Paths = tuple[Path, Path | None]  # what an answer goes into, and a new file beside it


def register(chosen: argparse.Namespace) -> int:
    """Make a passkey and write its entry for everybody's `parties.toml`."""
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a key holds for 1 to {MOST_DAYS} days")
    check_new(chosen.out)
    check_origin(chosen.origin)
    now = utc_now()
    valid = format_time(now), format_time(now + datetime.timedelta(days=chosen.days))
    number = secrets.token_hex(16)
    ask = ask_key(chosen.name, chosen.owner, chosen.origin, valid, number)
    return _put(chosen, chosen.origin, ask, (chosen.out, None))


def sign(chosen: argparse.Namespace) -> int:
    """Say one thing about a permit, signed with a passkey."""
    bundle, key, body = drafted(chosen, "passkey")
    ask = ask_notice(bundle.permit, body)
    return _put(chosen, key.origin, ask, (chosen.permit, None))


def amend(chosen: argparse.Namespace) -> int:
    """End a permit in favour of a new version, signed with a passkey."""
    bundle = read_bundle(chosen.permit)
    check_new(chosen.out)
    key = key_named(bundle.permit.keys, chosen.key_name, "passkey")
    new = amended(bundle.permit, read_pairs(chosen.set))
    words = Words(
        chosen.reason, replaced_by=new.digest, delegation=lent_by(chosen.delegation)
    )
    body = draft_notice(bundle, key, "amend", utc_now(), words)
    ask = ask_notice(bundle.permit, body, new)
    return _put(chosen, key.origin, ask, (chosen.permit, chosen.out))


def delegate(chosen: argparse.Namespace) -> int:
    """Let somebody act in the office of a passkey's owner, for a time."""
    permit = read_bundle(chosen.permit).permit
    check_new(chosen.out)
    key = key_named(permit.keys, chosen.key_name, "passkey")
    ask = ask_delegation(permit, draft_lending(permit, key, chosen))
    return _put(chosen, key.origin, ask, (chosen.permit, chosen.out))


def vote(chosen: argparse.Namespace) -> int:
    """Vote on findings, signed with a passkey."""
    package = read_package(chosen.folder)
    key = key_named(package.bundle.permit.keys, chosen.key_name, "passkey")
    said = chosen.vote, chosen.comment
    body = draft_vote_about(package, key.name, said, utc_now())
    about = {
        "number": package.bundle.permit.number,
        "title": str(package.body["study"].get("title", "")),
        "run": str(package.body["run"]),
    }
    ask = ask_vote(body, package.code, about, chosen.comment)
    return _put(chosen, key.origin, ask, (chosen.folder, None))


def take(chosen: argparse.Namespace) -> int:
    """Take in the file that a page saved, once, if it answers what was asked."""
    asked = asked_from(_read(chosen.asked, LARGEST_ASKED))
    answer = answer_from(_read(chosen.answer, LARGEST))
    asked.check(answer)
    if asked.do == "register":
        check_new(chosen.into)
    if asked.do == "delegate" or asked.replacing:
        check_new(_new(chosen.out))
    say(_keep(asked, answer, (chosen.into, chosen.out)))
    chosen.asked.unlink()
    return 0


# --- what becomes of an answer ----------------------------------------------------
def _keep(asked: Asked, answer: Answer, paths: Paths) -> str:
    """Keep what was signed, once it is checked, and return what to say of it.

    Raises:
        HetaoError: it is refused, or cannot be kept; it may be handed in again.
    """
    try:
        return _kept(asked, answer, paths)
    except OSError as error:  # a full disk names no file
        raise Usage(
            f"what was signed cannot be kept in {error.filename or paths[0]}: "
            f"{error.strerror}",
            fix="make room or mend the path, and hand the answer in again",
        ) from error


def _kept(asked: Asked, answer: Answer, paths: Paths) -> str:
    into, out = paths
    if asked.do == "register":
        return _keep_key(answer, into)
    if asked.do == "vote":
        return str(lay_vote(into, Vote(answer.statement, answer.comment)))
    if asked.do == "delegate":
        return write_delegation(read_bundle(into).permit, answer.statement, _new(out))
    return _keep_notice(asked, answer, paths)


def _keep_key(answer: Answer, path: Path) -> str:
    key = key_from(answer)
    write_whole(path, key_text(key).encode())
    return f"{key.name}, fingerprint {key.fingerprint}"


def _keep_notice(asked: Asked, answer: Answer, paths: Paths) -> str:
    into, out = paths
    bundle = add_notice(read_bundle(into), answer.statement)  # as it is by now
    check_complete(bundle)
    body = answer.statement.body
    if asked.replacing:
        new = bundle_from({"permit": _table(asked.replacing), "notices": []})
        if new.permit.digest != body.get("replaced_by"):
            raise BadSignature("what was signed names another new version")
        write_bundle(_new(out), new)
    write_bundle(into, bundle)
    return f"{body['by']} ({body['role']}, {body['side']}) said {body['verb']!r}"


def _table(text: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidNetwork(
            "the new version in what was asked is damaged",
            fix="ask anew: `hetao permit passkey amend`",
        ) from error
    return found


def _new(out: Path | None) -> Path:
    if out is None:
        raise Usage("this makes a new file: name it with --out")
    return out


def _put(chosen: argparse.Namespace, origin: str, ask: Ask, paths: Paths) -> int:
    """Ask on this machine, or write the page for another."""
    if chosen.page is not None:
        return _write(chosen, origin, ask)
    say(f"code {ask.code}: the page must show the same")
    said: list[str] = []

    def taken(table: object) -> str:
        answer = answer_from(table)
        ask.check(answer)
        said.append(_keep(ask, answer, paths))
        return said[-1]

    shown = page(ask, chosen.language, is_served=True)
    ask_here(origin, shown, taken, say, opens=not chosen.no_browser)
    sys.stdout.write(said[-1] + "\n")
    return 0


def _write(chosen: argparse.Namespace, origin: str, ask: Ask) -> int:
    """Write a page, and beside it what was asked, which stays here."""
    asked = chosen.page.with_name(chosen.page.name + ".asked")
    for path in (chosen.page, asked):
        check_new(path)
    text = json.dumps(ask.as_json(), ensure_ascii=False, indent=1)
    asked.write_text(text + "\n", encoding="utf-8")
    chosen.page.write_text(page(ask, chosen.language), encoding="utf-8")
    say(f"code {ask.code}: tell it to whoever signs, by another way")
    say(f"put the page where {origin} serves it, and keep {asked} here")
    say(f"what the page saves: `passkey take … --asked {asked}`")
    sys.stdout.write(f"{chosen.page}\n")
    return 0


def _read(path: Path, largest: int) -> object:
    try:
        data = read_whole(path, largest, InvalidNetwork, beyond=BadSignature)
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadSignature(f"{path.name} is not JSON") from error
    return found
