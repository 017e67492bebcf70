"""No SELECT carries an identifier into the common data model, however it is written."""

import json

import pytest

from hetao.cdm.lineage import Proof, check_headers, prove
from hetao.cdm.mapping import Source
from hetao.cdm.selecting import read_select
from hetao.errors import IdentifierLeak, InvalidMapping

HEADERS = {
    "pat": ("HKID", "Name", "Sex", "Born", "Ward", "Remark"),
    "dx": ("HKID", "Code", "Day", "Token"),
}
SOURCES = {
    "pat": Source("pat", "p.csv", identifiers=("HKID", "Name")),
    "dx": Source("dx", "d.csv", identifiers=("HKID",)),
}


def proof(sql: str, table: str = "observation") -> Proof:
    return prove({table: read_select(table, sql, HEADERS)}, SOURCES, HEADERS)


SMUGGLED = {
    "as it stands": "SELECT HKID AS v FROM pat",
    "under another name in a subquery": "SELECT x AS v FROM (SELECT HKID x FROM pat) t",
    "through two CTEs": "WITH a AS (SELECT HKID q FROM pat), b AS (SELECT q r FROM a) "
    "SELECT r AS v FROM b",
    "in the second branch of UNION ALL": "SELECT Sex AS v FROM pat UNION ALL "
    "SELECT HKID FROM dx",
    "in a later branch of a CTE": "WITH a AS (SELECT Sex s FROM pat UNION ALL "
    "SELECT Name FROM pat) SELECT s AS v FROM a",
    "by place, under an innocent name": "WITH a(ward, id) AS "
    "(SELECT HKID, Ward FROM pat) SELECT ward AS v FROM a",
    "cut in pieces": "SELECT substr(HKID, 2, 3) AS v FROM pat",
    "glued to something": "SELECT Ward || '-' || HKID AS v FROM pat",
    "as its length": "SELECT length(Name) AS v FROM pat",
    "as a CASE condition": "SELECT CASE WHEN HKID = 'A123456' THEN 1 END AS v FROM pat",
    "as a CASE operand": "SELECT CASE HKID WHEN 'A1' THEN 1 ELSE 0 END AS v FROM pat",
    "as a coalesce": "SELECT coalesce(Remark, HKID) AS v FROM pat",
    "as a nullif": "SELECT nullif(HKID, '') AS v FROM pat",
    "as a comparison": "SELECT HKID > 'M' AS v FROM pat",
    "as a maximum": "SELECT max(HKID) AS v FROM pat",
    "as a count of the different": "SELECT count(DISTINCT HKID) AS v FROM pat",
    "as a filter of an aggregate": "SELECT count(*) FILTER (HKID LIKE 'A%') AS v "
    "FROM pat",
    "as an order": "SELECT row_number() OVER (ORDER BY HKID) AS v FROM pat",
    "as the row before": "SELECT lag(HKID) OVER (ORDER BY Born) AS v FROM pat",
    "as a partition by its first letter": "SELECT count(*) OVER "
    "(PARTITION BY left(HKID, 1)) AS v FROM pat",
    "in a scalar subquery": "SELECT (SELECT max(Name) FROM pat) AS v FROM dx",
    "in a correlated subquery": "SELECT (SELECT max(d.Code) FROM dx d "
    "WHERE d.Code < p.HKID) AS v FROM pat p",
    "in a list": "SELECT array_to_string([Ward, HKID], ',') AS v FROM pat",
    "in a list that is taken apart": "SELECT u.x AS v FROM pat, "
    "unnest([Ward, Name]) AS u(x)",
    "unnested in the SELECT": "SELECT unnest([Name]) AS v FROM pat",
    "through a cast": "SELECT CAST(HKID AS BIGINT) AS v FROM pat",
    "through a reading macro": "SELECT as_number(HKID) AS v FROM pat",
    "beside its pseudonym": "SELECT pseudonym(HKID) || HKID AS v FROM pat",
    "through a join on another column": "SELECT d.Token AS v FROM pat p "
    "JOIN dx d ON d.Token = p.HKID",
    "through WHERE instead of ON": "SELECT d.Token AS v FROM pat p, dx d "
    "WHERE d.Token = p.HKID",
    "through IN": "SELECT Token AS v FROM dx WHERE Token IN (SELECT HKID FROM pat)",
    "through EXISTS": "SELECT Token AS v FROM dx d WHERE EXISTS "
    "(SELECT 1 FROM pat p WHERE p.HKID = d.Token)",
    "through USING": "SELECT HKID AS v FROM pat JOIN dx USING (HKID)",
    "by choosing rows": "SELECT Sex AS v FROM pat WHERE HKID LIKE 'A1%'",
    "by choosing rows with OR": "SELECT Sex AS v FROM pat p JOIN dx d "
    "ON p.HKID = d.HKID OR p.HKID = 'A1'",
    "by choosing groups": "SELECT Sex AS v FROM pat GROUP BY Sex "
    "HAVING max(HKID) > 'M'",
    "by choosing windows": "SELECT Sex AS v FROM pat "
    "QUALIFY row_number() OVER (ORDER BY HKID) = 1",
    "by sorting": "SELECT Sex AS v FROM pat ORDER BY HKID",
    "with quotes and another case": 'SELECT p."hkid" AS v FROM PAT AS p',
    "as a guess that makes it NULL": "WITH a AS (SELECT nullif(HKID, 'A1') c FROM pat) "
    "SELECT CASE WHEN c IS NULL THEN 1 END AS v FROM a",
    "as groups by a piece": "SELECT count(*) AS v FROM pat GROUP BY left(HKID, 1)",
    "as groups by a piece from a CTE": "WITH a AS (SELECT left(HKID, 1) c FROM pat) "
    "SELECT count(*) AS v FROM a GROUP BY c",
    "as sets of groups by a piece": "SELECT count(*) AS v FROM pat "
    "GROUP BY GROUPING SETS ((left(HKID, 1)), ())",
    "as a rollup of a piece": "SELECT count(*) AS v FROM pat "
    "GROUP BY ROLLUP (left(HKID, 1))",
    "as a partition by a guess from a CTE": "WITH a AS (SELECT HKID = 'A1' c FROM pat) "
    "SELECT count(*) OVER (PARTITION BY c) AS v FROM a",
    "as the frame of a window": "SELECT sum(1) OVER (ORDER BY Born ROWS BETWEEN "
    "length(HKID) PRECEDING AND CURRENT ROW) AS v FROM pat",
    "as equal to a guess among identifiers": "WITH a AS (SELECT HKID h, 0 g FROM pat "
    "UNION ALL SELECT 'A1', 1) SELECT a.g AS v FROM pat p JOIN a ON a.h = p.HKID",
    "as equal to a guess built from nothing of it": "WITH a AS "
    "(SELECT left(HKID, 0) || 'A1' h FROM pat) "
    "SELECT 1 AS v FROM pat p JOIN a ON a.h = p.HKID",
    "as the pseudonym of a piece": "SELECT pseudonym(substr(HKID, 2, 1)) AS v FROM pat",
    "as the pseudonym of what is left of it": "SELECT "
    "pseudonym(replace(HKID, '1', '')) AS v FROM pat",
    "as a pseudonym that a guess makes NULL": "SELECT "
    "pseudonym(nullif(HKID, 'A1')) IS NULL AS v FROM pat",
    "as the pseudonym of one of two": "SELECT "
    "pseudonym(CASE WHEN HKID LIKE 'A%' THEN Ward END) AS v FROM pat",
    "as equal to the pseudonym of a guess": "SELECT "
    "CASE WHEN pseudonym(HKID) = pseudonym('A1') THEN 1 END AS v FROM pat",
    "as equal to the pseudonyms of a list of guesses": "SELECT g.l AS v FROM pat p "
    "JOIN (VALUES ('A1', 'x')) AS g(h, l) ON pseudonym(p.HKID) = pseudonym(g.h)",
    "as the pseudonym of a guess among identifiers": "WITH a AS (SELECT HKID h "
    "FROM pat UNION ALL SELECT 'A1') SELECT pseudonym(h) AS v FROM a",
}


