"""From a person's track to solved poses: embed, retrieve, infer. The core's table of contents.

numpy outside; ONNX Runtime on the CPU, torch on CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.bank.bank_file import PoseBank, read_bank
from backend.bank.search import Searcher, make_searcher
from backend.embedding.features import LandmarkWindow, TowerInput, tower_input
from backend.embedding.keypoints import H36M_MIRROR
from backend.embedding.refine import Evidence, Refined, RefineSettings, fit_proportions, refine_poses
from backend.embedding.retrieve import Retrieved, best_path, retrieve
from backend.embedding.shape import bone_scales_from_proportions, reshaped_joints
from backend.embedding.skeleton import local_from_turns, make_skeleton
from backend.embedding.smooth_evidence import smoothed
from backend.embedding.tower_file import read_towers
from backend.embedding.tower_run import ImageEmbedding, Towers
from backend.embedding.windows import mirrored, solvable_frames, track_windows
from backend.errors import NoPersonError
from backend.types import Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.body import BodyShape, canonical_body
from blender_addon.motion.rotations import matrix_to_quaternion, quaternion_continuous, quaternion_to_matrix

Array = NDArray[np.floating]

WEIGHTS_DIR = Path(__file__).resolve().parents[1] / "weights"
TOWERS_FILE = "towers.safetensors"
BANK_FILE = "bank.safetensors"


@dataclass(frozen=True, slots=True)
class PoseOptions:
    """How a track is solved.

    height_m: the person's height; gravity_camera: unit vector down in the camera where it is known; neighbours: K of
    the search; average: A of Avg(A); retrieval_share: weight of the retrieved joints beside the auxiliary ones;
    path: Viterbi over the top K; refine: structured inference (None: the retrieved pose as it is);
    flip: average with the mirrored picture; smooth_s: standard deviation in time of the 3D evidence.
    """

    height_m: float = 1.70
    gravity_camera: tuple[float, float, float] | None = None
    neighbours: int = 200
    average: int = 100
    retrieval_share: float = 0.3
    path: bool = False
    step_cost: float = 5.0
    flip: bool = True
    use_guess: bool = True
    smooth_s: float = 0.05
    refine: RefineSettings | None = field(default_factory=RefineSettings)


@dataclass(frozen=True, slots=True)
class ClipEmbedding:
    """Every frame's embedding after the second pass: the tower's output, its input, and the clip's gravity (3,) in
    the camera and proportions (7,); joints_camera_m (T, 17, 3) and turns_camera (T, J, 3, 3) at canonical size.
    """

    output: ImageEmbedding
    input: TowerInput
    gravity_camera: Array
    proportions: Array
    joints_camera_m: Array
    turns_camera: Array


class PoseModel:
    """The towers and the bank, loaded once."""

    def __init__(self, towers: Towers, bank: PoseBank, searcher: Searcher) -> None:
        self.towers, self.bank, self.searcher = towers, bank, searcher

    @property
    def name(self) -> str:
        """Names the weights: goes into clips and cache keys."""
        return f"marionet-{self.towers.weights.pose_hash}-{len(self.bank)}"

    def solve(self, track: PersonTrack, intrinsics: Intrinsics, options: PoseOptions | None = None) -> PoseTrack:
        """Poses of one track in the camera, every frame of the track; NaN where the person was not seen.

        Raises NoPersonError when no frame shows the person.
        """
        options = options or PoseOptions()
        seen = solvable_frames(track)
        if not seen.any():
            raise NoPersonError("The track has no frame in which the person is seen", "Choose another person or range")
        window = track_windows(track, intrinsics)
        clip = self.embed(window, options)
        hits = self.searcher.search(clip.output.embedding, min(options.neighbours, len(self.bank)))
        found = retrieve(self.bank, hits, options.average)
        if options.path:
            found = self._along_path(
                found, clip, best_path(self.bank, hits, _transposed(clip.input.virtual_from_camera), options.step_cost)
            )
        settings = options.refine or RefineSettings(iterations=0, shape_rounds=0)
        evidence = self._evidence(track, window, clip, found, options)
        shape = BodyShape(options.height_m, bone_scales_from_proportions(clip.proportions))
        proportions = fit_proportions(shape, clip.proportions, evidence, settings)
        shape = BodyShape(options.height_m, bone_scales_from_proportions(proportions))
        refined = refine_poses(make_skeleton(shape), evidence, settings)
        return _pose_track(track, seen, refined, clip, found, shape)

    def embed(self, window: LandmarkWindow, options: PoseOptions) -> ClipEmbedding:
        """Two passes of the image tower: the first finds gravity and proportions of the clip, the second knows them."""
        window = replace(window, use_depth=np.full(len(window.points), options.use_guess))
        first = self._pass(window, options)
        down = first.gravity_camera if options.gravity_camera is None else np.array(options.gravity_camera)
        frames = len(window.points)
        known = replace(window, gravity=np.tile(down, (frames, 1)), proportions=np.tile(first.proportions, (frames, 1)))
        return replace(self._pass(known, options), gravity_camera=down, proportions=first.proportions)

    def _pass(self, window: LandmarkWindow, options: PoseOptions) -> ClipEmbedding:
        seen = tower_input(window)
        output = self.towers.embed_images(seen)
        to_camera = _transposed(seen.virtual_from_camera)
        joints, turns = _to_camera(to_camera, output.joints_m), to_camera[:, None] @ output.rotations
        gravity = _to_camera(to_camera, output.gravity[:, None])[:, 0]
        proportions = output.proportions
        if options.flip:
            other_seen = tower_input(mirrored(window))
            other = self.towers.embed_images(other_seen)
            other_camera = _transposed(other_seen.virtual_from_camera)
            mirror = np.array([-1.0, 1.0, 1.0])
            joints = (joints + _to_camera(other_camera, other.joints_m)[:, H36M_MIRROR] * mirror) / 2
            gravity = gravity + _to_camera(other_camera, other.gravity[:, None])[:, 0] * mirror
            proportions = (proportions + other.proportions) / 2
        down = np.median(gravity, axis=0)
        return ClipEmbedding(output, seen, down / np.linalg.norm(down), np.median(proportions, axis=0), joints, turns)

    def _along_path(self, found: Retrieved, clip: ClipEmbedding, path: NDArray[np.intp]) -> Retrieved:
        candidates = self.bank.candidates
        rotations = candidates.rotations_wxyz[candidates.pose[path]].copy()
        rotations[:, 0] = candidates.view_wxyz[path]
        return replace(found, joints_m=(found.joints_m + candidates.joints_m(path)) / 2, rotations_wxyz=rotations)

    def _evidence(
        self, track: PersonTrack, window: LandmarkWindow, clip: ClipEmbedding, found: Retrieved, options: PoseOptions
    ) -> Evidence:
        """What the poses are fitted to: keypoints, a mix of retrieved and auxiliary joints, rotations to start from."""
        to_camera = _transposed(clip.input.virtual_from_camera)
        if options.refine is None:
            local = quaternion_to_matrix(found.rotations_wxyz).astype(np.float32)
            local[:, 0] = to_camera @ local[:, 0]
        else:
            local = local_from_turns(clip.turns_camera.astype(np.float32))
        scale = options.height_m / canonical_body().height_m
        share = options.retrieval_share
        retrieved = reshaped_joints(found.joints_m, clip.proportions)
        joints = (1 - share) * clip.joints_camera_m + share * _to_camera(to_camera, retrieved)
        center = window.points.shape[1] // 2
        return Evidence(
            window.points[:, center],
            np.square(np.clip(window.visibility[:, center], 0.02, 1.0)),
            smoothed(joints * scale, track.times_s[solvable_frames(track)], options.smooth_s),
            clip.output.error_m * scale,
            local,
            clip.input.half_size,
        )


def load_model(
    device: str = "cpu", *, threads: int = 0, towers: Path | None = None, bank: Path | None = None
) -> PoseModel:
    """Load the shipped towers and bank, or files of the user's own. Raises WeightsError."""
    weights = read_towers(towers or WEIGHTS_DIR / TOWERS_FILE)
    poses = read_bank(bank or WEIGHTS_DIR / BANK_FILE, weights.pose_hash)
    return PoseModel(Towers(weights, device, threads), poses, make_searcher(poses.embeddings, device))


def _transposed(rotation: Array) -> Array:
    return np.swapaxes(rotation, -1, -2)


def _to_camera(rotation: Array, points: Array) -> Array:
    """Rotate points (T, N, 3) by (T, 3, 3)."""
    return np.matmul(points, np.swapaxes(rotation, -1, -2))


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
    error = np.sqrt(np.mean(np.square(clip.output.error_m), axis=1))
    sure = np.exp(-np.square(error / 0.15)) * track.presence[seen] * track.visibility[seen].mean(axis=1)
    return PoseTrack(
        whole(rotations),
        whole(refined.root_m.astype(np.float64)),
        whole(refined.pose.h36m_m.astype(np.float64)),
        whole(np.clip(sure, 0.0, 1.0), 0.0),
        whole(found.score.astype(np.float64)),
        whole(found.margin.astype(np.float64)),
        clip.gravity_camera,
        shape.height_m,
        np.asarray(shape.bone_scales),
    )
