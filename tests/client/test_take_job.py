"""The add-on's client with takes: several videos in one capture, against real backends and an old one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq

from blender_addon.client.capture_run import CaptureRun, CaptureTicket
from blender_addon.client.job import CaptureJob, JobRequest, JobSnapshot
from blender_addon.client.link import BackendLink
from blender_addon.client.take_options import calibration_texts, setup_texts, take_options
from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_CLIENT, decode, encode
from blender_addon.wire.connection_file import ConnectionInfo, write_connection_file
from tests.server.harness import Backend, running, script, wait_for

MIB = 1 << 20


def big(folder: Path, name: str, mib: int) -> Path:
    path = folder / name
    path.write_text(json.dumps({"frames": 20}) + " " * (mib * MIB))
    return path


def finish(job: CaptureJob, patience_s: float = 60.0) -> JobSnapshot:
    wait_for(lambda: job.tick().over, "the end", patience_s)
    return job.snapshot


def test_a_take_is_sent_video_by_video_and_goes_on_when_its_server_was_killed(tmp_path: Path) -> None:
    videos = big(tmp_path, "left.json", 3), big(tmp_path, "right.mp4", 24)
    backend = Backend(tmp_path / "backend").start()
    link = BackendLink(None, backend.connection_file, "test")
    request = JobRequest(videos[0], tmp_path / "clips", upload=True, more_videos=videos[1:])
    job, words = CaptureJob(link, request), []

    def second_is_under_way() -> bool:
        snapshot = job.tick(0.002)
        words.append((snapshot.words, snapshot.video))
        return snapshot.video == 2 and snapshot.done > 8 * MIB

    wait_for(second_is_under_way, "the second upload")
    assert ("Sending video 1", 1) in words
    psutil.wait_procs(backend.kill(), timeout=5)
    received = (backend.job_folders()[0] / "upload.1.part").stat().st_size
    assert received > 0
    backend.start()
    snapshot = finish(job)
    link.close()
    assert backend.stop() == 0
    assert snapshot.state == "done", snapshot
    assert dict(snapshot.figures) == {
        "frames": 20.0,
        "videos": 2.0,
        "bytes": float(sum(video.stat().st_size for video in videos)),
    }


def test_videos_that_the_backend_reads_itself_and_words_about_each(tmp_path: Path) -> None:
    videos = [script(tmp_path, f"{name}.json", frames=200, pace_s=0.002, video=2) for name in ("a", "b", "c")]
    with running(tmp_path / "backend") as backend:
        link = BackendLink(None, backend.connection_file, "test")
        ticket = CaptureTicket(
            JobRequest(videos[0], tmp_path / "clips", more_videos=tuple(videos[1:])), "Scene", videos[0], 1.7
        )
        run = CaptureRun(link, ticket)
        texts = set()

        def over() -> bool:
            run.tick()
            texts.add(run.text())
            return run.over

        wait_for(over, "the end")
        link.close()
    assert dict(run.snapshot.figures)["videos"] == 3.0
    assert any(text.startswith("Solving (video 2) 1") for text in texts), texts


def test_a_video_that_is_not_there_is_named(tmp_path: Path) -> None:
    link = BackendLink(None, tmp_path / "none.json", "test")
    there = script(tmp_path, frames=1)
    job = CaptureJob(link, JobRequest(there, tmp_path / "clips", upload=True, more_videos=(tmp_path / "nowhere.mp4",)))
    link.close()
    assert job.snapshot.code == "video"
    assert "nowhere.mp4" in job.snapshot.words


def test_close_ups_and_a_calibration_are_sent(tmp_path: Path) -> None:
    videos = big(tmp_path, "left.json", 1), big(tmp_path, "face.mp4", 1)
    (tmp_path / "rig.toml").write_text("[cam_1]" + " " * 5000)
    take = take_options([0.5], None, 1, tmp_path / "rig.toml")
    with running(tmp_path / "backend") as backend:
        link = BackendLink(None, backend.connection_file, "test")
        request = JobRequest(videos[0], tmp_path / "clips", upload=True, more_videos=videos[1:], take=take)
        assert request.bodies == videos[:1]
        snapshot = finish(CaptureJob(link, request))
        link.close()
    figures = dict(snapshot.figures)
    assert (figures["videos"], figures["close_ups"], figures["calibration"]) == (2.0, 1.0, 5007.0)


@contextmanager
def old_backend(folder: Path, *knows: str) -> Iterator[tuple[Path, list[str]]]:
    """A server of an older protocol, without the newer capabilities, that remembers what it was asked."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    write_connection_file(ConnectionInfo(f"tcp://127.0.0.1:{port}", "0" * 64), folder / "old.json")
    asked: list[str] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            if socket.poll(20):
                identity, *frames = socket.recv_multipart()
                envelope = decode(frames, FROM_CLIENT)
                asked.append(envelope.message.kind)
                hello = isinstance(envelope.message, wire.Hello)
                reply = (
                    wire.Welcome("0.9.0", 1, 3, ("path", "upload", *knows), ("cpu",), 8, 1000) if hello else wire.Pong()
                )
                socket.send_multipart([identity, *encode(reply, "1", envelope.message_id)])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield folder / "old.json", asked
    finally:
        over.set()
        thread.join()
        socket.close(linger=0)
        context.term()


