"""Performance in a notebook: through the gate and the whole protocol, certified."""

import numpy as np
import pandas as pd

import hetao
from hetao.canonical import parse_canonical
from hetao.federation.certify import recompute
from hetao.ledger.certificate import verify_certificate
from hetao.release import Policy
from hetao.study import Minimum
from support_system import people

ROWS = pd.DataFrame(people()).rename(columns={"sex": "性別"})
ROWS["ward"] = np.array(["a", "b", "c", "d"])[np.arange(len(ROWS)) % 4]
OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
FORMULA = "ill ~ age + bmi + 性別"


def test_each_site_is_predicted_by_the_others_and_certified(tmp_path):
    found = hetao.performance(
        FORMULA,
        data=ROWS,
        split_by="ward",
        validation="leave_one_site_out",
        thresholds=[0.3, 0.5, 0.7],
    )

    proved = found.certify(tmp_path / "certificate.json")
    auc = found.frame().loc["auc"]
    assert 0.6 < auc["lower"] < auc["estimate"] < auc["upper"] < 0.9
    assert found.body["prediction"] == "each site by the others"
    assert len(found.pictures()) == 3
    assert verify_certificate((tmp_path / "certificate.json").read_bytes()) == proved
    found.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "internal-external validation" in page
    assert page.count("<svg") == 3


def test_a_published_model_names_columns_as_the_file_does():
    found = hetao.performance(
        "ill ~ age + 性別",
        data=ROWS,
        split_by="ward",
        coefficients={"(Intercept)": -6.0, "age": 0.1, "性別[m]": 0.5},
        policy=OPEN,
    )

    assert found.body["prediction"] == "published"
    assert found.body["rounds"] <= 6
    body = parse_canonical(found.certificate)
    assert recompute(body).startswith("1 findings follow")


def test_trees_are_grown_over_sites_and_follow_from_the_certified_integers():
    found = hetao.boosted_trees(
        FORMULA,
        data=ROWS,
        split_by="ward",
        policy=OPEN,
        boosting={"trees": 2, "depth": 2},
    )

    assert found.body["prediction"] == "held out"
    named = {row["name"] for row in found.body["importance"]}
    split_by = {
        n["column"] for tree in found.body["trees"] for n in tree if "left" in n
    }
    assert named == split_by
    assert named <= {"age", "bmi", "性別[m]"}
    body = parse_canonical(found.certificate)
    assert recompute(body).startswith("1 findings follow")
