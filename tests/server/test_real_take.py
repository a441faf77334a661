"""Takes through the product's own backend: real videos of two cameras, uploaded; the same video twice."""

from __future__ import annotations

import hashlib
import io
import json
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.wire import messages as wire
from tests.multiview.test_real_close_up import written
from tests.multiview.test_real_take import FIRST_FRAME, _trimmed
from tests.server.harness import REPOSITORY, Backend, Peer, kill_hard

VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"
FAST = wire.SolveOptions(quality="fast")


def two_videos(shared: Path, folder: Path, frames: int) -> dict[str, Path]:
    """Two videos of one performance that begin at different times, by the user's names."""
    source = shared / "real" / "balancing"
    return {
        f"{name}.mp4": _trimmed(source / f"{name}.mp4", folder / f"{name}.mp4", start, start + frames)
        for name, start in FIRST_FRAME.items()
    }


def wait_for_second_video(peer: Peer) -> None:
    """Return once the second video is being tracked."""
    while True:
        envelope = peer.hear(300.0)
        assert envelope is not None
        message = envelope.message
        if isinstance(message, wire.JobProgress) and message.video == 2 and message.done > 5:
            return


def source_of(path: Path, name: str) -> wire.Source:
    data = path.read_bytes()
    return wire.Source("upload", "", name, len(data), hashlib.sha256(data).hexdigest())


def submit(
    peer: Peer, videos: dict[str, Path], options: wire.SolveOptions, take: wire.TakeOptions | None = None
) -> str:
    """Submit and upload a take."""
    job_id = uuid.uuid4().hex
    first, *more = (source_of(path, name) for name, path in videos.items())
    peer.ask(wire.Submit(job_id, first, options, "solve", tuple(more), take or wire.TakeOptions()))
    for place, path in enumerate(videos.values()):
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for offset in range(0, len(data), 1 << 20):
            reply = peer.ask(wire.UploadPart(job_id, offset, data[offset : offset + (1 << 20)], place))
            assert isinstance(reply, wire.Accepted), reply
    return job_id


def follow(peer: Peer, job_id: str, patience_s: float = 300.0) -> tuple[list[Any], Any]:
    """All that is told of a job, and its end."""
    told = []
    queue, peer.stray = peer.stray, []
    while True:
        envelope = queue.pop(0) if queue else peer.hear(patience_s)
        assert envelope is not None
        if getattr(envelope.message, "job_id", "") == job_id:
            told.append(envelope.message)
        if isinstance(told[-1] if told else None, wire.Done | wire.Failed | wire.JobCancelled):
            return told[:-1], told[-1]


def fetch(peer: Peer, job_id: str, ending: Any, name: str) -> bytes:
    place = [file.name for file in ending.files].index(name)
    return bytes(peer.ask(wire.Fetch(job_id, place, 0, 1 << 20)).data.tobytes())


def clip_of(peer: Peer, job_id: str, ending: Any) -> MotionClip:
    return read_clip(io.BytesIO(fetch(peer, job_id, ending, "clip.npz")))


def test_a_video_that_is_left_out_is_named_as_the_user_named_it(own_backend: Backend) -> None:
    with Peer(own_backend.info) as peer:
        videos = {"my upload.mp4": VIDEO, "upload.mp4": VIDEO}
        job_id = submit(peer, videos, replace(FAST, start_s=0.0, end_s=0.6))
        told, done = follow(peer, job_id)
        assert isinstance(done, wire.Done), done
        clip = clip_of(peer, job_id, done)
        peer.ask(wire.Release(job_id))
        taken = submit(peer, videos, replace(FAST, end_s=0.6), wire.TakeOptions((), ("{}",)))
        failed = follow(peer, taken)[1]
    assert [file.name for file in done.files] == ["clip.npz"], "one camera makes no set-up"
    progress = [message for message in told if isinstance(message, wire.JobProgress)]
    assert {message.video for message in progress if message.stage == "people"} == {1, 2}
    (left_out,) = [text for text in done.warnings if "left out" in text]
    assert "video 2 (upload.mp4)" in left_out
    assert left_out in [warning.text for warning in clip.header.warnings]
    assert clip.header.source == "my upload.mp4"
    assert failed.code == "bad_input"
    assert failed.message.startswith("The given set-up is not the set-up of a take")


