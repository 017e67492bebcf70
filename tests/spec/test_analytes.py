"""What the analytes promise: exact conversions, held to molar masses; no guesses."""

from decimal import Decimal

import duckdb
import pytest

from hetao.dictionary import (
    conversion_sql,
    dictionary,
    normal_unit,
    unit_text,
    unit_text_sql,
)
from hetao.errors import InvalidData

HERE = dictionary()
ANALYTES = HERE.analytes

# g/mol, from the formulae with IUPAC's standard atomic weights: our independent
# knowledge, none of it read from the dictionary.
MOLAR_MASS = {
    "cholesterol_total": "386.66",  # C27H46O
    "cholesterol_ldl": "386.66",
    "cholesterol_hdl": "386.66",
    "cholesterol_non_hdl": "386.66",
    "triglycerides": "885.7",  # triolein and its kin, the laboratories' convention
    "glucose": "180.156",  # C6H12O6
    "glucose_fasting": "180.156",
    "glucose_capillary": "180.156",
    "creatinine": "113.12",  # C4H7N3O
    "urine_creatinine": "113.12",
    "urea": "60.056",  # CH4N2O
    "urea_nitrogen": "28.014",  # its N2
    "urate": "168.11",  # C5H4N4O3
    "bilirubin_total": "584.67",  # C33H36N4O6
    "bilirubin_direct": "584.67",
    "calcium": "40.078",
    "phosphate": "30.974",  # P
    "magnesium": "24.305",
    "iron": "55.845",
    "iron_binding_capacity": "55.845",
    "vitamin_b12": "1355.4",  # C63H88CoN14O14P
    "folate": "441.4",  # C19H19N7O6
    "vitamin_d": "400.6",  # C27H44O2
    "thyroxine_free": "776.87",  # C15H11I4NO4
    "triiodothyronine_free": "650.97",  # C15H12I3NO4
    "testosterone": "288.43",  # C19H28O2
    "cortisol": "362.46",  # C21H30O5
    "parathyroid_hormone": "9425",  # 84 amino acids
    "c_peptide": "3020.3",
    "lactate": "90.08",  # C3H6O3
    "bnp": "3464",
    "nt_probnp": "8457",
    "haemoglobin": "16114",  # the monomer
}
GRAM = {"g": 0, "mg": -3, "ug": -6, "ng": -9, "pg": -12}
MOLE = {"mmol": -3, "umol": -6, "nmol": -9, "pmol": -12}
LITRE = {"L": 0, "dL": -1, "mL": -3}


def amount(unit: str) -> tuple[str, Decimal] | None:
    """Return ("mass" or "moles", amount a litre) of 1 of a unit; None for others."""
    top, _, bottom = unit.partition("/")
    if bottom not in LITRE:
        return None
    for kind, scale in (("mass", GRAM), ("moles", MOLE)):
        if top in scale:
            return kind, Decimal(10) ** (scale[top] - LITRE[bottom])
    return None


def pairs():
    for name, analyte in ANALYTES.items():
        for code, (a, b) in analyte.units.items():
            if code != analyte.unit:
                yield pytest.param(name, code, a, b, id=f"{name}-{code}")


# Factors between units of other kinds, each with where it comes from.
KNOWN = {
    ("[IU]/L", "U/L"): "1",  # both are one micromole a minute
    ("ukat/L", "U/L"): "60",  # a katal is a mole a second
    ("u[IU]/mL", "m[IU]/L"): "1",
    ("pmol/L", "m[IU]/L"): "0.166667",  # WHO 83/500: 1 mIU/L is 6.00 pmol/L
    ("meq/L", "mmol/L"): None,  # by valence, below
    ("mg/mmol", "mg/g"): "8.840",  # 1000 / 113.12
    ("ug/mg", "mg/g"): "1",
    ("L/L", "%"): "100",
    ("1", "{INR}"): "1",
    ("1", "[pH]"): "1",
    ("10*3/uL", "10*9/L"): "1",
    ("/uL", "10*9/L"): "0.001",
    ("10*6/L", "10*9/L"): "0.001",
    ("10*6/uL", "10*12/L"): "1",
    ("kPa", "mm[Hg]"): "7.50062",  # 1 mmHg is 133.322 Pa
    ("[lb_av]", "kg"): "0.45359237",  # exact by definition
    ("g", "kg"): "0.001",
    ("m", "cm"): "100",
    ("mm", "cm"): "0.1",
    ("[in_i]", "cm"): "2.54",  # exact by definition
    ("mL", "L"): "0.001",
    ("L/s", "L/min"): "60",
    ("kJ", "kcal"): "0.239006",  # 1 kcal is 4.184 kJ
}
VALENCE = {"sodium": 1, "potassium": 1, "chloride": 1, "bicarbonate": 1}
VALENCE |= {"calcium": 2, "magnesium": 2}
AFFINE = {("hba1c", "%"), ("body_temperature", "[degF]")}


