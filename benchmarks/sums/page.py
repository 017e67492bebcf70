"""Measurements → means with intervals, figures, and the tables of the page."""

from collections import defaultdict
from html import escape
from pathlib import Path

import numpy as np

KEYS = {
    "exact": ("target", "n", "p", "states", "rounds"),
    "inexact": ("target", "sites", "wrong"),
    "larger": ("n", "p", "wrong"),
    "lattice": ("target", "n", "p"),
    "outcomes": ("n", "p", "rounds"),
    "combinations": ("n", "k", "rounds"),
    "tables": ("kind", "n", "prevalence", "share"),
    "grids": ("n", "bins", "prevalence"),
}
COLOURS = ("#1b5e8a", "#c0532b", "#4a7c3a", "#7b4a9e", "#8a6d1b", "#555555")


def summary(found: dict) -> dict:
    """Return mean, 95 % interval and number of seeds of each group of measurements."""
    return {part: _grouped(rows, KEYS[part]) for part, rows in found.items()}


def _grouped(rows: list[dict], keys: tuple[str, ...]) -> list[dict]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return [
        dict(zip(keys, key, strict=True)) | _means(some) for key, some in groups.items()
    ]


def _means(rows: list[dict]) -> dict:
    of_all = {"seeds": len(rows)}
    name = "read" if "read" in rows[0] else "right"
    told = [row for row in rows if row[name] is not None]
    above = np.array([(r[name] - r["guess"]) / max(1 - r["guess"], 1e-9) for r in told])
    of_all[name] = round(float(np.mean([r[name] for r in told])), 3)
    of_all["guess"] = round(float(np.mean([r["guess"] for r in told])), 3)
    of_all["above"] = round(float(above.mean()), 3)
    spread = above.std(ddof=1) / len(above) ** 0.5 if len(above) > 1 else 0.0
    of_all["interval"] = [
        round(float(above.mean() + s * 1.96 * spread), 3) for s in (-1, 1)
    ]
    tried = [row for row in rows if row.get("sought")]
    if tried:
        whole = [row["whole"] for row in tried if row["whole"] is not None]
        of_all["whole"] = round(float(np.mean(whole)), 3) if whole else None
        of_all["whole found"] = f"{len(whole)} of {len(tried)}"
    for name in ("numbers", "rank"):
        if name in rows[0]:
            people = rows[0]["n"] * rows[0].get("sites", 1)
            mean = float(np.mean([row[name] for row in rows]))
            of_all[f"{name} a person"] = round(mean / people, 3)
    return of_all


def figure(title: str, axes: tuple[str, str], lines: dict, log: bool) -> str:
    """Return an SVG of lines of (x, y, low, high), y from 0 to 1.

    Args:
        title: for those who do not see it.
        axes: what x and y are.
        lines: label → points.
        log: whether x is drawn on a logarithmic scale.
    """
    left, top, wide, high = 64, 16, 430, 260
    every = [p[0] for points in lines.values() for p in points]
    scale = np.log10 if log else (lambda x: x)
    low, up = scale(min(every)), scale(max(every))
    at_x = lambda x: left + wide * (scale(x) - low) / ((up - low) or 1)  # noqa: E731
    at_y = lambda y: top + high * (1 - np.clip((y + 0.1) / 1.1, 0, 1))  # noqa: E731
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {top + high + 56}" '
        f'font-family="sans-serif" font-size="13" role="img"><title>{escape(title)}'
        '</title><rect width="100%" height="100%" fill="#ffffff"/>'
    ]
    for y in (0, 0.25, 0.5, 0.75, 1):
        colour = "#999999" if y == 0 else "#e4e4e4"
        out.append(
            f'<path d="M{left} {at_y(y):.1f}h{wide}" stroke="{colour}"/>'
            f'<text x="{left - 8}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    ticks = [x for x in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if log]
    ticks = [x for x in ticks if low <= scale(x) <= up] or sorted(set(every))
    out += [
        f'<text x="{at_x(x):.1f}" y="{top + high + 18}" text-anchor="middle">{x:g}'
        "</text>"
        for x in ticks
    ]
    for number, (label, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ""
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, *_ in points)
        out.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="2"{dash}/>'
        )
        for x, y, down, upper in points:
            out.append(
                f'<path d="M{at_x(x):.1f} {at_y(down):.1f}V{at_y(upper):.1f}" '
                f'stroke="{colour}"/><circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" '
                f'r="3" fill="{colour}"/>'
            )
        y = top + 12 + 20 * number
        out.append(
            f'<path d="M{left + wide + 16} {y}h22" stroke="{colour}" stroke-width="2"'
            f'{dash}/><text x="{left + wide + 44}" y="{y + 4}">{escape(label)}</text>'
        )
    out.append(
        f'<text x="{left + wide / 2}" y="{top + high + 42}" text-anchor="middle">'
        f'{escape(axes[0])}</text><text transform="translate(16 {top + high / 2}) '
        f'rotate(-90)" text-anchor="middle">{escape(axes[1])}</text></svg>\n'
    )
    return "".join(out)


