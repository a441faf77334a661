"""Close-ups through the whole solve: a real face cut out of a video, given back by its motion; and one of nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import CloseUp, TakeRequest
from backend.pipeline import SolveRequest
from backend.solving.request import SolveQuality
from backend.types import Progress
from backend.video import FrameRange
from blender_addon.motion.clip_warning import WarningCode

ASSETS = Path(__file__).parents[2] / "assets"
RATE_FPS, FIRST, LAST = 5, 10, 60


def written(path: Path, images: list[np.ndarray], rate_fps: int) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(rate_fps), options={"crf": "18", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate_fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.shared
@pytest.mark.slow
def test_a_face_beside_a_body_is_lined_up_by_its_motion(shared: Path, tmp_path: Path) -> None:
    """A woman squats; the close-up shows her face, three times as large, from two seconds on; another one its mirror
    image.
    """
    body, output = shared / "real" / "squats" / "pose_squats.mp4", tmp_path / "take.npz"
    with av.open(str(body)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][FIRST:LAST]
    crops = [cv2.resize(frame[200:520, 250:550], (900, 960), interpolation=cv2.INTER_CUBIC) for frame in frames]
    close = written(tmp_path / "face.mp4", crops, RATE_FPS)
    mirrored = written(tmp_path / "selfie.mp4", [crop[:, ::-1] for crop in crops], RATE_FPS)
    request = SolveRequest(body, output, quality=SolveQuality.FAST, device="cpu", face=True)
    small = solve_take(TakeRequest((request,), output, close_ups=(CloseUp(close), CloseUp(mirrored))))
    assert not [one for one in small.warnings if one.code is WarningCode.VIEW_EXCLUDED]
    (told,) = [one for one in small.warnings if one.code is WarningCode.VIEW_MIRRORED]
    assert told.text.startswith("selfie.mp4 is mirrored")
    (clip,) = small.clips
    assert clip.face is not None
    assert clip.hands is None, "the face alone is asked for"
    assert clip.header.figures["face_size_px"] > 120.0, "as large as in the close-up"
    assert not list(tmp_path.glob("*.partial"))


def test_a_close_up_of_nothing_is_named_and_the_body_is_solved(tmp_path: Path) -> None:
    video, output = ASSETS / "demo_clip.mp4", tmp_path / "walk.npz"
    close = written(tmp_path / "dark.mp4", [np.full((120, 160, 3), 40, np.uint8)] * 12, 25)
    request = SolveRequest(video, output, range=FrameRange(0, 12), quality=SolveQuality.FAST, device="cpu")
    stages: list[tuple[str, int]] = []

    def progress(where: Progress) -> None:
        stages.append((where.stage, where.done))

    result = solve_take(TakeRequest((request,), output, close_ups=(CloseUp(close),)), progress)
    (told,) = [one for one in result.warnings if one.code is WarningCode.VIEW_EXCLUDED]
    assert "dark.mp4 is left out: neither a hand nor a face was found in it" in told.text
    (clip,) = result.clips
    assert clip.hands is None
    assert clip.face is None
    assert ("details", 12) in stages
    assert (clip.confidence > 0).any()
