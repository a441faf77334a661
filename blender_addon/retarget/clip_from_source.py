"""A motion clip out of a motion from elsewhere: mapped, measured from a known rest pose, set on its floor.

numpy, `motion` and its own room only. Reads as its table of contents: choose the bones, choose the rest pose, read the
joints, find floor and contacts, write the clip.

Feet that stand still tell the floor: the lowest level at which they do so. The search works in lengths of a body of
1.70 m, so that a doll and a giant are judged alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..motion.body import canonical_body
from ..motion.clip import SOURCE_SETTING, ClipHeader, MotionClip
from ..motion.clip_warning import ClipWarning, WarningCode
from ..motion.contacts import ContactSettings, contact_probability, point_speed_m_s
from ..motion.motion_file_error import MotionFileError
from ..motion.moving_skeleton import MovingSkeleton
from ..motion.posing import Feet, find_feet, pose_clip
from ..motion.quality import clip_figures
from ..motion.rotations import quaternion_rotate
from .auto_map import detect_map
from .canonical_motion import CanonicalMotion, canonical_motion
from .map_report import MapReport
from .posed_source import PosedSource, source_of_skeleton
from .reference_pose import on_a_standing_frame, set_upright, standing_frame, stands_at_rest
from .source_bones import following_bones

# a foot point slower than this stands; levels this far apart are one floor
_STILL_M_S, _ONE_LEVEL_M = 0.25, 0.05
# a joint this far below the floor shows that the floor is lower; a joint lies so far inside the skin
_FAR_BELOW_M, _SKIN_M = 0.12, 0.03
# what part of all foot points must stand still for the floor to be known from them
_ENOUGH = 0.03
_LOWEST_PERCENT = 5.0
# a foot point that moves less than this from frame to frame was planted on purpose; a motion in which most contacts
# are such has its own contacts, and nothing else is one
_PLANTED_M, _PLANTED_SHARE = 0.00005, 0.5


@dataclass(frozen=True, slots=True)
class Ground:
    """`floor` is the floor's height in the units of the feet; `contacts` (T, 4) are probabilities; `found` says whether
    standing feet told it (else it is the lowest place of the feet).
    """

    floor: float
    contacts: Array
    found: bool


def find_ground(times_s: Array, feet: Array, size: float) -> Ground:
    """The floor under heel and ball of both feet (T, 4, 3); `size` is the body's size over that of 1.70 m."""
    points = feet / size
    if len(points) < 2:
        lowest = float(points[..., 2].min())
        near = (points[..., 2] < lowest + _ONE_LEVEL_M).astype(np.float64)
        return Ground(lowest * size, near, True)
    speed = point_speed_m_s(times_s, points)
    still = points[..., 2][speed < _STILL_M_S]
    found = still.size > _ENOUGH * speed.size
    if found:
        low = float(np.percentile(still, _LOWEST_PERCENT))
        floor = float(np.median(still[still < low + _ONE_LEVEL_M]))
    else:
        floor = float(np.percentile(points[..., 2].min(axis=1), _LOWEST_PERCENT))
    points = points - np.array([0.0, 0.0, floor])
    standing = Feet(points, np.zeros((4, 3)), np.zeros(4))
    contacts = contact_probability(times_s, standing, ContactSettings())
    planted = _planted(points) & (contacts > 0.0)
    if planted.sum() > _PLANTED_SHARE * (contacts > 0.5).sum():
        contacts = planted.astype(np.float64)
    return Ground(floor * size, contacts, found)


def lowest_floor(floor: float, joints: Array, size: float) -> float:
    """The floor, or a lower one where the body (T, J, 3) reaches far below it: feet in the air tell no floor."""
    lowest = float(np.percentile(joints[..., 2].min(axis=1), _LOWEST_PERCENT))
    return lowest - _SKIN_M * size if lowest < floor - _FAR_BELOW_M * size else floor


def _planted(points: Array) -> NDArray[np.bool_]:
    """Which foot points (T, 4) rest exactly: from the frame before, or to the frame after, they do not move."""
    still = np.linalg.norm(np.diff(points, axis=0), axis=-1) < _PLANTED_M
    edge = np.zeros((1, still.shape[1]), dtype=bool)
    return np.concatenate([edge, still]) | np.concatenate([still, edge])


Array = NDArray[np.floating]

