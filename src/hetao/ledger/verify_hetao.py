#!/usr/bin/env python3
"""Check a Hetao certificate with nothing but Python 3.9 or newer: one file, no library.

The one file is what `hetao certificate export --verifier` writes: this text, with that
of `verify_signatures.py` in place of its import.

    python3 verify_hetao.py certificate.json [--policy POLICY] [--key NAME=HEX …]

It holds a certificate against the signatures and logs in it. It is written apart from
the `hetao` package, shares no line with it, and may be read in one sitting. What it
leaves out is said at the end of what it prints, and in NOT_CHECKED.

Exit code 0: all that is checked here holds. 6: something does not. 2: called wrongly.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import decimal
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from hetao.ledger.verify_signatures import Refused, holds, holds_44, need

TYPE = "hetao.certificate/3"
BODY = "type software issued study permit run sites lost rounds findings smallest_shown"
BODY += " rounded_to checks review"
RELEASE, TOTAL, EXTRACT = "hetao.release/2", "hetao.total/1", "hetao.extract/1"
ACTS = "type site at snapshot dictionary vocabulary mapping acts people root"
LATEST = 3600  # seconds between a certificate's date and its cosignatures
LARGEST = 512 * 2**20
ODD = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError)
DOMAIN = b"hetao-statement-v1\n"
NOT_CHECKED = (
    "that the approvals in the permit hold: whether they are enough, by whom, and when",
    "that the output checkers' votes hold, and are those that the permit asks",
    "that each release was of a class, a code and checks that the permit allows",
    "that the integers are as many as the hubs say, with a part of each member",
    "that a site's numbers were lowered or rounded no more than is said",
    "second signatures (ML-DSA-44) of sites' logs, or where your policy lists no key",
    "that a permit's witnesses saw the extracts",
    "that anybody but both hubs saw the issuer's log, unless your policy asks for it",
    "that the findings follow from the integers",
    "whether the certificate was revoked since (ask its issuer for status.json)",
    "`hetao verify` checks these. No program checks that hospitals' records are true",
)


def placed(said: dict[str, Any], place: dict[str, Any], what: str) -> None:
    """Return quietly if a record is of this place."""
    need(all(said[k] == v for k, v in place.items()), f"{what} belongs elsewhere")


# --- canonical JSON, RFC 8785 ---------------------------------------------------------
def canonical(value: Any) -> bytes:
    """Return the one text of a JSON value."""
    return _text(value).encode("utf-8")


def _text(value: Any) -> str:
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        need(abs(value) < 2**53, "a number is too large")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{_text(key)}:{_text(value[key])}" for key in keys) + "}"


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
    need(canonical(value) == data, "the text is not in canonical form")
    return value


def digest(value: Any) -> str:
    """Return the digest of a value's one text."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


