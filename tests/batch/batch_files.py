"""What result files hold, without what differs from one writing to the next (dates, random identities)."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import av
import numpy as np

from blender_addon.motion.clip import read_clip
from blender_addon.motion.export_formats import all_endings

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "tools" / "batch_contents.py"
_OF_BLENDER = {*all_endings(), ".blend"}


def contents_of(folder: Path, blender_python: Path | None) -> dict[str, str]:
    """Name -> digest of the content of every result below a folder; opens each, and fails where one does not open."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".batch" not in path.parts]
    files = [path for path in files if path.name not in ("index.html", "report.json")]
    found = {path: _digest(path) for path in files if path.suffix not in _OF_BLENDER}
    for_blender = [path for path in files if path.suffix in _OF_BLENDER]
    if for_blender:
        assert blender_python is not None
        command = [str(blender_python), str(INSIDE), *map(str, for_blender)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout.splitlines()[-1])
        found |= {path: json.dumps(told[str(path)], sort_keys=True) for path in for_blender}
    return {path.relative_to(folder).as_posix(): digest for path, digest in sorted(found.items())}


def _digest(path: Path) -> str:
    if path.suffix == ".npz":
        clip = read_clip(path)
        parts = [np.ascontiguousarray(getattr(clip, name)).tobytes() for name in ("times_s", "rotations_wxyz")]
        parts += [np.ascontiguousarray(clip.root_world_m).tobytes(), repr(clip.header).encode()]
        return hashlib.sha256(b"".join(parts)).hexdigest()
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]
        assert frames, path
        return hashlib.sha256(b"".join(frames)).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
