# pragma version 0.4.3
"""
@title  Money for milestones, held until k of n attestors sign, or given back
@license Apache-2.0
@notice No owner, no fee, no change of terms: nobody's call is privileged. Whoever signs
        a permit for this address signs the terms that stand here. Numbers of orders,
        amounts and addresses are sent here, and the digest of the evidence under a
        secret; nothing else: no name, no text.
"""

from ethereum.ercs import IERC20

struct Terms:
    id: bytes32
    payee: address
    amount: uint256

struct Order:
    payee: address
    amount: uint256
    state: uint256

struct Signature:
    v: uint256
    r: uint256
    s: uint256

event Funded:
    id: indexed(bytes32)

event Released:
    id: indexed(bytes32)
    evidence: bytes32

event Refunded:
    id: indexed(bytes32)

MOST_ATTESTORS: constant(uint256) = 8
MOST_ORDERS: constant(uint256) = 32
LONGEST: constant(uint256) = 3 * 366 * 86400  # seconds: a slip must not lock money up

NEW: constant(uint256) = 0
HELD: constant(uint256) = 1
RELEASED: constant(uint256) = 2
REFUNDED: constant(uint256) = 3

DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME: constant(bytes32) = keccak256("Hetao escrow")
VERSION: constant(bytes32) = keccak256("1")
RELEASE: constant(bytes32) = keccak256(
    "Release(bytes32 order,address payee,uint256 amount,bytes32 evidence)"
)

token: public(immutable(IERC20))
payer: public(immutable(address))
until: public(immutable(uint256))  # from this second on it gives back, and pays no more
quorum: public(immutable(uint256))
attestors: immutable(DynArray[address, MOST_ATTESTORS])
orders: public(HashMap[bytes32, Order])


@deploy
def __init__(
    token_: IERC20,
    payer_: address,
    until_: uint256,
    quorum_: uint256,
    attestors_: DynArray[address, MOST_ATTESTORS],
    terms: DynArray[Terms, MOST_ORDERS],
):
    assert block.timestamp < until_ and until_ <= block.timestamp + LONGEST, "until"
    assert 2 <= quorum_ and quorum_ <= len(attestors_), "quorum"
    last: uint256 = 0
    for one: address in attestors_:  # ascending: each once, and none is nobody
        assert convert(one, uint256) > last, "attestors"
        last = convert(one, uint256)
    for one: Terms in terms:
        assert one.payee not in [empty(address), self, token_.address], "payee"
        assert one.amount != 0 and self.orders[one.id].amount == 0, "order"
        self.orders[one.id] = Order(payee=one.payee, amount=one.amount, state=NEW)
    token = token_
    payer = payer_
    until = until_
    quorum = quorum_
    attestors = attestors_


@external
@nonreentrant
def fund(ids: DynArray[bytes32, MOST_ORDERS]):
    """
    @notice Take the money for these orders from the payer, who allowed this address to.
    """
    self._fund(ids)


@external
@nonreentrant
def fund_with_permit(
    ids: DynArray[bytes32, MOST_ORDERS],
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    """
    @notice The same, by the payer's one signature (EIP-2612); anybody may send it.
    """
    # Whoever saw the permit may have shown it to the token first: then this call fails,
    # and the allowance is there all the same. Without one, what follows reverts.
    shown: bool = raw_call(
        token.address,
        abi_encode(
            payer, self, amount, deadline, v, r, s,
            method_id=method_id(
                "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
            ),
        ),
        revert_on_failure=False,
    )
    self._fund(ids)


@external
@nonreentrant
def release(
    id: bytes32, evidence: bytes32, signatures: DynArray[Signature, MOST_ATTESTORS]
):
    """
    @notice Pay an order that enough attestors signed for, in the order of their addresses,
            all of them over this one evidence.
    """
    order: Order = self.orders[id]
    assert order.state == HELD, "not held"
    assert block.timestamp < until, "too late"
    assert len(signatures) >= quorum, "too few"
    assert evidence != empty(bytes32), "evidence"
    word: bytes32 = self._word(id, order, evidence)
    last: uint256 = 0
    for one: Signature in signatures:  # ascending: nobody counts twice
        signer: address = ecrecover(word, one.v, one.r, one.s)
        assert convert(signer, uint256) > last and signer in attestors, "signer"
        last = convert(signer, uint256)
    self.orders[id].state = RELEASED
    log Released(id=id, evidence=evidence)
    self._pay(order.payee, order.amount)


@external
@nonreentrant
def refund(id: bytes32):
    """
    @notice Give the payer back what no attestors released in time; anybody may ask.
    """
    order: Order = self.orders[id]
    assert order.state == HELD, "not held"
    assert block.timestamp >= until, "too early"
    self.orders[id].state = REFUNDED
    log Refunded(id=id)
    self._pay(payer, order.amount)


def _fund(ids: DynArray[bytes32, MOST_ORDERS]):
    assert block.timestamp < until, "too late"
    total: uint256 = 0
    for id: bytes32 in ids:
        order: Order = self.orders[id]
        assert order.amount != 0 and order.state == NEW, "not new"
        self.orders[id].state = HELD
        total += order.amount
        log Funded(id=id)
    before: uint256 = staticcall token.balanceOf(self)
    # USDT returns nothing, which is success here; false is not.
    assert extcall token.transferFrom(payer, self, total, default_return_value=True), "token"
    # A token that keeps a fee would leave too little for the last payee.
    assert staticcall token.balanceOf(self) - before == total, "arrived"


def _pay(to: address, amount: uint256):
    before: uint256 = staticcall token.balanceOf(self)
    assert extcall token.transfer(to, amount, default_return_value=True), "token"
    # Neither less, a lie, nor more, at the cost of the other orders.
    assert before - staticcall token.balanceOf(self) == amount, "left"


@view
def _word(id: bytes32, order: Order, evidence: bytes32) -> bytes32:
    # EIP-712. The chain's number is asked for each time: a word for this chain is none
    # for one that splits off it.
    domain: bytes32 = keccak256(abi_encode(DOMAIN, NAME, VERSION, chain.id, self))
    said: bytes32 = keccak256(abi_encode(RELEASE, id, order.payee, order.amount, evidence))
    return keccak256(concat(b"\x19\x01", domain, said))
