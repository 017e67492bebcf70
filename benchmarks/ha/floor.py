"""The physical floor: bare SQL over all tables in one database, and numpy for the fits.

No sites, no messages, no gate: what the same arithmetic costs when somebody holds
every row. Deliberately plain, and not ours: it shares no code with the package.
"""

import time

import numpy as np

CONDITIONS = {
    "diabetes": "250",
    "dyslipidaemia": "272",
    "ihd": "414",
    "ckd": "585",
    "copd": "496",
    "gastritis": "535",
    "back_pain": "724",
    "respiratory_infection": "465",
}
DRUGS = {
    "metformin": "A10BA02",
    "statin": "C10AA",
    "aspirin": "B01AC06",
    "paracetamol": "N02BE01",
    "omeprazole": "A02BC01",
    "metoprolol": "C07AB02",
}
LABS = {"egfr": "62238-1", "systolic": "8480-6"}
NUMBERS = {"age": 10.0, "egfr": 10.0, "systolic": 10.0, "visits": 1.0}


def codes(connection, prefix, vocabulary="ICD9CM"):
    """Return the concepts of a code and of all below it, as a list in SQL."""
    rows = connection.execute(
        "SELECT DISTINCT descendant_concept_id FROM concept JOIN concept_ancestor "
        "ON ancestor_concept_id = concept_id WHERE vocabulary_id = ? "
        "AND starts_with(replace(concept_code, '.', ''), ?)",
        [vocabulary, prefix],
    ).fetchall()
    return "(" + ", ".join(str(number) for (number,) in rows) + ")"


def cohort_sql(connection):
    """Return the statement that makes everybody's index day, arm and end."""
    new, old = codes(connection, "C09CA01", "ATC"), codes(connection, "C08CA01", "ATC")
    ill, gout = codes(connection, "401"), codes(connection, "274")
    return f"""
        CREATE TEMP TABLE cohort AS
        WITH first AS (
            SELECT person_id, min(drug_exposure_start_date) AS day,
                min(drug_exposure_start_date)
                    FILTER (drug_source_concept_id IN {new}) AS new_day,
                min(drug_exposure_start_date)
                    FILTER (drug_source_concept_id IN {old}) AS old_day
            FROM drug_exposure
            WHERE drug_source_concept_id IN {new} OR drug_source_concept_id IN {old}
            GROUP BY person_id),
        observed AS (
            SELECT first.person_id, day, (new_day = day)::INT AS arm,
                observation_period_end_date AS last
            FROM first JOIN observation_period USING (person_id)
            WHERE day BETWEEN observation_period_start_date + 365
                    AND observation_period_end_date
                AND new_day IS DISTINCT FROM old_day),
        told AS (
            SELECT observed.person_id, any_value(day) AS day, any_value(arm) AS arm,
                any_value(last) AS last,
                coalesce(bool_or(condition_source_concept_id IN {ill}
                    AND condition_start_date <= day), FALSE) AS ill,
                coalesce(bool_or(condition_source_concept_id IN {gout}
                    AND condition_start_date <= day), FALSE) AS had,
                min(condition_start_date)
                    FILTER (condition_source_concept_id IN {gout}
                        AND condition_start_date > day) AS gout_day
            FROM observed LEFT JOIN condition_occurrence
                ON condition_occurrence.person_id = observed.person_id
                AND (condition_source_concept_id IN {ill}
                    OR condition_source_concept_id IN {gout})
            GROUP BY observed.person_id)
        SELECT told.person_id, site, day, arm, year(day) - year_of_birth AS age,
            (gender_concept_id = 8507)::INT AS male,
            least(last, coalesce(death_date, last)) AS stop, gout_day
        FROM told JOIN person USING (person_id) LEFT JOIN death USING (person_id)
        WHERE ill AND NOT had AND year(day) - year_of_birth BETWEEN 18 AND 105
            AND least(last, coalesce(death_date, last)) > day
    """  # noqa: S608 - our own names and whole numbers


def covariates_sql(connection):
    """Return the statement that makes one row a person with every covariate."""
    had = ", ".join(
        f"coalesce(bool_or(condition_source_concept_id IN {codes(connection, code)}), "
        f"FALSE)::INT AS {name}"
        for name, code in CONDITIONS.items()
    )
    took = ", ".join(
        "coalesce(bool_or(drug_source_concept_id IN "
        f"{codes(connection, code, 'ATC')}), FALSE)::INT AS {name}"
        for name, code in DRUGS.items()
    )
    measured = ", ".join(
        "arg_max(value_as_number, "
        "(measurement_date, measurement_datetime, measurement_id)) "
        f"FILTER (measurement_source_concept_id IN {codes(connection, code, 'LOINC')})"
        f"::DOUBLE AS {name}"
        for name, code in LABS.items()
    )
    labs = " OR ".join(
        f"measurement_source_concept_id IN {codes(connection, code, 'LOINC')}"
        for code in LABS.values()
    )
    return f"""
        CREATE TEMP TABLE rows AS
        WITH had AS (
            SELECT cohort.person_id, {had} FROM cohort JOIN condition_occurrence x
                ON x.person_id = cohort.person_id
                AND condition_start_date BETWEEN day - 3650 AND day
            GROUP BY cohort.person_id),
        took AS (
            SELECT cohort.person_id, {took} FROM cohort JOIN drug_exposure x
                ON x.person_id = cohort.person_id
                AND drug_exposure_start_date BETWEEN day - 365 AND day - 1
            GROUP BY cohort.person_id),
        measured AS (
            SELECT cohort.person_id, {measured} FROM cohort JOIN measurement x
                ON x.person_id = cohort.person_id
                AND measurement_date BETWEEN day - 365 AND day
                AND ({labs})
            GROUP BY cohort.person_id),
        seen AS (
            SELECT cohort.person_id, count(*) AS visits
            FROM cohort JOIN visit_occurrence x ON x.person_id = cohort.person_id
                AND visit_start_date BETWEEN day - 365 AND day - 1
            GROUP BY cohort.person_id)
        SELECT site, arm, age, male, egfr, systolic, coalesce(visits, 0) AS visits,
            {", ".join(f"coalesce({n}, 0) AS {n}" for n in (*CONDITIONS, *DRUGS))},
            (least(stop, coalesce(gout_day, stop)) - day)::DOUBLE AS days,
            (gout_day IS NOT NULL AND gout_day <= stop)::INT AS gout
        FROM cohort JOIN measured USING (person_id) LEFT JOIN had USING (person_id)
            LEFT JOIN took USING (person_id) LEFT JOIN seen USING (person_id)
        WHERE egfr IS NOT NULL AND systolic IS NOT NULL
    """  # noqa: S608 - our own names and whole numbers


