"""A hospital without a network: three machines, of which one has files and no more."""

import json
import shutil
from dataclasses import replace

import pytest

from support_federation import COUNTS, toy_study
from support_system import Network, called, read_until, write_asked, write_network

pytestmark = pytest.mark.xdist_group("system")


def test_a_site_answers_by_one_file_that_a_courier_carries(
    tmp_path, capsys, monkeypatch
):
    study = toy_study((COUNTS,), deadline_seconds=60)
    pilot = write_network(tmp_path, study)
    asked = write_asked(tmp_path / "asked", pilot, study)
    site = pilot.sites["c"]
    courier = tmp_path / "courier" / "site.toml"
    (courier.parent / "keys").mkdir(parents=True)
    shutil.copy(site, courier)
    for name in ("c.tls.pem", "c.tls.key", "authorities.pem"):
        shutil.move(site.parent / "keys" / name, courier.parent / "keys" / name)
    request, answer = tmp_path / "stick" / "request", tmp_path / "stick" / "answer"
    online = replace(pilot, sites={name: pilot.sites[name] for name in "ab"})
    network = Network(online)
    try:
        run = network.run(asked, tmp_path / "out", "--by-file", "c")
        read_until(run, "a file waits at the hub for each of: c")
        fetched = called(capsys, "courier", "fetch", courier, "--out", request)
        with monkeypatch.context() as patched:
            patched.setattr("socket.socket.connect", no_network)
            answered = called(capsys, "site", "answer", site, request, "--out", answer)
        posted = called(capsys, "courier", "post", courier, answer)
        network.finish(run)
    finally:
        network.close()

    assert [one.code for one in (fetched, answered, posted)] == [0, 0, 0]
    assert "3 letters; carry it to c" in fetched.err
    assert "5 answers to 3 letters" in answered.err
    assert "5 answers of c are at the hubs" in posted.err
    found = json.loads((tmp_path / "out" / "findings.json").read_text("utf-8"))
    assert found["findings"][0]["members"] == ["a", "b", "c"]
    certificate = tmp_path / "out" / "certificate.json"
    assert called(capsys, "verify", certificate, "--policy", "hubs").code == 0
    wrong = called(capsys, "site", "answer", site, answer, "--out", request)
    assert (wrong.code, wrong.error) == (3, "HT-311")


def no_network(*_):
    raise AssertionError("a socket was opened")
