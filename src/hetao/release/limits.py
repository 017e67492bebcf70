"""What the law or a consent limits, whatever its class: genes, and stated uses of data.

    human genetic resources   information made of genes or genomes leaves the Mainland
                              only under a permit that rests on the prior report
                              (Biosecurity Law 57; HGR Regulation 28)
    data use                  a field that carries a code of the Data Use Ontology is
                              used only where that use was judged by this very code

What nobody stated is unknown, and refused: a field or a code system that the
dictionary does not know counts as made of genes, unless the site says of that field
that it is not. OMOP's own ids are not looked up.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from hetao.dictionary import dictionary
from hetao.errors import UseNotAllowed
from hetao.permit import Party, Permit
from hetao.release.grading import Field
from hetao.study import Study

MAINLAND: Final = "SZ"
HGR_REPORT: Final = "hgr-information-report"
HGR, IMPORTANT = "hgr", "important"
OMOP: Final = "omop"
NO_RESTRICTION: Final = "NRES"
Limits = Mapping[str, tuple[str, ...]]


def flags_of(
    study: Study,
    fields: Iterable[Field],
    people: int,
    without_genes: Collection[str] = (),
) -> tuple[str, ...]:
    """Return what to beware of in what a sum is made of.

    Args:
        study: whose concept sets may name codes of genes.
        fields: its lineage.
        people: of the sum. That it may be important data is said of so many people as
            the dictionary names, and follows from no single one.
        without_genes: `table.field` that the dictionary does not know, and of which
            the site says that they tell of no genes.
    """
    known, fields = dictionary(), tuple(fields)
    made_of = [
        known.tables[table].fields[name]
        for table, name in fields
        if table in known.tables and name in known.tables[table].fields
    ]
    systems = {codes.system for one in study.concepts for codes in one.lists}
    of_genes = any(_is_of_genes(*one, without_genes) for one in fields) or any(
        known.systems[name].hgr if name in known.systems else name != OMOP
        for name in systems
    )
    least = min((field.important for field in made_of if field.important), default=0)
    found = (HGR,) if of_genes else ()
    return (*found, IMPORTANT) if least and people >= least else found


def _is_of_genes(table: str, name: str, without: Collection[str]) -> bool:
    """Return whether a field is made of genes, or may be, for all that anybody said."""
    known = dictionary().tables.get(table)
    field = known.fields.get(name) if known else None
    return field.hgr if field else f"{table}.{name}" not in without


def check_limits(
    site: str,
    permit: Permit,
    fields: Iterable[Field],
    flags: Iterable[str],
    limits: Limits,
) -> None:
    """Return quietly if neither genes nor a limited use forbid a release.

    Args:
        site: who lets it out.
        permit: under which.
        fields: what it is made of.
        flags: of `flags_of`.
        limits: of the site: `table` or `table.field` → codes; the dictionary's own come
            on top.

    Raises:
        UseNotAllowed: they do; the field and the code are named.
    """
    reported = any(basis.instrument == HGR_REPORT for basis in permit.bases)
    crosses = HGR in flags and permit.directory[site].side == MAINLAND
    _check(site, fields, limits, (crosses and not reported, permit.data_use))


def check_own_limits(
    party: Party, fields: Iterable[Field], flags: Iterable[str], limits: Limits
) -> None:
    """Return quietly if they do not forbid what a site says without any permit.

    Args:
        party: the site.
        fields: what it is made of.
        flags: of `flags_of`.
        limits: of the site.

    Raises:
        UseNotAllowed: they do. Without a permit no report and no code is stated.
    """
    _check(party.name, fields, limits, (HGR in flags and party.side == MAINLAND, ()))


def _check(
    site: str,
    fields: Iterable[Field],
    limits: Limits,
    stated: tuple[bool, Collection[str]],
) -> None:
    has_genes, codes = stated
    if has_genes:
        raise UseNotAllowed(
            f"what {site} is asked for is made of genes, or of what nobody says is "
            "not, and the permit names no prior report of human genetic resources "
            "information",
            fix=f"ask for a permit that rests on {HGR_REPORT} (Biosecurity Law 57); "
            "or, where no column of the site's file is made of genes, write genes = [] "
            "under [flat] of its site.toml",
        )
    for table, name in fields:
        for code in (*codes_of(table, name), *_of_site(limits, table, name)):
            if code != NO_RESTRICTION and code not in codes:
                raise UseNotAllowed(
                    f"{table}.{name} carries the data use code {code}, by which the "
                    "use under this permit was not judged",
                    fix="state the code in the facts of a new draft (use.codes), or "
                    "leave the field out",
                )


def codes_of(table: str, name: str) -> tuple[str, ...]:
    """Return the codes that the dictionary gives a field."""
    known = dictionary().tables.get(table)
    field = known.fields.get(name) if known else None
    return field.duo if field else ()


def _of_site(limits: Limits, table: str, name: str) -> tuple[str, ...]:
    return (*limits.get(table, ()), *limits.get(f"{table}.{name}", ()))
