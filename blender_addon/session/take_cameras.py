"""The cameras of a clip of several videos in the scene: made, brought up to date, looked through. May import bpy.

The scene keeps which camera objects were made here. Nothing else is changed or removed, not even a copy of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context

from ..motion.clip import MotionClip
from ..motion.clip_cameras import ClipCamera
from ..properties import settings_of
from ..rig.camera_background import CameraError, CameraPlacement, set_frame_size
from ..rig.take_cameras import ClipSpan, camera_check, hide_take_video, set_camera, show_take_video
from ..rig.video_rotation import turns_left_out
from .clip_videos import ClipVideo, file_name

COLLECTION = "Marionet Cameras"
_DISTORTED_PX = 4.0


def make_take_cameras(
    scene: Any, clip: MotionClip, videos: Sequence[ClipVideo], placement: CameraPlacement, alpha: float
) -> list[str]:
    """Make or bring up to date a camera for each video that takes part; returns warnings.

    `videos` are those of the clip's cameras; one without a file leaves its camera without an image. Cameras of other
    videos that were made here before are removed. Raises CameraError, before anything is changed, when the clip has no
    camera.
    """
    used = [(place, camera) for place, camera in enumerate(clip.header.cameras) if camera.used]
    if not used:
        raise CameraError("No video of this clip takes part, so no camera can be made")
    for _, camera in used:
        camera_check(camera)
    _forget_gone(scene)
    own = _own_things(scene, used, videos)
    _remove_others(scene, own.values())
    slow_motion = float(clip.header.settings.get("slow_motion", "1"))
    span = ClipSpan(float(clip.times_s[0]), float(clip.times_s[-1]), slow_motion)
    warnings = []
    for place, camera in used:
        row = _row_for(scene, own.get(place), (place, camera), videos[place])
        row.pixel_aspect = set_camera(row.thing, camera, placement.world_matrix)
        warnings += _show(row, camera, videos[place].file, (span, placement, alpha))
        warnings += _distortion_warning(camera)
    return warnings


def take_camera_rows(scene: Any) -> list[Any]:
    """The cameras made here that are still in the scene, by the order of their videos."""
    rows = [row for row in settings_of(scene).take_cameras if _is_here(scene, row.thing)]
    return sorted(rows, key=lambda row: row.number)


def look_through(context: Context, row: Any) -> None:
    """Make a camera the scene's, at the frame size of its video, and look through it in every viewport."""
    scene: Any = context.scene
    scene.camera = row.thing
    set_frame_size(scene, row.width_px, row.height_px, row.pixel_aspect)
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D":
            view: Any = area.spaces.active
            view.camera = row.thing
            view.region_3d.view_perspective = "CAMERA"
            _fit_view(context, area)


def _fit_view(context: Context, area: Any) -> None:
    """Bring the whole frame of the camera into the viewport: that of a phone held upright would stick out of it."""
    region = next((region for region in area.regions if region.type == "WINDOW"), None)
    if bpy.app.background or region is None:
        return
    with context.temp_override(area=area, region=region):
        if bpy.ops.view3d.view_center_camera.poll():  # type: ignore[call-arg]  # the stub takes it for an unbound function
            bpy.ops.view3d.view_center_camera()


def _is_here(scene: Any, thing: Any) -> bool:
    return thing is not None and scene.objects.get(thing.name) == thing and thing.type == "CAMERA"


def _forget_gone(scene: Any) -> None:
    """Drop the rows of cameras that the user has deleted, and what the rows alone have kept of these."""
    rows = settings_of(scene).take_cameras
    for index in reversed(range(len(rows))):
        thing = rows[index].thing
        if _is_here(scene, thing):
            continue
        rows.remove(index)
        if thing is not None and not thing.users:
            _remove_object(thing)


def _collections(scene: Any) -> list[Any]:
    return [scene.collection, *scene.collection.children_recursive]


def _remove_object(thing: Any) -> None:
    data = thing.data
    bpy.data.objects.remove(thing)
    if isinstance(data, bpy.types.Camera) and not data.users:
        bpy.data.cameras.remove(data)


