"""A model, a formula and some files: fit over sites without writing a study first."""

from hetao.notebook.cohort import Cohort
from hetao.notebook.drafting import Draft, draft_study
from hetao.notebook.fitting import fit
from hetao.notebook.parts import Part
from hetao.notebook.result import FitResult, result_of

__all__ = ["Cohort", "Draft", "FitResult", "Part", "draft_study", "fit", "result_of"]
