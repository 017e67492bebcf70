"""Every life of a permit, every set of facts, ten thousand mutations: nothing gets by.

The search says everything that anybody can say, in every order, and holds `standing`
against a second statement of the rules below, which walks through events in time.
"""

import base64
import itertools
import json
import random
from dataclasses import replace

import pytest

from hetao.errors import HetaoError, NotApproved
from hetao.permit import (
    FINAL,
    VERBS,
    Basis,
    Bundle,
    Notice,
    Payload,
    Permit,
    PermittedProtocol,
    Person,
    Requirement,
    Situation,
    bundle_from,
    check_standing,
    decide,
    read_notice,
    standing,
    state,
    statement_from,
)
from hetao.permit import decision as table
from hetao.permit.terms import Terms
from support_permit import HOUR, NOW, PEOPLE, STUDY, Scene, at, unsigned

SECOND = (  # one more person with an office on each side, who approves nothing
    Person("second-hk", "HK", "REC", ("ethics",)),
    Person("second-sz", "SZ", "REC", ("ethics",), same_as=("second-hk",)),
)
SCENE = Scene((*PEOPLE, *SECOND))
OFFICES = (("HK", "ethics"), ("SZ", "ethics"))
PERMIT = SCENE.varied(
    required=tuple(Requirement(side, role, "r") for side, role in OFFICES)
).permit

# Who can act in which office, and whose office it is: deputies and other names too.
ACTORS = (
    ("ethics-hk", "ethics-hk", OFFICES[0]),
    ("ethics-sz", "ethics-sz", OFFICES[1]),
    ("deputy-sz", "ethics-sz", OFFICES[1]),  # under a delegation
    ("twin-sz", "ethics-sz", OFFICES[1]),  # ethics-hk by another name, as a deputy
    ("author-b", "author-b", OFFICES[0]),  # the author by another name
    ("operator", "operator", OFFICES[0]),
    ("checker-sz", "checker-sz", OFFICES[1]),
    ("second-hk", "second-hk", OFFICES[0]),
    ("second-sz", "second-sz", OFFICES[1]),
)
EVERYBODY = tuple(range(7))  # but the last two, who are one
REAL = {  # who they truly are
    "twin-sz": "ethics-hk",
    "author-b": "author",
    "second-sz": "second-hk",
}
BARRED = {"author", "operator", "checker-sz", "checker-hk"}
SAID = (
    "approve",
    "refuse",
    "withdraw",
    "suspend",
    "resume",
    "revoke",
    "close",
    "recall",
    "renew",
)
DEPUTIES = {"ethics-sz": ("deputy-sz", "twin-sz")}  # who lent their office to whom


def said(history):
    """Return the notices of a history of (actor, verb), one an hour."""
    notices, numbers = [], {}
    for hour, (actor, verb) in enumerate(history):
        by, holder, (side, role) = ACTORS[actor]
        if verb != "renew":
            numbers[by] = numbers.get(by, 0) + 1
        lifts = tuple(
            unsigned(PERMIT, [one]).heard[0].digest
            for one in notices
            if one[0].verb == "suspend" and (one[0].side, one[0].role) == (side, role)
        )
        more = {"lifts": lifts} if verb == "resume" else {}
        more |= {"heard": dict(numbers)} if verb in ("renew", "recall") else {}
        if verb == "recall":  # whose it is not recalls them all, in vain
            more["recalls"] = ("ethics-sz to deputy-sz", "ethics-sz to twin-sz")
        notice = Notice(
            verb,
            PERMIT.digest,
            by,
            by,
            side,
            role,
            numbers.get(by, 0),
            at(hour),
            **more,
        )
        notices.append((notice, holder))
    return notices


def expected(history, hours):
    """Return the state by the rules told as events in time, not as sets of notices."""
    history = [
        step if may_still_speak(step, history[:n]) else None
        for n, step in enumerate(history)
    ]
    ends = [ENDS[step[1]] for step in history if step and step[1] in ENDS]
    if ends:
        return min(ends, key=["revoked", "refused", "closed"].index)
    if hours >= 24 * 90:
        return "expired"
    steps = [(hour, *step) for hour, step in enumerate(history) if step]
    approvers = [ACTORS[actor] for _, actor, verb in steps if verb == "approve"]
    if not is_approved(approvers):
        return "draft"
    suspended, lease = set(), {}
    for hour, actor, verb in who_count(steps, approvers):
        office = ACTORS[actor][2]
        if verb == "suspend":
            suspended.add(office)
        elif verb == "resume":
            suspended.discard(office)
        if verb in ("approve", "resume", "renew"):
            lease[office[0]] = hour + 24
    if suspended:
        return "suspended"
    return "active" if all(hours < lease[side] for side, _ in OFFICES) else "suspended"


