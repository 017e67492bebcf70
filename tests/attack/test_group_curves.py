"""Curves by a group: who carries out the rounds learns of it what the budget says.

He knows everybody's time and who had the event, and sees of all sites together how many
of each group had it in each cell, and left without. Of whom no cell parts, the commoner
group is the best that he can take them for; that is held to what he would guess.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import cells, estimator_for, make_rows
from hetao.errors import SmallCell, Unverified, WrongShape
from hetao.federation import certify
from hetao.federation.certify import recompute
from hetao.federation.memory import REMEDY, WORDS
from hetao.federation.totals import total_of
from hetao.ledger.certificate import verify_certificate
from hetao.ledger.envelope import parse_envelope
from hetao.study import Analysis, Grid, Minimum
from support_federation import SITES, Federation, Plan, category, toy_study

AGES = Grid(tuple(float(age) for age in range(21, 102)))
CURVES = Analysis("k", "km", time="age", event="ill", by="sex", grid=AGES)


def of(analysis=CURVES, *, levels=()):
    study = toy_study((analysis,))
    more = (category("stage", *levels),) if levels else ()
    return replace(study, variables=(*study.variables, *more))


def drawn(federation, shares, *, name="sex", levels="fm", seed=1):
    """Write a group that has nothing to do with anything; return everybody's rows."""
    draw = np.random.default_rng(seed)
    header, *lines = federation.patients.read_text().splitlines()
    group = draw.choice(len(shares), len(lines), p=shares)
    names = header.split(",")
    names += [name] if name not in names else []
    out = [",".join(names)]
    for line, code in zip(lines, group, strict=True):
        row = dict(zip(header.split(","), line.split(","), strict=True))
        out.append(",".join((row | {name: levels[code]})[one] for one in names))
    federation.patients.write_text("\n".join(out) + "\n")
    ages = np.array([float(line.split(",")[1]) for line in lines])
    ill = np.array([line.split(",")[3] == "yes" for line in lines])
    return np.searchsorted(AGES.edges, ages), ill, group


def carried_out(federation):
    """Carry out both rounds; return their sums over sites, and the state between."""
    opened = federation.play()
    closed = federation.play(opened, round=1)
    method, found = federation.estimator("k"), []
    for number, sums in enumerate((opened, closed)):
        task, words = f"k/1/{number}", list(sums.words.values())
        found.append(total_of(words, method.declare(number), task, len(SITES)))
    return *found, opened.state


def commoner(bins, ill, group, state=None):
    """Return the share told right by the commoner group of each bin, or each cell."""
    own = (
        [bins, bins]
        if state is None
        else [state["cell"][kind][bins] for kind in (1, 0)]
    )
    place = np.where(ill, own[1], own[0]) * 2 + ill
    of_all = np.zeros((int(group.max()) + 1, int(place.max()) + 1))
    np.add.at(of_all, (group, place.astype(np.int64)), 1)
    return of_all.max(axis=0).sum() / len(group)


def begun(federation, name="a", run="run-1", site=None):
    where = site or federation.sites[name]
    return where.handle(federation.begin(name, run=run).data)


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


# --- what is told ---------------------------------------------------------------------
@pytest.mark.parametrize("people", [60, 100, 400])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_curves_by_a_group_do_not_tell_everybodys_group(
    tmp_path, people, share, record_property
):
    """Each bin of ages told 67 in 100 of 300 people right of whom half are men."""
    with Federation(tmp_path, Plan(study=of(), people=people)) as federation:
        bins, ill, group = drawn(federation, (1 - share, share))
        everybody, told, state = carried_out(federation)

    # The opening tells of no group; the rest is what is taken apart here.
    assert set(everybody) == {"everybody", "allowed", "sites", "n"}
    counts = np.stack([np.bincount(bins[had], minlength=81) for had in (ill, ~ill)])
    assert everybody["everybody"].tolist() == counts.tolist()
    assert told["leaving"].sum(axis=1).tolist() == np.bincount(group).tolist()
    by_cell = np.hstack([told["deaths"], told["leaving"] - told["deaths"]])
    found = by_cell.max(axis=0).sum() / len(group)
    assert found == commoner(bins, ill, group, state)

    guessed, naively = max(share_of(group)), commoner(bins, ill, group)
    if (people, share) == (100, 0.5):
        said = f"{naively:.0%} of 300 people naively, {found:.0%} here"
        record_property("figure", f"{said}, {guessed:.0%} by guessing")
        assert naively > guessed + 0.1
    assert found < guessed + 0.1


