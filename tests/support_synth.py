"""A made-up population in memory, for the tests of `hetao.synth`."""

import duckdb

from hetao.synth import (
    TRUTH,
    Population,
    allot,
    create_truth,
    read_sites,
    shipped_world,
)

KEYS = {  # a total order of each table
    "person": "person_no",
    "visit": "visit_no",
    "diagnosis": "visit_no, rank",
    "drug": "rx_no",
    "lab": "lab_no",
    "procedure": "proc_no",
    "special": "use_no",
}


def population(persons, seed=1, sites="gba", world=None):
    return Population(world or shipped_world(), allot(read_sites(sites), persons), seed)


def generated(people, threads=2):
    """Return a connection with the truth tables of a whole population."""
    connection = duckdb.connect(config={"threads": threads})
    create_truth(connection)
    for site in people.sites:
        people.fill(connection, site)
    return connection


def content(connection):
    """Return table → every row in the table's own order, as one digest and a count."""
    return {
        name: connection.execute(
            "SELECT count(*), "
            f"md5(string_agg(row::VARCHAR, '|' ORDER BY {KEYS[name]})) "
            f"FROM (SELECT * FROM {name}) AS row"
        ).fetchone()
        for name in TRUTH
    }
