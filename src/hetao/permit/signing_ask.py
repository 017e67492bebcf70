"""What a person is asked to sign with a passkey, and whether an answer is to it.

What was asked is kept beside a page that is written as a file, so that the answer that
comes back, by whatever way, is held against it: a true signature of the same person
over anything else is no answer.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hetao.errors import BadSignature, InvalidNetwork
from hetao.permit import passkey
from hetao.permit.bundle import signed_bytes
from hetao.permit.keys import Key, Statement
from hetao.permit.permit import Basis, Permit
from hetao.permit.rulebook import Requirement
from hetao.permit.signing_words import LANGUAGES, WORDS
from hetao.permit.terms import terms_told
from hetao.records import fields_of

KEY: Final = "hetao.key/1"
ASKED: Final = "hetao.asked/1"
DO: Final = ("sign", "vote", "register", "delegate")
Told = Sequence[tuple[str, str]]  # what it is called, what it is
Rows = Mapping[str, Told]  # language → rows


@dataclass(frozen=True)
class Answer:
    """What a signing page gives back.

    Attributes:
        do: one of `DO`.
        statement: the body, as the page had it, and the passkey's assertion.
        public: of a new passkey: its public key, DER in base64.
        comment: that stood on the page.
    """

    do: str
    statement: Statement
    public: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Asked:
    """What whoever asks keeps, to hold the answer against it.

    Attributes:
        do: one of `DO`.
        body: of the statement.
        comment: travels beside a vote.
        replacing: of an amendment: canonical text of the new version.
    """

    do: str
    body: Mapping[str, Any]
    comment: str = ""
    replacing: str = ""

    @property
    def code(self) -> str:
        """Return the short code of all that is signed: who says what, when, to what."""
        return passkey.code(signed_bytes(self.body))

    def check(self, answer: Answer) -> None:
        """Return quietly if an answer is to this question, whoever signed it.

        Raises:
            BadSignature: it is to another one.
        """
        given = answer.do, signed_bytes(answer.statement.body), answer.comment
        if given != (self.do, signed_bytes(self.body), self.comment):
            raise BadSignature(
                "the answer is to another question",
                fix="hand in the answer to this one",
            )

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is kept."""
        return {
            "type": ASKED,
            "do": self.do,
            "body": dict(self.body),
            "comment": self.comment,
            "replacing": self.replacing,
        }


@dataclass(frozen=True)
class Ask(Asked):
    """What a person is asked to sign, and is shown of it.

    Attributes:
        digest: of what the statement is about.
        about: short code of that, which is the same for everybody who signs about it.
        rows: what is said of it, in each language.
        shown: canonical text of the permit that is shown; "" for none.
    """

    digest: str = ""
    about: str = ""
    rows: Rows = field(default_factory=dict)
    shown: str = ""


def asked_from(table: object) -> Asked:
    """Return what was asked, as it was kept.

    Raises:
        InvalidNetwork: it has another shape.
    """
    match table:
        case {
            "type": str(kind),
            "do": str(do),
            "body": dict(body),
            "comment": str(comment),
            "replacing": str(replacing),
            **rest,
        } if kind == ASKED and do in DO and not rest:
            return Asked(do, body, comment, replacing)
    raise InvalidNetwork(
        "that is not what a page was asked",
        fix="name the file that --page wrote beside",
    )


def ask_notice(
    permit: Permit, body: Mapping[str, Any], new: Permit | None = None
) -> Ask:
    """Return what to ask of a person who says something about a permit.

    Args:
        permit: what it is said about.
        body: of the notice.
        new: of an amendment: the version that takes its place.
    """
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        told = [] if new is None else _changes(permit, new, words)
        read = [("", words["read"])] if body.get("read") else []
        rows[lang] = [*read, *told, *permit_rows(permit, words)]
    text = permit.canonical
    return Ask(
        "sign",
        body,
        replacing=new.canonical.decode() if new else "",
        digest=permit.digest,
        about=passkey.code(text),
        rows=rows,
        shown=text.decode(),
    )


def ask_delegation(permit: Permit, body: Mapping[str, Any]) -> Ask:
    """Return what to ask of a person who lends their office.

    Args:
        permit: in which the office and both people stand.
        body: of the delegation.
    """
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        reach = words["every"] if not body.get("permit") else permit.number
        rows[lang] = [
            ("", words["lends_all"]),
            (words["to"], _people(permit, [str(body["to"])], words)),
            (words["window"], _window(body["not_before"], body["not_after"], words)),
            (words["reach"], reach),
        ]
    text = signed_bytes(body)
    return Ask("delegate", body, digest=_digest(text), rows=rows)


def ask_vote(
    body: Mapping[str, Any], code: str, about: Mapping[str, str], comment: str
) -> Ask:
    """Return what to ask of an output checker.

    Args:
        body: of the vote.
        code: of the package.
        about: what is said of it: "title", "run".
        comment: to the author.
    """
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        told = [(words[name], value) for name, value in about.items()]
        told += [(words["comment"], comment)] if comment else []
        rows[lang] = [("", words["look"]), *told]
    digest = str(body["package"])
    return Ask("vote", body, comment, digest=digest, about=code, rows=rows)


def ask_key(
    name: str, owner: str, origin: str, valid: tuple[str, str], number: str
) -> Ask:
    """Return what to ask of a person who registers a passkey.

    Args:
        name: of the key.
        owner: whose it is.
        origin: page that it signs on.
        valid: from when until when, UTC.
        number: drawn at random, so that no earlier answer fits.
    """
    body = {"type": KEY, "name": name, "owner": owner, "kind": "passkey"}
    body |= {"origin": origin, "number": number}
    body |= {"valid_from": valid[0], "valid_until": valid[1]}
    rows = {}
    for lang in LANGUAGES:
        words = WORDS[lang]
        rows[lang] = [
            ("", words["twice"]),
            (words["name"], name),
            (words["owner"], owner),
            (words["origin"], origin),
            (words["window"], _window(*valid, words)),
        ]
    return Ask("register", body, digest=_digest(signed_bytes(body)), rows=rows)


