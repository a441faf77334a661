"""Whether a common solution may be trusted: how far each view's keypoints lie from it, beside the view's own poses.

numpy only. A solution of several views must not be worse than the better single view. What it says is checked where it
can be: in the images. Views that agree leave every keypoint about where the view's own pose leaves it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.camera.lens import normalised_points
from backend.embedding.pose_model import PoseModel
from backend.multiview.bundle_problem import LANDMARKS, seen_well
from backend.multiview.joint_poses import JointOptions, PersonView
from backend.multiview.samples import sighting
from backend.multiview.take_details import PersonDetails
from backend.multiview.take_person import SolvedPerson, solve_in_views, views_of_person
from backend.multiview.types import CameraView, PersonInViews, Take
from backend.solving.video_pass import TrackedVideo
from backend.types import Array, PoseTrack
from backend.world import WorldOptions
from blender_addon.motion.body import BodyShape, canonical_body, points_m
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.posing import pose_body

log = logging.getLogger(__name__)

_MOST_FRAMES = 60
_NEAREST_M = 0.1
# beyond so much more than a view's own poses, and so many times as much, a common solution contradicts the view
_MORE_M = 0.02
_TIMES = 1.8


@dataclass(frozen=True, slots=True)
class ViewFit:
    """One view of a person: the median distance in m of the keypoints from the common solution, and from the view's own
    poses; how sure these are (0 to 1), over all frames of the take.
    """

    view: int
    common_m: float
    own_m: float
    sure: float

    @property
    def contradiction(self) -> float:
        """1 and more where the common solution contradicts the view."""
        return min((self.common_m - self.own_m) / _MORE_M, self.common_m / max(self.own_m, 1e-3) / _TIMES)


def view_fit(view: int, seen: PersonView, common: PoseTrack, own: CameraView, place: int) -> ViewFit:
    """How the common solution (in the take frame, at the times of `seen`) and a view's own poses of the person with
    this place among its tracks lie on the view's keypoints.
    """
    sight = sighting(own, place)
    confidence = np.nan_to_num(own.poses[place].confidence)
    solved = confidence[confidence > 0]
    # a view that shows somebody for a moment, however surely, is no solution of the whole take; nor is one in which
    # somebody else may be taken for the person
    apart = 1.0 if seen.told_apart is None else seen.told_apart
    shown = float(((seen.track.presence > 0) * apart).mean())
    return ViewFit(
        view,
        _common_m(seen, common),
        _median_m(sight.points, sight.landmarks_m, sight.weight),
        shown * float(solved.mean()) if len(solved) else 0.0,
    )


def _common_m(seen: PersonView, common: PoseTrack) -> float:
    track = seen.track
    both = (track.presence > 0) & np.isfinite(common.rotations_wxyz).all(axis=(1, 2))
    rows = np.flatnonzero(both & np.isfinite(track.keypoints_px).all(axis=(1, 2)))
    if not len(rows):
        return float("nan")
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, _MOST_FRAMES).astype(int))]
    body, shape = canonical_body(), BodyShape(common.height_m, common.bone_scales)
    posed = pose_body(body, shape, common.rotations_wxyz[rows], common.root_camera_m[rows])
    landmarks = points_m(body, "blazepose33", posed.positions_m, posed.world_wxyz, shape)
    points = normalised_points(seen.intrinsics, np.asarray(track.keypoints_px[rows], np.float64))
    weight = np.square(np.clip(track.visibility[rows], 0.0, 1.0))
    if seen.told_apart is not None:
        weight = weight * seen.told_apart[rows, None]
    return _median_m(points, landmarks @ seen.rotation.T + seen.translation, weight)


def _median_m(points: Array, landmarks_m: Array, weight: Array) -> float:
    """Points (T, K, 2) of the normalised image beside landmarks (T, K, 3) of the camera, in m at their depth."""
    depth = np.maximum(landmarks_m[:, LANDMARKS, 2:], _NEAREST_M)
    off = np.linalg.norm(points[:, LANDMARKS] - landmarks_m[:, LANDMARKS, :2] / depth, axis=-1) * depth[..., 0]
    shown = seen_well(weight[:, LANDMARKS])
    return float(np.median(off[shown])) if shown.any() else float("nan")


def contradicted(fits: Sequence[ViewFit]) -> ViewFit | None:
    """The view that the common solution contradicts most; None where it fits all."""
    known = [one for one in fits if np.isfinite(one.contradiction)]
    worst = max(known, key=lambda one: one.contradiction, default=None)
    return worst if worst is not None and worst.contradiction >= 1.0 else None


def surest(fits: Sequence[ViewFit]) -> ViewFit:
    """The view whose own poses are the surest."""
    return max(fits, key=lambda one: one.sure)


def solve_guarded(
    model: PoseModel,
    take: Take,
    person: PersonInViews,
    seen: tuple[dict[int, TrackedVideo], Sequence[CameraView]],
    options: tuple[JointOptions, WorldOptions],
    details: PersonDetails | None = None,
) -> tuple[SolvedPerson, tuple[ClipWarning, ...]]:
    """One person from all views that agree: a view that contradicts the common solution is left out, and of two views
    that contradict each other the surer one is taken alone.
    """
    (tracked, own), told = seen, list[ClipWarning]()
    reference = (take.used[0], tracked[take.used[0]])
    views = views_of_person(take, person, tracked)
    while True:
        solved = solve_in_views(model, views, reference, options, details)
        if len(views) == 1:
            return solved, tuple(told)
        fits = []
        for view, one in views.items():
            place = person.tracks[view]
            assert place is not None
            fits.append(view_fit(view, one, solved.poses, own[view], place))
        log.debug("person %d: %s", person.person, fits)
        worst = contradicted(fits)
        if worst is None:
            return solved, tuple(told)
        left_out = [worst.view] if len(views) > 2 else [view for view in views if view != surest(fits).view]
        for view in left_out:
            views.pop(view)
            told.append(ClipWarning(WarningCode.VIEW_EXCLUDED, _contradiction(own[view], worst)))


def _contradiction(view: CameraView, fit: ViewFit) -> str:
    return (
        f"{view.name} is left out for this person: the views contradict each other there ({100 * fit.common_m:.0f} cm "
        "off). Let people move about more, put the cameras 30 to 90 degrees apart, or give the lens with --fov"
    )
