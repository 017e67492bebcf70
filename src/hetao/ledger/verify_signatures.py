"""The signatures of `verify_hetao.py`, with nothing but Python's own library.

Ed25519 as `cryptography` takes it, and ML-DSA-44, which no quantum computer breaks. It
shares no line with the package and verifies only: nothing here knows a secret. In the
one file that `hetao certificate export --verifier` writes, this stands in it.
"""

from __future__ import annotations

import functools
import hashlib


# --- what does not hold ---------------------------------------------------------------
class Refused(Exception):
    """The certificate does not hold; the message says which step."""


def need(holds: bool, words: str) -> None:
    """Return quietly if something holds."""
    if not holds:
        raise Refused(words)


# --- Ed25519, RFC 8032 ----------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
D2, LOW = 2 * D % P, 2**255 - 1
Point = tuple[int, int, int, int]  # x, y, z, x·y / z
Ready = tuple[int, int, int, int]  # y - x, y + x, 2·z, 2·D·x·y / z: what a sum takes


def _ready(a: Point) -> Ready:
    x, y, z, w = a
    return y - x, y + x, 2 * z, w * D2 % P


def _add(a: Point, b: Point) -> Point:
    return _plus(a, [_ready(b)])


def _plus(a: Point, others: list[Ready]) -> Point:
    """Return the sum of a point and all the others.

    2^255 is 19 here: that makes a product shorter at less than a remainder's cost.
    """
    x, y, z, w = a
    for less, more, double, rest in others:
        e, f, g, h = (y - x) * less, (y + x) * more, w * rest, z * double
        e, f = (e & LOW) + 19 * (e >> 255), (f & LOW) + 19 * (f >> 255)
        g, h = (g & LOW) + 19 * (g >> 255), (h & LOW) + 19 * (h >> 255)
        x, y, z, w = f - e, h - g, h + g, f + e
        x, y, z, w = x * y % P, z * w % P, y * z % P, x * w % P
    return x, y, z, w


