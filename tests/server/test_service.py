"""What the service answers, over its real socket."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import uuid
from pathlib import Path

import numpy as np
import pytest

from blender_addon.wire import messages as wire
from blender_addon.wire.codec import FROM_SERVER, decode, encode
from blender_addon.wire.transport import MAX_PART_BYTES
from tests.server.harness import Backend, Peer, script, wait_for
from tests.server.paced import frame_rotations


def new_id() -> str:
    return uuid.uuid4().hex


def refusal(reply: object, code: str) -> wire.Refused:
    assert isinstance(reply, wire.Refused), reply
    assert reply.code == code
    assert reply.message
    return reply


def fetch(peer: Peer, job_id: str, files: tuple[wire.ResultFile, ...], file: int = 0) -> bytes:
    parts = []
    while sum(map(len, parts)) < files[file].size_bytes:
        part = peer.ask(wire.Fetch(job_id, file, sum(map(len, parts)), MAX_PART_BYTES))
        assert isinstance(part, wire.ResultPart)
        parts.append(part.data.tobytes())
    data = b"".join(parts)
    assert hashlib.sha256(data).hexdigest() == files[file].sha256
    return data


def test_connection_file_is_private_json_with_endpoint_and_token(backend: Backend) -> None:
    assert stat.S_IMODE(backend.connection_file.stat().st_mode) == 0o600
    record = json.loads(backend.connection_file.read_text())
    assert record["endpoint"].startswith("tcp://127.0.0.1:")
    assert len(record["token"]) == 64


def test_welcome_says_versions_and_capabilities(backend: Backend) -> None:
    with Peer(backend.info, hello=False) as peer:
        welcome = peer.ask(wire.Hello(backend.info.token, "test"))
    assert isinstance(welcome, wire.Welcome)
    assert (welcome.protocol_major, welcome.protocol_minor) == (wire.PROTOCOL_MAJOR, wire.PROTOCOL_MINOR)
    known = "path upload preview people hands face take close_up calibration gravity live"
    assert welcome.capabilities == tuple(known.split())
    assert welcome.max_jobs == 8
    assert welcome.max_frames == 5000


def test_job_streams_its_frames_and_leaves_a_result(peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    accepted = peer.submit(job_id, script(tmp_path, frames=95, chunk=10))
    assert isinstance(accepted, wire.Accepted)
    chunks, done = peer.until_end(job_id)
    assert isinstance(done, wire.Done)
    assert [chunk.index for chunk in chunks] == list(range(10))
    np.testing.assert_array_equal(np.concatenate([chunk.frame_index for chunk in chunks]), np.arange(95))
    rotations = np.concatenate([chunk.rotations_wxyz for chunk in chunks])
    np.testing.assert_allclose(rotations, frame_rotations(0, 95), atol=1e-6)
    assert done.figures == {"frames": 95.0}
    assert done.warnings == ("made up",)
    assert done.worker == "w0"
    with np.load(io.BytesIO(fetch(peer, job_id, done.files))) as clip:
        np.testing.assert_array_equal(clip["rotations_wxyz"], frame_rotations(0, 95))
    assert peer.ask(wire.Release(job_id)) == wire.Released(job_id)
    refusal(peer.ask(wire.Watch(job_id)), "unknown_job")


def test_result_stays_on_disk_until_released(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    peer.submit(job_id, script(tmp_path, frames=5))
    _, done = peer.until_end(job_id)
    folder = backend.folder / "data" / "jobs" / job_id
    assert (folder / "result" / "clip.npz").is_file()
    assert not (folder / "work").exists()
    with Peer(backend.info) as other:
        assert fetch(other, job_id, done.files)
        other.ask(wire.Release(job_id))
    assert not folder.exists()


def test_same_submit_twice_is_one_job(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id, video = new_id(), script(tmp_path, frames=30)
    peer.submit(job_id, video)
    assert isinstance(peer.submit(job_id, video), wire.Accepted)
    _, done = peer.until_end(job_id)
    assert isinstance(done, wire.Done)
    assert done.attempt == 1
    again = peer.submit(job_id, video)
    assert isinstance(again, wire.Accepted)
    assert again.job.state == "done"
    assert len([line for line in backend.log("job submitted") if line["job_id"] == job_id]) == 1
    refusal(peer.submit(job_id, script(tmp_path, "other.json", frames=31)), "job_conflict")


def test_watch_resumes_from_a_cursor(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    peer.submit(job_id, script(tmp_path, frames=100, chunk=5))
    _, first = peer.until_end(job_id)
    with Peer(backend.info) as other:
        other.ask(wire.Watch(job_id, attempt=1, next_chunk=15))
        chunks, ending = other.until_end(job_id)
    assert [chunk.index for chunk in chunks] == [15, 16, 17, 18, 19]
    assert ending == first
    with Peer(backend.info) as other:
        other.ask(wire.Watch(job_id, attempt=7, next_chunk=15))
        chunks, _ = other.until_end(job_id)
    assert len(chunks) == 20, "a cursor of another attempt starts from the beginning"


def test_failures_come_with_code_message_and_remedy(peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    peer.submit(job_id, script(tmp_path, frames=30, fail_at=12))
    chunks, failed = peer.until_end(job_id)
    assert failed == wire.Failed(job_id, 1, "video", "Frame 12 is damaged", "Trim the clip")
    assert [chunk.index for chunk in chunks] == [0]


def test_a_bug_in_the_work_is_a_failure_with_a_reason(backend: Backend, peer: Peer, tmp_path: Path) -> None:
    job_id, worker = new_id(), backend.worker_pid()
    peer.submit(job_id, script(tmp_path, frames=30, bug_at=12))
    _, failed = peer.until_end(job_id)
    assert failed.code == "internal"
    assert "ZeroDivisionError" in failed.message
    assert backend.worker_pid() == worker
    assert any("a bug on order" in line.get("traceback", "") for line in backend.log("job failed"))


def test_too_many_frames(peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    peer.submit(job_id, script(tmp_path, frames=5001))
    _, failed = peer.until_end(job_id)
    assert failed.code == "video"
    assert "5001" in failed.message


def test_queue_is_bounded(peer: Peer, tmp_path: Path) -> None:
    video = script(tmp_path, frames=2000, pace_s=0.01)
    ids = [new_id() for _ in range(9)]
    replies = [peer.submit(job_id, video) for job_id in ids]
    assert [type(reply) for reply in replies[:8]] == [wire.Accepted] * 8
    assert refusal(replies[8], "queue_full").retry_after_s
    positions = [reply.job.position for reply in replies[:8]]
    assert positions[-1] == max(positions)
    jobs = peer.ask(wire.ListJobs()).jobs
    assert {job.job_id for job in jobs} >= set(ids[:8])
    for job_id in ids[:8]:
        peer.ask(wire.Cancel(job_id))
    endings = [peer.until_end(job_id)[1] for job_id in ids[:8]]
    assert all(isinstance(ending, wire.JobCancelled) for ending in endings)


@pytest.mark.parametrize(
    ("request_made", "code"),
    [
        (wire.Submit("x" * 32, wire.Source("path", "/v.mp4")), "bad_request"),
        (wire.Submit("../../../etc/passwd", wire.Source("path", "/v.mp4")), "bad_request"),
        (wire.Submit("a" * 32, wire.Source("path", "relative.mp4")), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("live")), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("shell", "rm -rf /")), "unsupported"),
        (wire.LiveRecord("a" * 32), "unknown_job"),
        (wire.Watch("a" * 32), "unknown_job"),
        (wire.Cancel("a" * 32), "unknown_job"),
        (wire.Release("a" * 32), "unknown_job"),
        (wire.Fetch("a" * 32, 0, 0, 1), "unknown_job"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "v.mp4", 10, "no hash")), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "v.mp4", 0, "0" * 64)), "too_large"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "v.mp4", 1 << 40, "0" * 64)), "too_large"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "../v.mp4", 10, "0" * 64)), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "..\\v.mp4", 10, "0" * 64)), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("upload", "", "v.longsuffix", 10, "0" * 64)), "bad_source"),
        (wire.Submit("a" * 32, wire.Source("upload", "/etc/passwd", "v.mp4", 10, "0" * 64)), "bad_source"),
    ],
)
def test_refused_in_words(peer: Peer, request_made: object, code: str) -> None:
    refusal(peer.ask(request_made), code)


def test_fetch_bounds(peer: Peer, tmp_path: Path) -> None:
    job_id = new_id()
    peer.submit(job_id, script(tmp_path, frames=500, pace_s=0.01))
    refusal(peer.ask(wire.Fetch(job_id, 0, 0, 10)), "not_finished")
    refusal(peer.ask(wire.Release(job_id)), "not_finished")
    peer.ask(wire.Cancel(job_id))
    peer.until_end(job_id)
    for file, offset, size in ((1, 0, 10), (-1, 0, 10), (0, -1, 10), (0, 0, 0), (0, 0, MAX_PART_BYTES + 1)):
        refusal(peer.ask(wire.Fetch(job_id, file, offset, size)), "bad_request")


def upload_source(data: bytes) -> wire.Source:
    return wire.Source("upload", "", "video.json", len(data), hashlib.sha256(data).hexdigest())


def part(job_id: str, offset: int, data: bytes) -> wire.UploadPart:
    return wire.UploadPart(job_id, offset, np.frombuffer(data, np.uint8))


def test_upload_in_parts_goes_on_where_it_stood(backend: Backend, peer: Peer) -> None:
    data = json.dumps({"frames": 7}).encode()
    job_id = new_id()
    accepted = peer.ask(wire.Submit(job_id, upload_source(data)))
    assert accepted.job.state == "receiving"
    assert peer.ask(part(job_id, 0, data[:4])).job.upload_offset == 4
    refusal(peer.ask(part(job_id, 2, data[2:])), "bad_offset")
    refusal(peer.ask(part(job_id, 4, data[4:] + b"more")), "bad_request")
    with Peer(backend.info) as other:
        again = other.ask(wire.Submit(job_id, upload_source(data)))
        assert again.job.upload_offset == 4
        assert other.ask(part(job_id, 4, data[4:])).job.state in ("queued", "running")
        chunks, done = other.until_end(job_id)
    assert isinstance(done, wire.Done)
    assert len(chunks) == 1
    left = {path.name for path in (backend.folder / "data" / "jobs" / job_id).iterdir()}
    assert left == {"job.json", "chunks", "result"}, "the video is not kept once it is solved"


def test_upload_with_a_wrong_hash_is_not_run(peer: Peer) -> None:
    data = json.dumps({"frames": 7}).encode()
    job_id = new_id()
    peer.ask(wire.Submit(job_id, upload_source(data)))
    refusal(peer.ask(part(job_id, 0, data[:-1] + b"!")), "bad_source")
    assert peer.ask(part(job_id, 0, data)).job.state in ("queued", "running")
    assert isinstance(peer.until_end(job_id)[1], wire.Done)


def test_another_protocol_version_is_refused_in_words(backend: Backend) -> None:
    with Peer(backend.info, hello=False) as peer:
        frames = encode(wire.Hello(backend.info.token), "h1")
        peer.socket.send_multipart([struct.pack("<4sHH", b"MRNT", 2, 0), *frames[1:]])
        reply = decode(peer.socket.recv_multipart(), FROM_SERVER)
    assert reply.request == "h1"
    assert refusal(reply.message, "version").message.count("2.0")
    assert "Update" in reply.message.remedy


def test_unknown_fields_are_ignored(backend: Backend) -> None:
    with Peer(backend.info, hello=False) as peer:
        version, header = encode(wire.Hello(backend.info.token), "h1")
        record = json.loads(bytes(header))
        record["fields"]["mood"] = "sunny"
        record["later"] = [1, 2]
        peer.socket.send_multipart([version, json.dumps(record).encode()])
        assert isinstance(decode(peer.socket.recv_multipart(), FROM_SERVER).message, wire.Welcome)


def test_every_reply_names_its_request(peer: Peer) -> None:
    for message in (wire.Ping(), wire.Status(), wire.ListJobs(), wire.Cancel("f" * 32)):
        request_id = peer.say(message)
        envelope = peer.hear()
        assert envelope is not None
        assert envelope.request == request_id


def test_status_counts_refusals_and_the_log_has_them(backend: Backend, peer: Peer) -> None:
    before = peer.status().refusals.get("unknown_job", 0)
    for _ in range(100):
        peer.ask(wire.Cancel("e" * 32))
    status = peer.status()
    assert status.refusals["unknown_job"] == before + 100
    assert status.workers[0].worker == "w0"
    assert status.memory_bytes > 1 << 20

    def logged() -> bool:
        lines = backend.log("refused")
        return sum(line["count"] for line in lines if line["code"] == "unknown_job") >= before + 100

    wait_for(logged, "the sums in the log", 5.0)
    total = sum(line["count"] for line in backend.log("refused") if line["code"] == "unknown_job")
    assert total == peer.status().refusals["unknown_job"]
