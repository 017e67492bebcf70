"""A time-stamping authority: RFC 3161, lawful and known on both sides.

The authority signs the SHA-256 of the root. Its certificate is the verifier's to trust:
it comes from the verifier, never from the stamp.
"""

import base64
import datetime
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hetao.anchor.answers import answer_to
from hetao.anchor.stamp import Stamp, Stamped, check_root
from hetao.errors import InvalidData, Unverified, Usage
from hetao.permit.certificates import certificate_from, unwarned

try:
    import rfc3161_client as tsp
except ImportError as missing:  # pragma: no cover - the extra is absent
    raise Usage(
        "time-stamps need rfc3161-client", fix="pip install 'hetao[tsa]'"
    ) from missing

SECONDS: Final = 30.0
LARGEST: Final = 1 << 18  # bytes of an answer
_TYPE: Final = "application/timestamp-query"


class Authority:
    """A time-stamping authority, and the certificates that vouch for it."""

    def __init__(self, url: str, roots: Path) -> None:
        """Take the address, "" to verify only, and a PEM file of trusted roots.

        Raises:
            InvalidData: the file holds no certificate.
        """
        self.url = url
        try:
            with unwarned():
                self._roots = x509.load_pem_x509_certificates(roots.read_bytes())
        except (OSError, ValueError, x509.InvalidVersion) as error:
            raise InvalidData(
                f"{roots} holds no certificate", fix="name the authority's root as PEM"
            ) from error

    def stamp(self, root: bytes) -> Stamp:
        """Have the authority sign a root; see `Anchor`."""
        if not self.url.startswith(("http://", "https://")):
            raise Usage("a time-stamping authority has an http address")
        builder = tsp.TimestampRequestBuilder().data(root)
        builder = builder.hash_algorithm(tsp.HashAlgorithm.SHA256).nonce(nonce=True)
        request = builder.cert_request(cert_request=True).build()
        asked = urllib.request.Request(  # noqa: S310 - the address is http, above
            self.url, data=request.as_bytes(), headers={"Content-Type": _TYPE}
        )
        data = answer_to(asked, LARGEST, SECONDS, "the time-stamping authority")
        proof = base64.b64encode(data).decode("ascii")
        stamp = Stamp("rfc3161", root.hex(), self.url, proof)
        self._checked(stamp, root, request.nonce)
        return stamp

    def verify(self, stamp: Stamp, root: bytes) -> Stamped:
        """Return when the authority signed this root; see `Anchor`."""
        return self._checked(stamp, root, None)

    def _checked(self, stamp: Stamp, root: bytes, nonce: int | None) -> Stamped:
        check_root(stamp, "rfc3161", root)
        try:
            answer = tsp.decode_timestamp_response(stamp.raw)
        except ValueError as error:
            raise Unverified("the token is not one of RFC 3161") from error
        builder = tsp.VerifierBuilder()
        for certificate in self._roots:
            builder = builder.add_root_certificate(certificate)
        if nonce is not None:
            builder = builder.nonce(nonce)
        try:
            builder.build().verify_message(answer, root)
        except (tsp.VerificationError, ValueError) as error:
            raise Unverified(f"the token does not verify: {error}") from error
        info = answer.tst_info
        who = _authority(answer.signed_data.certificates)
        return Stamped(root, info.gen_time.astimezone(datetime.UTC), who)


def _authority(certificates: Iterable[bytes]) -> str:
    """Return the subject of the one certificate that may sign times."""
    found = []
    for data in certificates:
        try:
            certificate = certificate_from(data)
            usage = certificate.extensions.get_extension_for_class(
                x509.ExtendedKeyUsage
            )
        except (
            ValueError,
            x509.DuplicateExtension,
            x509.ExtensionNotFound,
            x509.InvalidVersion,
        ):
            continue  # it signs no times
        if ExtendedKeyUsageOID.TIME_STAMPING in usage.value:
            found.append(certificate.subject.rfc4514_string())
    # The set is not signed: where somebody added one, nobody is named.
    return found[0] if len(found) == 1 else "an authority that your roots vouch for"
