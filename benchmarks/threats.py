"""The threats and the published attacks: runs their tests, writes the page's tables.

    python benchmarks/threats.py [docs/security/threats.md] [--only T7 …]

What a test measured, it says with `record_property("figure", ...)`. A test that is not
there, or does not pass, ends the command.
"""

import argparse
import datetime
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security" / "threats.md"
START, END = "<!-- the table of threats -->\n", "<!-- end of the table of threats -->\n"
TRIED, OVER = (
    "<!-- the table of attacks -->\n",
    "<!-- end of the table of attacks -->\n",
)


@dataclass(frozen=True)
class Threat:
    """Who tries what, what stands against it, and the tests that show it.

    `tests` are places under `tests/`, a file or `file::name` without the leading
    `test_` of either; `gap` is what remains.
    """

    who: str
    what: str
    control: str
    tests: tuple[str, ...]
    gap: str = ""


THREATS = (
    Threat(
        "hub operator", "swap a recipient's key",
        "keys pinned in the signed permit and in everyone's own list",
        ("attack/permit_forgery::a_key_that_is_not_the_trusted_one_is_refused",
         "attack/permit_forgery::a_party_in_another_part_is_not_the_trusted_one"),
    ),
    Threat(
        "hub", "send a task to a site that did not approve it",
        "each site verifies the permit itself; the permit names sites and protocols",
        ("attack/peers_faults::only_the_sites_that_a_permit_names_answer",
         "attack/peers_faults::a_task_that_names_a_listed_analysis_and_asks_another_"
         "gets_nothing",
         "attack/site::a_permit_that_does_not_stand_is_refused_before_any_row_is_read"),
    ),
    Threat(
        "hub", "change the study or the code after approval",
        "the permit holds the study's digest and each protocol's hash",
        ("attack/study_bytes::a_study_changed_in_any_byte_is_not_the_permitted_one",
         "attack/permit_forgery::a_changed_protocol_is_a_changed_permit"),
    ),
    Threat(
        "hub", "drop, delay, reorder or repeat messages",
        "one place, one envelope; journals before acts; the silent are named",
        ("attack/hub::the_same_envelope_twice_is_once",
         "attack/hub::other_bytes_in_the_same_place_are_a_replay",
         "contract/runs::a_silent_site_is_named_within_the_deadline_and_may_come_later"),
    ),
    Threat(
        "hub or site", "roll back or rewrite a log",
        "append-only Merkle log, cosigned by witnesses that allow only growth",
        ("unit/witness::a_rollback_is_refused_and_the_size_named",
         "unit/witness::a_larger_fork_is_refused",
         "unit/witness::a_fork_of_the_same_size_is_refused"),
        "only the coordinator's log is cosigned",
    ),
    Threat(
        "thief of the coordinator's or a hub's disk", "read payloads",
        "hubs hold ciphertext and shares that are uniform by themselves",
        ("attack/traffic::no_canary_is_in_what_hubs_and_coordinator_keep",
         "attack/traffic::one_hubs_share_of_a_site_is_not_its_sum"),
    ),
    Threat(
        "analyst",
        "differencing, trackers, one-hot, leverage, repeated sums, inversion",
        "the gate's rules, at each site, before anything leaves",
        ("attack/published_attacks", "attack/risk_sets",
         "attack/network_inversion", "attack/what_sums_reveal",
         "attack/differencing", "attack/differencing_sites",
         "attack/group_quartiles", "attack/group_curves", "attack/strata_in_bins",
         "attack/own_parts", "attack/dominance", "attack/saturating_states"),
        "cells of two columns beside a number",
    ),
    Threat(
        "analyst", "code that hides rows in weights, errors, notices",
        "estimators by hash; fixed shapes and bounds; errors are codes",
        ("attack/published_attacks::what_is_hidden_in_the_low_bits_drowns_in_the_sealed_"
         "sum",
         "attack/published_attacks::a_message_of_another_shape_or_range_carries_nothing",
         "attack/errors_do_not_leak"),
    ),
    Threat(
        "analyst", "approve oneself; mix roles",
        "offices apart, one key one office; standing worked out from signatures",
        ("attack/permit_search::nobody_signs_in_an_office_or_with_a_verb_that_is_not_"
         "theirs",
         "attack/permit_search::every_life_of_a_permit_is_the_one_that_its_rules_tell",
         "attack/random_operations",
         "attack/permit_forgery::one_key_cannot_fill_two_offices",
         "attack/permit_forgery::an_approval_in_another_office_is_refused"),
    ),
    Threat(
        "site", "a sum of NaN, of another shape, or far too large",
        "shapes, finite values and bounds at its own gate; malformed shares name it",
        ("attack/site::a_site_that_computes_wrongly_refuses_by_its_own_gate",
         "attack/hub::a_malformed_share_stops_the_round"),
        "any values within the bounds",
    ),
    Threat(
        "anyone", "a false approval in another's name",
        "an approval is the office's signature over the permit's digest",
        ("attack/permit_search::of_ten_thousand_mutated_approvals_none_is_accepted",
         "attack/permit_forgery::a_forged_approval_is_refused",
         "attack/permit_forgery::an_approval_of_another_permit_is_refused"),
    ),
    Threat(
        "site", "claim another's name",
        "the name is that of the TLS certificate, never of the body",
        ("attack/peers_faults::a_connection_that_proved_one_name_cannot_speak_under_"
         "another",
         "attack/peers_faults::a_site_that_names_another_in_its_header_is_refused",
         "contract/transport_https::the_certificate_says_who_posts_and_not_the_envelope"),
    ),
    Threat(
        "whoever holds the line", "change, cut, take the encryption away",
        "signed header, HPKE bound to it; plain content does not open",
        ("unit/envelope::a_flipped_byte_anywhere_is_refused",
         "unit/envelope::an_envelope_cut_anywhere_or_added_to_is_refused",
         "attack/peers_faults::content_in_the_clear_is_refused_though_the_signature_is_"
         "right"),
    ),
    Threat(
        "whoever holds the line", "replay a message, also after a restart",
        "a place is used once; the first answer is the answer",
        ("attack/peers_faults::no_recorded_message_is_acted_on_twice_nor_after_a_restart",
         "attack/site::the_same_task_with_another_state_is_a_replay"),
    ),
    Threat(
        "anyone", "data that run code when they are read",
        "canonical JSON and plain arrays; nothing that loads code is imported",
        ("attack/peers_faults::nothing_here_loads_code",
         "attack/peers_faults::a_planted_line_that_loads_code_is_found",
         "attack/fuzz"),
    ),
    Threat(
        "a party", "ask for what is another's (IDOR)",
        "one list of who may ask what of whom; everything else is refused",
        ("attack/hub::only_the_coordinator_gives_a_hub_orders",
         "attack/hub::an_envelope_waits_for_its_recipient_and_nobody_else",
         "contract/transport_https::a_certificate_alone_gets_nobody_s_envelopes",
         "contract/transport_https::a_request_outside_the_two_routes_is_refused"),
    ),
    Threat(
        "outsider", "guess users, passwords, tokens",
        "there are none: mutual TLS 1.3 with listed certificates",
        ("contract/transport_https::a_connection_is_refused",
         "contract/transport_https::plain_http_gets_nothing"),
    ),
    Threat(
        "insider at a site", "read rows in logs and journals",
        "no row is written; what only the site may read goes to its screen",
        ("attack/traffic::no_canary_is_in_a_sites_own_log_or_journal",
         "attack/errors_do_not_leak::what_a_site_logs_of_a_refusal_is_what_it_sent"),
    ),
    Threat(
        "anyone", "act before or after a permit's time",
        "the window is looked at at begin, at each task and in the gate",
        ("attack/permit_forgery::a_permit_does_not_stand_before_or_after_its_time",
         "attack/hub::nothing_is_added_once_the_permit_has_ended"),
        "every party believes its own clock",
    ),
    Threat(
        "thief of a key", "sign as a person or a site",
        "withdrawals end a permit at once; a key is pinned to one office",
        ("attack/site::a_permit_withdrawn_between_begin_and_task_is_refused",
         "attack/state::a_withdrawal_laid_into_the_sites_folder_is_heard"),
        "a withdrawal is carried by hand",
    ),
    Threat(
        "drift of law", "old thresholds",
        "rules are dated data; a crossing or day without rules is refused",
        ("attack/permit_forgery::a_crossing_or_a_day_without_rules_is_refused",
         "attack/rule_packs", "attack/permit_law"),
    ),
    Threat(
        "applicant", "split one transfer into many small permits",
        "a Mainland site counts the year's people over all its permits",
        ("attack/yearly_count",),
        "what is sent by other ways is not seen",
    ),
    Threat(
        "two at once", "spend the last of a budget twice",
        "reserved in one transaction with the check",
        ("attack/state::a_permit_covers_so_many_runs_and_no_more",
         "attack/differencing::of_1_000_spends_of_several_processes_at_once_no_more_than_"
         "the_budget_passes",
         "attack/private_counts::many_processes_together_never_spend_more_than_there_is"),
    ),
    Threat(
        "a cut cable", "a site offline for days",
        "journals; the same command resumes to the same answer, or says who is missing",
        ("attack/permit_search::whoever_leaves_notices_out_gains_at_most_the_lease",
         "contract/runs::a_site_killed_in_mid_run_goes_on_where_it_was",
         "contract/runs::both_hubs_restarted_round_after_round_are_not_noticed"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """A published attack: how it finds people, who wrote of it, and the tests of it."""

    name: str
    how: str
    source: str
    tests: tuple[str, ...]


REVEAL = "attack/what_sums_reveal"
ATTACKS = (
    Attack(
        "differencing", "two answers about all but one person are subtracted",
        "Denning & Schlörer (1983), Computer 16(7), 69",
        ("attack/differencing_sites::two_sums_that_differ_by_one_person_are_that_person_"
         "s_row",
         "attack/differencing_sites::the_second_study_is_refused_before_anything_of_it_"
         "leaves",
         "attack/differencing::a_cohort_and_then_the_same_without_a_few_is_refused"),
    ),
    Attack(
        "tracker", "a small set is asked about as a large one and the rest",
        "Denning, Denning & Schwartz (1979), ACM Trans. Database Syst. 4, 76",
        ("attack/differencing::a_tracker_in_two_halves_is_refused",
         "attack/differencing::a_tracker_of_all_but_a_few_is_refused_where_the_site_is_"
         "known"),
    ),
    Attack(
        "one-hot", "a column that one person has, whose coefficient is the outcome",
        "Gomatam, Karr, Reiter & Sanil (2005), Statistical Science 20, 163",
        ("attack/published_attacks::a_column_that_one_person_has_gives_that_persons_"
         "outcome",),
    ),
    Attack(
        "leverage", "a person far from all others decides the fit",
        "Gomatam et al. (2005)",
        ("attack/published_attacks::a_person_far_from_all_others_decides_the_fit",),
    ),
    Attack(
        "saturation", "a model of as many columns as people",
        "Gomatam et al. (2005)",
        ("attack/published_attacks::a_model_of_as_many_columns_as_people_is_the_"
         "outcomes",),
    ),
    Attack(
        "repeated random sums", "many sums, each over a random half of the people",
        "Dinur & Nissim (2003), PODS, 202",
        ("attack/differencing::random_sums_give_rare_people_away_but_no_one_within_the_"
         "budget",),
    ),
    Attack(
        "box-constrained least squares", "yes/no columns fitted between 0 and 1",
        "Cohen & Nissim (2020), J. Privacy and Confidentiality 10(1)",
        (f"{REVEAL}::counts_over_many_subsets_give_outcomes_and_a_models_rounds_do_not",),
    ),
    Attack(
        "a table by the outcome", "many known columns, each counted by who is ill",
        "the same, of a Table 1",
        ("attack/differencing_sites::a_table_by_an_outcome_does_not_tell_everybodys_"
         "outcome",),
    ),
    Attack(
        "quartiles by the outcome", "known values, counted in fine bins by who is ill",
        "the same, of quantiles",
        ("attack/group_quartiles",),
    ),
    Attack(
        "curves by a group", "known times, counted in fine bins by group",
        "the same, of curves",
        ("attack/group_curves",),
    ),
    Attack(
        "strata or columns in bins",
        "known columns, their moments in each stratum, bin and round",
        "the same, of a Cox model on a grid",
        ("attack/strata_in_bins",),
    ),
    Attack(
        "a number that tells the site", "arithmetic with what a site's people share",
        "ours", ("attack/own_parts", "attack/counted_sites"),
    ),
    Attack(
        "risk sets", "a Cox model's sums before and after somebody leaves",
        "ours, of unstratified models on exact times",
        ("attack/risk_sets::exact_risk_sets_summed_over_sites_give_144_of_226_patients_"
         "away",
         "attack/risk_sets::sums_within_sites_give_no_patient_away",
         "attack/risk_sets::a_grid_that_the_gate_lets_through_gives_no_patient_away"),
    ),
    Attack(
        "leave one site out", "the same people with and without one hospital",
        "ours, of two permits",
        ("attack/differencing_sites::a_second_permit_without_one_site_does_not_tell_that_"
         "sites_cells",
         "attack/hub::two_sums_that_differ_by_a_site_are_never_both_opened",
         "attack/lists_of_sites"),
    ),
    Attack(
        "gradient inversion", "rows are found that would have sent the same gradient",
        "Zhu, Liu & Han (2019), NeurIPS 32",
        ("attack/network_inversion::one_patients_own_message_is_the_patient_and_is_"
         "refused",
         "attack/network_inversion::no_patient_stands_in_a_sum_or_between_two",
         "attack/network_inversion::rows_fitted_to_the_sum_are_no_nearer_than_guesses"),
    ),
    Attack(
        "membership inference", "was this person among those of the model?",
        "Homer et al. (2008), PLoS Genetics 4, e1000167; Shokri et al. (2017), IEEE "
        "Symp. Security and Privacy, 3",
        ("attack/published_attacks::estimates_do_not_tell_who_took_part",
         "attack/network_inversion::the_sums_and_the_final_weights_do_not_tell_who_took_"
         "part"),
    ),
    Attack(
        "covert channel", "code that hides rows in the low bits of weights",
        "Song, Ristenpart & Shmatikov (2017), CCS, 587",
        ("attack/published_attacks::what_is_hidden_in_the_low_bits_drowns_in_the_sealed_"
         "sum",
         "attack/published_attacks::a_message_of_another_shape_or_range_carries_"
         "nothing"),
    ),
    Attack(
        "replay", "recorded messages are sent again, also after a restart",
        "Dolev & Yao (1983), IEEE Trans. Inf. Theory 29, 198",
        ("attack/peers_faults::no_recorded_message_is_acted_on_twice_nor_after_a_"
         "restart",),
    ),
    Attack(
        "a bump about somebody", "arithmetic that makes a number nearly one person's",
        "ours", ("attack/carriers",),
    ),
    Attack(
        "numbers of several analyses", "a distance from an age in each of four models",
        "ours", ("attack/together",),
    ),
    Attack(
        "two definitions",
        "models of two outcomes, or tables of two groups, that differ for few people",
        "ours", ("attack/neighbours",),
    ),
)  # fmt: skip


def place_of(name: str) -> str:
    """Return the pytest place of a short name."""
    file, _, test = name.partition("::")
    folder, _, module = file.rpartition("/")
    return f"tests/{folder}/test_{module}.py" + (f"::test_{test}" if test else "")


def there(name: str) -> bool:
    """Return whether a test stands in the tree."""
    path, _, test = place_of(name).partition("::")
    file = ROOT / path
    return file.exists() and (not test or f"def {test}(" in file.read_text("utf-8"))


def ran(names: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Run the tests; return place → (case, figure or "") of each that passed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p",
                   "no:cacheprovider", f"--junitxml={report}", "-o",
                   "junit_family=xunit1", *names]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314  our own file
        passed = defaultdict(list)
        for case in cases:
            if case.find("skipped") is not None:  # a gap, which is expected to fail
                continue
            figures = [
                item.get("value", "")
                for item in case.iter("property")
                if item.get("name") == "figure"
            ]
            key = f"{case.get('file')}::{case.get('name', '').split('[')[0]}"
            passed[key].append((case.get("name", ""), "; ".join(figures)))
    return passed


def result(name: str, passed: dict) -> tuple[int, list[str]]:
    """Return how many cases of a test or file passed, and what they measured."""
    place = place_of(name)
    mine = [
        one
        for key, cases in passed.items()
        if key == place or ("::" not in place and key.startswith(f"{place}::"))
        for one in cases
    ]
    if not mine:
        raise SystemExit(f"{place}: no test of it passed")
    return len(mine), [figure for _, figure in mine if figure]


def shown_by(tests: tuple[str, ...], passed: dict) -> tuple[str, str]:
    """Return the tests that there are as the tables link them, and what they measured.

    Raises:
        SystemExit: there is none.
    """
    count, figures, links = 0, [], []
    for name in (one for one in tests if there(one)):
        cases, said = result(name, passed)
        count, figures = count + cases, figures + said
        path, _, test = place_of(name).partition("::")
        links.append(f"`{path}`" + (f" `{test}`" if test else ""))
    if not links:
        raise SystemExit(f"there is none of {', '.join(tests)}")
    return "<br>".join(links), "; ".join([f"{count} cases passed", *figures])


def row(number: int, threat: Threat, passed: dict) -> str:
    """Return the table's row of a threat."""
    links, measured = shown_by(threat.tests, passed)
    left = threat.gap or "—"
    return (
        f"| T{number} | {threat.who}: {threat.what} | {threat.control} | "
        f"{links} | {measured} | {left} |"
    )


def table_of_attacks(passed: dict) -> str:
    """Return the table of the published attacks."""
    head = "| attack | how | source | tests | measured |\n|---|---|---|---|---|\n"
    rows = []
    for attack in ATTACKS:
        links, measured = shown_by(attack.tests, passed)
        cells = (attack.name, attack.how, attack.source, links, measured)
        rows.append(f"| {' | '.join(cells)} |\n")
    return "\n" + head + "".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE)
    parser.add_argument("--only", nargs="*", default=[], help="such as T7 T15")
    asked = parser.parse_args()
    chosen = {
        f"T{number}": threat
        for number, threat in enumerate(THREATS, 1)
        if not asked.only or f"T{number}" in asked.only
    }
    attacks = () if asked.only else ATTACKS
    names = sorted(
        {n for t in (*chosen.values(), *attacks) for n in t.tests if there(n)}
    )
    passed = ran([place_of(name) for name in names])
    text = asked.page.read_text("utf-8")
    if attacks:
        before, rest = text.split(TRIED)
        text = before + TRIED + table_of_attacks(passed) + OVER + rest.split(OVER)[1]
    before, rest = text.split(START)
    table, after = rest.split(END)
    known = {
        line.split(" | ")[0].strip("| "): line
        for line in table.splitlines()
        if line.startswith("| T")
    }
    for key, threat in chosen.items():
        known[key] = row(int(key[1:]), threat, passed)
    day = datetime.datetime.now(datetime.UTC).date()
    which = f", of {', '.join(chosen)} alone" if asked.only else ""
    head = (
        f"\nWritten by `make threats`, last on {day}{which}.\n\n"
        "| | who, what | control | tests | measured | what remains |\n"
        "|---|---|---|---|---|---|\n"
    )
    rows = "\n".join(known[f"T{number}"] for number in range(1, len(THREATS) + 1))
    asked.page.write_text(before + START + head + rows + "\n\n" + END + after, "utf-8")


if __name__ == "__main__":
    main()
