"""How a rig's rest pose differs from the canonical T-pose, joint by joint. numpy, `motion` and its own room only.

The canonical skeleton is laid into the rig's rest pose: first the whole body is turned as the rig stands and faces,
then each limb segment is swung by the smallest rotation, from its parent outwards, onto the rig's own direction.
Undoing that turn per joint frees the retarget of A-pose or T-pose, and of bone axes, which never enter at all.

Limbs follow directions. Trunk, clavicles and head keep the rig's own rest shape (curved backs differ between rigs and
a neutral back must stay neutral); feet are laid sole on sole, turned only to the rig's toe direction, so that a foot
which stands flat on one body stands flat on the other. Palms are laid on palms where finger bones show them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..motion.body import CanonicalBody, canonical_body
from ..motion.rotations import (
    matrix_to_quaternion,
    quaternion_conjugate,
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
    swing_twist,
)
from .rest_world import RestWorld
from .skeleton_map import SkeletonMap

Array = NDArray[np.floating]

SIDES = ("left", "right")
# the segment of each limb joint: the joint at whose head it ends
SEGMENT_END = {
    f"{side}_{joint}": f"{side}_{end}"
    for side in SIDES
    for joint, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
}
# where the knuckles lie between the index finger's and the little finger's
_ACROSS = {"index": 0.0, "middle": 1 / 3, "ring": 2 / 3, "pinky": 1.0}
_SNAP_COSINE = np.cos(np.radians(15.0))


def body_frame(rest: RestWorld, skeleton_map: SkeletonMap) -> Array:
    """The rotation (3, 3) from canonical axes (left +X, forward -Y, up +Z) to the rig's own at rest, in the world.

    Taken from hips, shoulders, head and toes; a frame within 15 degrees of the armature's axes counts as those axes,
    because rigs are built along them and a curved back or a forward head must not tilt the body.
    Raises ValueError when the map has too few joints to tell up from left.
    """
    place = {joint: rest.heads_m[rest.rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}
    up = _up_hint(place)
    left = _left_hint(place)
    if up is None or left is None:
        raise ValueError("the map needs hips or shoulders on both sides, and a leg or the head, to tell what is up")
    left = left - up * (left @ up)
    left = left / np.linalg.norm(left)
    forward = np.cross(left, up)
    frame = np.stack([left, -forward, up], axis=1)
    return _snapped(frame, rest.turn)


def _up_hint(place: dict[str, Array]) -> Array | None:
    low = _middle(place, "hip") if "left_hip" in place else place.get("pelvis")
    high = next((place[name] for name in ("neck", "head", "upper_chest") if name in place), None)
    if high is None:
        high = _middle(place, "shoulder")
    if low is not None and high is not None and np.linalg.norm(high - low) > 1e-6:
        return np.asarray((high - low) / np.linalg.norm(high - low))
    feet = _middle(place, "ankle")
    if low is not None and feet is not None:
        return np.asarray((low - feet) / np.linalg.norm(low - feet))
    return None


def _left_hint(place: dict[str, Array]) -> Array | None:
    widths = [
        place[f"left_{joint}"] - place[f"right_{joint}"]
        for joint in ("hip", "shoulder", "clavicle", "knee")
        if f"left_{joint}" in place and f"right_{joint}" in place
    ]
    widths = [width for width in widths if np.linalg.norm(width) > 1e-6]
    return np.asarray(widths[0]) if widths else None


def _middle(place: dict[str, Array], joint: str) -> Array | None:
    if f"left_{joint}" in place and f"right_{joint}" in place:
        return np.asarray((place[f"left_{joint}"] + place[f"right_{joint}"]) / 2)
    return None


def _snapped(frame: Array, axes: Array) -> Array:
    """The frame laid on the armature's axes where it is near them."""
    local = axes.T @ frame
    rounded = np.zeros((3, 3))
    for column in range(3):
        row = int(np.argmax(np.abs(local[:, column])))
        rounded[row, column] = np.sign(local[row, column])
    near = (np.sum(local * rounded, axis=0) > _SNAP_COSINE).all() and abs(np.linalg.det(rounded)) > 0.5
    return np.asarray(axes @ rounded) if near else frame


def align_rest(rest: RestWorld, skeleton_map: SkeletonMap) -> Array:
    """Per canonical joint the rotation (J, 4) that lays it, from the T-pose, into the rig's rest pose in the world."""
    body = canonical_body()
    frame = matrix_to_quaternion(body_frame(rest, skeleton_map))
    aligned = np.broadcast_to(frame, (len(body.joint_names), 4)).copy()
    place = {joint: rest.heads_m[rest.rig.index(bones[0])] for joint, bones in skeleton_map.joints.items() if bones}
    for side in SIDES:
        _align_leg(aligned, place, body, side, frame)
        _align_arm(aligned, place, body, side)
        _align_palm(aligned, rest, skeleton_map, body, side)
    return aligned


