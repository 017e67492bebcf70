"""A permit that demands extracts seen by witnesses lets nothing run before."""

from argparse import Namespace
from dataclasses import replace

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import InvalidData, InvalidNetwork, NotCommitted, Stopped, Unverified
from hetao.federation.binding import LoggedExtract
from hetao.federation.demanded import as_demanded
from hetao.federation.logs import NOWHERE
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.extracts import _check_seen, policy_of
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    Verifier,
    cosign,
    parse_checkpoint,
)
from hetao.permit import statement_from
from hetao.permit.permit import permit_from
from hetao.transparency.witness import WitnessFolder
from support_extracts import STUDY, Committed
from support_witness import by_script, serving


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    """Return a witness that is served, and what a permit says of it."""
    folder = WitnessFolder.create(tmp_path_factory.mktemp("eye") / "w", "w.example")
    with serving(folder) as url:
        yield folder, f"witness w {folder.verifiers[0].vkey} {url}\nquorum w\n"


@pytest.fixture(scope="module")
def federation(eye, tmp_path_factory):
    folder, text = eye
    with Committed(tmp_path_factory.mktemp("seen"), committed=text) as made:
        for name in "abc":
            party = made.cast.directory[name]
            folder.trust(Verifier.of(name, party.sign_key, LOG_SIGNATURE).vkey)
        yield made


@pytest.fixture(scope="module")
def ran(federation):
    return federation.run()


def test_the_certificate_says_that_each_was_seen_before(ran):
    verified = verify_certificate(ran.certificate, ran.cast.directory)

    said = "3 had committed to their extracts, each seen by the permit's witnesses"
    assert said in verified.steps[7]
    assert "3 had committed" in verify_hetao.verify(ran.certificate)[4]
    for entry in ran.body["sites"]:
        seen = "\n".join(entry["extract"]["seen"])
        size = parse_checkpoint(seen.partition("\n\n")[0] + "\n").size
        assert entry["extract"]["index"] < size
        assert size <= min(proof["index"] for proof in entry["proofs"])


def spoilt(ran, change):
    body = ran.body
    change(body["sites"][0]["extract"], body)
    return ran.resigned(body)


def no_line(extract, _):
    del extract["seen"][4]


def nobody(extract, body):
    for key in ("seen", "then", "growth"):
        del extract[key]
    body["permit"]["permit"].pop("committed")


def not_committed(_, body):
    body["sites"][0]["extract"] = None


def another_path(extract, _):
    extract["then"] = ["00" * 32]


def no_growth(extract, _):
    extract["growth"] = extract["growth"][1:]


CHANGES = [no_line, nobody, not_committed, another_path, no_growth]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_whoever_was_not_seen_before_is_refused(ran, change):
    data = spoilt(ran, change)

    with pytest.raises(Unverified):
        verify_certificate(data)
    with pytest.raises(verify_hetao.Refused):
        verify_hetao.verify(data)


def test_the_pages_script_holds_the_citation_too(ran, tmp_path):
    given = {"true": ran.certificate}
    given |= {change.__name__: spoilt(ran, change) for change in CHANGES}

    assert list(by_script(given, tmp_path)) == ["true"]


def test_witnesses_that_saw_it_after_a_release_came_too_late(ran, eye):
    """Whatever they sign then: the tree that they saw holds a release of the run."""
    folder, text = eye
    party = ran.cast.directory["a"]
    entry = parse_canonical(ran.certificate)["body"]["sites"][0]
    late = entry["checkpoint"]
    late += cosign(late, "w.example", folder.key, 1_700_000_000)
    extract = {**entry["extract"], "seen": late.split("\n"), "growth": []}
    extract["then"] = extract["path"]
    tree = parse_checkpoint(late.partition("\n\n")[0] + "\n")

    with pytest.raises(Unverified, match="after a release"):
        _check_seen({**entry, "extract": extract}, tree, policy_of(text, party))


# --- at the site ----------------------------------------------------------------------
def test_nothing_runs_where_one_site_committed_to_none(eye, tmp_path):
    with (
        Committed(tmp_path, without=STUDY.sites, committed=eye[1]) as made,
        pytest.raises(Stopped, match="HT-344"),
    ):
        made.run()


def test_a_site_asks_once_and_refuses_below_the_quorum(eye, federation, ran, tmp_path):
    folder, text = eye
    site, permit = federation.sites["b"], federation.bundle.permit
    record = ran.body["sites"][1]["extract"]["record"]
    index = ran.body["sites"][1]["extract"]["index"]
    logged = LoggedExtract(statement_from(record), index)
    given = (logged, site._log, Namespace(log=NOWHERE, folder=tmp_path))

    def demanded(committed):
        return as_demanded(replace(permit, committed=committed), *given)

    with pytest.raises(NotCommitted, match="witnesses had seen"):
        demanded(text.replace(folder.verifiers[0].vkey, UNHEARD.vkey))
    assert not list((tmp_path / "seen").iterdir())
    first = demanded(text)
    site._log.append([b"more"])

    assert demanded(text) == first
    assert first.digest != logged.digest
    assert len(demanded("quorum none\n").seen) == 6  # under the log's own line alone
    assert demanded("") is logged
    for wrong in ("quorum x\n", f"log {UNHEARD.vkey}\nquorum none\n"):
        with pytest.raises(InvalidData):
            demanded(wrong)


UNHEARD = Verifier("w.example", COSIGNATURE, b"\x58" + b"\x66" * 31)


def test_a_permit_without_the_demand_has_the_text_that_it_always_had(small_run):
    permit = small_run.body["permit"]["permit"]

    assert "committed" not in permit
    assert permit_from(permit, "p").as_json() == permit
    with pytest.raises(InvalidNetwork, match="left out"):
        permit_from({**permit, "committed": ""}, "p")
