"""The files of a network on one machine: a folder a party, nothing shared but names.

    ROOT/parties.toml                     what everybody may know
    ROOT/coordinator/network.toml         + keys, parties.toml
    ROOT/hubs/NAME/hub.toml               + keys, parties.toml
    ROOT/sites/NAME/site.toml             + keys, parties.toml; data half as given
    ROOT/people/NAME.sign.pem             each person's key
    ROOT/witness/                         of the third witness, where there is one

Every party's folder holds its own keys and its own copy of the list of parties; a
real network is these same folders on as many machines.
"""

import datetime
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hetao.errors import InvalidNetwork
from hetao.federation.cast import Cast, new_cast
from hetao.federation.pki import Authority, new_authority, write_certificate
from hetao.ledger.policy import HUBS
from hetao.permit import (
    SIDES,
    Requirement,
    requirements,
    reviews,
    write_directory,
    write_identity,
)
from hetao.permit.law import day_of_law

HOST = "127.0.0.1"
FIRST_PORT, PORTS, TRIES = 20_000, 12_000, 1_000
DAYS = 90  # how long certificates of a pilot hold


@dataclass(frozen=True)
class PilotSite:
    """A site to set up: its side, who it is, the data half of its `site.toml`."""

    side: str
    organisation: str
    data: str
    policy: str = ""


@dataclass(frozen=True)
class PilotWitness:
    """A witness beside both hubs, with an account of its own on the same machine.

    Attributes:
        folder: made by `hetao witness init` and `hetao witness tls`.
        vkey: by which its cosignatures are verified.
        port: where it is served; 0 until the network is written.
    """

    folder: Path
    vkey: str
    port: int = 0

    @property
    def url(self) -> str:
        """Return where its coordinator asks it."""
        return f"https://{HOST}:{self.port}/"


@dataclass(frozen=True)
class Pilot:
    """Where everything of a one-machine network stands."""

    root: Path
    parties: Path
    network: Path
    hubs: Mapping[str, Path]
    sites: Mapping[str, Path]
    people: Mapping[str, Path]
    approvers: Mapping[str, Path]
    checkers: Mapping[str, Path]
    witness: PilotWitness | None = None


def write_pilot(
    root: Path,
    sites: Mapping[str, PilotSite],
    now: datetime.datetime,
    witness: PilotWitness | None = None,
) -> Pilot:
    """Write keys, certificates and files for two hubs, a coordinator and `sites`.

    Args:
        root: the folder of all.
        sites: by name.
        now: from when the certificates are valid.
        witness: whom the coordinator asks beside both hubs; both hubs alone if None.

    Raises:
        InvalidNetwork: `root` already holds a network.
    """
    if (root / "parties.toml").exists():
        raise InvalidNetwork(
            f"{root} already holds a network", fix="choose an empty folder"
        )
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)  # every party's keys, and patients' rows, stand below
    sides = {name: site.side for name, site in sites.items()}
    organisations = {name: site.organisation for name, site in sites.items()}
    cast = new_cast(sides, now, organisations)
    *ports, last = free_ports(len(SIDES) + 1)
    hubs = {
        f"hub-{side.lower()}": port for side, port in zip(SIDES, ports, strict=True)
    }
    witness = replace(witness, port=last) if witness else None
    writer = _Writer(root, cast, hubs, now)
    people = writer.people()
    found = Pilot(
        root=root,
        parties=root / "parties.toml",
        network=writer.coordinator(witness),
        hubs={name: writer.hub(name) for name in hubs},
        sites={name: writer.site(name, site) for name, site in sites.items()},
        people=people,
        approvers=_holding(requirements("data", SIDES, day_of_law(now)), cast, people),
        checkers=_holding(reviews("data", SIDES, day_of_law(now)), cast, people),
        witness=witness,
    )
    write_directory(found.parties, cast.directory)  # last: marks it whole
    return found


