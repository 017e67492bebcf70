"""Notes say one thing in one spelling, and a signature covers all of it."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hetao.errors import InvalidData, Unverified
from hetao.ledger.merkle import EMPTY_ROOT
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    Verifier,
    cosign,
    key_id,
    open_note,
    parse_checkpoint,
    parse_vkey,
    sign_checkpoint,
    sign_note,
    verify_cosignature,
    verify_note,
    vkey,
)

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ledger" / "note.json").read_text()
)
LOG, WITNESS = "log.example.org/study", "witness.example.org/w1"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
BESIDE = MLDSA44PrivateKey.from_seed_bytes(b"\4" * 32)
CHECKPOINT = Checkpoint(LOG, 8, bytes(range(32)))
NOTE = CHECKPOINT.text + "\n" + sign_note(CHECKPOINT.text, LOG, LOG_KEY)
COSIGNED = NOTE + cosign(NOTE, WITNESS, WITNESS_KEY, 1_700_000_000)


def verify_log(note):
    return verify_note(note, LOG, LOG_KEY.public_key())


def verify_witness(note):
    return verify_cosignature(note, WITNESS, WITNESS_KEY.public_key())


# --- What other programs wrote ------------------------------------------------------
@pytest.mark.parametrize("signer", VECTORS["published"]["signers"])
def test_a_note_of_the_go_package_verifies(signer):
    text = VECTORS["published"]["text"]
    name, _, material = signer["vkey"].split("+", 2)
    public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(material)[1:])
    both = "".join(other["line"] for other in VECTORS["published"]["signers"])

    assert vkey(name, public_key) == signer["vkey"]
    assert verify_note(f"{text}\n{signer['line']}", name, public_key) == text
    assert verify_note(f"{text}\n{both}", name, public_key) == text


def test_the_go_packages_key_makes_the_same_line():
    published = VECTORS["published"]
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(published["seed"]))

    line = sign_note(published["text"], "PeterNeumann", key)

    assert line == published["signers"][0]["line"]


def test_the_frozen_checkpoint_still_verifies_and_is_still_made():
    frozen = VECTORS["checkpoint"]
    log = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(frozen["log_seed"]))
    witness = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex(frozen["witness_seed"])
    )
    name = frozen["witness"]
    checkpoint = Checkpoint(
        frozen["origin"], frozen["size"], bytes.fromhex(frozen["root"])
    )

    note = checkpoint.text + "\n" + sign_note(checkpoint.text, checkpoint.origin, log)
    note += cosign(note, name, witness, frozen["time"])

    assert note == frozen["note"]
    text = verify_note(note, checkpoint.origin, log.public_key())
    assert parse_checkpoint(text) == checkpoint
    assert verify_cosignature(note, name, witness.public_key()) == frozen["time"]
    assert vkey(checkpoint.origin, log.public_key()) == frozen["log_vkey"]
    assert vkey(name, witness.public_key(), COSIGNATURE) == frozen["witness_vkey"]


# --- Checkpoints --------------------------------------------------------------------
@given(
    size=st.integers(1, 2**63 - 1),
    root=st.binary(min_size=32, max_size=32),
    origin=st.text(min_size=1, alphabet=st.characters(exclude_categories=["Z", "C"])),
)
def test_a_checkpoint_reads_back_as_written(size, root, origin):
    checkpoint = Checkpoint(origin.replace("+", "p"), size, root)

    assert parse_checkpoint(checkpoint.text) == checkpoint


ROOT = base64.b64encode(bytes(range(32))).decode()
EMPTY = base64.b64encode(EMPTY_ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"o\n8\n{ROOT}",
        f"o\n8\n{ROOT}\n\n",
        f"o\n8\n{ROOT}\nextension\n",
        f"o\r\n8\r\n{ROOT}\r\n",
        f"o\n8\r\n{ROOT}\n",
        f"o\n8\n{ROOT}\r\n",
        f"\no\n8\n{ROOT}\n",
        f"\n8\n{ROOT}\n",
        f"o \n8\n{ROOT}\n",
        f"o\u00a0o\n8\n{ROOT}\n",
        f"o+o\n8\n{ROOT}\n",
        f"o\x7f\x00\n8\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n08\n{ROOT}\n",
        f"o\n00\n{ROOT}\n",
        f"o\n+8\n{ROOT}\n",
        f"o\n-8\n{ROOT}\n",
        f"o\n 8\n{ROOT}\n",
        f"o\n8 \n{ROOT}\n",
        f"o\n8_0\n{ROOT}\n",
        f"o\n8.0\n{ROOT}\n",
        f"o\n0x8\n{ROOT}\n",
        f"o\n\u0668\n{ROOT}\n",  # an Arabic-Indic eight, which int() would read
        f"o\n{2**63}\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"o\n0\n{ROOT}\n",  # the empty tree has but one root
        f"o\n8\n{ROOT[:-1]}\n",
        f"o\n8\n{ROOT}=\n",
        f"o\n8\n {ROOT}\n",
        f"o\n8\n{ROOT[:-2]}9=\n",  # the same bytes, other spare bits
        f"o\n8\n{ROOT.replace('/', '_').replace('+', '-')[:-1]}\n",
        f"o\n8\n{base64.b64encode(bytes(31)).decode()}\n",
        f"o\n8\n{base64.b64encode(bytes(33)).decode()}\n",
        f"o\n8\n\u0410{ROOT[1:]}\n",
        f"\ud800\n8\n{ROOT}\n",
        None,
        b"o",
    ],
)
def test_a_checkpoint_has_one_spelling(text):
    with pytest.raises(Unverified):
        parse_checkpoint(text)


def test_an_empty_log_has_a_checkpoint():
    assert parse_checkpoint(f"o\n0\n{EMPTY}\n") == Checkpoint("o", 0, EMPTY_ROOT)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        ("a b", 1, bytes(32)),
        ("a+b", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 2**63, bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 0, bytes(32)),
    ],
)
def test_no_checkpoint_is_made_that_could_not_be_read(origin, size, root):
    with pytest.raises(InvalidData):
        Checkpoint(origin, size, root)


# --- Signatures ---------------------------------------------------------------------
def test_a_note_gives_back_the_signed_text():
    assert verify_log(NOTE) == CHECKPOINT.text
    assert verify_log(COSIGNED) == CHECKPOINT.text
    assert verify_witness(COSIGNED) == 1_700_000_000


def test_a_text_may_hold_blank_lines():
    text = "one\n\n\n\u2014 two\n\n"

    note = text + "\n" + sign_note(text, LOG, LOG_KEY)

    assert verify_log(note) == text


def test_unknown_signatures_are_ignored():
    other = "\u2014 someone.else " + base64.b64encode(b"\xff\0\0\0x").decode() + "\n"
    same_name = sign_note(CHECKPOINT.text, LOG, OTHER_KEY)
    same_id = "\u2014 someone.else " + NOTE.rsplit(" ", 1)[1]

    for line in (other, same_name, same_id):
        assert verify_log(NOTE + line) == CHECKPOINT.text
        head, tail = NOTE.split("\n\n")
        assert verify_log(head + "\n\n" + line + tail) == CHECKPOINT.text


def test_one_bad_signature_of_a_known_key_condemns_the_note():
    bad = line_of(LOG, key_id(LOG, LOG_KEY.public_key()) + bytes(64))
    short = line_of(LOG, key_id(LOG, LOG_KEY.public_key()) + b"x")

    for line in (bad, short):
        with pytest.raises(Unverified):
            verify_log(NOTE + line)


def test_one_bad_cosignature_of_a_known_witness_condemns_the_note():
    known = key_id(WITNESS, WITNESS_KEY.public_key(), COSIGNATURE)

    for payload in (bytes(72), b"x", bytes(8), b"\xff" * 72):
        with pytest.raises(Unverified):
            verify_witness(COSIGNED + line_of(WITNESS, known + payload))


def line_of(name, data):
    return f"\u2014 {name} {base64.b64encode(data).decode()}\n"


@pytest.mark.parametrize("at", range(len(COSIGNED)))
def test_every_character_of_a_cosigned_note_counts(at):
    """A change makes the log's or the witness's line, or both, fail."""
    changed = COSIGNED[:at] + chr(ord(COSIGNED[at]) ^ 1) + COSIGNED[at + 1 :]

    with pytest.raises(Unverified):  # noqa: PT012
        verify_log(changed)
        verify_witness(changed)


@given(st.data())
@settings(max_examples=300)
def test_garbage_raises_one_type(data):
    note = list(COSIGNED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(note) - 1))
        note[at : at + data.draw(st.integers(0, 3))] = data.draw(st.text(max_size=3))
    changed = "".join(note)

    for verify in (verify_log, verify_witness):
        try:
            verify(changed)
        except Unverified:
            continue
        assert changed.startswith(CHECKPOINT.text + "\n")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        CHECKPOINT.text,
        CHECKPOINT.text + "\n",
        NOTE[:-1],
        NOTE + "\n",
        NOTE + "junk\n",
        NOTE + "\u2014 name\n",
        NOTE + "\u2014 name \n",
        NOTE + "\u2014 name AAAA\n",
        NOTE + "\u2014 name AAAAAA== \n",
        NOTE + "\u2014 na+me AAAAAAA=\n",
        NOTE + "\u2014  AAAAAAA=\n",
        NOTE + "- name AAAAAAA=\n",
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("\n\n", "\n\n\n"),
        NOTE.replace("\u2014 ", "\u2014"),
        "\t" + NOTE,
        "\ufeff" + NOTE,
        "\ud800" + NOTE,
        NOTE + NOTE,
        NOTE + "\u2014 name AAAAAAA=\n" * 100,
        "x" * 1_000_000 + NOTE,
        None,
        b"bytes",
        NOTE.encode(),
    ],
)
def test_a_malformed_note_is_refused(note):
    with pytest.raises(Unverified):
        verify_log(note)
    with pytest.raises(Unverified):
        verify_witness(note)


def test_sixteen_signatures_are_read():
    lines = "".join(line_of(f"w{i}", bytes(5000)) for i in range(16))

    assert verify_log(NOTE + lines) == CHECKPOINT.text


@pytest.mark.parametrize(
    ("name", "key"),
    [("another.log", LOG_KEY), (LOG, OTHER_KEY), (WITNESS, WITNESS_KEY)],
)
def test_the_wrong_key_or_name_signed_nothing(name, key):
    with pytest.raises(Unverified):
        verify_note(COSIGNED, name, key.public_key())


def test_a_signature_of_one_kind_is_none_of_the_other():
    with pytest.raises(Unverified):
        verify_cosignature(NOTE, LOG, LOG_KEY.public_key())
    with pytest.raises(Unverified):
        verify_note(COSIGNED, WITNESS, WITNESS_KEY.public_key())


def test_the_earliest_of_two_cosignatures_counts():
    note = COSIGNED + cosign(NOTE, WITNESS, WITNESS_KEY, 1_600_000_000)

    assert verify_witness(note) == 1_600_000_000


def test_a_cosignatures_time_is_signed():
    head, line = COSIGNED[: len(NOTE)], COSIGNED[len(NOTE) :]
    data = bytearray(base64.b64decode(line.split(" ")[2]))
    data[11] ^= 1

    with pytest.raises(Unverified):
        verify_witness(head + line_of(WITNESS, bytes(data)))


@pytest.mark.parametrize("text", ["", "no newline", "a\r\n", "a\tb\n", "\ud800\n"])
def test_what_is_no_text_is_not_signed(text):
    with pytest.raises(InvalidData):
        sign_note(text, LOG, LOG_KEY)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u2003b", "a\n", "\x07", "\ud800"]
)
def test_what_is_no_name_signs_nothing(name):
    for refused in (
        lambda: sign_note("text\n", name, LOG_KEY),
        lambda: cosign(NOTE, name, LOG_KEY, 1),
        lambda: vkey(name, LOG_KEY.public_key()),
    ):
        with pytest.raises(InvalidData):
            refused()


def test_a_cosignature_needs_a_time_and_a_checkpoint():
    for when in (-1, 2**63):
        with pytest.raises(InvalidData):
            cosign(NOTE, WITNESS, WITNESS_KEY, when)
    with pytest.raises(Unverified):
        cosign("prose\n\n" + NOTE.split("\n\n")[1], WITNESS, WITNESS_KEY, 1)


def test_a_time_that_no_witness_may_write_is_refused_though_signed():
    when = 2**63
    message = f"cosignature/v1\ntime {when}\n{CHECKPOINT.text}".encode()
    known = key_id(WITNESS, WITNESS_KEY.public_key(), COSIGNATURE)
    data = known + when.to_bytes(8, "big") + WITNESS_KEY.sign(message)

    with pytest.raises(Unverified):
        verify_witness(NOTE + line_of(WITNESS, data))


def test_a_note_beyond_the_limit_is_refused_though_signed():
    text = "x" * 1_000_000 + "\n"

    with pytest.raises(Unverified):
        verify_log(text + "\n" + sign_note(text, LOG, LOG_KEY))


# --- ML-DSA-44 ----------------------------------------------------------------------
def test_the_cosignature_of_an_independent_program_verifies():
    frozen = VECTORS["ml_dsa_44"]
    signer = parse_vkey(frozen["vkey"])
    key = MLDSA44PrivateKey.from_seed_bytes(bytes.fromhex(frozen["seed"]))

    assert signer == Verifier.of(signer.name, key.public_key(), SUBTREE)
    _, found = open_note(frozen["note"], [signer])
    assert found == {signer: frozen["time"]}
    assert (
        verify_cosignature(frozen["note"], signer.name, key.public_key())
        == (frozen["time"])
    )


def test_a_log_signs_with_a_second_key_beside_the_first():
    note = sign_checkpoint(CHECKPOINT, LOG_KEY, BESIDE)
    first = Verifier.of(LOG, LOG_KEY.public_key(), LOG_SIGNATURE)
    second = Verifier.of(LOG, BESIDE.public_key(), SUBTREE)

    assert note.startswith(sign_checkpoint(CHECKPOINT, LOG_KEY))
    assert open_note(note, [first, second]) == (CHECKPOINT.text, {first: 0, second: 0})
    assert verify_log(note) == CHECKPOINT.text


def test_what_ml_dsa_signs_binds_name_origin_size_root_and_time():
    line = cosign(NOTE, WITNESS, BESIDE, 7)
    raw = base64.b64decode(line.rsplit(" ", 1)[1])
    other = Verifier.of("another.witness", BESIDE.public_key(), SUBTREE)
    checkpoints = (
        Checkpoint("another.log", 8, bytes(range(32))),
        Checkpoint(LOG, 9, bytes(range(32))),
        Checkpoint(LOG, 8, bytes(32)),
    )

    assert verify_cosignature(NOTE + line, WITNESS, BESIDE.public_key()) == 7
    late = line_of(WITNESS, raw[:4] + (8).to_bytes(8, "big") + raw[12:])
    renamed = line_of(other.name, other.key_id + raw[4:])
    notes = [NOTE + late, *(f"{one.text}\n{line}" for one in checkpoints)]
    for note in notes:
        with pytest.raises(Unverified):
            verify_cosignature(note, WITNESS, BESIDE.public_key())
    with pytest.raises(Unverified, match="does not hold"):
        open_note(NOTE + renamed, [other])


def test_every_byte_of_an_ml_dsa_line_counts():
    line = cosign(NOTE, WITNESS, BESIDE, 7)
    raw = base64.b64decode(line.rsplit(" ", 1)[1])
    signer = Verifier.of(WITNESS, BESIDE.public_key(), SUBTREE)

    for at in range(4, len(raw)):
        bent = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(Unverified):
            signer.check(CHECKPOINT.text, bent[4:])
    for cut in (raw[:-1], raw + b"x", raw[:12]):
        with pytest.raises(Unverified):
            open_note(NOTE + line_of(WITNESS, cut), [signer])


def test_a_name_that_ml_dsa_cannot_hold_is_refused():
    with pytest.raises(InvalidData):
        Verifier.of("n" * 256, BESIDE.public_key(), SUBTREE)
    with pytest.raises(InvalidData):
        cosign(NOTE, "n" * 256, BESIDE, 7)
    long = Checkpoint("o" * 256, 8, bytes(range(32))).text
    note = f"{long}\n{sign_note(long, 'o' * 256, LOG_KEY)}"
    with pytest.raises(Unverified):
        cosign(note, WITNESS, BESIDE, 7)


# --- Keys as text -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "key", "kind"),
    [
        (LOG, LOG_KEY, LOG_SIGNATURE),
        (WITNESS, WITNESS_KEY, COSIGNATURE),
        (WITNESS, BESIDE, SUBTREE),
    ],
)
def test_a_vkey_reads_back_as_written(name, key, kind):
    text = vkey(name, key.public_key(), kind)

    assert parse_vkey(text) == Verifier.of(name, key.public_key(), kind)
    assert parse_vkey(text).vkey == text


VKEY = vkey(LOG, LOG_KEY.public_key())
NAME, KEY_ID, KEY_TEXT = VKEY.split("+", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        NAME,
        f"{NAME}+{KEY_ID}",
        f"{NAME}+{KEY_ID}+",
        f"{NAME}+{KEY_ID.upper()}+{KEY_TEXT}",
        f"{NAME}+00000000+{KEY_TEXT}",
        f"another+{KEY_ID}+{KEY_TEXT}",
        f"{NAME}+{KEY_ID}+{KEY_TEXT}\n",
        f"{NAME}+{KEY_ID}+{KEY_TEXT[:-4]}",
        f"{NAME} +{KEY_ID}+{KEY_TEXT}",
        f"+{KEY_ID}+{KEY_TEXT}",
        f"{NAME}+{KEY_ID}+{base64.b64encode(bytes([9] * 33)).decode()}",
    ],
)
def test_a_vkey_has_one_spelling(text):
    with pytest.raises(InvalidData):
        parse_vkey(text)
