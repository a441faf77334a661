"""How tall people are whom several views measured beside each other, and the scale of a take. numpy.

Images give no scale: it comes from a height that is assumed or given. Cameras that are calibrated beforehand have one
of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.multiview.find_take import FoundTake
from backend.multiview.types import CameraEstimate, CameraSource, PersonInViews
from blender_addon.motion.input_limits import SHORTEST_BODY_M, TALLEST_BODY_M


def in_scale_of(found: FoundTake, people: Sequence[PersonInViews]) -> FoundTake:
    """The take in which the one person who is solved is as tall as assumed or given; with several people, and with
    calibrated cameras, as it is: their mean is.
    """
    size = found.sizes.get(people[0].person, 1.0) if len(people) == 1 else 1.0
    if size == 1.0 or _has_scale(found):
        return found
    cameras = tuple(None if one is None else _scaled(one, 1.0 / size) for one in found.take.cameras)
    return replace(
        found,
        take=replace(found.take, cameras=cameras),
        sizes={person: other / size for person, other in found.sizes.items()},
    )


def _scaled(camera: CameraEstimate, factor: float) -> CameraEstimate:
    pose = np.asarray(camera.camera_from_take, np.float64).copy()
    pose[:3, 3] *= factor
    return replace(
        camera,
        camera_from_take=pose,
        uncertainty=replace(camera.uncertainty, position_m=factor * camera.uncertainty.position_m),
    )


def _has_scale(found: FoundTake) -> bool:
    cameras = [one for one in found.take.cameras if one is not None]
    return any(one.source is not CameraSource.PEOPLE for one in cameras)


def heights_m(assumed_m: float, is_given: bool, found: FoundTake, people: Sequence[PersonInViews]) -> list[float]:
    """How tall the people who are solved are, in m: the height that is assumed or given times what the views measured.

    Beside calibrated cameras a given height is that of the one person who is solved; of several people they measure
    each.
    """
    if is_given and len(people) == 1 and _has_scale(found):
        return [assumed_m]
    sizes = [found.sizes.get(person.person, 1.0) for person in people]
    return [float(np.clip(assumed_m * size, SHORTEST_BODY_M, TALLEST_BODY_M)) for size in sizes]
