"""Everybody of a federation that one machine plays: fresh keys, which approve it all.

A pilot, a lesson and a test have these; the certificate's parties say so.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hetao.permit import (
    AUTHOR,
    OPERATOR,
    SIDES,
    SKEW,
    Bundle,
    Directory,
    Identity,
    Person,
    Statement,
    format_time,
    new_identity,
    package_digest,
    requirements,
    reviews,
    sign_notice,
    sign_vote,
)
from hetao.permit.law import day_of_law

TEACHING = "teaching: keys made for the occasion"
KEY_LIFE = datetime.timedelta(days=3653)  # ten years
ACCEPT = ("accept", "")  # a vote, and no comment


@dataclass(frozen=True)
class Cast:
    """Everyone with a part, with their keys."""

    identities: Mapping[str, Identity]
    directory: Directory

    def approved(self, bundle: Bundle, now: datetime.datetime) -> Bundle:
        """Return the permit with every required approval."""
        return self._said(bundle, "approve", now)

    def renewed(self, bundle: Bundle, now: datetime.datetime) -> Bundle:
        """Return the permit with a renewal by every required office."""
        return self._said(bundle, "renew", now)

    def _said(self, bundle: Bundle, verb: str, now: datetime.datetime) -> Bundle:
        for need in bundle.permit.required:
            signer = self.identities[f"{need.role}-{need.side.lower()}"]
            bundle = sign_notice(bundle, signer, verb, now)
        return bundle

    def reviewed(
        self, bundle: Bundle, body: Mapping[str, Any], now: datetime.datetime
    ) -> list[Statement]:
        """Return an accepting vote of every output checker about a package."""
        package = package_digest(body)
        return [
            sign_vote(bundle.permit, self.identities[p.name], package, ACCEPT, now)
            for p in bundle.permit.checkers
        ]


def new_cast(
    sites: Mapping[str, str],
    now: datetime.datetime,
    organisations: Mapping[str, str] | None = None,
) -> Cast:
    """Return fresh keys for sites (name → side), hubs, a coordinator, and people.

    The people are an author, who runs the hubs, who checks results, and one for each
    office that the rulebook asks for.
    """
    known = organisations or {}
    machines = [(name, side, "site") for name, side in sites.items()]
    machines += [(f"hub-{side.lower()}", side, "hub") for side in SIDES]
    machines += [("coordinator", "HK", "coordinator")]
    people = [("investigator", "HK", AUTHOR)]
    people += [(f"operator-{side.lower()}", side, OPERATOR) for side in SIDES]
    people += [
        (f"{need.role}-{need.side.lower()}", need.side, need.role)
        for need in (
            *requirements("data", SIDES, day_of_law(now)),
            *reviews("data", SIDES, day_of_law(now)),
        )
    ]
    identities = {name: new_identity(name) for name, _, _ in machines}
    identities |= {name: new_identity(name, sealing=False) for name, _, _ in people}
    valid = (
        format_time(now.replace(microsecond=0) - SKEW),
        format_time(now.replace(microsecond=0) + KEY_LIFE),
    )
    parties = [
        identities[name].party(side, role, known.get(name, TEACHING))
        for name, side, role in machines
    ]
    persons = [Person(name, side, TEACHING, (role,)) for name, side, role in people]
    keys = [identities[name].key(name, valid) for name, _, _ in people]
    return Cast(identities, Directory(tuple(parties), tuple(persons), tuple(keys)))
