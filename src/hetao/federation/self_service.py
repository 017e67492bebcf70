"""Questions of a site's own people: how many a study would find, in counts with noise.

Nobody approves such a question by itself, so its answer is no exact count: every count
bears noise that OpenDP draws, and every answer takes from a privacy budget that the
site set aside for good. Estimates and certificates have nothing to do with it.

The unit of privacy is a person of the site's tables: all that is told follows from
counts of cells of which each person is in one: at which criterion they were lost, or
into which combination of levels they fall.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise, product
from typing import Any, Final

import numpy as np

from hetao import cohort as cohorts
from hetao.canonical import canonical, digest
from hetao.errors import InvalidStudy, UngradedRelease
from hetao.federation.guard import check_switch
from hetao.federation.logs import has_log, open_log
from hetao.federation.private_budget import Answer, PrivateBudget
from hetao.federation.site import SiteSetup
from hetao.ledger.log import Log
from hetao.permit import Statement, format_time, state, statement_from
from hetao.release.grading import grade, lineage, with_read
from hetao.release.limits import check_own_limits, flags_of
from hetao.release.private import MOST_CELLS, margin, noisy, scale_of
from hetao.release.record import PASSED, Check, class_of, law, passed
from hetao.study import Analysis, Study

TYPE: Final = "hetao.private/1"
KIND: Final = "model_update_dp"
MISSING: Final = "(missing)"


@dataclass(frozen=True)
class Question:
    """How many people a study finds, by the levels of some of its categories.

    Attributes:
        study: whose population and criteria say who is counted.
        by: categories of the study, of whose levels each combination is counted.
        epsilon: the privacy loss that the answer may cost.
    """

    study: Study
    by: tuple[str, ...]
    epsilon: float

    @property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Return the combinations of levels, a missing one among each, in order."""
        names = [
            (*(level.name for level in self.study.variable(name).levels), MISSING)
            for name in self.by
        ]
        return tuple(product(*names))


def ask(setup: SiteSetup, question: Question, now: datetime.datetime) -> Statement:
    """Return the signed answer to a question, which may leave the site.

    It is kept and logged before it is returned. The same question from the same
    snapshot is given the same answer.

    Args:
        setup: of the site.
        question: what is asked.
        now: UTC time.

    Raises:
        StoppedHere: the site's people have stopped it.
        InvalidStudy: a row is not a person, people are matched to each other, or
            what is to be counted is no category of the study.
        InvalidData: a column or a vocabulary that the study asks for is not there.
            Nothing that a patient's values decide is ever refused.
        PrivacySpent: the site's privacy budget does not allow it.
        UngradedRelease, UseNotAllowed: the class, genes or a limited use forbid it.
    """
    # No digest of the data is told: whoever knew all but one person could test them.
    check_switch(setup.folder)
    _check_question(question)
    with setup.open_source() as source:
        # A refusal that values decide would cost nothing, and tell a value bit by bit.
        cohort = cohorts.build(question.study, source, refuses_unfit=False)
    counts = _counts(question, cohort)
    class_ = _class(setup, question, cohort)
    name = setup.identity.name
    key = digest(
        {
            "study": question.study.digest,
            "by": list(question.by),
            "epsilon": question.epsilon,
            "snapshot": cohort.snapshot,
        }
    )
    labels = [label for label, _ in cohort.attrition]

    def draw(spent: float) -> Answer:
        check_switch(setup.folder)  # it may have been thrown while people were counted
        drawn = noisy(counts, question.epsilon)
        told = _told(question, labels, drawn, setup.policy.minimum.people)
        body = {
            "type": TYPE,
            "site": name,
            "study": question.study.digest,
            "title": question.study.title or question.study.name,
            "at": format_time(now),
            "by": list(question.by),
            **told,
            "epsilon": question.epsilon,
            "spent": spent,
            "of": setup.policy.privacy.epsilon,
            "mechanism": f"discrete Laplace of scale {scale_of(question.epsilon):.6g} "
            f"on each count, by OpenDP {version('opendp')}",
            **class_,
            **law(),
        }
        return state(setup.identity, body).as_json()

    setup.folder.mkdir(parents=True, exist_ok=True)
    with open_log(setup.folder, setup.identity, setup.log) as log:
        budget = PrivateBudget(setup.folder, lambda: _logged(log))
        try:
            found = budget.answer(key, question.epsilon, setup.policy.privacy, draw)
            budget.log(key, lambda: log.append([canonical(dict(found))]))
        finally:
            budget.close()
    check_switch(setup.folder)
    return statement_from(found)


