"""`hetao demo`: from hospitals' extracts to a certificate that a stranger verifies."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from hetao.demo.run import run_demo
from hetao.dictionary import dictionary
from hetao.ledger.tiles import unpack
from support_system import Said, called, hetao

pytestmark = pytest.mark.xdist_group("system")

POLICY = "network/reader/policy"
RESULTS = ("findings.json", "certificate.json", "report.html", "parties.toml", POLICY)


@dataclass(frozen=True)
class Shown:
    """What a demonstration said, and its results as they were before the next one."""

    said: Said
    out: Path
    kept: dict[str, bytes]
    logs: dict[str, list[bytes]]


def entries(path):
    with sqlite3.connect(path) as log:
        rows = log.execute("SELECT bytes FROM entries ORDER BY start").fetchall()
    log.close()
    return [entry for (run,) in rows for entry in unpack(run)]


def logs_of(network):
    found = sorted(network.rglob("log.sqlite"))
    return {str(path.relative_to(network)): entries(path) for path in found}


def shown(out, *words):
    said = hetao("demo", "--out", out, "--json", *words, seconds=240)
    assert said.code == 0, said.err
    kept = {name: (out / name).read_bytes() for name in RESULTS}
    return Shown(said, out, kept, logs_of(out / "network"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def heart(out):
    return shown(out)


@pytest.fixture(scope="module")
def lung(heart):
    """Return a second demonstration, in the folder of the first."""
    return shown(heart.out, "--scenario", "lung")


@pytest.fixture
def certificate(heart, tmp_path):
    """Return the heart certificate as a file, its parties and policy beside it."""
    for name, data in heart.kept.items():
        (tmp_path / Path(name).name).write_bytes(data)
    return tmp_path / "certificate.json"


def test_the_heart_demonstration_is_the_pooled_answer(heart):
    body = heart.said.json

    assert body["largest_difference_in_se"] < 1e-9
    assert [item["analysis"] for item in body["findings"]] == [
        "attrition",
        "table1",
        "risk",
    ]
    risk = body["findings"][2]
    assert risk["rounds"] <= 6
    assert len(risk["members"]) == 4
    assert json.loads(heart.kept["findings.json"])["findings"] == body["findings"]


def test_its_report_opens_by_itself(heart):
    report = heart.kept["report.html"].decode("utf-8")

    assert "<html" in report.lower()
    assert 'src="http' not in report
    assert 'rel="stylesheet" href="http' not in report


def test_its_certificate_verifies_with_and_without_a_list_of_parties(
    certificate, capsys
):
    parties = certificate.with_name("parties.toml")

    hubs = "--policy", "hubs"
    trusted = called(capsys, "verify", certificate, "--trust", parties, *hubs)
    bare = called(capsys, "verify", certificate, *hubs)

    assert trusted.code == bare.code == 0
    assert "VERIFIED, SEEN BY NOBODY INDEPENDENT" in trusted.out
    assert f"data dictionary {dictionary().digest}" in trusted.out
    assert "the keys come from the certificate itself" in bare.err
    assert "the keys come" not in trusted.err
    assert "zurich-basel lowered its minimum counts (events)" in trusted.err


def test_any_changed_byte_is_found(certificate, capsys):
    whole = certificate.read_bytes()
    step = len(whole) // 11

    for place in range(step // 2, len(whole), step):
        changed = bytearray(whole)
        changed[place] ^= 1
        certificate.write_bytes(bytes(changed))
        said = called(capsys, "verify", certificate)
        assert (said.code, said.error) == (6, "HT-600"), place
        assert "VERIFIED" not in said.out
        assert "HOLDS" not in said.out


def test_its_certificate_counts_by_a_third_witness(heart, certificate, capsys):
    """The last step says so; and so does whoever types what is told at the end."""
    words = "verify", certificate, "--trust", certificate.with_name("parties.toml")
    said = called(capsys, *words, "--policy", certificate.with_name("policy"))
    bare = called(capsys, *words)

    assert (said.code, bare.code) == (0, 7)
    assert "your policy asks for: hub-hk, hub-sz, independent-1\n" in said.out
    (verdict,) = (one for one in said.out.splitlines() if one.startswith("VERIFIED  "))
    assert f"hetao:      {verdict}\n" in heart.said.err
    assert "whom this demonstration plays too" in heart.said.err


def test_the_lung_demonstration_is_the_pooled_answer(lung):
    body = lung.said.json

    assert body["largest_difference_in_se"] < 1e-9
    methods = [item["finding"]["model"] for item in body["findings"]]
    assert methods == ["counts", "table1", "table1", "km", "cox"]


def test_a_second_demonstration_keeps_the_logs_of_the_first(heart, lung):
    assert logs_of(heart.out / "network.1") == heart.logs
    assert logs_of(heart.out / "network") == lung.logs
    assert all(heart.logs.values())


def test_a_demonstration_touches_no_folder_that_holds_something_else(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")

    said = called(capsys, "demo", "--out", tmp_path)

    assert (said.code, said.error) == (4, "HT-103")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_demonstration_that_was_broken_off_can_begin_again(tmp_path, monkeypatch):
    """Also while its first command runs, which makes the third witness."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hetao.demo.run._command", interrupted)
    (tmp_path / "network").mkdir()
    (tmp_path / "permit.json").write_text("{}")

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run_demo(tmp_path, "heart", print)

    kept = [f"network.{number}" for number in (1, 2, 3)]
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["network", *kept, "permit.json"]
    assert (tmp_path / "network").stat().st_mode & 0o777 == 0o700
