"""Strata and columns of a Cox model on a grid: its rounds tell little of them.

Who carries them out knows everybody's follow-up and other columns, and sees of all
sites together, in each bin and round, the moments of those of a stratum who leave
there. What he makes of that is held to what he would guess without it; of a column
also where he takes one person in a hundred for somebody else.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hetao.analysis import estimator_for, evidence, make_rows
from hetao.analysis.evidence import thinnest
from hetao.federation.memory import REMEDY, WORDS
from hetao.federation.totals import total_of
from hetao.ledger.envelope import parse_envelope
from hetao.release import Policy
from hetao.study import Analysis, Grid, Minimum
from support_federation import SITES, Federation, Plan, category, column, toy_study

NUMBERS = tuple(f"x{place}" for place in range(5))
LEAST = Minimum().cell


def of(bins, terms, strata=("v",)):
    """Return a study of a Cox model on so many bins of ten days."""
    grid = Grid(tuple(10.0 * (place + 1) for place in range(bins)))
    model = Analysis("m", "cox", time="days", event="died", terms=terms)
    model = replace(model, strata=strata, grid=None if "site" in strata else grid)
    numbers = [column(name, kind="number", bounds=(-5.0, 5.0)) for name in NUMBERS]
    follow_up = column("days", kind="number", bounds=(0.0, 10.0 * bins))
    levels = category("died", "no", "yes"), category("v", "a", "b")
    sex = toy_study().variable("sex")
    study = toy_study((model,))
    return replace(study, variables=(follow_up, *levels, sex, *numbers))


def drawn(people, bins, seed=1):
    """Return made-up people whose stratum has nothing to do with anything.

    Everybody dies, for then a bin holds fewest; at each site each bin of each stratum
    holds the least people, as the gate asks.
    """
    draw, site = np.random.default_rng(seed), np.repeat(range(3), people)
    while True:
        v, at = draw.integers(0, 2, 3 * people), draw.integers(0, bins, 3 * people)
        counts = np.zeros((3, bins, 2))
        np.add.at(counts, (site, at, v), 1)
        if counts.min() >= LEAST:
            break
    found = {
        name: draw.normal(0, 1, 3 * people).round(2).clip(-5, 5) for name in NUMBERS
    }
    sex = draw.integers(0, 2, 3 * people)
    died = np.ones(3 * people, np.int64)
    return {"days": 10.0 * at + 5, "died": died, "v": v, "sex": sex, **found}


def written(federation, columns):
    """Write the people of a federation."""
    labels = {"died": ("no", "yes"), "v": "ab", "sex": "fm"}
    lines = ["hospital," + ",".join(columns)]
    for place, of_one in enumerate(zip(*columns.values(), strict=True)):
        texts = [
            labels[name][value] if name in labels else str(value)
            for name, value in zip(columns, of_one, strict=True)
        ]
        site = SITES[place * 3 // len(columns["v"])]
        lines.append(",".join([site, *texts]))
    federation.patients.write_text("\n".join(lines) + "\n")


def rounds(study, columns):
    """Yield the coefficients and the sums of each round, as whoever adds up sees."""
    method = estimator_for(study, study.analyses[0])
    parts = [np.array_split(values, 3) for values in columns.values()]
    rows = [
        make_rows(method.plan, dict(zip(columns, of_site, strict=True)), site)
        for site, of_site in zip(SITES, zip(*parts, strict=True), strict=True)
    ]
    for one in rows:
        assert min(thinnest(method.plan, one).values()) >= LEAST
    state, number = {"beta": np.zeros(method.plan.parameters)}, 0
    while isinstance(state, dict):
        sent = [method.local(one, state) for one in rows]
        total = {name: sum(one[name] for one in sent) for name in sent[0]}
        yield state["beta"], total
        state = method.step(total, state if number else None, number)
        number += 1


def told(study, columns, found):
    """Return the share of strata that least squares name right, from all rounds.

    Args:
        study: of one model.
        columns: of everybody; of `v` nothing is taken but to see who was right.
        found: the coefficients and the sums of each round.
    """
    method = estimator_for(study, study.analyses[0])
    rows = make_rows(method.plan, columns, "a")
    equations, values = [], []
    for beta, total in found:
        moments = method._moments(rows.X, np.exp(rows.X @ beta))
        for place in range(len(method.plan.edges)):
            equations.append((moments * (rows.bin == place)[:, None]).T)
            values.append(total["leaving"][1, place])
    u, size, vt = np.linalg.svd(np.vstack(equations), full_matrices=False)
    kept = size > size[0] * 1e-9
    known = (u[:, kept].T @ np.concatenate(values)) / size[kept]
    guessed = lsq_linear(vt[kept], known, (0, 1)).x > 0.5
    return (guessed == columns["v"]).mean()


def by_guessing(columns):
    return max(columns["v"].mean(), 1 - columns["v"].mean())


def begun(federation, name="a", run="run-1", site=None):
    where = site or federation.sites[name]
    return where.handle(federation.begin(name, run=run).data)


def kinds(posts):
    return [parse_envelope(data).header.kind for _, data in posts]


@pytest.mark.parametrize("bins", [3, 4])
def test_bins_of_a_model_of_five_numbers_would_tell_everybodys_stratum(
    tmp_path, bins, record_property
):
    """Each bin of each site holds the least people, and it is asked for no less."""
    study, columns = of(bins, NUMBERS), drawn(100, bins)
    naively, guessed = (
        told(study, columns, rounds(study, columns)),
        by_guessing(columns),
    )
    record_property("figure", f"{naively:.0%} of 300 people naively, none asked here")
    assert naively > 0.95 > guessed + 0.3

    with Federation(tmp_path, Plan(study=study, people=100)) as federation:
        written(federation, columns)
        for name in SITES:
            sent = begun(federation, name)
            assert kinds(sent) == ["refusal"]
            assert federation.refusals(sent) == [f"HT-416: {WORDS} ({REMEDY})"]


def opened(federation):
    """Carry out every round; return the coefficients and sums of each."""
    method, found, before, state = federation.estimator("m"), [], None, {"beta": 0}
    while state:
        number = len(found)
        sums = federation.play(before, round=number) if number else federation.play()
        beta = before.state["beta"] if before else np.zeros(method.plan.parameters)
        words = list(sums.words.values())
        declared, task = method.declare(number), f"m/1/{number}"
        found.append((beta, total_of(words, declared, task, len(SITES))))
        before, state = sums, sums.state
    return found


def test_what_is_answered_tells_little_more_than_a_guess(tmp_path, record_property):
    """Two bins, and either sex, of as few people as may be asked."""
    study, columns = of(2, ("sex",)), drawn(60, 2)
    with Federation(tmp_path, Plan(study=study, people=60)) as federation:
        written(federation, columns)
        found = opened(federation)

    assert len(found) >= 3
    here, guessed = told(study, columns, found), by_guessing(columns)
    record_property("figure", f"{here:.0%} here, {guessed:.0%} by guessing")
    assert here < guessed + 0.1


@pytest.mark.parametrize(("people", "is_asked"), [(379, False), (380, True)])
def test_a_number_asks_for_as_many_people_as_its_rounds_tell(
    tmp_path, people, is_asked, record_property
):
    """Of two bins two kinds, three moments and six rounds, and what a model shows."""
    study, columns = of(2, ("x0",)), drawn(people, 2)
    with Federation(tmp_path, Plan(study=study, people=people)) as federation:
        written(federation, columns)
        assert (kinds(begun(federation)) == ["ready"]) == is_asked

    if is_asked:
        here = told(study, columns, rounds(study, columns))
        assert here < by_guessing(columns) + 0.1


def test_another_run_counts_anew_and_strata_within_sites_are_not_counted(tmp_path):
    """Another run may be asked at other coefficients; risk sets in a site tell none."""
    study, columns = of(2, ("x0",)), drawn(400, 2)
    with Federation(tmp_path / "grid", Plan(study=study, people=400)) as federation:
        written(federation, columns)
        assert kinds(begun(federation, run="run-1")) == ["ready"]
        again = federation.open_site("a")
        assert kinds(begun(federation, run="run-2", site=again)) == ["refusal"]

    exact = of(2, NUMBERS, strata=("site", "v"))
    with Federation(tmp_path / "exact", Plan(study=exact, people=400)) as federation:
        written(federation, columns)
        assert kinds(begun(federation, run="run-1")) == ["ready"]
        again = federation.open_site("a")
        assert kinds(begun(federation, run="run-2", site=again)) == ["ready"]


def test_a_site_that_shows_single_people_answers_as_it_did(tmp_path):
    public = Policy(
        minimum=Minimum(people=1, cell=1, events=1, share=1.0, leverage=1.0, sites=1),
        reason="a public file",
    )
    study, columns = of(4, NUMBERS), drawn(100, 4)
    policies = dict.fromkeys(SITES, public)
    plan = Plan(study=study, people=100, policies=policies)
    with Federation(tmp_path, plan) as federation:
        written(federation, columns)
        assert kinds(begun(federation)) == ["ready"]


# --- columns, also without strata ----------------------------------------------------
TERMS = (*NUMBERS, "sex")
IN_A_BIN = 35  # in a bin: six rounds of 2 x 28 moments and the deaths, at 10 a person


def told_of_sex(study, columns, found, mistaken=0.0, bins=None):
    """Return the share of people of some bins whose sex least squares name right.

    Args:
        study: of one model.
        columns: of everybody; of `sex` nothing is taken but to see who was right.
        found: the coefficients and the sums of each round.
        mistaken: share of the people whose numbers are somebody else's.
        bins: how many of the first are looked at; all if left out.
    """
    method, draw = estimator_for(study, study.analyses[0]), np.random.default_rng(1)
    at = make_rows(method.plan, columns, "a").bin
    chosen = np.isin(at, np.arange(len(method.plan.edges))[:bins])
    known = {name: values[chosen] for name, values in columns.items()}
    size = int(chosen.sum())
    wrong = draw.choice(size, round(mistaken * size), replace=False)
    other = draw.choice(size, len(wrong))
    for name in NUMBERS:
        mixed = known[name].copy()
        mixed[wrong] = known[name][other]
        known[name] = mixed
    rows = [
        make_rows(method.plan, {**known, "sex": np.full(size, sex)}, "a")
        for sex in (0, 1)
    ]
    equations, values = [], []
    for beta, total in found:
        low, high = (method._moments(r.X, np.exp(r.X @ beta)) for r in rows)
        for place in np.unique(rows[0].bin):
            inside = (rows[0].bin == place)[:, None]
            equations.append(((high - low) * inside).T)
            values.append(total["leaving"][0, place] - (low * inside).sum(axis=0))
    u, singular, vt = np.linalg.svd(np.vstack(equations), full_matrices=False)
    kept = singular > singular[0] * (1e-3 if mistaken else 1e-9)
    seen = (u[:, kept].T @ np.concatenate(values)) / singular[kept]
    guessed = lsq_linear(vt[kept], seen, (0, 1)).x > 0.5
    return (guessed == known["sex"]).mean()


def test_four_bins_of_five_numbers_would_tell_everybodys_sex(tmp_path, record_property):
    study, columns = of(4, TERMS, ()), drawn(100, 4)
    naively = told_of_sex(study, columns, rounds(study, columns))
    record_property("figure", f"{naively:.0%} of 300 people naively, none asked here")
    assert naively > 0.9 > max(columns["sex"].mean(), 1 - columns["sex"].mean()) + 0.3

    with Federation(tmp_path, Plan(study=study, people=100)) as federation:
        written(federation, columns)
        sent = begun(federation)
        assert kinds(sent) == ["refusal"]
        assert federation.refusals(sent) == [f"HT-416: {WORDS} ({REMEDY})"]


def thick(people, bins, least):
    """Return people of whom each bin of each site holds about as many."""
    columns = drawn(people, 1)
    columns["days"] = 10.0 * np.tile(np.arange(people) % bins, 3) + 5
    assert people // bins >= least
    return columns


def test_what_is_answered_tells_little_to_whoever_is_mistaken_about_one_in_a_hundred(
    tmp_path, record_property
):
    """As few people as may be asked; of whoever knows all else the figure is kept."""
    study, columns = of(4, TERMS, ()), thick(4 * IN_A_BIN, 4, IN_A_BIN)
    with Federation(tmp_path, Plan(study=study, people=4 * IN_A_BIN)) as federation:
        written(federation, columns)
        assert kinds(begun(federation)) == ["ready"]
    found = list(rounds(study, columns))
    guess = max(columns["sex"].mean(), 1 - columns["sex"].mean())

    exactly, hardly = (told_of_sex(study, columns, found, share) for share in (0, 0.01))
    record_property(
        "figure",
        f"{hardly:.0%} here, mistaken about one in a hundred; {exactly:.0%} where all "
        f"else is known; {guess:.0%} by guessing",
    )
    assert hardly < guess + 0.2


def thin(in_first):
    """Return 900 people of whom so few at each site leave in the first of four bins."""
    columns = drawn(300, 4)
    one = np.where(np.arange(300) < in_first, 0, 1 + np.arange(300) % 3)
    columns["days"] = 10.0 * np.tile(one, 3) + 5
    return columns


def test_a_thin_bin_would_be_told_in_full_and_is_refused(tmp_path, record_property):
    """The rounds stay within what may be told of all 900 people together."""
    study, columns = of(4, TERMS, ()), thin(20)
    found = list(rounds(study, columns))
    naively = told_of_sex(study, columns, found, bins=1)
    record_property("figure", f"{naively:.0%} of 60 people of a thin bin naively")
    assert naively > 0.95

    with Federation(tmp_path, Plan(study=study, people=300)) as federation:
        written(federation, columns)
        site = federation.sites["a"]
        assert kinds(begun(federation)) == ["ready"]
        (rule,) = federation.refusals(site.handle(federation.task("a", SITES).data))
    assert rule.startswith("HT-402: a holds fewer than 35 people in a cell of cox_grid")


@pytest.mark.parametrize(
    ("people", "is_thin"), [(IN_A_BIN - 1, True), (IN_A_BIN, False)]
)
def test_a_bin_holds_as_many_as_its_numbers_ask_for(people, is_thin):
    study, columns = of(4, TERMS, ()), thin(people)
    method = estimator_for(study, study.analyses[0])
    rows = make_rows(method.plan, {k: v[:300] for k, v in columns.items()}, SITES[0])
    fewest = min(evidence(method.plan, rows).cells.values())

    assert (fewest < method.in_a_bin(Minimum())) == is_thin


def test_joined_bins_hold_as_many_so_that_a_model_goes_on(tmp_path):
    """Of twelve fine bins of a dozen people each three are left, of 40 and more."""
    study, columns = of(12, TERMS, ()), thick(144, 12, LEAST)
    model = study.analyses[0]
    joined = replace(model, grid=replace(model.grid, merge=True))
    study = replace(study, analyses=(joined,))
    with Federation(tmp_path, Plan(study=study, people=144)) as federation:
        written(federation, columns)
        opening = federation.play()
        cut = opening.state["cut"]
        first = federation.play(opening, round=1)

    assert len(np.unique(cut)) == 3
    assert np.array_equal(first.state["cut"], cut)
    assert first.state["beta"].any()