@pytest.mark.parametrize("sql", SMUGGLED.values(), ids=SMUGGLED)
def test_an_identifier_cannot_be_smuggled(sql):
    with pytest.raises(IdentifierLeak):
        proof(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT as_integer(Token) AS person_id FROM dx",
        "SELECT pseudonym(HKID) AS person_id FROM dx UNION ALL "
        "SELECT CAST(Token AS BIGINT) FROM dx",
        "SELECT pseudonym(HKID) AS person_id, as_integer(Token) AS visit_occurrence_id "
        "FROM dx",
    ],
    ids=["a person's", "a person's in one branch", "a visit's"],
)
def test_an_id_is_a_pseudonym_though_nobody_declared_what_it_is_made_of(sql):
    with pytest.raises(IdentifierLeak, match="as it stands"):
        proof(sql, "condition_occurrence")


ALLOWED = {
    "inside pseudonym()": "SELECT pseudonym(HKID) AS v FROM pat",
    "built and inside pseudonym()": "SELECT pseudonym(HKID || Ward) AS v FROM pat",
    "as an equality of two identifiers": "SELECT p.Sex AS v FROM dx d "
    "JOIN pat p ON p.HKID = d.HKID",
    "as USING": "SELECT Code AS v FROM pat JOIN dx USING (HKID)",
    "as pseudonyms that are compared": "SELECT p.Sex AS v FROM dx d "
    "JOIN pat p ON pseudonym(p.HKID) = pseudonym(d.Token)",
    "asked whether it is there": "SELECT Sex AS v FROM pat WHERE HKID IS NOT NULL",
    "as a group": "SELECT count(*) AS v FROM pat GROUP BY HKID",
    "as a partition": "SELECT row_number() OVER (PARTITION BY HKID ORDER BY Day) AS v "
    "FROM dx",
    "cleaned and glued inside pseudonym()": "SELECT "
    "pseudonym('p ' || replace(clean(HKID), 'Patient/', '')) AS v FROM pat",
    "as the least of several inside pseudonym()": "WITH a AS (SELECT min(HKID) h "
    "FROM dx GROUP BY Day) SELECT pseudonym(h) AS v FROM a",
    "in both branches of UNION ALL": "WITH a AS (SELECT HKID h FROM pat UNION ALL "
    "SELECT HKID FROM dx) SELECT pseudonym(h) AS v FROM a GROUP BY h",
    "not at all": "SELECT Ward AS v FROM pat",
}


