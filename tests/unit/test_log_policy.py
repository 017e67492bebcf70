"""A policy says whose word counts, and nothing that is checked can say it instead."""

import itertools
import json
import random
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hetao.errors import InvalidData, Unverified
from hetao.ledger import verify_log
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    cosign,
    sign_checkpoint,
    vkey,
)
from hetao.ledger.policy import Group, parse_policy, read_policy
from hetao.ledger.verify_signatures import Refused

ORIGIN = "log.example.org/study"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
BESIDE = MLDSA44PrivateKey.from_seed_bytes(b"\1" * 32)
LOG = vkey(ORIGIN, LOG_KEY.public_key())
LOG_AS_WITNESS = vkey("w.example/log", LOG_KEY.public_key(), COSIGNATURE)
LOG_BESIDE = vkey(ORIGIN, BESIDE.public_key(), SUBTREE)
CHECKPOINT = Checkpoint(ORIGIN, 8, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, LOG_KEY)
KEYS = {
    **{n: Ed25519PrivateKey.from_private_bytes(n.encode() * 16) for n in ("h1", "h2")},
    **{n: Ed25519PrivateKey.from_private_bytes(n.encode() * 16) for n in ("s1", "s2")},
    "u1": MLDSA44PrivateKey.from_seed_bytes(b"u1" * 16),
}


def kind(name):
    return SUBTREE if name == "u1" else COSIGNATURE


VKEYS = {n: vkey(f"w.example/{n}", k.public_key(), kind(n)) for n, k in KEYS.items()}
WITNESSES = "".join(f"witness {n} {v}\n" for n, v in VKEYS.items())
BOTH_SIDES = f"""# whom this hospital believes
log {LOG}

{WITNESSES}
group HK any h1 h2
group SZ\tany  s1 s2
  group ALL all HK SZ u1
quorum ALL
"""


def policy(text):
    return parse_policy(text.encode())


def line(name, when=1_700_000_000):
    return cosign(NOTE, f"w.example/{name}", KEYS[name], when)


# --- The quorum ---------------------------------------------------------------------
def test_exactly_the_quorum_of_every_set_of_witnesses_counts():
    rule = policy(BOTH_SIDES)
    lines = {name: line(name) for name in KEYS}

    for size in range(len(KEYS) + 1):
        for names in itertools.combinations(KEYS, size):
            note = NOTE + "".join(lines[name] for name in names)
            enough = (
                {"h1", "h2"} & {*names} and {"s1", "s2"} & {*names} and "u1" in names
            )
            if enough:
                assert set(rule.check(note).witnesses) == set(names)
                continue
            with pytest.raises(Unverified, match="quorum"):
                rule.check(note)


def test_what_was_seen_is_told_with_its_first_time():
    note = NOTE + line("h1", 20) + line("h1", 10) + line("s2", 30) + line("u1", 40)

    seen = policy(BOTH_SIDES).check(note)

    assert seen.checkpoint == CHECKPOINT
    assert seen.witnesses == {"h1": 10, "s2": 30, "u1": 40}


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_a_group_may_name_a_number(needed):
    rule = policy(f"log {LOG}\n{WITNESSES}group G {needed} h1 s1 u1\nquorum G\n")

    for size in range(4):
        note = NOTE + "".join(line(name) for name in ("h1", "s1", "u1")[:size])
        if size >= needed:
            rule.check(note)
            continue
        with pytest.raises(Unverified):
            rule.check(note)


def test_one_witness_may_be_the_quorum_and_none_may_be():
    alone = policy(f"log {LOG}\n{WITNESSES}quorum s1\n")

    assert policy(f"log {LOG}\nquorum none\n").check(NOTE).witnesses == {}
    assert alone.check(NOTE + line("s1")).witnesses == {"s1": 1_700_000_000}
    with pytest.raises(Unverified):
        alone.check(NOTE + line("h1"))


def test_a_bad_line_of_a_known_witness_condemns_even_a_full_quorum():
    rule = policy(f"log {LOG}\n{WITNESSES}quorum h1\n")
    head, data = line("s1").rsplit(" ", 1)
    at = 30
    bent = data[:at] + ("A" if data[at] != "A" else "B") + data[at + 1 :]

    rule.check(NOTE + line("h1") + line("s1"))
    with pytest.raises(Unverified, match="does not hold"):
        rule.check(NOTE + line("h1") + f"{head} {bent}")


