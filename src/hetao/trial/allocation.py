"""Who gets what: fixed before the first person, and checked after the last.

Before enrolment the trial publishes a commitment: the root of a tree over every place
of every stratum's list, each hidden by a salt of its own. Each person's place can be
opened alone, with the proof that it is the one that was committed to; at the end the
secret is published, and anyone makes the whole list again.

Chance comes from HMAC-SHA-256 over the trial's secret, the stratum and a counter, read
as numbers below a limit without bias (rejection).
"""

import hashlib
import hmac
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final

from hetao import canonical
from hetao.errors import InvalidData, Unverified, Usage
from hetao.ledger.merkle import inclusion_path, leaf_hash, root, verify_inclusion
from hetao.records import fields_of

SECRET_BYTES: Final = 32
MOST_STRATA: Final = 10_000
MOST_PLACES: Final = 1_000_000
MOST_SHARES: Final = 100  # of one arm in a block


@dataclass(frozen=True)
class Plan:
    """A stratified list in permuted blocks.

    Attributes:
        name: of the trial; two trials with one secret have different lists.
        arms: their names, each with its share of a block: `(("A", 1), ("B", 2))`.
        blocks: how many times the shares a block holds, drawn evenly: `(1, 2)` makes
            blocks of one or two times the sum of the shares.
        strata: each factor with its levels, the site among them.
        places: people that each stratum's list reaches for.
    """

    name: str
    arms: tuple[tuple[str, int], ...]
    blocks: tuple[int, ...]
    strata: tuple[tuple[str, tuple[str, ...]], ...]
    places: int

    def __post_init__(self) -> None:
        """Refuse what makes no list.

        Raises:
            Usage: fewer than two arms, a share or block of none, names that stand
                twice, or a list that is too long.
        """
        names = [name for name, _ in self.arms]
        if not self.name or len(names) < 2 or len(set(names)) < len(names):
            raise Usage("a trial has a name, and two or more arms of different names")
        if not all(1 <= share <= MOST_SHARES for _, share in self.arms):
            raise Usage(f"an arm's share of a block is 1 to {MOST_SHARES}")
        if not self.blocks or not all(1 <= b <= MOST_SHARES for b in self.blocks):
            raise Usage(f"a block holds the shares 1 to {MOST_SHARES} times")
        if len({factor for factor, _ in self.strata}) < len(self.strata) or any(
            not levels or len(set(levels)) < len(levels) for _, levels in self.strata
        ):
            raise Usage("each factor stands once, with levels that stand once")
        count = math.prod(len(levels) for _, levels in self.strata)
        if count > MOST_STRATA or not 1 <= self.places * count <= MOST_PLACES:
            raise Usage(
                f"the lists would hold none or more than {MOST_PLACES:,} places, or "
                f"there are more than {MOST_STRATA:,} strata",
                fix="use fewer factors, or minimisation",
            )

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Return the strata in order, the last factor's level fastest."""
        levels = [[f"{f}={one}" for one in known] for f, known in self.strata]
        return tuple("; ".join(chosen) for chosen in itertools.product(*levels))

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` of the plan."""
        return canonical.digest({"type": "hetao.allocation/1", **fields_of(self)})


@dataclass(frozen=True)
class Opening:
    """One place of a list, shown, with the proof that it was committed to.

    Attributes:
        stratum: its label; "" where there is one.
        place: from 1, in the order of enrolment.
        arm: what the person gets.
        salt: what hid it, hex.
        index: of the leaf, from 0.
        proof: hashes from the leaf to the root, hex, nearest first.
    """

    stratum: str
    place: int
    arm: str
    salt: str
    index: int
    proof: tuple[str, ...]


@dataclass(frozen=True)
class Commitment:
    """What is published before enrolment: it says nothing of who gets what.

    Attributes:
        plan: digest of the plan.
        root: of the tree over all places, hex.
        size: how many places there are.
        secret: SHA-256 of the secret, hex.
    """

    plan: str
    root: str
    size: int
    secret: str

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` of the commitment."""
        return canonical.digest({"type": "hetao.commitment/1", **asdict(self)})


class Allocation:
    """A plan's lists under a secret of 32 random bytes."""

    def __init__(self, plan: Plan, secret: bytes) -> None:
        """Make the lists.

        Raises:
            Usage: the secret has not 32 bytes.
        """
        _check_secret(secret)
        self.plan, self._secret = plan, secret

    @cached_property
    def lists(self) -> Mapping[str, tuple[str, ...]]:
        """Return stratum → arms in the order of enrolment; keep them secret."""
        return {label: tuple(self._list(label)) for label in self.plan.labels}

    @cached_property
    def commitment(self) -> Commitment:
        """Return what to publish before the first person is enrolled."""
        return Commitment(
            self.plan.digest,
            root(self._leaves).hex(),
            len(self._leaves),
            _fingerprint(self._secret),
        )

    def open(self, stratum: str, place: int) -> Opening:
        """Return one place, to be shown to whoever may know it.

        Raises:
            Usage: there is no such stratum or place.
        """
        if stratum not in self.plan.labels or not 1 <= place <= self.plan.places:
            raise Usage("the plan has no such stratum, or no such place in its list")
        index = self.plan.labels.index(stratum) * self.plan.places + place - 1
        path = inclusion_path(index, self._leaves)
        return Opening(
            stratum,
            place,
            self.lists[stratum][place - 1],
            self._salt(stratum, place).hex(),
            index,
            tuple(one.hex() for one in path),
        )

    def _list(self, stratum: str) -> Iterator[str]:
        draw = _Draw(self._secret, ("block", self.plan.digest, stratum))
        made = 0
        while made < self.plan.places:
            times = self.plan.blocks[draw.below(len(self.plan.blocks))]
            block = [arm for arm, share in self.plan.arms for _ in range(share * times)]
            for last in range(len(block) - 1, 0, -1):  # Fisher and Yates
                other = draw.below(last + 1)
                block[last], block[other] = block[other], block[last]
            yield from block[: self.plan.places - made]
            made += len(block)

    @cached_property
    def _leaves(self) -> tuple[bytes, ...]:
        return tuple(
            _leaf(self.plan.digest, stratum, place, arm, self._salt(stratum, place))
            for stratum, arms in self.lists.items()
            for place, arm in enumerate(arms, 1)
        )

    def _salt(self, stratum: str, place: int) -> bytes:
        return _mac(self._secret, ("salt", self.plan.digest, stratum, str(place)))