@pytest.mark.parametrize("sql", ALLOWED.values(), ids=ALLOWED)
def test_what_an_identifier_may_do(sql):
    assert not proof(sql).columns["observation"]["v"].identifiers


CLOSED = {
    "a file": "SELECT x AS v FROM read_csv('/etc/passwd') AS t(x)",
    "a file as a table": "SELECT x AS v FROM 'secret.csv'",
    "a file as text": "SELECT x AS v FROM read_text('pseudonym.key') AS t(x)",
    "the key": "SELECT getvariable('hetao_inner') AS v FROM pat",
    "a setting": "SELECT current_setting('home_directory') AS v FROM pat",
    "the environment": "SELECT getenv('HOME') AS v FROM pat",
    "another query": "SELECT x AS v FROM query('SELECT 1') AS t(x)",
    "the catalogue": "SELECT table_name AS v FROM information_schema.tables",
    "chance": "SELECT random() AS v FROM pat",
    "the clock": "SELECT now() AS v FROM pat",
    "a hash without the key": "SELECT md5(HKID) AS v FROM pat",
    "a second statement": "SELECT Sex AS v FROM pat; DROP TABLE pat",
    "another statement": "COPY pat TO '/tmp/x.csv'",
    "an attached database": "ATTACH 'x.db'",
    "a whole row": "SELECT pat AS v FROM pat",
    "columns by pattern": "SELECT COLUMNS('.*') FROM pat",
    "a natural join": "SELECT Sex AS v FROM pat NATURAL JOIN dx",
    "a named window": "SELECT row_number() OVER w AS v FROM pat "
    "WINDOW w AS (ORDER BY HKID)",
    "some rows only": "SELECT Sex AS v FROM pat LIMIT 5",
    "a sample": "SELECT Sex AS v FROM pat USING SAMPLE 10%",
    "recursion": "WITH RECURSIVE a AS (SELECT 1 x UNION ALL SELECT x + 1 FROM a) "
    "SELECT x AS v FROM a",
    "a CTE that hides a source": "WITH pat AS (SELECT 1 AS Sex) "
    "SELECT Sex AS v FROM pat",
    "distinct rows of two branches": "SELECT Sex AS v FROM pat UNION "
    "SELECT Code FROM dx",
    "a struct": "SELECT {'a': HKID}.a AS v FROM pat",
    "nothing": "   ",
    "no SQL": "SELECT FROM WHERE ((",
}


