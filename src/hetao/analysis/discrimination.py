"""What histograms of predictions by outcome say: discrimination, cut-offs, calibration.

Everything here sees counts over all sites only.
"""

import bisect
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.special import betaincinv, expit, ndtri

from hetao.analysis.expressions import Floats, Ints

FINE: Final = 1024  # bins, about equally full where the logits are normal
DIGITS: Final = 12  # decimals of a probability that cut-offs are compared with
BEYOND: Final = 2.0  # a cut above every prediction
Z: Final = float(ndtri(0.975))
TAIL: Final = 0.025
OF_THRESHOLD: Final = (
    *("tp", "fp", "sensitivity", "specificity", "ppv", "npv"),
    *("net_benefit", "treat_all"),
)


def fine_edges(mean: float, sd: float, thresholds: Sequence[float]) -> Floats:
    """Return rising probabilities that cut predictions finely, thresholds among them.

    Args:
        mean: of the predictions' logits.
        sd: of the predictions' logits.
        thresholds: public cut-offs.
    """
    shares = np.arange(1, FINE) / FINE
    edges = expit(mean + max(sd, 1e-9) * ndtri(shares))
    return np.sort(np.append(edges, thresholds))


def places(edges: Floats, p: Floats) -> Ints:
    """Return the bin of each prediction; bin i holds edge i - 1 up to below edge i."""
    found = np.searchsorted(np.round(edges, DIGITS), np.round(p, DIGITS), side="right")
    return found.astype(np.int64)


def cuts_of(
    counts: Floats, edges: Floats, thresholds: Sequence[float], least: int
) -> Floats:
    """Return the edges between which nobody or at least `least` people lie.

    Thresholds come first, in their order, so far as enough people lie between them;
    then as many other edges as fit. The rest is filled up with BEYOND, so that the
    length tells nothing.

    Args:
        counts: (edges + 1,) people in each fine bin.
        edges: (edges,), as of `fine_edges`.
        thresholds: public cut-offs, all among the edges.
        least: fewest people between two cuts.
    """
    below = np.cumsum(counts)[:-1].tolist()
    walls, kept = [0.0, float(counts.sum())], []
    wanted = [(cut, True) for cut in thresholds]
    wanted += [(edge, False) for edge in edges.tolist()]
    for cut, is_threshold in wanted:
        n = below[bisect.bisect_left(edges, cut)]
        place = bisect.bisect_left(walls, n)
        if walls[place] == n:  # it parts nobody, so it tells nothing new
            kept += [cut] if is_threshold else []
        elif n - walls[place - 1] >= least and walls[place] - n >= least:
            walls.insert(place, n)
            kept.append(cut)
    cuts = np.full(len(edges), BEYOND)
    cuts[: len(kept)] = sorted(kept)
    return cuts


def auc_of(cases: Floats, controls: Floats) -> dict[str, float]:
    """Return the area under the ROC curve of binned predictions, and its bounds.

    Args:
        cases: (bins,) people with the event, by rising bin; at least two in all.
        controls: (bins,) those without; at least two in all.

    Returns:
        `auc`, exact of the bins, pairs in one bin counting half; its `se` by DeLong;
        `least` and `most`, between which the area of the predictions as they were
        before binning must lie, however they are ordered within each bin.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44, 837-845.
    """
    n1, n0 = float(cases.sum()), float(controls.sum())
    below = np.cumsum(controls) - controls
    above = n1 - np.cumsum(cases)
    of_cases = (below + controls / 2) / n0
    of_controls = (above + cases / 2) / n1
    auc = float(cases @ of_cases) / n1
    s1 = float(cases @ (of_cases - auc) ** 2) / (n1 - 1)
    s0 = float(controls @ (of_controls - auc) ** 2) / (n0 - 1)
    tied = float(cases @ controls) / (n1 * n0)
    return {
        "auc": auc,
        "se": float(np.sqrt(s1 / n1 + s0 / n0)),
        "least": max(0.0, auc - tied / 2),
        "most": min(1.0, auc + tied / 2),
    }