def who_count(steps, approvers):
    """Yield what is said, but of what lets go on only what is theirs to say."""
    before = list(approvers)
    for step in steps:
        actor = ACTORS[step[1]]
        if step[2] in ("resume", "renew"):
            if not is_theirs(actor, before):
                continue
            before.append(actor)
        yield step


def may_still_speak(step, before):
    """Say whether somebody may still speak: nobody has taken back what they lent."""
    by, holder, _ = ACTORS[step[0]]
    recalls = {ACTORS[actor][0] for actor, verb in before if verb == "recall"}
    return by not in DEPUTIES.get(holder, ()) or holder not in recalls


ENDS = {
    "revoke": "revoked",
    "withdraw": "revoked",
    "refuse": "refused",
    "close": "closed",
}


def is_approved(actors):
    """Say whether different people, none of them barred, fill every office."""
    approvals = [
        (office, {REAL.get(by, by), REAL.get(holder, holder)})
        for by, holder, office in actors
    ]
    pairs = itertools.combinations(approvals, 2)
    return (
        {office for office, _ in approvals} == set(OFFICES)
        and not any(people & BARRED for _, people in approvals)
        and not any(a & b for (one, a), (other, b) in pairs if one != other)
    )


def is_theirs(actor, before):
    """Say whether who lets a permit go on is nobody barred, nor of another office.

    `before`: who approved, and who let it go on so far.
    """
    by, holder, office = actor
    people = {REAL.get(by, by), REAL.get(holder, holder)}
    elsewhere = [one for one in before if one[2] != office]
    others = {REAL.get(name, name) for *names, _ in elsewhere for name in names}
    return not people & (BARRED | others)


def histories(length, actors=EVERYBODY, verbs=SAID):
    return itertools.product(itertools.product(actors, verbs), repeat=length)


def lives():
    """All that anybody says, twice; all who approve; five things, by the main ones."""
    for length in (0, 1, 2):
        yield from histories(length)
    for three in itertools.product(EVERYBODY, repeat=3):
        yield tuple((actor, "approve") for actor in three)
    approved = ((0, "approve"), (1, "approve"))
    for rest in histories(2):
        yield approved + rest
    for rest in histories(3, (0, 1, 2), ("suspend", "resume", "revoke", "renew")):
        yield approved + rest
    for rest in histories(3, (1, 2), ("approve", "suspend", "recall", "renew")):
        yield ((0, "approve"), *rest)
    for rest in histories(2, (3, 4, 5, 6), ("resume", "renew")):  # barred, or a twin
        yield (*approved, (0, "suspend"), (1, "suspend"), *rest)
    for rest in histories(3, (0, 1, 7, 8), ("approve", "suspend", "resume", "renew")):
        yield (*approved, *rest)


def test_every_life_of_a_permit_is_the_one_that_its_rules_tell():
    count, active = 0, 0
    for history in lives():
        bundle = unsigned(PERMIT, said(history))
        for hours in (len(history), 24.5, 24 * 90):
            found = standing(bundle, NOW + hours * HOUR)
            assert found.state == expected(history, hours), (history, hours)
            active += found.is_active
            count += 1

    assert count > 20_000
    assert active > 1_000


def test_nothing_that_anybody_says_leads_out_of_a_final_state():
    for history in histories(2, (0, 4)):
        before = standing(unsigned(PERMIT, said(history)), NOW + 2 * HOUR)
        if before.state in FINAL:
            for step in itertools.product((0, 1, 4), SAID):
                after = unsigned(PERMIT, said((*history, step)))
                assert standing(after, NOW + 3 * HOUR).state in FINAL


def test_the_order_of_notices_decides_nothing():
    verbs = ("suspend", "resume", "close", "recall", "renew")
    for rest in histories(2, (0, 1, 2), verbs):
        notices = said(((0, "approve"), (1, "approve"), *rest))
        states = {
            standing(unsigned(PERMIT, list(order)), NOW + 4 * HOUR).state
            for order in itertools.permutations(notices)
        }
        assert len(states) == 1


