"""What the numbers of several analyses of one study tell together about few people.

Each model by itself is what any study might ask; sums of the same people's outcomes
with four numbers, or eight, are added up by whoever reads them all.
"""

from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import estimator_for, evidence, make_rows
from hetao.analysis.carriers import turn_of
from hetao.analysis.together import form_of, together
from hetao.errors import HetaoError, SmallCell
from hetao.federation.prepared import People, Prepared
from hetao.release import STRICT, Policy
from hetao.release.minimums import check_counts, check_together
from hetao.study import Analysis, Coefficient, Study
from hetao.study.terms import parse_term
from support_analysis import category, number
from support_federation import Federation, Plan, toy_study, write_patients

VARIABLES = (
    number("age", 1, 120),
    number("bmi", 5, 90),
    category("ill", "no", "yes"),
    category("sex", "female", "male"),
    category("arm", "old", "new"),
)
PEOPLE = 400


def people(seed=7, n=PEOPLE):
    """Return columns of one site: ages of two decimals, all different, in order."""
    draw = np.random.default_rng(seed)
    ages = np.sort(draw.choice(np.arange(4_000, 8_000), n, replace=False)) / 100
    yes = {name: draw.integers(0, 2, n) for name in ("ill", "sex", "arm")}
    return {"age": ages, "bmi": draw.normal(25, 4, n).clip(5, 90)} | yes


def models(*terms, method="logistic", **fields):
    """Return one analysis for each tuple of terms."""
    return tuple(
        Analysis(f"m{i}", method, outcome="ill", terms=("1", *each), **fields)
        for i, each in enumerate(terms)
    )


def prepared(analyses, columns, variables=VARIABLES):
    """Return plan and rows of each, and how few people each singles out by itself."""
    study = Study("s", "s", "s", "1", "flat", ("aa",), variables, analyses)
    found = {}
    for analysis in analyses:
        method = estimator_for(study, analysis)
        rows = make_rows(method.plan, columns, "aa")
        facts, _ = method.guarded(evidence(method.plan, rows), rows, None)
        check_counts(facts, STRICT, "aa")  # each by itself may leave
        found[analysis.name] = (method, rows)
    return found


def few_of(analyses, columns, person=None, variables=VARIABLES):
    """Return how few people analyses single out together, by the name of each."""
    ready = prepared(analyses, columns, variables)
    own = {n: (m.plan, rows) for n, (m, rows) in ready.items()}
    whose = np.arange(len(columns["age"])) if person is None else person
    return together(own, columns, whose)


def sums(analyses, columns, variables=VARIABLES):
    """Return of each analysis the sum of its last column over those with the event."""
    found = []
    for method, rows in prepared(analyses, columns, variables).values():
        column = method.plan.columns[-1]
        found.append(
            column.scale * (rows.X[:, -1] @ rows.y) + column.centre * sum(rows.y)
        )
    return found


def distances(ages, first, size):
    """Return four models: how far age is from ends of the gaps around some people."""
    a, b = ages[first - 1 : first + 1]
    c, d = ages[first + size - 1 : first + size + 1]
    return models(*(("bmi", f"abs(age-{end:.3f})") for end in (a, b, c, d))), (
        a,
        b,
        c,
        d,
    )


# --- distances ------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_distances_in_four_models_count_few_people(size, record_property):
    columns = people()
    ages, ill = columns["age"], columns["ill"]
    right = stopped = 0
    for first in range(20, 380, 18):
        analyses, (a, b, c, d) = distances(ages, first, size)
        from_a, from_b, from_c, from_d = sums(analyses, columns)
        counted = (from_a - from_b) / (2 * (b - a)) - (from_c - from_d) / (2 * (d - c))
        right += round(counted) == ill[first : first + size].sum()
        few = few_of(analyses, columns)
        assert set(few) == {"m0", "m1", "m2", "m3"}
        stopped += few["m0"] <= size

    record_property("figure", f"four distances: {right} of 20 naively, 0 here")
    assert right == stopped == 20


