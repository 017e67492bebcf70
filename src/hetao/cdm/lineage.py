"""A proof, before anything runs, that no direct identifier reaches the CDM.

For each output column of each SELECT, the source columns whose values can flow into it
are followed through expressions, CTEs, subqueries and UNION ALL, by place as SQL does.
Conditions count as flow: `CASE WHEN hkid = 'A1' THEN 1 END` tells about `hkid`. What an
identifier may do, and nothing else:

- stand inside pseudonym(), which ends its flow;
- be compared for equality with another declared identifier, in JOIN … ON or USING;
- be asked whether it is there: `hkid IS NULL`, `hkid IS NOT NULL`;
- part rows into groups: GROUP BY, or PARTITION BY of a window.

It does each of these whole: cleaned or glued to a word perhaps, never cut, compared,
guessed or mixed with what the mapping itself says. The pseudonym of one digit tells the
digit, and `nullif(hkid, 'A1') IS NULL` tells who A1 is.

The proof is about the very syntax tree that is carried out.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlglot import exp

from hetao import canonical
from hetao.cdm.mapping import Source
from hetao.cdm.reading import RESERVED
from hetao.cdm.selecting import branches, outputs
from hetao.dictionary import dictionary
from hetao.errors import IdentifierLeak, InvalidMapping

PSEUDONYM: Final = "pseudonym"
# Headers that name a direct identifier, in the languages of both sides and English.
SUSPECT: Final = re.compile(
    r"""
    \b(hkid|hkic|nric|passport|mrn|ssn|nhs\s*(no|number)|medical\s*record\s*(no|number)
      |(patient|full|given|family|first|last|sur|chinese|english|maiden|father'?s?
        |mother'?s?|spouse'?s?|contact|kin'?s?)[\s_]*name|surname
      |name[\s_]of[\s_](patient|next|father|mother|spouse)
      |(patient|person|subject|hospital|case|reference|identity|id|identifier)[\s_]*
        (key|no|num|number|identifier|card)\b
      |patient[\s_]*id|person[\s_]*id|id[\s_]*(card|number|no)|identity
      |(tele)?phone|mobile|fax|e-?mail|wechat|whatsapp
      |(street|home|postal|mailing|residential)?[\s_]*address|post[\s_]*code|zip
      |ip[\s_]*address|licen[cs]e[\s_]*(no|number)|account[\s_]*(no|number)
      |photo|fingerprint)\b
    |姓名|病人姓名|患者姓名|中文名|英文名|身份證|身份证|身分證|證件號|证件号|護照|护照
    |電話|电话|手機|手机|聯絡|联系方式|地址|住址|電郵|邮箱|電子郵件|微信|健康卡號|健康卡号
    |醫保卡號|医保卡号|社保卡|住院號|住院号|門診號|门诊号|病案號|病案号|病歷號|病历号
    |登記號|登记号
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Flow:
    """What can reach one value.

    Attributes:
        columns: source columns, as `source.Header`, whose values reach it.
        identifiers: of these, declared identifiers that reach it in the clear.
        hidden: identifiers that reach it through pseudonym() only.
        functions: that stand on the way.
        parts: of `identifiers`, those that do not stand whole: a piece, a guess or a
            mixture, of which sameness alone would tell something.
    """

    columns: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()

    def __or__(self, other: "Flow") -> "Flow":
        """Return what can reach a value that both can reach."""
        return Flow(
            self.columns | other.columns,
            self.identifiers | other.identifiers,
            self.hidden | other.hidden,
            self.functions | other.functions,
            self.parts | other.parts,
        )

    def in_parts(self) -> "Flow":
        """Return the same flow, its identifiers no longer whole."""
        return replace(self, parts=self.identifiers)

    def clear(self) -> "Flow":
        """Return what is left where identifiers do what they may: sources' columns."""
        return Flow(self.columns)


NOTHING: Final = Flow()


@dataclass(frozen=True)
class Proof:
    """What reaches each column of each CDM table, and that no identifier does.

    Attributes:
        columns: table → output → its flow over all branches.
        branches: table → a mapping for each branch: output → its own flow there.
    """

    columns: Mapping[str, Mapping[str, Flow]]
    branches: Mapping[str, tuple[Mapping[str, Flow], ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return `lineage.json`."""
        return {
            "type": "hetao.lineage/1",
            "tables": {
                table: {
                    name: {
                        "from": sorted(flow.columns),
                        "pseudonym_of": sorted(flow.hidden),
                        "functions": sorted(flow.functions),
                    }
                    for name, flow in flows.items()
                    if name not in RESERVED
                }
                for table, flows in self.columns.items()
            },
        }

    @property
    def digest(self) -> str:
        """Return the digest of the proof."""
        return canonical.digest(self.as_json())


def _has(headers: tuple[str, ...]) -> str:
    """Return which columns there are; of a single one, what may have parted more."""
    found = "it has: " + ", ".join(headers)[:400]
    for mark in ";\t|," if len(headers) == 1 else "":
        if mark in headers[0]:
            return f"set delimiter = {json.dumps(mark)} of the source; {found}"
    return found


def check_headers(
    sources: Mapping[str, Source], headers: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse a source in which a column looks like an identifier and is not declared.

    Args:
        sources: by name.
        headers: of each source.

    Raises:
        IdentifierLeak: a header names an identifier, and is neither among
            `identifiers` nor among `harmless`.
        InvalidMapping: `identifiers` or `harmless` name a column that is not there.
    """
    for name, source in sources.items():
        lower = {header.lower() for header in headers[name]}
        for declared in (*source.identifiers, *source.harmless):
            if declared.lower() not in lower:
                raise InvalidMapping(
                    f"source {name!r} has no column {declared[:80]!r}",
                    fix=_has(headers[name]),
                )
        known = {d.lower() for d in (*source.identifiers, *source.harmless)}
        for header in headers[name]:
            if header.lower() not in known and SUSPECT.search(header):
                raise IdentifierLeak(
                    f"source {name!r}: the column {header[:80]!r} looks like a direct "
                    "identifier and is not declared",
                    fix="add it to identifiers of the source, or to harmless if it "
                    "identifies nobody",
                )


def prove(
    queries: Mapping[str, exp.Query],
    sources: Mapping[str, Source],
    headers: Mapping[str, tuple[str, ...]],
) -> Proof:
    """Return the proof for a mapping's SELECTs.

    Args:
        queries: CDM table → its qualified SELECT.
        sources: by name.
        headers: of each source.

    Raises:
        IdentifierLeak: an identifier can reach a column, or decides which rows do;
            table, column and identifier are named.
    """
    declared = {
        name: frozenset(d.lower() for d in source.identifiers)
        for name, source in sources.items()
    }
    columns, parts = {}, {}
    for table, query in queries.items():
        walk = _Walk(table, declared, headers)
        found = walk.query(query, {})
        names = outputs(query)
        whole = tuple(
            dict(zip(names, flows, strict=True)) for flows in walk.branches_of(query)
        )
        columns[table] = dict(zip(names, found, strict=True))
        parts[table] = whole
        for branch in whole:
            _check_ids(table, branch)
        for name, flow in columns[table].items():
            if flow.identifiers:
                raise IdentifierLeak(
                    f"{table}.sql: {name} can tell the identifier "
                    f"{min(flow.identifiers)}",
                    fix="hand it over through pseudonym(), or leave it out",
                )
    return Proof(columns, parts)


def _check_ids(table: str, flows: Mapping[str, Flow]) -> None:
    """Refuse an id of a person or a record that is a source's own number.

    Whether the source's column was declared does not matter: what tells one person or
    one record from all others is an identifier.
    """
    fields = dictionary().tables[table].fields
    for name, flow in flows.items():
        is_id = name in fields and fields[name].identifier == "pseudonym"
        if is_id and flow.columns and PSEUDONYM not in flow.functions:
            raise IdentifierLeak(
                f"{table}.sql: {name} is {min(flow.columns)} as it stands",
                fix=f"pseudonym(…) AS {name}",
            )


Scope = Mapping[str, Mapping[str, Flow]]  # alias → column → flow


class _Walk:
    """One SELECT being followed; remembers each branch's flows for later."""

    def __init__(
        self,
        table: str,
        declared: Mapping[str, frozenset[str]],
        headers: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._table, self._declared = table, declared
        self._base = {
            name: {
                header.lower(): self._source_flow(name, header)
                for header in (*columns, *RESERVED)
            }
            for name, columns in headers.items()
        }
        self._flows: dict[int, list[Flow]] = {}
        self._around: list[Scope] = []  # aliases that a subquery may name

    def _source_flow(self, source: str, header: str) -> Flow:
        place = f"{source}.{header}"
        if header in RESERVED:
            return NOTHING
        secret = header.lower() in self._declared[source]
        return Flow(frozenset({place}), frozenset({place} if secret else ()))

    def branches_of(self, query: exp.Query) -> list[list[Flow]]:
        return [self._flows[id(branch)] for branch in branches(query)]

    def query(self, query: exp.Expr, ctes: Scope) -> list[Flow]:
        """Return the flow into each output of a query, by place over its branches."""
        if isinstance(query, exp.Subquery):
            return self.query(query.this, ctes)
        known = dict(ctes)
        for cte in query.ctes if isinstance(query, exp.Query) else []:
            flows = self.query(cte.this, known)
            names = [c.name for c in cte.args["alias"].columns] or outputs(cte.this)
            known[cte.alias.lower()] = dict(zip(names, flows, strict=True))
        if isinstance(query, exp.SetOperation):
            self._order(query, {}, known)
            left, right = self.query(query.left, known), self.query(query.right, known)
            if len(left) != len(right):
                raise InvalidMapping(
                    f"{self._table}.sql: branches of UNION ALL differ in their columns"
                )
            return list(map(_either, left, right))
        if not isinstance(query, exp.Select):
            raise InvalidMapping(
                f"{self._table}.sql: {type(query).__name__} cannot be followed",
                fix="write it as a SELECT",
            )
        return self._select(query, known)

    # --- one SELECT ------------------------------------------------------------------
    def _select(self, select: exp.Select, ctes: Scope) -> list[Flow]:
        around = self._around[-1] if self._around else {}
        scope = {**around, **self._read(select, ctes)}
        for name in ("where", "having", "qualify"):
            clause = select.args.get(name)
            if clause is not None:
                self._condition(clause.this, scope, ctes, joins=name == "where")
        for join in select.args.get("joins") or []:
            if join.args.get("on") is not None:
                self._condition(join.args["on"], scope, ctes, joins=True)
        if select.args.get("windows"):
            raise InvalidMapping(
                f"{self._table}.sql: a WINDOW clause is not allowed in a mapping",
                fix="write the window after OVER",
            )
        self._groups(select, scope, ctes)
        self._order(select, scope, ctes)
        flows = [self._value(p.unalias(), scope, ctes) for p in select.selects]
        self._flows[id(select)] = flows
        return flows

    def _order(self, query: exp.Query, scope: Scope, ctes: Scope) -> None:
        order = query.args.get("order")
        if order is not None and isinstance(query, exp.Select):
            for item in order.expressions:
                self._clear(self._value(item.this, scope, ctes), "ORDER BY")

    def _groups(self, select: exp.Select, scope: Scope, ctes: Scope) -> None:
        group = select.args.get("group")
        for item in _grouped(group) if group is not None else ():
            self._whole(self._value(item, scope, ctes), "GROUP BY")

    def _read(self, select: exp.Select, ctes: Scope) -> Scope:
        """Return what FROM and JOIN bring in: alias → column → flow."""
        scope: dict[str, Mapping[str, Flow]] = {}
        start = select.args.get("from_") or select.args.get("from")
        items = [start] if start else []
        for item in [
            *items,
            *(select.args.get("joins") or []),
            *(select.args.get("laterals") or []),
        ]:
            node = item.this if isinstance(item, exp.From | exp.Join) else item
            if isinstance(node, exp.Table):
                found = ctes.get(node.name.lower()) or self._base.get(node.name.lower())
                if found is None:
                    raise InvalidMapping(f"{self._table}.sql: no source {node.name!r}")
                scope[node.alias_or_name.lower()] = found
            elif isinstance(node, exp.Subquery):
                flows = self.query(node.this, ctes)
                named = node.args.get("alias")
                names = [c.name for c in named.columns] if named else []
                pairs = zip(names or outputs(node.this), flows, strict=True)
                scope[node.alias.lower()] = dict(pairs)
            else:
                self._spread(node, scope, ctes)
        return scope

    def _spread(
        self, node: exp.Expr, scope: dict[str, Mapping[str, Flow]], ctes: Scope
    ) -> None:
        """Bring in what UNNEST or VALUES make: every column can tell what is in it."""
        alias = node.args.get("alias")
        inner = node.this if isinstance(node, exp.Lateral) else node
        allowed = exp.Unnest | exp.Explode | exp.Values
        if not isinstance(inner, allowed) or alias is None:
            raise InvalidMapping(
                f"{self._table}.sql: FROM holds what cannot be followed",
                fix="sources, CTEs, subqueries, unnest(…) AS t(x), (VALUES …) AS t(x)",
            )
        flow = self._children(inner, scope, ctes, skip=("alias", "offset"))
        names = [column.name for column in alias.columns]
        scope[alias.name.lower()] = dict.fromkeys(names, flow)

    # --- values ----------------------------------------------------------------------
    def _value(self, node: exp.Expr | None, scope: Scope, ctes: Scope) -> Flow:
        if node is None or isinstance(node, exp.Literal | exp.Null | exp.DataType):
            return NOTHING
        if isinstance(node, exp.Column):
            return self._column(node, scope)
        if isinstance(node, exp.Subquery | exp.Query):
            self._around.append(scope)
            flows = self.query(node, ctes)
            self._around.pop()
            return self._sum(flows)
        if isinstance(node, exp.Window):
            return self._window(node, scope, ctes)
        flow = self._children(node, scope, ctes)
        return self._through(node, flow)

    def _pseudonym(self, flow: Flow) -> Flow:
        """End the flow of identifiers that stand whole.

        Of a text that the mapping made up it would be a guess, made to be compared.
        """
        self._whole(flow, "pseudonym()")
        if not flow.columns:
            raise IdentifierLeak(
                f"{self._table}.sql: pseudonym() reads no column of the extract",
                fix="hand it a column; a fixed id can be written as a number",
            )
        hidden = flow.hidden | flow.identifiers
        functions = flow.functions | {PSEUDONYM}
        return Flow(flow.columns, hidden=hidden, functions=functions)

    def _through(self, node: exp.Expr, flow: Flow) -> Flow:
        """Return what is left of a flow behind an operator or a function."""
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return flow if flow.parts else flow.clear()
        if _is_named(node, PSEUDONYM):
            return self._pseudonym(flow)
        left = flow if _keeps_whole(node) else flow.in_parts()
        if not isinstance(node, exp.Func):
            return left
        anonymous = isinstance(node, exp.Anonymous)
        name = node.name.lower() if anonymous else node.sql_name().lower()
        return replace(left, functions=flow.functions | {name})

    def _children(
        self,
        node: exp.Expr,
        scope: Scope,
        ctes: Scope,
        skip: tuple[str, ...] = (),
    ) -> Flow:
        inner = [
            item
            for name, child in node.args.items()
            if name not in skip
            for item in (child if isinstance(child, list) else [child])
            if isinstance(item, exp.Expr) and not isinstance(item, exp.Identifier)
        ]
        return self._sum(self._value(item, scope, ctes) for item in inner)

    def _column(self, node: exp.Column, scope: Scope) -> Flow:
        found = scope.get(node.table.lower(), {}).get(node.name)
        if found is None:
            found = scope.get(node.table.lower(), {}).get(node.name.lower())
        if found is None:
            raise InvalidMapping(
                f"{self._table}.sql: column {node.name[:80]!r} cannot be followed"
            )
        return found

    def _window(self, node: exp.Window, scope: Scope, ctes: Scope) -> Flow:
        """PARTITION BY only parts rows; ORDER BY tells the order of its values."""
        flow = self._children(node, scope, ctes, skip=("partition_by",))
        for item in node.args.get("partition_by") or []:
            part = self._value(item, scope, ctes)
            flow = flow | (part if part.parts else part.clear())
        return flow.in_parts()

    # --- conditions ------------------------------------------------------------------
    def _condition(
        self, node: exp.Expr, scope: Scope, ctes: Scope, *, joins: bool
    ) -> None:
        """Refuse a condition by which an identifier decides what rows there are."""
        if isinstance(node, exp.Paren):
            self._condition(node.this, scope, ctes, joins=joins)
            return
        if isinstance(node, exp.And):
            self._condition(node.left, scope, ctes, joins=joins)
            self._condition(node.right, scope, ctes, joins=joins)
            return
        if isinstance(node, exp.EQ) and joins:
            left, right = node.left, node.right
            if isinstance(left, exp.Column) and isinstance(right, exp.Column):
                self._equal(left, right, scope)
                return
        self._clear(self._value(node, scope, ctes), "a condition")

    def _equal(self, left: exp.Column, right: exp.Column, scope: Scope) -> None:
        """Rows joined on equality share the value: both sides tell it, or neither."""
        one, other = self._column(left, scope), self._column(right, scope)
        self._whole(one | other, "an equality")
        if bool(one.identifiers) == bool(other.identifiers):
            return
        secret, plain = (left, right) if one.identifiers else (right, left)
        named = min(self._column(plain, scope).columns, default=plain.name)
        raise IdentifierLeak(
            f"{self._table}.sql: the identifier {secret.name!r} is compared with "
            f"{named}, which is not declared as one",
            fix="declare both as identifiers, or compare their pseudonyms",
        )

    def _clear(self, flow: Flow, where: str) -> None:
        if flow.identifiers:
            raise IdentifierLeak(
                f"{self._table}.sql: {where} depends on the identifier "
                f"{min(flow.identifiers)}",
                fix="only IS NULL, equality of two identifiers in a join, and "
                "pseudonym() may read it",
            )

    def _whole(self, flow: Flow, where: str) -> None:
        if flow.parts:
            raise IdentifierLeak(
                f"{self._table}.sql: in {where} the identifier {min(flow.parts)} does "
                "not stand whole",
                fix="clean() it or glue a word to it, nothing else; mix it with no "
                "text of the mapping's own",
            )

    @staticmethod
    def _sum(parts: Iterable[Flow]) -> Flow:
        whole = NOTHING
        for part in parts:
            whole = whole | part
        return whole


_GROUPINGS: Final = (
    exp.Cube,
    exp.Rollup,
    exp.GroupingSets,
    exp.Tuple,
    exp.Paren,
)
# Through these an identifier stays as it was, up to its spelling.
_WHOLE: Final = (
    exp.Alias,
    exp.Paren,
    exp.DPipe,
    exp.Concat,
    exp.Upper,
    exp.Lower,
    exp.Min,
    exp.Max,
    exp.Tuple,
)


def _grouped(group: exp.Expr) -> Iterator[exp.Expr]:
    """Yield what a GROUP BY groups by, that of sets, cubes and rollups too."""
    for child in group.iter_expressions():
        if isinstance(child, _GROUPINGS):
            yield from _grouped(child)
        else:
            yield child


def _is_named(node: exp.Expr, name: str) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == name


def _keeps_whole(node: exp.Expr) -> bool:
    """Return whether an identifier that goes in comes out as the same identifier."""
    if isinstance(node, exp.Cast):
        return node.is_type(*exp.DataType.TEXT_TYPES)
    if isinstance(node, exp.Trim):
        return node.expression is None
    if isinstance(node, exp.Replace):
        # A mark or a word with one, as in 'Patient/': never its letters and digits.
        old, new = node.expression, node.args.get("replacement")
        return (
            isinstance(old, exp.Literal)
            and not old.name.isalnum()
            and isinstance(new, exp.Literal)
        )
    return isinstance(node, _WHOLE) or _is_named(node, "clean")


def _either(one: Flow, other: Flow) -> Flow:
    """Return the flow into a column that two branches fill.

    Only if both hand over an identifier does it hold identifiers alone: otherwise the
    other branch could put guesses among them.
    """
    both = one | other
    alike = bool(one.identifiers) == bool(other.identifiers)
    return both if alike else both.in_parts()
