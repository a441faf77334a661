"""From a person's track to solved poses: embed, retrieve, infer. The core's table of contents.

numpy outside; ONNX Runtime on the CPU, torch on CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank
from backend.bank.search import Hits, Searcher
from backend.camera.lens import normalised_points
from backend.embedding.augmented_views import ALL_VIEWS, ClipEmbedding, Query, View, blended, embed_clip
from backend.embedding.fit_terms import Evidence, RefineSettings
from backend.embedding.keypoint_weights import steady_weight
from backend.embedding.model_files import SHIPPED, ModelFiles
from backend.embedding.part_retrieval import PartSearch, PartSettings, between, key_frames
from backend.embedding.refine import Refined, refine_poses
from backend.embedding.retrieval import Retrieved, best_path, retrieve
from backend.embedding.score_gradient import ScoreGradient
from backend.embedding.shape import bone_scales_from_proportions, reshaped_joints
from backend.embedding.skeleton import local_from_turns, make_skeleton
from backend.embedding.smooth_evidence import smoothed, smoothed_paths
from backend.embedding.towers_onnx import Towers
from backend.embedding.windows import solvable_frames, track_windows
from backend.errors import NoPersonError
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body, seen_points_m
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_continuous, quaternion_to_matrix

TEMPORAL_SHARE = 0.7
"""Weight of the temporal image tower where both towers are asked."""

RETRIEVED_ERROR_M = 0.08
"""Expected error of a retrieved joint (by parts 77 mm on simulated windows), against which the image towers' expected
error of theirs decides the weight of both.
"""


@dataclass(frozen=True, slots=True)
class PoseOptions:
    """How a track is solved.

    height_m: the person's height; gravity_camera: unit vector down in the camera where it is known; neighbours: K of
    the search; average: A of Avg(A); retrieval_share: weight of the retrieved joints beside the auxiliary ones (None:
    of each joint by what the towers expect of their error, `retrieved_share`);
    parts: retrieval by parts (None: whole poses alone); path: Viterbi over the top K;
    refine: structured inference (None: the retrieved pose as it is);
    views: how the tower looks at the clip, answers averaged; smooth_s: standard deviation in time of the 3D evidence,
    path_s: of the keypoints (local parabolas); temporal_share: weight of the temporal image tower's answer beside that
    of the folding one, where the model has both (0: it is not asked).
    """

    height_m: float = 1.70
    gravity_camera: tuple[float, float, float] | None = None
    neighbours: int = 200
    average: int = 100
    retrieval_share: float | None = None
    parts: PartSettings | None = field(default_factory=PartSettings)
    path: bool = False
    step_cost: float = 5.0
    views: tuple[View, ...] = ALL_VIEWS
    smooth_s: float = 0.05
    path_s: float = 0.04
    temporal_share: float = TEMPORAL_SHARE
    refine: RefineSettings | None = field(default_factory=RefineSettings)


class PoseModel:
    """The towers and the bank, loaded once; `temporal` is a second image tower whose answers are averaged in."""

    def __init__(self, towers: Towers, bank: PoseBank, searcher: Searcher, temporal: Towers | None = None) -> None:
        self.towers, self.bank, self.searcher, self.temporal = towers, bank, searcher, temporal

    @property
    def name(self) -> str:
        """Names the weights: goes into clips and cache keys."""
        weights = self.towers.weights
        image = [weights.image_hash[:8], *([self.temporal.weights.image_hash[:8]] if self.temporal else [])]
        return f"marionet-{'+'.join(image)}-{weights.pose_hash}-{len(self.bank)}"

    def without_temporal(self) -> PoseModel:
        """The same towers and bank without the second image tower: the model of live capture, which has no later
        frames.
        """
        return PoseModel(self.towers, self.bank, self.searcher)

    def solve(self, track: PersonTrack, intrinsics: Intrinsics, options: PoseOptions | None = None) -> PoseTrack:
        """Poses of one track in the camera, every frame of the track; NaN where the person was not seen.

        Raises NoPersonError when no frame shows the person.
        """
        options = options or PoseOptions()
        seen = solvable_frames(track)
        if not seen.any():
            raise NoPersonError("The track has no frame in which the person is seen", "Choose another person or range")
        clip = self.embed(track, intrinsics, options)
        found, retrieved_m = self.retrieve(clip, options, track.times_s[seen])
        settings = options.refine or RefineSettings(iterations=0)
        evidence = _evidence(track, intrinsics, clip, found, retrieved_m, options)
        shape = BodyShape(options.height_m, bone_scales_from_proportions(clip.proportions))
        skeleton = make_skeleton(shape)
        if options.refine is not None:
            weight = steady_weight(skeleton, evidence, track.times_s[seen], settings.shake_share)
            evidence = _without_jitter(replace(evidence, weight=weight), track.times_s[seen], options)
        climb = ScoreGradient(
            self.towers.weights,
            clip.queries[0].embedding,
            clip.queries[0].virtual_from_camera,
            clip.proportions,
            options.height_m / canonical_body().height_m,
        )
        refined = refine_poses(skeleton, evidence, settings, climb)
        return _pose_track(track, seen, refined, clip, found, shape)

    def embed(self, track: PersonTrack, intrinsics: Intrinsics, options: PoseOptions) -> ClipEmbedding:
        """What the image towers say of the track's frames in which the person is seen."""
        clip = _embedded(self.towers, track, intrinsics, options)
        if self.temporal is not None and options.temporal_share > 0:
            other = _embedded(self.temporal, track, intrinsics, options)
            clip = blended(clip, other, options.temporal_share)
        known = options.gravity_camera
        return clip if known is None else replace(clip, gravity=np.asarray(known, np.float64))

    def retrieve(self, clip: ClipEmbedding, options: PoseOptions, times_s: Array) -> tuple[Retrieved, Array]:
        """The bank's answer to the plain query, and the joints (T, 17, 3) m in the camera, at canonical size and in
        the person's proportions: by parts, or the mean over the queries of Avg(A). `times_s` (T,) of the frames.
        """
        answers = []
        for query in clip.queries[:1] if options.parts else clip.queries:
            hits = self.searcher.search(query.embedding, min(options.neighbours, len(self.bank)))
            found = retrieve(self.bank, hits, options.average)
            if options.path:
                found = self._along_path(found, hits, query, options)
            if options.parts is None:
                joints = query.joints_in_camera(reshaped_joints(found.joints_m, clip.proportions))
            else:
                keys = key_frames(times_s, options.parts.apart_s)
                search = PartSearch(self.towers.weights, options.parts)
                at_keys = query.rows(keys)
                made = search.from_hits(self.bank, at_keys.embedding, hits.rows(keys), found.joints_m[keys])
                joints = between(at_keys.joints_in_camera(reshaped_joints(made, clip.proportions)), keys, times_s)
            answers.append((found, joints))
        return answers[0][0], np.mean([joints for _, joints in answers], axis=0)

    def _along_path(self, found: Retrieved, hits: Hits, query: Query, options: PoseOptions) -> Retrieved:
        path = best_path(self.bank, hits, np.swapaxes(query.virtual_from_camera, -1, -2), options.step_cost)
        candidates = self.bank.candidates
        rotations = candidates.rotations_wxyz[candidates.pose[path]].copy()
        rotations[:, 0] = candidates.view_wxyz[path]
        return replace(found, joints_m=(found.joints_m + candidates.joints_m(path)) / 2, rotations_wxyz=rotations)


