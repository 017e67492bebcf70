"""A small pen for inline SVG: every text and attribute is escaped by the XML writer."""

import copy
import itertools
import math
import operator
import re
import unicodedata
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from hetao.report.sentences import Said, same

# What XML 1.0 cannot hold, in no form.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DIGITS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
_EAST = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60"
_PIECE = re.compile(rf"[{_EAST}]|[^\s{_EAST}]+\s*|\s+")
NARROW, WIDE = 0.56, 1.0  # of the font's size, for a letter and a Chinese character


@dataclass(frozen=True)
class Scale:
    """From values `low` to `high` to positions `left` to `right`, linearly."""

    low: float
    high: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """Return the position of a value; beyond the ends, the nearer end."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / ((self.high - self.low) or 1.0)
        return self.left + share * (self.right - self.left)


class Drawing:
    """One figure: a title and a description for those who do not see it, and marks.

    A Drawing is safe to put into a page as it is: jinja2 asks for `__html__`. Texts
    that are said in three languages lie upon each other, classed `en` and `zh`: the
    page's style shows those of one language.
    """

    def __init__(
        self, key: str, size: tuple[float, float], about: tuple[Said, Said]
    ) -> None:
        """Start an empty figure.

        Args:
            key: unique in the page.
            size: width and height in pixels at full size.
            about: title, and description in a sentence or two.
        """
        width, height = size
        self._root = ET.Element(
            "svg",
            {
                "viewBox": f"0 0 {_short(width)} {_short(height)}",
                "role": "img",
                "class": "figure",
            },
        )
        named = list(zip(("title", "desc"), ("title", "about"), about, strict=True))
        marks: list[tuple[str, dict[str, str], str]] = []
        for tag, name, text in named:
            kind = {"class": "en"} if same(text).chinese else {}
            marks.append((tag, {"id": f"{key}-{name}", **kind}, str(text)))
        for tag, name, text in named:
            for language, told in same(text).chinese:
                found = {"id": f"{key}-{name}-{language}", "lang": language}
                marks.append((tag, {**found, "class": "zh"}, told))
        for tag, attributes, words in marks:
            ET.SubElement(self._root, tag, attributes).text = _clean(words)
        names = " ".join(attributes["id"] for _, attributes, _ in marks)
        self._root.set("aria-labelledby", names)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], kind: str
    ) -> None:
        """Draw a straight line; `kind` is its class in the page's style."""
        (x1, y1), (x2, y2) = start, end
        self._mark("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def box(
        self, corner: tuple[float, float], size: tuple[float, float], kind: str
    ) -> None:
        """Draw a rectangle from its upper left corner."""
        (x, y), (width, height) = corner, size
        self._mark("rect", kind, x=x, y=y, width=width, height=height)

    def path(
        self, points: list[tuple[float, float]], kind: str, closed: bool = False
    ) -> None:
        """Draw straight lines through points; nothing through fewer than two."""
        if len(points) < 2:
            return
        steps = " L".join(f"{_short(x)} {_short(y)}" for x, y in points)
        ET.SubElement(
            self._root, "path", {"class": kind, "d": f"M{steps}" + " Z" * closed}
        )

    def text(
        self, at: tuple[float, float], text: str, kind: str, lang: str = ""
    ) -> None:
        """Write one line; its baseline begins, ends or is centred at a point.

        Args:
            at: the point.
            text: in three languages where it is said so.
            kind: its class in the page's style.
            lang: of a text that is the same in all.
        """
        place = {"class": kind, "x": _short(at[0]), "y": _short(at[1])}
        chinese = text.chinese if isinstance(text, Said) else ()
        told = [("en" if chinese else "", lang, str(text))]
        told += [("zh", language, words) for language, words in chinese]
        for name, language, words in filter(operator.itemgetter(2), told):
            marked = {**place, "class": f"{kind} {name}".rstrip()}
            if language:
                marked["lang"] = language
            ET.SubElement(self._root, "text", marked).text = _clean(words)

    def _mark(self, tag: str, kind: str, **numbers: float) -> None:
        marks = {key: _short(value) for key, value in numbers.items()}
        ET.SubElement(self._root, tag, {"class": kind, **marks})

    def in_language(self, language: str = "en") -> str:
        """Return the figure's markup in one of three languages, well-formed XML."""
        root = copy.deepcopy(self._root)
        shown = ("",) if language == "en" else ("zh", language)
        for mark in list(root):
            *kinds, last = mark.get("class", "").split(" ")
            if last not in ("en", "zh"):
                continue
            if (mark.get("lang", "") if last == "zh" else "") not in shown:
                root.remove(mark)
            elif kinds:
                mark.set("class", " ".join(kinds))
            else:
                del mark.attrib["class"]
        names = [mark.attrib["id"] for mark in root if mark.tag in ("title", "desc")]
        root.set("aria-labelledby", " ".join(names))
        return ET.tostring(root, encoding="unicode")

    def __html__(self) -> str:
        """Return the figure's markup in all languages, well-formed XML."""
        return ET.tostring(self._root, encoding="unicode")


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def text_width(text: str) -> float:
    """Return about how wide a text is, in units of its font's size."""
    return sum(
        WIDE if unicodedata.east_asian_width(character) in "WF" else NARROW
        for character in text
    )


def wrapped(text: str, width: float, most: int) -> list[Said]:
    """Return a text in at most `most` lines of `width` font sizes; the rest is cut."""
    told = [_wrapped(one, width, most) for one in same(text).texts]
    return [Said(*lines) for lines in itertools.zip_longest(*told, fillvalue="")]


def _wrapped(text: str, width: float, most: int) -> list[str]:
    lines = [""]
    for piece in _pieces(" ".join(text.split())):
        if text_width((lines[-1] + piece).rstrip()) <= width or not lines[-1]:
            lines[-1] += piece
        else:
            lines.append(piece)
    lines = [_shortened(line.strip(), width) for line in lines]
    if len(lines) > most:
        lines = [*lines[: most - 1], _shortened(lines[most - 1] + " …", width)]
    return lines


def _pieces(text: str) -> list[str]:
    """Return words with the space after each, and Chinese characters one by one."""
    return _PIECE.findall(text)


def shortened(text: str, width: float) -> Said:
    """Return a text cut, with an ellipsis, to so many font sizes."""
    return Said(*(_shortened(one, width) for one in same(text).texts))


def _shortened(text: str, width: float) -> str:
    if text_width(text) <= width:
        return text
    kept = text.rstrip("… ")
    while kept and text_width(kept + "…") > width:
        kept = kept[:-1]
    return kept + "…"


def even_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten within two ends."""
    span = high - low
    if not 0 < span < math.inf:
        return [low] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10(span / about))
    if power == 0:
        return [low]
    step = next(m for m in (1, 2, 5, 10, 20) if span / (m * power) <= about) * power
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def ratio_ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Return ratios to mark between two logs of ratios, 1 among them if it fits."""
    if high - low < math.log(4):
        return even_ticks(math.exp(low), math.exp(high), about)
    first = max(math.floor(low / math.log(10)), -300)
    last = min(math.ceil(high / math.log(10)), 300)
    for digits in DIGITS:
        ticks = _within(
            [d * 10.0**p for p in range(first, last + 1) for d in digits], low, high
        )
        if len(ticks) <= about:
            return ticks
    stride = math.ceil(len(ticks) / about)
    return [t for t in ticks if round(math.log10(t)) % stride == 0]


def _within(ticks: list[float], low: float, high: float) -> list[float]:
    return [t for t in ticks if low - 1e-9 <= math.log(t) <= high + 1e-9]