# --- base64, one spelling of each -----------------------------------------------------
def unbase64(text: str) -> bytes:
    """Return the bytes of a text in base64."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another form")
    return data


def url64(data: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# --- the log: RFC 6962, C2SP signed-note, tlog-cosignature, tlog-proof ----------------
def root_of(index: int, size: int, entry: bytes, path: list[bytes]) -> bytes:
    """Return the root that a path leads to from an entry."""
    need(0 <= index < size, "the entry lies outside the log")
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


def stands(entry: Any, proof: dict[str, Any], note: Note, what: str) -> None:
    """Return quietly if an entry stands at its place in a log."""
    path = [bytes.fromhex(node) for node in proof["path"]]
    reached = root_of(proof["index"], note.size, canonical(entry), path)
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
        need(bool(blank) and lines.pop() == "" and lines != [], "a note is malformed")
        self.text, self.lines = text + "\n", []
        for line in lines:
            dash, name, packed = line.split(" ")
            need(dash == "\u2014", "a signature line is malformed")
            self.lines.append((name, unbase64(packed)))
        self.origin, size, root = text.split("\n")
        need(size.isascii() and str(int(size)) == size, "a size is malformed")
        self.size, self.root = int(size), unbase64(root)

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
        before = [key for _, _, key in [*self.logs, *self.eyes.values()]]
        need(raw[1:] not in before, "a key stands twice in the policy")
        return name, raw[0], raw[1:]

    def check(self, note: Note) -> str:
        """Return a sentence if a note has all that is asked for."""
        signed = [key for key in self.logs if note.signed(*key) is not None]
        kinds = {kind for name, kind, _ in signed if name == note.origin}
        need(bool(kinds), "the log is not one of your policy")
        asked = {kind for name, kind, _ in self.logs if name == note.origin}
        lacks = "".join(("Ed25519", "ML-DSA-44")[kind == 6] for kind in asked - kinds)
        need(not lacks, f"the {lacks} line of the log, which you list, is missing")
        held = {n: note.signed(*key) is not None for n, key in self.eyes.items()}
        seen = ", ".join(name for name, saw in held.items() if saw) or "nobody"
        for name, (needed, members) in self.groups.items():
            held[name] = sum(held[one] for one in members) >= needed
        held["none"] = True
        need(held[self.quorum], f"your policy's quorum {self.quorum} is not reached")
        second = "its ML-DSA-44 line holds" if 6 in kinds else "no ML-DSA-44 key listed"
        return f"seen by {seen}; of the log, {second}"


def check_policy(text: str, note: Note) -> str:
    """Return a sentence if a note satisfies a policy."""
    try:
        return Policy(text).check(note)
    except ODD as error:
        raise Refused("your policy is malformed") from error


# --- the certificate ------------------------------------------------------------------
class Certificate:
    """A certificate, and the steps in which it is checked."""

    def __init__(self, data: bytes) -> None:
        """Read a certificate's text."""
        value = read(data)
        need(set(value) == {"body", "log", "signature", "sums"}, "not a certificate")
        self.body, self.log, self.sums = value["body"], value["log"], value["sums"]
        self.signature = value["signature"]
        need(self.body.get("type") == TYPE, f"no {TYPE}; `hetao verify` knows others")
        need(set(self.body) == set(BODY.split()), "the body holds other fields")
        self.permit = self.body["permit"]["permit"]
        named = [(party["name"], party) for party in self.permit["parties"]]
        self.parties: dict[str, dict[str, str]] = dict(named)
        need(len(self.parties) == len(named), "a party stands twice")
        self.hubs = [p["name"] for p in self.parties.values() if p["role"] == "hub"]
        bosses = [p for p in self.parties.values() if p["role"] == "coordinator"]
        need(len(bosses) == 1 and len(self.hubs) == 2, "not one coordinator, two hubs")
        self.boss, self.demands = bosses[0], bool(self.permit.get("committed"))

    def key(self, name: str) -> bytes:
        """Return a party's key, as the permit names it."""
        return unbase64(self.parties[name]["sign"])

    def fingerprints(self) -> dict[str, str]:
        """Return sixteen hex digits of each party's key."""
        return {n: hashlib.sha256(self.key(n)).hexdigest()[:16] for n in self.parties}

    def says(self, name: str, statement: dict[str, Any]) -> dict[str, Any]:
        """Return what a party signed."""
        need(set(statement) == {"body", "signature"}, "a statement is malformed")
        message = DOMAIN + canonical(statement["body"])
        good = holds(self.key(name), unbase64(statement["signature"]), message)
        need(good, f"{name} did not sign what stands here")
        return dict(statement["body"])

    def issuer(self) -> str:
        """Check the issuer's signature over body and log."""
        signed = {"type": "hetao.signed-certificate/1", "body": digest(self.body)}
        whole = {"body": {**signed, "log": self.log}, "signature": self.signature}
        self.says(self.boss["name"], whole)
        study = digest(self.body["study"])
        need(self.permit["study"] == study, "the permit is for another study")
        return f"{self.boss['name']} signed exactly this text"

    def logged(self) -> str:
        """Check the credential in the issuer's log, and both hubs' cosignatures."""
        name, key = self.boss["name"], self.key(self.boss["name"])
        need(set(self.log) == {"credential", "proof"}, "the log's part is malformed")
        index, path, note = read_proof(self.log["proof"])
        credential = self.log["credential"]
        signed, _, last = credential.rpartition(".")
        wanted = ".".join(map(url64, map(canonical, self._claims(key, index))))
        need(signed == wanted, "the credential says something else than this file")
        raw = base64.b64decode(last + "=" * (-len(last) % 4), b"-_", validate=True)
        need(url64(raw) == last, "the credential's signature is spelt otherwise")
        need(holds(key, raw, signed.encode()), "the credential is not its issuer's")
        need(note.origin == name, "the log bears another name")
        need(note.signed(name, 1, key) == 0, "the log did not sign its checkpoint")
        reached = root_of(index, note.size, credential.encode("ascii"), path)
        need(reached == note.root, "the certificate does not stand in the log")
        issued = datetime.datetime.strptime(self.body["issued"], "%Y-%m-%dT%H:%M:%S%z")
        for hub in self.hubs:
            seen = note.signed(hub, 4, self.key(hub))
            near = seen is not None and abs(seen - issued.timestamp()) <= LATEST
            need(near, f"{hub} did not cosign the log when it was issued")
        return f"entry {index} of its issuer's log, seen by {' and '.join(self.hubs)}"

    def _claims(self, key: bytes, index: int) -> tuple[Any, Any]:
        """Return header and claims of the one credential of this certificate."""
        issuer, body, name = _did(key), self.body, digest(self.body)
        terms = "HetaoCertificate body checks findings permit sites software study"
        context = {term: f"urn:hetao:terms#{term}" for term in terms.split()}
        short = issuer.rpartition(":")[2]
        bit = {"statusListIndex": str(index), "type": "BitstringStatusListEntry"}
        subject = {k: digest(body[k]) for k in ("checks", "findings", "study")}
        subject |= {"body": name, "permit": digest(self.permit)}
        subject |= {"id": f"urn:hetao:run:{body['run']}", "software": body["software"]}
        url = f"urn:hetao:status:{short}:"
        sites = sorted(one["name"] for one in body["sites"])
        header = {"alg": "EdDSA", "cty": "vc", "kid": f"{issuer}#{short}"}
        return {**header, "typ": "vc+jwt"}, {
            "@context": ["https://www.w3.org/ns/credentials/v2", context],
            "credentialStatus": [
                {**bit, "statusPurpose": one, "statusListCredential": url + one}
                for one in ("revocation", "suspension")
            ],
            "credentialSubject": {**subject, "sites": sites},
            "id": f"urn:hetao:certificate:{name}",
            "issuer": {"id": issuer, "name": self.boss["name"]},
            "type": ["VerifiableCredential", "HetaoCertificate"],
            "validFrom": body["issued"],
        }

    def place(self) -> dict[str, Any]:
        """Return what each signed record of this run must name."""
        permit = {"study": self.permit["study"], "permit": digest(self.permit)}
        return {**permit, "run": self.body["run"]}

    def courses(self) -> str:
        """Check that each analysis of the study has a finding over its own rounds."""
        asked = [one["name"] for one in self.body["study"]["analyses"]]
        found = [one["analysis"] for one in self.body["findings"]]
        need(bool(asked) and asked == found, "the findings are not those of the study")
        extra = {one["analysis"] for one in self.body["rounds"]} - set(asked)
        need(not extra, "a round is of no analysis of the study")
        logged = {one["name"] for one in self.body["sites"]} - set(self.body["lost"])
        for finding in self.body["findings"]:
            name, members = finding["analysis"], finding["members"]
            own = [one for one in self.body["rounds"] if one["analysis"] == name]
            need(bool(own), f"{name} has no round")
            last = max(one["attempt"] for one in own)
            course = [one for one in own if one["attempt"] == last]
            told = [(number, members) for number in range(finding["rounds"])]
            whole = [(one["round"], one["members"]) for one in course] == told
            need(whole, f"{name} lacks a round, or one is of other members")
            need(set(members) <= logged, f"{name} counts a site that has no log here")
        return f"{len(found)} findings, each over the rounds of its own analysis"

    def releases(self) -> str:
        """Check each site's releases and each hub's sums, and that they fit."""
        seen: set[Any] = set()
        for one in self.body["rounds"]:
            task, members = one["task"], one["members"]
            at = (one["analysis"], one["attempt"], one["round"])
            need(seen.isdisjoint((task, at)), f"{task} stands twice")
            seen |= {task, at}
            need(bool(members), f"{task} has no member")
            need(sorted(one["receipts"]) == sorted(members), f"{task} lacks a release")
            need(sorted(one["totals"]) == sorted(self.hubs), f"{task} lacks a sum")
            said = {s: self.says(s, r) for s, r in one["receipts"].items()}
            place = {**self.place(), "task": task, "analysis": one["analysis"]}
            place |= {"attempt": one["attempt"], "round": one["round"]}
            sum_of = {**place, "type": RELEASE, "kind": "sum", "members": members}
            for site, body in said.items():
                need(self.parties[site]["role"] == "site", f"{site} is not a site")
                placed(body, {**sum_of, "site": site}, f"a release in {task}")
            for hub in self.hubs:
                total = self.says(hub, one["totals"][hub])
                shares = {site: body["shares"][hub] for site, body in said.items()}
                placed(total, {**place, "type": TOTAL, "hub": hub}, f"a sum in {task}")
                need(total["shares"] == shares, f"{task} sums other shares")
        count = sum(len(one["receipts"]) for one in self.body["rounds"])
        return f"{count} releases, each signed by its site; sums of exactly these"

    def integers(self) -> str:
        """Check the integers that are shown against the digests that hubs signed."""
        rounds = {one["task"]: one for one in self.body["rounds"]}
        need(set(self.sums) <= set(rounds), "integers of a round that is not certified")
        for task, parts in self.sums.items():
            need(set(parts) == set(self.hubs), f"{task} shows other integers")
            for hub, part in parts.items():
                total = rounds[task]["totals"][hub]["body"]
                need(set(part) == {"words", "tag"}, f"{task} shows other fields")
                shown = {"words": unbase64(part["words"])}
                shown["tag"] = bytes.fromhex(part["tag"])
                for field, raw in shown.items():
                    named = "sha256:" + hashlib.sha256(raw).hexdigest()
                    good = total[field] == named
                    need(good, f"{hub} signed another {field} in {task}")
        return f"the integers of {len(self.sums)} of {len(rounds)} sums are as signed"

    def sites(self) -> str:
        """Check that every release stands in the log of its site."""
        told = [(one["task"], one["receipts"]) for one in self.body["rounds"]]
        receipts = {(site, task): r for task, by in told for site, r in by.items()}
        bound = 0
        for entry in self.body["sites"]:
            site, note = entry["name"], Note(entry["checkpoint"])
            good = note.signed(site, 1, self.key(site)) == 0 and note.origin == site
            need(good, f"the checkpoint of {site} is not its own")
            own, places = dict[str, Any](), [one["index"] for one in entry["proofs"]]
            for proof in entry["proofs"]:
                receipt = receipts.pop((site, proof["task"]), None)
                if receipt is None:  # of an attempt that was given up for a later one
                    name, number, _ = proof["task"].rsplit("/", 2)
                    others = [r for r in self.body["rounds"] if r["analysis"] == name]
                    later = [r for r in others if r["attempt"] > int(number)]
                    need(bool(later), f"a release of {site} is left out")
                    continue
                own[proof["task"]] = receipt
                stands(receipt, proof, note, f"a release of {site}")
            bound += self._extract(entry, note, places)
            self._chain(entry, own)
        left = {site for site, _ in receipts} - set(self.body["lost"])
        need(not left, f"a release of {', '.join(sorted(left))} has no place in a log")
        logs = f"in the log of its site ({len(self.body['sites'])} logs)"
        return f"every release {logs}, citing the one before; {bound} had committed"

    def _extract(self, entry: dict[str, Any], note: Note, places: list[int]) -> bool:
        """Check that a site's extract was in its log before any release."""
        site, extract = entry["name"], entry["extract"]
        fields = "index path record" + " seen then growth" * self.demands
        if extract is None:
            need(not self.demands, f"{site} had not committed to its extract")
            return False
        need(set(extract) == set(fields.split()), f"the extract of {site} is malformed")
        said = self.says(site, extract["record"])
        need(set(said) == set(ACTS.split()), f"the extract of {site} says other fields")
        place = {"type": EXTRACT, "site": site, "snapshot": entry["snapshot"]}
        placed(said, place, f"the extract of {site}")
        stands(extract["record"], extract, note, f"the extract of {site}")
        early = all(extract["index"] < one for one in places)
        need(early, f"{site} committed to its extract after a release")
        return True

    def _chain(self, entry: dict[str, Any], own: dict[str, Any]) -> None:
        """Check what a site said first and last, and each citation in between."""
        site, inputs = entry["name"], dict[str, Any]()
        first = {"dictionary": self.body["study"]["dictionary"]}
        told = {"ready": ("snapshot", "policy"), "closing": ("checkpoint", "proofs")}
        last = {"quality": entry["quality"]}
        if entry["concepts"]:
            first["concepts"] = entry["concepts"]
        if entry["extract"] is not None:
            last["extract"] = bound = entry["extract"]
            cited = {"record": bound["record"], "seen": bound.get("seen")}
            first["extract"] = digest(cited if self.demands else bound["record"])
        for kind, more in (("ready", first), ("closing", last)):
            content = {"site": site, **more, **{k: entry[k] for k in told[kind]}}
            place = {**self.place(), "type": RELEASE, "site": site, "kind": kind}
            place["content"] = digest(content)
            placed(self.says(site, entry[kind]), place, f"the {kind} of {site}")
        for task, receipt in own.items():
            body = receipt["body"]
            name, attempt, number = task.rsplit("/", 2)
            before = own.get(f"{name}/{attempt}/{int(number) - 1}")
            before = before if int(number) else entry["ready"]
            cites = before is not None and body["cites"] == digest(before)
            need(cites, f"{site} does not cite what went before {task}")
            same = inputs.setdefault(name, body["input"]) == body["input"]
            need(same, f"{site} took other rows in {task} than before")
            for field in ("policy", "snapshot"):
                need(body[field] == entry[field], f"{site} released by another {field}")


