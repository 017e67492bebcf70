"""What one verifier refuses no other takes: the library, the one file, the page.

The page is held to the same lies in `tests/system/test_certificate_page.py`; to the
same policies of readers in `test_three_policies.py`.
"""

import pytest

from hetao.canonical import parse_canonical
from hetao.errors import Unverified
from hetao.federation.certify import recompute
from hetao.ledger.certificate import published, verify_certificate
from hetao.ledger.credential import certificate_entry
from hetao.ledger.merkle import from_hex, inclusion_ranges, leaf_hash, root_above
from hetao.ledger.note import (
    Checkpoint,
    checkpoint_of,
    cosign,
    parse_note,
    sign_checkpoint,
    vkey,
)
from hetao.ledger.policy import parse_policy
from hetao.ledger.proof import Proof, parse_proof
from hetao.ledger.revoked import verify_revoked
from hetao.ledger.verify_hetao import NOT_CHECKED, Certificate, Refused, verify
from hetao.ledger.verify_log import Note, check_policy, root_of
from hetao.permit import new_identity
from support_federation import START
from support_lies import LIES, told
from support_policies import with_lines, with_log
from support_revoked import revoked_body, signed
from support_witness import by_script


def test_the_truth_signed_anew_is_taken_by_both(model_run):
    for data in (told(model_run), published(told(model_run))):
        assert verify_certificate(data)
        assert verify(data)


@pytest.mark.parametrize("lie", LIES, ids=lambda f: f.__name__)
def test_a_lie_is_refused_by_both(model_run, lie):
    data = told(model_run, lie)

    with pytest.raises(Unverified):
        verify_certificate(data)
    with pytest.raises(Refused):
        verify(data)


def test_a_lie_is_refused_by_the_page(model_run, tmp_path):
    given = {one.__name__: told(model_run, one) for one in LIES}

    accepted = by_script({"true": told(model_run), **given}, tmp_path)

    assert list(accepted) == ["true"]


@pytest.mark.parametrize("who", ["parties", "persons"])
def test_whoever_is_of_no_side_is_refused_by_both(model_run, who):
    """The one file, like the library, before it looks at what they signed."""
    body = model_run.body
    body["permit"]["permit"][who][0]["side"] = "MO"
    data = model_run.resigned(body)

    with pytest.raises(Unverified):
        verify_certificate(data)
    with pytest.raises(Refused, match="of no side"):
        Certificate(data)


@pytest.mark.parametrize("inner", [1e-7, "", []])
def test_a_text_is_nested_as_deep_by_both(model_run, inner):
    def nested(times):
        def lie(_, body):
            value = inner
            for _ in range(times):
                value = [value]
            body["findings"][0]["finding"]["more"] = value

        return told(model_run, lie)

    most = 100 - 5 - isinstance(inner, list)  # file, body, findings, one
    assert verify_certificate(nested(most))
    assert verify(nested(most))
    for times in (most + 1, 150):
        with pytest.raises(Unverified):
            verify_certificate(nested(times))
        with pytest.raises(Refused):
            verify(nested(times))


@pytest.mark.parametrize("bend", [str.upper, lambda t: f"{t[:2]} {t[2:]}"])
def test_a_tag_has_one_spelling(model_run, bend):
    value = model_run.value
    task = sorted(value["sums"])[0]
    part = value["sums"][task]["hub-hk"]
    part["tag"] = bend(part["tag"])
    data = model_run.resigned({**value["body"], "sums": value["sums"]})

    with pytest.raises(Unverified, match="step 7"):
        verify_certificate(data)
    with pytest.raises(Refused):
        verify(data)


def test_a_place_is_a_whole_number():
    path = [leaf_hash(b"before")]
    assert root_above(1, 2, leaf_hash(b"x"), path) == root_of(1, 2, b"x", path)

    for index in (True, 1.0, "1"):
        with pytest.raises(Unverified, match="malformed"):
            root_above(index, 2, leaf_hash(b"x"), path)
        with pytest.raises(Refused, match="lies outside"):
            root_of(index, 2, b"x", path)


