"""What a solve would be if parts of it were true: the truth in place of its input, or in place of parts of its answer.

A replacement that gains much names what limits the rest. numpy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from backend.camera.lens import normalised_points, project_m
from backend.camera.virtual_camera import look_at_rotation
from backend.embedding.keypoints import HIPS, KEYPOINT_NAMES
from backend.embedding.smooth_evidence import smoothed
from backend.evaluation.metrics import LIMB_JOINTS
from backend.types import Array, Intrinsics, PersonTrack

_LIMB_KEYPOINTS = np.array(
    [KEYPOINT_NAMES.index(f"{'left' if name[0] == 'l' else 'right'}_{name[1:]}") for name in LIMB_JOINTS]
)
_TORSO = np.array([place for place, name in enumerate(LIMB_JOINTS) if name[1:] in ("shoulder", "hip")])
_SHOULDERS, _HIPS = _TORSO[:2], _TORSO[2:]
_BONES = {  # (joint, the joint that it hangs on), from the torso outwards
    "arms": ((2, 0), (3, 1), (4, 2), (5, 3)),
    "legs": ((8, 6), (9, 7), (10, 8), (11, 9)),
}
_LIMBS = (*_BONES["arms"], *_BONES["legs"])
_SLOW_S = 0.25


@dataclass(frozen=True, slots=True)
class TrueClip:
    """A person's track through a camera, and the truth in the camera of its frames: landmarks_m (T, 33, 3), and
    limbs_m (T, 12, 3) of LIMB_JOINTS, both in m.
    """

    track: PersonTrack
    camera: Intrinsics
    landmarks_m: Array
    limbs_m: Array


def landmarks_of_limbs(limbs_m: Array, camera: Intrinsics, track: PersonTrack) -> Array:
    """True landmarks (T, 33, 3) m in the camera where only LIMB_JOINTS (T, 12, 3) are known.

    The others keep the track's place relative to the nearest known one, at that one's depth.
    """
    rays = normalised_points(camera, track.keypoints_px)
    own = rays[:, _LIMB_KEYPOINTS]
    nearest = _nearest_limb()
    depth = limbs_m[:, nearest, 2:]
    beside = np.concatenate([(rays - own[:, nearest]) * depth, np.zeros_like(depth)], axis=-1)
    landmarks = limbs_m[:, nearest] + beside
    landmarks[:, _LIMB_KEYPOINTS] = limbs_m
    return np.asarray(landmarks)


def _nearest_limb() -> Array:
    """For each of the 33 landmarks the place in LIMB_JOINTS of the one that carries it along."""
    ends = {"knee": "ankle", "heel": "ankle", "foot_index": "ankle"}
    ends |= dict.fromkeys(("pinky", "index", "thumb"), "wrist") | dict.fromkeys(("eye", "ear", "mouth"), "shoulder")
    places = []
    for name in KEYPOINT_NAMES:
        side = "r" if "right" in name else "l"
        bare = name.removeprefix("left_").removeprefix("right_")
        known = f"{side}{bare}"
        part = next((joint for end, joint in ends.items() if end in bare), "shoulder")
        places.append(LIMB_JOINTS.index(known if known in LIMB_JOINTS else f"{side}{part}"))
    return np.array(places)


def with_true_keypoints(clip: TrueClip) -> PersonTrack:
    """The track with the projected truth as its keypoints, all of them seen."""
    track = clip.track
    seen = track.presence > 0
    points = np.where(seen[:, None, None], project_m(clip.camera, clip.landmarks_m), track.keypoints_px)
    return replace(track, keypoints_px=points, visibility=np.where(seen[:, None], 1.0, track.visibility))


def with_true_guess(clip: TrueClip) -> PersonTrack:
    """The track with the truth as the landmark network's own 3D: hip-centred, z along the ray to the person."""
    middle = clip.landmarks_m[:, HIPS].mean(axis=1)
    turn = look_at_rotation(middle[:, :2] / middle[:, 2:])
    guess = np.matmul(clip.landmarks_m - middle[:, None], np.swapaxes(turn, -1, -2))
    return replace(clip.track, world_m=np.where(clip.track.presence[:, None, None] > 0, guess, clip.track.world_m))


def with_both(clip: TrueClip) -> PersonTrack:
    """The track with true keypoints and the true 3D guess."""
    return with_true_guess(replace(clip, track=with_true_keypoints(clip)))


Replace = Callable[[Array, Array, Array], Array]
"""From solved limbs (T, 12, 3), true ones and times (T,) s to limbs in which a part is true; all relative to the
mid-hip, the solved ones in the truth's size.
"""


def _torso(solved: Array, truth: Array, times_s: Array) -> Array:
    return _hung(truth.copy(), solved, _LIMBS)


def _limb_depth(solved: Array, truth: Array, times_s: Array) -> Array:
    flat = solved * [1.0, 1.0, 0.0] + truth * [0.0, 0.0, 1.0]
    return _hung(solved.copy(), flat, _LIMBS)


