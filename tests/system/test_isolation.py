"""Who combines answers never loads what opens rows; nobody speaks beyond loopback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("system")

LISTEN = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000")
TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "icmp6")
LOADED = "import sys, hetao.cli.{module}; print(*sys.modules)"


def loaded_by(module):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def maps_of(pid):
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def sockets_of(pid):
    """Return (protocol, local, remote, state) of each socket that a process holds."""
    held = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            held.update(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
        except OSError:
            continue  # closed meanwhile
    found = set()
    for table in TABLES:
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = row.split()
            if cells[9] in held:
                found.add((table, cells[1], cells[2], cells[3]))
    return found


@pytest.fixture(scope="module")
def seen(network, tmp_path_factory):
    """Return what each process had open at any moment of a whole run."""
    coordinator = network.run(network.asked, tmp_path_factory.mktemp("seen") / "out")
    pids = {name: network.pid(name) for name in network.words}
    pids["coordinator"] = coordinator.pid
    maps, sockets = dict.fromkeys(pids, ""), {name: set() for name in pids}
    while coordinator.poll() is None:
        for name, pid in pids.items():
            maps[name] = maps_of(pid) or maps[name]
            sockets[name] |= sockets_of(pid)
    network.finish(coordinator)
    return maps, sockets


def test_the_coordinator_process_never_maps_the_engine_that_opens_rows(seen, network):
    maps, _ = seen

    assert "libssl" in maps["coordinator"] or "_ssl" in maps["coordinator"]
    assert "duckdb" not in maps["coordinator"]
    assert "pandas" not in maps["coordinator"]
    for site in network.pilot.sites:
        assert "duckdb" in maps[site]  # the check does see it where it is


def test_sites_and_coordinator_listen_on_no_port(seen, network):
    _, sockets = seen

    for name in (*network.pilot.sites, "coordinator"):
        assert sockets[name], "no connection was seen at all"
        assert not [s for s in sockets[name] if s[3] == LISTEN]
    for hub in network.pilot.hubs:
        assert len([s for s in sockets[hub] if s[3] == LISTEN]) == 1


def test_no_process_speaks_to_anybody_beyond_loopback(seen):
    _, sockets = seen

    for name, held in sockets.items():
        for table, here, there, state in held:
            assert table == "tcp", f"{name} holds a socket of {table}"
            assert here.split(":")[0] in LOOPBACK
            if state != LISTEN:
                assert there.split(":")[0] in LOOPBACK


@pytest.mark.parametrize("module", ["run", "hub"])
def test_coordinator_and_hub_import_nothing_that_opens_rows(module):
    loaded = loaded_by(module)

    assert {"duckdb", "pandas", "hetao.cdm", "hetao.cohort"}.isdisjoint(loaded)


def test_the_site_does_import_them():
    assert {"duckdb", "hetao.cdm", "hetao.cohort"} <= loaded_by("site")


def test_a_hub_loads_neither_the_gate_nor_an_estimator():
    loaded = loaded_by("hub")

    assert {"hetao.release.decide", "hetao.analysis", "scipy"}.isdisjoint(loaded)
    assert "hetao.release.seal" in loaded


def test_who_waits_for_several_sites_loads_none_of_their_libraries():
    loaded = loaded_by("serve")

    assert {"numpy", "duckdb", "aiohttp", "hetao.cdm"}.isdisjoint(loaded)
    assert "multiprocessing" in loaded


def test_a_command_that_dials_nobody_loads_no_http_and_a_fit_no_party():
    assert {"aiohttp", "hetao.federation.hub"}.isdisjoint(loaded_by("study"))
    assert "aiohttp" not in loaded_by("provenance")

    parties = {"hetao.federation.site", "hetao.federation.hub", "aiohttp"}
    assert parties.isdisjoint(loaded_by("fit"))
    assert parties <= loaded_by("site") | loaded_by("hub")
