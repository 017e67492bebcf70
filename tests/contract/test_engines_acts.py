"""One act, one form: DuckDB, PostgreSQL and Spark make the same canonical bytes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hetao.cdm.acts import FETCHED_ROWS, read_acts, read_all_acts, used_columns
from hetao.cdm.committing import FIRSTS, acts_folder, commit_acts
from hetao.cdm.extract import Extract
from hetao.ledger.acts import decode_act, encode_act
from support_acts import (
    DIGEST,
    MANIFEST,
    MASTER,
    PEOPLE,
    USED,
    acts_by_hand,
    small_extract,
    write_acts,
)
from support_engines import ENGINES, serve

pytestmark = pytest.mark.xdist_group("engines")
GOLDEN = Path(__file__).parents[1] / "vectors" / "ledger" / "acts.json"


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    """Return the folder of a small CDM that holds every type, and every trap."""
    folder = tmp_path_factory.mktemp("acts")
    write_acts(folder)
    return folder


@pytest.fixture(scope="module", params=ENGINES)
def holding(request, extract, started):
    """Return one engine after the other over that CDM."""
    with serve(request.param, extract, started) as engine:
        yield engine


def test_every_engine_makes_the_golden_bytes(holding):
    used, many = (
        used_columns(holding),
        3 * FETCHED_ROWS,
    )  # so that people come in ranges
    found = data_of(read_all_acts(holding, used, PEOPLE, many))
    made = [data.hex() for who in (None, *PEOPLE) for data in found[who]]
    alone = data_of(read_acts(holding, used, [PEOPLE[0]], nobody=False))

    assert made == golden_acts()
    assert alone == {PEOPLE[0]: found[PEOPLE[0]]}


def test_every_engine_makes_nothing_of_a_text_that_is_missing(holding):
    used = {"care_site": ("care_site_id", "care_site_name")}
    found = data_of(read_acts(holding, used, []))

    told = [decode_act(data).rows[0].values["care_site_name"] for data in found[None]]
    assert told == [None, "Ward 5 東"]
    assert found == data_of(read_all_acts(holding, used, [], 2))


def test_every_engine_opens_and_shreds_what_any_other_committed_to(holding, tmp_path):
    at_home = small_extract(tmp_path)
    shown = dict(at_home.open_all(range(11)))
    extract = replace(at_home, engine=holding)

    assert dict(extract.open_all(range(11))) == shown
    for person in PEOPLE:
        theirs = extract.indices_of(person)
        assert theirs == at_home.indices_of(person)
        assert extract.index_of(person, None) == theirs[0]
    (extract.folder / FIRSTS).unlink()
    assert extract.shred(PEOPLE[1]) == 5
    again = replace(extract)
    assert again.open(0) == shown[0]
    assert [again.holds(person) for person in PEOPLE] == [True, False]
    again.check_whole()
    own = commit_acts(holding, tmp_path / "own", MANIFEST, MASTER)
    found = Extract(own, acts_folder(tmp_path / "own", DIGEST), holding, MASTER)
    acts = [one.act for _, one in found.open_all(range(9))]
    assert sorted(acts) == sorted(map(bytes.fromhex, golden_acts()))


def golden_acts():
    return json.loads(GOLDEN.read_text("utf-8"))["acts"]


def data_of(acts):
    return {who: data for some in acts for who, _, data in some.each()}


def test_golden_bytes_are_what_the_page_says_worked_out_by_hand():
    golden = golden_acts()

    assert [encode_act(act, USED).hex() for act in acts_by_hand()] == golden
    assert [decode_act(bytes.fromhex(one)) for one in golden] == acts_by_hand()
