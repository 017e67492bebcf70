"""The texts that `verify_hetao.py` reads: canonical JSON, base64, logs and policies.

It shares no line with the package. In the one file that `hetao certificate export
--verifier` writes, this stands in it.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import hashlib
import json
import math
import re
from typing import Any

from hetao.ledger.verify_signatures import (
    Refused,
    holds,
    holds_44,
    is_strong,
    need,
)

# --- canonical JSON, RFC 8785 ---------------------------------------------------------
LARGEST = 512 * 2**20  # bytes of a certificate
DEEPEST = 100  # how deep it may be nested
# What a text that is none raises, wherever in it.
ODD = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError)
# Python's own text of what JSON holds is the canonical one, but for numbers that it
# writes with an exponent or as 1.0, and for the order of keys beyond the basic plane.
PLAIN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
OTHERWISE = re.compile(r"[:,\[]-?(?:\d[\d.]*(?:e[-+]|\.0(?!\d))|NaN|Infinity)")
BEYOND = range(0xF0, 0xF5)  # how UTF-8 begins such a character


def canonical(value: Any) -> bytes:
    """Return the one text of a JSON value."""
    text = PLAIN.encode(value)
    data = text.encode("utf-8")
    if not OTHERWISE.search(f":{text}") and not any(byte in data for byte in BEYOND):
        return data
    if isinstance(value, float):
        return _number(value).encode("utf-8")
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if not isinstance(value, dict):
        return data
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    parts = [canonical(key) + b":" + canonical(value[key]) for key in keys]
    return b"{" + b",".join(parts) + b"}"


def _number(value: float) -> str:
    need(math.isfinite(value), "a number is not finite")
    if value == 0:
        return "0"
    minus, numbers, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    sign, digits, count = "-" * minus, "".join(map(str, numbers)), len(numbers)
    point = count + int(exponent)
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    at = point if 0 < point <= 21 else 1
    shown = sign + digits[:at].ljust(at, "0") + "." * (count > at) + digits[at:]
    return shown if at == point else f"{shown}e{point - 1:+d}"


def _whole(text: str) -> float:
    small = len(text) <= 17 and abs(int(text)) < 2**53
    return int(text) if small else float(text)


def read(data: bytes) -> Any:
    """Return the value of a text that is in canonical form."""
    need(len(data) <= LARGEST, "the file is larger than a certificate can be")
    value = json.loads(data.decode("utf-8"), parse_int=_whole)
    need(_deep(value) <= DEEPEST, "the text is nested too deeply")
    need(canonical(value) == data, "the text is not in canonical form")
    return value


def _deep(value: Any) -> int:
    """Return how deep a value is nested, 0 for a text or a number."""
    deep, level = 0, [value]
    while True:
        inner = [one for one in level if isinstance(one, (dict, list))]
        if not inner:
            return deep
        parts = [one.values() if isinstance(one, dict) else one for one in inner]
        deep, level = deep + 1, [item for part in parts for item in part]


def digest(value: Any) -> str:
    """Return the digest of a value's one text."""
    return name_of(canonical(value))


def name_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- base64, hex, keys and times, one spelling of each --------------------------------
def unbase64(text: str) -> bytes:
    """Return the bytes of a text in base64."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another form")
    return data


def unhex(text: str) -> bytes:
    """Return the bytes of a text in hex."""
    data = bytes.fromhex(text)
    need(data.hex() == text, "hex in another form")
    return data


def url64(data: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def did_key(key: bytes) -> str:
    """Return an Ed25519 key as a did:key, whose numbers are in base58."""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, digits = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = alphabet[rest] + digits
    return f"did:key:z{digits}"


def seconds(time: str) -> float:
    """Return a UTC time, of the one form, as seconds since 1970."""
    need(len(time) == 20 and time[-1] == "Z", "a time is written in another form")
    when = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S%z")
    need(when.strftime("%Y-%m-%dT%H:%M:%SZ") == time, "a time is spelt otherwise")
    need("1000" <= time < "3000", "a time lies outside of what is read")
    return when.timestamp()


# --- the log: RFC 6962, C2SP signed-note, tlog-cosignature, tlog-proof ----------------
def root_of(index: int, size: int, entry: bytes, path: list[bytes]) -> bytes:
    """Return the root that a path leads to from an entry."""
    whole = type(index) is int and 0 <= index < size
    need(whole, "the entry lies outside the log")
    at, last, reached = index, size - 1, hashlib.sha256(b"\x00" + entry).digest()
    for sibling in path:
        need(last > 0, "the path is longer than the log is deep")
        if at & 1 or at == last:
            reached = hashlib.sha256(b"\x01" + sibling + reached).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            reached = hashlib.sha256(b"\x01" + reached + sibling).digest()
        at, last = at >> 1, last >> 1
    need(last == 0, "the path is shorter than the log is deep")
    return reached


def stands(entry: bytes, proof: dict[str, Any], note: Note, what: str) -> None:
    """Return quietly if an entry stands at its place in a log."""
    path = [unhex(node) for node in proof["path"]]
    reached = root_of(proof["index"], note.size, entry, path)
    need(reached == note.root, f"{what} does not stand in its log")


def key_id(name: str, kind: int, key: bytes) -> bytes:
    """Return the four bytes by which a note's line names its key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


