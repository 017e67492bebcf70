"""A study goes on with the snapshot it began on; without that it is refused."""

import functools
from dataclasses import replace

import pytest

from hetao.cdm import open_site
from hetao.errors import InvalidData
from support_cdm import ROWS, curated, write_folder


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """Return a site folder curated twice, and both curations."""
    folder = tmp_path_factory.mktemp("site")
    path = write_folder(folder)
    first = curated(path)
    write_folder(folder, ROWS[:3])
    return path, first, curated(path)


def test_every_snapshot_can_be_opened_by_its_digest(refreshed):
    path, first, second = refreshed

    told = {}
    for digest in (None, first.snapshot, second.snapshot, first.snapshot[7:13]):
        with open_site(path, digest) as tables:
            told[digest] = tables.snapshot

    assert told == {
        None: second.snapshot,
        first.snapshot: first.snapshot,
        second.snapshot: second.snapshot,
        first.snapshot[7:13]: first.snapshot,
    }


@pytest.mark.parametrize("name", ["", "..", "../../x", "abc", "sha256:" + "0" * 64])
def test_a_snapshot_that_is_not_there_is_refused(refreshed, name):
    path, _, _ = refreshed

    with pytest.raises(InvalidData):
        open_site(path, name)


def a_site_on(federation, path):
    """Return site a of a federation, its data those of a store."""
    opened = functools.partial(open_site, path)
    return replace(federation.setup("a"), open_snapshot=opened)


def test_a_permits_later_runs_open_the_snapshot_of_its_first(federation):
    """The site asks its store for exactly the digest that the journal holds."""
    asked = []

    def opened(digest):
        asked.append(digest)
        return federation.setup("a").open_source()

    site = federation.open_site("a")
    site.handle(federation.begin("a").data)
    (row,) = site._store.rows("SELECT snapshot FROM begun")
    setup = replace(federation.setup("a"), open_snapshot=opened)
    back = type(site)(setup, federation.clock)

    answer = back.handle(federation.task("a").data)
    back.close()

    assert asked == [row[0]]
    assert len(answer) == 3  # a share for each hub, and the record


def test_a_removed_snapshot_is_refused_with_its_rule(federation, refreshed):
    path, _, _ = refreshed
    site = federation.open_site("a")
    site.handle(federation.begin("a").data)
    back = type(site)(a_site_on(federation, path), federation.clock)

    back.handle(federation.task("a").data)
    log = b"".join(back._log.entries(0, back._log.size))
    back.close()

    assert b"a snapshot that is no longer there" in log
    assert b"HT-312" in log
