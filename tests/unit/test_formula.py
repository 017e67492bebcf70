"""An R formula is taken apart by name; nothing of it is ever evaluated."""

import pytest

from hetao.errors import BadFormula
from hetao.notebook.formula import parse_formula
from hetao.study.terms import parse_criterion

READ = {
    "y ~ a + b": ("a", "b"),
    "y ~ a*b": ("a", "b", "a:b"),
    "y ~ a:b": ("a:b",),
    "y ~ a/b": ("a", "a:b"),
    "y ~ (a + b + c)^2": ("a", "b", "c", "a:b", "a:c", "b:c"),
    "y ~ a + b - a": ("b",),
    "y ~ a + a": ("a",),
    "y ~ 1": (),
    "y ~ a - 1": ("0", "a"),
    "y ~ 0 + a": ("0", "a"),
    "y ~ I(a^2)": ("(a ** 2)",),
    "y ~ I((a - 60)^2) + b": ("b", "((a - 60) ** 2)"),
    "y ~ I(a/10) + I(b*2)": ("(a / 10)", "(b * 2)"),
    "y ~ log(a) + np.log(b)": ("log(a)", "log(b)"),
    "y ~ np.sqrt(a):b": ("sqrt(a):b",),
    "y ~ I(np.log(a) * 2)": ("(log(a) * 2)",),
    "y ~ factor(a) + C(b)": ("a", "b"),
    "y ~ " + "(" * 500 + "a" + ")" * 500: ("a",),
}


@pytest.mark.parametrize("text", READ)
def test_terms_are_those_of_r(text):
    assert sorted(parse_formula(text).terms) == sorted(READ[text])


@pytest.mark.parametrize(
    "text",
    [
        'y ~ C(a, Treatment("b"))',
        "y ~ C(a, Treatment('b'))",
        'y ~ C(a, Treatment(reference="b"))',
        'y ~ C(a, contr=Treatment("b"))',
    ],
)
def test_a_reference_level_is_read_in_each_way_of_writing_it(text):
    assert parse_formula(text).categories == {"a": "b"}


def test_offsets_and_strata_are_no_terms():
    formula = parse_formula("Surv(t, e) ~ a + offset(log(d)) + strata(s, u)")

    assert (formula.time, formula.event, formula.response) == ("t", "e", "")
    assert formula.terms == ("a",)
    assert formula.offset == "log(d)"
    assert formula.strata == ("s", "u")


def test_an_offset_may_be_written_with_numpys_functions():
    assert parse_formula("y ~ a + offset(np.log(d))").offset == "log(d)"


def test_start_stop_times_and_a_cluster_are_read_as_r_reads_them():
    formula = parse_formula("Surv(t1, t2, e) ~ a + cluster(id)")

    assert (formula.start, formula.time, formula.event) == ("t1", "t2", "e")
    assert (formula.terms, formula.cluster) == (("a",), "id")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "y",
        "y ~",
        "~",
        "y ~ a ~ b",
        "y ~ a +",
        "y ~ (a",
        "y ~ a)",
        "y ~ .",
        "y ~ foo(a)",
        "y ~ poly(a, 2)",
        "y ~ bs(a)",
        "y ~ ns(a, df=2, knots=c(1, 2))",
        "y ~ ns(a, df=1.5)",
        "y ~ ns(a, df=99)",
        "y ~ ns(a, degree=2)",
        "y ~ ns(a, 2, df=3)",
        "y ~ bs(a, df=4, degree=9)",
        "y ~ ns(a, knots=c(b, 2))",
        "y ~ ns(a, df=3, Boundary.knots=7)",
        "y ~ log(ns(a, df=2))",
        "y ~ I(a > 60)",
        "y ~ a[0]",
        "y ~ a.b",
        "y ~ lambda: 1",
        "y ~ 'a'",
        "y ~ __import__('os')",
        "y ~ __import__('os').system('true')",
        "y ~ I(__import__('os').system('true'))",
        "y ~ offset(__import__('os').getpid())",
        "y ~ log(open('/etc/passwd'))",
        "y ~ (a := 1)",
        "__import__('os') ~ a",
        "cbind(y, 1 - y) ~ a",
        "y == 1 ~ a",
        "Surv(t) ~ a",
        "Surv(t, t2, t3, e) ~ a",
        "Surv(t, 2 * t, e) ~ a",
        "y ~ cluster(a + b)",
        "Surv(t, e > 1) ~ a",
        "y ~ C(a, Sum)",
        "y ~ a\0",
        "y ~ " + "a" * 300,
    ],
)
def test_what_is_no_formula_is_refused_in_one_sentence(text, monkeypatch):
    ran = []
    monkeypatch.setattr("os.system", ran.append)

    with pytest.raises(BadFormula) as caught:
        parse_formula(text)

    assert "\n" not in str(caught.value)
    assert not ran


@pytest.mark.parametrize(
    "text",
    [
        "y ~ 1or x",
        "y ~ I(x*1or 2)",
        "1if y else 2 ~ x",
        'y ~ C(x, "\\d")',
        "y ~ 0xfor x",
    ],
)
def test_what_python_warns_of_is_refused_and_no_warning_reaches_the_reader(text):
    """Of what it will read otherwise one day; here a warning fails the test."""
    with pytest.raises(BadFormula):
        parse_formula(text)


@pytest.mark.parametrize("rule", ["x > 1and y == 2", 'x == "\\d"'])
def test_a_criterion_that_python_warns_of_is_refused(rule):
    with pytest.raises(BadFormula, match="cannot be read"):
        parse_criterion(rule)
