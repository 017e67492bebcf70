"""Quadratics with an elastic-net penalty, many at once, each solved exactly.

Coordinate descent finds which coefficients are 0; the others then solve linear
equations, and the answer counts only if it meets the conditions of the minimum.
Everything here runs outside the sites and sees sums only.
"""

import numpy as np
from numpy.typing import NDArray

from hetao.analysis.expressions import Floats
from hetao.errors import NotEstimable

SWEEPS = 8  # of coordinate descent between two attempts to solve
MOST_SWEEPS = 4000
SLACK = 1e-13  # relative, of a gradient where the coefficient is 0
STILL = 1e-15  # a sweep that moves nothing by more has come to its end


def minimise(H: Floats, c: Floats, l1: Floats, l2: Floats, start: Floats) -> Floats:
    """Return b that minimises b'Hb/2 - c'b + l1'|b| + l2'b²/2, each of f by itself.

    Args:
        H: (f, p, p), positive definite on what l2 does not hold.
        c: (f, p).
        l1: (f, p), not below 0.
        l2: (f, p), not below 0; where both are 0, they are so in all f.
        start: (f, p), where to begin.

    Returns:
        (f, p); coefficients that are 0 are exactly 0.

    Raises:
        NotEstimable: a minimum is not unique, or was not found.
    """
    free = ~((l1 > 0) | (l2 > 0)).any(axis=0)
    if not free.any():
        return _penalised(H, c, l1, l2, start)
    held = ~free
    corner = H[:, free][:, :, free]
    cross = H[:, free][:, :, held]
    turned = _solve(corner, np.concatenate([cross, c[:, free, None]], axis=2))
    rest = H[:, held][:, :, held] - cross.transpose(0, 2, 1) @ turned[:, :, :-1]
    left = c[:, held] - np.einsum("fij,fi->fj", cross, turned[:, :, -1])
    found = np.empty_like(c)
    found[:, held] = _penalised(rest, left, l1[:, held], l2[:, held], start[:, held])
    found[:, free] = turned[:, :, -1] - np.einsum(
        "fij,fj->fi", turned[:, :, :-1], found[:, held]
    )
    return found


def _penalised(H: Floats, c: Floats, l1: Floats, l2: Floats, start: Floats) -> Floats:
    """Return the minimum where every coefficient is penalised, at unit curvature."""
    if not c.shape[1]:
        return c
    size = np.sqrt(np.einsum("fii->fi", H) + l2)
    Q = H / (size[:, :, None] * size[:, None, :])
    at = np.arange(c.shape[1])
    Q[:, at, at] = 1.0
    c, l1, b = c / size, l1 / size, start * size
    if not l1.any():
        return np.asarray(_solve(Q, c[:, :, None])[:, :, 0] / size)
    left = np.arange(len(b))  # those not solved yet
    for _ in range(MOST_SWEEPS // SWEEPS):
        b[left], moved = _descended(Q[left], c[left], l1[left], b[left])
        b[left], solved = _polished(Q[left], c[left], l1[left], b[left])
        left = left[~(solved | (moved < STILL))]
        if not len(left):
            return np.asarray(b / size)
    raise NotEstimable(
        "the penalised fit was not found: columns all but determine each other",
        fix="leave one of them out, or add a ridge part to the penalty",
    )


def _descended(Q: Floats, c: Floats, l1: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return b after some sweeps, and how far the last one moved it, relatively."""
    b = b.copy()
    residual = c - np.einsum("fij,fj->fi", Q, b)
    moved = np.zeros(len(b))
    for _ in range(SWEEPS):
        moved[:] = 0.0
        for j in range(b.shape[1]):
            pull = residual[:, j] + b[:, j]
            new = np.sign(pull) * np.maximum(np.abs(pull) - l1[:, j], 0.0)
            step = new - b[:, j]
            b[:, j] = new
            residual -= Q[:, :, j] * step[:, None]
            moved = np.maximum(moved, np.abs(step))
    return b, moved / np.maximum(np.abs(c).max(axis=1), np.finfo(np.float64).tiny)


def _polished(
    Q: Floats, c: Floats, l1: Floats, b: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Solve for the coefficients that are not 0; say where that is the minimum."""
    used, sign = b != 0, np.sign(b)
    both = used[:, :, None] & used[:, None, :]
    system = np.where(both, Q, np.eye(b.shape[1]))
    right = np.where(used, c - l1 * sign, 0.0)
    try:
        exact = np.linalg.solve(system, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return b, np.zeros(len(b), dtype=np.bool_)
    slope = np.abs(c - np.einsum("fij,fj->fi", Q, exact))
    limit = l1 + SLACK * np.abs(c).max(axis=1, keepdims=True)
    good = np.asarray(np.where(used, exact * sign > 0, slope <= limit).all(axis=1))
    return np.asarray(np.where(good[:, None], exact, b), np.float64), good


def _solve(system: Floats, right: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(system, right), np.float64)
    except np.linalg.LinAlgError as problem:
        raise NotEstimable(
            "columns determine each other", fix="leave one of these terms out"
        ) from problem
