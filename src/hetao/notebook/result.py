"""What a fit gives back: for a notebook, a terminal, and another program."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hetao.notebook.drafting import Draft

TERMS = ("name", "estimate", "se", "z", "p", "lower", "upper")


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
        """Return one row a term, a time and stratum of km, a group of logrank."""
        if "curves" in self.body:
            parts = [pd.DataFrame(dict(curve)) for curve in self.body["curves"]]
            return pd.concat(parts, ignore_index=True)
        if "groups" in self.body:
            return pd.DataFrame(list(self.body["groups"])).set_index("group")
        terms = pd.DataFrame(list(self.body["terms"]), columns=list(TERMS))
        return terms.set_index("name")

    def summary(self) -> str:
        """Return the model as text."""
        return f"{self._head()}\n{self.frame().to_string()}\n"

    def _head(self) -> str:
        body = self.body
        parts = [str(body["model"]), f"{len(body['sites'])} sites"]
        for key, word in (("n", "people"), ("events", "events")):
            if body.get(key) is not None:
                parts.append(f"{body[key]} {word}")
        if body.get("loglik") is not None:
            parts.append(f"log-likelihood {body['loglik']:.6g}")
        spread = (key for key in ("theta", "dispersion") if body.get(key) is not None)
        parts += [f"{key} {body[key]:.6g}" for key in spread]
        if body.get("chi2") is not None:
            chi2, df, p = (body[key] for key in ("chi2", "df", "p"))
            parts.append(f"chi-square {chi2:.4g} on {df} df, p {p:.3g}")
        parts.append(f"{body['rounds']} rounds")
        if body["withheld"]:
            parts.append("steps with small counts joined")
        return ", ".join(parts)

    def __repr__(self) -> str:
        """Return the summary."""
        return self.summary()

    def _repr_html_(self) -> str:
        table = self.frame().to_html(border=0, float_format="{:.4g}".format)
        return f"<p><b>{html.escape(self._head())}</b></p>{table}"


def result_of(
    results: Mapping[str, Any], draft: Draft, certificate: bytes
) -> FitResult:
    """Return the fit in a run's `findings.json`, under the file's own names."""
    item = results["findings"][0]
    finding = dict(item["finding"])
    body: dict[str, Any] = {"model": finding.pop("model")}
    if "terms" in finding:
        body["terms"] = [
            {**term, "name": draft.original(term["name"])}
            for term in finding.pop("terms")
        ]
    body |= {key: finding.pop(key, None) for key in ("loglik", "n", "events")}
    if "curves" in finding:
        body["curves"] = finding.pop("curves")
        del body["loglik"]
    body |= {
        "sites": item["members"],
        "rounds": item["rounds"],
        "messages": results["messages"],
        "bytes_per_site": results["bytes_per_site"],
        "withheld": item["withheld"],
    }
    return FitResult({**body, **finding}, certificate)