def _point(data: bytes) -> Point:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    need(y < P, "a point is written in another form")
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    need((x * x - x2) % P == 0 and not (x == 0 and sign), "no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _bytes(a: Point) -> bytes:
    z = pow(a[2], -1, P)
    x, y = a[0] * z % P, a[1] * z % P
    return bytes((y | (x & 1) << 255).to_bytes(32, "little"))


def is_strong(key: bytes) -> bool:
    """Return whether a key is no point of small order, and in its one form.

    Under one a signature proves nothing. By its y: it is 1, -1 or 0 of orders 1, 2 and
    4; of order 8 the double has a y of 0, so that d y^4 + 2 y^2 = 1.
    """
    y = int.from_bytes(key, "little") & (2**255 - 1)
    small = y * (y * y - 1) * (D * y**4 + 2 * y * y - 1) % P == 0
    return len(key) == 32 and y < P and not small


def is_sealing(key: bytes) -> bool:
    """Return whether an X25519 key is no point of small order, and in its one form.

    By its u: the double of 1 and of -1, of order 4 on the curve and on its twist, is 0;
    that of order 8 is 1, so that (u^2 - 1)^2 = 4 u (u^2 + 486662 u + 1).
    """
    u = int.from_bytes(key, "little")
    square = (u * u - 1) ** 2
    small = u * square * (square - 4 * u * (u * u + 486662 * u + 1)) % P == 0
    return len(key) == 32 and u < P and not small


BASE = (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")


@functools.lru_cache(maxsize=64)  # a few keys sign all there is
def _multiples(data: bytes, width: int) -> list[list[Ready]]:
    """Return j · 2^(width · i) of a point, of which a product takes one for each i.

    For each i those of j from 0 to half of 2^width, then of the others, less 2^width.
    """
    point, half, rows = _point(data), 1 << width - 1, []
    for _ in range(0, 256, width):
        row, ready = [(0, 1, 1, 0)], _ready(point)
        for _ in range(half):
            row.append(_plus(row[-1], [ready]))
        point = _add(row[half], row[half])
        found = [_ready(one) for one in row]
        found += [(y, x, z, -w) for x, y, z, w in found[half - 1 : 0 : -1]]
        rows.append(found)
    return rows


def _product(number: int, data: bytes, width: int, plus: Point) -> Point:
    """Return a number, of less than 254 bits, times a point, and another point."""
    others, half, digits = [], 1 << width - 1, (1 << width) - 1
    for row in _multiples(data, width):
        number, digit = number >> width, number & digits
        number += digit > half  # 2^width more in the next, and so many fewer in this
        if digit:
            others.append(row[digit])
    return _plus(plus, others)


def holds(key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether an Ed25519 key signed a message."""
    if len(key) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    h = int.from_bytes(hashed, "little") % L
    try:
        x, y, z, w = _product(h, key, 4, (0, 1, 1, 0))
    except Refused:
        return False
    signed = _product(s, BASE, 6, (P - x, y, z, P - w))  # every signature takes this
    return _bytes(signed) == signature[:32]


# --- ML-DSA-44, FIPS 204 --------------------------------------------------------------
# Names in capitals and the numbers of algorithms are those of the standard.
Q, ROWS, TAU, OMEGA = 8380417, 4, 39, 80
GAMMA1, GAMMA2, BETA = 2**17, (8380417 - 1) // 88, 78
ZETAS = [pow(1753, int(f"{number:08b}"[::-1], 2), Q) for number in range(256)]
Poly = list[int]  # 256 coefficients of X^0 …; modulo X^256 + 1


def holds_44(key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether an ML-DSA-44 key signed a message, without a context."""
    if len(key) != 1312 or len(signature) != 2420:
        return False
    hints = _hints(signature[-OMEGA - ROWS :])
    z = [[GAMMA1 - one for one in _bits(signature, 32 + 576 * i, 18)] for i in range(4)]
    if hints is None or max(abs(one) for row in z for one in row) >= GAMMA1 - BETA:
        return False
    hashed = hashlib.shake_256(key).digest(64) + b"\0\0" + message
    mu = hashlib.shake_256(hashed).digest(64)
    challenge, tilde = _ntt(_ball(signature[:32])), b""
    masked = [_ntt(one) for one in z]
    for row in range(ROWS):
        total = [0] * 256
        for column in range(4):
            a = _uniform(key[:32] + bytes([column, row]))
            total = [t + a[i] * masked[column][i] for i, t in enumerate(total)]
        t1 = _ntt([one << 13 for one in _bits(key, 32 + 320 * row, 10)])
        w = _back([t - challenge[i] * t1[i] for i, t in enumerate(total)])
        high = [_high(r, place in hints[row]) for place, r in enumerate(w)]
        tilde += sum(one << 6 * i for i, one in enumerate(high)).to_bytes(192, "little")
    return hashlib.shake_256(mu + tilde).digest(32) == signature[:32]


def _bits(data: bytes, start: int, width: int) -> Poly:
    packed = int.from_bytes(data[start : start + 32 * width], "little")
    return [packed >> width * i & (1 << width) - 1 for i in range(256)]


def _hints(data: bytes) -> list[set[int]] | None:
    """Return the places of each row's hints; None if written another way (21)."""
    found, start = [], 0
    for stop in data[OMEGA:]:
        if not start <= stop <= OMEGA:
            return None
        row = list(data[start:stop])
        if row != sorted(set(row)):
            return None
        found.append(set(row))
        start = stop
    return found if not any(data[start:OMEGA]) else None


def _ball(seed: bytes) -> Poly:
    """Return 39 coefficients of ±1 among zeros (29)."""
    stream, found = hashlib.shake_256(seed).digest(4096), [0] * 256
    signs, at = int.from_bytes(stream[:8], "little"), 8
    for i in range(256 - TAU, 256):
        while stream[at] > i:
            at += 1
        found[i], found[stream[at]] = found[stream[at]], 1 - 2 * (signs & 1)
        signs, at = signs >> 1, at + 1
    return found


def _uniform(seed: bytes) -> Poly:
    """Return an entry of the matrix, which is drawn transformed (30)."""
    stream, found, at = hashlib.shake_128(seed).digest(4096), list[int](), 0
    while len(found) < 256:
        one = int.from_bytes(stream[at : at + 3], "little") & 0x7FFFFF
        found += [one] * (one < Q)
        at += 3
    return found


def _ntt(w: Poly) -> Poly:
    """Return a polynomial's values, by which it is multiplied place by place (41)."""
    found, step, number = list(w), 128, 0
    while step:
        for start in range(0, 256, 2 * step):
            number += 1
            for j in range(start, start + step):
                t = ZETAS[number] * found[j + step] % Q
                found[j], found[j + step] = found[j] + t, found[j] - t
        step //= 2
    return found


def _back(w: Poly) -> Poly:
    """Return the polynomial of these values (42)."""
    found, step, number = list(w), 1, 256
    while step < 256:
        for start in range(0, 256, 2 * step):
            number -= 1
            for j in range(start, start + step):
                t, u = found[j], found[j + step]
                found[j], found[j + step] = t + u, ZETAS[number] * (u - t) % Q
        step *= 2
    return [one * 8347681 % Q for one in found]  # 1/256


def _high(r: int, hinted: bool) -> int:
    """Return the high part of a number, by its hint (36, 40)."""
    low = (r + GAMMA2 - 1) % (2 * GAMMA2) - GAMMA2 + 1
    high = (r - low) // (2 * GAMMA2)
    if r - low == Q - 1:
        high, low = 0, low - 1
    return (high + (1 if low > 0 else -1) * hinted) % 44
