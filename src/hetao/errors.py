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
"""

from typing import ClassVar


class HetaoError(Exception):
    """A deliberate error: what was refused, and what to do about it."""

    code: ClassVar[str] = "HT-000"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, fix: str = "", local: str = "") -> None:
        """Keep the public sentence apart from what only the site may read.

        Args:
            what: what was refused and by which rule; may cross the border.
            fix: what the reader can do next; may cross the border.
            local: details for the site's own eyes; never sent, never in `str`.
        """
        self.what, self.fix, self.local = what, fix, local
        super().__init__(what)

    def __str__(self) -> str:
        """Return code, sentence and remedy; nothing about any patient."""
        return f"{self.code}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class Usage(HetaoError):
    """The command or call does not say what to do."""

    code, exit_code = "HT-001", 2


# --- Invalid: an input is not what it should be ------------------------------------
class Invalid(HetaoError):
    """An input is not what it should be."""

    code, exit_code = "HT-100", 4


class InvalidStudy(Invalid):
    """A study file says something that cannot be carried out."""

    code = "HT-101"


class InvalidMapping(Invalid):
    """A site's mapping of its source to the common data model does not hold."""

    code = "HT-102"


class InvalidNetwork(Invalid):
    """A network, parties, site, hub or policy file does not hold."""

    code = "HT-103"


class NotExpressible(InvalidStudy):
    """A cohort definition asks something that the cohort algebra cannot say."""

    code = "HT-104"


class InvalidData(Invalid):
    """A data file or table cannot be read as what it claims to be."""

    code = "HT-110"


class ColumnMismatch(Invalid):
    """Two sites name different columns, or order them differently."""

    code = "HT-111"


class InvalidVocabulary(Invalid):
    """A downloaded or loaded vocabulary is not whole."""

    code = "HT-112"


class BadFormula(Invalid):
    """A model formula or a criterion cannot be read."""

    code = "HT-120"


class UnportablePlan(Invalid):
    """A query lies outside what means the same on every engine."""

    code = "HT-121"


class NotEstimable(Invalid):
    """The summed data do not determine the model."""

    code = "HT-130"


class NotCanonical(Invalid):
    """A value has no canonical form."""

    code = "HT-140"


# --- Refused: a rule says no --------------------------------------------------------
class Refused(HetaoError):
    """A rule says no."""

    code, exit_code = "HT-300", 3


class NotApproved(Refused):
    """The permit lacks a required approval, or one was withdrawn or forged."""

    code = "HT-301"


class OutOfTime(Refused):
    """The permit, message or approval is not yet, or no longer, in force."""

    code = "HT-302"


class WrongStudy(Refused):
    """The message, permit or release belongs to another study."""

    code = "HT-303"


class UnlistedProtocol(Refused):
    """The protocol, its version, its hash or its round is not in the permit."""

    code = "HT-304"


class NotAParty(Refused):
    """The sender, the recipient or the site does not stand in the permit."""

    code = "HT-305"


class BadSignature(Refused):
    """A message is not signed by the party that it names."""

    code = "HT-310"


class BadEnvelope(Refused):
    """A message is garbled, oversized or sealed to somebody else."""

    code = "HT-311"


class Replayed(Refused):
    """A message, task or release was used before for something else."""

    code = "HT-312"


class SmallCohort(Refused):
    """A site holds fewer people than its policy lets into any release."""

    code = "HT-401"


class SmallCell(Refused):
    """A design column, an outcome or a cell counts fewer people than the policy's."""

    code = "HT-402"


class TooManyParameters(Refused):
    """A model asks for more numbers than the site's people can cover."""

    code = "HT-403"


class HighLeverage(Refused):
    """One person alone would fix a coefficient."""

    code = "HT-404"


class TooFewSites(Refused):
    """A sum over so few sites would show one site's own part."""

    code = "HT-405"


class NotFinite(Refused):
    """A value is NaN or infinite."""

    code = "HT-410"


class OutOfBounds(Refused):
    """A value lies beyond the bound that the approved study declares."""

    code = "HT-411"


class WrongShape(Refused):
    """An array's name, shape or type is not the declared one."""

    code = "HT-412"


class UngradedRelease(Refused):
    """A release is of a class that the permit does not allow to leave."""

    code = "HT-413"


class IdentifierLeak(Refused):
    """A site's mapping could carry a direct identifier into the curated tables."""

    code = "HT-414"


class QualityTooLow(Refused):
    """A site's data do not reach the quality that the study asks for."""

    code = "HT-415"


class Stopped(Refused):
    """A party refused, so the study stopped; the message names it and its rule."""

    code = "HT-420"


# --- Unreachable ---------------------------------------------------------------------
class Unreachable(HetaoError):
    """A party did not answer in time."""

    code, exit_code = "HT-500", 5


# --- Unverified ----------------------------------------------------------------------
class Unverified(HetaoError):
    """A certificate, log or proof does not hold; the step that failed is named."""

    code, exit_code = "HT-600", 6
