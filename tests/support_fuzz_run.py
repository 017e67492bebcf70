"""Parsers to fuzz: of what goes to and fro in a run, and of what a run ends in."""

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.dossier import sd_jwt
from hetao.dossier.disclosure import make_disclosable
from hetao.errors import BadEnvelope
from hetao.federation.cast import Cast
from hetao.federation.certify import recompute
from hetao.federation.courier import read_letters, write_letters
from hetao.federation.hub_https import frame, unframe
from hetao.federation.register import News, news_from
from hetao.federation.released import check_released, sign_released
from hetao.federation.reviewing import read_package
from hetao.federation.shelf import Inbox
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import Envelope, parse_envelope
from hetao.permit import (
    Bundle,
    Directory,
    Statement,
    check_votes,
    format_time,
    read_bundle,
    statement_from,
)
from hetao.permit.keys import DOMAIN
from hetao.release import key_from, tag_from, unpack
from hetao.study import Analysis, study_from
from support_federation import COUNTS, LOGISTIC, Federation, Plan, Ran, toy_study
from support_parsers import Parsers, of_file, of_object, of_text, signed_by
from support_permit import NOW, PEOPLE, Scene

SMALL = Analysis("model", "logistic", outcome="ill", terms=("1",))
ODD = ("deputy-sz", "author-b", "twin-sz")
FEW = tuple(one for one in PEOPLE if one.name not in ODD)


def record_of(value: dict[str, Any]) -> object:
    statement = statement_from(value)
    return key_from(statement.body), tag_from(statement.body.get("tag", "0" * 32))


def certificate_of(trusted: Directory, data: bytes) -> object:
    verified = verify_certificate(data, trusted)
    recompute(parse_canonical(data))
    return verified


def resigned(cast: Cast, data: bytes) -> bytes:
    """Return a certificate of any type that a lying coordinator signed as it stands."""
    # Of the bytes themselves, whatever they are: what is none is refused after this.
    at, end = data.rfind(b',"signature":'), data.rfind(b',"sums":')
    body, _, log = data[:at].rpartition(b',"log":')
    named = digest_bytes(body.removeprefix(b'{"body":')).encode()
    text = b'{"body":"%b","log":%b,"type":"hetao.signed-certificate/1"}' % (named, log)
    signature = cast.identities["coordinator"].signed(DOMAIN + text)
    return b'%b,"signature":"%b"%b' % (data[:at], signature.encode(), data[end:])


def signed_anew(cast: Cast, data: bytes) -> object:
    """Return what a certificate proves that a lying coordinator signed as it stands."""
    return certificate_of(cast.directory, resigned(cast, data))


def of_one_file(data: bytes) -> object:
    """Return what the verifier of one file says; it has its own word for a refusal."""
    try:
        return verify_hetao.verify(data)
    except verify_hetao.Refused as error:
        raise BadEnvelope(str(error)) from error


@functools.cache
def a_run() -> tuple[Ran, Bundle, Envelope, Statement]:
    """Return a run of two rounds, its permit, a letter, and what left a site."""
    with tempfile.TemporaryDirectory() as folder:
        # An input costs as it is big: two rounds of two sites have every part.
        plan = Plan(toy_study((SMALL,), ("a", "b")))
        with Federation(Path(folder), plan) as made:
            ran = made.run()
            left = sign_released(made.setup("a"), ran.body["run"], format_time(NOW))
            return ran, made.bundle, made.begin("a"), left


def of_a_run() -> Parsers:
    """Return the parsers of what goes to and fro in a run, and of what it ends in."""
    return {**of_messages(), **of_certificates()}


@functools.cache
def of_messages() -> Parsers:
    """Return the parsers of what goes to and fro in a run."""
    ran, bundle, begin, _ = a_run()
    body, cast = ran.body, ran.cast
    receipt = next(iter(body["rounds"][0]["receipts"].values()))
    text = toy_study((COUNTS, LOGISTIC)).canonical
    package, votes = body["review"]["package"], body["review"]["votes"]
    letters = Path(tempfile.mkdtemp(prefix="fuzz-")) / "letters"
    write_letters(letters, [begin.data, begin.data])
    news = News("epoch", 1, bundle.notices).encoded()
    carried = letters.read_bytes()
    shutil.rmtree(letters.parent)
    return {
        "permit": (
            of_file(read_bundle, "permit.json"),
            canonical(Scene(FEW).approve_all().as_json()),
        ),
        "envelope": (parse_envelope, begin.data),
        "message": (unpack, begin.open(cast.identities["a"])),
        "study": (
            of_object(study_from),
            text if isinstance(text, bytes) else text.encode(),
        ),
        "release record": (of_object(record_of), canonical(receipt)),
        "vote": (
            of_object(
                lambda value: check_votes(
                    bundle.permit,
                    package,
                    (statement_from(value), statement_from(votes[1])),
                    cast.directory,
                )
            ),
            canonical(votes[0]),
        ),
        "news": (news_from, news),
        "letters": (of_file(read_letters, "letters"), carried),
        "batch of letters": (unframe, frame(Inbox("e", ((1, begin.data), (9, b"x"))))),
    }


@functools.cache
def of_certificates() -> Parsers:
    """Return the parsers of what a run ends in."""
    ran, _, _, left = a_run()
    cast, boss = ran.cast, ran.cast.identities["coordinator"]
    return {
        "certificate": (
            functools.partial(certificate_of, cast.directory),
            ran.certificate,
        ),
        "certificate signed anew": (
            functools.partial(signed_anew, cast),
            ran.certificate,
        ),
        "list of what left": (
            signed_by(
                cast.identities["a"],
                lambda one: check_released(one.as_json(), cast.directory),
            ),
            canonical(left.body),
        ),
        "findings to be checked": (
            of_file(lambda path: read_package(path.parent), "package.json"),
            canonical(ran.body),
        ),
        "certificate as SD-JWT": (
            of_text(lambda text: sd_jwt.read(text, boss.signing_key.public_key())),
            make_disclosable(ran.certificate, boss).encode(),
        ),
        "certificate in one file": (of_one_file, ran.certificate),
    }
