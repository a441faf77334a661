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
class CropInference:
    """A landmark network on one region of a frame; `batch` is there once it has run."""

    frame: Frame
    roi: Roi
    network: Network
    future: Future[LandmarkBatch] | None = None
    batch: LandmarkBatch | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be seen in a frame, by the person's place in the tracker's list, as known when its work begins.

    `bystander`: people who are not wanted, for whom the scout network is enough; `resting`: people who are skipped;
    `search`: whether the person detector runs beside the landmarks.
    """

    rois: dict[int, Roi]
    bystander: frozenset[int]
    resting: frozenset[int]
    search: bool


@dataclass(frozen=True, slots=True)
class FrameInFlight:
    """A frame on its way: its plan, the inferences, and the person detector's work where that runs in a thread."""

    frame: Frame
    plan: Plan
    inferences: dict[int, CropInference]
    boxes: Future[list[Detection]] | None


def plans_state(plans: Sequence[Plan]) -> dict[str, NDArray[np.float64]]:
    """Plans as arrays: search (n,), rois (m, 6) with the plan's number and the person's place first, bystander and
    resting (k, 2).
    """
    rois = [
        [at, number, roi.x_px, roi.y_px, roi.size_px, roi.rotation_rad]
        for at, plan in enumerate(plans)
        for number, roi in plan.rois.items()
    ]
    bystander = [[at, number] for at, plan in enumerate(plans) for number in sorted(plan.bystander)]
    resting = [[at, number] for at, plan in enumerate(plans) for number in sorted(plan.resting)]
    return {
        "search": np.array([plan.search for plan in plans], np.float64),
        "rois": np.array(rois, np.float64).reshape(-1, 6),
        "bystander": np.array(bystander, np.float64).reshape(-1, 2),
        "resting": np.array(resting, np.float64).reshape(-1, 2),
    }


def restored_plans(state: dict[str, NDArray[np.generic]]) -> list[Plan]:
    """The plans that `plans_state` came from."""
    rois = state["rois"].astype(np.float64).tolist()
    bystander, resting = (state[name].astype(np.int64).tolist() for name in ("bystander", "resting"))
    return [
        Plan(
            rois={int(row[1]): Roi(*row[2:]) for row in rois if row[0] == at},
            bystander=frozenset(number for plan, number in bystander if plan == at),
            resting=frozenset(number for plan, number in resting if plan == at),
            search=bool(search),
        )
        for at, search in enumerate(state["search"].tolist())
    ]


class LandmarkExecutor:
    """Runs inferences: in worker threads on the CPU, or those of several frames as one batch."""

    def __init__(self, networks: PeopleNetworks, device: str, threads: int) -> None:
        self._networks = networks
        on_cpu = device == "cpu"
        self._pool = ThreadPoolExecutor(threads, "people") if on_cpu and threads > 1 else None
        alone = 1 if on_cpu else _FRAMES_IN_BATCH
        self.frames_at_once = alone if self._pool is None else _FRAMES_IN_THREADS

    @property
    def has_threads(self) -> bool:
        """Whether inferences run while the caller does something else."""
        return self._pool is not None

    def close(self) -> None:
        """Give the worker threads back."""
        if self._pool is not None:
            self._pool.shutdown()

    def begin(self, inference: CropInference) -> None:
        """Start an inference where there are threads for it."""
        if self._pool is not None:
            inference.future = self._pool.submit(self.now, inference)

    def begin_boxes(self, frame: Frame) -> Future[list[Detection]] | None:
        """Start the person detector where there are threads for it."""
        return None if self._pool is None else self._pool.submit(self._networks.persons.detect_frame, frame.image)

    def inference(self, frame: Frame, roi: Roi, is_bystander: bool) -> CropInference:
        """What `begin`, `now` and `result` work on."""
        return CropInference(frame, roi, self._networks.scout if is_bystander else self._networks.landmarks)

    @staticmethod
    def now(inference: CropInference) -> LandmarkBatch:
        """One inference at once, in the caller's thread."""
        return landmarks_on_crops([inference.frame.image], [inference.roi], inference.network)

    def result(self, inference: CropInference, in_flight: Sequence[FrameInFlight]) -> LandmarkBatch:
        """The result of an inference; without threads it runs with all others of `in_flight` that wait."""
        if inference.future is not None:
            return inference.future.result()
        if inference.batch is None:
            waiting = [
                one for in_flight_frame in in_flight for one in in_flight_frame.inferences.values() if one.batch is None
            ]
            inferences = [one for one in waiting if one.network is inference.network]
            images, rois = [one.frame.image for one in inferences], [one.roi for one in inferences]
            whole = landmarks_on_crops(images, rois, inference.network)
            for number, one in enumerate(inferences):
                one.batch = whole.row(number)
        assert inference.batch is not None
        return inference.batch
