"""How envelopes get from party to party: one small interface.

Identity, sealing, replay and resume live in the envelopes and journals, never here;
a transport that drops, repeats or reorders can delay a study, not change its answer.
"""

from typing import Final, Protocol

from hetao.federation.shelf import Inbox

POLL_SECONDS: Final = 25.0  # how long a hub holds a poll open when nothing waits


class Transport(Protocol):
    """One party's way to the hubs.

    Duties: `post` returns only once the hub has the envelope durably, and posting the
    same bytes again does no harm; `inbox` returns at once if something waits past the
    cursor, else when something comes or `wait_seconds` are over, then with no items.
    Both keep trying while a hub cannot be reached, up to the caller's time limit.

    Raises:
        Unreachable: the hub stayed away for longer than the transport keeps trying.
        Refused: the hub refused the envelope.
    """

    async def post(self, hub: str, data: bytes) -> None:
        """Hand an envelope to a hub."""

    async def inbox(
        self, hub: str, after: int, run: str = "", wait_seconds: float = POLL_SECONDS
    ) -> Inbox:
        """Return what waits at a hub for this party past a cursor."""

    async def exchange(self, hub: str, after: int, data: bytes) -> bytes:
        """Tell a hub what was heard about permits; return what it heard past a place.

        What is told and returned is `register.News`, encoded.
        """

    async def report(self, hub: str, data: bytes) -> bytes:
        """Tell a hub what a log holds; return what the hub tells of all others.

        What is told and returned is `heartbeat.Report`, encoded.
        """

    async def close(self) -> None:
        """Let go of connections."""
