"""The product's own backend on a rendered clip: previews, a clip that opens, a cancel that keeps the worker."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend.bank.bank_file import read_bank
from backend.bank.large import LargeSettings, build_large_bank
from backend.embedding.model_files import BANK_FILE, TOWERS_FILE, WEIGHTS_DIR
from backend.embedding.tower_weights import read_towers, write_towers
from backend.embedding.towers_onnx import Towers
from blender_addon.motion.clip import read_clip
from blender_addon.wire import messages as wire
from tests.server.harness import REPOSITORY, Backend, Peer

VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"


def test_video_to_clip_through_the_service(own_backend: Backend) -> None:
    job_id = uuid.uuid4().hex
    options = wire.SolveOptions(quality="fast", start_s=0.0, end_s=1.0, gravity_camera=(0.1, 1.95, -0.3))
    with Peer(own_backend.info) as peer:
        peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), options))
        chunks, done = peer.until_end(job_id, 120.0)
        assert isinstance(done, wire.Done), done
        part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20))
        wrong = uuid.uuid4().hex
        peer.ask(wire.Submit(wrong, wire.Source("path", str(VIDEO)), wire.SolveOptions(quality="splendid")))
        failed = peer.until_end(wrong)[1]
    clip = read_clip(io.BytesIO(part.data.tobytes()))
    assert chunks
    assert chunks[0].space == "camera"
    assert set(chunks[0].frame_index.tolist()) <= set(range(len(clip)))
    np.testing.assert_allclose(np.linalg.norm(chunks[0].rotations_wxyz, axis=-1), 1.0, atol=1e-3)
    assert 10 < len(clip) < 61
    assert done.figures
    assert clip.header.gravity_source == "given"
    down = -clip.world_from_camera[:, 2, :3]
    np.testing.assert_allclose(down, np.tile(np.array([0.1, 1.95, -0.3]) / 1.9755, (len(clip), 1)), atol=1e-4)
    assert failed.code == "bad_input"
    assert "splendid" in failed.message


def test_a_stop_is_answered_within_a_second_and_the_kept_frames_become_a_solved_clip(own_backend: Backend) -> None:
    job_id = uuid.uuid4().hex
    with Peer(own_backend.info) as peer:
        peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), wire.SolveOptions(quality="best")))
        seen = 0
        while seen < 20:
            envelope = peer.hear(120.0)
            assert envelope is not None
            if isinstance(envelope.message, wire.MotionChunk):
                seen += len(envelope.message.frame_index)
        asked = time.monotonic()
        peer.ask(wire.Cancel(job_id))
        ending = peer.until_end(job_id)[1]
        seconds = time.monotonic() - asked
        if ending.finishing:
            ending = peer.until_end(job_id, 120.0)[1]
        assert isinstance(ending, wire.JobCancelled)
        assert not ending.finishing
        part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20))
        peer.ask(wire.Release(job_id))
    assert seconds < 1.0
    clip = read_clip(io.BytesIO(part.data.tobytes()))
    assert len(clip) >= 20
    assert any(warning.code == "stopped_early" for warning in clip.header.warnings)
    assert np.isfinite(clip.keypoints_px).any()  # of the solve, which a preview has not


def test_who_is_in_the_video_through_the_service(own_backend: Backend) -> None:
    options = wire.SolveOptions(quality="fast", start_s=0.0, end_s=1.0, person="all")
    job_id, refused = uuid.uuid4().hex, uuid.uuid4().hex
    with Peer(own_backend.info) as peer:
        source = wire.Source("path", str(VIDEO))
        peer.ask(wire.Submit(job_id, source, options, "people"))
        chunks, done = peer.until_end(job_id, 120.0)
        assert isinstance(done, wire.Done), done
        assert not chunks
        files = {
            file.name: peer.ask(wire.Fetch(job_id, place, 0, 1 << 20)).data for place, file in enumerate(done.files)
        }
        refusal = peer.ask(wire.Submit(refused, source, options, "horoscope"))
        conflict = peer.ask(wire.Submit(job_id, source, options, "solve"))
    people = json.loads(files["people.json"].tobytes())
    sheet = cv2.imdecode(files["people.png"], cv2.IMREAD_COLOR)
    assert done.figures == {"people": float(len(people))}
    assert len(people) >= 1
    left, top, size = people[0]["tile_px"]
    assert sheet[top : top + size, left : left + size].std() > 10
    assert 0.5 < people[0]["last_s"] - people[0]["first_s"] <= 1.0
    assert (refusal.code, conflict.code) == ("unsupported", "job_conflict")


def test_the_person_at_a_point_of_a_image(own_backend: Backend) -> None:
    """A point on somebody solves them; one beside everybody says so in words."""
    endings = {}
    with Peer(own_backend.info) as peer:
        for person in ("POINT", "1,1@5"):
            point = person
            if person == "POINT":
                point = _middle_of_the_person(peer)
            job_id = uuid.uuid4().hex
            options = wire.SolveOptions(quality="fast", start_s=0.0, end_s=1.0, person=point)
            peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), options))
            endings[person] = peer.until_end(job_id, 120.0)[1]
    assert isinstance(endings["POINT"], wire.Done), endings
    assert endings["1,1@5"].code == "no_person"


def test_a_point_counted_in_pixels_that_are_not_square(own_backend: Backend, tmp_path: Path) -> None:
    """As Blender counts them on an anamorphic video: the server scales the point when it is told the image's size."""
    video, (width, height) = _squeezed(tmp_path / "anamorphic.mp4")
    endings = []
    with Peer(own_backend.info) as peer:
        x, rest = _middle_of_the_person(peer).split(",")
        for size in ((width, height), (0, 0)):
            job_id = uuid.uuid4().hex
            options = wire.SolveOptions(
                *(0.0, 1.0, f"{float(x) / 4:.1f},{rest}"),
                quality="fast",
                picture_width_px=size[0],
                picture_height_px=size[1],
            )
            peer.ask(wire.Submit(job_id, wire.Source("path", str(video)), options))
            endings.append(peer.until_end(job_id, 120.0)[1])
    assert isinstance(endings[0], wire.Done), endings
    assert getattr(endings[1], "code", "") == "no_person", endings


