"""An escrow on a machine of `support_evm`, its token, and what a model says of it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from eth_abi import encode
from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hetao.settlement import escrow, escrow_word
from support_evm import ADDRESSES, KEYS, Account, call, compiled

TOKEN = Path(__file__).parent / "contracts/token.vy"
SOURCE = Path(escrow.__file__).parent / "contracts/escrow.vy"
KINDS = ("honest", "silent", "false", "liar", "fee", "greedy", "reenters", "refuses",
         "deaf", "false-but-moves")  # fmt: skip
# Such a token may move money, with an escrow that knows nothing of it.
PAYS = ("honest", "silent", "deaf", "reenters", "fee")
TAKES = (*PAYS[:4], "greedy")  # of the payer, who pays more; the escrow gets all
PAYER, STRANGER, FIRST, SECOND = 0, 1, 2, 3
SIGNERS = (4, 5, 6)
RICH = 10**12
CHAIN = 31337
EVIDENCE, OTHER = ("0x" + digits * 32 for digits in ("e1", "e2"))


def token_code(amount):
    """Return what puts a token on a chain of which the payer has so much."""
    made = bytes.fromhex(compiled(SOURCE, TOKEN)["token.vy"]["bytecode"][2:])
    return made + encode(["address", "uint256"], [ADDRESSES[PAYER], amount])


class Play:
    """A token and an escrow on a machine."""

    def __init__(
        self,
        machine,
        amounts=(5_000_000, 7_000_000),
        lasts=1_000,
        signers=SIGNERS,
        quorum=2,
    ):
        self.machine = machine
        self.token = machine.send(PAYER, "", token_code(RICH)).address.lower()
        orders = tuple(
            escrow.Order(f"0x{number:040x}{'00' * 12}", ADDRESSES[payee], str(amount))
            for number, (payee, amount) in enumerate(
                zip((FIRST, SECOND) * len(amounts), amounts, strict=False), 1
            )
        )
        until = datetime.fromtimestamp(machine.now + lasts, UTC)
        self.terms = escrow.Terms(
            CHAIN, self.token, ADDRESSES[PAYER], until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            quorum, tuple(sorted(ADDRESSES[one] for one in signers)), orders,
        )  # fmt: skip
        self.deployed = machine.send(STRANGER, "", escrow.deployment(self.terms))
        self.address = self.deployed.address.lower()

    def become(self, kind):
        data = call("become(uint256)", KINDS.index(kind))
        assert self.machine.send(STRANGER, self.token, data).ok

    def approve(self, amount):
        data = call("approve(address,uint256)", self.address, amount)
        assert self.machine.send(PAYER, self.token, data).ok

    def fund(self, *places, by=STRANGER):
        some = replace(self.terms, orders=tuple(self.terms.orders[n] for n in places))
        return self.machine.send(by, self.address, escrow.fund_call(some))

    def words(self, place, signers=SIGNERS[:2], evidence=EVIDENCE):
        order = self.terms.orders[place]
        return [
            escrow_word.sign_word(self.terms, self.address, order, evidence, KEYS[one])
            for one in signers
        ]

    def release_call(self, place, signers=SIGNERS[:2]):
        words = self.words(place, signers)
        return escrow_word.release_call(self.terms.orders[place], EVIDENCE, words)

    def release(self, place, signers=SIGNERS[:2], by=STRANGER):
        data = self.release_call(place, signers)
        return self.machine.send(by, self.address, data)

    def refund(self, place, by=STRANGER):
        data = escrow.refund_call(self.terms.orders[place])
        return self.machine.send(by, self.address, data)

    def arm(self, data):
        sent = call("arm(address,bytes)", self.address, data)
        assert self.machine.send(STRANGER, self.token, sent).ok

    def entered(self):
        return int.from_bytes(self.machine.ask(self.token, call("entered()")), "big")

    def balance(self, address):
        data = call("balanceOf(address)", address)
        return int.from_bytes(self.machine.ask(self.token, data), "big")

    def state(self, place):
        order = self.terms.orders[place]
        asked = call("orders(bytes32)", bytes.fromhex(order.id[2:]))
        return escrow.STATES[
            int.from_bytes(self.machine.ask(self.address, asked)[64:], "big")
        ]

    def money(self):
        """Return what payer, escrow and the two payees hold."""
        whose = (ADDRESSES[PAYER], self.address, ADDRESSES[FIRST], ADDRESSES[SECOND])
        return tuple(map(self.balance, whose))


def permit(play, amount, deadline, key=KEYS[PAYER], count=0):
    """Return v, r, s of a permit of the play token, made without our own code."""
    kind = keccak(text="Permit(address owner,address spender,uint256 value,"
                       "uint256 nonce,uint256 deadline)")  # fmt: skip
    owner = Account.from_key(key).address
    said = keccak(encode(
        ["bytes32", "address", "address", "uint256", "uint256", "uint256"],
        [kind, owner, play.address, amount, count, deadline],
    ))  # fmt: skip
    domain = play.machine.ask(play.token, call("DOMAIN_SEPARATOR()"))
    signed = Account.unsafe_sign_hash(keccak(b"\x19\x01" + domain + said), key)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


class Escrowed(RuleBasedStateMachine):
    """Whatever anybody does in whatever order, held against a model of one page.

    Deposits = releases + refunds + what is held; an order pays once; it pays by two
    attestors' words alone, and in time.
    """

    machine = None  # of `support_evm`; a subclass names it

    def __init__(self):
        super().__init__()
        self.play = Play(self.machine, (5, 700, 11, 13))
        self.amounts = [int(one.amount) for one in self.play.terms.orders]
        self.states = ["new"] * 4
        self.kind, self.allowed, self.extra, self.paid = "honest", 0, 0, [0, 0]
        self.end = self.play.terms.seconds

    @property
    def is_early(self):
        """Whether the next transaction still comes in time."""
        return self.machine.now + 1 < self.end

    @rule(kind=st.sampled_from(KINDS))
    def the_token_turns(self, kind):
        self.play.become(kind)
        self.kind = kind

    @rule(data=st.data())
    def somebody_arms_the_token(self, data):
        place = data.draw(st.integers(0, 3))
        order = self.play.terms.orders[place]
        calls = {
            "release": self.play.release_call(place),
            "refund": escrow.refund_call(order),
            "fund": escrow.fund_call(replace(self.play.terms, orders=(order,))),
        }
        self.play.arm(calls[data.draw(st.sampled_from(sorted(calls)))])

    @rule(amount=st.sampled_from([0, 5, 716, 729]))
    def the_payer_allows(self, amount):
        self.play.approve(amount)
        self.allowed = amount

    @rule(places=st.lists(st.integers(0, 3), max_size=3), by=st.sampled_from([0, 1, 4]))
    def somebody_funds(self, places, by):
        total = sum(self.amounts[one] for one in places)
        new = all(self.states[one] == "new" for one in places)
        once = len(set(places)) == len(places)
        # Of nothing, or of a little, a liar moves the right amount, and a fee is none.
        honest = self.kind in TAKES or (
            (self.kind == "fee" and total < 100) or (self.kind == "liar" and not total)
        )
        ok = new and once and honest and total <= self.allowed and self.is_early

        assert self.play.fund(*places, by=by).ok is ok
        if ok:
            self.allowed -= total
            self.extra += self.kind == "greedy"
            for one in places:
                self.states[one] = "held"

    @rule(
        place=st.integers(0, 3),
        signers=st.sets(st.sampled_from([0, 1, 2, *SIGNERS]), max_size=4),
        astray=st.sampled_from([None, None, None, *SIGNERS]),
        by=st.sampled_from([0, 1, 2]),
    )
    def somebody_releases(self, place, signers, astray, by):
        """Try to pay; whoever is astray, if anybody, signed over other evidence."""
        known = signers <= {*SIGNERS} - {astray} and len(signers) >= 2
        ok = (
            known
            and self.states[place] == "held"
            and self.is_early
            and self.kind in PAYS
        )
        words = self._words(place, signers, astray)
        order = self.play.terms.orders[place]
        data = escrow_word.release_call(order, EVIDENCE, words)

        assert self.machine.send(by, self.play.address, data).ok is ok
        if ok:
            self.states[place] = "released"
            fee = self.amounts[place] // 100 if self.kind == "fee" else 0
            self.paid[place % 2] += self.amounts[place] - fee

    def _words(self, place, signers, astray):
        """Sign as anybody can, whether an attestor or not."""
        everybody = replace(self.play.terms, attestors=ADDRESSES)
        order, at = self.play.terms.orders[place], self.play.address
        over = {one: OTHER if one == astray else EVIDENCE for one in signers}
        return [
            escrow_word.sign_word(everybody, at, order, over[one], KEYS[one])
            for one in sorted(signers)
        ]

    @rule(place=st.integers(0, 3), by=st.sampled_from([0, 1, 2, 4]))
    def somebody_wants_it_back(self, place, by):
        ok = self.states[place] == "held" and not self.is_early and self.kind in PAYS

        assert self.play.refund(place, by=by).ok is ok
        if ok:
            self.states[place] = "refunded"
            self.extra += self.amounts[place] // 100 if self.kind == "fee" else 0

    @precondition(lambda self: self.is_early)
    @rule()
    def time_passes(self):
        self.machine.wait(600)

    @invariant()
    def the_escrow_holds_what_the_orders_say(self):
        assert self.play.balance(self.play.address) == self._of("held")

    def teardown(self):
        """Hold all the money, and what the escrow says, against the model."""
        payer, held, *payees = self.play.money()
        deposits = self._of("held") + self._of("released") + self._of("refunded")
        assert held == deposits - self._of("released") - self._of("refunded")
        assert payer == RICH - deposits + self._of("refunded") - self.extra
        assert payees == self.paid  # each example has a token of its own
        assert [self.play.state(place) for place in range(4)] == self.states
        assert self.play.entered() == 0

    def _of(self, state):
        both = zip(self.amounts, self.states, strict=True)
        return sum(amount for amount, found in both if found == state)
