"""Public keys that do nothing: Ed25519 ones to sign by, X25519 ones to seal to.

Under a point of small order a signature that needs no secret holds for one message in
eight, or for every one, and who chose such a key can say that anybody may have signed.
RFC 8032 lets a verifier take them. With a point of small order every secret key agrees
on nothing but noughts: RFC 7748 lets an implementation take them, RFC 9180 does not.
Nobody's key is one by chance.

Source:
    Brendel, Cremers, Jackson, Zhao (2021), IEEE S&P: the provable security of Ed25519;
    Chalkias, Garillot, Nikolaenko (2020), SSR, "Taming the many EdDSAs"; Bernstein
    (2006), PKC: Curve25519, of whose curve and twist they are; RFC 9180, section 7.1.4.
"""

from typing import Final

_P: Final = 2**255 - 19
_OF_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "little",
)
_SMALL: Final = frozenset((0, 1, _P - 1, _OF_ORDER_8, _P - _OF_ORDER_8))
_SEALS_OF_ORDER_8: Final = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_SMALL_SEALS: Final = frozenset((0, 1, _P - 1, *_SEALS_OF_ORDER_8))


def is_weak(raw: bytes) -> bool:
    """Return whether 32 bytes are a point of small order, or one in another form.

    By its y alone: the two points of one y have the same order.
    """
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y >= _P or y in _SMALL


def is_weak_seal(raw: bytes) -> bool:
    """Return whether 32 bytes are a u of small order, or one in another form.

    X25519 leaves the highest bit out of account, and takes u modulo p.
    """
    u = int.from_bytes(raw, "little")
    return u >= _P or u in _SMALL_SEALS
