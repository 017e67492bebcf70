"""`hetao log follow|compare`: a log as its readers see it, and whether they see one."""

import argparse
import sys

from hetao.cli.main import say
from hetao.ledger.note import parse_vkey
from hetao.ledger.policy import read_policy
from hetao.transparency.client import witness_tls
from hetao.transparency.follower import Reader, compare, notes_at, reader_of


def follow(chosen: argparse.Namespace) -> int:
    """Accept what a log shows now, if it holds and only grew; exit code 6 if not."""
    read = reader_of(chosen.place, witness_tls(chosen.authority))
    reader = Reader(chosen.folder, read_policy(chosen.policy))
    was_known = reader.is_following
    found = reader.follow(read)
    how = "grown from what was seen before" if was_known else "seen for the first time"
    say(f"{found.origin}: {found.size} entries, {how}")
    return 0


def compared(chosen: argparse.Namespace) -> int:
    """Compare what two readers were shown; exit code 6 where it is two histories."""
    if chosen.policy:
        logs = read_policy(chosen.policy).logs
    else:
        logs = (parse_vkey(chosen.key),)
    read = None
    if chosen.tiles:
        read = reader_of(chosen.tiles, witness_tls(chosen.authority))
    notes = [note for place in chosen.views for note in notes_at(place)]
    count = compare(notes, logs, chosen.out, read)
    sys.stdout.write(f"ONE HISTORY  {count} checkpoints, each of the next one's tree\n")
    return 0
