"""An approver signs a permit through a service that signs hashes, over real HTTPS."""

import base64
import contextlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hetao.cli.main import main
from hetao.errors import BadSignature, NotApproved, Unreachable, Usage
from hetao.federation import signing_csc
from hetao.federation.pki import new_authority, write_certificate
from hetao.federation.signing_csc import service_at
from hetao.permit import Bundle, code, read_bundle, signed_bytes, write_bundle
from support_permit import NOW, Scene
from support_signers import Example

TOKEN, PIN = "token-of-chan", "1234"


class Service(BaseHTTPRequestHandler):
    """A signing service that asks for a PIN, and signs what that was given for."""

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        asked = json.loads(self.rfile.read(size))
        self.server.seen.append((self.path, asked))
        bent = self.server.bent.get(self.path.rpartition("/")[2])
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "invalid_request"})
        if bent is not None:
            return bent(self)
        return self.answer(*getattr(self, self.path.rpartition("/")[2])(asked))

    def info(self, _):
        leaf = self.server.example.leaf.public_bytes(Encoding.DER)
        auth = {
            "mode": self.server.mode,
            "objects": [{"type": "Password", "id": "PIN"}],
        }
        cert = {"certificates": [base64.b64encode(leaf).decode()]}
        return 200, {"cert": cert, "auth": auth}

    def authorize(self, asked):
        given = {"id": "PIN", "value": PIN}
        if self.server.mode == "explicit" and asked["authData"] != [given]:
            return 400, {"error": "invalid_pin"}
        self.server.agreed = asked["hashes"]
        return 200, {"SAD": "sad-1"}

    def signHash(self, asked):  # noqa: N802 - the interface's own name
        agreed = asked["hashes"] == self.server.agreed and asked.get("SAD") == "sad-1"
        if self.server.mode != "oauth2code" and not agreed:
            return 400, {"error": "invalid_request"}
        wanted = (
            signing_csc.RSA_SHA256
            if isinstance(self.server.example.secret, rsa.RSAPrivateKey)
            else signing_csc.ECDSA_SHA256
        )
        assert (asked["signAlgo"], asked["hashAlgorithmOID"]) == (
            wanted,
            signing_csc.SHA256,
        )
        made = self.server.example.sign_hash(base64.b64decode(asked["hashes"][0]))
        return 200, {"signatures": [base64.b64encode(made.signature).decode()]}

    def answer(self, status, table):
        self.raw(status, json.dumps(table).encode())

    def raw(self, status, data, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Keep quiet."""


@contextlib.contextmanager
def serving(folder, example, mode="explicit"):
    """Serve on real TLS; yield the address, the authority's file and the server."""
    authority = new_authority("a service", NOW, 9000)
    pem = folder / "service.pem"
    pem.write_bytes(authority.pem)
    hosts = ("127.0.0.1",)
    files = write_certificate(folder / "tls", authority, "service", hosts, NOW, 9000)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.example, server.mode, server.agreed = example, mode, None
    server.seen, server.bent = [], {}
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/csc/v2", pem, server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module", params=["EC", "RSA"])
def example(request):
    if request.param == "RSA":
        return Example(secret=rsa.generate_private_key(65537, 2048))
    return Example(secret=ec.generate_private_key(ec.SECP256R1()))


def permit_with(example):
    """Return a permit whose ethics office in Hong Kong signs by certificate."""
    scene = Scene()
    rest = tuple(key for key in scene.keys if key.owner != "ethics-hk")
    return scene.varied(keys=(example.key(name="ethics-card"), *rest)).permit


def words(path, url, pem, token):
    said = ["permit", "service", str(path), "approve", "--key-name", "ethics-card"]
    said += ["--service", url, "--credential", "chan-1", "--token", str(token)]
    return [*said, "--authority", str(pem)]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr("hetao.cli.signing_service.utc_now", lambda: NOW)
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    return tmp_path / "permit.json", token


@pytest.mark.parametrize("mode", ["explicit", "implicit", "oauth2code"])
def test_an_approver_signs_through_a_service(
    mode, example, file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("getpass.getpass", lambda _: PIN)
    path, token = file
    write_bundle(path, Bundle(permit_with(example)))

    with serving(tmp_path, example, mode) as (url, pem, server):
        assert main(words(path, url, pem, token)) == 0

    (one,) = read_bundle(path).heard
    assert (one.notice.by, one.notice.verb) == ("ethics-hk", "approve")
    assert code(signed_bytes(one.statement.body)) in capsys.readouterr().err
    hashes = {tuple(asked["hashes"]) for _, asked in server.seen if "hashes" in asked}
    assert len(hashes) == 1  # the hash, and nothing else of the permit, has left
    assert permit_with(example).number not in json.dumps(server.seen)


def test_a_service_that_refuses_or_lies_signs_nothing(file, tmp_path, monkeypatch):
    example, other = Example(), Example()
    path, token = file
    write_bundle(path, Bundle(permit_with(example)))
    answers = {
        "a wrong PIN": ("", None, 3),
        "another's certificate": ("", other, 3),
        "no signature": ("signHash", lambda s: s.answer(200, {"signatures": []}), 3),
        "another shape": ("info", lambda s: s.answer(200, {"cert": {}}), 3),
        "no JSON": ("info", lambda s: s.raw(200, b"<html>"), 3),
        "a list": ("info", lambda s: s.raw(200, b"[]"), 3),
        "elsewhere": ("info", lambda s: s.raw(302, b"", Location="/other"), 3),
        "an error": ("signHash", lambda s: s.answer(500, {}), 3),
    }
    before = path.read_bytes()
    with serving(tmp_path, example) as (url, pem, server):
        for name, (method, answer, status) in answers.items():
            pin = "0" if name == "a wrong PIN" else PIN
            monkeypatch.setattr("getpass.getpass", lambda _, pin=pin: pin)
            server.example = answer if isinstance(answer, Example) else example
            server.bent = {method: answer} if method else {}
            assert main(words(path, url, pem, token)) == status, name
        token.write_text("a stolen one")
        assert main(words(path, url, pem, token)) == NotApproved.exit_code
        assert all("/other" not in where for where, _ in server.seen)

    assert path.read_bytes() == before


def test_a_server_that_is_not_the_service_is_given_no_token(tmp_path):
    with serving(tmp_path, Example()) as (url, _, server):
        service = service_at(url, "chan-1", (TOKEN, ""), None, str)
        with pytest.raises(Unreachable):
            service.sign_hash(bytes(32))
        assert server.seen == []
    with pytest.raises(Unreachable):
        service.sign_hash(bytes(32))  # nobody is there any more
    with pytest.raises(Usage):
        service_at(url.replace("https", "http"), "chan-1", (TOKEN, ""), None, str)
    assert TOKEN not in repr(service)


def test_activation_data_that_was_given_elsewhere_is_used(tmp_path):
    example = Example()
    with serving(tmp_path, example, "oauth2code") as (url, pem, server):
        service = service_at(url, "chan-1", (TOKEN, "sad-9"), pem, str)
        service.sign_hash(bytes(32))
        assert server.seen[-1][1]["SAD"] == "sad-9"

        server.mode = "by letter"
        with pytest.raises(BadSignature, match="unknown way"):
            service_at(url, "chan-1", (TOKEN, ""), pem, str).sign_hash(bytes(32))
