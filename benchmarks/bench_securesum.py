"""Secure sum: values a second, as a ratio to bare AES-128-CTR of the same run.

Each value is 16 bytes of keystream, so the floor is what AES-CTR gives into memory
that is already there. One core; the best of several repetitions of each.
"""

import time

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hetao.release import add, decode, encode, split, stream

VALUES = 1_000_000
REPEATS = 7
SITES = 4


def best(work):
    """Return the fewest seconds of CPU that `work` took."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main():
    """Measure and print."""
    rng = np.random.default_rng(2026)
    values = rng.normal(size=VALUES) * 10.0 ** rng.integers(-6, 9, VALUES)
    words = encode(values, SITES)
    seed = bytes(range(16))
    out, zeros = bytearray(1 << 17), bytes((1 << 17) - 16)

    def bare():
        encryptor = Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor()
        for _ in range(16 * VALUES // len(zeros) + 1):
            encryptor.update_into(zeros, out)

    shares = [split(words) for _ in range(SITES)]

    def open_sum():
        first = add([stream(s, words.size).reshape(words.shape) for s, _ in shares])
        return decode(add([first, add([rest for _, rest in shares])]))

    floor = best(bare)
    print(f"bare AES-128-CTR        {16 * VALUES / floor / 1e9:8.2f} GB/s  1.00")
    for name, work, sites in (
        ("encode", lambda: encode(values, SITES), 1),
        ("split (a site)", lambda: split(words), 1),
        ("encode + split", lambda: split(encode(values, SITES)), 1),
        (f"add + decode, {SITES} sites", open_sum, SITES),
    ):
        took = best(work)
        rate = sites * VALUES / took / 1e6
        ratio = took / (sites * floor)
        print(
            f"{name:<22} {rate:8.1f} million values/s  {ratio:.2f} x the floor's time"
        )


if __name__ == "__main__":
    main()