MOTION_FILE = "motion file"
ARMATURE = "armature"
# leg lengths in m that a person can have, small children and giants of games included; others are of another unit
_SHORTEST_LEG_M, _LONGEST_LEG_M = 0.3, 1.6
_MOST_FRAMES = 400_000
# bones that move less than this part of the body's size do not move
_NO_MOTION = 1e-5
_NOT_OF_SOURCES = "no fingers were found"
# knees that bend this far the wrong way (cosine) on average mean exchanged sides
_WRONG_WAY, _BENT_DEG = -0.3, 25.0


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """`label` names the source for people, `kind` is MOTION_FILE or ARMATURE; `corrections` gives the joints that the
    user set before for a source's skeleton.
    """

    label: str
    kind: str = MOTION_FILE
    corrections: Callable[[PosedSource], Mapping[str, tuple[str, ...]]] = lambda _: {}


def clip_of_skeleton(skeleton: MovingSkeleton, options: SourceOptions) -> MotionClip:
    """A file's motion as a clip. Raises MotionFileError where no person is found in it."""
    return clip_of_source(source_of_skeleton(skeleton, options.label), options)


def clip_of_source(source: PosedSource, options: SourceOptions) -> MotionClip:
    """A moving rig's motion as a clip. Raises MotionFileError where no person is found in it."""
    if not 0 < source.frames <= _MOST_FRAMES:
        raise MotionFileError(
            f"{options.label} has {source.frames} frames", f"Use a range of 1 to {_MOST_FRAMES} frames"
        )
    if not (np.isfinite(source.heads_m).all() and np.isfinite(source.deltas_wxyz).all()):
        raise MotionFileError(f"{options.label} holds NaN in its motion", "Clean the take and export it again")
    source, report = _mapped(source, options)
    try:
        motion = canonical_motion(source, report.skeleton_map)
    except ValueError as fault:
        raise MotionFileError(f"{options.label} cannot be used: {fault}", _MAP_REMEDY[options.kind]) from fault
    if motion.leg_m <= 0:
        raise MotionFileError(f"{options.label}: its size cannot be told, no leg is whole", _MAP_REMEDY[options.kind])
    return _clip(source, motion, _warnings(source, report, motion), options)


_MAP_REMEDY = {
    MOTION_FILE: "Import the file with Blender's importer, correct its skeleton map and use the armature's motion",
    ARMATURE: "Choose the armature in the Retarget panel, correct its skeleton map, and use its motion again",
}


def _mapped(source: PosedSource, options: SourceOptions) -> tuple[PosedSource, MapReport]:
    """The source on a rest pose in which a person stands, and its map there."""
    source, report = following_bones(source, options.corrections(source))
    source = set_upright(source, report.skeleton_map)
    if stands_at_rest(source, report.skeleton_map):
        report = detect_map(source.rig, options.corrections(source)) if not report.usable else report
        return source, _checked(report, options)
    frame = standing_frame(source, report.skeleton_map)
    if frame is None:
        named = tuple(problem for problem in report.problems if "named for front and hind legs" in problem)
        problems = named or ("nobody could stand in its rest pose, and nobody stands upright in any frame",)
        raise _refused(options, problems, "Put a T-pose, or a person who stands, into its first frame")
    moved = on_a_standing_frame(source, report.skeleton_map, frame)
    moved, report = following_bones(moved, options.corrections(moved))
    kept = _checked(report, options)
    if source.has_rest:
        note = f"nobody could stand in its rest pose: frame {frame + 1}, where the body stands, was taken for it"
        moved = replace(moved, notes=(*moved.notes, note))
    return moved, kept


def _checked(report: MapReport, options: SourceOptions) -> MapReport:
    if not report.usable:
        raise _refused(options, report.problems, _MAP_REMEDY[options.kind])
    return report


def _refused(options: SourceOptions, problems: tuple[str, ...], remedy: str) -> MotionFileError:
    told = "; ".join(problem for problem in problems if not problem.startswith(_NOT_OF_SOURCES))
    return MotionFileError(f"{options.label} does not move like a person: {told or 'no body was found'}", remedy)


def _warnings(source: PosedSource, report: MapReport, motion: CanonicalMotion) -> tuple[ClipWarning, ...]:
    told = [problem for problem in report.problems if not problem.startswith(_NOT_OF_SOURCES)]
    told += source.notes
    if _stands_still(source):
        told.append("nothing moves: every frame holds the same pose")
    exchanged = any("left and right look swapped" in problem for problem in told)
    if not exchanged and _knees_bend_backwards(motion):
        told.append("left and right look exchanged: the knees bend backwards")
    return tuple(ClipWarning(WarningCode.SOURCE, text) for text in dict.fromkeys(told))


