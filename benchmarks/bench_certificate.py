"""How long a whole certificate takes to check: the library, one file, a browser.

    python benchmarks/bench_certificate.py

A study of a count and a model over three sites, five sums, 15 releases. Processor time
of the best of 20 for Python. For Chromium, where it is installed, the clock's: of 20
pages, each opened in a process of its own that has run no line of it before, and of 40
times more in the last of them; the best and the middle one.
"""

import contextlib
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
PAGES = 20


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


def in_chromium(data: bytes) -> tuple[list[float], list[float]]:
    """Return what pages took, each opened anew, and one then again, in ms."""
    page = re.sub("<meta http-equiv[^>]*>", "", render_page(data))
    opened = list[float]()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Browser(Path(folder) / "profile")) as browser,
    ):
        path = Path(folder) / "page.html"
        path.write_text(page, "utf-8")
        for _ in range(PAGES):
            browser.show_alone(path.as_uri(), "state", "waiting")
            took = browser.run("document.body.dataset.took")  # only of one that holds
            opened.append(float(took))
        return opened, browser.run(AGAIN)


def main() -> None:
    data = certificate()
    for name, verify in (
        ("hetao.ledger", verify_certificate),
        ("verify_hetao.py", verify_hetao.verify),
    ):
        print(f"{name}: {in_python(verify, data):.1f} ms of CPU, {len(data)} bytes")
    if shutil.which("chromium"):
        for what, took in zip(("opened", "again"), in_chromium(data), strict=True):
            best, middle = min(took), statistics.median(took)
            print(f"in Chromium, {what}: {best:.1f} ms, {middle:.1f} ms in the middle")
        print(
            f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


if __name__ == "__main__":
    main()
