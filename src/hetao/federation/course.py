"""The course of an analysis as a site follows it: no state but the one that follows.

Nobody outside chooses where a site computes: a state made up to single a person out
would turn the next sum into that person's row. So a task brings both hubs' signed sums
of the round before, and the site takes the coordinator's step itself. Why, and what it
costs: `docs/decisions/0011-sites-take-the-step.md`.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hetao.analysis import Estimator
from hetao.errors import WrongShape, WrongStudy
from hetao.federation.counting import BROUGHT, Counted, check_count
from hetao.federation.store import Store
from hetao.federation.totals import check_total, total_of
from hetao.ledger.envelope import Header
from hetao.ledger.sealed_counts import PEOPLE, task_of
from hetao.permit import Permit, statement_from
from hetao.release import pack, unpack
from hetao.release.record import NOT_PASSED, PASSED, SEALED_COUNTS

STATES: Final = """
CREATE TABLE IF NOT EXISTS state (
    run TEXT NOT NULL,
    analysis TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    round INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, analysis, attempt, round)
) STRICT;
"""
SAME_STATE: Final = 1e-9  # of a standardised coefficient, relative and absolute

State = dict[str, NDArray[np.float64]]


class Course:
    """What a site keeps of each analysis, so that it can follow the next round."""

    def __init__(self, store: Store, name: str) -> None:
        """Keep states in the journal of the site of that name."""
        self._store, self._name = store, name

    def state(
        self,
        header: Header,
        permit: Permit,
        estimator: Estimator,
        content: tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]],
    ) -> State | None:
        """Return the state to compute at, once it follows from what hubs signed.

        Args:
            header: of the task.
            permit: names the hubs and pins their keys.
            estimator: takes the step.
            content: the task's JSON object and arrays.

        Returns:
            The state, or None for the first round, which starts from nothing.

        Raises:
            WrongStudy, WrongShape, BadEnvelope, BadSignature: it does not follow.
        """
        meta, arrays = content
        given = {
            name.removeprefix("state "): array
            for name, array in arrays.items()
            if name.startswith("state ")
        }
        if header.round == 0:
            brought = [of for of in BROUGHT.values() if of in meta]
            counts = {f"{of} {hub}" for hub in permit.hubs for of in brought}
            if set(arrays) - counts or "totals" in meta:
                raise WrongShape("the first round starts from nothing")
            return None
        before = self._sum_before(header, permit, estimator, content)
        number = header.round - 1
        mine = estimator.step(before, self._kept(header, number), number)
        if not isinstance(mine, dict):
            raise WrongShape(f"{header.analysis} has come to its end")
        _check_state(given, mine)
        row = (header.run, header.analysis, header.attempt, header.round)
        data = pack({}, given)
        # On the disk with the answer, which is kept before anything leaves.
        self._store.note(
            [("INSERT OR REPLACE INTO state VALUES (?,?,?,?,?)", (*row, data))]
        )
        return given

    def counted(
        self,
        header: Header,
        permit: Permit,
        content: tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]],
        what: str = PEOPLE,
    ) -> Counted | None:
        """Return what a sealed count of people, or of sites, found before a model.

        The first round brings it; of a later one, what the record of the first says.

        Returns:
            None where there was none.

        Raises:
            SmallCell: it found a combination of few.
            WrongStudy, WrongShape, BadEnvelope, BadSignature: it is none of this
                attempt over these members, or this site's own part is not in it.
        """
        (meta, arrays), key = content, BROUGHT[what]
        if header.round:
            return self._said(header, what)
        if key not in meta:
            return None
        task = task_of(header.analysis, header.attempt, what)
        said = {hub: statement_from(meta[key][hub]) for hub in permit.hubs}
        shares = {}
        for hub, statement in said.items():
            added = dict(statement.body["shares"])
            if sorted(added) != sorted(str(name) for name in meta["members"]):
                raise WrongShape("a sealed count is of other members")
            own = self._sent_share(header.run, task, hub)
            shares[hub] = {**added, self._name: own}
        expected = {
            "study": header.study,
            "permit": header.permit,
            "run": header.run,
            "task": task,
        }
        tokens = {hub: arrays[f"{key} {hub}"] for hub in permit.hubs}
        return check_count(said, tokens, expected, shares, permit)

    def _said(self, header: Header, what: str) -> Counted | None:
        """Return what this site's record of the first round says was counted."""
        first = f"{header.run}|{header.analysis}/{header.attempt}/0|task"
        query = "SELECT record FROM answered WHERE task = ?"
        for (data,) in self._store.rows(query, (first,)):
            checks = json.loads(data)["body"]["checks"]
            for outcome in (PASSED, NOT_PASSED):
                least = checks.get(outcome, {}).get(SEALED_COUNTS[what])
                if least is not None:
                    return Counted(int(least), outcome == NOT_PASSED)
        return None

    def _kept(self, header: Header, number: int) -> State | None:
        if number == 0:
            return None
        rows = self._store.rows(
            "SELECT data FROM state WHERE run = ? AND analysis = ? AND attempt = ? "
            "AND round = ?",
            (header.run, header.analysis, header.attempt, number),
        )
        if not rows:
            raise WrongStudy(f"{self._name} did not take part in the round before")
        return unpack(bytes(rows[0][0]))[1]

    def _sum_before(
        self,
        header: Header,
        permit: Permit,
        estimator: Estimator,
        content: tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]],
    ) -> dict[str, NDArray[np.float64]]:
        """Return the sums of the round before, both hubs' signatures checked."""
        (meta, arrays), number = content, header.round - 1
        task = f"{header.analysis}/{header.attempt}/{number}"
        members = [str(name) for name in meta["members"]]
        words = []
        for hub in permit.hubs:
            total = statement_from(meta["totals"][hub])
            shares = dict(total.body["shares"])
            if sorted(shares) != sorted(members):
                raise WrongShape("the sums before were of other members")
            expected = {
                "study": header.study,
                "permit": header.permit,
                "run": header.run,
                "task": task,
                "shares": {
                    **shares,
                    self._name: self._sent_share(header.run, task, hub),
                },
            }
            part = arrays[f"words {hub}"]
            check_total(hub, total, part, expected, permit)
            words.append(part)
        declared = estimator.declare(number)
        return total_of(words, declared, task, len(members))

    def _sent_share(self, run: str, task: str, hub: str) -> str:
        rows = self._store.rows(
            "SELECT digest FROM outgoing WHERE task = ? AND hub = ? ORDER BY place",
            (f"{run}|{task}|task", hub),
        )
        if not rows:  # nor may two hubs sign that its share was nothing
            raise WrongStudy(f"{self._name} did not take part in the round before")
        return str(rows[0][0])


def _check_state(given: Mapping[str, NDArray[Any]], mine: State) -> None:
    """Refuse a state that is not the one that follows, but for rounding.

    All sites compute at the coordinator's bits, so that every sum is over one state;
    another processor's rounding differs by far less than this.
    """
    if sorted(given) != sorted(mine):
        raise WrongShape("the state holds other arrays than the estimator's")
    for name, array in given.items():
        if array.dtype != np.float64 or array.shape != np.shape(mine[name]):
            raise WrongShape(f"the state {name!r} has another shape or type")
        if not np.allclose(array, mine[name], rtol=SAME_STATE, atol=SAME_STATE):
            raise WrongStudy("the state does not follow from the sums before it")
