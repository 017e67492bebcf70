"""A revocation in mid-study, told to one site alone, over every way to the hubs."""

import pytest

from hetao.errors import NotApproved, Stopped
from hetao.federation import gossip
from support_revocation import SITES, SUMS, revoked_midway
from support_transport import HUBS, NETS, play


@pytest.mark.parametrize(("way", "teller"), [("inproc", "b"), ("https", "c")])
def test_a_revocation_in_mid_study_reaches_everybody_and_nothing_leaves_after_it(
    way, teller, tmp_path, monkeypatch
):
    monkeypatch.setattr(gossip, "GOSSIP_SECONDS", 0.05)

    heard = play(NETS[way], tmp_path, lambda net: revoked_midway(net, teller))

    parties = {f"site {name}" for name in SITES} | {f"hub {name}" for name in HUBS}
    assert set(heard.seconds) == parties | {"coordinator"}
    for before, after in heard.sums.values():
        assert before == after == SUMS
    # heard by itself, or from a hub that opened no sum any more
    assert isinstance(heard.error, NotApproved | Stopped)
    assert "said 'revoke' to this permit" in str(heard.error)
