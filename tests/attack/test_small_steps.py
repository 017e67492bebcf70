"""A step that loses few people at one site: what of it anybody gets to see."""

import pytest

from hetao.errors import HetaoError
from hetao.study import Criterion
from support_federation import COUNTS, Federation, Plan, toy_study

# Of 400 made-up people at each site: 2, 10 and 9 are over 81; 5, 13 and 10 over 80.
AT_80 = Criterion("Up to 80", "age <= 80")
AT_81 = Criterion("Up to 81", "age <= 81")
LOST_OVER_80 = {"a": 5, "b": 13, "c": 10}


def counted(folder, *criteria, sites=("a", "b", "c")):
    study = toy_study((COUNTS,), sites=sites, criteria=criteria)
    with Federation(folder, Plan(study)) as federation:
        ran = federation.run()
        rows = federation.patients.read_text().split()[1:]
    (finding,) = ran.body["findings"]
    return ran, finding, [row.split(",") for row in rows]


def test_few_lost_at_one_site_are_seen_in_the_sum_over_sites_alone(tmp_path):
    ran, finding, rows = counted(tmp_path, AT_80)

    lost = {s: sum(float(r[1]) > 80 for r in rows if r[0] == s) for s in LOST_OVER_80}
    assert lost == LOST_OVER_80
    assert [step["removed"] for step in finding["finding"]["steps"]] == [0, 30]
    (words,) = ran.sums.values()
    assert sorted(words) == ["hub-hk", "hub-sz"]


def test_few_lost_between_two_steps_of_the_sum_are_withheld(tmp_path):
    ran, finding, _ = counted(tmp_path, AT_81, AT_80)

    steps = finding["finding"]["steps"]
    assert [step["n"] for step in steps] == [1200, None, 1170]
    assert [step["removed"] for step in steps] == [0, None, None]
    assert finding["withheld"]
    assert ran.sums == {}


def test_a_sum_over_fewer_sites_is_refused_where_one_loses_few(tmp_path):
    with pytest.raises(HetaoError, match="HT-405"):
        counted(tmp_path, AT_80, sites=("a", "b"))
