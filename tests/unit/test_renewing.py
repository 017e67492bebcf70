"""A permit that is renewed by itself holds for days; one that was stopped does not."""

import datetime

import pytest

from hetao.cli.main import main
from hetao.errors import InvalidNetwork, NotAParty
from hetao.federation.renewing import AGAIN, Renewal, keep, pause
from hetao.permit import (
    Words,
    new_identity,
    parse_time,
    read_bundle,
    sign_notice,
    standing,
    write_bundle,
    write_identity,
)
from support_federation import COUNTS, Federation, Plan, toy_study
from support_permit import HOUR, NOW, Scene, at

DAYS = 4  # for which the permit holds
SCENE = Scene().varied(not_after=at(24 * DAYS))
SIDES = ("ethics-hk", "ethics-sz")
DAY = 24 * HOUR


class Clock:
    """Hours that pass as soon as somebody sleeps; at each one a test looks."""

    def __init__(self, look=lambda _: None):
        self.now, self.look, self.slept = NOW, look, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        end = self.now + datetime.timedelta(seconds=seconds)
        while self.now < end:
            self.now = min(end, self.now + 4 * HOUR)
            self.look(self)


class Desk:
    """A permit's file, a site's folder of notices, and what was told."""

    def __init__(self, folder, scene=SCENE):
        self.path, self.notices = folder / "permit.json", folder / "notices"
        self.notices.mkdir()
        write_bundle(self.path, scene.approve_all())
        signers = [scene.identities[name] for name in SIDES]
        self.renewal = Renewal(self.path, signers, [self.notices])
        self.told = []

    def keep(self, clock, every=0.0):
        return keep(self.renewal, clock, clock.sleep, self.told.append, every)

    def state(self, clock):
        return standing(read_bundle(self.notices / "permit.json"), clock.now).state

    def say(self, verb, clock, name="revoked.json"):
        made = sign_notice(
            read_bundle(self.path), SCENE.identities["privacy-sz"], verb, clock.now
        )
        write_bundle(self.notices / name, made)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_permit_holds_as_long_as_it_is_kept_and_its_time_lasts(desk):
    states = []
    clock = Clock(lambda clock: states.append((clock.now, desk.state(clock))))

    ended = desk.keep(clock)

    end = NOW + DAYS * DAY
    assert {state for when, state in states if when < end} == {"active"}
    assert standing(ended, clock.now).state == "expired"
    assert set(clock.slept) == {8 * 3600}


def test_a_permit_that_nobody_keeps_lapses(desk):
    desk.renewal.turn(NOW)

    bundle = read_bundle(desk.notices / "permit.json")
    assert [standing(bundle, NOW + h * HOUR).state for h in (23.9, 24)] == [
        "active",
        "suspended",
    ]


def test_a_revocation_ends_the_renewing(desk):
    def look(clock):
        if clock.now == NOW + 3 * DAY:
            desk.say("revoke", clock)

    clock = Clock(look)

    ended = desk.keep(clock)

    assert clock.now <= NOW + 3 * DAY + 8 * HOUR
    assert standing(ended, clock.now).state == "revoked"
    assert desk.told[-1].endswith("is revoked: privacy-sz said 'revoke' to this permit")
    last = max(n.body["at"] for n in ended.notices if n.body["verb"] == "renew")
    assert parse_time(last) <= NOW + 3 * DAY


def test_a_suspended_permit_stays_suspended_however_often_it_is_renewed(desk):
    states = []

    def look(clock):
        if clock.now == NOW + DAY:
            desk.say("suspend", clock)
        if NOW + 2 * DAY < clock.now < NOW + DAYS * DAY:
            states.append(desk.state(clock))

    desk.keep(Clock(look))

    assert set(states) == {"suspended"}


def test_a_turn_that_fails_is_tried_again_in_time(desk):
    """A file that is just being written holds nothing up for longer than it must."""
    states = []

    def look(clock):
        states.append(desk.state(clock))
        broken = desk.notices / "other.json"
        failed = sum(text.startswith("not renewed") for text in desk.told)
        if clock.now > NOW + DAY and failed < 10:
            broken.write_text("{")
        else:
            broken.unlink(missing_ok=True)

    clock = Clock(look)

    desk.keep(clock)

    assert set(states) == {"active", "expired"}
    assert states.count("expired") <= 8
    assert AGAIN in clock.slept
    assert any(text.startswith("not renewed: HT-103") for text in desk.told)


def test_a_first_turn_that_fails_is_an_error(desk):
    (desk.notices / "other.json").write_text("{")
    with pytest.raises(InvalidNetwork):
        desk.keep(Clock())

    stranger = Renewal(desk.path, [new_identity("x", sealing=False)])
    with pytest.raises(NotAParty):
        keep(stranger, lambda: NOW, pytest.fail, pytest.fail)


def test_a_tightened_lease_is_renewed_more_often(desk):
    vary = sign_notice(
        read_bundle(desk.path),
        SCENE.identities["privacy-hk"],
        "vary",
        NOW,
        Words(change={"lease_hours": "3"}),
    )
    found = standing(vary, NOW)

    assert pause(found) == 3600
    assert pause(found, 2 * 3600) == 1.5 * 3600  # what would come too late
    assert pause(found, 5) == 5


def test_a_file_that_is_kept_for_years_does_not_grow(tmp_path):
    desk = Desk(tmp_path, SCENE.varied(not_after="2029-11-22T08:00:00Z"))

    for week in range(20):
        ended = desk.renewal.turn(NOW + week * 7 * DAY)

    renewals = [n for n in ended.notices if n.body["verb"] == "renew"]
    assert len(renewals) == 2 * 5
    assert len(ended.notices) - len(renewals) == 4


def test_a_run_of_three_days_goes_on_while_both_sides_renew(tmp_path):
    with Federation(tmp_path / "run", Plan(toy_study((COUNTS,)))) as federation:
        write_bundle(tmp_path / "permit.json", federation.bundle)
        (tmp_path / "notices").mkdir()
        names = [p.name for p in federation.cast.directory.persons]
        signers = [
            federation.cast.identities[n] for n in names if n.startswith("ethics")
        ]
        renewal = Renewal(tmp_path / "permit.json", signers, [tmp_path / "notices"])
        site = federation.sites["a"]
        assert federation.refusals(site.handle(federation.begin("a").data)) == []

        for _ in range(9):
            federation.clock.pass_seconds(8 * 3600)
            renewal.turn(federation.clock())
        federation.notices += read_bundle(tmp_path / "notices" / "permit.json").notices

        assert federation.refusals(site.handle(federation.task("a").data)) == []
        federation.clock.pass_seconds(25 * 3600)
        (rule,) = federation.refusals(site.handle(federation.task("a", attempt=2).data))
        assert "HT-306" in rule


def test_the_command_renews_once_or_until_the_end(tmp_path, monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr("hetao.cli.permit.utc_now", clock)
    monkeypatch.setattr("hetao.cli.permit.time.sleep", clock.sleep)
    desk = Desk(tmp_path)
    keys = [write_identity(tmp_path, SCENE.identities[name]) for name in SIDES]
    words = ["permit", "renew", str(desk.path), "--into", str(desk.notices)]
    for key in keys:
        words += ["--key", str(key)]

    assert main(words) == 0
    assert len(read_bundle(desk.notices / "permit.json").notices) == 6
    assert main([*words, "--keep"]) == 0
    assert "the permit is expired" in capsys.readouterr().err
    assert clock.now >= NOW + DAYS * DAY
    assert main(words) == 3
    assert "HT-306" in capsys.readouterr().err
