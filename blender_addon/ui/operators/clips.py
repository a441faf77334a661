"""Operators for clips: import, remove, preview, camera, samples. May import bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.io_utils import ImportHelper

from ...motion.clip import ClipError
from ...properties import active_clip, settings
from ...rig.apply_clip import scene_from_clip
from ...rig.camera_background import CameraError, CameraPlacement, make_camera, show_video
from ...rig.movie_clip_size import turns_left_out
from ...rig.sample import SAMPLE_VIDEO, SampleError, frame_things, load_sample_rig, sample_clip_path
from ...session import session_state, workflow
from ...session.previews import redraw_viewports, stop_live, stop_overlay

FAULTS = (ValueError, RuntimeError, OSError, KeyError)  # ClipError, BakeError, RetargetError and their like


def no_clip(operator: Any, context: Any) -> bool:
    """Whether there is no clip in use; says so on the greyed button."""
    if active_clip(context) is None:
        operator.poll_message_set("There is no clip yet: capture a video, import a clip or load the sample")
        return True
    return False


def no_armature(operator: Any, context: Any) -> bool:
    """Whether no armature is chosen; says so on the greyed button."""
    if settings(context).retarget.armature is None:
        operator.poll_message_set("Choose the armature to animate")
        return True
    return False


def say(operator: Any, fault: Exception) -> set[str]:
    """Report a failure in words and keep it for the panel."""
    operator.report({"ERROR"}, session_state.STATE.fail(str(fault)))
    return {"CANCELLED"}


class MARIONET_OT_import_clip(bpy.types.Operator, ImportHelper):
    """Import clip files that were solved elsewhere, on the command line or by a colleague"""

    bl_idname = "marionet.import_clip"
    bl_label = "Import Clip"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, event: Any) -> set[str]:
        if self.filepath or self.files:  # dropped
            return self.execute(context)
        return ImportHelper.invoke(self, context, event)

    def execute(self, context: Any) -> set[str]:
        chosen = [Path(self.directory) / item.name for item in self.files if item.name]
        paths = chosen or [Path(bpy.path.abspath(self.filepath))]
        try:
            for path in paths:
                session_state.STATE.forget_clip(path)
                clip = session_state.STATE.load_clip(path).clip
                name = workflow.enter_clip(context.scene, path, path.stem, clip.header.source)
        except FileNotFoundError:
            return say(self, ClipError(f"There is no file {path}"))
        except FAULTS as fault:
            return say(self, fault)
        self.report({"INFO"}, f"{name}: {len(clip)} frames, {clip.times_s[-1] - clip.times_s[0]:.2f} s")
        return {"FINISHED"}


class MARIONET_FH_clip(bpy.types.FileHandler):
    """Clip files dropped into the viewport."""

    bl_idname = "MARIONET_FH_clip"
    bl_label = "Marionet clip"
    bl_import_operator = "marionet.import_clip"
    bl_file_extensions = ".npz"

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class MARIONET_OT_remove_clip(bpy.types.Operator):
    """Take the clip off the list; its file stays"""

    bl_idname = "marionet.remove_clip"
    bl_label = "Remove Clip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return not no_clip(cls, context)

    def execute(self, context: Any) -> set[str]:
        kept = settings(context)
        stop_overlay()
        stop_live()
        kept.clips.remove(kept.clip_index)
        kept.clip_index = max(0, min(kept.clip_index, len(kept.clips) - 1))
        redraw_viewports()
        return {"FINISHED"}


class MARIONET_OT_toggle_skeleton(bpy.types.Operator):
    """Show the clip's skeleton in the viewport; red joints are doubtful, turquoise ones sure"""

    bl_idname = "marionet.toggle_skeleton"
    bl_label = "Show Skeleton"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return session_state.STATE.overlay is not None or not no_clip(cls, context)

    def execute(self, context: Any) -> set[str]:
        if session_state.STATE.overlay is not None:
            stop_overlay()
            redraw_viewports()
            return {"FINISHED"}
        try:
            clip = workflow.cleaned_clip(context)
            workflow.show_overlay(context, clip, workflow.overlay_matrix(context, clip))
            workflow.cover_clip(context, clip)
        except FAULTS as fault:
            return say(self, fault)
        return {"FINISHED"}


