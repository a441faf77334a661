"""Motion files of other tools in a batch: converted like clips, told in words where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.batch.inputs import collect
from backend.batch.tasks import ClipTask, OutputKind
from backend.datasets.import_motion import import_motion
from backend.errors import BadInputError
from blender_addon.motion.clip import read_clip
from tests.batch.batch_runs import BLENDER, RIG, needs_blender
from tests.motion.foreign_motion import bvh_text, smpl_rotations
from tests.retarget.random_motion import walk_clip

WALK = walk_clip(steps=3)
pytestmark = pytest.mark.timeout(300)


def smpl(path: Path) -> Path:
    pose, trans = smpl_rotations(WALK, "z")
    np.savez(path, poses=pose.reshape(len(pose), -1), trans=trans)
    return path


@needs_blender
def test_motion_files_go_through_a_batch_beside_one_another(start: Any, tmp_path: Path) -> None:
    (tmp_path / "walk.bvh").write_text(bvh_text(WALK, "lafan"))
    smpl(tmp_path / "amass.npz")
    (tmp_path / "broken.bvh").write_text("HIERARCHY")
    np.savez(tmp_path / "weights.npz", layer=np.zeros(3))
    names = ("walk.bvh", "amass.npz", "broken.bvh", "weights.npz")
    words = [tmp_path / name for name in names]
    done = start(*words, "--format", "clip,bvh", "--rig", RIG, "--blender", BLENDER, "--fps", "60").finish()
    assert done.code == 1
    report = done.report
    assert report["walk/walk"]["status"] == report["amass/amass"]["status"] == "done"
    assert any("nobody could stand in its rest pose" in warning for warning in report["walk/walk"]["warnings"])
    assert "lacks HIERARCHY or MOTION" in report["broken/broken"]["error"]
    assert "none of the arrays of a motion" in report["weights/weights"]["error"]
    assert (done.out / "walk" / "walk.bvh").stat().st_size > 10_000
    clip = read_clip(done.out / "amass" / "amass.npz")
    assert clip.header.source_fps == pytest.approx(60.0)
    assert len(clip) == len(WALK)


def test_an_overlay_of_motion_without_a_video_is_refused_in_words(start: Any, tmp_path: Path) -> None:
    done = start(smpl(tmp_path / "amass.npz"), "--format", "clip,overlay").finish()
    assert done.code == 1
    assert "motion without a video" in json.dumps(done.report)
    assert (done.out / "amass" / "amass.npz").is_file()


@needs_blender
@pytest.mark.shared
def test_every_action_of_a_scene_file_is_converted(start: Any, shared: Path, tmp_path: Path) -> None:
    library = shared / "floor" / "kaykit" / "Med_MovementBasic.glb"
    rig = shared / "characters" / "mpfb" / "mixamo.glb"  # a character without any motion
    done = start(library, rig, tmp_path / "gone.fbx", "--format", "clip,bvh", "--blender", BLENDER).finish()
    assert done.code == 1
    assert done.report["Med_MovementBasic/Med_MovementBasic"]["status"] == "done"
    clips = sorted((done.out / "Med_MovementBasic").glob("*.npz"))
    assert len(clips) == len(list((done.out / "Med_MovementBasic").glob("*.bvh"))) == 11
    assert "Walking_A" in " ".join(read_clip(path).header.source for path in clips)
    assert "No action moves the bones" in done.report["mixamo/mixamo"]["error"]
    assert "gone.fbx" in done.report["gone/gone"]["error"]


def test_motion_is_found_in_folders(tmp_path: Path) -> None:
    for name in ("a.bvh", "b.npz", "weights.pt", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    template = ClipTask("", kinds=(OutputKind.CLIP,))
    found = collect([str(tmp_path)], template, str(tmp_path / "out"))
    assert [Path(order.source).name for order in found] == ["a.bvh", "b.npz", "c.mp4"]
    named = collect([str(tmp_path / "weights.pt"), str(tmp_path / "take.fbx")], template, str(tmp_path / "out"))
    assert all(order.trouble is None and order.is_solved for order in named)


def test_what_is_no_person_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    text = "HIERARCHY\nROOT Door\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nJOINT Handle\n{\n"
    text += "OFFSET 1 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\nOFFSET 1 0 0\n}\n}\n}\n"
    (tmp_path / "door.bvh").write_text(text + "MOTION\nFrames: 2\nFrame Time: 0.03\n0 0 0 0 0 0\n0 0 0 0 0 0\n")
    with pytest.raises(BadInputError, match="does not move like a person") as told:
        import_motion(tmp_path / "door.bvh")
    assert told.value.remedy
