"""A disk that fills while an image or a video is written: the old file stays, and no half one is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from backend.errors import OutputError
from backend.visualization import write_overlay, write_plot, write_sheet
from backend.images import write_image
from backend.video import open_video
from tests.contracts.test_clip import make_clip

target = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
video = Path("assets/demo_clip.mp4")
noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3)).astype(np.uint8)
write = {
    "overlay.mp4": lambda: write_overlay(open_video(video), [], target),
    "sheet.png": lambda: write_sheet(open_video(video), [make_clip()], target),
    "people.png": lambda: write_image(noise, target),
    "plot.png": lambda: write_plot([make_clip()], target),
}[target.name]
try:
    write()
except OutputError as fault:
    print(fault)
    raise SystemExit(6)
"""


@pytest.mark.skipif(os.name != "posix", reason="the size of files is limited on POSIX systems only")
@pytest.mark.parametrize("name", ["overlay.mp4", "sheet.png", "people.png", "plot.png"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    """The limit on a file's size stands for the disk: the system refuses the write in the middle."""
    target = tmp_path / name
    target.write_bytes(b"the old one")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(target)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 6, done.stderr[-2000:]
    assert "cannot be written" in done.stdout
    assert target.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [target]
