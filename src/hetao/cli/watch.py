"""`hetao watch`: is a product's safety signalling, look after look of certificates?

The plan fixes the rule before the first look: what is expected, when surveillance
ends, how often a false alarm may come. Each certificate is one look at all the data so
far; it is verified, and its finding worked out again, before it counts.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hetao.analysis.surveillance import (
    cusum,
    cusum_run_length,
    poisson_critical,
    poisson_power,
    watch,
)
from hetao.canonical import parse_canonical
from hetao.cli.main import plain, say
from hetao.cli.verdict import say_what_counts, verdict_of
from hetao.errors import InvalidStudy, Usage
from hetao.federation.certify import recompute, replayed
from hetao.ledger.certificate import read_certificate, verify_certificate
from hetao.records import read_toml, record
from hetao.report.picture import Picture
from hetao.report.watching import draw_looks

RATIOS: Final = (1.5, 2.0, 3.0)  # true rate ratios of which the plan tells the power


@dataclass(frozen=True)
class WatchPlan:
    """How a product is watched, written before the first look.

    Attributes:
        name: what is watched.
        analysis: name of the analysis of rates in each look's study.
        group: which of its groups is exposed.
        rate: expected events for a unit of the study's time, without any excess.
        most_expected: expected events at which surveillance ends.
        alpha: chance of a false signal at any time.
        least_events: fewest events that may signal.
        ratio: rate ratio that a CUSUM looks for; 0 for no CUSUM.
        threshold: at or beyond which the CUSUM signals.
        per_look: expected events between two looks, by which the plan says how long a
            CUSUM runs to a false alarm.
    """

    name: str
    analysis: str
    group: str
    rate: float
    most_expected: float
    alpha: float = 0.05
    least_events: int = 1
    ratio: float = 0.0
    threshold: float = 0.0
    per_look: float = 0.0


@dataclass(frozen=True)
class Look:
    """What a certificate says at a look: totals from the beginning.

    Attributes:
        issued: of the certificate.
        events, expected: seen, and awaited without an excess.
        statistic: MaxSPRT's log-likelihood ratio.
        cusum: after this look; None where none is asked for.
        is_signal: whether this look or an earlier one signalled.
    """

    issued: str
    events: int
    expected: float
    statistic: float
    cusum: float | None
    is_signal: bool


def run(chosen: argparse.Namespace) -> int:
    """Print what a plan promises, or what the looks so far say."""
    plan = read_plan(chosen.plan)
    critical = poisson_critical(plan.most_expected, plan.alpha, plan.least_events)
    if not chosen.certificates:
        return _promise(plan, critical, as_json=chosen.json)
    held = [_held(path) for path in chosen.certificates]
    # What a reader names holds for every look: all of them count, or none.
    verdict = [verdict_of(chosen.policy, certificate) for certificate in held][-1]
    counted = [
        _counted(plan, path.name, certificate)
        for path, certificate in zip(chosen.certificates, held, strict=True)
    ]
    looks = _looks(plan, critical, counted)
    if chosen.out:
        Picture(draw_looks(plan.name, looks, critical)).save(chosen.out)
        say(f"drawn: {chosen.out}")
    is_over = looks[-1].expected >= plan.most_expected
    if chosen.json:
        rows = [asdict(look) for look in looks]
        body: dict[str, Any] = {"counts": verdict.counts, "critical": critical}
        body |= {"looks": rows, "is_over": is_over}
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return verdict.exit_code
    lines = [f"{plan.name}: critical value {critical:.6f}"]
    lines += [_line(number, look) for number, look in enumerate(looks, 1)]
    lines.append(_verdict(looks, is_over=is_over))
    sys.stdout.write("\n".join(map(plain, lines)) + "\n")
    say_what_counts(verdict)
    return verdict.exit_code


def read_plan(path: Path) -> WatchPlan:
    """Return the plan that a TOML file describes.

    Raises:
        InvalidStudy: a field is unknown, missing or of another type.
        InvalidData: the file cannot be read.
        Usage: what it says makes no plan.
    """
    plan = record(WatchPlan, read_toml(path, InvalidStudy), path.name, InvalidStudy)
    if not 0 < plan.rate < float("inf"):
        raise Usage(f"{path.name}: the rate is above 0")
    if bool(plan.ratio) != bool(plan.threshold) or (plan.ratio and plan.ratio <= 1):
        raise Usage(
            f"{path.name}: a CUSUM has a ratio above 1 and a threshold",
            fix="give both, or neither",
        )
    if plan.threshold < 0 or plan.per_look < 0:
        raise Usage(f"{path.name}: threshold and per_look are above 0")
    return plan


def _promise(plan: WatchPlan, critical: float, *, as_json: bool) -> int:
    """Print the critical value, and the chance of a signal at some true ratios."""
    power = {
        str(ratio): poisson_power(
            plan.most_expected, critical, ratio, plan.least_events
        )
        for ratio in RATIOS
    }
    runs = None
    if plan.ratio and plan.per_look:
        runs = cusum_run_length(plan.threshold, plan.ratio, plan.per_look)
    if as_json:
        body = {"critical": critical, "power": power, "looks_to_false_alarm": runs}
        sys.stdout.write(json.dumps(body) + "\n")
        return 0
    lines = [
        f"{plan.name}: critical value {critical:.6f}, false alarm {plan.alpha:g}",
        *(f"  rate ratio {r}: signal with chance {p:.3f}" for r, p in power.items()),
    ]
    if runs:
        lines.append(f"  CUSUM: {runs:.1f} looks to a false alarm on average")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _held(path: Path) -> dict[str, Any]:
    """Return a certificate that holds, its findings worked out again."""
    data = read_certificate(path)
    verify_certificate(data)
    certificate: dict[str, Any] = parse_canonical(data)
    recompute(certificate)
    return certificate


def _counted(
    plan: WatchPlan, name: str, certificate: dict[str, Any]
) -> tuple[str, Mapping[str, Any], int, float]:
    """Return when a certificate was issued, what it asked, its events and time."""
    body = certificate["body"]
    item = next((f for f in body["findings"] if f["analysis"] == plan.analysis), None)
    if item is None or item["finding"].get("model") != "rates":
        raise Usage(
            f"{name} has no finding of rates called {plan.analysis!r}",
            fix="name the analysis in the plan as the study does",
        )
    groups = {group["label"]: group for group in item["finding"]["groups"]}
    if plan.group not in groups:
        raise Usage(
            f"{name}: {plan.analysis} has no group {plan.group!r}",
            fix="it has " + ", ".join(groups)[:300],
        )
    found = groups[plan.group]
    if body["rounded_to"] > 1 and not item["withheld"]:
        exact = replayed(certificate, plan.analysis)["groups"]
        found = next(group for group in exact if group["label"] == plan.group)
    if found["events"] is None or found["time"] is None:
        raise Usage(
            f"{name}: the events of {plan.group!r} are too few to be shown",
            fix="look again later; until then the rule cannot be asked",
        )
    asked = next(a for a in body["study"]["analyses"] if a["name"] == plan.analysis)
    return str(body["issued"]), asked, int(found["events"]), float(found["time"])


def _looks(
    plan: WatchPlan,
    critical: float,
    found: Sequence[tuple[str, Mapping[str, Any], int, float]],
) -> list[Look]:
    """Return the looks in order.

    Raises:
        Usage: two looks ask different things, are not in order, or totals fall.
    """
    issued = [when for when, *_ in found]
    if issued != sorted(issued):
        raise Usage("the certificates are not in the order of their issue")
    if any(asked != found[0][1] for _, asked, *_ in found):
        raise Usage(
            f"two looks ask {plan.analysis!r} in different words",
            fix="watch with one study, run again on each new snapshot",
        )
    events = [count for *_, count, _ in found]
    expected = [plan.rate * time for *_, time in found]
    alarms = watch(events, expected, critical)
    levels: Sequence[float | None] = [None] * len(found)
    if plan.ratio:
        new = [b - a for a, b in zip([0, *events], events, strict=False)]
        awaited = [b - a for a, b in zip([0.0, *expected], expected, strict=False)]
        levels = cusum(new, awaited, plan.ratio)
    looks, has_signal = [], False
    for place, alarm in enumerate(alarms):
        is_enough = events[place] >= plan.least_events
        level = levels[place]
        has_signal |= is_enough and alarm.statistic >= critical
        has_signal |= level is not None and level >= plan.threshold
        looks.append(
            Look(
                issued[place],
                events[place],
                expected[place],
                alarm.statistic,
                level,
                has_signal,
            )
        )
    return looks


def _line(number: int, look: Look) -> str:
    level = "" if look.cusum is None else f", CUSUM {look.cusum:.3f}"
    mark = "  SIGNAL" if look.is_signal else ""
    return (
        f"  look {number}, {look.issued}: {look.events} events, {look.expected:.2f} "
        f"expected, ratio {look.statistic:.4f}{level}{mark}"
    )


def _verdict(looks: Sequence[Look], *, is_over: bool) -> str:
    first = next((n for n, look in enumerate(looks, 1) if look.is_signal), None)
    if first is not None:
        return f"There is a signal since look {first}. It is no proof of a cause."
    if is_over:
        return "Surveillance is over without a signal."
    return "No signal so far."
