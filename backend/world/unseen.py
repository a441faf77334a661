"""Limbs that are not in the frame: held at rest, or as last seen, below an upright trunk.

May import numpy, `motion`, `types` and its own room. The landmark network places knees and feet far outside of the
frame too; the legs that follow from them are inventions, and so is the trunk's tilt along the view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from backend.world.at_rest import hidden_sits, rest_wxyz, thigh_raised
from backend.world.seen_joints import outside_image, seen_joints
from blender_addon.motion.body import (
    BodyShape,
    CanonicalBody,
    bare_name,
    canonical_body,
    forward_kinematics,
    points_m,
)
from blender_addon.motion.body_contacts import CONTACT_PARTS
from blender_addon.motion.contacts import resumed_s, true_runs
from blender_addon.motion.posing import PosedBody, pose_body
from blender_addon.motion.rotations import (
    quaternion_conjugate,
    quaternion_multiply,
    quaternion_slerp,
    rotvec_to_quaternion,
)
from blender_addon.motion.temporal import Gaussian, filter_positions

_LEAST_VISIBILITY = 0.25
# both legs are behind something where the network believes less than this of every knee and ankle
_HIDDEN_VISIBILITY = 0.15
# shorter absences are an occlusion, which the pose's own evidence bridges better
_SHORTEST_S = 0.4
_BLEND_S = 0.25
# how long a limb stays as it was last seen, and how slowly it goes to rest then
_KEEP_S = 0.5
_REST_S = 1.0
# what is left of a small lean along the view, and how much of a large one at most, when no leg is seen, and when no
# hip is seen either; what is left of a lean across the view then
_LEGLESS_LEAN, _HIPLESS_LEAN, _HIPLESS_ACROSS = (0.5, 12.0), (0.35, 8.0), 0.8
_LEAN_SIGMA_S, _LYING_SIGMA_S, _LYING_DEG = 0.15, 1.0, 60.0
# how far off the poses' direction down may be, besides its spread, where no leg is seen, and where no hip is either
_LEGLESS_DEG, _HIPLESS_DEG = 8.0, 20.0
# each limb: the joints that turn it, and the keypoint that has to be seen for them
_LEG = (("hip", "knee"), ("knee", "ankle"))
_ARM = (("shoulder", "elbow"), ("elbow", "wrist"))


@dataclass(frozen=True, slots=True)
class Unseen:
    """`limbs` (T, 4): how far (0 to 1) the left and right leg, left and right arm are not in the frame; legs count
    from the knee down. `joints` (T, J): how far each joint of the body is seen; 0 where its pose is a guess. `sits`
    (T,), 0 to 1: how far the person sits, where the legs are behind something.
    """

    limbs: Array
    joints: Array
    sits: Array

    @property
    def feet(self) -> NDArray[np.bool_]:
        """Which of `FOOT_POINTS` (T, 4) belong to a leg that is not seen."""
        return np.repeat(self.limbs[:, :2] > 0.5, 2, axis=1)

    @property
    def parts(self) -> NDArray[np.bool_]:
        """Which of `CONTACT_PARTS` (T, P) belong to a limb that is not seen."""
        hidden = self.limbs > 0.5
        limb = {"knee": 0, "hand": 2, "elbow": 2}
        columns = np.zeros((len(hidden), len(CONTACT_PARTS)), bool)
        for place, part in enumerate(CONTACT_PARTS):
            if bare_name(part) in limb:
                columns[:, place] = hidden[:, limb[bare_name(part)] + part.startswith("right")]
        return columns

    @property
    def legs_share(self) -> float:
        """Part of the frames in which neither leg is seen."""
        return float((self.limbs[:, :2] > 0.5).all(axis=1).mean()) if len(self.limbs) else 0.0


def gravity_doubt_deg(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp]) -> float:
    """How far off the poses' own direction down may be, degrees, for what is not seen of the body in `frames` (N,)."""
    legs = ~legs_seen(track, intrinsics, frames)
    return float(np.hypot(_LEGLESS_DEG * legs.mean(), _HIPLESS_DEG * _hipless(track, intrinsics, frames).mean()))


def legs_seen(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp]) -> NDArray[np.bool_]:
    """In which of the `frames` (N,) a knee is seen."""
    out = _out_of_frame(track, intrinsics, frames)
    return ~np.all([out[f"{side}_knee"] for side in ("left", "right")], axis=0)


