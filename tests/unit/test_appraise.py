"""`hetao appraise` says of certified findings what they withstand."""

import json
import math

import pytest

from hetao.analysis.calibration import systematic_error
from hetao.analysis.sensitivity import e_value
from hetao.canonical import parse_canonical
from hetao.cli import main
from support_federation import COUNTS, LOGISTIC, Federation, Plan, toy_study

HUBS = ("--policy", "hubs")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a certificate of a model whose own terms stand in for controls too."""
    folder = tmp_path_factory.mktemp("appraised")
    with Federation(folder / "f", Plan(toy_study((COUNTS, LOGISTIC)))) as made:
        path = folder / "certificate.json"
        path.write_bytes(made.run().certificate)
    return path


def terms_of(path):
    (item,) = (
        f
        for f in parse_canonical(path.read_bytes())["body"]["findings"]
        if f["analysis"] == LOGISTIC.name
    )
    return {t["name"]: t for t in item["finding"]["terms"] if t["name"][0] != "("}


def appraised(capsys, *words):
    assert main(["appraise", *map(str, words), *HUBS, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_ratio_has_its_e_value_and_adjusted_p(certificate, capsys):
    told = appraised(capsys, certificate)["findings"]
    terms = terms_of(certificate)

    assert [row["term"] for row in told] == [f"{LOGISTIC.name}:{n}" for n in terms]
    for row, term in zip(told, terms.values(), strict=True):
        ratios = [math.exp(term[key]) for key in ("estimate", "lower", "upper")]
        assert row["e_value"] == e_value(*ratios).estimate
        assert row["p"] <= row["p_adjusted"] <= row["p"] * len(told)


def test_common_outcomes_have_smaller_e_values(certificate, capsys):
    rare = appraised(capsys, certificate)["findings"][0]
    common = appraised(capsys, certificate, "--common")["findings"][0]

    assert common["e_value"] < rare["e_value"]


def test_controls_calibrate(certificate, capsys):
    name = next(iter(terms_of(certificate)))
    control = f"{LOGISTIC.name}:{name}"
    words = [w for _ in range(5) for w in ("--control", control)]
    told = appraised(capsys, certificate, "--term", control, *words)
    term = terms_of(certificate)[name]

    fitted = systematic_error([term["estimate"]] * 5, [term["se"]] * 5)
    assert told["systematic_error"]["mean"] == fitted.mean
    row = told["findings"][0]["calibrated"]
    # its own systematic error, taken off, leaves nothing
    assert row["ratio"] == pytest.approx(1.0)
    assert row["p"] == pytest.approx(1.0)


def test_text_is_said_for_people(certificate, capsys):
    assert main(["appraise", str(certificate), *HUBS]) == 0
    said = capsys.readouterr().out

    assert "odds ratio" in said
    assert "E-value" in said
    assert "adjusted" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--term", "nothing"), "has no finding 'nothing'"),
        (("--term", f"{LOGISTIC.name}:nothing"), "has no term 'nothing'"),
        (("--term", COUNTS.name), "estimates no ratio"),
    ],
)
def test_what_is_not_there_is_named(certificate, capsys, words, said):
    assert main(["appraise", str(certificate), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_finding_counts_by_its_readers_quorum_alone(certificate, tmp_path, capsys):
    words = ["appraise", str(certificate)]
    policy = tmp_path / "policy"
    policy.write_text("quorum none\n")

    assert main(words) == 7
    told = capsys.readouterr()
    assert "E-value" in told.out
    assert "for it to count" in told.err
    assert main([*words, "--json"]) == 7
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] is told["verified"] is False
    assert main([*words, "--policy", str(policy)]) == 6  # lists no such log
    assert capsys.readouterr().out == ""


def test_few_controls_are_refused(certificate, capsys):
    name = next(iter(terms_of(certificate)))

    assert main(["appraise", str(certificate), "--control", f"{LOGISTIC.name}:{name}"])
    assert "fewer than 5 negative controls" in capsys.readouterr().err


def test_a_changed_certificate_is_not_appraised(certificate, tmp_path, capsys):
    data = bytearray(certificate.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "c.json").write_bytes(data)

    assert main(["appraise", str(tmp_path / "c.json")]) == 6
    assert capsys.readouterr().out == ""
