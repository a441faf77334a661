"""Bake speed against Blender's own `nla.bake`, in one run on one machine: 66 bones x 10,000 frames.

    .venv-bpy-4.5/bin/python benchmarks/bake.py [--frames 10000] [--peer-frames 500] [--json]

Ours writes all frames. The peer bakes the same motion from an action on the same rig (visual keying off), over
`--peer-frames` frames; its time grows at least linearly, so its whole time is taken as that rate times the frames,
which favours the peer. Wall time, and the process' own processor time where other programs share the machine.
Exit status 3 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import MISSED
from blender_addon.motion.rotations import rotvec_to_quaternion
from blender_addon.retarget.baked_pose import BakedPose, RetargetReport
from blender_addon.rig.bake import BakeOptions, bake

BONES = 66
MOST_S, LEAST_TIMES = 2.0, 20.0


@dataclass(frozen=True)
class Result:
    """Seconds of wall and processor time."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], Any]) -> Result:
    """Run something and take its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Result(time.perf_counter() - wall, time.process_time() - cpu)


def make_rig() -> Any:
    """A chain-free rig of 66 bones."""
    bpy.ops.wm.read_homefile(use_empty=True)
    data = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    rig.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    for number in range(BONES):
        bone = data.edit_bones.new(f"bone.{number:02d}")
        bone.head, bone.tail = (number * 0.1, 0, 0), (number * 0.1, 0, 0.1)
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def make_pose(rig: Any, frames: int) -> BakedPose:
    """Smooth random rotations of every bone."""
    rng = np.random.default_rng(0)
    times = np.arange(frames) / 24.0
    phase = rng.uniform(0, 2 * np.pi, (BONES, 1, 3))
    turns = 0.8 * np.sin(2 * np.pi * 0.5 * times[None, :, None] + phase)
    return BakedPose(
        times_s=times,
        bone_names=tuple(bone.name for bone in rig.pose.bones),
        rotation_modes=("QUATERNION",) * BONES,
        rotations_wxyz=rotvec_to_quaternion(turns),
        locations=(),
        object_motion=None,
        properties=(),
        present=np.ones(frames, dtype=bool),
        report=RetargetReport((), (), (), {}),
    )


def peer_bake(frames: int) -> None:
    """Blender's own bake of the active action into a new one."""
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.pose.select_all(action="SELECT")
    bpy.ops.nla.bake(
        frame_start=1,
        frame_end=frames,
        step=1,
        only_selected=True,
        visual_keying=False,
        clear_constraints=False,
        use_current_action=False,
        bake_types={"POSE"},
        channel_types={"ROTATION"},
    )
    bpy.ops.object.mode_set(mode="OBJECT")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--peer-frames", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rig = make_rig()
    pose = make_pose(rig, options.frames)
    ours = timed(lambda: bake(rig, pose, BakeOptions(name="Ours")))
    keys = BONES * 4 * options.frames
    peer_part = timed(lambda: peer_bake(options.peer_frames))
    growth = options.frames / options.peer_frames
    peer = Result(peer_part.wall_s * growth, peer_part.cpu_s * growth)
    told = {
        "blender": bpy.app.version_string,
        "keys": keys,
        "ours": asdict(ours),
        "peer_measured": {"frames": options.peer_frames, **asdict(peer_part)},
        "peer_at_least": asdict(peer),
        "times_faster_cpu": peer.cpu_s / ours.cpu_s,
        "times_faster_wall": peer.wall_s / ours.wall_s,
    }
    outcome = 0 if ours.wall_s <= MOST_S and told["times_faster_wall"] >= LEAST_TIMES else MISSED
    if options.json:
        print(json.dumps(told))
        return outcome
    print(f"Blender {told['blender']}: {BONES} bones x {options.frames} frames, {keys} keys")
    print(f"  ours      {ours.wall_s:7.2f} s wall, {ours.cpu_s:7.2f} s processor")
    source = f"at least (from {options.peer_frames} frames)"
    print(f"  nla.bake  {peer.wall_s:7.1f} s wall, {peer.cpu_s:7.1f} s processor, {source}")
    print(f"  {peer.cpu_s / ours.cpu_s:.0f} times faster by processor, {peer.wall_s / ours.wall_s:.0f} by wall time")
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
