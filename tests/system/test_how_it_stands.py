"""How a certificate stands counts by its reader's policy, each party a process."""

import pytest

from hetao.ledger.note import COSIGNATURE, vkey
from hetao.permit import new_identity
from support_system import called

pytestmark = pytest.mark.xdist_group("system")


def test_both_hubs_see_how_a_certificate_stands(network, finished, tmp_path, capsys):
    """A hub that is killed meanwhile is named; once it is back, it is asked again."""
    certificate, status = finished / "certificate.json", tmp_path / "status.json"
    policy, parties = tmp_path / "policy", network.pilot.parties
    third = vkey("third", new_identity("third").signing_key.public_key(), COSIGNATURE)
    asks = ("--independent", third, "https://127.0.0.1:9/", "--out", policy)
    assert called(capsys, "witness", "policy", "--trust", parties, *asks).code == 0
    text = policy.read_text()
    policy.write_text(text.replace(" all HK SZ independent", " all HK SZ"))

    def says(command):
        words = ("--network", network.pilot.network, "--out", status)
        said = called(capsys, "certificate", command, certificate, *words)
        assert said.code == 0, said.err
        asks = ("--status", status, "--policy", policy)
        read = called(capsys, "verify", certificate, *asks)
        return said, read

    said, read = says("status")
    assert read.code == 0, read.err
    assert "valid as of" in read.out
    assert "hub-hk" in read.out
    network.kill("hub-sz")
    said, read = says("status")
    assert "hub-sz did not cosign" in said.err
    assert read.code == 6
    assert "VERIFIED" not in read.out
    network.start("hub-sz")
    said, read = says("suspend")
    assert "did not cosign" not in said.err
    assert (read.code, "BUT SUSPENDED" in read.out) == (6, True)
    assert says("restore")[1].code == 0
