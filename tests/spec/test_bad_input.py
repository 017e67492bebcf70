"""What bad input comes to, for every method: the table of `docs/guide/bad-input.md`.

Each is refused by a clear error, the same at every site, or is a documented decision;
none is an answer that looks right and is not.
"""

import asyncio
import functools
from dataclasses import replace

import numpy as np
import pytest

from hetao.analysis import make_plan, oracle
from hetao.canonical import parse_canonical
from hetao.cdm import open_flat
from hetao.cohort import build
from hetao.errors import InvalidData, InvalidStudy, NotEstimable, OutOfBounds, Stopped
from hetao.federation.embedded import run_embedded
from hetao.release import Policy
from hetao.study import Analysis, Level, Minimum, Study, Variable, study_from
from support_analysis import ANALYSES, STUDY, people, refuse_or, split

CUTS = (0.2, 0.5, 0.8)
ROWS = people(1, 300)
EVENTS = ("ill", "died", "visits", "falls")
LEARNT = ("boosted_trees", "neural_network")  # no column is one too many for them
RIDGES = ("ridge", "elastic_net")
PLAIN = (
    "rates",
    "table1",
    "quantiles",
    "indicators",
)  # of whom nobody need have an event
# One analysis for each method, penalty and score.
EACH = {}
for _name, _one in ANALYSES.items():
    EACH.setdefault((_one.method, _one.penalty, bool(_one.score)), _name)


def reads(name):
    """Return the variables that an analysis reads."""
    return {v.name for v in make_plan(STUDY, ANALYSES[name]).variables}


def reading(*variables):
    """Return what tells whether an analysis reads one of the variables."""
    return lambda name: bool(reads(name) & set(variables))


def of_design(variable):
    """Return what tells whether a regression has a term about a variable."""
    return lambda name: with_term(variable)(name) and name not in LEARNT


def with_term(variable):
    """Return what tells whether a term, or one of a score, is about a variable."""
    return lambda name: any(
        variable in term for term in (*ANALYSES[name].terms, *ANALYSES[name].score)
    )


def at(site, **cells):
    """Return the parts with every cell of some columns replaced at a site."""
    parts = split(ROWS, CUTS)
    n = len(parts[site]["age"])
    filled = {k: np.full(n, v, dtype=ROWS[k].dtype) for k, v in cells.items()}
    return {**parts, site: {**parts[site], **filled}}


def everywhere(**columns):
    return split({**ROWS, **columns}, CUTS)


def cell(name, value):
    """Return the parts with one cell replaced."""
    column = ROWS[name].astype(float)
    column[7] = value
    return everywhere(**{name: column})


def first(site, keep):
    """Return the parts with one site cut to its first rows."""
    parts = split(ROWS, CUTS)
    return {**parts, site: {k: v[:keep] for k, v in parts[site].items()}}


def is_twice(name):
    return of_design("age")(name) and of_design("log(chol)")(name)


def is_screen(name):
    """A screen is of the pairs that every site has enough people for."""
    return name == "screen"


def nobody(name):
    return name not in PLAIN and reading(*EVENTS)(name)


# What is wrong → the parts; the error, and for which analyses. The others answer.
TABLE = {
    "a site without rows": (first("bb", 0), None, None),
    "a site of one row": (first("bb", 1), NotEstimable, is_screen),
    "a column missing throughout a site": (
        at("bb", age=np.nan),
        NotEstimable,
        is_screen,
    ),
    "no events at a site": (
        at("bb", ill=0, died=0, visits=0, falls=0),
        NotEstimable,
        is_screen,
    ),
    "levels that a site lacks": (at("bb", sex=0, grade=0), NotEstimable, is_screen),
    "a level that nobody has": (
        everywhere(grade=np.minimum(ROWS["grade"], 1)),
        NotEstimable,
        of_design("grade"),
    ),
    "one column says what another says": (
        everywhere(chol=np.exp(ROWS["age"] / 40 + 3.9)),
        NotEstimable,
        lambda name: is_twice(name) and ANALYSES[name].penalty not in RIDGES,
    ),
    "a number missing for everyone": (
        everywhere(age=np.full(300, np.nan)),
        NotEstimable,
        with_term("age"),
    ),
    "nobody has the event": (
        everywhere(**{name: np.zeros_like(ROWS[name]) for name in EVENTS}),
        NotEstimable,
        nobody,
    ),
    "infinity": (cell("age", np.inf), OutOfBounds, reading("age")),
    "minus infinity": (cell("age", -np.inf), OutOfBounds, reading("age")),
    "near the end of the floats": (cell("age", 1e308), OutOfBounds, reading("age")),
    "a level without a name": (cell("sex", 2), OutOfBounds, reading("sex")),
    "half a level": (cell("sex", 0.5), OutOfBounds, reading("sex")),
    "a weight below zero": (cell("share", -0.1), OutOfBounds, reading("share")),
    "a time below zero": (cell("day", -1.0), OutOfBounds, reading("day")),
    "a count that is not whole": (cell("visits", 1.5), OutOfBounds, reading("visits")),
}


