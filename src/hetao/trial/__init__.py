"""A trial before and while it runs: how large, when to look, who gets what.

Nothing here sees a patient's row: sizes and bounds are arithmetic over assumptions, and
an allocation is a list that was fixed and committed to before the first person came.
"""

from hetao.trial.allocation import (
    Allocation,
    Commitment,
    Enrolled,
    Minimisation,
    Opening,
    Plan,
    assign,
    commit_minimisation,
    verify_minimisation,
    verify_opening,
    verify_secret,
)
from hetao.trial.design import TrialFile, read_trial
from hetao.trial.looks import (
    Bounds,
    Course,
    Spending,
    course,
    drift_for,
    efficacy_bounds,
    futility_bounds,
    inflation,
    stagewise_interval,
    stagewise_p,
)
from hetao.trial.size import (
    Aim,
    Clusters,
    FollowUp,
    Size,
    events_for,
    in_clusters,
    means,
    power_of_events,
    proportions,
    rates,
    survival,
)

__all__ = [
    "Aim",
    "Allocation",
    "Bounds",
    "Clusters",
    "Commitment",
    "Course",
    "Enrolled",
    "FollowUp",
    "Minimisation",
    "Opening",
    "Plan",
    "Size",
    "Spending",
    "TrialFile",
    "assign",
    "commit_minimisation",
    "course",
    "drift_for",
    "efficacy_bounds",
    "events_for",
    "futility_bounds",
    "in_clusters",
    "inflation",
    "means",
    "power_of_events",
    "proportions",
    "rates",
    "read_trial",
    "stagewise_interval",
    "stagewise_p",
    "survival",
    "verify_minimisation",
    "verify_opening",
    "verify_secret",
]
