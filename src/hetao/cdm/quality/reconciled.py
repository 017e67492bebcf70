"""What curation left: are all source rows accounted for, and how many are usable?"""

from typing import Final

from hetao.cdm.engine import Engine
from hetao.cdm.quality.check import Check, checked
from hetao.errors import HetaoError

# What curation counts, a row for each source file and fate. Every source row has one
# fate: it was used, or it was kept aside ("rejected") for a reason. A source file's
# fates must add up to its own "rows", which are counted as the file is read.
#   source, source_file   as in `rejected`
#   counted               "rows": rows of the file; "used": rows of which at least one
#                         CDM row was made; "rejected": rows kept aside whole;
#                         "skipped": rows that the SQL leaves out on purpose;
#                         "cells": non-empty cells handed to a macro;
#                         "cells_rejected": of these, those kept aside;
#                         "completed": partial dates that were completed
#   number                how many
COUNTS: Final = "curation_counts"
COUNTS_DDL: Final = (
    f"CREATE TABLE {COUNTS} (source VARCHAR NOT NULL, source_file VARCHAR NOT NULL, "
    "counted VARCHAR NOT NULL, number BIGINT NOT NULL)"
)
MOST_REASONS = 5


def check_curation(engine: Engine) -> list[Check]:
    """Return the checks of each source, of tables that curation has made.

    Tables that were not curated here (an OMOP database as it stands) have none.
    """
    try:
        rows = engine.rows(
            "SELECT source, counted, CAST(sum(number) AS BIGINT) AS number "  # noqa: S608
            f"FROM {COUNTS} GROUP BY source, counted ORDER BY source, counted"
        )
    except HetaoError:  # no such table: nothing was curated
        return []
    counts: dict[str, dict[str, int]] = {}
    for source, counted, number in rows:
        counts.setdefault(str(source), {})[str(counted)] = int(number)
    reasons = _reasons(engine)
    checks = []
    for source, found in counts.items():
        total = found.get("rows", 0)
        fates = sum(found.get(fate, 0) for fate in ("used", "rejected", "skipped"))
        aside = (found.get("rejected", 0), total)
        cells = (found.get("cells_rejected", 0), found.get("cells", 0))
        told = reasons.get(source, "")
        checks += [
            checked("rows-lost", source, (abs(total - fates), total)),
            checked("rows-rejected", source, aside, detail=told),
            checked("cells-rejected", source, cells, detail=told),
        ]
    return checks


def _reasons(engine: Engine) -> dict[str, str]:
    """Return the commonest reasons of each source, with their columns and counts."""
    try:
        rows = engine.rows(
            "SELECT source, source_column, reason, count(*) AS number FROM rejected "
            "GROUP BY source, source_column, reason "
            "ORDER BY source, number DESC, source_column, reason"
        )
    except HetaoError:  # no such table: nothing was curated
        return {}
    found: dict[str, list[str]] = {}
    for source, column, reason, number in rows:
        told = found.setdefault(str(source), [])
        if len(told) < MOST_REASONS:
            told.append(f"{column + ': ' if column else ''}{reason} ({number:,})")
    return {source: "; ".join(told) for source, told in found.items()}
