"""A site's steps carried out again on its committed extract, and held to its records.

What an auditor sits beside. Nothing is released, and nothing is written: rows are built
as they were, each step is taken at the state that it was taken at, and input and output
must give, bit for bit, the commitments in the records that the certificate holds. The
same code on the same kind of machine; another processor may round otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetao import cohort as cohorts
from hetao.analysis import Estimator, Rows, evidence, protocol
from hetao.analysis.estimator import State
from hetao.analysis.sealed_count import SealedCount
from hetao.cdm.extract import Extract
from hetao.errors import InvalidData, Unverified
from hetao.federation import memory_key
from hetao.federation.binding import Bindings
from hetao.federation.flat_digest import keyed_digest
from hetao.federation.pinning import Table, digests_of, pinned
from hetao.federation.prepared import People, Prepared
from hetao.federation.site import SiteSetup
from hetao.federation.store import Store
from hetao.ledger.opened import Opened as Certificate
from hetao.ledger.sealed_counts import what_of
from hetao.release import Summary, check_values, commit, encode, unpack
from hetao.study import Study, study_from


@dataclass(frozen=True)
class Replayed:
    """What came of a replay.

    Attributes:
        tasks: the rounds of which each bit is the released one.
        acts: of the extract, all of which are as they were committed to; 0 where the
            site had committed to none.
    """

    tasks: tuple[str, ...]
    acts: int


def replay(
    setup: SiteSetup, certificate: Certificate, extract: Extract | None
) -> Replayed:
    """Carry out again all that a site released for a study.

    Args:
        setup: of the site.
        certificate: of the study, one that was verified.
        extract: what the site committed to, opened; None for a flat file.

    Raises:
        Unverified: a bit differs; it says of what.
        InvalidData: the tables, or a state of the journal, are no longer there.
    """
    name = setup.identity.name
    if extract is not None:
        extract.check_whole()
    receipts = {
        str(round_["task"]): round_["receipts"][name]["body"]
        for round_ in (*certificate.body["rounds"], *certificate.counts)
        if name in round_["receipts"]
    }
    if not receipts:
        raise Unverified(f"{name} released nothing for this study")
    study = study_from(certificate.body["study"])
    columns = _cohort(setup, study, certificate)
    store = Store(setup.folder / "site.sqlite", "")
    try:
        steps = _Steps(setup, study, columns, store)
        for task, body in receipts.items():
            steps.check(task, body)
    finally:
        store.close()
    acts = extract.commitment.acts if extract is not None else 0
    return Replayed(tuple(receipts), acts)


def _cohort(setup: SiteSetup, study: Study, certificate: Certificate) -> cohorts.Cohort:
    name = setup.identity.name
    (entry,) = [one for one in certificate.body["sites"] if one["name"] == name]
    table: Table
    if setup.open_snapshot is None:
        table = setup.open_source()
    else:
        table = setup.open_snapshot(str(entry["snapshot"]))
    key = setup.folder / memory_key.NAME
    table = pinned(table, lambda rows, _: keyed_digest(rows, memory_key.read(key)))
    try:
        if entry["snapshot"] not in digests_of(table):
            raise InvalidData("the tables that the study ran on are no longer there")
        return cohorts.build(study, table)
    finally:
        table.close()


class _Steps:
    """The steps of one study at one site."""

    def __init__(
        self, setup: SiteSetup, study: Study, cohort: cohorts.Cohort, store: Store
    ) -> None:
        self._name, self._study, self._cohort = setup.identity.name, study, cohort
        whose = np.arange(len(cohort.ids))
        people = People(cohort.columns, cohort.attrition, whose)
        self._prepared = Prepared(study, people, setup.policy, self._name)
        self._store = store
        self._bindings = Bindings(setup.folder, store)

    def check(self, task: str, body: Mapping[str, Any]) -> None:
        """Return when a round's input and output are the released ones."""
        run, analysis = str(body["run"]), str(body["analysis"])
        estimator, rows = self._prepared.rows(analysis)
        if what := what_of(task):
            apart = self._study.told_apart
            estimator = SealedCount(estimator, what, apart)
        if protocol(estimator.name).hash != body["protocol_hash"]:
            raise Unverified(
                f"{task} was computed by another code than is installed here",
                fix="install the version of that time",
            )
        if self._bindings.input(run, analysis, rows) != body["input"]:
            raise Unverified(f"{self._name} took other rows for {task} than these")
        words = self._words(estimator, rows, body)
        output = commit(self._bindings.nonce(run, task), words.astype("<u8").tobytes())
        if output != body["output"]:
            raise Unverified(f"{self._name} released something else for {task}")

    def _words(
        self, estimator: Estimator, rows: Rows, body: Mapping[str, Any]
    ) -> NDArray[np.uint64]:
        number = int(body["round"])
        state = self._state(body) if number else None
        message = (
            estimator.start(rows) if state is None else estimator.local(rows, state)
        )
        summary = Summary(
            protocol=protocol(estimator.name),
            publishable=estimator.publishable,
            declared=estimator.declare(number),
            arrays={name: np.asarray(a, np.float64) for name, a in message.items()},
            evidence=evidence(estimator.plan, rows),
            members=tuple(body["members"]),
            key=b"",
        )
        return encode(check_values(summary), len(summary.members))

    def _state(self, body: Mapping[str, Any]) -> State:
        place = (body["run"], body["analysis"], body["attempt"], body["round"])
        rows = self._store.rows(
            "SELECT data FROM state WHERE run = ? AND analysis = ? AND attempt = ? "
            "AND round = ?",
            place,
        )
        if not rows:
            raise InvalidData(
                f"the state of {body['task']} is no longer in the site's journal",
                fix="it goes with a revoked permit; the first rounds need none",
            )
        return unpack(bytes(rows[0][0]))[1]