def _own_things(scene: Any, used: Sequence[tuple[int, ClipCamera]], videos: Sequence[ClipVideo]) -> dict[int, Any]:
    """Which of our camera objects is that of each video: by its file, else by its name in the clip.

    A server knows videos by their file names alone, which two of them may share: then the place decides.
    """
    rows = list(settings_of(scene).take_cameras)
    tests: tuple[Callable[[Any, int, ClipCamera], bool], ...] = (
        lambda row, place, _camera: row.video == videos[place].path,
        lambda row, place, camera: row.source == camera.source and row.number == place + 1,
        lambda row, _place, camera: row.source == camera.source,
    )
    found: dict[int, Any] = {}
    for test in tests:
        for place, camera in used:
            free = [row for row in rows if row.thing not in found.values()]
            row = next((row for row in free if test(row, place, camera)), None)
            if place not in found and row is not None:
                found[place] = row.thing
    return found


def _remove_others(scene: Any, kept: Collection[Any]) -> None:
    """Remove our cameras beside those kept; where another scene uses one too, from this scene alone.

    One in a collection of both, as a linked copy of a scene has it, stays.
    """
    rows = settings_of(scene).take_cameras
    for index in reversed(range(len(rows))):
        if rows[index].thing in kept:
            continue
        thing = rows[index].thing
        rows.remove(index)
        others = [other for other in thing.users_scene if other != scene]
        if others:
            elsewhere = [collection for other in others for collection in _collections(other)]
            for collection in thing.users_collection:
                if collection in _collections(scene) and collection not in elsewhere:
                    collection.objects.unlink(thing)
            continue
        _remove_object(thing)


def _row_for(scene: Any, thing: Any, view: tuple[int, ClipCamera], video: ClipVideo) -> Any:
    """The row of a camera object, or of a new one where there is none; what it says of the video is brought up to
    date.
    """
    rows, (place, camera) = settings_of(scene).take_cameras, view
    row = next((row for row in rows if thing is not None and row.thing == thing), None)
    if row is None:
        name = f"Camera {place + 1} {Path(video.name).stem}".strip()
        thing = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        thing.rotation_mode = "QUATERNION"
        _collection(scene).objects.link(thing)
        row = rows.add()
        row.name, row.thing = name, thing
    row.source, row.video = camera.source, video.path
    row.number, row.width_px, row.height_px = place + 1, camera.width, camera.height
    return row


def _collection(scene: Any) -> Any:
    """The collection that was made for our cameras; a new one where the scene no longer has it."""
    kept = settings_of(scene)
    if kept.camera_collection is None or kept.camera_collection not in scene.collection.children_recursive:
        kept.camera_collection = bpy.data.collections.new(COLLECTION)
        scene.collection.children.link(kept.camera_collection)
    return kept.camera_collection


def _show(row: Any, camera: ClipCamera, video: Path | None, how: tuple[ClipSpan, CameraPlacement, float]) -> list[str]:
    hide_take_video(row.thing, row.shown)
    row.shown = None
    if video is None:
        return []
    span, placement, alpha = how
    try:
        row.shown = show_take_video(row.thing, video, camera, span, placement, alpha).image
    except CameraError as fault:
        return [str(fault)]
    turns = turns_left_out(video)
    if turns:
        return [turned_words(video, turns)]
    return []


def turned_words(video: Path, turns: int) -> str:
    """That this Blender shows a video on its side."""
    return (
        f"{video.name} is marked as turned by {90 * turns}°, which this Blender ignores: "
        "it is shown on its side. Blender 4.5 and later show it upright"
    )


def _distortion_warning(camera: ClipCamera) -> list[str]:
    """A warning where the lens bends the image by more than a few pixels: Blender's camera has no distortion."""
    k1 = camera.distortion[0] if camera.distortion else 0.0
    radius = 0.5 * (camera.width**2 + camera.height**2) ** 0.5
    focal_px = max(camera.matrix[0][0], 1.0)
    bent_px = abs(k1) * (radius / focal_px) ** 2 * radius
    if bent_px < _DISTORTED_PX:
        return []
    name = file_name(camera.source)
    return [f"{name}: its lens bends the corners by {bent_px:.0f} px, which Blender's camera does not show"]