def test_a_close_up_and_a_calibration_are_named_as_the_user_named_them(own_backend: Backend, tmp_path: Path) -> None:
    """The body with a close-up of nothing; then with the calibration of other cameras."""
    close = written(tmp_path / "close.mp4", [np.full((120, 160, 3), 40, np.uint8)] * 12, 25)
    options = replace(FAST, start_s=0.0, end_s=0.4)
    with Peer(own_backend.info) as peer:
        job_id = submit(peer, {"my body.mp4": VIDEO, "my face.mp4": close}, options, wire.TakeOptions(close_ups=1))
        told, done = follow(peer, job_id)
        assert isinstance(done, wire.Done), done
        clip = clip_of(peer, job_id, done)
        peer.ask(wire.Release(job_id))
        cameras = "".join(f"[{name}]\nname='{name}'\nmatrix=[[900,0,1],[0,900,1],[0,0,1]]\n" for name in "ab")
        known = wire.TakeOptions((), (), 1, (wire.CalibrationFile("our rig.toml", (cameras[:50], cameras[50:])),))
        taken = submit(peer, {"my body.mp4": VIDEO, "my face.mp4": close}, options, known)
        failed = follow(peer, taken)[1]
    assert "my face.mp4 is left out: neither a hand nor a face was found in it" in done.warnings
    assert (clip.header.source, clip.header.cameras) == ("my body.mp4", ())
    looked = {one.video for one in told if isinstance(one, wire.JobProgress) and one.stage == "details"}
    assert looked == {2}, "the close-up is counted on after the videos of the body"
    assert (failed.code, failed.message[:49]) == ("bad_input", "our rig.toml has 2 cameras and none has the name "), (
        failed
    )


@pytest.mark.shared
@pytest.mark.slow
def test_a_calibration_that_is_uploaded_is_that_of_the_cameras(
    own_backend: Backend, shared: Path, tmp_path: Path
) -> None:
    """The cameras of the file are named like the user's videos, not like files of the server; a close-up has none."""
    close = written(tmp_path / "close.mp4", [np.full((120, 160, 3), 40, np.uint8)] * 12, 25)
    videos = {**two_videos(shared, tmp_path, 75), "face.mp4": close}
    rig = json.loads((shared / "real" / "balancing" / "calibration.json").read_text())
    text = json.dumps({"cameras": rig["cameras"][::-1]})
    texts = tuple(text[start : start + 4096] for start in range(0, len(text), 4096))
    known = wire.TakeOptions((wire.VideoOffset(1, 17 / 60),), (), 1, (wire.CalibrationFile("rig.json", texts),))
    with Peer(own_backend.info) as peer:
        job_id = submit(peer, videos, FAST, known)
        done = follow(peer, job_id)[1]
        assert isinstance(done, wire.Done), done
        clip, setup = clip_of(peer, job_id, done), json.loads(fetch(peer, job_id, done, "setup.json"))
    assert [camera.used for camera in clip.header.cameras] == [True, True], done.warnings
    assert [camera["name"] for camera in setup["cameras"]] == ["cam1.mp4", "cam2.mp4"]
    assert [camera.calibrated_from for camera in clip.header.cameras] == ["file", "file"]
    focal_px = {Path(camera["file"]).stem: camera["K"][0][0] for camera in rig["cameras"]}
    found_px = [camera.intrinsics[0, 0] for camera in clip.header.cameras]
    assert found_px == pytest.approx([focal_px["cam1"], focal_px["cam2"]], rel=0.03)
    turns = {Path(camera["file"]).stem: np.array(camera["R_camera_from_world"]) for camera in rig["cameras"]}
    first, second = (camera.pose[:3, :3] for camera in clip.header.cameras)
    apart = (second.T @ first) @ (turns["cam2"] @ turns["cam1"].T).T
    assert np.degrees(np.arccos(np.clip((np.trace(apart) - 1) / 2, -1, 1))) < 5.0, "each camera is that of its name"


