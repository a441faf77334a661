"""How flat and how still planted feet are, on the clip's own body and on a rig. numpy only.

`tools/measure_soles.py` prints these figures for clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.contacts import true_runs
from blender_addon.motion.posing import clip_shape, pose_body
from blender_addon.motion.resampling import resample_clip
from blender_addon.motion.rotations import quaternion_rotate
from blender_addon.retarget.baked_pose import RetargetOptions
from blender_addon.retarget.map_files import rig_families
from blender_addon.retarget.rest_world import rest_world
from blender_addon.retarget.skeleton_map import SkeletonMap
from blender_addon.retarget.solve import retarget
from blender_addon.retarget.source_motion import source_motion
from blender_addon.retarget.target_body import measure_target
from blender_addon.retarget.target_rig import TargetRig
from tests.retarget.evaluate_rig import evaluate_matrices
from tests.retarget.named_rigs import family_rig

SIDES = ("left", "right")
FAMILIES = (
    "mixamo", "unreal", "vrm", "cmu_motionbuilder", "rokoko", "makehuman_default", "daz_genesis9", "smplx",
    "character_creator", "biped_3dsmax", "rigify_metarig",
)  # fmt: skip


@dataclass(frozen=True)
class Soles:
    """While heel and ball of a foot stand: the sole's tilt in degrees, how far ankle and ball move in mm; and how far
    the lowest foot point of all frames lies under the floor, in mm.
    """

    frames: int
    tilt_mean_deg: float
    tilt_max_deg: float
    ankle_mm: float
    ball_mm: float
    below_mm: float

    def good(self) -> bool:
        """Whether the acceptance holds."""
        still = max(self.ankle_mm, self.ball_mm) <= 3.0 and self.below_mm <= 2.0
        return still and self.tilt_mean_deg <= 1.0 and self.tilt_max_deg <= 5.0

    def __str__(self) -> str:
        return (
            f"{self.frames:4d} frames, tilt {self.tilt_mean_deg:4.1f} mean {self.tilt_max_deg:4.1f} max deg, "
            f"ankle {self.ankle_mm:5.1f} ball {self.ball_mm:5.1f} below {self.below_mm:5.1f} mm"
        )


def rig_soles(clip: MotionClip, rig: TargetRig, skeleton_map: SkeletonMap, fps: float = 30.0) -> Soles:
    """A clip at `fps` on a rig, feet planted, measured on the posed bones."""
    clip = resample_clip(clip, fps)
    source = source_motion(clip, RetargetOptions().contact_threshold)
    pose = retarget(clip, rig, skeleton_map)
    matrices, rest = evaluate_matrices(rig, pose), rest_world(rig)
    target = measure_target(rest, skeleton_map)
    tilts, ankles, balls, lows = [], [], [], []
    for place, side in enumerate(SIDES):
        foot = rig.index(skeleton_map.joints[f"{side}_ankle"][0])
        turn = matrices[:, foot, :3, :3] @ np.linalg.inv(rig.object_matrix[:3, :3] @ rig.rest_matrices[foot, :3, :3])
        points = target.feet[side]
        heel, ball = (
            matrices[:, foot, :3, 3] + turn @ (point - points.ankle_m) for point in (points.heel_m, points.ball_m)
        )
        both = source.planted[:, 2 * place : 2 * place + 2].all(axis=1)
        tilts.append(_tilt_deg(turn @ target.up)[both])
        ankles += _spreads(matrices[:, foot, :3, 3], both)
        balls += _spreads(ball, both)
        lows.append(-np.minimum(heel[:, 2], ball[:, 2])[source.present])
    return _soles(tilts, ankles, balls, lows)


def clip_soles(clip: MotionClip) -> Soles:
    """A clip on its own body."""
    source = source_motion(clip, RetargetOptions().contact_threshold)
    body = canonical_body()
    rotations = np.nan_to_num(clip.rotations_wxyz.astype(float))
    posed = pose_body(body, clip_shape(clip), rotations, np.nan_to_num(clip.root_world_m.astype(float)))
    tilts, ankles, balls, lows = [], [], [], []
    for place, side in enumerate(SIDES):
        ankle = body.joint_index(f"{side}_ankle")
        both = source.planted[:, 2 * place : 2 * place + 2].all(axis=1)
        tilts.append(_tilt_deg(quaternion_rotate(posed.world_wxyz[:, ankle], np.array([0.0, 0.0, 1.0])))[both])
        ankles += _spreads(posed.positions_m[:, ankle], both)
        balls += _spreads(posed.positions_m[:, body.joint_index(f"{side}_toe")], both)
        points = slice(2 * place, 2 * place + 2)
        lows.append((source.clearance_m[points] - source.feet_m[:, points, 2]).max(axis=1)[source.present])
    return _soles(tilts, ankles, balls, lows)


def _soles(tilts: list, ankles: list, balls: list, lows: list) -> Soles:
    tilt = np.concatenate(tilts)
    if not len(tilt):
        return Soles(0, 0.0, 0.0, 0.0, 0.0, 1e3 * float(np.max(lows)))
    return Soles(
        len(tilt),
        float(tilt.mean()),
        float(tilt.max()),
        1e3 * max(ankles),
        1e3 * max(balls),
        1e3 * float(np.concatenate(lows).max()),
    )


def _tilt_deg(normal: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(normal[..., 2], -1.0, 1.0)))


def _spreads(positions: np.ndarray, mask: np.ndarray) -> list[float]:
    """The largest distance from where each run of the mask begins."""
    runs = [positions[first : last + 1] for first, last in true_runs(mask)]
    return [float(np.linalg.norm(run - run[0], axis=-1).max()) for run in runs]


def sole_rigs() -> dict[str, tuple[TargetRig, SkeletonMap]]:
    """Rigs of ten families and more, with the proportions of people, of chibi figures and of high heels."""
    known = {family.family: family for family in rig_families()}
    rigs = {name: family_rig(known[name]) for name in FAMILIES}
    shapes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "high heels": lambda z: np.where(z > 0.05, z + 0.09, z),
        "chibi legs": lambda z: np.where(z > 0.08, np.where(z < 0.9, 0.08 + (z - 0.08) * 0.35, z - 0.533), z),
        "long shins": lambda z: np.where(z > 0.4, z + 0.2, z),
    }
    for family, (name, shape) in zip(("mixamo", "unreal", "vrm"), shapes.items(), strict=True):
        rig, skeleton_map = rigs[family]
        rest = rig.rest_matrices.copy()
        rest[:, 2, 3] = shape(rest[:, 2, 3])
        rigs[f"{family} {name}"] = (replace(rig, name=name, rest_matrices=rest), skeleton_map)
    rig, skeleton_map = rigs["unreal"]
    small = np.diag([0.01, 0.01, 0.01, 1.0])
    rest = rig.rest_matrices.copy()
    rest[:, :3, 3] *= 100.0
    rigs["unreal in centimetres"] = (
        replace(rig, rest_matrices=rest, lengths=rig.lengths * 100, object_matrix=small), skeleton_map
    )  # fmt: skip
    return rigs
