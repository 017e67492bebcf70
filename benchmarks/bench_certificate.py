"""How long a whole certificate takes to check: the library, one file, a browser.

    python benchmarks/bench_certificate.py

A study of a count and a model over three sites, five sums, 15 releases. Processor time
of the best of 20 for Python; for Chromium, where it is installed, the clock's of the
best and of the middle of 40, and what the page itself took when it was opened.
"""

import re
import shutil
import subprocess
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

from support_federation import (
    COUNTS,
    LOGISTIC,
    Federation,
    Plan,
    toy_study,
)

TIMED = """<script>(async () => {
const packed = document.getElementById("certificate").textContent.trim();
const data = Uint8Array.from(atob(packed), c => c.charCodeAt(0)), took = [];
for (let i = 0; i < 40; i++) {
  const start = performance.now();
  await hetaoVerify(data);
  took.push(performance.now() - start);
}
took.sort((a, b) => a - b);
document.body.dataset.best = took[0].toFixed(1);
document.body.dataset.middle = took[20].toFixed(1);
})()</script></body>"""


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


def in_chromium(data: bytes) -> dict[str, str]:
    page = re.sub("<meta http-equiv[^>]*>", "", render_page(data))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page.replace("</body>", TIMED), "utf-8")
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
        more = ("--virtual-time-budget=60000", f"--user-data-dir={folder}/profile")
        words = ["chromium", *flags, *more, path.as_uri()]
        done = subprocess.run(words, capture_output=True, check=True, text=True)
    return dict(re.findall(r'data-(state|took|best|middle)="([^"]*)"', done.stdout))


def main() -> None:
    data = certificate()
    for name, verify in (
        ("hetao.ledger", verify_certificate),
        ("verify_hetao.py", verify_hetao.verify),
    ):
        print(f"{name}: {in_python(verify, data):.1f} ms of CPU, {len(data)} bytes")
    if shutil.which("chromium"):
        print("in Chromium, ms:", in_chromium(data))


if __name__ == "__main__":
    main()
