"""The first example of docs/python_api.md runs as it is written, on the demo clip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from blender_addon.motion.clip import read_clip

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "python_api.md"
DEMO = ROOT / "assets" / "demo_clip.mp4"
END_FRAME = 24


def _first_example() -> str:
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found, "docs/python_api.md has no Python example"
    return found.group(1)


def _replaced(code: str, old: str, new: str) -> str:
    assert code.count(old) == 1, f"the example has {old!r} {code.count(old)} times"
    return code.replace(old, new)


def _short(code: str, output: Path) -> str:
    """The example with real files, the fast quality and a short range."""
    code = _replaced(code, 'Path("dance.mp4")', f"Path({str(DEMO)!r})")
    fast = f"quality=SolveQuality.FAST, range=FrameRange(0, {END_FRAME})"
    code = _replaced(code, 'output=Path("dance.npz")', f"output=Path({str(output)!r}), {fast}")
    imports = "from backend.solving.request import SolveQuality\nfrom backend.video.ranges import FrameRange\n"
    return imports + code


def test_the_first_example_solves_a_video(tmp_path: Path) -> None:
    output = tmp_path / "dance.npz"
    ran = subprocess.run(
        (sys.executable, "-c", _short(_first_example(), output)),
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    clip = read_clip(output)
    first_line = ran.stdout.splitlines()[0]
    assert first_line.startswith(f"{output} {len(clip)} frames ")
    assert len(clip) == END_FRAME
    assert clip.root_world_m.shape == (len(clip), 3)