def _align_leg(aligned: Array, place: dict[str, Array], body: CanonicalBody, side: str, frame: Array) -> None:
    upper, lower = body.joint_index(f"{side}_hip"), body.joint_index(f"{side}_knee")
    _swing(aligned, place, body, f"{side}_hip", upper)
    aligned[lower] = aligned[upper]
    _swing(aligned, place, body, f"{side}_knee", lower)
    ankle, toe = f"{side}_ankle", f"{side}_toe"
    if ankle in place and toe in place:
        up = quaternion_rotate(frame, np.array([0.0, 0.0, 1.0]))
        canonical = quaternion_rotate(frame, body.offsets_m[body.joint_index(toe)])
        heading = [vector - up * (vector @ up) for vector in (canonical, place[toe] - place[ankle])]
        # a foot that points down like a dancer's has no heading to take
        if np.linalg.norm(heading[1]) > 0.25 * np.linalg.norm(place[toe] - place[ankle]):
            turned = quaternion_multiply(quaternion_from_to(heading[0], heading[1]), frame)
            aligned[body.joint_index(ankle)] = turned
            aligned[body.joint_index(toe)] = turned


def _align_arm(aligned: Array, place: dict[str, Array], body: CanonicalBody, side: str) -> None:
    before = None
    for name in ("shoulder", "elbow"):
        joint = body.joint_index(f"{side}_{name}")
        if before is not None:
            aligned[joint] = aligned[before]
        _swing(aligned, place, body, f"{side}_{name}", joint)
        before = joint
    for name in ("wrist", "hand"):
        aligned[body.joint_index(f"{side}_{name}")] = aligned[body.joint_index(f"{side}_elbow")]


def _swing(aligned: Array, place: dict[str, Array], body: CanonicalBody, joint: str, index: int) -> None:
    """Swing a segment from where its parent's rotation leaves it to the rig's direction."""
    end = SEGMENT_END[joint]
    if joint not in place or end not in place or np.linalg.norm(place[end] - place[joint]) < 1e-9:
        return
    canonical = quaternion_rotate(aligned[index], body.offsets_m[body.joint_index(end)])
    aligned[index] = quaternion_multiply(quaternion_from_to(canonical, place[end] - place[joint]), aligned[index])


def _align_palm(aligned: Array, rest: RestWorld, skeleton_map: SkeletonMap, body: CanonicalBody, side: str) -> None:
    """Lay the palm on the rig's palm, as its outermost known fingers show it, and share half of the roll that this
    takes with the forearm.
    """
    hand = skeleton_map.joints.get(f"{side}_wrist", ())
    known = [f for f in _ACROSS if skeleton_map.landmarks.get(f"{side}_{f}") in rest.rig.bone_names]
    if not hand or len(known) < 2:
        return
    outer = (known[0], known[-1])
    origin = rest.heads_m[rest.rig.index(hand[0])]
    points = [rest.heads_m[rest.rig.index(skeleton_map.landmarks[f"{side}_{finger}"])] - origin for finger in outer]
    sites = {site.name: np.array(site.rest_offset_m) for site in body.sites}
    wrist, knuckles = body.joint_index(f"{side}_wrist"), body.joint_index(f"{side}_hand")
    first, last = (sites[f"{side}_{finger}"] + body.offsets_m[knuckles] for finger in ("index", "pinky"))
    canonical = [first + (last - first) * _ACROSS[finger] for finger in outer]
    rig_palm, canonical_palm = _palm_frame(*points), _palm_frame(*canonical)
    if rig_palm is None or canonical_palm is None:
        return
    aligned[wrist] = matrix_to_quaternion(rig_palm @ canonical_palm.T)
    aligned[knuckles] = aligned[wrist]
    elbow = body.joint_index(f"{side}_elbow")
    axis = body.offsets_m[wrist] / np.linalg.norm(body.offsets_m[wrist])
    local = quaternion_multiply(quaternion_conjugate(aligned[elbow]), aligned[wrist])
    _, roll = swing_twist(local, axis)
    aligned[elbow] = quaternion_multiply(aligned[elbow], rotvec_to_quaternion(quaternion_to_rotvec(roll) / 2))


def _palm_frame(index: Array, pinky: Array) -> Array | None:
    along = (index + pinky) / 2
    across = index - pinky
    normal = np.cross(along, across)
    size = float(np.linalg.norm(along)) * float(np.linalg.norm(across))
    if np.linalg.norm(normal) <= 1e-3 * size:
        return None
    along = along / np.linalg.norm(along)
    normal = normal / np.linalg.norm(normal)
    return np.stack([along, np.cross(normal, along), normal], axis=1)
