"""A witness that is served from a thread, and the page's scripts run by node."""

import asyncio
import base64
import contextlib
import json
import subprocess
import threading
from dataclasses import replace

from hetao.dossier.script import later_script, script_of
from hetao.errors import Unreachable
from hetao.ledger.certificate import published
from hetao.transparency.witness import serve_witness

UNNAMED = "HOLDS, BUT DOES NOT COUNT: NO WITNESSES OF YOURS ARE NAMED"
IN_NODE = """
const { webcrypto } = require("crypto"); globalThis.crypto ??= webcrypto;
const fs = require("fs");
const [script, given] = process.argv.slice(2).map(f => fs.readFileSync(f, "utf8"));
(0, eval)(script.replace("begin();\\n})();", "})();"));
(async () => {
  const said = {};
  for (const [name, packed] of Object.entries(JSON.parse(given))) {
    const data = new Uint8Array(Buffer.from(packed, "base64"));
    try { said[name] = await hetaoVerify(data); }
    catch (error) { if (!error.message) throw error; }
  }
  console.log(JSON.stringify(said));
})();
"""

POLICY_IN_NODE = """
const { webcrypto } = require("crypto"); globalThis.crypto ??= webcrypto;
const fs = require("fs");
const texts = process.argv.slice(2).map(f => fs.readFileSync(f, "utf8"));
const [script, policy, given] = texts;
(0, eval)(script.replace("begin();\\n})();", "})();"));
(0, eval)(policy);
const { readPolicy, judged } = hetaoLater(hetaoTools);
const bytes = packed => new Uint8Array(Buffer.from(packed, "base64"));
const json = packed => JSON.parse(Buffer.from(packed, "base64"));
(async () => {
  const said = {};
  for (const [name, [certificate, own]] of Object.entries(JSON.parse(given)))
    try {
      if (certificate === null) { await readPolicy(bytes(own)); said[name] = true; }
      else said[name] = await judged(json(certificate), bytes(own));
    } catch (error) {
      said[name] = error.slots ? [error.message, ...error.slots] : String(error);
    }
  console.log(JSON.stringify(said));
})();
"""


def by_policy_script(given, folder):
    """Return what the page says of certificates by policies of its reader's.

    Args:
        given: name → certificate, or None to have the policy read alone; policy. Each
            is bytes.
        folder: for files.

    Returns:
        name → `names` of the witnesses that saw it and whether it is `alone`, that is,
        seen by parties alone; True for a policy that was read alone; or the key of the
        refusal, and what fills it in. A text is an error of the script's own.
    """
    packed = {
        name: [one if one is None else base64.b64encode(one).decode() for one in pair]
        for name, pair in given.items()
    }
    texts = {"given.json": json.dumps(packed), "run.js": POLICY_IN_NODE}
    texts |= {"script.js": script_of("study"), "policy.js": later_script()}
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    names = ("run.js", "script.js", "policy.js", "given.json")
    words = ["node", *(folder / name for name in names)]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def by_script(given, folder, kind="study"):
    """Return what the page's script says of those certificates that it accepts."""
    shown = published if kind == "study" else bytes
    packed = {
        name: base64.b64encode(shown(data)).decode() for name, data in given.items()
    }
    (folder / "given.json").write_text(json.dumps(packed))
    (folder / "run.js").write_text(IN_NODE)
    (folder / "script.js").write_text(script_of(kind), "utf-8")
    words = ["node", folder / "run.js", folder / "script.js", folder / "given.json"]
    said = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def reach_hubs(monkeypatch, network, hubs):
    """Let a coordinator's commands reach hubs of this process; who is gone is away."""

    class Way:
        def __init__(self, *_):
            pass

        async def cosign(self, hub, data):
            if hub not in hubs:
                raise Unreachable(f"{hub} does not answer")
            return hubs[hub].cosign("coordinator", data)

        async def close(self):
            pass

    network = replace(network, hubs=dict.fromkeys(hubs, ""))
    monkeypatch.setattr("hetao.federation.hub_lines.HttpsTransport", Way)
    monkeypatch.setattr("hetao.federation.network.read_network", lambda _: network)


@contextlib.contextmanager
def serving(folder, tls=None):
    """Serve a witness from a thread; give its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    runner = do(serve_witness(folder, "127.0.0.1", 0, tls))
    scheme = "https" if tls else "http"
    try:
        yield scheme + "://{}:{}".format(*runner.addresses[0][:2])
    finally:
        do(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
