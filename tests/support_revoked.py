"""What would be certified of a run, had its permit been revoked."""

import datetime

from hetao.permit import bundle_from, format_time, sign_notice
from support_federation import START

LATER = START + datetime.timedelta(seconds=60)


def revoked_body(run, when=LATER, verb="revoke", signer="ethics-hk"):
    """Return what a run's certificate would state, had it been revoked at that time."""
    bundle = bundle_from(run.body["permit"])
    identity = run.cast.identities[signer]
    said = sign_notice(bundle, identity, verb, when) if verb else bundle
    kept = ("study", "run", "rounds", "software", "issued")
    body = {name: run.body[name] for name in kept}
    return {
        **body,
        "type": "hetao.revoked-certificate/1",
        "permit": said.as_json(),
        "revoked": format_time(when),
        "issued": format_time(max(when, START)),
    }


def signed(run, body, **more):
    return run.resigned({**body, "sums": {}}, **more)
