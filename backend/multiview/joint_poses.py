"""From one person's tracks in several views to poses in the take frame: embed, retrieve by the sum of scores, fit.

numpy outside; the towers run view by view as for one camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.bank.search import Hits
from backend.camera.lens import normalised_points
from backend.embedding.augmented_views import ClipEmbedding
from backend.embedding.fit_terms import Evidence
from backend.embedding.keypoint_weights import steady_weight
from backend.embedding.part_retrieval import PartSearch, PartSettings, ScoredImage, between, key_frames
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.embedding.refine import Refined
from backend.embedding.retrieval import Retrieved, retrieve
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.shape import bone_scales_from_proportions, reshaped_joints
from backend.embedding.skeleton import Skeleton, local_from_turns, make_skeleton
from backend.embedding.smooth_evidence import smoothed, smoothed_paths
from backend.embedding.towers_onnx import six_to_matrix
from backend.embedding.windows import solvable_frames
from backend.errors import NoPersonError
from backend.keypoint_layouts import HUMAN36M
from backend.multiview.joint_fit import FitView, JointFitSettings, fit_views
from backend.solving.video_pass import apart_at_cuts
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body, seen_points_m
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_continuous


@dataclass(frozen=True, slots=True)
class PersonView:
    """One person in one view: the track at the T common times (presence 0 where not seen), the camera's intrinsics, its
    rotation (3, 3) and translation (3,) from the take frame, the video's cuts on the clock of the common times, and how
    surely the person is told from others there (T,), None where nobody else is.
    """

    track: PersonTrack
    intrinsics: Intrinsics
    rotation: Array
    translation: Array
    cuts_s: tuple[float, ...] = ()
    told_apart: Array | None = None

    def apart(self) -> PersonView:
        """The view with times that leave a pause at each of its cuts."""
        return replace(self, track=apart_at_cuts(self.track, self.cuts_s))


def all_cuts(views: Sequence[PersonView]) -> tuple[float, ...]:
    """The cuts of all views, on the clock of the common times."""
    return tuple(sorted({cut for view in views for cut in view.cuts_s}))


@dataclass(frozen=True, slots=True)
class JointOptions:
    """How the poses are solved: as for one camera, and how the views are fitted together; `path_s` is the standard
    deviation in time over which keypoints are smoothed (local parabolas).
    """

    poses: PoseOptions = field(default_factory=PoseOptions)
    fit: JointFitSettings = field(default_factory=JointFitSettings)
    path_s: float = 0.04


@dataclass(frozen=True, slots=True)
class _Embedded:
    """What the towers and the bank say of one view, for the frames `seen` (T,) in which it shows the person; `trust`
    (T,) is how much of it counts beside the other views, 0 to 1.
    """

    view: PersonView
    seen: NDArray[np.bool_]
    clip: ClipEmbedding
    hits: Hits
    found: Retrieved
    trust: Array

    def whole(self, values: Array, fill: float = 0.0) -> Array:
        """Values (n, ...) of the seen frames among all T."""
        out = np.full((len(self.seen), *values.shape[1:]), fill, np.float64)
        out[self.seen] = values
        return out

    def turn(self) -> Array:
        """Rotations (T, 3, 3) from the take frame to the virtual cameras; the identity where nobody is seen."""
        out = np.tile(np.eye(3), (len(self.seen), 1, 1))
        out[self.seen] = self.clip.queries[0].virtual_from_camera @ self.view.rotation
        return out


def solve_person(model: PoseModel, views: Sequence[PersonView], options: JointOptions) -> PoseTrack:
    """Poses at the common times in the take frame; NaN where no view shows the person. Nothing is smoothed across cuts.

    Raises NoPersonError when none does in any frame.
    """
    embedded = _trusted([one for view in views if (one := _embed(model, view.apart(), options.poses)) is not None])
    if not embedded:
        raise NoPersonError("No view shows the person", "Choose another person or range")
    seen = np.any([one.seen for one in embedded], axis=0)
    proportions = np.average(
        [one.clip.proportions for one in embedded], axis=0, weights=[one.seen.sum() for one in embedded]
    )
    times_s = apart_at_cuts(views[0].track, all_cuts(views)).times_s
    common = _retrieved(model, embedded, seen, proportions, times_s, options.poses)
    shape = BodyShape(options.poses.height_m, bone_scales_from_proportions(proportions))
    skeleton = make_skeleton(shape)
    size = options.poses.height_m / canonical_body().height_m
    fitted = [_fit_view(model, one, skeleton, proportions, options).at(seen) for one in embedded]
    prior = _mean_rotations(embedded)[seen]
    common = smoothed(common * size, times_s[seen], options.poses.smooth_s)
    refined = fit_views(skeleton, fitted, prior, common, options.fit)
    return _pose_track(embedded, seen, refined, shape)


def _embed(model: PoseModel, view: PersonView, options: PoseOptions) -> _Embedded | None:
    seen = solvable_frames(view.track)
    if not seen.any():
        return None
    clip = model.embed(view.track, view.intrinsics, options)
    hits = model.searcher.search(clip.queries[0].embedding, min(options.neighbours, len(model.bank)))
    trust = seen.astype(np.float64) if view.told_apart is None else np.where(seen, view.told_apart, 0.0)
    return _Embedded(view, seen, clip, hits, retrieve(model.bank, hits, options.average), trust)


def _trusted(embedded: Sequence[_Embedded]) -> list[_Embedded]:
    """The views with their trust beside the best one's: where somebody is covered in all views, they count alike."""
    if not embedded:
        return []
    best = np.maximum(np.max([one.trust for one in embedded], axis=0), 1e-6)
    return [replace(one, trust=np.minimum(one.trust / best, 1.0)) for one in embedded]


