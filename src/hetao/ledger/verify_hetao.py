#!/usr/bin/env python3
"""Check a Hetao certificate with nothing but Python 3.9 or newer: one file, no library.

The one file is what `hetao certificate export --verifier` writes: this text, and before
it those of `verify_signatures.py` and `verify_log.py`.

    python3 verify_hetao.py certificate.json --policy POLICY [--key NAME=HEX …]

It holds a certificate, of a study that ended well or was revoked, against the
signatures and logs in it. It is written apart from the `hetao` package, shares no line
with it, and may be read in one sitting. What it leaves out is said at the end of what
it prints, and in NOT_CHECKED and NOT_CHECKED_REVOKED.

Exit code 0: all that is checked here holds. 6: something does not. 7: all holds, but
does not count, for no witnesses are named. 4: a file cannot be read. 2: called wrongly.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hetao.ledger.verify_log import (
    HUBS,
    NOBODY,
    ODD,
    Note,
    Parties,
    canonical,
    check_policy,
    did_key,
    digest,
    name_of,
    read,
    read_proof,
    root_of,
    seconds,
    stands,
    unbase64,
    unhex,
    url64,
)
from hetao.ledger.verify_signatures import Refused, holds, is_sealing, is_strong, need

# --- what a certificate holds ---------------------------------------------------------
CURVED = ("ed25519", "passkey")  # kinds of keys that may be points of Ed25519
ED25519 = bytes.fromhex("06032b6570")  # how a key's DER says so
TYPE = "hetao.certificate/3"
BODY = "type software issued study permit run sites lost rounds findings smallest_shown"
BODY += " rounded_to checks review"
REVOKED, NOTICE = "hetao.revoked-certificate/1", "hetao.notice/2"
REVOKING = ("revoke", "withdraw")
ROUND = "task analysis protocol attempt round members receipts totals"
SITE = "name side snapshot policy concepts ready quality checkpoint proofs extract"
SITE += " closing"
FINDING = "analysis members rounds withheld finding"
BODY_REVOKED = "type software issued study permit run revoked rounds"
RELEASE, TOTAL, EXTRACT = "hetao.release/2", "hetao.total/1", "hetao.extract/1"
COUNT, COUNTED = "sealed_count", "hetao.sealed-count/1"  # protocol; what hubs sign
PEOPLE, SITES = "count", "sites"  # how a sealed count's task ends: what was counted
ACTS = "type site at snapshot dictionary vocabulary mapping acts people root"
LATEST = 3600  # seconds between a certificate's date and its cosignatures
SKEW = 300  # seconds that clocks may differ
DOMAIN = b"hetao-statement-v1\n"
UNCOUNTED = 7  # exit code
A_PAGE = "it is a page, for people to read; give the .json that was written beside it"
UNNAMED = "HOLDS, BUT DOES NOT COUNT: NO WITNESSES OF YOURS ARE NAMED"
HOW = (
    "     for it to count, name your own witnesses and quorum, --policy FILE,",
    "     as `hetao witness policy` writes it;",
    "     or say --policy hubs if both hubs, parties of the study, are enough",
)
NOT_CHECKED = (
    "that the approvals in the permit hold: whether they are enough, by whom, and when",
    "that the output checkers' votes hold, and are those that the permit asks",
    "that each release was of a class, a code and checks that the permit allows",
    "that the integers are as many as the hubs say, with a part of each member",
    "that a site's numbers were lowered or rounded no more than is said",
    "second signatures (ML-DSA-44) of sites' logs, or where your policy lists no key",
    "that a permit's witnesses saw the extracts",
    "that anybody but both hubs saw the issuer's log, unless your policy asks for it",
    "that the findings follow from the integers, and pass the checks that are said",
    "that a sealed count is there where one had to be, and of all combinations",
    "whether the certificate was revoked since (ask its issuer for status.json)",
    "`hetao verify` checks these. No program checks that hospitals' records are true",
)
NOT_CHECKED_REVOKED = (
    "that the approvals in the permit held, and that no notice of it was left out",
    "that each release was of a class, a code and checks that the permit allowed",
    "that no more left a site, which is the issuer's word, and when it destroyed what "
    "it kept: ask for its own list, for `hetao verify --list`",
    *NOT_CHECKED[7:8],
    *NOT_CHECKED[10:],
)


def placed(said: dict[str, Any], place: dict[str, Any], what: str) -> None:
    """Return quietly if a record is of this place."""
    need(all(said[k] == v for k, v in place.items()), f"{what} belongs elsewhere")


# --- the certificate ------------------------------------------------------------------
class Certificate:
    """A certificate, and the steps in which it is checked."""

    def __init__(self, data: bytes) -> None:
        """Read a certificate's text."""
        need(not data[:99].lstrip().startswith(b"<"), A_PAGE)
        value, self.texts = read(data), dict[int, tuple[Any, bytes]]()
        need(set(value) == {"body", "log", "signature", "sums"}, "not a certificate")
        self.body, self.log, self.sums = value.pop("body"), value["log"], value["sums"]
        # The text is {"body":…,"log":…}: what is not the rest of it is the body's own.
        whole = data[len(b'{"body":') : -len(canonical(value))]
        self.name = name_of(whole)
        self.signature = value["signature"]
        self.revoked = self.body.get("type") == REVOKED
        known = self.revoked or self.body.get("type") == TYPE
        need(known, f"no {TYPE} nor {REVOKED}; `hetao verify` knows others")
        need(set(self.body["permit"]) == {"permit", "notices"}, "no permit's file")
        need(type(self.body["software"]) is str, "the software is no text")
        self.permit = self.body["permit"]["permit"]
        fields = set((BODY_REVOKED if self.revoked else BODY).split())
        if not self.revoked and any(
            p["name"] == COUNT for p in self.permit["protocols"]
        ):
            fields.add("sealed_counts")
        need(set(self.body) == fields, "the body holds other fields")
        need(not (self.revoked and self.sums), "a revoked study's shows integers")
        self.released = [*self.body["rounds"], *self.body.get("sealed_counts", [])]
        named = [(party["name"], party) for party in self.permit["parties"]]
        self.parties: Parties = dict(named)
        need(len(self.parties) == len(named), "a party stands twice")
        keys = [self.key(name) for name in self.parties]
        curved = [key for key in self.permit["keys"] if key["kind"] in CURVED]
        keys += filter(None, map(_half, curved))
        need(all(map(is_strong, keys)), "a key is of small order")
        seals = [p["seal"] for p in self.parties.values() if p.get("seal")]
        need(all(map(is_sealing, map(unbase64, seals))), "a seal is of small order")
        self.hubs = [p["name"] for p in self.parties.values() if p["role"] == "hub"]
        bosses = [p for p in self.parties.values() if p["role"] == "coordinator"]
        need(len(bosses) == 1 and len(self.hubs) == 2, "not one coordinator, two hubs")
        known = {
            one["side"] for one in (*self.parties.values(), *self.permit["persons"])
        }
        need(known <= {"HK", "SZ"}, "somebody is of no side")
        self.boss, self.demands = bosses[0], bool(self.permit.get("committed"))

    def steps(self) -> list[Callable[[], str]]:
        """Return the steps in their order; each returns a sentence, or is Refused."""
        if self.revoked:
            ends = [self.ended, self.releases, self.tainted]
            return [self.issuer, *ends, self.logged]
        parts = [self.releases, self.integers, self.sites, self.courses]
        return [self.issuer, *parts, self.logged]

    def key(self, name: str) -> bytes:
        """Return a party's key, as the permit names it."""
        return unbase64(self.parties[name]["sign"])

    def fingerprints(self) -> dict[str, str]:
        """Return sixteen hex digits of each party's key."""
        return {n: hashlib.sha256(self.key(n)).hexdigest()[:16] for n in self.parties}

    def text(self, statement: dict[str, Any]) -> bytes:
        """Return a statement's one text, which is written once and asked for often."""
        if id(statement) not in self.texts:
            self.texts[id(statement)] = statement, canonical(statement)
        return self.texts[id(statement)][1]

    def says(self, name: str, statement: dict[str, Any]) -> dict[str, Any]:
        """Return what a party signed.

        Of {"body":…,"signature":"…"}, with a signature in base64, it signed the body.
        """
        need(set(statement) == {"body", "signature"}, "a statement is malformed")
        text, signature = self.text(statement), unbase64(statement["signature"])
        tail = len(b',"signature":""}') + len(statement["signature"])
        message = DOMAIN + text[len(b'{"body":') : -tail]
        good = holds(self.key(name), signature, message)
        need(good, f"{name} did not sign what stands here")
        return dict(statement["body"])

    def issuer(self) -> str:
        """Check the issuer's signature over body and log."""
        signed = {"type": "hetao.signed-certificate/1", "body": self.name}
        whole = {"body": {**signed, "log": self.log}, "signature": self.signature}
        self.says(self.boss["name"], whole)
        study = digest(self.body["study"])
        need(self.permit["study"] == study, "the permit is for another study")
        return f"{self.boss['name']} signed exactly this text"

    def ended(self) -> str:
        """Check that an office of the permit revoked it, and when the body says."""
        notices = [one["body"] for one in self.body["permit"]["notices"]]
        places = [n for n, one in enumerate(notices) if one["verb"] in REVOKING]
        need(bool(places), "nobody has revoked the permit, or withdrawn from it")
        for place in places:
            self._notice(self.body["permit"]["notices"][place])
        times = [notices[n]["at"] for n in places]
        need(self.body["revoked"] == min(times), "it was revoked at another time")
        last, issued = max(map(seconds, times)), seconds(self.body["issued"])
        need(last <= issued + SKEW, "it was revoked after the certificate was issued")
        who = ", ".join(sorted({notices[n]["by"] for n in places}))
        return f"the permit was REVOKED at {min(times)}, by {who}"

    def _notice(self, statement: dict[str, Any]) -> None:
        """Check a notice that ends the permit: its signer, and the signer's office."""
        need(set(statement) == {"body", "signature"}, "a notice is malformed")
        said, by = statement["body"], statement["body"]["by"]
        (key,) = (one for one in self.permit["keys"] if one["name"] == said["key"])
        (person,) = (one for one in self.permit["persons"] if one["name"] == by)
        plain = key["kind"] == "ed25519" and "delegation" not in said
        need(plain, f"{by} revoked with a passkey, or for another: use `hetao verify`")
        place = {"type": NOTICE, "permit": digest(self.permit), "by": key["owner"]}
        placed(said, {**place, "side": person["side"]}, f"the notice of {by}")
        offices = [(one["side"], one["role"]) for one in self.permit["required"]]
        holds_it = said["role"] in person["roles"] and key["scope"] == "any"
        good = holds_it and (said["side"], said["role"]) in offices
        need(good, f"{by} spoke in an office that is not theirs")
        at, ends = seconds(said["at"]), [key["valid_until"], key["revoked_at"]]
        stood = seconds(key["valid_from"]) <= at
        stood &= all(at < seconds(end) for end in ends if end)
        need(stood, f"the key of {by} did not count when it signed")
        message = DOMAIN + canonical(said)
        good = holds(unbase64(key["public"]), unbase64(statement["signature"]), message)
        need(good, f"{by} did not sign the notice that stands here")

    def tainted(self) -> str:
        """Return what of the study somebody may have worked out."""
        names = [one["name"] for one in self.body["study"]["analyses"]]
        of = {one["analysis"] for one in self.body["rounds"]}
        need(of <= set(names), "a round is of no analysis of the study")
        said = ", ".join(name for name in names if name in of) or "nothing"
        return f"no finding was shown; TAINTED, whatever was worked out of: {said}"

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
        need(index == note.size - 1, "the log does not end with the certificate")
        issued = seconds(self.body["issued"])
        for hub in self.hubs:
            seen = note.signed(hub, 4, self.key(hub))
            near = seen is not None and abs(seen - issued) <= LATEST
            need(near, f"{hub} did not cosign the log when it was issued")
        return f"entry {index} of its issuer's log, seen by {' and '.join(self.hubs)}"

    def _claims(self, key: bytes, index: int) -> tuple[Any, Any]:
        """Return header and claims of the one credential of this certificate."""
        issuer, body, name = did_key(key), self.body, self.name
        own = {k: digest(body[k]) for k in ("checks", "findings") if not self.revoked}
        own |= {"revoked": body["revoked"]} if self.revoked else {}
        kind = "HetaoRevokedStudy" if self.revoked else "HetaoCertificate"
        terms = {kind, *own, "body", "permit", "sites", "software", "study"}
        context = {term: f"urn:hetao:terms#{term}" for term in terms}
        short = issuer.rpartition(":")[2]
        bit = {"statusListIndex": str(index), "type": "BitstringStatusListEntry"}
        subject = {"body": name, "permit": digest(self.permit), **own}
        subject |= {"study": digest(body["study"])}
        subject |= {"id": f"urn:hetao:run:{body['run']}", "software": body["software"]}
        url = f"urn:hetao:status:{short}:"
        released = {site for one in body["rounds"] for site in one["receipts"]}
        sites = released if self.revoked else [one["name"] for one in body["sites"]]
        header = {"alg": "EdDSA", "cty": "vc", "kid": f"{issuer}#{short}"}
        return {**header, "typ": "vc+jwt"}, {
            "@context": ["https://www.w3.org/ns/credentials/v2", context],
            "credentialStatus": [
                {**bit, "statusPurpose": one, "statusListCredential": url + one}
                for one in ("revocation", "suspension")
            ],
            "credentialSubject": {**subject, "sites": sorted(sites)},
            "id": f"urn:hetao:certificate:{name}",
            "issuer": {"id": issuer, "name": self.boss["name"]},
            "type": ["VerifiableCredential", kind],
            "validFrom": body["issued"],
        }

    @functools.cached_property
    def place(self) -> dict[str, Any]:
        """Return what each signed record of this run must name."""
        permit = {"study": self.permit["study"], "permit": digest(self.permit)}
        return {**permit, "run": self.body["run"]}

    def courses(self) -> str:
        """Check that each analysis of the study has a finding over its own rounds."""
        asked = [one["name"] for one in self.body["study"]["analyses"]]
        found = [one["analysis"] for one in self.body["findings"]]
        need(bool(asked) and asked == found, "the findings are not those of the study")
        extra = {one["analysis"] for one in self.released} - set(asked)
        need(not extra, "a round is of no analysis of the study")
        logged = {one["name"] for one in self.body["sites"]} - set(self.body["lost"])
        for finding in self.body["findings"]:
            name, members = finding["analysis"], finding["members"]
            whole = type(finding["rounds"]) is int and type(finding["withheld"]) is bool
            whole &= set(finding) == set(FINDING.split())
            need(whole, f"{name} holds other fields")
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
        for place_in, one in enumerate(self.released):
            task, members, count = one["task"], one["members"], one["protocol"] == COUNT
            what = task.rpartition("/")[2] if count else one["round"]
            at = (one["analysis"], one["attempt"], what)
            good = self.revoked or count == (place_in >= len(self.body["rounds"]))
            good &= not count or what in (PEOPLE, SITES)
            good &= not count or "/".join(map(str, at)) == task
            need(good, f"{task} stands in a wrong place")
            kind = COUNTED if count else TOTAL
            need(seen.isdisjoint((task, at)), f"{task} stands twice")
            seen |= {task, at}
            need(bool(members), f"{task} has no member")
            whole = sorted(one["receipts"]) == sorted(members)
            whole &= sorted(one["totals"]) == sorted(self.hubs)
            numbers = type(one["attempt"]) is int and type(one["round"]) is int
            good = numbers and set(one) == set(ROUND.split())
            need(good, f"{task} holds other fields")
            if self.revoked:  # what had come in by then
                whole = bool(one["receipts"]) and set(one["receipts"]) <= set(members)
                whole &= set(one["totals"]) <= set(self.hubs)
            need(whole, f"{task} lacks a release or a sum, or has one of others")
            said = {s: self.says(s, r) for s, r in one["receipts"].items()}
            place = {**self.place, "task": task, "analysis": one["analysis"]}
            place |= {"attempt": one["attempt"], "round": one["round"]}
            sum_of = {**place, "type": RELEASE, "kind": "sum", "members": members}
            for site, body in said.items():
                need(self.parties[site]["role"] == "site", f"{site} is not a site")
                placed(body, {**sum_of, "site": site}, f"a release in {task}")
            for hub in one["totals"]:
                total = self.says(hub, one["totals"][hub])
                shares = {site: body["shares"][hub] for site, body in said.items()}
                placed(total, {**place, "type": kind, "hub": hub}, f"a sum in {task}")
                same = {**total["shares"], **shares} == total["shares"]
                same &= set(total["shares"]) == set(members)
                need(same, f"{task} sums other shares")
            if count and len(one["totals"]) == len(self.hubs):
                first, second = (one["totals"][hub]["body"] for hub in self.hubs)
                for field in ("cell", "combinations", "control"):
                    need(first[field] == second[field], f"{task} is of two counts")
                whole = all(type(first[n]) is int for n in ("cell", "combinations"))
                need(whole and first["combinations"] > 0, f"{task} counts nothing")
                least = "sites" if what == SITES else "cell"
                asked = [body["policy"]["minimum"][least] for body in said.values()]
                need(max(asked) <= first["cell"], f"{task} looked for too few")
        many = sum(len(one["receipts"]) for one in self.released)
        return f"{many} releases, each signed by its site; sums of exactly these"

    def integers(self) -> str:
        """Check the integers that are shown against the digests that hubs signed."""
        rounds = {one["task"]: one for one in self.released}
        need(set(self.sums) <= set(rounds), "integers of a round that is not certified")
        for task, parts in self.sums.items():
            need(set(parts) == set(self.hubs), f"{task} shows other integers")
            for hub, part in parts.items():
                total = rounds[task]["totals"][hub]["body"]
                count = rounds[task]["protocol"] == COUNT
                names = {"tokens"} if count else {"words", "tag"}
                need(set(part) == names, f"{task} shows other fields")
                shown = {name: unbase64(part[name]) for name in names - {"tag"}}
                shown |= {} if count else {"tag": unhex(part["tag"])}
                for field, raw in shown.items():
                    good = total[field] == name_of(raw)
                    need(good, f"{hub} signed another {field} in {task}")
            if rounds[task]["protocol"] == COUNT:
                both = [unbase64(parts[hub]["tokens"]) for hub in self.hubs]
                own = [{r[i : i + 16] for i in range(16, len(r), 16)} for r in both]
                few = not own[0].isdisjoint(own[1])
                need(not few or task.endswith(f"/{SITES}"), f"few in a cell of {task}")
                need(not few or self.own_part(rounds[task]), f"{task} found few sites")
        return f"the integers of {len(self.sums)} of {len(rounds)} sums are as signed"

    def own_part(self, count: dict[str, Any]) -> bool:
        """Return whether nobody took what a count is of for a sum over enough sites."""
        of = (count["analysis"], count["attempt"])
        rounds = [r for r in self.body["rounds"] if (r["analysis"], r["attempt"]) == of]
        said = [one["body"] for r in rounds for one in r["receipts"].values()]
        return not any("secure_sum" in one["checks"].get("passed", {}) for one in said)

    def sites(self) -> str:
        """Check that every release stands in the log of its site."""
        told = [(one["task"], one["receipts"]) for one in self.released]
        receipts = {(site, task): r for task, by in told for site, r in by.items()}
        bound, names = 0, [entry["name"] for entry in self.body["sites"]]
        need(len(names) == len(set(names)), "a site stands twice")
        for name, why in self.body["lost"].items():
            good = self.parties[name]["role"] == "site" and type(why) is str
            need(good, "who is lost is malformed")
        for entry in self.body["sites"]:
            good = set(entry) == set(SITE.split())
            good &= entry["side"] == self.parties[entry["name"]]["side"]
            good &= type(entry["concepts"]) is list
            good &= all(
                set(one) == {"task", "index", "path"} for one in entry["proofs"]
            )
            need(good, f"what is told of {entry['name']} is malformed")
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
                text = self.text(receipt)
                stands(text, proof, note, f"a release of {site}")
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
        text = self.text(extract["record"])
        stands(text, extract, note, f"the extract of {site}")
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
            place = {**self.place, "type": RELEASE, "site": site, "kind": kind}
            place["content"] = digest(content)
            placed(self.says(site, entry[kind]), place, f"the {kind} of {site}")
        for task, receipt in own.items():
            body = receipt["body"]
            name, attempt, number = task.rsplit("/", 2)
            before = entry["ready"]
            if number not in ("0", PEOPLE, SITES):
                before = own.get(f"{name}/{attempt}/{int(number) - 1}")
            good = before is not None and body["cites"] == name_of(self.text(before))
            need(good, f"{site} does not cite what went before {task}")
            same = inputs.setdefault(name, body["input"]) == body["input"]
            need(same, f"{site} took other rows in {task} than before")
            for field in ("policy", "snapshot"):
                need(body[field] == entry[field], f"{site} released by another {field}")