def key_from(answer: Answer) -> Key:
    """Return the entry of a new passkey that has shown that it signs.

    Raises:
        BadSignature: it has not.
        InvalidNetwork: its entry cannot be used.
    """
    body = answer.statement.body
    if answer.do != "register" or body.get("type") != KEY:
        raise BadSignature("the answer registers no passkey")
    key = Key(
        name=str(body.get("name")),
        owner=str(body.get("owner")),
        kind="passkey",
        public=answer.public,
        valid_from=str(body.get("valid_from")),
        valid_until=str(body.get("valid_until")),
        origin=str(body.get("origin")),
    )
    key.check_form()
    answer.statement.verify_key(key, key.valid_from)
    return key


def answer_from(table: object) -> Answer:
    """Return what the page gave back; nothing about it is believed yet.

    Raises:
        BadSignature: it has another shape.
    """
    match table:
        case {
            "do": str(do),
            "body": dict(body),
            "assertion": dict(given),
            **rest,
        } if do in DO and set(rest) <= {"public", "comment"}:
            made = passkey.assertion_of(given)
            public, comment = rest.get("public", ""), rest.get("comment", "")
            if isinstance(public, str) and isinstance(comment, str):
                return Answer(do, Statement(body, made.as_signature()), public, comment)
    raise BadSignature("the answer of a signing page is malformed")


def _digest(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()


def _window(first: object, last: object, words: Mapping[str, str]) -> str:
    return words["from"].format(first=first, last=last)


def _changes(
    old: Permit, new: Permit, words: Mapping[str, str]
) -> list[tuple[str, str]]:
    before, after = fields_of(old), fields_of(new)
    changed = [
        f"{name}: {before[name]} → {after[name]}"
        for name in after
        if before[name] != after[name] and name not in ("amends", "version")
    ]
    told = words["comma"].join(changed) or words["nothing"]
    return [
        (words["changes"], told),
        (words["new_code"], passkey.code(new.canonical)),
    ]


# --- what is said of a permit -------------------------------------------------------
def permit_rows(permit: Permit, words: Mapping[str, str]) -> Told:
    """Return a permit in plain words, in the language of `words`."""
    rows = [
        (words["crossing"], words[permit.crossing]),
        (
            words["number"],
            words["version"].format(number=permit.number, version=permit.version),
        ),
        (words["amends"], permit.amends),
        (words["purpose"], permit.purpose),
        (words["study"], permit.study),
        (words["sites"], _parties(permit, permit.sites, words)),
        (words["hubs"], _parties(permit, permit.hubs, words)),
        (words["authors"], _people(permit, permit.authors, words)),
        (words["operators"], _people(permit, permit.operators, words)),
        (words["offices"], _offices(permit.required, words)),
        (words["reviews"], _offices(permit.reviews, words)),
        (words["window"], _window(permit.not_before, permit.not_after, words)),
        *_amounts(permit, words),
        (words["lease"], words["hours"].format(hours=permit.lease_hours)),
        (words["report"], words["days"].format(days=permit.report_days)),
        (
            words["bases"],
            words["comma"].join(
                words["held"].format(
                    instrument=b.instrument, reference=b.reference, until=b.valid_until
                )
                for b in permit.bases
            ),
        ),
        (
            words["conditions"],
            words["comma"].join(
                f"{b.instrument}: {said}" for b in permit.bases for said in b.conditions
            ),
        ),
        (words["terms"], words["comma"].join(filter(None, map(_terms, permit.bases)))),
        (words["uses"], words["comma"].join(permit.data_use)),
        (words["committed"], " / ".join(permit.committed.splitlines())),
        (words["law"], ", ".join(permit.law.rules) if permit.law else words["none"]),
    ]
    return [(name, value) for name, value in rows if value]


def _amounts(permit: Permit, words: Mapping[str, str]) -> list[tuple[str, str]]:
    limits = words["comma"].join(
        f"{one.most} {one.unit}" + (f" ({one.site})" if one.site else "")
        for one in permit.limits
    )
    rows = [(words["limits"], limits)]
    if permit.crossing == "data":
        most = words["most"].format(
            runs=permit.most_runs, attempts=permit.most_attempts
        )
        names = words["comma"].join(
            f"{one.name} {one.version}" for one in permit.protocols
        )
        rows += [(words["protocols"], names), (words["runs"], most)]
        rows += [(words["grade"], str(permit.highest_grade))]
    return rows


def _terms(basis: Basis) -> str:
    told = terms_told(basis.terms)
    return f"{basis.instrument}: {told}" if told else ""


def _parties(permit: Permit, names: Iterable[str], words: Mapping[str, str]) -> str:
    found = [permit.directory[name] for name in names]
    return words["comma"].join(f"{p.name} ({p.organisation}, {p.side})" for p in found)


def _people(permit: Permit, names: Iterable[str], words: Mapping[str, str]) -> str:
    found = [permit.directory.person(name) for name in names]
    return words["comma"].join(f"{p.name} ({p.organisation}, {p.side})" for p in found)


def _offices(needs: Iterable[Requirement], words: Mapping[str, str]) -> str:
    found = {f"{words.get(n.role, n.role)} ({n.side})": None for n in needs}
    return words["comma"].join(found)
