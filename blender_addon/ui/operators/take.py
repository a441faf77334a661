"""Operators for several videos of one performance: the list, the set-up, the cameras made of it. May import bpy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.types import Context, Event
from bpy_extras.io_utils import ExportHelper

from ...properties import active_clip, settings
from ...session.clip_videos import clip_videos, find_videos
from ...session.clips import loaded_clip
from ...session.take_cameras import look_through, take_camera_rows
from ...session.take_videos import add_videos, is_close_up, look_again, move_video, setup_of_clip
from .base import FAULTS, OperatorResult, report_fault, require_clip


class MARIONET_OT_add_video(bpy.types.Operator):
    """Add a video of the same performance from another camera; several files can be chosen at once"""

    bl_idname = "marionet.add_video"
    bl_label = "Add Video"
    bl_options = {"REGISTER", "UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> OperatorResult:
        paths = chosen_files(self)
        missing = [path for path in paths if not path.is_file()]
        if missing or not paths:
            self.report({"ERROR"}, f"There is no file {', '.join(map(str, missing)) or self.directory}")
            return {"CANCELLED"}
        add_videos(settings(context).capture, paths)
        self.report({"INFO"}, f"{', '.join(path.name for path in paths)}: solved together with the other videos")
        return {"FINISHED"}


def chosen_files(operator: Any) -> list[Path]:
    """The files of a file browser or a drop: several, or one."""
    several = [Path(bpy.path.abspath(operator.directory)) / item.name for item in operator.files if item.name]
    return several or ([Path(bpy.path.abspath(operator.filepath))] if operator.filepath else [])


class _NeedsFurtherVideo:
    """What the buttons beside the list share."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        capture = settings(context).capture
        if not 0 <= capture.more_index < len(capture.more_videos):
            cls.poll_message_set("Choose a further video in the list")  # type: ignore[attr-defined]
            return False
        return True


class MARIONET_OT_remove_video(_NeedsFurtherVideo, bpy.types.Operator):
    """Remove the video from the list; its file is kept"""

    bl_idname = "marionet.remove_video"
    bl_label = "Remove Video"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> OperatorResult:
        capture = settings(context).capture
        capture.more_videos.remove(capture.more_index)
        capture.more_index = max(0, min(capture.more_index, len(capture.more_videos) - 1))
        return {"FINISHED"}


class MARIONET_OT_move_video(_NeedsFurtherVideo, bpy.types.Operator):
    """Move the video in the list; the first video gives the clip its frames and its time"""

    bl_idname = "marionet.move_video"
    bl_label = "Move Video"
    bl_options = {"REGISTER", "UNDO"}

    step: bpy.props.EnumProperty(
        name="Direction",
        items=[("UP", "Up", "Towards the first video"), ("DOWN", "Down", "Towards the last video")],
    )

    def execute(self, context: Context) -> OperatorResult:
        capture = settings(context).capture
        if self.step == "UP" and capture.more_index == 0 and is_close_up(capture.more_videos[0]):
            self.report({"WARNING"}, "The first video shows the body: a close-up stays below it")
            return {"CANCELLED"}
        if move_video(capture, capture.more_index, -1 if self.step == "UP" else 1):
            text = "Known offsets count from the first video: those that no longer hold are switched off"
            self.report({"WARNING"}, text)
        return {"FINISHED"}


class MARIONET_OT_save_setup(bpy.types.Operator, ExportHelper):
    """Save cameras, gravity and floor of the clip in use, for the next take with cameras that were not touched"""

    bl_idname = "marionet.save_setup"
    bl_label = "Save Set-up"
    bl_options = {"REGISTER", "UNDO"}

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        entry = active_clip(context)
        if entry is None or setup_of_clip(Path(bpy.path.abspath(entry.filepath))) is None:
            cls.poll_message_set("The clip in use has no set-up: capture several videos first")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        entry, target = active_clip(context), Path(bpy.path.abspath(self.filepath))
        source = setup_of_clip(Path(bpy.path.abspath(entry.filepath))) if entry is not None else None
        try:
            if source is None:
                raise FileNotFoundError("The clip in use has no set-up: capture several videos first")
            if target != source:
                shutil.copyfile(source, target)
        except OSError as fault:
            return report_fault(self, fault)
        settings(context).capture.setup_file = str(target)
        look_again()
        self.report({"INFO"}, f"The set-up is saved: {target}")
        return {"FINISHED"}


class MARIONET_OT_look_through(bpy.types.Operator):
    """Look through this camera, at the frame size of its video"""

    bl_idname = "marionet.look_through"
    bl_label = "Look Through Camera"
    bl_options = {"REGISTER", "UNDO"}

    number: bpy.props.IntProperty(
        name="Number", description="Place of the video in the take, counted from 1", default=1, min=1
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        if not take_camera_rows(context.scene):
            cls.poll_message_set("There are no cameras yet: use Camera over Video with a clip of several videos")
            return False
        return True

    def execute(self, context: Context) -> OperatorResult:
        rows = {row.number: row for row in take_camera_rows(context.scene)}
        if self.number not in rows:
            have = ", ".join(map(str, rows))
            self.report({"ERROR"}, f"There is no camera {self.number}, only {have}")
            return {"CANCELLED"}
        look_through(context, rows[self.number])
        self.report({"INFO"}, f"{rows[self.number].thing.name}: {rows[self.number].thing.data.lens:.1f} mm")
        return {"FINISHED"}


class MARIONET_OT_find_videos(bpy.types.Operator):
    """Look for videos of the clip that are no longer there, by name, in a folder and all folders in it"""

    bl_idname = "marionet.find_videos"
    bl_label = "Find Videos"
    bl_options = {"REGISTER", "UNDO"}

    directory: bpy.props.StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> OperatorResult:
        folder = Path(bpy.path.abspath(self.directory))
        try:
            clip, entry = loaded_clip(context).clip, active_clip(context)
            if all(clip_videos(entry, clip)):
                self.report({"INFO"}, "All videos of the clip are there")
                return {"FINISHED"}
            if not folder.is_dir():
                raise FileNotFoundError(f"There is no folder {folder}")
            found = find_videos(entry, clip, folder)
        except FAULTS as fault:
            return report_fault(self, fault)
        look_again()
        if found.missing:
            self.report({"WARNING"}, f"Not found in {folder}: {', '.join(found.missing)}")
        else:
            self.report({"INFO"}, f"Found: {found.count}. Use Camera over Video to show them")
        return {"FINISHED"} if found.count else {"CANCELLED"}


CLASSES = (
    MARIONET_OT_add_video,
    MARIONET_OT_remove_video,
    MARIONET_OT_move_video,
    MARIONET_OT_save_setup,
    MARIONET_OT_look_through,
    MARIONET_OT_find_videos,
)
