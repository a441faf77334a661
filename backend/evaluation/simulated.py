"""Errors on simulated landmark sequences of subjects that were never trained on, and what the bank can reach.

Of whole clips the errors are those of what ships: structured inference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.bank.bank_file import PoseBank
from backend.bank.search import Hits, make_searcher
from backend.datasets.motion import Motion
from backend.embedding.keypoints import PARTS
from backend.embedding.part_retrieval import PartSearch, PartSettings
from backend.embedding.pose_model import PoseModel, PoseOptions
from backend.embedding.retrieval import retrieve
from backend.embedding.towers_onnx import Towers
from backend.errors import BadInputError
from backend.evaluation.landmark_track import landmark_track
from backend.evaluation.metrics import PoseErrors, pose_errors
from backend.evaluation.report import Scored
from backend.evaluation.wide_parts import WIDE_HITS, WIDE_PARTS
from backend.keypoint_layouts import HUMAN36M
from backend.training.batch import TrainingBatch
from backend.training.pool import MotionWindows, Variation, motion_pool
from backend.training.simulate import SimulationSettings, seen_joints_m, simulate_batch, simulate_people
from backend.types import Array, Intrinsics, PersonTrack

TWO_SECONDS, SIX_SECONDS = 60, 180
"""Frames of a clip. A temporal image tower sees 5.7 s, of which the shorter clips lack most."""


@dataclass(frozen=True, slots=True)
class ClipErrors:
    """MPJPE in mm over 17 joints relative to the pelvis, bodies of one size: of structured inference, and of the same
    without what was retrieved.
    """

    solved_mm: float
    without_retrieval_mm: float
    clips: int


def clip_errors(
    takes: Sequence[Motion], model: PoseModel, count: int, seed: int, frames: int = TWO_SECONDS
) -> ClipErrors:
    """Solve `count` clips of so many frames, bodies, cameras and landmark errors as in training."""
    rng = np.random.default_rng(seed)
    people = simulate_people(_segments(takes, count, rng, frames), rng, SimulationSettings())
    truth = seen_joints_m(people)
    plain = PoseOptions()
    bare = PoseOptions(parts=None, retrieval_share=0.0)
    errors: list[list[float]] = []
    for row in range(count):
        track = landmark_track(people.noisy.points[row], people.noisy.visibility[row], people.noisy.guess[row])
        errors.append([_error_mm(model, track, options, truth[row]) for options in (plain, bare)])
    solved, without = np.mean(errors, axis=0)
    return ClipErrors(float(solved), float(without), count)


def _error_mm(model: PoseModel, track: PersonTrack, options: PoseOptions, truth_m: Array) -> float:
    joints = model.solve(track, Intrinsics(np.eye(3), 2, 2, "simulated"), options).joints_camera_m
    return float(1000 * np.linalg.norm(joints - joints[:, :1] - truth_m, axis=-1).mean())


def _segments(
    takes: Sequence[Motion], count: int, rng: np.random.Generator, frames: int = TWO_SECONDS
) -> MotionWindows:
    """So many frames from takes that last as long, each frame as likely as any other."""
    long = [take for take in takes if len(take) >= frames]
    if not long:
        raise BadInputError(f"no held-out take lasts {frames} frames", "Give --mocap another folder")
    starts = np.array([len(take) - frames + 1 for take in long], np.float64)
    rotations, roots = [], []
    for place in rng.choice(len(long), count, p=starts / starts.sum()):
        begin = int(rng.integers(int(starts[place])))
        rows = slice(begin, begin + frames)
        root = long[place].root_m[rows]
        rotations.append(long[place].rotations_wxyz[rows])
        roots.append(root - root[frames // 2] * np.array([1, 1, 0]))
    return MotionWindows(np.stack(rotations).astype(np.float32), np.stack(roots).astype(np.float32))


_DONORS = 200


@dataclass(frozen=True, slots=True)
class SimulatedErrors:
    """MPJPE in mm, pelvis-aligned, 17 joints: auxiliary head on the person's own proportions; Max, Avg(A) by A,
    retrieval by parts as a solve has it and at full length (`wide_parts`), and the nearest pose in the bank, whole and
    recombined from the parts of the 200 nearest, on the canonical body, which is all that a bank holds.
    """

    auxiliary_mm: float
    max_mm: float
    average_mm: dict[int, float]
    parts_mm: float
    wide_parts_mm: float
    oracle_mm: float
    parts_oracle_mm: float
    windows: int


def held_out_batch(takes: Sequence[Motion], count: int, seed: int, towers: Towers) -> TrainingBatch[Array]:
    """Windows of mocap as it was recorded (no mixing, bending or tilting), bodies and cameras as in training; with the
    frames that these towers see.
    """
    plain = Variation(0.0, 0.0, 0.0, 1.0, 1.0)
    settings = SimulationSettings(variation=plain, offsets=towers.weights.layout.offsets)
    return simulate_batch(motion_pool(takes), count, np.random.default_rng(seed), settings)


def simulated_errors(
    batch: TrainingBatch[Array], towers: Towers, bank: PoseBank, averages: Sequence[int] = (1, 20, 100, 500)
) -> SimulatedErrors:
    """Errors of every way to read a pose off the towers."""
    output = towers.embed_images(batch)
    hits = make_searcher(bank.embeddings).search(output.embedding, min(max(*averages, WIDE_HITS), len(bank)))
    most = min(max(averages), len(bank))
    top = hits.best(most)
    by_count = {count: _mpjpe(retrieve(bank, top, count).joints_m, batch.pose_m) for count in averages if count <= most}
    best = _mpjpe(retrieve(bank, top, 1).best_joints_m, batch.pose_m)
    auxiliary, nearest = _mpjpe(output.joints_m, batch.joints_m), nearest_in_bank(batch.pose_m, bank)
    parts, wide = (
        _mpjpe(_by_parts(output.embedding, hits, bank, PartSearch(towers.weights, settings)), batch.pose_m)
        for hits, settings in (
            (hits.best(PoseOptions().neighbours), PartSettings()),
            (hits.best(WIDE_HITS), WIDE_PARTS),
        )
    )
    reach = (nearest.whole_mm, nearest.by_parts_mm)
    return SimulatedErrors(auxiliary, best, by_count, parts, wide, *reach, len(batch.joints_m))


def _by_parts(embedding: Array, hits: Hits, bank: PoseBank, search: PartSearch) -> Array:
    """Retrieval by parts as a clip's frames are solved."""
    return search.from_hits(bank, embedding, hits, retrieve(bank, hits, PoseOptions().average).joints_m)


