"""The whole loop in memory, without cryptography: what tests and the docs compare with.

Sums over sites are correctly rounded (`math.fsum`), so the result does not depend on
the order of sites. Every message is held to its declaration.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hetao.analysis.estimator import Message, State, Sum
from hetao.analysis.finding import Finding
from hetao.analysis.registry import estimator_for
from hetao.analysis.rows import Columns, make_rows
from hetao.errors import NotEstimable, NotFinite, OutOfBounds, WrongShape
from hetao.study import Analysis, Study

Attrition = Sequence[tuple[str, int]]


def oracle(
    study: Study,
    analysis: Analysis,
    parts: Mapping[str, Columns],
    attrition: Mapping[str, Attrition] | None = None,
) -> Finding:
    """Return the finding of an analysis over sites whose columns are all at hand.

    Args:
        study: what is asked.
        analysis: one of its analyses.
        parts: site → its columns; a site may have no rows.
        attrition: site → people left after each step, of counts.

    Raises:
        HetaoError: whatever the plan, the rows or the estimator refuse.
    """
    method = estimator_for(study, analysis)
    steps = attrition or {}
    rows = [
        make_rows(method.plan, columns, site, attrition=steps.get(site, ()))
        for site, columns in parts.items()
    ]
    state: State | None = None
    for number in range(method.most_rounds):
        declared = method.declare(number)
        messages = []
        for part in rows:
            made = method.start(part) if state is None else method.local(part, state)
            check_message(made, declared, part.people)
            messages.append(made)
        answer = method.step(_total(messages, declared), state, number)
        if isinstance(answer, Finding):
            return answer
        state = answer
    raise NotEstimable("the estimator ended without a finding")


def check_message(message: Message, declared: Mapping[str, Sum], people: int) -> None:
    """Hold a message to its declaration: names, shapes, finite, within bounds.

    Raises:
        WrongShape: an array is missing, undeclared, or of another shape or type.
        NotFinite: a value is NaN or infinite.
        OutOfBounds: a value lies beyond what so many people can add.
    """
    if list(message) != list(declared):
        raise WrongShape("the message does not hold the declared arrays, in order")
    for name, wanted in declared.items():
        array = message[name]
        if array.shape != wanted.shape or array.dtype != np.float64:
            raise WrongShape(f"the array {name!r} is not of the declared shape")
        if not np.isfinite(array).all():
            raise NotFinite(f"the array {name!r} holds a value that is not finite")
        low = -math.inf if wanted.low is None else wanted.low
        if np.any(np.abs(array) > wanted.per_person * people) or np.any(array < low):
            raise OutOfBounds(f"the array {name!r} lies beyond its declared bound")


def _total(messages: Sequence[Message], declared: Mapping[str, Sum]) -> Message:
    total: Message = {}
    for name, wanted in declared.items():
        flat = np.stack([message[name].ravel() for message in messages])
        sums = np.array([math.fsum(column) for column in flat.T.tolist()])
        total[name] = sums.reshape(wanted.shape)
    return total
