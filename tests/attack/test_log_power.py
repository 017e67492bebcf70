"""No crash, power cut or fault of a disk loses what the log acknowledged.

Slices; `make crash` runs a thousand kills, two thousand power cuts and every fault.
"""

import contextlib
import random
import shutil
import sqlite3

import pytest

from hetao.errors import InvalidData, Unverified
from hetao.ledger.log import Log
from hetao.ledger.tiles import pack
from support_crash import (
    HOWS,
    KEY,
    ORIGIN,
    THENS,
    a_disk,
    cut_power,
    fail_everywhere,
    kill,
)


def test_kill_9_among_threads_loses_nothing(tmp_path):
    toll = kill(1, 6, tmp_path)

    assert toll.harm == 0, toll
    assert toll.acknowledged > 0


def test_a_power_cut_loses_nothing(tmp_path):
    toll = cut_power(2, 32, tmp_path)

    assert toll.harm == 0, toll
    assert toll.hit > 16
    assert toll.acknowledged > 30


def test_the_same_cuts_would_find_a_log_that_does_not_wait_for_the_disk(tmp_path):
    """The test of the test: SQLite's customary NORMAL."""
    toll = cut_power(2, 16, tmp_path, normal=True)

    assert toll.harm > 3, toll


@pytest.mark.parametrize("then", THENS)
@pytest.mark.parametrize("how", HOWS)
def test_an_operation_of_the_disk_that_fails_loses_nothing(tmp_path, how, then):
    toll = fail_everywhere(tmp_path, [how], [then], step=19)

    assert toll.harm == 0, toll
    assert toll.cuts > 4


@pytest.mark.parametrize("reload", [False, True])
def test_a_full_disk_stops_the_log_and_takes_nothing_from_it(tmp_path, reload):
    path = tmp_path / "study.log"
    with Log.open(path, ORIGIN, KEY) as log:
        log.append([b"first"])
        before = log.checkpoint()
    with a_disk() as disk:
        log = Log.open(path, ORIGIN, KEY, opener=disk.connect)
        disk.is_full = True
        with pytest.raises(sqlite3.OperationalError, match="full"):
            log.append([b"x" * 1000] * 300)
        assert log.checkpoint() == before
        disk.is_full = False
        if reload:
            log.close()
            log = Log.open(path, ORIGIN, KEY, opener=disk.connect)
        with log:
            assert log.append([b"second"]) == 1
            log.fsck()


# --- Bit rot ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A log's file, everything in it and no WAL beside it, and what it holds."""
    path = tmp_path_factory.mktemp("sound") / "study.log"
    entries = [b"entry %d of this log" % i for i in range(700)]
    with Log.open(path, ORIGIN, KEY) as log:
        log.append(entries[:300])
        log.append(entries[300:])
        log.redact(5)
    return path, entries


def rotten(sound, tmp_path, offset):
    """Return a copy of the log in which one byte is another."""
    path = tmp_path / "study.log"
    data = bytearray(sound[0].read_bytes())
    data[offset] ^= 0x20
    path.write_bytes(data)
    head = "study.log.head"
    (tmp_path / head).write_bytes(sound[0].with_name(head).read_bytes())
    return path


def found_in(path):
    """Return what opening and fsck say of a log; nothing if all is well."""
    try:
        with Log.open(path, ORIGIN, KEY) as log:
            return list(log.faults())
    except (Unverified, InvalidData) as error:
        return [error.what]
    except sqlite3.DatabaseError as error:
        return [str(error)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (b"entry 7 of", "bundle 0: entry 7 does not hash to its leaf in tile 0/0"),
        (b"entry 299 of", "bundle 1: entry 299 does not hash to its leaf in tile 0/1"),
        (b"entry 699 of", "bundle 2: entry 699 does not hash to its leaf in tile 0/2"),
    ],
)
def test_a_rotten_entry_is_named(sound, tmp_path, wanted, names):
    offset = sound[0].read_bytes().index(wanted)

    assert names in found_in(rotten(sound, tmp_path, offset))


@pytest.mark.parametrize("number", [0, 1])
def test_a_rotten_tile_is_named(sound, tmp_path, number):
    with contextlib.closing(sqlite3.connect(sound[0])) as store:
        query = "SELECT hashes FROM tile WHERE level = 0 AND number = ?"
        (hashes,) = store.execute(query, (number,)).fetchone()
    offset = sound[0].read_bytes().index(hashes[3200:3232])  # one of its leaves

    found = found_in(rotten(sound, tmp_path, offset))

    assert f"tile 0/{number} does not follow from the entries" in found


def test_a_rotten_length_is_named(sound, tmp_path):
    offset = sound[0].read_bytes().index(pack([sound[1][400]]))

    (found,) = found_in(rotten(sound, tmp_path, offset))

    assert found.startswith("bundle 1 cannot be read")


def test_no_rotten_byte_changes_what_is_served_and_stays_unseen(sound, tmp_path):
    """A byte that SQLite does not use may rot; any other is found."""
    choose = random.Random(1)  # noqa: S311
    size = sound[0].stat().st_size
    expected = [b"" if i == 5 else entry for i, entry in enumerate(sound[1])]
    unseen = 0
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = rotten(sound, folder, choose.randrange(size))
        if not found_in(path):
            unseen += 1
            with Log.open(path, ORIGIN, KEY) as log:
                assert log.entries(0, 700) == expected
        shutil.rmtree(folder)
    assert unseen < 15
