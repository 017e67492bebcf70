# pragma version 0.4.3
"""
@title  A token for tests, honest or one of eight wicked kinds
@license Apache-2.0
"""

HONEST: constant(uint256) = 0
SILENT: constant(uint256) = 1  # returns nothing, as USDT
SAYS_FALSE: constant(uint256) = 2  # moves nothing and returns false
LIAR: constant(uint256) = 3  # moves nothing and returns true
FEE: constant(uint256) = 4  # the receiver gets less
GREEDY: constant(uint256) = 5  # the sender pays more
REENTERS: constant(uint256) = 6  # calls what `arm` says, in the middle of a transfer
REFUSES: constant(uint256) = 7  # reverts
DEAF: constant(uint256) = 8  # honest, but knows no permit
FALSE_BUT_MOVES: constant(uint256) = 9

TYPE: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)

name: public(constant(String[11])) = "Play dollar"
decimals: public(constant(uint8)) = 6

kind: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])
target: address
data: Bytes[1024]
entered: public(uint256)  # how many calls from within a transfer went through


@deploy
def __init__(owner: address, amount: uint256):
    self.balanceOf[owner] = amount


@external
def become(kind: uint256):
    self.kind = kind


@external
def arm(target: address, data: Bytes[1024]):
    self.target = target
    self.data = data


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@view
@external
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@external
def permit(
    owner: address,
    spender: address,
    amount: uint256,
    deadline: uint256,
    v: uint8,
    r: bytes32,
    s: bytes32,
):
    assert self.kind != DEAF
    assert block.timestamp <= deadline
    said: bytes32 = keccak256(
        abi_encode(TYPE, owner, spender, amount, self.nonces[owner], deadline)
    )
    word: bytes32 = keccak256(concat(b"\x19\x01", self._domain(), said))
    assert owner != empty(address) and ecrecover(word, v, r, s) == owner
    self.nonces[owner] += 1
    self.allowance[owner][spender] = amount


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    self._move(msg.sender, to, amount)
    return self._answer()


@external
@raw_return
def transferFrom(owner: address, to: address, amount: uint256) -> Bytes[32]:
    self.allowance[owner][msg.sender] -= amount
    self._move(owner, to, amount)
    return self._answer()


def _move(owner: address, to: address, amount: uint256):
    assert self.kind != REFUSES
    if self.kind in [SAYS_FALSE, LIAR]:
        return
    taken: uint256 = amount
    given: uint256 = amount
    if self.kind == FEE:
        given -= amount // 100
    if self.kind == GREEDY:
        taken += 1
    self.balanceOf[owner] -= taken
    self.balanceOf[to] += given
    # Where nobody armed it there is nothing to call: address 0 says yes to everything.
    if self.kind == REENTERS and self.target != empty(address):
        if raw_call(self.target, self.data, revert_on_failure=False):
            self.entered += 1


@view
def _answer() -> Bytes[32]:
    if self.kind == SILENT:
        return b""
    if self.kind in [SAYS_FALSE, FALSE_BUT_MOVES]:
        return abi_encode(False)
    return abi_encode(True)


@view
def _domain() -> bytes32:
    return keccak256(
        abi_encode(
            keccak256(
                "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
            ),
            keccak256("Play dollar"),
            keccak256("1"),
            chain.id,
            self,
        )
    )
