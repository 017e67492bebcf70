"""`hetao.screen`: what every model is adjusted for, and what is paired beside it."""

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.errors import BadFormula, HetaoError, Usage
from hetao.notebook.drafting import draft_study
from hetao.notebook.parts import Part
from hetao.release import Policy
from hetao.study import Minimum
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
DRAW = np.random.default_rng(3)
ROWS = pd.DataFrame(people())
ROWS = ROWS.assign(
    **{
        "drug a": DRAW.integers(0, 2, len(ROWS)),
        "statin": np.where(DRAW.random(len(ROWS)) < 0.4, "yes", "no"),
    },
    **{f"control{i}": DRAW.integers(0, 2, len(ROWS)) for i in range(5)},
)
CONTROLS = [f"control{i}" for i in range(5)]


def drafted(folder, formula, **options):
    path = folder / "rows.csv"
    ROWS.to_csv(path, index=False)
    parts = (Part("only", path),)
    strata = ("site",) if options.get("model") == "cox" else ()
    return draft_study("screen", formula, parts, strata, options)


def test_a_screen_is_said_by_lists_of_columns(tmp_path):
    draft = drafted(
        tmp_path,
        "~ age + C(group)",
        model="cox",
        exposures=["drug a", "statin"],
        outcomes=["ill", *CONTROLS],
        times="days",
        controls=CONTROLS,
    )

    (analysis,) = draft.study.analyses
    assert analysis.exposures == ("drug_a", "statin")
    assert analysis.terms == ("age", "group")
    assert analysis.times == ("days",)
    assert analysis.controls == tuple(CONTROLS)
    kinds = {one.name: one.kind for one in draft.study.variables}
    assert kinds["ill"] == kinds["statin"] == "category"
    assert kinds["age"] == kinds["days"] == kinds["drug_a"] == "number"


def test_counts_stay_numbers(tmp_path):
    draft = drafted(
        tmp_path, "~ 1", model="poisson", exposures="statin", outcomes="visits"
    )

    assert draft.study.variable("visits").kind == "number"
    assert draft.study.variable("visits").bounds[0] == 0


@pytest.mark.parametrize(
    ("formula", "options", "says"),
    [
        ("ill ~ age", {"model": "logistic"}, "names its outcomes beside the formula"),
        ("Surv(days, ill) ~ age", {"model": "cox"}, "names its outcomes beside"),
        ("~ age", {"model": "km"}, "screen needs model = one of logistic, poisson"),
        ("~ age", {}, "screen needs model = one of"),
        ("~ age", {"model": "logistic", "outcomes": []}, "needs 'outcomes'"),
        ("~ age", {"model": "logistic", "outcomes": ["nothing"]}, "no column"),
    ],
)
def test_a_screen_that_is_half_said_is_refused(tmp_path, formula, options, says):
    given = {"exposures": ["statin"], "outcomes": ["ill"], **options}

    with pytest.raises(HetaoError, match=says):
        drafted(tmp_path, formula, **given)


def test_a_screen_is_the_models_one_by_one_with_controls_and_a_funnel():
    cohort = hetao.Cohort(data=ROWS, split_by="hospital", policy=OPEN)
    found = hetao.screen(
        "~ age + sex",
        cohort,
        model="logistic",
        exposures=["drug a", "statin"],
        outcomes=["ill", *CONTROLS],
        controls=CONTROLS,
    )
    alone = hetao.logistic("ill ~ statin + age + sex", cohort)

    frame = found.frame()
    row = frame.loc[("statin", "ill")]
    assert row["estimate"] == pytest.approx(alone.params["statin[yes]"], rel=1e-9)
    assert row["se"] == pytest.approx(alone.bse["statin[yes]"], rel=1e-6)
    assert 0 < row["q"] <= 1
    assert {"calibrated_p", "calibrated_lower"} <= set(frame.columns)
    assert ("drug a", "control4") in frame.index
    assert [one["exposure"] for one in found.body["systematic_error"]] == [
        "drug a",
        "statin",
    ]
    assert len(found.pictures()) == 2
    assert "screen" in found.summary()
    with pytest.raises(Usage, match="has no terms"):
        found.forest()


def test_a_screen_has_no_formula_of_its_own_outcome():
    with pytest.raises(BadFormula, match=r"exposures=\[...\]"):
        hetao.screen("ill ~ age", data=ROWS, split_by="hospital", model="logistic")