def _points(rows: list[dict], x: str) -> list[tuple]:
    return sorted((row[x], row["above"], *row["interval"]) for row in rows)


def figures(found: dict) -> dict[str, str]:
    """Return each figure by the name of its file."""
    above = "told above guessing (0 to 1)"
    exact = {}
    for target, word in (
        ("column", "logistic, yes/no column"),
        ("event", "Cox, event"),
    ):
        for n, p in ((100, 10), (500, 10), (5000, 10)):
            rows = [
                r for r in found["exact"]
                if (r["target"], r["n"], r["p"]) == (target, n, p)
                and r["states"] == "newton"
            ]  # fmt: skip
            exact[f"{word}, n {n}"] = _points(rows, "numbers a person")
    wrong = {}
    for target, word in (("column", "logistic"), ("event", "Cox")):
        for sites in (1, 3, 10):
            rows = [
                r for r in found["inexact"]
                if (r["target"], r["sites"]) == (target, sites) and r["wrong"] <= 0.1
            ]  # fmt: skip
            of = "one site" if sites == 1 else f"{sites} sites"
            wrong[f"{word}, {of}"] = _points(rows, "wrong")
    larger = {
        f"mistaken about {share:.0%}": _points(
            [r for r in found["larger"] if r["wrong"] == share], "numbers a person"
        )
        for share in (0.01, 0.02, 0.05, 0.1)
    }
    return {
        "what-sums-reveal-rounds.svg": figure(
            "Who knows all else exactly: told above guessing, by numbers seen",
            ("numbers seen for each person in the sum, round after round", above),
            exact, log=True,
        ),
        "what-sums-reveal-wrong.svg": figure(
            "An attacker who is mistaken about some people",
            ("share of people whom the attacker takes for somebody else", above),
            wrong, log=False,
        ),
        "what-sums-reveal-larger.svg": figure(
            "Larger models of one site's people, the attacker mistaken about some",
            ("numbers seen for each person: 10 to 50 parameters", above),
            larger, log=True,
        ),
    }  # fmt: skip


