"""A study's cohort in sentences that a clinician reads, in three languages."""

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from hetao.dictionary import dictionary
from hetao.study.concepts import CodeList, ConceptSet
from hetao.study.definitions import Definition
from hetao.study.intervals import BY_ROW, ON_A_DAY
from hetao.study.model import Study, Variable
from hetao.study.population import (
    EITHER,
    EVER,
    EXCLUDE,
    Criterion,
    Event,
    FollowUp,
    Intervals,
    Matching,
    Outcome,
    Population,
    Value,
)

LANGUAGES = ("en", "zh-Hant", "zh-Hans")
SHOWN_CODES = 50  # of one list
HAN, LATIN = r"[\u3400-\u9fff]", r"[A-Za-z0-9]"
# Where Chinese meets Latin letters or digits, a space stands between.
MEETING = re.compile(f"(?<={HAN})(?={LATIN})|(?<={LATIN})(?={HAN})")


@dataclass(frozen=True)
class Section:
    """A heading and its sentences, in one language."""

    title: str
    sentences: tuple[str, ...]


def explain(study: Study, language: str = "en") -> tuple[Section, ...]:
    """Return what a study says about people, arms, follow-up and variables.

    Args:
        study: as read.
        language: one of LANGUAGES. The study's own labels stand as they were written.
    """
    return _Speaker(study, language).sections()


