"""Numbers, labels and ticks of the report."""

import math

import pytest

from hetao.report.drawing import (
    Drawing,
    even_ticks,
    ratio_ticks,
    shortened,
    text_width,
    wrapped,
)
from hetao.report.forest import Row, draw_forest
from hetao.report.labels import term_label
from hetao.report.numerals import (
    count_text,
    difference_text,
    interval_texts,
    mean_text,
    number_of,
    p_sentence,
    p_text,
    short_text,
)
from hetao.report.survival import curve_of, ticks_of
from hetao.report.tables import steps_of, table_of
from hetao.study import Level, Study, Variable


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "<0.001"),
        (0.00099, "<0.001"),
        (0.0071, "0.007"),
        (0.0495, "0.050"),
        (0.123, "0.12"),
        (1.0, ">0.99"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_p_values(p, text):
    assert p_text(p) == text


def test_p_values_in_a_sentence():
    assert p_sentence(1e-9) == "p < 0.001"
    assert p_sentence(0.2) == "p = 0.20"
    assert p_sentence(None) == "p –"


@pytest.mark.parametrize(
    ("values", "is_ratio", "texts"),
    [
        ((3.2104, 2.1, 4.9), True, ("3.21", "2.10", "4.90")),
        ((1.0021, 1.0011, 1.0032), True, ("1.0021", "1.0011", "1.0032")),
        ((0.034, 0.012, 0.061), True, ("0.034", "0.012", "0.061")),
        ((math.inf, 0.0, math.inf), True, (">10,000", "<0.01", ">10,000")),
        ((None, None, None), True, ("–", "–", "–")),
        ((4.57, -10.649, 19.789), False, ("4.6", "−10.6", "19.8")),
        ((1e12, 8e11, 1.2e12), False, ("1×10¹²", "8×10¹¹", "1.2×10¹²")),
        ((1e-9, 8e-10, 1.2e-9), False, ("1×10⁻⁹", "8×10⁻¹⁰", "1.2×10⁻⁹")),
    ],
)
def test_intervals_have_matching_decimals(values, is_ratio, texts):
    assert interval_texts(values, is_ratio) == texts


def test_other_numbers():
    assert count_text(1344) == "1,344"
    assert count_text(None) == "–"
    assert mean_text(56.62, 7.99) == "56.6 (8.0)"
    assert mean_text(0.8423, 0.0774) == "0.842 (0.077)"
    assert mean_text(None, None) == "–"
    assert short_text(-0.00463) == "−0.00463"
    assert difference_text(0.0) == "below 10⁻¹²"
    assert number_of(True) is None
    assert number_of(10**400) is None


STUDY = Study(
    name="s",
    title="",
    question="",
    version="1",
    dictionary="flat",
    sites=("aa", "bb"),
    variables=(
        Variable("age", "number", "column", label="年龄（岁）"),
        Variable("bmi", "number", "column"),
        Variable("rate", "number", "column", label="Heart rate (per minute)"),
        Variable(
            "sex",
            "category",
            "column",
            levels=(Level("female", "f"), Level("male", "m")),
            label="Sex",
        ),
        Variable(
            "pain",
            "category",
            "column",
            levels=(Level("no", "n"), Level("yes", "y")),
            label="Chest pain",
        ),
    ),
    analyses=(),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("(Intercept)", "Intercept"),
        ("age", "年龄（岁）"),
        ("age/10", "年龄, per 10 岁"),
        ("bmi/5", "bmi, per 5"),
        ("rate/10", "Heart rate (per minute), per 10"),
        ("log(bmi)", "log(bmi)"),
        ("sex[male]", "Sex: male (vs female)"),
        ("pain[yes]", "Chest pain (yes vs no)"),
        ("age:sex[male]", "年龄（岁） × Sex: male"),
        ("site[bb]", "Site: bb (vs aa)"),
        ("unknown[a:b]", "unknown[a:b]"),
        ("]:[", "]:["),
    ],
)
def test_labels_of_terms(name, text):
    assert term_label(STUDY, name).full == text


def test_a_level_beside_its_reference_is_compared_with_nothing():
    columns = ("sex[female]", "sex[male]")

    assert term_label(STUDY, "sex[male]", columns).full == "Sex: male"


