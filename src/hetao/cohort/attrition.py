"""The attrition of one site as a flow that a reader follows, small counts hidden."""

from collections.abc import Sequence

HIDDEN = -1


def shown_attrition(
    steps: Sequence[tuple[str, int]], least: int
) -> tuple[tuple[str, int], ...]:
    """Return the steps with HIDDEN for a count that shows fewer than `least` people.

    A count is shown if it is large enough itself, and if it differs from the last one
    shown by nobody or by enough: the difference is a count too.

    Args:
        steps: (label, people left), never rising.
        least: fewest people in a count that is shown; 1 shows all.
    """
    shown: list[tuple[str, int]] = []
    last: int | None = None
    for label, people in steps:
        removed = 0 if last is None else last - people
        if people >= least and (removed == 0 or removed >= least):
            last = people
            shown.append((label, people))
        else:
            shown.append((label, people if least <= 1 else HIDDEN))
    return tuple(shown)


def flow_text(steps: Sequence[tuple[str, int]], least: int) -> str:
    """Return the steps as lines of people left and people gone.

    Args:
        steps: as `shown_attrition` returns.
        least: named where a count is hidden.
    """
    width = max(len(label) for label, _ in steps)
    lines, last = [], None
    for label, people in steps:
        if people == HIDDEN:
            lines.append(f"{label:<{width}}  {'hidden':>10}")
            continue
        gone = f"  (-{last - people:,})" if last is not None and last > people else ""
        lines.append(f"{label:<{width}}  {people:>10,}{gone}")
        last = people
    if any(people == HIDDEN for _, people in steps):
        lines.append(f"hidden: the count would show fewer than {least} people")
    return "\n".join(lines) + "\n"
