"""Where the workers of a cluster tell their progress: an actor of Ray's, light so that it is there at once.

May import stdlib and `backend.batch.orders`; its process loads nothing else of the project.
"""

from __future__ import annotations

from backend.batch.orders import StepProgress


class Board:
    """An actor: workers put messages on it, the conductor takes them away."""

    def __init__(self) -> None:
        self._latest: dict[str, StepProgress] = {}

    def put(self, message: StepProgress) -> None:
        """Tell."""
        self._latest[message.worker] = message

    def take(self) -> list[StepProgress]:
        """What was told since the last time."""
        latest, self._latest = self._latest, {}
        return list(latest.values())
