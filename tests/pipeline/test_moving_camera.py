"""The passes that follow a moving camera, in the whole path: a cancel, progress, and videos that are too long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.multiview.solve_take import solve_take
from backend.multiview.take_request import CloseUp, TakeRequest
from backend.multiview.types import Offset
from backend.pipeline import solve
from backend.solving import moving_camera
from backend.solving.models import SolveModels
from backend.types import CancelToken, Progress
from backend.video import FrameRange
from blender_addon.motion.clip import read_clip
from blender_addon.motion.clip_warning import WarningCode

from .conftest import Rendered


@pytest.fixture
def panned(walk: Rendered, walk_images: list[np.ndarray], write_images: Callable[..., Path]) -> Rendered:
    """The walk in front of a wall with texture, through a window that moves 3 px a frame."""
    height, width = walk_images[0].shape[:2]
    small = np.random.default_rng(0).integers(0, 255, (height // 6, width // 6, 3), dtype=np.uint8)
    wall = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    empty = np.median(walk_images, axis=0)
    crops = []
    for at, image in enumerate(walk_images):
        differs = np.abs(image - empty).max(axis=2) > 12
        person = cv2.dilate(differs.astype(np.uint8), np.ones((25, 25), np.uint8))[..., None] > 0
        whole = np.where(person, image, 0.6 * image + 0.4 * wall).astype(np.uint8)
        start = 3 * (len(walk_images) - 1 - at)
        crops.append(whole[:, start : start + width - 72])
    return Rendered(write_images("panned.mp4", crops), walk.truth)


@pytest.mark.parametrize("many", [False, True], ids=["a video", "a take"])
def test_a_cancel_while_the_camera_is_followed_keeps_the_clip(
    panned: Rendered, models: SolveModels, tmp_path: Path, many: bool
) -> None:
    cancel, told = CancelToken(), list[Progress]()

    def progress(where: Progress) -> None:
        told.append(where)
        if where.stage == "camera":
            cancel.cancel()

    request = panned.request(tmp_path / "walk.npz", range=FrameRange())
    if many:
        take = TakeRequest((request,), request.output, close_ups=(CloseUp(panned.video, Offset()),))
        result = solve_take(take, progress, cancel, models)
    else:
        result = solve(request, progress, cancel, models=models)
    assert result.cancelled
    assert [one.stage for one in told].count("camera") == 1
    clip = read_clip(result.files[0])
    assert np.isfinite(clip.root_world_m).all()
    words = [one.text for one in clip.header.warnings if one.code is WarningCode.STOPPED_EARLY]
    assert words[0] == moving_camera.STOPPED_CAMERA
    assert list(tmp_path.glob("*.partial")), "the checkpoint stays for --resume"


def test_the_passes_tell_how_far_they_are(
    panned: Rendered, models: SolveModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving_camera, "_TELL_S", 0.0)
    told: list[Progress] = []
    result = solve(panned.request(tmp_path / "walk.npz", range=FrameRange()), told.append, models=models)
    assert not result.cancelled
    camera = [one for one in told if one.stage == "camera"]
    assert len(camera) == len(result.clips[0].times_s)
    assert all(one.remaining_s is not None and one.remaining_s >= 0.0 for one in camera[1:])
    done = [one.done for one in camera]
    assert done == sorted(done)
