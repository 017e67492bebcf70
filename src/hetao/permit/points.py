"""Ed25519 public keys under which a signature proves nothing.

Under a point of small order a signature that needs no secret holds for one message in
eight, or for every one, and who chose such a key can say that anybody may have signed.
RFC 8032 lets a verifier take them. Nobody's key is one by chance.

Source:
    Brendel, Cremers, Jackson, Zhao (2021), IEEE S&P: the provable security of Ed25519;
    Chalkias, Garillot, Nikolaenko (2020), SSR, "Taming the many EdDSAs".
"""

from typing import Final

_P: Final = 2**255 - 19
_OF_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "little",
)
_SMALL: Final = frozenset((0, 1, _P - 1, _OF_ORDER_8, _P - _OF_ORDER_8))


def is_weak(raw: bytes) -> bool:
    """Return whether 32 bytes are a point of small order, or one in another form.

    By its y alone: the two points of one y have the same order.
    """
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y >= _P or y in _SMALL