def test_one_person_is_told_by_distances_of_which_their_neighbours_have_some():
    """They weigh 0.44 each, so that three make up nearly all, and noise is 0.4."""
    columns = people()
    columns["age"] = ages = 40 + 0.1 * np.arange(PEOPLE)
    ends = ages[200] + 0.18 * np.array([-1, 0, 1])
    analyses = models(*((f"abs(age-{end:.3f})",) for end in ends))

    assert few_of(analyses, columns) == {"m0": 1, "m1": 1, "m2": 1}


def test_what_tells_of_many_is_not_refused():
    columns = people()
    analyses, _ = distances(columns["age"], 100, 60)
    assert few_of(analyses, columns)["m0"] >= STRICT.cell


def test_three_of_the_four_tell_of_some_and_two_of_nobody():
    columns = people()
    analyses, _ = distances(columns["age"], 100, 3)
    assert few_of(analyses[:3], columns)["m0"] <= 3
    assert few_of(analyses[:2], columns)["m0"] >= STRICT.cell


@pytest.mark.parametrize("height", [1.0, 1e-5])
def test_plain_numbers_hide_nothing(height):
    """As much of age as one likes may be added to each distance, or of a level."""
    columns = people()
    ages = columns["age"]
    ends = (*ages[99:101], *ages[102:104])
    hidden = [(f"age+{height:g}*abs(age-{end:.3f})",) for end in ends]
    assert few_of(models(*hidden), columns)["m0"] <= 3
    of_level = [("sex", f"abs(age-{end:.3f}):sex") for end in ends]
    # each level has a column of its own, and fewer people
    assert few_of(models(*of_level), columns)["m0"] <= 3


def test_lines_with_a_knot_are_distances():
    columns = people()
    ages = columns["age"]
    ends = (*ages[99:101], *ages[104:106])
    knots = [(f"bs(age, knots = {end:.3f}, degree = 1)",) for end in ends]
    assert few_of(models(*knots), columns)["m0"] <= 5


@pytest.mark.parametrize("method", ["poisson", "linear", "performance"])
def test_other_methods_are_looked_at_too(method):
    columns = people()
    ends = (*columns["age"][99:101], *columns["age"][103:105])
    terms = [("bmi", f"abs(age-{end:.3f})") for end in ends]
    if method == "linear":
        (analyses,) = [
            tuple(
                Analysis(f"m{i}", method, outcome="bmi", terms=("1", "sex", each))
                for i, (_, each) in enumerate(terms)
            )
        ]
        few = few_of(analyses, columns)
    elif method == "performance":
        few = few_of(models(*terms, method=method), columns)
    else:
        columns["ill"] = columns["ill"].astype(float)
        few = few_of(models(*terms), columns)
    assert len(few) == 4
    assert max(few.values()) <= 4


def test_what_is_an_offset_is_a_number_of_its_model():
    columns = people()
    ends = (*columns["age"][99:101], *columns["age"][103:105])
    offsets = (f"0.01*abs(age-{end:.3f})" for end in ends)
    analyses = tuple(
        replace(one, name=f"m{i}", offset=offset)
        for i, (one, offset) in enumerate(
            zip(models(("bmi",)) * 4, offsets, strict=True)
        )
    )

    assert max(few_of(analyses, columns).values()) <= 4
    assert len(few_of(analyses, columns)) == 4


@pytest.mark.parametrize("by", ["fold", "arm"])
def test_people_in_a_fold_or_an_arm_are_told_by_themselves(by):
    """Of thirty-five people each of five folds has fewer than ten; of 16 each arm."""
    columns = people()
    analyses, _ = distances(columns["age"], 100, 35 if by == "fold" else 16)
    plain = few_of(analyses, columns)["m0"]
    if by == "fold":
        apart = tuple(
            replace(a, penalty="ridge", folds=5, lambdas=(0.1, 0.2)) for a in analyses
        )
    else:
        apart = tuple(
            replace(a, method="g_computation", treatment="arm") for a in analyses
        )
    assert few_of(apart, columns)["m0"] < min(plain, STRICT.cell)


def test_of_each_fold_the_people_between_two_steps_are_counted():
    columns = people()
    ages = columns["age"]
    asked = tuple(
        replace(model, penalty="ridge", folds=5, lambdas=(0.1, 0.2))
        for model in models(("bmi", step(ages, 100)), ("bmi", step(ages, 135)))
    )
    folds = next(rows.fold for _, rows in prepared(asked, columns).values())
    between = np.bincount(folds[100:135], minlength=5)
    assert set(few_of(asked, columns).values()) == {between.min()}


