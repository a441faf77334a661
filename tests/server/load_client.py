"""One client of the load test, a process of its own: submits its jobs, cancels some, checks every frame and file.

    load_client.py CONNECTION_FILE FOLDER NUMBER JOBS

Prints one JSON object: the endings by job, what was cancelled, and any fault.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from blender_addon.wire import messages as wire
from blender_addon.wire.connection_file import read_connection_file
from tests.server.harness import Peer, script


def main() -> None:
    connection_file, folder, number, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(number)
    endings: dict[str, str] = {}
    with Peer(read_connection_file(connection_file)) as peer:
        for _ in range(jobs):
            job_id, frames = uuid.uuid4().hex, chance.randrange(10, 60)
            video = script(folder, f"{job_id}.json", frames=frames, pace_s=0.001, chunk=7)
            submit_patiently(peer, job_id, video)
            cancelled = chance.random() < 0.3
            if cancelled:
                time.sleep(chance.random() * 0.2)
                peer.ask(wire.Cancel(job_id))
            chunks, ending = peer.until_end(job_id, 120.0)
            endings[job_id] = check(peer, chunks, ending, frames, cancelled)
            assert peer.ask(wire.Release(job_id), 60.0) == wire.Released(job_id)
    sys.stdout.write(json.dumps(endings))


def submit_patiently(peer: Peer, job_id: str, video: Path) -> None:
    while True:
        reply = peer.submit(job_id, video)
        if isinstance(reply, wire.Accepted):
            return
        assert reply.code == "queue_full", reply
        time.sleep(0.05)


def check(peer: Peer, chunks: list[wire.MotionChunk], ending: Any, frames: int, cancelled: bool) -> str:
    """Nothing lost, nothing doubled: the frames are 0, 1, 2, ... up to the end, and the file is whole."""
    seen = [frame for chunk in chunks for frame in chunk.frame_index.tolist()]
    assert seen == list(range(len(seen))), seen
    if isinstance(ending, wire.Done):
        assert len(seen) == frames
    else:
        assert cancelled
        assert isinstance(ending, wire.JobCancelled), ending
        assert len(seen) == ending.frames_kept
    for place, file in enumerate(ending.files):
        part = peer.ask(wire.Fetch(ending.job_id, place, 0, 1 << 20), 60.0)
        assert hashlib.sha256(part.data.tobytes()).hexdigest() == file.sha256
    return ending.kind


if __name__ == "__main__":
    main()
