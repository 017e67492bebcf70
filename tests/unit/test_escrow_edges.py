"""What nodes, tokens and files of others may say to an escrow's commands."""

import datetime
import hashlib
import http.server
import json
import threading
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils import keccak

from hetao.anchor.node import Node, evm_library
from hetao.canonical import canonical, parse_canonical
from hetao.errors import InvalidContract, NotAccepted, Unreachable, Unverified
from hetao.settlement import escrow, escrow_word
from hetao.settlement.eip2612 import LASTS, permit_call

Account = evm_library("eth_account").Account

KEY = b"\x07" * 32
PAYER = Account.from_key(KEY).address.lower()
TOKEN, AT = "0x" + "ab" * 20, "0x" + "cd" * 20
ORDER = escrow.Order(
    "0x" + "01" * 20 + "00" * 12, "0x" + "0e" * 20, "5000000", "5a" * 32
)
TERMS = escrow.Terms(
    7, TOKEN, PAYER, "2027-06-30T00:00:00Z", 2,
    ("0x" + "11" * 20, "0x" + "22" * 20), (ORDER,),
)  # fmt: skip
PLACED = escrow.Placed(AT, 100, TERMS.orders)
NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


class Token(Node):
    """A node that knows one token alone, by what its functions answer."""

    def __init__(self, **answers):
        super().__init__("http://nobody.invalid")
        self.answers = {keccak(text=n)[:4]: found for n, found in answers.items()}

    def call(self, to, data, block="latest"):
        if data[:4] not in self.answers:
            raise Unverified("reverted")
        return self.answers[data[:4]]


def domain(chain=7, token=TOKEN, version="2"):
    declared = "string name,string version,uint256 chainId,address verifyingContract"
    return keccak(encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [keccak(text=f"EIP712Domain({declared})"), keccak(text="Dollar"),
         keccak(text=version), chain, token],
    ))  # fmt: skip


def described(chain=7, token=TOKEN, flags=b"\x0f", more=()):
    kinds = ["bytes1", "string", "string", "uint256", "address", "bytes32", "uint256[]"]
    return encode(kinds, [flags, "Dollar", "2", chain, token, bytes(32), list(more)])


def token(**changed):
    return Token(**{
        "DOMAIN_SEPARATOR()": domain(),
        "nonces(address)": bytes(32),
        "name()": encode(["string"], ["Dollar"]),
        "version()": encode(["string"], ["2"]),
        **changed,
    })  # fmt: skip


def permitted(node):
    return permit_call(node, TERMS, PLACED, KEY, NOW)


def test_a_permit_is_signed_for_the_token_and_chain_of_the_terms_for_hours():
    plain = permitted(token())
    assert plain == permitted(token(**{"eip712Domain()": described()}))
    deadline = int.from_bytes(plain[4 + 64 : 4 + 96], "big")
    assert deadline == int(NOW.timestamp()) + LASTS < TERMS.seconds


@pytest.mark.parametrize(
    "said",
    [
        {"DOMAIN_SEPARATOR()": domain(chain=1)},
        {"DOMAIN_SEPARATOR()": domain(token=AT)},
        {"DOMAIN_SEPARATOR()": domain(chain=1), "eip712Domain()": described(chain=1)},
        {"DOMAIN_SEPARATOR()": domain(token=AT), "eip712Domain()": described(token=AT)},
        {"DOMAIN_SEPARATOR()": b"\x01" * 32},
        {"DOMAIN_SEPARATOR()": b""},
        {"nonces(address)": b""},
        {"name()": b"\xff" * 40},
        {"eip712Domain()": b"\xff" * 40},
        {"eip712Domain()": described(flags=b"\x03")},
        {"eip712Domain()": described(more=[1])},
    ],
    ids=["chain", "token", "described-chain", "described-token", "bytes", "no-domain",
         "no-count", "name", "bent", "of-no-chain", "extended"],
)  # fmt: skip
def test_a_node_that_names_another_domain_gets_no_permit(said):
    with pytest.raises(Unverified):
        permitted(token(**said))


class Chain(Node):
    """A node that says of an escrow what it is told to."""

    def __init__(self, final, lines, state=2):
        super().__init__("http://nobody.invalid")
        self.final, self.lines, self.state, self.asked = final, lines, state, []

    def call(self, to, data, block="latest"):
        kinds = ["address", "uint256", "uint256"]
        return encode(kinds, [ORDER.payee, int(ORDER.amount), self.state])

    def ask(self, method, *parameters):
        if method == "eth_getBlockByNumber":
            return self.final
        self.asked.append(parameters[0])
        return self.lines(int(parameters[0]["fromBlock"], 16))


