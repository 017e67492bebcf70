"""`hetao site commit` and `hetao provenance …`: from an extract down to one act."""

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hetao.canonical import canonical, digest, parse_canonical
from hetao.cdm import open_tables, read_folder, read_manifest, snapshot_folder
from hetao.cdm.committing import (
    Commitment,
    acts_folder,
    commit_acts,
    find_commitment,
)
from hetao.cdm.epcis import event_id, pseudonym_of, read_events
from hetao.cdm.extract import Extract
from hetao.cdm.pseudonym import read_key, read_or_make_key
from hetao.cdm.store import DATABASE, snapshots
from hetao.cli.audit import joint_sample, own_draw
from hetao.cli.main import plain, say
from hetao.cli.main import shown as on_screen
from hetao.errors import InvalidData, NotCanonical, Refused, Unverified, Usage
from hetao.federation.binding import log_extract
from hetao.federation.clock import utc_now
from hetao.federation.logs import open_log
from hetao.federation.replay import replay as replay_steps
from hetao.federation.showing import (
    MOST_SHOWN,
    Showing,
    check_may_see,
    offices_shown,
    opened_of,
    show_acts,
)
from hetao.federation.site import SiteSetup
from hetao.federation.site_file import read_site_file
from hetao.ledger.acts import FORM, decode_act
from hetao.ledger.audit import MOST, chance_of_finding, draws, extract_of, seed_of
from hetao.ledger.certificate import read_certificate, verify_certificate
from hetao.ledger.coin import Ask, joint_seed
from hetao.ledger.log import Log
from hetao.ledger.opened import Opened as Certificate
from hetao.ledger.opened import open_certificate
from hetao.ledger.showing import LARGEST, Shown, check_shown
from hetao.permit import Directory, format_time, read_directory
from hetao.records import read_toml
from hetao.whole import read_whole, write_whole

SECRET = "master secret of acts"  # noqa: S105  words, no secret
SAMPLE = "hetao.sample/1"
ACT = re.compile(r"(\d{1,19})(?:/(?:(\d{4}-\d\d-\d\d)|(\d{1,19})))?")


# --- committing -----------------------------------------------------------------------
def commit(chosen: argparse.Namespace) -> int:
    """Commit to the acts of a snapshot and log the root, if the site has a log."""
    os.umask(0o077)
    done, logged = commit_site(chosen.site, chosen.snapshot)
    if chosen.json:
        body = {"snapshot": done.snapshot, "root": done.root, "acts": done.acts}
        body |= {"people": done.people, "logged": logged}
        sys.stdout.write(json.dumps(body, indent=1) + "\n")
    return 0


def commit_site(
    path: Path, snapshot: str | None = None
) -> tuple[Commitment, int | None]:
    """Return the commitment to a snapshot, and where its root stands in the log.

    It is made if there is none yet; it is logged if `site.toml` says where the site's
    log is, and else when the site first answers a study.
    """
    with _extract(path, snapshot, make=True) as extract:
        done = extract.commitment
    say(f"committed to {done.acts} acts of {done.people} people: {done.root[:19]}…")
    if "network" not in read_toml(path, InvalidData):
        say("the root is logged when the site first answers a study")
        return done, None
    setup = read_site_file(path).setup
    with _log(setup) as log:
        store = read_folder(path).store_path
        logged = log_extract(setup.identity, log, store, done, utc_now())
    say(f"its root is entry {logged.index} of the log of {setup.identity.name}")
    return done, logged.index


@contextlib.contextmanager
def _extract(
    path: Path, snapshot: str | None, *, make: bool = False
) -> Iterator[Extract]:
    folder = read_folder(path)
    home = snapshot_folder(folder.store_path, snapshot)
    manifest, store = read_manifest(home), folder.store_path
    master = read_or_make_key(folder.acts_key_path, SECRET)
    with open_tables(home / DATABASE) as tables:
        known = find_commitment(store, manifest.snapshot)
        if known is None and not make:
            raise InvalidData(
                f"{manifest.site} has not committed to this snapshot",
                fix="hetao site commit, before a study runs on it",
            )
        done = known
        if done is None:
            events = read_events(folder.folder, read_or_make_key(folder.key_path))
            done = commit_acts(tables.engine, store, manifest, master, events)
        where = acts_folder(store, manifest.snapshot)
        yield Extract(done, where, tables.engine, master)


