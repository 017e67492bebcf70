"""Every byte of a certificate, changed: does a verifier take it for the one issued?

Three verifiers: the library's own, `verify_hetao.py` and, with --node, the page's
script in node; --only takes one of them, --every 8 one byte in eight. What they accept
is counted, and ends with exit code 1; of the page, what it shows as amber, for no page
is green before its reader chose a policy. A long run is made in pieces, all of one
certificate: --kept FILE --every 8 with --first 0 to --first 7. With --revoked it is a
revoked study's.
"""

import argparse
import base64
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hetao.dossier.script import script_of
from hetao.errors import Unverified
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.revoked import verify_revoked
from support_federation import Federation
from support_revoked import revoked_body, signed

IN_NODE = """
const { webcrypto } = require("crypto"); globalThis.crypto ??= webcrypto;
const fs = require("fs");
const [script, packed] = process.argv.slice(2, 4).map(f => fs.readFileSync(f, "utf8"));
const [first, every] = process.argv.slice(4).map(Number);
(0, eval)(script.replace("begin();\\n})();", "})();"));
const data = new Uint8Array(Buffer.from(packed, "base64"));
(async () => {
  await hetaoVerify(data);
  let accepted = 0;
  for (let i = first; i < data.length; i += every) {
    data[i] ^= 1;
    try { await hetaoVerify(data); accepted++; } catch (error) { /* refused */ }
    data[i] ^= 1;
  }
  console.log(accepted);
})();
"""


def certificate(revoked):
    with tempfile.TemporaryDirectory() as folder, Federation(Path(folder) / "f") as f:
        run = f.run()
        return signed(run, revoked_body(run)) if revoked else run.certificate


def kept(path, revoked):
    """Return the certificate of a file, which is written where there is none."""
    if path and not path.exists():
        path.write_bytes(certificate(revoked))
    return path.read_bytes() if path else certificate(revoked)


def accepted(verify, refusal, data, places):
    """Return how many of the copies with one bit flipped are accepted."""
    verify(data)
    found, spoilt = 0, bytearray(data)
    for place in places:
        spoilt[place] ^= 1
        try:
            verify(bytes(spoilt))
            found += 1
        except refusal:
            pass
        spoilt[place] ^= 1
    return found


def in_node(data, places, kind):
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        (there / "data").write_text(base64.b64encode(data).decode())
        (there / "run.js").write_text(IN_NODE)
        (there / "script.js").write_text(script_of(kind), "utf-8")
        words = ["node", there / "run.js", there / "script.js", there / "data"]
        words += [str(places.start), str(places.step)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout)


def used():
    """Return processor time, that of node included."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", action="store_true")
    parser.add_argument("--only", choices=("library", "one-file", "page"))
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="PLACE")
    parser.add_argument("--kept", type=Path, metavar="FILE")
    parser.add_argument("--revoked", action="store_true")
    chosen = parser.parse_args()
    whole, wrong = kept(chosen.kept, chosen.revoked), 0
    data = whole if chosen.revoked else published(whole)
    one, verify = verify_hetao, verify_revoked if chosen.revoked else verify_certificate
    all_of, of = (range(chosen.first, len(d), chosen.every) for d in (whole, data))
    verifiers = {
        "library": lambda: accepted(verify, Unverified, whole, all_of),
        "one-file": lambda: accepted(one.verify, one.Refused, data, of),
        "page": lambda: in_node(data, of, "revoked" if chosen.revoked else "study"),
    }
    names = [*verifiers][: 3 if chosen.node else 2]
    for name in [chosen.only] if chosen.only else names:
        start, places = used(), all_of if name == "library" else of
        found = verifiers[name]()
        wrong += found
        print(
            f"{name}: {found} of {len(places)} accepted, {used() - start:.0f} s of CPU",
            flush=True,
        )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
