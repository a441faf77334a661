"""One person of a take, from the tracks in all views to a clip in the first view's frames. numpy.

The stages after the joint fit are those of one video: they get the fitted skeleton as that view would see it, so that
what another view shows counts too. Keypoints of the clip are the first view's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.camera.path import turned_poses
from backend.embedding.pose_model import PoseModel
from backend.multiview.joint_poses import JointOptions, PersonView, all_cuts, solve_person
from backend.multiview.overlap import told_apart
from backend.multiview.resample import resampled_track
from backend.multiview.take_details import PersonDetails
from backend.multiview.types import PersonInViews, Take
from backend.solving.clip_assembly import assemble_clip, with_details
from backend.solving.details import SolvedDetails, detail_figures, detail_warnings
from backend.solving.video_pass import TrackedVideo, apart_at_cuts
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from backend.world import WorldOptions, WorldTrack, place_in_world
from blender_addon.motion.body import BodyShape, canonical_body, points_m
from blender_addon.motion.clip import ClipHeader, MotionClip
from blender_addon.motion.posing import pose_body

# every point in front of the camera lies in the image of this camera, so that no limb counts as outside of it
_WIDE_PX = 1_000_000.0
_WIDE_FOCAL_PX = 1_000.0
_NEAREST_M = 0.1
_SAME_TIME_S = 1e-6  # clocks are computed to and fro, and a cut is the time of a frame


@dataclass(frozen=True, slots=True)
class SolvedPerson:
    """Poses in the reference camera and in the world, with the track of the reference view; `details` are hands and
    face over the frames, where they were asked for; `cuts_s` the cuts of all views, on the clock of the reference view.
    """

    own: PersonTrack
    poses: PoseTrack
    world: WorldTrack
    details: SolvedDetails | None = None
    cuts_s: tuple[float, ...] = ()


def views_of_person(
    take: Take, person: PersonInViews, tracked: dict[int, TrackedVideo], only: Sequence[int] | None = None
) -> dict[int, PersonView]:
    """The views that show a person, at the times of the take's first view; `only` some of them."""
    base = tracked[take.used[0]]
    clock = take.offsets[take.used[0]]
    take_s = clock.take_time_s(base.times_s)
    found = {}
    for view in take.used if only is None else only:
        camera, place = take.cameras[view], person.tracks[view]
        if camera is not None and place is not None:
            cuts_s = tracked[view].cuts_s
            track = resampled_track(tracked[view].tracks[place], take.offsets[view], take_s, cuts_s)
            apart = np.interp(
                take.offsets[view].video_time_s(take_s),
                tracked[view].tracks[place].times_s,
                told_apart(tracked[view].tracks, place),
            )
            track = replace(track, times_s=base.times_s)
            at_s = clock.video_time_s(take.offsets[view].take_time_s(np.asarray(cuts_s, np.float64))) - _SAME_TIME_S
            cuts = at_s[(at_s > base.times_s[0]) & (at_s <= base.times_s[-1])]  # of what the clip shows
            found[view] = PersonView(
                track, camera.intrinsics, camera.rotation, camera.translation_m, tuple(cuts.tolist()), apart
            )
    return found


def solve_in_views(
    model: PoseModel,
    views: dict[int, PersonView],
    reference: tuple[int, TrackedVideo],
    options: tuple[JointOptions, WorldOptions],
    details: PersonDetails | None = None,
) -> SolvedPerson:
    """Solve one person at every frame of the take's first view, `reference`, with hands and face where there are
    `details`; of one view as that video alone.
    """
    if len(views) == 1:
        poses = _of_one_view(model, next(iter(views.values())), options[0])
    else:
        poses = solve_person(model, list(views.values()), options[0])
    cuts_s = all_cuts(list(views.values()))
    more = None if details is None else details.solve(poses, views, cuts_s)
    poses = poses if more is None else more.poses
    place, base = reference
    own = views[place].track if place in views else _hidden(next(iter(views.values())).track)
    together, wide = _together(list(views.values()), poses)
    own = replace(own, frame_index=base.frame_index)
    together = apart_at_cuts(replace(together, frame_index=base.frame_index), cuts_s)
    world = place_in_world(poses, together, wide, options[1])
    return SolvedPerson(own, poses, world, more, cuts_s)


def _of_one_view(model: PoseModel, view: PersonView, options: JointOptions) -> PoseTrack:
    """Poses as one video gives them, in the take frame."""
    poses = model.solve(view.apart().track, view.intrinsics, options.poses)
    turn = view.rotation.T
    poses = turned_poses(poses, np.broadcast_to(turn, (len(poses.confidence), 3, 3)))
    center = -turn @ view.translation
    return replace(
        poses,
        root_camera_m=poses.root_camera_m + center,
        joints_camera_m=poses.joints_camera_m + center,
        gravity_camera=turn @ poses.gravity_camera,
    )


def clip_of(solved: SolvedPerson, base: TrackedVideo, intrinsics: Intrinsics, header: ClipHeader) -> MotionClip:
    """The clip over every frame of the reference video."""
    more = solved.details
    if more is None:
        return assemble_clip(base, solved.own, solved.poses, solved.world, intrinsics, header)
    header = replace(
        header,
        figures={**header.figures, **detail_figures(more)},
        warnings=(*header.warnings, *detail_warnings(more)),
    )
    clip = assemble_clip(base, solved.own, solved.poses, solved.world, intrinsics, header)
    return with_details(clip, base.frame_index, solved.own, more.hands, more.face)


def _hidden(track: PersonTrack) -> PersonTrack:
    return replace(
        track,
        presence=np.zeros_like(track.presence),
        keypoints_px=np.full_like(track.keypoints_px, np.nan),
        visibility=np.zeros_like(track.visibility),
    )


def _together(views: Sequence[PersonView], poses: PoseTrack) -> tuple[PersonTrack, Intrinsics]:
    """The fitted landmarks as the reference camera would see them, as visible as in the view that shows each best, and
    a camera whose image holds them all.
    """
    body, shape = canonical_body(), BodyShape(poses.height_m, poses.bone_scales)
    posed = pose_body(body, shape, poses.rotations_wxyz, poses.root_camera_m)
    landmarks = points_m(body, "blazepose33", posed.positions_m, posed.world_wxyz, shape)
    matrix = np.array([[_WIDE_FOCAL_PX, 0, _WIDE_PX / 2], [0, _WIDE_FOCAL_PX, _WIDE_PX / 2], [0, 0, 1.0]])
    wide = Intrinsics(matrix, int(_WIDE_PX), int(_WIDE_PX), "several cameras")
    points = landmarks[..., :2] / np.maximum(landmarks[..., 2:], _NEAREST_M) * _WIDE_FOCAL_PX + _WIDE_PX / 2
    visible = np.max([_visible(view) for view in views], axis=0)
    presence = np.max([view.track.presence for view in views], axis=0)
    known = np.isfinite(points).all(axis=(1, 2))
    return replace(
        views[0].track,
        keypoints_px=points,
        visibility=visible,
        presence=np.where(known, presence, 0.0),
    ), wide


def _visible(view: PersonView) -> Array:
    """How visible each landmark is (T, 33) within the view's image; 0 outside of it."""
    track, inside = view.track, view.intrinsics
    with np.errstate(invalid="ignore"):
        points = track.keypoints_px
        shown = (points >= 0).all(axis=-1) & (points[..., 0] < inside.width) & (points[..., 1] < inside.height)
    return np.where(shown, np.nan_to_num(track.visibility) * (track.presence > 0)[:, None], 0.0)