def _log(setup: SiteSetup) -> Log:
    setup.folder.mkdir(parents=True, exist_ok=True)
    return open_log(setup.folder, setup.identity, setup.log)


# --- showing --------------------------------------------------------------------------
def show(chosen: argparse.Namespace) -> int:
    """Show acts to somebody whom the site allows; the log says to whom."""
    os.umask(0o077)
    setup = read_site_file(chosen.site).setup
    check_may_see(setup, offices_shown(chosen.site), chosen.to)
    asked = drawn_from(chosen, setup) if chosen.sample else {}
    snapshot = asked.get("snapshot", chosen.snapshot)
    with _extract(chosen.site, snapshot) as extract, _log(setup) as log:
        store = extract.folder.parent.parent
        now = utc_now()
        logged = log_extract(setup.identity, log, store, extract.commitment, now)
        if asked and asked["extract"] != logged.digest:
            raise Unverified("the sample was drawn from another extract")
        acts, gone = opened_of(extract, _wanted(chosen, asked, extract))
        drawn = asked.get("draws", 0), frozenset(gone), asked.get("draw")
        about = Showing(chosen.to, now, *drawn)
        write_whole(chosen.out, show_acts(setup, log, logged, acts, about))
    said = _so_many(len(acts), "act")
    say(f"{chosen.out}: {said} for {chosen.to} and for nobody else")
    if gone:
        say(f"of those drawn {len(gone)} are of people who were shredded")
    return 0


def _wanted(
    chosen: argparse.Namespace, sample: dict[str, Any], extract: Extract
) -> list[int]:
    if sample:
        acts = extract.commitment.acts
        return draws(bytes.fromhex(sample["seed"]), sample["draws"], acts)
    if chosen.index is not None:
        return [chosen.index]
    if chosen.event:
        found = [data for data in extract.events() if event_id(data) == chosen.event]
        return [extract.index_of_event(data) for data in found]
    if chosen.patient:
        person = _pseudonym(chosen.site, chosen.patient)
        return _begun_on(chosen.day, extract, extract.indices_of(person))
    asked = ACT.fullmatch(chosen.act)
    if asked is None:
        raise Usage(
            "an act is PERSON, PERSON/VISIT or PERSON/2020-02-29, and PERSON the "
            "person_id of the tables",
            fix="--patient takes the hospital's own number",
        )
    visit = int(asked[3]) if asked[3] else None
    return [extract.index_of(int(asked[1]), visit, asked[2] or "")]


def _begun_on(day: str, extract: Extract, indices: range) -> list[int]:
    """Return those of a person's acts that began on a day; all where none is asked."""
    if not day:
        return list(indices)
    found = [
        index
        for index, opened in extract.open_all(indices)
        if opened is None or (opened.act.startswith(FORM) and day in _days(opened.act))
    ]
    if not found:
        raise InvalidData("no act of this patient began on that day", fix="leave --day")
    return found


def _days(data: bytes) -> set[object]:
    """Return the days on which an act began: of its visit, or its own."""
    act = decode_act(data)
    visits = [row for row in act.rows if row.table == "visit_occurrence"]
    return {act.day, *(row.values["visit_start_date"] for row in visits)}


def _pseudonym(site: Path, patient: str) -> int:
    """Return the person of a hospital's own number; of `-`, of the one that is typed.

    A number on the command line stays in the shell's history.
    """
    if patient == "-":
        say("the patient's number, as the export has it:")
        patient = sys.stdin.readline().rstrip("\r\n")
    return pseudonym_of(patient, read_key(read_folder(site).key_path))


