"""The cohort algebra: who enters a study, when, in which arm, and what is followed.

A few frozen dataclasses, part of the study's canonical form. `hetao.cohort` compiles
them to one relational plan; `hetao.study.sentences` reads them back as sentences.
"""

from dataclasses import dataclass

DEEPEST = 6  # criteria within criteria
EVER = 100_000  # days; a window that reaches so far is open at that end
TABLES = (
    "condition",
    "drug",
    "procedure",
    "measurement",
    "observation",
    "device",
    "visit",
    "death",
)
EITHER = "either"
MATCHES = (EITHER, "standard", "source")
OCCURRENCES = ("first", "eligible", "any", "every")
SEXES = {"male": 8507, "female": 8532}  # OMOP concept ids
EXCLUDE = "exclude"


@dataclass(frozen=True)
class Value:
    """What a row's value must be; every part that is given holds.

    Attributes:
        at_least, at_most: bounds that belong to the range, in `unit`.
        above, below: bounds that do not.
        unit: UCUM unit of the bounds; a site that holds another unit is refused.
        concepts: coded answers any of which counts: names of concept sets, or ids.
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    unit: str = ""
    concepts: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Rows of one kind that count, such as a diagnosis or a laboratory result.

    Attributes:
        table: one of TABLES.
        concepts: names of the study's concept sets, or OMOP concept ids that stand for
            themselves alone; any of them counts, in the standard or in the source
            concept. Empty: every row of the table.
        value: of a measurement or an observation, what its value must be.
        visit: the row must belong to a visit of these concepts; empty: to any or none.
        matched: "either" (the standard or the source concept counts), or only one of
            them, "standard" or "source", as definitions from elsewhere may mean it.
    """

    table: str
    concepts: tuple[int | str, ...] = ()
    value: Value | None = None
    visit: tuple[int | str, ...] = ()
    matched: str = EITHER


@dataclass(frozen=True)
class Criterion:
    """Who stays in: a line of the attrition table.

    Exactly one of `rule`, `events`, `all_of`, `any_of`, `none_of` is given.

    Attributes:
        label: the line's words; "" inside another criterion.
        rule: about variables, such as `age >= 18` or `known(bmi, sex)`.
        events: rows of which the number in the window is asked.
        days: (from, to) relative to the index day, both included; EVER is no limit.
        at_least, at_most: how many, `at_most` None for no limit.
        distinct_days: count days with such a row, not rows.
        observed: count only rows in the observation period that holds the index day.
        all_of, any_of, none_of: criteria about events of which all, one, none hold.
    """

    label: str = ""
    rule: str = ""
    events: tuple[Event, ...] = ()
    days: tuple[int, int] = (-EVER, 0)
    at_least: int = 1
    at_most: int | None = None
    distinct_days: bool = False
    observed: bool = False
    all_of: tuple["Criterion", ...] = ()
    any_of: tuple["Criterion", ...] = ()
    none_of: tuple["Criterion", ...] = ()


@dataclass(frozen=True)
class Arm:
    """One arm: who has one of its events in the window belongs to it.

    Attributes:
        name: a level of the variable whose source is "arm".
        label: what a reader sees.
        events: what makes somebody a member; none: everybody whom no other arm takes.
        days: (from, to) relative to the index day, both included.
    """

    name: str
    label: str = ""
    events: tuple[Event, ...] = ()
    days: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Population:
    """Who enters, and on which day: the index day.

    Attributes:
        entry: events that let somebody in; none: the arms' events, and without arms
            any visit.
        occurrence: "first": a person's first entry event, which then must meet
            everything; "eligible": the first that meets what stands here (period, age,
            sex, months, observation), which then must meet the criteria; "any": the
            first that meets everything; "every": each that does, several rows a person
            (for counts, and for analyses that say whose each row is).
        period: (first, last) index day, ISO dates.
        ages: (youngest, oldest) on the index day, calendar year less year of birth.
        sexes: "male", "female"; empty: everybody.
        months: (first, last) month of the index day, over the new year if they fall.
        prior_observation_days: how long somebody must have been observed before;
            None asks for no observation period at all.
        post_observation_days: how long after.
        washout_days: no entry event in so many days before the index day.
        arms: in the order of the levels, the comparator first; empty: one group.
        dates: index days of everybody observed on them, ISO dates that rise, in place
            of events that let somebody in; none: events do.
        same_day: who belongs to several arms: "exclude", or the arm that takes them.
    """

    entry: tuple[Event, ...] = ()
    occurrence: str = "first"
    period: tuple[str, str] | None = None
    ages: tuple[int, int] | None = None
    sexes: tuple[str, ...] = ()
    months: tuple[int, int] | None = None
    prior_observation_days: int | None = None
    post_observation_days: int = 0
    washout_days: int = 0
    arms: tuple[Arm, ...] = ()
    same_day: str = EXCLUDE
    dates: tuple[str, ...] = ()

    @property
    def entry_events(self) -> tuple[Event, ...]:
        """Return the events that let somebody in, spelled out; none with dates."""
        if self.entry or self.dates:
            return self.entry
        events = tuple(event for arm in self.arms for event in arm.events)
        return tuple(dict.fromkeys(events)) or (Event("visit"),)


