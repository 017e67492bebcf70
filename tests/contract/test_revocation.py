"""A revocation in mid-study, told to one site alone, over every way to the hubs."""

import pytest

from hetao.errors import NotApproved, Stopped
from hetao.federation import gossip
from hetao.ledger.revoked import Revoked, verify_any
from support_revocation import SITES, SUMS, revoked_midway
from support_transport import HUBS, NETS, play


@pytest.mark.parametrize(("way", "teller"), [("inproc", "b"), ("https", "c")])
def test_a_revocation_in_mid_study_reaches_everybody_and_nothing_leaves_after_it(
    way, teller, tmp_path, monkeypatch
):
    monkeypatch.setattr(gossip, "GOSSIP_SECONDS", 0.05)

    def scene(net):
        return revoked_midway(net, teller, certified=True)

    heard = play(NETS[way], tmp_path, scene)

    parties = {f"site {name}" for name in SITES} | {f"hub {name}" for name in HUBS}
    assert set(heard.seconds) == parties | {"coordinator"}
    for before, after in heard.sums.values():
        assert before == after == SUMS
    # heard by itself, or from a hub that opened no sum any more
    assert isinstance(heard.error, NotApproved | Stopped)
    assert "said 'revoke' to this permit" in str(heard.error)
    _check_certificate(heard)
    assert "what the log ends with" in str(heard.other)


def _check_certificate(heard):
    """Hold the revoked run's certificate to what was seen of the run itself."""
    alone = verify_any(heard.certificate)
    found = verify_any(heard.certificate, None, (), heard.lists)

    assert isinstance(alone, Revoked)
    assert alone.unlisted == tuple(SITES)
    assert (found.unlisted, set(found.destroyed)) == ((), set(SITES))
    assert all(at >= found.revoked for at in found.destroyed.values())
    (end,) = found.endings
    assert (end.by, end.verb, end.at) == ("ethics-hk", "revoke", found.revoked)
    releases = {one.analysis: one.releases for one in found.courses}
    assert sum(releases.values()) == len(SITES) * SUMS
    assert found.tainted == ("people", "model")
    assert all(one.last <= found.revoked for one in found.courses)