class Note:
    """A checkpoint with its signatures."""

    def __init__(self, note: str) -> None:
        """Read a note."""
        text, blank, tail = note.rpartition("\n\n")
        lines = tail.split("\n")
        good = bool(blank) and lines.pop() == "" and 1 <= len(lines) <= 100
        need(good, "a note is malformed")
        self.text, self.lines = text + "\n", []
        for line in lines:
            dash, name, packed = line.split(" ")
            plain = name.split() == [name] and "+" not in name and min(name) >= " "
            need(dash == "\u2014" and plain, "a signature line is malformed")
            self.lines.append((name, unbase64(packed)))
            need(len(self.lines[-1][1]) > 4, "a signature line is too short")
        self.origin, size, root = text.split("\n")
        need(size.isascii() and str(int(size)) == size, "a size is malformed")
        self.size, self.root = int(size), unbase64(root)
        whole = 0 <= self.size < 2**63 and len(self.root) == 32
        need(whole, "a checkpoint's size or root is none")

    def signed(self, name: str, kind: int, key: bytes) -> int | None:
        """Return when a key signed (0 for a log's), None if no line bears its name."""
        known, times = key_id(name, kind, key), []
        for who, data in self.lines:
            if (who, data[:4]) != (name, known):
                continue
            rest, when, message = data[4:], 0, self.text.encode()
            if kind != 1:
                when, rest = int.from_bytes(rest[:8], "big"), rest[8:]
                message = f"cosignature/v1\ntime {when}\n{self.text}".encode()
            need(when < 2**63, f"the time of {name} in the log is none")
            if kind == 6:
                place = [when.to_bytes(8, "big"), _counted(self.origin), bytes(8)]
                place += [self.size.to_bytes(8, "big"), self.root]
                message = b"subtree/v1\n\0" + _counted(name) + b"".join(place)
            good = (holds_44 if kind == 6 else holds)(key, rest, message)
            need(good, f"the signature of {name} in the log does not hold")
            times.append(when)
        return min(times) if times else None


def _counted(name: str) -> bytes:
    return bytes([len(name.encode())]) + name.encode()


def read_proof(text: str) -> tuple[int, list[bytes], Note]:
    """Return index, path and note of a tlog-proof."""
    head, _, note = text.partition("\n\n")
    first, index, *path = head.split("\n")
    need(first == "c2sp.org/tlog-proof@v1", "the proof is none")
    number = index[len("index ") :]
    need(index == f"index {int(number)}", "the proof's index is malformed")
    return int(number), [unbase64(one) for one in path], Note(note)


# --- whom the reader believes: C2SP tlog-policy ---------------------------------------
HUBS = "hubs"  # said in place of a policy's file: both hubs alone suffice
NOBODY = ", NOBODY INDEPENDENT"
Parties = dict[str, dict[str, str]]  # name → what a permit says of a party
Key = tuple[str, int, bytes]  # name, kind (1 log, 4 witness, 6 ML-DSA-44), public key


