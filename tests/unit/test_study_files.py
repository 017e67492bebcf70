"""A study file is read as it was meant, or refused in one sentence that says where."""

import functools
import operator
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetao.canonical import parse_canonical
from hetao.errors import BadFormula, HetaoError, InvalidData, InvalidStudy
from hetao.study import (
    Call,
    Name,
    Number,
    Operation,
    parse_expression,
    parse_term,
    read_study,
    study_from,
)
from hetao.study.terms import LONGEST_TERM, parse_criterion
from hetao.study.writing import write_study

GOOD = """
[study]
name = "toy"
title = "A toy"
question = "Does it work?"
version = "1"
dictionary = "flat"

[sites]
members = ["a", "b", "c"]

[population]
criteria = [{ label = "Adults", rule = "age >= 18" }]

[variables.age]
kind = "number"
source = "column"
column = "age"
bounds = [0, 120]

[variables.sex]
kind = "category"
source = "column"
column = "sex"
levels = { f = "f", m = "m" }

[variables.ill]
kind = "category"
source = "column"
column = "ill"
levels = { no = "no", yes = "yes" }

[variables.days]
kind = "number"
source = "column"
column = "days"
bounds = [0, 1000]

[[analyses]]
name = "model"
method = "logistic"
outcome = "ill"
terms = ["1", "age", "sex"]

[[analyses]]
name = "curve"
method = "km"
time = "days"
event = "ill"
grid = { step = 10, end = 1000 }
"""


@pytest.fixture
def study_file(tmp_path):
    """Return a writer of a study file with one piece of text exchanged."""

    def write(old="", new="", text=GOOD):
        assert old in text
        path = tmp_path / "study.toml"
        path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
        return path

    return write


def test_a_study_file_is_read(study_file):
    study = read_study(study_file())

    assert study.sites == ("a", "b", "c")
    assert [v.name for v in study.variables] == ["age", "sex", "ill", "days"]
    assert len(study.analysis("curve").grid.edges) == 100


def test_the_canonical_form_is_the_same_study(study_file):
    study = read_study(study_file())

    again = study_from(parse_canonical(study.canonical))

    assert again == study
    assert again.digest == study.digest


def test_sites_that_may_be_told_apart_are_read_written_and_hashed(study_file, tmp_path):
    plain = read_study(study_file())
    named = read_study(study_file("members =", 'told_apart = ["c"]\nmembers ='))

    write_study(tmp_path / "again.toml", named)

    assert named.told_apart == ("c",)
    assert read_study(tmp_path / "again.toml").digest == named.digest != plain.digest
    assert study_from(parse_canonical(named.canonical)) == named
    assert b"told_apart" not in plain.canonical  # and so its digest is that of before


def test_a_large_whole_bound_survives_the_canonical_form(study_file):
    study = read_study(study_file("bounds = [0, 120]", "bounds = [0, 1e17]"))

    again = study_from(parse_canonical(study.canonical))

    assert again.digest == study.digest


def test_the_order_in_the_file_does_not_change_the_digest(study_file):
    digest = read_study(study_file()).digest

    turned = study_file(
        'name = "toy"\ntitle = "A toy"', 'title = "A toy"\nname = "toy"'
    )

    assert read_study(turned).digest == digest


def test_a_byte_order_mark_changes_nothing(study_file, tmp_path):
    digest = read_study(study_file()).digest
    marked = tmp_path / "marked.toml"
    marked.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert read_study(marked).digest == digest


