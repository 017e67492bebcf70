"""Flower as processes: a SuperLink, a SuperNode a site, and `flwr run`.

    python flower_net.py MODE APP SITES WORK CONFIG

`MODE` is "simulation" (one SuperLink that plays every site in Ray's workers) or
"deployment" (a SuperNode a site). The channels are Flower's without TLS.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

LINK = "127.0.0.1:8000"
HERE = Path(sys.executable).parent


def waited_for(address, seconds=60.0):
    """Return when somebody listens there."""
    host, port = address.split(":")
    until = time.time() + seconds
    while time.time() < until:
        with socket.socket() as way:
            if way.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens at {address}")


def main(mode, app, sites, work, config):
    """Start the parties, run the app, stop the parties."""
    home = Path(work)
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{LINK}"\n'
        "insecure = true\n"
    )
    os.environ |= {"FLWR_HOME": work, "FLWR_TELEMETRY_ENABLED": "0"}
    os.environ["PATH"] = f"{HERE}:{os.environ['PATH']}"
    simulated = mode == "simulation"
    link = [str(HERE / "flower-superlink"), "--insecure"]
    link += ["--disable-runtime-dependency-installation"]
    link += ["--simulation"] if simulated else []
    parties = [subprocess.Popen(link)]
    try:
        waited_for(LINK)
        for number in range(0 if simulated else int(sites)):
            node = [str(HERE / "flower-supernode"), "--insecure", "--superlink", LINK]
            node += ["--port", str(9200 + number)]
            node += ["--node-config", f"partition-id={number}"]
            parties.append(subprocess.Popen(node))
        words = [str(HERE / "flwr"), "run", app, "here", "--stream"]
        words += ["--run-config", config]
        if simulated:
            words += ["--federation-config", f"num-supernodes={sites}"]
        return subprocess.run(words, check=False).returncode
    finally:
        for party in reversed(parties):
            party.terminate()
        for party in parties:
            party.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