# --- The log ------------------------------------------------------------------------
def test_a_log_signs_with_either_of_its_keys_or_both():
    both = sign_checkpoint(CHECKPOINT, LOG_KEY, BESIDE)

    for logs in (
        f"log {LOG}\n",
        f"log {LOG_BESIDE}\n",
        f"log {LOG}\nlog {LOG_BESIDE}\n",
    ):
        assert policy(logs + "quorum none\n").check(both).checkpoint == CHECKPOINT
    with pytest.raises(Unverified):
        policy(f"log {LOG_BESIDE}\nquorum none\n").check(NOTE)


def test_a_log_that_is_not_listed_proves_nothing():
    other = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
    note = sign_checkpoint(CHECKPOINT, other)

    with pytest.raises(Unverified, match="no log"):
        policy(f"log {LOG}\nquorum none\n").check(note)
    with pytest.raises(Unverified, match="no log"):
        policy("quorum none\n").check(NOTE)


def test_a_listed_log_speaks_for_no_other_origin():
    """Its key signs a checkpoint under the key's name, but of another log."""
    listed = vkey("other.example", LOG_KEY.public_key())
    foreign = cosign(NOTE, "other.example", BESIDE, 0)
    beside = vkey("other.example", BESIDE.public_key(), SUBTREE)

    with pytest.raises(Unverified, match="no log"):
        policy(f"log {listed}\nlog {beside}\nquorum none\n").check(NOTE + foreign)


# --- The text -----------------------------------------------------------------------
def test_a_policy_reads_as_it_is_written(tmp_path):
    (tmp_path / "policy").write_text(BOTH_SIDES)

    rule = read_policy(tmp_path / "policy")

    assert [one.vkey for one in rule.logs] == [LOG]
    assert {n: one.vkey for n, one in rule.witnesses.items()} == VKEYS
    assert rule.groups["ALL"] == Group(3, ("HK", "SZ", "u1"))
    assert rule.quorum == "ALL"


def test_addresses_are_kept_and_names_are_opaque():
    text = f"log {LOG} https://log.example\nwitness \u6df1\u5733 {VKEYS['s1']} https://w/\n"
    data = text.encode() + b"witness \xff " + VKEYS["h1"].encode() + b"\nquorum \xff\n"

    rule = parse_policy(data)

    assert rule.urls == {LOG: "https://log.example", VKEYS["s1"]: "https://w/"}
    assert rule.check(NOTE + line("h1")).checkpoint == CHECKPOINT
    with pytest.raises(Unverified, match="quorum \ufffd"):
        rule.check(NOTE + line("s1"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"log {LOG}\n",
        "quorum none",
        "quorum none\nquorum none\n",
        "quorum\n",
        "quorum a\n",
        "quorum none extra\n",
        "quorum none # why\n",
        "Quorum none\n",
        "quorum none\r\n",
        "quorum none\n\x00\n",
        "quorum none\n\x7f\n",
        "quorum\u00a0none\n",
        "log\nquorum none\n",
        f"log {LOG} a b\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {VKEYS['h1']}\nquorum none\n",
        f"log {LOG}\nwitness h {LOG_AS_WITNESS}\nquorum h\n",
        f"witness h {LOG_AS_WITNESS}\nlog {LOG}\nquorum h\n",
        f"log {LOG_BESIDE}\nwitness h {LOG_BESIDE}\nquorum h\n",
        f"witness h {LOG}\nquorum none\n",
        "witness h\nquorum none\n",
        f"witness h {VKEYS['h1']} a b\nquorum none\n",
        f"witness none {VKEYS['h1']}\nquorum none\n",
        f"witness h {VKEYS['h1']}\nwitness g {VKEYS['h1']}\nquorum none\n",
        f"witness h {VKEYS['h1']}\nwitness h {VKEYS['h2']}\nquorum none\n",
        f"quorum h\nwitness h {VKEYS['h1']}\n",
        WITNESSES + "group g all\nquorum none\n",
        WITNESSES + "group g h1 h2\nquorum none\n",
        WITNESSES + "group g 0 h1\nquorum none\n",
        WITNESSES + "group g 2 h1\nquorum none\n",
        WITNESSES + "group g 01 h1\nquorum none\n",
        WITNESSES + "group g +1 h1\nquorum none\n",
        WITNESSES + "group g \u0661 h1\nquorum none\n",
        WITNESSES + "group g any none\nquorum none\n",
        WITNESSES + "group g any g\nquorum none\n",
        WITNESSES + "group g any f\ngroup f any h1\nquorum none\n",
        WITNESSES + "group h1 any h2\nquorum none\n",
        WITNESSES + "group none any h2\nquorum none\n",
        WITNESSES + "group g any h1 h1\nquorum none\n",
        WITNESSES + "group g any h1\ngroup f any h1\nquorum none\n",
        WITNESSES + "group g any h1\ngroup f any h2\ngroup e 1 g f g\nquorum none\n",
        f"log {LOG.replace('+', '-', 1)}\nquorum none\n",
        f"log {LOG[:-1]}\nquorum none\n",
        f"log {LOG[:-4]}\nquorum none\n",
        f"log {ORIGIN}+00000000+{LOG.split('+', 2)[2]}\nquorum none\n",
        f"log {ORIGIN}+00000000+\nquorum none\n",
        "#" * 2**20 + "\nquorum none\n",
    ],
)
def test_a_policy_that_says_something_else_is_refused(text):
    with pytest.raises(InvalidData):
        policy(text)


