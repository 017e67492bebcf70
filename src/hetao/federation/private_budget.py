"""What a site's answers with noise have cost, for good, whoever asked and when.

An answer is drawn and its cost written down in one transaction: many who ask at once
never spend more than there is, and whoever is killed has either spent nothing and said
nothing, or finds the very answer again. The same question from the same data is given
the same answer and costs nothing more, so that asking again averages nothing out.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from hetao.canonical import digest
from hetao.errors import PrivacySpent
from hetao.federation.store import Store
from hetao.release.policy import Privacy
from hetao.release.private import GRAIN, grains

FILE: Final = "private.sqlite"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS private (
    question TEXT NOT NULL PRIMARY KEY,
    grains INTEGER NOT NULL CHECK (grains > 0),
    answer TEXT NOT NULL,
    logged INTEGER NOT NULL DEFAULT 0
) STRICT;
"""
Answer = Mapping[str, Any]


class PrivateBudget:
    """A site's privacy budget. Several processes may hold one."""

    def __init__(self, folder: Path, logged: Callable[[], Iterable[Answer]]) -> None:
        """Open or create it in a site's folder.

        Args:
            folder: of the site.
            logged: returns the signed answers in the site's log. What the file lacks
                of them is put back each time that it is opened: a file that was lost,
                or replaced by an older copy, gives no budget back. The question is not
                in the log, since it holds a digest of the data: asked again, it costs
                again.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._store = Store(folder / FILE, SCHEMA, alone=False)
        with self._store.transaction() as db:
            rows = db.execute("SELECT answer FROM private").fetchall()
            known = {digest(json.loads(answer)) for (answer,) in rows}
            for one in logged():
                name = digest(one)
                if name not in known:
                    known.add(name)
                    cost = grains(one["body"]["epsilon"])
                    row = f"logged {name}", cost, json.dumps(dict(one))
                    db.execute("INSERT INTO private VALUES (?, ?, ?, 1)", row)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    @property
    def spent(self) -> float:
        """Return the privacy loss of all answers so far."""
        ((total,),) = self._store.rows("SELECT coalesce(sum(grains), 0) FROM private")
        return int(total) / GRAIN

    def answer(
        self,
        question: str,
        epsilon: float,
        most: Privacy,
        draw: Callable[[float], Answer],
    ) -> Answer:
        """Return the answer to a question: the one that was given, or a new one.

        Args:
            question: digest of all that the answer follows from, its epsilon too.
            epsilon: what a new one costs.
            most: what the site allows.
            draw: makes a new answer, given what will be spent with it. It is called
                with the pen held: nobody else spends meanwhile.

        Raises:
            PrivacySpent: the site answers no such questions, not at this price, or has
                not so much left.
        """
        cost = grains(epsilon)
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT answer FROM private WHERE question = ?", (question,)
            ).fetchall()
            if rows:
                found: Answer = json.loads(rows[0][0])
                return found
            ((spent,),) = db.execute(
                "SELECT coalesce(sum(grains), 0) FROM private"
            ).fetchall()
            _check(cost, int(spent), most)
            made = draw((int(spent) + cost) / GRAIN)
            db.execute(
                "INSERT INTO private VALUES (?, ?, ?, 0)",
                (question, cost, json.dumps(dict(made))),
            )
        return made

    def log(self, question: str, append: Callable[[], object]) -> None:
        """Log an answer before it is handed out; one that was logged stays as it is.

        Killed between the two steps it is logged twice, never not at all.
        """
        rows = self._store.rows(
            "SELECT 1 FROM private WHERE question = ? AND logged = 0", (question,)
        )
        if rows:
            append()
            text = "UPDATE private SET logged = 1 WHERE question = ?"
            self._store.write([(text, (question,))])


def _check(cost: int, spent: int, most: Privacy) -> None:
    if most.epsilon <= 0:
        raise PrivacySpent(
            "this site answers no questions with noise",
            fix="who decides for the site writes epsilon under [policy.privacy]",
        )
    if not 0 < cost <= grains(most.each):
        raise PrivacySpent(
            f"one question may cost an epsilon of {most.each:g} at most, and above 0"
        )
    if spent + cost > grains(most.epsilon):
        left = max(0, grains(most.epsilon) - spent) / GRAIN
        raise PrivacySpent(
            f"of the site's privacy budget of {most.epsilon:g} only {left:g} is left",
            fix="ask at a smaller epsilon, or read an answer that was given before",
        )