class MARIONET_OT_toggle_live(bpy.types.Operator):
    """Show the clip on the chosen armature without keys; switched off, the pose is as before"""

    bl_idname = "marionet.toggle_live"
    bl_label = "Live Retarget"

    @classmethod
    def poll(cls, context: Any) -> bool:
        if session_state.STATE.live is not None:
            return True
        return not no_clip(cls, context) and not no_armature(cls, context)

    def execute(self, context: Any) -> set[str]:
        if session_state.STATE.live is not None:
            stop_live()
            redraw_viewports()
            return {"FINISHED"}
        try:
            workflow.show_live(context, workflow.cleaned_clip(context))
            workflow.cover_clip(context, workflow.cleaned_clip(context))
        except FAULTS as fault:
            return say(self, fault)
        return {"FINISHED"}


class MARIONET_OT_make_camera(bpy.types.Operator):
    """Add a camera with the clip's lens and place, the video behind it, and look through it"""

    bl_idname = "marionet.make_camera"
    bl_label = "Camera over Video"
    bl_options = {"REGISTER", "UNDO"}

    show_video: bpy.props.BoolProperty(
        name="Show Video", description="Put the clip's video behind the camera", default=True
    )
    alpha: bpy.props.FloatProperty(
        name="Opacity", description="Opacity of the video, 0 to 1", default=0.8, min=0.0, max=1.0
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        return not no_clip(cls, context)

    def execute(self, context: Any) -> set[str]:
        try:
            clip = workflow.loaded_clip(context).clip
            timing = workflow.clip_timing(context, workflow.cleaned_clip(context))
            placement = CameraPlacement(self._matrix(context), timing.frame_start, timing.fps)
            camera = make_camera(clip, placement)
            shown = self._show_video(context, camera, clip, placement) if self.show_video else ""
        except FAULTS as fault:
            return say(self, fault)
        context.scene.camera = camera
        for area in context.screen.areas if context.screen else ():
            if area.type == "VIEW_3D":
                area.spaces.active.region_3d.view_perspective = "CAMERA"
        self.report({"INFO"}, f"{camera.name}: {camera.data.lens:.1f} mm{shown}")
        return {"FINISHED"}

    def _matrix(self, context: Any) -> Any:
        kept = settings(context)
        if kept.retarget.armature is None:
            return np.eye(4)
        found = workflow.retarget_now(context, workflow.cleaned_clip(context))
        return scene_from_clip(found, workflow.retarget_options(kept.retarget))

    def _show_video(self, context: Any, camera: Any, clip: Any, placement: CameraPlacement) -> str:
        video = Path(bpy.path.abspath(active_clip(context).video or clip.header.source or "."))
        if not video.is_file():
            self.report({"WARNING"}, f"The video {video} is not there, so the camera has no image behind it")
            return ""
        try:
            show_video(camera, video, clip, placement, self.alpha)
        except CameraError as fault:
            self.report({"WARNING"}, str(fault))
            return ""
        if turns_left_out(video):
            self.report(
                {"WARNING"},
                f"{video.name} is marked as turned by {90 * turns_left_out(video)}°, which this Blender does not heed: "
                "it lies behind the camera. Blender 4.5 and later show it upright",
            )
        return f", {video.name} behind it"


class MARIONET_OT_load_sample(bpy.types.Operator):
    """Load the sample clip and the sample character, ready for a live retarget or a bake"""

    bl_idname = "marionet.load_sample"
    bl_label = "Load Sample"
    bl_options = {"REGISTER", "UNDO"}

    with_rig: bpy.props.BoolProperty(name="Character", description="Load the sample character too", default=True)

    def execute(self, context: Any) -> set[str]:
        try:
            path = sample_clip_path()
            session_state.STATE.load_clip(path)
            workflow.enter_clip(context.scene, path, "Sample", str(SAMPLE_VIDEO))
            if self.with_rig:
                rig = load_sample_rig(context.scene)
                context.view_layer.update()
                settings(context).retarget.armature = rig
                frame_things(context, [rig, *rig.children])
        except SampleError as fault:
            return say(self, fault)
        except FAULTS as fault:
            return say(self, fault)
        self.report({"INFO"}, "The sample is loaded: press Live Retarget and play, or Bake")
        return {"FINISHED"}


CLASSES = (
    MARIONET_OT_import_clip,
    MARIONET_FH_clip,
    MARIONET_OT_remove_clip,
    MARIONET_OT_toggle_skeleton,
    MARIONET_OT_toggle_live,
    MARIONET_OT_make_camera,
    MARIONET_OT_load_sample,
)
