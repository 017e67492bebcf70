"""Sizes of trials agree with R's own `power.*.test`, and with what was published."""

import math
import shutil
import subprocess

import pytest
from scipy.special import ndtri

from hetao.errors import Usage
from hetao.trial.size import (
    Aim,
    Clusters,
    FollowUp,
    events_for,
    in_clusters,
    means,
    power_of_events,
    proportions,
    rates,
    survival,
)
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("R stats power.*.test", "planned")

CASES = [(0.8, 0.05, 2), (0.9, 0.05, 2), (0.8, 0.025, 1), (0.5, 0.01, 2)]


def of_r(call):
    program = shutil.which("Rscript")
    if program is None:
        pytest.fail("Rscript is missing: install r-base-core")
    done = subprocess.run(
        [program, "--vanilla", "-e", f"cat(sprintf('%.15g', {call}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(text) for text in done.stdout.split()]


def asked(aim):
    sided = "one.sided" if aim.sides == 1 else "two.sided"
    return f"power={aim.power}, sig.level={aim.alpha}, alternative='{sided}', tol=1e-12"


@pytest.mark.parametrize("case", CASES)
def test_two_proportions_agree_with_r(case):
    aim = Aim(*case)
    (people,) = of_r(f"power.prop.test(p1=0.3, p2=0.2, {asked(aim)})$n")

    assert proportions(0.3, 0.2, aim).exact / 2 == pytest.approx(people, rel=1e-9)
    note_parts("sample size", proportions(0.3, 0.2, aim).exact / 2, people)
    assert proportions(0.3, 0.2, aim).control == int(people) + 1


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("effect", [0.05, 0.5, 2.0])
def test_two_means_agree_with_r(case, effect):
    aim = Aim(*case)
    (people,) = of_r(f"power.t.test(delta={effect}, sd=1, {asked(aim)})$n")

    assert means(effect, 1, aim).exact / 2 == pytest.approx(people, rel=1e-7)
    note_parts("sample size", means(effect, 1, aim).exact / 2, people)
    tripled = means(-3 * effect, 3, aim)
    assert tripled.exact == pytest.approx(means(effect, 1, aim).exact)


@pytest.mark.held_to("Schoenfeld (1983), by hand", "planned")
def test_events_are_schoenfelds():
    """Schoenfeld (1983): 4 (1.96 + 0.84)² / log² 0.7 with equal arms."""
    wanted = 4 * (ndtri(0.975) + ndtri(0.8)) ** 2
    assert events_for(0.7) * 0.12721701 == pytest.approx(wanted, rel=1e-6)
    note_parts("sample size", events_for(0.7) * math.log(0.7) ** 2, wanted)
    assert events_for(0.7, Aim(allocation=2)) == pytest.approx(
        events_for(0.7) / 4 * 9 / 2
    )
    assert events_for(1 / 0.7) == pytest.approx(events_for(0.7))
    # the power of the other side, which Schoenfeld leaves out, is 1e-6
    assert power_of_events(events_for(0.7), 0.7) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.held_to("R stats integrate", "planned")
def test_chances_of_an_event_agree_with_an_integral_over_entry():
    follow_up = FollowUp(accrual=24, after=12, hazard=0.03, dropout=0.005)
    (wanted,) = of_r(
        "integrate(function(a) 0.021/0.026*(1-exp(-0.026*(36-a)))/24, 0, 24, "
        "rel.tol=1e-12)$value"
    )

    assert follow_up.chance(0.7) == pytest.approx(wanted, rel=1e-10)
    note_parts("sample size", follow_up.chance(0.7), wanted)
    assert FollowUp(0, 12, 0.03).chance() == pytest.approx(0.302323673928968)
    size = survival(0.7, follow_up)
    assert size.events == events_for(0.7)
    assert size.exact == pytest.approx(
        2 * size.events / (follow_up.chance() + follow_up.chance(0.7))
    )


def test_the_rarer_arm_gets_its_share():
    for size in (
        proportions(0.3, 0.2, Aim(allocation=3)),
        means(1, 2, Aim(allocation=3)),
        survival(0.7, FollowUp(24, 12, 0.03), Aim(allocation=3)),
        rates(0.8, 0.6, 1, Aim(allocation=3), 0.4),
    ):
        assert size.treated == pytest.approx(3 * size.control, abs=3)
        assert size.people >= size.exact


@pytest.mark.held_to("closed form", "planned")
def test_rates_follow_the_variance_of_the_log_ratio():
    """By hand: (1/0.8 + 1/0.6)/1 + 2·0.5 over log²(0.75), times (1.96 + 0.84)²."""
    size = rates(0.8, 0.6, 1, Aim(), 0.5)
    drift = (ndtri(0.975) + ndtri(0.8)) ** 2

    assert size.exact / 2 == pytest.approx(
        drift * (1 / 0.8 + 1 / 0.6 + 1) / 0.0827609, 1e-6
    )
    by_hand = drift * (1 / 0.8 + 1 / 0.6 + 1) / math.log(0.75) ** 2
    note_parts("sample size", size.exact / 2, by_hand)
    assert rates(0.8, 0.6, 2, Aim()).exact == pytest.approx(
        rates(0.8, 0.6, 1, Aim()).exact / 2
    )


def test_hospitals_that_are_allotted_whole_are_filled():
    alone = means(5, 10)
    size = in_clusters(alone, Clusters(people=20, correlation=0.05))

    assert size.exact == pytest.approx(alone.exact * 1.95)
    assert size.control == size.treated == 140  # seven hospitals of twenty an arm
    uneven = Clusters(20, 0.05, variation=0.5)
    assert uneven.effect == pytest.approx(1 + (1.25 * 20 - 1) * 0.05)
    assert in_clusters(means(50, 10), Clusters(20, 0)).control == 40  # two at least


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Aim(power=0.01),
        lambda: Aim(alpha=0),
        lambda: Aim(sides=3),
        lambda: Aim(allocation=0),
        lambda: events_for(1.0),
        lambda: events_for(-1.0),
        lambda: proportions(0.2, 0.2),
        lambda: proportions(0.0, 0.2),
        lambda: means(0, 1),
        lambda: means(1, 0),
        lambda: rates(1, 1, 1),
        lambda: rates(1, 2, 0),
        lambda: FollowUp(0, 0, 0.1),
        lambda: FollowUp(1, 1, 0),
        lambda: Clusters(0.5, 0.1),
        lambda: Clusters(5, 1.1),
        lambda: power_of_events(0, 0.7),
        lambda: means(1e-6, 1e3),
    ],
)
def test_what_has_no_answer_is_refused(wrong):
    with pytest.raises(Usage):
        wrong()
