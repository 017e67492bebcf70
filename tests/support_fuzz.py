"""Every parser of what comes from outside, each with a true input to bend."""

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from hetao.canonical import canonical, parse_canonical
from hetao.errors import BadEnvelope, HetaoError
from hetao.federation.certify import recompute
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.ledger.note import parse_checkpoint, verify_note
from hetao.permit import Directory, read_bundle, statement_from
from hetao.release import key_from, read_policy, tag_from, unpack
from hetao.study import read_study, study_from
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

POLICY = b"""reason = "few patients"
highest_grade = 3

[minimum]
people = 40
cell = 5
share = 0.2
"""
STUDY = Path(__file__).parents[1] / "src" / "hetao" / "demo" / "lung" / "study.toml"

Parsers = Mapping[str, tuple[Callable[[bytes], object], bytes]]


def of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """Return a parser of bytes from one of a file."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def parse(data: bytes) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return parse


def as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Return a parser of bytes from one of text, which others decode for it."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def study_of_object(data: bytes) -> object:
    value = parse_canonical(data)
    if not isinstance(value, dict):
        raise BadEnvelope("not an object")  # as `_opening` finds by its fields
    return study_from(value)


def record_of(data: bytes) -> object:
    value = parse_canonical(data)
    statement = statement_from(value)
    return key_from(statement.body), tag_from(statement.body.get("tag", "0" * 32))


def certificate_of(trusted: Directory, data: bytes) -> object:
    verified = verify_certificate(data, trusted)
    recompute(parse_canonical(data))
    return verified


@functools.cache
def parsers() -> Parsers:
    """Return name → (parser, a true input)."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(toy_study((COUNTS, LOGISTIC)))
        with Federation(Path(folder), plan) as made:
            ran = made.run()
            bundle, study, cast = made.bundle, made.study, made.cast
            begin = made.begin("a")
    body = ran.body
    round_ = body["rounds"][0]
    receipt = next(iter(round_["receipts"].values()))
    text = study.canonical
    note = body["sites"][0]["checkpoint"]
    key = cast.directory["a"].sign_key
    return {
        "permit": (of_file(read_bundle, "permit.json"), canonical(bundle.as_json())),
        "envelope": (parse_envelope, begin.data),
        "message": (unpack, begin.open(cast.identities["a"])),
        "certificate": (
            functools.partial(certificate_of, cast.directory),
            ran.certificate,
        ),
        "study": (study_of_object, text if isinstance(text, bytes) else text.encode()),
        "study file": (of_file(read_study, "study.toml"), STUDY.read_bytes()),
        "checkpoint": (
            as_text(parse_checkpoint),
            note.partition("\n\n")[0].encode() + b"\n",
        ),
        "note": (as_text(lambda t: verify_note(t, "a", key)), note.encode()),
        "policy": (of_file(read_policy, "policy.toml"), POLICY),
        "release record": (record_of, canonical(receipt)),
    }


def is_refused(parse: Callable[[bytes], object], data: bytes) -> bool:
    """Return whether an input is refused in our words."""
    try:
        parse(data)
    except HetaoError:
        return True
    return False
