"""Live jobs of a real server: frames to a client, permission, recording, and what a kill leaves."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.clip import read_clip
from blender_addon.wire import messages as wire
from tests.live.feed import feeding, recorded_numbers
from tests.server.harness import Backend, Peer, kill_hard, wait_for

PATIENCE_S = 120.0


def serve(folder: Path, *options: str) -> Backend:
    return Backend(folder, *options, program=("-m", "backend", "serve", "--device", "cpu")).start()


def start(peer: Peer, url: str, record: bool = False) -> str:
    job_id = uuid.uuid4().hex
    source = wire.Source("live", url, record=record)
    accepted = peer.ask(wire.Submit(job_id, source, wire.SolveOptions(quality="fast")))
    assert isinstance(accepted, wire.Accepted), accepted
    return job_id


def until(peer: Peer, condition, what: str) -> wire.LiveFrame:
    deadline, last = time.monotonic() + PATIENCE_S, None
    while time.monotonic() < deadline:
        envelope = peer.hear(5.0)
        last = last if envelope is None else envelope.message
        if isinstance(last, wire.LiveFrame) and condition(last):
            return last
        assert not isinstance(last, wire.Failed), last
    raise AssertionError(f"no {what}; last heard: {last}")


def ending(peer: Peer, job_id: str):
    return peer.until_end(job_id, PATIENCE_S)[1]


@pytest.mark.slow
def test_frames_record_and_stop(tmp_path):
    backend = serve(tmp_path / "server")
    try:
        with Peer(backend.info) as peer, feeding("--hold", "600") as feed:
            peer.wait_until_ready()
            job_id = start(peer, feed.url())
            live = until(peer, lambda frame: frame.state == "live", "live frame")
            assert np.isfinite(live.rotations_wxyz).all()
            assert live.recorded == -1
            assert isinstance(peer.ask(wire.LiveRecord(job_id)), wire.Accepted)
            until(peer, lambda frame: frame.recorded > 30, "recorded images")
            asked = time.monotonic()
            peer.ask(wire.Cancel(job_id))
            end = ending(peer, job_id)
            while isinstance(end, wire.JobCancelled) and end.finishing:
                assert time.monotonic() - asked < 1.0
                end = ending(peer, job_id)
            assert {file.name for file in end.files} == {"live.npz", "recording.mkv"}
            result = backend.folder / "data" / "jobs" / job_id / "result"
            numbers = recorded_numbers(result / "recording.mkv")
            assert np.all(np.diff(numbers) == 1)
            assert len(read_clip(result / "live.npz")) > 3
    finally:
        backend.stop()


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_server_keep_the_recording(tmp_path):
    backend = serve(tmp_path / "server")
    try:
        with feeding("--hold", "600") as feed:
            with Peer(backend.info) as peer:
                peer.wait_until_ready()
                job_id = start(peer, feed.url(), record=True)
                until(peer, lambda frame: frame.recorded > 40, "recorded images")
                kill_hard(backend.worker_pid())
                end = ending(peer, job_id)
                assert isinstance(end, wire.Failed)
                assert end.code == "worker_crashed"
                assert {file.name for file in end.files} == {"live.npz", "recording.mkv"}
                peer.wait_until_ready()
                second = start(peer, feed.url(), record=True)
                until(peer, lambda frame: frame.recorded > 40, "recorded images")
            backend.kill()
            backend.start()
            with Peer(backend.info) as peer:
                peer.ask(wire.Watch(second))
                end = ending(peer, second)
                assert isinstance(end, wire.Failed)
                assert end.code == "server_died"
                assert {file.name for file in end.files} == {"live.npz", "recording.mkv"}
        kept = backend.folder / "data" / "jobs" / second / "result" / "recording.mkv"
        assert len(recorded_numbers(kept)) > 30
    finally:
        backend.stop()


def test_only_what_the_owner_allowed_is_opened(tmp_path):
    options = ("--allow-live", "camera:*", "--allow-live", "rtsp://10.0.0.5/*")
    backend = Backend(tmp_path / "server", *options).start()
    try:
        with Peer(backend.info) as peer:
            for url, code in (
                ("http://127.0.0.1:80/", "not_allowed"),
                ("rtsp://10.0.0.5@127.0.0.1/", "not_allowed"),
                ("file:///etc/passwd", "bad_source"),
            ):
                refused = peer.ask(wire.Submit(uuid.uuid4().hex, wire.Source("live", url)))
                assert isinstance(refused, wire.Refused)
                assert refused.code == code
            assert isinstance(peer.ask(wire.ListCameras()), wire.CameraList)
    finally:
        wait_for(lambda: backend.stop() is not None, "the end")
