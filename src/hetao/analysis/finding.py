"""What a study found, and the part of it that people may be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.analysis.rounding import round_counts
from hetao.analysis.suppression import shown_payload


@dataclass(frozen=True, eq=False)
class Finding:
    """The answer of one analysis, from sums over sites alone.

    Attributes:
        analysis: its name in the study.
        method: its method.
        payload: JSON values; `model` says which keys follow.
    """

    analysis: str
    method: str
    payload: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the payload as JSON values: finite floats, ints, text, lists, None."""
        return dict(self.payload)

    def shown(self, smallest: int, rounding: int = 1) -> tuple["Finding", bool]:
        """Return the finding fit for people's eyes, and whether any of it is withheld.

        Args:
            smallest: no count from 1 to `smallest - 1` is shown, and none that would
                give such a count back; 1 shows everything, and rounds nothing.
            rounding: counts are shown as multiples of this; 1 shows them exact.
        """
        payload, withheld = shown_payload(self.payload, smallest)
        if smallest > 1 and rounding > 1:
            round_counts(payload, rounding)
        return Finding(self.analysis, self.method, payload), withheld