def _stands_still(source: PosedSource) -> bool:
    """Whether several frames hold one pose in one place."""
    spread = np.ptp(source.heads_m, axis=0).max() / max(float(np.ptp(source.heads_m[0], axis=0).max()), 1e-9)
    return source.frames > 1 and float(spread) < _NO_MOTION


def _knees_bend_backwards(motion: CanonicalMotion) -> bool:
    """Whether bent knees point to the body's back."""
    body = canonical_body()
    bends, ahead = [], []
    for side in ("left", "right"):
        knee = motion.local_wxyz[:, body.joint_index(f"{side}_knee")]
        shin = quaternion_rotate(knee, np.array([0.0, 0.0, -1.0]))
        bends.append(np.degrees(np.arccos(np.clip(-shin[:, 2], -1.0, 1.0))))
        ahead.append(shin[:, 1] / np.maximum(np.linalg.norm(shin[:, :2], axis=1), 1e-9))  # backwards is +Y: right so
    bent = np.stack(bends) > _BENT_DEG
    return bool(bent.mean() > 0.05 and float(np.stack(ahead)[bent].mean()) < _WRONG_WAY)


def _clip(
    source: PosedSource, motion: CanonicalMotion, warnings: tuple[ClipWarning, ...], options: SourceOptions
) -> MotionClip:
    body = canonical_body()
    hip = float(body.rest_positions_m()[body.joint_index("left_hip"), 2])
    size = motion.leg_m / hip
    real = _SHORTEST_LEG_M <= motion.leg_m <= _LONGEST_LEG_M
    scale = 1.0 if real else 1.0 / size
    height_m = body.height_m * size * scale
    header = ClipHeader(
        source=options.label,
        source_fps=_fps(source.times_s),
        body_height_m=height_m,
        body_height_source="given" if real else "assumed",
        intrinsics_source="none",
        settings={SOURCE_SETTING: options.kind, "skeleton": source.rig.name},
        warnings=warnings,
    )
    clip = _empty_clip(source.times_s, motion, header)
    clip = replace(clip, root_world_m=motion.root_m * scale, hands=motion.hands, face=source.face)
    feet = motion.feet_m * scale if motion.feet_m is not None else find_feet(body, pose_clip(clip)).positions_m
    ground = find_ground(source.times_s, feet, size * scale)
    floor = lowest_floor(ground.floor, pose_clip(clip).positions_m, size * scale)
    if floor < ground.floor:  # somebody on hands, or upside down: the feet do not stand
        ground = replace(ground, contacts=np.zeros_like(ground.contacts))
    root = clip.root_world_m - np.array([0.0, 0.0, floor])
    clip = replace(clip, root_world_m=root, contacts=ground.contacts)
    return replace(clip, header=replace(header, figures=clip_figures(clip)))


def _fps(times_s: Array) -> float:
    return round(1.0 / float(np.median(np.diff(times_s))), 4) if len(times_s) > 1 else 30.0


def _empty_clip(times_s: Array, motion: CanonicalMotion, header: ClipHeader) -> MotionClip:
    """A clip without a camera and without keypoints."""
    body, frames = canonical_body(), len(times_s)
    points, keypoints = body.subsets["h36m17"], body.subsets["blazepose33"]
    return MotionClip(
        times_s=np.asarray(times_s, dtype=np.float64),
        rotations_wxyz=motion.local_wxyz,
        root_world_m=motion.root_m,
        root_camera_m=np.full((frames, 3), np.nan),
        joints_camera_m=np.full((frames, len(points), 3), np.nan),
        keypoints_px=np.full((frames, len(keypoints), 2), np.nan),
        keypoint_confidence=np.zeros((frames, len(keypoints))),
        confidence=np.ones(frames),
        score=np.zeros(frames),
        margin=np.zeros(frames),
        contacts=np.zeros((frames, 4)),
        intrinsics=np.full((3, 3), np.nan),
        world_from_camera=np.full((frames, 4, 4), np.nan),
        bone_scales=motion.bone_scales,
        body_joint_names=body.joint_names,
        joint_names=points,
        keypoint_names=keypoints,
        header=header,
    )
