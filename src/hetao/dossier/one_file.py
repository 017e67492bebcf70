"""The verifier of one file: two modules of the ledger as one text."""

from importlib import resources

_IMPORT = "from hetao.ledger.verify_signatures import "
_IMPORT += "Refused, holds, holds_44, need\n\n"
_PLACE = "# --- canonical JSON"
_FIRST = "class Refused("


def one_file() -> bytes:
    """Return `verify_hetao.py` as a reader runs it: the standard library alone."""
    ours = resources.files("hetao.ledger")
    text, parts = (
        ours.joinpath(f"verify_{name}.py").read_text("utf-8")
        for name in ("hetao", "signatures")
    )
    before, _, after = text.partition(_IMPORT)
    said, mark, rest = after.partition(_PLACE)
    own = parts[parts.index(_FIRST) :]
    return (before + said + own + "\n\n" + mark + rest).encode()
