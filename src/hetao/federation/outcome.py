"""What a run comes to: its findings, and the material of its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.analysis import Finding
from hetao.federation.totals import Words
from hetao.permit import Bundle, Statement
from hetao.study import Study


@dataclass(frozen=True)
class RoundRecord:
    """One sum that was opened, with everything that proves how it came about.

    Or a sealed count, which was not: its words are tokens, and it has no tags.

    Attributes:
        receipts: site → its signed release record.
        totals: hub → its signed statement of the sum of its shares.
        words: hub → that sum, (2, n + 1), one alone is uniformly random; of a sealed
            count its nonce and tokens, (k, 2).
        tags: hub → its sum of tags, 32 hex digits; as secret as the words.
    """

    task: str
    analysis: str
    protocol: str
    attempt: int
    round: int
    members: tuple[str, ...]
    receipts: Mapping[str, Statement]
    totals: Mapping[str, Statement]
    words: Mapping[str, Words]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """One analysis of the study, answered."""

    finding: Finding
    members: tuple[str, ...]
    rounds: int


@dataclass(frozen=True)
class Outcome:
    """A finished run: what was found, and the material of its certificate."""

    study: Study
    bundle: Bundle
    run: str
    answers: tuple[Answer, ...]
    rounds: tuple[RoundRecord, ...]
    counts: tuple[RoundRecord, ...]
    ready: Mapping[str, Mapping[str, Any]]
    closings: Mapping[str, Mapping[str, Any]]
    lost: Mapping[str, str]
    messages: int
    bytes_per_site: Mapping[str, int]
    seconds: Mapping[str, float]
