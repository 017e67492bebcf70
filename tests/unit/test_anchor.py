"""Somebody outside remembers a root: a time-stamping authority, or a chain."""

import base64
import contextlib
import datetime
import http.server
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from hetao.anchor import read_stamp, root_of
from hetao.anchor.evm import Chain, shipped
from hetao.anchor.node import Node
from hetao.anchor.rfc3161 import Authority
from hetao.cli import main
from hetao.errors import AnchorForbidden, InvalidData, Unreachable, Unverified
from hetao.ledger.log import Log
from hetao.permit import new_identity

ROOT = bytes(range(32))
OTHER = bytes(range(1, 33))
OPENSSL = """\
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = critical,timeStamping
[tsa_config]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""
# The first account of every `anvil`: it is published, and holds play money.
PLAY_KEY = bytes.fromhex(
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)
ANVIL = Path(sys.prefix) / "node/node_modules/@foundry-rs"


def openssl(folder, *words):
    return subprocess.run(
        ["openssl", *words], cwd=folder, check=True, capture_output=True
    ).stdout


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    """A real authority: OpenSSL's, behind HTTP. Gives its address and its root."""
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "ts.cnf").write_text(OPENSSL.format(folder=folder))
    (folder / "serial").write_text("01\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    names = ("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Example root")
    openssl(folder, "req", "-x509", *new, *names, "-days", "9", "-config", "ts.cnf",
            "-extensions", "ca")  # fmt: skip
    names = ("-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Example authority")
    openssl(folder, "req", "-new", *new, *names)
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-days", "8", "-out", "tsa.pem")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", *signed, "-extfile", "ts.cnf",
            "-extensions", "tsa")  # fmt: skip
    asked = []

    class Responder(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(data)
            (folder / "query").write_bytes(data)
            words = ("-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key")
            answer = openssl(folder, "ts", "-reply", "-config", "ts.cnf", "-section",
                             "tsa_config", *words)  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Responder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder / "ca.pem", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def token(tsa):
    url, root, _ = tsa
    return Authority(url, root).stamp(ROOT)


def test_an_authority_says_when_a_root_was_there(tsa, token):
    _, root, asked = tsa

    stamped = Authority("", root).verify(token, ROOT)

    age = datetime.datetime.now(datetime.UTC) - stamped.at
    assert stamped.root == ROOT
    assert stamped.by == "CN=Example authority"
    elsewhere = replace(token, where="https://other.example/")
    assert Authority("", root).verify(elsewhere, ROOT).by == stamped.by
    assert abs(age) < datetime.timedelta(minutes=5)
    assert ROOT not in asked[0]  # it is told the root's digest
    assert len(asked[0]) < 100


def test_a_token_proves_nothing_about_another_root(tsa, token):
    authority = Authority("", tsa[1])

    with pytest.raises(Unverified, match="another root"):
        authority.verify(token, OTHER)
    with pytest.raises(Unverified, match="does not verify"):
        authority.verify(replace(token, root=OTHER.hex()), OTHER)


def test_no_byte_of_a_token_can_be_changed_to_another_time_or_root(tsa, token):
    """Some bytes bear no meaning; none gives another answer."""
    authority = Authority("", tsa[1])
    honest = authority.verify(token, ROOT)
    raw = bytearray(token.raw)
    refused = 0
    for place in range(0, len(raw), 3):
        raw[place] ^= 1
        proof = base64.b64encode(raw).decode()
        try:
            assert authority.verify(replace(token, proof=proof), ROOT) == honest
        except Unverified:
            refused += 1
        raw[place] ^= 1

    assert refused > len(raw) / 3 * 0.9


def test_an_authority_that_the_verifier_does_not_trust_proves_nothing(tsa, token):
    folder = tsa[1].parent
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", "x.key", "-out", "x.pem",
            "-subj", "/CN=Example root", "-days", "9")  # fmt: skip

    with pytest.raises(Unverified, match="does not verify"):
        Authority("", folder / "x.pem").verify(token, ROOT)
    with pytest.raises(InvalidData):
        Authority("", folder / "serial")


