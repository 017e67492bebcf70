"""A fitted model in a notebook: its numbers, pictures, certificate and report."""

import struct
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.errors import Unverified, Usage
from hetao.notebook.result import FitResult
from hetao.release import Policy
from hetao.study import Minimum
from hetao.study.methods import METHODS
from support_system import people

OPEN = Policy(Minimum(cell=1, events=1, people=1, share=1.0, leverage=1.0), reason="a")
ROWS = pd.DataFrame(people()).rename(columns={"sex": "性別"})
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def model():
    return hetao.logistic(
        "ill ~ age + bmi + 性別", data=ROWS, split_by="hospital", policy=OPEN
    )


@pytest.fixture(scope="module")
def curves():
    rows = ROWS.assign(time=np.arange(len(ROWS)) % 20 + 1.0)
    return hetao.km(
        "Surv(time, ill) ~ 性別", data=rows, split_by="hospital", policy=OPEN
    )


def test_each_model_has_a_function_of_its_own(model):
    again = hetao.fit(
        "logistic",
        "ill ~ age + bmi + 性別",
        data=ROWS,
        split_by="hospital",
        policy=OPEN,
    )

    assert again.frame().equals(model.frame())
    named = {name for name, method in METHODS.items() if method.in_formula}
    assert {"Cohort", "__version__", "fit", *named} == set(dir(hetao))
    with pytest.raises(AttributeError, match="magic"):
        _ = hetao.magic


def test_numbers_have_the_names_that_statsmodels_gives_them(model):
    frame = model.frame()

    assert model.params.equals(frame["estimate"])
    assert model.bse.equals(frame["se"])
    assert model.pvalues.equals(frame["p"])
    assert list(model.conf_int().columns) == ["lower", "upper"]
    assert np.allclose(np.log(model.ratios()["upper"]), frame["upper"])
    told = model.diagnostics()
    assert told["converged"] is True
    assert told["rounds"] <= 6
    assert told["sites"] == model.body["sites"]


def test_a_summary_says_a_ratio_as_a_ratio_in_the_digits_of_a_paper(model):
    found = dict(model.body["terms"][1])
    said = model.summary()
    (row,) = [line for line in said.splitlines() if line.startswith("age")]

    assert "odds ratio (95% CI)" in said
    assert f"{np.exp(found['estimate']):.3f} (" in row
    assert f"{found['estimate']:.5g}" in row
    assert "e-" not in row.split(")")[1].replace(f"{found['se']:.5g}", "")


def test_an_effects_ratio_is_no_logarithm_and_its_difference_no_ratio():
    found = hetao.ipw(
        "ill ~ 性別 | age", data=ROWS, split_by="hospital", policy=OPEN, overlap_bins=5
    )
    frame = found.frame()
    lines = {line.split()[0]: line for line in found.summary().splitlines() if line}
    risk = np.exp(frame.loc["risk_ratio", "estimate"])

    assert f" {risk:.2f} (" in lines["risk_ratio"]
    assert list(found.ratios().index) == ["risk_ratio", "odds_ratio"]
    assert found.ratios().loc["risk_ratio", "estimate"] == risk
    told = found.diagnostics()
    assert [one["name"] for one in told["balance"]] == ["age"]
    assert len(told["overlap"][0]) == 5
    assert {"n", "ess"} <= set(told["arms"][0])


def test_differences_have_no_ratios():
    found = hetao.linear("bmi ~ age", data=ROWS, split_by="hospital", policy=OPEN)

    assert "estimate (95% CI)" in found.summary()
    with pytest.raises(Usage, match="differences"):
        found.ratios()


def test_a_meta_analysis_says_how_the_sites_differ():
    found = hetao.meta(
        "ill ~ age", data=ROWS, split_by="hospital", policy=OPEN, model="logistic"
    )
    said = found.summary()
    term = found.body["terms"][1]
    ahead = term["methods"][-1]["prediction"]

    assert "between sites:" in said
    assert {"tau2", "prediction"} <= set(said.split())
    assert f"{np.exp(ahead['lower']):.2f}" in said
    assert "NaN" not in said


def test_curves_say_their_median_once(curves):
    frame, said = curves.frame(), curves.summary()

    assert said.count("median_lower") == 1
    assert len(said.splitlines()) < len(frame) + 12


def test_a_forest_plot_is_a_file_of_svg_with_its_style_inside(model, tmp_path):
    picture = model.forest()
    picture.save(tmp_path / "forest.svg")
    root = ET.parse(tmp_path / "forest.svg").getroot()  # noqa: S314 - our own

    assert root.tag == f"{SVG}svg"
    assert "odds ratios" in picture.title
    style = root.findtext(f"{SVG}style")
    assert "var(" not in style
    assert "font-family" in style
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert any("性別" in text for text in texts)
    assert picture._repr_svg_() == picture.svg


def test_a_forest_plot_is_a_png_that_shows_chinese(model, tmp_path):
    """Where no font had them, the letters would be left out and nothing changed."""
    model.forest().save(tmp_path / "forest.png")
    data = (tmp_path / "forest.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    plain = model.forest()
    plain.svg = plain.svg.replace("性別", "")

    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (width, height) == (1720, round(height))
    assert len(data) > 5_000
    assert plain.png() != data


def test_curves_are_drawn_with_numbers_at_risk(curves, tmp_path):
    curves.curves().save(tmp_path / "km.png", scale=1)

    assert (tmp_path / "km.png").stat().st_size > 5_000
    assert len(curves.pictures()) == 1


def test_a_fit_certifies_and_reports(model, tmp_path):
    proved = model.certify(tmp_path / "c.json")

    assert (tmp_path / "c.json").read_bytes() == model.certificate
    assert proved.sites == tuple(model.body["sites"])
    model.report(tmp_path / "r.html")
    assert "<svg" in (tmp_path / "r.html").read_text("utf-8")


def test_what_does_not_hold_is_not_written(model, tmp_path):
    data = bytearray(model.certificate)
    data[100] ^= 1

    with pytest.raises(Unverified):
        FitResult(model.body, bytes(data)).certify(tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_what_a_finding_lacks_is_named(model, curves, tmp_path):
    with pytest.raises(Usage, match="km finding has no terms"):
        curves.forest()
    with pytest.raises(Usage, match="no terms"):
        _ = curves.params
    with pytest.raises(Usage, match="logistic finding has no curves"):
        model.curves()
    with pytest.raises(Usage, match=r"ends in \.svg or \.png"):
        model.forest().save(tmp_path / "forest.gif")
    with pytest.raises(Usage, match="scale"):
        model.forest().png(scale=0)


def test_png_without_its_extra_names_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)

    with pytest.raises(Usage, match="renderer of SVG") as caught:
        model.forest().png()
    assert "hetao[pictures]" in caught.value.fix


@pytest.mark.parametrize("first", ["canonical", "dictionary", "study", "errors"])
def test_any_module_may_be_imported_first(first):
    """An import asks the package for an attribute of that name before anything else."""
    code = f"from hetao import {first}; import hetao; hetao.logistic"

    subprocess.run([sys.executable, "-c", code], check=True)
