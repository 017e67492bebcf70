"""One data dictionary: a site's source → curated tables with a digest and a report."""

from hetao.cdm.curation import curate
from hetao.cdm.dictionary import DICTIONARY
from hetao.cdm.engine import Column, Columns, Engine, Row, literal
from hetao.cdm.engine_duckdb import Connection, DuckDBEngine
from hetao.cdm.mapping import Mapping, SiteConfig, read_mapping, read_site
from hetao.cdm.opening import (
    FLAT,
    CuratedTables,
    FlatTable,
    open_flat,
    open_site,
    open_tables,
)
from hetao.cdm.quality import Check, Curation, share_band

__all__ = [
    "DICTIONARY",
    "FLAT",
    "Check",
    "Column",
    "Columns",
    "Connection",
    "CuratedTables",
    "Curation",
    "DuckDBEngine",
    "Engine",
    "FlatTable",
    "Mapping",
    "Row",
    "SiteConfig",
    "curate",
    "literal",
    "open_flat",
    "open_site",
    "open_tables",
    "read_mapping",
    "read_site",
    "share_band",
]
