"""A profile's mapping folder → a site's own, to start from."""

import re
from importlib import resources
from pathlib import Path
from typing import Final

from hetao.errors import InvalidMapping, Usage

PROFILES: Final = (
    "ha-cdars",
    "wst500",
    "fhir",
    "omop",
    "ehealth",
    "gba-special",
    "flat",
)
MAPPING: Final = (".toml", ".sql", ".csv", ".md")
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


def lay_profile(profile: str, folder: Path, name: str) -> Path:
    """Write a profile's mapping into a folder, and return its `site.toml`.

    The folder is made; files that stand there already are never overwritten.

    Args:
        profile: one of PROFILES.
        folder: the site's folder, which has no mapping yet.
        name: what studies are to call the site: lower-case letters, digits, dashes.

    Raises:
        InvalidMapping: the profile is unknown, or the name cannot be a site's.
        Usage: the folder holds a mapping already, or cannot be written.
    """
    if profile not in PROFILES:
        raise InvalidMapping(
            f"there is no profile {profile[:40]!r}",
            fix="one of: " + ", ".join(PROFILES),
        )
    if not NAME.fullmatch(name):
        raise InvalidMapping(
            f"{name[:40]!r} cannot be a site's name",
            fix="lower-case letters, digits and dashes, a letter first: --name north",
        )
    source = resources.files(__package__) / profile
    files = [file for file in source.iterdir() if Path(file.name).suffix in MAPPING]
    there = sorted(file.name for file in files if (folder / file.name).exists())
    if there:
        raise Usage(
            f"{folder} holds a mapping already: {there[0]}",
            fix="name another folder, or move that one away",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            text = file.read_text("utf-8")
            if file.name.endswith(".toml"):
                text = re.sub(r'(?m)^name = "my-[a-z]+"$', f'name = "{name}"', text)
            (folder / file.name).write_text(text, encoding="utf-8", newline="")
    except OSError as problem:
        raise Usage(
            f"{folder} cannot be written: {problem.strerror}", fix="check the path"
        ) from problem
    return folder / "site.toml"
