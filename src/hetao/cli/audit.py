"""`hetao provenance audit-ask` and `audit-answer`: a draw that nobody steers."""

import argparse
import re
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from hetao.canonical import canonical, digest, parse_canonical
from hetao.cli.main import say
from hetao.errors import InvalidData, NotCanonical, Unverified, Usage
from hetao.federation.clock import utc_now
from hetao.federation.logs import open_log
from hetao.federation.showing import (
    MOST_SHOWN,
    answer_ask,
    check_may_see,
    offices_shown,
)
from hetao.federation.site_file import read_site_file
from hetao.ledger.audit import extract_of
from hetao.ledger.certificate import read_certificate, verify_certificate
from hetao.ledger.coin import (
    SECRET_BYTES,
    Ask,
    ask_from,
    bound,
    draw_of,
    joint_seed,
)
from hetao.ledger.opened import Opened as Certificate
from hetao.ledger.opened import open_certificate
from hetao.permit import Directory, Party, read_directory, statement_from
from hetao.whole import read_whole, write_new, write_whole

LARGEST: Final = 2**16  # bytes of an ask or an answer


def ask(chosen: argparse.Namespace) -> int:
    """Bind the auditor to a new secret, and write what the site is asked."""
    if not 0 < chosen.acts <= MOST_SHOWN:
        raise Usage(f"--acts lies between 1 and {MOST_SHOWN}")
    certificate = _verified(chosen.certificate, read_directory(chosen.trust))
    extract = digest(extract_of(certificate, chosen.site))
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        write_new(chosen.secret, f"{secret.hex()}\n".encode)
    except FileExistsError as error:
        raise InvalidData(
            f"{chosen.secret} is already there",
            fix="each ask has a secret of its own; name another file",
        ) from error
    asked = bound(Ask(chosen.site, chosen.to, extract, chosen.acts, ""), secret)
    write_whole(chosen.out, canonical(asked.as_json()))
    say(f"{chosen.out} is for {chosen.site}")
    say(f"{chosen.secret} is for nobody until the site has answered")
    return 0


def answer(chosen: argparse.Namespace) -> int:
    """Answer an auditor's ask, once for each extract; the site's log says so."""
    setup = read_site_file(chosen.site).setup
    asked = ask_from(_object(chosen.ask))
    check_may_see(setup, offices_shown(chosen.site), asked.to)
    certificate = _verified(chosen.certificate, setup.trusted)
    extract = digest(extract_of(certificate, setup.identity.name))
    with open_log(setup.folder, setup.identity, setup.log) as log:
        said = answer_ask(setup, log, asked, extract, utc_now())
    write_whole(chosen.out, canonical(said.as_json()))
    sys.stdout.write(f"{chosen.out} is for {asked.to}: {asked.draws} acts are drawn\n")
    return 0


def joint_sample(
    chosen: argparse.Namespace, extract: str, site: Party
) -> dict[str, Any]:
    """Return what a sample holds of a draw of both; nothing where there was none.

    Raises:
        Usage: one of answer and secret is missing.
        InvalidData, Unverified: they are not those of an ask about this extract.
    """
    draw = own_draw(chosen)
    if draw is None:
        return {}
    asked = ask_from(statement_from(draw["answer"]).body.get("ask"))
    expected = Ask(site.name, asked.to, extract, asked.draws, "")
    seed = joint_seed(draw, site, expected)
    return {"seed": seed.hex(), "draws": asked.draws, "draw": draw}


def own_draw(chosen: argparse.Namespace) -> dict[str, Any] | None:
    """Return the draw of an auditor's own secret and a site's answer; None for none.

    Raises:
        Usage: one of answer and secret is missing.
        InvalidData, Unverified: they are none.
    """
    if not chosen.answer and not chosen.secret:
        return None
    if not chosen.answer or not chosen.secret:
        raise Usage("a draw with the site takes both --answer and --secret")
    return draw_of(_secret(chosen.secret), statement_from(_object(chosen.answer)))


def _secret(path: Path) -> bytes:
    text = read_whole(path, LARGEST).decode("ascii", "replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise InvalidData(f"{path} holds no secret of hetao provenance audit-ask")
    return bytes.fromhex(text)


def _object(path: Path) -> object:
    try:
        return parse_canonical(read_whole(path, LARGEST))
    except NotCanonical as error:
        raise Unverified(f"{path.name} is not as Hetao writes it") from error


def _verified(path: Path, trusted: Directory) -> Certificate:
    data = read_certificate(path)
    verify_certificate(data, trusted)
    return open_certificate(data, trusted)