def share_of(count: float, of: float) -> dict[str, float] | None:
    """Return a share with its exact limits (Clopper and Pearson); None of nobody."""
    if of <= 0:
        return None
    lower = float(betaincinv(count, of - count + 1, TAIL)) if count > 0 else 0.0
    upper = float(betaincinv(count + 1, of - count, 1 - TAIL)) if count < of else 1.0
    return {"estimate": count / of, "lower": lower, "upper": upper}


def threshold_of(
    cut: float, above: tuple[float, float] | None, people: tuple[float, float]
) -> dict[str, Any]:
    """Return what treating everybody from a cut-off on would bring.

    Args:
        cut: the probability.
        above: those at or above it with the event and without; None if not known.
        people: all with the event and without.

    Source:
        Vickers and Elkin (2006), Med. Decis. Making 26, 565-574; the error of the net
        benefit is that of a mean over people.
    """
    if above is None:
        return {"threshold": cut, **dict.fromkeys(OF_THRESHOLD)}
    (tp, fp), (cases, controls) = above, people
    n, odds = cases + controls, cut / (1 - cut)
    benefit = (tp - odds * fp) / n
    se = float(np.sqrt(max((tp + odds**2 * fp) / n - benefit**2, 0.0) / n))
    return {
        "threshold": cut,
        "tp": round(tp),
        "fp": round(fp),
        "sensitivity": share_of(tp, cases),
        "specificity": share_of(controls - fp, controls),
        "ppv": share_of(tp, tp + fp),
        "npv": share_of(controls - fp, n - tp - fp),
        "net_benefit": {
            "estimate": benefit,
            "se": se,
            "lower": benefit - Z * se,
            "upper": benefit + Z * se,
        },
        "treat_all": (cases - odds * controls) / n,
    }


def roc_of(cuts: Floats, cases: Floats, controls: Floats) -> list[dict[str, Any]]:
    """Return (cut, people at or above it with and without the event), falling."""
    n1, n0 = float(cases.sum()), float(controls.sum())
    tp = (n1 - np.cumsum(cases)).tolist()
    fp = (n0 - np.cumsum(controls)).tolist()
    return [
        {"cut": cut, "tp": round(a), "fp": round(b)}
        for cut, a, b in zip(cuts.tolist(), tp, fp, strict=False)
        if cut < BEYOND
    ][::-1]


def groups_of(
    cuts: Floats, people: Floats, events: Floats, predicted: Floats, groups: int
) -> list[dict[str, Any]]:
    """Return groups by rising prediction, as near to equally many people as cuts allow.

    Args:
        cuts: (bins - 1,).
        people: (bins,) how many.
        events: (bins,) how many with the event.
        predicted: (bins,) sums of their predictions.
        groups: at most so many.
    """
    upto = np.cumsum(people)
    wanted = upto[-1] * np.arange(1, groups) / groups
    inner = upto[:-1][cuts < BEYOND]
    chosen = (
        {int(np.argmin(np.abs(inner - w))) for w in wanted} if len(inner) else set()
    )
    ends = [*sorted(chosen), len(people) - 1]
    found, first = [], 0
    for end in ends:
        part = slice(first, end + 1)
        n = float(people[part].sum())
        if n > 0:
            low = cuts[first - 1] if first else 0.0
            high = cuts[end] if end < len(cuts) else 1.0
            ends_at = (float(low), float(min(high, 1.0)))
            sums = (n, float(events[part].sum()), float(predicted[part].sum()))
            found.append(group_of(ends_at, sums))
        first = end + 1
    return found


def group_of(
    between: tuple[float, float], sums: tuple[float, float, float]
) -> dict[str, Any]:
    """Return a group's mean prediction and its share of events with exact limits.

    Args:
        between: lowest prediction of the group, and the one it ends below.
        sums: people, people with the event, summed predictions.
    """
    n, events, predicted = sums
    return {
        "low": between[0],
        "high": between[1],
        "n": round(n),
        "events": round(events),
        "predicted": predicted / n,
        "observed": share_of(events, n),
    }
