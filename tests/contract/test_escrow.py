"""The escrow on two machines: money comes out by k of n words or goes back, once."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from hetao.errors import NotAccepted
from hetao.settlement import escrow, escrow_word
from support_escrow import (
    ADDRESSES,
    CHAIN,
    EVIDENCE,
    FIRST,
    KEYS,
    OTHER,
    PAYER,
    RICH,
    SIGNERS,
    SOURCE,
    STRANGER,
    TOKEN,
    Escrowed,
    Play,
    permit,
)
from support_evm import PyEvm, anvil, call, compiled

pytestmark = pytest.mark.xdist_group("escrow")
# A change of gas is a change of the contract: it is looked at.
GAS = {"deploy": 1_102_839, "permit": 144_093, "release": 78_629, "refund": 45_151}


@pytest.fixture(scope="module")
def node():
    with anvil() as found:
        yield found


@pytest.fixture(scope="module", params=["py-evm", "anvil"])
def machine(request):
    return PyEvm() if request.param == "py-evm" else request.getfixturevalue("node")


@pytest.fixture
def play(machine):
    return Play(machine)


def funded(play):
    play.approve(play.terms.total)
    assert play.fund(0, 1).ok
    return play


@pytest.fixture
def held(play):
    return funded(play)


@pytest.fixture(scope="module")
def embedded():
    """One machine for what has many cases; a real node walks through them at random."""
    return PyEvm()


def with_permit(play, sent_by=STRANGER, **signed):
    deadline = play.terms.seconds
    v, r, s = permit(play, play.terms.total, deadline, **signed)
    ids = [bytes.fromhex(one.id[2:]) for one in play.terms.orders]
    data = call("fund_with_permit(bytes32[],uint256,uint256,uint8,bytes32,bytes32)",
                ids, play.terms.total, deadline, v, r, s)  # fmt: skip
    return play.machine.send(sent_by, play.address, data)


def test_the_shipped_bytecode_is_what_the_compiler_makes_of_the_source():
    made = compiled(SOURCE, TOKEN)["escrow.vy"]

    assert escrow.shipped()["compiler"] == f"vyper {made['version']}"
    assert made["bytecode"] == "0x" + escrow.shipped()["bytecode"]
    assert made["bytecode_runtime"] == "0x" + escrow.shipped()["runtime"]


def test_the_terms_stand_in_the_code_on_the_chain(play):
    assert play.machine.code(play.address) == escrow.runtime(play.terms)
    for other in (
        replace(play.terms, quorum=3),
        replace(play.terms, payer=ADDRESSES[STRANGER]),
        replace(play.terms, attestors=play.terms.attestors[:2]),
        replace(play.terms, until="2027-06-01T00:00:00Z"),
    ):
        assert play.machine.code(play.address) != escrow.runtime(other)


def test_the_payer_signs_once_and_strangers_do_the_rest_for_little_gas(play):
    taken = with_permit(play)
    released = play.release(0)
    play.machine.wait(2_000)
    refunded = play.refund(1)

    gas = {"deploy": play.deployed.gas, "permit": taken.gas, "release": released.gas,
           "refund": refunded.gas}  # fmt: skip
    assert play.money()[:2] == (RICH - 5_000_000, 0)
    assert play.balance(ADDRESSES[FIRST]) == 5_000_000
    assert released.gas <= 140_000
    # A byte of a signature that is zero costs a little less.
    assert all(abs(gas[name] - GAS[name]) <= 50 for name in GAS), gas


def test_a_permit_that_somebody_showed_first_funds_all_the_same(play):
    deadline = play.terms.seconds
    v, r, s = permit(play, play.terms.total, deadline)
    shown = call("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
                 ADDRESSES[PAYER], play.address, play.terms.total, deadline,
                 v, r, s)  # fmt: skip
    assert play.machine.send(STRANGER, play.token, shown).ok

    assert with_permit(play).ok
    assert play.state(0) == play.state(1) == "held"


def test_a_permit_of_somebody_else_funds_nothing(play):
    assert not with_permit(play, key=KEYS[STRANGER]).ok
    assert not with_permit(play, count=7).ok
    assert play.money()[1] == 0


def test_nothing_is_taken_that_the_payer_did_not_allow(play):
    assert not play.fund(0).ok
    play.approve(5_000_000)
    assert not play.fund(0, 1).ok
    assert play.fund(0).ok
    assert play.money()[1] == 5_000_000


def test_nobody_but_enough_attestors_releases(held):
    one, other = held.words(0)
    order = held.terms.orders[0]
    elsewhere = Play(held.machine)
    everybody = replace(held.terms, attestors=ADDRESSES)

    def word(key, chain=CHAIN, at=held.address, about=order, over=EVIDENCE):
        terms = replace(everybody, chain=chain)
        return escrow_word.sign_word(terms, at, about, over, KEYS[key])

    def signed(words):
        return escrow_word.release_call(order, EVIDENCE, words)

    first = SIGNERS[0] if one.by == ADDRESSES[SIGNERS[0]] else SIGNERS[1]
    broken = replace(other, signature="0x" + "00" * 64 + "1b")
    for words in (
        [],
        [one],
        [one, one],
        [one, broken],
        [one, word(PAYER)],
        [one, word(FIRST)],
        [one, word(STRANGER)],
        [one, other, word(STRANGER)],
        [word(first), *held.words(1)[1:]],
        [one, word(SIGNERS[1], chain=1)],
        [one, word(SIGNERS[1], at=elsewhere.address)],
        [one, word(SIGNERS[1], about=replace(order, amount="5000001"))],
        [one, word(SIGNERS[1], about=replace(order, payee=ADDRESSES[STRANGER]))],
        [one, word(SIGNERS[1], over=OTHER)],
        [word(two, over=OTHER) for two in SIGNERS],
    ):
        for sender in (PAYER, FIRST, SIGNERS[0]):
            assert not held.machine.send(sender, held.address, signed(words)).ok
    # In another order than by address, nobody could count who signed twice.
    backwards = sorted((one, other), key=lambda each: each.by, reverse=True)
    swapped = [
        replace(w, by=x.by) for w, x in zip(backwards, backwards[::-1], strict=True)
    ]
    assert not held.machine.send(STRANGER, held.address, signed(swapped)).ok

    assert held.state(0) == "held"
    assert held.release(0, SIGNERS).ok


def test_a_signature_goes_to_the_chain_only_as_the_contract_takes_it(held):
    order = held.terms.orders[0]
    words = held.words(0, SIGNERS)

    def with_v(word, v):
        return replace(word, signature=f"{word.signature[:-2]}{v:02x}")

    def v_of(word):
        return int(word.signature[-2:], 16)

    wallet = [with_v(one, v_of(one) - 27) for one in words]  # v of 0 and 1

    def check(words):
        return escrow_word.check_words(held.terms, held.address, order, EVIDENCE, words)

    kept = check(wallet)
    assert len(kept) == held.terms.quorum
    # What the contract would refuse is set aside, and stops nobody else's word.
    signature = "0x" + "ff" * 64 + "1b"
    bad = [
        with_v(words[0], v_of(words[0]) + 10),  # 37 and 38: a transaction's
        replace(words[0], signature=signature),  # of no key
        replace(words[0], signature="0x" + "00" * 65),
        held.words(1)[0],
        held.words(0, evidence=OTHER)[0],
        replace(words[1], by=words[2].by),
    ]
    with pytest.raises(NotAccepted, match="1 of the 2"):
        check([*bad, words[1]])
    kept = check([*bad, *wallet[1:]])
    assert {one.by for one in kept} == {one.by for one in wallet[1:]}
    sent = escrow_word.release_call(order, EVIDENCE, kept)
    assert held.machine.send(STRANGER, held.address, sent).ok


def test_an_order_pays_once_and_nothing_after_it_went_back(held):
    assert held.release(0).ok
    held.approve(RICH)

    assert not held.release(0, SIGNERS).ok
    assert not held.fund(0).ok
    held.machine.wait(2_000)
    assert not held.refund(0).ok
    assert held.refund(1).ok
    assert not held.refund(1).ok
    assert not held.release(1).ok
    assert not held.fund(1).ok
    assert held.money()[1] == 0


def test_nothing_is_put_into_it_once_it_gives_back(play):
    play.approve(play.terms.total)
    play.machine.wait(2_000)

    assert not play.fund(0).ok
    assert not with_permit(play).ok
    assert play.money()[1] == 0


def test_it_pays_in_time_and_gives_back_after_it_never_both(held):
    held.machine.wait(held.terms.seconds - held.machine.now - 3)

    assert not held.refund(0).ok
    assert held.release(0).ok  # in its last second
    assert not held.release(1).ok
    assert held.refund(1).ok


def test_a_quorum_signs_over_one_evidence_which_the_chain_then_names(held):
    """A word of each of two quorums over different evidence pays nothing."""
    order = held.terms.orders[0]
    mixed = [held.words(0, SIGNERS[:1])[0], held.words(0, SIGNERS[1:2], OTHER)[0]]
    for evidence in (EVIDENCE, OTHER, "0x" + "00" * 32):
        data = escrow_word.release_call(order, evidence, mixed)
        assert not held.machine.send(STRANGER, held.address, data).ok
    nothing = "0x" + "00" * 32
    data = escrow_word.release_call(order, nothing, held.words(0, evidence=nothing))
    assert not held.machine.send(STRANGER, held.address, data).ok

    data = escrow_word.release_call(order, OTHER, held.words(0, evidence=OTHER))
    assert held.machine.send(STRANGER, held.address, data).ok


@pytest.mark.parametrize("kind", ["false", "liar", "fee", "refuses", "false-but-moves"])
def test_a_wicked_token_puts_nothing_into_it(embedded, kind):
    play = Play(embedded)
    play.approve(RICH)
    play.become(kind)

    assert not play.fund(0, 1).ok
    assert play.money()[:2] == (RICH, 0)
    assert play.state(0) == "new"


@pytest.mark.parametrize(
    "kind", ["false", "liar", "greedy", "refuses", "false-but-moves"]
)
def test_a_token_that_turns_wicked_loses_nobody_an_order(embedded, kind):
    held = funded(Play(embedded))
    held.become(kind)
    assert not held.release(0).ok
    held.machine.wait(2_000)
    assert not held.refund(1).ok
    assert held.money()[1] == 12_000_000

    held.become("honest")
    assert held.refund(0).ok
    assert held.refund(1).ok


@pytest.mark.parametrize("kind", ["silent", "deaf"])
def test_a_token_that_returns_nothing_or_knows_no_permit_pays(play, kind):
    play.become(kind)
    play.approve(play.terms.total)

    assert play.fund(0, 1).ok
    assert play.release(0).ok
    play.machine.wait(2_000)
    assert play.refund(1).ok
    assert play.money()[1] == 0


def test_a_fee_that_a_token_takes_later_is_at_no_other_orders_cost(held):
    held.become("fee")

    assert held.release(0).ok
    assert held.balance(ADDRESSES[FIRST]) == 4_950_000
    assert held.money()[1] == 7_000_000


@pytest.mark.parametrize("call_back", ["release", "other", "refund", "fund"])
def test_a_token_that_calls_back_in_the_middle_gets_nothing(embedded, call_back):
    held = funded(Play(embedded))
    second = held.terms.orders[1]
    calls = {
        "release": lambda play: play.release_call(0),
        "other": lambda play: play.release_call(1),
        "refund": lambda play: escrow.refund_call(second),
        "fund": lambda play: escrow.fund_call(play.terms),
    }
    fresh = Play(held.machine)
    fresh.approve(RICH)
    for play in (held, fresh):
        play.become("reenters")
        play.arm(calls[call_back](play))

    assert held.release(0).ok
    assert fresh.fund(0).ok

    assert held.entered() == fresh.entered() == 0
    assert (held.state(1), fresh.state(1)) == ("held", "new")
    assert (held.money()[1], fresh.money()[1]) == (7_000_000, 5_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"quorum": 1},
        {"quorum": 4},
        {"until": "2020-01-01T00:00:00Z"},
        {"until": "2099-01-01T00:00:00Z"},
        {"attestors": (ADDRESSES[4], ADDRESSES[4], ADDRESSES[5])},
        {"attestors": ("0x" + "00" * 20, *sorted(ADDRESSES[4:6]))},
        {"payee": "0x" + "00" * 20},
        {"amount": "0"},
        {"twice": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_terms_that_could_lose_money_are_not_put_on_the_chain(embedded, change):
    play = Play(embedded)
    order = play.terms.orders[0]
    terms = play.terms
    if set(change) <= {"payee", "amount"}:
        terms = replace(terms, orders=(replace(order, **change),))
    elif "twice" in change:
        terms = replace(terms, orders=(order, order))
    else:
        terms = replace(terms, **change)

    assert not play.machine.send(STRANGER, "", escrow.deployment(terms)).ok


@pytest.mark.parametrize(("name", "examples"), [("py-evm", 6), ("anvil", 2)])
def test_whatever_anybody_does_money_is_conserved(request, name, examples):
    kept = PyEvm() if name == "py-evm" else request.getfixturevalue("node")

    class Here(Escrowed):
        machine = kept

    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=examples, stateful_step_count=12, deadline=None),
    )
