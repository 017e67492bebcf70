"""Run a command and measure it: wall time, processor time, bytes between processes.

    python meter.py FIGURES.json SECONDS COMMAND [WORD ...]

Run as a program of its own, with the standard library alone. The command gets a network
of its own that holds nothing but a loopback, so that every byte between its processes
is counted by the kernel (headers, handshakes and TLS included) and nothing else is.
Whatever a process leaves running becomes this program's child, is counted, and ends
with it.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_CHILD_SUBREAPER = 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
GRACE_SECONDS = 5.0


def own_network():
    """Move this process into a network of its own; return whether that was allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) == 0:
        pass
    elif libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    else:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        asked = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(way, SIOCGIFFLAGS, asked)[:18])[1]
        fcntl.ioctl(way, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))
    return True


def loopback(text):
    """Return bytes and packets that the loopback of a /proc/net/dev has received."""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            received = rest.split()
            return int(received[0]), int(received[1])
    return 0, 0


def children():
    """Return the numbers of this process's children."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(number) for number in listed.split()]


def reap(until):
    """Wait for every child until a time; return whether none is left."""
    while True:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not found:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)


def end_all():
    """Wait for what the command left behind, then end it, at first politely."""
    if reap(time.monotonic() + GRACE_SECONDS):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(50):  # their own children become ours as they end
            if reap(time.monotonic() + GRACE_SECONDS / 50):
                return
            for child in children():
                os.kill(child, number)


def measured(command, seconds):
    """Run a command; return its figures."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    alone = own_network()
    start, late = time.perf_counter(), False
    process = subprocess.Popen(command)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        late, status = True, -1
        process.terminate()
    wall = time.perf_counter() - start
    end_all()
    spent = os.times()
    sent, packets = loopback(Path("/proc/net/dev").read_text())
    return {
        "status": status,
        "late": late,
        "wall": wall,
        "cpu": spent.children_user + spent.children_system,
        "bytes": sent if alone else None,
        "packets": packets if alone else None,
    }


if __name__ == "__main__":
    found = measured(sys.argv[3:], float(sys.argv[2]))
    Path(sys.argv[1]).write_text(json.dumps(found))
