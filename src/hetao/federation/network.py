"""`network.toml` and `hub.toml`: where hubs are, and with which keys one speaks.

    network.toml (the coordinator's)         hub.toml
    [coordinator] folder, parties, notices   [hub] name, host, port, folder, parties,
                                             notices
    [hubs] NAME = "https://host:port"        [keys], [log] as on the left
    [keys] sign, tls_certificate,
           tls_key, tls_authority
    [log]  head, witnesses, authority, which may be left out; but a coordinator that
           certifies has to say witnesses

Paths are relative to the file. Keys are pinned in `parties.toml`, which each party
keeps a copy of its own; nothing is ever fetched from a hub.
"""

import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hetao.errors import InvalidNetwork
from hetao.federation.logs import NOWHERE, LogTable
from hetao.federation.tls import client_tls, server_tls
from hetao.ledger.policy import HUBS
from hetao.permit import Directory, Identity, read_directory, read_identity
from hetao.records import read_toml, record


@dataclass(frozen=True)
class Keys:
    """Key files of one party, as paths."""

    sign: str
    tls_certificate: str
    tls_key: str
    tls_authority: str

    def identity(self, base: Path) -> Identity:
        """Return the party's signing and sealing keys."""
        return read_identity(base / self.sign)

    def client(self, base: Path) -> ssl.SSLContext:
        """Return the TLS context of a party that dials."""
        return _tls(client_tls, base, self)

    def server(self, base: Path) -> ssl.SSLContext:
        """Return the TLS context of a hub."""
        return _tls(server_tls, base, self)


def _tls(make: Any, base: Path, keys: Keys) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = make(
            base / keys.tls_certificate, base / keys.tls_key, base / keys.tls_authority
        )
    except (OSError, ssl.SSLError) as error:
        raise InvalidNetwork(
            f"the TLS files of {keys.tls_certificate} cannot be used",
            fix="check the paths under [keys]",
            local=repr(error),
        ) from error
    return context


@dataclass(frozen=True)
class CoordinatorTable:
    """`[coordinator]`: its own folder, its list of parties, notices that it heard."""

    folder: str
    parties: str = "parties.toml"
    notices: str = "notices"


@dataclass(frozen=True)
class HubTable:
    """`[hub]`."""

    name: str
    port: int
    folder: str
    host: str = "127.0.0.1"
    parties: str = "parties.toml"
    notices: str = "notices"


@dataclass(frozen=True)
class NetworkTable:
    """`[network]` of a site file."""

    home: str
    folder: str
    hubs: dict[str, str] = field(default_factory=dict)
    parties: str = "parties.toml"
    notices: str = "notices"


@dataclass(frozen=True)
class Way:
    """A site's way to its hubs: which is its home, where they are, its TLS files."""

    home: str
    hubs: Mapping[str, str]
    keys: Keys
    base: Path

    @property
    def tls(self) -> ssl.SSLContext:
        """Return our side of mutual TLS; who answers by file needs no such files.

        Raises:
            InvalidNetwork: the files cannot be used.
        """
        return self.keys.client(self.base)


@dataclass(frozen=True)
class Network:
    """A coordinator's `network.toml`, opened."""

    identity: Identity
    trusted: Directory
    hubs: Mapping[str, str]
    tls: ssl.SSLContext
    folder: Path
    notices: Path
    log: LogTable = NOWHERE


@dataclass(frozen=True)
class HubFile:
    """A hub's `hub.toml`, opened."""

    identity: Identity
    trusted: Directory
    tls: ssl.SSLContext
    host: str
    port: int
    folder: Path
    notices: Path
    log: LogTable = NOWHERE


def read_network(path: Path) -> Network:
    """Return the network of a `network.toml`.

    Raises:
        InvalidNetwork: the file, or one that it names, does not hold.
    """
    tables = _tables(path, {"coordinator", "hubs", "keys"})
    base, where = path.parent, path.name
    table = record(
        CoordinatorTable,
        tables["coordinator"],
        f"{where} [coordinator]",
        InvalidNetwork,
    )
    keys = record(Keys, tables["keys"], f"{where} [keys]", InvalidNetwork)
    return Network(
        identity=keys.identity(base),
        trusted=read_directory(base / table.parties),
        hubs=hub_addresses(tables["hubs"], f"{where} [hubs]"),
        tls=keys.client(base),
        folder=base / table.folder,
        notices=base / table.notices,
        log=log_of(tables, base, where),
    )


