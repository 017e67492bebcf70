"""Both reports in a real browser, from disk, with nothing to fetch."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from hetao.canonical import parse_canonical
from hetao.cdm.quality import write_reports as write_quality
from hetao.dictionary.checks import check_types
from hetao.report import Extras, render_body, write_report
from support_chromium import HEADLESS
from support_federation import LOGISTIC, Federation, Plan, toy_study
from support_quality import clean_engine, quality_of

FLAGS = (*HEADLESS, "--hide-scrollbars")
TITLE = "河套研究：冠状动脉疾病與死亡率"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    study = replace(toy_study((LOGISTIC,)), title=TITLE)
    with Federation(tmp_path_factory.mktemp("run"), Plan(study)) as made:
        return made.run().certificate


@pytest.fixture(scope="module")
def page(certificate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_report(folder / "report.html", certificate)
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


SEEN = """<script>
document.getElementById("read-CHOICE").click();
const drawn = [...document.querySelectorAll("svg text")]
  .filter(mark => getComputedStyle(mark).display !== "none")
  .map(mark => mark.textContent);
const shown = document.querySelector("PLACE").innerText;
document.body.textContent = [shown, ...drawn].join("\\n");
</script></body>"""
HEADINGS = {"en": "Models", "hant": "離開各機構的內容", "hans": "离开各机构的内容"}
AXES = {
    "en": "Odds ratio, log scale",
    "hant": "優勢比，對數刻度",
    "hans": "优势比，对数刻度",
}


def shown_in(page, choice, place="main"):
    """Return what is read in a place of the page once a language is chosen.

    The page has no script: its own style does it. One is put in here, to look.
    """
    script = SEEN.replace("CHOICE", choice).replace("PLACE", place)
    whole = page.read_text("utf-8").replace("</body>", script)
    sheet = page.parent / f"chosen-{choice}.html"
    policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
    sheet.write_text(re.sub(policy, "", whole), encoding="utf-8")
    return browse(sheet, "--dump-dom").stdout.decode("utf-8").partition("<body>")[2]


@pytest.mark.parametrize("choice", ["all", *HEADINGS])
def test_a_language_that_is_chosen_is_the_only_one_shown(page, choice):
    text = shown_in(page, choice)

    is_shown = {one: heading in text for one, heading in HEADINGS.items()}
    is_drawn = {one: axis in text for one, axis in AXES.items()}
    assert is_shown == {one: choice in ("all", one) for one in HEADINGS}
    assert is_drawn == {one: one == choice.replace("all", "en") for one in HEADINGS}
    assert choice != "en" or not re.search(r"[\u4e00-\u9fff]", text)


@pytest.mark.parametrize(
    ("choice", "link"),
    [
        ("all", "own reason (details) （詳情） （详情）\n"),
        ("en", "own reason (details)\n"),
        ("hant", "own reason （詳情）\n"),
        ("hans", "own reason （详情）\n"),
    ],
)
def test_no_space_is_left_where_another_language_is_hidden(
    certificate, tmp_path, choice, link
):
    value = parse_canonical(certificate)
    lowered = {"lowered": ["cell"], "reason": "Our own reason"}
    value["body"]["sites"][0]["policy"] |= lowered
    page = tmp_path / "report.html"
    page.write_text(render_body(value["body"], value["log"], Extras()), "utf-8")

    text = shown_in(page, choice, "header")

    assert link in text + "\n"


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


@pytest.mark.parametrize("language", ["en", "zh-Hant", "zh-Hans"])
def test_the_quality_report_opens_from_disk_in_its_language(language, tmp_path):
    with clean_engine() as engine:
        engine.connection.execute("UPDATE drug_exposure SET drug_concept_id = 0")
        report = replace(quality_of(engine), language=language, title=TITLE)
    write_quality(tmp_path, report)

    dom = browse(tmp_path / "quality.html", "--dump-dom", "--enable-logging=stderr")
    image = tmp_path / "quality.png"
    browse(
        tmp_path / "quality.html", f"--screenshot={image}", "--window-size=1100,2000"
    )

    text, said = (b.decode("utf-8", "replace") for b in (dom.stdout, dom.stderr))
    assert TITLE in text
    assert check_types()["codes-unmapped"].wording[language].label in text
    assert not re.search(r"Refused to (load|apply|execute)|Uncaught", said)
    assert image.stat().st_size > 50_000
