"""X.509 certificates of others, read without a word of the library's on the screen.

What the library warns of while it reads is an oddity of somebody else's certificate: it
is refused here, where it matters, or else it is nobody's business.
"""

import contextlib
import warnings
from collections.abc import Iterator

from cryptography import x509


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Pass over what is warned of within."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def certificate_from(raw: bytes) -> x509.Certificate:
    """Return the certificate of DER bytes.

    Raises:
        ValueError, x509.InvalidVersion: it is none, or its serial number is not
            positive, as RFC 5280 asks.
    """
    with unwarned():
        found = x509.load_der_x509_certificate(raw)
        if found.serial_number <= 0:
            raise ValueError("the serial number is not positive")
    return found