@pytest.mark.parametrize("name", EACH.values())
@pytest.mark.parametrize("what", TABLE)
def test_bad_input_is_a_clear_error_or_a_documented_answer(what, name):
    parts, error, whose = TABLE[what]

    found, refused = refuse_or(lambda: oracle(STUDY, ANALYSES[name], parts))

    if error is not None and whose(name):
        assert refused is error
    else:
        assert refused is None
        assert " nan" not in str(found.as_json())


# --- public bounds ------------------------------------------------------------------
def bounded(name, low, high):
    """Return a study one of whose numbers has other bounds."""
    variables = [
        replace(v, bounds=(low, high)) if v.name == name else v for v in STUDY.variables
    ]
    return replace(STUDY, variables=tuple(variables))


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1e308), (-1e308, 1e308), (0.0, 1.1e17), (0.0, 1e-310)]
)
def test_bounds_that_arithmetic_cannot_bear_are_refused(low, high):
    study = replace(bounded("age", low, high), analyses=(ANALYSES["linear"],))

    with pytest.raises(InvalidStudy, match="within ±1e\\+17, and at least 1e-15 apart"):
        study_from(parse_canonical(study.canonical))


WIDE = {  # analysis → the number whose bounds are too wide to tell its spread
    "logistic": "age",
    "linear": "score",
    "ridge": "score",
    "lasso": "age",
    "cox_efron": "age",
    "cox_grid_efron": "age",
    "lmm": "score",
    "ipw_overlap": "score",
}


@pytest.mark.parametrize("name", WIDE)
def test_bounds_too_wide_for_the_spread_are_refused_with_the_remedy(name):
    """Sums, in fixed point and in floats, would give an error off by any amount."""
    low = 0.0 if WIDE[name] == "age" else -1e10
    study = bounded(WIDE[name], low, 1e10)

    with pytest.raises(NotEstimable) as caught:
        oracle(study, ANALYSES[name], split(ROWS, CUTS))

    assert "bounds" in str(caught.value)


def test_a_spread_that_its_bounds_hide_is_not_told():
    study = bounded("age", 0.0, 1e10)

    found = oracle(study, ANALYSES["table1"], split(ROWS, CUTS)).as_json()

    (row,) = [row for row in found["rows"] if row["variable"] == "age"]
    assert row["smd"] is None
    for one in row["by_group"]:
        assert one["sd"] is None
        assert one["mean"] == pytest.approx(55, abs=3)


# --- files --------------------------------------------------------------------------
NUMBER = Variable("x", "number", "column", column="X", bounds=(-1e6, 1e6))
LEVELS = (Level("control", "A"), Level("treated", "B"))
CATEGORY = Variable("c", "category", "column", column="C", levels=LEVELS)
CELLS = {  # what a cell holds → what it comes to; None: an error that names the column
    "12 ": 12.0,
    " 1e3": 1000.0,
    "": np.nan,
    "NA": np.nan,
    "nan": np.nan,
    "2020-01-02": None,
    "1,5": None,
    "1 000": None,
    "１２": None,
    "12%": None,
    "true": None,
    "inf": None,
    "-Infinity": None,
    "1e400": None,
    "NULL": None,
    "0x10": None,
}
LABELS = {
    " A": 0,
    "B ": 1,
    "": -1,
    "Ａ": None,
    "a": None,
    "A\t": None,
    "A\u200b": None,
    "C": None,
    "0": None,
}


