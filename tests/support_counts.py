"""Sealed counts played for real: sites count, hubs compare, and a task brings both."""

import pytest

from hetao.analysis.sealed_count import SealedCount
from hetao.federation.counting import BROUGHT
from hetao.ledger import verify_hetao
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import NAME, PEOPLE, task_of, what_of
from hetao.release import pack
from support_federation import KEY, RUN
from support_federation import SITES as NAMES
from support_witness import by_script

VERSION = SealedCount.version
ALSO = BROUGHT[PEOPLE]


class Refused(Exception):
    """A site would not count: its name, and the rule."""


def count_task(federation, to, what=PEOPLE, run=RUN, attempt=1, members=NAMES):
    """Return the bytes by which the coordinator has a party count for the model."""
    task = task_of("model", attempt, what)
    fields = {"protocol": NAME, "version": VERSION, "task": task, "attempt": attempt}
    return federation.task(to, members, run=run, **fields).data


def counted(federation, what=PEOPLE, run=RUN, attempt=1, members=NAMES):
    """Have the sites count; return what hubs said of it, and their tokens."""
    place = {"what": what, "run": run, "attempt": attempt, "members": members}
    for name in (*federation.hubs, *members):
        federation._begin_once(name, run)
    for name, hub in federation.hubs.items():
        hub.accept("coordinator", count_task(federation, name, **place))
    for name in members:
        posts = federation.sites[name].handle(count_task(federation, name, **place))
        if refusals := federation.refusals(posts):
            raise Refused(name, *refusals)
        for where, data in posts:
            federation.hubs[where].accept(name, data)
    return said_at(federation, run, task_of("model", attempt, what))


def said_at(federation, run, task):
    """Return what each hub has sent of a count: what it signed, and its tokens."""
    said, tokens, key = {}, {}, BROUGHT[what_of(task)]
    for name in federation.hubs:
        for data in federation.waiting(name, run):
            header = parse_envelope(data).header
            if (header.task, header.kind) == (task, "total"):
                _, statement, arrays = federation.opened(data)
                said[name], tokens[f"{key} {name}"] = statement, arrays["tokens"]
    return said, tokens


def shares_of(federation):
    """Return the tasks of which shares were sent."""
    headers = [parse_envelope(data).header for data in federation.carried]
    return {header.task for header in headers if header.kind == "share"}


def refused_but(good, bad, folder):
    """Hold the page's script and the one file to refusing all certificates but one."""
    given = {"nothing": good, **bad}
    assert list(by_script(given, folder)) == ["nothing"]
    for data in bad.values():
        with pytest.raises(verify_hetao.Refused):
            verify_hetao.verify(data)


def opening(federation, *counts, members=NAMES):
    """Return what the first task of the model holds, after such sealed counts."""
    meta, arrays = {"members": list(members), "key": KEY}, {}
    for name in (*federation.hubs, *members):
        federation._begin_once(name, RUN)
    for what in counts:
        meta[BROUGHT[what]], tokens = counted(federation, what, members=members)
        arrays |= tokens
    return pack(meta, arrays)
