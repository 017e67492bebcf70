"""How long a whole certificate takes to check: the library, one file, a browser.

    python benchmarks/bench_certificate.py [CERTIFICATE]

Of a file, or else of a study of a count and a model over three sites, six sums, 18
releases. Processor time of the best of 20 for Python. For Chromium, where it is
installed, the clock's, the best and the middle one:

- opened: 20 pages, each in a process of its own that has run no line of it before: from
  when the browser comes to the script; from the script's first line, once it is read;
  and from when the certificate is handed to the verifier; and, of 20 more, the same in
  processor time of the page's main thread, by the browser's own trace, which a
  machine's load moves less;
- again: 40 times more in the last of them;
- the floor of each: the same signatures and digests, ready in memory, and nothing else.
"""

import contextlib
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hetao.dossier import render_page
from hetao.ledger import verify_hetao
from hetao.ledger.certificate import verify_certificate
from hetao.permit import keys

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support_chromium import Browser
from support_federation import (
    COUNTS,
    LOGISTIC,
    Federation,
    Plan,
    toy_study,
)

# The page's first look at the clock tells when its browser had not yet read the script.
CLOCK = """(() => {
const now = performance.now.bind(performance), first = now();
let looked = 0;
performance.now = () => {
  if (!looked++) { globalThis.line = now() - first; return first; }
  return now();
};
globalThis.handed = () => { globalThis.asked = now() - first; };
})()"""
# The same two looks, for the browser's own trace: it has the thread's processor time.
MARKS = """(() => {
const now = performance.now.bind(performance);
let looked = 0;
performance.now = () => {
  if (looked < 2) performance.mark(["line", "ended"][looked++]);
  return now();
};
globalThis.handed = () => performance.mark("asked");
performance.mark("begun");
})()"""
VERIFY, HANDED = (
    "verified = beside(verify(data))",
    "verified = beside((handed(), verify(data)))",
)
PARTS = ("", ", from the script's first line", ", from the certificate in its hands")
# What a page that is open already takes again, with what its browser made fast by then.
AGAIN = """(async () => {
const packed = document.getElementById("certificate").textContent.trim();
const data = Uint8Array.from(atob(packed), c => c.charCodeAt(0)), took = [];
for (let i = 0; i < 40; i++) {
  const start = performance.now();
  await hetaoVerify(data);
  took.push(performance.now() - start);
}
return took;
})()"""
# What a page asks of its browser: keys, signatures and digests, for the page below.
ASKED = """(async () => {
const packed = document.getElementById("certificate").textContent.trim();
const data = Uint8Array.from(atob(packed), c => c.charCodeAt(0)), asked = [];
const names = new Map(), { subtle } = crypto, own = {};
const text = bytes => btoa(Array.from(bytes, b => String.fromCharCode(b)).join(""));
for (const name of ["importKey", "verify", "digest"]) own[name] = subtle[name];
subtle.importKey = async (form, raw, ...rest) => {
  const key = await own.importKey.call(subtle, form, raw, ...rest);
  names.set(key, text(raw));
  return key;
};
subtle.verify = (how, key, ...rest) => {
  asked.push([names.get(key), ...rest.map(text)]);
  return own.verify.call(subtle, how, key, ...rest);
};
subtle.digest = (how, data) => {
  asked.push([text(data)]);
  return own.digest.call(subtle, how, data);
};
await hetaoVerify(data);
Object.assign(subtle, own);
return asked;
})()"""
FLOOR = """<!doctype html><meta charset="utf-8"><body data-state="waiting"><script>
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const asked = ASKED.map(one => one.map((text, i) => i || !one[1] ? bytes(text) : text));
globalThis.once = async () => {
  const start = performance.now(), keys = new Map(), { subtle } = crypto;
  for (const [key, signature] of asked) if (signature && !keys.has(key))
    keys.set(key, subtle.importKey("raw", bytes(key), "Ed25519", false, ["verify"]));
  for (const [name, key] of keys) keys.set(name, await key);
  const good = await Promise.all(asked.map(([one, signature, message]) => signature
    ? subtle.verify("Ed25519", keys.get(one), signature, message)
    : subtle.digest("SHA-256", one)));
  if (good.includes(false)) throw new Error("a signature does not hold");
  return performance.now() - start;
};
once().then(took => Object.assign(document.body.dataset, { took, state: "valid" }));
</script>"""
FLOOR_AGAIN = """(async () => {
const took = [];
for (let i = 0; i < 40; i++) took.push(await once());
return took;
})()"""
PAGES = 20
REST_SECONDS = 0.3  # a page that closes, and a question, would take a core


