"""What happens at visits: diagnoses, drugs, procedures, special products.

All of it follows from `life` and `condition` of the same block of people.
"""

from hetao.synth.catalogue import catalogue
from hetao.synth.draws import salt
from hetao.synth.labs import takes
from hetao.synth.sites import SyntheticSite
from hetao.synth.slots import (
    ENTRY,
    FIRST_EVENT,
    FIRST_INDEX,
    FIRST_REGULAR,
    MOST_REGULAR,
    SLOTS,
)
from hetao.synth.truth import Connection
from hetao.synth.world import World

DAY = "DATE '1970-01-01' + {}::INTEGER"
FEWEST_DAYS = 30  # who is observed for less has the entry visit alone
APART_DAYS = 3  # an ordinary visit is not so near to an index day
AGAIN_DAYS = 90  # a disease that passes is coded no longer than this
OF_VISIT = 64  # prescription and procedure numbers of one visit
COMPLAINT_RANK = 90


def fill_people(connection: Connection, site: str) -> None:
    """Add the block's people to `person`."""
    connection.execute(f"""
        INSERT INTO person
        SELECT person_no, '{site}', CASE WHEN male THEN 'M' ELSE 'F' END,
            {DAY.format("born")}, {DAY.format("enters")}, {DAY.format("dies")},
            CASE WHEN dies IS NOT NULL THEN cause END, district
        FROM life
    """)


