"""The report in a real browser, from disk, with nothing to fetch."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from hetao.report import write_report
from support_federation import LOGISTIC, Federation, Plan, toy_study

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
TITLE = "河套研究：冠状动脉疾病與死亡率"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    study = replace(toy_study((LOGISTIC,)), title=TITLE)
    folder = tmp_path_factory.mktemp("browser")
    with Federation(folder / "run", Plan(study)) as made:
        ran = made.run()
    write_report(folder / "report.html", ran.certificate)
    return folder / "report.html"


def browse(page, *flags):
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: `make test` installs it"
    profile = page.parent / "profile"
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return done


def test_the_report_opens_from_disk_and_chinese_stands_in_it(page):
    dom = browse(page, "--dump-dom", "--enable-logging=stderr", "--v=0")

    text = dom.stdout.decode("utf-8")
    said = dom.stderr.decode("utf-8", "replace")
    assert TITLE in text
    assert "Content-Security-Policy" in text
    assert "<svg" in text
    assert not re.search(r"Refused to (load|apply|execute)|Uncaught", said)


def test_chinese_is_drawn_with_a_font_that_has_it(page):
    """Two different characters leave different ink; missing ones would be one box."""
    shots = []
    for number, character in enumerate("河套"):
        sheet = page.parent / f"glyph{number}.html"
        style = re.search(r"<style>.*?</style>", page.read_text("utf-8"), re.DOTALL)
        sheet.write_text(
            f'<meta charset="utf-8">{style[0]}<h1 lang="zh">{character}</h1>',
            encoding="utf-8",
        )
        image = page.parent / f"glyph{number}.png"
        browse(sheet, f"--screenshot={image}", "--window-size=400,300")
        shots.append(image.read_bytes())

    assert shots[0] != shots[1]
    assert all(len(shot) > 500 for shot in shots)
