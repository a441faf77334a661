"""Operators for clips: import, remove, preview, camera, samples. May import bpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.types import Context, Event
from bpy_extras.io_utils import ImportHelper

from ...motion.clip import ClipError, MotionClip
from ...properties import active_clip, settings
from ...rig.camera_background import CameraError, CameraPlacement, make_camera, show_video
from ...rig.sample import SAMPLE_VIDEO, frame_things, load_sample_rig, sample_clip_path
from ...rig.video_rotation import turns_left_out
from ...session import session_state
from ...session.clip_videos import main_video, videos_of
from ...session.clips import cleaned_clip, clip_timing, enter_clip, loaded_clip
from ...session.contact_edit import drop_contacts
from ...session.motion_sources import ALL_ENDINGS, import_motion
from ...session.preview_control import adopt_active_armature, cover_clip, show_live, show_overlay
from ...session.previews import redraw_viewports, stop_live, stop_overlay
from ...session.retargeting import apply_pose, world_matrix
from ...session.take_cameras import look_through, make_take_cameras, take_camera_rows, turned_words
from .base import FAULTS, OperatorResult, report_fault, require_armature, require_clip
from .motion_sources import told_of_clips


class MARIONET_OT_import_clip(bpy.types.Operator, ImportHelper):
    """Import clips, and motion of other tools: BVH, SMPL and SMPL-X (.npz, .pt), FBX, glTF; several files at once"""

    bl_idname = "marionet.import_clip"
    bl_label = "Import Clip"
    bl_options = {"REGISTER", "UNDO"}

    if TYPE_CHECKING:
        filepath: str  # a property of the helper

    filename_ext = ".npz"
    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{ending}" for ending in ALL_ENDINGS), options={"HIDDEN"}, maxlen=255
    )
    files: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Context, event: Event) -> OperatorResult:  # type: ignore[override]
        if self.filepath or self.files:  # dropped
            return self.execute(context)
        helper: Any = ImportHelper  # the stubs say that `invoke` returns None
        return helper.invoke(self, context, event)

    def execute(self, context: Context) -> OperatorResult:
        chosen = [Path(self.directory) / item.name for item in self.files if item.name]
        paths = chosen or [Path(bpy.path.abspath(self.filepath))]
        names, faults = [], []
        for path in paths:
            try:
                names += import_motion(context.scene, path)
            except FileNotFoundError:
                faults.append(str(ClipError(f"There is no file {path}")))
            except FAULTS as fault:
                faults.append(str(fault))
        if names:
            adopt_active_armature(context)
        return told_of_clips(self, context, names, faults)


class MARIONET_FH_clip(bpy.types.FileHandler):
    """Clip files dropped into the viewport."""

    bl_idname = "MARIONET_FH_clip"
    bl_label = "Marionet clip or motion"
    bl_import_operator = "marionet.import_clip"
    bl_file_extensions = ".npz;.bvh;.pt;.pkl"

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class MARIONET_OT_remove_clip(bpy.types.Operator):
    """Remove the clip from the list; its file is kept"""

    bl_idname = "marionet.remove_clip"
    bl_label = "Remove Clip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        kept = settings(context)
        stop_overlay()
        stop_live()
        drop_contacts(context)
        kept.clips.remove(kept.clip_index)
        kept.clip_index = max(0, min(kept.clip_index, len(kept.clips) - 1))
        redraw_viewports()
        return {"FINISHED"}


class MARIONET_OT_toggle_skeleton(bpy.types.Operator):
    """Show the clip's skeleton in the viewport; red joints have low confidence, turquoise joints high confidence"""

    bl_idname = "marionet.toggle_skeleton"
    bl_label = "Show Skeleton"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return session_state.STATE.overlay is not None or require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        if session_state.STATE.overlay is not None:
            stop_overlay()
            redraw_viewports()
            return {"FINISHED"}
        try:
            clip = cleaned_clip(context)
            show_overlay(context, clip, world_matrix(context, clip))
            cover_clip(context, clip)
        except FAULTS as fault:
            return report_fault(self, fault)
        return {"FINISHED"}


