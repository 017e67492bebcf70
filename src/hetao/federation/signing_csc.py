"""A service that signs a hash, over the Cloud Signature Consortium's API (version 2).

    POST credentials/info        the holder's certificate, and how they are asked
    POST credentials/authorize   the holder agrees to this one hash, and to nothing else
    POST signatures/signHash     the signature over it

Nothing that the service says is believed: what it hands back counts by the authority's
certificate in the list of keys (`hetao.permit.services`). Only the hash leaves.
"""

import base64
import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from hetao.errors import BadSignature, InvalidData, NotApproved, Unreachable, Usage
from hetao.permit.certificates import certificate_from
from hetao.permit.services import BENT, HashSignature

SECONDS: Final = 120.0  # in which the holder may be asked on their telephone
LARGEST: Final = 2**18  # bytes of an answer
SHA256: Final = "2.16.840.1.101.3.4.2.1"
ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"
RSA_SHA256: Final = "1.2.840.113549.1.1.11"
ASKED_HERE: Final = "explicit"  # the holder's password goes through this program
ASKED_THERE: Final = ("implicit", "oauth2code")
PLAIN: Final = re.compile("[\x21-\x7e]+")  # ASCII, without spaces or controls


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A service stands where its address says: no token is carried elsewhere."""

    def http_error_302(self, *_: object, **__: object) -> None:
        """Follow nothing, and do not read where to."""
        return

    http_error_301 = http_error_303 = http_error_302
    http_error_307 = http_error_308 = http_error_302


@dataclass(frozen=True)
class CscService:
    """One person's credential at a signing service; see `HashSigningService`.

    Attributes:
        url: of the service up to the methods' names, `https://…/csc/v2`.
        credential: identifier of the credential there.
        token: OAuth 2.0 access token, as the service issued it to the holder.
        tls: how the service's server is trusted.
        ask: returns what the holder knows by that name, such as their PIN; asked only
            of credentials that are authorised here.
        sad: signature activation data, where the holder got it elsewhere.
    """

    url: str
    credential: str
    token: str
    tls: ssl.SSLContext
    ask: Callable[[str], str]
    sad: str = ""

    def __repr__(self) -> str:
        """Return address and credential: no secret."""
        return f"CscService({self.url!r}, {self.credential!r})"

    def sign_hash(self, digest: bytes) -> HashSignature:
        """Return the signature over a SHA-256 hash, 32 bytes, with a certificate.

        Raises:
            NotApproved: the service, or the person, said no.
            Unreachable: the service does not answer.
            BadSignature: it answers with something else than its interface says.
        """
        asked = {"credentialID": self.credential}
        info = self._post(
            "credentials/info", asked | {"certificates": "single", "authInfo": True}
        )
        try:
            certificate = _decoded(info["cert"]["certificates"][0])
            algorithm = _algorithm(certificate)
            hashed = base64.b64encode(digest).decode()
            what = asked | {"hashes": [hashed], "hashAlgorithmOID": SHA256}
            sad = self.sad or self._authorised(what, info)
            given = what | {"signAlgo": algorithm} | ({"SAD": sad} if sad else {})
            (signature,) = self._post("signatures/signHash", given)["signatures"]
            return HashSignature(_decoded(signature), certificate)
        except (KeyError, IndexError, *BENT, AttributeError) as error:
            raise BadSignature(
                "the signing service answers otherwise than its interface says"
            ) from error

    def _authorised(self, what: Mapping[str, Any], info: Mapping[str, Any]) -> str:
        """Have the holder agree to this hash; return what says so, "" by the token."""
        auth = info.get("auth", {})
        mode = str(auth.get("mode", info.get("authMode", "")))
        known: list[dict[str, str]] = []
        if mode == ASKED_HERE:
            names = [_said(one["id"]) for one in auth["objects"]]
            known = [{"id": name, "value": self.ask(name)} for name in names]
        elif mode not in ASKED_THERE:
            raise BadSignature("the signing service asks its holder in an unknown way")
        if mode == "oauth2code":
            return ""  # a token of the scope "credential" says it, or nothing is signed
        asked = {**what, "numSignatures": 1, "authData": known}
        return _said(self._post("credentials/authorize", asked)["SAD"])

    def _post(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = json.loads(self._sent(method, body))
        except (ValueError, RecursionError):  # which hold the answer, secrets and all
            raise BadSignature("the signing service does not answer in JSON") from None
        if not isinstance(found, dict):
            raise BadSignature("the signing service does not answer with an object")
        return found

    def _sent(self, method: str, body: Mapping[str, Any]) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - https, by `service_at`
            f"{self.url}/{method}",
            data=json.dumps(dict(body)).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        handlers = (_NoRedirect(), urllib.request.HTTPSHandler(context=self.tls))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return bytes(answer.read(LARGEST))
        except urllib.error.HTTPError as error:
            raise NotApproved(
                f"the signing service refuses {method} with status {error.code}",
                fix="see whether token and credential hold, and whether you agreed",
            ) from error
        except (OSError, http.client.HTTPException) as error:  # or TLS does not hold
            raise Unreachable(
                f"the signing service cannot be reached: {type(error).__name__}"
            ) from error


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _said(text: object) -> str:
    if not isinstance(text, str) or not text:
        raise BadSignature("the signing service leaves out what its interface asks")
    return text


def _algorithm(certificate: bytes) -> str:
    key = certificate_from(certificate).public_key()
    return ECDSA_SHA256 if isinstance(key, EllipticCurvePublicKey) else RSA_SHA256


def service_at(
    url: str,
    credential: str,
    secrets: tuple[str, str],
    authority: Path | None,
    ask: Callable[[str], str],
) -> CscService:
    """Return the service at an address.

    Args:
        url: `https://…/csc/v2`.
        credential: identifier of the credential there.
        secrets: access token, and signature activation data or "".
        authority: certificates that its server is trusted by, PEM; the system's if
            None.
        ask: as of `CscService`.

    Raises:
        Usage: it is no https address.
        InvalidData: the file holds no certificate, or the token is none.
    """
    _check_address(url)
    token, sad = (one.strip() for one in secrets)
    if not token or not token.isascii() or not token.isprintable():
        raise InvalidData("an access token is one line of printable ASCII")
    try:
        tls = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise InvalidData(f"{authority} holds no certificate") from error
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return CscService(url.rstrip("/"), credential, token, tls, ask, sad)


def _check_address(url: str) -> None:
    """Refuse what is no plain https address of a host, with or without a port."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # as a resolver does: no label is empty or too long
        rest = parts.username, parts.password, parts.query, parts.fragment, parts.port
    except ValueError:
        raise Usage("the address of the signing service is malformed") from None
    if not url.startswith("https://") or not host:
        raise Usage("a signing service has an https address")
    if not PLAIN.fullmatch(url) or "%" in parts.netloc or any(rest[:4]):
        raise Usage(
            "the address of a signing service is host, port and path, in ASCII",
            fix="write a name in other letters as xn--…",
        )
