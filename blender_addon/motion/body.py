"""The canonical body: joints, rest pose, sites, named subsets, forward kinematics.

May import numpy and its own room only. The numbers live in `skeleton_maps/canonical_body.json`.

Frame of the rest pose: Z up, the body faces -Y, its left is +X, metres, feet at z = 0. Every joint's rest
rotation is the identity, so a local rotation turns a joint from the T-pose, in its parent's turned frame:
`world_rotation[j] = world_rotation[parent[j]] @ local_rotation[j]`, joint 0 (pelvis) carries the root orientation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rotations import quaternion_multiply, quaternion_rotate

Array = NDArray[np.floating]

SKELETON_MAPS_DIR = Path(__file__).resolve().parents[2] / "skeleton_maps"


@dataclass(frozen=True, slots=True)
class Site:
    """A named point that rides rigidly on a joint: `rest_offset_m` (3,) from that joint in the rest pose."""

    name: str
    joint: int
    rest_offset_m: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class BodyPoint:
    """A point of a named subset: `offset_m` (3,) in the turned frame of joint `frame`, from where joint `anchor` is;
    `shift_m` (3,) is how much of it lies between the anatomical place and where the point is seen.

    A joint seen a little beside its centre hangs on that joint, but its offset turns with the bone above it: a raised
    arm leaves the shoulder's landmark where it was.
    """

    anchor: int
    frame: int
    offset_m: tuple[float, float, float]
    shift_m: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class CanonicalBody:
    """The skeleton that all motion is expressed on.

    `parents` (J,) holds -1 for the root and every parent stands before its children; `offsets_m` (J, 3) is each
    joint's rest position relative to its parent (the pelvis: to the ground below it); `mirror` (J,) is each
    joint's left-right partner; `subsets` maps a subset's name to the names of its points in order, `subset_points` to
    the joints or sites that they are at, `points` to where exactly.
    """

    height_m: float
    joint_names: tuple[str, ...]
    parents: NDArray[np.intp]
    offsets_m: Array
    mirror: NDArray[np.intp]
    sites: tuple[Site, ...]
    subsets: dict[str, tuple[str, ...]]
    subset_points: dict[str, tuple[str, ...]]
    points: dict[str, tuple[BodyPoint, ...]]

    def joint_index(self, name: str) -> int:
        """Index of a joint. Raises KeyError that names the joint."""
        if name not in self.joint_names:
            raise KeyError(f"the canonical body has no joint {name!r}; it has {', '.join(self.joint_names)}")
        return self.joint_names.index(name)

    def rest_positions_m(self) -> Array:
        """Joint positions (J, 3) of the T-pose, metres, feet at z = 0."""
        identity = np.zeros((len(self.joint_names), 4))
        identity[:, 0] = 1.0
        return forward_kinematics(self, identity, self.offsets_m[0])[0]


@dataclass(frozen=True, slots=True)
class BodyShape:
    """A person's size: body height in m and a scale (J,) of each joint's offset to its parent (1 = canonical)."""

    height_m: float
    bone_scales: Array


def forward_kinematics(
    body: CanonicalBody,
    rotations_wxyz: Array,
    root_m: Array,
    shape: BodyShape | None = None,
) -> tuple[Array, Array]:
    """Joint positions (..., J, 3) in m and world rotations (..., J, 4) of a pose.

    `rotations_wxyz` (..., J, 4) are local rotations, `root_m` (..., 3) the pelvis position; both frames follow the
    root orientation's frame (world or camera). Without `shape` the body has its canonical height.
    """
    rotations_wxyz = np.asarray(rotations_wxyz)
    offsets = shaped_offsets_m(body, shape)
    world: list[Array] = [rotations_wxyz[..., 0, :]]
    position: list[Array] = [np.broadcast_to(np.asarray(root_m), (*rotations_wxyz.shape[:-2], 3))]
    for joint in range(1, len(body.joint_names)):
        parent = int(body.parents[joint])
        position.append(position[parent] + quaternion_rotate(world[parent], offsets[joint]))
        world.append(quaternion_multiply(world[parent], rotations_wxyz[..., joint, :]))
    return np.stack(position, axis=-2), np.stack(world, axis=-2)


def shaped_offsets_m(body: CanonicalBody, shape: BodyShape | None) -> Array:
    """Offsets (J, 3) in m of a body of that shape."""
    if shape is None:
        return body.offsets_m
    return body.offsets_m * (shape.height_m / body.height_m) * np.asarray(shape.bone_scales)[:, None]


def points_m(
    body: CanonicalBody,
    subset: str,
    positions_m: Array,
    world_rotations_wxyz: Array,
    shape: BodyShape | None = None,
) -> Array:
    """The points (..., P, 3) in m of a named subset, from forward kinematics' positions and world rotations."""
    scale = 1.0 if shape is None else shape.height_m / body.height_m
    columns = []
    for point in body.points[subset]:
        place = positions_m[..., point.anchor, :]
        if any(point.offset_m):
            turn = world_rotations_wxyz[..., point.frame, :]
            place = place + quaternion_rotate(turn, np.array(point.offset_m) * scale)
        columns.append(place)
    return np.stack(columns, axis=-2)