def load_model(device: str = "cpu", *, threads: int = 0, files: ModelFiles = SHIPPED) -> PoseModel:
    """Load the shipped towers and bank, or files of the user's own. Raises WeightsError and DeviceError."""
    weights = files.read_towers()
    bank = files.open_bank(weights.pose_hash)
    temporal = files.read_temporal()
    return PoseModel(
        Towers(weights, device, threads),
        bank,
        files.searcher(bank, device),
        Towers(temporal, device, threads) if temporal else None,
    )


def _embedded(towers: Towers, track: PersonTrack, intrinsics: Intrinsics, options: PoseOptions) -> ClipEmbedding:
    return embed_clip(towers, track_windows(track, intrinsics, towers.weights.layout.offsets), options.views)


def _evidence(
    track: PersonTrack,
    intrinsics: Intrinsics,
    clip: ClipEmbedding,
    found: Retrieved,
    retrieved_m: Array,
    options: PoseOptions,
) -> Evidence:
    """What the poses are fitted to: keypoints, a mix of retrieved and auxiliary joints, rotations to start from."""
    seen = solvable_frames(track)
    if options.refine is None:
        local = quaternion_to_matrix(found.rotations_wxyz).astype(np.float32)
        local[:, 0] = np.swapaxes(clip.queries[0].virtual_from_camera, -1, -2) @ local[:, 0]
    else:
        local = local_from_turns(clip.turns.astype(np.float32))
    scale = options.height_m / canonical_body().height_m
    share = retrieved_share(clip.error_m) if options.retrieval_share is None else options.retrieval_share
    joints = (1 - share) * clip.joints_m + share * retrieved_m
    return Evidence(
        normalised_points(intrinsics, track.keypoints_px[seen]),
        np.square(np.clip(track.visibility[seen], 0.02, 1.0)),
        smoothed(joints * scale, track.times_s[seen], options.smooth_s),
        clip.error_m * scale,
        local,
        clip.half_size,
    )