def block(number, timestamp=TERMS.seconds):
    return {"number": hex(number), "timestamp": hex(timestamp)}


def line(number):
    return {"transactionHash": f"0x{number:064x}", "data": "0x" + "e1" * 32}


def test_what_paid_an_order_is_looked_for_in_spans_that_nodes_take():
    node = Chain(block(12_000), lambda first: [line(9)] if first < 2_500 else [])

    found = escrow.settled(node, TERMS, PLACED, ORDER)

    assert found == escrow.Settled(True, f"{9:064x}", "0x" + "e1" * 32)
    spans = [(int(o["fromBlock"], 16), int(o["toBlock"], 16)) for o in node.asked]
    assert spans == [(7_001, 12_000), (2_001, 7_000)]


@pytest.mark.parametrize(
    ("final", "lines"),
    [
        (None, []),
        ({}, []),
        ({"number": "x", "timestamp": 3}, []),
        (block(200), []),
        (block(200), [line(1), line(2)]),
        (block(200), ["x"]),
        (block(200), 7),
        (block(200), [{}]),
        (block(200), [line(1) | {"data": "0x"}]),
    ],
    ids=[
        "no-block",
        "no-number",
        "no-hex",
        "no-line",
        "two",
        "text",
        "number",
        "no-hash",
        "no-evidence",
    ],
)
def test_a_node_that_does_not_say_what_became_of_an_order_is_refused(final, lines):
    with pytest.raises(Unverified):
        escrow.settled(Chain(final, lambda _: lines), TERMS, PLACED, ORDER)


def test_before_a_final_block_has_the_escrow_nothing_is_settled():
    with pytest.raises(NotAccepted, match="may still pay"):
        escrow.settled(Chain(block(99), lambda _: [], 0), TERMS, PLACED, ORDER)
    node = Chain(block(100), lambda _: [], 0)
    assert not escrow.settled(node, TERMS, PLACED, ORDER).paid


def test_evidence_stands_on_the_chain_under_a_veil_of_its_order():
    """Whoever has certificate, order and veil finds it; whoever lacks the veil not."""
    evidence = "sha256:" + "ab" * 32
    said = b"hetao-escrow-evidence-v1\n" + b"\x5a" * 32 + b"\1" * 20 + bytes(12)
    found = escrow_word.veiled(ORDER, evidence)

    assert found == "0x" + hashlib.sha256(said + b"\xab" * 32).hexdigest()
    other = replace(ORDER, id="0x" + "02" * 20 + "00" * 12)
    for order in (other, replace(ORDER, veil="5b" * 32)):
        assert escrow_word.veiled(order, evidence) != found
    for veil in ("", "5a", "5A" * 32):
        with pytest.raises(InvalidContract, match="anew"):
            escrow_word.veiled(replace(ORDER, veil=veil), evidence)


def test_a_file_of_terms_that_cannot_be_meant_is_refused(tmp_path):
    good = parse_canonical(TERMS.data)
    path = tmp_path / "order.json"
    path.write_bytes(TERMS.data)
    assert escrow.read_terms([path]) == TERMS
    for change in (
        {"orders": []},
        {"orders": [good["orders"][0] | {"amount": "9" * 5_000}]},
        {"orders": [good["orders"][0] | {"payee": "0x" + "0E" * 20}]},
        {"quorum": -1},
        {"quorum": 3},
        {"token": TOKEN.upper().replace("X", "x")},
    ):
        path.write_bytes(canonical(good | change))
        with pytest.raises(InvalidContract):
            escrow.read_terms([path])
    two = replace(
        TERMS, orders=(ORDER, replace(ORDER, id="0x" + "02" * 20 + "00" * 12))
    )
    with pytest.raises(InvalidContract, match="one order at a time"):
        escrow.one_order(two)


def answering(raw):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(raw)

        def log_message(self, *words):
            pass

    return http.server.HTTPServer(("127.0.0.1", 0), Handler)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"nonsense\r\n\r\n", Unreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Unreachable),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, Unreachable),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"result": None}).encode(),
            Unverified,
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"result": "0x"}).encode(),
            Unverified,
        ),
    ],
    ids=["no-http", "cut-off", "deep", "nothing", "no-digits"],
)
def test_whatever_a_node_answers_is_refused_by_name(raw, error):
    with answering(raw) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(error):
            _ = Node(f"http://127.0.0.1:{server.server_port}").chain
