"""`hetao permit key`: secret keys of a party or a person, and their public entry."""

import argparse
import datetime
import re
import sys
from typing import Final

from hetao.cli.main import say
from hetao.errors import InvalidNetwork, Usage
from hetao.federation.clock import utc_now
from hetao.permit import format_time, new_identity, write_identity
from hetao.permit.directory import key_text, party_text

MOST_DAYS: Final = 366 * 5
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def make(chosen: argparse.Namespace) -> int:
    """Write new secret keys, and print their entry for everybody's `parties.toml`."""
    is_person = bool(chosen.owner)
    machine = (chosen.role, chosen.side, chosen.organisation)
    if is_person == any(machine) or (not is_person and not all(machine)):
        raise Usage(
            "say whose the keys are",
            fix="--owner NAME of a person; or --role, --side and --organisation of a "
            "site, hub or coordinator",
        )
    if not NAME.fullmatch(chosen.name):
        raise Usage(
            f"{chosen.name[:60]!r} is no name of keys",
            fix="letters, digits, -, _ and ., 40 at most",
        )
    if not 1 <= chosen.days <= MOST_DAYS:
        raise Usage(f"a key holds for 1 to {MOST_DAYS} days")
    identity = new_identity(chosen.name, sealing=not is_person)
    try:
        path = write_identity(chosen.folder, identity)
    except FileExistsError as error:
        raise InvalidNetwork(
            f"{chosen.folder} holds keys of {chosen.name} already",
            fix="name another folder with --folder; keys are never written over",
        ) from error
    now = utc_now()
    valid = format_time(now), format_time(now + datetime.timedelta(days=chosen.days))
    key = identity.key(chosen.owner or chosen.name, valid)
    if is_person:
        sys.stdout.write(key_text(key))
    else:
        party = identity.party(chosen.side, chosen.role, chosen.organisation)
        sys.stdout.write(party_text(party))
    say(f"{path}: secret, for nobody but its owner; keep a copy where you keep such")
    say(f"fingerprint {key.fingerprint}: send the entry above to every party, and")
    say("compare this by telephone; they add it to their parties.toml by hand")
    return 0
