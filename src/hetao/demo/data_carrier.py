"""Where the demo's public data come from: files that other packages carry.

The packages are installed without their dependencies and never imported: only their
data files are read (`requirements/data.txt` pins them by hash).
"""

import csv
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from hetao.errors import InvalidData

SITES = {
    "cleveland": "heart",
    "budapest": "heart",
    "zurich-basel": "heart",
    "long-beach": "heart",
    "lung-north": "lung",
    "lung-east": "lung",
    "lung-south": "lung",
}


@dataclass(frozen=True)
class Extract:
    """How one hospital writes its export: a file name, an encoding, a delimiter."""

    file: str
    encoding: str
    delimiter: str


def carried_file(package: str, inside: str) -> Path:
    """Return a data file that an installed package carries, without importing it.

    Raises:
        InvalidData: the package, or the file in it, is not there.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / inside
        if path.is_file():
            return path
    raise InvalidData(
        f"the demo's data are not installed: {package} with {inside}",
        fix="run make setup",
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a UTF-8 CSV, by column name."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_extract(folder: Path, form: Extract, rows: list[dict[str, str]]) -> Path:
    """Write rows as a hospital would, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / form.file
    with path.open("w", encoding=form.encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=form.delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_site(folder: Path, site: str) -> Path:
    """Copy a demo site's mapping into its folder, and return its `site.toml`.

    Args:
        folder: the site's own folder, where its extract lies too.
        site: a site of the heart or the lung demo.

    Raises:
        InvalidData: there is no such site.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in mapping_of(site).items():
        (folder / name).write_text(text, "utf-8")
    return folder / "site.toml"


def mapping_of(site: str) -> dict[str, str]:
    """Return the files of a demo site's mapping, by name: `site.toml`, SELECTs, codes.

    Raises:
        InvalidData: there is no such site.
    """
    return {part.name: part.read_text("utf-8") for part in _shipped(site).iterdir()}


def _shipped(site: str) -> Traversable:
    if site not in SITES:
        raise InvalidData(f"there is no demo site {site[:40]!r}", fix=", ".join(SITES))
    return resources.files("hetao.demo") / SITES[site] / site


def study_file(demo: str) -> Path:
    """Return the `study.toml` of the demo `heart` or `lung`."""
    return Path(str(resources.files("hetao.demo") / demo / "study.toml"))
