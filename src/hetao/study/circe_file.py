"""A CIRCE definition in a JSON file, as ATLAS exports it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetao.canonical import digest_bytes
from hetao.errors import InvalidStudy
from hetao.whole import read_whole

LARGEST_FILE = 64 * 2**20  # bytes; the largest published definition has 4 MB


@dataclass(frozen=True)
class CirceFile:
    """A definition as it was read.

    Attributes:
        name: of the file.
        digest: `sha256:…` over its bytes.
        definition: the parsed JSON object.
    """

    name: str
    digest: str
    definition: Mapping[str, Any]


def read_circe(path: Path) -> CirceFile:
    """Return the CIRCE definition of a JSON file.

    Raises:
        InvalidData: the file cannot be read.
        InvalidStudy: it is not a JSON object.
    """
    data = read_whole(path, LARGEST_FILE)
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise InvalidStudy(
            f"{path.name} is not JSON", fix="export the definition again from ATLAS"
        ) from problem
    if not isinstance(value, Mapping):
        raise InvalidStudy(
            f"{path.name} holds no CIRCE definition",
            fix="export the definition again from ATLAS",
        )
    return CirceFile(path.name, digest_bytes(data), value)
