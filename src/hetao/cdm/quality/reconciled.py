"""What curation left: are all source rows accounted for, and how many are usable?"""

from typing import Final

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
