"""The networks that the people stage runs, loaded together. numpy, backend.networks, backend.people detectors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from backend.networks import Network, RuntimeOptions, load_network
from backend.people.detectors import DETECTOR_OUTPUTS, PersonDetector, PoseDetector
from backend.people.landmarks import LANDMARK_OUTPUTS
from backend.people.options import PeopleOptions, Quality

_LOADERS = 2


@dataclass(frozen=True, slots=True)
class PeopleNetworks:
    """Detectors and landmark networks, ready to run and safe to share between threads.

    `scout` is a lighter network than `landmarks` where there is one: it proves what may be a person, and looks at
    people who are not wanted.
    """

    persons: PersonDetector
    poses: PoseDetector
    landmarks: Network
    scout: Network


def load_landmark_network(
    quality: Quality = Quality.FULL, runtime: RuntimeOptions | None = None, features: bool = False
) -> Network:
    """The landmark network for `landmarks_on_crops`; with `features` also its last convolutional map."""
    outputs = (*LANDMARK_OUTPUTS, "features") if features else LANDMARK_OUTPUTS
    return load_network(quality.value, runtime, outputs)


def load_people_networks(options: PeopleOptions) -> PeopleNetworks:
    """Load what `options` need, side by side. WeightsError, DeviceError."""
    # Frames are spread over the threads, so the landmark network keeps to one; a search for people holds up all frames.
    one, several = RuntimeOptions(options.device, threads=1), RuntimeOptions(options.device, threads=options.threads)
    with ThreadPoolExecutor(_LOADERS, "load") as pool:
        persons = pool.submit(_warm, load_network, "person_detector", several)
        poses = pool.submit(_warm, load_network, "pose_detector", several, DETECTOR_OUTPUTS)
        landmarks = pool.submit(_warm, load_landmark_network, options.quality, one)
        # a GPU takes both in its stride; on a CPU the heavy network costs four times the full one
        lighter = options.device in ("cpu", "openvino") and options.quality is Quality.HEAVY
        scout = pool.submit(_warm, load_landmark_network, Quality.FULL, several) if lighter else landmarks
        return PeopleNetworks(
            PersonDetector(persons.result()), PoseDetector(poses.result()), landmarks.result(), scout.result()
        )


def _warm(load: Callable[..., Network], *args: object) -> Network:
    """A network that has run once: the first run finds its memory, and takes twice as long as the others."""
    network = load(*args)
    network.run(network.blank())
    return network