def scores_by_action(takes: Sequence[Motion], towers: Towers, bank: PoseBank, windows: int, seed: int) -> list[Scored]:
    """Errors of auxiliary head, Max and averages for each action; `windows` in all, by how long each action lasts."""
    groups: dict[str, list[Motion]] = {}
    for take in takes:
        groups.setdefault(action_name(take), []).append(take)
    frames = {action: sum(len(take) for take in group) for action, group in groups.items()}
    rows: list[Scored] = []
    for action in sorted(groups):
        count = max(20, round(windows * frames[action] / sum(frames.values())))
        batch = held_out_batch(groups[action], count, seed, towers)
        output = towers.embed_images(batch)
        hits = make_searcher(bank.embeddings).search(output.embedding, min(100, len(bank)))
        found = {"Max": retrieve(bank, hits, 1).best_joints_m}
        found |= {f"Avg({a})": retrieve(bank, hits, a).joints_m for a in (20, 100) if a <= len(bank)}
        pairs = {"auxiliary head": (output.joints_m, batch.joints_m)}
        pairs |= {name: (joints, batch.pose_m) for name, joints in found.items()}
        rows += [
            Scored(name, action, count, _unordered(pose_errors(joints, truth)))
            for name, (joints, truth) in pairs.items()
        ]
    return rows


