"""Three groups of institutions with the lung cancer data, each as one site.

The data are the survival times of patients with advanced lung cancer of the North
Central Cancer Treatment Group (Loprinzi et al. 1994, J Clin Oncol 12:601-607), as
carried by the package `lifelines` (MIT). Values, missing cells and institution
numbers are theirs; `status` is 1 for death there and 0 for alive when last seen.

Ours are, and are all that is made up:

- *The grouping.* Eighteen institutions, most of a few patients, cannot stand alone.
  They are dealt into three groups of similar size, largest institution first, ties by
  number. `north`, `east` and `south` are names only: where the institutions lie is
  not in the data.
- *The date of the visit*, from the row's number; the collection has days of follow-up
  but no dates.

One patient's institution is not known. No site can hold them, so the row is kept
aside in `kept-aside.csv`.
"""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

from hetao.demo.data_carrier import Extract, carried_file, read_rows, write_extract

GROUPS = ("lung-north", "lung-east", "lung-south")
FIRST_VISIT = date(1987, 1, 1)
VISIT_DAYS = 730
FORM = Extract("lung.csv", "utf-8", ",")
Row = dict[str, str]


def write_lung_extracts(folder: Path) -> dict[str, Path]:
    """Write each group's extract to `folder/<site>/`, and return the files by site.

    Raises:
        InvalidData: the carrier is not installed.
    """
    rows = lung_rows()
    written = {}
    for site in GROUPS:
        mine = [_export(row) for row in rows if row["site"] == site]
        written[site] = write_extract(folder / site, FORM, mine)
    aside = [_export(row) for row in rows if not row["site"]]
    write_extract(folder, Extract("kept-aside.csv", "utf-8", ","), aside)
    return written


def lung_rows() -> list[Row]:
    """Return the 228 rows with `row` from 1 and `site`, "" where it is not known.

    Raises:
        InvalidData: the carrier is not installed.
    """
    rows = read_rows(carried_file("lifelines", "datasets/lung.csv"))
    group = _grouping([row["inst"] for row in rows if row["inst"]])
    return [
        {**row, "row": str(number), "site": group.get(row["inst"], "")}
        for number, row in enumerate(rows, 1)
    ]


def _grouping(institutions: list[str]) -> dict[str, str]:
    """Deal institutions into the groups: the next largest to the smallest group."""
    sizes = Counter(institutions)
    filled = dict.fromkeys(GROUPS, 0)
    group = {}
    for institution in sorted(sizes, key=lambda i: (-sizes[i], float(i))):
        smallest = min(GROUPS, key=lambda name: (filled[name], GROUPS.index(name)))
        group[institution] = smallest
        filled[smallest] += sizes[institution]
    return group


def _export(row: Row) -> Row:
    visit = FIRST_VISIT + timedelta(days=int(row["row"]) * 37 % VISIT_DAYS)
    names = ("time", "status", "age", "sex", "ph.ecog", "ph.karno")
    more = ("pat.karno", "meal.cal", "wt.loss")
    return {
        "patient": f"L{row['row'].zfill(4)}",
        "institution": row["inst"],
        "enrolled": visit.isoformat(),
        **{name: row[name] for name in (*names, *more)},
    }