def read_parties(path: Path) -> Directory:
    """Return the parties that a `network.toml` names; opens no key."""
    tables = _tables(path, {"coordinator", "hubs", "keys"})
    table = record(
        CoordinatorTable, tables["coordinator"], "[coordinator]", InvalidNetwork
    )
    return read_directory(path.parent / table.parties)


def read_hub(path: Path) -> HubFile:
    """Return the hub of a `hub.toml`.

    Raises:
        InvalidNetwork: the file, or one that it names, does not hold.
    """
    tables = _tables(path, {"hub", "keys"})
    base = path.parent
    table = record(HubTable, tables["hub"], f"{path.name} [hub]", InvalidNetwork)
    keys = record(Keys, tables["keys"], f"{path.name} [keys]", InvalidNetwork)
    identity = keys.identity(base)
    if identity.name != table.name:
        raise InvalidNetwork(f"{path.name}: the key belongs to {identity.name}")
    return HubFile(
        identity=identity,
        trusted=read_directory(base / table.parties),
        tls=keys.server(base),
        host=table.host,
        port=table.port,
        folder=base / table.folder,
        notices=base / table.notices,
        log=log_of(tables, base, path.name),
    )


def network_of_site(tables: Mapping[str, Any], where: str) -> tuple[NetworkTable, Keys]:
    """Return `[network]` and `[keys]` of a site file's tables; opens no key.

    Raises:
        InvalidNetwork: a table is missing or does not hold.
    """
    for name in ("network", "keys"):
        if name not in tables:
            raise InvalidNetwork(f"{where}: table [{name}] is missing")
    network = record(
        NetworkTable, tables["network"], f"{where} [network]", InvalidNetwork
    )
    return network, record(Keys, tables["keys"], f"{where} [keys]", InvalidNetwork)


def way_of_site(network: NetworkTable, keys: Keys, path: Path) -> Way:
    """Return a site's way to its hubs; opens no key.

    Args:
        network: of `network_of_site`.
        keys: of `network_of_site`.
        path: the site's file.

    Raises:
        InvalidNetwork: an address is not HTTPS, or its home is none of them.
    """
    hubs = hub_addresses(network.hubs, f"{path.name} [network] hubs")
    if network.home not in hubs:
        raise InvalidNetwork(f"{path.name} [network]: home names no hub")
    return Way(network.home, hubs, keys, path.parent)


def log_of(tables: Mapping[str, Any], base: Path, where: str) -> LogTable:
    """Return `[log]` of a party's file, its paths made absolute.

    Raises:
        InvalidNetwork: the table does not hold.
    """
    table = record(LogTable, tables.get("log", {}), f"{where} [log]", InvalidNetwork)
    paths = {
        name: str((base / path).absolute())
        for name, path in asdict(table).items()
        if path and "://" not in path and (name, path) != ("witnesses", HUBS)
    }
    return replace(table, **paths)


def _tables(path: Path, wanted: set[str]) -> dict[str, Any]:
    tables = read_toml(path, InvalidNetwork)
    if set(tables) - {"log"} != wanted:
        raise InvalidNetwork(
            f"{path.name} must hold exactly the tables "
            + ", ".join(f"[{name}]" for name in sorted(wanted))
        )
    return tables


def hub_addresses(table: object, where: str) -> dict[str, str]:
    """Return hub name → `https://host:port`.

    Raises:
        InvalidNetwork: an address is not HTTPS.
    """
    if not isinstance(table, Mapping) or len(table) != 2:
        raise InvalidNetwork(f"{where}: name two hubs, one for each park")
    found = {}
    for name, address in table.items():
        try:
            parts = urlsplit(address if isinstance(address, str) else "")
        except ValueError:  # of brackets that hold no address
            parts = urlsplit("")
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise InvalidNetwork(
                f"{where}: the address of {name} is not https://host:port"
            )
        found[str(name)] = str(address).rstrip("/")
    return found
