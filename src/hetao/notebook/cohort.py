"""A cohort: people of several sites, asked about without a row leaving any of them."""

import asyncio
import tempfile
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from hetao.cdm import FlatFile, open_site
from hetao.errors import Usage
from hetao.federation.certify import results_of
from hetao.federation.embedded import Answered, OpenSource, run_embedded
from hetao.notebook.asking import COUNTS
from hetao.notebook.drafting import Criteria, Draft, draft_study, draft_within
from hetao.notebook.parts import Part, split_parts
from hetao.notebook.result import FitResult, result_of
from hetao.release import Policy, read_policy
from hetao.study import Study, read_study

Data = pd.DataFrame | str | Path
SITE_FILE = "site.toml"


@dataclass(frozen=True, eq=False)
class Cohort:
    """Sites, and who of their people is asked about: a handle, which holds no row.

    Every question goes through the same gate, sealed sum and log as in a network; all
    sites run in this process.

    Attributes:
        sites: site → DataFrame, CSV or Parquet file; with `study`, the site's
            `site.toml` or the folder that holds it.
        data: instead of `sites`, one table …
        split_by: … and the column that tells sites apart.
        study: a study, or its file, whose population and variables the cohort is made
            of; its analyses are left aside.
        policy: the sites' minimum counts, a policy or its file; strict by default.
        criteria: (rule, label) of `where`.
    """

    sites: Mapping[str, Data] | None = None
    _: KW_ONLY
    data: Data | None = None
    split_by: str = ""
    study: Study | str | Path | None = None
    policy: str | Path | Policy | None = None
    criteria: Criteria = ()

    def __post_init__(self) -> None:
        """Refuse what does not say, or says twice, where the rows lie.

        Raises:
            Usage: by what is to be given.
        """
        whole = self.data is not None
        if (self.sites is None) != whole or (whole and not self.split_by):
            raise Usage("give sites={name: table}, or data=table and split_by=column")
        if self.study is not None and whole:
            raise Usage(
                "a study's cohort lies at sites, not in one table",
                fix="give sites={name: site.toml}",
            )

    def where(self, rule: str, label: str = "") -> "Cohort":
        """Return those of whom a rule holds, too.

        Args:
            rule: `age >= 18`, `sex == "female"` or `known(bmi)`, about a column, or a
                variable of the study.
            label: what the attrition table calls it; the rule itself if left out.
        """
        return replace(self, criteria=(*self.criteria, (rule, label or rule)))

    def attrition(self) -> FitResult:
        """Return how many people each criterion leaves, all sites together.

        Raises:
            HetaoError: as `fit`.
        """
        return self.fit(COUNTS)

    def fit(
        self,
        model: str,
        formula: str = "",
        strata: str | Sequence[str] = (),
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> FitResult:
        """Return a model fitted over the sites, as if their rows had been pooled.

        Args:
            model: as of `hetao.fit`, here and below.
            formula: as in R.
            strata: of a cox model, a log-rank test or rates.
            options: further fields of the method.

        Raises:
            Refused: a site's policy says no, by name.
            Usage: the method has no use for an option.
            BadFormula, InvalidData, InvalidStudy, NotEstimable: it cannot be fitted.
        """
        chosen = (strata,) if isinstance(strata, str) else tuple(strata)
        with tempfile.TemporaryDirectory(prefix="hetao-") as name:
            folder = Path(name)
            asked = (model, formula, tuple(filter(None, chosen)), options)
            draft, sources = self._prepared(folder, asked)
            policies = dict.fromkeys(sources, _policy(self.policy))
            work = run_embedded(draft.study, sources, folder / "run", policies)
            answered = _run(work)
        return result_of(results_of(answered.outcome), draft, answered.certificate)

    def _prepared(
        self,
        folder: Path,
        asked: tuple[str, str, tuple[str, ...], Mapping[str, object]],
    ) -> tuple[Draft, Mapping[str, OpenSource]]:
        """Return the study that is asked, and what opens each site."""
        model, formula, strata, options = asked
        if self.study is not None:
            files = {name: _site_file(d) for name, d in (self.sites or {}).items()}
            study = replace(_study(self.study), sites=tuple(files))
            draft = draft_within(study, asked, self.criteria)
            return draft, {n: partial(open_site, path) for n, path in files.items()}
        parts = self._parts(folder)
        draft = draft_study(model, formula, parts, strata, options, self.criteria)
        return draft, {  # nothing leaves this computer, genes or not
            part.site: partial(part.open, draft.person, ()) for part in parts
        }

    def _parts(self, folder: Path) -> tuple[Part, ...]:
        if self.sites is not None:
            files = {n: _file(d, folder, n) for n, d in self.sites.items()}
            return tuple(Part(n, p, file=FlatFile(p)) for n, p in files.items())
        return split_parts(_file(self.data, folder, "data"), self.split_by)

    def __repr__(self) -> str:
        """Return the sites and the criteria."""
        names = self.sites or [f"each {self.split_by}"]
        rules = [f"  {label}" for _, label in self.criteria]
        return "\n".join([f"Cohort at {', '.join(names)}", *rules])


def _policy(policy: str | Path | Policy | None) -> Policy:
    if isinstance(policy, Policy):
        return policy
    return read_policy(Path(policy)) if policy else Policy()


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


def _file(data: Data | None, folder: Path, name: str) -> Path:
    """Return a file of the table; a DataFrame is written to a CSV that keeps digits."""
    if not isinstance(data, pd.DataFrame):
        return Path(str(data))
    path = folder / f"{len(list(folder.iterdir()))}-{Path(name).name}.csv"
    data.to_csv(path, index=False)  # shortest text that reads back the same
    return path


def _study(given: Study | str | Path) -> Study:
    return given if isinstance(given, Study) else read_study(Path(given))


def _site_file(given: Data) -> Path:
    if isinstance(given, pd.DataFrame):
        raise Usage("a study's cohort is made of curated records, not of a DataFrame")
    path = Path(given)
    return path / SITE_FILE if path.is_dir() else path