def test_several_rows_of_a_person_are_one():
    columns = people()
    analyses, _ = distances(columns["age"], 100, 12)
    person = np.arange(PEOPLE)
    person[100:112] = np.repeat(np.arange(4), 3) + 100
    assert few_of(analyses, columns, person)["m0"] <= 4


# --- bumps beneath waves --------------------------------------------------------------
def test_one_bump_under_several_waves_is_found(record_property):
    """Of eight models with a bump about three, and much else, the mean counts them."""
    columns = people()
    ages, ill = columns["age"], columns["ill"]
    right = stopped = 0
    for first in range(20, 380, 18):
        (a, b), (c, d) = ages[first - 1 : first + 1], ages[first + 2 : first + 4]
        bump = (
            f"(abs(age-{a:.3f})-abs(age-{b:.3f}))/{2 * (b - a):.3f}"
            f"-(abs(age-{c:.3f})-abs(age-{d:.3f}))/{2 * (d - c):.3f}"
        )
        waves = [f"{bump}+0.055*sin({2 + 0.77 * i:.2f}*age)" for i in range(8)]
        analyses = models(*((wave,) for wave in waves))
        mean = np.mean(sums(analyses, columns))
        right += round(mean) == ill[first : first + 3].sum()
        stopped += few_of(analyses, columns)["m0"] <= 3

    record_property(
        "figure", f"a bump under eight waves: {right} of 20 naively, 0 here"
    )
    assert right >= 18
    assert stopped == 20


# --- predictions ----------------------------------------------------------------------
def steps(ages, first, size):
    """Return two published models, of one chance for the older, and one for others."""
    found = []
    for i, place in enumerate((first, first + size)):
        a, b = ages[place - 1 : place + 1]
        terms = ("1", f"abs(age-{a:g})", f"abs(age-{b:g})")
        values = (0.0, 1.4 / (b - a), -1.4 / (b - a))
        names = ("(Intercept)", *terms[1:])
        given = tuple(Coefficient(*one) for one in zip(names, values, strict=True))
        fields = {"terms": terms, "coefficients": given}
        found.append(Analysis(f"m{i}", "performance", outcome="ill", **fields))
    return tuple(found)


def test_two_published_steps_count_whoever_is_between(record_property):
    columns = people()
    ages, ill = columns["age"], columns["ill"]
    right = stopped = 0
    for first in range(100, 300, 10):
        analyses = steps(ages, first, 3)
        with_event = [
            method.start(rows)["moments"][4]
            for method, rows in prepared(analyses, columns).values()
        ]
        between = (with_event[0] - with_event[1]) / np.tanh(0.7)
        right += round(between) == ill[first : first + 3].sum()
        stopped += few_of(analyses, columns)["m0"] <= 3

    record_property("figure", f"two steps: {right} of 20 naively, 0 here")
    assert right == stopped == 20


# --- numbers that differ for few people -----------------------------------------------
def twins(size=3):
    """Return columns in which age2 is age, and so on, but for few people."""
    columns = people()
    few = np.arange(100, 100 + size)
    columns["age2"], columns["sex2"] = columns["age"].copy(), columns["sex"].copy()
    columns["age2"][few] += 5
    columns["sex2"][few] = 1 - columns["sex2"][few]
    draw = np.random.default_rng(1)
    columns["stay"] = draw.integers(1, 9, PEOPLE).astype(float)
    columns["before"] = draw.integers(0, 3, PEOPLE).astype(float)
    columns["both"] = columns["stay"] + columns["before"]
    columns["both"][few] += 1
    return columns


TWINS = (
    *VARIABLES,
    *(number(name, 1, 120) for name in ("age2", "stay", "both")),
    number("before", 0, 120),
    category("sex2", "female", "male"),
)


