"""What a textbook says of the performance of predictions, whole people at hand."""

import numpy as np
import statsmodels.api as sm


def complete(columns):
    keep = ~np.isnan(columns["age"])
    return {name: array[keep] for name, array in columns.items()}


def errors(y, p, eta):
    """Return estimate and error of each measure, the way a textbook defines it."""

    def weighted(w):
        """Return what people of weights (..., n) would have."""
        mean = lambda x: (w * x).sum(-1) / w.sum(-1)  # noqa: E731
        share, brier = mean(y), mean((p - y) ** 2)
        return (
            brier,
            1 - brier / (share * (1 - share)),
            np.log(mean(y) / mean(p)),
        )

    n = len(y)
    step = 1e-20j  # a complex step loses no digits
    moved = weighted(np.ones((n, n)) + step * np.eye(n))
    found = {
        name: (float(value), float(np.sqrt(np.sum((m.imag / 1e-20) ** 2))))
        for name, value, m in zip(
            ("brier", "scaled_brier", "oe_ratio"),
            weighted(np.ones(n)),
            moved,
            strict=True,
        )
    }
    family = sm.families.Binomial()
    ones = np.ones(n)
    level = sm.GLM(y, ones, family, offset=eta).fit(tol=1e-14)
    line = sm.GLM(y, np.column_stack([ones, eta]), family).fit(tol=1e-14)
    found["calibration_in_the_large"] = (level.params[0], level.bse[0])
    found["calibration_intercept"] = (line.params[0], line.bse[0])
    found["calibration_slope"] = (line.params[1], line.bse[1])
    return found


def delong(y, score):
    """Return the area and DeLong's error from every pair of a case and a control."""
    cases, controls = score[y == 1], score[y == 0]
    wins = np.sign(cases[:, None] - controls[None]) / 2 + 0.5
    of_cases, of_controls = wins.mean(axis=1), wins.mean(axis=0)
    s1, s0 = np.var(of_cases, ddof=1), np.var(of_controls, ddof=1)
    return wins.mean(), np.sqrt(s1 / len(cases) + s0 / len(controls))


def binned(found, p):
    cuts = np.sort([one["cut"] for one in found["roc"]])
    return np.searchsorted(cuts, p, side="right")
