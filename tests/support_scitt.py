"""A transparency service in a process of its own, over TLS: honest, slow, and lying.

    python tests/support_scitt.py FOLDER

Its statements, receipts and trees are those of scitt-cose and cbor2, none of ours. The
first part of a path says how it behaves: `https://127.0.0.1:PORT/later/entries`. FOLDER
gets its certificate, its keys, and each request that it was sent.
"""

import contextlib
import hashlib
import http.server
import itertools
import json
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cbor2
import scitt_cose
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

NAME = "https://notary.example"
WHEN = 1_790_000_000  # seconds since 1970: what its receipts state
BEFORE = [b"somebody's statement", b"another's"]
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ALGORITHMS = ("EdDSA", "ES256", "ES384")


def secret_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key):
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form)


def new_keys():
    """Return one key of each algorithm, and a second Ed25519 key that nobody trusts."""
    return {
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "other": ed25519.Ed25519PrivateKey.generate(),
    }


def cose_key(key, kid):
    """Return a key as a service publishes it."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {1: 1, 2: kid, -1: 6, -2: key.public_key().public_bytes_raw()}
    at, width = key.public_key().public_numbers(), key.key_size // 8
    x, y = (number.to_bytes(width, "big") for number in (at.x, at.y))
    return {1: 2, 2: kid, -1: 1 if width == 32 else 2, -2: x, -3: y}


def key_set(keys):
    """Return the trusted keys as one COSE_KeySet."""
    return cbor2.dumps([cose_key(keys[one], one.encode()) for one in ALGORITHMS])


def issuer_pem(statement):
    """Return the key that a statement names as its issuer by did:key, as PEM."""
    protected = cbor2.loads(cbor2.loads(statement).value[0])
    number = 0
    for digit in protected[15][1].removeprefix("did:key:z"):
        number = number * 58 + BASE58.index(digit)
    data = number.to_bytes(34, "big")
    assert data[:2] == b"\xed\x01"
    key = ed25519.Ed25519PublicKey.from_public_bytes(data[2:])
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def receipt_of(entry, entries, key, alg="EdDSA", **claims):
    """Return the receipt, as scitt-cose makes it, that an entry is in a tree."""
    every = [one.hex() for one in entries]
    said = {"iss": NAME, "sub": "root", "iat": WHEN, "kid": alg.encode()} | claims
    return scitt_cose.build_receipt(
        leaf_entry_hex=entry.hex(),
        leaf_index=entries.index(entry),
        tree_entries_hex=every,
        alg=alg,
        log_private_key_pem=secret_pem(key),
        **said,
    )


@dataclass
class Bent:
    """A receipt taken apart, to be put together otherwise and signed anew."""

    protected: object
    unprotected: object
    root: bytes
    payload: bytes | None = None

    @classmethod
    def of(cls, entry, entries):
        true = receipt_of(entry, entries, ed25519.Ed25519PrivateKey.generate())
        protected, unprotected, _, _ = cbor2.loads(true).value
        root = scitt_cose.merkle_root([one.hex() for one in entries])
        return cls(cbor2.loads(protected), unprotected, bytes.fromhex(root))

    @property
    def proof(self):
        return cbor2.loads(self.unprotected[396][-1][0])

    def signed(self, key):
        head = self.protected
        head = head if isinstance(head, bytes) else cbor2.dumps(head)
        said = cbor2.dumps(["Signature1", head, b"", self.root])
        parts = [head, self.unprotected, self.payload, key.sign(said)]
        return cbor2.dumps(cbor2.CBORTag(18, parts))


# --- how a service may lie: each changes one thing, and signs what it then says -------
CLAIMS = {1: NAME, 2: "root", 6: WHEN}
HEADERS = {  # what stands in the protected header instead
    "another-algorithm": {1: -7},  # ES256, over a signature of Ed25519
    "algorithm-none": {1: 0},
    "algorithm-true": {1: True},
    "another-tree": {395: 2},
    "critical": {2: [-65537], -65537: 1},
    "critical-list": {2: [[395]]},
    "critical-empty": {2: []},
    "time-in-text": {15: CLAIMS | {6: "2026-01-01"}},
    "time-in-part": {15: CLAIMS | {6: 1.5}},
    "time-beyond": {15: CLAIMS | {6: 2**60}},
    "time-before": {15: CLAIMS | {6: -1}},
    "name-of-controls": {15: CLAIMS | {1: "\x1b[2Jnotary"}},
    "name-of-pages": {15: CLAIMS | {1: "notary" * 99}},
    "claims-in-a-list": {15: [NAME]},
    "tags": {15: cbor2.CBORTag(4_000, CLAIMS)},
    "pattern": {15: cbor2.CBORTag(35, "(a+)+$")},  # which a library would compile
    "deep": {15: json.loads("[" * 400 + "]" * 400)},
}
SPELLINGS = {  # how the protected header is written
    "twice": lambda head: bytes([head[0] + 1]) + head[1:] + b"\x01\x27",
    "open-length": lambda head: b"\xbf" + head[1:] + b"\xff",
    "long-number": lambda head: head.replace(b"\x19\x01\x8b", b"\x1a\0\0\x01\x8b"),
    "no-algorithm": lambda head: (
        bytes([head[0] - 1]) + head.replace(b"\x01\x27", b"")[1:]
    ),
    "list-of-headers": lambda _: cbor2.dumps([1, -8]),
    "no-headers": lambda _: b"",
}
PROOFS = {  # what stands in the unprotected header
    "not-in-the-tree": lambda size, at, path: [[size, at, [bytes(32) for _ in path]]],
    "long-path": lambda *_: [[2**60, 0, [bytes(32)] * 70]],
    "size-beyond": lambda _, at, path: [[2**64 - 1, at, path]],
    "before-the-first": lambda size, _, path: [[size, -1, path]],
    "a-great-many-hashes": lambda size, at, _: [[size, at, [0] * 100_000]],
    "two-proofs": lambda *proof: [proof, proof],
    "no-proof": lambda *_: [],
    "proof-of-text": lambda *_: ["size, index, path"],
}
SENT = {  # what is sent instead of the true receipt
    "cut": lambda receipt: receipt[:-9],
    "more": lambda receipt: receipt + b"\0",
    "no-tag": lambda receipt: receipt[1:],
    "page": lambda _: b"<!DOCTYPE html><title>Sign in</title>",
    "huge": lambda _: b"\xd2" * 2**20,
    "short": lambda _: b"\xd2",
    "number": lambda _: b"\xd2\x01",
}
OTHERWISE = (
    "another-key",
    "key-in-header",
    "anothers-receipt",
    "another-root",
    "attached",
)
LIES = (*HEADERS, *SPELLINGS, *PROOFS, *SENT, *OTHERWISE)


def lie(name, entry, entries, keys):
    """Return what a service that lies in this way sends in a receipt's place."""
    key, bent = keys["EdDSA"], Bent.of(entry, entries)
    bent.protected |= HEADERS.get(name, {})
    if name in PROOFS:
        proofs = [cbor2.dumps(one) for one in PROOFS[name](*bent.proof)]
        bent.unprotected = {396: {-1: proofs}}
    if name == "attached":
        bent.payload = bent.root
    if name == "another-root":
        bent.root = hashlib.sha256(bent.root).digest()
    if name in ("another-key", "key-in-header"):
        key = keys["other"]
    if name == "key-in-header":
        bent.protected[14] = cose_key(key, b"other")  # kccs
        bent.unprotected = bent.unprotected | {33: public_pem(key)}
    if name in SPELLINGS:
        bent.protected = SPELLINGS[name](cbor2.dumps(bent.protected))
    if name == "anothers-receipt":
        return receipt_of(entries[0], entries, key)
    return SENT.get(name, bytes)(bent.signed(key))


