"""A witness that is served from a thread, and the page's script run by node."""

import asyncio
import base64
import contextlib
import json
import subprocess
import threading

from hetao.dossier.script import script_of
from hetao.ledger.certificate import published
from hetao.transparency.witness import serve_witness

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
