"""A site of the population → its extract, in the form of its own record system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hetao.errors import InvalidData
from hetao.synth.here import Here, take_site
from hetao.synth.sites import SyntheticSite
from hetao.synth.truth import Connection
from hetao.synth.write_ehealth import write_ehealth
from hetao.synth.write_fhir import write_fhir
from hetao.synth.write_flat import write_flat
from hetao.synth.write_gba_special import write_gba_special
from hetao.synth.write_ha_cdars import write_ha_cdars
from hetao.synth.write_omop import write_omop
from hetao.synth.write_wst500 import write_wst500

Writer = Callable[[Here, SyntheticSite, Path], tuple[Path, ...]]
WRITERS: Final[Mapping[str, Writer]] = {
    "ha-cdars": write_ha_cdars,
    "wst500": write_wst500,
    "fhir": write_fhir,
    "omop": write_omop,
    "ehealth": write_ehealth,
    "gba-special": write_gba_special,
    "flat": write_flat,
}


@dataclass(frozen=True)
class Written:
    """One site's extract: its files, and what is wrong in it on purpose.

    Attributes:
        files: in the order of the profile's sources.
        faults: (fault, table of the truth) → how many rows carry it.
    """

    files: tuple[Path, ...]
    faults: Mapping[tuple[str, str], int]


def write_extract(
    connection: Connection, site: SyntheticSite, folder: Path, times: float = 1.0
) -> Written:
    """Write the extract of one site in the form that its profile names.

    Afterwards the connection's temporary table `fault(fault, subject, key)` names every
    row with a fault by the key of its truth, and `reported` each laboratory value as it
    was written.

    Args:
        connection: a population that holds the site's rows, with the draws' macros.
        site: whose extract; `site.profile` is a key of `WRITERS`.
        folder: where the files go; it is made.
        times: how many times the declared rates of faults; 0 for none.

    Raises:
        InvalidData: the profile is unknown.
    """
    if site.profile not in WRITERS:
        raise InvalidData(
            f"site {site.name!r} has an unknown profile {site.profile[:40]!r}",
            fix="one of: " + ", ".join(WRITERS),
        )
    folder.mkdir(parents=True, exist_ok=True)
    here = take_site(connection, site.name, times)
    files = WRITERS[site.profile](here, site, folder)
    counted = connection.execute(
        "SELECT fault, subject, count(*) FROM fault GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    faults = {(str(fault), str(what)): int(number) for fault, what, number in counted}
    return Written(files, faults)
