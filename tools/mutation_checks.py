"""Break the code in known ways, one at a time, in a copy: the named tests must be green before and red after.

    .venv/bin/python tools/mutation_checks.py [--only WORD] [--list]

A test that stays green when a sign in the retarget, a unit in the camera or an index in the codec is wrong would
prove nothing. Exit status 1 when a breakage goes unnoticed, or when a line to break is no longer there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEST_FAILED = 1  # pytest's own exit status; 2 and above mean that the tests did not run


@dataclass(frozen=True, slots=True)
class Breakage:
    """One fault: what it stands for, the line that is replaced, and the tests that must notice."""

    name: str
    path: str
    line: str
    broken: str
    tests: str


BREAKAGES = (
    Breakage(
        "rotations: sign of a quaternion product",
        "blender_addon/motion/rotations.py",
        "aw * bx + ax * bw + ay * bz - az * by",
        "aw * bx + ax * bw - ay * bz - az * by",
        "tests/contracts",
    ),
    Breakage(
        "camera: field of view taken as radians",
        "backend/camera/intrinsics.py",
        "math.tan(math.radians(fov_deg) / 2.0)",
        "math.tan(fov_deg / 2.0)",
        "tests/camera",
    ),
    Breakage(
        "camera: virtual camera rolled the other way",
        "backend/camera/virtual_camera.py",
        "return np.asarray(-np.arctan2(torso[:, 0], -torso[:, 1]))",
        "return np.asarray(np.arctan2(torso[:, 0], -torso[:, 1]))",
        "tests/camera",
    ),
    Breakage(
        "camera: distortion not undone",
        "backend/camera/lens.py",
        "return _undistorted(points.reshape(-1, 2), intrinsics.distortion).reshape(points.shape) if bent else points",
        "return points",
        "tests/camera",
    ),
    Breakage(
        "codec: array read back in another order",
        "blender_addon/wire/codec.py",
        "view = np.frombuffer(buffer, dtype=dtype).reshape(shape)",
        "view = np.frombuffer(buffer, dtype=dtype)[::-1].reshape(shape)",
        "tests/wire/test_codec_round_trip.py",
    ),
    Breakage(
        "retarget: sides of the body crossed over",
        "blender_addon/retarget/rest_alignment.py",
        "forward = np.cross(left, up)",
        "forward = np.cross(up, left)",
        "tests/retarget/test_orientation.py",
    ),
    Breakage(
        "retarget: rest pose of the rig taken the wrong way round",
        "blender_addon/retarget/drive_bones.py",
        "return quaternion_conjugate(self.aligned_wxyz[self.source.body.joint_index(joint)])",
        "return self.aligned_wxyz[self.source.body.joint_index(joint)]",
        "tests/retarget/test_orientation.py",
    ),
    Breakage(
        "filters: cut-off twice too high",
        "blender_addon/motion/temporal.py",
        "cutoff = spec.cutoff_hz * 2.0 * interval_s",
        "cutoff = spec.cutoff_hz * 4.0 * interval_s",
        "tests/motion/test_temporal.py",
    ),
    Breakage(
        "search: candidates numbered from the block's start",
        "backend/bank/search.py",
        "best.offer(out, start)",
        "best.offer(out, 0)",
        "tests/bank/test_search.py",
    ),
    Breakage(
        "codec: buffers shifted by one",
        "blender_addon/wire/codec.py",
        '_arrays(plan, header.get("arrays"), frames[2:])',
        '_arrays(plan, header.get("arrays"), frames[1:])',
        "tests/wire/test_codec_round_trip.py",
    ),
    Breakage(
        "accuracy: truth turned the wrong way into the camera",
        "backend/evaluation/recording.py",
        "truth = recording.joints_world_m @ camera.camera_from_world.T",
        "truth = recording.joints_world_m @ camera.camera_from_world",
        "tests/evaluation/test_recording.py",
    ),
    Breakage(
        "accuracy: frames of the video taken for frames of the truth",
        "backend/evaluation/recording.py",
        "frame = np.rint(times_s * recording.fps).astype(int)",
        "frame = np.arange(len(times_s))",
        "tests/evaluation/test_recording.py",
    ),
    Breakage(
        "batch: options left out of what makes a clip finished",
        "backend/batch/planning.py",
        '"animate": asdict(replace(order.animate, rig="")) if order.needs_blender else None,',
        '"animate": None,',
        "tests/batch/test_planning.py",
    ),
    Breakage(
        "batch: two clips of one name write over each other",
        "backend/batch/planning.py",
        "    if first is clip:\n        return clip\n",
        "    return clip\n",
        "tests/batch/test_planning.py",
    ),
)


def copy_of_the_tree(target: Path) -> None:
    """Everything that git tracks or would track, without environments and outputs."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(tree: Path, tests: str) -> int:
    """Exit status of pytest on one path, stopping at the first failure."""
    environment = {**os.environ, "MARIONET_SHARED": os.environ.get("MARIONET_SHARED", str(ROOT.parent / "shared"))}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--durations=0", *tests.split()]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False).returncode


def apply(tree: Path, breakage: Breakage) -> str | None:
    """Break one line; returns the untouched text, or None when the line is not there exactly once."""
    path = tree / breakage.path
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if before.count(breakage.line) != 1:
        return None
    path.write_text(before.replace(breakage.line, breakage.broken), encoding="utf-8")
    return before


def check(tree: Path, breakage: Breakage) -> str:
    """Apply, test, restore; returns what to complain about, empty when the breakage was noticed."""
    before = apply(tree, breakage)
    if before is None:
        return f"{breakage.path} no longer holds this line exactly once: {breakage.line}"
    try:
        status = run_tests(tree, breakage.tests)
    finally:
        (tree / breakage.path).write_text(before, encoding="utf-8")
    if status == TEST_FAILED:
        return ""
    return "no test noticed" if status == 0 else f"the tests did not run (pytest exit status {status})"


def run_all(chosen: list[Breakage]) -> list[str]:
    """Check every breakage; returns the complaints."""
    complaints = []
    with tempfile.TemporaryDirectory(prefix="marionet-mutation-") as folder:
        tree = Path(folder) / "marionet"
        copy_of_the_tree(tree)
        for tests in sorted({breakage.tests for breakage in chosen}):
            status = run_tests(tree, tests)
            if status != 0:
                return [f"{tests} is not green to begin with (pytest exit status {status})"]
        for breakage in chosen:
            began = time.monotonic()
            complaint = check(tree, breakage)
            print(f"{'noticed' if not complaint else 'MISSED '} {breakage.name} ({time.monotonic() - began:.0f} s)")
            if complaint:
                complaints.append(f"{breakage.name}: {complaint}")
    return complaints


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only breakages whose name holds this word")
    parser.add_argument("--list", action="store_true", help="name the breakages and stop")
    options = parser.parse_args()
    chosen = [breakage for breakage in BREAKAGES if options.only in breakage.name]
    if options.list:
        print("\n".join(f"{one.name}: {one.path} -> {one.tests}" for one in chosen))
        return 0
    complaints = run_all(chosen)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main())
