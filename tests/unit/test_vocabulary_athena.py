"""A downloaded vocabulary is loaded whole, or refused by file and line and not kept."""

import duckdb
import pytest

from hetao.cdm.vocabulary import current_vocabulary, load_athena
from hetao.errors import InvalidVocabulary
from support_vocabulary import (
    ANCESTOR,
    CONCEPT,
    RELATIONSHIP,
    SYNONYM,
    VOCABULARY,
    write_download,
)


@pytest.fixture
def load(tmp_path):
    def run(**changed):
        download = write_download(tmp_path / "download", **changed)
        return load_athena(download, tmp_path / "store")

    return run


def rows(loaded, sql):
    with duckdb.connect(str(loaded.path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_row_is_loaded_and_counted(load):
    loaded = load()

    assert loaded.rows == {
        "concept": 11,
        "concept_ancestor": 11,
        "concept_relationship": 7,
        "vocabulary": 5,
        "concept_synonym": 2,
    }
    assert loaded.version == "v9.9 31-FEB-26"
    assert loaded.digest.startswith("sha256:")


def test_names_and_dates_are_what_the_file_says(load):
    found = rows(
        load(),
        "SELECT concept_name, valid_start_date::VARCHAR, standard_concept, "
        "invalid_reason FROM concept WHERE concept_id IN (900003, 900014) ORDER BY 1",
    )

    assert found == [
        ('"Quoted" river, 河律', "2002-01-31", "S", None),
        ("Old river rhythm", "2000-01-01", None, "D"),
    ]


def test_the_loaded_one_is_current_and_a_second_stands_beside_it(load, tmp_path):
    assert current_vocabulary(tmp_path / "store") is None

    first = load()
    assert current_vocabulary(tmp_path / "store") == first
    second = load(VOCABULARY=VOCABULARY.replace("v9.9", "v9.10"))

    assert current_vocabulary(tmp_path / "store") == second
    assert second.digest != first.digest
    assert first.path.is_file()
    assert load(VOCABULARY=VOCABULARY) == first


def quoted(text):
    """The same file as some programs write it: every cell in quotes."""
    return (
        "\r\n".join(
            "\t".join('"' + cell.replace('"', '""') + '"' for cell in line.split("\t"))
            for line in text.splitlines()
        )
        + "\r\n"
    )


@pytest.mark.parametrize(
    "habit",
    [
        quoted,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("20991231", "2099-12-31"),
    ],
    ids=["quotes", "windows lines", "byte order mark", "dates with dashes"],
)
def test_other_habits_of_writing_change_nothing(load, habit):
    plain = rows(load(), "FROM concept ORDER BY concept_id")

    again = load(CONCEPT=habit(CONCEPT))

    assert rows(again, "FROM concept ORDER BY concept_id") == plain


def test_the_order_of_rows_in_a_file_does_not_matter_to_what_is_loaded(load):
    plain = rows(load(), "FROM concept")
    head, *body = CONCEPT.splitlines(keepends=True)

    again = load(CONCEPT=head + "".join(reversed(body)))

    assert rows(again, "FROM concept") == plain


def test_a_download_without_synonyms_is_whole(load):
    assert load(CONCEPT_SYNONYM=None).rows["concept_synonym"] == 0


BAD = [
    ({"CONCEPT": None}, "CONCEPT.csv is not in the download"),
    ({"CONCEPT_ANCESTOR": None}, "CONCEPT_ANCESTOR.csv is not in the download"),
    ({"CONCEPT_RELATIONSHIP": None}, "CONCEPT_RELATIONSHIP.csv is not in"),
    ({"VOCABULARY": None}, "VOCABULARY.csv is not in the download"),
    ({"CONCEPT": CONCEPT[:-1]}, "CONCEPT.csv ends in the middle of a line"),
    ({"CONCEPT": CONCEPT[:-40]}, "CONCEPT.csv ends in the middle of a line"),
    ({"CONCEPT": CONCEPT[:-40] + "\n"}, "CONCEPT.csv is cut short"),
    ({"CONCEPT_ANCESTOR": ANCESTOR[:-3] + "\n"}, "CONCEPT_ANCESTOR.csv is cut short"),
    ({"CONCEPT": CONCEPT.partition("\n")[0] + "\n"}, "CONCEPT.csv holds no row"),
    ({"CONCEPT": b""}, "CONCEPT.csv"),
    # cut at the end of a line: what others point to is missing
    (
        {"CONCEPT": CONCEPT[: CONCEPT.rindex("900031")]},
        "CONCEPT_ANCESTOR.csv names concept 900031",
    ),
    (
        {"CONCEPT_RELATIONSHIP": RELATIONSHIP.replace("900013", "909999")},
        "CONCEPT_RELATIONSHIP.csv names concept 909999",
    ),
    ({"CONCEPT": CONCEPT.replace("\t", ",")}, "is separated by ',', not by tabs"),
    ({"VOCABULARY": VOCABULARY.replace("\t", ";")}, "is separated by ';'"),
    ({"CONCEPT": CONCEPT.replace("domain_id", "domain")}, "does not have the columns"),
    ({"CONCEPT": ANCESTOR}, "CONCEPT.csv does not have the columns"),
    (
        {"CONCEPT": CONCEPT.replace("900002\tRapid", "90000x\tRapid")},
        "CONCEPT.csv line 4: concept_id cannot be read",
    ),
    (
        {"CONCEPT": CONCEPT.replace("20020131", "20020231", 1)},
        "CONCEPT.csv line 3: valid_start_date cannot be read",
    ),
    (
        {"CONCEPT": CONCEPT.replace("20020131", "31/01/2002", 1)},
        "CONCEPT.csv line 3: valid_start_date cannot be read",
    ),
    (
        {"CONCEPT": CONCEPT.replace("\tI48.1\t", "\t\t")},
        "CONCEPT.csv line 7: concept_code cannot be read",
    ),
    (
        {"CONCEPT": CONCEPT + CONCEPT.splitlines(keepends=True)[3]},
        "CONCEPT.csv line 13: concept_id stands twice",
    ),
    (
        {"CONCEPT_ANCESTOR": ANCESTOR.replace("1\t2\n", "1\ttwo\n", 1)},
        "CONCEPT_ANCESTOR.csv line 6: max_levels_of_separation cannot be read",
    ),
    (
        {"CONCEPT_ANCESTOR": ANCESTOR + "900001\t900002\t1\t1\n"},
        "CONCEPT_ANCESTOR.csv line 13: .* stands twice",
    ),
    ({"CONCEPT": CONCEPT.encode("utf-16")}, "CONCEPT.csv"),
    ({"CONCEPT": CONCEPT.encode("gb18030")}, "CONCEPT.csv"),
    ({"CONCEPT_SYNONYM": SYNONYM.replace("\t4180186", "", 1)}, "CONCEPT_SYNONYM.csv"),
]


@pytest.mark.parametrize(("changed", "says"), BAD, ids=[says for _, says in BAD])
def test_a_download_that_is_not_whole_is_refused_and_nothing_is_kept(
    load, tmp_path, changed, says
):
    good = load()
    for name in changed:
        (tmp_path / "download" / f"{name}.csv").unlink()

    with pytest.raises(InvalidVocabulary, match=says):
        load(**changed)

    assert current_vocabulary(tmp_path / "store") == good
    kept = {path.name for path in (tmp_path / "store" / "vocabularies").iterdir()}
    assert kept == {"current", good.path.parent.name}


def test_a_loaded_vocabulary_that_was_damaged_is_refused_and_can_be_loaded_again(
    load, tmp_path
):
    loaded = load()
    (loaded.path.parent / "manifest.json").write_text("{", encoding="utf-8")

    with pytest.raises(InvalidVocabulary, match=r"not whole.*load the vocabulary"):
        current_vocabulary(tmp_path / "store")

    assert load() == loaded
    assert current_vocabulary(tmp_path / "store") == loaded


def test_a_pointer_that_leads_elsewhere_is_refused(load, tmp_path):
    load()
    pointer = tmp_path / "store" / "vocabularies" / "current"
    pointer.write_text("../../elsewhere\n", encoding="utf-8")

    with pytest.raises(InvalidVocabulary, match="names no vocabulary"):
        current_vocabulary(tmp_path / "store")