def _retrieved(
    model: PoseModel,
    embedded: Sequence[_Embedded],
    seen: NDArray[np.bool_],
    proportions: Array,
    times_s: Array,
    options: PoseOptions,
) -> Array:
    """Joints (n, 17, 3) m in the take frame of the frames that any view shows, by the sum of the views' scores.

    The hits of every view are donors for all.
    """
    settings = options.parts or PartSettings()
    keys = np.flatnonzero(seen)[key_frames(times_s[seen], settings.apart_s)]
    start = _start(embedded)[keys]
    donors = np.concatenate([_donors(model, one, keys, settings, len(embedded)) for one in embedded], axis=1)
    lost = ~np.isfinite(donors).all(axis=(2, 3))
    donors[lost] = np.broadcast_to(start[:, None], donors.shape)[lost]
    images = [
        ScoredImage((one.whole(one.clip.queries[0].embedding) * one.trust[:, None])[keys], one.turn()[keys])
        for one in embedded
    ]
    made = PartSearch(model.towers.weights, settings).find_in_views(images, start, donors)
    made = reshaped_joints(made, proportions)
    places = np.searchsorted(np.flatnonzero(seen), keys)
    return between(made, places, times_s[seen])


def _start(embedded: Sequence[_Embedded]) -> Array:
    """The mean (T, 17, 3) of the views' Avg(A) in the take frame, views alike."""
    total, count = np.zeros((len(embedded[0].seen), HUMAN36M.count, 3)), np.zeros(len(embedded[0].seen))
    for one in embedded:
        total += np.matmul(one.whole(one.found.joints_m), one.turn()) * one.trust[:, None, None]
        count += one.trust
    return total / np.where(count > 0, count, 1.0)[:, None, None]


