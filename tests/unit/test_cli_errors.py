"""Bad input, whatever it is: one line that says so, its exit code, nothing left."""

import os
import resource
import subprocess

import pandas as pd
import pytest

from hetao.cli.main import called as program
from hetao.cli.main import say
from hetao.errors import InvalidData
from hetao.federation.processes import command, environment
from support_cdm import SITE, write_folder
from support_federation import COUNTS, toy_study
from support_system import called, people, write_asked, write_network

FIT = ("fit", "logistic", "ill ~ age")
SPLIT = ("--split-by", "hospital")
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "people.csv"
    pd.DataFrame(people(100)).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return a network and an approved study; nothing of it runs."""
    folder = tmp_path_factory.mktemp("asked")
    study = toy_study((COUNTS,), deadline_seconds=1)
    pilot = write_network(folder, study)
    return pilot, *write_asked(folder / "asked", pilot, study)


def refused(capsys, *words):
    """Call a command that must fail, and return its exit code and its error's code."""
    said = called(capsys, *words)
    assert said.out == ""
    return said.code, said.error


# --- data files -----------------------------------------------------------------------
FILES = {
    "empty": b"",
    "a header only": b"hospital,age,ill\n",
    "blank lines": b"\n\n\n",
    "gb18030 read as UTF-8": "hospital,age,ill\n北京,30,是\n".encode("gb18030"),
    "UTF-16": "hospital,age,ill\nA,30,1\n".encode("utf-16"),
    "a program": bytes(range(256)) * 40,
    "Parquet's magic and no Parquet": b"PAR1" + bytes(200),
    "a ragged row": b"hospital,age,ill\nA,30\n",
    "an open quote": b'hospital,age,ill\nA,"30,1\n',
    "a column twice": b"hospital,age,age\nA,30,1\n",
    "a column without a name": b"hospital,,age\nA,30,1\n",
    "no such column": b"hospital,years,ill\nA,30,1\n",
    "no split column": b"site,age,ill\nA,30,1\n",
    "no value of the split column": b"hospital,age,ill\n,30,1\n",
}


@pytest.mark.parametrize("what", FILES)
def test_a_data_file_that_is_none_is_named(capsys, tmp_path, what):
    path = tmp_path / "rows.csv"
    path.write_bytes(FILES[what])

    said = called(capsys, *FIT, "--data", path, *SPLIT)

    assert (said.code, said.error) == (4, "HT-110")
    assert "rows.csv" in said.err
    assert "北" not in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


def test_a_folder_and_a_missing_file_are_named(capsys, tmp_path):
    assert refused(capsys, *FIT, "--data", tmp_path, *SPLIT) == (4, "HT-110")
    missing = tmp_path / "no.csv"
    assert refused(capsys, *FIT, "--data", missing, *SPLIT) == (4, "HT-110")


@pytest.mark.parametrize("letters", [False, True], ids=["of NUL", "of letters"])
def test_a_line_of_a_gibibyte_is_refused_in_bounded_memory(tmp_path, letters):
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        if letters:
            for _ in range(64):
                file.write(b"a" * MEBIBYTE)
        else:
            file.truncate(1024 * MEBIBYTE)
    limit = 1500 * MEBIBYTE  # of addresses; the libraries alone take most of it

    done = subprocess.run(
        command(*FIT, "--data", path, *SPLIT),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )

    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(
        "hetao: error: HT-110: long.csv, lines 1-1000: a line"
    )
    assert done.stderr.count("\n") == 1


# --- formulas -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("formula", "code"),
    [
        ("ill ~ aeg", "HT-110"),
        ("ill age", "HT-120"),
        ("ill ~ age +", "HT-120"),
        ("ill ~ foo(age)", "HT-120"),
        ("ill ~ __import__('os')", "HT-120"),
        ("", "HT-120"),
    ],
)
def test_a_formula_that_is_wrong_is_refused(capsys, good, formula, code):
    words = ("fit", "logistic", formula, "--data", good, *SPLIT)

    assert refused(capsys, *words) == (4, code)


