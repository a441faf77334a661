"""Takes: several sources and uploads in one job, in order, whole or refused, and never begun again from nothing."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import VERSION_FRAME, encode
from tests.server.harness import Backend, Peer, running, script

VIDEO = json.dumps({"frames": 7}).encode()
MIB = 1 << 20


def upload_of(data: bytes, name: str) -> wire.Source:
    return wire.Source("upload", "", name, len(data), hashlib.sha256(data).hexdigest())


def take_of(*sources: wire.Source, task: str = "solve", take: wire.TakeOptions | None = None) -> wire.Submit:
    first, *more = sources
    options = wire.SolveOptions()
    return wire.Submit(uuid.uuid4().hex, first, options, task, tuple(more), take or wire.TakeOptions())


def pulled(*down: float) -> wire.Submit:
    """A job whose camera sees that way as down."""
    return replace(take_of(upload_of(VIDEO, "a.json")), options=wire.SolveOptions(gravity_camera=down))


def send(peer: Peer, job_id: str, place: int, data: bytes, start: int = 0) -> wire.JobInfo:
    """Upload from `start` on, in parts; how the job stands then."""
    reply = None
    for offset in range(start, len(data), MIB):
        part = np.frombuffer(data[offset : offset + MIB], np.uint8)
        reply = peer.ask(wire.UploadPart(job_id, offset, part, place))
        assert isinstance(reply, wire.Accepted), reply
    assert reply is not None
    return reply.job


def where(job: wire.JobInfo) -> tuple[str, int, int]:
    return job.state, job.upload_source, job.upload_offset


def test_paths_and_uploads_are_one_job(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    left, right = VIDEO + b" " * (2 * MIB), b"right" * 1000
    middle = script(tmp_path, frames=7)
    submit = take_of(
        upload_of(left, "left.json"), wire.Source("path", str(middle), middle.name), upload_of(right, "right.mp4")
    )
    job = peer.ask(submit).job
    assert where(job) == ("receiving", 0, 0)
    assert job.label == "left.json and 2 more"
    early = peer.ask(wire.UploadPart(submit.job_id, 0, np.frombuffer(right, np.uint8), 2))
    assert (early.code, early.message) == ("bad_offset", "The upload stands at byte 0 of video 1")
    assert where(send(peer, submit.job_id, 0, left)) == ("receiving", 2, 0), "what is a path is not waited for"
    assert where(peer.ask(submit).job) == ("receiving", 2, 0), "the same request is the same job"
    other = replace(submit, take=wire.TakeOptions((wire.VideoOffset(1, 0.5),)))
    assert peer.ask(other).code == "job_conflict"
    assert send(peer, submit.job_id, 2, right).state in ("queued", "running")
    chunks, done = peer.until_end(submit.job_id)
    assert isinstance(done, wire.Done)
    assert sum(len(chunk.frame_index) for chunk in chunks) == 7
    assert done.figures == {"frames": 7.0, "videos": 3.0, "bytes": float(len(left) + len(right) + 13)}
    left_there = {path.name for path in (backend.folder / "data" / "jobs" / submit.job_id).iterdir()}
    assert left_there == {"job.json", "chunks", "result"}


def test_a_server_killed_in_the_second_upload_goes_on_there(tmp_path: Path) -> None:
    first, second = VIDEO, b"second" * (MIB // 2)
    backend = Backend(tmp_path / "backend").start()
    submit = take_of(upload_of(first, "a.json"), upload_of(second, "b.mp4"))
    with Peer(backend.info) as peer:
        peer.ask(submit)
        assert where(send(peer, submit.job_id, 0, first)) == ("receiving", 1, 0)
        assert where(send(peer, submit.job_id, 1, second[:MIB])) == ("receiving", 1, MIB)
    psutil.wait_procs(backend.kill(), timeout=5)
    with running(tmp_path / "backend") as backend, Peer(backend.info) as peer:
        stand = peer.ask(wire.Watch(submit.job_id)).job
        assert where(stand) == ("receiving", 1, MIB)
        send(peer, submit.job_id, 1, second, MIB)
        done = peer.until_end(submit.job_id)[1]
    assert done.figures["bytes"] == len(first) + len(second)


def test_bytes_that_are_not_the_announced_ones_cost_that_video_alone(peer: Peer) -> None:
    good = b"b" * 5000
    submit = take_of(upload_of(VIDEO, "a.json"), upload_of(good, "b.mp4"))
    peer.ask(submit)
    send(peer, submit.job_id, 0, VIDEO)
    refused = peer.ask(wire.UploadPart(submit.job_id, 0, np.frombuffer(b"c" * 5000, np.uint8), 1))
    assert refused.code == "bad_source"
    assert "b.mp4" in refused.message
    assert where(peer.ask(wire.Watch(submit.job_id)).job) == ("receiving", 1, 0)
    send(peer, submit.job_id, 1, good)
    assert isinstance(peer.until_end(submit.job_id)[1], wire.Done)


def test_a_video_that_was_looked_through_is_not_sent_again(peer: Peer) -> None:
    seen, other = VIDEO + b"\r", b"other"
    look = take_of(upload_of(seen, "a.json"), task="people")
    peer.ask(look)
    send(peer, look.job_id, 0, seen)
    peer.until_end(look.job_id)
    submit = take_of(upload_of(seen, "a.json"), upload_of(other, "b.mp4"))
    assert where(peer.ask(submit).job) == ("receiving", 1, 0)
    send(peer, submit.job_id, 1, other)
    assert isinstance(peer.until_end(submit.job_id)[1], wire.Done)


def test_a_take_goes_on_after_its_worker_died(peer: Peer) -> None:
    video = json.dumps({"frames": 30, "crash_at": 15, "crash_once": True}).encode()
    submit = take_of(upload_of(video, "a.json"), upload_of(b"other", "b.mp4"))
    peer.ask(submit)
    send(peer, submit.job_id, 0, video)
    send(peer, submit.job_id, 1, b"other")
    done = peer.until_end(submit.job_id)[1]
    assert isinstance(done, wire.Done)
    assert (done.attempt, done.figures["videos"]) == (2, 2.0)


def test_close_ups_and_a_calibration_reach_the_worker_also_after_a_restart(tmp_path: Path) -> None:
    """The text of the calibration lies in the job's record until the job runs."""
    close = b"close" * 1000
    rig = (wire.CalibrationFile("left.yml", ("%YAML", "ä" * 4000)), wire.CalibrationFile("right.yml", ("%YAML",)))
    known = wire.TakeOptions((wire.VideoOffset(2, -0.5),), (), 1, rig)
    submit = take_of(upload_of(VIDEO, "a.json"), upload_of(b"right", "b.mp4"), upload_of(close, "c.mp4"), take=known)
    backend = Backend(tmp_path / "backend").start()
    with Peer(backend.info) as peer:
        peer.ask(submit)
        send(peer, submit.job_id, 0, VIDEO)
        send(peer, submit.job_id, 1, b"right")
    psutil.wait_procs(backend.kill(), timeout=5)
    with running(tmp_path / "backend") as backend, Peer(backend.info) as peer:
        assert where(peer.ask(submit).job) == ("receiving", 2, 0)
        send(peer, submit.job_id, 2, close)
        done = peer.until_end(submit.job_id)[1]
    sizes = {"bytes": float(len(VIDEO) + len(b"right") + len(close)), "calibration": 4010.0}
    assert done.figures == {"frames": 7.0, "videos": 3.0, "close_ups": 1.0, **sizes}


