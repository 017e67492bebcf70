"""TLS certificates for a network of one machine, or of a pilot.

One authority for each park, each listed by the other, no shared root. Transport
security is the second lock; the first is the signed and sealed envelope. A hospital
would use its own authority's certificates instead; the common name is the party's.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Authority:
    """A park's certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Return the certificate that others list."""
        return self.certificate.public_bytes(Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def new_authority(
    name: str,
    now: datetime.datetime,
    days: int,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Authority:
    """Return a fresh authority, valid for `days` from `now`; its key too, if none."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    certificate = (
        _builder(name, name, public, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def write_certificate(
    folder: Path,
    authority: Authority,
    name: str,
    hosts: Sequence[str],
    now: datetime.datetime,
    days: int,
) -> tuple[Path, Path]:
    """Write `NAME.tls.pem` and `NAME.tls.key` to the disk, and return the two paths.

    Args:
        folder: where to.
        authority: who signs.
        name: the party; becomes the common name.
        hosts: DNS names or addresses at which the party serves; empty for a client.
        now: from when it is valid.
        days: for how long.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    issuer = authority.certificate
    subject_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    usage = ExtendedKeyUsageOID
    builder = (
        _builder(name, _common_name(issuer), public, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([usage.SERVER_AUTH if hosts else usage.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                subject_id.value
            ),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.tls.pem", folder / f"{name}.tls.key"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(paths[1], secret)
    write_whole(paths[0], certificate.public_bytes(Encoding.PEM))
    return paths


def write_whole(path: Path, data: bytes) -> None:
    """Write a file for its owner alone, whole and on disk, or not at all."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)  # of a run that was killed
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _common_name(certificate: x509.Certificate) -> str:
    value = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(value)


def _builder(
    subject: str,
    issuer: str,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ a little
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