@pytest.mark.parametrize(
    "asked",
    [
        (("age",), ("age2",)),
        (("log(age)", "bmi"), ("age2", "log(age2)")),
        (("sqrt(age)", "log(age)"), ("1/age2", "log(age2)")),
        (("(age-50)**2", "age"), ("(age2-60)**2", "age2")),
        (("ns(age, df = 3)",), ("ns(age2, df = 3)",)),
        (("sex", "age:sex"), ("sex", "age2:sex")),
        (("sex", "bmi:sex"), ("sex2", "bmi:sex2")),
        (("stay",), ("before",), ("both",)),
    ],
)
def test_numbers_that_differ_for_few_people_are_found(asked):
    """As of two windows of a day's difference, or one number measured twice."""
    found = few_of(models(*asked), twins(), variables=TWINS)
    assert len(found) == len(asked)
    assert max(found.values()) <= 3


def test_sums_with_numbers_that_differ_for_few_tell_their_outcomes():
    columns = twins()
    first, second = sums(models(("age",), ("age2",)), columns, TWINS)
    assert round((second - first) / 5) == columns["ill"][100:103].sum()


def test_numbers_that_differ_for_many_are_let_through():
    found = few_of(models(("age",), ("age2",)), twins(size=60), variables=TWINS)
    assert min(found.values()) >= STRICT.cell


@pytest.mark.parametrize("term", ["age", "sex"])
@pytest.mark.parametrize("heaviest", [4.0, 1e150])
def test_weights_that_differ_for_few_people_are_found(heaviest, term):
    columns = twins()
    columns["light"] = np.linspace(0.25, 0.5, PEOPLE) * heaviest
    columns["heavy"] = columns["light"].copy()
    columns["heavy"][100:103] *= 2
    by = [number(name, 0, heaviest) for name in ("light", "heavy")]
    first, second = models((term,), (term,))
    asked = (replace(first, weights="light"), replace(second, weights="heavy"))
    assert max(few_of(asked, columns, variables=(*TWINS, *by)).values()) <= 3


def test_the_pairs_of_a_screen_are_several_models():
    screen = Analysis(
        "m0",
        "screen",
        model="logistic",
        exposures=("age", "age2"),
        outcomes=("ill",),
        terms=("sex",),
    )
    assert few_of((screen,), twins(), variables=TWINS)["m0"] <= 3


# --- one step here, another there -----------------------------------------------------
def step(ages, first):
    """Return a term that is 1 for whoever is older than a gap, and -1 for others."""
    a, b = ages[first - 1 : first + 1]
    return f"(abs(age-{a:g})-abs(age-{b:g}))/{b - a:g}"


def test_a_step_less_what_another_method_or_a_category_tells_is_few_people():
    columns = people()
    columns["old"] = (np.arange(PEOPLE) >= 103).astype(np.int64)
    variables = (*VARIABLES, category("old", "no", "yes"))
    modelled, level = models((step(columns["age"], 103),), ("old",))
    published = replace(steps(columns["age"], 100, 3)[0], name="p")
    made = replace(models((step(columns["age"], 100),))[0], name="s")
    for asked in ((published, modelled), (published, level), (made, level)):
        assert min(few_of(asked, columns, variables=variables).values()) <= 3


def test_what_hides_a_bump_may_stand_in_another_analysis():
    columns = people()
    ages = columns["age"]
    hidden = f"50*log(age)+{step(ages, 100)}-{step(ages, 103)}"
    assert few_of(models((hidden,), ("log(age)",)), columns)["m0"] <= 3


def test_products_of_forms_of_two_numbers_are_looked_at(record_property):
    columns = people()
    forms = ("{}", "{}**2", "{}**3", "log({})", "sqrt({})", "{}**-1")
    terms = [f"{a.format('age')}*{b.format('bmi')}" for a in forms for b in forms]
    analyses = models(*(tuple(terms[i : i + 4]) for i in range(0, 36, 4)))
    X = np.hstack([rows.X for _, rows in prepared(analyses, columns).values()])
    alone = int((((X @ turn_of(X)) ** 2).sum(axis=1) > 0.9).sum())
    record_property("figure", f"products: {alone} of 400 alone naively, refused here")
    assert alone >= 5
    assert max(few_of(analyses, columns).values()) == 1


