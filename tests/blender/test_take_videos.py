"""The list of videos in the capture panel: files, faults, offsets, set-up, what is asked of the backend."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from clips import left_out, take_clip
from stand_in_layout import StandInLayout, draw, texts

CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo_clip.mp4"


def videos(folder: Path, *names: str) -> list[Path]:
    return [Path(shutil.copyfile(CLIP, folder / name)) for name in names]


def choose(*paths: Path) -> Any:
    """Choose several videos at once, as a drop does; the capture's settings."""
    files = [{"name": path.name} for path in paths]
    done = bpy.ops.marionet.choose_video(directory=str(paths[0].parent), files=files)
    assert done == {"FINISHED"}
    return bpy.context.scene.marionet.capture


@pytest.fixture
def requests(extension: str, addon: Any, tmp_path: Path) -> Any:
    """`session.capture_request`, with clips going to a folder of the test."""
    preferences = bpy.context.preferences.addons[extension].preferences
    preferences.clip_dir = str(tmp_path / "clips")
    yield addon("session.capture_request")
    preferences.clip_dir = ""


def rows() -> list[str]:
    """The list as it is drawn: name and words of each row."""
    capture = bpy.context.scene.marionet.capture
    log: list[Any] = []
    for index, row in enumerate(capture.more_videos):
        kind = bpy.types.MARIONET_UL_videos
        layout = StandInLayout(log)
        kind.draw_item(SimpleNamespace(), bpy.context, layout, capture, row, 0, capture, "more_index", index)
    shown = [arguments["text"] for name, _, arguments in log if name == "label"]
    return [f"{name} | {words}" for name, words in zip(shown[::2], shown[1::2], strict=True)]


def test_one_video_is_as_before(requests: Any, tmp_path: Path) -> None:
    (video,) = videos(tmp_path, "dance.mp4")
    assert bpy.ops.marionet.choose_video(filepath=str(video)) == {"FINISHED"}
    ticket = requests.make_ticket(bpy.context)
    assert ticket.request.videos == (video,)
    assert ticket.request.take.offsets == ()
    drawn = draw(bpy.types.MARIONET_PT_capture)
    assert not any(name == "template_list" for name, _, _ in drawn)
    assert any(name == "operator" and arguments[0] == "marionet.add_video" for name, arguments, _ in drawn)


def test_several_files_dropped_at_once_are_one_take(requests: Any, tmp_path: Path) -> None:
    left, right, third = videos(tmp_path, "left.mp4", "right.mp4", "third.mp4")
    capture = choose(left, right, third)
    capture.more_videos[1].know_offset, capture.more_videos[1].offset_s = True, -0.25
    request = requests.make_ticket(bpy.context).request
    assert request.videos == (left, right, third)
    assert [(one.source, one.start_s) for one in request.take.offsets] == [(2, -0.25)]
    assert rows() == ["2  right.mp4 | to be found", "3  third.mp4 | -0.250 s"]
    assert texts(draw(bpy.types.MARIONET_PT_capture))
    assert len(choose(left, third).more_videos) == 1  # another drop starts anew
    assert requests.make_pose_ticket(bpy.context).request.videos == (left,)