def read_from(shown, bins, ill, likelier):
    """Return whom a reader of the finding takes for which group: by who had the event.

    Of each cell the curves tell how many of each group had it, rounded; of whoever left
    without it nothing is read.
    """
    edges = np.array([one for one in shown["cells"]["died"] if one is not None])
    had = np.zeros((len(shown["curves"]), len(edges) + 1))
    for group, curve in enumerate(shown["curves"]):
        for time, events in zip(curve["time"], curve["events"], strict=True):
            had[group, np.searchsorted(edges, time)] += events or 0
    best = np.where(had[0] == had[1], likelier, had.argmax(axis=0))
    ages = np.array(AGES.edges)[np.minimum(bins, len(AGES.edges) - 1)]
    return np.where(ill, best[np.searchsorted(edges, ages)], likelier)


def test_who_carries_out_the_rounds_learns_hardly_more_than_who_reads_the_curves(
    tmp_path, record_property
):
    """Over six draws of 300 people: the finding itself is what tells the most of it."""
    shares = []
    for seed in range(1, 7):
        with Federation(tmp_path / str(seed), Plan(study=of(), people=100)) as one:
            bins, ill, group = drawn(one, (0.5, 0.5), seed=seed)
            _, told, state = carried_out(one)
            finding = one.estimator("k").step(told, state, 1)
        likelier = int(np.argmax(share_of(group)))
        shown = finding.shown(10, 5)[0].as_json()
        by_reader = (read_from(shown, bins, ill, likelier) == group).mean()
        here, naively = commoner(bins, ill, group, state), commoner(bins, ill, group)
        shares.append((naively, here, by_reader, max(share_of(group))))

    naively, here, by_reader, guessed = np.mean(shares, axis=0)
    record_property(
        "figure",
        f"of six draws {here:.0%} here, {by_reader:.0%} from the finding as it is "
        f"shown, {guessed:.0%} by guessing, {naively:.0%} naively",
    )
    assert guessed < by_reader < here < by_reader + 0.04
    assert naively > here + 0.1


def share_of(group):
    return np.bincount(group) / len(group)


def test_nor_of_three_groups_of_which_one_is_tiny(tmp_path):
    levels = ("early", "late", "rare")
    study = of(replace(CURVES, by="stage"), levels=levels)
    with Federation(tmp_path, Plan(study=study, people=100)) as federation:
        shares = (0.49, 0.49, 0.02)
        bins, ill, group = drawn(federation, shares, name="stage", levels=levels)
        _, told, state = carried_out(federation)

    assert told["leaving"].sum(axis=1).tolist() == np.bincount(group).tolist()
    assert 1 < np.bincount(group)[2] < 10
    found = commoner(bins, ill, group, state)
    assert found < max(share_of(group)) + 0.1


def test_no_cell_is_of_few_people_where_there_are_few(tmp_path):
    with Federation(tmp_path, Plan(study=of(), people=100)) as federation:
        drawn(federation, (0.5, 0.5))
        _, told, state = carried_out(federation)

    died = told["deaths"].sum(axis=0)
    left = told["leaving"].sum(axis=0) - died
    in_cell = np.concatenate([died[died > 0], left[left > 0]])
    assert len(in_cell) <= 10
    assert in_cell.min() >= state["least"][0] >= 20


# --- what it may cost -----------------------------------------------------------------
def test_two_runs_ask_elsewhere_and_count_anew_a_third_is_refused(tmp_path):
    """Ten sums of a hundred people are half of what may be told, at each of three."""
    with Federation(tmp_path, Plan(study=of(), people=100)) as federation:
        assert kinds(begun(federation, run="run-1")) == ["ready"]
        again = federation.open_site("a")
        assert kinds(begun(federation, run="run-2", site=again)) == ["ready"]

        sent = begun(federation, run="run-3", site=again)
        assert kinds(sent) == ["refusal"]
        assert federation.refusals(sent) == [f"HT-416: {WORDS} ({REMEDY})"]


def test_the_smallest_site_says_how_few_cells_there_are(tmp_path):
    """All counted in one number: the sums say how many sites allow each number."""
    with Federation(tmp_path, Plan(study=of(), people=400)) as federation:
        header, *lines = federation.patients.read_text().splitlines()
        kept = [line for place, line in enumerate(lines) if place >= 330]
        federation.patients.write_text("\n".join([header, *kept]) + "\n")
        everybody, _, state = carried_out(federation)

    plan = federation.estimator("k").plan
    allowed = dict(zip(cells.ladder(plan), everybody["allowed"], strict=True))
    assert {allowed[n] for n in (2, 5, 6, 7)} == {3.0}
    assert {allowed[n] for n in (8, 19)} == {2.0}
    told = sum(len(np.unique(of)) for of in state["cell"])
    assert told <= cells.allowed(plan, 70) == 7


# --- a coordinator that asks for more -------------------------------------------------
def finer(state):
    state["cell"] = np.tile(np.arange(81.0), (2, 1))


def one_more(state):
    first = int(state["cell"][0][0])
    assert first > 2
    state["cell"][0][: first - 1] = first - 2.0