def test_whoever_leaves_notices_out_gains_at_most_the_lease():
    """Of a permit that somebody stopped, no part is active a lease after the stop."""
    stops = ("suspend", "refuse", "withdraw", "revoke", "close")
    tried = 0
    for actor, stop, *rest in itertools.product(
        (0, 1), stops, (None, (0, "renew"), (1, "renew")), (None, (1, "renew"))
    ):
        history = [(0, "approve"), (1, "approve"), (actor, stop)]
        history += [step for step in rest if step]
        notices = said(history)
        for kept in itertools.product((True, False), repeat=len(notices)):
            part = unsigned(PERMIT, list(itertools.compress(notices, kept)))
            tried += 1
            try:
                found = standing(part, NOW + (2 + 24) * HOUR)
            except NotApproved:
                continue  # it was missed
            assert not found.is_active

    assert tried > 500


def test_nobody_signs_in_an_office_or_with_a_verb_that_is_not_theirs():
    """Every person, verb, side and role, truly signed: only what is theirs is read."""
    allowed = 0
    for person, verb, side, role in itertools.product(
        SCENE.persons, VERBS, ("HK", "SZ"), ("ethics", "author", "output-checker", "")
    ):
        body = {
            "type": "hetao.notice/2",
            "verb": verb,
            "permit": PERMIT.digest,
            "by": person.name,
            "key": person.name,
            "side": side,
            "role": role,
            "sequence": 1,
            "at": at(0),
        }
        body |= {"reason": "x"} if verb in ("vary", "warn") else {}
        body |= {"replaced_by": "sha256:1"} if verb == "amend" else {}
        body |= {"recalls": ["sha256:1"]} if verb == "recall" else {}
        theirs = side == person.side and (
            (role == "ethics" and "ethics" in person.roles)
            or (role == "author" == person.name and verb in ("close", "amend"))
        )
        try:
            read_notice(PERMIT, state(SCENE.identities[person.name], body))
        except NotApproved:
            assert not theirs, body
        else:
            assert theirs, body
            allowed += 1

    assert allowed == 7 * len(VERBS) + 2  # seven hold an office; the author ends


# --- the decision table -------------------------------------------------------------
GOOD = standing(SCENE.approve_all(), NOW)
PAYLOAD = Payload("model_update", "hospital-hk", 3, frozenset({"min_cohort", "bounds"}))
BASIS = Basis(
    "b", "1", "sha256:1", at(-2), at(24), terms=Terms(protocols=("mean", "sum"))
)
OTHER = PermittedProtocol("other", "1", "sha256:0", 1, "p")
# predicate → what makes it, and it alone, fail
WRONG = {
    "parties": lambda f: replace(f, strangers=("somebody",)),
    "study": lambda f: replace(f, study="sha256:0"),
    "window": lambda f: in_standing(
        f, terms=replace(f.standing.terms, not_after=at(0))
    ),
    "rulebook": lambda f: replace(f, unasked=("a rule",)),
    "keys in force": lambda f: replace(f, voided=("a key",)),
    "nobody said no": lambda f: in_standing(f, state="revoked"),
    "approved": lambda f: in_standing(f, missing=(Requirement("HK", "ethics", "r"),)),
    "duties apart": lambda f: in_standing(f, conflicts=("two duties",)),
    "bases in force": lambda f: in_permit(
        f, bases=(replace(BASIS, valid_until=at(-1)),)
    ),
    "within its bases": lambda f: in_permit(f, protocols=(OTHER,)),
    "active": lambda f: (
        f if f.standing.state == "revoked" else in_standing(f, state="suspended")
    ),
    "kind": lambda f: in_permit(f, crossing="capital"),
    "site": lambda f: in_payload(f, site="hub-hk"),
    "grade": lambda f: in_payload(f, grade=5),
    "checks": lambda f: in_payload(f, checks=frozenset({"bounds"})),
}


def in_standing(facts, **changes):
    return replace(facts, standing=replace(facts.standing, **changes))


def in_permit(facts, **changes):
    return replace(facts, permit=replace(facts.permit, **changes))


def in_payload(facts, **changes):
    return replace(facts, payload=replace(facts.payload, **changes))


PERMITTED = replace(SCENE.permit, bases=(BASIS,))
FACTS = Situation(PERMITTED, GOOD, STUDY, NOW, payload=PAYLOAD)