def verify_opening(commitment: Commitment, opening: Opening) -> None:
    """Check that a shown place is the one that was committed to.

    Raises:
        Unverified: it is not, or its proof cannot be read.
    """
    try:
        salt = bytes.fromhex(opening.salt)
        path = [bytes.fromhex(one) for one in opening.proof]
        top = bytes.fromhex(commitment.root)
    except ValueError as problem:
        raise Unverified("the opening's proof is not hexadecimal") from problem
    leaf = _leaf(commitment.plan, opening.stratum, opening.place, opening.arm, salt)
    verify_inclusion(opening.index, commitment.size, leaf, path, top)


def verify_secret(commitment: Commitment, plan: Plan, secret: bytes) -> Allocation:
    """Return the lists again, once the secret is published at the end of the trial.

    Raises:
        Unverified: the plan, the secret or the lists are not what was committed to.
    """
    again = Allocation(plan, secret).commitment
    if again != commitment:
        wrong = [
            name
            for name in ("plan", "secret", "root", "size")
            if getattr(again, name) != getattr(commitment, name)
        ]
        raise Unverified(
            f"not what was committed to before enrolment: {', '.join(wrong)}"
        )
    return Allocation(plan, secret)


# --- minimisation ---------------------------------------------------------------------
@dataclass(frozen=True)
class Minimisation:
    """Pocock and Simon's minimisation, with a coin that favours balance.

    Attributes:
        name: of the trial.
        arms: names with their shares.
        factors: each with its levels and its weight: `(("site", ("a", "b"), 1.0),)`.
        favour: chance of an arm that balances best, the others sharing the rest; from
            the arm's own share to 1. Below 1 nobody can know the next arm.

    Source:
        Pocock & Simon (1975), Biometrics 31(1), 103-115, with the range as imbalance.
    """

    name: str
    arms: tuple[tuple[str, int], ...]
    factors: tuple[tuple[str, tuple[str, ...], float], ...]
    favour: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what makes no minimisation.

        Raises:
            Usage: fewer than two arms, no factor, a weight or chance that cannot be.
        """
        names = [name for name, _ in self.arms]
        if not self.name or len(names) < 2 or len(set(names)) < len(names):
            raise Usage("a trial has a name, and two or more arms of different names")
        if not all(1 <= share <= MOST_SHARES for _, share in self.arms):
            raise Usage(f"an arm's share is 1 to {MOST_SHARES}")
        if not self.factors or any(
            len(set(levels)) < max(len(levels), 1) or not 0 < weight < math.inf
            for _, levels, weight in self.factors
        ):
            raise Usage("name factors, each with levels and a weight above 0")
        largest = max(share for _, share in self.arms) / sum(s for _, s in self.arms)
        if not largest <= self.favour <= 1:
            raise Usage("the favoured arm's chance lies between its share and 1")

    @cached_property
    def digest(self) -> str:
        """Return `sha256:…` of the rule."""
        value = {"type": "hetao.minimisation/1", **fields_of(self)}
        return canonical.digest(value)


@dataclass(frozen=True)
class Enrolled:
    """One person: levels of the factors, in their order, and the arm."""

    levels: tuple[str, ...]
    arm: str


def commit_minimisation(rule: Minimisation, secret: bytes) -> Commitment:
    """Return what to publish before enrolment: the rule and the secret's digest."""
    _check_secret(secret)
    return Commitment(rule.digest, "", 0, _fingerprint(secret))


