"""The class of what may leave: one table of kinds, each with its floor and its checks.

A payload's class is the highest level of the fields that it was made of. It is lowered
to the floor of its kind, no further, and only if every check that the kind demands was
passed. One more field, or one check less, never lowers it.

The table says what a regulator can argue with. Everybody who grades reads it: the gate,
and whoever verifies a certificate.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LOWEST, HIGHEST = 1, 5
LEVELS: Final = "GB/T 39725-2020 6.2"


@dataclass(frozen=True)
class Kind:
    """One kind of payload.

    Attributes:
        name: as a release record says it.
        floor: the lowest class that its checks can bring it to; None: no check lowers
            it.
        demands: checks of which each must have passed.
        leaves: whether it may leave a site at all; False refuses it by itself.
        clause: where floor and demands come from.
    """

    name: str
    floor: int | None
    demands: tuple[str, ...]
    clause: str
    leaves: bool = True


KINDS: Final = {
    kind.name: kind
    for kind in (
        # Rows of people never leave; the second kind is one that a permit could name
        # some day, and nothing here makes it.
        Kind("row", None, (), "PIPL 28, 51; PDPO DPP3", leaves=False),
        Kind(
            "pseudonymised_row",
            3,
            ("no_direct_identifier", "k_anonymity", "named_in_permit"),
            f"{LEVELS}, 10.2; PIPL 51, 73(3)",
            leaves=False,
        ),
        # One site's part, or what gives it back, may be worked out by somebody.
        Kind(
            "model_update",
            3,
            ("min_cohort", "bounds"),
            f"{LEVELS}; PIPL 4, 51",
        ),
        # Only a sum over enough sites is ever opened.
        Kind(
            "model_update_secagg",
            2,
            ("min_cohort", "bounds", "secure_sum"),
            f"{LEVELS}; PIPL 4, 73(4); PDPO s.62(c)",
        ),
        Kind(
            "model_update_dp",
            2,
            ("min_cohort", "bounds", "dp_budget"),
            f"{LEVELS}; PIPL 4, 73(4); PDPO s.62(c)",
        ),
        # What people read.
        Kind(
            "table",
            2,
            ("min_cell", "dominance", "differencing"),
            f"{LEVELS}; PDPO s.62(c); SATRE 3.3.04",
        ),
        Kind(
            "coefficients",
            2,
            ("min_cell", "dof", "leverage", "differencing"),
            f"{LEVELS}; PDPO s.62(c); SATRE 3.3.04",
        ),
        # A message of fixed fields: digests, bands and codes of closed lists.
        Kind("notice", 2, ("fixed_fields",), f"{LEVELS}; SATRE 3.3.04"),
        Kind("log", 4, ("codes_only",), f"{LEVELS}; ICH E6(R3) 4.2.2"),
        Kind("certificate", 1, ("no_payload",), f"{LEVELS}; SATRE 3.3.09"),
    )
}


@dataclass(frozen=True)
class Grade:
    """The class of one payload, and how it came about.

    Attributes:
        kind: of KINDS.
        source: highest level of what it was made of.
        released: its class.
        missing: checks that its kind demands and that were not passed; with one, the
            class is that of the source.
    """

    kind: str
    source: int
    released: int
    missing: tuple[str, ...]

    @property
    def why(self) -> str:
        """Return in a few words how the class came about."""
        if self.released < self.source:
            return f"{self.kind} from class {self.source}, every check passed"
        if self.missing:
            return f"not lowered: {', '.join(self.missing)} not passed"
        return f"{self.kind} of class {self.source}"


def grade(kind: str, source: int, passed: Collection[str]) -> Grade:
    """Return the class of a payload.

    Args:
        kind: of KINDS; an unknown one is graded as a row, which nothing lowers.
        source: highest level of the fields that it was made of, 1 to 5; what lies
            outside counts as 5.
        passed: ids of the checks that were carried out and passed.
    """
    rule = KINDS.get(kind, KINDS["row"])
    level = source if LOWEST <= source <= HIGHEST else HIGHEST
    missing = tuple(check for check in rule.demands if check not in passed)
    released = level
    if rule.floor is not None and not missing:
        released = min(level, rule.floor)
    return Grade(rule.name, level, released, missing)