def verify(chosen: argparse.Namespace) -> int:
    """Check a file of acts offline; exit code 6 if it does not hold."""
    trusted = read_directory(chosen.trust)
    certificate = None
    if chosen.certificate:
        certificate = _verified(chosen.certificate, chosen.trust)
    draw = own_draw(chosen)
    shown = check_shown(_read(chosen.file), trusted, certificate, draw)
    if chosen.json:
        body = {
            "verified": True,
            "site": shown.site,
            "to": shown.to,
            "at": shown.at,
            "extract": dict(shown.extract),
            "acts": {str(n): _told(data) for n, data in shown.acts.items()},
            "drawn": shown.drawn,
            "gone": list(shown.gone),
            "certified": shown.certified,
            "joint": shown.joint,
            "own": shown.own,
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    to, at, logged = map(plain, (shown.to, shown.at, str(shown.extract["at"])))
    say(f"{_so_many(len(shown.acts), 'act')} of {shown.site}, shown to {to} at {at}")
    say(f"  in the extract that it logged at {logged}")
    if shown.certified:
        say("  the study of this certificate ran on this very extract")
    if shown.drawn:
        say(f"  {shown.drawn} draws, {_drawn_by(shown)}")
        say(f"  {len(shown.gone)} of them cannot be shown: their people were shredded")
    say("  this proves that they were not changed since, not that they are true")
    if chosen.show:
        for index, data in sorted(shown.acts.items()):
            sys.stdout.write(f"{index}\n" + "".join(_lines(data)))
    acts = _so_many(len(shown.acts), "act")
    sys.stdout.write(on_screen(f"VERIFIED  {acts} of {shown.site}") + "\n")
    return 0


def _drawn_by(shown: Shown) -> str:
    """Say what drew the acts, and what that finds: nothing where the site could."""
    if not shown.is_drawn:
        who = f"with {plain(shown.to)}, " if shown.joint else ""
        return f"{who}as {shown.site} says: it could have chosen them"
    drawn = "as the hubs' signatures drew them"
    if shown.own:
        drawn = f"by {shown.site} and {plain(shown.to)} together"
    chance = chance_of_finding(0.01, shown.drawn)
    return f"{drawn}: 1 % falsified is found by {chance:.1%}"


def _told(data: bytes) -> str | dict[str, object]:
    """Return an act as JSON has it; an event as its own text."""
    return asdict(decode_act(data)) if data.startswith(FORM) else data.decode()


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _lines(data: bytes) -> Iterator[str]:
    if not data.startswith(FORM):
        yield on_screen(f"  {data.decode()}") + "\n"
        return
    act = decode_act(data)
    yield f"  person {act.person}, visit {act.visit}, {act.day or 'no day'}\n"
    for row in act.rows:
        cells = ", ".join(f"{k} {v}" for k, v in row.values.items() if v is not None)
        yield on_screen(f"  {row.table}: {cells}") + "\n"


# --- auditing -------------------------------------------------------------------------
def sample(chosen: argparse.Namespace) -> int:
    """Draw acts from the extract that a certified study ran on."""
    if not 0 < chosen.acts <= MOST:
        raise Usage(f"--acts lies between 1 and {MOST}")
    certificate = _verified(chosen.certificate, chosen.trust)
    record = extract_of(certificate, chosen.site)
    site = certificate.party(chosen.site, "site")
    joint = joint_sample(chosen, digest(record), site)
    body = {
        "type": SAMPLE,
        "site": chosen.site,
        "snapshot": record["body"]["snapshot"],
        "extract": digest(record),
        "seed": seed_of(certificate, chosen.site).hex(),
        "draws": chosen.acts,
        "at": format_time(utc_now()),
        **joint,
    }
    write_whole(chosen.out, canonical(body))
    say(f"{chosen.out}: {body['draws']} draws from the acts of {chosen.site}")
    for falsified in (0.001, 0.005, 0.01, 0.05):
        chance = chance_of_finding(falsified, int(body["draws"]))
        say(f"  where {falsified:.1%} of them are falsified, found by {chance:.1%}")
    return 0


def replay(chosen: argparse.Namespace) -> int:
    """Carry a site's steps out again; exit code 6 if a bit differs."""
    setup = read_site_file(chosen.site).setup
    certificate = _verified(chosen.certificate, None)
    name = setup.identity.name
    snapshots_of = {one["name"]: one for one in certificate.body["sites"]}
    if name not in snapshots_of:
        raise Unverified(f"{name} is not a site of this certificate")
    if snapshots_of[name]["extract"] is None:
        done = replay_steps(setup, certificate, None)
    else:
        with _extract(chosen.site, snapshots_of[name]["snapshot"]) as extract:
            said = snapshots_of[name]["extract"]["record"]["body"]["root"]
            if extract.commitment.root != said:
                raise Unverified("the study ran on another commitment than is kept")
            done = replay_steps(setup, certificate, extract)
    if chosen.json:
        body = {"same": True, "tasks": list(done.tasks), "acts": done.acts}
        sys.stdout.write(json.dumps(body) + "\n")
        return 0
    if done.acts:
        say(f"all {done.acts} acts are as they were committed to")
    else:
        say("the site had committed to no extract; the tables are those it named")
    say(f"SAME  each bit of {len(done.tasks)} releases follows from them again")
    return 0


def shred(chosen: argparse.Namespace) -> int:
    """Destroy one person's key in every extract that the site committed to."""
    folder, count = read_folder(chosen.site), 0
    person = chosen.person
    if chosen.patient:
        person = _pseudonym(chosen.site, chosen.patient)
    for manifest, _ in snapshots(folder.store_path):
        if find_commitment(folder.store_path, manifest.snapshot) is None:
            continue
        with _extract(chosen.site, manifest.snapshot) as extract:
            if extract.holds(person):
                count += 1
                extract.shred(person)
    if not count:
        raise InvalidData("no extract has acts of this person that could be shown")
    said = _so_many(count, "extract")
    say(f"nobody can show an act of this person any more, in {said}")
    say("backups of keys.json must go as well; the tables keep their rows")
    return 0


# --- files ----------------------------------------------------------------------------
def _verified(path: Path, trust: Path | None) -> Certificate:
    return _verified_by(path, read_directory(trust) if trust else None)


def _verified_by(path: Path, trusted: Directory | None) -> Certificate:
    data = read_certificate(path)
    verify_certificate(data, trusted)
    return open_certificate(data, trusted)


def _read(path: Path) -> bytes:
    return read_whole(path, LARGEST, beyond=Unverified)


def drawn_from(chosen: argparse.Namespace, setup: SiteSetup) -> dict[str, Any]:
    """Return a sample that follows from the study's certificate, of a size to be shown.

    Whoever wrote a sample could else have sought a seed that draws whom they look for.
    """
    if chosen.certificate is None:
        raise Usage("name the study's certificate with --certificate")
    asked = _read_sample(chosen.sample)
    certificate, name = (
        _verified_by(chosen.certificate, setup.trusted),
        setup.identity.name,
    )
    seed = seed_of(certificate, name)
    if "draw" in asked:
        extract, site = digest(extract_of(certificate, name)), setup.trusted[name]
        expected = Ask(name, chosen.to, extract, asked["draws"], "")
        seed = joint_seed(asked["draw"], site, expected)
    if bytes.fromhex(asked["seed"]) != seed:
        raise Refused(
            "the acts do not follow from the certificate",
            fix="draw them with hetao provenance audit-sample",
        )
    if asked["draws"] > MOST_SHOWN:
        raise Refused(
            f"{asked['draws']} acts are asked for; a site shows {MOST_SHOWN} of a draw"
        )
    return asked


def _read_sample(path: Path) -> dict[str, Any]:
    try:
        body = parse_canonical(_read(path))
    except NotCanonical as error:
        raise InvalidData(f"{path.name} is no sample") from error
    match body:
        case {
            "type": "hetao.sample/1",
            "snapshot": str(),
            "extract": str(),
            "seed": str(seed),
            "draws": int(count),
        } if re.fullmatch("[0-9a-f]{64}", seed) and 0 < count <= MOST:
            return dict(body)
    raise InvalidData(f"{path.name} is no sample", fix="hetao provenance audit-sample")
