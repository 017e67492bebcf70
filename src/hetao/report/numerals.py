"""Number → text for a reader: no false precision, and nothing that can crash."""

import math
from typing import Any

from hetao.report.sentences import Said, say

DASH = "–"
MINUS = "−"
LARGEST_RATIO = 1e4  # beyond, only the order is said
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_of(value: Any) -> float | None:
    """Return a finite float, or None for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def ratio_of(log_ratio: float) -> float:
    """Return exp without overflow: infinity beyond what a float holds."""
    return math.exp(log_ratio) if log_ratio < 709 else math.inf


def count_text(value: Any) -> str:
    """Return a count such as `1,344`; a dash for None."""
    number = number_of(value)
    return DASH if number is None else f"{round(number):,}"


def fixed_text(value: Any, decimals: int) -> str:
    """Return a number with so many decimals and a true minus; a dash for None."""
    number = number_of(value)
    if number is None:
        return DASH
    if abs(number) >= 1e7:
        return short_text(number)
    text = f"{number:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def short_text(value: Any) -> str:
    """Return a number in three significant digits, powers of ten as `1.2×10⁹`."""
    number = number_of(value)
    if number is None:
        return DASH
    mantissa, _, power = f"{number:.3g}".partition("e")
    tail = f"×10{str(int(power)).translate(SUPERSCRIPTS)}" if power else ""
    return mantissa.replace("-", MINUS) + tail


def p_text(value: Any) -> str:
    """Return a p-value: `<0.001`, three decimals below 0.1, two above."""
    p = number_of(value)
    if p is None:
        return DASH
    if p < 0.001:
        return "<0.001"
    if p > 0.99:
        return ">0.99"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_sentence(value: Any) -> str:
    """Return `p = 0.02` or `p < 0.001`; a dash for None."""
    text = p_text(value)
    if text == DASH:
        return f"p {DASH}"
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def percent_text(value: Any) -> str:
    """Return a percentage in one decimal; a dash for None."""
    number = number_of(value)
    return DASH if number is None else f"{number:.1f}%"


def difference_text(value: Any) -> str:
    """Return a difference that is meant to be tiny, as an order of size."""
    number = number_of(value)
    if number is None:
        return DASH
    if abs(number) < 1e-12:
        return say("below", limit="10⁻¹²")
    return short_text(float(f"{number:.1e}"))


def decimals_for(spread: float | None, least: int, most: int) -> int:
    """Return the decimals in which two digits of a spread can be seen."""
    if spread is None or not 0 < spread < math.inf:
        return least
    return min(max(1 - math.floor(math.log10(spread)), least), most)


def mean_text(mean: Any, sd: Any) -> str:
    """Return `56.6 (8.0)`: mean and standard deviation, as the deviation allows."""
    spread = number_of(sd)
    decimals = decimals_for(spread, 1 if spread is None or spread < 1000 else 0, 4)
    if spread is None:
        return fixed_text(mean, decimals)
    return f"{fixed_text(mean, decimals)} ({fixed_text(sd, decimals)})"


def interval_texts(values: tuple[float | None, ...], is_ratio: bool) -> tuple[str, ...]:
    """Return estimate, lower and upper limit in matching decimals.

    Args:
        values: the three in the scale to show (ratios, not logs); None is a dash,
            infinity its sign.
        is_ratio: whether two decimals are the least, as for odds ratios.
    """
    _, lower, upper = values
    spread = None if lower is None or upper is None else upper - lower
    # Two digits of the half width can be seen, and a third where they are low.
    if is_ratio:
        decimals = decimals_for(spread and 2 * spread, 2, 6)
        return tuple(_ratio_text(value, decimals) for value in values)
    decimals = decimals_for(spread and spread / 5, 0, 8)
    if spread is not None and not 1e-6 < spread < 1e7:
        return tuple(short_text(value) for value in values)
    return tuple(fixed_text(value, decimals) for value in values)


def interval_said(values: tuple[float | None, ...], is_ratio: bool) -> Said:
    """Return `3.21 (2.10 to 4.90)`, as `interval_texts` writes the three."""
    middle, lower, upper = interval_texts(values, is_ratio)
    return say("interval", middle=middle, lower=lower, upper=upper)


def _ratio_text(value: float | None, decimals: int) -> str:
    if value is None:
        return DASH
    if value > LARGEST_RATIO:
        return f">{LARGEST_RATIO:,.0f}"
    for limit in (10, 100):
        decimals -= value >= limit and decimals > 0
    smallest = 10.0**-decimals
    if value < smallest / 2:
        return f"<{smallest:.{decimals}f}"
    return fixed_text(value, decimals)
