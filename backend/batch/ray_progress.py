"""Where the workers of a cluster tell their progress: an actor of Ray's, light so that it is there at once.

May import stdlib and `backend.batch.tasks`; its process loads nothing else of the project.
"""

from __future__ import annotations

from backend.batch.tasks import StepProgress


class RayProgress:
    """An actor: workers put messages on it, the scheduler takes them away."""

    def __init__(self) -> None:
        self._latest: dict[str, StepProgress] = {}

    def put(self, message: StepProgress) -> None:
        """Tell."""
        self._latest[message.worker] = message

    def take(self) -> list[StepProgress]:
        """What was told since the last time."""
        latest, self._latest = self._latest, {}
        return list(latest.values())
