"""What counts by a reader's policy counts to all three verifiers, and nothing else.

The page's script is run by node; in a browser it is in
`tests/system/test_certificate_page.py`.
"""

import base64
import functools
import hashlib
import itertools
import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.canonical import canonical, parse_canonical
from hetao.cli.main import main
from hetao.errors import InvalidData, Unverified
from hetao.ledger import verify_signatures as signatures
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.note import (
    SUBTREE,
    Verifier,
    _message,
    cosign,
    parse_note,
    sign_note,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.proof import parse_proof
from hetao.ledger.verify_hetao import Certificate, Refused, verify
from hetao.ledger.verify_log import NOBODY, Note, check_policy, read_proof
from hetao.permit import write_directory
from support_policies import (
    ALONE,
    EYES,
    MALFORMED,
    MET,
    UNMET,
    WHEN,
    bent_line,
    drawn,
    filled,
    keys_of,
    odd_keys,
    seen_by_all,
    texts_of,
    with_lines,
)
from support_revoked import revoked_body, signed
from support_witness import by_policy_script, by_script

UNASKED = ("nobody is asked", "a key of each kind", "as large as may be")


@pytest.fixture(scope="module")
def seen(small_run):
    return seen_by_all(small_run)


@functools.cache
def read(data):
    """Return a certificate as the one file reads it, and as a page holds it."""
    return Certificate(data), published(data)


def by_library(data, text):
    """Return the names of who saw it; None if it does not count."""
    note = parse_proof(read(data)[0].log["proof"]).note
    try:
        return list(parse_policy(text).check(note).witnesses)
    except (InvalidData, Unverified):
        return None


def by_one_file(data, text):
    """Return what it says of who saw it; None if it does not count."""
    found = read(data)[0]
    note = read_proof(found.log["proof"])[2]
    try:
        own = text.decode("utf-8", "surrogateescape")
        return check_policy(own, note, found.parties)
    except Refused:
        return None


def one_verdict(given, folder):
    """Return name → names and `alone`, or None, as all three verifiers say.

    Args:
        given: name → certificate and policy.
        folder: for files.
    """
    page = by_policy_script(
        {name: (read(data)[1], text) for name, (data, text) in given.items()}, folder
    )
    verdicts = {}
    for name, (data, text) in given.items():
        names, said, shown = by_library(data, text), by_one_file(data, text), page[name]
        assert not isinstance(shown, str), (name, shown)  # no error of its own
        if names is None:
            assert (said, type(shown)) == (None, list), (name, said, shown)
            verdicts[name] = None
            continue
        assert isinstance(shown, dict), (name, shown)
        assert len(shown["names"]) == len(names)
        if all(one.isascii() for one in names):
            assert shown["names"] == names
            assert said.startswith(f"seen by {', '.join(names) or 'nobody'}"), name
        assert shown["alone"] == (NOBODY in said), name
        verdicts[name] = (names, shown["alone"])
    return verdicts


def test_a_policy_has_one_verdict(small_run, seen, tmp_path):
    assert verify_certificate(seen)
    assert by_script({"seen": published(seen)}, tmp_path)
    texts = texts_of(small_run)

    found = one_verdict({name: (seen, text) for name, text in texts.items()}, tmp_path)

    for name in MET:
        assert found[name] is not None, name
        assert found[name][1] == (name in UNASKED), name
    assert all(found[name][1] for name in ALONE)
    assert not any(found[name] for name in (*UNMET, *MALFORMED, "noise"))
    for name, (_, good) in odd_keys().items():
        assert (found[name] is not None) == good, name
    assert found["usual"] == (["hk", "sz", "uni"], False)
    assert found["octets"] is not None
    assert found["other octets"] is None


def test_policies_at_random_have_one_verdict(small_run, seen, tmp_path):
    texts = drawn(small_run, 400)

    found = one_verdict({name: (seen, text) for name, text in texts.items()}, tmp_path)

    accepted = sum(verdict is not None for verdict in found.values())
    assert 80 < accepted < 320  # of both, many


def test_a_line_of_a_listed_witness_that_does_not_hold_condemns(small_run, tmp_path):
    data, keys = bent_line(small_run), keys_of(small_run)
    given = {
        "not listed": (data, "log LOG\nwitness hk HK\nquorum hk\n"),
        "listed, not asked": (
            data,
            "log LOG\nwitness hk HK\nwitness sz SZ\nquorum hk\n",
        ),
        "unlisted twice over": (data, "log LOG\nquorum none\n"),
    }
    given = {n: (d, filled(text, keys).encode()) for n, (d, text) in given.items()}

    found = one_verdict(given, tmp_path)

    assert found == {
        "not listed": (["hk"], False),
        "listed, not asked": None,
        "unlisted twice over": ([], True),
    }


@pytest.mark.parametrize("eye", ["hk", "uni"])
def test_each_bit_of_a_witness_line_is_signed(small_run, tmp_path, eye):
    """Its time too: Ed25519 and ML-DSA-44. A few; the line of a stranger is none."""
    note = parse_proof(small_run.value["log"]["proof"]).note
    head, data = cosign(note, *EYES[eye], WHEN).rsplit(" ", 1)
    text = filled(f"log LOG\nwitness e {eye.upper()}\nquorum e\n", keys_of(small_run))
    draw, given = random.Random(4), {}  # noqa: S311 - no secret
    for number in range(25):
        at = number + 6 if number < 12 else draw.randrange(6, len(data) - 6)
        bent = data[:at] + ("A" if data[at] != "A" else "B") + data[at + 1 :]
        given[str(number)] = (with_lines(small_run, f"{head} {bent}"), text.encode())
    given["true"] = (with_lines(small_run, f"{head} {data}"), text.encode())
    given["twice"] = (with_lines(small_run, f"{head} {data}" * 2), text.encode())

    found = one_verdict(given, tmp_path)

    assert {name for name, verdict in found.items() if verdict} == {"true", "twice"}


def seen_in(note):
    """Return what the page reads of a certificate to judge it, and no more of it."""
    body = {"permit": {"permit": {"parties": []}}}
    return json.dumps({"body": body, "log": {"proof": f"\n\n{note}"}}).encode()


def test_a_checkpoint_is_one_to_all(small_run, tmp_path):
    """A root of 32 bytes, a size of 63 bits; a page reads one of 15 digits at most."""
    key = small_run.cast.identities["coordinator"].signing_key
    log = filled("log LOG\nquorum none\n", keys_of(small_run))
    root, given = base64.b64encode(bytes(32)).decode(), {}
    for size, end in (("5", root), ("5", "AAAA"), ("5", f"AAAA{root}"),
                      (str(2**63), root), ("05", root), ("-5", root)):  # fmt: skip
        text = f"coordinator\n{size}\n{end}\n"
        given[f"{size} {end}"] = f"{text}\n{sign_note(text, 'coordinator', key)}"

    said = by_policy_script(
        {name: (seen_in(note), log.encode()) for name, note in given.items()}, tmp_path
    )

    true = given.pop(f"5 {root}")
    assert said.pop(f"5 {root}") == {"names": [], "alone": True}
    assert parse_policy(log.encode()).check(true)
    assert check_policy(log, Note(true), {})
    for name, note in given.items():
        assert said[name] == ["checkpoint", None, None], name
        with pytest.raises(Unverified):
            parse_policy(log.encode()).check(note)
        with pytest.raises((Refused, ValueError)):
            Note(note)


def test_the_page_takes_the_ml_dsa_lines_that_the_library_takes(small_run, tmp_path):
    """Of many keys; with bits turned, most of them where hints stand, and hints that
    say the same in another order, twice, or behind their end.
    """
    note, given = parse_proof(small_run.value["log"]["proof"]).note, {}
    log = filled("log LOG\n", keys_of(small_run))
    draw = random.Random(8)  # noqa: S311 - no secret
    for number in range(12):
        key = MLDSA44PrivateKey.from_seed_bytes(bytes([number]) * 32)
        text = f"{log}witness w {vkey('w', key.public_key(), SUBTREE)}\nquorum w\n"
        head, packed = cosign(note, "w", key, WHEN).rsplit(" ", 1)
        true = base64.b64decode(packed)
        for name, line in {"true": true, **_bent(true, draw)}.items():
            whole = f"{note}{head} {base64.b64encode(line).decode()}\n"
            given[f"{number} {name}"] = (whole, text.encode())

    said = by_policy_script(
        {name: (seen_in(note), text) for name, (note, text) in given.items()}, tmp_path
    )

    for name, (whole, text) in given.items():
        try:
            holds = bool(parse_policy(text).check(whole).witnesses)
        except Unverified:
            holds = False
        assert holds == name.endswith("true"), name
        assert isinstance(said[name], dict if holds else list), (name, said[name])


def _bent(line, draw):
    """Return a line of ML-DSA-44 with bits turned, and with its hints ill written."""
    found, start = {}, len(line) - 84
    for number in range(8):
        bent, low = bytearray(line), (start if number < 5 else 12)
        bent[draw.randrange(low, len(line))] ^= 1 << draw.randrange(8)
        found[f"bent {number}"] = bytes(bent)
    ends = line[-4:]
    if ends[0] > 1:
        swapped = bytearray(line)
        swapped[start], swapped[start + 1] = line[start + 1], line[start]
        found["in another order"] = bytes(swapped)
    if ends[3] < 79:
        twice = bytearray(line[: start + 1] + line[start:-5] + ends)
        twice[-4:] = bytes(one + 1 for one in ends)
        found["twice"] = bytes(twice)
        behind = bytearray(line)
        behind[start + ends[3]] = 7
        found["behind their end"] = bytes(behind)
        backwards = bytearray(line)
        backwards[-4:] = bytes((*ends[:3], ends[2] - 1))
        found["backwards"] = bytes(backwards)
    return found


def unowned(text, z, ends, places):
    """Return a vkey under which nobody needs a secret, and a line under it.

    Its t1 is 0, so that A z is what was committed to, whatever the challenge.

    Args:
        text: of the checkpoint.
        z: each of 1024 coefficients.
        ends: four, where each row's hints end.
        places: of the hints, up to 80; what `ends` says further is read out of `ends`.
    """
    eye = Verifier("w", SUBTREE, bytes(32) + bytes(1280))
    spelt = bytes([*places, *bytes(80 - len(places)), *ends])
    rows = [set(spelt[a:b]) for a, b in itertools.pairwise((0, *ends))]
    message = b"\0\0" + _message(SUBTREE, "w", text, WHEN)
    mu = hashlib.shake_256(hashlib.shake_256(eye.public).digest(64) + message).digest(
        64
    )
    masked, tilde = signatures._ntt([z] * 256), b""
    for row in range(4):
        total = [0] * 256
        for column in range(4):
            a = signatures._uniform(bytes(32) + bytes([column, row]))
            total = [t + x * m for t, x, m in zip(total, a, masked, strict=True)]
        w = signatures._back(total)
        high = [signatures._high(r, at in rows[row]) for at, r in enumerate(w)]
        tilde += sum(x << 6 * i for i, x in enumerate(high)).to_bytes(192, "little")
    packed = sum((2**17 - z) << 18 * i for i in range(256)).to_bytes(576, "little")
    signed = hashlib.shake_256(mu + tilde).digest(32) + packed * 4 + spelt
    data = eye.key_id + WHEN.to_bytes(8, "big") + signed
    return eye.vkey, f"\u2014 w {base64.b64encode(data).decode()}\n"


def test_an_ml_dsa_line_may_not_be_large_nor_hint_too_much(small_run, tmp_path):
    """Each is true but for its size, under a key that needs no secret."""
    note = parse_proof(small_run.value["log"]["proof"]).note
    text = parse_note(note)[0]
    most, full, given = 2**17 - 78 - 1, range(80), {}
    for name, z, ends, places in (
        ("good", 1, (0, 0, 0, 0), ()),
        ("good: as large", most, (0, 0, 0, 0), ()),
        ("good: as large, below", -most, (0, 0, 0, 0), ()),
        ("good: as many", 5, (80, 80, 80, 80), full),
        ("good: hints of each", 5, (20, 40, 60, 79), (*range(20),) * 3 + (*range(19),)),
        ("larger", most + 1, (0, 0, 0, 0), ()),
        ("larger, below", -most - 1, (0, 0, 0, 0), ()),
        ("one hint more", 5, (80, 80, 80, 81), full),
    ):
        key, line = unowned(text, z, ends, places)
        own = filled("log LOG\n", keys_of(small_run)) + f"witness w {key}\nquorum w\n"
        given[name] = (note + line, own)

    said = by_policy_script(
        {name: (seen_in(whole), own.encode()) for name, (whole, own) in given.items()},
        tmp_path,
    )

    for name, (whole, own) in given.items():
        found = []
        for check in (
            lambda w=whole, o=own: parse_policy(o.encode()).check(w),
            lambda w=whole, o=own: check_policy(o, Note(w), {}),
        ):
            try:
                found.append(bool(check()))
            except (Unverified, Refused):
                found.append(False)
        found.append(isinstance(said[name], dict))
        assert found == [name.startswith("good")] * 3, (name, found, said[name])


def test_a_time_that_is_none_is_none_to_all(small_run, tmp_path, monkeypatch):
    note = parse_proof(small_run.value["log"]["proof"]).note
    text = filled("log LOG\nwitness e HK\nquorum e\n", keys_of(small_run)).encode()
    monkeypatch.setattr("hetao.ledger.note._LATEST_TIME", 2**64 - 1)
    times = (0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
    lines = {when: cosign(note, *EYES["hk"], when) for when in times}
    monkeypatch.undo()
    given = {
        str(when): (with_lines(small_run, line), text) for when, line in lines.items()
    }

    found = one_verdict(given, tmp_path)

    assert [found[str(when)] is not None for when in times] == [True] * 4 + [False] * 2


def test_the_page_asks_for_the_second_lines_of_sites_as_the_library_does(
    small_run, tmp_path
):
    """A policy that lists an ML-DSA-44 key of a site: `hetao verify` asks for it."""
    value = parse_canonical(published(small_run.certificate))
    site = value["body"]["sites"][0]
    key = MLDSA44PrivateKey.from_seed_bytes(b"s" * 32)
    own = vkey(site["name"], small_run.cast.directory[site["name"]].sign_key)
    beside = vkey(site["name"], key.public_key(), SUBTREE)
    text = filled("log LOG\n", keys_of(small_run)) + f"log {own}\nlog {beside}\n"
    text = f"{text}quorum none\n".encode()
    bare = canonical(value)
    note = site["checkpoint"]
    with pytest.raises(Unverified):
        parse_policy(text).check_log(note)
    line = cosign(note, site["name"], key, 0)
    assert parse_policy(text).check_log(note + line)
    site["checkpoint"] = note + line
    both = canonical(value)

    said = by_policy_script({"bare": (bare, text), "both": (both, text)}, tmp_path)

    assert said["bare"][:2] == ["policy_no_second", site["name"]]
    assert said["both"] == {"names": [], "alone": True}


def test_the_usual_policy_counts_on_a_page_too(small_run, seen, tmp_path):
    """As `hetao witness policy` writes it: each side's, which the hubs are, and one."""
    parties, own = tmp_path / "parties.toml", tmp_path / "policy"
    write_directory(parties, small_run.cast.directory)
    eyes = ["--independent", keys_of(small_run)["UNI"], "https://uni.example/"]
    words = ["--trust", str(parties), *eyes, "--out", str(own)]
    assert main(["witness", "policy", *words]) == 0
    given = {"seen": (seen, own.read_bytes())}
    given["unseen"] = (small_run.certificate, own.read_bytes())

    found = one_verdict(given, tmp_path)

    names = ["hub-hk", "hub-sz", "independent-1"]
    assert found == {"seen": (names, False), "unseen": None}


def test_the_commands_say_the_same(small_run, seen, tmp_path, capsys):
    """Of one of each: what the functions above say is what a reader is told."""
    texts = texts_of(small_run)
    path, own = tmp_path / "certificate.json", tmp_path / "policy"
    path.write_bytes(seen)
    for name, code, others in (
        ("usual", 0, ["hk", "sz", "uni"]),
        ("both hubs", 0, []),
        ("a party by key", 0, []),
        ("below", 6, None),
    ):
        own.write_bytes(texts[name])
        assert main(["verify", str(path), "--policy", str(own), "--json"]) == code
        said = capsys.readouterr().out
        assert (json.loads(said)["independent"] if said else None) == others


def test_of_a_revoked_study_a_policy_has_one_verdict(small_run, tmp_path):
    data = signed(small_run, revoked_body(small_run))
    keys = keys_of(small_run)
    texts = {
        "both hubs": ALONE["both hubs"],
        "below": "log LOG\nwitness hk HK\nquorum hk\n",
        "another key": UNMET["another key of the log"],
    }
    given = {n: (data, filled(text, keys).encode()) for n, text in texts.items()}

    page = by_policy_script(given, tmp_path)

    assert page["both hubs"] == {"names": ["h", "s"], "alone": True}
    assert page["below"][:2] == ["policy_unseen", "hk"]
    assert page["another key"][:2] == ["policy_other_key", "coordinator"]
    for name, (_, text) in given.items():
        if name == "both hubs":
            assert NOBODY in verify(data, text.decode())[-1]
            continue
        with pytest.raises(Refused):
            verify(data, text.decode())


def test_the_vectors_have_one_verdict_too(tmp_path):
    where = Path(__file__).parents[1] / "vectors" / "ledger" / "policy.json"
    vectors = json.loads(where.read_text("utf-8"))
    given = {}
    for case in vectors["cases"]:
        given[case["name"]] = (seen_in(case["note"]), case["policy"].encode())
    for case in vectors["malformed"]:
        given[case["name"]] = (None, case["policy"].encode())

    said = by_policy_script(given, tmp_path)

    for case in vectors["cases"]:
        found = said[case["name"]]
        names = found["names"] if isinstance(found, dict) else None
        assert names == case["witnesses"], case["name"]
    for case in vectors["malformed"]:
        assert isinstance(said[case["name"]], list), case["name"]