def test_an_authority_that_is_not_there_is_named_as_such(tsa):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unreachable):
            Authority(url, tsa[1]).stamp(ROOT)


# --- a chain ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def node():
    """A real node of a chain of its own."""
    (binary,) = ANVIL.glob("anvil-*/bin/anvil")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(binary), "--silent", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(words) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                Node(url).ask("eth_chainId")
                break
            except Unreachable:
                time.sleep(0.1)
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def chain(node):
    found = Chain(node, "", PLAY_KEY, "HK")
    found.deploy()
    return found


def test_the_shipped_bytecode_is_what_the_compiler_makes_of_the_source():
    source = Path(sys.modules["hetao.anchor"].__file__).parent / "contracts/stamp.vy"
    # In a process of its own: the compiler lifts Python's limit of recursion.
    words = [sys.executable, "-m", "vyper.cli.vyper_compile", "-f", "combined_json"]
    done = subprocess.run([*words, str(source)], check=True, capture_output=True)
    said = json.loads(done.stdout)
    (made,) = (one for name, one in said.items() if name != "version")

    assert shipped()["compiler"] == f"vyper {said['version'].partition('+')[0]}"
    assert made["bytecode"] == "0x" + shipped()["bytecode"]
    assert made["bytecode_runtime"] == "0x" + shipped()["runtime"]


def test_a_chain_says_when_it_first_saw_a_root(node, chain):
    stamp = chain.stamp(ROOT)

    stamped = Chain(node, chain.contract).verify(stamp, ROOT)

    assert stamped.root == ROOT
    assert abs(datetime.datetime.now(datetime.UTC) - stamped.at) < datetime.timedelta(
        minutes=5
    )


def test_only_the_root_goes_onto_the_chain_and_for_little_gas(chain):
    root = secrets.token_bytes(32)
    stamp = chain.stamp(root)

    number = "0x" + base64.b64decode(stamp.proof).hex()
    sent = chain.node.ask("eth_getTransactionByHash", number)
    receipt = chain.node.ask("eth_getTransactionReceipt", number)

    assert sent["input"] == "0x" + shipped()["selectors"]["stamp(bytes32)"] + root.hex()
    assert int(receipt["gasUsed"], 16) <= 60_000


def test_a_root_is_stamped_once_and_its_time_never_changes(node, chain):
    root = secrets.token_bytes(32)
    stamp = chain.stamp(root)
    before = chain.verify(stamp, root)

    with pytest.raises(Unverified, match="refused the transaction"):
        chain.stamp(root)
    with pytest.raises(Unverified, match="refused the transaction"):
        chain.stamp(bytes(32))

    assert Chain(node, chain.contract).verify(stamp, root) == before


def test_a_root_never_stamped_or_another_contract_proves_nothing(node, chain):
    stamp = chain.stamp(secrets.token_bytes(32))
    lying = Chain(node, "0x" + "00" * 19 + "04")  # a contract, but another one
    where = stamp.where.rpartition(":")[0] + ":" + lying.contract

    with pytest.raises(Unverified, match="never saw"):
        chain.verify(replace(stamp, root=OTHER.hex()), OTHER)
    with pytest.raises(Unverified, match="another chain or contract"):
        lying.verify(stamp, bytes.fromhex(stamp.root))
    with pytest.raises(Unverified, match="another contract"):
        lying.verify(replace(stamp, where=where), bytes.fromhex(stamp.root))


@pytest.mark.parametrize("side", ["SZ", ""])
def test_a_chain_is_refused_to_the_mainland_side(node, chain, side):
    before = chain.node.ask("eth_blockNumber")

    with pytest.raises(AnchorForbidden):
        Chain(node, chain.contract, PLAY_KEY, side).stamp(OTHER)

    assert chain.node.ask("eth_blockNumber") == before


