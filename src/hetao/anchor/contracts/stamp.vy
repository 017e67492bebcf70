# pragma version 0.4.3
"""
@title  When a 32-byte root was first seen
@license Apache-2.0
@notice Nothing but roots is ever sent here: no name, no size, no owner. Anybody may
        send one; the first block that holds it is its time, and it is never changed.
"""

event Stamped:
    root: indexed(bytes32)
    at: uint64

at: public(HashMap[bytes32, uint64])


@external
def stamp(root: bytes32):
    assert root != empty(bytes32), "empty root"
    assert self.at[root] == 0, "stamped before"
    now: uint64 = convert(block.timestamp, uint64)
    self.at[root] = now
    log Stamped(root=root, at=now)