BAD = {
    # where in the text: (old, new, words of the error)
    "not TOML": ('name = "toy"', "name = toy", "not TOML"),
    "a key twice": ('version = "1"', 'version = "1"\nversion = "2"', "not TOML"),
    "an unknown table": ("[population]", "[populaton]", "[populaton]"),
    "an unknown field": ('version = "1"', 'version = "1"\nversoin = "2"', "'versoin'"),
    "an unknown field of sites": ("members =", "member =", "[sites]"),
    "an unknown field of a variable": (
        "bounds = [0, 120]",
        "bound = [0, 120]",
        "bound",
    ),
    "a variable named twice over": (
        'kind = "number"',
        'name = "x"\nkind = "number"',
        "variables.age",
    ),
    "an unknown field of an analysis": ("outcome =", "outcom =", "'outcom'"),
    "a missing field": ('title = "A toy"\n', "", "'title'"),
    "text for a number": ("bounds = [0, 120]", "bounds = ['0', '120']", "bounds"),
    "a number for text": ('title = "A toy"', "title = 5", "title"),
    "one number for a list": ("bounds = [0, 120]", "bounds = 120", "bounds"),
    "three bounds": ("bounds = [0, 120]", "bounds = [0, 1, 2]", "bounds"),
    "bounds that fall": ("bounds = [0, 120]", "bounds = [120, 0]", "variables.age"),
    "bounds without end": ("bounds = [0, 120]", "bounds = [0, inf]", "variables.age"),
    "bounds that are no number": (
        "bounds = [0, 120]",
        "bounds = [nan, 1]",
        "variables.age",
    ),
    "bounds past all numbers": (
        "bounds = [0, 120]",
        f"bounds = [0, 1{'0' * 400}]",
        "bounds",
    ),
    "no bounds": ("bounds = [0, 120]\n", "", "variables.age"),
    "one level": ('levels = { f = "f", m = "m" }', "levels = { f = 'f' }", "sex"),
    "levels of an odd kind": (
        'levels = { f = "f", m = "m" }',
        "levels = { f = 1.5, m = 2 }",
        "levels",
    ),
    "an unknown kind": ('kind = "number"', 'kind = "date"', "variables.age"),
    "an unknown source": ('source = "column"', 'source = "sql"', "variables.age"),
    "an unknown method": ('method = "logistic"', 'method = "magic"', "model"),
    "no analysis at all": ("[[analyses]]", "[[analysis]]", "analysis"),
    "no such outcome": ('outcome = "ill"', 'outcome = "iII"', "'iII'"),
    "an outcome of the wrong kind": ('outcome = "ill"', 'outcome = "age"', "model"),
    "an unknown variable in a term": ('"age", "sex"]', '"agee", "sex"]', "'agee'"),
    "arithmetic on a category": ('"sex"]', '"sex + 1"]', "'sex + 1'"),
    "a name that is no name": ("[variables.age]", '[variables."a b"]', "'a b'"),
    "a variable called site": ("[variables.age]", "[variables.site]", "'site'"),
    "a site twice": ('["a", "b", "c"]', '["a", "b", "a"]', "[sites]"),
    "no site": ('["a", "b", "c"]', "[]", "[sites]"),
    "a site with a path": ('["a", "b", "c"]', '["a", "../b"]', "'../b'"),
    "two analyses of a name": ('name = "curve"', 'name = "model"', "[[analyses]]"),
    "an unknown criterion": ("age >= 18", "agee >= 18", "[population]"),
    "a criterion that mixes": ("age >= 18", "age == 'old'", "age == 'old'"),
    "a criterion that orders": ("age >= 18", "sex > 'f'", "orders a category"),
    "an unknown level": ("age >= 18", "sex == 'x'", "unknown level"),
    "a grid without steps": ("step = 10", "step = 0", "grid"),
    "a grid of text": ("step = 10", "step = '10'", "grid"),
    "a huge grid": ("step = 10", "step = 1e-9", "grid"),
    "a grid of endless steps": (
        "step = 10, end = 1000",
        "step = inf, end = inf",
        "grid",
    ),
    "a grid to infinity": ("end = 1000", "end = inf", "grid"),
    "a grid of nan": ("step = 10", "step = nan", "grid"),
    "a grid past all numbers": ("end = 1000", f"end = 1{'0' * 400}", "grid"),
    "edges that fall": ("step = 10, end = 1000", "edges = [2, 1]", "grid"),
    "edges from minus infinity": (
        "step = 10, end = 1000",
        "edges = [-inf, 1]",
        "grid",
    ),
    "no edges": ("step = 10, end = 1000", "edges = []", "grid"),
    "a rule for lost sites": (
        "members =",
        'on_lost_site = "maybe"\nmembers =',
        "on_lost",
    ),
    "a stranger told apart": (
        "members =",
        'told_apart = ["d"]\nmembers =',
        "told_apart names 'd', which is no member",
    ),
    "a site told apart twice": (
        "members =",
        'told_apart = ["a", "a"]\nmembers =',
        "told_apart names a site twice",
    ),
    "no time to answer": ("members =", "deadline_seconds = 0\nmembers =", "deadline"),
    "a minimum of none": (
        "[population]",
        "[minimum]\npeople = 0\n[population]",
        "minimum",
    ),
    "a minimum of nan": (
        "[population]",
        "[minimum]\nshare = nan\n[population]",
        "minimum",
    ),
    "a count past all": (
        "[population]",
        f"[minimum]\npeople = {10**30}\n[population]",
        "people",
    ),
    "a bad name": ('name = "toy"', 'name = "../toy"', "name"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_study_that_cannot_be_carried_out_is_refused_and_the_place_is_named(
    study_file, case
):
    old, new, words = BAD[case]

    with pytest.raises(InvalidStudy) as caught:
        read_study(study_file(old, new))

    assert words in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_a_grid_of_too_many_edges_is_refused(study_file):
    edges = ", ".join(str(i) for i in range(1, 20_003))

    with pytest.raises(InvalidStudy, match="grid"):
        read_study(study_file("step = 10, end = 1000", f"edges = [{edges}]"))


@pytest.mark.parametrize(
    "term",
    [
        "age +",
        "log(age",
        "age age",
        "",
        ":",
        "age:",
        "__import__('os').system('x')",
        "().__class__",
        "age.real",
        "age[0]",
        "lambda: 1",
        "(lambda: 1)()",
        "[x for x in age]",
        "f'{age}'",
        "'text'",
        "True",
        "None",
        "...",
        "1j",
        "age if age else 1",
        "age and age",
        "not age",
        "~age",
        "+age",
        "age // 2",
        "age % 2",
        "age @ age",
        "age << 2",
        "age == 1",
        "(age := 1)",
        "eval(age)",
        "open(age)",
        "tan(age)",
        "log(age, 2)",
        "log(x=age)",
        "log(*age)",
        "log",  # a function is no variable
        "await age",
        "yield",
        "age; age",
        "age\nage",
        "age\0",
        "(" * 99 + "age" + ")" * 99,
        "-" * 500 + "age",
        "age" + "+age" * 500,
        "\ud800",
    ],
    ids=lambda term: ascii(term[:20]),
)
def test_a_term_outside_the_grammar_is_refused(study_file, term):
    table = parse_canonical(read_study(study_file()).canonical)
    table["analyses"][0]["terms"] = ["1", term]

    try:
        study_from(table, "study.toml")
    except (BadFormula, InvalidStudy) as error:
        assert "study.toml [[analyses]] model" in str(error)  # noqa: PT017
        return

    assert term.strip("(").startswith("age")  # brackets alone are allowed


@pytest.mark.parametrize(
    "rule",
    [
        "age",
        "age > ",
        "18 < age",
        "18 < age < 60",
        "known(age, 1)",
        "known()",
        "known('age')",
        "age > old",
        "age > __import__('os')",
        "age is 18",
        "age in [1]",
        "not age",
        "exec('x')",
        "age > 1; age",
        "",
        "age > True",
        "age > None",
        "age >" + " 1" * 300,
    ],
)
def test_a_criterion_outside_the_grammar_is_refused(study_file, rule):
    with pytest.raises((BadFormula, InvalidStudy)) as caught:
        read_study(study_file("age >= 18", rule.replace('"', "'")))

    assert "study.toml [population]" in str(caught.value)


def test_a_term_is_a_tree_and_nothing_runs():
    assert parse_expression("log(bmi) * 2") == Operation(
        "*", Call("log", Name("bmi")), Number(2.0)
    )
    assert parse_term("age:log(bmi):sex").names == ("age", "bmi", "sex")
    both = parse_criterion("known(age, sex)")
    (older,) = parse_criterion("age > -5")
    assert [(c.variable, c.operator) for c in both] == [
        ("age", "known"),
        ("sex", "known"),
    ]
    assert older.value == -5.0


@given(text=st.text(max_size=LONGEST_TERM + 10))
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_a_term_or_refused(text):
    for parse in (parse_term, parse_expression, parse_criterion):
        try:
            parse(text)
        except BadFormula:
            continue


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    for encoding in ("gbk", "utf-16"):
        path.write_bytes(GOOD.replace("A toy", "河套").encode(encoding))

        with pytest.raises(InvalidData, match=r"study\.toml is not UTF-8"):
            read_study(path)


def test_a_file_too_large_or_missing_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    with pytest.raises(InvalidData):
        read_study(path)

    with path.open("wb") as file:
        file.truncate(17 * 2**20)

    with pytest.raises(InvalidData, match="16 MiB"):
        read_study(path)


@pytest.mark.parametrize("opened", ["[", "{a=", "[{a="])
def test_a_deeply_nested_file_is_refused(tmp_path, opened):
    path = tmp_path / "study.toml"
    path.write_text("x = " + opened * 20_000)

    with pytest.raises(InvalidStudy, match=r"study\.toml"):
        read_study(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Yield the path to every value inside a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*path, key))


@given(data=st.data(), value=json_values)
def test_a_study_with_any_value_in_any_place_is_read_or_refused(data, value):
    table = parse_canonical(read_study_text(GOOD).canonical)
    *parents, key = data.draw(st.sampled_from(list(places(table))))
    functools.reduce(operator.getitem, parents, table)[key] = value

    try:
        study = study_from(table)
        study.canonical  # noqa: B018
    except HetaoError:
        return

    assert study_from(parse_canonical(study.canonical)).digest == study.digest


@functools.cache
def read_study_text(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_text(text, encoding="utf-8")
        return read_study(path)
