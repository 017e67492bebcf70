"""What a fit gives back: for a notebook, a terminal, and another program."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hetao.canonical import parse_canonical
from hetao.errors import Usage
from hetao.ledger.certificate import Verified, verify_certificate
from hetao.notebook.drafting import Draft
from hetao.notebook.frames import frame_of, losses_of
from hetao.notebook.showing import are_ratios, shown_of
from hetao.notebook.torch_network import module_of
from hetao.notebook.weighting import ScoreWeights, weights_of
from hetao.report import write_report
from hetao.report.answers import answers_of
from hetao.report.picture import Picture, drawings_of
from hetao.study import Study, study_from
from hetao.study.methods import method_of

if TYPE_CHECKING:
    import torch

HIDDEN = "small counts hidden"
PLAIN_EVENTS = ("1", "yes", "true", "True", "TRUE")


@dataclass(frozen=True)
class FitResult:
    """A fitted model.

    Attributes:
        body: what `hetao fit --json` prints.
        certificate: the certificate's bytes, for `hetao verify`.
    """

    body: Mapping[str, Any]
    certificate: bytes

    def frame(self) -> pd.DataFrame:
        """Return the finding's numbers as one table.

        One row a term of a model, a time and curve of km, a group of logrank and
        rates, a criterion of counts; of table1 and quantiles one row a variable, level
        and group; of a network what measures it, or of a number its loss by round.
        """
        return frame_of(self.body)

    def summary(self) -> str:
        """Return the model as text, where a ratio is a ratio and not its logarithm."""
        parts = [self._head()]
        named = self._named_sites()
        parts += [named] if named else []
        for title, table in shown_of(self.body, self._ratio()):
            parts += [f"\n{title}:"] if title else []
            parts.append(table.to_string())
        return "\n".join(parts) + "\n"

    @property
    def params(self) -> "pd.Series[float]":
        """Return the estimates by term, as statsmodels calls them.

        Raises:
            Usage: the finding has no terms, here and below.
        """
        return self._terms()["estimate"]

    @property
    def bse(self) -> "pd.Series[float]":
        """Return the standard errors by term."""
        return self._terms()["se"]

    @property
    def pvalues(self) -> "pd.Series[float]":
        """Return the two-sided p values by term."""
        return self._terms()["p"]

    def conf_int(self) -> pd.DataFrame:
        """Return the 95 % limits by term, `lower` and `upper`."""
        return self._terms()[["lower", "upper"]]

    def ratios(self) -> pd.DataFrame:
        """Return e to the power of estimates and limits: odds, rate, hazard ratios.

        Of an effect, the ratios alone; its differences are none.

        Raises:
            Usage: no term is a ratio, or there is none.
        """
        terms = self._terms()[["estimate", "lower", "upper"]]
        return terms[are_ratios(self.body, self._ratio())].map(np.exp)

    def diagnostics(self) -> dict[str, Any]:
        """Return how the fit went: rounds, condition number, sites, what crossed.

        With it the test of proportional hazards, and of a propensity score the arms,
        their balance before and after, and the overlap.
        """
        kept = (
            *("rounds", "converged", "condition", "loglik", "n", "events", "zph"),
            *("arms", "balance", "overlap"),
            *("sites", "site_values", "messages", "bytes_per_site", "withheld"),
        )
        return {key: self.body[key] for key in kept if key in self.body}

    def pictures(self) -> tuple[Picture, ...]:
        """Return the figures of the finding, as the report has them.

        Such as forest plots, curves, balance (love plot), overlap, a flow of people.
        """
        body = parse_canonical(self.certificate)["body"]
        (answer,) = answers_of(self._study(), body)
        return tuple(map(Picture, drawings_of(answer.view)))

    def forest(self) -> Picture:
        """Return the forest plot of the terms; of many terms, its first part.

        Raises:
            Usage: the finding has no terms, or no limits.
        """
        self._terms()
        if "path" in self.body:
            raise Usage(
                "a penalised model has no limits to draw",
                fix="pictures() holds its path and its cross-validation curve",
            )
        return self.pictures()[0]

    def path(self) -> pd.DataFrame:
        """Return the path of a penalised model: a row a lambda, falling.

        Columns are the deviance outside the folds, its standard error, and each term's
        coefficient.

        Raises:
            Usage: the finding has no path.
        """
        if "path" not in self.body:
            raise Usage(f"a {self.body['model']} finding without penalty has no path")
        names = [term["name"] for term in self.body["terms"]]
        rows = [
            {key: one[key] for key in ("lambda", "deviance", "deviance_se")}
            | dict(zip(names, one["coefficients"], strict=True))
            for one in self.body["path"]
        ]
        return pd.DataFrame(rows).set_index("lambda").astype(float)

    def losses(self) -> pd.DataFrame:
        """Return a network's mean loss before each round of training and after.

        Raises:
            Usage: the finding is none of a network.
        """
        return losses_of(self.body)

    def module(self) -> "torch.nn.Sequential":
        """Return a network as a module of torch; see `torch_network.layers_of`.

        Raises:
            Usage: the finding is none of a network, or torch is not installed.
        """
        return module_of(self.body)

    def curves(self) -> Picture:
        """Return the survival curves with numbers at risk.

        Raises:
            Usage: the finding has no curves.
        """
        if "curves" not in self.body:
            raise Usage(f"a {self.body['model']} finding has no curves")
        return self.pictures()[0]

    def contrasts(self) -> pd.DataFrame:
        """Return how far weighted curves lie apart at the horizon, a row a contrast.

        Raises:
            Usage: the finding has no contrasts.
        """
        if "contrasts" not in self.body:
            raise Usage(
                f"this {self.body['model']} finding has no contrasts",
                fix="ask for km with weights by a propensity score and a horizon",
            )
        frame = pd.DataFrame(list(self.body["contrasts"]))
        return frame.set_index("name").astype(float)

    def flow(self) -> Picture:
        """Return the flow of people through the criteria, as a trial report has it.

        Raises:
            Usage: the finding has no steps.
        """
        if "steps" not in self.body:
            raise Usage(f"a {self.body['model']} finding has no steps")
        return self.pictures()[0]

    def certify(self, path: str | Path) -> Verified:
        """Verify the certificate, write it to a file, and return what it proves.

        Raises:
            Unverified: it does not hold; nothing is written.
        """
        proved = verify_certificate(self.certificate)
        Path(path).write_bytes(self.certificate)
        return proved

    def report(self, path: str | Path) -> None:
        """Write the report, one HTML file that opens from disk."""
        write_report(Path(path), self.certificate)

    def weights(self, estimand: str = "ATE") -> ScoreWeights:
        """Return what weighs people by this propensity score in another model.

        Args:
            estimand: "ATE", "ATT", or "ATO", which is also called "overlap".

        Raises:
            Usage: this is no plain logistic model, or there is no such estimand.
        """
        return weights_of(self._study(), estimand)

    def _study(self) -> Study:
        return study_from(parse_canonical(self.certificate)["body"]["study"])

    def _terms(self) -> pd.DataFrame:
        if "terms" not in self.body:
            raise Usage(
                f"a {self.body['model']} finding has no terms",
                fix="frame() has its numbers, pictures() its figures",
            )
        return self.frame()

    def _ratio(self) -> str:
        """Return what e to the power of a coefficient is; "" where it is no ratio."""
        (analysis,) = self._study().analyses
        alone = analysis.alone if analysis.model else analysis
        return method_of(alone.method, alone.family).ratio

    def _named_sites(self) -> str:
        """Return what the file calls the sites that only have a number here."""
        values = self.body.get("site_values", {})
        return ", ".join(f"{site} is {value}" for site, value in values.items())

    def _head(self) -> str:
        body = self.body
        parts = [str(body["model"]), f"{len(body['sites'])} sites"]
        for key, word in (("n", "people"), ("events", "events")):
            if body.get(key) is not None:
                parts.append(f"{body[key]} {word}")
        if body.get("event"):
            parts[-1] += f" (event: {body['event']})"
        if body.get("treatment"):
            parts.append(f"treatment: {body['treatment']}")
        if body.get("loglik") is not None:
            parts.append(f"log-likelihood {body['loglik']:.6g}")
        spread = (
            key for key in ("theta", "dispersion", "tau") if body.get(key) is not None
        )
        parts += [f"{key} {body[key]:.6g}" for key in spread]
        if body.get("chi2") is not None:
            chi2, df, p = (body[key] for key in ("chi2", "df", "p"))
            parts.append(f"chi-square {chi2:.4g} on {df} df, p {p:.3g}")
        if "path" in body:
            parts.append(f"{body['penalty']}, lambda {body['lambda']:.6g}")
        parts.append(f"{body['rounds']} round" + "s" * (body["rounds"] != 1))
        if body.get("cells"):
            parts.append("times put together into few cells")
        if body["withheld"]:
            curved = "curves" in body
            parts.append("steps with small counts joined" if curved else HIDDEN)
        return ", ".join(parts)

    def __repr__(self) -> str:
        """Return the summary."""
        return self.summary()

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{html.escape(self._head())}</b></p>"]
        named = self._named_sites()
        parts += [f"<p>{html.escape(named)}</p>"] if named else []
        for title, table in shown_of(self.body, self._ratio()):
            parts += [f"<p>{html.escape(title)}</p>"] if title else []
            parts.append(table.to_html(border=0, float_format="{:.4g}".format))
        return "".join(parts)


def result_of(
    results: Mapping[str, Any], draft: Draft, certificate: bytes
) -> FitResult:
    """Return the fit in a run's `findings.json`, under the file's own names."""
    item = results["findings"][0]
    finding = dict(item["finding"])
    body: dict[str, Any] = {"model": finding.pop("model")}
    for key in ("terms", "fitted", "importance", "balance", "score"):
        if key in finding:
            body[key] = [
                {**row, "name": draft.original(row["name"])} for row in finding.pop(key)
            ]
    if "trees" in finding:
        finding["trees"] = [
            [_named(node, draft) for node in tree] for tree in finding["trees"]
        ]
    if "terms" in body:
        body |= {key: finding.pop(key, None) for key in ("loglik", "n", "events")}
    for key in ("pairs", "systematic_error"):
        if key in finding:
            finding[key] = [_with_names(one, draft) for one in finding[key]]
    treatment = _treatment(draft)
    if treatment:
        body["treatment"] = treatment
    event = _event(draft)
    if event:
        body["event"] = event
    if "sites" in finding:
        finding["by_site"] = finding.pop("sites")
    body |= _site_values(draft) | {
        "sites": item["members"],
        "rounds": item["rounds"],
        "messages": results["messages"],
        "bytes_per_site": results["bytes_per_site"],
        "withheld": item["withheld"],
    }
    return FitResult({**body, **finding}, certificate)


def _with_names(one: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """Return a pair, or an exposure, of a screen under the file's own names."""
    own = {
        k: draft.original(one[k]) for k in ("exposure", "outcome", "name") if k in one
    }
    return {**one, **own}


def _site_values(draft: Draft) -> dict[str, Any]:
    """Return what the file calls the sites whose names here are mere numbers."""
    values = {one.site: one.split_value for one in draft.parts if one.is_numbered}
    return {"site_values": values} if values else {}


def _treatment(draft: Draft) -> str:
    """Return which level is the treatment, and against which one; "" without."""
    (analysis,) = draft.study.analyses
    if not analysis.treatment:
        return ""
    levels = draft.study.variable(analysis.treatment).levels
    against, treated = (level.name for level in levels)
    return f"{draft.original(analysis.treatment)} = {treated}, against {against}"


def _event(draft: Draft) -> str:
    """Return which level counts as the event, where its name does not say so."""
    (analysis,) = draft.study.analyses
    name = analysis.event or analysis.outcome
    levels = draft.study.variable(name).levels if name else ()
    if len(levels) != 2 or levels[1].name in PLAIN_EVENTS:
        return ""
    return f"{draft.original(name)} = {levels[1].name}"


def _named(node: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """Return a node of a tree with its column under the file's own name."""
    if "column" not in node:
        return dict(node)
    return {**node, "column": draft.original(node["column"])}
