"""A fit as a person reads it first: tables in the words and digits of a paper.

Programs read `FitResult.frame`, where a ratio is its logarithm, as in statsmodels; here
it stands as itself, with its limits.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from hetao.errors import Usage
from hetao.notebook.frames import frame_of, table_of
from hetao.report.numerals import (
    DASH,
    count_text,
    fixed_text,
    interval_texts,
    number_of,
    p_text,
    ratio_of,
    short_text,
)

Shown = Iterator[tuple[str, pd.DataFrame]]
LIMITS: Final = ("estimate", "lower", "upper")
OF_RATIO: Final = "_ratio"  # ends the name of an effect, or a measure, that is one
OF_CURVE: Final = ("n", "median", "median_lower", "median_upper", "rmst", "rmst_se")
OF_STEP: Final = ("stratum", "time", "at_risk", "events", "survival", "se", *LIMITS[1:])


def shown_of(body: Mapping[str, Any], ratio: str) -> Shown:
    """Yield (title, table of text) of a finding, the first title empty.

    Args:
        body: of a fit.
        ratio: what e to the power of a coefficient is, such as "odds ratio"; "" where
            it is no ratio.
    """
    match body:
        case {"model": "table1"}:
            yield "", table_of(body)
        case {"curves": _}:
            yield from _curves(body)
        case {"comparisons": [_, *_]}:
            yield "", frame_of(body).drop(columns=["standardised", "strata"])
            yield "rates compared", _compared(body["comparisons"])
        case {"terms": _}:
            yield "", _terms(frame_of(body), body, ratio)
            if "methods" in (body["terms"] or [{}])[0]:
                yield "between sites", _between(body, bool(ratio))
        case _:
            yield "", frame_of(body)


def are_ratios(body: Mapping[str, Any], ratio: str) -> "pd.Series[bool]":
    """Return of which terms e to the power of the estimate is a ratio, by name.

    Raises:
        Usage: of none.
    """
    names = frame_of(body).index
    each = [bool(ratio) or str(name).endswith(OF_RATIO) for name in names]
    if not any(each):
        raise Usage(
            f"a {body['model']} finding has no ratios: its terms are differences",
            fix="read params and conf_int()",
        )
    return pd.Series(each, index=names)


def _terms(frame: pd.DataFrame, body: Mapping[str, Any], ratio: str) -> pd.DataFrame:
    logs = [bool(ratio) or str(name).endswith(OF_RATIO) for name in frame.index]
    text = pd.DataFrame(index=frame.index)
    if "path" not in body:
        form = ratio or ("effect" if any(logs) else "estimate")
        text[f"{form} (95% CI)"] = [
            _interval(row[list(LIMITS)], is_log)
            for (_, row), is_log in zip(frame.iterrows(), logs, strict=True)
        ]
    elif ratio:
        text[ratio] = [short_text(ratio_of(value)) for value in frame["estimate"]]
    text["coef"] = [_five(number_of(value)) for value in frame["estimate"]]
    columns: dict[str, Callable[[Any], str]] = {
        "se": _five,
        "z": partial(fixed_text, decimals=2),
        "p": p_text,
    }
    for key, how in columns.items():
        if frame[key].notna().any():
            text[key] = [how(number_of(value)) for value in frame[key]]
    return text


def _five(value: float | None) -> str:
    """Return a number in five significant digits, or as many as it has."""
    return DASH if value is None else f"{value:.5g}"


def _four(value: float | None) -> str:
    return DASH if value is None else f"{value:.4g}"


def _interval(values: "pd.Series[float]", is_log: bool) -> str:
    found = [number_of(value) for value in values]
    if is_log:
        found = [None if value is None else ratio_of(value) for value in found]
    middle, lower, upper = interval_texts(tuple(found), is_log)
    return middle if DASH in (lower, upper) else f"{middle} ({lower} to {upper})"


def _between(body: Mapping[str, Any], is_log: bool) -> pd.DataFrame:
    """Return how the sites differ in each term, by the last method of pooling."""
    rows = {}
    for term in body["terms"]:
        best = term["methods"][-1]
        ahead = best.get("prediction") or {}
        ends = [ahead.get(key) for key in ("lower", "upper")]
        rows[term["name"]] = {
            "method": best["method"],
            "sites": count_text(term["k"]),
            "tau2": _five(number_of(best.get("tau2"))),
            "I2 %": fixed_text(term.get("i2"), 1),
            "Q p": p_text(term.get("q_p")),
            "prediction interval": _ends(ends, is_log),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    return frame.loc[:, (frame != DASH).any()]


def _ends(ends: list[float | None], is_log: bool) -> str:
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return DASH
    texts = interval_texts(
        tuple(ratio_of(end) if is_log else end for end in (known[0], *known)), is_log
    )
    return " to ".join(texts[1:])


def _compared(comparisons: Any) -> pd.DataFrame:
    rows = {}
    for one in comparisons:
        found = {"rate ratio (95% CI)": _told(one, "ratio", "ratio_lower")}
        found["p"] = p_text(one.get("p"))
        found["difference (95% CI)"] = _told(one, "difference", "difference_lower")
        if one.get("adjusted"):
            found["adjusted ratio"] = _told(one["adjusted"], "ratio", "lower")
        rows[f"{one['group']} / {one['against']}"] = found
    return pd.DataFrame.from_dict(rows, orient="index")


def _told(one: Mapping[str, Any], middle: str, lower: str) -> str:
    keys = (middle, lower, lower.replace("lower", "upper"))
    texts = [_four(number_of(one.get(key))) for key in keys]
    return DASH if DASH in texts else "{} ({} to {})".format(*texts)


def _curves(body: Mapping[str, Any]) -> Shown:
    """Yield a row a curve, then its steps."""
    frame = frame_of(body)
    whole = ["stratum", *(name for name in OF_CURVE if name in frame)]
    if "rmst_least" in frame:
        whole += ["rmst_least", "rmst_most"]
    curves = frame[whole].drop_duplicates().set_index("stratum")
    yield "", curves.dropna(axis=1, how="all")
    if body.get("contrasts"):
        apart = pd.DataFrame(list(body["contrasts"])).set_index("name")
        yield "differences of the arms at the horizon", _terms(apart, body, "")
    steps = frame[[name for name in OF_STEP if name in frame]]
    yield "steps", steps.set_index(["stratum", "time"]).replace({None: np.nan})
