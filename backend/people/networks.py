"""The networks that the people stage runs, loaded together. backend.networks, backend.people detectors."""

from __future__ import annotations

from dataclasses import dataclass

from backend.networks import Network, RuntimeOptions, load_network
from backend.people.landmarks import LANDMARK_OUTPUTS
from backend.people.options import PeopleOptions, Quality
from backend.people.person_detector import PersonDetector
from backend.people.pose_detector import DETECTOR_OUTPUTS, PoseDetector


@dataclass(frozen=True, slots=True)
class PeopleNetworks:
    """Detectors and landmark network, ready to run and safe to share between threads."""

    persons: PersonDetector
    poses: PoseDetector
    landmarks: Network


def load_landmark_network(
    quality: Quality = Quality.FULL, runtime: RuntimeOptions | None = None, features: bool = False
) -> Network:
    """The landmark network for `landmarks_on_crops`; with `features` also its last convolutional map."""
    outputs = (*LANDMARK_OUTPUTS, "features") if features else LANDMARK_OUTPUTS
    return load_network(quality.value, runtime, outputs)


def load_people_networks(options: PeopleOptions) -> PeopleNetworks:
    """Load what `options` need. WeightsError, DeviceError."""
    # Frames are spread over the threads, so each network keeps to one.
    runtime = RuntimeOptions(options.device, threads=1)
    return PeopleNetworks(
        PersonDetector(load_network("person_detector", runtime)),
        PoseDetector(load_network("pose_detector", runtime, DETECTOR_OUTPUTS)),
        load_landmark_network(options.quality, runtime),
    )