@pytest.mark.parametrize("upload", [False, True])
def test_an_old_backend_is_not_asked_for_a_take(tmp_path: Path, upload: bool) -> None:
    """It would solve the first video alone and say nothing."""
    videos = [script(tmp_path, f"{name}.json", frames=1) for name in ("a", "b")]
    with old_backend(tmp_path) as (connection_file, asked):
        link = BackendLink(None, connection_file, "test")
        wait_for(lambda: link.tick(0.01).state == "open", "the connection")  # as a panel ticks it before the capture
        job = CaptureJob(link, JobRequest(videos[0], tmp_path, upload=upload, more_videos=(videos[1],)))
        for _ in range(3):
            link.tick(0.01)
        snapshot = finish(job)
        time.sleep(0.1)
        link.close()
    assert (snapshot.state, snapshot.code) == ("failed", "unsupported")
    assert "0.9.0 cannot solve several cameras together" in snapshot.words
    assert "submit" not in asked


@pytest.mark.parametrize(
    ("word", "lacking", "instead"),
    [("close_ups", "close-ups", "remove the close-ups"), ("calibration", "a calibration", "turn off Use Calibration")],
)
def test_an_old_backend_is_not_asked_for_what_it_would_leave_out(
    tmp_path: Path, word: str, lacking: str, instead: str
) -> None:
    """It would take a close-up for another camera, and find the cameras itself."""
    videos = [script(tmp_path, f"{name}.json", frames=1) for name in ("a", "b")]
    known = {"close_ups": 1} if word == "close_ups" else {"calibration": (wire.CalibrationFile("a.toml", ("x",)),)}
    with old_backend(tmp_path, "take") as (connection_file, asked):
        link = BackendLink(None, connection_file, "test")
        take = wire.TakeOptions(**known)  # type: ignore[arg-type]
        snapshot = finish(CaptureJob(link, JobRequest(videos[0], tmp_path, more_videos=(videos[1],), take=take)))
        link.close()
    assert (snapshot.state, snapshot.code) == ("failed", "unsupported")
    assert f"0.9.0 cannot use {lacking}" in snapshot.words
    assert f"Update the backend, or {instead}" in snapshot.remedy
    assert "submit" not in asked


def test_calibrations_that_are_none_are_named(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "notes.txt", ".hidden.yml"):
        (tmp_path / "rig" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "rig" / name).write_text(name)
    assert [(one.name, one.text) for one in calibration_texts(tmp_path / "rig")] == [
        ("a.yaml", ("a.yaml",)),
        ("b.yml", ("b.yml",)),
    ]
    (tmp_path / "empty").mkdir()
    for bad in ("empty", "rig/notes.txt"):
        with pytest.raises(ValueError, match="is not a calibration"):
            calibration_texts(tmp_path / bad)
    # the last one is short, but no message holds it: each of its characters takes six there
    for text in ("x" * 200_000, "x" * 600_000, "ä" * 100_000):
        (tmp_path / "long.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="longer than"):
            calibration_texts(tmp_path / "long.toml")
    (tmp_path / "notepad.toml").write_text("[cam_1]", encoding="utf-8-sig")
    assert calibration_texts(tmp_path / "notepad.toml")[0].text == ("[cam_1]",)


def test_what_is_known_of_a_take_fits_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "setup.json"
    path.write_text("{" + "ä" * 9000 + "}")
    options = take_options([None, -0.25], path)
    assert options.offsets == (wire.VideoOffset(2, -0.25),)
    assert [len(text) for text in options.setup] == [4096, 4096, 810]
    assert "".join(options.setup) == path.read_text()
    path.write_text("not a set-up")
    with pytest.raises(ValueError, match="is not the set-up of a take"):
        setup_texts(path)
    with pytest.raises(OSError, match="nowhere"):
        setup_texts(tmp_path / "nowhere.json")


def test_a_video_that_becomes_shorter_is_named_and_nobody_is_sent_to_the_result_s_folder(tmp_path: Path) -> None:
    videos = big(tmp_path, "left.json", 1), big(tmp_path, "right.mp4", 32)
    with running(tmp_path / "backend") as backend:
        link = BackendLink(None, backend.connection_file, "test")
        job = CaptureJob(link, JobRequest(videos[0], tmp_path / "clips", upload=True, more_videos=videos[1:]))
        wait_for(lambda: job.tick(0.002).video == 2, "the second upload")
        with videos[1].open("r+b") as stream:
            stream.truncate(2 * MIB)
        snapshot = finish(job)
        link.close()
    assert (snapshot.state, snapshot.code) == ("failed", "video"), snapshot
    assert snapshot.words == "right.mp4 became shorter while it was sent"
    assert snapshot.remedy == "Capture it when it is whole"