@pytest.mark.shared
@pytest.mark.slow
def test_two_videos_are_uploaded_solved_together_and_solved_again_with_their_set_up(
    own_backend: Backend, shared: Path, tmp_path: Path
) -> None:
    videos = two_videos(shared, tmp_path, 75)
    with Peer(own_backend.info) as peer:
        job_id = submit(peer, videos, wire.SolveOptions())
        told, done = follow(peer, job_id)
        assert isinstance(done, wire.Done), done
        assert [file.name for file in done.files] == ["clip.npz", "setup.json"], done.warnings
        clip, setup = clip_of(peer, job_id, done), fetch(peer, job_id, done, "setup.json").decode()
        texts = tuple(setup[start : start + 4096] for start in range(0, len(setup), 4096))
        known = wire.TakeOptions((wire.VideoOffset(1, 17 / 60),), texts)
        again = submit(peer, videos, wire.SolveOptions(), known)
        second = follow(peer, again)[1]
        assert isinstance(second, wire.Done), second
        clip_again = clip_of(peer, again, second)
    chunks = [message for message in told if isinstance(message, wire.MotionChunk)]
    assert chunks[0].space == "camera", "previews of the first video"
    assert chunks[-1].space == "world", "the common poses at the end"
    np.testing.assert_allclose(chunks[-1].root_m, clip.root_world_m, atol=1e-5)
    cameras = clip.header.cameras
    assert [camera.source for camera in cameras] == ["cam1.mp4", "cam2.mp4"]
    assert all(camera.used for camera in cameras)
    assert abs(cameras[1].start_s - 17 / 60) < 0.012
    assert [camera["name"] for camera in json.loads(setup)["cameras"]] == ["cam1.mp4", "cam2.mp4"]
    assert [camera.calibrated_from for camera in clip_again.header.cameras] == ["setup", "setup"]
    assert clip_again.header.cameras[1].start_s == pytest.approx(17 / 60, abs=0.003)


@pytest.mark.shared
@pytest.mark.slow
def test_a_stop_in_the_second_video_keeps_the_first(own_backend: Backend, shared: Path, tmp_path: Path) -> None:
    videos = two_videos(shared, tmp_path, 60)
    with Peer(own_backend.info) as peer:
        job_id = submit(peer, videos, FAST)
        wait_for_second_video(peer)
        asked = time.monotonic()
        peer.ask(wire.Cancel(job_id))
        ending = follow(peer, job_id)[1]
        seconds = time.monotonic() - asked
        if ending.finishing:
            ending = follow(peer, job_id)[1]
        clip = clip_of(peer, job_id, ending)
    assert seconds < 1.0
    assert len(clip) == 60, "the first video was seen whole"
    assert any(warning.code == "stopped_early" for warning in clip.header.warnings)


@pytest.mark.shared
@pytest.mark.slow
def test_a_worker_killed_in_the_second_video_does_not_watch_the_first_again(
    own_backend: Backend, shared: Path, tmp_path: Path
) -> None:
    videos = two_videos(shared, tmp_path, 40)
    with Peer(own_backend.info) as peer:
        job_id = submit(peer, videos, FAST)
        wait_for_second_video(peer)
        kill_hard(own_backend.worker_pid())
        told, done = follow(peer, job_id)
        assert isinstance(done, wire.Done), done
        assert len(clip_of(peer, job_id, done)) == 40
    again = [one for one in told if isinstance(one, wire.JobProgress) and one.attempt == 2 and one.stage == "people"]
    assert {one.video for one in again} == {2}
