"""A forest plot by site shows what was pooled, and no site that must stay hidden."""

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import hetao
from hetao.analysis import oracle
from hetao.canonical import parse_canonical
from hetao.errors import Usage
from hetao.federation.certify import recompute
from hetao.release import Policy
from hetao.report.measures import meta_of
from hetao.study import Minimum
from support_analysis import ANALYSES, STUDY, people, split

META = replace(ANALYSES["meta"], show_sites=True)
PARTS = split(people(1, 1200), (0.05, 0.3, 0.5, 0.9))
NAMES = ("病院甲", "bb", "cc", "dd", "ee")


@pytest.fixture(scope="module")
def payload():
    return oracle(STUDY, META, PARTS).as_json()


def drawn(payload, analysis=META):
    """Return each figure as its XML."""
    view, _ = meta_of(STUDY, analysis, payload, ("figure", "<10*"))
    return [ET.fromstring(f.__html__()) for f in view.figures]  # noqa: S314 - our own


def texts(figure):
    return [element.text or "" for element in figure.iter("text")]


def marks(figure, tag, kind):
    return [one.attrib for one in figure.iter(tag) if one.attrib["class"] == kind]


def test_each_term_has_a_figure_with_every_site_its_weight_and_what_is_pooled(payload):
    figures = drawn(payload)

    assert len(figures) == 2  # age and sex; the intercept is no effect
    for figure in figures:
        said = texts(figure)
        assert set(STUDY.sites) <= set(said)
        weights = [float(text[:-1]) for text in said if text.endswith("%")]
        assert math.isclose(sum(weights), 100, abs_tol=0.3)
        assert "Fixed effect" in said
        assert "Random effects (REML, HKSJ)" in said
        assert "95% prediction interval" in said
        assert any(text.startswith("I² ") and "τ² " in text for text in said)
        assert len(marks(figure, "path", "point")) == 2  # a diamond each
        assert len(marks(figure, "rect", "interval")) == 1


def test_a_square_is_as_large_as_the_sites_weight(payload):
    term, place = payload["terms"][1], 1
    tau2 = term["methods"][-1]["tau2"]
    errors = np.array([site["se"][place] for site in payload["sites"]])
    weights = 1 / (errors**2 + tau2)

    squares = marks(drawn(payload)[0], "rect", "point")

    sides = np.array([float(one["width"]) for one in squares])
    assert np.argmax(sides) == np.argmax(weights)
    root = (weights / weights.max()) ** 0.5
    np.testing.assert_allclose(sides, 4 + 11 * root, atol=0.01)


def test_a_diamond_reaches_from_limit_to_limit_and_the_bar_over_the_prediction(payload):
    """Positions are linear in the logarithm: two marks give the scale of the third."""
    term = payload["terms"][1]
    figure = drawn(payload)[0]
    fixed, random = (
        [float(n) for n in one["d"].replace("M", "").replace("L", "").split()[:6]]
        for one in marks(figure, "path", "point")
    )
    first = term["methods"][0]
    low, high = first["lower"], first["upper"]
    per = (fixed[4] - fixed[0]) / (high - low)

    def at(value):
        return fixed[0] + per * (value - low)

    best = term["methods"][-1]
    assert random[0] == pytest.approx(at(best["hksj"]["lower"]), abs=0.5)
    assert random[2] == pytest.approx(at(best["estimate"]), abs=0.5)
    assert random[4] == pytest.approx(at(best["hksj"]["upper"]), abs=0.5)
    (bar,) = marks(figure, "rect", "interval")
    ends = best["prediction"]
    assert float(bar["x"]) == pytest.approx(at(ends["lower"]), abs=0.5)
    assert float(bar["width"]) == pytest.approx(
        per * (ends["upper"] - ends["lower"]), abs=0.5
    )


def test_sites_that_stay_hidden_are_not_drawn_and_the_reason_is_said():
    hidden = replace(META, show_sites=False)
    shown, withheld = oracle(STUDY, hidden, PARTS).shown(10)

    (figure, _) = drawn(shown.as_json(), hidden)

    said = texts(figure)
    assert withheld
    assert not set(STUDY.sites) & set(said)
    assert not any(text.endswith("%") for text in said)
    assert "Random effects (REML, HKSJ)" in said
    assert any("does not ask for it (show_sites)" in text for text in said)


def test_many_sites_are_drawn_in_parts_each_with_what_is_pooled(payload):
    many = [one | {"site": f"s{i}"} for i in range(6) for one in payload["sites"]]

    figures = drawn({**payload, "sites": many})

    assert len(figures) == 4
    assert all("Fixed effect" in texts(figure) for figure in figures)
    assert len(marks(figures[0], "rect", "point")) == 24
    assert len(marks(figures[1], "rect", "point")) == 6


def test_one_site_alone_has_no_random_effect_to_draw():
    alone = oracle(STUDY, META, {"aa": people(2, 300)}).as_json()

    said = texts(drawn(alone)[0])

    assert "Fixed effect" in said
    assert not any("Random effects" in text or "I²" in text for text in said)


def test_a_notebook_draws_it_with_chinese_names():
    names = dict(zip(STUDY.sites, NAMES, strict=True))
    columns = {
        name: np.concatenate([part[name] for part in PARTS.values()])
        for name in ("age", "sex", "ill")
    }
    sizes = [len(part["age"]) for part in PARTS.values()]
    rows = pd.DataFrame(columns).assign(院=np.repeat(list(names.values()), sizes))
    policy = Policy(Minimum(cell=1, events=1, people=1, share=1.0, sites=1), reason="a")

    result = hetao.meta(
        "ill ~ age + sex",
        data=rows,
        split_by="院",
        model="logistic",
        show_sites=True,
        policy=policy,
    )

    once = hetao.profile(
        "ill ~ age + sex",
        data=rows,
        split_by="院",
        model="logistic",
        effect="sex",
        policy=policy,
    )

    assert len(result.body["by_site"]) == 5
    assert once.params.index.tolist() == ["sex"]
    away = once.params["sex"] - result.params["sex"]
    assert abs(away) < 0.3 * result.bse["sex"]
    certified = parse_canonical(once.certificate)
    assert recompute(certified).startswith("1 findings follow")
    assert "pooled odds ratios" in once.forest().title
    assert "age" in result.summary()
    assert "odds ratios by site" in result.forest().title
    assert len(result.pictures()) == 2
    with pytest.raises(Usage, match="model = one of logistic"):
        hetao.meta("ill ~ age", data=rows, split_by="院")