@dataclass(frozen=True)
class Exposure:
    """How long an exposure lasts: joined rows, and what comes after the last.

    Attributes:
        gap_days: a row that begins at most so many days after the last day of the
            rows before it is joined to them, as in OHDSI's eras: 1 joins rows on
            days that follow each other, 30 leaves up to 29 days without supply.
        grace_days: days after the last one that still count.
        events: whose rows; none: the events of the person's own arm.
    """

    gap_days: int = 30
    grace_days: int = 0
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class FollowUp:
    """The time at risk: it ends at the earliest of the ends that apply.

    Death and the end of observation always end it. The last day belongs to it: an
    event on the day of an end still counts.

    Attributes:
        start_days: first day at risk, in days after the index day.
        days: last day at risk, in days after the index day; None: no such end.
        exposure: end with the exposure; None: no such end.
        censor: the first such event after the index day ends it.
        switch: the first event of another arm after the index day ends it.
        minimum_days: who has fewer days at risk is not in the cohort.
    """

    start_days: int = 1
    days: int | None = None
    exposure: Exposure | None = None
    censor: tuple[Event, ...] = ()
    switch: bool = False
    minimum_days: int = 1


@dataclass(frozen=True)
class Outcome:
    """What is waited for during the time at risk.

    Attributes:
        name: how variables refer to it.
        label: what a reader sees.
        events: what counts; the first day at risk with one is the day of the event.
        clean_days: a day counts only if no such event lies in so many days before.
        competing: events, such as death, that rule the outcome out from then on.
    """

    name: str
    label: str = ""
    events: tuple[Event, ...] = ()
    clean_days: int = 0
    competing: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Window:
    """When somebody counts as exposed: around each spell of an exposure.

    Attributes:
        name: how variables refer to it.
        label: what a reader sees.
        events: whose rows make the spells.
        gap_days: a row that begins at most so many days after the last day so far
            belongs to the same spell.
        days: (first, last) of the window, in days after the spell's first day, and
            after its `until`.
        until: "end", the spell's last day, or "start", its first one, as of a vaccine.
    """

    name: str
    label: str = ""
    events: tuple[Event, ...] = ()
    gap_days: int = 30
    days: tuple[int, int] = (0, 0)
    until: str = "end"


@dataclass(frozen=True)
class Intervals:
    """Each person's time cut into rows, of which one may have several.

    Attributes:
        windows: a row begins, or ends, where one does.
        ages: a row begins on the first day of the year in which somebody is so old.
        days: a row begins on these days, ISO dates.
        after_days: a row begins so many days after the first day of somebody's time.
        months: a row begins on the first day of these months, as of seasons.
        outcome: a row ends on each day of this outcome, for models of recurrent events.
        observed: whether the time is all that is observed, up to death, as in case
            series; else the time at risk.
        run_in_days: so many first days of what is observed are left out.
        around: (first, last) of a window about each day of the outcome, in days after
            it: then these windows, and referent ones, are the rows; None for cut time.
        referents: days by which referent windows lie after the window of the event,
            before it if below 0; one that is not wholly within the time is left out.
        same_month: whether a referent's day must lie in the event's month and year.
    """

    windows: tuple[Window, ...] = ()
    ages: tuple[int, ...] = ()
    days: tuple[str, ...] = ()
    after_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    outcome: str = ""
    observed: bool = False
    run_in_days: int = 0
    around: tuple[int, int] | None = None
    referents: tuple[int, ...] = ()
    same_month: bool = False


@dataclass(frozen=True)
class ScoreItem:
    """One line of a score: points for an event, an age or a sex.

    Attributes:
        name: unique within the score.
        points: added once if the item holds.
        label: what a reader sees.
        events: any of them in the variable's window; none: age and sex decide.
        ages: (youngest, oldest) on the index day.
        sex: "male" or "female"; "" for both.
        unless: items that take this one's place where they hold.
    """

    name: str
    points: int
    label: str = ""
    events: tuple[Event, ...] = ()
    ages: tuple[int, int] | None = None
    sex: str = ""
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """A sum of points, such as a comorbidity index; `source` cites its publication."""

    name: str
    label: str = ""
    source: str = ""
    items: tuple[ScoreItem, ...] = ()


@dataclass(frozen=True)
class Nearest:
    """A number on which pairs must lie within `caliper` of each other, in its unit."""

    variable: str
    caliper: float


@dataclass(frozen=True)
class Matching:
    """Pairs inside each site: every treated person gets up to `ratio` others.

    Attributes:
        treated: the arm that is matched; of two arms.
        exact: categories in which a pair must agree.
        nearest: numbers in which a pair must be close; the distance of a pair is the
            sum of differences, each divided by its caliper.
        ratio: most others for each treated person.
    """

    treated: str
    exact: tuple[str, ...] = ()
    nearest: tuple[Nearest, ...] = ()
    ratio: int = 1