@pytest.mark.parametrize("sql", CLOSED.values(), ids=CLOSED)
def test_the_language_of_mappings_is_closed(sql):
    with pytest.raises(InvalidMapping):
        proof(sql)


def test_a_wrong_column_is_told_with_the_closest_one():
    with pytest.raises(InvalidMapping, match=r"'wardd'.*closest: Ward"):
        proof("SELECT Wardd AS v FROM pat")


def test_a_wrong_source_is_told_with_those_that_there_are():
    with pytest.raises(InvalidMapping, match=r"no source pats.*pat"):
        proof("SELECT Ward AS v FROM pats")


SUSPECTS = (
    *("HKID", "HKIC No.", "hkid", "身份证号", "身分證號碼", "Patient Name", "姓名"),
    *(
        "Telephone",
        "Mobile No",
        "Email",
        "手機",
        "Home Address",
        "住院号",
        "Reference Key",
    ),
    *(
        "患者姓名",
        "Passport No",
        "medical record number",
        "Surname",
        "证件号码",
        "PatientID",
    ),
)


@pytest.mark.parametrize("header", SUSPECTS)
def test_a_column_that_looks_like_an_identifier_must_be_declared(header):
    headers = {"s": ("key", header)}
    declared = Source("s", "s.csv", identifiers=(header,))
    harmless = Source("s", "s.csv", harmless=(header,))

    with pytest.raises(IdentifierLeak, match="looks like a direct identifier"):
        check_headers({"s": Source("s", "s.csv")}, headers)
    check_headers({"s": declared}, headers)
    check_headers({"s": harmless}, headers)


@pytest.mark.parametrize(
    "header",
    [
        "Drug Name",
        "Sex",
        "Date of Birth",
        "Ward",
        "诊断名称",
        "Test Name",
        "code",
        "性别",
    ],
)
def test_an_ordinary_column_need_not_be_declared(header):
    check_headers({"s": Source("s", "s.csv")}, {"s": (header,)})


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_file_whose_columns_are_parted_otherwise_is_answered_with_the_mark(mark):
    declared = Source("s", "s.csv", identifiers=("patient",))

    with pytest.raises(InvalidMapping) as refused:
        check_headers({"s": declared}, {"s": (f"patient{mark}sex",)})

    assert f"set delimiter = {json.dumps(mark)}" in refused.value.fix
    with pytest.raises(InvalidMapping) as refused:
        check_headers({"s": declared}, {"s": ("number", f"sex{mark}")})
    assert refused.value.fix.startswith("it has: number, sex")


def test_a_declared_identifier_that_is_not_there_is_refused():
    with pytest.raises(InvalidMapping, match="no column 'HKID'"):
        check_headers({"s": Source("s", "s", identifiers=("HKID",))}, {"s": ("Key",)})


def test_the_proof_names_columns_functions_and_pseudonyms():
    told = proof("SELECT pseudonym(HKID) AS v, as_year(Born) AS w FROM pat").as_json()

    assert told["tables"]["observation"] == {
        "v": {
            "from": ["pat.HKID"],
            "pseudonym_of": ["pat.HKID"],
            "functions": ["pseudonym"],
        },
        "w": {"from": ["pat.Born"], "pseudonym_of": [], "functions": ["as_year"]},
    }