@pytest.mark.parametrize("text", ["AA", " aa", "a", "zz", None, 1])
def test_a_hash_has_one_spelling(text):
    with pytest.raises(Unverified, match="hex"):
        from_hex(text)


def logged_at(run, index, size):
    """Return a certificate at a place of a log of a size that nobody has filled."""
    boss, hubs = run.cast.identities["coordinator"].signing_key, ("hub-hk", "hub-sz")
    credential = certificate_entry("coordinator", boss, run.body, index)
    leaf, path = leaf_hash(credential.encode()), (bytes(32),) * depth(index, size)
    root = root_above(index, size, leaf, path)
    note = sign_checkpoint(Checkpoint("coordinator", size, root), boss)
    for hub in hubs:
        key = run.cast.identities[hub].signing_key
        note += cosign(note, hub, key, int(START.timestamp()))
    text = Proof(index, path, note).text
    return with_log(run, credential=credential, proof=text)


def depth(index, size):
    """Return how many hashes lead from a place to the root."""
    return len(inclusion_ranges(index, size))


def logged(run, credential):
    """Return a certificate whose issuer logged a credential in another spelling."""
    proof, keys = parse_proof(run.value["log"]["proof"]), run.cast.identities
    size, leaf = checkpoint_of(proof.note).size, leaf_hash(credential.encode())
    root = root_above(proof.index, size, leaf, proof.path)
    boss = keys["coordinator"].signing_key
    note = sign_checkpoint(Checkpoint("coordinator", size, root), boss)
    for hub in ("hub-hk", "hub-sz"):
        note += cosign(note, hub, keys[hub].signing_key, int(START.timestamp()))
    text = Proof(proof.index, proof.path, note).text
    return with_log(run, credential=credential, proof=text)


def test_a_credential_has_one_spelling_and_stands_alone(small_run, tmp_path):
    true = small_run.value["log"]["credential"]
    signed, signature = true.rsplit(".", 1)
    spelt = {f"{signed}.{signature.translate({45: 43, 95: 47})}"} - {true}
    spelt |= {f"{true}==", f"{true}=", f"{true}\n", f"{signed}.A{signature}"}
    data = logged(small_run, true)
    assert verify_certificate(data)
    assert verify(data)
    given = {"true": data, "more": with_log(small_run, more="x")}
    given |= {one: logged(small_run, one) for one in spelt}

    for name in {*given} - {"true"}:
        with pytest.raises(Unverified):
            verify_certificate(given[name])
        with pytest.raises(Refused):
            verify(given[name])
    assert list(by_script(given, tmp_path)) == ["true"]


def test_no_more_and_no_other_lines_stand_under_a_checkpoint(small_run, tmp_path):
    junk = "\u2014 other AAAAAAAA\n"
    own = len(parse_note(parse_proof(small_run.value["log"]["proof"]).note)[1])
    full = junk * (100 - own)
    assert verify_certificate(with_lines(small_run, full))
    assert verify(with_lines(small_run, full))
    given = {"full": published(with_lines(small_run, full))}

    for lines in (full + junk, "\u2014 o+r AAAAAAAA\n", "\u2014 o\u3000r AAAAAAAA\n",
                  "\u2014 o\u0001 AAAAAAAA\n", "\u2014 other AAAAAA==\n"):  # fmt: skip
        data = with_lines(small_run, lines)
        with pytest.raises(Unverified):
            verify_certificate(data)
        with pytest.raises(Refused):
            verify(data)
        given[lines] = data

    assert list(by_script(given, tmp_path)) == ["full"]


