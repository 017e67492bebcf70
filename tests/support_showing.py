"""A file in which a site shows acts, without a site's tables: whatever they state."""

from hetao.canonical import canonical
from hetao.ledger.commitments import Opened, act_leaf, sized_root
from hetao.ledger.merkle import inclusion_path, leaf_hash, root
from hetao.ledger.note import Checkpoint, sign_checkpoint
from hetao.ledger.proof import Proof
from hetao.ledger.showing import sign_shown
from hetao.permit import format_time, state
from support_permit import NOW


def shown_by(site, acts, places, to="author"):
    """Return the file by which a site shows those at some places of all its acts."""
    nonce = b"\7" * 32
    leaves = [act_leaf(nonce, act) for act in acts]
    tree, size = root(leaves), len(leaves)
    said = {
        "type": "hetao.extract/1",
        "site": site.name,
        "root": "sha256:" + sized_root(size, tree).hex(),
        "at": format_time(NOW),
    }
    record = state(site, said).as_json()
    logged = Checkpoint(site.name, 1, leaf_hash(canonical(record)))
    about = {
        "to": to,
        "at": format_time(NOW),
        "extract": record,
        "log": Proof(0, (), sign_checkpoint(logged, site.signing_key)).text,
        "drawn": 0,
        "gone": [],
    }
    shown = [
        Opened(acts[at], nonce, at, size, tuple(inclusion_path(at, leaves)), tree)
        for at in places
    ]
    return sign_shown(site, about, shown)