class Service(http.server.BaseHTTPRequestHandler):
    """What answers. `keys`, `folder` and `entries` are the process's."""

    protocol_version = "HTTP/1.1"
    keys, folder, lock, count = None, None, threading.Lock(), itertools.count()
    entries, looks = [], {}  # of each way to behave; how often each place was seen

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"{self.command} {self.path}\n{self.headers}".encode()
        with self.lock:
            (self.folder / f"asked-{next(self.count)}").write_bytes(head + body)
        mode = self.path.split("/")[1]
        told = scitt_cose.parse_signed_statement(body, public_key_pem=issuer_pem(body))
        if not told["signature_verified"] or told["subject"] != "root":
            self.answer(400, cbor2.dumps({-1: "Rejected", -2: "Not signed"}))
            return
        getattr(self, f"post_{mode.replace('-', '_')}", self.enter)(mode, body)

    def do_GET(self):
        mode, place = self.path.split("/")[1:][::2][:2]
        with self.lock:
            seen = self.looks[place] = self.looks.get(place, 0) + 1
        body = (self.folder / f"statement-{place}").read_bytes()
        if mode == "later" and seen < 3:
            self.answer(302, Location=self.path, Retry_After="0")
        elif mode == "busy" and seen == 1:
            self.answer(429, cbor2.dumps({-1: "Too Many Requests"}), Retry_After="0")
        elif mode == "never":
            self.answer(302, Retry_After="0", Location=self.path)
        elif mode == "forgotten":
            self.answer(404, cbor2.dumps({-1: "Operation Not Found"}))
        else:
            self.answer(200, self.receipt(mode, body))

    def enter(self, mode, body):
        self.answer(201, self.receipt(mode, body))

    def receipt(self, mode, body):
        entry = hashlib.sha256(body).digest() if mode == "digest" else body
        entries = [*BEFORE, entry]
        if mode in LIES:
            return lie(mode, entry, entries, self.keys)
        if mode == "timeless":
            return receipt_of(
                entry, entries, self.keys["EdDSA"], iat=None, iss=None, kid=None
            )
        if mode == "hints":
            bent = Bent.of(entry, entries)
            bent.unprotected[33] = b"a certificate"
            return bent.signed(self.keys["EdDSA"])
        alg = mode if mode in ALGORITHMS else "EdDSA"
        return receipt_of(entry, entries, self.keys[alg], alg)

    def wait_at(self, status, body, **headers):
        place = hashlib.sha256(body).hexdigest()[:12]
        (self.folder / f"statement-{place}").write_bytes(body)
        mode = self.path.split("/")[1]
        where = headers.pop("Location", f"/{mode}/entries/{place}")
        self.answer(status, Location=where, **{"Retry_After": "0"} | headers)

    def post_later(self, mode, body):
        port = self.server.server_port
        place = hashlib.sha256(body).hexdigest()[:12]
        where = f"https://127.0.0.1:{port}/{mode}/entries/{place}"
        self.wait_at(303, body, Location=where)

    def post_accepted(self, _, body):
        self.wait_at(202, body)

    def post_created(self, _, body):
        self.wait_at(201, body)

    post_busy = post_never = post_forgotten = post_accepted

    def post_elsewhere(self, _, body):
        self.wait_at(303, body, Location="https://other.example/entries/1")

    def post_other_port(self, _, body):
        self.wait_at(303, body, Location="https://127.0.0.1:1/entries/1")

    def post_plain(self, _, body):
        where = f"http://127.0.0.1:{self.server.server_port}/later/entries/1"
        self.wait_at(303, body, Location=where)

    def post_bracket(self, _, body):
        self.wait_at(303, body, Location="https://[")

    def post_tomorrow(self, _, body):
        self.wait_at(303, body, Retry_After="86400")

    def post_dated(self, _, body):
        self.wait_at(303, body, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT")

    def post_nowhere(self, *_):
        self.answer(303)

    def post_refused(self, *_):
        said = {-1: "Rejected", -2: "Issuer \x1b[31munknown"}
        self.answer(400, cbor2.dumps(said))

    def post_refused_in_json(self, *_):
        self.answer(403, b'{"title": "Forbidden", "detail": "Issuer unknown"}')

    def post_refused_in_words(self, *_):
        self.answer(401, b"<h1>Sign in</h1>")

    def post_broken(self, *_):
        self.answer(500)

    def post_too_many(self, *_):
        self.answer(429, Retry_After="9")

    def post_gone(self, *_):
        self.close_connection = True

    def post_slow(self, *_):
        self.send_response(201)
        self.send_header("Content-Length", "9999")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"\xd2")
                self.wfile.flush()
                time.sleep(0.1)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # of an answer that is too long for them
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(folder):
    """Serve until killed; the port is the first line that is printed."""
    Service.folder, Service.keys = folder, new_keys()
    (folder / "keys.cbor").write_bytes(key_set(Service.keys))
    pem = b"".join(public_pem(Service.keys[one]) for one in ALGORITHMS)
    (folder / "keys.pem").write_bytes(pem)
    (folder / "other.pem").write_bytes(public_pem(Service.keys["other"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


@dataclass(frozen=True)
class Running:
    """A service that runs. Its ways to behave are paths under `url`."""

    url: str
    folder: Path
    tls: ssl.SSLContext

    @property
    def keys(self):
        return self.folder / "keys.cbor"

    @property
    def authority(self):
        return self.folder / "server.pem"

    def asked(self):
        """Return each request: its head, and its body."""
        found = [one.read_bytes() for one in self.folder.glob("asked-*")]
        return [one.partition(b"\n\n")[::2] for one in found]


@contextlib.contextmanager
def running(folder):
    """Give a service in a process of its own."""
    words = ["openssl", "req", "-x509", "-nodes", "-days", "9"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-subj", "/CN=notary", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", "server.key", "-out", "server.pem"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    words = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        tls = ssl.create_default_context(cafile=folder / "server.pem")
        try:
            yield Running(f"https://127.0.0.1:{port}", folder, tls)
        finally:
            process.terminate()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