def tables(found: dict) -> str:
    """Return the tables of the page."""
    out = ["| people | columns | rounds | numbers a person | of them independent "
           "| column told | guess | event told | guess |",
           "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    events = {
        (r["n"], r["p"], r["rounds"]): r
        for r in found["exact"]
        if r["target"] == "event"
    }
    for r in found["exact"]:
        if r["target"] != "column" or r["states"] != "newton":
            continue
        e = events.get((r["n"], r["p"], r["rounds"]))
        if e is None or r["rounds"] not in (1, 2, 3, 5):
            continue
        out.append(
            f"| {r['n']} | {r['p']} | {r['rounds']} | {r['numbers a person']:.2f} | "
            f"{r['rank a person']:.2f} | {r['right']:.2f} | {r['guess']:.2f} | "
            f"{e['right']:.2f} | {e['guess']:.2f} |"
        )
    out += ["", "| states | numbers a person | told | guess |", "|---|---:|---:|---:|"]
    for r in found["exact"]:
        if (r["n"], r["p"], r["target"]) == (500, 10, "column") and (
            r["states"] != "newton" or r["rounds"] == 4
        ):
            out.append(
                f"| {r['states']}, {r['rounds']} | {r['numbers a person']:.2f} | "
                f"{r['right']:.2f} | {r['guess']:.2f} |"
            )
    out += ["", "| mistaken about | " + " | ".join(
        f"{word}, {s} site{'s' * (s > 1)}" for word in ("column", "event")
        for s in (1, 2, 3, 5, 10)) + " |", "|---:|" + "---:|" * 10]  # fmt: skip
    cells = {(r["target"], r["sites"], r["wrong"]): r for r in found["inexact"]}
    for wrong in sorted({key[2] for key in cells}):
        row = [
            f"{cells[target, s, wrong]['above']:.2f}"
            for target in ("column", "event")
            for s in (1, 2, 3, 5, 10)
        ]
        out.append(f"| {wrong:.0%} | " + " | ".join(row) + " |")
    out += ["", "| people | numbers | column told | outcome told | guess |",
            "|---:|---:|---:|---:|---:|"]  # fmt: skip
    by_n = {(r["target"], r["n"]): r for r in found["lattice"]}
    for n in sorted({key[1] for key in by_n}):
        c, o = by_n["column", n], by_n["outcome", n]
        out.append(
            f"| {n} | 6, {o['p']} | {c['right']:.2f} | {o['right']:.2f} | "
            f"{o['guess']:.2f} |"
        )
    out += ["", "| people | yes/no columns | 1 round | 2 | 3 | all | guess |",
            "|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    reads = {(r["n"], r["k"], r["rounds"]): r for r in found["combinations"]}
    for n, k in sorted({key[:2] for key in reads}):
        row = [f"{reads[n, k, rounds]['read']:.0%}" for rounds in (1, 2, 3, 25)]
        out.append(
            f"| {n} | {k} | " + " | ".join(row) + f" | {reads[n, k, 25]['guess']:.0%} |"
        )
    return "\n".join([*out, "", *_by_group(found), "", *_by_bin(found)])


def _by_group(found: dict) -> list[str]:
    """Return the table of tables by a group."""
    kinds = ("yes/no", "yes/no, rounded", "numbers")
    out = [
        "| people | in the group | sums a person | guess | yes/no columns "
        "| rounded to 5 | numbers | yes/no, whole | numbers, whole |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    of = {(r["n"], r["prevalence"], r["share"], r["kind"]): r for r in found["tables"]}
    for n, prevalence, share in sorted({key[:3] for key in of}):
        cells = [of[n, prevalence, share, kind] for kind in kinds]
        told = " | ".join(f"{cell['right']:.2f}" for cell in cells)
        whole = " | ".join(_whole(cells[at]) for at in (0, 2))
        out.append(
            f"| {n} | {prevalence:.0%} | {share:.2f} | {cells[0]['guess']:.2f} | "
            f"{told} | {whole} |"
        )
    return out


def _whole(cell: dict) -> str:
    if "whole found" not in cell:
        return ""
    if cell["whole"] is None:
        return f"none, {cell['whole found']}"
    return f"{cell['whole']:.2f}, {cell['whole found']}"


def _by_bin(found: dict) -> list[str]:
    """Return the table of curves by a group, bin by bin."""
    shares = sorted({r["prevalence"] for r in found["grids"]})
    head = " | ".join(f"{share:.0%} in the group | guess" for share in shares)
    out = [f"| people | bins | {head} |", "|---:|---:" * (1 + len(shares)) + "|"]
    of = {(r["n"], r["bins"], r["prevalence"]): r for r in found["grids"]}
    for n, bins in sorted({key[:2] for key in of}):
        cells = [of[n, bins, share] for share in shares]
        told = " | ".join(f"{c['right']:.2f} | {c['guess']:.2f}" for c in cells)
        out.append(f"| {n} | {bins} | {told} |")
    return out


def write(found: dict, folder: Path) -> None:
    """Write the figures, and the tables into the page between its marks."""
    for name, text in figures(found).items():
        (folder / name).write_text(text, "utf-8")
    page = folder / "what-sums-reveal.md"
    text = page.read_text("utf-8")
    parts = tables(found).split("\n\n")
    for number, table in enumerate(parts, 1):
        start, end = f"<!-- table {number} -->\n", f"<!-- end of table {number} -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = before + start + "\n" + table + "\n\n" + end + after
    page.write_text(text, "utf-8")
