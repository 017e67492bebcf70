"""`hetao permit passkey`: a person reads a page, and signs by a touch or a look.

The page is shown on this machine where the passkey belongs to `http://localhost:PORT`;
else it is written as a file for the page's own server, and its answer comes back as a
file. Either way what was signed is checked here, from the permit's own list of keys.
"""

import argparse
import datetime
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hetao.cli.localhost import ask_here
from hetao.cli.main import say
from hetao.cli.permit import read_delegation, read_pairs, read_recalled
from hetao.errors import BadSignature, InvalidNetwork, Usage
from hetao.federation.clock import utc_now
from hetao.federation.reviewing import (
    Vote,
    draft_vote_about,
    lay_vote,
    read_package,
)
from hetao.permit import (
    Key,
    Words,
    add_notice,
    draft_notice,
    format_time,
    read_bundle,
    write_bundle,
)
from hetao.permit.directory import key_text
from hetao.permit.lifecycle import check_complete
from hetao.permit.signing_page import (
    Answer,
    Ask,
    answer_from,
    ask_key,
    ask_notice,
    ask_vote,
    key_from,
    page,
)

MOST_DAYS: Final = 366 * 5
LARGEST: Final = 2**20  # bytes of an answer's file
Take = Callable[[Answer], str]


def register(chosen: argparse.Namespace) -> int:
    """Make a passkey and write its entry for everybody's `parties.toml`."""
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a key holds for 1 to {MOST_DAYS} days")
    _check_new(chosen.out)
    now = utc_now()
    valid = format_time(now), format_time(now + datetime.timedelta(days=chosen.days))
    number = secrets.token_hex(16)
    ask = ask_key(chosen.name, chosen.owner, chosen.origin, valid, number)

    def take(answer: Answer) -> str:
        if answer.statement.body != ask.body:
            raise BadSignature("the answer is to another question")
        return _keep_key(answer, chosen.out)

    return _put(chosen, chosen.origin, ask, take)


def sign(chosen: argparse.Namespace) -> int:
    """Say one thing about a permit, signed with a passkey."""
    bundle = read_bundle(chosen.permit)
    key = _passkey(bundle.permit.keys, chosen.key_name)
    words = Words(
        reason=chosen.reason,
        until=chosen.until,
        change=read_pairs(chosen.set),
        delegation=read_delegation(chosen.delegation),
        recalls=read_recalled(chosen.of),
    )
    body = draft_notice(bundle, key, chosen.verb, utc_now(), words)
    ask = ask_notice(bundle.permit, body)

    def take(answer: Answer) -> str:
        if answer.statement.body != body:
            raise BadSignature("the answer is to another question")
        return _keep_notice(answer, chosen.permit)

    return _put(chosen, key.origin, ask, take)


def vote(chosen: argparse.Namespace) -> int:
    """Vote on findings, signed with a passkey."""
    package = read_package(chosen.folder)
    key = _passkey(package.bundle.permit.keys, chosen.key_name)
    said = chosen.vote, chosen.comment
    body = draft_vote_about(package, key.name, said, utc_now())
    about = {
        "number": package.bundle.permit.number,
        "title": str(package.body["study"].get("title", "")),
        "run": str(package.body["run"]),
    }
    ask = ask_vote(body, package.code, about, chosen.comment)

    def take(answer: Answer) -> str:
        if answer.statement.body != body:
            raise BadSignature("the answer is to another question")
        return _keep_vote(answer, chosen.folder)

    return _put(chosen, key.origin, ask, take)


def take(chosen: argparse.Namespace) -> int:
    """Take in the file that a page saved."""
    answer = answer_from(_read(chosen.answer))
    keep = {"register": _keep_key, "sign": _keep_notice, "vote": _keep_vote}
    if answer.do == "register":
        _check_new(chosen.into)
    say(keep[answer.do](answer, chosen.into))
    return 0


def _keep_key(answer: Answer, path: Path) -> str:
    key = key_from(answer)
    path.write_text(key_text(key), encoding="utf-8")
    return f"{key.name}, fingerprint {key.fingerprint}"


def _keep_notice(answer: Answer, path: Path) -> str:
    if answer.do != "sign":
        raise BadSignature("the answer says nothing about a permit")
    bundle = add_notice(read_bundle(path), answer.statement)  # as it is by now
    check_complete(bundle)
    write_bundle(path, bundle)
    body = answer.statement.body
    return f"{body['by']} ({body['role']}, {body['side']}) said {body['verb']!r}"


def _keep_vote(answer: Answer, folder: Path) -> str:
    if answer.do != "vote":
        raise BadSignature("the answer is no vote")
    return str(lay_vote(folder, Vote(answer.statement, answer.comment)))


def _put(chosen: argparse.Namespace, origin: str, ask: Ask, take: Take) -> int:
    """Ask on this machine, or write the page for another."""
    if chosen.page is not None:
        _check_new(chosen.page)
        chosen.page.write_text(page(ask, chosen.lang), encoding="utf-8")
        say(f"code {ask.code}: tell it to whoever signs, by another way")
        say(f"put it where {origin} serves it; what it saves goes to `passkey take`")
        sys.stdout.write(f"{chosen.page}\n")
        return 0
    say(f"code {ask.code}: the page must show the same")
    said: list[str] = []

    def taken(table: object) -> str:
        said.append(take(answer_from(table)))
        return said[-1]

    def page_with(token: str) -> str:
        return page(ask, chosen.lang, token)

    ask_here(origin, page_with, taken, say, opens=not chosen.no_browser)
    sys.stdout.write(said[-1] + "\n")
    return 0


def _passkey(keys: tuple[Key, ...], name: str) -> Key:
    """Return the passkey of that name.

    Raises:
        InvalidNetwork: there is none.
    """
    found = [key for key in keys if key.kind == "passkey"]
    for key in found:
        if key.name == name:
            return key
    names = ", ".join(key.name for key in found) or "none"
    raise InvalidNetwork(
        f"no passkey is named {name[:60]!r} in the permit", fix=f"its passkeys: {names}"
    )


def _check_new(path: Path) -> None:
    if path.exists():
        raise InvalidNetwork(f"{path} is already there", fix="name another file")


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > LARGEST:
            raise BadSignature(f"{path.name} is larger than an answer can be")
        found: object = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidNetwork(
            f"the answer {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadSignature(f"{path.name} is not JSON") from error
    return found