# --- somebody on the way ------------------------------------------------------------
@contextlib.contextmanager
def front(service, status=200, padding=b""):
    """Stand before a real service: point to it, or hand its answers on with padding."""

    class Front(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if status != 200:
                self.send_header("Location", service)
                self.end_headers()
                return
            self.end_headers()
            headers = {"Content-Type": self.headers["Content-Type"]}
            asked = urllib.request.Request(service, data, headers)  # noqa: S310
            with urllib.request.urlopen(asked) as answer:  # noqa: S310 - on this machine
                self.wfile.write(answer.read())
            with contextlib.suppress(OSError):  # who reads no further hangs up
                self.wfile.write(padding)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Front)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_stands_before_a_service_and_hands_all_on_is_that_service(tsa, node):
    with front(tsa[0]) as url:
        assert Authority(url, tsa[1]).stamp(ROOT).root == ROOT.hex()
    with front(node) as url:
        assert Node(url).chain == Node(node).chain


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_led_elsewhere_not_even_to_the_real_service(tsa, node, status):
    asked = len(tsa[2])
    with front(tsa[0], status) as url, pytest.raises(Unverified, match="another addr"):
        Authority(url, tsa[1]).stamp(ROOT)
    with front(node, status) as url, pytest.raises(Unverified, match="another addr"):
        Node(url).ask("eth_chainId")
    assert len(tsa[2]) == asked


def test_an_answer_that_is_too_long_is_refused_and_not_cut_off(tsa, node):
    """Blanks after JSON: what is left of it when it is cut off is JSON still."""
    nothing, blanks = bytes(1 << 18), b" " * (1 << 20)
    with front(tsa[0], 200, nothing) as url, pytest.raises(Unverified, match="too m"):
        Authority(url, tsa[1]).stamp(ROOT)
    with front(node, 200, blanks) as url, pytest.raises(Unverified, match="too much"):
        Node(url).ask("eth_chainId")


def test_an_answer_of_another_status_is_none(tsa, node):
    with front(tsa[0], 500) as url, pytest.raises(Unreachable, match="500"):
        Authority(url, tsa[1]).stamp(ROOT)
    with front(node, 404) as url, pytest.raises(Unreachable, match="404"):
        Node(url).ask("eth_chainId")


# --- the commands -------------------------------------------------------------------
def test_a_logs_checkpoint_is_anchored_and_verified_by_commands(
    tmp_path, tsa, node, chain, capsys
):
    url, root, _ = tsa
    with Log.open(
        tmp_path / "log", "example.org/log", new_identity("x").signing_key
    ) as log:
        log.append([b"one"])
        (tmp_path / "checkpoint").write_text(log.checkpoint(), encoding="utf-8")
    (tmp_path / "key").write_text(PLAY_KEY.hex())
    checkpoint = tmp_path / "checkpoint"

    def hetao(*words):
        assert main(["anchor", *map(str, words)]) == 0
        return capsys.readouterr().out

    words = ("--url", url, "--roots", root)
    hetao("tsa", checkpoint, *words, "--out", tmp_path / "t.json")
    chained = ("--url", node, "--contract", chain.contract)
    own = ("--key", tmp_path / "key", "--side", "HK")
    hetao("chain", checkpoint, *chained, *own, "--out", tmp_path / "c.json")
    first = hetao("verify", checkpoint, tmp_path / "t.json", "--roots", root)
    second = hetao("verify", checkpoint, tmp_path / "c.json", *chained)

    assert root_of(checkpoint).hex() == read_stamp(tmp_path / "t.json").root
    assert "was there" in first
    assert "was there" in second
    (tmp_path / "t.json").write_bytes(json.dumps({"type": "x"}).encode())
    assert main(["anchor", "verify", str(checkpoint), str(tmp_path / "t.json"),
                 "--roots", str(root)]) == 6  # fmt: skip


def test_a_file_that_is_no_stamp_or_checkpoint_is_refused(tmp_path):
    path = tmp_path / "x"
    for data in (b"", b"{}", b'{"type":"hetao.anchor/1"}', b"\xff" * 9):
        path.write_bytes(data)
        with pytest.raises(Unverified):
            read_stamp(path)
        with pytest.raises(Unverified):
            root_of(path)
