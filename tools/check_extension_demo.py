"""The demo from inside an installed extension: zip, backend, capture, retarget, bake, exports, by its own operators.

    .venv-bpy-4.5/bin/python tools/check_extension_demo.py dist/marionet-0.1.0.zip [--backend-python .venv/bin/python]

Without --backend-python the extension's own Set Up Backend makes the backend's environment, no field filled in: from
the wheel and the locks in the zip, with packages from the package index. With it, that field alone is filled in.
The zip is installed into an empty profile; the video that it brings is captured and baked onto the character that it
brings. The baked motion is measured on the evaluated armature, against the clip and against the truth that the video
was rendered from. Standard library, bpy, and what the extension carries.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from check_extension_install import PACKAGE, InstallError, install, remove, require

REPOSITORY_ROOT = Path(__file__).resolve().parents[1]
TRUTH = REPOSITORY_ROOT / "assets" / "demo_clip.npz"
LIMBS = {f"{side} {limb}": joints for side in ("left", "right") for limb, joints in {
    "arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")}.items()}  # fmt: skip
# limbs of the rig against the clip that was baked onto it; bends and travel against the rendered truth
LARGEST_DIRECTION_DEG, LARGEST_BEND_DEG, LARGEST_TRAVEL_SHARE = 1.0, 15.0, 0.15


@dataclass(frozen=True, slots=True)
class Found:
    """What the demo found, for the last line of output."""

    blender: str
    set_up_s: float
    capture_s: float
    frames: int
    keys: int
    direction_deg: float
    bend_deg: float
    travel_share: float
    exports: list[str]
    seconds: float


def addon(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{PACKAGE}.blender_addon.{name}")


def truth() -> Any:
    """The arrays that the video was rendered from (`VideoTruth` in backend/synthesis/video.py)."""
    import numpy as np

    with np.load(TRUTH) as archive:
        return {name: archive[name] for name in archive.files}


def set_up(backend_python: Path | None) -> float:
    """The backend by one field, or by Set Up Backend with none; how long that took in seconds."""
    import bpy

    began = time.monotonic()
    if backend_python is not None:
        bpy.context.preferences.addons[PACKAGE].preferences.backend_python = str(backend_python)
        return time.monotonic() - began
    bpy.context.preferences.system.use_online_access = True
    try:
        done = bpy.ops.marionet.setup_backend()
    except RuntimeError as fault:  # an operator that reports an error raises
        log = (
            addon("session.session_state").STATE.setup.log_tail(40)
            if addon("session.session_state").STATE.setup
            else []
        )
        raise InstallError("\n".join([str(fault), *log])) from fault
    require(done == {"FINISHED"}, addon("session.session_state").STATE.last_error)
    return time.monotonic() - began


def capture(profile: Path) -> Any:
    """Start the backend and solve the video that the zip brings; returns the clip."""
    import bpy

    chosen = bpy.context.preferences.addons[PACKAGE].preferences
    chosen.clip_dir = str(profile / "clips")
    require(bpy.ops.marionet.connect_backend() == {"FINISHED"}, "the backend did not start")
    video = addon("rig.sample").SAMPLE_VIDEO
    require(Path(video).is_relative_to(profile.resolve()), f"the video {video} is not the zip's own")
    settings = bpy.context.scene.marionet.capture
    settings.video, settings.quality = str(video), "fast"
    settings.know_height = True
    settings.height_m = float(truth()["height_m"])
    require(bpy.ops.marionet.capture() == {"FINISHED"}, addon("session.session_state").STATE.last_error)
    entry = bpy.context.scene.marionet.clips[0]
    return addon("session.session_state").STATE.load_clip(Path(entry.filepath)).clip


def bake() -> tuple[Any, Any]:
    """Load the character, choose the captured clip, bake; returns the armature and the report's first line."""
    import bpy

    kept = bpy.context.scene.marionet
    require(bpy.ops.marionet.load_sample() == {"FINISHED"}, "the sample did not load")
    kept.clip_index = 0
    kept.retarget.placement = "WORLD"
    kept.retarget.plant_feet = False  # so that limbs can be compared with the clip's to a degree
    require(bpy.ops.marionet.bake() == {"FINISHED"}, addon("session.session_state").STATE.last_error)
    return kept.retarget.armature, addon("session.session_state").STATE.bake_lines[0]


def posed_joints(armature: Any, times_s: Any) -> Any:
    """World positions (T, 6 limbs' joints) by joint name, on the evaluated armature at the clip's times."""
    import bpy
    import numpy as np

    scene = bpy.context.scene
    rows = {row.name: row.bone for row in scene.marionet.retarget.rows if row.bone}
    places: dict[str, list[Any]] = {name: [] for name in rows}
    fps = scene.render.fps / scene.render.fps_base
    for time_s in times_s:
        frame = scene.marionet.bake.frame_start + float(time_s) * fps
        scene.frame_set(int(frame), subframe=frame % 1.0)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for name, bone in rows.items():
            places[name].append(posed.matrix_world @ posed.pose.bones[bone].head)
    return {name: np.array(found) for name, found in places.items()}