# --- how fit is called ----------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--data", "GOOD"),
        ("--site", "a"),
        ("--site", "=GOOD"),
        ("--site", "a="),
        ("--site", "a=GOOD", "--data", "GOOD"),
        ("--data", "GOOD", *SPLIT, "--strata", "site"),
        ("--data", "GOOD", *SPLIT, "--out", "GOOD"),
        ("--data", "GOOD", *SPLIT, "--out", "GOOD/inside"),
        ("--data", "GOOD", *SPLIT, "--out", "/dev/null/out"),
        ("--data", "GOOD", *SPLIT, "--out", "/proc/out"),
    ],
)
def test_a_fit_that_is_called_wrongly_is_refused(capsys, good, words):
    said = [word.replace("GOOD", str(good)) for word in words]

    assert refused(capsys, *FIT, *said) == (2, "HT-001")


@pytest.mark.parametrize("name", ["a b", "../a", "甲", "a" * 99])
def test_a_site_that_has_no_plain_name_is_refused(capsys, good, name):
    assert refused(capsys, *FIT, "--site", f"{name}={good}") == (4, "HT-101")


def test_a_file_that_is_parted_by_semicolons_is_answered_with_what_parts_it(
    capsys, good, tmp_path
):
    path = tmp_path / "people.csv"
    path.write_text(good.read_text("utf-8").replace(",", ";"), "utf-8")

    said = called(capsys, *FIT, "--data", path, *SPLIT)

    assert (said.code, said.error, said.out) == (4, "HT-110", "")
    assert "(part the columns by commas; columns: " in said.err


def test_a_column_of_ids_starts_no_process_for_each(capsys, tmp_path):
    path = tmp_path / "people.csv"
    pd.DataFrame(people(100)).assign(id=range(300)).to_csv(path, index=False)

    said = called(capsys, *FIT, "--data", path, "--split-by", "id")

    assert (said.code, said.error, said.out) == (2, "HT-001", "")
    assert "there are 300 parts" in said.err
    assert "hospital" in said.err


def test_a_site_named_twice_is_refused(capsys, good):
    words = ("--site", f"a={good}", "--site", f"a={good}")

    assert refused(capsys, *FIT, *words) == (4, "HT-101")


