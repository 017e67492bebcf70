"""`hetao site stop` and `hetao site go`: a site's switch, which needs no network."""

import argparse
from pathlib import Path

from hetao.cli.main import say
from hetao.errors import InvalidNetwork
from hetao.federation import guard
from hetao.federation.clock import utc_now
from hetao.federation.network import network_of_site
from hetao.records import read_toml


def stop(chosen: argparse.Namespace) -> int:
    """Throw the switch: from the next envelope on, the site answers nothing."""
    fresh = guard.stop(_folder(chosen.site), utc_now(), chosen.reason)
    say("the site answers nothing" if fresh else "the site had been stopped already")
    return 0


def go(chosen: argparse.Namespace) -> int:
    """Take the switch away."""
    was = guard.go(_folder(chosen.site))
    say("the site answers again" if was else "the site had not been stopped")
    return 0


def _folder(path: Path) -> Path:
    network, _ = network_of_site(read_toml(path, InvalidNetwork), path.name)
    return path.parent / network.folder
