"""A log that shows two readers two histories gets neither past both witnesses.

Real processes: two witnesses over HTTPS, each with an authority of its own; the log's
two faces over HTTPS; two readers. What one of them is shown, the other never accepts,
and together they convict the log before a third, who needs the proof alone.
"""

import asyncio
import contextlib
import http.server
import ssl
import threading

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hetao.federation.clock import utc_now
from hetao.federation.pilot import free_ports
from hetao.federation.pki import new_authority, write_certificate
from hetao.ledger.log import Log
from hetao.ledger.policy import parse_policy
from hetao.transparency.client import cosignatures, witness_tls
from hetao.transparency.static import export
from support_system import called, hetao, read_until, start

ORIGIN = "log.example.org/study"
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
HOST, NAMES = "127.0.0.1", ("w1", "w2")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def served(folder, tmp_path):
    """Serve a folder over HTTPS; give its address and who vouches for it."""
    now = utc_now()
    authority = new_authority("web authority", now, 1)
    files = write_certificate(tmp_path, authority, "web", [HOST], now, 1)
    (tmp_path / "web.pem").write_bytes(authority.pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)

    def handler(*words):
        return Quiet(*words, directory=folder)

    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://{HOST}:{server.server_port}", tmp_path / "web.pem"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def witness(folder, vkey, capsys, port):
    """Serve a witness as a process; give its line of a policy and its authority."""
    keys = called(capsys, "witness", "init", folder, "--name", folder.name).out
    assert called(capsys, "witness", "trust", folder, vkey).code == 0
    assert called(capsys, "witness", "tls", folder, "--host", HOST).code == 0
    process = start("witness", "serve", folder, "--host", HOST, "--port", port)
    try:
        read_until(process, "serves https")
        first = keys.splitlines()[0]
        yield f"witness {folder.name} {first} https://{HOST}:{port}\n"
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


def test_two_readers_never_accept_two_histories(tmp_path, capsys):
    www, logs = tmp_path / "www", {}
    for face in ("a", "b"):
        logs[face] = Log.open(tmp_path / face, ORIGIN, KEY)
        logs[face].append([b"entry %d" % i for i in range(5)])
        logs[face].append([b"shown to %s alone" % face.encode()] * (1 + (face == "b")))
    vkey = logs["a"].verifiers[0].vkey
    with contextlib.ExitStack() as stack:
        for log in logs.values():
            stack.callback(log.close)
        eyes = [
            stack.enter_context(witness(tmp_path / name, vkey, capsys, port))
            for name, port in zip(NAMES, free_ports(2), strict=True)
        ]
        text = f"log {vkey}\n" + "".join(eyes) + "group both all w1 w2\nquorum both\n"
        (tmp_path / "policy").write_text(text)
        both = [(tmp_path / name / "authority.pem").read_bytes() for name in NAMES]
        (tmp_path / "eyes.pem").write_bytes(b"".join(both))

        for face, given in (("a", 2), ("b", 0)):
            lines, failed = asyncio.run(
                cosignatures(
                    logs[face],
                    logs[face].checkpoint(),
                    parse_policy(text.encode()),
                    witness_tls(tmp_path / "eyes.pem"),
                )
            )
            assert (lines.count("\n"), len(failed)) == (given, 2 - given)
            export(
                logs[face], www / face, cosigned=lambda note, more=lines: note + more
            )
        found = [proof for name in NAMES for proof in (tmp_path / name).glob("fraud-*")]
        assert len(found) == 2  # each witness has seen enough to prove it by itself

        url, web = stack.enter_context(served(www, tmp_path))
        said = {
            face: hetao(
                *("log", "follow", f"{url}/{face}", tmp_path / f"seen-{face}"),
                *("--policy", tmp_path / "policy", "--authority", web),
            )
            for face in ("a", "b")
        }
        assert said["a"].code == 0, said["a"].err
        assert said["b"].code == 6
        assert "quorum" in said["b"].err
        seen = [tmp_path / "seen-a", tmp_path / "seen-b"]
        told = ("--tiles", f"{url}/b", "--authority", web, "--key", vkey)
        compared = called(capsys, "log", "compare", *seen, *told, "--out", tmp_path)
        assert compared.code == 6
        assert "two histories" in compared.err
    # All servers are gone: the proof alone convinces a third.
    for proof in (*tmp_path.glob("fraud-*.json"), *found):
        third = called(capsys, "log", "fraud", proof, "--key", vkey)
        assert (third.code, third.out[:6]) == (0, "PROVED")
    spoilt = proof.read_text().replace("\\n7\\n", "\\n8\\n")
    assert spoilt != proof.read_text()
    (tmp_path / "spoilt").write_text(spoilt)
    assert called(capsys, "log", "fraud", tmp_path / "spoilt", "--key", vkey).code == 6