def clip_joints(clip: Any) -> Any:
    """World positions of a clip's joints by name."""
    positions = addon("motion.posing").pose_clip(clip).positions_m
    return {name: positions[:, joint] for joint, name in enumerate(clip.body_joint_names)}


def measure(armature: Any, clip: Any) -> tuple[float, float, float]:
    """Largest limb direction error in degrees, median bend error in degrees, travel error as a share."""
    import numpy as np

    at_frames = addon("motion.resampling").resample_clip(clip, 24.0)
    times = at_frames.times_s - at_frames.times_s[0]
    got, wanted = posed_joints(armature, times), clip_joints(at_frames)
    known = truth()
    rows = [int(np.abs(known["times_s"] - time_s).argmin()) for time_s in times]
    positions = np.asarray(known["body_joints_camera_m"], np.float64)[rows]
    right = {name: positions[:, joint] for joint, name in enumerate(clip.body_joint_names)}
    worst, bends = 0.0, []
    for limb, joints in LIMBS.items():
        a, b, c = (f"{limb.split()[0]}_{joint}" for joint in joints)
        for upper, lower in ((a, b), (b, c)):
            worst = max(worst, float(_angles(got[lower] - got[upper], wanted[lower] - wanted[upper]).max()))
        bend = [_angles(found[b] - found[a], found[c] - found[b]) for found in (got, right)]
        bends.append(np.abs(bend[0] - bend[1]))
    travel = [np.linalg.norm(found["pelvis"][-1] - found["pelvis"][0]) for found in (wanted, right)]
    return worst, float(np.median(np.concatenate(bends))), abs(float(travel[0] / travel[1]) - 1.0)


def _angles(one: Any, other: Any) -> Any:
    import numpy as np

    cosine = np.sum(one * other, axis=-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def export(profile: Path) -> list[str]:
    """The baked action in every export format; their names with sizes."""
    import bpy

    formats = addon("motion.export_formats").EXPORT_FORMATS
    written = []
    for ending in (one.endings[0] for one in formats):
        path = profile / f"demo{ending}"
        require(bpy.ops.marionet.export(filepath=str(path), with_mesh=False) == {"FINISHED"}, f"no export to {ending}")
        require(path.stat().st_size > 10_000, f"{path.name} is empty")
        written.append(f"{path.name} {path.stat().st_size // 1024} KiB")
    return written


def run(archive: Path, profile: Path, backend_python: Path | None, keep: bool = False) -> Found:
    """Everything, in order; with `keep` without the removal, which takes the environment along. Raises InstallError
    with what went wrong.
    """
    import bpy

    began = time.monotonic()
    install(archive, profile)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 24
    set_up_s = set_up(backend_python)
    captured = time.monotonic()
    clip = capture(profile)
    capture_s = time.monotonic() - captured
    armature, headline = bake()
    worst, bend, travel = measure(armature, clip)
    require(worst < LARGEST_DIRECTION_DEG, f"a limb points {worst:.2f} degrees away from the clip's")
    require(bend < LARGEST_BEND_DEG, f"elbows and knees bend {bend:.1f} degrees off the truth (median)")
    require(travel < LARGEST_TRAVEL_SHARE, f"the way through the world is {100 * travel:.0f} % off the truth")
    keys = int(headline.rsplit(", ", 1)[1].split()[0])
    exports = export(profile)
    addon("session.backend").close_link()
    if not keep:
        remove()
    seconds = time.monotonic() - began
    version = bpy.app.version_string
    return Found(version, set_up_s, capture_s, len(clip), keys, worst, bend, travel, exports, seconds)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--backend-python", type=Path, help="use this backend instead of Set Up Backend")
    parser.add_argument("--profile", type=Path, help="make Blender's profile in this folder, and remove it afterwards")
    parser.add_argument("--keep", action="store_true", help="leave the extension installed, with its environment")
    options = parser.parse_args()
    require(options.archive.is_file(), f"{options.archive} does not exist; run make extension")
    python = options.backend_python
    require(python is None or python.is_file(), f"{python} does not exist; run make venv")
    if options.profile is not None:
        options.profile.mkdir(parents=True, exist_ok=True)
    profile = Path(tempfile.mkdtemp(prefix="marionet-demo-", dir=options.profile)).resolve()
    os.environ["BLENDER_USER_RESOURCES"] = str(profile)
    status = 1
    try:
        python = python.absolute() if python is not None else None
        found = run(options.archive.resolve(), profile, python, options.keep)
        print(json.dumps({name: getattr(found, name) for name in found.__slots__}))
        status = 0
    except (InstallError, RuntimeError) as fault:
        print(f"FAILED: {fault}", file=sys.stderr)
    finally:
        if not options.keep:
            shutil.rmtree(profile, ignore_errors=True)
    return status


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # see tools/blender_pytest.py
