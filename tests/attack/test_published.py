"""What is published gives no exact count back, whatever its reader computes of it."""

import base64
import itertools
import json
import re

import numpy as np
import pytest

from hetao.canonical import canonical, digest_bytes, parse_canonical
from hetao.cdm import open_flat
from hetao.errors import ChangedSum
from hetao.federation.certify import package_of
from hetao.ledger.certificate import published
from hetao.release import (
    add,
    check_tag,
    decode,
    encode,
    key_from,
    tag_from,
    tag_of,
    tag_text,
)
from support_federation import Federation

MODULUS = 1 << 128
NEAR = range(-2, 3)  # of a count rounded to 5


def exact(run):
    """Return the exact summed values of the study's only round, the count word last."""
    (parts,) = run.sums.values()
    raw = [base64.b64decode(part["words"]) for part in parts.values()]
    return decode(add([np.frombuffer(r, "<u8").reshape(2, -1) for r in raw]))


def tags(run):
    (parts,) = run.sums.values()
    return [tag_from(part["tag"]) for part in parts.values()]


def candidates(values, members):
    """Yield every vector of counts that rounds as the shown one does."""
    shown = 5 * np.floor(np.asarray(values[:-1]) / 5 + 0.5)
    for shift in itertools.product(NEAR, repeat=len(shown)):
        yield (*(shown + np.array(shift)).tolist(), float(members))


def wide_numbers(text):
    """Return every run of 32 hex digits in a text, wherever it begins."""
    return {int(found, 16) for found in re.findall(r"(?=([0-9a-f]{32}))", text)}


def fitting(data, values):
    """Return the candidates that something in the file singles out.

    The reader has the key of the tags from the sites' signed records. For a candidate
    it works out the sum of both hubs' tags, and looks for that, for two numbers that
    add up to it, and for its digest.
    """
    text = data.decode()
    (round_,) = json.loads(text)["body"]["rounds"]
    members = round_["members"]
    key = key_from(round_["receipts"][members[0]]["body"])
    there = wide_numbers(text)
    found = []
    for one in candidates(values, len(members)):
        total = tag_of_sum(encode(np.array(one), 1), key, members) % MODULUS
        named = digest_bytes(bytes.fromhex(tag_text(total))) in text
        if named or any((total - number) % MODULUS in there | {0} for number in there):
            found.append(one)
    return found


def tag_of_sum(words, key, members):
    """Return the only sum of tags that these words bear under the key."""
    parts = [words] + [np.zeros_like(words)] * (len(members) - 1)
    return sum(
        tag_of(part, key, members, site)
        for part, site in zip(parts, members, strict=True)
    )


@pytest.fixture(scope="module")
def values(small_run):
    return exact(small_run)


def test_the_tags_of_the_run_are_the_equation_that_the_attack_solves(small_run, values):
    (round_,) = small_run.body["rounds"]
    members = round_["members"]
    key = key_from(round_["receipts"][members[0]]["body"])

    check_tag(encode(values, 1), tags(small_run), key, members, "attrition/1/0")
    with pytest.raises(ChangedSum):
        check_tag(encode(values + 1, 1), tags(small_run), key, members, "attrition/1/0")


def test_rounded_counts_come_back_from_a_file_that_shows_the_tags(small_run, values):
    """So the attack works, and what is published must leave it nothing to work on."""
    public = parse_canonical(published(small_run.certificate))
    (round_,) = public["body"]["rounds"]
    for total, tag in zip(round_["totals"].values(), tags(small_run), strict=True):
        total["body"]["tag"] = tag_text(tag)

    assert fitting(canonical(public), values) == [tuple(values)]


def test_no_candidate_of_a_rounded_count_fits_what_is_published(small_run, values):
    assert fitting(published(small_run.certificate), values) == []


def test_no_tag_stands_in_what_is_published_or_laid_before_output_checkers(small_run):
    files = [published(small_run.certificate), canonical(package_of(small_run.outcome))]

    for tag in tags(small_run):
        raw = tag.to_bytes(16, "big")
        for data in files:
            for spelling in (tag_text(tag), str(tag), base64.b64encode(raw).decode()):
                assert spelling.encode() not in data
    assert [parse_canonical(data).get("sums", {}) for data in files] == [{}, {}]


def test_a_guess_at_a_flat_table_is_not_confirmed_by_a_digest(tmp_path):
    """Somebody knows all rows but whether one person is ill, and tries both."""
    with Federation(tmp_path / "f") as made:
        ran = made.run()
        rows, site = made.patients.read_text("utf-8"), made.study.sites[0]
    (told,) = [
        one["snapshot"]
        for one in parse_canonical(published(ran.certificate))["body"]["sites"]
        if one["name"] == site
    ]

    for ill in ("no", "yes"):
        assert told not in _guesses(tmp_path, rows, site, ill)


def _guesses(folder, rows, site, ill):
    """Return the digests of a site's rows if the first person were ill, or not."""
    header, first, *others = rows.splitlines()
    path = folder / f"{ill}.csv"
    known = first.rpartition(",")[0]
    path.write_text("\n".join([header, f"{known},{ill}", *others]) + "\n")
    with open_flat(path, "hospital", site) as table:
        return {table.snapshot, table.contents}
