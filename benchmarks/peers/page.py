"""The page: a table, a picture and the figures, from what the runs kept."""

import json
import math
import platform
from pathlib import Path

from peers.environments import PEERS

TASKS = {
    "logistic": "Logistic regression: heart, 854 people at 4 hospitals",
    "cox": "Cox regression within centres: dialysis, 6,805 people at 67 centres",
    "cox-whole": "Cox regression, one risk set over all centres: the same people",
    "km": "Kaplan-Meier: the same people",
}
HEAD = """# Beside other federated programs

Written by `make bench-peers`, measured {when} on
{machine}{load}. Everybody gets the
same rows; columns of heart are moved and scaled by two public numbers each.

Every run is a command of its own in a network of its own. *Wall* is from the command's
start to its end; *in rounds* is the part between the first question to the sites and
the last answer, the rest is start-up, keys, certificate and end. *Processor* is of all
processes together. *Bytes* are all that went between processes over the loopback, with
headers and handshakes, and with TLS where there is TLS. *Distance* is the largest
difference from R's pooled fit over the terms, in R's standard errors; of a curve, the
largest vertical difference. R's fit is carried on until nothing changes, so what R says
by default has a distance too.

![Distance from the pooled answer and processor time of each run](peers.svg)
"""
COLUMNS = ("program", "setting", "sites", "rounds", "wall, s", "in rounds, s")
COLUMNS += ("processor, s", "bytes", "distance")
NOTES = """
## How to read it

- Hetao's runs are `hetao fit`: both hubs, the coordinator and every site are processes
  of their own that speak TLS, and keys, permit, gate, shares, logs, certificate and
  report are in the figures. Its policy is open, as some centres have four patients.
- The peers send sums, counts or weights in the clear: NVFLARE in its simulator, Flower
  in its simulation without TLS, TNO by HTTP between processes, vantage6 in one process
  with its mock client, so without bytes.
- Their published packages do the work. What they do not carry is written anew against
  their interfaces, in `benchmarks/peers/`: what an NVFLARE client works out for the
  recipe in its wheel, the summing of histograms for Kaplan-Meier, the Flower app, TNO's
  parties. vantage6's algorithm is fetched as published.
- *Recommended* is what the maker's own example or default says; *best* is the nearest
  to the pooled answer that we found without touching their code. NVFLARE's recipe and
  TNO's server average the clients' sums by numbers of rows, so more rounds do not lead
  to the pooled answer; where every client says weight 1, they do. With one gradient
  step a round, federated averaging can only rest at the pooled maximum. TNO's Cox model
  is a logistic regression on stacked bins: near a partial likelihood's, not equal.
- NVFLARE's Kaplan-Meier ran with the centres in five groups, as its example has five
  clients.
- Flower with a SuperNode a site did not end within five minutes on this machine; what
  stands here is its simulation.
- One run each; wall times of a second or less are start-up noise.

Licences: {licences};
R: GPL; statsmodels: BSD-3-Clause. Nothing of a peer is part of Hetao or needed by it.
"""


def line(kept):
    """Return one run as a line for the terminal."""
    if "not_run" in kept:
        return f"{kept['name']:24} not run: {kept['not_run']}"
    return (
        f"{kept['name']:24} {kept['wall']:7.1f} s wall {kept['cpu']:7.1f} s processor "
        f"{kept['rounds'] or 0:3d} rounds {size(kept):>9} {kept['distance']:9.1e}"
    )


def cpu_line(cpu):
    """Return the comparison of processor times as a line."""
    ours, theirs = cpu["ours"], cpu["coxph"]
    return (
        f"dialysis, cox: local work {1000 * ours['median']:.0f} ms, coxph "
        f"{1000 * theirs['median']:.0f} ms, ratio {cpu['ratio']:.2f}"
    )


def size(kept):
    """Return the bytes of a run in words."""
    count = kept.get("bytes")
    if count is None:
        return "not counted"
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def number(value, form=".1f"):
    """Return a number, or nothing for none."""
    return "" if value is None else format(value, form)


def far(distance):
    """Return a distance in words."""
    if not distance:
        return "0"
    return format(distance, ".2f" if distance >= 0.01 else ".1e")


def row(kept):
    """Return one run as a row of Markdown."""
    setting = kept["setting"] + (f" (*{kept['kind']}*)" if kept["kind"] else "")
    head = f"| {kept['program']} | {setting} | {kept['sites']} |"
    if "not_run" in kept:
        return f"{head} not run: {kept['not_run']} | | | | | |\n"
    seconds = number(kept["seconds"], ".2f")
    of_floor = kept["who"] in ("r", "statsmodels")
    cells = (
        "" if of_floor else str(kept["rounds"]),
        number(kept["wall"]),
        seconds,
        number(kept["cpu"]),
        "" if of_floor else size(kept),
        far(kept["distance"]),
    )
    return f"{head} {' | '.join(cells)} |\n"


