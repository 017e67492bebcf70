"""Heeding a revocation: what a party keeps for a revoked permit is destroyed.

Whichever way the revocation came: by gossip, by a file, with an envelope, or before a
restart. One run that cannot be looked at keeps no other from it.
"""

import datetime
from collections.abc import Callable, Iterable
from typing import Final

from hetao.errors import HetaoError
from hetao.federation.register import Register
from hetao.permit import Bundle, Directory, check_standing, is_revoked

NOT_YET: Final = -1  # a place that no register is at


class Heeding:
    """A party's own; asked at its start, after a refusal, and at anything new."""

    def __init__(
        self,
        register: Register,
        kept: Callable[[], Iterable[str]],
        bundle_of: Callable[[str], Bundle],
        destroy: Callable[[str, Bundle], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Look for revocations in what a party heard.

        Args:
            register: what it heard.
            kept: returns the runs of which something is there to destroy.
            bundle_of: returns the permit of a run, as it began.
            destroy: takes a run, and what was heard about its permit.
            tell: takes what goes wrong, each fault once.
        """
        self._register, self._kept, self._bundle_of = register, kept, bundle_of
        self._destroy, self.tell = destroy, tell
        self._place, self._told = NOT_YET, set[str]()

    def heed(self, run: str = "") -> None:
        """Destroy what is kept of `run`, or of any if anything new was heard.

        Only where its permit was revoked. A run that could not be looked at is looked
        at again the next time.
        """
        place = self._register.place
        if place == self._place and not run:
            return
        runs = [one for one in self._kept() if place != self._place or one == run]
        done = [self._is_done(one) for one in runs]  # each, whatever became of others
        if all(done):
            self._place = place

    def _is_done(self, run: str) -> bool:
        try:
            known = self._register.heard_of(self._bundle_of(run))
            if is_revoked(known):
                self._destroy(run, known)
        except (HetaoError, LookupError, TypeError, ValueError, ArithmeticError) as e:
            words = f"run {run[:60]} could not be held against revocations: {e}"
            if words not in self._told:
                self._told.add(words)
                self.tell(words)
            return False
        return True


def stands(
    register: Register, bundle: Bundle, now: datetime.datetime, trusted: Directory
) -> bool:
    """Return whether a permit stands now, by all that was heard about it.

    Args:
        register: what was heard.
        bundle: as its run began.
        now: UTC time.
        trusted: the asker's own list.
    """
    try:
        check_standing(register.heard_of(bundle), bundle.permit.study, now, trusted)
    except HetaoError:
        return False
    return True