def test_videos_are_added_moved_and_removed(requests: Any, tmp_path: Path) -> None:
    left, right, third = videos(tmp_path, "left.mp4", "right.mp4", "third.mp4")
    capture = bpy.context.scene.marionet.capture
    files = [{"name": "left.mp4"}, {"name": "right.mp4"}]
    assert bpy.ops.marionet.add_video(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert bpy.ops.marionet.add_video(filepath=str(third)) == {"FINISHED"}
    assert requests.video_paths(capture) == [left, right, third]
    for row, offset in zip(capture.more_videos, (0.5, 1.25), strict=True):
        row.know_offset, row.offset_s = True, offset
    capture.more_index = 0
    assert bpy.ops.marionet.move_video(step="UP") == {"FINISHED"}
    assert requests.video_paths(capture) == [right, left, third]
    assert [row.offset_s for row in capture.more_videos] == pytest.approx([-0.5, 0.75])
    capture.more_index = 1
    assert bpy.ops.marionet.move_video(step="UP") == {"FINISHED"}
    assert requests.video_paths(capture) == [right, third, left]
    assert capture.more_index == 0
    assert bpy.ops.marionet.move_video(step="DOWN") == {"FINISHED"}
    assert bpy.ops.marionet.move_video(step="DOWN") == {"FINISHED"}  # the last one stays where it is
    assert requests.video_paths(capture) == [right, left, third]
    assert bpy.ops.marionet.remove_video() == {"FINISHED"}
    assert requests.video_paths(capture) == [right, left]
    capture.more_videos[0].know_offset = False
    assert bpy.ops.marionet.add_video(filepath=str(third)) == {"FINISHED"}
    capture.more_videos[1].know_offset, capture.more_index = True, 0
    bpy.ops.marionet.move_video(step="UP")
    assert not capture.more_videos[1].know_offset, "against the new first video it is not known"


def test_faults_of_files_stand_in_the_list_and_stop_the_capture(requests: Any, addon: Any, tmp_path: Path) -> None:
    left, right = videos(tmp_path, "left.mp4", "right.mp4")
    capture = choose(left, right, left)
    (tmp_path / "again.mp4").symlink_to(right)
    bpy.ops.marionet.add_video(filepath=str(tmp_path / "again.mp4"))
    (tmp_path / "empty.mp4").write_bytes(b"")
    bpy.ops.marionet.add_video(filepath=str(tmp_path / "empty.mp4"))
    row = capture.more_videos.add()
    row.filepath = str(tmp_path / "gone.mp4")
    capture.more_videos.add()
    capture.more_videos.add().filepath = str(tmp_path)
    faults = addon("session.take_videos").video_faults(capture)
    assert faults[:2] == ["", ""]
    words = ("same file as video 1", "same file as video 2", "is empty", "there is no file", "choose a file", "folder")
    for fault, word in zip(faults[2:], words, strict=True):
        assert word in fault
    shown = texts(draw(bpy.types.MARIONET_PT_capture)).replace("\n", " ")
    assert "gone.mp4: there is no file" in shown
    assert [line.split(" | ")[1] for line in rows()] == ["to be found", *["see below"] * 6]
    with pytest.raises(RuntimeError, match="Video 3: it is the same file as video 1"):
        bpy.ops.marionet.capture()
    del capture
    kept = bpy.context.scene.marionet.capture
    assert bpy.ops.marionet.choose_video(filepath=str(left)) == {"FINISHED"}
    assert not kept.more_videos, "a single video that is chosen is the whole capture"
    assert not requests.why_no_capture(kept)


def test_what_a_take_cannot_do_is_said_before_anything_starts(requests: Any, addon: Any, tmp_path: Path) -> None:
    left, right = videos(tmp_path, "left.mp4", "right.mp4")
    capture = choose(left, right)
    capture.hands = True
    assert not requests.why_no_capture(capture)
    assert requests.make_ticket(bpy.context).request.options.hands
    capture.hands, capture.use_setup = False, True
    assert "Choose the set-up file" in requests.why_no_capture(capture)
    assert not requests.why_not_ready(capture), "the search for people is about the first video"
    capture.setup_file = str(tmp_path / "room.json")
    assert "there is no file" in requests.why_no_capture(capture)
    for content in (b"\xff\xfe\x00", b"[]", b"{}", b"[" * 99_999, b'{"format": "marionet-setup", "cameras": 3}'):
        (tmp_path / "room.json").write_bytes(content)
        with pytest.raises(addon("session.backend").AccessError, match="is not a set-up"):
            requests.make_ticket(bpy.context)
    (tmp_path / "room.json").write_text('{"format": "marionet-setup", "cameras": [{}, {}, {}]}')
    addon("session.take_videos").look_again()
    assert "has 3 cameras, and there are 2 videos" in requests.why_no_capture(capture)
    assert "has 3 cameras" in texts(draw(bpy.types.MARIONET_PT_capture)).replace("\n", " ")
    (tmp_path / "room.json").unlink()
    assert "has 3 cameras" in requests.why_no_capture(capture), "a file that has just gone must not break the panel"
    (tmp_path / "room.json").write_text('{"format": "marionet-setup", "cameras": [{}, {}]}')
    assert "".join(requests.make_ticket(bpy.context).request.take.setup).startswith("{")
    capture.use_setup = False
    for _ in range(15):
        capture.more_videos.add().filepath = str(CLIP)
    assert requests.why_no_capture(capture)


def test_results_stand_in_the_list_until_the_video_changes(requests: Any, addon: Any, tmp_path: Path) -> None:
    left, right, third = videos(tmp_path, "left.mp4", "right.mp4", "third.mp4")
    capture = choose(left, right, third)
    clip = left_out(take_clip(sources=("/server/0", "/server/1", "/server/2")), 2, "video 3: give --fov")
    request = addon("client.job").JobRequest(left, tmp_path, more_videos=(right, third))
    addon("session.take_videos").keep_results(capture, request, clip.header)
    assert rows() == ["2  right.mp4 | +0.500 s", "3  third.mp4 | left out"]
    capture.more_index = 1
    shown = texts(draw(bpy.types.MARIONET_PT_capture)).replace("\n", " ")
    assert "Set Field of View" in shown or "set Field of View" in shown
    assert "keypoints 3.0 px off" in shown
    capture.more_videos[0].filepath = str(third)
    capture.video = str(right)
    assert not capture.more_videos[0].result.solved
    assert not capture.first_result.solved


def test_close_ups_come_last_and_know_no_camera(requests: Any, addon: Any, tmp_path: Path) -> None:
    """A video that is called a close-up is entered as one; the role of every further video can be changed."""
    left, face, hands, right = videos(tmp_path, "left.mp4", "face_closeup.mp4", "hands.mp4", "right.mp4")
    capture = choose(face, left, hands, right)
    assert [row.role for row in capture.more_videos] == ["BODY", "BODY", "CLOSE_UP"]
    capture.more_videos[0].role = "CLOSE_UP"
    capture.more_videos[0].know_offset, capture.more_videos[0].offset_s = True, 1.5
    request = requests.make_ticket(bpy.context).request
    assert request.videos == (left, right, hands, face)
    assert request.bodies == (left, right)
    assert request.take.close_ups == 2
    assert [(one.source, one.start_s) for one in request.take.offsets] == [(2, 1.5)]
    assert rows() == ["3  hands.mp4 | +1.500 s", "2  right.mp4 | to be found", "4  face_closeup.mp4 | to be found"]
    capture.more_index = 0
    assert bpy.ops.marionet.move_video(step="UP") == {"CANCELLED"}, "the first video shows the body"
    assert any(name == "prop" and arguments[1] == "role" for name, arguments, _ in draw(bpy.types.MARIONET_PT_capture))
    (tmp_path / "room.json").write_text('{"format": "marionet-setup", "cameras": [{}, {}]}')
    capture.use_setup, capture.setup_file = True, str(tmp_path / "room.json")
    assert not requests.why_no_capture(capture), "one camera for each video of the body"
    clip = take_clip(sources=("/server/0", "/server/1"))
    kinds = addon("motion.clip_warning")
    text = (
        "face_closeup.mp4 is left out: nobody's face or hands move like it, and no sound fits; give --close-up-offset"
    )
    text += ", the seconds by which it begins later than the first video"
    warned = replace(clip.header, warnings=(kinds.ClipWarning(kinds.WarningCode.VIEW_EXCLUDED, text),))
    addon("session.take_videos").keep_results(capture, request, warned)
    assert rows() == ["3  hands.mp4 | close-up", "2  right.mp4 | +0.500 s", "4  face_closeup.mp4 | left out"]
    capture.more_index = 2
    shown = texts(draw(bpy.types.MARIONET_PT_capture)).replace("\n", " ")
    assert "turn on Known Offset in its row and enter the seconds" in shown
    capture.more_videos[2].role = "BODY"
    assert not capture.more_videos[2].result.solved
    capture.more_videos[0].filepath = str(tmp_path / "gone.mp4")
    assert "Video 4: there is no file" in requests.why_no_capture(capture)


def test_a_close_up_that_was_chosen_first_makes_room_for_the_body(requests: Any, addon: Any, tmp_path: Path) -> None:
    face, left, right = videos(tmp_path, "FaceCloseUp.mp4", "left.mp4", "right.mp4")
    capture, add_videos = bpy.context.scene.marionet.capture, addon("session.take_videos").add_videos
    assert bpy.ops.marionet.choose_video(filepath=str(face)) == {"FINISHED"}
    add_videos(capture, [left, right])
    request = requests.make_ticket(bpy.context).request
    assert (request.videos, request.take.close_ups) == ((left, right, face), 1)
    capture.more_videos.clear()
    capture.video = str(face)
    add_videos(capture, [tmp_path / "hands_close-up.mp4"])
    assert Path(capture.video) == face, "nobody else shows the body"


def test_a_video_whose_role_was_changed_meanwhile_gets_no_result(requests: Any, addon: Any, tmp_path: Path) -> None:
    left, face, right = videos(tmp_path, "left.mp4", "face_closeup.mp4", "right.mp4")
    capture = choose(left, face, right)
    request = requests.make_ticket(bpy.context).request
    for row in capture.more_videos:
        row.role = "BODY" if row.role == "CLOSE_UP" else "CLOSE_UP"
    addon("session.take_videos").keep_results(capture, request, take_clip(sources=("/server/0", "/server/1")).header)
    assert capture.first_result.solved
    assert not any(row.result.solved for row in capture.more_videos)


def test_a_calibration_is_sent_or_refused_in_words(requests: Any, addon: Any, tmp_path: Path) -> None:
    left, right = videos(tmp_path, "left.mp4", "right.mp4")
    capture, look_again = choose(left, right), addon("session.take_videos").look_again
    capture.use_calibration = True
    assert "Choose the calibration file" in requests.why_no_capture(capture)
    capture.calibration_file = str(tmp_path / "rig.toml")
    assert "there is no file" in requests.why_no_capture(capture)
    (tmp_path / "rig.toml").write_text("[cam_1]")
    look_again()
    (sent,) = requests.make_ticket(bpy.context).request.take.calibration
    assert (sent.name, sent.text) == ("rig.toml", ("[cam_1]",))
    (tmp_path / "rig.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(addon("session.backend").AccessError, match="not a text file"):
        requests.make_ticket(bpy.context)
    capture.calibration_file = str(left)
    assert "left.mp4 is not a calibration" in requests.why_no_capture(capture)
    (tmp_path / "rig").mkdir()
    for name in ("left.yml", "right.yml"):
        (tmp_path / "rig" / name).write_text(name)
    capture.calibration_file = str(tmp_path / "rig")
    assert [one.name for one in requests.make_ticket(bpy.context).request.take.calibration] == ["left.yml", "right.yml"]
    drawn = draw(bpy.types.MARIONET_PT_capture)
    assert any(name == "prop" and arguments[1] == "calibration_file" for name, arguments, _ in drawn)
    capture.use_setup = True
    assert "switch one of them off" in requests.why_no_capture(capture)


def test_the_list_survives_saving_loading_and_undo(requests: Any, tmp_path: Path) -> None:
    left, right = videos(tmp_path, "left.mp4", "right.mp4")
    capture = choose(left, right)
    capture.more_videos[0].know_offset, capture.more_videos[0].offset_s = True, 1.5
    capture.use_setup, capture.setup_file = True, str(tmp_path / "room.json")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    capture = bpy.context.scene.marionet.capture
    assert requests.video_paths(capture) == [left, right]
    assert capture.more_videos[0].offset_s == 1.5
    assert capture.setup_file == str(tmp_path / "room.json")
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.marionet.remove_video()
    bpy.ops.ed.undo_push(message="removed")
    bpy.ops.ed.undo()
    assert requests.video_paths(bpy.context.scene.marionet.capture) == [left, right]


def test_a_set_up_is_saved_from_the_clip_in_use(state: Any, tmp_path: Path) -> None:
    from blender_addon.motion.clip import write_clip

    write_clip(take_clip(), tmp_path / "take.npz")
    bpy.ops.marionet.import_clip(filepath=str(tmp_path / "take.npz"))
    with pytest.raises(RuntimeError, match="has no set-up"):
        bpy.ops.marionet.save_setup(filepath=str(tmp_path / "room.json"))
    (tmp_path / "setup.json").write_text("{}")
    assert bpy.ops.marionet.save_setup(filepath=str(tmp_path / "room.json")) == {"FINISHED"}
    assert (tmp_path / "room.json").read_text() == "{}"
    assert bpy.context.scene.marionet.capture.setup_file == str(tmp_path / "room.json")
    with pytest.raises(RuntimeError, match=os.sep):
        bpy.ops.marionet.save_setup(filepath=str(tmp_path / "nowhere" / "room.json"))