def _torso_and_depth(solved: Array, truth: Array, times_s: Array) -> Array:
    return _torso(_limb_depth(solved, truth, times_s), truth, times_s)


def _true_bones(name: str) -> Replace:
    return lambda solved, truth, times_s: _hung(solved.copy(), truth, _BONES[name])


def _order_in_depth(solved: Array, truth: Array, times_s: Array) -> Array:
    turned = solved.copy()
    for wrong, (joint, root) in zip(order_is_wrong(solved, truth).T, _LIMBS, strict=True):
        bone = solved[:, joint] - solved[:, root]
        bone[wrong, 2] *= -1
        turned[:, joint] = turned[:, root] + bone
    return turned


def order_is_wrong(solved: Array, truth: Array) -> Array:
    """(T, 8) whether a limb points towards the camera where the true one points away, or the other way round."""
    pairs = [(values[:, joint, 2] - values[:, root, 2]) for values in (solved, truth) for joint, root in _LIMBS]
    own, true = np.stack(pairs[: len(_LIMBS)], 1), np.stack(pairs[len(_LIMBS) :], 1)
    return np.asarray(own * true < 0)


def _limb_lengths(solved: Array, truth: Array, times_s: Array) -> Array:
    out = solved.copy()
    for joint, root in _LIMBS:
        own, true = solved[:, joint] - solved[:, root], truth[:, joint] - truth[:, root]
        out[:, joint] = out[:, root] + own * (_length(true) / _length(own))
    return out


def _trunk_direction(solved: Array, truth: Array, times_s: Array) -> Array:
    own, true = (trunk_m(values) for values in (solved, truth))
    own, true = own / _length(own), true / _length(true)
    axis, cosine = np.cross(own, true), (own * true).sum(-1)
    cross = np.zeros((len(own), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axis
    cross[:, [1, 2, 0], [2, 0, 1]] = -axis
    turn = np.eye(3) + cross + cross @ cross / np.maximum(1.0 + cosine, 1e-9)[:, None, None]
    upper = [place for place, name in enumerate(LIMB_JOINTS) if name[1:] in ("shoulder", "elbow", "wrist")]
    out = solved.copy()
    out[:, upper] = np.matmul(solved[:, upper], np.swapaxes(turn, -1, -2))
    return out


def _whole_rotation(solved: Array, truth: Array, times_s: Array) -> Array:
    u, _, vt = np.linalg.svd(np.swapaxes(solved, 1, 2) @ truth)
    u[:, :, -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.asarray(solved @ (u @ vt))


def _without_mean_error(solved: Array, truth: Array, times_s: Array) -> Array:
    return np.asarray(solved - (solved - truth).mean(axis=0))


def _without_slow_error(solved: Array, truth: Array, times_s: Array) -> Array:
    return np.asarray(solved - smoothed(solved - truth, times_s, _SLOW_S))


ANSWERS: dict[str, Replace] = {
    "torso (hips, shoulders), limbs keep their own directions": _torso,
    "depth of limbs, own torso": _limb_depth,
    "torso and limb depth": _torso_and_depth,
    "legs": _true_bones("legs"),
    "arms": _true_bones("arms"),
    "order in depth": _order_in_depth,
    "direction of the trunk, the arms turned with it": _trunk_direction,
    "rotation of the whole body": _whole_rotation,
    "limb lengths": _limb_lengths,
    "constant part of every joint's error": _without_mean_error,
    "error slower than half a second": _without_slow_error,
}
"""Parts of the answer that are replaced by the truth."""


def trunk_m(limbs_m: Array) -> Array:
    """From the mid-hip to the middle of the shoulders (T, 3)."""
    return np.asarray(limbs_m[:, _SHOULDERS].mean(axis=1) - limbs_m[:, _HIPS].mean(axis=1))


def angle_deg(one: Array, other: Array) -> Array:
    """Angles (T, ...) between vectors (T, ..., 3)."""
    cosine = (one * other).sum(-1) / (_length(one) * _length(other))[..., 0]
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def knee_bend_deg(limbs_m: Array) -> Array:
    """Bend (T, 2) of the left and right knee."""
    knees, ankles = _BONES["legs"][:2], _BONES["legs"][2:]
    thigh = np.stack([limbs_m[:, joint] - limbs_m[:, root] for joint, root in knees], axis=1)
    shin = np.stack([limbs_m[:, joint] - limbs_m[:, root] for joint, root in ankles], axis=1)
    return angle_deg(thigh, shin)


def _hung(out: Array, bones: Array, which: tuple[tuple[int, int], ...]) -> Array:
    """Some limbs of `out` replaced by those of `bones`, hung on the joints of `out`; what hangs on them goes along."""
    before = out.copy()
    chosen = {joint for joint, _ in which}
    for joint, root in _LIMBS:
        source = bones if joint in chosen else before
        out[:, joint] = out[:, root] + source[:, joint] - source[:, root]
    return out


def _length(vectors: Array) -> Array:
    return np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
