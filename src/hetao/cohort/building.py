"""Study + a site's tables → the cohort: arrays in one fixed order of people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from hetao.cdm import CuratedTables, FlatTable
from hetao.cdm.vocabulary.telling import ToldSet, told_sets
from hetao.cohort import flat_duckdb
from hetao.cohort.curated import has_rows_of_one, persons_of_rows, read_columns
from hetao.cohort.matching import match
from hetao.cohort.people import steps_of_people
from hetao.cohort.wanted import Wanted
from hetao.errors import InvalidData, InvalidStudy
from hetao.study import Study, Variable
from hetao.study.terms import Comparison, parse_criterion

NUMBER = "number"
Flow = tuple[tuple[str, ...], np.ndarray, np.ndarray]
HOSPITAL = 10_000  # people, from which on a snapshot is no extract for a study


@dataclass(frozen=True)
class Cohort:
    """The people of a study at one site. Patient rows: never leaves the site.

    Attributes:
        people: how many are left after every criterion.
        columns: one array a variable of the study, with a row a person, with every
            occurrence a row an index day, or as the study's person says. A number is
            float64 in the variable's unit, NaN where missing; a category is int64, the
            index of its level, -1 where missing; a key is int64, alike for alike rows,
            -1 where missing. Row i is the same person in every column.
        attrition: (label, people left): first everyone with an index day, then after
            each criterion in the study's order.
        snapshot: digest of the data that the cohort was built from.
        fields: `table.column` of all that was read, in order; a flat table's columns
            as `flat.<header>`. The level of what is made of them follows from these.
        resolved: `sha256:…` over what every concept set came to here; "" without any.
        told: what the site tells the others about each concept set.
        ids: (rows,) or (rows, 2) whole numbers, alike for rows of one person, over all
            studies and snapshots of the site.
        space: what kind of identifiers `ids` are; those of one kind can be compared.
        everyone: people in the whole snapshot of a hospital; None of a flat table and
            of an extract, of which nobody publishes totals.
        without_genes: those columns of a flat table, as `flat.<header>`, of which the
            site says that they tell of no genes.
        flow: of a study that shows how many each step of the attrition leaves: the
            labels of the steps, ids of everybody with an index day, some of them
            several times, and for each the last step that they are left after, from 0.
    """

    people: int
    columns: Mapping[str, np.ndarray]
    attrition: tuple[tuple[str, int], ...]
    snapshot: str
    fields: tuple[str, ...] = ()
    resolved: str = ""
    told: tuple[ToldSet, ...] = ()
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    space: str = ""
    everyone: int | None = None
    without_genes: tuple[str, ...] = ()
    flow: Flow | None = None


def build(
    study: Study,
    source: CuratedTables | FlatTable,
    enough: Callable[[int], None] = lambda _: None,
    *,
    refuses_unfit: bool = True,
) -> Cohort:
    """Return the cohort of a study in a site's data, the same at every call.

    Who enters and when, the population says; without a word of it the index day is
    the first visit. Who has none is not in the data of the study. A missing value
    fails every criterion except its absence.

    Args:
        study: what is asked.
        source: the site's data.
        enough: raises for too few people. It is asked before anything is said that
            the values of these people decide: of one person, a refusal that a value
            lies beyond a bound is that person's value, a bit at a time.
        refuses_unfit: whether values that do not fit the study are refused. Where they
            are not, one beyond its bounds stands as it is, and any other is missing:
            whether a study is answered hangs on nobody's values then.

    Raises:
        InvalidStudy: the study is written for another dictionary, by name or by
            digest, or asks a source that this dictionary does not have.
        InvalidData: a variable's values do not fit its unit, bounds or levels, or a
            concept set of an OHDSI definition takes a vocabulary that is not loaded.
            Only the latter where `refuses_unfit` is False.
        HetaoError: what `enough` raises.
    """
    if study.dictionary != source.dictionary:
        raise InvalidStudy(
            f"the study is written for the dictionary {study.dictionary[:40]!r}; "
            f"this site's data follow {source.dictionary!r}",
            fix="write the study for this dictionary, or map the site's data to it",
        )
    if study.dictionary_digest != source.dictionary_digest:
        raise InvalidStudy(
            f"the study is written for another edition of {source.dictionary} than "
            "this site's data were curated with (their dictionary digests differ)",
            fix="use one version of hetao at every site, and curate the data again",
        )
    faults: list[InvalidData] = []
    in_snapshot: int | None
    without_genes: tuple[str, ...]
    if isinstance(source, CuratedTables):
        _check_vocabulary(study, source)
        wanted = Wanted(source.engine, study)
        try:
            columns, counts = read_columns(study, wanted, faults)
            ids = persons_of_rows(study, wanted)
            early = steps_of_people(wanted, study.population)
            ((size,),) = source.engine.rows("SELECT count(*) AS n FROM person")
        finally:
            wanted.forget()
        fields, resolved = tuple(sorted(wanted.fields)), wanted.digest
        told = told_sets(study.concepts, source.vocabulary)
        persons = ids if has_rows_of_one(study) else None
        space, without_genes = "person", ()
        in_snapshot = int(size) if int(size) >= HOSPITAL else None
    else:
        columns = flat_duckdb.read_columns(study, source, faults)
        persons = columns[study.person] if study.person else None
        everyone = np.ones(len(next(iter(columns.values()))), dtype=bool)
        counts = (_people(everyone, persons),)
        fields = tuple(sorted({f"flat.{v.column}" for v in study.variables}))
        resolved, told, in_snapshot = "", (), None
        space, ids = flat_duckdb.identities(source)
        early = ids[:0], np.zeros(0, dtype=np.int64)
        without_genes = tuple(f"flat.{name}" for name in source.without_genes)
    attrition = list(zip(study.steps, counts, strict=False))
    reached = np.full(len(ids), len(counts) - 1, dtype=np.int64)
    kept = _apply_rules(study, columns, attrition, (persons, reached))
    if study.matching is not None:
        kept = match(study, columns, kept)
        attrition.append((study.steps[-1], _people(kept, persons)))
        reached += kept
    final = {name: values[kept] for name, values in columns.items()}
    people = _people(kept, persons)
    enough(_people_behind(study, counts, people))
    if not _counts_only(study):
        faults += [f for v in study.variables for f in _beyond(v, final[v.name])]
    if faults and refuses_unfit:
        raise faults[0]
    return Cohort(
        people=people,
        columns=final,
        attrition=tuple(attrition),
        snapshot=source.snapshot,
        fields=fields,
        resolved=resolved,
        told=told,
        ids=ids[kept],
        space=space,
        everyone=in_snapshot,
        without_genes=without_genes,
        flow=_flow(study, attrition, early, (ids, reached)),
    )


def _flow(
    study: Study,
    attrition: list[tuple[str, int]],
    early: tuple[np.ndarray, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
) -> Flow | None:
    """Return who is left after which step, if any analysis of the study shows it."""
    if all(analysis.method != "counts" for analysis in study.analyses):
        return None
    ids, reached = (np.concatenate(both) for both in zip(early, rows, strict=True))
    return tuple(label for label, _ in attrition), ids, reached


def _check_vocabulary(study: Study, source: CuratedTables) -> None:
    """Refuse sets of OHDSI's definitions whose descendants nobody here can know.

    Such sets name a few general concepts; without the vocabulary that says what lies
    under them nobody would be found, and that would look like an answer. Whether a
    site has loaded one hangs on nothing that its patients have.
    """
    if not source.lacks_vocabulary:
        return
    for definition in study.definitions:
        for one in map(study.concept_set, definition.concepts):
            if one.omop or one.exclude_omop:
                raise InvalidData(
                    f"{definition.file} takes what lies under the OMOP concepts of "
                    f"{one.label or one.name}, and this site's data were curated "
                    "without a vocabulary that says what does",
                    fix="load one with hetao vocab load, and curate the data again",
                )


def _counts_only(study: Study) -> bool:
    """Return whether no value of a variable enters any sum: counts go by steps."""
    return {analysis.method for analysis in study.analyses} == {"counts"}


def _people_behind(study: Study, counts: tuple[int, ...], people: int) -> int:
    """Return the fewest people that a refusal for a value would be about.

    The last step of a count may be small; what is read of people in order to count
    them must not be.
    """
    if not _counts_only(study):
        return people
    has_rules = any(criterion.rule for criterion in study.criteria)
    return counts[-1] if has_rules or study.matching else counts[0]


def _apply_rules(
    study: Study,
    columns: Mapping[str, np.ndarray],
    attrition: list[tuple[str, int]],
    of_rows: tuple[np.ndarray | None, np.ndarray],
) -> np.ndarray:
    """Return who meets every rule about variables; each adds a line of attrition.

    Args:
        study: what is asked.
        columns: one array a variable.
        attrition: so far.
        of_rows: whose rows they are, and the last step that each is left after, which
            goes on here.
    """
    persons, reached = of_rows
    kept = np.ones(len(columns[study.variables[0].name]), dtype=bool)
    for criterion in study.criteria:
        if not criterion.rule:
            continue
        for comparison in parse_criterion(criterion.rule):
            variable = study.variable(comparison.variable)
            kept &= _meets(comparison, variable, columns[variable.name])
        attrition.append((criterion.label, _people(kept, persons)))
        reached += kept
    return kept


def _people(kept: np.ndarray, persons: np.ndarray | None) -> int:
    """Return how many people the kept rows are of: one with many rows counts once.

    A row of which nobody knows whose it is, is nobody's.
    """
    if persons is None:
        return int(kept.sum())
    return len(np.unique(persons[kept & (persons >= 0)]))


def _meets(
    comparison: Comparison, variable: Variable, values: np.ndarray
) -> np.ndarray:
    """Return who meets a criterion; a missing value never does."""
    known = ~np.isnan(values) if variable.kind == NUMBER else values >= 0
    if comparison.operator == "known":
        return np.asarray(known)
    wanted: float | int
    if variable.kind == NUMBER:
        wanted = float(comparison.value or 0)
    else:
        names = [level.name for level in variable.levels]
        wanted = names.index(str(comparison.value))
    compare = {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
        "!=": np.not_equal,
    }[comparison.operator]
    return np.asarray(known & compare(values, wanted))


def _beyond(variable: Variable, values: np.ndarray) -> list[InvalidData]:
    """Return the fault of values beyond the public bounds, which size secure sums."""
    if variable.kind != NUMBER or variable.bounds is None:
        return []
    low, high = variable.bounds
    known = values[~np.isnan(values)]
    beyond = int(((known < low) | (known > high)).sum())
    if not beyond:
        return []
    return [
        InvalidData(
            f"variable {variable.name!r} has values beyond the study's bounds",
            fix="check the unit in site.toml, or widen the bounds in the study",
            local=f"{beyond} people lie outside {low:g} to {high:g}",
        )
    ]
