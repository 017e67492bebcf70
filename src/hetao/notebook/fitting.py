"""`hetao.fit(...)`: a whole federation inside a notebook's process."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hetao.errors import Usage
from hetao.notebook.cohort import Cohort, Data
from hetao.notebook.result import FitResult
from hetao.release import Policy


def fit(  # noqa: PLR0913 - a formula's call is read, not remembered
    model: str,
    formula: str,
    /,
    sites: Cohort | Mapping[str, Data] | None = None,
    *,
    data: Data | None = None,
    split_by: str = "",
    strata: str | Sequence[str] = (),
    policy: str | Path | Policy | None = None,
    **options: object,
) -> FitResult:
    """Return a model fitted over sites, as if their rows had been pooled.

    Every site answers through the same gate, sealed sum and log as in a network; all
    of them run in this process.

    Args:
        model: a method that a formula can say, such as "logistic", "cox" or "km".
        formula: as in R: `y ~ x1 + x2`, `Surv(time, event) ~ x`, and with several rows
            a person `Surv(start, stop, event) ~ x`.
        sites: a cohort, or site → DataFrame, CSV or Parquet file.
        data: instead of `sites`, one table …
        split_by: … and the column that tells sites apart.
        strata: strata of a cox model or a log-rank test; "site" keeps risk sets
            inside a site.
        policy: the sites' minimum counts, a policy or its file; strict by default.
        options: further fields of the method, under the names that a study gives them
            (`hetao.study.Analysis`), such as ties, weights, person, variance,
            penalty or horizon; None, "" and 0 say nothing.

    Raises:
        Refused: a site's policy says no, by name.
        Usage: the method has no use for an option.
        BadFormula, InvalidData, InvalidStudy, NotEstimable: the fit cannot be made.
    """
    if not isinstance(sites, Cohort):
        sites = Cohort(sites, data=data, split_by=split_by, policy=policy)
    elif data is not None or split_by or policy is not None:
        raise Usage(
            "a cohort knows its sites and their policy",
            fix="give them where the cohort is made",
        )
    return sites.fit(model, formula, strata, options)
