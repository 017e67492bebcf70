"""What binds a sum to the rows that it was made of, and to what was signed before it.

Both ends of a site's step are committed to, and hidden: a digest of a small table alone
could be guessed. The nonces follow from a secret of the site, so that it can carry the
step out again, under an auditor's eyes, and show that every bit is the one it released.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

NONCE_BYTES: Final = 32
HIDDEN: Final = b"\x03"  # keeps these commitments apart from those of trees


@dataclass(frozen=True)
class Binding:
    """What a release record says of a sum besides the sum.

    Attributes:
        cites: digest of the record before: of the same analysis's round before, or of
            the site's `ready` for its first.
        input: commitment to the rows of the analysis, the same in each of its rounds.
        nonce: by which what leaves is committed to.
    """

    cites: str
    input: str
    nonce: bytes

    def as_json(self, words: NDArray[np.uint64]) -> dict[str, Any]:
        """Return the fields of the record, given what is shared between the hubs."""
        output = commit(self.nonce, words.astype("<u8").tobytes())
        return {"cites": self.cites, "input": self.input, "output": output}


def nonce_for(secret: bytes, *what: str) -> bytes:
    """Return the nonce of one commitment, which nobody without the secret can make."""
    words = [one.encode() for one in ("hetao.binding/1", *what)]
    info = b"".join(len(word).to_bytes(4, "big") + word for word in words)
    return HKDF(SHA256(), NONCE_BYTES, salt=None, info=info).derive(secret)


def commit(nonce: bytes, content: bytes) -> str:
    """Return the commitment to some bytes: it binds them, and says nothing of them."""
    inner = hashlib.sha256(content).digest()
    return "sha256:" + hashlib.sha256(HIDDEN + nonce + inner).hexdigest()
