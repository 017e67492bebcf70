"""`hetao rules`: the answer in words, the list, the form."""

import json
import tomllib

import pytest

from hetao.cli.main import main
from hetao.permit import facts_from, read_facts
from support_rules import BOOK, SHENZHEN, as_toml

LANGUAGES = ("en", "zh-Hant", "zh-Hans")
OWN = """
[pack]
id = "our-hospital"
jurisdiction = "HK"
verified_by = "our counsel"
title = { en = "Our own", zh-Hant = "本院", zh-Hans = "本院" }

[[instruments]]
id = "our-committee"
name = { en = "our committee", zh-Hant = "本院委員會", zh-Hans = "本院委员会" }

[[rules]]
id = "our-committee-asked"
title = { en = "Ours", zh-Hant = "本院", zh-Hans = "本院" }
requires = { en = "Ask it.", zh-Hant = "請示。", zh-Hans = "请示。" }
bases = [["our-committee"]]
source = { title = "Handbook", article = "3", url = "https://hospital.example/3" }
effective = 2020-01-01
verified_on = 2026-01-01
confidence = "high"
"""


@pytest.fixture
def form(tmp_path):
    path = tmp_path / "facts.toml"
    path.write_text(as_toml(SHENZHEN), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_names_its_rules_and_sources_and_is_no_legal_advice(
    form, capsys, language
):
    assert main(["rules", "explain", str(form), "--language", language]) == 0

    said = capsys.readouterr().out
    assert {"en": "not legal advice", "zh-Hant": "不是法律意見"}.get(
        language, "不是法律意见"
    ) in said
    assert "[cn-contract-2026]" in said
    assert "art. 8" in said
    assert "https://www.cac.gov.cn/" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_unknown_is_asked_in_that_language(tmp_path, capsys, language):
    path = tmp_path / "empty.toml"
    path.write_text("", encoding="utf-8")

    assert main(["rules", "explain", str(path), "--language", language]) == 0

    question = BOOK.facts["request.crossing"].ask[language]
    assert f"? {question}" in capsys.readouterr().out


def test_an_answer_as_data_carries_digests_day_and_sources(form, capsys):
    words = ["rules", "explain", str(form), "--json", "--on", "2024-03-21"]

    assert main(words) == 0

    body = json.loads(capsys.readouterr().out)
    assert body["on"] == "2024-03-21"
    assert body["not_legal_advice"]
    assert body["rulebook"] == BOOK.digest
    assert set(body["packs"]) == {pack.id for pack in BOOK.packs}
    assert body["route"] == "contract"
    assert all(one["source"]["article"] for one in body["findings"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_empty_form_asks_every_fact_and_settles_none(tmp_path, language):
    path = tmp_path / "form.toml"

    assert main(["rules", "facts", "--language", language, "--out", str(path)]) == 0

    assert read_facts(path, BOOK.facts, set(BOOK.instruments)).values == {}
    text = path.read_text("utf-8")
    assert all(fact.ask[language] in text for fact in BOOK.facts.values())
    assert all(f"[bases.{name}]" in text for name in BOOK.instruments)
    assert main(["rules", "facts", "--out", str(path)]) == 2


def test_the_form_filled_in_is_a_facts_file(form):
    read = read_facts(form, BOOK.facts, set(BOOK.instruments))

    assert dict(read.values) == SHENZHEN
    tables = tomllib.loads(form.read_text("utf-8"))
    assert facts_from(tables, BOOK.facts, set(BOOK.instruments)).digest == read.digest


def test_the_list_is_of_a_day_and_of_a_pack(capsys):
    words = ["rules", "list", "--json", "--pack", "cn-export", "--on", "2024-03-21"]

    assert main(words) == 0

    found = {one["id"] for one in json.loads(capsys.readouterr().out)["rules"]}
    assert "cn-assessment-2022-volume" in found
    assert "cn-assessment-volume" not in found


def test_rules_that_nobody_read_for_long_are_due(capsys):
    words = ["rules", "list", "--json", "--due", "30", "--on", "2027-06-01"]

    assert main(words) == 0

    rules = json.loads(capsys.readouterr().out)["rules"]
    assert len(rules) == len(BOOK.rules)
    assert main(["rules", "list", "--due", "--on", "2026-12-01"]) == 0
    assert capsys.readouterr().out == ""


def test_packs_of_ones_own_add_their_rules(form, tmp_path, capsys):
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "ours.toml").write_text(OWN, encoding="utf-8")

    assert main(["rules", "explain", str(form), "--packs", str(folder), "--json"]) == 0

    body = json.loads(capsys.readouterr().out)
    assert "our-committee-asked" in {one["id"] for one in body["findings"]}
    assert {
        "rule": "our-committee-asked",
        "one_of": ["our-committee"],
        "held": None,
    } in (body["needs"])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["rules", "explain", "nowhere.toml"], 4),
        (["rules", "list", "--pack", "no-such"], 2),
        (["rules", "list", "--on", "yesterday"], 2),
        (["rules", "list", "--packs", "nowhere"], 4),
    ],
)
def test_what_is_called_wrongly_is_said(words, status, capsys):
    assert main(words) == status
    assert "error: HT-" in capsys.readouterr().err
