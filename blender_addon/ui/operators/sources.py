"""What the next capture is made from: a video, a folder of images, the Movie Clip Editor's clip. May import bpy."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.types import Context, Event

from ...properties import settings
from ...session.take_videos import choose_videos
from .base import OperatorResult, require_movie_clip, shown_movie_clip
from .take import chosen_files

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})


class MARIONET_OT_choose_video(bpy.types.Operator):
    """Use this video, or several of one performance, for the next capture; one image imports its numbered sequence"""

    bl_idname = "marionet.choose_video"
    bl_label = "Choose Video"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    def invoke(self, context: Context, event: Event) -> OperatorResult:
        del event
        if self.filepath or self.files:  # dropped
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Context) -> OperatorResult:
        paths, capture = chosen_files(self), settings(context).capture
        missing = [path for path in paths if not path.is_file()]
        if missing or not paths:
            self.report({"ERROR"}, f"There is no file {', '.join(map(str, missing))}")
            return {"CANCELLED"}
        path = paths[0]
        if len(paths) > 1 and not any(one.suffix.lower() in IMAGE_ENDINGS for one in paths):
            choose_videos(capture, paths)
            self.report({"INFO"}, f"{len(paths)} videos are solved together; the first is {Path(capture.video).name}")
            return {"FINISHED"}
        if path.suffix.lower() in IMAGE_ENDINGS:
            capture.source, capture.folder = "SEQUENCE", str(path.parent)
            self.report({"INFO"}, f"The images in {path.parent} are the next capture's video")
            return {"FINISHED"}
        further = len(capture.more_videos)
        capture.source, capture.video = "FILE", str(path)
        capture.more_videos.clear()
        alone = f" alone; use Add Video for those of other cameras ({further} removed)" if further else ""
        self.report({"INFO"}, f"{path.name} is the next capture's video{alone}")
        return {"FINISHED"}


class MARIONET_OT_use_movie_clip(bpy.types.Operator):
    """Use the clip that this editor shows for the next capture"""

    bl_idname = "marionet.use_movie_clip"
    bl_label = "Capture from This Clip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_movie_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        capture = settings(context).capture
        capture.source, capture.movie_clip = "MOVIE_CLIP", shown_movie_clip(context)
        self.report({"INFO"}, f"{capture.movie_clip.name} is the next capture's video")
        return {"FINISHED"}


class MARIONET_FH_video(bpy.types.FileHandler):
    """Videos dropped into the viewport or the movie clip editor."""

    bl_idname = "MARIONET_FH_video"
    bl_label = "Video for motion capture"
    bl_import_operator = "marionet.choose_video"
    bl_file_extensions = ".mp4;.mov;.mkv;.webm;.avi;.m4v"

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return context.area is not None and context.area.type in {"VIEW_3D", "CLIP_EDITOR"}


CLASSES = (MARIONET_OT_choose_video, MARIONET_OT_use_movie_clip, MARIONET_FH_video)