def assign(
    rule: Minimisation,
    secret: bytes,
    before: Sequence[Enrolled],
    levels: Sequence[str],
) -> Enrolled:
    """Return the next person with the arm, from all who came before.

    The coin is a function of the secret, the rule and the person's number, so anyone
    with the secret can throw it again.

    Raises:
        Usage: the secret has not 32 bytes.
        InvalidData: a level is not one of its factor's.
    """
    _check_secret(secret)
    chosen = tuple(levels)
    _check_levels(rule, chosen)
    imbalance = [_imbalance(rule, before, chosen, arm) for arm, _ in rule.arms]
    least = min(imbalance)
    best = [i for i, value in enumerate(imbalance) if value <= least + 1e-9]
    weights = [float(share) for _, share in rule.arms]
    if len(best) < len(weights):
        of_best = sum(weights[i] for i in best)
        of_rest = sum(weights) - of_best
        weights = [
            rule.favour * w / of_best if i in best else (1 - rule.favour) * w / of_rest
            for i, w in enumerate(weights)
        ]
    draw = _Draw(secret, ("coin", rule.digest, str(len(before) + 1)))
    thrown = draw.below(2**53) / 2**53 * sum(weights)
    for (arm, _), weight in zip(rule.arms, weights, strict=True):
        thrown -= weight
        if thrown < 0:
            return Enrolled(chosen, arm)
    return Enrolled(chosen, rule.arms[-1][0])


def verify_minimisation(
    commitment: Commitment,
    rule: Minimisation,
    secret: bytes,
    enrolled: Sequence[Enrolled],
) -> None:
    """Check every assignment of a trial, once its secret is published.

    Raises:
        Unverified: rule or secret are not the committed ones, or somebody got another
            arm than the rule and the coin say; the first one's number is named.
    """
    if commit_minimisation(rule, secret) != commitment:
        raise Unverified("rule or secret are not what was committed to")
    for number, one in enumerate(enrolled):
        if assign(rule, secret, enrolled[:number], one.levels) != one:
            raise Unverified(f"person {number + 1} got another arm than the rule says")


def _check_levels(rule: Minimisation, levels: Sequence[str]) -> None:
    known = [factor_levels for _, factor_levels, _ in rule.factors]
    if len(levels) != len(known) or any(
        level not in names for level, names in zip(levels, known, strict=True)
    ):
        raise InvalidData(
            "a person needs one known level of each factor",
            fix="factors: " + ", ".join(name for name, _, _ in rule.factors),
        )


def _imbalance(
    rule: Minimisation, before: Sequence[Enrolled], levels: Sequence[str], arm: str
) -> float:
    """Return the weighted range of people a share, were the next one to get `arm`."""
    total = 0.0
    for place, (_, _, weight) in enumerate(rule.factors):
        counts = dict.fromkeys((name for name, _ in rule.arms), 0)
        counts[arm] = 1
        for one in before:
            if one.levels[place] == levels[place]:
                counts[one.arm] += 1
        shares = [counts[name] / share for name, share in rule.arms]
        total += weight * (max(shares) - min(shares))
    return total


# --- chance ---------------------------------------------------------------------------
class _Draw:
    """Unbiased numbers below a limit, from HMAC-SHA-256 in counter mode."""

    def __init__(self, secret: bytes, label: tuple[str, ...]) -> None:
        self._secret, self._label, self._counter = secret, label, 0

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to limit - 1, each as probable."""
        most = 2**64 - 2**64 % limit
        while True:
            block = _mac(self._secret, (*self._label, str(self._counter)))
            self._counter += 1
            number = int.from_bytes(block[:8], "big")
            if number < most:
                return number % limit


def _mac(secret: bytes, label: tuple[str, ...]) -> bytes:
    return hmac.digest(secret, canonical.canonical(list(label)), "sha256")


def _leaf(plan: str, stratum: str, place: int, arm: str, salt: bytes) -> bytes:
    value = {
        "type": "hetao.allocated/1",
        "plan": plan,
        "stratum": stratum,
        "place": place,
        "arm": arm,
        "salt": salt.hex(),
    }
    return leaf_hash(canonical.canonical(value))


def _fingerprint(secret: bytes) -> str:
    return hashlib.sha256(b"hetao.allocation\0" + secret).hexdigest()


def _check_secret(secret: bytes) -> None:
    if len(secret) != SECRET_BYTES:
        raise Usage(f"the secret of an allocation has {SECRET_BYTES} random bytes")