def fill_visits(connection: Connection, world: World, site: SyntheticSite) -> None:
    """Make the block's temporary table `seen`, and add it to `visit`.

    `seen` has visit_no, person_no, slot, day (a whole number), disease (its number at
    the first day of a disease, else -1) and complaint ('' for none).
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE seen AS {_seen_sql(world)}")
    stay = (
        f"1 + floor({world.visits['stay_days']} * waiting(visit_no, 0, {salt('stay')}))"
    )
    ends = f"CASE WHEN kind = 'inpatient' THEN least(day + {stay}, leaves) ELSE day END"
    event = f"slot >= {FIRST_EVENT}"
    plain = "primary" if site.kind == "clinic" else "outpatient"
    kinds = {
        name: course.visit if site.kind == "hospital" else "primary"
        for name, course in world.diseases.items()
        if course.visit
    }
    kind = _by_disease(world, kinds, plain)
    connection.execute(f"""
        INSERT INTO visit
        SELECT visit_no, person_no, '{site.name}', kind, {DAY.format("day")},
            {DAY.format(ends)}, specialty
        FROM (
            SELECT seen.*, leaves, CASE WHEN {event} THEN {kind} ELSE '{plain}' END
                AS kind, {_specialty(world, site)} AS specialty
            FROM seen JOIN life USING (person_no))
    """)


def _by_disease(world: World, values: dict[str, str], otherwise: str) -> str:
    numbers = list(world.diseases)
    cases = " ".join(
        f"WHEN {numbers.index(name)} THEN '{value}'" for name, value in values.items()
    )
    return f"CASE seen.disease {cases} ELSE '{otherwise}' END" if cases else "NULL"


def _specialty(world: World, site: SyntheticSite) -> str:
    first = {n: c.specialty for n, c in world.diseases.items() if c.visit}
    index = " ".join(
        f"WHEN {FIRST_INDEX + number} THEN "
        f"'{world.diseases[comparison.disease].specialty}'"
        for number, comparison in enumerate(world.comparisons)
    )
    plain = "family_medicine" if site.kind == "clinic" else "medicine"
    share = world.visits["chinese_medicine"][site.side]
    herbal = f"u(visit_no, 0, {salt('herbal')}) < {share}"
    return (
        f"CASE WHEN slot >= {FIRST_EVENT} THEN {_by_disease(world, first, plain)} "
        f"WHEN slot >= {FIRST_INDEX} THEN CASE slot {index} END "
        f"WHEN {herbal} THEN 'chinese_medicine' ELSE '{plain}' END"
    )


def _seen_sql(world: World) -> str:
    """Return why and when people come: entry, ordinary, index and event visits."""
    first = [name for name, course in world.diseases.items() if course.visit]
    numbers = list(world.diseases)
    parts = [
        f"SELECT person_no, {ENTRY} AS slot, enters AS day, -1 AS disease FROM life",
        _ordinary_sql(world),
        *(
            f"SELECT person_no, {FIRST_INDEX + number}, start_{number}, -1 FROM life "
            f"WHERE start_{number} <= leaves"
            for number in range(len(world.comparisons))
        ),
        *(
            f"SELECT person_no, {FIRST_EVENT + place}, {name}, {numbers.index(name)} "
            f"FROM life WHERE {name} BETWEEN enters + 1 AND leaves"
            for place, name in enumerate(first)
        ),
    ]
    total, cases = 0.0, []
    for name, complaint in world.complaints.items():
        total += complaint["share"]
        cases.append(
            f"WHEN chance < {total * world.visits['complaint']!r} THEN '{name}'"
        )
    return f"""
        SELECT visit_no, person_no, slot, day, disease,
            CASE WHEN slot >= {FIRST_INDEX} THEN '' {" ".join(cases)} ELSE '' END
                AS complaint
        FROM (SELECT *, u(visit_no, 0, {salt("complaint")}) AS chance FROM (
            SELECT *, person_no * {SLOTS} + slot AS visit_no
            FROM ({" UNION ALL ".join(parts)})))
    """


def _ordinary_sql(world: World) -> str:
    """Return ordinary visits: more the more diseases, each in a span of its own."""
    lasting = " + ".join(
        f"coalesce(({name} <= leaves)::INTEGER, 0)"
        for name, course in world.diseases.items()
        if course.lasting
    )
    often = (
        f"{world.visits['per_year']} + {world.visits['per_year_disease']} * ({lasting})"
    )
    many = (
        f"CASE WHEN leaves - enters < {FEWEST_DAYS} THEN 0 ELSE least({MOST_REGULAR}, "
        f"floor((leaves - enters) / 365.25 * ({often}) "
        f"+ u(person_no, 0, {salt('visits')})))::INTEGER END"
    )
    near = "".join(
        f" AND coalesce(abs(day - start_{number}) > {APART_DAYS}, TRUE)"
        for number in range(len(world.comparisons))
    )
    return f"""
        SELECT person_no, slot, day, -1 FROM (
            SELECT *, enters + 1 + floor((slot - {FIRST_REGULAR}
                + u(person_no, slot, {salt("visit")})) / many
                * (leaves - enters - 1))::INTEGER AS day
            FROM (SELECT *, unnest(range({FIRST_REGULAR}, many + {FIRST_REGULAR}))
                ::INTEGER AS slot FROM (SELECT *, {many} AS many FROM life)))
        WHERE TRUE{near}
    """


def fill_diagnoses(connection: Connection, world: World, site: str) -> None:
    """Add what is coded at the block's visits to `diagnosis`.

    On an index day everything that somebody has is coded, so that a cohort sees then
    what the truth reads then; on other days a share of it.
    """
    passing = [
        str(number)
        for number, course in enumerate(world.diseases.values())
        if not course.lasting
    ]
    index = f"slot BETWEEN {FIRST_INDEX} AND {FIRST_EVENT - 1}"
    connection.execute(f"""
        INSERT INTO diagnosis
        SELECT visit_no, person_no, '{site}', {DAY.format("day")}, disease,
            row_number() OVER (PARTITION BY visit_no ORDER BY place) AS rank
        FROM (
            SELECT seen.visit_no, seen.person_no, seen.day, condition.disease,
                CASE WHEN seen.disease = number THEN 0 ELSE number + 1 END AS place
            FROM seen JOIN condition USING (person_no)
            WHERE onset <= day AND ({index} OR seen.disease = number
                OR (u(visit_no, number, {salt("coded")}) < {world.visits["coded"]}
                    AND (number NOT IN ({", ".join(passing) or -1})
                        OR day - onset <= {AGAIN_DAYS})))
            UNION ALL
            SELECT visit_no, person_no, day, complaint, {COMPLAINT_RANK}
            FROM seen WHERE complaint <> '')
    """)


def fill_drugs(connection: Connection, world: World, site: SyntheticSite) -> None:
    """Add what is dispensed at the block's visits to `drug`."""
    drugs, asked = catalogue().drugs, world.complaints
    items = list(drugs)
    per_day = " ".join(f"WHEN '{name}' THEN {d.per_day}" for name, d in drugs.items())
    drug = " ".join(f"WHEN '{name}' THEN '{b['drug']}'" for name, b in asked.items())
    days = " ".join(f"WHEN '{name}' THEN {b['days']}" for name, b in asked.items())
    item = " ".join(
        f"WHEN '{body['drug']}' THEN {items.index(body['drug'])}"
        for body in asked.values()
    )
    refill = world.visits["refill_days"]
    length = (
        f"{refill}[1 + floor({len(refill)} * u(visit_no, item, {salt('refill')}))"
        "::INTEGER]"
    )
    connection.execute(f"""
        INSERT INTO drug
        SELECT visit_no * {OF_VISIT} + item, visit_no, person_no, '{site.name}',
            {DAY.format("day")}, drug, days,
            (days * CASE drug {per_day} END)::DECIMAL(18,6)
        FROM (
            SELECT visit_no, person_no, day, drug, item, {length} AS days
            FROM seen JOIN ({_standing_sql(world, items)}) USING (person_no)
            WHERE begins <= day AND (slot = at_slot
                OR u(visit_no, item, {salt("dispensed")}) < {world.visits["dispensed"]})
            UNION ALL
            SELECT visit_no, person_no, day, drug, CASE drug {item} END, days
            FROM (SELECT *, CASE complaint {drug} END AS drug,
                    CASE complaint {days} END AS days FROM seen)
            WHERE complaint <> '')
    """)


