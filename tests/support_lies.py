"""Lies of a coordinator, each signed and logged anew with its true key.

Both hubs cosign, for they do not look into an entry. Where output checkers have looked
at the field, they were shown the lie too, and voted for it.
"""

import copy

from hetao.canonical import digest
from hetao.permit import bundle_from
from support_federation import START, restated


def a_site_twice(run, body):
    body["sites"].append(copy.deepcopy(body["sites"][0]))


def on_another_side(run, body):
    body["sites"][0]["side"] = "SZ" if body["sites"][0]["side"] == "HK" else "HK"


def a_hub_is_lost(run, body):
    body["lost"] = {"hub-hk": "silent"}


def a_stranger_is_lost(run, body):
    body["lost"] = {"nobody": "silent"}


def lost_for_no_reason(run, body):
    body["lost"] = {body["sites"][0]["name"]: ["silent"]}


def lost_is_a_list(run, body):
    body["lost"] = []


def a_round_says_more(run, body):
    body["rounds"][0]["approved"] = "by the regulator"


def a_site_says_more(run, body):
    body["sites"][0]["audited"] = "by the regulator"


def a_finding_says_more(run, body):
    body["findings"][0]["note"] = "x"


def a_permit_says_more(run, body):
    body["permit"]["approvals"] = []


def an_attempt_is_true(run, body):
    assert body["rounds"][0]["attempt"] == 1
    body["rounds"][0]["attempt"] = True


def a_round_is_false(run, body):
    assert body["rounds"][0]["round"] == 0
    body["rounds"][0]["round"] = False


def a_course_of_true_rounds(run, body):
    assert body["findings"][0]["rounds"] == 1
    body["findings"][0]["rounds"] = True


def withheld_is_a_word(run, body):
    body["findings"][0]["withheld"] = "no"


def the_software_is_no_word(run, body):
    body["software"] = {"hetao": 1}


def a_small_letter_in_the_time(run, body):
    body["issued"] = body["issued"].replace("T", "t")


def the_time_has_an_offset(run, body):
    body["issued"] = body["issued"].replace("Z", "+00:00")


def the_time_is_of_wide_digits(run, body):
    body["issued"] = body["issued"].replace("2", "\uff12")


def _closed(run, body):
    """Let the first site sign its entry as it stands: it lies as well."""
    entry = body["sites"][0]
    told = ("checkpoint", "proofs", "quality", "extract")
    content = {key: entry[key] for key in told if entry[key] is not None}
    said = digest({**content, "site": entry["name"]})
    entry["closing"] = restated(run, entry["closing"], entry["name"], content=said)


def a_place_twice(run, body):
    proofs = body["sites"][0]["proofs"]
    proofs.append(copy.deepcopy(proofs[0]))
    _closed(run, body)


def a_place_says_more(run, body):
    body["sites"][0]["proofs"][0]["note"] = "x"
    _closed(run, body)


def a_path_in_capitals(run, body):
    proof = body["sites"][0]["proofs"][0]
    capitals = [one.upper() for one in proof["path"]]
    assert capitals != proof["path"]
    proof["path"] = capitals
    _closed(run, body)


def a_path_of_lists(run, body):
    """A browser would write a list of one word as that word."""
    proof = body["sites"][0]["proofs"][0]
    proof["path"] = [[one] for one in proof["path"]]
    _closed(run, body)


def a_signature_with_a_space(run, body):
    total = next(iter(body["rounds"][0]["totals"].values()))
    total["signature"] = " " + total["signature"]


def a_signature_of_spare_bits(run, body):
    """The last word of 64 bytes has four bits to spare, which are none of theirs."""
    total = next(iter(body["rounds"][0]["totals"].values()))
    word = total["signature"].removesuffix("==")
    assert word[-1] in "AQgw"
    total["signature"] = word[:-1] + chr(ord(word[-1]) + 1) + "=="


def a_signature_without_its_end(run, body):
    total = next(iter(body["rounds"][0]["totals"].values()))
    total["signature"] = total["signature"].removesuffix("==")


def a_place_in_quotes(run, body):
    proof = body["sites"][0]["proofs"][0]
    proof["index"] = str(proof["index"])
    _closed(run, body)


def a_place_in_a_list(run, body):
    proof = body["sites"][0]["proofs"][0]
    proof["index"] = [proof["index"]]
    _closed(run, body)


def a_place_between_two(run, body):
    """Halved on its way up, a half too much is lost."""
    proof = body["sites"][0]["proofs"][0]
    proof["index"] += 0.5
    _closed(run, body)


def concepts_are_an_object(run, body):
    assert body["sites"][0]["concepts"] == []
    body["sites"][0]["concepts"] = {}


LIES = [
    *(a_site_twice, on_another_side, a_hub_is_lost, a_stranger_is_lost),
    *(lost_for_no_reason, lost_is_a_list, a_round_says_more, a_site_says_more),
    *(a_finding_says_more, a_permit_says_more, an_attempt_is_true, a_round_is_false),
    *(a_course_of_true_rounds, withheld_is_a_word, the_software_is_no_word),
    *(a_small_letter_in_the_time, the_time_has_an_offset),
    *(the_time_is_of_wide_digits, a_place_twice, a_place_says_more),
    *(a_path_in_capitals, a_place_in_quotes, a_place_in_a_list, a_place_between_two),
    *(a_path_of_lists, a_signature_with_a_space, a_signature_of_spare_bits),
    *(a_signature_without_its_end, concepts_are_an_object),
]


def told(run, lie=None):
    """Return a certificate that tells a lie that its output checkers did not see."""
    body = run.body
    if lie:
        lie(run, body)
    try:
        votes = run.cast.reviewed(bundle_from(run.body["permit"]), body, START)
    except (TypeError, KeyError):
        return run.resigned(body)
    package = votes[0].body["package"]
    body["review"] = {"package": package, "votes": [v.as_json() for v in votes]}
    return run.resigned(body)
