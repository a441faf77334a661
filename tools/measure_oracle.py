"""What limits a solve: the truth in place of parts of its input, and in place of parts of its answer.

    python -m tools.measure_oracle --recording balancing/
    python -m tools.measure_oracle --renders held_videos/ [--films 40]

One table for what goes in, one for what comes out: mpjpe_clip and pa_mpjpe in mm over the 12 limb joints; of the first
also the error of the trunk's direction, and by how much nearly straight knees (below 25 degrees) are bent too far
(median). Each column has an image tower: the folding one alone, as up to 0.10.0, and both. Of a recording only cameras
with trusted extrinsics count, and only LIMB_JOINTS are known: the other keypoints keep their place beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backend.embedding.augmented_views import View
from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.pose_model import PoseModel, PoseOptions, load_model
from backend.errors import BadInputError, MarionetError
from backend.evaluation.landmark_track import landmark_track
from backend.evaluation.metrics import LIMB_JOINTS, pose_errors
from backend.evaluation.oracle import (
    ANSWERS,
    TrueClip,
    angle_deg,
    knee_bend_deg,
    landmarks_of_limbs,
    order_is_wrong,
    trunk_m,
    with_both,
    with_true_guess,
    with_true_keypoints,
)
from backend.evaluation.real import auxiliary_joints, recording_track, retrieved_joints
from backend.evaluation.recording import Recording, RecordingCamera, read_recording
from backend.evaluation.rendered import RAYS, true_joints_m, whole_videos
from backend.evaluation.tables import markdown_table
from backend.people import Quality
from backend.training.render_landmarks import render_landmarks
from backend.types import Array, Intrinsics, PersonTrack

_NEARLY_STRAIGHT_DEG = 25.0
_PLACES = [H36M_NAMES.index(name) for name in LIMB_JOINTS]
_UNGUESSED = (View(guess=False), View(mirror=True, guess=False))

Solver = Callable[[PoseModel, TrueClip, PoseOptions], Array]
"""To joints (T, 17, 3) m in the camera, of one clip."""


def main() -> None:
    """Print two tables for each recording and folder of renders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, action="append", default=[], help="a recording with 3D truth")
    parser.add_argument("--renders", type=Path, action="append", default=[], help="a folder of rendered videos")
    parser.add_argument("--films", type=int, default=40, help="videos of each folder of renders (default 40)")
    parser.add_argument("--network", choices=[quality.name.lower() for quality in Quality], default="heavy")
    args = parser.parse_args()
    quality = Quality[args.network.upper()]
    try:
        model = load_model()
        for folder in args.recording:
            print(tables(folder.name, list(recorded_clips(folder, quality)), model))
        for folder in args.renders:
            print(tables(folder.name, list(rendered_clips(folder, quality, args.films)), model))
    except MarionetError as fault:
        sys.exit(str(fault))


def recorded_clips(folder: Path, quality: Quality) -> Iterator[TrueClip]:
    """The trusted cameras of a recording."""
    recording = read_recording(folder)
    for camera in recording.cameras:
        if camera.trusted:
            yield recorded_clip(recording, camera, recording_track(camera, quality, mirror=True))


def recorded_clip(recording: Recording, camera: RecordingCamera, track: PersonTrack) -> TrueClip:
    """The frames of a track for which the recording has truth."""
    if not np.isfinite(camera.world_origin_m).all():
        raise BadInputError(
            f"{recording.name} does not say where {camera.video.name} stood",
            "Add t_camera_from_world_m to its calibration",
        )
    frame = np.rint((track.times_s - track.times_s[0]) * recording.fps).astype(int)
    known = frame < len(recording.joints_world_m)
    track = rows(track, known)
    lens = Intrinsics(camera.matrix, camera.width, camera.height, "calibration")
    places = [recording.joint_names.index(name) for name in LIMB_JOINTS]
    limbs = recording.joints_world_m[frame[known]][:, places] @ camera.camera_from_world.T + camera.world_origin_m
    return TrueClip(track, lens, landmarks_of_limbs(limbs, lens, track), limbs)


def rows(track: PersonTrack, keep: Array) -> PersonTrack:
    """Some of a track's frames."""
    arrays = [name for name in PersonTrack.__dataclass_fields__ if name != "track_id"]
    return replace(track, **{name: getattr(track, name)[keep] for name in arrays})


def rendered_clips(folder: Path, quality: Quality, most: int) -> Iterator[TrueClip]:
    """The rendered videos in which the network finds the person in every frame."""
    for seen in whole_videos(render_landmarks(folder, quality), folder, most):
        track = landmark_track(seen.points, seen.visibility, seen.guess)
        yield TrueClip(track, RAYS, seen.landmarks_m.astype(np.float64), true_joints_m(seen)[:, _PLACES])


@dataclass(frozen=True, slots=True)
class InputErrors:
    """Of several clips: mpjpe_clip and pa_mpjpe in mm, the trunk's direction and the excess of nearly straight knees in
    degrees.
    """

    mpjpe_clip_mm: float
    pa_mpjpe_mm: float
    trunk_deg: float
    knees_deg: float