@functools.cache
def _words() -> Mapping[str, Mapping[str, str]]:
    file = resources.files("hetao.study").joinpath("sentences.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


class _Speaker:
    """One study in one language."""

    def __init__(self, study: Study, language: str) -> None:
        self.study, self.language = study, language

    def say(self, key: str, *parts: object) -> str:
        """Return a phrase with its parts filled in."""
        return _words()[key][self.language].format(*parts)

    def sections(self) -> tuple[Section, ...]:
        """Return the whole study, without headings that would stand alone."""
        study = self.study
        found = [("who", self.population(study.population))]
        found.append(("arms", self.arms(study.population)))
        found.append(("criteria", [self.labelled(c) for c in study.criteria]))
        if study.follow_up is not None:
            found.append(("follow_up", self.follow_up(study.follow_up)))
        if study.intervals is not None:
            found.append(("intervals", self.intervals(study.intervals)))
        found.append(("outcomes", [self.outcome(o) for o in study.outcomes]))
        if study.matching is not None:
            found.append(("matching", self.matching(study.matching)))
        found.append(("sites", self.sites()))
        found.append(("variables", [self.variable(v) for v in study.variables]))
        found.append(("concepts", [self.code_lists(c) for c in study.concepts]))
        found.append(("definitions", [self.origin(d) for d in study.definitions]))
        stop = self.say("stop")
        return tuple(
            Section(
                self.say(title),
                tuple(MEETING.sub(" ", one) + stop for one in sentences),
            )
            for title, sentences in found
            if sentences
        )

    # --- phrases ----------------------------------------------------------------------
    def either(self, parts: Iterable[str]) -> str:
        """Join alternatives."""
        return self.say("or").join(parts)

    def concepts(self, concepts: Iterable[int | str]) -> str:
        """Name concept sets by their labels."""
        return self.either(
            self.study.concept_set(one).label or one
            if isinstance(one, str)
            else self.say("concept", one)
            for one in concepts
        )

    def events(self, events: Iterable[Event]) -> str:
        """Name events, as alternatives."""
        return self.either(self.event(event) for event in events)

    def event(self, event: Event) -> str:
        """Name one kind of event with what its rows must be."""
        if event.concepts:
            text = self.say(event.table, self.concepts(event.concepts))
        else:
            text = self.say(f"{event.table}_any")
        asked = [*self.value(event.value)] if event.value else []
        if event.visit:
            asked.append(self.say("within_visit", self.concepts(event.visit)))
        if event.matched != EITHER:
            asked.append(self.say(f"matched_{event.matched}"))
        if not asked:
            return text
        space = " " if self.language == "en" else ""
        return text + space + self.say("brackets", self.say("and").join(asked))

    def value(self, value: Value) -> Iterable[str]:
        """Say what a value must be."""
        for key in ("at_least", "at_most", "above", "below"):
            bound = getattr(value, key)
            if bound is not None:
                yield self.say(key, f"{bound:.12g} {value.unit}".strip())
        if value.concepts:
            yield self.say("answered", self.concepts(value.concepts))

    def window(self, days: tuple[int, int]) -> str:
        """Say a window of days around the index day."""
        low, high = days
        fixed = {
            (-EVER, EVER): "always",
            (-EVER, 0): "until_index",
            (-EVER, -1): "before_index",
            (0, EVER): "from_index",
            (1, EVER): "after_index",
            (0, 0): "on_index",
        }
        if days in fixed:
            return self.say(fixed[days])
        if low == -EVER:
            return self.say("days_to", high)
        if high == EVER:
            return self.say("days_since", low)
        if high in (0, -1) and low < high:
            return self.say("days_until" if high == 0 else "days_before", -low)
        if low == 0:
            return self.say("days_from", high)
        return self.say("days_between", low, high)

    def criterion(self, one: Criterion) -> str:
        """Say what one criterion asks."""
        if one.rule:
            return self.say("rule", one.rule)
        if one.events:
            return self.count(one)
        key = "all_of" if one.all_of else "any_of" if one.any_of else "none_of"
        inner = one.all_of or one.any_of or one.none_of
        parts = (self.say("brackets", self.criterion(part)) for part in inner)
        return self.say(key, self.say("and").join(parts))

    def count(self, one: Criterion) -> str:
        """Say how many rows are asked."""
        window = self.window(one.days)
        if one.observed:
            window = self.say("while_observed", window)
        what = (self.events(one.events), window)
        unit = self.say("days" if one.distinct_days else "rows")
        if one.at_most is None:
            if one.at_least == 1:
                return self.say("has", *what)
            return self.say("has_least", *what, one.at_least, unit)
        if one.at_most == 0:
            return self.say("has_none", *what)
        if one.at_least == 0:
            return self.say("has_most", *what, one.at_most, unit)
        return self.say("has_between", *what, one.at_least, unit, one.at_most)

    def labelled(self, one: Criterion) -> str:
        """Say a criterion after its label."""
        return self.say("criterion", one.label, self.criterion(one))

    # --- sections ---------------------------------------------------------------------
    def population(self, population: Population) -> list[str]:
        """Say who enters, and when."""
        if population.dates:
            days = self.either(population.dates)
            found = [self.say("entry_dates", days)]
        else:
            key = f"entry_{population.occurrence}"
            found = [self.say(key, self.events(population.entry_events))]
        if population.period is not None:
            found.append(self.say("period", *population.period))
        if population.ages is not None:
            found.append(self.say("ages", *population.ages))
        if population.sexes:
            sexes = self.either(self.say(sex) for sex in population.sexes)
            found.append(self.say("sexes", sexes))
        if population.months is not None:
            found.append(self.say("months", *population.months))
        if population.prior_observation_days is not None:
            found.append(self.say("observed", population.prior_observation_days))
        if population.post_observation_days:
            found.append(self.say("observed_after", population.post_observation_days))
        if population.washout_days:
            found.append(self.say("washout", population.washout_days))
        return found

    def arms(self, population: Population) -> list[str]:
        """Say who belongs to which arm."""
        if not population.arms:
            return []
        labels = {arm.name: arm.label or arm.name for arm in population.arms}
        found = [
            self.say("arm", labels[a.name], self.events(a.events), self.window(a.days))
            if a.events
            else self.say("arm_rest", labels[a.name])
            for a in population.arms
        ]
        if population.same_day == EXCLUDE:
            return [*found, self.say("several_out")]
        return [*found, self.say("several_to", labels[population.same_day])]

    def follow_up(self, follow_up: FollowUp) -> list[str]:
        """Say when the time at risk starts and ends."""
        ends = [self.say("end_observed")]
        if follow_up.days is not None:
            ends.append(self.say("end_days", follow_up.days))
        if follow_up.exposure is not None:
            exposure = follow_up.exposure
            ends.append(
                self.say("end_exposure", exposure.gap_days, exposure.grace_days)
                if not exposure.events
                else self.say(
                    "end_exposure_of",
                    exposure.gap_days,
                    exposure.grace_days,
                    self.events(exposure.events),
                )
            )
        if follow_up.censor:
            ends.append(self.say("end_censor", self.events(follow_up.censor)))
        if follow_up.switch:
            ends.append(self.say("end_switch"))
        found = [
            self.say("starts", follow_up.start_days),
            self.say("ends", self.say("and").join(ends)),
        ]
        if follow_up.minimum_days > 1:
            found.append(self.say("minimum", follow_up.minimum_days))
        return found

    def intervals(self, cut: Intervals) -> list[str]:
        """Say whose time is cut into rows, and where."""
        found = [self.say("cut_observed" if cut.observed else "cut_at_risk")]
        if cut.run_in_days:
            found.append(self.say("cut_run_in", cut.run_in_days))
        for one in cut.windows:
            label, events = one.label or one.name, self.events(one.events)
            days = (*one.days, one.gap_days)
            found.append(self.say(f"cut_window_{one.until}", label, events, *days))
        points = {"ages": cut.ages, "days": cut.days, "after": cut.after_days}
        for key, values in {**points, "months": cut.months}.items():
            if values:
                listed = self.say("comma").join(map(str, values))
                found.append(self.say(f"cut_{key}", listed))
        if cut.around is not None:
            named, shifts = self.outcome_label(cut.outcome), map(str, cut.referents)
            moved = self.say("comma").join(shifts)
            found.append(self.say("cut_around", named, *cut.around, moved))
            found += [self.say("cut_same_month")] if cut.same_month else []
        elif cut.outcome:
            found.append(self.say("cut_outcome", self.outcome_label(cut.outcome)))
        return found

    def outcome_label(self, name: str) -> str:
        """Name an outcome."""
        outcome = next(o for o in self.study.outcomes if o.name == name)
        return outcome.label or outcome.name

    def outcome(self, outcome: Outcome) -> str:
        """Say what is waited for."""
        label = outcome.label or outcome.name
        parts = [self.say("outcome", label, self.events(outcome.events))]
        if outcome.clean_days:
            parts.append(self.say("clean", outcome.clean_days))
        if outcome.competing:
            parts.append(self.say("competing", self.events(outcome.competing)))
        return self.say("and").join(parts)

    def matching(self, matching: Matching) -> list[str]:
        """Say who is matched with whom."""
        arms = {arm.name: arm.label or arm.name for arm in self.study.population.arms}
        found = [self.say("matched", arms[matching.treated], matching.ratio)]
        exact = (self.label(self.study.variable(name)) for name in matching.exact)
        found += [self.say("exact", label) for label in exact]
        for near in matching.nearest:
            label = self.label(self.study.variable(near.variable))
            found.append(self.say("nearest", label, f"{near.caliper:.12g}"))
        return found

    def sites(self) -> list[str]:
        """Say whose own part may be told apart."""
        found = [self.say("told_apart", name) for name in self.study.told_apart]
        goes_on = self.study.on_lost_site == "continue"
        return [*found, self.say("goes_on")] if goes_on else found

    def code_lists(self, concepts: ConceptSet) -> str:
        """Say what a concept set stands for: a label alone could say anything."""
        parts = [*self.lists(concepts.lists)]
        parts += self.ids("with_descendants", concepts.omop)
        parts += self.ids("alone", concepts.omop_alone)
        out = [*self.lists(concepts.exclude)]
        out += self.ids("with_descendants", concepts.exclude_omop)
        out += self.ids("alone", concepts.exclude_omop_alone)
        said = self.say("and").join(parts)
        if out:
            said += self.say("except", self.say("and").join(out))
        return self.say("criterion", concepts.label or concepts.name, said)

    def origin(self, one: Definition) -> str:
        """Say which part came from which file."""
        kind, _, name = one.part.partition(".")
        if kind == "arms":
            arms = self.study.population.arms
            labels = {arm.name: arm.label for arm in arms}
        else:
            labels = {outcome.name: outcome.label for outcome in self.study.outcomes}
        label = labels.get(name) or name
        return self.say(f"from_{kind}", one.file, one.digest, label)

    def lists(self, lists: Iterable[CodeList]) -> Iterable[str]:
        """Name each code list's system and its first codes."""
        for one in lists:
            system = dictionary().systems.get(one.system)
            name = system.labels[self.language] if system else one.system
            yield self.say("list", name, self.first_of(one.codes))

    def ids(self, key: str, ids: Iterable[int]) -> Iterable[str]:
        """Name OMOP concepts, if there are any."""
        listed = tuple(map(str, ids))
        return [self.say(key, self.first_of(listed))] if listed else []

    def first_of(self, codes: tuple[str, ...]) -> str:
        """List codes, of many the first and how many there are."""
        shown = self.say("comma").join(codes[:SHOWN_CODES])
        if len(codes) <= SHOWN_CODES:
            return shown
        return self.say("more", shown, len(codes))

    def label(self, variable: Variable) -> str:
        """Name a variable."""
        return variable.label or variable.name

    def variable(self, variable: Variable) -> str:
        """Say what a variable holds."""
        label, window = self.label(variable), self.window(variable.window_days)
        if variable.summary:
            events = self.events(variable.event_rows)
            if variable.summary == "any" and variable.at_least > 1:
                least = variable.at_least
                return self.say("v_any_least", label, events, window, least)
            return self.say(f"v_{variable.summary}", label, events, window)
        if variable.source == "score":
            score = next(s for s in self.study.scores if s.name == variable.score)
            return self.say("v_score", label, score.label or score.name, window)
        if self.study.intervals is not None and variable.source in BY_ROW:
            return self.of_row(variable, label)
        named, key = variable.column, variable.source
        if variable.outcome:
            named = self.outcome_label(variable.outcome)
        elif key == "time_at_risk":
            key = "time_all"
        return self.say(f"v_{key}", label, named)

    def of_row(self, variable: Variable, label: str) -> str:
        """Say what a variable holds that may differ between a person's rows."""
        key, named = f"v_row_{variable.source}", ""
        if variable.source in ON_A_DAY and not variable.at:
            return self.say(f"v_{variable.source}", label)
        if variable.outcome:
            named = self.outcome_label(variable.outcome)
            key += "_until" if variable.source.startswith("interval") else ""
        if variable.window and self.study.intervals is not None:
            windows = self.study.intervals.windows
            window = next(one for one in windows if one.name == variable.window)
            named = window.label or window.name
        return self.say(key, label, named)
