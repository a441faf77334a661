"""A camera for each video of a take: lens, place and time of its image; nothing that is not ours is touched."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from clips import left_out, take_clip
from mathutils import Vector
from stand_in_layout import draw, texts

from blender_addon.motion.clip import MotionClip, write_clip
from blender_addon.motion.posing import pose_clip
from blender_addon.rig.camera_background import CameraPlacement
from blender_addon.rig.take_cameras import ClipSpan, video_frames

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"
THREE = ("one.mp4", "two.mp4", "three.mp4")


def load(folder: Path, clip: MotionClip, name: str = "take") -> Any:
    """Import a clip file; its entry in the list."""
    path = folder / f"{name}.npz"
    write_clip(clip, path)
    assert bpy.ops.marionet.import_clip(filepath=str(path)) == {"FINISHED"}
    kept = bpy.context.scene.marionet
    return kept.clips[kept.clip_index]


def with_videos(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(str(shutil.copyfile(CLIP, folder / name)) for name in names)


def cameras() -> list[Any]:
    return sorted((thing for thing in bpy.data.objects if thing.type == "CAMERA"), key=lambda thing: thing.name)


def test_joints_fall_on_their_pixels_in_every_camera(state: Any, tmp_path: Path) -> None:
    clip = take_clip(sources=THREE)
    load(tmp_path, clip)
    assert bpy.ops.marionet.make_camera(show_video=False) == {"FINISHED"}
    joints, scene = pose_clip(clip).positions_m[20], bpy.context.scene
    for number, camera in enumerate(clip.header.cameras, 1):
        assert bpy.ops.marionet.look_through(number=number) == {"FINISHED"}
        bpy.context.view_layer.update()
        assert scene.camera.name == f"Camera {number} {Path(camera.source).stem}"
        assert (scene.render.resolution_x, scene.render.resolution_y) == (camera.width, camera.height)
        camera_from_world = np.linalg.inv(camera.pose)
        seen = (joints @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]) @ camera.intrinsics.T
        shown = np.array([world_to_camera_view(scene, scene.camera, Vector(joint)) for joint in joints])
        pixels = np.stack([shown[:, 0] * camera.width, (1 - shown[:, 1]) * camera.height], axis=1)
        assert np.abs(pixels - seen[:, :2] / seen[:, 2:]).max() < 0.1
    assert {thing.users_collection[0].name for thing in cameras()} == {"Marionet Cameras"}
    with pytest.raises(RuntimeError, match="no camera 4"):
        bpy.ops.marionet.look_through(number=4)


@pytest.mark.parametrize("scene_fps", [24.0, 60.0])
@pytest.mark.parametrize("slow_motion", [1.0, 4.0])
def test_the_frame_behind_the_camera_is_the_one_of_that_moment(scene_fps: float, slow_motion: float) -> None:
    clip = take_clip(90)
    camera = replace(clip.header.cameras[1], start_s=0.41, rate=1.0003)
    span = ClipSpan(float(clip.times_s[0]), float(clip.times_s[-1]), slow_motion)
    placement = CameraPlacement(np.eye(4), 11.25, scene_fps)
    fps = 59.94 * slow_motion  # Blender counts the video's own frames
    frames = video_frames(camera, span, placement, 59.94, 1000)
    scene = frames.first_frame + np.arange(len(frames.shown))
    clip_s = (scene - 11.25) / scene_fps
    at_s = camera.clip_time_s(frames.shown / fps)
    inside = ~frames.outside
    assert np.abs(at_s - clip_s)[inside].max() <= 0.5 / fps + 1e-6
    np.testing.assert_array_equal(frames.outside, clip_s < 0.41 - 0.5 / fps)
    assert frames.shown[0] == 0


def test_videos_are_behind_in_step_and_dark_where_they_have_not_begun(state: Any, tmp_path: Path) -> None:
    clip = take_clip(sources=with_videos(tmp_path, THREE))
    load(tmp_path, clip)
    scene = bpy.context.scene
    scene.render.fps = 60
    assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    shown_fps = bpy.data.movieclips.load(str(CLIP)).fps
    for thing, camera in zip(cameras(), sorted(clip.header.cameras, key=lambda one: one.start_s), strict=True):
        assert Path(thing.data.background_images[0].image.filepath) == Path(camera.source)
        for frame in (1, 20, 40, 90, 119):
            scene.frame_set(frame)
            found = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.background_images[0]
            user, video_s = found.image_user, (frame - 1) / 60 - camera.start_s
            elapsed = frame - user.frame_start + 1
            assert elapsed <= user.frame_duration, "Blender counts no further than this"
            if video_s < -0.5 / shown_fps:
                assert found.alpha == 0.0
            else:
                assert found.alpha == pytest.approx(0.8)
                assert elapsed + user.frame_offset - 1 == np.floor(video_s * shown_fps + 0.5 + 1e-6)


def test_another_solve_updates_our_cameras_and_leaves_the_users_alone(state: Any, tmp_path: Path) -> None:
    sources = with_videos(tmp_path, THREE)
    clip = take_clip(sources=sources)
    load(tmp_path, clip)
    bpy.ops.marionet.make_camera()
    own = {thing.name: thing for thing in cameras()}
    second = own["Camera 2 two"]
    mine = second.copy()  # a duplicate of ours, as Shift D makes it, is the user's
    mine.data = second.data.copy()
    bpy.context.scene.collection.objects.link(mine)
    logo = bpy.data.images.new("Logo", 8, 8)
    second.data.background_images.new().image = logo
    second.data.dof.aperture_fstop = 1.4
    second.data.dof.keyframe_insert("aperture_fstop", frame=1)
    second.name = "Close-up"
    bpy.context.scene.camera = second
    nearer = replace(clip.header.cameras[1], matrix=((1000.0, 0, 350), (0, 1030.0, 655), (0, 0, 1)), start_s=0.75)
    again = replace(clip, header=replace(clip.header, cameras=(clip.header.cameras[0], nearer)))
    load(tmp_path, again, "again")
    place = mine.matrix_world.copy()
    assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    assert sorted(thing.name for thing in cameras()) == sorted(["Camera 1 one", "Close-up", mine.name])
    assert bpy.context.scene.camera == second
    assert second.data.lens == pytest.approx(1000.0 * 36.0 / 720)
    assert second.data.background_images[0].image == logo
    assert len(second.data.background_images) == 2
    assert mine.matrix_world == place
    bpy.context.scene.frame_set(60)
    seen = second.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert seen.dof.aperture_fstop == pytest.approx(1.4)
    assert "dof.aperture_fstop" in {curve.data_path for curve in curves(second.data)}
    assert seen.background_images[0].alpha != 0.0
    assert seen.background_images[1].alpha == pytest.approx(0.8)


def test_an_image_that_the_user_has_added_once_more_stays(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=with_videos(tmp_path, THREE)))
    bpy.ops.marionet.make_camera()
    data = bpy.data.objects["Camera 2 two"].data
    front = data.background_images.new()
    front.image, front.display_depth, front.alpha = data.background_images[0].image, "FRONT", 0.25
    bpy.ops.marionet.make_camera()
    assert [one.display_depth for one in data.background_images] == ["FRONT", "BACK"]
    bpy.context.scene.frame_set(1)  # the second video has not begun
    depsgraph = bpy.context.evaluated_depsgraph_get()
    seen = bpy.data.objects["Camera 2 two"].evaluated_get(depsgraph).data.background_images
    assert [one.alpha for one in seen] == pytest.approx([0.25, 0.0])


def curves(data: Any) -> list[Any]:
    from blender_addon.rig.actions import action_fcurves

    return action_fcurves(data)


def test_a_deleted_camera_is_made_again_and_another_take_replaces_only_ours(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.marionet.make_camera(show_video=False)
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    bpy.data.collections["Marionet Cameras"].objects.link(own)
    bpy.data.objects.remove(bpy.data.objects["Camera 2 two"])
    bpy.ops.marionet.make_camera(show_video=False)
    assert [thing.name for thing in cameras()] == ["Camera 1 one", "Camera 2 two", "Camera 3 three", "Mine"]
    load(tmp_path, take_clip(sources=("a.mp4", "b.mp4")), "other")
    bpy.ops.marionet.make_camera(show_video=False)
    assert [thing.name for thing in cameras()] == ["Camera 1 a", "Camera 2 b", "Mine"]
    assert [collection.name for collection in bpy.data.collections] == ["Marionet Cameras"]


def test_a_camera_that_another_scene_shows_stays_there(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.marionet.make_camera(show_video=False)
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(bpy.data.objects["Camera 3 three"])
    load(tmp_path, take_clip(sources=THREE[:2]), "two")
    bpy.ops.marionet.make_camera(show_video=False)
    assert [thing.name for thing in bpy.context.scene.objects] == ["Camera 1 one", "Camera 2 two"]
    assert [thing.name for thing in other.objects] == ["Camera 3 three"]


def test_a_linked_copy_of_a_scene_takes_no_camera_from_the_other(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.marionet.make_camera(show_video=False)
    first = bpy.context.scene
    copy = first.copy()
    assert bpy.data.collections["Marionet Cameras"] in copy.collection.children[:]
    with bpy.context.temp_override(scene=copy):
        load(tmp_path, take_clip(sources=THREE[:2]), "two")
        bpy.ops.marionet.make_camera(show_video=False)
    assert [row.number for row in copy.marionet.take_cameras] == [1, 2]
    assert sorted(thing.name for thing in first.objects) == ["Camera 1 one", "Camera 2 two", "Camera 3 three"]


def test_a_video_that_is_left_out_gets_no_camera(state: Any, tmp_path: Path) -> None:
    load(tmp_path, left_out(take_clip(sources=THREE), 1, "video 2 (two.mp4) is left out: its camera moves."))
    bpy.ops.marionet.make_camera(show_video=False)
    assert [thing.name for thing in cameras()] == ["Camera 1 one", "Camera 3 three"]
    shown = texts(draw(bpy.types.MARIONET_PT_clips)).replace("\n", " ")
    assert "2  two.mp4" in shown
    assert "its camera moves" in shown
    log: list[Any] = []
    from stand_in_layout import StandInLayout

    bpy.types.MARIONET_MT_look_through.draw(SimpleNamespace(layout=StandInLayout(log)), bpy.context)
    assert [arguments["text"] for name, _, arguments in log if name == "operator"] == ["Camera 1 one", "Camera 3 three"]


def test_the_panel_asks_for_files_now_and_then_and_tells_the_cameras_of_another_clip_apart(
    state: Any, addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.marionet.make_camera(show_video=False)
    clip_videos = addon("session.clip_videos")
    asked: list[Path] = []
    monkeypatch.setattr(clip_videos, "_is_file", lambda path: bool(asked.append(path)))
    monkeypatch.setattr(clip_videos, "_shown", {})
    assert pressed() == [True, False, False]
    count = len(asked)
    for _ in range(20):  # redraws, as while the timeline plays
        clip_panel()
    assert 0 < len(asked) == count
    load(tmp_path, take_clip(sources=("a.mp4", "b.mp4")), "other")
    assert pressed() == [False, False]
    assert len(asked) > count


def pressed() -> list[bool]:
    """Which of the buttons that look through a camera of the clip are pressed."""
    drawn = [(arguments, options) for name, arguments, options in clip_panel() if name == "operator"]
    return [options["depress"] for arguments, options in drawn if arguments[0] == "marionet.look_through"]


def test_a_camera_that_was_deleted_in_the_viewport_is_made_again_under_its_name(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.marionet.make_camera(show_video=False)
    for thing in bpy.context.scene.objects:
        thing.select_set(thing.name == "Camera 2 two")
    assert bpy.ops.object.delete() == {"FINISHED"}
    bpy.ops.marionet.make_camera(show_video=False)
    assert [thing.name for thing in cameras()] == ["Camera 1 one", "Camera 2 two", "Camera 3 three"]


def test_undo_takes_all_cameras_back_at_once(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=THREE))
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.marionet.make_camera(show_video=False)
    bpy.ops.ed.undo_push(message="cameras")
    bpy.ops.ed.undo()
    assert not cameras()
    assert not bpy.context.scene.marionet.take_cameras
    bpy.ops.ed.redo()
    assert len(cameras()) == 3
    bpy.ops.marionet.make_camera(show_video=False)
    assert len(cameras()) == 3


def test_videos_that_have_moved_are_found_by_name_and_folder(state: Any, tmp_path: Path) -> None:
    old = ("/gone/a/cam.mp4", "D:\\shoot\\b\\cam.mp4", "/gone/third.mp4")
    entry = load(tmp_path, take_clip(sources=old))
    assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    assert not any(len(thing.data.background_images) for thing in cameras())
    assert any(name == "operator" and arguments[0] == "marionet.find_videos" for name, arguments, _ in clip_panel())
    moved = tmp_path / "new place"
    for name in ("a/cam.mp4", "b/cam.mp4"):
        with_videos(moved / Path(name).parent, (Path(name).name,))
    assert bpy.ops.marionet.find_videos(directory=str(moved)) == {"FINISHED"}
    assert [Path(row.filepath).relative_to(moved).as_posix() if row.filepath else "" for row in entry.videos] == [
        "a/cam.mp4",
        "b/cam.mp4",
        "",
    ]
    bpy.ops.marionet.make_camera()
    assert [len(thing.data.background_images) for thing in cameras()] == [1, 1, 0]
    with_videos(tmp_path, ("third.mp4",))  # beside the clip: found without asking
    bpy.ops.marionet.make_camera()
    assert [len(thing.data.background_images) for thing in cameras()] == [1, 1, 1]
    shutil.rmtree(moved)
    with pytest.raises(RuntimeError, match="no folder"):
        bpy.ops.marionet.find_videos(directory=str(moved))


def clip_panel() -> Any:
    return draw(bpy.types.MARIONET_PT_clips)


def test_two_files_of_one_name_are_not_guessed_between(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=("/gone/cam.mp4", "/gone/right.mp4")))
    for folder in ("x", "y"):
        with_videos(tmp_path / "all" / folder, ("cam.mp4",))
    assert bpy.ops.marionet.find_videos(directory=str(tmp_path / "all")) == {"CANCELLED"}


def test_cameras_survive_saving_and_loading(state: Any, tmp_path: Path) -> None:
    load(tmp_path, take_clip(sources=with_videos(tmp_path, THREE)))
    bpy.ops.marionet.make_camera()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert bpy.ops.marionet.look_through(number=3) == {"FINISHED"}
    assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    assert [thing.name for thing in cameras()] == ["Camera 1 one", "Camera 2 two", "Camera 3 three"]
    assert bpy.context.scene.camera.name == "Camera 3 three"


def test_videos_of_one_name_keep_their_own_cameras(state: Any, tmp_path: Path) -> None:
    clip = take_clip(sources=("cam.mp4", "cam.mp4"))  # as a server names them
    for name in ("first", "again"):
        entry = load(tmp_path, clip, name)
        for folder in ("a", "b"):
            entry.videos.add().filepath = with_videos(tmp_path / folder, ("cam.mp4",))[0]
        assert bpy.ops.marionet.make_camera() == {"FINISHED"}
    shown = [Path(thing.data.background_images[0].image.filepath).parent.name for thing in cameras()]
    assert [thing.name for thing in cameras()] == ["Camera 1 cam", "Camera 2 cam"]
    assert shown == ["a", "b"]
    entry.videos[0].filepath, entry.videos[1].filepath = entry.videos[1].filepath, entry.videos[0].filepath
    bpy.ops.marionet.make_camera()  # the files decide which camera is whose
    assert [row.thing.name for row in bpy.context.scene.marionet.take_cameras if row.number == 1] == ["Camera 2 cam"]
    assert [len(thing.data.background_images) for thing in cameras()] == [1, 1]
