"""What a demonstration can add to a certificate, and a real run cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ComparedTerm:
    """One coefficient, found federated and in the pooled rows.

    Attributes:
        name: the term as the finding names it.
        federated, pooled: estimates in the model's own scale (log odds and so on).
        difference_in_se: |federated - pooled| over the pooled standard error.
        truth: what is true, where that is known; None elsewhere.
    """

    name: str
    federated: float
    federated_se: float
    pooled: float
    pooled_se: float
    difference_in_se: float
    truth: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A pooled fit by an independent library, beside the federated one.

    Attributes:
        analysis: its name in the study.
        software: what fitted the pooled rows, with its version.
        largest: the largest `difference_in_se` of the terms.
    """

    analysis: str
    software: str
    largest: float
    terms: tuple[ComparedTerm, ...]


@dataclass(frozen=True)
class Extras:
    """Facts about a run that its certificate does not state.

    Attributes:
        timings: what → seconds, in the order to show.
        bytes_per_site: site → every byte it sent, envelopes and notices included.
        messages: how many messages travelled in all; 0 where nobody counted.
    """

    comparison: tuple[Comparison, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    bytes_per_site: Mapping[str, int] = field(default_factory=dict)
    messages: int = 0