def seen_points_m(subset: str, centres_m: Array, turns: Array, size: float = 1.0) -> Array:
    """A subset's points (..., P, 3) as they are seen, from the joint centres and sites that they are at (..., P, 3) and
    the joints' rotation matrices (..., J, 3, 3) in the same frame; `size` is the body's over the canonical one's.
    """
    points = canonical_body().points[subset]
    shift = np.array([point.shift_m for point in points]) * size
    frames = [point.frame for point in points]
    return np.asarray(centres_m + np.matmul(turns[..., frames, :, :], shift[..., None])[..., 0])


@cache
def canonical_body() -> CanonicalBody:
    """The body of `skeleton_maps/canonical_body.json`."""
    return read_body(SKELETON_MAPS_DIR / "canonical_body.json")


def read_body(path: Path) -> CanonicalBody:
    """Read a canonical body file. Raises ValueError that names what is wrong in it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(joint["name"] for joint in record["joints"])
    rest = np.array([joint["rest_position_m"] for joint in record["joints"]], dtype=np.float64)
    parents = np.array(
        [-1 if j["parent"] is None else names.index(j["parent"]) for j in record["joints"]], dtype=np.intp
    )
    if (parents >= np.arange(len(names))).any():
        raise ValueError(f"{path}: every joint must stand after its parent")
    offsets = rest.copy()
    offsets[1:] -= rest[parents[1:]]
    sites = tuple(
        Site(
            site["name"],
            names.index(site["joint"]),
            tuple(np.array(site["rest_position_m"]) - rest[names.index(site["joint"])]),
        )
        for site in record["sites"]
    )
    return CanonicalBody(
        height_m=float(record["height_m"]),
        joint_names=names,
        parents=parents,
        offsets_m=offsets,
        mirror=np.array([names.index(joint["mirror"]) for joint in record["joints"]], dtype=np.intp),
        sites=sites,
        subsets={key: tuple(point["name"] for point in points) for key, points in record["subsets"].items()},
        subset_points={key: tuple(point["at"] for point in points) for key, points in record["subsets"].items()},
        points={
            key: tuple(_body_point(point, names, sites) for point in points)
            for key, points in record["subsets"].items()
        },
    )


def _body_point(record: dict[str, Any], names: tuple[str, ...], sites: tuple[Site, ...]) -> BodyPoint:
    """A subset's point: at a joint or a site, shifted by `shift_m` in the frame of the joint `turned_by`."""
    shift = record.get("shift_m", (0.0, 0.0, 0.0))
    site = next((site for site in sites if site.name == record["at"]), None)
    if site is None:
        joint = names.index(record["at"])
        return BodyPoint(joint, names.index(record.get("turned_by", record["at"])), tuple(shift), tuple(shift))
    return BodyPoint(site.joint, site.joint, tuple(np.add(site.rest_offset_m, shift).tolist()), tuple(shift))
