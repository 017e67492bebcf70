"""`hetao permit key`: what every party and every office begins with."""

import stat
import tomllib

import pytest

from hetao.errors import InvalidNetwork
from hetao.permit import read_identity
from hetao.permit.directory import directory_from
from support_system import called

PARTY = ("--role", "site", "--side", "HK", "--organisation", "A hospital")


def test_a_party_and_a_person_make_keys_and_are_listed_by_their_entries(
    tmp_path, capsys
):
    folder = ("--folder", tmp_path / "keys")

    site = called(capsys, "permit", "key", "north", *PARTY, *folder)
    chan = called(capsys, "permit", "key", "chan-2026", "--owner", "chan", *folder)

    assert (site.code, chan.code) == (0, 0)
    person = '[[persons]]\nname = "chan"\nside = "HK"\norganisation = "x"\n'
    table = tomllib.loads(f'{site.out}\n{chan.out}\n{person}roles = ["ethics"]\n')
    listed = directory_from(table)
    north = read_identity(tmp_path / "keys" / "north.sign.pem")
    assert listed["north"] == north.party("HK", "site", "A hospital")
    assert north.second_log_key is not None
    key = read_identity(tmp_path / "keys" / "chan-2026.sign.pem")
    assert key.holds(listed.key("chan-2026"))
    assert not key.has_sealing_key
    with pytest.raises(InvalidNetwork) as unknown:
        listed.person("auditor")
    assert "parties.toml" in unknown.value.fix
    assert listed["north"].fingerprint in site.err
    assert listed.key("chan-2026").fingerprint in chan.err
    for path in (tmp_path / "keys").glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_are_never_written_over(tmp_path, capsys):
    words = ("permit", "key", "chan", "--owner", "chan", "--folder", tmp_path)
    called(capsys, *words)
    before = (tmp_path / "chan.sign.pem").read_bytes()

    said = called(capsys, *words)

    assert (said.code, said.error, said.out) == (4, "HT-103", "")
    assert (tmp_path / "chan.sign.pem").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("north",),
        ("north", *PARTY[:4]),
        ("north", *PARTY, "--owner", "chan"),
        ("../north", "--owner", "chan"),
        ("north", "--owner", "chan", "--days", "0"),
    ],
)
def test_whose_keys_they_are_has_to_be_said(tmp_path, capsys, words):
    said = called(capsys, "permit", "key", *words, "--folder", tmp_path / "keys")

    assert (said.code, said.error, said.out) == (2, "HT-001", "")
    assert not (tmp_path / "keys").exists()
