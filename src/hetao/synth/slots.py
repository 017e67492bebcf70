"""How the visits of a person are numbered: the slot says why the person came.

visit_no = person_no * SLOTS + slot, so numbers are made without counting anything and
are the same in whatever parts a population is generated.
"""

from typing import Final

SLOTS: Final = 64
ENTRY: Final = 0
FIRST_REGULAR, MOST_REGULAR = 1, 39
FIRST_INDEX, MOST_INDEX = 40, 8  # a comparison's index day, by its number
FIRST_EVENT, MOST_EVENTS = 48, 16  # the first day of a disease that brings a visit
