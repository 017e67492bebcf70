"""A permit rests on rules, instruments and counts; when one falls, nothing leaves."""

import datetime
from dataclasses import replace

import pytest

from hetao.errors import InvalidNetwork, OutOfTime
from hetao.federation.propose import Request, draft_permit
from hetao.permit import Bundle, check_standing, read_bundle, write_bundle
from hetao.permit.decision import situation_of
from support_federation import START, Federation
from support_rules import BOOK, HONG_KONG, SHENZHEN, facts

HELD = ("cn-standard-contract", "cn-impact-assessment", "cn-separate-consent")
# Hospitals of both sides: what each of them sends leaves it.
BOTH = {**SHENZHEN, **HONG_KONG, "route.leaves_mainland": True}
DAY = datetime.timedelta(days=1)
MINUTE = datetime.timedelta(minutes=1)


def drafted(federation, held=HELD, **changed):
    request = Request(facts(BOTH, *held, **changed), BOOK)
    cast, study = federation.cast, federation.study
    return draft_permit(study, cast.directory, START, 90, 3, request).permit


def approved(federation, permit):
    federation.bundle = federation.cast.approved(Bundle(permit), START)
    return federation.bundle


@pytest.fixture
def federation(tmp_path):
    with Federation(tmp_path) as made:
        yield made


def test_a_permit_carries_what_the_rules_said_and_is_read_as_written(
    federation, tmp_path
):
    bundle = approved(federation, drafted(federation))
    path = tmp_path / "permit.json"
    write_bundle(path, bundle)

    permit = read_bundle(path).permit

    assert permit == bundle.permit
    assert permit.law.route == "contract"
    assert permit.law.rulebook == BOOK.digest
    assert {basis.instrument for basis in permit.bases} == set(HELD)
    assert all(basis.reference for basis in permit.bases)
    check_standing(bundle, federation.study.digest, START, federation.cast.directory)


def test_a_law_begins_at_midnight_in_hong_kong_and_shenzhen(federation):
    """Data protection and output checks are asked from 1 November 2021 there."""
    midnight = datetime.datetime(2021, 10, 31, 16, tzinfo=datetime.UTC)
    who = federation.study, federation.cast.directory

    permit = draft_permit(*who, midnight).permit
    others = tuple(need for need in permit.required if need.rule == "data-ethics")
    less = Bundle(replace(permit, required=others))

    assert 0 < len(others) < len(permit.required)
    assert situation_of(less, permit.study, midnight, None).unasked
    assert not situation_of(less, permit.study, midnight - MINUTE, None).unasked
    with pytest.raises(InvalidNetwork, match="reviews is empty"):
        draft_permit(*who, midnight - MINUTE)


def test_a_run_under_such_a_permit_is_answered(federation):
    approved(federation, drafted(federation))

    posts = federation.sites["b"].handle(federation.begin("b").data)

    assert federation.refusals(posts) == []


def test_a_permit_falls_with_a_basis(federation):
    permit = drafted(federation)
    ends = "2026-11-23T00:00:00Z"
    short = (replace(permit.bases[0], valid_until=ends), *permit.bases[1:])
    bundle = approved(federation, replace(permit, bases=short))

    stands = (federation.study.digest, START, None)
    check_standing(bundle, *stands)
    with pytest.raises(OutOfTime, match="does not hold"):
        check_standing(bundle, federation.study.digest, START + DAY, None)


def test_a_basis_that_is_never_valid_is_refused(federation, tmp_path):
    permit = drafted(federation)
    never = replace(permit.bases[0], valid_until=permit.bases[0].valid_from)
    path = tmp_path / "permit.json"
    write_bundle(path, Bundle(replace(permit, bases=(never,))))

    with pytest.raises(InvalidNetwork):
        read_bundle(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"on": "2025-12-31"},
        {"rules": ("cn-contract-2024",)},
    ],
    ids=["rules came since", "a rule has ended"],
)
def test_a_site_answers_nothing_under_rules_that_have_moved(federation, changed):
    permit = drafted(federation)
    approved(federation, replace(permit, law=replace(permit.law, **changed)))

    posts = federation.sites["b"].handle(federation.begin("b").data)

    (said,) = federation.refusals(posts)
    assert said.startswith("HT-302: the law has changed")


def test_what_the_law_says_is_signed_with_the_permit(federation):
    bundle = approved(federation, drafted(federation))
    eased = replace(bundle.permit.law, holds_below=())

    changed = Bundle(replace(bundle.permit, law=eased), bundle.notices)

    assert changed.permit.digest != bundle.permit.digest
    posts = federation.sites["b"].handle(federation.begin("b", changed).data)
    assert federation.refusals(posts)
