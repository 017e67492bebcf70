"""The gate: one door out of a site, and what it seals with."""

from hetao.release.decide import (
    ClosedDoor,
    Door,
    Notice,
    Place,
    Release,
    Summary,
    check_values,
    decide,
)
from hetao.release.message import pack, unpack
from hetao.release.policy import STRICT, Policy, check_people, policy_from, read_policy
from hetao.release.quality import Counted, check_graded, grade_quality
from hetao.release.seal import add, decode, encode, split, stream
from hetao.release.tag import (
    check_tag,
    key_from,
    mask,
    new_key,
    tag_from,
    tag_of,
    tag_text,
)

__all__ = [
    "STRICT",
    "ClosedDoor",
    "Counted",
    "Door",
    "Notice",
    "Place",
    "Policy",
    "Release",
    "Summary",
    "add",
    "check_graded",
    "check_people",
    "check_tag",
    "check_values",
    "decide",
    "decode",
    "encode",
    "grade_quality",
    "key_from",
    "mask",
    "new_key",
    "pack",
    "policy_from",
    "read_policy",
    "split",
    "stream",
    "tag_from",
    "tag_of",
    "tag_text",
    "unpack",
]