def _holding(
    needs: Sequence[Requirement], cast: Cast, people: Mapping[str, Path]
) -> dict[str, Path]:
    """Return the key files of the people who hold these offices."""
    holders = [
        person.name
        for need in needs
        for person in cast.directory.holders(need.role, need.side)
    ]
    return {name: path for name, path in people.items() if name in holders}


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens at now.

    They lie below those that Linux gives to outgoing connections: one of these could
    else take a hub's port in the hours before the hub begins to listen.

    Raises:
        InvalidNetwork: hardly any port is free.
    """
    held: list[socket.socket] = []
    try:
        for _ in range(TRIES):
            one = socket.socket()
            held.append(one)
            try:
                one.bind((HOST, FIRST_PORT + secrets.randbelow(PORTS)))
            except OSError:
                held.pop().close()
            if len(held) == count:
                return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
    raise InvalidNetwork("no port is free on this machine", fix="stop other servers")


class _Writer:
    """Writes one folder after the other."""

    def __init__(
        self,
        root: Path,
        cast: Cast,
        hubs: Mapping[str, int],
        now: datetime.datetime,
    ) -> None:
        self._root, self._cast, self._hubs, self._now = root, cast, hubs, now
        self._authorities: dict[str, Authority] = {
            side: new_authority(f"Hetao pilot authority {side}", now, DAYS)
            for side in SIDES
        }

    def _keys(self, folder: Path, name: str) -> str:
        """Write a party's keys and return its `[keys]` table."""
        keys = folder / "keys"
        write_identity(keys, self._cast.identities[name])
        side = self._cast.directory[name].side
        hosts = ["localhost", HOST] if name in self._hubs else []
        write_certificate(keys, self._authorities[side], name, hosts, self._now, DAYS)
        both = b"".join(authority.pem for authority in self._authorities.values())
        (keys / "authorities.pem").write_bytes(both)
        write_directory(folder / "parties.toml", self._cast.directory)
        return (
            "\n[keys]\n"
            f'sign = "keys/{name}.sign.pem"\n'
            f'tls_certificate = "keys/{name}.tls.pem"\n'
            f'tls_key = "keys/{name}.tls.key"\n'
            'tls_authority = "keys/authorities.pem"\n'
        )

    def _addresses(self) -> str:
        return "".join(
            f'{name} = "https://{HOST}:{port}"\n' for name, port in self._hubs.items()
        )

    def coordinator(self, witness: PilotWitness | None) -> Path:
        folder = self._root / "coordinator"
        keys = self._keys(folder, "coordinator")
        text = '[coordinator]\nfolder = "state"\n\n[hubs]\n' + self._addresses() + keys
        text += "\n# Nobody on one machine is independent.\n[log]\n"
        if witness is None:
            text += f'witnesses = "{HUBS}"\n'
        else:
            line = f"witness third {witness.vkey} {witness.url}\nquorum third\n"
            _write(folder / "witnesses", line)
            authority = (witness.folder / "authority.pem").read_bytes()
            (folder / "keys" / "witness-authority.pem").write_bytes(authority)
            text += 'witnesses = "witnesses"\n'
            text += 'authority = "keys/witness-authority.pem"\n'
        return _write(folder / "network.toml", text)

    def hub(self, name: str) -> Path:
        folder = self._root / "hubs" / name
        text = (
            f'[hub]\nname = "{name}"\nhost = "{HOST}"\nport = {self._hubs[name]}\n'
            'folder = "state"\n'
        )
        return _write(folder / "hub.toml", text + self._keys(folder, name))

    def site(self, name: str, site: PilotSite) -> Path:
        folder = self._root / "sites" / name
        keys = self._keys(folder, name)
        text = (
            f"{site.data.rstrip()}\n\n"
            f'[network]\nhome = "hub-{site.side.lower()}"\nfolder = "state"\n'
            f"\n[network.hubs]\n{self._addresses()}{keys}"
        )
        if site.policy:
            _write(folder / "policy.toml", site.policy)
            text += '\n[policy]\nfile = "policy.toml"\n'
        return _write(folder / "site.toml", text)

    def people(self) -> dict[str, Path]:
        folder = self._root / "people"
        return {
            person.name: write_identity(folder, self._cast.identities[person.name])
            for person in self._cast.directory.persons
        }


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def toml_text(value: str) -> str:
    """Return a text as a TOML string, whatever is in it."""
    return json.dumps(value, ensure_ascii=False)