def settle_unseen(
    poses: PoseTrack, track: PersonTrack, intrinsics: Intrinsics, down: Array, frames: NDArray[np.intp]
) -> tuple[PoseTrack, Unseen]:
    """The poses with limbs that are out of the frame at rest, for the solved `frames` (N,); the same where all is seen.

    `down` (3,) is gravity in the camera. Rotations and joints of the other limbs do not change.
    """
    body, times_s = canonical_body(), track.times_s[frames]
    out = _out_of_frame(track, intrinsics, frames)
    hidden = {
        f"{side}_{joint}": _weights(times_s, out[f"{side}_{end}"])
        for side in ("left", "right")
        for joint, end in (*_LEG, *_ARM)
    }
    names = ("left_knee", "right_knee", "left_elbow", "right_elbow")
    shape = BodyShape(poses.height_m, poses.bone_scales)
    before = poses.rotations_wxyz[frames].astype(np.float64)
    legs = np.minimum(hidden["left_hip"], hidden["right_hip"])
    behind = (legs > 0.5) & _knees_within(track, intrinsics, frames)
    sits = hidden_sits(body, before, times_s, down, behind) * legs if behind.any() else np.zeros(len(frames))
    limbs = np.stack([hidden[name] for name in names], axis=1)
    unseen = Unseen(limbs, _seen(track, intrinsics, frames, hidden), sits)
    if not any(weight.any() for weight in hidden.values()):
        return poses, unseen
    after = before.copy()
    hips = np.minimum(legs, _weights(times_s, _hipless(track, intrinsics, frames)))
    posed = pose_body(body, shape, before, np.zeros((len(frames), 3)))
    _set_upright(body, after, _upright_turns(body, posed, times_s, down, (legs, hips)))
    raised = {side: thigh_raised(body, before, side, down) for side in ("left", "right")}
    for name, weight in hidden.items():
        if weight.any():
            keeps = raised[name.partition("_")[0]] & name.endswith(("hip", "knee"))
            _rest_joint(body, after, _Hidden(name, weight, keeps, unseen.sits), times_s, down)
    return changed_poses(poses, shape, frames, (before, after)), unseen


def _seen(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp], hidden: dict[str, Array]) -> Array:
    """How far (N, J) each joint is seen; ends of limbs that are out of the frame are not, whatever the network says."""
    body, size = canonical_body(), (intrinsics.width, intrinsics.height)
    seen = seen_joints(track.times_s[frames], track.keypoints_px[frames], track.visibility[frames], size)
    for name, weight in hidden.items():
        joint = body.joint_index(name)
        ends = [end for end in range(len(body.parents)) if joint in _above(body, end)]
        seen[:, ends] *= (1.0 - weight)[:, None]
    return seen


def _above(body: CanonicalBody, joint: int) -> list[int]:
    """The joints that a joint hangs on."""
    found: list[int] = []
    while body.parents[joint] >= 0:
        joint = int(body.parents[joint])
        found.append(joint)
    return found


def _out_of_frame(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp]) -> dict[str, NDArray[np.bool_]]:
    """For each knee, ankle, elbow and wrist in which frames (N,) it is beyond the edge and not believed to be seen."""
    names = canonical_body().subsets["blazepose33"]
    found = {}
    for name in (f"{side}_{end}" for side in ("left", "right") for _, end in (*_LEG, *_ARM)):
        place = names.index(name)
        outside = outside_image(track.keypoints_px[frames, place], (intrinsics.width, intrinsics.height))
        found[name] = outside & (np.nan_to_num(track.visibility[frames, place]) < _LEAST_VISIBILITY)
    legs = [f"{side}_{end}" for side in ("left", "right") for _, end in _LEG]
    visible = np.nan_to_num(track.visibility[frames][:, [names.index(name) for name in legs]]).max(axis=1)
    # behind a desk they are within the image; one leg that hides the other is not
    found |= {name: found[name] | (visible < _HIDDEN_VISIBILITY) for name in legs}
    return found


def _knees_within(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp]) -> NDArray[np.bool_]:
    """In which frames (N,) both knees would be in the image."""
    names = canonical_body().subsets["blazepose33"]
    knees = [names.index(f"{side}_knee") for side in ("left", "right")]
    return ~outside_image(track.keypoints_px[frames][:, knees], (intrinsics.width, intrinsics.height)).any(axis=1)


def _weights(times_s: Array, hidden: NDArray[np.bool_]) -> Array:
    """How far (N,) a joint is out of the frame, 0 to 1: short absences dropped, short sights closed, ends blended."""
    mask = hidden.copy()
    for kind in (False, True):
        for first, last in true_runs(mask == kind):
            inside = first > 0 and last < len(mask) - 1
            if inside and times_s[last + 1] - times_s[first] < _SHORTEST_S:
                mask[first : last + 1] = not kind
    if mask.all() or not mask.any():
        return mask.astype(np.float64)
    part = mask[:, None].astype(np.float64)
    return np.clip(filter_positions(Gaussian(0.5 * _BLEND_S), times_s, part, resumed_s(times_s))[:, 0], 0, 1)


def _hipless(track: PersonTrack, intrinsics: Intrinsics, frames: NDArray[np.intp]) -> NDArray[np.bool_]:
    """In which frames (N,) neither hip is in the image."""
    names = canonical_body().subsets["blazepose33"]
    hips = [names.index(f"{side}_hip") for side in ("left", "right")]
    return np.asarray(
        outside_image(track.keypoints_px[frames][:, hips], (intrinsics.width, intrinsics.height)).all(axis=1)
    )


