"""Mutual TLS 1.3 of the two sides of a way to a hub, which loads no HTTP."""

import ssl
from pathlib import Path


def client_tls(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return a TLS 1.3 context that shows our certificate and checks the hub's."""
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


def server_tls(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return a TLS 1.3 context that demands a client certificate of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    return context