def retrieved_share(error_m: Array) -> Array:
    """Weights (T, 17, 1) of the retrieved joints beside auxiliary ones of expected errors (T, 17) m: the share that
    makes the variance of their mean least, if both err independently.
    """
    variance = np.square(error_m)
    return np.asarray(variance / (variance + RETRIEVED_ERROR_M**2))[..., None]


def _without_jitter(evidence: Evidence, times_s: Array, options: PoseOptions) -> Evidence:
    """The keypoints and the rotations that the fit starts from, smoothed in time: frames are fitted one by one.

    After the weights, because a keypoint that shakes is one that cannot be trusted.
    """
    turns = quaternion_continuous(matrix_to_quaternion(evidence.prior.astype(np.float64)))
    turns = smoothed(turns, times_s, options.smooth_s)
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    points = smoothed_paths(evidence.points, times_s, options.path_s)
    return replace(
        evidence, points=points.astype(evidence.points.dtype), prior=quaternion_to_matrix(turns).astype(np.float32)
    )


def _pose_track(
    track: PersonTrack,
    seen: NDArray[np.bool_],
    refined: Refined,
    clip: ClipEmbedding,
    found: Retrieved,
    shape: BodyShape,
) -> PoseTrack:
    def whole(values: Array, fill: float = np.nan) -> Array:
        out = np.full((len(seen), *values.shape[1:]), fill)
        out[seen] = values
        return out

    rotations = quaternion_continuous(matrix_to_quaternion(refined.local.astype(np.float64)))
    error = np.sqrt(np.mean(np.square(clip.error_m), axis=1))
    size = shape.height_m / canonical_body().height_m
    joints = seen_points_m("h36m17", refined.pose.centres_m, refined.pose.turns, size)
    sure = np.exp(-np.square(error / 0.15)) * track.presence[seen] * track.visibility[seen].mean(axis=1)
    return PoseTrack(
        whole(rotations),
        whole(refined.root_m.astype(np.float64)),
        whole(joints.astype(np.float64)),
        whole(np.clip(sure, 0.0, 1.0), 0.0),
        whole(found.score.astype(np.float64)),
        whole(found.margin.astype(np.float64)),
        clip.gravity,
        shape.height_m,
        np.asarray(shape.bone_scales),
        clip.gravity_spread_deg,
    )