def action_name(take: Motion) -> str:
    """What is done in a take: named by HDM05's files, elsewhere only the subject is known."""
    name = re.fullmatch(r"HDM_[a-z]+_([A-Za-z].*?)(_\d+)*", take.action)
    return name.group(1) if name else take.subject


def _unordered(errors: PoseErrors) -> PoseErrors:
    """Windows drawn at random have no neighbours in time, so no acceleration."""
    nan = float("nan")
    return replace(errors, acceleration_mm=nan, acceleration_truth_mm=nan, acceleration_error_mm=nan)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Mean MPJPE in mm of the nearest candidate, and of the nearest pose made of the parts of the nearest 200: no score
    could do better by retrieval of whole poses, or by parts.
    """

    whole_mm: float
    by_parts_mm: float


def nearest_in_bank(joints_m: Array, bank: PoseBank, block: int = 8192) -> Nearest:
    """What the bank can reach for poses (N, 17, 3) m in their virtual cameras, relative to the pelvis."""
    distance, place = np.empty((len(joints_m), 0), np.float32), np.empty((len(joints_m), 0), np.intp)
    for start in range(0, len(bank), block):
        near = np.zeros((len(joints_m), len(bank.candidates.pose[start : start + block])), np.float32)
        candidates = bank.candidates.joints_m(slice(start, start + block))
        for joint in range(1, joints_m.shape[1]):
            near += _distances(joints_m[:, joint], candidates[:, joint])
        distance = np.concatenate([distance, near], axis=1)
        place = np.concatenate([place, np.broadcast_to(np.arange(start, start + near.shape[1]), near.shape)], axis=1)
        if distance.shape[1] > _DONORS:
            kept = np.argpartition(distance, _DONORS, axis=1)[:, :_DONORS]
            distance, place = np.take_along_axis(distance, kept, 1), np.take_along_axis(place, kept, 1)
    donated = bank.candidates.joints_m(place.reshape(-1)).reshape(*place.shape, HUMAN36M.count, 3)
    whole = distance.min(axis=1).mean() / joints_m.shape[1]
    return Nearest(float(whole * 1000), _mpjpe(_nearest_parts(joints_m, donated), joints_m))


def _nearest_parts(joints_m: Array, donor_m: Array) -> Array:
    """Poses (N, 17, 3) of parts of `donor_m` (N, K, 17, 3), each the one whose shape is nearest."""
    out, rows = np.zeros_like(joints_m), np.arange(len(joints_m))
    for part in PARTS:
        joints, root = list(part.joints), part.hangs_on
        own = joints_m[:, joints] - joints_m[:, root, None]
        donated = donor_m[:, :, joints] - donor_m[:, :, root, None]
        best = np.linalg.norm(donated - own[:, None], axis=-1).sum(axis=-1).argmin(axis=1)
        out[:, joints] = out[:, root, None] + donated[rows, best]
    return out


def _distances(a: Array, b: Array) -> Array:
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(square, 0.0))


def _mpjpe(predicted: Array, truth: Array) -> float:
    return float(np.linalg.norm(predicted - truth, axis=-1).mean() * 1000)


def share_within_mm(batch: TrainingBatch[Array], towers: Towers, limit_mm: float = 30.0) -> float:
    """Share of windows whose best-scoring pose lies within `limit_mm`, when the candidates are the windows' own poses
    (paper, section 5.3: 97 % of the training images lie within 30 mm).
    """
    embedding = towers.embed_images(batch).embedding
    poses = towers.embed_poses(batch.pose_m)
    best = make_searcher(poses).search(embedding, 1).indices[:, 0]
    error = np.linalg.norm(batch.pose_m[best] - batch.pose_m, axis=-1).mean(axis=-1) * 1000
    return float((error <= limit_mm).mean())
