"""The product's own backend on a rendered clip: previews, a clip that opens, a cancel that keeps the worker."""

from __future__ import annotations

import io
import uuid
from pathlib import Path

import numpy as np

from blender_addon.motion.clip import read_clip
from blender_addon.wire import messages as wire
from tests.server.harness import REPOSITORY, Backend, Peer

VIDEO = REPOSITORY / "assets" / "demo_clip.mp4"


def test_video_to_clip_through_the_service(tmp_path: Path) -> None:
    backend = Backend(tmp_path / "backend", program=("-m", "backend", "serve")).start()
    try:
        job_id = uuid.uuid4().hex
        options = wire.SolveOptions(quality="fast", start_s=0.0, end_s=1.0)
        with Peer(backend.info) as peer:
            peer.wait_until_ready()
            peer.ask(wire.Submit(job_id, wire.Source("path", str(VIDEO)), options))
            chunks, done = peer.until_end(job_id, 120.0)
            assert isinstance(done, wire.Done), done
            part = peer.ask(wire.Fetch(job_id, 0, 0, 1 << 20))
            wrong = uuid.uuid4().hex
            peer.ask(wire.Submit(wrong, wire.Source("path", str(VIDEO)), wire.SolveOptions(quality="splendid")))
            failed = peer.until_end(wrong)[1]
    finally:
        code = backend.stop()
    assert code == 0
    clip = read_clip(io.BytesIO(part.data.tobytes()))
    assert chunks
    assert chunks[0].space == "camera"
    assert set(chunks[0].frame_index.tolist()) <= set(range(len(clip)))
    np.testing.assert_allclose(np.linalg.norm(chunks[0].rotations_wxyz, axis=-1), 1.0, atol=1e-3)
    assert 10 < len(clip) < 61
    assert done.figures
    assert failed.code == "bad_input"
    assert "splendid" in failed.message
