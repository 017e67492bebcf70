"""The pooled fit by an independent library, which only a demonstration can do."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels
from statsmodels.discrete.discrete_model import Logit
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.regression.linear_model import OLS

from hetao import cohort as cohorts
from hetao.cdm import open_site
from hetao.report import ComparedTerm, Comparison
from hetao.study import Analysis, Study, read_study

Fit = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # estimates, standard errors


def compare_with_pooled(
    study_path: Path, sites: Mapping[str, Path], findings_path: Path
) -> tuple[Comparison, ...]:
    """Fit every regression of a study on all sites' rows together, and compare.

    Args:
        study_path: `study.toml`.
        sites: site → its `site.toml`.
        findings_path: the federated `findings.json`.
    """
    study = read_study(study_path)
    rows = pooled_rows(study, sites)
    findings = json.loads(findings_path.read_text("utf-8"))["findings"]
    federated = {item["analysis"]: item["finding"] for item in findings}
    return tuple(
        _compare(study, analysis, rows, federated[analysis.name])
        for analysis in study.analyses
        if analysis.method in FITS
    )


def pooled_rows(study: Study, sites: Mapping[str, Path]) -> pd.DataFrame:
    """Return the study's variables of every site's people, in one table."""
    parts = []
    for name, path in sites.items():
        with open_site(path) as table:
            columns = cohorts.build(study, table).columns
        part = pd.DataFrame({key: np.asarray(value) for key, value in columns.items()})
        parts.append(part.assign(site=name))
    return pd.concat(parts, ignore_index=True)


def _compare(
    study: Study, analysis: Analysis, rows: pd.DataFrame, finding: Mapping[str, Any]
) -> Comparison:
    used = [v.name for v in study.variables if _is_used(v.name, analysis)]
    known = rows[[*used, "site"]].copy()
    for variable in study.variables:
        if variable.kind == "category" and variable.name in used:
            codes = known[variable.name]
            known[variable.name] = codes.where(codes >= 0).astype(float)
    known = known.dropna()
    design = _design(study, analysis, known)
    estimates, errors = FITS[analysis.method](analysis, known, design)
    terms = tuple(
        ComparedTerm(
            name=term["name"],
            federated=term["estimate"],
            federated_se=term["se"],
            pooled=float(estimate),
            pooled_se=float(error),
            difference_in_se=float(abs(term["estimate"] - estimate) / error),
        )
        for term, estimate, error in zip(
            finding["terms"], estimates, errors, strict=True
        )
    )
    largest = max(term.difference_in_se for term in terms)
    return Comparison(
        analysis.name, f"statsmodels {statsmodels.__version__}", largest, terms
    )


def _is_used(name: str, analysis: Analysis) -> bool:
    text = " ".join((analysis.outcome, analysis.time, analysis.event, *analysis.terms))
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _design(study: Study, analysis: Analysis, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the design in the study's own order and units, by pandas alone."""
    columns: dict[str, Any] = {}
    if analysis.method != "cox":
        columns["(Intercept)"] = np.ones(len(rows))
    kinds = {v.name: v for v in study.variables}
    for term in analysis.terms:
        if term == "1":
            continue
        if term in kinds and kinds[term].kind == "category":
            for code, level in enumerate(kinds[term].levels[1:], 1):
                columns[f"{term}[{level.name}]"] = (rows[term] == code).astype(float)
        else:
            columns[term] = np.asarray(rows.eval(term), dtype=float)
    return pd.DataFrame(columns)


def _logistic(analysis: Analysis, rows: pd.DataFrame, design: pd.DataFrame) -> Fit:
    model = Logit(rows[analysis.outcome].to_numpy(), design.to_numpy())
    fit = model.fit(disp=False, method="newton", tol=1e-14, maxiter=100)
    return fit.params, fit.bse


def _linear(analysis: Analysis, rows: pd.DataFrame, design: pd.DataFrame) -> Fit:
    fit = OLS(rows[analysis.outcome].to_numpy(), design.to_numpy()).fit()
    return fit.params, fit.bse


def _cox(analysis: Analysis, rows: pd.DataFrame, design: pd.DataFrame) -> Fit:
    model = PHReg(
        rows[analysis.time].to_numpy(),
        design.to_numpy(),
        status=rows[analysis.event].to_numpy(),
        strata=rows["site"].to_numpy(),
        ties=analysis.ties,
    )
    fit = model.fit(disp=False)
    # Its own stopping rule leaves a few digits; Newton steps from there find the rest.
    estimates = np.asarray(fit.params)
    for _ in range(5):
        step = np.linalg.solve(-model.hessian(estimates), model.score(estimates))
        estimates = estimates + step
    errors = np.sqrt(np.diag(np.linalg.inv(-model.hessian(estimates))))
    return estimates, errors


FITS: dict[str, Callable[[Analysis, pd.DataFrame, pd.DataFrame], Fit]] = {
    "logistic": _logistic,
    "linear": _linear,
    "cox": _cox,
}
