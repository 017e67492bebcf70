"""The verifier of one file: three modules of the ledger as one text."""

from importlib import resources
from typing import Final

PARTS: Final = ("verify_signatures.py", "verify_log.py", "verify_hetao.py")
_MARK: Final = "# --- "  # where what a module imports ends, and what it does begins
_FUTURE: Final = "from __future__ import annotations"


def one_file() -> bytes:
    """Return `verify_hetao.py` as a reader runs it: the standard library alone."""
    ours = resources.files("hetao.ledger")
    texts = [ours.joinpath(name).read_text("utf-8") for name in PARTS]
    heads = [text[: text.index(_MARK)] for text in texts]
    imports = {
        line
        for head in heads
        for line in head.split("\n")
        if line.startswith(("import ", "from ")) and " hetao." not in line
    }
    said = heads[-1][: heads[-1].index(_FUTURE)]
    order = sorted(imports - {_FUTURE}, key=lambda line: (line[:4] == "from", line))
    bodies = [text[text.index(_MARK) :].rstrip("\n") for text in texts]
    head = said + "\n".join([_FUTURE, "", *order])
    return ("\n\n\n".join([head, *bodies]) + "\n").encode()