def _donors(model: PoseModel, one: _Embedded, keys: NDArray[np.intp], settings: PartSettings, views: int) -> Array:
    """A view's share of the donors (n, k, 17, 3) in the take frame; NaN where it does not show the person."""
    some = PartSettings(candidates=max(8, settings.candidates // views)).donors(one.hits.indices.shape[1])
    out = np.full((len(keys), len(some), HUMAN36M.count, 3), np.nan)
    inside = one.seen[keys]
    rows = np.searchsorted(np.flatnonzero(one.seen), keys[inside])
    chosen = one.hits.indices[rows][:, some]
    poses = model.bank.candidates.joints_m(chosen.reshape(-1)).reshape(*chosen.shape, HUMAN36M.count, 3)
    out[inside] = np.matmul(poses, one.turn()[keys[inside], None])
    return out


def _mean_rotations(embedded: Sequence[_Embedded]) -> Array:
    """Local rotations (T, J, 3, 3), joint 0 in the take frame: the views' auxiliary ones, the surer ones more."""
    total: Array | None = None
    for one in embedded:
        sure = one.trust[one.seen] / np.square(np.sqrt(np.square(one.clip.error_m).mean(axis=1)) + 0.02)
        turns = one.view.rotation.T @ one.clip.turns.astype(np.float64) * sure[:, None, None, None]
        whole = one.whole(turns)
        total = whole if total is None else total + whole
    assert total is not None
    blank = ~np.any([one.seen for one in embedded], axis=0)
    total[blank] = np.eye(3)
    return local_from_turns(six_to_matrix(np.swapaxes(total[..., :2], -1, -2)))


@dataclass(frozen=True, slots=True)
class _WholeView:
    """A view for the fit, over all T frames."""

    view: FitView

    def at(self, rows: NDArray[np.bool_]) -> FitView:
        """The frames that are fitted."""
        evidence = Evidence(*(getattr(self.view.evidence, name)[rows] for name in Evidence.__dataclass_fields__))
        climb = self.view.climb
        if climb is not None:
            climb = ScoreGradient(
                climb.weights, climb.embedding[rows], climb.virtual_from_camera[rows], climb.proportions, climb.size
            )
        return FitView(
            self.view.rotation, self.view.translation, evidence, self.view.seen[rows], self.view.sight[rows], climb
        )


def _fit_view(
    model: PoseModel, one: _Embedded, skeleton: Skeleton, proportions: Array, options: JointOptions
) -> _WholeView:
    track, clip, poses = one.view.track, one.clip, options.poses
    size, times_s = poses.height_m / canonical_body().height_m, track.times_s[one.seen]
    points = normalised_points(one.view.intrinsics, track.keypoints_px[one.seen])
    evidence = Evidence(
        points,
        np.square(np.clip(track.visibility[one.seen], 0.02, 1.0)),
        smoothed(clip.joints_m * size, times_s, poses.smooth_s),
        clip.error_m * size,
        local_from_turns(clip.turns.astype(np.float32)),
        clip.half_size,
    )
    weight = steady_weight(skeleton, evidence, times_s, options.fit.fit.shake_share)
    virtual = clip.queries[0].virtual_from_camera
    evidence = Evidence(
        one.whole(smoothed_paths(points, times_s, options.path_s)),
        one.whole(weight),
        one.whole(evidence.joints_m),
        one.whole(evidence.error_m, 1.0),
        one.whole(evidence.prior),
        one.whole(evidence.half_size, 1.0),
    )
    climb = ScoreGradient(
        model.towers.weights,
        one.whole(clip.queries[0].embedding).astype(np.float32),
        np.where(one.seen[:, None, None], one.whole(virtual), np.eye(3)),
        proportions,
        size,
    )
    return _WholeView(
        FitView(
            one.view.rotation,
            one.view.translation,
            evidence,
            np.sqrt(one.trust).astype(np.float32),  # residuals are weighted by it
            one.whole(virtual[:, 2]),
            climb,
        )
    )


def _pose_track(
    embedded: Sequence[_Embedded], seen: NDArray[np.bool_], refined: Refined, shape: BodyShape
) -> PoseTrack:
    def whole(values: Array, fill: float = np.nan) -> Array:
        out = np.full((len(seen), *values.shape[1:]), fill)
        out[seen] = values
        return out

    rotations = quaternion_continuous(matrix_to_quaternion(refined.local.astype(np.float64)))
    size = shape.height_m / canonical_body().height_m
    joints = seen_points_m("h36m17", refined.pose.centres_m, refined.pose.turns, size)
    down = np.sum([one.view.rotation.T @ one.clip.gravity * one.seen.sum() for one in embedded], axis=0)
    return PoseTrack(
        whole(rotations),
        whole(refined.root_m.astype(np.float64)),
        whole(joints.astype(np.float64)),
        np.where(seen, np.max([_sure(one) for one in embedded], axis=0), 0.0),
        np.where(seen, np.max([one.whole(one.found.score, -np.inf) for one in embedded], axis=0), np.nan),
        np.where(seen, np.max([one.whole(one.found.margin, -np.inf) for one in embedded], axis=0), np.nan),
        down / np.linalg.norm(down),
        shape.height_m,
        np.asarray(shape.bone_scales),
        float(np.mean([one.clip.gravity_spread_deg for one in embedded])),
    )


def _sure(one: _Embedded) -> Array:
    """A view's confidence (T,), as for one camera; 0 where it does not show the person."""
    track, rows = one.view.track, one.seen
    error = np.sqrt(np.mean(np.square(one.clip.error_m), axis=1))
    sure = np.exp(-np.square(error / 0.15)) * track.presence[rows] * track.visibility[rows].mean(axis=1)
    return np.clip(one.whole(sure), 0.0, 1.0)
