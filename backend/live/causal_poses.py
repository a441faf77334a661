"""Solves the newest frame of a track with what is known by then: the same towers, retrieval and fit as for a clip.

The towers' window ends at the frame; what lies after it is absent there, as at the end of a clip. May import
`backend.embedding`, `backend.camera`, `backend.solving` and `backend.types`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from backend.camera.lens import normalised_points
from backend.embedding.augmented_views import ClipEmbedding, View, embed_clip
from backend.embedding.features import WINDOW_STEP_S
from backend.embedding.fit_terms import Evidence, RefineSettings
from backend.embedding.keypoint_weights import steady_weight
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.embedding.refine import refine_poses
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.shape import bone_scales_from_proportions
from backend.embedding.skeleton import Skeleton, local_from_turns, make_skeleton
from backend.embedding.windows import TrackWindows, solvable_frames, track_windows
from backend.solving.clip_assembly import track_rows
from backend.types import Array, Intrinsics, PersonTrack
from blender_addon.motion.body import BodyShape, canonical_body, seen_points_m
from blender_addon.motion.rotations import matrix_to_quaternion

_STEADY_FRAMES: Final = 8
_OLDEST_ANSWER_S: Final = 0.25
_MARGIN_S: Final = 0.2
_WINDOW_S: Final = 0.6  # more than the towers' window reaches back, and ahead of a frame that was waited for
_PROPORTIONS: Final = 90  # frames whose median is taken while the body is not fixed


@dataclass(frozen=True, slots=True)
class CausalSettings:
    """How a frame is solved. `retrieve_every`: the bank is searched for one frame in so many, and what it says beyond
    the towers' own joints is kept for those between; `smooth_s`: time constant of the 3D evidence, of past frames only
    (0: none); `ahead`: frames that are waited for before one is solved.
    """

    height_m: float = 1.70
    views: tuple[View, ...] = (View(), View(guess=False))
    neighbours: int = 100
    average: int = 100
    retrieval_share: float = 0.3
    retrieve_every: int = 3
    iterations: int = 2
    smooth_s: float = 0.0
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class CausalPose:
    """One solved frame in the camera.

    rotations_wxyz (J, 4) local, joint 0 the root orientation in the camera; root_m (3,); joints_m (17, 3);
    down (3,) the towers' guess of gravity; proportions (7,); confidence 0 to 1; score and margin of the retrieval.
    """

    frame_index: int
    time_s: float
    rotations_wxyz: Array
    root_m: Array
    joints_m: Array
    confidence: float
    score: float
    margin: float
    down: Array
    proportions: Array


@dataclass(frozen=True, slots=True)
class _Past:
    """What earlier frames leave: a row of evidence and its time."""

    evidence: Evidence
    time_s: float


@dataclass(frozen=True, slots=True)
class _Retrieval:
    """The bank's answer to one frame: beyond_m (1, 17, 3) the retrieved joints less the towers' own."""

    beyond_m: Array
    score: float
    margin: float
    time_s: float
    uses: int = 0


class CausalPoses:
    """Solves frame after frame of one person. `fix_body` ends the search for the person's proportions."""

    def __init__(self, model: PoseModel, intrinsics: Intrinsics, settings: CausalSettings) -> None:
        self._model = model
        self._intrinsics = intrinsics
        self._settings = settings
        self._options = PoseOptions(
            height_m=settings.height_m,
            neighbours=settings.neighbours,
            average=settings.average,
            retrieval_share=settings.retrieval_share,
            parts=None,
            views=settings.views,
        )
        self._refine = RefineSettings(iterations=settings.iterations)
        self._past: deque[_Past] = deque(maxlen=_STEADY_FRAMES)
        self._proportions: deque[Array] = deque(maxlen=_PROPORTIONS)
        self._retrieval: _Retrieval | None = None
        self._fixed: Array | None = None
        self._body: tuple[BodyShape, Skeleton] | None = None

    def reset(self) -> None:
        """The person was out of sight: earlier frames say nothing of the next one."""
        self._past.clear()
        self._retrieval = None

    def fix_body(self, proportions: Array) -> None:
        """Use these log proportions (7,) from now on."""
        self._fixed = np.asarray(proportions, np.float64)
        self._body = None

    @property
    def shape(self) -> BodyShape:
        """The body's shape as it is used now."""
        return self._shape_and_skeleton()[0]

    def solve(self, track: PersonTrack) -> CausalPose:
        """Solve the last frame of the track, or the one `ahead` frames before it. The person was seen there."""
        row = max(len(track.times_s) - 1 - self._settings.ahead, 0)
        offsets = self._model.towers.weights.layout.offsets
        window = _one_window(track, self._intrinsics, row, offsets)
        clip = embed_clip(self._model.towers, window, self._options.views)
        time_s = float(track.times_s[row])
        if self._fixed is None:
            self._proportions.append(clip.proportions)
            self._body = None
        said = self._retrieve(clip, time_s)
        evidence = self._evidence(track, row, clip, clip.joints_m + said.beyond_m)
        shape, skeleton = self._shape_and_skeleton()
        weight = steady_weight(
            skeleton, _stacked(self._past), np.array([past.time_s for past in self._past]), self._refine.shake_share
        )
        evidence = replace(evidence, weight=weight[-1:])
        query = clip.queries[0]
        size = shape.height_m / canonical_body().height_m
        climb = ScoreGradient(
            self._model.towers.weights, query.embedding, query.virtual_from_camera, self._known_proportions(), size
        )
        refined = refine_poses(skeleton, evidence, self._refine, climb)
        error = float(np.sqrt(np.mean(np.square(clip.error_m[0]))))
        sure = np.exp(-np.square(error / 0.15)) * track.presence[row] * track.visibility[row].mean()
        return CausalPose(
            int(track.frame_index[row]),
            time_s,
            matrix_to_quaternion(refined.local[0].astype(np.float64)),
            refined.root_m[0].astype(np.float64),
            seen_points_m("h36m17", refined.pose.centres_m, refined.pose.turns, size)[0].astype(np.float64),
            float(np.clip(sure, 0.0, 1.0)),
            said.score,
            said.margin,
            clip.gravity,
            clip.proportions,
        )

    def _retrieve(self, clip: ClipEmbedding, time_s: float) -> _Retrieval:
        """The bank's answer to this frame, or to one shortly before."""
        last = self._retrieval
        due = last is None or last.uses >= self._settings.retrieve_every or time_s - last.time_s > _OLDEST_ANSWER_S
        if due or last is None:
            found, joints_m = self._model.retrieve(clip, self._options, np.array([time_s]))
            last = _Retrieval(joints_m - clip.joints_m, float(found.score[0]), float(found.margin[0]), time_s)
        self._retrieval = replace(last, uses=last.uses + 1)
        return last

    def _evidence(self, track: PersonTrack, row: int, clip: ClipEmbedding, retrieved_m: Array) -> Evidence:
        """The row's evidence, its 3D joints smoothed over the past; it is kept for the rows that come."""
        scale = self._settings.height_m / canonical_body().height_m
        share = self._settings.retrieval_share
        joints = ((1 - share) * clip.joints_m + share * retrieved_m) * scale
        time_s = float(track.times_s[row])
        if self._past and self._settings.smooth_s > 0:
            age = (time_s - self._past[-1].time_s) / self._settings.smooth_s
            keep = np.exp(-max(age, 0.0))
            joints = keep * self._past[-1].evidence.joints_m + (1 - keep) * joints
        evidence = Evidence(
            normalised_points(self._intrinsics, track.keypoints_px[row : row + 1]),
            np.square(np.clip(track.visibility[row : row + 1], 0.02, 1.0)),
            joints,
            clip.error_m * scale,
            local_from_turns(clip.turns.astype(np.float32)),
            clip.half_size,
        )
        self._past.append(_Past(evidence, time_s))
        return evidence

    def _known_proportions(self) -> Array:
        return self._fixed if self._fixed is not None else np.median(np.stack(self._proportions), axis=0)

    def _shape_and_skeleton(self) -> tuple[BodyShape, Skeleton]:
        if self._body is None:
            shape = BodyShape(self._settings.height_m, bone_scales_from_proportions(self._known_proportions()))
            self._body = shape, make_skeleton(shape)
        return self._body


def _one_window(track: PersonTrack, intrinsics: Intrinsics, row: int, offsets: tuple[int, ...]) -> TrackWindows:
    """The tower's window around one row of a track, whose frames in sight alone count."""
    reach_s = max(_WINDOW_S, -WINDOW_STEP_S * min(offsets) + _MARGIN_S)
    first = int(np.searchsorted(track.times_s, track.times_s[row] - reach_s))
    at = int(solvable_frames(track)[first : row + 1].sum())
    windows = track_windows(track_rows(track, first, len(track.times_s)), intrinsics, offsets)
    return replace(windows, first=at - 1, end=at)


def _stacked(past: deque[_Past]) -> Evidence:
    return Evidence(*(np.concatenate([getattr(one.evidence, f.name) for one in past]) for f in fields(Evidence)))
