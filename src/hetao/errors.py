"""Every deliberate error, one tree, each with a code.

An error is an output channel: `str(error)` may cross the border, so it names rules,
columns and sites, never a value or a count of patients. What only the site itself
may read stands in `local`.

    HetaoError                      exit code
    ├── Usage         HT-0xx        2   the command was called wrongly
    ├── Refused       HT-3xx/4xx    3   a rule says no
    ├── Invalid       HT-1xx        4   an input is not what it should be
    ├── Unreachable   HT-5xx        5   a party did not answer in time
    └── Unverified    HT-6xx        6   a proof does not hold

No error, but what `hetao verify` ends with where all holds and the reader named nobody
whose eyes suffice: UNCOUNTED.
"""

from typing import ClassVar, Final

UNCOUNTED: Final = 7  # exit code: a proof holds, and does not count


class HetaoError(Exception):
    """A deliberate error: what was refused, and what to do about it."""

    code: ClassVar[str] = "HT-000"
    exit_code: ClassVar[int] = 1
    remedy: ClassVar[str] = "report it, with the last lines on that screen"

    def __init__(self, what: str, *, fix: str = "", local: str = "") -> None:
        """Keep the public sentence apart from what only the site may read.

        Args:
            what: what was refused and by which rule; may cross the border.
            fix: what the reader can do next; may cross the border. "" is the
                remedy of the class, which is right wherever no better one is known.
            local: details for the site's own eyes; never sent, never in `str`.
        """
        self.what, self.fix, self.local = what, fix or self.remedy, local
        super().__init__(what)

    def __str__(self) -> str:
        """Return code, sentence and remedy; nothing about any patient."""
        return f"{self.code}: {self.what} ({self.fix})"

    @property
    def general(self) -> str:
        """Return what every error of this code says, and nothing of this one."""
        meaning = (type(self).__doc__ or "").partition("\n")[0].rstrip(".")
        return f"{self.code}: {meaning} ({self.remedy})"


class Usage(HetaoError):
    """The command or call does not say what to do."""

    code, exit_code = "HT-001", 2
    remedy = "see --help after the command"


# --- Invalid: an input is not what it should be ------------------------------------
class Invalid(HetaoError):
    """An input is not what it should be."""

    code, exit_code = "HT-100", 4
    remedy = "correct what is named"


class InvalidStudy(Invalid):
    """A study file says something that cannot be carried out."""

    code = "HT-101"
    remedy = "correct it in the study file; hetao study check says the rest"


class InvalidMapping(Invalid):
    """A site's mapping of its source to the common data model does not hold."""

    code = "HT-102"
    remedy = "correct it in the site folder, and curate again"


class InvalidNetwork(Invalid):
    """A network, parties, site, hub or policy file does not hold."""

    code = "HT-103"
    remedy = "correct the file that is named"


class InvalidRulebook(Invalid):
    """A pack of rules does not hold."""

    code = "HT-105"
    remedy = "correct the rule that is named; docs/specs/rulebook.md says the form"


class InvalidFacts(Invalid):
    """A file of facts about a request does not hold."""

    code = "HT-106"
    remedy = "hetao rules facts writes a form with every fact"


class NotExpressible(InvalidStudy):
    """A cohort definition asks something that the cohort algebra cannot say."""

    code = "HT-104"
    remedy = "carry the definition out as OHDSI's SQL: hetao cohort build --circe"


class InvalidData(Invalid):
    """A data file or table cannot be read as what it claims to be."""

    code = "HT-110"
    remedy = "check the path, and correct the data or the mapping"


class ColumnMismatch(Invalid):
    """Two sites name different columns, or order them differently."""

    code = "HT-111"
    remedy = "name the same columns in the same order at every site"


class InvalidVocabulary(Invalid):
    """A downloaded or loaded vocabulary is not whole."""

    code = "HT-112"
    remedy = "download it again, and load it untouched"


class BadFormula(Invalid):
    """A model formula or a criterion cannot be read."""

    code = "HT-120"
    remedy = "write it in the grammar of docs/guide/study.md"


class UnportablePlan(Invalid):
    """A query lies outside what means the same on every engine."""

    code = "HT-121"
    remedy = "write it within the subset that means the same on every engine"


class NotEstimable(Invalid):
    """The summed data do not determine the model."""

    code = "HT-130"
    remedy = "leave out or merge collinear, constant or separating terms"


