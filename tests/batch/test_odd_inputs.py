"""Clips and names as people have them in a batch: each is done, or fails alone under the name that the user knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.batch.planning import name_clips
from backend.batch.solve_cache import record_name, short_name
from backend.batch.tasks import ClipTask
from blender_addon.motion.clip import ClipError, read_clip
from blender_addon.motion.resampling import check_gaps, resample_clip, shorten_pauses
from tests.batch.batch_runs import BLENDER, RENDERED, ROOT, needs_blender

SAMPLE = ROOT / "assets" / "sample_clip.npz"
pytestmark = pytest.mark.timeout(200)


def changed(path: Path, header: dict[str, Any] | None = None, **arrays: np.ndarray) -> Path:
    """The sample clip with other values."""
    with np.load(SAMPLE, allow_pickle=False) as data:
        record = {name: data[name] for name in data.files}
    head = {**json.loads(str(record["header"])), **(header or {})}
    np.savez_compressed(path, **{**record, "header": np.array(json.dumps(head)), **arrays})
    return path


def sample(name: str) -> np.ndarray:
    with np.load(SAMPLE, allow_pickle=False) as data:
        return np.array(data[name])


def with_pause(path: Path, pause_s: float) -> Path:
    times = sample("times_s").copy()
    times[20:] += pause_s
    return changed(path, times_s=times)


@needs_blender
def test_each_odd_clip_is_named_with_a_remedy_that_fits(start: Any, tmp_path: Path) -> None:
    (tmp_path / "cut_off.npz").write_bytes(SAMPLE.read_bytes()[:5000])
    (tmp_path / "empty.npz").touch()
    changed(tmp_path / "future.npz", {"version": 2})
    repeated = sample("times_s").copy()
    repeated[3] = repeated[2]
    changed(tmp_path / "equal.npz", times_s=repeated)
    moving = ("rotations_wxyz", "root_world_m", "root_camera_m", "joints_camera_m")
    nobody = {name: np.full_like(sample(name), np.nan) for name in moving}
    changed(tmp_path / "nobody.npz", confidence=0 * sample("confidence"), **nobody)
    with_pause(tmp_path / "paused.npz", 3600.0)
    clips = sorted(tmp_path.glob("*.npz"))
    done = start(*clips, "--format", "bvh", "--blender", BLENDER).finish()
    assert done.code == 1
    said = {
        "cut_off": ("is not a readable Marionet clip", "Solve the video again"),
        "empty": ("is empty", "Copy or export"),
        "future": ("has clip format version 2", "Update Marionet"),
        "equal": ("times_s must increase", "Solve the video again"),
        "nobody": ("Nobody is solved in any frame", "Solve another person"),
    }
    for name, (message, remedy) in said.items():
        told = done.report[f"{name}/{name}"]["error"]
        assert message in told
        assert told.count(remedy) == 1
        assert ".batch" not in told
        assert name == "nobody" or str(tmp_path / f"{name}.npz") in told
    paused = done.report["paused/paused"]
    assert paused["status"] == "done"
    assert any("pauses for 3600 s" in warning for warning in paused["warnings"])
    assert (done.out / "paused" / "paused.bvh").stat().st_size < 8_000_000


@needs_blender
def test_an_armature_without_bones_is_named(start: Any, tmp_path: Path) -> None:
    script = (
        "import bpy, sys; bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True); "
        "bpy.context.scene.collection.objects.link(bpy.data.objects.new('A', bpy.data.armatures.new('A'))); "
        f"bpy.ops.wm.save_as_mainfile(filepath={str(tmp_path / 'rig.blend')!r})"
    )
    subprocess.run([BLENDER, "-c", script], check=True, capture_output=True, timeout=120)
    shutil.copyfile(SAMPLE, tmp_path / "walk.npz")
    words = (tmp_path / "walk.npz", "--rig", tmp_path / "rig.blend", "--format", "fbx", "--blender", BLENDER)
    done = start(*words).finish()
    told = done.report["walk/walk"]["error"]
    assert "has no bones" in told
    assert "rigged character" in told


def test_names_of_any_bytes_and_length_are_done(start: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in" / os.fsdecode(b"d\xe9")
    folder.mkdir(parents=True)
    shutil.copyfile(RENDERED, folder / os.fsdecode(b"caf\xe9.mp4"))
    shutil.copyfile(RENDERED, folder / ("z" * 251 + ".mp4"))
    done = start(tmp_path / "in", "--format", "clip").finish()
    assert done.code == 0, done.errors
    made = sorted(path.name for path in done.out.rglob("*.npz") if ".batch" not in path.parts)
    assert made[0] == "caf.npz"
    assert len(made) == 2
    assert (done.out / "index.html").read_text(encoding="utf-8")


def test_long_names_are_cut_and_stay_apart() -> None:
    name = "跳" * 120
    assert short_name("short", 10) == "short"
    cut = short_name(name, 200)
    assert len(cut.encode()) <= 200
    assert cut != short_name(name + "x", 200)
    assert len(record_name(os.fsdecode(b"caf\xe9/") + "z" * 250).encode().rpartition(b"/")[2]) < 255
    planned = name_clips([ClipTask(source="/in/" + "z" * 245 + f"{number}.mp4") for number in range(2)])
    assert len({clip.base for clip in planned}) == 2
    assert all(len(part.encode()) <= 200 for clip in planned for part in clip.base.split("/"))


def test_pauses_are_cut_and_days_are_refused(tmp_path: Path) -> None:
    clip = read_clip(with_pause(tmp_path / "hour.npz", 3600.0))
    shorter, told = shorten_pauses(clip)
    assert "pauses for 3600 s" in told
    steps = np.diff(clip.times_s)
    expected = np.where(np.arange(len(steps)) == 19, 60.0, steps)
    np.testing.assert_allclose(np.diff(shorter.times_s), expected, atol=1e-9)
    assert len(resample_clip(shorter, 25.0)) < 60 * 25 + 10 * len(clip)
    plain = read_clip(SAMPLE)
    assert shorten_pauses(plain) == (plain, "")
    with pytest.raises(ClipError, match="pauses for 97200 s"):
        check_gaps(read_clip(with_pause(tmp_path / "day.npz", 27 * 3600.0)), 25.0)
