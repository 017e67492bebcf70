"""Which parts of a study were taken over from OHDSI's cohort definitions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hetao.errors import InvalidStudy

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LONGEST_NAME = 200  # characters of a file's name
MOST_DEFINITIONS = 250


@dataclass(frozen=True)
class Definition:
    """A file in OHDSI's format that a part of the study was made of.

    What the study asks stands in the study itself, in its own terms: no site needs the
    file. This says where that came from, so that whoever has the file can check it.

    Attributes:
        part: "population", "arms.NAME" or "outcomes.NAME".
        file: the file's name, as the author had it.
        digest: `sha256:…` over the file's bytes.
        concepts: names of the study's concept sets that came with it.
    """

    part: str
    file: str
    digest: str
    concepts: tuple[str, ...] = ()


def check_file_name(name: object, where: str) -> str:
    """Return a file's name that stands beside the study.

    Raises:
        InvalidStudy: it is no text, leads elsewhere, or would not be shown as it is.
    """
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or not 1 <= len(name) <= LONGEST_NAME
        or name in (".", "..")
        or set(name) & {"/", "\\", ":"}
    ):
        raise InvalidStudy(
            f"{where}: a definition is named by a file beside the study",
            fix='write circe = "diabetes.json" and put the file beside study.toml',
        )
    return name


def check_definitions(
    definitions: tuple[Definition, ...],
    parts: Iterable[str],
    sets: Iterable[str],
    where: str,
) -> None:
    """Refuse what cannot say where a part of a study came from.

    Args:
        definitions: of the study.
        parts: of the study that can come from elsewhere.
        sets: names of its concept sets.
        where: the place to name in an error.

    Raises:
        InvalidStudy: a part, file or digest is none, or a part stands twice.
    """
    place, known, possible = f"{where} [[definitions]]", set(sets), set(parts)
    if len(definitions) > MOST_DEFINITIONS:
        raise InvalidStudy(f"{place}: more than {MOST_DEFINITIONS}")
    for one in definitions:
        if one.part not in possible:
            raise InvalidStudy(
                f"{place}: {one.part[:60]!r} is no part of a study",
                fix="write population, arms.NAME or outcomes.NAME",
            )
        check_file_name(one.file, place)
        if not DIGEST.fullmatch(one.digest):
            raise InvalidStudy(f"{place} {one.part}: the digest is none")
        if not set(one.concepts) <= known:
            raise InvalidStudy(f"{place} {one.part}: the study lacks its concept set")
    if len({one.part for one in definitions}) != len(definitions):
        raise InvalidStudy(f"{place}: a part stands twice")