class NotCanonical(Invalid):
    """A value has no canonical form."""

    code = "HT-140"
    remedy = "use whole numbers, finite numbers and plain text"


class InvalidContract(Invalid):
    """A contract says something that cannot be paid, or is not in the book."""

    code = "HT-150"
    remedy = "correct what is named in the contract file"


# --- Refused: a rule says no --------------------------------------------------------
class Refused(HetaoError):
    """A rule says no."""

    code, exit_code = "HT-300", 3
    remedy = "see who refuses, and by which rule"


class NotApproved(Refused):
    """The permit lacks a required approval, or one was withdrawn or forged."""

    code = "HT-301"
    remedy = "have the offices sign that the permit names, or draft a new permit"


class OutOfTime(Refused):
    """The permit, message or approval is not yet, or no longer, in force."""

    code = "HT-302"
    remedy = "compare the clocks; draft a new permit if it has ended"


class WrongStudy(Refused):
    """The message, permit or release belongs to another study."""

    code = "HT-303"
    remedy = "use the study and the permit that belong together"


class UnlistedProtocol(Refused):
    """The protocol, its version, its hash or its round is not in the permit."""

    code = "HT-304"
    remedy = "install the version that was approved, or ask for a new permit"


class NotAParty(Refused):
    """The sender, the recipient or the site does not stand in the permit."""

    code = "HT-305"
    remedy = "compare names and fingerprints with the list of parties"


class NotActive(NotApproved):
    """The permit was approved, and is suspended, closed or not renewed in time."""

    code = "HT-306"
    remedy = "have each side renew it, or lift the suspension; or draft a new permit"


class ConflictOfDuties(NotApproved):
    """One person holds two duties of a study that must be kept apart."""

    code = "HT-307"
    remedy = "have somebody else sign, who neither asks, checks nor runs a hub"


class StoppedHere(Refused):
    """The site's own people have stopped every answer of it."""

    code = "HT-308"
    remedy = "ask the hospital; it goes on with `hetao site go`"


class BadSignature(Refused):
    """A message is not signed by the party that it names."""

    code = "HT-310"
    remedy = "find out who sent it, and check the pinned keys"


class BadEnvelope(Refused):
    """A message is garbled, oversized or sealed to somebody else."""

    code = "HT-311"
    remedy = "check that both sides run one version and pin the same keys"


class Replayed(Refused):
    """A message, task or release was used before for something else."""

    code = "HT-312"
    remedy = "nothing is asked twice under one name; ask for a new permit"


class ChangedSum(Refused):
    """A sum does not bear the tags of what the sites sealed."""

    code = "HT-313"
    remedy = "have both hubs' operators compare their logs"


class RuleForbids(Refused):
    """A rule of the rulebook forbids the crossing."""

    code = "HT-330"
    remedy = "hetao rules explain names the rule and its source; ask counsel"


class FactsMissing(Refused):
    """A rule may apply, and the facts that would settle it are missing."""

    code = "HT-331"
    remedy = "add them to the facts file; hetao rules explain asks for each"


class BasisMissing(Refused):
    """A legal basis that must be there beforehand is not, or is not valid."""

    code = "HT-332"
    remedy = "obtain it, then name it with its reference under [bases] of the facts"


class TooManyPeople(Refused):
    """People of this exporter since 1 January reach a number at which rules change."""

    code = "HT-333"
    remedy = "ask the rules anew with the new count, and for a new permit"


class LimitReached(Refused):
    """A use would spend more than the permit grants."""

    code = "HT-334"
    remedy = "ask for an amendment of the permit, with a higher limit"


class Mismatched(Refused):
    """A receipt does not fit what was dispatched."""

    code = "HT-335"
    remedy = "count again: what arrived and what is missing is what was dispatched"


class BeyondBasis(Refused):
    """A legal basis of the permit does not allow what is asked, by its own terms."""

    code = "HT-336"
    remedy = "ask for less, or for another basis, and amend the permit"


class NotAccepted(Refused):
    """A milestone is not attested by enough people, or there is nothing to pay."""

    code = "HT-340"
    remedy = "have the attestors of the contract sign over the same evidence"


class AlreadySettled(Refused):
    """A milestone was accepted, ordered or paid before."""

    code = "HT-341"
    remedy = "none: it is what stops a second payment"