def test_the_line_that_is_wrong_is_named():
    with pytest.raises(InvalidData, match="line 3 of the policy"):
        policy(f"# mine\nlog {LOG}\nwitness {LOG}\nquorum none\n")


def test_a_policy_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidData, match="cannot be read"):
        read_policy(tmp_path / "none")


def test_key_kinds_are_those_of_the_format():
    assert (LOG_SIGNATURE, COSIGNATURE, SUBTREE) == (1, 4, 6)


# --- Vectors, for other programs as well ---------------------------------------------
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ledger" / "policy.json").read_text(
        "utf-8"
    )
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_a_policy_of_the_vectors_accepts_what_they_say(case):
    rule = policy(case["policy"])

    if case["witnesses"] is None:
        with pytest.raises(Unverified):
            rule.check(case["note"])
        with pytest.raises(Refused):
            verify_log.check_policy(case["policy"], verify_log.Note(case["note"]), {})
        return
    assert [*rule.check(case["note"]).witnesses] == case["witnesses"]
    verify_log.check_policy(case["policy"], verify_log.Note(case["note"]), {})


@pytest.mark.parametrize("case", VECTORS["malformed"], ids=lambda case: case["name"])
def test_what_the_vectors_call_malformed_is_no_policy(case):
    with pytest.raises(InvalidData):
        policy(case["policy"])
    with pytest.raises(Refused):
        verify_log.Policy(case["policy"])


SPARE = ("none", "all", "any", "02", "٢", "\u00a0", "\x7f", "\r", "\t", "#", "hk1", "G")


def is_policy(text):
    try:
        policy(text)
    except InvalidData:
        return False
    return True


def is_policy_to_the_one_file(text):
    try:
        verify_log.Policy(text)
    except (Refused, *verify_log.ODD):
        return False
    return True


def test_a_key_without_a_name_or_with_a_space_in_it_is_none_to_both():
    """Nor does an ML-DSA-44 key sign under a name that no length can be said of."""
    for kind, raw, name, good in (
        (LOG_SIGNATURE, 32, "a", True),
        (LOG_SIGNATURE, 32, "", False),
        (LOG_SIGNATURE, 32, "a\u00a0b", False),
        (LOG_SIGNATURE, 32, "a\u3000", False),
        (LOG_SIGNATURE, 32, "a" * 256, True),
        (SUBTREE, 1312, "a" * 255, True),
        (SUBTREE, 1312, "a" * 256, False),
    ):
        key = bytes([kind]) + bytes([9]) * raw
        known = verify_log.key_id(name, kind, key[1:]).hex()
        text = f"log {name}+{known}+{b64encode(key).decode()}\nquorum none\n"
        assert (is_policy(text), is_policy_to_the_one_file(text)) == (good, good), name


def test_a_group_may_be_long_and_a_policy_is_not_to_both():
    names = [f"w{n}" for n in range(1200)]
    for text, words in (
        (f"group G 1 {' '.join(names)}\n", "names whom|not defined"),
        ("# " + "a" * 2**20 + "\nquorum none\n", "1 MiB"),
    ):
        with pytest.raises(InvalidData, match=words):
            policy(text)
        with pytest.raises(Refused, match=words):
            verify_log.Policy(text)


def test_the_one_file_takes_the_policies_that_the_library_takes():
    """Lines and words of the vectors put elsewhere, twice, or left out."""
    draw = random.Random(20_261_129)  # noqa: S311 - the same each time
    texts = [
        case["policy"] for kind in ("cases", "malformed") for case in VECTORS[kind]
    ]
    taken = 0
    for _ in range(400):
        lines = draw.choice(texts).split("\n")
        for _ in range(draw.randint(0, 2)):
            words = draw.choice(lines).split(" ")
            words[draw.randrange(len(words))] = draw.choice((*words, *SPARE))
            put = [" ".join(words)] * draw.randint(0, 1)
            at = draw.randrange(len(lines))
            lines[at : at + draw.randint(0, 1)] = put
        text = "\n".join(lines)
        assert is_policy(text) is is_policy_to_the_one_file(text), text
        taken += is_policy(text)
    assert 20 < taken < 380