def spent_of(setup: SiteSetup) -> float:
    """Return the privacy loss of all answers of a site with noise so far.

    It is read from the site's log, where each answer stands before it is handed out.
    """
    if not has_log(setup.folder, setup.identity, setup.log):
        return 0.0
    with open_log(setup.folder, setup.identity, setup.log, asks=False) as log:
        found = {digest(one): float(one["body"]["epsilon"]) for one in _logged(log)}
    return sum(found.values())


def _logged(log: Log) -> Iterator[Answer]:
    """Yield the answers with noise of a site's log; digests stand for no question."""
    for data in log.entries(0, log.size):
        if b'"hetao.private/' in data:
            yield json.loads(data)


def _check_question(question: Question) -> None:
    study = question.study
    has_rows = study.population.occurrence == "every" or study.intervals is not None
    if has_rows or study.person or study.matching is not None:
        raise InvalidStudy(
            "counts with noise are of people of whom each has one row and enters by "
            "themselves alone",
            fix="leave intervals, every occurrence, person and matching out",
        )
    names = {v.name: v.kind for v in study.variables}
    for name in question.by:
        if names.get(name) != "category" or question.by.count(name) > 1:
            raise InvalidStudy(
                f"{name!r} is no category of the study, or is named twice",
                fix="name categories with their levels; cut a number into some",
            )
    if len(question.cells) > MOST_CELLS:
        raise InvalidStudy(
            f"more than {MOST_CELLS} combinations would be counted",
            fix="leave a category out",
        )


def _counts(question: Question, cohort: cohorts.Cohort) -> list[int]:
    """Return the people lost at each criterion, then those in each combination."""
    left = [people for _, people in cohort.attrition]
    lost = [before - after for before, after in pairwise(left)]
    code = np.zeros(cohort.people, dtype=np.int64)
    for name in question.by:
        size = len(question.study.variable(name).levels) + 1
        level = cohort.columns[name]
        code = code * size + np.where(level < 0, size - 1, level)
    cells = np.bincount(code, minlength=len(question.cells))
    return [*lost, *cells.tolist()]


def _told(
    question: Question, labels: Sequence[str], drawn: Sequence[int], least: int
) -> dict[str, Any]:
    """Return what the noisy counts tell; nothing further looks at any person.

    Whether there are enough people is asked of the noisy count as well: the exact one
    would tell of a person.
    """
    steps = len(labels) - 1
    lost, cells = list(drawn[:steps]), list(drawn[steps:])
    left = [sum(lost[i:]) + sum(cells) for i in range(len(labels))]
    is_few = left[-1] < least
    return {
        "enough": not is_few,
        "steps": []
        if is_few
        else [
            {
                "label": label,
                "people": people,
                "margin": margin(question.epsilon, steps - i + len(cells)),
            }
            for i, (label, people) in enumerate(zip(labels, left, strict=True))
        ],
        "cells": []
        if is_few or not question.by
        else [
            {"levels": list(levels), "people": people}
            for levels, people in zip(question.cells, cells, strict=True)
        ],
        "margin": margin(question.epsilon),
    }


def _class(
    setup: SiteSetup, question: Question, cohort: cohorts.Cohort
) -> dict[str, Any]:
    """Return the class of the answer; refuse one that may not leave."""
    study, policy = question.study, setup.policy
    method = "table1" if question.by else "counts"
    analysis = Analysis("", method, variables=question.by)
    fields = with_read(lineage(study, analysis), study, cohort.fields)
    checks = (
        Check("min_cohort", PASSED, policy.minimum.people),
        Check("bounds"),
        Check("dp_budget", PASSED, policy.privacy.epsilon),
    )
    graded = grade(KIND, fields, passed(checks))
    if graded.released > policy.highest_grade:
        raise UngradedRelease(
            f"an answer of class {graded.released} may not leave under this policy"
        )
    flags = flags_of(study, fields, 0, cohort.without_genes)
    party = setup.trusted[setup.identity.name]
    check_own_limits(party, fields, flags, policy.limits)
    return class_of(graded, fields, checks)
