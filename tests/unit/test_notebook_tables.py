"""A formula also asks for tables of people and of rates, whole and by group."""

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.release import Policy
from hetao.study import Minimum
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people())
ROWS = ROWS.assign(bmi=ROWS["bmi"].where(np.arange(len(ROWS)) % 7 > 0))


def fit(model, formula, **words):
    words = {"data": ROWS, "split_by": "hospital", "policy": OPEN, **words}
    return hetao.fit(model, formula, **words)


def test_table1_has_the_pooled_numbers_of_each_group():
    table = fit("table1", "sex ~ age + bmi + group")

    frame = table.frame().set_index(["variable", "level", "group"])
    for sex, rows in ROWS.groupby("sex"):
        for name in ("age", "bmi"):
            cell = frame.loc[name, "", sex]
            assert cell["mean"] == pytest.approx(rows[name].mean(), rel=1e-12)
            assert cell["sd"] == pytest.approx(rows[name].std(), rel=1e-9)
            assert cell["missing"] == rows[name].isna().sum()
        for group, few in rows.groupby("group"):
            assert frame.loc["group", group, sex]["count"] == len(few)
    assert "age, mean (SD)" in table.summary()
    assert "<td>" in table._repr_html_()


def test_a_table_of_everyone_has_no_left_side():
    frame = fit("table1", "~ age").frame().set_index("variable")

    assert frame.loc["age", "mean"] == pytest.approx(ROWS["age"].mean(), rel=1e-12)
    assert list(frame["group"].unique()) == ["All"]


def test_the_column_of_sites_may_group_a_table():
    frame = fit("table1", "hospital ~ age").frame().set_index(["variable", "group"])

    mean = ROWS[ROWS["hospital"] == "North"]["age"].mean()
    assert frame.loc[("age", "north"), "mean"] == pytest.approx(mean, rel=1e-12)


def test_quantiles_come_one_a_row_and_hold_the_pooled_ones():
    frame = fit("quantiles", "sex ~ age").frame()

    assert len(frame) == 6
    for row in frame.itertuples():
        values = ROWS[ROWS["sex"] == row.group]["age"]
        pooled = np.quantile(values, row.p, method="inverted_cdf")
        assert row.low <= pooled <= row.high


@pytest.mark.parametrize("event", ["ill", "visits"])
def test_rates_count_people_with_an_event_or_events(event):
    frame = fit("rates", f"Surv(days, {event}) ~ sex").frame()

    for sex, rows in ROWS.groupby("sex"):
        rate = rows[event].sum() / rows["days"].sum()
        assert frame.loc[sex, "rate"] == pytest.approx(rate, rel=1e-9)
    assert frame.loc["f", "lower"] < frame.loc["f", "rate"] < frame.loc["f", "upper"]


def test_small_counts_are_missing_and_said_to_be():
    rare = ROWS.assign(rare=np.where(np.arange(len(ROWS)) % 400 == 3, "yes", "no"))
    lax = Policy(
        Minimum(cell=10, events=1, people=1, share=1.0, leverage=1.0), reason="a"
    )
    table = fit("table1", "~ rare", data=rare, policy=lax)

    counts = table.frame().set_index(["variable", "level"])["count"]
    assert counts.loc["rare"].isna().all()
    assert "small counts hidden" in table.summary()
    assert "*" in table.summary()
