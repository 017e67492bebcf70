"""One data dictionary: a site's source → curated tables with a digest and a report."""

from hetao.cdm.changes import Changes, compare, previous_folder
from hetao.cdm.curation import Curation, curate
from hetao.cdm.engine import Column, Columns, Engine, Row, literal
from hetao.cdm.engine_duckdb import Connection, DuckDBEngine
from hetao.cdm.flat import FLAT, FlatFile, FlatTable, flat_number, open_flat
from hetao.cdm.mapping import SiteConfig, SiteFolder, read_folder, read_site
from hetao.cdm.opening import DICTIONARY, CuratedTables, open_site, open_tables
from hetao.cdm.store import Manifest, read_manifest, snapshot_folder, snapshots

__all__ = [
    "DICTIONARY",
    "FLAT",
    "Changes",
    "Column",
    "Columns",
    "Connection",
    "CuratedTables",
    "Curation",
    "DuckDBEngine",
    "Engine",
    "FlatFile",
    "FlatTable",
    "Manifest",
    "Row",
    "SiteConfig",
    "SiteFolder",
    "compare",
    "curate",
    "flat_number",
    "literal",
    "open_flat",
    "open_site",
    "open_tables",
    "previous_folder",
    "read_folder",
    "read_manifest",
    "read_site",
    "snapshot_folder",
    "snapshots",
]