def _upright_turns(
    body: CanonicalBody, posed: PosedBody, times_s: Array, down: Array, unseen: tuple[Array, Array]
) -> Array:
    """Turns (N, 4) in the camera that take most of the trunk's lean out where legs (N,), or hips too, are unseen.

    How far somebody leans towards the camera shows in the legs: without them the towers' lean is hardly more than a
    guess, and a trunk that is cut off by a desk looks like one that leans.
    """
    legs, hips = unseen
    up = -down
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    turn = np.zeros((len(times_s), 3))
    if legs.any() and np.linalg.norm(ahead) >= 0.2:  # a camera that looks straight down sees nothing of a lean
        ahead = ahead / np.linalg.norm(ahead)
        trunk = posed.positions_m[:, body.joint_index("neck")] - posed.positions_m[:, 0]
        upwards = np.asarray(trunk @ up, np.float64)
        along = _steady_lean(times_s, np.asarray(trunk @ ahead, np.float64), upwards)
        across = _steady_lean(times_s, np.asarray(trunk @ np.cross(ahead, up), np.float64), upwards)
        off = (legs - hips) * (along - _less(along, *_LEGLESS_LEAN)) + hips * (along - _less(along, *_HIPLESS_LEAN))
        # turning about up x way by a positive angle leads `up` towards it
        turn -= off[:, None] * np.cross(up, ahead)
        turn -= (hips * (1.0 - _HIPLESS_ACROSS) * across)[:, None] * np.cross(up, np.cross(ahead, up))
    return np.asarray(rotvec_to_quaternion(turn))


def _steady_lean(times_s: Array, sideways: Array, upwards: Array) -> Array:
    """A lean (N,) in rad, without its jitter; 0 for somebody who lies, whom nothing sets upright."""
    lean = np.arctan2(sideways, upwards)[:, None]
    slow, steady = (
        filter_positions(Gaussian(sigma_s), times_s, lean, resumed_s(times_s))[:, 0]
        for sigma_s in (_LYING_SIGMA_S, _LEAN_SIGMA_S)
    )
    return np.where(np.abs(slow) < np.deg2rad(_LYING_DEG), steady, 0.0)


def _less(lean: Array, part: float, most_deg: float) -> Array:
    """A part of a small lean (N,), and no more than `most_deg` of a large one."""
    most = np.deg2rad(most_deg)
    return np.asarray(most * np.tanh(part * lean / most))


def _set_upright(body: CanonicalBody, rotations: Array, turns: Array) -> None:
    """Turn the trunk, in place, about the pelvis in the camera; head and arms keep their directions in it."""
    world = forward_kinematics(body, rotations, np.zeros((len(rotations), 3)))[1]
    for name in ("neck", "left_shoulder", "right_shoulder"):
        joint = body.joint_index(name)
        above = quaternion_multiply(turns, world[:, int(body.parents[joint])])
        rotations[:, joint] = quaternion_multiply(quaternion_conjugate(above), world[:, joint])
    rotations[:, 0] = quaternion_multiply(turns, rotations[:, 0])


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A joint, how far (N,) it is out of the frame, in which frames (N,) it is in a pose that it keeps, and how far
    (N,) the person sits.
    """

    name: str
    weight: Array
    keeps: NDArray[np.bool_]
    sits: Array


def _rest_joint(body: CanonicalBody, rotations: Array, hidden: _Hidden, times_s: Array, down: Array) -> None:
    """Lead, in place, one joint (N, J, 4) to how it was last seen, and from there to rest, where it is hidden."""
    name, weight = hidden.name, hidden.weight
    joint = body.joint_index(name)
    own, rest = rotations[:, joint].copy(), rest_wxyz(body, rotations, name, down, hidden.sits)
    frames = np.arange(len(own))
    seen = np.maximum.accumulate(np.where(weight < 0.05, frames, -1))
    away_s = np.where(seen >= 0, times_s - times_s[np.maximum(seen, 0)], np.inf)
    share = np.clip((away_s - _KEEP_S) / _REST_S, 0.0, 1.0)
    share = np.where((seen >= 0) & hidden.keeps[np.maximum(seen, 0)], 0.0, share)
    held = quaternion_slerp(own[np.maximum(seen, 0)], rest, share * share * (3.0 - 2.0 * share))
    rotations[:, joint] = quaternion_slerp(own, held, weight)
    if name.endswith(("knee", "elbow")):
        end = int(np.flatnonzero(body.parents == joint)[0])
        still = np.tile([1.0, 0.0, 0.0, 0.0], (len(own), 1))
        rotations[:, end] = quaternion_slerp(rotations[:, end], still, weight)


def changed_poses(
    poses: PoseTrack, shape: BodyShape, frames: NDArray[np.intp], turns: tuple[Array, Array]
) -> PoseTrack:
    """The poses with other rotations at `frames`; joints in the camera move as the body's do, about the same root."""
    body, origin = canonical_body(), np.zeros((len(frames), 3))
    points = []
    for rotations in turns:
        posed = pose_body(body, shape, rotations, origin)
        points.append(points_m(body, "h36m17", posed.positions_m, posed.world_wxyz, posed.shape))
    rotations, joints = poses.rotations_wxyz.copy(), poses.joints_camera_m.copy()
    rotations[frames] = turns[1]
    joints[frames] = joints[frames] + (points[1] - points[0])
    return replace(poses, rotations_wxyz=rotations, joints_camera_m=joints)
