"""An estimator: three pure functions and a declaration of what leaves a site.

`start` and `local` run in the hospital and return only the declared arrays; `step`
runs outside and sees their sums over sites. The declaration is what an approver
reads, what the gate checks, what the sealer packs and what the certificate lists.
"""

import functools
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from hetao import canonical
from hetao.analysis.evidence import Evidence
from hetao.analysis.expressions import Floats, Ints
from hetao.analysis.finding import Finding
from hetao.analysis.plan import Plan
from hetao.analysis.rows import Rows
from hetao.errors import InvalidStudy, WrongShape
from hetao.study import Minimum

Message = dict[str, Floats]
State = dict[str, Floats]
Shapes = Mapping[str, str | int]

SLACK = 1 + 1e-6  # rounding may carry a sum of standardised values this far
MOST_NUMBERS = 2_000_000  # in one message
USUAL_ROUNDS = 6  # of a model that converges
OF_PEOPLE = ("n", "cases", "log_weight", "sites")  # arrays that no weight multiplies
ONCE = ("n",)  # arrays to which a person adds once, however many rows they have
SQUARED = ("meat",)  # arrays that square what a person's rows add up to
SHARED = (
    "estimator",
    "expressions",
    "splines",
    "design",
    "plan",
    "folds",
    "intervals",
    "rows",
    "finding",
)


@dataclass(frozen=True)
class Sum:
    """One declared array of a message: its shape, and how much a person can add.

    Every element at a site obeys `|v| <= per_person * n`, n being the site's people.

    Attributes:
        shape: of the array.
        per_person: the most that one person adds to an element, in absolute value.
        low: 0.0 where no element can be negative; None where it can.
    """

    shape: tuple[int, ...]
    per_person: float
    low: float | None = None


@dataclass(frozen=True)
class Protocol:
    """An installed estimator, as a permit lists it and a certificate cites it.

    Attributes:
        name, version: of the estimator.
        hash: `sha256:…` over its declaration and the source of its modules.
        most_rounds: most messages a site sends, the opening one included.
        sums: what each message holds, such as `score: p; info: sym(p)`.
        publishable: as in `Estimator`.
    """

    name: str
    version: str
    hash: str
    most_rounds: int
    sums: str
    publishable: bool = False


