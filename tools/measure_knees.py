"""How far solved knees are bent: against a recording's truth, and on video of people whose legs look straight.

    python tools/measure_knees.py --recording balancing/ --video jumps.mp4 --video squats.mp4

From in front a bent knee and a straight one look alike, so what the towers have learnt decides. The first figure is the
median excess where the true bend is below 25 degrees, the others the median bend in frames whose image shows both
legs straight. A video's camera is taken to have a focal length of 1.2 times its longer side.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.embedding.keypoints import H36M_NAMES
from backend.embedding.model_files import ModelFiles
from backend.embedding.pose_model import PoseModel, load_model
from backend.errors import WeightsError
from backend.evaluation.recording import read_recording
from backend.people import PeopleOptions, Quality, track_people
from backend.types import Intrinsics, PersonTrack
from backend.video import open_video
from tools.measure_proportions import looks_straight

Array = NDArray[np.floating]

_NEARLY_STRAIGHT_DEG = 25.0
_FOCAL_LENGTH = 1.2
_FEWEST_FRAMES = 8


def main() -> None:
    """Print one line for each recording and each person of each video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, action="append", default=[], help="a recording with 3D truth")
    parser.add_argument("--video", type=Path, action="append", default=[], help="a video of real people; repeatable")
    parser.add_argument("--people", type=int, default=2, help="how many people of a video (default 2)")
    parser.add_argument("--frames", type=int, default=232, help="how many frames of a video (default 232)")
    parser.add_argument("--towers", type=Path, help="towers other than the shipped ones")
    parser.add_argument("--bank", type=Path, help="a bank other than the shipped one, of the same pose tower")
    args = parser.parse_args()
    try:
        model = load_model(files=ModelFiles(args.towers, args.bank))
    except WeightsError as fault:
        sys.exit(str(fault))
    for folder in args.recording:
        print(f"{folder.name}: {np.median(_excess_deg(model, folder)):.0f} degrees too far where nearly straight")
    for path in args.video:
        for track, camera in _tracks(path, args.people, args.frames):
            joints = model.solve(track, camera).joints_camera_m
            keep = looks_straight(track.keypoints_px) & np.isfinite(joints).all(axis=(1, 2))
            if keep.sum() >= _FEWEST_FRAMES:
                bend = np.median(_bend_deg(joints, H36M_NAMES)[keep].mean(axis=1))
                print(f"{path.name}, person {track.track_id}: {bend:.0f} degrees in {keep.sum()} frames")


def _excess_deg(model: PoseModel, folder: Path) -> Array:
    recording = read_recording(folder)
    true = _bend_deg(recording.joints_world_m, recording.joint_names)
    out = []
    for camera in recording.cameras:
        track, _ = _tracks(camera.video, 1, None)[0]
        joints = model.solve(track, Intrinsics(camera.matrix, camera.width, camera.height, "calibration"))
        frames = np.rint((track.times_s - track.times_s[0]) * recording.fps).astype(int)
        known = (frames < len(true)) & np.isfinite(joints.joints_camera_m).all(axis=(1, 2))
        truth = true[frames[known]]
        excess = _bend_deg(joints.joints_camera_m[known], H36M_NAMES) - truth
        out.append(excess[truth < _NEARLY_STRAIGHT_DEG])
    return np.concatenate(out)


def _tracks(path: Path, people: int, frames: int | None) -> list[tuple[PersonTrack, Intrinsics]]:
    reader = open_video(path)
    options = PeopleOptions(quality=Quality.HEAVY, max_people=people, mirror=True)
    side = max(reader.info.width, reader.info.height) * _FOCAL_LENGTH
    matrix = np.array([[side, 0, reader.info.width / 2], [0, side, reader.info.height / 2], [0, 0, 1]])
    camera = Intrinsics(matrix, reader.info.width, reader.info.height, "assumed", is_assumed=True)
    return [(track, camera) for track in track_people(itertools.islice(reader.frames(), frames), reader.info, options)]


def _bend_deg(joints_m: Array, names: tuple[str, ...] | list[str]) -> Array:
    """Bend (T, 2) of both knees from joints (T, J, 3)."""
    bends = []
    for side in "lr":
        hip, knee, ankle = (joints_m[:, names.index(f"{side}{part}")] for part in ("hip", "knee", "ankle"))
        thigh, shin = knee - hip, ankle - knee
        cosine = (thigh * shin).sum(-1) / (np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shin, axis=-1))
        bends.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(bends, axis=1)


if __name__ == "__main__":
    main()
