"""Folds of cross-validation: which of a site's people a fit leaves out.

A person's fold follows from a public seed, the site's name and the person's place among
the site's complete cases: from no value and from no identifier. The mixing is written
out here, because a library's shuffle may change with its version.
"""

import hashlib

import numpy as np

from hetao.analysis.expressions import Ints

_STEP, _FIRST, _SECOND = (
    np.uint64(number)
    for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def folds_of(seed: int, site: str, n: int, folds: int) -> Ints:
    """Return the fold of each of n people, (n,) from 0 to `folds - 1`.

    Sizes differ by one at most.

    Source:
        Steele, Lea and Flood (2014), SplitMix64, whose outputs are put in order.
    """
    start = hashlib.sha256(f"hetao.folds/1 {seed} {site}".encode()).digest()[:8]
    mixed = np.arange(1, n + 1, dtype=np.uint64) * _STEP
    mixed += np.uint64(int.from_bytes(start, "big"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed ^= mixed >> np.uint64(31)
    found = np.empty(n, dtype=np.int64)
    found[np.argsort(mixed, kind="stable")] = np.arange(n) % folds
    return found