def _squeezed(path: Path) -> tuple[Path, tuple[int, int]]:
    """The first second of the demo's video at a quarter of its width, and pixels four times as wide as high."""
    with av.open(str(VIDEO)) as video, av.open(str(path), "w") as out:
        source = video.streams.video[0]
        stream = out.add_stream("libx264", rate=source.average_rate)
        stream.width, stream.height, stream.pix_fmt = source.width // 4, source.height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 1)
        for image in itertools.islice(video.decode(source), 40):
            out.mux(stream.encode(image.reformat(width=stream.width, height=stream.height)))
        out.mux(stream.encode(None))
    return path, (stream.width, stream.height)


def _middle_of_the_person(peer: Peer) -> str:
    """Where the largest person's hips are in image 5, as the option takes it."""
    job_id = uuid.uuid4().hex
    peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), wire.SolveOptions(quality="fast", end_s=1.0)))
    assert isinstance(peer.until_end(job_id, 120.0)[1], wire.Done)
    clip = read_clip(io.BytesIO(peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20)).data.tobytes()))
    hips = [clip.keypoint_names.index(f"{side}_hip") for side in ("left", "right")]
    x, y = clip.keypoints_px[5, hips].mean(axis=0)
    return f"{x:.1f},{y:.1f}@5"


def test_a_backend_with_temporal_towers_and_a_bank_of_ones_own(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from backend.embedding.temporal_tower import TemporalSizes, TemporalTower, temporal_weights

    torch.manual_seed(0)
    shipped = read_towers(WEIGHTS_DIR / TOWERS_FILE)
    image = temporal_weights(TemporalTower(TemporalSizes(24, 1, 8, 48, 2, 32)))
    write_towers(replace(shipped, image=image), tmp_path / "towers.safetensors")
    poses = read_bank(WEIGHTS_DIR / BANK_FILE).candidates.rotations_wxyz[:300]
    build_large_bank(poses, Towers(shipped), LargeSettings(1500, 5), tmp_path / "bank", {})
    own = ("--towers", str(tmp_path / "towers.safetensors"), "--bank", str(tmp_path / "bank"))
    program = ("-m", "backend", "serve", *own)
    backend, job_id = Backend(tmp_path / "backend", program=program).start(), uuid.uuid4().hex
    try:
        with Peer(backend.info) as peer:
            options = wire.SolveOptions(quality="fast", start_s=0.0, end_s=0.5)
            peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), options))
            assert isinstance(peer.until_end(job_id, 120.0)[1], wire.Done)
            clip = read_clip(io.BytesIO(peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20)).data.tobytes()))
    finally:
        assert backend.stop() == 0
    assert clip.header.model.endswith("-1500")
    assert read_towers(tmp_path / "towers.safetensors").image_hash[:8] in clip.header.model


def test_a_backend_whose_bank_is_none_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backend", "serve", "--data-dir", str(tmp_path / "data"), "--bank", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
    assert done.returncode not in (0, 1)
    assert f"{tmp_path} is not a complete large bank" in done.stderr