def read(folder, text, variable):
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    study = Study("s", "", "", "1", "flat", ("a",), (variable,), ())
    with open_flat(path) as table:
        return build(study, table).columns[variable.name]


@pytest.mark.parametrize(
    ("variable", "text", "meant"),
    [
        *((NUMBER, text, meant) for text, meant in CELLS.items()),
        *((CATEGORY, text, meant) for text, meant in LABELS.items()),
    ],
)
def test_a_cell_is_what_it_says_or_an_error_that_keeps_it_back(
    tmp_path, variable, text, meant
):
    body = (
        f'C,X\nA,1\n{{C}},"{text}"\n' if variable is NUMBER else 'C,X\nA,1\n"{C}",1\n'
    )
    body = body.replace("{C}", "A" if variable is NUMBER else text)

    if meant is None:
        with pytest.raises(InvalidData, match=repr(variable.column)) as caught:
            read(tmp_path, body, variable)
        assert caught.value.fix
        assert len(text) < 2 or text.strip() not in str(caught.value)
        return
    np.testing.assert_equal(float(read(tmp_path, body, variable)[1]), float(meant))


def test_a_column_that_stands_twice_is_not_guessed(tmp_path):
    with pytest.raises(InvalidData, match="two columns 'X'"):
        read(tmp_path, "X,C,X\n1,A,2\n", NUMBER)
    with pytest.raises(InvalidData, match="two columns 'X'"):
        read(tmp_path, "X,C,Ｘ\n1,A,2\n", NUMBER)
    assert read(tmp_path, "X,C,x\n1,A,2\n", NUMBER).tolist() == [1.0]
    twice = tmp_path / "twice.csv"
    twice.write_text("site,X,site\na,1,b\n")
    with pytest.raises(InvalidData, match="two columns 'site'"):
        open_flat(twice, "site", "a")


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ((Level("no", 0), Level("yes", 0)), "the same value"),
        ((Level("no", 0), Level("yes", "0")), "the same value"),
        ((Level("no", "A"), Level("yes", "B ")), "begins or ends with a space"),
        ((Level("no", "A"), Level("no", "B")), "a level stands twice"),
    ],
)
def test_levels_that_could_never_be_met_are_refused(levels, says):
    study = Study(
        *("s", "A", "Q", "1", "flat", ("a",)),
        (replace(CATEGORY, levels=levels), NUMBER),
        (Analysis("one", "table1", variables=("x",)),),
    )

    with pytest.raises(InvalidStudy, match=says):
        study_from(parse_canonical(study.canonical))


# --- a whole run --------------------------------------------------------------------
SITES = ("north", "east", "south")
OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
BAD = {
    "a date for a number": ("1,A,2020-01-02", "HT-110"),
    "a level in full width": ("1,Ａ,3", "HT-110"),
    "a value in another unit": ("1,A,1700", "HT-110"),
    "a column that is another": ("", "HT-110"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_one_site_refuses_stops_the_run_for_all_by_name(tmp_path, what):
    line, code = BAD[what]
    heads = dict.fromkeys(SITES, "y,C,X")
    if not line:
        heads["east"] = "y,C,height"
    draw = np.random.default_rng(3)
    for site in SITES:
        rows = [
            f"{draw.integers(0, 2)},{'AB'[draw.integers(0, 2)]},{draw.integers(0, 9)}"
            for _ in range(60)
        ]
        rows += [line] if site == "east" and line else []
        (tmp_path / f"{site}.csv").write_text("\n".join([heads[site], *rows]), "utf-8")
    study = Study(
        *("s", "A", "Q", "1", "flat", SITES),
        (
            Variable("y", "category", "column", column="y",
                     levels=(Level("no", 0), Level("yes", 1))),
            CATEGORY,
            replace(NUMBER, bounds=(0.0, 10.0)),
        ),
        (Analysis("model", "logistic", outcome="y", terms=("c", "x")),),
        deadline_seconds=30,
    )  # fmt: skip
    sources = {
        site: functools.partial(open_flat, tmp_path / f"{site}.csv", genes=())
        for site in SITES
    }

    with pytest.raises(Stopped, match=rf"east refused begin: {code}") as caught:
        asyncio.run(
            run_embedded(study, sources, tmp_path / "run", dict.fromkeys(SITES, OPEN))
        )

    assert not any(part in str(caught.value) for part in ("2020", "Ａ", "1700"))
