"""What it would cost to refuse small combinations of columns at every site, always.

    python benchmarks/bench_combinations.py [--studies 400]

Made-up models of two to five yes/no columns that 10 to 50 % have and that go together,
over three sites of 200 to 3,000 people. Counted are models of which no site has a
combination of 1 to 9 people; some has, and so have all sites together; some has, and
all together have not: who refuses these refuses for nothing.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

CELL, SITES = 10, 3


def main() -> None:
    """Print how many models are of which kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    options = parser.parse_args()
    draw = np.random.default_rng(1)
    found = {"nowhere": 0, "over all sites": 0, "at a site alone": 0}
    for _ in range(options.studies):
        k = int(draw.integers(2, 6))
        shares = draw.uniform(0.1, 0.5, k)
        sizes = draw.integers(200, 3001, SITES)
        cells = np.array([_counts(draw, int(people), shares) for people in sizes])
        if _has_small(cells.sum(axis=0)):
            found["over all sites"] += 1
        else:
            found["at a site alone" if _has_small(cells) else "nowhere"] += 1
    for where, count in found.items():
        print(f"few people share a combination {where}: {count / options.studies:.1%}")


def _counts(
    draw: np.random.Generator, people: int, shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many people of a site have each combination."""
    k = len(shares)
    sick = draw.normal(0, 0.7, people)[:, None] + draw.normal(0, 1, (people, k))
    cuts = [np.quantile(sick[:, at], 1 - share) for at, share in enumerate(shares)]
    return np.bincount((sick > cuts) @ (1 << np.arange(k)), minlength=2**k)


def _has_small(counts: NDArray[np.int64]) -> bool:
    return bool(((counts > 0) & (counts < CELL)).any())


if __name__ == "__main__":
    main()
