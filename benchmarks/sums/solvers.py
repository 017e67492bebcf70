"""Who are the ones among zeros, given sums? The published ways to find out."""

import numpy as np

from sums.people import Seen

PRECISION = 1e-11  # of a sum, relative to what it is made of


def whitened(seen: Seen, noise: float = PRECISION) -> tuple[np.ndarray, np.ndarray]:
    """Return (k, n) orthonormal rows and (k,) what they give: all that the sums tell.

    Args:
        seen: the numbers.
        noise: of a number, relative to its row; what lies under it says nothing.
    """
    return kept(decomposed(seen), noise)


def decomposed(seen: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (k, n) orthonormal rows, (k,) what they give, and (k,) how surely."""
    size = np.linalg.norm(seen.A, axis=1)
    used = size > 1e-12
    A, b = seen.A[used] / size[used, None], seen.b[used] / size[used]
    if len(b) > 2 * A.shape[1]:  # far more numbers than people: the same, and faster
        triangle = np.linalg.qr(np.column_stack([A, b]), mode="r")
        A, b = triangle[:, :-1], triangle[:, -1]
    left, spread, right = np.linalg.svd(A, full_matrices=False)
    return right, (left.T @ b) / np.maximum(spread, 1e-300), spread


def kept(
    parts: tuple[np.ndarray, np.ndarray, np.ndarray], noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that lie above the noise, and what they give."""
    rows, values, spread = parts
    above = spread > noise * spread[0]
    return rows[above], values[above]


def boxed(rows: np.ndarray, values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the point of the box that the sums allow, nearest to a guess (Dykstra)."""
    z, correction = start.copy(), np.zeros_like(start)
    for _ in range(600):
        flat = z - rows.T @ (rows @ z - values)
        inside = np.clip(flat + correction, 0, 1)
        correction = flat + correction - inside
        if np.abs(inside - z).max() < 1e-7:
            break
        z = inside
    return z


def as_ones(z: np.ndarray, ones: int) -> np.ndarray:
    """Return the `ones` highest as 1: how many there are is one of the sums."""
    found = np.zeros(len(z))
    found[np.argsort(-z, kind="stable")[:ones]] = 1.0
    return found


def by_lattice(rows: np.ndarray, values: np.ndarray, bits: int) -> np.ndarray | None:
    """Return the 0/1 vector that gives the sums; None where the lattice shows none.

    Of the lattice of Coster et al. (1992): the vector of 2z - 1 and what is left of
    each scaled sum, which is short as no other one is.

    Args:
        rows: (k, n), a few of them.
        values: (k,).
        bits: of each number that are used, at most.
    """
    k, n = rows.shape
    turn = np.eye(n + 1)
    for used in (*range(6, bits, 6), bits):  # a bit more exactly each time
        scaled = np.rint(2.0**used * np.column_stack([rows, values]).T)
        basis = np.zeros((n + 1, n + k))
        basis[:n, :n] = 2 * np.eye(n)
        basis[n, :n] = -1.0
        basis[:n, n:], basis[n, n:] = scaled[:n], -scaled[n]
        turn = reduced(basis, turn)
        found = turn @ basis
        for vector in found:
            if np.abs(np.abs(vector[:n]) - 1).max() < 0.5:
                for sign in (1, -1):
                    guess = (1 + sign * vector[:n]) / 2
                    if np.abs(rows @ guess - values).max() < 1e-7:
                        return guess
    return None


def reduced(basis: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return the integer transform that makes a basis short (Lenstra, Lenstra, Lovasz).

    Args:
        basis: (m, d) rows, whole numbers.
        turn: (m, m) a transform to start from.
    """
    B, U = turn @ basis, turn.copy()
    m = len(B)
    star, mu, norm = np.zeros_like(B), np.zeros((m, m)), np.zeros(m)

    def orthogonal(i: int) -> None:
        mu[i, :i] = star[:i] @ B[i] / norm[:i]
        star[i] = B[i] - mu[i, :i] @ star[:i]
        again = star[:i] @ star[i] / norm[:i]  # twice is enough
        mu[i, :i] += again
        star[i] -= again @ star[:i]
        norm[i] = max(star[i] @ star[i], 1e-30)

    orthogonal(0)
    at = 1
    while at < m:
        orthogonal(at)
        for j in range(at - 1, -1, -1):
            times = np.rint(mu[at, j])
            if times:
                B[at] -= times * B[j]
                U[at] -= times * U[j]
                mu[at, :j] -= times * mu[j, :j]
                mu[at, j] -= times
        if norm[at] >= (0.99 - mu[at, at - 1] ** 2) * norm[at - 1]:
            at += 1
            continue
        B[[at - 1, at]], U[[at - 1, at]] = B[[at, at - 1]], U[[at, at - 1]]
        orthogonal(at - 1)
        at = max(at - 1, 1)
    return U