class Estimator(ABC):
    """A method of analysis over one plan; made by `estimator_for`.

    Attributes:
        name, version, most_rounds: as the protocol says.
        publishable: whether a site's own message, once it passes the gate, could be
            published; False means that only sums over sites may ever be seen.
        own_cells: whether each site's own cells must reach its minimum even inside a
            sum over many sites, because the sum shows more of a person than a count.
        own_parts: whether the sum tells each site's part apart, so that it is graded as
            one, however many sites are in it.
        chooses: whether what it adds up about groups follows from the sums so far, so
            that another run of the same study may tell others of the same people.
        of_people: arrays that no weight multiplies.
        plan: the public plan.
        shapes: of the arrays of the opening, and of the rounds after it.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"  # of its meaning; the hash tells code apart
    most_rounds: ClassVar[int]
    publishable: ClassVar[bool]
    own_cells: ClassVar[bool]
    own_parts: ClassVar[bool] = False
    chooses: ClassVar[bool] = False
    of_people: ClassVar[tuple[str, ...]] = OF_PEOPLE
    sums: ClassVar[Shapes]
    opening: ClassVar[Shapes]
    relies_on: ClassVar[tuple[str, ...]] = ()  # modules that its hash covers too

    def __init__(self, plan: Plan) -> None:
        """Fit the estimator to a plan.

        Raises:
            InvalidStudy: its message would be too large.
        """
        self.plan = plan
        self.shapes = tuple(
            {name: one.shape for name, one in self.declare(number).items()}
            for number in (0, 1)
        )
        most = max(sum(map(_count, of_round.values())) for of_round in self.shapes)
        if most > MOST_NUMBERS:
            raise InvalidStudy(
                f"{plan.analysis.name}: a message would hold more than "
                f"{MOST_NUMBERS} numbers",
                fix="use a coarser grid, or fewer strata, terms, lambdas or folds",
            )

    def declare(self, round_number: int) -> dict[str, Sum]:
        """Return what a site sends in a round; round 0 is the opening."""
        shapes = self.sums if round_number else self.opening
        return self.declared(shapes, self.bounds(round_number))

    def declared(
        self, shapes: Shapes, bounds: Mapping[str, tuple[float, float | None]]
    ) -> dict[str, Sum]:
        """Return the declaration of arrays from their shapes and bounds."""
        sizes = self.sizes()
        heavy = self.plan.most_weight
        weights = {name: 1.0 if name in self.of_people else heavy for name in shapes}
        return {
            name: Sum(
                _shape(text, sizes),
                bounds[name][0] * weights[name] * self._times(name) * SLACK,
                bounds[name][1],
            )
            for name, text in shapes.items()
        }

    def _times(self, name: str) -> float:
        """Return how often a person may add to an array what one row adds."""
        rows = float(self.plan.most_rows)
        return 1.0 if name in ONCE else rows**2 if name in SQUARED else rows

    def sizes(self) -> dict[str, int]:
        """Return the sizes that the declaration's shapes speak of."""
        plan = self.plan
        p = plan.parameters
        return {
            "p": p,
            "sym(p)": p * (p + 1) // 2,
            "cube(p)": p * (p + 1) * (p + 2) // 6,
            "edges": len(plan.edges),
            "groups": len(plan.groups),
            "sym(groups)": len(plan.groups) * (len(plan.groups) + 1) // 2,
            "strata": len(plan.strata),
            "late": len(plan.groups) if plan.analysis.start else 0,
            "heavy": len(plan.groups) if plan.analysis.weights else 0,
            "steps": len(plan.steps),
            "drift": p if plan.analysis.zph else 0,
            "sym(drift)": p * (p + 1) // 2 if plan.analysis.zph else 0,
            "weights": 1 if plan.counts_apart else 0,
            "robust": p * (p + 1) // 2 if plan.is_robust else 0,
            "moments": 1 + p + p * (p + 1) // 2,
        }

    def beta(self, state: State) -> Floats:
        """Return the coefficients (p,) that a state asks for.

        Raises:
            WrongShape: the state holds none, or not one a column.
        """
        beta = state.get("beta")
        if beta is None or beta.shape != (self.plan.parameters,):
            raise WrongShape("the state does not hold one coefficient a column")
        return beta

    @abstractmethod
    def bounds(self, round_number: int) -> dict[str, tuple[float, float | None]]:
        """Return (most per row of weight 1, low) for each array of a round.

        What a person adds is at most that times the highest public weight, but for
        the arrays `of_people`, in which all count alike; and times the most rows of a
        person, but for the arrays ONCE, and twice for the arrays SQUARED.
        """

    @abstractmethod
    def start(self, rows: Rows) -> Message:
        """Return the opening message of a site, which needs no state."""

    @abstractmethod
    def local(self, rows: Rows, state: State) -> Message:
        """Return a site's message at a state that every site was given."""

    def weights(self, rows: Rows, state: State) -> Floats | Iterator[Floats] | None:
        """Return how much each person counts at a state; None where all do alike.

        The weights are (n,), or (k, n) where several parts of the message weigh people
        differently, or k of (n,) one by one where that would be too much at once.

        A state that makes one person count and no others would turn a sum into that
        person's row. The state comes from outside, so the gate looks at leverage under
        these weights too, before anything leaves.
        """
        del rows, state
        return None

    def scores(self, rows: Rows, state: State) -> Floats:
        """Return (n, p) what each person adds to the score at a state, weight and all.

        Asked of models alone, whose people something else may weight.
        """
        raise NotImplementedError

    def within(self, minimum: Minimum) -> "Estimator":
        """Return the estimator as a site of these minimum counts carries it out.

        They are the stricter of the study's and its policy's.
        """
        del minimum
        return self

    def guarded(
        self, facts: Evidence, rows: Rows, state: State | None
    ) -> tuple[Evidence, bool]:
        """Return the facts that a round's gate weighs, and whether of its own cells.

        Args:
            facts: about the rows, the same in every round.
            rows: of the site.
            state: of the round; None in the opening.
        """
        del rows, state
        return facts, self.own_cells

    def in_cells(self, rounds: int) -> int:
        """Return how many sums about who is in a stratum so many rounds tell.

        They are told in each level of the other strata. 0 where nothing is added up in
        strata that a design stands beside.

        Args:
            rounds: from the first.
        """
        del rounds
        return 0

    def in_a_bin(self, minimum: Minimum) -> int:
        """Return how many people a site's own cell must hold, of whom it tells sums."""
        return minimum.cell

    def told_in_bins(self, rows: Rows) -> int:
        """Return how many numbers a round tells bin by bin of a site's rows.

        They say at least as much as a score and an information. 0 where a model has no
        bins of times, or shows single people.
        """
        del rows
        return 0

    def bins(self, rows: Rows, state: State) -> dict[str, int]:
        """Return the counts at a state that a reader of the message could see.

        They are those that no term crosses with the site; see `Evidence.bins`.
        """
        del rows, state
        return {}

    @abstractmethod
    def step(
        self, total: Message, state: State | None, round_number: int
    ) -> State | Finding:
        """Return the next state, or the finding, from the sums over sites."""