class MARIONET_OT_toggle_live(bpy.types.Operator):
    """Show the clip on the chosen armature without keys; switching it off restores the pose"""

    bl_idname = "marionet.toggle_live"
    bl_label = "Live Retarget"

    @classmethod
    def poll(cls, context: Context) -> bool:
        if session_state.STATE.live is not None:
            return True
        return require_clip(cls, context) and require_armature(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        if session_state.STATE.live is not None:
            stop_live()
            redraw_viewports()
            return {"FINISHED"}
        try:
            show_live(context, cleaned_clip(context))
            cover_clip(context, cleaned_clip(context))
        except FAULTS as fault:
            return report_fault(self, fault)
        return {"FINISHED"}


class MARIONET_OT_apply_pose(bpy.types.Operator):
    """Put the pose that the clip has at the current frame onto the chosen armature, keyed at this frame alone"""

    bl_idname = "marionet.apply_pose"
    bl_label = "Apply Pose"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context) and require_armature(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        stop_live()
        try:
            clip = cleaned_clip(context)
            time_s = clip_timing(context, clip).time_s(context.scene.frame_current)
            report = apply_pose(context, clip, time_s)
        except FAULTS as fault:
            return report_fault(self, fault)
        context.scene.frame_set(context.scene.frame_current)
        self.report({"INFO"}, f"The pose is keyed at frame {report.frame_start} in the action {report.action}")
        return {"FINISHED"}


class MARIONET_OT_make_camera(bpy.types.Operator):
    """Add a camera with the lens and position of the clip, or one for each of its videos"""

    bl_idname = "marionet.make_camera"
    bl_label = "Camera over Video"
    bl_description = (
        "Add a camera with the lens and position of the clip, show the video behind it, and look through it. "
        "A clip of several videos gets a camera for each; those made before are updated"
    )
    bl_options = {"REGISTER", "UNDO"}

    show_video: bpy.props.BoolProperty(
        name="Show Video", description="Put the clip's video behind the camera", default=True
    )
    alpha: bpy.props.FloatProperty(
        name="Opacity", description="Opacity of the video, 0 to 1", default=0.8, min=0.0, max=1.0
    )

    @classmethod
    def poll(cls, context: Context) -> bool:
        return require_clip(cls, context)

    def execute(self, context: Context) -> OperatorResult:
        try:
            clip = loaded_clip(context).clip
            cleaned = cleaned_clip(context)
            timing = clip_timing(context, cleaned)
            placement = CameraPlacement(world_matrix(context, cleaned), timing.frame_start, timing.fps)
            if sum(camera.used for camera in clip.header.cameras) > 1:
                return self._make_all(context, clip, placement)
            camera = make_camera(clip, placement)
            shown = self._show_video(context, camera, clip, placement) if self.show_video else ""
        except FAULTS as fault:
            return report_fault(self, fault)
        context.scene.camera = camera
        for area in context.screen.areas if context.screen else ():
            if area.type == "VIEW_3D":
                view: Any = area.spaces.active
                view.region_3d.view_perspective = "CAMERA"
        self.report({"INFO"}, f"{camera.name}: {camera.data.lens:.1f} mm{shown}")
        return {"FINISHED"}

    def _make_all(self, context: Context, clip: MotionClip, placement: CameraPlacement) -> OperatorResult:
        """A camera for each video of a take; the one that was looked through stays so, else it is the first."""
        videos = videos_of(active_clip(context), clip)
        if not self.show_video:
            videos = [replace(video, file=None) for video in videos]
        warnings = make_take_cameras(context.scene, clip, videos, placement, self.alpha)
        rows = take_camera_rows(context.scene)
        look_through(context, next((row for row in rows if row.thing == context.scene.camera), rows[0]))
        if self.show_video:
            views = zip(clip.header.cameras, videos, strict=True)
            gone = [video.name for camera, video in views if camera.used and video.file is None]
            if gone:
                warnings.append(f"No image behind the camera of {', '.join(gone)}: use Find Videos")
        for text in warnings:
            self.report({"WARNING"}, text)
        if not warnings:
            self.report({"INFO"}, f"{len(rows)} cameras in {rows[0].thing.users_collection[0].name}")
        return {"FINISHED"}

    def _show_video(self, context: Context, camera: Any, clip: MotionClip, placement: CameraPlacement) -> str:
        entry = active_clip(context)
        video = main_video(entry, clip) or Path(bpy.path.abspath(entry.video or clip.header.source or "."))
        if not video.is_file():
            self.report({"WARNING"}, f"The video {video} does not exist, so the camera has no image behind it")
            return ""
        try:
            show_video(camera, video, clip, placement, self.alpha)
        except CameraError as fault:
            self.report({"WARNING"}, str(fault))
            return ""
        if turns_left_out(video):
            self.report({"WARNING"}, turned_words(video, turns_left_out(video)))
        return f", {video.name} behind it"


class MARIONET_OT_load_sample(bpy.types.Operator):
    """Load the sample clip and the sample character, ready for a live retarget or a bake"""

    bl_idname = "marionet.load_sample"
    bl_label = "Load Sample"
    bl_options = {"REGISTER", "UNDO"}

    with_rig: bpy.props.BoolProperty(name="Character", description="Load the sample character too", default=True)

    def execute(self, context: Context) -> OperatorResult:
        try:
            path = sample_clip_path()
            session_state.STATE.load_clip(path)
            enter_clip(context.scene, path, "Sample", str(SAMPLE_VIDEO))
            if self.with_rig:
                rig = load_sample_rig(context.scene)
                context.view_layer.update()
                settings(context).retarget.armature = rig
                frame_things(context, [rig, *rig.children])
        except FAULTS as fault:
            return report_fault(self, fault)
        self.report({"INFO"}, "The sample is loaded: press Live Retarget and play, or Bake")
        return {"FINISHED"}


CLASSES = (
    MARIONET_OT_import_clip,
    MARIONET_FH_clip,
    MARIONET_OT_remove_clip,
    MARIONET_OT_toggle_skeleton,
    MARIONET_OT_toggle_live,
    MARIONET_OT_apply_pose,
    MARIONET_OT_make_camera,
    MARIONET_OT_load_sample,
)