def elsewhere(state):
    first = int(state["cell"][0][0])
    state["cell"][0][: first + 1] = first - 1.0
    state["cell"][0][first] = state["cell"][0][first + 1]


def others(state):
    state["everybody"][0, 40] += 1.0


@pytest.mark.parametrize("bend", [finer, one_more, elsewhere, others])
def test_a_site_counts_a_group_in_no_cells_but_those_that_follow(tmp_path, bend):
    with Federation(tmp_path, Plan(study=of(), people=100)) as federation:
        said = federation.refusals_of_bent(federation.play(), bend, 1)

    assert len(said) == 1
    assert "the state does not follow" in said[0]


def rows_at(people, study=None, seed=3):
    """Return curves by sex and the rows of a site of so many people."""
    draw = np.random.default_rng(seed)
    method = estimator_for(study or of(), CURVES)
    columns = {
        "age": draw.uniform(21, 100, people),
        "ill": draw.integers(0, 2, people),
        "sex": draw.integers(0, 2, people),
    }
    return method, make_rows(method.plan, columns, "a")


def test_nor_in_more_cells_than_it_allows_whatever_totals_both_hubs_sign():
    """As if all sites were large: a hub and the coordinator together may say so."""
    method, rows = rows_at(100)
    large, many = rows_at(3000)
    state = large.step(large.start(many), None, 0)
    assert sum(len(np.unique(of)) for of in state["cell"]) > 100

    with pytest.raises(WrongShape, match="more cells of a group than the site allows"):
        method.local(rows, state)
    honest = method.step(method.start(rows), None, 0)
    assert method.local(rows, honest)["leaving"].sum() == 100


@pytest.mark.parametrize("bend", ["out of range", "falling", "fraction", "shape", "no"])
def test_a_state_that_is_no_grid_is_refused(bend):
    method, rows = rows_at(100)
    state = method.step(method.start(rows), None, 0)
    cell = state["cell"].copy()
    if bend == "out of range":
        cell[0, -1] = 81.0
    elif bend == "falling":
        cell[0, :2] = cell[0, -1], 0.0
    elif bend == "fraction":
        cell += 0.5
    elif bend == "shape":
        cell = cell[:, :-1]
    bent = {"everybody": state["everybody"]} if bend == "no" else state | {"cell": cell}

    with pytest.raises(WrongShape, match="which bins are counted together"):
        method.local(rows, bent)


def test_a_study_that_shows_single_people_gets_no_bins_of_a_strict_site():
    study = replace(of(), minimum=Minimum(cell=1))
    method, rows = rows_at(100, study)
    assert method.name == "km"

    assert method.within(Minimum(cell=1)).start(rows)["leaving"].sum() == 100
    with pytest.raises(SmallCell, match="each bin of a grid"):
        method.within(Minimum(cell=10)).start(rows)


def test_a_site_that_shows_single_people_tells_each_bin_and_others_do_not():
    """As of a public file; the study says nothing of the least, so each policy does."""
    method, rows = rows_at(100)
    strict, public = method.within(Minimum()), method.within(Minimum(cell=1))
    sums, few = public.start(rows), strict.start(rows)

    assert sums["allowed"].all()
    assert not few["allowed"].all()
    both = {name: array + few[name] for name, array in sums.items()}
    state = method.step(both, None, 0)
    assert sum(len(np.unique(of)) for of in state["cell"]) <= 10
    assert strict.local(rows, state)["leaving"].sum() == 100
    assert public.step(sums, None, 0)["least"] == 1


# --- the same cells everywhere --------------------------------------------------------
def test_sites_coordinator_and_verifier_come_to_the_same_cells(tmp_path, monkeypatch):
    """Each works them out from the sums; whoever verifies has the sums alone."""
    with Federation(tmp_path, Plan(study=of(), people=100)) as federation:
        drawn(federation, (0.5, 0.5))
        *_, state = carried_out(federation)
        ran = federation.run()

    verify_certificate(ran.certificate, ran.cast.directory)
    (item,) = ran.body["findings"]
    edges, said = np.asarray(AGES.edges), item["finding"]["cells"]
    for kind, ends in zip(("died", "left"), state["cell"], strict=True):
        inner = edges[np.unique(ends).astype(int)].tolist()[:-1]
        assert said[kind] == [*inner, None]  # the last is when the last one left
    # With the sums everybody would have the opening: single people in bins, by event.
    assert item["withheld"]
    assert ran.sums == {}
    assert recompute(ran.value) == "0 findings follow from the certified integers"
    monkeypatch.setattr(certify, "findings_of", lambda outcome: [])
    held = {"body": ran.body, "sums": certify.sums_of(ran.outcome)}
    assert recompute(held) == "1 findings follow from the certified integers"
    body = ran.body
    body["findings"][0]["finding"]["cells"]["died"][0] += 1
    with pytest.raises(Unverified, match="does not follow"):
        recompute(held | {"body": body})