def logistic(X, y):
    """Return the maximum of a logistic likelihood and the rounds to it."""
    beta = np.zeros(X.shape[1])
    step, rounds = np.ones(1), 0
    while np.abs(step).max() >= 1e-10:
        rounds += 1
        mu = 1 / (1 + np.exp(-(X @ beta)))
        weight = mu * (1 - mu)
        step = np.linalg.solve((X.T * weight) @ X, X.T @ (y - mu))
        beta += step
    return beta, rounds


def cox(X, days, event, site):
    """Return Breslow's maximum within sites, its standard errors, and the rounds."""
    order = np.lexsort((-days, site))
    X, days, event, site = X[order], days[order], event[order], site[order]
    begins = np.flatnonzero(np.diff(site, prepend=site[0] - 1))
    last = np.append(begins[1:], len(site))
    tie_ends = np.flatnonzero(np.diff(days) != 0) + 1
    edges = np.union1d(tie_ends, begins)
    edges = np.union1d(edges, [0])
    group = np.repeat(np.arange(len(edges)), np.diff(np.append(edges, len(days))))
    deaths = np.add.reduceat(event, edges)
    stop = np.append(edges[1:], len(days)) - 1  # last row of each tie
    of_site = np.searchsorted(begins, edges, side="right") - 1
    before = np.append(0, last[:-1])  # rows of the sites before
    beta = np.zeros(X.shape[1])
    step, rounds = np.ones(1), 0
    while np.abs(step).max() >= 1e-10:
        rounds += 1
        risk = np.exp(X @ beta)
        total = np.append(0, np.cumsum(risk))
        s0 = total[stop + 1] - total[before[of_site]]
        hazard = deaths / s0
        # a row is at risk at its own time and at all earlier ones, which come after it
        passed = np.append(np.cumsum(hazard[::-1])[::-1], 0)
        until = np.searchsorted(edges, last)[of_site]
        weight = risk * (passed[:-1] - passed[until])[group]
        score = X.T @ event - X.T @ weight
        information = (X.T * weight) @ X
        summed = np.cumsum(X * risk[:, None], axis=0)
        running = np.vstack([np.zeros(X.shape[1]), summed])
        mean = (running[stop + 1] - running[before[of_site]]) / s0[:, None]
        information -= (mean.T * deaths) @ mean
        step = np.linalg.solve(information, score)
        beta += step
    return beta, np.sqrt(np.diag(np.linalg.inv(information))), rounds


def survival(days, event, arm):
    """Return Kaplan and Meier's curve of each arm on the same grid."""
    curves = []
    for one in (0, 1):
        mine = arm == one
        bins = np.ceil(days[mine] / 180).astype(int)
        left = np.bincount(bins)
        died = np.bincount(bins, weights=event[mine])
        at_risk = left[::-1].cumsum()[::-1]
        curves.append(np.cumprod(1 - died / np.maximum(at_risk, 1)))
    return curves


def run(connection):
    """Carry out the study on one connection; return findings and seconds."""
    seconds, start = {}, time.perf_counter()

    def lap(name):
        nonlocal start
        now = time.perf_counter()
        seconds[name], start = now - start, now

    connection.execute(cohort_sql(connection))
    lap("cohort")
    connection.execute(covariates_sql(connection))
    found = connection.execute("FROM rows").fetchnumpy()
    lap("covariates")
    names = ["age", "male", *LABS, "visits", *CONDITIONS, *DRUGS]
    scaled = [np.asarray(found[n], float) / NUMBERS.get(n, 1.0) for n in names]
    X = np.column_stack(scaled)
    arm, days, gout = (np.asarray(found[n], float) for n in ("arm", "days", "gout"))
    _, site = np.unique(np.asarray(found["site"]), return_inverse=True)
    for one in (0, 1):
        X[arm == one].mean(axis=0), X[arm == one].var(axis=0)
    lap("table1")
    survival(days, gout, arm)
    lap("survival")
    centred = X - X.mean(axis=0)
    _, rounds_ps = logistic(np.column_stack([np.ones(len(arm)), centred]), arm)
    lap("propensity")
    beta, se, rounds = cox(np.column_stack([arm, centred]), days, gout, site)
    lap("effect")
    return {
        "people": len(arm),
        "events": int(gout.sum()),
        "estimate": float(beta[0]),
        "se": float(se[0]),
        "rounds": {"propensity": rounds_ps, "effect": rounds},
        "seconds": seconds,
    }