def test_a_witness_that_signs_a_time_that_is_none_has_seen_nothing(
    small_run, monkeypatch
):
    """Of 64 bits; the standard gives a time 63."""
    note = parse_proof(small_run.value["log"]["proof"]).note
    eye = new_identity("eye.example", sealing=False).signing_key
    key = small_run.cast.identities["coordinator"].signing_key.public_key()
    lines = f"log {vkey('coordinator', key)}\n"
    lines += f"witness eye {vkey('eye.example', eye.public_key(), 4)}\nquorum eye\n"
    monkeypatch.setattr("hetao.ledger.note._LATEST_TIME", 2**64 - 1)
    seen = [note + cosign(note, "eye.example", eye, when) for when in (1, 2**63)]
    monkeypatch.undo()

    assert parse_policy(lines.encode()).check(seen[0])
    assert check_policy(lines, Note(seen[0]), {})
    with pytest.raises(Unverified, match="time"):
        parse_policy(lines.encode()).check(seen[1])
    with pytest.raises(Refused, match="time"):
        check_policy(lines, Note(seen[1]), {})


# --- what only the estimators can say -------------------------------------------------
def a_check_was_passed(run, body):
    one = next(check for check in body["checks"] if check["outcome"] != "pass")
    one["outcome"] = "pass"


def a_check_says_less(run, body):
    body["checks"].pop()


def a_limit_is_softer(run, body):
    body["checks"][0]["parameter"] += 1


@pytest.mark.parametrize(
    "lie",
    [a_check_was_passed, a_check_says_less, a_limit_is_softer],
    ids=lambda f: f.__name__,
)
def test_checks_that_were_not_passed_are_refused_where_they_can_be_asked_again(
    model_run, lie
):
    """No step over signatures sees it; the others say that they do not look."""
    data = told(model_run, lie)

    assert verify_certificate(data)
    assert verify(data)
    assert any("findings" in line and "checks" in line for line in NOT_CHECKED)
    with pytest.raises(Unverified, match="checks are not those"):
        recompute(parse_canonical(data))
    assert recompute(parse_canonical(told(model_run)))


def test_checks_are_asked_again_of_a_published_certificate_too(model_run):
    data = published(told(model_run, a_check_was_passed))

    with pytest.raises(Unverified, match="checks are not those"):
        recompute(parse_canonical(data))


def test_a_certificate_ends_the_log_that_was_cosigned_for_all_three(
    model_run, tmp_path
):
    """Else what hubs cosigned for another reason would certify a revoked run."""
    ends = model_run.resigned(model_run.body)
    goes_on = model_run.resigned(model_run.body, followed=(b"a list", b"another"))

    assert verify_certificate(ends)
    assert verify(ends)
    with pytest.raises(Unverified, match="does not end with the certificate"):
        verify_certificate(goes_on)
    with pytest.raises(Refused, match="does not end with the certificate"):
        verify(goes_on)
    assert list(by_script({"ends": ends, "goes on": goes_on}, tmp_path)) == ["ends"]


def test_a_size_that_a_float_rounds_hides_no_later_entry(small_run, tmp_path):
    """Whatever grew could be cosigned; 2^53 + 1 is no float, and would be 2^53."""
    last, late = 2**14 - 1, 2**53
    given = {
        "last": logged_at(small_run, last, last + 1),
        "before": logged_at(small_run, last, last + 2),
        "before, rounded": logged_at(small_run, late, late + 2),
    }

    assert verify_certificate(given["last"])
    assert verify(given["last"])
    for name in ("before", "before, rounded"):
        with pytest.raises(Unverified, match="does not end with the certificate"):
            verify_certificate(given[name])
        with pytest.raises(Refused, match="does not end with the certificate"):
            verify(given[name])
    assert list(by_script(given, tmp_path)) == ["last"]


def test_that_a_study_was_revoked_ends_the_log_for_all_three(small_run, tmp_path):
    body = revoked_body(small_run)
    ends, goes_on = signed(small_run, body), signed(small_run, body, followed=(b"x",))

    assert verify_revoked(ends)
    assert verify(ends)
    with pytest.raises(Unverified, match="does not end with the certificate"):
        verify_revoked(goes_on)
    with pytest.raises(Refused, match="does not end with the certificate"):
        verify(goes_on)
    given = {"ends": ends, "goes on": goes_on}
    assert list(by_script(given, tmp_path, "revoked")) == ["ends"]
