"""A site's memory of its releases, and the permits that ask it."""

import datetime
import itertools

import numpy as np

from hetao.federation.memory import Memory, Purpose, Room
from hetao.release.differencing import Asked
from hetao.release.lists import NOWHERE

NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
LATER = "2026-12-31T00:00:00Z"
N = 1000
CELL = 10
MOST_TOLD = 10.0  # numbers of models, for each person


class Hospital:
    """A memory, and the permits that it was asked under."""

    def __init__(self, folder, people=N, share=0.1, everyone=None):
        self.folder = folder
        self.share, self.everyone, self.most_told = share, everyone, MOST_TOLD
        self.sites = 3  # fewest of which sums may tell together
        self.ids = np.arange(people) * 7 + 3
        self.open()
        self.permits = itertools.count()

    def open(self):
        self.memory = Memory(self.folder)
        self.places = self.memory.places("person", self.ids)

    def ask(self, *analyses, permit="", now=NOW, **more):
        """Reserve analyses, each a mask or (mask, {label: mask}), and send them."""
        name = permit or f"permit {next(self.permits)}"
        asked = self.asked(*analyses, name=name, **more)
        purpose = self.reserve(
            asked, name, now, more.get("snapshot", "s"), more.get("cell", CELL)
        )
        for one in asked:
            self.memory.sent(purpose, one, (f"run|{one.analysis}/1/0", 9), now)
        return purpose

    def asked(self, *analyses, name="", **more):
        """Return what a study asks, each a mask or (mask, {label: mask})."""
        asked = []
        for number, one in enumerate(analyses):
            people, parts = one if isinstance(one, tuple) else (one, {})
            found = {name: np.unique(self.places[m]) for name, m in parts.items()}
            shown = {"ill": [f"{name} {n}" for n in range(more.get("statistics", 1))]}
            whole = np.unique(self.places[people])
            told = more.get("told", 0)
            asked.append(
                Asked(
                    f"model {number}",
                    whole,
                    found,
                    shown,
                    told=[(whole, told)] if told else (),
                    rounds=more.get("rounds", 1) if told else 0,
                    members=more.get("members", ""),
                    course=more.get("course", ""),
                    over=more.get("over", NOWHERE),
                    alone=more.get("alone", False),
                )
            )
        return asked

    def reserve(self, asked, permit="", now=NOW, snapshot="s", cell=CELL):
        """Reserve it, under a permit of its own unless one is named."""
        name = permit or f"permit {next(self.permits)}"
        purpose = Purpose(f"study of {name}", name, snapshot, "person", LATER)
        limits = (cell, self.share, self.everyone, self.most_told, CELL)
        room = Room(*limits, sites=self.sites)
        self.memory.reserve(purpose, asked, room, now)
        return purpose