def test_many_forms_of_one_number_are_looked_at_or_two_splines():
    columns = people()
    columns["age"][-1] = 119.0
    forms = models(
        *((f,) for f in ("age", "log(age)", "sqrt(age)", "1/age", "age**-2"))
    )
    assert not few_of(forms[:3], columns)
    assert few_of(forms, columns)["m0"] == 1
    ages = columns["age"]
    ends = (ages[99], ages[102]), (ages[100], ages[103])
    knots = [(f"bs(age, knots = c({a:g}, {b:g}), degree = 1)",) for a, b in ends]
    assert few_of(models(*knots), columns)["m0"] <= 5


# --- whom an analysis leaves out ------------------------------------------------------
def noisy_steps(ages):
    """Return two models, each with a step, three people apart, and the same waves."""
    return models(*((f"{step(ages, first)}+sin(3*age)",) for first in (100, 103)))


@pytest.mark.parametrize("case", ["two sets", "decoy", "decoy without intercept"])
def test_who_is_left_out_for_another_number_hides_nothing(case):
    columns = people()
    columns["bmi"][383:395] = np.nan
    steps_of_all = noisy_steps(columns["age"])
    fewer = tuple(replace(one, terms=(*one.terms, "bmi")) for one in steps_of_all)
    decoy = replace(steps_of_all[0], name="d")
    without = replace(decoy, terms=("0", "sex", *fewer[0].terms[1:]))
    asked = {
        "two sets": (steps_of_all[0], fewer[1]),
        "decoy": (*fewer, decoy),
        "decoy without intercept": (*steps_of_all, without),
    }
    assert max(few_of(asked[case], columns).values()) <= 3


def test_who_is_left_out_of_all_analyses_is_not_counted():
    """Twelve lie between, of whom nine have no bmi."""
    columns = people()
    between = models(*(("bmi", step(columns["age"], first)) for first in (100, 112)))
    assert few_of(between, columns)["m0"] >= STRICT.cell
    columns["bmi"][103:112] = np.nan
    assert few_of(between, columns)["m0"] <= 3


@pytest.mark.parametrize("other", [{"seed": 2}, {"folds": 5}])
def test_other_folds_hide_nothing(other):
    columns = people()
    folded = tuple(
        replace(one, penalty="ridge", folds=2, lambdas=(0.1, 0.2))
        for one in noisy_steps(columns["age"])
    )
    decoy = replace(folded[0], name="d", **other)
    assert max(few_of((*folded, decoy), columns).values()) <= 3


# --- honest studies -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("term", "is_so"),
    [
        ("age", True),
        ("age-50", True),
        ("(age-50)**2", True),
        ("((50-age)/10)**3", True),
        ("log(age)", True),
        ("log(bmi+1)**2", True),
        ("sqrt(age)", True),
        ("age**-1", True),
        ("2*(age-50)", True),
        ("2*age-age**2/9+1", True),
        ("sqrt(age)**2", True),
        ("1/age**2", True),
        ("age-sqrt(age)", False),
        ("age/bmi**2", False),
        ("age*(bmi-25)", False),
        ("exp(log(age))", False),
        ("2**age", False),
        ("age**4", False),
        ("age**0.9", False),
        ("(age**2)**3", False),
        ("age*age", False),
        ("log(age+2)", False),
        ("sqrt(age-1)", False),
        ("1/(age-1)", False),
        ("(age+bmi)**2", False),
        ("exp(age)", False),
        ("sin(age)", False),
        ("abs(age-50)", False),
        ("age*abs(bmi-25)", False),
        ("2*abs(age-50)", False),
        ("(age**2)**0.5", False),
        ("1/age**age", False),
    ],
)
def test_a_plain_form_of_a_number(term, is_so):
    (factor,) = parse_term(term).factors
    assert (form_of(factor) is not None) == is_so


def test_a_reciprocal_of_a_square_is_a_form_of_its_own():
    one, two, third = (
        form_of(*parse_term(term).factors) for term in ("1/age", "1/age**2", "age**-2")
    )
    assert two == third != one


