"""Chance as a function: every draw is a hash of (seed, key, event, salt).

So the same seed gives the same population on any number of threads and in any parts,
and no draw depends on another. DuckDB's `hash` is not promised to stay the same over
its versions; within one version it does.
"""

import hashlib
from typing import Final

from hetao.synth.truth import Connection

LAST_SEED: Final = 2**62


def define_draws(connection: Connection, seed: int) -> None:
    """Define the macros that every statement of the population draws with.

    - `u(key, event, salt)`: uniform in [0, 1), of 53 bits.
    - `noise(key, event, salt)`: mean 0, variance 1, within ±2.45 (two uniforms).
    - `normal(key, event, salt)`: standard normal.
    - `waiting(key, event, salt)`: standard exponential.
    """
    # Hashed twice: the combination of columns alone leaves their pattern in the bits.
    connection.execute(f"""
        CREATE OR REPLACE MACRO u(k, e, s) AS
            (hash(hash(k::BIGINT, e::BIGINT, s::BIGINT, {seed % LAST_SEED}::BIGINT))
                >> 11)::DOUBLE / 9007199254740992.0
    """)
    connection.execute("""
        CREATE OR REPLACE MACRO noise(k, e, s) AS
            (u(k, e, s) + u(k, e, s + 500000) - 1) * 2.449489742783178
    """)
    connection.execute("""
        CREATE OR REPLACE MACRO normal(k, e, s) AS
            sqrt(-2 * ln(1 - u(k, e, s))) * cos(2 * pi() * u(k, e, s + 500000))
    """)
    connection.execute("""
        CREATE OR REPLACE MACRO waiting(k, e, s) AS -ln(1 - u(k, e, s))
    """)


def salt(*words: str) -> int:
    """Return the salt of a draw from what it is for: adding one changes no other."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:4], "big")
