"""A figure of the report by itself: a file of SVG or PNG, with its style inside it."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from hetao.errors import Usage
from hetao.report.drawing import Drawing

NAMESPACE: Final = "http://www.w3.org/2000/svg"
FONTS: Final = (
    'system-ui, "Helvetica Neue", Arial, "Noto Sans", "PingFang SC", "PingFang HK", '
    '"Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans CJK TC", sans-serif'
)
SCALES: Final = (0.1, 20.0)


class Picture:
    """One figure as a file, in the colours of a printed page.

    Attributes:
        title: what it shows.
    """

    def __init__(self, drawing: Drawing, language: str = "en") -> None:
        """Take over a drawing, which stays as it is, in one of three languages."""
        own = drawing.in_language(language)
        root = ET.fromstring(own)  # noqa: S314 - our own writer's
        self.title = root.findtext("title") or ""
        _, _, width, height = root.attrib["viewBox"].split()
        root.attrib |= {"xmlns": NAMESPACE, "width": width, "height": height}
        style = ET.Element("style")
        style.text = _style()
        paper = ET.Element("rect", {"width": "100%", "height": "100%", "fill": "#fff"})
        root.insert(2, paper)
        root.insert(2, style)
        self.svg = ET.tostring(root, encoding="unicode")

    def png(self, scale: float = 2.0) -> bytes:
        """Return the figure as PNG; Chinese text needs a font that has it.

        Raises:
            Usage: the extra `hetao[pictures]` is not installed, or the scale is not
                between 0.1 and 20.
        """
        if not SCALES[0] <= scale <= SCALES[1]:
            raise Usage("a picture's scale lies between 0.1 and 20")
        try:
            import resvg_py
        except ImportError as problem:
            raise Usage(
                "PNG needs a renderer of SVG",
                fix='pip install "hetao[pictures]", or save the picture as .svg',
            ) from problem
        return bytes(resvg_py.svg_to_bytes(svg_string=self.svg, zoom=scale))

    def save(self, path: str | Path, scale: float = 2.0) -> None:
        """Write the figure to a file whose name ends in .svg or .png.

        Raises:
            Usage: it ends otherwise, or as `png`.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".svg":
                path.write_text(self.svg, "utf-8")
            case ".png":
                path.write_bytes(self.png(scale))
            case _:
                raise Usage("a picture's file ends in .svg or .png")

    def _repr_svg_(self) -> str:
        return self.svg


def drawings_of(view: object) -> Iterator[Drawing]:
    """Yield every drawing that a view holds, in the order of its fields."""
    if isinstance(view, Drawing):
        yield view
    elif isinstance(view, tuple):
        for item in view:
            yield from drawings_of(item)
    elif is_dataclass(view):
        for one in fields(view):
            yield from drawings_of(getattr(view, one.name))


@cache
def _style() -> str:
    """Return the report's rules for figures, with the colours of its light page."""
    text = resources.files("hetao.report").joinpath("report.css").read_text("utf-8")
    colours = dict(re.findall(r"(--[a-z0-9-]+):\s*([^;]+);", text.split("}")[0]))
    rules = re.findall(r"(svg [^{}]+)\{([^{}]*)\}", text)
    lines = [f"svg {{ font-family: {FONTS}; }}"]
    for selector, body in rules:
        plain = re.sub(r"var\((--[a-z0-9-]+)\)", lambda m: colours[m[1]], body)
        lines.append(f"{selector.strip()} {{{plain}}}")
    return "\n".join(lines)