def certificate() -> bytes:
    plan = Plan(toy_study((COUNTS, LOGISTIC)))
    with (
        tempfile.TemporaryDirectory() as folder,
        Federation(Path(folder) / "f", plan) as made,
    ):
        return made.run().certificate


def in_python(verify: Callable[[bytes], object], data: bytes) -> float:
    """Return milliseconds of processor time, the best of 20, nothing remembered."""
    found = []
    for _ in range(20):
        keys._remembered.cache_clear()  # noqa: SLF001 - else signatures are not checked
        start = time.process_time()
        verify(data)
        found.append(time.process_time() - start)
    return 1000 * min(found)


def in_chromium(data: bytes) -> dict[str, list[float]]:
    """Return what pages took, each opened anew, and one then again, in ms."""
    page = re.sub("<meta http-equiv[^>]*>", "", render_page(data))
    page, handed = page.replace(VERIFY, HANDED), page.count(VERIFY)
    if handed != 1:
        raise ValueError("the page hands its certificate over in another line")
    clocked, marked = (
        page.replace("<script>", f"<script>{first}</script>\n<script>", 1)
        for first in (CLOCK, MARKS)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Browser(Path(folder) / "profile")) as browser,
    ):
        path = Path(folder) / "page.html"
        path.write_text(marked, "utf-8")
        worked = [_worked(browser, path) for _ in range(PAGES)]
        path.write_text(clocked, "utf-8")
        opened = [_opened(browser, path) for _ in range(PAGES)]
        again = browser.run(AGAIN)
        asked = json.dumps(browser.run(ASKED))
        path.write_text(FLOOR.replace("ASKED", asked, 1), "utf-8")
        floor = [_opened(browser, path)[0] for _ in range(PAGES)]
        return {
            **_in_parts("opened", opened),
            **_in_parts("opened, CPU of the main thread", worked),
            "opened, floor": floor,
            "again": again,
            "again, floor": browser.run(FLOOR_AGAIN),
        }


def _in_parts(what: str, took: list[tuple[float, ...]]) -> dict[str, list[float]]:
    parts = zip(PARTS, zip(*took, strict=True), strict=True)
    return {what + part: list(found) for part, found in parts}


def _opened(browser: Browser, path: Path) -> tuple[float, ...]:
    """Return what a page opened anew took, of each of `PARTS`, in ms."""
    browser.show_alone(path.as_uri(), "state", "waiting", REST_SECONDS)
    whole = float(browser.run("document.body.dataset.took"))  # if it holds
    before = browser.run("[globalThis.line ?? 0, globalThis.asked ?? 0]")
    return whole, *(whole - float(one) for one in before)


def _worked(browser: Browser, path: Path) -> tuple[float, ...]:
    """Return the processor time of its main thread, of each of `PARTS`, in ms."""
    with browser.traced("blink.user_timing") as told:
        browser.show_alone(path.as_uri(), "state", "waiting", REST_SECONDS)
    at = {one["name"]: one["tts"] for one in told if "tts" in one}
    return tuple((at["ended"] - at[one]) / 1000 for one in ("begun", "line", "asked"))


def main() -> None:
    data = Path(sys.argv[1]).read_bytes() if sys.argv[1:] else certificate()
    for name, verify in (
        ("hetao.ledger", verify_certificate),
        ("verify_hetao.py", verify_hetao.verify),
    ):
        print(f"{name}: {in_python(verify, data):.1f} ms of CPU, {len(data)} bytes")
    if shutil.which("chromium"):
        for what, took in in_chromium(data).items():
            best, middle = min(took), statistics.median(took)
            print(f"in Chromium, {what}: {best:.1f} ms, {middle:.1f} ms in the middle")
        print(
            f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


if __name__ == "__main__":
    main()
