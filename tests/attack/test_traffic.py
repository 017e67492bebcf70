"""Nothing of a patient's row is in any byte that leaves a site, however written."""

import base64
import re
import struct

import pytest

from hetao.canonical import canonical, parse_canonical
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.sealed_counts import NAME
from hetao.release import decode, stream, unpack
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

NUMBERS = {"a": 73.918273645, "b": 41.827364591, "c": 58.273645919}
TEXTS = {
    site: f"Canary-{word}-{site}"
    for site, word in zip("abc", ("Wong", "Chan", "李"), strict=True)
}


def spellings(raw):
    """Return bytes as they are, in hex, and in base64 at each of its three offsets."""
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + raw)
        # the characters at both ends mix with what stands beside them
        found.add(text[(8 * offset + 5) // 6 : (8 * (offset + len(raw))) // 6])
    return found


def needles():
    """Return every way in which a canary could stand in bytes, with its site."""
    for number in NUMBERS.values():
        yield from spellings(repr(number).encode())
        for order in "<>":
            yield from spellings(struct.pack(order + "d", number))
    for text in TEXTS.values():
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            yield from spellings(text.encode(encoding))


def plant(federation):
    """Give one person of each site a note and an age that nobody else has."""
    header, *lines = federation.patients.read_text(encoding="utf-8").splitlines()
    planted = set()
    for place, line in enumerate(lines):
        site, _, rest = line.split(",", 2)
        if site not in planted:
            planted.add(site)
            lines[place] = f"{site},{NUMBERS[site]},{rest},{TEXTS[site]}"
        else:
            lines[place] = line + ",nothing"
    text = "\n".join([header + ",note", *lines]) + "\n"
    federation.patients.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return a finished federation over planted rows, and its certificate."""
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with Federation(tmp_path_factory.mktemp("traffic") / "f", plan) as federation:
        plant(federation)
        yield federation, federation.run()


def contents(federation):
    """Yield what every envelope holds, opened with its recipient's key."""
    for data in federation.carried:
        envelope = parse_envelope(data)
        recipient = federation.cast.identities[envelope.header.recipient]
        yield envelope.header, envelope.open(recipient)


def folders_outside(federation):
    """Yield every byte that hubs and the coordinator keep."""
    for name in (*federation.hubs, "coordinator"):
        for path in sorted((federation.folder / name).rglob("*")):
            if path.is_file():
                yield path.read_bytes()


def present(haystacks):
    """Return the needles that stand in the bytes, one search for all of them."""
    wanted = re.compile(b"|".join(re.escape(n) for n in sorted(set(needles()))))
    return {found for data in haystacks for found in wanted.findall(data)}


def test_the_search_finds_what_is_planted(ran):
    """A control: where the canaries are, every spelling of them is found."""
    federation, _ = ran

    in_the_source = present([federation.patients.read_bytes()])

    assert len(in_the_source) == 6


@pytest.mark.parametrize("before", range(7))
def test_the_search_finds_what_is_written_otherwise(before):
    """A control: wherever a canary starts, in binary, hex, base64 or UTF-16."""
    for number, text in zip(NUMBERS.values(), TEXTS.values(), strict=True):
        for raw in (
            repr(number).encode(),
            struct.pack("<d", number),
            struct.pack(">d", number),
            text.encode(),
            text.encode("utf-16-le"),
        ):
            inside = bytes(before) + raw + b"after"
            for written in (inside, inside.hex().encode(), base64.b64encode(inside)):
                assert present([written])


def test_the_planted_rows_are_in_the_sums(ran):
    federation, done = ran

    assert len(federation.carried) > 40
    assert done.body["findings"][0]["finding"]["steps"][0]["n"] == 1200


def test_no_canary_is_in_what_travels(ran):
    federation, _ = ran

    assert present(federation.carried) == set()


def test_no_canary_is_in_what_is_inside_the_envelopes(ran):
    federation, _ = ran

    assert present(content for _, content in contents(federation)) == set()


def test_no_canary_is_in_what_hubs_and_coordinator_keep(ran):
    federation, _ = ran
    kept = list(folders_outside(federation))

    assert sum(map(len, kept)) > 100_000
    assert present(kept) == set()


def test_no_canary_is_in_a_sites_own_log_or_journal(ran):
    federation, _ = ran
    files = [
        path.read_bytes()
        for name in federation.sites
        for path in (federation.folder / f"site-{name}").rglob("*")
        if path.is_file()
    ]

    assert files
    assert present(files) == set()


def test_no_canary_is_in_the_certificate(ran):
    _, done = ran

    assert present([done.certificate]) == set()


def test_every_content_is_json_and_plain_arrays(ran):
    """No pickle: neither its opcodes in a head, nor an array that needs one."""
    federation, _ = ran
    for _, content in contents(federation):
        (length,) = struct.unpack(">I", content[:4])
        head = content[4 : 4 + length]

        _, arrays = unpack(content)

        assert head.startswith(b'{"arrays":[')
        assert canonical(parse_canonical(head)) == head
        assert all(array.dtype.kind in "fui" for array in arrays.values())


def test_a_site_sends_shares_receipts_and_notices_only(ran):
    federation, _ = ran
    sites = set(federation.sites)
    hubs = set(federation.hubs)

    routes = {
        (header.kind, header.recipient in hubs)
        for header, _ in contents(federation)
        if header.sender in sites
    }

    assert routes == {
        ("ready", False),
        ("share", True),
        ("receipt", False),
        ("closing", False),
    }


def test_no_count_of_one_sites_patients_leaves_it_outside_a_share(ran):
    """Each site holds 400 people; no notice or receipt says so."""
    federation, _ = ran
    for header, content in contents(federation):
        if header.sender in federation.sites and header.kind != "share":
            meta, arrays = unpack(content)

            assert arrays == {}
            assert not re.search(r"\b400\b", str(meta))


def test_one_hubs_share_of_a_site_is_not_its_sum(ran):
    """By itself each share decodes to noise, not to a count of 400."""
    federation, _ = ran
    for header, content in contents(federation):
        if header.kind != "share":
            continue
        meta, arrays = unpack(content)
        words = arrays.get("words")
        if words is None:
            size = meta["counted" if header.protocol == NAME else "values"]
            words = stream(bytes.fromhex(meta["seed"]), 2 * size).reshape(2, size)

        assert not (abs(decode(words) - 400.0) < 1e-6).any()
        assert decode(words)[-1] != 1.0
