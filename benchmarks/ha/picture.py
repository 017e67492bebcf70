"""Two curves as one SVG: seconds against people, and seconds against sites."""

from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 260, 56, 44, 34
STUDY, FLOOR = "#1f5fa8", "#8a8a8a"


def draw(found, path):
    """Draw the measurements; both axes begin at nothing, so a line is a line."""
    many = max(f["sites"] for f in found)
    by_people = sorted((f for f in found if f["sites"] == many), key=_people)
    middle = sorted({f["persons"] for f in found})[1]
    by_sites = sorted((f for f in found if f["persons"] == middle), key=_sites)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH + 20} '
        f'{HEIGHT + 30}" font-family="sans-serif" font-size="11">',
        _panel(by_people, _people, f"million people, over {many} sites", 0),
        _panel(by_sites, _sites, f"sites, {middle / 1e6:g} million people", WIDTH + 20),
        _key(LEFT, STUDY, "the study over sites"),
        _key(LEFT + 150, FLOOR, "the floor: bare SQL and numpy on pooled rows"),
        "</svg>",
    ]
    Path(path).write_text("\n".join(parts) + "\n", "utf-8")


def _key(x, colour, words):
    return f'<text x="{x}" y="{HEIGHT + 20}" fill="{colour}">● {words}</text>'


def _people(found):
    return found["persons"] / 1e6


def _sites(found):
    return found["sites"]


def _panel(found, at, title, shift):
    right = max(map(at, found)) * 1.05
    high = max(f["study"]["wall"] for f in found) * 1.1

    def place(x, y):
        across = LEFT + (WIDTH - LEFT - 12) * x / right
        down = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / high
        return across, down

    x0, y0 = place(0, 0)
    x1, y1 = place(right, high)
    parts = [
        f'<g transform="translate({shift},0)">',
        f'<text x="{LEFT}" y="18" font-size="12">seconds; {title}</text>',
        f'<path d="M{x0:.1f} {y1:.1f}V{y0:.1f}H{x1:.1f}" fill="none" stroke="#333"/>',
    ]
    for one in found:
        across, _ = place(at(one), 0)
        parts.append(
            f'<text x="{across:.1f}" y="{y0 + 16:.1f}" text-anchor="middle">'
            f"{at(one):g}</text>"
        )
    for part in range(5):
        value = high * part / 4
        _, down = place(0, value)
        parts.append(
            f'<text x="{x0 - 6:.1f}" y="{down + 4:.1f}" text-anchor="end">'
            f"{value:.0f}</text>"
        )
    for colour, name in ((STUDY, "study"), (FLOOR, "floor")):
        points = [place(at(one), one[name]["wall"]) for one in found]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
            for x, y in points
        ]
    return "\n".join([*parts, "</g>"])
