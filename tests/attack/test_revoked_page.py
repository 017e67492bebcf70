"""The page of a revoked study takes what the other two verifiers take, and no more."""

import copy
import random
import re

import pytest

from hetao.dossier.revoked import PAGES, WORDS, render_revoked
from hetao.ledger.revoked import verify_revoked
from hetao.ledger.verify_hetao import verify
from hetao.permit import state
from hetao.study import LANGUAGES
from support_revoked import (
    BENT,
    LATER,
    NOT_THEIRS,
    ended_by,
    of_a_lower_class,
    revoked_body,
    signed,
)
from support_witness import by_script


@pytest.fixture(scope="module")
def body(small_run):
    return revoked_body(small_run)


def stopped_midway(body):
    body = copy.deepcopy(body)
    del body["rounds"][0]["receipts"]["c"]
    del body["rounds"][0]["totals"]["hub-sz"]
    return body


def test_what_holds_is_taken_by_all_three(small_run, body, tmp_path):
    given = {
        "revoked": signed(small_run, body),
        "withdrawn": signed(small_run, revoked_body(small_run, LATER, "withdraw")),
        "midway": signed(small_run, stopped_midway(body)),
        "at the start": signed(small_run, {**body, "rounds": []}),
    }
    for data in given.values():
        assert verify_revoked(data)
        assert verify(data)

    said = by_script(given, tmp_path, "revoked")

    assert list(said) == list(given)
    assert [one["releases"] for one in said.values()] == [3, 3, 2, 0]


def test_what_the_one_file_refuses_the_page_refuses(small_run, body, tmp_path):
    """Each signed and logged anew by its issuer; the first is true, and of its kind."""
    lies = {f.__name__: f(small_run, body) for f in BENT if f is not of_a_lower_class}
    lies |= {str(change): ended_by(small_run, body, change) for change in NOT_THEIRS}
    forged = copy.deepcopy(body)
    notice = forged["permit"]["notices"][-1]["body"]
    another = small_run.cast.identities["coordinator"]
    forged["permit"]["notices"][-1] = state(another, notice).as_json()
    lies["signed by another"] = forged
    given = {"true": signed(small_run, body)}
    given |= {name: signed(small_run, lie) for name, lie in lies.items()}
    given["unseen by a hub"] = signed(small_run, body, without="hub-sz")
    given["seen too late"] = signed(small_run, body, after=3 * 3600)
    given["with integers"] = small_run.resigned(body)
    given["of a study that ended well"] = small_run.certificate

    assert len(given) > 25
    assert list(by_script(given, tmp_path, "revoked")) == ["true"]


def test_changed_bytes_are_refused_by_the_page(small_run, body, tmp_path):
    """A few; `benchmarks/mutated.py --revoked --node` takes every one."""
    data, draw = signed(small_run, body), random.Random(5)  # noqa: S311 - no secret
    given = {"true": data}
    for number in range(60):
        spoilt = bytearray(data)
        spoilt[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        given[str(number)] = bytes(spoilt)

    assert list(by_script(given, tmp_path, "revoked")) == ["true"]


def test_the_page_of_a_study_takes_no_revoked_one(small_run, body, tmp_path):
    data = signed(small_run, body)

    assert by_script({"revoked": data}, tmp_path, "revoked")
    assert by_script({"revoked": data}, tmp_path) == {}


def test_the_page_says_in_each_language_what_is_proved_and_what_is_not(small_run, body):
    page = render_revoked(signed(small_run, body))

    for language in LANGUAGES:
        assert {*WORDS[language]} == {*WORDS["en"]}
        for key in ("proofs", "limits"):
            assert len(WORDS[language][key]) == len(WORDS["en"][key])
        assert PAGES[language]["unproved"] in page
    assert len(re.findall(r"<script>", page)) == 1
    assert "unsafe" not in page