@pytest.mark.parametrize(("name", "code", "a", "b"), list(pairs()))
def test_every_factor_agrees_with_what_is_known_apart_from_us(name, code, a, b):
    unit = ANALYTES[name].unit
    if (name, code) in AFFINE:
        assert b != 0
        return
    assert b == 0
    here, there = amount(code), amount(unit)
    if here and there:
        expected = here[1] / there[1]
        if here[0] != there[0]:
            mass = Decimal(MOLAR_MASS[name])
            expected = expected / mass if here[0] == "mass" else expected * mass
    elif code == "meq/L":
        expected = Decimal(1) / VALENCE[name]
    else:
        expected = Decimal(str(KNOWN[code, unit]))
    assert abs(a / expected - 1) < Decimal("0.001"), (a, expected)


def test_there_are_60_analytes_and_more():
    assert len(ANALYTES) >= 60


def test_what_the_demonstrations_measure_is_among_them():
    for name in (
        "cholesterol_total",
        "systolic_pressure",
        "heart_rate_max_exercise",
        "st_depression_exercise",
        "ecog_physician",
        "karnofsky_physician",
        "karnofsky_patient",
        "energy_intake",
        "weight_loss_6_months",
    ):
        assert ANALYTES[name].plausible[0] < ANALYTES[name].plausible[1]


@pytest.mark.parametrize(
    ("percent", "mmol_per_mol"),
    [("5.0", 31), ("6.0", 42), ("6.5", 48), ("7.0", 53), ("8.0", 64), ("10.0", 86)],
)
def test_hba1c_follows_the_master_equation(percent, mmol_per_mol):
    found = ANALYTES["hba1c"].convert(Decimal(percent), "%")

    assert round(found) == mmol_per_mol
    # NGSP = 0.09148 * IFCC + 2.152 (Hoelzel et al. 2004, Clin Chem 50:166)
    master = Decimal("0.09148") * found + Decimal("2.152")
    assert abs(master - Decimal(percent)) < Decimal("0.01")


@pytest.mark.parametrize(
    ("fahrenheit", "celsius"), [("98.6", "37"), ("104", "40"), ("95", "35")]
)
def test_a_temperature_is_an_affine_map(fahrenheit, celsius):
    found = ANALYTES["body_temperature"].convert(Decimal(fahrenheit), "°F")

    assert abs(found - Decimal(celsius)) < Decimal("0.000001")


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("cholesterol_total", "200", "mg/dL", "5.172"),
        ("glucose", "126", "mg/dl", "6.993"),
        ("creatinine", "1.2", "MG/DL", "106.104"),
        ("haemoglobin", "13.5", "g/dL", "135"),
        ("platelets", "250", "K/uL", "250"),
        ("leukocytes", "6.1", "× 10^9/L", "6.1"),
        ("systolic_pressure", "16", "千帕", "120.00992"),
        ("weight_loss_6_months", "-5", "lbs", "-2.267962"),
    ],
)
def test_a_value_arrives_in_the_canonical_unit(name, value, unit, expected):
    assert ANALYTES[name].convert(Decimal(value), unit) == Decimal(expected)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("glucose", "g/L"),
        ("glucose", ""),
        ("cholesterol_total", "mg"),
        ("hba1c", "g/dL"),
        ("haemoglobin", "mg/dL"),
        ("urea", "meq/L"),
    ],
)
def test_a_unit_that_is_not_listed_is_refused_never_guessed(name, unit):
    with pytest.raises(InvalidData, match="no conversion") as refused:
        ANALYTES[name].convert(Decimal(77), unit)

    assert "77" not in str(refused.value)


def test_analytes_are_well_formed():
    for name, analyte in ANALYTES.items():
        low, high = analyte.plausible
        assert analyte.name == name
        assert low < high, name
        assert 0 <= analyte.decimals <= 3, name
        assert analyte.unit in HERE.units, name
        assert analyte.units[analyte.unit] == (1, 0), name
        assert set(analyte.units) <= set(HERE.units), name
        assert all(a > 0 for a, _ in analyte.units.values()), name
        assert not (analyte.zero_impossible and low <= 0 <= high), name


def test_concepts_and_codes_tell_analytes_apart():
    concepts = [analyte.concept_id for analyte in ANALYTES.values()]
    codes = [analyte.loinc for analyte in ANALYTES.values() if analyte.loinc]

    assert len(set(concepts)) == len(concepts)
    assert len(set(codes)) == len(codes)
    assert all(check_digit(code) for code in codes)