def _did(key: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, digits = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = alphabet[rest] + digits
    return f"did:key:z{digits}"


def verify(
    data: bytes, policy: str | None = None, keys: dict[str, str] | None = None
) -> list[str]:
    """Return a sentence for each step that holds; else, whatever the input, Refused.

    `policy` is the text of the reader's own C2SP tlog-policy; `keys` is party → sixteen
    hex digits that the reader had from it by another way.
    """
    try:
        found = Certificate(data)
        prints = found.fingerprints()
        for name, told in (keys or {}).items():
            need(prints.get(name) == told, f"the key of {name} is another one")
        said = [f"the text is canonical, {len(data)} bytes"]
        said += [found.issuer(), found.releases(), found.integers(), found.sites()]
        said += [found.courses(), found.logged()]
        if policy is not None:
            said.append(check_policy(policy, read_proof(found.log["proof"])[2]))
    except ODD as error:
        raise Refused("it is malformed") from error
    return said


def main(words: list[str] | None = None) -> int:
    """Check a file and say what holds."""
    parser = argparse.ArgumentParser(description="check a Hetao certificate")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--policy", type=Path, help="your own C2SP tlog-policy")
    parser.add_argument("--key", action="append", default=[], metavar="NAME=HEX")
    chosen = parser.parse_args(words)
    try:
        data = chosen.certificate.read_bytes()
        own = chosen.policy.read_bytes() if chosen.policy else None
        policy = None if own is None else own.decode("utf-8", "surrogateescape")
        keys = dict(one.split("=", 1) for one in chosen.key)
        steps, found = verify(data, policy, keys), Certificate(data)
    except Refused as error:
        sys.stdout.write(_shown(f"REFUSED  {error}\n"))
        return 6
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = [f"{number:>3}  {step}" for number, step in enumerate(steps, 1)]
    told = {n: f for n, f in found.fingerprints().items() if n not in keys}
    compare = "     these keys come from the file itself; compare with the parties:"
    lines += [compare] * bool(told) + [f"       {told[name]}  {name}" for name in told]
    lines += ["     not checked here:", *(f"       - {line}" for line in NOT_CHECKED)]
    lines.append(f"VERIFIED  {found.body['study'].get('title', '')}")
    sys.stdout.write(_shown("\n".join(lines) + "\n"))
    return 0


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


if __name__ == "__main__":
    sys.exit(main())
