"""A log's static files are what C2SP tlog-tiles says, exported or served."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.errors import Usage
from hetao.ledger.log import Log
from hetao.ledger.merkle import leaf_hash, root
from hetao.ledger.tiles import unpack
from hetao.transparency.serve import application, from_folder, from_log
from hetao.transparency.static import Place, export, place_of, places

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors/ledger/tiles.json").read_text("utf-8")
)


@pytest.fixture
def log(tmp_path):
    with Log.open(tmp_path / "study.log", ORIGIN, KEY) as opened:
        yield opened


def numbered(start, stop):
    return [b"entry %d" % i for i in range(start, stop)]


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- Names --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (Place(0, 0), "tile/0/000"),
        (Place(0, 999), "tile/0/999"),
        (Place(0, 1000), "tile/0/x001/000"),
        (Place(2, 1234067), "tile/2/x001/x234/067"),  # the specification's example
        (Place(7, 5, 1), "tile/7/005.p/1"),
        (Place(None, 1234067, 255), "tile/entries/x001/x234/067.p/255"),
    ],
)
def test_a_place_has_the_name_of_the_specification_and_back(place, path):
    assert place.path == path
    assert place_of(path) == place


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/0/x000/001",  # leads with a group of nothing
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/entries/../checkpoint",
        "tile/entries/000/",
        "tile/entries/000\n",
        "tile/entries/０００",
        "checkpoint",
    ],
)
def test_any_other_spelling_names_nothing(path):
    assert place_of(path) is None


def test_the_places_of_a_size_are_those_of_the_specification():
    """Its example: 70,000 entries."""
    of_size = [place.path for place in places(70_000, with_entries=False)]

    assert len(of_size) == 273 + 1 + 1 + 1 + 1
    assert {"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"} <= {*of_size}
    assert [place.path for place in places(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]
    assert list(places(0)) == []


# --- The folder ---------------------------------------------------------------------
def test_the_folder_holds_checkpoint_tiles_and_bundles(log, tmp_path):
    log.append(numbered(0, 300))
    log.append([b""])
    folder = tmp_path / "public"

    written = export(log, folder)

    found = files(folder)
    assert written == len(found) == 6
    assert found["checkpoint"].decode() == log.checkpoint()
    leaves = [leaf_hash(entry) for entry in [*numbered(0, 300), b""]]
    assert found["tile/0/000"] == b"".join(leaves[:256])
    assert found["tile/0/001.p/45"] == b"".join(leaves[256:])
    assert found["tile/1/000.p/1"] == root(leaves[:256])
    bundles = found["tile/entries/000"] + found["tile/entries/001.p/45"]
    assert unpack(bundles) == [*numbered(0, 300), b""]


def test_the_folder_is_to_the_byte_that_of_the_vectors(log, tmp_path):
    """Files of other hands: made from the specification with none of our code."""
    log.append([*numbered(0, 300), b""])
    export(log, tmp_path / "public")

    found = files(tmp_path / "public")
    assert VECTORS["log_seed"] == "01" * 32  # KEY's
    assert found["checkpoint"].decode() == VECTORS["checkpoint"]
    assert VECTORS["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items()
    }


def test_the_places_of_the_vectors_have_their_names():
    for one in VECTORS["places"]:
        level = None if one["level"] == "entries" else one["level"]
        place = Place(level, one["number"], one["width"])
        assert place.path == one["path"]
        assert place_of(one["path"]) == place


def test_a_folder_is_brought_up_and_its_whole_tiles_are_left(log, tmp_path):
    folder = tmp_path / "public"
    log.append(numbered(0, 300))
    export(log, folder)
    (folder / "tile/0/000").touch()
    before = (folder / "tile/0/000").stat().st_mtime_ns

    log.append(numbered(300, 600))
    export(log, folder)

    assert export(log, folder) == 0
    assert (folder / "tile/0/000").stat().st_mtime_ns == before
    assert not (folder / "tile/0/001.p").exists()  # it is whole now
    with Log.open(tmp_path / "fresh.log", ORIGIN, KEY) as other:
        other.append(numbered(0, 300))
        other.append(numbered(300, 600))
        export(other, tmp_path / "fresh")
    older = {"tile/1/000.p/1": files(folder)["tile/1/000.p/1"]}  # of the first size
    assert files(folder) == files(tmp_path / "fresh") | older


def test_hashes_alone_let_nobody_read_an_entry(log, tmp_path):
    log.append(numbered(0, 300))

    export(log, tmp_path / "public", with_entries=False)

    found = files(tmp_path / "public")
    assert {*found} == {"checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}
    assert not any(b"entry" in data for data in found.values())


def test_a_redacted_payload_leaves_the_folder_too(log, tmp_path):
    folder = tmp_path / "public"
    log.append([b"secret", *numbered(1, 256), b"secret"])
    export(log, folder)
    log.redact(0)
    log.redact(256)

    export(log, folder)

    assert not any(b"secret" in data for data in files(folder).values())
    assert files(folder)["tile/0/000"][:32] == leaf_hash(b"secret")


def test_a_redacted_payload_leaves_a_folder_that_now_gets_hashes_alone(log, tmp_path):
    folder = tmp_path / "public"
    log.append([b"secret", *numbered(1, 256), b"secret"])
    export(log, folder)
    log.redact(0)
    log.redact(256)

    export(log, folder, with_entries=False)

    assert not any(b"secret" in data for data in files(folder).values())


def test_drafts_of_a_killed_export_are_removed(log, tmp_path):
    folder = tmp_path / "public"
    log.append([b"secret", *numbered(1, 10)])
    export(log, folder)
    whole = files(folder)
    for path in whole:
        draft = folder / f"{path}.0badcafe.new"
        draft.write_bytes(b"secret")
    own = folder / "tile.new"
    own.write_bytes(b"somebody's own")
    log.redact(0)

    export(log, folder)

    found = files(folder)
    assert {*found} == {*whole, "tile/entries/000.p/11", "tile/0/000.p/11", "tile.new"}
    assert not any(b"secret" in data for data in found.values())


def test_the_folder_of_another_log_or_a_larger_one_is_not_written(log, tmp_path):
    folder = tmp_path / "public"
    log.append(numbered(0, 3))
    with Log.open(tmp_path / "more.log", ORIGIN, KEY) as more:
        more.append(numbered(0, 4))
        export(more, folder)
    with Log.open(tmp_path / "other.log", "other.example.org", KEY) as other:
        for wrong in (log, other):
            before = files(folder)
            with pytest.raises(Usage):
                export(wrong, folder)
            assert files(folder) == before


# --- HTTP ---------------------------------------------------------------------------
def asked(source, *paths):
    """Return (status, headers, body) of each path."""

    async def ask():
        answers = []
        async with TestClient(TestServer(application(source))) as client:
            for path in paths:
                async with client.get(path) as answer:
                    body = await answer.read()
                    answers.append((answer.status, answer.headers, body))
        return answers

    return asyncio.run(ask())


def test_log_and_folder_are_served_alike_and_caches_are_told(log, tmp_path):
    log.append(numbered(0, 300))
    export(log, tmp_path / "public")
    paths = [f"/{path}" for path in files(tmp_path / "public")]

    for source in (from_log(log), from_folder(tmp_path / "public")):
        answers = asked(source, *paths)
        for path, (status, headers, body) in zip(paths, answers, strict=True):
            assert status == 200
            assert body == (tmp_path / "public" / path[1:]).read_bytes()
            assert headers["Access-Control-Allow-Origin"] == "*"
            if path == "/checkpoint":
                assert headers["Content-Type"] == "text/plain; charset=utf-8"
                assert headers["Cache-Control"] == "no-cache"
            else:
                assert headers["Content-Type"] == "application/octet-stream"
                assert "immutable" in headers["Cache-Control"]
            assert ("Content-Encoding" in headers) == ("entries" in path)


def test_a_log_serves_the_part_that_an_older_checkpoint_needs(log):
    log.append(numbered(0, 300))

    (status, _, body), (missing, _, _) = asked(
        from_log(log), "/tile/0/001.p/10", "/tile/0/001.p/45"
    )

    assert (status, missing) == (200, 404)
    assert body == b"".join(leaf_hash(entry) for entry in numbered(256, 266))


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/002",
        "/tile/0/001",
        "/tile/3/000.p/1",
        "/tile/entries/001",
        "/tile/entries/..%2Fcheckpoint",
        "/tile/entries/%2e%2e/checkpoint",
        "/study.log",
        "/",
    ],
)
def test_nothing_else_is_served(log, tmp_path, path):
    log.append(numbered(0, 300))
    export(log, tmp_path / "public")

    for source in (from_log(log), from_folder(tmp_path / "public")):
        assert asked(source, path)[0][0] == 404


def test_entries_that_are_not_published_are_not_served(log, tmp_path):
    log.append(numbered(0, 300))
    export(log, tmp_path / "public")

    for source in (
        from_log(log, with_entries=False),
        from_folder(tmp_path / "public", with_entries=False),
    ):
        answers = asked(source, "/tile/entries/000", "/tile/0/000")
        assert [status for status, _, _ in answers] == [404, 200]
