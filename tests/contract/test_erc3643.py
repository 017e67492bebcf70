"""The claim for a tokenisation platform, held against its published contracts."""

import json
import sys
from pathlib import Path

import pytest
from eth_abi import encode

from hetao.dossier.erc3643 import Place, make_claim
from hetao.errors import AnchorForbidden
from hetao.ledger.certificate import published
from support_evm import ADDRESSES, KEYS, anvil, call

pytestmark = pytest.mark.xdist_group("escrow")
CONTRACTS = Path(sys.prefix) / "node/packages/onchain-id/artifacts/contracts"
SIGNER, STRANGER = 4, 1


@pytest.fixture(scope="module")
def registry():
    """Give a node with a claim issuer's contract, and its address."""
    made = json.loads((CONTRACTS / "ClaimIssuer.sol/ClaimIssuer.json").read_text())
    code = bytes.fromhex(made["bytecode"][2:])
    with anvil() as node:
        done = node.send(0, "", code + encode(["address"], [ADDRESSES[SIGNER]]))
        assert done.ok
        yield node, done.address


def is_valid(node, issuer, claim, data=None):
    asked = call(
        "isClaimValid(address,uint256,bytes,bytes)",
        claim["identity"],
        int(claim["topic"], 16),
        bytes.fromhex(claim["signature"][2:]),
        bytes.fromhex((data or claim["data"])[2:]),
    )
    return bool(int.from_bytes(node.ask(issuer, asked), "big"))


def test_the_published_contract_takes_the_claim_and_no_other(registry, small_run):
    node, issuer = registry
    place = Place(31337, ADDRESSES[7], issuer)
    claim = make_claim(small_run.certificate, place, KEYS[SIGNER], "HK")["claim"]
    forged = make_claim(small_run.certificate, place, KEYS[STRANGER], "HK")["claim"]

    assert is_valid(node, issuer, claim)
    assert not is_valid(node, issuer, forged)
    assert not is_valid(node, issuer, claim, "0x" + "00" * 32)
    assert not is_valid(node, issuer, claim | {"identity": ADDRESSES[8]})
    assert not is_valid(node, issuer, claim | {"topic": "0x1"})


def test_a_claim_holds_a_digest_and_addresses_alone(small_run):
    place = Place(1, ADDRESSES[7], ADDRESSES[8])
    made = make_claim(small_run.certificate, place, KEYS[SIGNER], "HK")
    other = make_claim(published(small_run.certificate), place, KEYS[SIGNER], "HK")

    assert made == other
    assert len(made["claim"]["data"]) == 2 + 64
    assert set(made) == {"chain", "claim", "registry", "type"}
    body = small_run.value["body"]
    names = [str(one["name"]) for one in body["sites"]]
    assert not [one for one in names if f'"{one}"' in json.dumps(made)]


def test_the_mainland_side_makes_none(small_run):
    for side in ("SZ", ""):
        with pytest.raises(AnchorForbidden):
            make_claim(small_run.certificate, Place(1, ADDRESSES[7], ADDRESSES[8]),
                       KEYS[SIGNER], side)  # fmt: skip
