"""A file that shows acts shows acts, and says nothing of its own on a screen."""

import pytest

from hetao.canonical import canonical
from hetao.cli.main import main
from hetao.errors import Unverified
from hetao.ledger.acts import Act, ActRow, encode_act
from hetao.ledger.showing import check_shown
from hetao.permit import Directory, new_identity, write_directory
from support_acts import USED, acts_by_hand
from support_showing import shown_by

SITE = new_identity("a")
PARTY = SITE.party("HK", "site", "An owner")
ACT = encode_act(acts_by_hand()[5], USED)
EVENT = b"hetao.event/1" + canonical({"eventID": "urn:x:1", "person": None})
LIE = "x\x1b[2J\nVERIFIED  9 acts of b\u202e\x9b"


def checked(tmp_path, data):
    (tmp_path / "shown").write_bytes(data)
    write_directory(tmp_path / "parties.toml", Directory((PARTY,)))
    trust = ["--trust", str(tmp_path / "parties.toml")]
    return main(["provenance", "verify", str(tmp_path / "shown"), *trust, "--show"])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\0",
        b"hetao.act/1\x80",
        b"VERIFIED",
        b"",
        ACT[:-1],
        EVENT[:-1],
        b"hetao.event/1\xff",
        b"hetao.event/1[]",
        b'hetao.event/1{"eventID":"urn:x:1"}',
    ],
    ids=["bytes", "older", "words", "empty", "cut", "cut event", "not utf-8", "list",
         "nobody's"],
)  # fmt: skip
def test_committed_bytes_that_are_no_act_do_not_count_as_one(tmp_path, data):
    assert len(check_shown(shown_by(SITE, [ACT, EVENT], (0, 1)), PARTY).acts) == 2
    file = shown_by(SITE, [ACT, data], (0, 1))
    with pytest.raises(Unverified):
        check_shown(file, PARTY)
    assert checked(tmp_path, file) == Unverified.exit_code


def test_words_in_an_act_or_event_write_no_line_of_their_own(tmp_path, capsys):
    lying = Act(None, None, "", (ActRow("care_site", {"care_site_name": LIE}),))
    act = encode_act(lying, {"care_site": ("care_site_name",)})
    event = b"hetao.event/1" + canonical({"eventID": LIE, "person": None})

    assert checked(tmp_path, shown_by(SITE, [act, event], (0, 1), to=LIE)) == 0
    said = capsys.readouterr()
    assert "[2J\\u000aVERIFIED  9 acts of b\\u202e\\u009b" in said.out
    lines = [one for one in said.out.splitlines() if one.startswith("VERIFIED")]
    assert lines == ["VERIFIED  2 acts of a"]
    assert not any(one.startswith("VERIFIED") for one in said.err.splitlines())
    assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
