"""A small network of logs that tell each other, and parties that rewrite theirs."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from hetao.canonical import canonical
from hetao.federation.heartbeat import Heartbeat
from hetao.federation.replica import SCHEMA, Replica
from hetao.federation.reports import answered
from hetao.federation.store import Store
from hetao.ledger.log import Log
from hetao.ledger.note import LOG_SIGNATURE, Verifier
from hetao.permit import Directory, Identity, new_identity

ROLES = {"c": "coordinator", "h": "hub", "a": "site", "b": "site"}
HUB = "h"
STUDY = "sha256:" + "5" * 64


def record(number, study=STUDY, what="received"):
    return canonical(
        {"type": "hetao.entry/1", "what": what, "study": study, "run": f"r{number}"}
    )


def cast() -> tuple[dict[str, Identity], Directory]:
    identities = {name: new_identity(name) for name in ROLES}
    parties = [
        identities[name].party("HK", role, "an organisation")
        for name, role in ROLES.items()
    ]
    return identities, Directory(tuple(parties))


@dataclass
class Records:
    """Each party's log and replica, and the hub between them."""

    folder: Path
    identities: dict[str, Identity]
    trusted: Directory
    said: list[str] = field(default_factory=list)
    logs: dict[str, Log] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    beats: dict[str, Heartbeat] = field(default_factory=dict)
    stores: list[Store] = field(default_factory=list)
    rewrites: int = 0

    def __post_init__(self):
        for name in ROLES:
            home = self.folder / name
            home.mkdir(parents=True)
            self.logs[name] = self.open_log(name, "log")
            self.stores.append(Store(None, SCHEMA))
            self.replicas[name] = Replica(
                self.stores[-1], self.trusted, name, home, self.said.append
            )
        self.start()

    def start(self):
        """Begin the heartbeats anew, as after a restart."""
        for name in ROLES:
            self.beats[name] = Heartbeat(
                self.logs[name], self.replicas[name], Way(self, name), self.said.append
            )

    def open_log(self, name, file, keys=None):
        keys = keys or self.identities[name].signing_key
        return Log.open(self.folder / name / file, name, keys)

    def shows(self, speaker):
        return lambda fields: fields.get("study") == STUDY

    async def beat(self):
        for name in ROLES:
            if name != HUB:
                await self.beats[name].beat([HUB])

    def rewrite(self, name, entries, keys=None):
        """Let a party write its log anew, and sign it."""
        self.logs[name].close()
        self.rewrites += 1
        self.logs[name] = self.open_log(name, f"log-{self.rewrites}", keys)
        for entry in entries:
            self.logs[name].append([entry])
        self.start()

    def accused(self):
        """Return whom each party found out."""
        return {
            name: {fault.origin for fault in replica.faults()}
            for name, replica in self.replicas.items()
        }

    def close(self):
        """Close all, and hold what replicas know by heart to what is on the disk."""
        known = [dict(one._known) for one in self.replicas.values()]
        for one in self.replicas.values():
            one._known.clear()
        kept = zip(known, self.replicas.values(), strict=True)
        for names, one in kept:
            assert names == {name: one._kept(name) for name in names}
        for log in self.logs.values():
            log.close()
        for store in self.stores:
            store.close()


@dataclass
class Way:
    """A party's way to the hub."""

    records: Records
    party: str

    async def report(self, hub, data):
        records = self.records
        return answered(
            records.logs[hub],
            records.replicas[hub],
            self.party,
            data,
            records.shows(self.party),
        )


def fill(records, count=5):
    for name, log in records.logs.items():
        log.append([record(f"{name}{i}") for i in range(count)])


def keys_of_cast(trusted, name):
    return [Verifier.of(name, trusted[name].sign_key, LOG_SIGNATURE)]


# --- Rewriting a record ----------------
def changed(entries, at):
    return [*entries[:at], record("changed"), *entries[at + 1 :]]


def dropped(entries, at):
    return [*entries[:at], *entries[at + 1 :]]


def inserted(entries, at):
    return [*entries[:at], record("inserted"), *entries[at:]]


def swapped(entries, at):
    other = (at + 1) % len(entries)
    found = list(entries)
    found[at], found[other] = found[other], found[at]
    return found


def cut(entries, at):
    return entries[:at]


WAYS = (changed, dropped, inserted, swapped, cut)
GROWTH = (0, 1, 4)


def tampering(records: Records, rng: random.Random) -> tuple[str, str]:
    """Let one party rewrite one record that was told; return who, and how."""
    name = rng.choice(sorted(ROLES))
    way, grows = rng.choice(WAYS), rng.choice(GROWTH)
    log = records.logs[name]
    entries = log.entries(0, log.size)
    at = rng.randrange(len(entries))
    new = [record(f"later{i}") for i in range(grows)]
    records.rewrite(name, [*way(entries, at), *new])
    return name, f"{way.__name__} at {at} of {len(entries)}, then {grows} more"
