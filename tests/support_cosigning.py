"""A coordinator's log before two real hubs, and what it says of its certificates."""

import contextlib

from hetao.federation.certify import package_of
from hetao.federation.hub_lines import hub_lines
from hetao.federation.logs import open_log
from hetao.federation.network import Network
from hetao.ledger.note import COSIGNATURE, Verifier, open_note, vkey
from hetao.ledger.status import append_lists, read_snapshot, snapshot
from hetao.permit import format_time
from support_transport import HUBS, HttpsNet, Stage, now, play, study_of

NO_MARKS = {"revocation": frozenset(), "suspension": frozenset()}
BOSS = "coordinator"


class Boss:
    """A coordinator's log over real hubs, and what it says of its certificates."""

    def __init__(self, net, name="log", identity=None):
        self.net = net
        self.identity = identity or net.cast.identities[BOSS]
        self.folder = net.folder / name
        self.folder.mkdir()
        self.log = open_log(self.folder, self.identity)
        self.network = Network(
            identity=self.identity,
            trusted=net.cast.directory,
            hubs=net.addresses,
            tls=net.client(BOSS),
            folder=self.folder,
            notices=self.folder,
        )

    def says(self, marks=NO_MARKS):
        """End the log with lists, and return their snapshot."""
        key = self.identity.signing_key
        note = append_lists(self.log, self.identity.name, key, marks, now())
        return snapshot(self.log, note)

    async def seen(self, told):
        return await hub_lines(self.log, told, self.network)


@contextlib.contextmanager
def boss_of(net, *more):
    made = Boss(net, *more)
    try:
        yield made
    finally:
        made.log.close()


def on_hubs(folder, scene):
    """Play a scene with a coordinator's log before two hubs over TLS."""

    async def whole(net):
        with boss_of(net) as boss:
            return await scene(boss)

    return play(HttpsNet, folder, whole)


def holds(boss, told, lines):
    """Return the hubs whose lines verify."""
    keys = boss.net.cast.directory
    eyes = [Verifier.of(hub, keys[hub].sign_key, COSIGNATURE) for hub in lines]
    note = read_snapshot(told, (BOSS, keys[BOSS].sign_key)).note
    found = open_note(note + "".join(lines.values()), eyes)[1]
    return sorted(eye.name for eye in found)


def policy_of(cast, folder, quorum):
    """Write a reader's policy: the coordinator's log, both hubs."""
    boss, text = cast.directory[BOSS], ""
    eyes = {hub: cast.directory[hub] for hub in HUBS}
    text += f"log {vkey(BOSS, boss.sign_key)}\n"
    for name, hub in eyes.items():
        text += f"witness {name} {vkey(name, hub.sign_key, COSIGNATURE)}\n"
    path = folder / "policy"
    path.write_text(f"{text}group both {quorum} {' '.join(HUBS)}\nquorum both\n")
    return str(path)


@contextlib.asynccontextmanager
async def answered(net):
    """Give a study's stage, its coordinator once it has its outcome, and the rest.

    The rest is what `certify` takes beside the coordinator.
    """
    stage = Stage(net, study_of("abc"))
    async with stage:
        stage.work_all("abc")
        coordinator = stage.coordinator()
        outcome = await coordinator.answer()
        votes = net.cast.reviewed(stage.bundle, package_of(outcome), now())
        yield stage, coordinator, (outcome, format_time(now()), votes)