def _half(key: dict[str, Any]) -> bytes:
    """Return a person's Ed25519 key; nothing of a passkey on another curve."""
    raw = unbase64(key["public"])
    return raw if key["kind"] == "ed25519" else raw[-32:] if ED25519 in raw else b""


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
        said += [step() for step in found.steps()]
        if policy is not None:
            note = read_proof(found.log["proof"])[2]
            said.append(check_policy(policy, note, found.parties))
    except ODD as error:
        raise Refused("it is malformed") from error
    return said


def main(words: list[str] | None = None) -> int:
    """Check a file and say what holds."""
    parser = argparse.ArgumentParser(description="check a Hetao certificate")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--policy", help="your own C2SP tlog-policy, or the word hubs")
    parser.add_argument("--key", action="append", default=[], metavar="NAME=HEX")
    chosen = parser.parse_args(words)
    try:
        data = chosen.certificate.read_bytes()
        named = chosen.policy not in (None, HUBS)  # a file of that name: ./hubs
        own = Path(chosen.policy).read_bytes() if named else None
        policy = None if own is None else own.decode("utf-8", "surrogateescape")
        keys = dict(one.split("=", 1) for one in chosen.key)
        steps, found = verify(data, policy, keys), Certificate(data)
    except Refused as error:
        sys.stdout.write(_shown(f"REFUSED  {error}"))
        return 6
    except OSError as error:
        hint = f"; or say --policy {HUBS} for both hubs alone" * bool(chosen.policy)
        sys.stderr.write(f"{error}{hint}\n")
        return 4
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = [f"{number:>3}  {step}" for number, step in enumerate(steps, 1)]
    told = {n: f for n, f in found.fingerprints().items() if n not in keys}
    compare = "     these keys come from the file itself; compare with the parties:"
    lines += [compare] * bool(told) + [f"       {told[name]}  {name}" for name in told]
    left = NOT_CHECKED_REVOKED if found.revoked else NOT_CHECKED
    lines += ["     not checked here:", *(f"       - {line}" for line in left)]
    counts, ended = chosen.policy is not None, "THE STUDY WAS REVOKED"
    if counts:
        alone = policy is None or NOBODY in steps[-1]
        verdict = "VERIFIED" + f": {ended}" * found.revoked
        verdict += ", SEEN BY NOBODY INDEPENDENT" * alone
    else:
        lines += HOW
        verdict = UNNAMED + f"; {ended}" * found.revoked
    lines.append(f"{verdict}  {found.body['study'].get('title', '')}")
    sys.stdout.write("".join(_shown(line) for line in lines))
    return 0 if counts else UNCOUNTED


def _shown(line: str) -> str:
    """Return a line for a screen; what turns, hides or ends one of others is told.

    Wider than a terminal, it is broken, between words where it can be, and no row but
    the first begins with words.
    """
    line = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)
    rows, used = [""], 0
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for letter in line:
        if used + _width(letter) > wide:
            head, _, word = rows[-1].rpartition(" ")
            whole = head.strip() and _width(word) <= wide // 2 - 5
            rows[-1:] = [head, " " * 5 + word] if whole else [rows[-1], " " * 5]
            used = _width(rows[-1])
        rows[-1] += letter
        used += _width(letter)
    return "\n".join(rows) + "\n"


def _width(text: str) -> int:
    return sum(1 if letter.isascii() else 2 for letter in text)  # columns, or less


if __name__ == "__main__":
    sys.exit(main())
