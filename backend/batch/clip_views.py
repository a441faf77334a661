"""What shows a solved clip: overlays of its videos, a contact sheet, and a take's set-up, each with what writes it.

May import `backend.batch`, `backend.visualization`, `backend.multiview`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from backend.batch.solve_order import open_source
from backend.batch.take_order import alone, other_views
from backend.batch.tasks import ClipTask, OutputKind, PlannedClip
from backend.multiview.clip_setup import setup_of_clip
from backend.multiview.setup_file import write_setup
from backend.multiview.view_clips import clip_in_view
from backend.types import ProgressCallback
from backend.visualization import write_overlay, write_sheet
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.clip_cameras import ClipCamera


def clip_views(
    clip: PlannedClip, clips: list[MotionClip], progress: ProgressCallback
) -> Iterator[tuple[OutputKind, str, Callable[[Path], None]]]:
    """The videos, images and set-ups that are wanted, with their names and what writes them."""
    order = clip.order
    if OutputKind.OVERLAY in order.kinds:
        name = clip.output_name(OutputKind.OVERLAY, 0, 1)
        yield OutputKind.OVERLAY, name, lambda path: write_overlay(open_source(order, clips), clips, path, progress)
        for place, camera in other_views(order, clips[0]):
            name = clip.view_name(OutputKind.OVERLAY, place)
            yield OutputKind.OVERLAY, name, partial(_write_view, order, clips, camera, progress)
    if OutputKind.SHEET in order.kinds:
        name = clip.output_name(OutputKind.SHEET, 0, 1)
        yield OutputKind.SHEET, name, lambda path: write_sheet(open_source(order, clips), clips, path)
    if OutputKind.SETUP in order.kinds and sum(camera.used for camera in clips[0].header.cameras) > 1:
        name = clip.output_name(OutputKind.SETUP, 0, 1)
        yield OutputKind.SETUP, name, lambda path: write_setup(setup_of_clip(clips[0]), path)


def _write_view(
    order: ClipTask, clips: list[MotionClip], camera: ClipCamera, progress: ProgressCallback, path: Path
) -> None:
    """The overlay of another video of a take."""
    reader = open_source(alone(order, order.videos.index(camera.source)), clips)
    times_s = np.array([frame.time_s for frame in reader.frames()])
    write_overlay(reader, [clip_in_view(clip, camera, times_s) for clip in clips], path, progress)
