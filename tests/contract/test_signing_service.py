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
from hetao.errors import BadSignature, InvalidData, NotApproved, Unreachable, Usage
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


def example_of(kind):
    if kind == "RSA":
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
    monkeypatch.setattr("hetao.cli.permit.utc_now", lambda: NOW)
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    return tmp_path / "permit.json", token


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("explicit", "EC"), ("explicit", "RSA"), ("implicit", "EC"), ("oauth2code", "EC")],
)
def test_an_approver_signs_through_a_service(
    mode, kind, file, tmp_path, capsys, monkeypatch
):
    example = example_of(kind)
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


LIES = {
    "no signature": ("signHash", lambda s: s.answer(200, {"signatures": []})),
    "another shape": ("info", lambda s: s.answer(200, {"cert": {}})),
    "no JSON": ("info", lambda s: s.raw(200, b"<html>")),
    "a list": ("info", lambda s: s.raw(200, b"[]")),
    "elsewhere": ("info", lambda s: s.raw(302, b"", Location="/other")),
    "a bent elsewhere": ("info", lambda s: s.raw(307, b"", Location="https://[")),
    "an error": ("signHash", lambda s: s.answer(500, {})),
    "no activation": ("authorize", lambda s: s.answer(200, {})),
    "null": ("authorize", lambda s: s.answer(200, {"SAD": None})),
    "a number": ("authorize", lambda s: s.answer(200, {"SAD": 7})),
    "an empty one": ("authorize", lambda s: s.answer(200, {"SAD": ""})),
}


def test_a_service_that_lies_or_fails_signs_nothing(tmp_path):
    with serving(tmp_path, Example()) as (url, pem, server):
        service = service_at(url, "chan-1", (TOKEN, ""), pem, lambda _: PIN)
        for method, answer in LIES.values():
            server.bent = {method: answer}
            server.mode = "implicit" if method == "authorize" else "explicit"
            before = len(server.seen)
            with pytest.raises((BadSignature, NotApproved)):
                service.sign_hash(bytes(32))
            asked = {where.rpartition("/")[2] for where, _ in server.seen[before:]}
            assert "signHash" not in asked or method == "signHash"
        server.bent, server.mode = {}, "explicit"
        assert service.sign_hash(bytes(32)).signature
        assert all("/other" not in where for where, _ in server.seen)


def test_what_is_not_the_approvers_own_gets_into_no_permit(
    file, tmp_path, monkeypatch, capsys
):
    example, other = Example(), Example()
    path, token = file
    write_bundle(path, Bundle(permit_with(example)))
    before = path.read_bytes()
    with serving(tmp_path, example) as (url, pem, server):
        monkeypatch.setattr("getpass.getpass", lambda _: "0")  # a wrong PIN
        assert main(words(path, url, pem, token)) == NotApproved.exit_code
        monkeypatch.setattr("getpass.getpass", lambda _: PIN)
        server.example = other  # another's certificate
        assert main(words(path, url, pem, token)) == NotApproved.exit_code
        assert "not this authority's" in capsys.readouterr().err
        token.write_text("a stolen one")
        assert main(words(path, url, pem, token)) == NotApproved.exit_code

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


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///csc",
        "https://[::1/csc",
        "https://[zz]/csc",
        "https://\u4f8b.example/csc",
        "https://sign.example/\u4f8b",
        "https://a..example/csc",
        "https://.example/csc",
        f"https://{'a' * 64}.example/csc",
        "https://sign.example:x/csc",
        "https://sign.example:65536/csc",
        "https://sign.example\n/csc",
        "https://sign.example/a b",
        "https://a%0d%0ab.example/csc",
        "https://me:word@sign.example/csc",
        "https://sign.example/csc?a=b",
        "https://sign.example/csc#a",
        "ftp://sign.example/csc",
    ],
)
def test_what_is_no_address_of_a_service_is_said_at_once(url):
    with pytest.raises(Usage) as caught:
        service_at(url, "chan-1", (TOKEN, ""), None, str)

    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url", ["https://[::1]:8443/csc/v2", "https://xn--fsq.example/", "https://a:1"]
)
def test_an_address_of_host_port_and_path_is_taken(url):
    assert service_at(url, "chan-1", (TOKEN, ""), None, str).url == url.rstrip("/")


@pytest.mark.parametrize("token", ["", "a\nb", "a\rb: c", "\u4f8b", "a\x7f"])
def test_a_token_that_fits_into_no_head_is_refused_unsaid(token):
    with pytest.raises(InvalidData) as caught:
        service_at("https://sign.example", "chan-1", (token, ""), None, str)

    assert not token or token not in str(caught.value)


def test_an_answer_that_is_no_json_is_in_no_errors_cause(tmp_path):
    with serving(tmp_path, Example(), "implicit") as (url, pem, server):
        server.bent = {"authorize": lambda s: s.raw(200, b'{"SAD": "secret"')}
        with pytest.raises(BadSignature, match="JSON") as caught:
            service_at(url, "chan-1", (TOKEN, ""), pem, str).sign_hash(bytes(32))
        cause = caught.value.__cause__

    assert cause is None