PATH = wire.Source("path", "/videos/a.mp4")


def calibrated(*names: str, chars: int = 5, setup: tuple[str, ...] = ()) -> wire.TakeOptions:
    return wire.TakeOptions((), setup, 0, tuple(wire.CalibrationFile(name, ("x" * chars,)) for name in names))


@pytest.mark.parametrize(
    ("submit", "code", "words"),
    [
        (take_of(*[PATH] * 17), "too_large", "2 to 16 videos, not 17"),
        (take_of(PATH, wire.Source("live", "camera:any")), "unsupported", "live source cannot be part"),
        (take_of(PATH, wire.Source("path", "b.mp4")), "bad_source", "not absolute"),
        (take_of(PATH, wire.Source("upload", "", "b.mp4", 5, "zz")), "bad_source", "SHA-256"),
        (take_of(PATH, PATH, task="people"), "bad_request", "is about one video"),
        (take_of(PATH, PATH, take=wire.TakeOptions((wire.VideoOffset(2, 1.0),))), "bad_request", "videos 1 to 1"),
        (take_of(PATH, PATH, take=wire.TakeOptions((wire.VideoOffset(1),) * 2)), "bad_request", "at most once"),
        (take_of(PATH, PATH, take=wire.TakeOptions((wire.VideoOffset(1, 1e300),))), "bad_request", "within a day"),
        (take_of(PATH, take=wire.TakeOptions((wire.VideoOffset(1),))), "bad_request", "there is one"),
        (pulled(0.0, 0.01, 0.0), "bad_request", "length between 0.5 and 20"),
        (pulled(0.0, 1.0), "bad_request", "three numbers"),
        (pulled(0.0, 1e300, 1e300), "bad_request", "length between 0.5 and 20"),
        (take_of(PATH, PATH, take=wire.TakeOptions((), ("x" * 4096,) * 33)), "too_large", "set-up"),
        (take_of(PATH, PATH, take=wire.TakeOptions(close_ups=2)), "bad_request", "0 to 1 close-ups"),
        (take_of(PATH, PATH, take=wire.TakeOptions(close_ups=-1)), "bad_request", "0 to 1 close-ups"),
        (take_of(PATH, take=wire.TakeOptions(close_ups=1)), "bad_request", "there is one"),
        (take_of(PATH, take=calibrated("a.toml")), "bad_request", "there is one"),
        (take_of(PATH, PATH, take=calibrated("a.toml", setup=("{}",))), "bad_request", "given twice"),
        (take_of(PATH, PATH, take=calibrated("../a.toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("a.exe")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated(".toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("C:\\a.toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("C:a.toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("n" * 300 + ".toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("ä" * 126 + ".toml")), "bad_request", "name of a calibration"),
        (take_of(PATH, PATH, take=calibrated("a.yml", "A.yml")), "bad_request", "the same name"),
        (take_of(PATH, PATH, take=calibrated(*map("{}.yml".format, range(40)), chars=4000)), "too_large", "calibr"),
        (take_of(PATH, replace(PATH, name="n" * 256)), "bad_source", "255 characters"),
        (take_of(*[wire.Source("path", "/" + "ä" * 4000)] * 10), "too_large", "too long together"),
        (take_of(*[replace(upload_of(b"x", "a.mp4"), size_bytes=3 << 30)] * 3), "too_large", "of a take"),
    ],
)
def test_takes_that_nobody_could_solve_are_refused_at_once(
    peer: Peer, submit: wire.Submit, code: str, words: str
) -> None:
    refused = peer.ask(submit)
    assert (refused.kind, refused.code) == ("refused", code)
    assert words in refused.message


def test_a_warning_longer_than_a_message_may_be_is_cut(peer: Peer, tmp_path: Path) -> None:
    """It quotes names that clients give; a report that the server cannot read would end the worker."""
    video = script(tmp_path, frames=3, warning_chars=5000)
    submit = take_of(wire.Source("path", str(video)))
    peer.ask(submit)
    done = peer.until_end(submit.job_id)[1]
    assert isinstance(done, wire.Done)
    assert (done.attempt, done.warnings) == (1, ("w" * 2000,))


def test_every_path_of_a_take_lies_in_a_root(tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    plates.mkdir()
    inside, outside = script(plates, frames=3), script(tmp_path, "secret.json", frames=3)
    with running(tmp_path / "backend", "--root", str(plates)) as backend, Peer(backend.info) as peer:
        refused = peer.ask(take_of(wire.Source("path", str(inside)), wire.Source("path", str(outside))))
        assert refused.code == "outside_roots"
        submit = take_of(wire.Source("path", str(inside)), wire.Source("path", str(inside)))
        peer.ask(submit)
        assert peer.until_end(submit.job_id)[1].figures["videos"] == 2.0


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4])
def test_a_client_of_an_older_protocol_is_served(backend: Backend, peer: Peer, minor: int) -> None:
    """It says none of the new fields, and what is said to it has fields that it ignores."""
    submit = take_of(upload_of(VIDEO, "a.json"))

    def ask(message: object, gone: tuple[str, ...]) -> wire.JobInfo:
        frames = encode(message, "old")
        header = json.loads(bytes(frames[1]))
        if minor == 4 and "take" in header["fields"]:
            header["fields"]["take"] = {"offsets": [], "setup": []}
        for name in gone if minor < 4 else ():
            del header["fields"][name]
        version = VERSION_FRAME.pack(b"MRNT", 1, minor)
        peer.socket.send_multipart([version, json.dumps(header).encode(), *frames[2:]])
        while True:
            reply = peer.hear()
            assert reply is not None
            if isinstance(reply.message, wire.Accepted):
                return reply.message.job
            peer.stray.append(reply)

    assert where(ask(submit, ("more_sources", "take"))) == ("receiving", 0, 0)
    part = wire.UploadPart(submit.job_id, 0, np.frombuffer(VIDEO, np.uint8))
    assert ask(part, ("source",)).state in ("queued", "running")
    done = peer.until_end(submit.job_id)[1]
    assert done.figures == {"frames": 7.0}