def test_every_set_of_wrong_facts_fails_exactly_the_predicates_that_are_wrong():
    names = [one.name for one in (*table.STANDS, *table.LEAVES)]
    assert list(WRONG) == names
    assert decide(FACTS).allowed

    for chosen in itertools.product((False, True), repeat=len(names)):
        wrong = list(itertools.compress(names, chosen))
        facts = FACTS
        for name in wrong:
            facts = WRONG[name](facts)
        failed = set(wrong) | ({"active"} if "nobody said no" in wrong else set())
        found = decide(facts)
        assert found.failed == tuple(n for n in names if n in failed)
        assert found.allowed is not bool(failed)


@pytest.mark.parametrize(
    "odd",
    [None, 1, "", "yes", (), object()],
    ids=["none", "one", "empty", "yes", "tuple", "object"],
)
def test_a_missing_fact_or_one_of_another_kind_allows_nothing(odd):
    for name in Situation.__dataclass_fields__:
        if name == "payload" or (
            odd == () and name in ("strangers", "unasked", "voided")
        ):
            continue
        facts = replace(FACTS, **{name: odd})
        if name in ("strangers", "unasked", "voided") and not odd:
            continue  # nothing is wrong, in other words
        assert not decide(facts).allowed, name
    for name in Payload.__dataclass_fields__:
        assert not decide(in_payload(FACTS, **{name: odd})).allowed or (
            name == "grade" and odd == 1
        )


@pytest.mark.parametrize("said", [1, "yes", [1], None, NotImplemented])
def test_only_the_literal_true_passes(monkeypatch, said):
    loose = replace(table.STANDS[0], holds=lambda _: said)
    monkeypatch.setattr(table, "STANDS", (loose, *table.STANDS[1:]))

    assert decide(FACTS).failed == ("parties",)


def test_every_predicate_names_its_clause():
    assert all(one.clause and one.name for one in (*table.STANDS, *table.LEAVES))


# --- forgery ------------------------------------------------------------------------
def test_of_ten_thousand_mutated_approvals_none_is_accepted():
    draw = random.Random(20261122)  # noqa: S311 - the same mutations each time
    bundle = SCENE.approve_all()
    true = [json.dumps(one.as_json(), sort_keys=True) for one in bundle.notices]
    accepted = 0
    for number in range(10_000):
        text = true[number % len(true)]
        table_ = mutated(draw, text)
        if json.dumps(table_, sort_keys=True) == text:
            continue
        try:
            read_notice(bundle.permit, statement_from(table_))
        except HetaoError:
            continue
        accepted += 1

    assert accepted == 0


def mutated(draw, text):
    """Return an approval with one thing changed: a byte, a field, a signature's bit."""
    whole = json.loads(text)
    kind = draw.randrange(4)
    if kind == 0:  # a bit of the signature
        raw = bytearray(base64.b64decode(whole["signature"]))
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        whole["signature"] = base64.b64encode(bytes(raw)).decode()
    elif kind == 1:  # a field is another's
        field = draw.choice(sorted(whole["body"]))
        values = ["", "HK", "SZ", "ethics", "author", "ethics-hk", "renew", 0, 1, 2]
        values += [None, [], {}, at(1), "sha256:" + "0" * 64, True, 1.0]
        whole["body"][field] = draw.choice(values)
    elif kind == 2:  # a field more or less
        field = draw.choice([*sorted(whole["body"]), "until", "lifts", "heard", "x"])
        if whole["body"].pop(field, None) is None:
            whole["body"][field] = draw.choice(["", "x", [], {}, 1])
    else:  # a character anywhere in the body
        body = json.dumps(whole["body"])
        where = draw.randrange(len(body))
        changed = body[:where] + chr(draw.randrange(32, 127)) + body[where + 1 :]
        try:
            whole["body"] = json.loads(changed)
        except ValueError:
            whole["body"] = {}
    return whole


def test_a_permit_with_any_list_emptied_is_refused_before_it_is_evaluated():
    bundle = SCENE.approve_all()
    lists = ("sites", "parties", "persons", "keys", "authors", "operators")
    lists += ("required", "reviews", "checks", "protocols")
    for name in lists:
        table_ = bundle.as_json()
        table_["permit"][name] = []
        with pytest.raises(HetaoError, match="HT-103"):
            bundle_from(table_)
    assert set(lists) <= set(Permit.__dataclass_fields__)


def test_no_notice_of_another_permit_or_time_makes_this_one_active():
    """All notices of a permit that was active, played into its successor."""
    old = SCENE.approve_all()
    new = SCENE.varied(version=2, amends=old.permit.digest).permit
    for notice in old.notices:
        with pytest.raises(NotApproved):
            check_standing(Bundle(new, (notice,)), STUDY, NOW, None)
