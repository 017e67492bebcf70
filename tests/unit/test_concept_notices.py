"""A coordinator sees which concept sets the sites do not resolve alike."""

from hetao.federation.coordinator import differing_sets


def ready(**digests):
    told = [{"name": n, "digest": d} for n, d in digests.items()]
    return {"site": "x", "concepts": told}


def test_sets_that_differ_are_named_and_sites_without_a_vocabulary_do_not_count():
    notices = [
        ready(afib="sha256:1", stroke="sha256:7"),
        ready(afib="sha256:2", stroke="sha256:7"),
        ready(afib="", stroke=""),
        {"site": "without concept sets"},
    ]

    assert differing_sets(notices) == ("afib",)
    assert differing_sets(notices[1:]) == ()
