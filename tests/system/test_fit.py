"""`hetao fit`: every part a process over TLS, and the pooled rows' own numbers."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import hetao
from hetao.analysis.rounding import rounded
from support_system import LAX, called, people
from support_system import hetao as command

pytestmark = pytest.mark.xdist_group("system")

TERMS = ["name", "estimate", "se", "z", "p", "lower", "upper"]
KEYS = ["model", "terms", "loglik", "n", "events", "sites", "rounds", "messages"]
CURVE = {"stratum", "time", "survival", "se", "at_risk", "events"}
ROWS = pd.DataFrame(people())
NAMES, ENDINGS = ("North", "East", "South"), (".parquet", ".csv", ".parquet")
R_COX = """
library(survival)
d <- read.csv("{file}")
control <- coxph.control(eps = 1e-11, iter.max = 100)
for (ties in c("efron", "breslow")) {{
  m <- coxph(Surv(time, status) ~ age + sex + ph.ecog + strata(inst), d, ties = ties,
             control = control)
  cat(sprintf("%.17g", c(coef(m), sqrt(diag(vcov(m))), m$loglik[2], m$n, m$nevent)),
      "\\n")
}}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder: all rows, one Parquet and one CSV a site, and two policies."""
    folder = tmp_path_factory.mktemp("files")
    ROWS.to_csv(folder / "people.csv", index=False)
    for site, part in ROWS.groupby("hospital"):
        part.to_csv(folder / f"{site}.csv", index=False)
        with duckdb.connect() as engine:
            engine.register("part", part)
            target = folder / f"{site}.parquet"
            engine.execute(f"COPY part TO '{target}' (FORMAT parquet)")
    (folder / "lax.toml").write_text(LAX)
    (folder / "silent.toml").write_text("[minimum]\ncell = 5\n")
    (folder / "open.toml").write_text('reason = "a lesson"\n[minimum]\ncell = 5\n')
    return folder


def split(files):
    return "--data", files / "people.csv", "--split-by", "hospital"


def fitted(*words):
    said = command("fit", *words, "--json")
    assert said.code == 0, said.err
    return said.json


def assert_pooled(body, estimates, errors, wald=True):
    ours = pd.DataFrame(body["terms"])
    assert list(ours.columns) == TERMS
    assert np.max(np.abs(ours["estimate"] - estimates) / errors) < 1e-9
    np.testing.assert_allclose(ours["se"], errors, rtol=1e-8)
    z = ours["estimate"] / ours["se"]
    np.testing.assert_allclose(ours["z"], z, rtol=1e-12)
    half = (ours["upper"] - ours["lower"]) / 2 / ours["se"]
    if wald:  # else the t distribution's, a little wider
        np.testing.assert_allclose(half, 1.959963984540054, rtol=1e-9)
    assert body["rounds"] <= 6
    assert list(body)[: len(KEYS)] == KEYS
    assert set(body["bytes_per_site"]) == set(body["sites"])
    assert all(size > 0 for size in body["bytes_per_site"].values())


def design(*columns):
    man = (ROWS["sex"] == "m").astype(float)
    known = {"1": np.ones(len(ROWS)), "sex": man, **ROWS[["age", "bmi"]]}
    return np.column_stack([known[name] for name in columns])


def newton(model, start):
    """Finish a fit of another library to the last digit."""
    at = np.asarray(start)
    for _ in range(8):
        at = at - np.linalg.solve(model.hessian(at), model.score(at))
    return at, np.sqrt(np.diag(np.linalg.inv(-model.hessian(at))))


def test_logistic_split_by_a_column_with_a_certificate(files, tmp_path, capsys):
    out = tmp_path / "kept"
    words = ["logistic", "ill ~ age + sex + bmi", *split(files)]

    body = fitted(*words, "--policy", files / "open.toml", "--out", out)

    model = sm.Logit(ROWS["ill"], design("1", "age", "sex", "bmi"))
    assert_pooled(body, *newton(model, np.zeros(4)))
    names = [term["name"] for term in body["terms"]]
    assert names == ["(Intercept)", "age", "sex[m]", "bmi"]
    assert (body["model"], body["n"], body["events"]) == (
        "logistic",
        rounded(len(ROWS), 5),
        rounded(ROWS["ill"].sum(), 5),
    )
    assert body["sites"] == ["north", "east", "south"]
    said = called(capsys, "verify", out / "certificate.json", "--policy", "hubs")
    assert said.code == 0
    assert "north lowered its minimum counts (cell): a lesson" in said.err
    assert (
        json.loads((out / "findings.json").read_text())["messages"]
        == (body["messages"])
    )


def test_linear_over_files_of_two_kinds_as_in_a_notebook(files):
    named = {n: files / f"{n}{e}" for n, e in zip(NAMES, ENDINGS, strict=True)}
    words = [w for n, path in named.items() for w in ("--site", f"{n}={path}")]

    body = fitted("linear", "bmi ~ age + sex", *words)

    pooled = sm.OLS(ROWS["bmi"], design("1", "age", "sex")).fit()
    assert_pooled(body, pooled.params.to_numpy(), pooled.bse.to_numpy(), wald=False)
    assert body["sites"] == list(NAMES)
    here = hetao.fit("linear", "bmi ~ age + sex", named).body
    assert (here["terms"], here["loglik"]) == (body["terms"], body["loglik"])
    assert list(here) == list(body)


def test_poisson_with_an_offset(files):
    formula = "visits ~ age + sex + offset(log(days))"

    body = fitted("poisson", formula, *split(files))

    columns = design("1", "age", "sex")
    model = sm.Poisson(ROWS["visits"], columns, offset=np.log(ROWS["days"]))
    first = sm.GLM(
        ROWS["visits"],
        columns,
        sm.families.Poisson(),
        offset=np.log(ROWS["days"]),
    ).fit()
    assert_pooled(body, *newton(model, first.params))


def test_cox_over_all_sites_with_an_open_policy(files):
    words = ["cox", "Surv(time, dead) ~ age + sex", *split(files)]

    body = fitted(*words, "--policy", files / "lax.toml")

    model = sm.PHReg(
        ROWS["time"], design("age", "sex"), status=ROWS["dead"], ties="efron"
    )
    assert_pooled(body, *newton(model, np.zeros(2)))
    assert body["events"] == ROWS["dead"].sum()


def test_kaplan_meier_in_the_promised_shape(files):
    words = ["km", "Surv(time, dead) ~ sex", *split(files)]

    body = fitted(*words, "--policy", files / "lax.toml")

    assert body["model"] == "km"
    assert "terms" not in body
    for curve in body["curves"]:
        assert set(curve) >= CURVE
        part = ROWS[ROWS["sex"] == curve["stratum"]]
        pooled = sm.SurvfuncRight(part["time"], part["dead"])
        np.testing.assert_allclose(curve["time"], pooled.surv_times)
        np.testing.assert_allclose(curve["survival"], pooled.surv_prob, rtol=1e-12)
        np.testing.assert_allclose(curve["at_risk"], pooled.n_risk)
        np.testing.assert_allclose(curve["events"], pooled.n_events)
        error = np.array(curve["se"], dtype=float)  # none where nobody is left
        known = np.isfinite(error)
        np.testing.assert_allclose(error[known], pooled.surv_prob_se[known], rtol=1e-9)


def test_lung_cancer_in_eighteen_institutions_is_the_answer_of_r(files, tmp_path):
    spec = find_spec("lifelines")
    assert spec, "lifelines is not installed; `make test` installs it"
    lung = Path(spec.origin).parent / "datasets" / "lung.csv"
    script = tmp_path / "lung.R"
    script.write_text(R_COX.format(file=lung))
    words = ["cox", "Surv(time, status) ~ age + sex + ph.ecog", "--data", lung]
    words += ["--split-by", "inst", "--strata", "site", "--policy", files / "lax.toml"]

    body = fitted(*words)
    breslow = hetao.fit(
        *words[:2],
        data=lung,
        split_by="inst",
        strata="site",
        ties="breslow",
        policy=files / "lax.toml",
    )

    r = subprocess.run(
        ["Rscript", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for answer, line in zip((body, breslow.body), r, strict=True):
        wanted = np.array(line.split(), dtype=float)
        assert_pooled(answer, wanted[:3], wanted[3:6])
        assert answer["loglik"] == pytest.approx(wanted[6], rel=1e-12)
        assert (answer["n"], answer["events"]) == tuple(wanted[7:])
        assert [t["name"] for t in answer["terms"]] == ["age", "sex", "ph.ecog"]
        assert len(answer["sites"]) == 18


def test_small_sites_are_refused_by_name_in_one_line(files, tmp_path):
    small = tmp_path / "small.csv"
    ROWS.groupby("hospital").head(30).to_csv(small, index=False)
    out = tmp_path / "out"

    said = command(
        *("fit", "logistic", "ill ~ age", "--data", small),
        *("--split-by", "hospital", "--out", out),
    )

    assert (said.code, said.error) == (3, "HT-420")
    assert "HT-401" in said.err
    assert any(f"{site} refused" in said.err for site in ("north", "east", "south"))
    assert said.out == ""
    assert not out.exists()


def test_a_policy_that_lowers_and_gives_no_reason_is_refused(files, capsys):
    words = ["fit", "logistic", "ill ~ age", *split(files)]

    said = called(capsys, *words, "--policy", files / "silent.toml")

    assert (said.code, said.error) == (4, "HT-103")
    assert "lowers cell and does not say why" in said.err


def test_rows_of_one_person_are_tied_together_by_a_column(tmp_path):
    half = ROWS["days"] / 2
    first = ROWS.assign(who=ROWS.index, start=0.0, days=half, dead=0)
    second = ROWS.assign(who=ROWS.index, start=half)
    path = tmp_path / "long.csv"
    pd.concat([first, second]).to_csv(path, index=False)
    where = "--data", path, "--split-by", "hospital", "--strata", "site"
    asked = "Surv(start, days, dead) ~ age"

    body = fitted("cox", asked, *where, "--person", "who")

    whole = hetao.cox(
        "Surv(days, dead) ~ age", data=ROWS, split_by="hospital", strata="site"
    )
    assert body["n"] == rounded(len(ROWS), 5)
    (term,) = body["terms"]
    assert term["estimate"] == pytest.approx(whole.params["age"], rel=1e-6)