def _solved(change: Callable[[TrueClip], PersonTrack] = lambda clip: clip.track) -> Solver:
    return lambda model, clip, options: model.solve(change(clip), clip.camera, options).joints_camera_m


def _auxiliary(change: Callable[[TrueClip], PersonTrack] = lambda clip: clip.track) -> Solver:
    return lambda model, clip, options: auxiliary_joints(model, change(clip), clip.camera, options)


INPUTS: dict[str, Solver] = {
    "nothing: as it is": _solved(),
    "2D keypoints": _solved(with_true_keypoints),
    "the landmark network's 3D guess": _solved(with_true_guess),
    "both": _solved(with_both),
    "both, auxiliary head alone": _auxiliary(with_both),
    "no 3D guess at all": lambda model, clip, options: _solved()(model, clip, replace(options, views=_UNGUESSED)),
    "no retrieval": lambda model, clip, options: _solved()(
        model, clip, replace(options, retrieval_share=0.0, parts=None)
    ),
    "auxiliary head alone": _auxiliary(),
    "retrieval by parts alone": lambda model, clip, options: retrieved_joints(
        model, clip.track, clip.camera, options, 0
    ),
}
"""What is replaced in the input, or left out."""


def tables(name: str, clips: Sequence[TrueClip], model: PoseModel) -> str:
    """Both tables of some clips as Markdown."""
    towers = {"folding tower": PoseOptions(temporal_share=0.0), "both towers": PoseOptions()}
    inputs: list[list[object]] = [[title] for title in INPUTS]
    answers: list[list[object]] = [[title] for title in ("nothing: as it is", *ANSWERS)]
    wrong = []
    for options in towers.values():
        solved = [[limbs(solve(model, clip, options)) for clip in clips] for solve in INPUTS.values()]
        for row, joints in zip(inputs, solved, strict=True):
            errors = input_errors(joints, clips)
            row += [f"{errors.mpjpe_clip_mm:.1f} / {errors.pa_mpjpe_mm:.1f}", errors.trunk_deg, errors.knees_deg]
        for row, error in zip(answers, answer_errors_mm(solved[0], clips), strict=True):
            row.append(error)
        wrong.append(
            np.mean([order_is_wrong(p, _truth(clip)).mean() for p, clip in zip(solved[0], clips, strict=True)])
        )
    title = f"### {name}: {len(clips)} clips\n\nLimbs in the wrong order in depth: "
    title += ", ".join(f"{100 * share:.1f} % ({tower})" for share, tower in zip(wrong, towers, strict=True)) + ".\n\n"
    columns = [f"{tower}{what}" for tower in towers for what in (", mm", ", trunk deg", ", knees deg")]
    first = markdown_table(["true in the input", *columns], inputs)
    return title + first + "\n" + markdown_table(["true in the answer, mpjpe_clip mm", *towers], answers)


def limbs(joints_m: Array) -> Array:
    """LIMB_JOINTS (T, 12, 3) of joints (T, 17, 3), relative to the mid-hip."""
    return relative(joints_m[:, _PLACES])


def relative(limbs_m: Array) -> Array:
    """Limbs (T, 12, 3) relative to the mid-hip."""
    hips = [LIMB_JOINTS.index("lhip"), LIMB_JOINTS.index("rhip")]
    return np.asarray(limbs_m - limbs_m[:, hips].mean(axis=1, keepdims=True))


def _truth(clip: TrueClip) -> Array:
    return relative(clip.limbs_m)


def input_errors(solved: Sequence[Array], clips: Sequence[TrueClip]) -> InputErrors:
    """The errors of limbs (T, 12, 3), every clip counting alike; knees over all their frames."""
    errors = [pose_errors(joints, _truth(clip)) for joints, clip in zip(solved, clips, strict=True)]
    trunk, knees = [], []
    for joints, clip in zip(solved, clips, strict=True):
        truth, seen = _truth(clip), np.isfinite(joints).all(axis=(1, 2))
        trunk.append(angle_deg(trunk_m(joints[seen]), trunk_m(truth[seen])).mean())
        true = knee_bend_deg(truth[seen])
        knees.append((knee_bend_deg(joints[seen]) - true)[true < _NEARLY_STRAIGHT_DEG])
    return InputErrors(
        float(np.mean([error.mpjpe_clip_mm for error in errors])),
        float(np.mean([error.pa_mpjpe_mm for error in errors])),
        float(np.mean(trunk)),
        float(np.median(np.concatenate(knees))),
    )


def answer_errors_mm(solved: Sequence[Array], clips: Sequence[TrueClip]) -> list[float]:
    """mpjpe_clip of the answer as it is, and with each part of ANSWERS replaced by the truth."""
    made: list[list[float]] = []
    for joints, clip in zip(solved, clips, strict=True):
        seen = np.isfinite(joints).all(axis=(1, 2))
        own, true, times_s = joints[seen], _truth(clip)[seen], clip.track.times_s[seen]
        own = own * ((own * true).sum() / np.square(own).sum())
        parts = [own, *(change(own, true, times_s) for change in ANSWERS.values())]
        made.append([pose_errors(relative(part), true).mpjpe_clip_mm for part in parts])
    return [float(value) for value in np.mean(made, axis=0)]


if __name__ == "__main__":
    main()