def check_digit(code: str) -> bool:
    """Return whether the last digit of a LOINC code is right (Luhn, mod 10)."""
    number, _, given = code.partition("-")
    doubled = [int(d) * 2 for d in number[::-2]]
    total = sum(d - 9 if d > 9 else d for d in doubled) + sum(map(int, number[-2::-2]))
    return (10 - total % 10) % 10 == int(given)


def test_a_spelling_means_one_unit():
    spellings = [s for unit in HERE.units.values() for s in unit.spellings]

    assert len(set(spellings)) == len(spellings)
    assert all(unit_text(spelling) == spelling for spelling in spellings)


SPELLINGS = {
    "mmol/L": "mmol/L mmol/l MMOL/L mmoL/L ｍｍｏｌ／Ｌ ＭＭＯＬ／Ｌ 毫摩尔/升 "
    "毫摩爾／升 mmol／L",
    "umol/L": "umol/L µmol/L μmol/L UMOL/L Umol/L 微摩尔/升 ｕｍｏｌ/L μｍｏｌ／Ｌ",
    "10*9/L": "10^9/L x10^9/L X10^9/L ×10^9/L x10e9/L x10E9/L 10e9/L E9/L 10*9/L "
    "x10*9/L 10**9/L 10⁹/L ×10⁹/L x109/L １０^９/L *10^9/L 10E+9/L",
    "10*12/L": "10^12/L x10^12/L 10¹²/L x10E12/L E12/L X1012/L",
    "10*3/uL": "10^3/uL K/uL x10^3/µL 10³/μL 10e3/uL k/mcL",
    "mm[Hg]": "mmHg mm[Hg] MMHG 毫米汞柱 ｍｍＨｇ",
    "/min": "/min bpm 次/分 次／分 BPM beats/min",
    "mL/min/{1.73_m2}": "mL/min/1.73m2 mL/min/1.73m² ml/min/1.73m^2 mL/min/1.73m*2",
    "Cel": "°C ℃ ºC degC DegC 摄氏度 攝氏度",
    "[degF]": "°F ℉ degF",
    "%": "% ％",
    "kg/m2": "kg/m2 kg/m² KG/M2 ｋｇ／ｍ²",
    "[IU]/L": "IU/L iu/l 国际单位/升",
    "mg/dL": "mg/dL mg/dl MG/DL mg% 毫克/分升 ｍｇ／ｄＬ",
    "mmol/mol": "mmol/mol 毫摩尔/摩尔",
}
CORPUS = [(text, code) for code, texts in SPELLINGS.items() for text in texts.split()]
SPACED = [("x10 9/L", "10*9/L"), ("X 10 9/L", "10*9/L"), ("mm Hg", "mm[Hg]")]
SPACED += [
    ("毫摩尔 / 升", "mmol/L"),
    ("\u3000mg/dL\n", "mg/dL"),
    ("X10  12/L", "10*12/L"),
]


@pytest.mark.parametrize(("text", "code"), [*CORPUS, *SPACED])
def test_people_may_write_a_unit_in_many_ways(text, code):
    assert normal_unit(text) == code


@pytest.mark.parametrize("text", ["mg/dL/h", "10*8/L", "furlong", "", "10/L", "x/L"])
def test_an_unknown_unit_stays_unknown(text):
    assert normal_unit(text) not in HERE.units


def test_the_engine_normalises_every_spelling_as_python_does():
    texts = [text for text, _ in [*CORPUS, *SPACED]] + list(HERE.units)
    connection = duckdb.connect()
    connection.execute("CREATE TABLE written (place BIGINT, text VARCHAR)")
    connection.executemany("INSERT INTO written VALUES (?, ?)", list(enumerate(texts)))

    query = f"SELECT {unit_text_sql('text')} FROM written ORDER BY place"  # noqa: S608
    found = [text for (text,) in connection.execute(query).fetchall()]

    assert found == [unit_text(text) for text in texts]


def test_one_join_converts_exactly_as_python_does():
    values = [
        "0",
        "1",
        "5.5",
        "0.000001",
        "-3.25",
        "199.999999",
        "1234567.654321",
        "999999999999",
    ]
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE conversion AS {conversion_sql(HERE)}")
    connection.execute(
        "CREATE TABLE number AS SELECT unnest($1)::DECIMAL(18,6) x", [values]
    )

    found = connection.execute("""
        SELECT analyte, spelling, x, TRY_CAST(a * x + b AS DECIMAL(18,6))
        FROM conversion CROSS JOIN number
    """).fetchall()

    assert len(found) == len(values) * sum(len(a.spellings) for a in ANALYTES.values())
    for analyte, spelling, x, converted in found:
        expected = ANALYTES[analyte].convert(x, spelling)
        fits = abs(expected) < 10**12
        assert converted == (expected if fits else None), (analyte, spelling)
