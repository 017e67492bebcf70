"""`hetao.fit(...)`: a whole federation inside a notebook's process."""

import asyncio
import functools
import tempfile
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hetao.cdm import open_flat
from hetao.errors import Usage
from hetao.federation.certify import results_of
from hetao.federation.embedded import Answered, run_embedded
from hetao.notebook.drafting import Draft, Part, draft_study, split_parts
from hetao.notebook.result import FitResult, result_of
from hetao.release import Policy, read_policy

Data = pd.DataFrame | str | Path


def fit(  # noqa: PLR0913 - a formula's call is read, not remembered
    model: str,
    formula: str,
    sites: Mapping[str, Data] | None = None,
    *,
    data: Data | None = None,
    split_by: str = "",
    strata: str | Sequence[str] = (),
    policy: str | Path | Policy | None = None,
    **options: object,
) -> FitResult:
    """Return a model fitted over sites, as if their rows had been pooled.

    Every site answers through the same gate, sealed sum and log as in a network; all
    of them run in this process.

    Args:
        model: a method that a formula can say, such as "logistic", "cox" or "km".
        formula: as in R: `y ~ x1 + x2`, `Surv(time, event) ~ x`.
        sites: site → DataFrame, CSV or Parquet file.
        data: instead of `sites`, one table …
        split_by: … and the column that tells sites apart.
        strata: strata of a cox model or a log-rank test; "site" keeps risk sets
            inside a site.
        policy: the sites' minimum counts, a policy or its file; strict by default.
        options: further fields of the method, under the names that a study gives them
            (`hetao.study.Analysis`), such as ties, weights, variance, penalty or
            horizon; None, "" and 0 say nothing.

    Raises:
        Refused: a site's policy says no, by name.
        Usage: the method has no use for an option.
        BadFormula, InvalidData, InvalidStudy, NotEstimable: the fit cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="hetao-") as name:
        folder = Path(name)
        parts = _parts(sites, data, split_by, folder)
        chosen = (strata,) if isinstance(strata, str) else tuple(strata)
        draft = draft_study(model, formula, parts, tuple(filter(None, chosen)), options)
        answered = _run(_answer(draft, folder, _policy(policy)))
    return result_of(results_of(answered.outcome), draft, answered.certificate)


def _policy(policy: str | Path | Policy | None) -> Policy:
    if isinstance(policy, Policy):
        return policy
    return read_policy(Path(policy)) if policy else Policy()


async def _answer(draft: Draft, folder: Path, policy: Policy) -> Answered:
    sources = {
        part.site: functools.partial(
            open_flat, part.path, part.split_column, part.split_value
        )
        for part in draft.parts
    }
    policies = dict.fromkeys(sources, policy)
    return await run_embedded(draft.study, sources, folder / "run", policies)


def _run(work: Coroutine[Any, Any, Answered]) -> Answered:
    """Run to the end, also inside a notebook, whose event loop is already busy."""
    if not _is_busy():
        return asyncio.run(work)
    found: list[Answered] = []
    failed: list[BaseException] = []

    def there() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _is_busy() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _parts(
    sites: Mapping[str, Data] | None, data: Data | None, split_by: str, folder: Path
) -> tuple[Part, ...]:
    if (sites is None) == (data is None) or (data is not None and not split_by):
        raise Usage("give sites={name: table}, or data=table and split_by=column")
    if sites is not None:
        return tuple(Part(n, _file(d, folder, n)) for n, d in sites.items())
    return split_parts(_file(data, folder, "data"), split_by)


def _file(data: Data | None, folder: Path, name: str) -> Path:
    """Return a file of the table; a DataFrame is written to a CSV that keeps digits."""
    if not isinstance(data, pd.DataFrame):
        return Path(str(data))
    path = folder / f"{len(list(folder.iterdir()))}-{Path(name).name}.csv"
    data.to_csv(path, index=False)  # shortest text that reads back the same
    return path
