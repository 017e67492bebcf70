"""The network half of `site.toml`: whom a site dials, trusts, and what it lets out.

    [network] home, folder, parties, notices, hubs = { NAME = "https://host:port" }
    [keys]    sign, tls_certificate, tls_key, tls_authority
    [log]     head, where its log keeps what it signed last, witnesses, authority
    [policy]  file, or minimum, highest_grade, reason; strict where it is left out
    [rules]   packs, facts: rules of the site's own; none where it is left out

The other tables are the data half, which `cdm` reads.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetao.cdm import open_site, read_site
from hetao.errors import InvalidNetwork
from hetao.federation.network import Way, log_of, network_of_site, way_of_site
from hetao.federation.register import read_notices
from hetao.federation.site import SiteSetup
from hetao.permit import read_directory
from hetao.permit.house import house_of
from hetao.records import read_toml
from hetao.release import Policy, policy_from, read_policy


@dataclass(frozen=True)
class SiteFile:
    """A site's file, opened: what it is, and how it reaches its hubs."""

    setup: SiteSetup
    way: Way


def read_site_file(path: Path) -> SiteFile:
    """Return the site of a `site.toml`.

    Raises:
        InvalidNetwork, InvalidMapping, InvalidRulebook, InvalidFacts, InvalidData: the
            file, or one that it names, does not hold.
    """
    tables = read_toml(path, InvalidNetwork)
    base, where = path.parent, path.name
    network, keys = network_of_site(tables, where)
    policy = _policy(base, tables.get("policy", {}), where)
    config = read_site(path)
    identity = keys.identity(base)
    if identity.name != config.site.name:
        raise InvalidNetwork(f"{where}: the key belongs to {identity.name}")
    way = way_of_site(network, keys, path)
    setup = SiteSetup(
        identity=identity,
        trusted=read_directory(base / network.parties),
        policy=policy,
        home=way.home,
        folder=base / network.folder,
        open_source=functools.partial(open_site, path),
        notices=functools.partial(read_notices, base / network.notices),
        house=house_of(tables, base, where),
        log=log_of(tables, base, where),
        open_snapshot=None if config.flat else functools.partial(open_site, path),
    )
    return SiteFile(setup, way)


def _policy(base: Path, table: dict[str, Any], where: str) -> Policy:
    if set(table) == {"file"}:
        return read_policy(base / str(table["file"]))
    return policy_from(table, f"{where} [policy]")
