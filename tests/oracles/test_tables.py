"""Who was counted and who they were = pandas on the pooled rows."""

import numpy as np
import pandas as pd
import pytest

from hetao.analysis import make_plan, oracle
from hetao.study import Analysis
from support_analysis import ANALYSES, STUDY, people, split, study_of
from support_exactness import note_parts

pytestmark = pytest.mark.held_to("pandas", "made up")
TABLE = ANALYSES["table1"]
CUTS = (0.1, 0.3, 0.45, 0.8)
NUMBERS = ("age", "chol")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_table_is_that_of_pandas_on_pooled_rows(seed):
    columns = people(seed, 700)

    found = oracle(STUDY, TABLE, split(columns, CUTS)).as_json()["rows"]

    rows = pd.DataFrame({name: columns[name] for name in (*TABLE.variables, TABLE.by)})
    groups = rows.groupby(TABLE.by)
    ours, wanted = [], []
    for row in found[1:]:
        for sex, cell in enumerate(row["by_group"]):
            values = groups.get_group(sex)[row["variable"]]
            if row["variable"] in NUMBERS:
                ours += [cell[key] for key in ("n", "missing", "mean", "sd")]
                wanted += [values.count(), values.isna().sum()]
                wanted += [values.mean(), values.std()]
            elif row["level"] != "(missing)":
                names = [v.name for v in STUDY.variable(row["variable"]).levels]
                known, level = values[values >= 0], names.index(row["level"])
                ours += [cell["count"], cell["percent"]]
                wanted += [(known == level).sum(), 100 * (known == level).mean()]
    for row in found[1:3]:
        a, b = (groups.get_group(sex)[row["variable"]] for sex in (0, 1))
        ours.append(row["smd"])
        wanted.append(abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))
    np.testing.assert_allclose(ours, wanted, rtol=1e-9)
    note_parts("table1", ours, wanted)


def test_steps_of_a_flow_are_counted_as_in_pooled_rows():
    flow = Analysis("flow", "counts")
    study = study_of(
        STUDY.variables, flow, criteria=[("Old", "age > 50"), ("Women", "sex == 0")]
    )
    labels = make_plan(study, flow).steps
    rows = pd.DataFrame({name: people(3, 800)[name] for name in ("age", "sex")})
    kept = [rows, rows[rows["age"] > 50], rows[(rows["age"] > 50) & (rows["sex"] == 0)]]
    places = np.array_split(np.arange(len(rows)), 4)
    steps = {
        site: [
            (label, int(part.index.isin(mine).sum()))
            for label, part in zip(labels, kept, strict=True)
        ]
        for site, mine in zip(study.sites, places, strict=False)
    }

    found = oracle(study, flow, {site: {} for site in steps}, steps).as_json()

    ours = [step["n"] for step in found["steps"]]
    assert ours == [len(part) for part in kept]
    note_parts("counts", ours, [len(part) for part in kept])
