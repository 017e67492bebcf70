"""The coordinator's runs: which one goes on, which has ended."""

import secrets
from collections.abc import Callable, Collection
from typing import Final

from hetao.analysis import estimator_for
from hetao.errors import HetaoError, InvalidStudy
from hetao.federation.correspondence import Desk
from hetao.federation.store import Store
from hetao.permit import Bundle, check_standing, is_revoked
from hetao.study import Study

JOURNAL: Final = "coordinator.sqlite"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS run (
    run TEXT NOT NULL PRIMARY KEY,
    study TEXT NOT NULL,
    permit TEXT NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS cosigned (
    hub TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL
) STRICT;
"""


def end_of(desk: Desk, study: Study, bundle: Bundle) -> HetaoError | None:
    """Return why a permit was ended, where a run under it had been begun here.

    None where the permit stands.

    Raises:
        Refused: the permit does not stand, and no run under it was revoked.
    """
    try:
        check_standing(bundle, study.digest, desk.clock(), desk.trusted)
    except HetaoError as error:
        journal = desk.folder / JOURNAL
        if not is_revoked(bundle) or not journal.exists():
            raise
        store = Store(journal, SCHEMA)
        try:
            if not _begun(store, study, bundle):
                raise
        finally:
            store.close()
        return error
    return None


def taken_up(
    store: Store,
    question: tuple[Study, Bundle],
    ended: HetaoError | None,
    say: Callable[[str], None],
) -> str:
    """Return the run that goes on, or a new one; of an ended permit the last run.

    Args:
        store: the coordinator's journal.
        question: the study, and its permit.
        ended: as `end_of` returns it.
        say: takes a line for whoever runs it.
    """
    study, bundle = question
    begun = _begun(store, study, bundle)
    if ended is not None:
        return begun[-1][0]
    for run, finished in begun:
        if not finished:
            say("resuming the run that was interrupted")
            return run
    run = secrets.token_hex(16)
    row = (run, study.digest, bundle.permit.digest)
    store.write([("INSERT INTO run VALUES (?, ?, ?, 0)", row)])
    return run


def finish(store: Store, run: str) -> None:
    """Remember that a run has ended, so that asking again is a new one."""
    store.write([("UPDATE run SET finished = 1 WHERE run = ?", (run,))])


def _begun(store: Store, study: Study, bundle: Bundle) -> list[tuple[str, bool]]:
    """Return each run of a study under a permit, and whether it has ended."""
    rows = store.rows(
        "SELECT run, finished FROM run WHERE study = ? AND permit = ? ORDER BY rowid",
        (study.digest, bundle.permit.digest),
    )
    return [(str(run), bool(finished)) for run, finished in rows]


def check_by_file(study: Study, by_file: Collection[str]) -> None:
    """Return quietly if the sites can answer the study in one file each.

    Raises:
        InvalidStudy: one is no site of it, or an analysis takes more than one round.
    """
    for site in sorted(set(by_file) - set(study.sites)):
        raise InvalidStudy(f"{site} is no site of the study, so it has no file")
    for analysis in study.analyses if by_file else ():
        most = estimator_for(study, analysis).most_rounds
        if most > 1:
            raise InvalidStudy(
                f"{analysis.name} takes up to {most} rounds, each from the sum of the "
                "one before; a site that answers by one file is asked once",
                fix="ask for what takes one round, such as profile or meta, or carry "
                "a file each round by leaving --by-file out",
            )
