"""CIRCE definitions of our own making, in the shape that ATLAS writes."""

from support_omop import circe

AFIB, KIND, STROKE, WARFARIN, GLUCOSE, HIGH, SCAN, INPATIENT, OLD = range(1001, 1010)
SETS = {0: [AFIB], 1: [STROKE], 2: [WARFARIN], 3: [GLUCOSE], 4: [SCAN], 5: [INPATIENT]}


def window(low, high):
    """Days around the index day; None is as far as there is."""

    def side(days):
        if days is None:
            return None
        return {"Days": abs(days), "Coeff": -1 if days < 0 else 1}

    return {
        "Start": side(low) or {"Coeff": -1},
        "End": side(high) or {"Coeff": 1},
    }


def counted(criteria, low, high, kind=2, count=1, **more):
    return {
        "Criteria": criteria,
        "StartWindow": window(low, high),
        "Occurrence": {"Type": kind, "Count": count, **more.pop("occurrence", {})},
        **more,
    }


def group(*criteria, kind="ALL", people=(), groups=(), **more):
    return {
        "Type": kind,
        "CriteriaList": list(criteria),
        "DemographicCriteriaList": list(people),
        "Groups": list(groups),
        **more,
    }


def rules(*groups):
    return [{"name": f"rule {n}", "expression": one} for n, one in enumerate(groups)]


def entry(kind="ConditionOccurrence", codes=0, **more):
    return {kind: {"CodesetId": codes, **more}}


def everyone(*criteria, **changes):
    """All events of everybody, which end after a week."""
    settings = {
        "primary": "All",
        "qualified": "All",
        "limit": "All",
        "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 7}},
        "sets": SETS,
        **changes,
    }
    return circe(*(criteria or (entry(),)), **settings)


def first(*criteria, **changes):
    return circe(*(criteria or (entry(First=True),)), **{"sets": SETS, **changes})


def by_end(offset):
    return {"DateOffset": {"DateField": "EndDate", "Offset": offset}}