def table(kept):
    """Return a table for each task."""
    parts = []
    for task, title in TASKS.items():
        rows = [row(one) for one in kept if one["task"] == task]
        if rows:
            head = f"| {' | '.join(COLUMNS)} |\n|---|---|{'---:|' * 7}\n"
            parts.append(f"\n## {title}\n\n{head}{''.join(rows)}")
    return "".join(parts)


def cpu_text(cpu):
    """Return the comparison of processor times in Markdown."""
    if not cpu:
        return ""
    ours, theirs, plan = cpu["ours"], cpu["coxph"], cpu["plans"]
    low, high = cpu["ratios"]
    lines = (
        ("67 centres, rows made and all rounds' sums", ours),
        ("the same and every centre's own plan of the study", plan),
        ("R's `coxph` on the pooled rows, `strata(center)`", theirs),
    )
    rows = "".join(
        f"| {name} | {1000 * took['least']:.0f} | {1000 * took['median']:.0f} | "
        f"{took['median'] / theirs['median']:.2f} |\n"
        for name, took in lines
    )
    return (
        "\n## Local work of the Cox fit\n\n"
        f"Milliseconds of processor, one process each, {cpu['times']} times, from\n"
        "columns in memory to the last sum; without gate, seal, logs and network, all\n"
        "of which are in the tables above. Turn by turn the ratio was\n"
        f"{cpu['ratio']:.2f} ({low:.2f} to {high:.2f}); the aim is 2.\n\n"
        f"| | least | median | of coxph |\n|---|---:|---:|---:|\n{rows}"
    )


def write(kept, cpu, folder):
    """Write `peers.md`, `peers.svg` and `peers.json` into a folder."""
    when = sorted(one["when"] for one in kept)
    loads = [one["load"] for one in kept]
    idle = min(loads)  # before the first run; later ones see their forerunners
    busy = f", while others used it (load {idle:.0f})" if idle > 1.5 else ""
    licences = ";\n".join(f"{peer.name}: {peer.licence}" for peer in PEERS.values())
    machine = f"{_processors()} processors, {platform.system()} {platform.machine()}"
    head = HEAD.format(when=when[-1][:10], machine=machine, load=busy)
    notes = NOTES.format(licences=licences)
    text = head + table(kept) + cpu_text(cpu) + notes
    (folder / "peers.md").write_text(text, "utf-8")
    (folder / "peers.svg").write_text(picture(kept), "utf-8")
    figures = {"runs": kept, "cpu": cpu}
    (folder / "peers.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _processors():
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return sum(line.startswith("processor") for line in lines)


LEFT, PANEL, STEP, GAP = 300, 230, 18, 40
COLOURS = {"hetao": "#1f5fa8", "r": "#8a8a8a", "statsmodels": "#8a8a8a"}
OTHER = "#b5651d"
SCALES = (
    ("distance", -16, 2, "distance from the pooled answer"),
    ("cpu", -1, 3, "processor seconds"),
)


def picture(kept):
    """Return the runs as dots on two logarithmic scales, a row a run."""
    parts, down = [], 46
    for task, title in TASKS.items():
        of_task = [one for one in kept if one["task"] == task and "not_run" not in one]
        if not of_task:
            continue
        parts.append(f'<text x="8" y="{down}" font-weight="bold">{title}</text>')
        for one in of_task:
            down += STEP
            parts.append(_dots(one, down))
        down += STEP + 12
    width, height = LEFT + 2 * PANEL + GAP + 20, down
    axes = "".join(_axis(place, scale, height) for place, scale in enumerate(SCALES))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11">\n{axes}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def across(place, scale, value):
    """Return how far right a value lies in a panel."""
    _, low, high, _ = scale
    exponent = math.log10(max(value, 10.0**low))
    share = (min(exponent, high) - low) / (high - low)
    return LEFT + place * (PANEL + GAP) + PANEL * share


def _dots(one, down):
    short = one["program"].split(",")[0].split(" and ")[0]
    label = f"{short} {one['kind']}".strip()
    colour = COLOURS.get(one["who"], OTHER)
    parts = [f'<text x="{LEFT - 10}" y="{down + 4}" text-anchor="end">{label}</text>']
    for place, scale in enumerate(SCALES):
        right = across(place, scale, one[scale[0]])
        parts.append(f'<circle cx="{right:.1f}" cy="{down}" r="4" fill="{colour}"/>')
    return "\n".join(parts)


def _axis(place, scale, height):
    _, low, high, title = scale
    step = 6 if high - low > 6 else 1
    lines = []
    for exponent in range(low, high + 1, step):
        right = across(place, scale, 10.0**exponent)
        lines.append(
            f'<line x1="{right:.1f}" y1="32" x2="{right:.1f}" y2="{height - 8}" '
            f'stroke="#ddd"/><text x="{right:.1f}" y="28" text-anchor="middle">'
            f"1e{exponent}</text>"
        )
    left = LEFT + place * (PANEL + GAP)
    return f'<text x="{left}" y="12">{title}</text>' + "".join(lines)