def test_ticks_are_round_and_hold_the_null():
    assert even_ticks(-11, 21) == [-10, 0, 10, 20]
    assert ratio_ticks(math.log(0.01), math.log(100)) == pytest.approx(
        [0.01, 0.1, 1, 10, 100]
    )
    for low, high in [(-0.02, 0.03), (-1, 2), (-9, 4), (-700, 700), (-0.1, 30)]:
        ticks = ratio_ticks(low, high)
        assert 1.0 in [round(tick, 9) for tick in ticks]
        assert len(ticks) <= 10


def test_ticks_of_an_empty_range():
    assert even_ticks(1.0, 1.0) == [1.0]
    assert even_ticks(0.0, math.inf) == [0.0]


def test_labels_are_wrapped_and_cut_by_width():
    assert wrapped("a b c", 100, 2) == ["a b c"]
    assert wrapped("", 10, 2) == [""]
    long = wrapped("word " * 60, 20, 3)
    assert len(long) == 3
    assert long[-1].endswith("…")
    chinese = wrapped("入组至死亡或末次随访的天数", 6, 3)
    assert "".join(chinese) == "入组至死亡或末次随访的天数"
    assert all(text_width(line) <= 6 for line in chinese)
    assert text_width(shortened("x" * 500, 20)) <= 20


def test_a_drawing_holds_no_character_that_xml_cannot():
    drawing = Drawing("k", (10, 10), ("a\x00<b>", "c\ud800"))
    drawing.text((0, 0), "\x1b[0m&", "label")

    markup = drawing.__html__()

    assert "\x00" not in markup
    assert "\x1b" not in markup
    assert "a\ufffd&lt;b&gt;" in markup


def rows_of(*ends):
    return [Row(f"t{i}", "", (a + b) / 2, a, b, "") for i, (a, b) in enumerate(ends)]


def test_an_interval_beyond_the_scale_ends_in_an_arrowhead():
    rows = rows_of((-0.5, 0.5), (0.1, 0.9), (-0.2, 0.4), (-500.0, 900.0))

    (drawing,) = draw_forest("f", "t", "Odds ratio", rows, is_ratio=True)

    assert drawing.__html__().count('class="arrow"') == 2


def test_an_interval_within_the_scale_has_whiskers_alone():
    (drawing,) = draw_forest("f", "t", "Odds ratio", rows_of((-0.5, 0.5)), True)

    assert 'class="arrow"' not in drawing.__html__()
    assert drawing.__html__().count('class="whisker"') == 3


def test_many_terms_make_several_figures():
    drawn = draw_forest("f", "t", "Odds ratio", rows_of(*[(-1.0, 1.0)] * 60), True)

    assert len(drawn) == 3


def test_numbers_at_risk_are_those_of_the_next_step_shown():
    curve = {
        "stratum": "A",
        "time": [50.0, 120.0],
        "survival": [0.9, 0.8],
        "lower": [0.88, None],
        "upper": [0.92, None],
        "cumhaz": [0.105, None],
        "at_risk": [80, 60],
        "n": None,
    }
    ticks = [0.0, 50.0, 100.0, 150.0]

    seen = curve_of(curve, ticks, "<10*")
    assert seen.at_risk == ("<10*", "80", "60", "–")
    assert seen.shares == ("–", "90.0% (88.0 to 92.0)", "90.0% (88.0 to 92.0)", "80.0%")
    assert seen.hazards == ("–", "0.105", "0.105", "–")
    assert ticks_of([curve])[0] == 0.0
    assert ticks_of([]) == [0.0]


def test_missing_counts_that_must_be_small_are_told_from_hidden_cells():
    cells = [
        {"n": None, "missing": None, "mean": 5.0, "sd": 1.0},
        {"n": None, "missing": None, "mean": None, "sd": None},
        {"n": 50, "missing": 12, "mean": 5.0, "sd": 1.0},
    ]
    row = {"variable": "a", "label": "A", "level": "", "by_group": cells, "smd": None}

    (group,) = table_of([row], "<10*")

    first, second, third = group.rows[0].cells
    assert (first.text, first.note) == ("5.0 (1.0)", "<10* missing")
    assert (second.text, second.is_hidden) == ("<10*", True)
    assert third.note == "n 50, 12 missing"
    assert group.smd == "–"


def test_a_hidden_last_step_may_be_small():
    steps = [
        {"label": "All", "n": 600, "removed": 0},
        {"label": "Few", "n": None, "removed": None},
    ]

    assert [s.n for s in steps_of(steps, "<10*")] == ["600", "<10*"]
