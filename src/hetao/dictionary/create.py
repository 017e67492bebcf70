"""A table of the dictionary → the statement that makes it, for each engine."""

from hetao.dictionary.model import Table

# decimal: every sum over it is exact, whatever the order and the engine.
_TYPES = {
    "duckdb": {
        "bigint": "BIGINT",
        "integer": "INTEGER",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "text": "VARCHAR",
        "decimal": "DECIMAL(18,6)",
    },
    "postgres": {
        "bigint": "BIGINT",
        "integer": "INTEGER",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
        "text": 'TEXT COLLATE "C"',  # ordered by bytes, as the other engines do
        "decimal": "NUMERIC(18,6)",
    },
    "spark": {
        "bigint": "BIGINT",
        "integer": "INT",
        "date": "DATE",
        "timestamp": "TIMESTAMP_NTZ",
        "text": "STRING",
        "decimal": "DECIMAL(18,6)",
    },
}
ENGINES = tuple(_TYPES)
_QUOTES = {"duckdb": '"', "postgres": '"', "spark": "`"}


def ddl(table: Table, engine: str) -> str:
    """Return `CREATE TABLE` for "duckdb", "postgres" or "spark".

    Every identifier is quoted. Spark's tables take the format that the catalog is
    set to.
    """
    types, quote = _TYPES[engine], _QUOTES[engine]
    lines = (
        f"{quote}{field.name}{quote} {types[field.type]}"
        + (" NOT NULL" if field.required else "")
        for field in table.fields.values()
    )
    return f"CREATE TABLE {quote}{table.name}{quote} ({', '.join(lines)})"