class RailForbidden(Refused):
    """A payment may not go by this rail."""

    code = "HT-342"
    remedy = "choose another rail; `hetao settle --help` names them"


class NotCommitted(Refused):
    """The permit demands a committed extract, seen by witnesses, and there is none."""

    code = "HT-344"
    remedy = "hetao site commit; and have the permit's witnesses watch the site's log"


class AnchorForbidden(Refused):
    """A root may not be anchored there by this side."""

    code = "HT-343"
    remedy = "use a time-stamping authority"


class SmallCohort(Refused):
    """A site holds fewer people than its policy lets into any release."""

    code = "HT-401"
    remedy = "lengthen the period or widen the population"


class SmallCell(Refused):
    """A design column, an outcome or a cell counts fewer people than the policy's."""

    code = "HT-402"
    remedy = "merge levels, leave the term out, or choose a commoner outcome"


class TooManyParameters(Refused):
    """A model asks for more numbers than the site's people can cover."""

    code = "HT-403"
    remedy = "use fewer terms"


class HighLeverage(Refused):
    """One person alone would fix a coefficient."""

    code = "HT-404"
    remedy = "leave out the rare term, or transform it"


class TooFewSites(Refused):
    """A sum over so few sites would show one site's own part."""

    code = "HT-405"
    remedy = "take more sites into the sum"


class Dominated(Refused):
    """One person, or two, make up most of a sum of numbers."""

    code = "HT-406"
    remedy = "merge groups, tighten or transform the number, or take more sites in"


class NearlyOne(SmallCell):
    """Two definitions of a study differ for few people, at a site by itself."""

    code = "HT-407"
    remedy = "take one of two definitions that say nearly the same"


class NotFinite(Refused):
    """A value is NaN or infinite."""

    code = "HT-410"
    remedy = "correct the data or the transform"


class OutOfBounds(Refused):
    """A value lies beyond the bound that the approved study declares."""

    code = "HT-411"
    remedy = "check the unit, or widen the bounds in a new study"


class WrongShape(Refused):
    """An array's name, shape or type is not the declared one."""

    code = "HT-412"
    remedy = "check that both sides run one version"


class UngradedRelease(Refused):
    """A release is of a class that the permit does not allow to leave."""

    code = "HT-413"
    remedy = "take more sites into the sum, or ask for a permit of that class"


class IdentifierLeak(Refused):
    """A site's mapping could carry a direct identifier into the curated tables."""

    code = "HT-414"
    remedy = "hand it over through pseudonym(), or leave it out"


class QualityTooLow(Refused):
    """A site's data do not reach the quality that the study asks for."""

    code = "HT-415"
    remedy = "read the site's quality report, and mend what it names"


class TooClose(Refused):
    """Answers would differ by few people, or too much be shown about them."""

    code = "HT-416"
    remedy = "let all analyses be over the same people, or ask for fewer"


class UseNotAllowed(Refused):
    """What is asked is made of data whose use the law or a consent limits."""

    code = "HT-417"
    remedy = "ask for a permit that covers this use, or leave the data out"


class PrivacySpent(Refused):
    """A question with noise has no privacy budget at this site, or none is left."""

    code = "HT-418"
    remedy = "ask fewer questions; the site decides on its budget"


class Shredded(Refused):
    """An act's person was shredded: the key that would show it is destroyed."""

    code = "HT-419"
    remedy = "ask for another act; nobody can show this one"


class Stopped(Refused):
    """A party refused, so the study stopped; the message names it and its rule."""

    code = "HT-420"
    remedy = "mend what is named; the same command then starts a new run"


class MemoryLost(Refused):
    """A site's memory of what it let out is older than its log, and cannot be mended.

    By what is left of it, people could be shown again, or a limit spent again.
    """

    code = "HT-421"
    remedy = (
        "put the newest copy of releases.sqlite and the snapshots back; without them "
        "nobody knows what may still be shown"
    )


# --- Unreachable ---------------------------------------------------------------------
class Unreachable(HetaoError):
    """A party did not answer in time."""

    code, exit_code = "HT-500", 5
    remedy = "check that it runs; the same command resumes the run"


# --- Unverified ----------------------------------------------------------------------
class Unverified(HetaoError):
    """A certificate, log or proof does not hold; the step that failed is named."""

    code, exit_code = "HT-600", 6
    remedy = "do not rely on it; ask whoever gave it to you"
