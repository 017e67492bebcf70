"""A virtual environment for each peer, made by pinned version and kept.

Nothing of a peer becomes a dependency of Hetao, and nothing of theirs is copied into
it.
"""

import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Another program: its name and licence, and what to install.

    Attributes:
        packages: pinned packages.
        sources: its own file → where it is published, where no package carries it.
        folder: what the sources form, a Python package of that name.
    """

    name: str
    licence: str
    packages: tuple[str, ...]
    sources: tuple[tuple[str, str], ...] = ()
    folder: str = ""


V6 = "https://raw.githubusercontent.com/vantage6/v6-kaplan-meier-py"
V6_FILES = (
    ("central", "1c215f217a4b0e36eda9db6a821d48762a15576f"),
    ("partial", "2e111706b906e3983ea233243d153379da6d6c78"),
    ("globals", "2e111706b906e3983ea233243d153379da6d6c78"),
    ("utils", "2e111706b906e3983ea233243d153379da6d6c78"),
    ("enums", "dc2c3d10c3bd6bc8ecfcc09a17321e771d401f2b"),
)
PEERS = {
    "nvflare": Peer("NVFLARE 2.9.0", "Apache-2.0", ("nvflare==2.9.0",)),
    "flower": Peer(
        "Flower 1.42.0",
        "Apache-2.0",
        ("flwr[simulation]==1.42.0", "scikit-learn==1.9.1", "numpy==2.4.6"),
    ),
    "tno": Peer(
        "TNO logistic 1.1.0 and Cox 0.5.5",
        "Apache-2.0",
        (
            "tno-fl-protocols-cox-regression==0.5.5",
            "tno-fl-protocols-logistic-regression==1.1.0",
            "tno-mpc-communication==4.12.0",
            "numpy==2.4.6",
        ),
    ),
    "vantage6": Peer(
        "vantage6 tools 4.15.2 and v6-kaplan-meier-py",
        "Apache-2.0 and MIT",
        ("vantage6-algorithm-tools==4.15.2", "pandas==2.3.3", "numpy==2.4.6"),
        tuple(
            (f"{name}.py", f"{V6}/{commit}/v6-kaplan-meier-py/{name}.py")
            for name, commit in V6_FILES
        ),
        "v6_kaplan_meier_py",
    ),
}
# What the package's first file says, so that the mock client finds the methods.
DOOR = (
    "from .central import kaplan_meier_central\n"
    "from .partial import get_km_event_table, get_unique_event_times\n"
)


class Missing(Exception):
    """A peer cannot be had on this machine; its text says why."""


def ready(name, folder):
    """Return the Python of a peer's environment, made if it is not there yet.

    Raises:
        Missing: it cannot be made.
    """
    peer, place = PEERS[name], folder / "environments" / name
    python, mark = place / "bin" / "python", place / "ready"
    wanted = "\n".join(peer.packages)
    if not (mark.exists() and mark.read_text("utf-8") == wanted):
        _run("no virtual environment", sys.executable, "-m", "venv", "--clear", place)
        install = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
        _run("not installed", *install, *peer.packages)
        mark.write_text(wanted, "utf-8")
    _fetch(peer, folder / "sources")
    return python


def _run(what, *command):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise Missing(f"{what}: {lines[-1][:200]}")


def _fetch(peer, folder):
    if not peer.sources:
        return
    place = folder / peer.folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "__init__.py").write_text(DOOR, "utf-8")
    for name, address in peer.sources:
        if (place / name).exists():
            continue
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
                (place / name).write_bytes(answer.read())
        except (urllib.error.URLError, OSError) as error:
            raise Missing(f"{name} could not be fetched: {error}") from error
