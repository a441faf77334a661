"""The sets of points that networks detect and poses are given in: how many, their names, parents and left-right pairs.

May import numpy and `blender_addon.motion.body`. Code takes the count of a set from here and never writes it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blender_addon.motion.body import canonical_body


@dataclass(frozen=True, slots=True)
class KeypointLayout:
    """A set of K points in a fixed order."""

    name: str
    """Name of the layout."""
    names: tuple[str, ...]
    """Names of the points; numbers where the source gives no names."""
    pairs: tuple[tuple[int, int], ...] = ()
    """Left and right point of each pair; empty for a set of one side, and where nothing is mirrored point by point."""
    parents: tuple[int, ...] = ()
    """Parent of each point, -1 for the root; empty where the points form no tree."""

    @property
    def count(self) -> int:
        """K."""
        return len(self.names)

    @property
    def mirror(self) -> NDArray[np.intp]:
        """Left-right partner (K,) of each point, itself in the middle: `points[..., mirror, :]` exchanges the sides."""
        partners = np.arange(self.count)
        for left, right in self.pairs:
            partners[[left, right]] = right, left
        return partners

    def index(self, name: str) -> int:
        """Place of a point. Raises KeyError that names the point."""
        if name not in self.names:
            raise KeyError(f"the layout {self.name} has no point {name!r}")
        return self.names.index(name)


BLAZEPOSE = KeypointLayout(
    "BlazePose",
    (
        "nose",
        "left_eye_inner",
        "left_eye",
        "left_eye_outer",
        "right_eye_inner",
        "right_eye",
        "right_eye_outer",
        "left_ear",
        "right_ear",
        "left_mouth",
        "right_mouth",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_pinky",
        "right_pinky",
        "left_index",
        "right_index",
        "left_thumb",
        "right_thumb",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
        "left_heel",
        "right_heel",
        "left_foot_index",
        "right_foot_index",
    ),
    pairs=((1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((left, left + 1) for left in range(11, 33, 2))),
)
"""The 33 landmarks of MediaPipe's pose network."""

HUMAN36M = KeypointLayout(
    "Human3.6M",
    (
        "pelvis",
        "rhip",
        "rknee",
        "rankle",
        "lhip",
        "lknee",
        "lankle",
        "spine",
        "thorax",
        "nose",
        "headtop",
        "lshoulder",
        "lelbow",
        "lwrist",
        "rshoulder",
        "relbow",
        "rwrist",
    ),
    pairs=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)
"""The 17 joints in which poses are compared and embedded."""

CANONICAL_BODY = KeypointLayout(
    "canonical body",
    canonical_body().joint_names,
    pairs=tuple((here, int(there)) for here, there in enumerate(canonical_body().mirror) if here < there),
    parents=tuple(int(parent) for parent in canonical_body().parents),
)
"""The joints of the canonical body, as `skeleton_maps/canonical_body.json` lists them."""

HAND = KeypointLayout(
    "MediaPipe hand",
    (
        "wrist",
        *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
        *(
            f"{finger}_{part}"
            for finger in ("index", "middle", "ring", "pinky")
            for part in ("mcp", "pip", "dip", "tip")
        ),
    ),
    parents=(-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19),
)
"""The 21 landmarks of one hand."""

FACE = KeypointLayout("MediaPipe face", tuple(str(number) for number in range(478)))
"""The 478 numbered landmarks of a face: its mesh, then five of each iris."""