class OneRound(Estimator):
    """A method that asks once: what it adds up follows from the rows alone."""

    def local(self, rows: Rows, state: State) -> Message:
        """Return what `start` returns; there is one round."""
        del state
        return self.start(rows)


E = TypeVar("E", bound=Estimator)
REGISTRY: dict[str, type[Estimator]] = {}


def estimator(
    *,
    name: str,
    sums: Shapes,
    most_rounds: int,
    publishable: bool,
    opening: Shapes | None = None,
    own_cells: bool = False,
) -> Callable[[type[E]], type[E]]:
    """Register a class as the installed estimator of that name.

    Args:
        name: what permits and certificates call it.
        sums: array name → shape as text (`p`, `sym(p)`, `groups,edges`) or a length.
        most_rounds: most messages, the opening one included.
        publishable: as in `Estimator`.
        opening: sums of the opening message where they differ.
        own_cells: as in `Estimator`.
    """

    def register(cls: type[E]) -> type[E]:
        cls.name, cls.sums = name, sums
        cls.opening = sums if opening is None else opening
        cls.most_rounds, cls.publishable = most_rounds, publishable
        cls.own_cells = own_cells
        REGISTRY[name] = cls
        return cls

    return register


def protocol_of(cls: type[Estimator]) -> Protocol:
    """Return what a permit and a certificate say of an installed estimator."""
    text = _text(cls.sums)
    if cls.opening is not cls.sums:
        text = f"opening {_text(cls.opening)} | then {text}"
    package = __name__.rpartition(".")[0]
    modules = {f"{package}.{part}" for part in SHARED}
    modules |= {c.__module__ for c in cls.__mro__ if c.__module__.startswith(package)}
    modules |= set(cls.relies_on)
    value = {
        "name": cls.name,
        "version": cls.version,
        "most_rounds": cls.most_rounds,
        "publishable": cls.publishable,
        "own_cells": cls.own_cells,
        "own_parts": cls.own_parts,
        "sums": text,
        "sources": {m: inspect.getsource(sys.modules[m]) for m in sorted(modules)},
    }
    digest = canonical.digest(value)
    return Protocol(
        cls.name, cls.version, digest, cls.most_rounds, text, cls.publishable
    )


def packed(matrix: Floats) -> Floats:
    """Return the upper triangle of a symmetric (p, p) matrix, row by row."""
    return matrix.ravel()[_flat(len(matrix))]


def unpacked(triangle: Floats, p: int) -> Floats:
    """Return the symmetric (p, p) matrix whose upper triangle is given."""
    matrix = np.zeros((p, p))
    matrix[_triangle(p)] = triangle
    return matrix + np.triu(matrix, 1).T


@functools.cache
def _flat(p: int) -> Ints:
    return np.ravel_multi_index(_triangle(p), (p, p))


@functools.cache
def _triangle(p: int) -> tuple[Ints, Ints]:
    return np.triu_indices(p)


def own_state(state: State, prefix: str) -> State:
    """Return what a state holds under names of one prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in state.items()
        if name.startswith(prefix)
    }


def sum_by(place: Ints, size: int, values: Floats | None = None) -> Floats:
    """Return (size,) sums of (n,) values by place, or counts; float64 also of none."""
    sums = np.bincount(place, values, minlength=size)
    return sums.astype(np.float64)


def _shape(text: str | int, sizes: Mapping[str, int]) -> tuple[int, ...]:
    if isinstance(text, int):
        return (text,)
    parts = text.split(",")
    return tuple(int(part) if part.isdigit() else sizes[part] for part in parts)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _text(shapes: Shapes) -> str:
    return "; ".join(f"{name}: {shape}" for name, shape in shapes.items())
