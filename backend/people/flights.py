"""Frames on their way through the landmark network: several at once, taken in one by one in their order.

May import backend.people, backend.types.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.networks import Network
from backend.people.landmarks import LandmarkBatch, landmarks_on_crops
from backend.people.networks import PeopleNetworks
from backend.people.region import Roi
from backend.types import Detection, Frame

_FRAMES_IN_THREADS, _FRAMES_IN_BATCH = 2, 4  # on their way at once through two threads, through a GPU


@dataclass(slots=True)
class Look:
    """A landmark network on one region of a frame; `batch` is there once it has run."""

    frame: Frame
    roi: Roi
    network: Network
    future: Future[LandmarkBatch] | None = None
    batch: LandmarkBatch | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be seen in a frame, by the person's place in the tracker's list, as known when its work begins.

    `minor`: people who are not wanted, so that the scout is enough for them; `resting`: those who are not looked at;
    `search`: whether the person detector runs beside the landmarks.
    """

    rois: dict[int, Roi]
    minor: frozenset[int]
    resting: frozenset[int]
    search: bool


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame on its way: its plan, the looks, and the person detector's work where that runs in a thread."""

    frame: Frame
    plan: Plan
    looks: dict[int, Look]
    boxes: Future[list[Detection]] | None


def plans_state(plans: Sequence[Plan]) -> dict[str, NDArray[np.float64]]:
    """Plans as arrays: search (n,), rois (m, 6) with the plan's number and the person's place first, minor and
    resting (k, 2).
    """
    rois = [
        [at, number, roi.x_px, roi.y_px, roi.size_px, roi.rotation_rad]
        for at, plan in enumerate(plans)
        for number, roi in plan.rois.items()
    ]
    minor = [[at, number] for at, plan in enumerate(plans) for number in sorted(plan.minor)]
    resting = [[at, number] for at, plan in enumerate(plans) for number in sorted(plan.resting)]
    return {
        "search": np.array([plan.search for plan in plans], np.float64),
        "rois": np.array(rois, np.float64).reshape(-1, 6),
        "minor": np.array(minor, np.float64).reshape(-1, 2),
        "resting": np.array(resting, np.float64).reshape(-1, 2),
    }


def restored_plans(state: dict[str, NDArray[np.generic]]) -> list[Plan]:
    """The plans that `plans_state` came from."""
    rois = state["rois"].astype(np.float64).tolist()
    minor, resting = (state[name].astype(np.int64).tolist() for name in ("minor", "resting"))
    return [
        Plan(
            rois={int(row[1]): Roi(*row[2:]) for row in rois if row[0] == at},
            minor=frozenset(number for plan, number in minor if plan == at),
            resting=frozenset(number for plan, number in resting if plan == at),
            search=bool(search),
        )
        for at, search in enumerate(state["search"].tolist())
    ]


class Runner:
    """Runs looks: in worker threads on the CPU, or those of several frames as one batch."""

    def __init__(self, networks: PeopleNetworks, device: str, threads: int) -> None:
        self._networks = networks
        on_cpu = device == "cpu"
        self._pool = ThreadPoolExecutor(threads, "people") if on_cpu and threads > 1 else None
        alone = 1 if on_cpu else _FRAMES_IN_BATCH
        self.frames_at_once = alone if self._pool is None else _FRAMES_IN_THREADS

    @property
    def has_threads(self) -> bool:
        """Whether looks run while the caller does something else."""
        return self._pool is not None

    def close(self) -> None:
        """Give the worker threads back."""
        if self._pool is not None:
            self._pool.shutdown()

    def begin(self, look: Look) -> None:
        """Start a look where there are threads for it."""
        if self._pool is not None:
            look.future = self._pool.submit(self.now, look)

    def begin_boxes(self, frame: Frame) -> Future[list[Detection]] | None:
        """Start the person detector where there are threads for it."""
        return None if self._pool is None else self._pool.submit(self._networks.persons.detect_frame, frame.image)

    def look(self, frame: Frame, roi: Roi, is_minor: bool) -> Look:
        """What `begin`, `now` and `result` work on."""
        return Look(frame, roi, self._networks.scout if is_minor else self._networks.landmarks)

    @staticmethod
    def now(look: Look) -> LandmarkBatch:
        """One look at once, in the caller's thread."""
        return landmarks_on_crops([look.frame.image], [look.roi], look.network)

    def result(self, look: Look, flights: Sequence[Flight]) -> LandmarkBatch:
        """What a look saw; without threads all looks of `flights` that have not run yet run with it."""
        if look.future is not None:
            return look.future.result()
        if look.batch is None:
            waiting = [one for flight in flights for one in flight.looks.values() if one.batch is None]
            looks = [one for one in waiting if one.network is look.network]
            images, rois = [one.frame.image for one in looks], [one.roi for one in looks]
            whole = landmarks_on_crops(images, rois, look.network)
            for number, one in enumerate(looks):
                one.batch = whole.row(number)
        assert look.batch is not None
        return look.batch