class Policy:
    """A reader's own logs, witnesses and quorum, each named apart from the others."""

    def __init__(self, text: str) -> None:
        """Read a policy; what `hetao` refuses in one is refused."""
        self.logs: list[Key] = []
        self.eyes: dict[str, Key] = {}  # name in the policy → a witness's key
        self.groups, self.quorum = dict[str, tuple[int, list[str]]](), ""
        need(len(text.encode("utf-8", "replace")) <= 2**20, "the policy is over 1 MiB")
        text = text.replace("\t", " ")
        plain = not any(one < " " or one == "\x7f" for one in text.replace("\n", ""))
        need(plain and text.endswith("\n"), "the policy is cut short or holds controls")
        for line in text.split("\n"):
            what, *rest = line.strip(" ").split(" ")
            if what and not what.startswith("#"):
                self._take(what, [word for word in rest if word])
        need(bool(self.quorum), "your policy has no quorum")

    def _take(self, what: str, rest: list[str]) -> None:
        many = {"log": (1, 2), "witness": (2, 3), "quorum": (1, 1), "group": (3, 2**20)}
        least, most = many.get(what, (1, 0))
        need(least <= len(rest) <= most, "a line of the policy is malformed")
        named = {*self.eyes, *self.groups}
        if what == "log":
            self.logs.append(self._key(rest[0], 1))
        elif what == "quorum":
            good = not self.quorum and rest[0] in {*named, "none"}
            need(good, "a quorum of the policy is named twice or names nobody")
            self.quorum = rest[0]
        else:
            need(rest[0] not in {*named, "none"}, "a name stands twice in the policy")
            if what == "witness":
                self.eyes[rest[0]] = self._key(rest[1], 4)
            else:
                self.groups[rest[0]] = self._group(rest[1], rest[2:], named)

    def _group(
        self, rule: str, members: list[str], named: set[str]
    ) -> tuple[int, list[str]]:
        needed = {"all": len(members), "any": 1}.get(rule, 0)
        if not needed:
            need(rule.isascii() and str(int(rule)) == rule, "a group is malformed")
            needed = int(rule)
        need(1 <= needed <= len(members), "a group asks for more than it has")
        taken = [one for _, group in self.groups.values() for one in group] + members
        need(len(taken) == len(set(taken)), "a witness would count twice in the policy")
        need(set(members) <= named, "a group names whom the policy does not yet name")
        return needed, members

    def _key(self, vkey: str, kind: int) -> Key:
        name, known, packed = vkey.split("+", 2)  # base64 may hold a plus
        raw = unbase64(packed)
        good = (raw[0], len(raw)) in {(kind, 33), (6, 1313)}
        good &= name.split() == [name] and (raw[0] != 6 or len(name.encode()) < 256)
        good &= known == key_id(name, raw[0], raw[1:]).hex()
        need(good, "a key of the policy is malformed, or of another kind")
        need(raw[0] == 6 or is_strong(raw[1:]), "a key of the policy proves nothing")
        before = [key for _, _, key in [*self.logs, *self.eyes.values()]]
        need(raw[1:] not in before, "a key stands twice in the policy")
        return name, raw[0], raw[1:]

    def check(self, note: Note, parties: Parties) -> str:
        """Return a sentence if a note has all that is asked for.

        `parties` took part in the study, by their names; they are not independent.
        """
        signed = [key for key in self.logs if note.signed(*key) is not None]
        kinds = {kind for name, kind, _ in signed if name == note.origin}
        need(bool(kinds), "the log is not one of your policy")
        asked = {kind for name, kind, _ in self.logs if name == note.origin}
        lacks = "".join(("Ed25519", "ML-DSA-44")[kind == 6] for kind in asked - kinds)
        need(not lacks, f"the {lacks} line of the log, which you list, is missing")
        held = {n: note.signed(*key) is not None for n, key in self.eyes.items()}
        seen = ", ".join(name for name, saw in held.items() if saw) or "nobody"
        keys = [unbase64(one["sign"]) for one in parties.values()]
        others = [n for n, (name, _, key) in self.eyes.items()
                  if name not in parties and key not in keys]  # fmt: skip
        alone = "" if any(held[name] for name in others) else NOBODY
        for name, (needed, members) in self.groups.items():
            held[name] = sum(held[one] for one in members) >= needed
        held["none"] = True
        need(held[self.quorum], f"your policy's quorum {self.quorum} is not reached")
        second = "its ML-DSA-44 line holds" if 6 in kinds else "no ML-DSA-44 key listed"
        return f"seen by {seen}{alone}; of the log, {second}"


def check_policy(text: str, note: Note, parties: Parties) -> str:
    """Return a sentence if a note satisfies a policy."""
    try:
        return Policy(text).check(note, parties)
    except ODD as error:
        raise Refused("your policy is malformed") from error
