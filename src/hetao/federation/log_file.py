"""The log of the party whose file is named: a site's, a hub's or the coordinator's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hetao.errors import InvalidNetwork
from hetao.federation.logs import LogTable, has_log, open_log
from hetao.federation.network import (
    CoordinatorTable,
    HubTable,
    Keys,
    log_of,
    network_of_site,
)
from hetao.ledger.log import Log
from hetao.ledger.log_signer import signer_of
from hetao.ledger.note import Verifier
from hetao.permit import add_log_key, read_identity
from hetao.records import read_toml, record


def read_log(path: Path, *, asks: bool = False) -> Log:
    """Return the log of the party whose site.toml, hub.toml or network.toml this is.

    Args:
        path: of the party's file.
        asks: whether the witnesses are asked, as before anything that signs.

    Raises:
        InvalidNetwork: the file is none of these, or there is no log yet.
        InvalidData, Unreachable, Unverified: as `open_log`.
    """
    tables, where = read_toml(path, InvalidNetwork), path.name
    folder, keys = _folder_and_keys(tables, where)
    state, identity = path.parent / folder, keys.identity(path.parent)
    table = log_of(tables, path.parent, where)
    if not state.is_dir() or not has_log(state, identity, table):
        raise InvalidNetwork(
            f"{identity.name} has no log yet",
            fix="it is made when the party is first served",
        )
    return open_log(state, identity, table, asks=asks)


def read_log_table(path: Path) -> LogTable:
    """Return `[log]` of a party's file.

    Raises:
        InvalidNetwork: it names no witnesses, or does not hold.
        InvalidData: the policy does not.
    """
    table = log_of(read_toml(path, InvalidNetwork), path.parent, path.name)
    if table.policy is None:
        raise InvalidNetwork(
            f"{path.name} names no witnesses", fix='add [log] witnesses = "FILE"'
        )
    return table


def read_log_keys(path: Path, *, adds: bool = False) -> tuple[Verifier, ...]:
    """Return what others are given to verify a party's log, which need not exist yet.

    Args:
        path: of the party's file.
        adds: whether the second key, ML-DSA-44, is made, beside the first.

    Raises:
        InvalidNetwork: the file is no party's, a key cannot be read, or the second was
            to be made and is there.
    """
    _, keys = _folder_and_keys(read_toml(path, InvalidNetwork), path.name)
    where = path.parent / keys.sign
    identity = add_log_key(where) if adds else read_identity(where)
    return signer_of(identity.name, identity.log_keys).verifiers


def _folder_and_keys(tables: Mapping[str, Any], where: str) -> tuple[str, Keys]:
    if "network" in tables:
        network, keys = network_of_site(tables, where)
        return network.folder, keys
    kinds: dict[str, type[HubTable] | type[CoordinatorTable]] = {
        "hub": HubTable,
        "coordinator": CoordinatorTable,
    }
    for name, kind in kinds.items():
        if name in tables:
            table = record(kind, tables[name], f"{where} [{name}]", InvalidNetwork)
            made = record(
                Keys, tables.get("keys", {}), f"{where} [keys]", InvalidNetwork
            )
            return table.folder, made
    raise InvalidNetwork(
        f"{where} is no party's file: it has none of [network], [hub], [coordinator]",
        fix="name a site.toml, a hub.toml or a network.toml",
    )
