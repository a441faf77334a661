"""Real videos of one performance, trimmed by amounts that nobody is told: clocks, cameras, poses against the truth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.evaluation.recording import read_recording, score_recording
from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import TakeRequest
from backend.multiview.view_clips import clips_in_view
from backend.pipeline import SolveRequest
from blender_addon.motion.clip import read_clip

FIRST_FRAME = {"cam1": 4, "cam2": 21}


def _trimmed(source: Path, target: Path, start: int, stop: int) -> Path:
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        own = container.streams.video[0]
        stream = out.add_stream("libx264", rate=Fraction(60))
        stream.width, stream.height, stream.pix_fmt = own.width, own.height, "yuv420p"
        for count, frame in enumerate(container.decode(video=0)):
            if start <= count < stop:
                made = frame.reformat(format="yuv420p")
                made.pts, made.time_base = count - start, Fraction(1, 60)
                out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return target


@pytest.mark.shared
@pytest.mark.slow
def test_two_phones_and_one_command(shared: Path, tmp_path: Path) -> None:
    folder = shared / "real" / "balancing"
    recording = read_recording(folder)
    videos = [
        _trimmed(folder / f"{name}.mp4", tmp_path / f"{name}.mp4", start, start + 75)
        for name, start in FIRST_FRAME.items()
    ]
    output = tmp_path / "take.npz"
    result = solve_take(TakeRequest(tuple(SolveRequest(video, output) for video in videos), output))
    assert result.take.used == (0, 1)
    assert abs(result.take.offsets[1].start_s - 17 / 60) < 0.012
    cameras = {camera.video.stem: camera for camera in recording.cameras}
    clip = read_clip(output)
    errors = score_recording(recording, cameras["cam1"], clip.times_s + 4 / 60, clip.joints_camera_m)
    assert errors.mpjpe_clip_mm < 45.0, "one camera errs by 79 mm"
    assert errors.acceleration_mm < 6.0
    first, second = clip.header.cameras
    off = second.pose[:3, :3].T @ first.pose[:3, :3]
    true = cameras["cam2"].camera_from_world @ cameras["cam1"].camera_from_world.T
    assert np.degrees(np.arccos((np.trace(off @ true.T) - 1) / 2)) < 4.0
    (seen,) = clips_in_view(result, 1)
    assert len(seen) == 75
    shown = seen.confidence > 0
    assert shown.sum() > 50, "the frames that both videos have"
    again = score_recording(recording, cameras["cam2"], seen.times_s + 21 / 60, seen.joints_camera_m)
    assert again.mpjpe_clip_mm < 45.0
