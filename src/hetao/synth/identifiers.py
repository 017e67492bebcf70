"""Identifiers of people who do not exist, in the form that each source uses.

Each function returns SQL over a person's number. The forms are right; check characters
are wrong on purpose, one beyond the right one, so that no card of a real person can
bear a number that is made here.
"""

SPREAD = 48_271  # a multiplier that scatters neighbours over the whole range
KEYS = 89_999_989  # a prime: no two people below it share a number
HKID_DIGITS = 999_983
RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def reference_key(person_no: str) -> str:
    """Return the Hospital Authority's Reference Key: eight digits, a pseudonym."""
    return f"(10000000 + ({person_no}) * {SPREAD} % {KEYS})::BIGINT::VARCHAR"


def hkid(person_no: str) -> str:
    """Return a Hong Kong identity card number such as `A123456(3)`.

    One letter and six digits; weights 9 to 2, a space before the letter counting as
    36, letters from A = 10, modulus 11, 10 written A; then one more: see above.
    """
    letter = f"(({person_no}) // {HKID_DIGITS} % 26)"
    digits = f"(({person_no}) * {SPREAD} % {HKID_DIGITS})"
    padded = f"lpad({digits}::VARCHAR, 6, '0')"
    weighted = " + ".join(
        f"{7 - place} * substr({padded}, {place + 1}, 1)::INTEGER" for place in range(6)
    )
    check = f"((12 - (36 * 9 + (10 + {letter}) * 8 + {weighted}) % 11) % 11)"
    shown = f"CASE WHEN {check} = 10 THEN 'A' ELSE {check}::VARCHAR END"
    return f"(chr((65 + {letter})::INTEGER) || {padded} || '(' || {shown} || ')')"


def resident_id(person_no: str, sex: str, birth_date: str) -> str:
    """Return a Mainland resident identity number of 18 characters (GB 11643).

    Six digits of an area (made up: `44` and four of the person's number, so that no
    two of the first five million people share a number), eight of the birth, three of
    order (odd for men), and a check character of ISO 7064 MOD 11-2, moved by one.

    Args:
        person_no: SQL of the person's number.
        sex: SQL of 'M' or 'F'.
        birth_date: SQL of a date.
    """
    area = f"('44' || lpad((({person_no}) // 500 % 10000)::VARCHAR, 4, '0'))"
    order = f"(2 * (({person_no}) % 500) + CASE WHEN {sex} = 'M' THEN 1 ELSE 0 END)"
    body = (
        f"({area} || strftime({birth_date}, '%Y%m%d') || "
        f"lpad({order}::VARCHAR, 3, '0'))"
    )
    weighted = " + ".join(
        f"{weight} * substr({body}, {place}, 1)::INTEGER"
        for place, weight in enumerate(RESIDENT_WEIGHTS, 1)
    )
    check = f"substr('10X98765432', ({weighted} + 1) % 11 + 1, 1)"
    return f"({body} || {check})"


def record_no(prefix: str, number: str, width: int = 8) -> str:
    """Return a record's number in a source: a prefix and digits of a fixed width."""
    return f"('{prefix}' || lpad(({number})::VARCHAR, {width}, '0'))"