# --- commands -------------------------------------------------------------------------
def test_no_arguments_and_unknown_words_show_how_it_is_called(capsys):
    for words in ((), ("site",), ("hub",), ("study",)):
        said = called(capsys, *words)
        assert (said.code, said.out) == (2, "")
        assert "usage: hetao" in said.err
    for words in (("nope",), ("demo", "--scenario", "x"), ("fit", "probit", "y ~ x")):
        said = called(capsys, *words)
        assert (said.code, said.out) == (2, "")
        assert "invalid choice" in said.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("ruels", "list"), "rules"),
        (("rules", "explan"), "explain"),
        (("fit", "logistc", "ill ~ age"), "logistic"),
        (("verify", "certificate.json", "--polcy", "mine"), "--policy"),
        (("site", "curate", "site.toml", "--hole"), "--whole"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_one(capsys, words, meant):
    said = called(capsys, *words)

    assert (said.code, said.out) == (2, "")
    assert said.err.endswith(f"; did you mean {meant}?\n")


def test_an_unknown_option_shows_how_its_own_command_is_called(capsys):
    said = called(capsys, "rules", "list", "--nonsense")

    assert said.code == 2
    assert said.err.startswith("usage: hetao rules list ")
    assert "did you mean" not in said.err


def test_a_screen_that_lacks_letters_gets_them_written_out():
    words = command("rules", "list", "--pack", "hk-pdpo", "--language", "zh-Hans")
    env = {**environment(), "PYTHONIOENCODING": "big5", "PYTHONUTF8": "0"}

    said = subprocess.run(words, env=env, capture_output=True, check=False)

    assert said.returncode == 0
    assert "个人资料".encode("unicode_escape")[:6] in said.stdout
    assert "私隱".encode("big5")[:2] in said.stdout


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_words_are_not_parted_at_the_edge_of_a_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    text = "no pack is called 'nope' (packs: capital, cn-export, hipaa, people) " * 3

    say(text.strip())

    rows = capsys.readouterr().err.splitlines()
    assert all(len(row) <= columns for row in rows)
    assert all(row.startswith("     ") for row in rows[1:])
    assert " ".join(row.strip() for row in rows) == f"hetao: {text.strip()}"


def test_a_command_to_copy_is_one_that_the_shell_finds(tmp_path, monkeypatch):
    for name in ("python", "hetao"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "/nowhere")

    assert program() == str(tmp_path / "hetao")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "hetao"


def test_the_version_is_said(capsys):
    said = called(capsys, "--version")

    assert said.code == 0
    assert said.out.startswith("hetao 0.")


# --- TOML files -----------------------------------------------------------------------
BAD_TOML = {
    "malformed": (b"[study\n", None),
    "an unknown table": (b"[nonsense]\nx = 1\n", None),
    "not UTF-8": (b"\xff\xfe[study]\n", "HT-110"),
    "empty": (b"", None),
    "nested deeply": (b"x = " + b"[" * 100_000, None),
    "a long number": (b"x = " + b"9" * 10_000, None),
}
READERS = {
    "study check": ("HT-101", ("study", "check")),
    "site curate": ("HT-102", ("site", "curate")),
    "hub serve": ("HT-103", ("hub", "serve")),
    "site serve": ("HT-103", ("site", "serve")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", BAD_TOML)
def test_a_toml_file_that_does_not_hold_is_named(capsys, tmp_path, reader, what):
    code, words = READERS[reader]
    data, other = BAD_TOML[what]
    path = tmp_path / "file.toml"
    path.write_bytes(data)

    said = called(capsys, *words, path)

    assert (said.code, said.error) == (4, other or code)
    assert "file.toml" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["file.toml"]


@pytest.mark.parametrize("reader", READERS)
def test_a_toml_file_that_is_missing_or_a_folder_is_named(capsys, tmp_path, reader):
    _, words = READERS[reader]

    assert refused(capsys, *words, tmp_path / "no.toml") == (4, "HT-110")
    assert refused(capsys, *words, tmp_path) == (4, "HT-110")


def test_an_unknown_field_of_a_study_is_named(capsys, tmp_path, asked):
    path = tmp_path / "study.toml"
    text = asked[1].read_text().replace("deadline_seconds", "deadline")
    path.write_text(text)

    said = called(capsys, "study", "check", path)

    assert (said.code, said.error) == (4, "HT-101")
    assert "'deadline'" in said.err


# --- what only the site may read ------------------------------------------------------
def test_a_site_s_own_commands_tell_it_the_details_into_a_file_too(capsys, tmp_path):
    path = write_folder(tmp_path, toml=SITE + "most_unfit = 0.0\n")
    with (tmp_path / "病人.csv").open("a", encoding="utf-8") as file:
        file.write("a row of one cell\n")

    said = called(capsys, "site", "curate", path)

    assert said.code == 4
    assert "\nhetao: for this site only: " in said.err


def test_other_commands_keep_the_details_from_a_file(capsys, monkeypatch, good):
    words = ("fit", "logistic", "ill ~ aeg", "--data", good, *SPLIT)

    def refuse(chosen):
        raise InvalidData("what is wrong", local="how many it is about")

    monkeypatch.setattr("hetao.cli.fit.fit", refuse)

    assert "how many" not in called(capsys, *words).err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert "how many" in called(capsys, *words).err


# --- a run ----------------------------------------------------------------------------
def run_words(asked, out):
    pilot, study, permit = asked
    return ["run", study, "--network", pilot.network, "--permit", permit, "--out", out]


@pytest.mark.parametrize(
    ("place", "text", "code"),
    [
        (1, "[study", "HT-101"),
        (3, "[coordinator", "HT-103"),
        (3, '[coordinator]\nfolder = "x"\n[hubs]\n[keys]\n', "HT-103"),
        (5, "{", "HT-103"),
        (5, "", "HT-103"),
        (5, '{"permit": 1}', "HT-103"),
    ],
)
def test_a_run_names_the_file_that_does_not_hold(
    capsys, tmp_path, asked, place, text, code
):
    words = run_words(asked, tmp_path / "out")
    words[place] = tmp_path / "bad"
    words[place].write_text(text)

    assert refused(capsys, *words) == (4, code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["/dev/null/out", "/proc/out", "FILE"])
def test_a_run_that_could_write_nothing_does_not_begin(capsys, tmp_path, asked, out):
    (tmp_path / "file").write_text("")
    chosen = out.replace("FILE", str(tmp_path / "file"))

    assert refused(capsys, *run_words(asked, chosen)) == (2, "HT-001")


def moved_key(asked, tmp_path, name, text):
    """Return words of a run whose network file names another signing key."""
    network = tmp_path / "network.toml"
    folder = asked[0].network.parent
    changed = asked[0].network.read_text().replace('"keys/', f'"{folder}/keys/')
    changed = changed.replace(
        "[coordinator]", f'[coordinator]\nparties = "{folder}/parties.toml"'
    )
    changed = changed.replace(f'"{folder}/keys/coordinator.sign.pem"', f'"{name}"')
    network.write_text(changed)
    if text is not None:
        (tmp_path / name).write_text(text)
    words = run_words(asked, tmp_path / "out")
    words[3] = network
    return words


def test_a_missing_or_garbled_key_is_named(capsys, tmp_path, asked):
    words = moved_key(asked, tmp_path, "coordinator.sign.pem", None)
    assert refused(capsys, *words) == (4, "HT-103")

    words = moved_key(asked, tmp_path, "coordinator.sign.pem", "no key")
    assert refused(capsys, *words) == (4, "HT-103")


def test_a_run_whose_witnesses_nobody_named_does_not_begin(capsys, tmp_path, asked):
    """Both hubs alone is a choice of the coordinator, and never what nobody said."""
    network = asked[0].network
    unsaid, _, rest = network.read_text().partition("[log]")
    assert rest.strip() == 'witnesses = "hubs"'
    words = run_words(asked, tmp_path / "out")
    words[3] = network.with_name("unsaid.toml")
    words[3].write_text(unsaid)

    said = called(capsys, *words)

    assert (said.code, said.error) == (4, "HT-103")
    assert "does not say who is to see what is certified" in said.err
    assert not (tmp_path / "out").exists()


def test_a_party_with_somebody_elses_key_does_not_start(capsys, asked):
    pilot = asked[0]
    path = pilot.sites["a"].with_name("other.toml")
    text = pilot.sites["a"].read_text()
    other = pilot.sites["b"].parent / "keys" / "b.sign.pem"
    path.write_text(text.replace('"keys/a.sign.pem"', f'"{other}"'))

    said = called(capsys, "site", "serve", path)

    assert (said.code, said.error) == (4, "HT-103")
    assert "the key belongs to b" in said.err


# --- certificates ---------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"{" * 10_000])
def test_what_is_no_certificate_does_not_verify(capsys, tmp_path, data):
    path = tmp_path / "certificate.json"
    path.write_bytes(data)

    assert refused(capsys, "verify", path) == (6, "HT-600")


def test_a_certificate_that_is_missing_a_folder_or_endless_does_not_verify(
    capsys, tmp_path
):
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(1024 * MEBIBYTE)

    for path in (tmp_path / "no.json", tmp_path):  # an input, as of any command
        assert refused(capsys, "verify", path) == (4, "HT-110")
    assert refused(capsys, "verify", endless) == (6, "HT-600")


# --- streams --------------------------------------------------------------------------
def test_a_reader_that_hangs_up_is_no_error(asked):
    process = subprocess.Popen(
        command("study", "check", asked[1], "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    process.stdout.close()

    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_words_of_others_turn_and_hide_nothing_on_a_screen(capsys):
    say("a\x1b[2Ab\u202ec\n\td病")

    assert capsys.readouterr().err == "hetao: a\\u001b[2Ab\\u202ec\\u000a\\u0009d病\n"