def test_forms_of_one_number_and_what_one_analysis_has_are_not_looked_at():
    columns = people()
    forms = (("age", "(age-50)**2"), ("log(age)",), ("ns(age, df = 3)",))
    assert not few_of(models(*forms), columns)
    season = ("sin(2*pi*age/12)", "cos(2*pi*age/12)")
    assert not few_of(models(season, ("sex",), ("sex", *season)), columns)
    assert not few_of(models(("abs(age-50)",), ("abs(age-50)", "exp(-age/9)")), columns)
    assert not few_of(models(("age", "bmi"), ("log(bmi)",)), columns)
    mixed = few_of(models(("age",), ("abs(age-50)",), ("abs(age-60)", "sex")), columns)
    assert set(mixed) == {"m1", "m2"}
    plain = few_of(models(("age", "bmi"), ("log(bmi)", "sex"), ("sqrt(age)",)), columns)
    assert min(plain.values()) >= STRICT.cell


def test_a_factor_written_twice_is_not_plain():
    """A product of two cubes is of degree six."""
    columns = people()
    cubes = models(("(age-50)**3:(age-60)**3",), ("(age-50)**2:(age-60)**2",))
    assert set(few_of(cubes, columns)) == {"m0", "m1"}


def test_honest_studies_are_hardly_ever_refused(record_property):
    """Two equations, three distances, or differences: at most one in a hundred."""
    asked = (
        (("age", "exp(-age/20)"), ("bmi", "abs(bmi-25)"), ("age", "sin(age/6)")),
        (("abs(age-50)",), ("age", "abs(age-65)"), ("bmi", "abs(age-75)")),
        (("0.993**age*bmi**-0.4",), ("bmi", "age**-0.203")),
    )
    few = total = 0
    for seed in range(40):
        columns = people(seed, n=(200, 500)[seed % 2])
        for terms in asked:
            analyses = models(*terms)
            few += min(few_of(analyses, columns).values()) < STRICT.cell
            total += 1
    record_property("figure", f"honest studies: {few} of {total} refused")
    assert few <= total / 100


# --- a site ---------------------------------------------------------------------------
def test_the_refusal_names_rule_and_remedy_and_no_count():
    check_together(None, STRICT, "aa")
    check_together(STRICT.cell, STRICT, "aa")
    with pytest.raises(SmallCell) as caught:
        check_together(STRICT.cell - 1, STRICT, "aa")
    assert caught.value.code == "HT-402"
    assert "alike in all analyses" in caught.value.fix
    assert "9" not in str(caught.value)
    assert "9" in caught.value.local


def test_what_is_refused_by_itself_refuses_no_other():
    """The cost of one person is most of what all cost; bmi and age are all people's."""
    columns = people()
    columns["cost"] = np.where(np.arange(PEOPLE) == 7, 1e5, columns["bmi"])
    of_cost = steps(columns["age"], 100, 3)[0]
    variables = (*VARIABLES, number("cost", 0, 1e6))
    analyses = (*models(("age",), ("bmi",), ("cost",)), replace(of_cost, name="p"))
    study = Study("s", "s", "s", "1", "flat", ("aa",), variables, analyses)
    every = People(columns, (), np.arange(PEOPLE))
    ready = Prepared(study, every, Policy(), "aa")
    assert ready.together("m2") is None
    assert min(ready.together("m0"), ready.together("m1")) >= STRICT.cell


def test_a_site_refuses_the_first_of_them_already(tmp_path):
    """Before anything of what would be added up has left."""
    lines = write_patients(tmp_path / "p.csv").read_text().splitlines()[1:401]
    ages = np.sort([float(line.split(",")[1]) for line in lines])
    gaps = np.flatnonzero(np.diff(ages) > 0.01)
    first, last = gaps[100], gaps[103]
    ends = (*ages[first : first + 2], *ages[last : last + 2])
    analyses = tuple(
        Analysis(f"m{i}", "logistic", outcome="ill", terms=("1", f"abs(age-{end:.3f})"))
        for i, end in enumerate(ends)
    )
    with (
        Federation(tmp_path / "all", Plan(toy_study(analyses))) as federation,
        pytest.raises(HetaoError, match=r"refused m0/1/sites: HT-402.* together"),
    ):
        federation.run()
    with Federation(tmp_path / "one", Plan(toy_study(analyses[:1]))) as federation:
        federation.run()