def _standing_sql(world: World, items: list[str]) -> str:
    """Return who takes which drug from which day on, and the visit that begins it."""
    habits = [
        f"SELECT person_no, '{t['drug']}' AS drug, {items.index(t['drug'])} AS item, "
        f"greatest({t['disease']}, enters) AS begins, -1 AS at_slot FROM life "
        f"WHERE {t['disease']} <= leaves AND {takes(world, t['drug'])}"
        for t in world.therapies
    ]
    compared = [
        f"SELECT person_no, '{drug}', {items.index(drug)}, start_{number}, "
        f"{FIRST_INDEX + number} FROM life WHERE start_{number} <= leaves "
        f"AND {'' if drug == comparison.exposed else 'NOT '}exposed_{number}"
        for number, comparison in enumerate(world.comparisons)
        for drug in (comparison.exposed, comparison.comparator)
    ]
    return " UNION ALL ".join(habits + compared)


def fill_procedures(connection: Connection, world: World, site: str) -> None:
    """Add the block's procedures to `procedure`."""
    numbers = list(world.diseases)
    parts = [
        f"SELECT visit_no * {OF_VISIT} + {place}, visit_no, seen.person_no, '{site}', "
        f"{DAY.format('day')}, '{row['procedure']}' "
        f"FROM seen JOIN condition USING (person_no) "
        f"WHERE number = {numbers.index(row['disease'])} AND "
        f"{'seen.disease = number' if row['first'] else 'onset < day'} "
        f"AND u(visit_no, {place}, {salt('procedure')}) < {row['share']}"
        for place, row in enumerate(world.procedures)
    ]
    connection.execute(f"INSERT INTO procedure {' UNION ALL '.join(parts)}")


def fill_specials(connection: Connection, world: World, site: SyntheticSite) -> None:
    """Add the uses of special products to `special`, at a designated site only."""
    if not site.designated:
        return
    numbers = list(world.diseases)
    for place, row in enumerate(world.specials):
        disease = catalogue().products[row["product"]].disease
        connection.execute(f"""
            INSERT INTO special
            SELECT visit_no * {OF_VISIT} + {place}, visit_no, seen.person_no,
                '{site.name}', {DAY.format("day")}, '{row["product"]}'
            FROM seen JOIN condition USING (person_no)
            WHERE number = {numbers.index(disease)} AND onset < day
                AND u(visit_no, {place}, {salt("special")}) < {row["share"]}
        """)
