"""Whom a verifier believes: its own list of logs and witnesses, and the quorum.

The text is C2SP tlog-policy. It comes from whoever verifies, never with what is
verified: a proof that brought its own rule would prove nothing.

    log study.example.org+1d4bb0a1+AQ...
    witness hk1 witness.hku.example+9ab0c7d2+BA...
    witness sz1 witness.sz.example+5e2f11aa+BA...
    witness uni witness.uni.example+77c0de01+Bg...
    group HK any hk1
    group SZ any sz1
    group IND any uni
    group ALL all HK SZ IND
    quorum ALL

Stricter than C2SP in one thing: whoever lists an Ed25519 and an ML-DSA-44 key of one
log asks for a line of both. Were one of them enough, the weaker would decide.

Specification: `docs/specs/log.md`.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hetao.errors import InvalidData, Unverified
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    Checkpoint,
    Verifier,
    open_note,
    parse_checkpoint,
    parse_vkey,
)
from hetao.whole import read_whole

LARGEST: Final = 2**20  # bytes of a policy; 32 ML-DSA-44 keys take 60,000
NONE: Final = "none"  # the quorum of whoever asks for no witness
HUBS: Final = "hubs"  # said in place of a policy's file: both hubs alone suffice

_SPACE = re.compile("[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_DECIMAL = re.compile("[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Group:
    """Witnesses and groups, of which so many must have seen a checkpoint."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """What a note proves under a policy.

    Attributes:
        checkpoint: what the log claims.
        witnesses: each witness of the policy that cosigned → when first, in seconds
            since 1970.
        second: whether the log's ML-DSA-44 key, which the policy lists, signed too.
    """

    checkpoint: Checkpoint
    witnesses: Mapping[str, int]
    second: bool = False


@dataclass(frozen=True)
class Policy:
    """Which logs and witnesses count, and how many must agree.

    Attributes:
        logs: the keys of logs. A log may have several under its own name: of each
            kind that is listed, Ed25519 or ML-DSA-44, one must have signed.
        witnesses: name within the policy → key.
        groups: name → group, each of names that stand before it.
        quorum: the witness or group that must have seen a checkpoint; NONE for none.
        urls: vkey → where a log or witness is reached; most have none.
    """

    logs: tuple[Verifier, ...] = ()
    witnesses: Mapping[str, Verifier] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NONE
    urls: Mapping[str, str] = field(default_factory=dict)

    def check(self, note: str) -> Seen:
        """Return what a note proves.

        Raises:
            Unverified: no log of the policy signed it, or not with a key of each kind
                that the policy lists of it; a signature of a key of the policy does
                not hold; or the witnesses are fewer than the quorum.
        """
        found = self.check_log(note)
        if not self._is_seen(self.quorum, found.witnesses):
            who = ", ".join(map(_shown, found.witnesses)) or "nobody"
            raise Unverified(
                f"the checkpoint was seen by {who} of the policy, which is below its "
                f"quorum {_shown(self.quorum)}",
                fix="have the witnesses that are missing cosign the log",
            )
        return found

    def asks_for_second(self, origin: str) -> bool:
        """Return whether an ML-DSA-44 key of a log is listed."""
        return any(one.kind == SUBTREE for one in self.logs if one.name == origin)

    def check_log(self, note: str) -> Seen:
        """Return what a note proves of its log; its witnesses may be too few.

        Raises:
            Unverified: as of `check`, but for the quorum.
        """
        text, signed = open_note(note, [*self.logs, *self.witnesses.values()])
        checkpoint = parse_checkpoint(text)
        logs = [log for log in self.logs if log.name == checkpoint.origin]
        kinds = {log.kind for log in logs if log in signed}
        if not kinds:
            raise Unverified(
                "no log of the policy signed the checkpoint",
                fix="add the log's vkey to your policy, if you trust it",
            )
        if kinds != {log.kind for log in logs}:
            lacks = "Ed25519" if SUBTREE in kinds else "ML-DSA-44"
            raise Unverified(
                f"the policy lists keys of two kinds of the log, and its {lacks} line "
                "is missing under the checkpoint",
                fix="ask the log's party why; what it signed before it had both keys "
                "holds under a policy that lists one of them",
            )
        seen = {
            name: signed[key] for name, key in self.witnesses.items() if key in signed
        }
        return Seen(checkpoint, seen, SUBTREE in kinds)

    def is_quorum(self, witnesses: Collection[str]) -> bool:
        """Return whether these witnesses, by their names here, are the quorum."""
        return self._is_seen(self.quorum, dict.fromkeys(witnesses, 0))

    def _is_seen(self, name: str, seen: Mapping[str, int]) -> bool:
        if name == NONE:
            return True
        # Groups stand in order, each after its members.
        found = {**dict.fromkeys(self.witnesses, False), **dict.fromkeys(seen, True)}
        for group, rule in self.groups.items():
            found[group] = sum(found[one] for one in rule.members) >= rule.needed
        return found[name]


def read_policy(path: Path, fix: str = "check the path") -> Policy:
    """Return the policy of a file; `fix` says what to do where it cannot be read.

    Raises:
        InvalidData: it cannot be read, or is no policy.
    """
    return parse_policy(read_whole(path, LARGEST, fix=fix))


def parse_policy(data: bytes) -> Policy:
    """Return the policy of a text.

    Raises:
        InvalidData: a line says something else than the format, names what is not
            defined before it, or defines a name or key twice, also once as a log's
            and once as a witness's; or there is not exactly one quorum.

    Source:
        C2SP tlog-policy. Test: `tests/unit/test_log_policy.py`.
    """
    if len(data) > LARGEST:
        raise InvalidData("a policy is larger than 1 MiB")
    if _CONTROL.search(data):
        raise InvalidData("a policy holds a control character other than a tab")
    if data and not data.endswith(b"\n"):
        raise InvalidData("the last line of a policy has no newline; is it cut short?")
    # Octets above ASCII are opaque, and this keeps each apart.
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        words = _SPACE.split(line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            continue
        try:
            reader.take(words)
        except InvalidData as error:
            raise InvalidData(f"line {number} of the policy: {error.what}") from error
    return reader.policy()


class _Reader:
    """One reading of a policy, line by line."""

    def __init__(self) -> None:
        self.logs: list[Verifier] = []
        self.witnesses: dict[str, Verifier] = {}
        self.groups: dict[str, Group] = {}
        self.urls: dict[str, str] = {}
        self.quorum = ""
        self.members: set[str] = set()
        self.keys: set[bytes] = set()

    def take(self, words: Sequence[str]) -> None:
        """Take in one line."""
        lines: dict[str, Callable[[Sequence[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }
        if words[0] not in lines:
            raise InvalidData("it begins with none of log, witness, group, quorum")
        lines[words[0]](words[1:])

    def policy(self) -> Policy:
        """Return what was read."""
        if not self.quorum:
            raise InvalidData("the policy has no quorum line")
        return Policy(
            tuple(self.logs), self.witnesses, self.groups, self.quorum, self.urls
        )

    def _log(self, words: Sequence[str]) -> None:
        if not 1 <= len(words) <= 2:
            raise InvalidData("it is not: log VKEY [URL]")
        key = self._key(words[0], (LOG_SIGNATURE, SUBTREE))
        self.logs.append(key)
        self._reached(key, words[1:])

    def _witness(self, words: Sequence[str]) -> None:
        if not 2 <= len(words) <= 3:
            raise InvalidData("it is not: witness NAME VKEY [URL]")
        key = self._key(words[1], (COSIGNATURE, SUBTREE))
        self.witnesses[self._new(words[0])] = key
        self._reached(key, words[2:])

    def _group(self, words: Sequence[str]) -> None:
        if len(words) < 3:
            raise InvalidData("it is not: group NAME all|any|NUMBER NAME...")
        name, rule, *members = words
        counts = {"all": len(members), "any": 1}
        if rule not in counts and not _DECIMAL.fullmatch(rule):
            raise InvalidData("a group needs all, any or a number of its members")
        needed = counts[rule] if rule in counts else int(rule)
        if not 1 <= needed <= len(members):
            raise InvalidData("a group needs more members than it has")
        for member in members:
            self._require_defined(member)
            if member in self.members:  # else a witness could count twice
                raise InvalidData(f"{_shown(member)} is a member a second time")
            self.members.add(member)
        self.groups[self._new(name)] = Group(needed, tuple(members))

    def _quorum(self, words: Sequence[str]) -> None:
        if len(words) != 1:
            raise InvalidData("it is not: quorum NAME")
        if self.quorum:
            raise InvalidData("the policy has two quorum lines")
        if words[0] != NONE:
            self._require_defined(words[0])
        self.quorum = words[0]

    def _key(self, text: str, kinds: Sequence[int]) -> Verifier:
        key = parse_vkey(text)
        if key.kind not in kinds:
            raise InvalidData("the key is of a kind that cannot sign here")
        if key.public in self.keys:
            raise InvalidData("the key stands here a second time")
        self.keys.add(key.public)
        return key

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise InvalidData(f"{_shown(name)} is defined already")
        return name

    def _require_defined(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise InvalidData(f"{_shown(name)} is not defined on a line before")

    def _reached(self, key: Verifier, url: Sequence[str]) -> None:
        if url:
            self.urls[key.vkey] = url[0]


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
