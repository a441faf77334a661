"""Motion from elsewhere into the clip list: armatures of the scene, motion files, scene files. May import bpy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bpy.types import Context

from ..motion.clip import write_clip
from ..motion.read_motion_file import MOTION_ENDINGS, SCENE_ENDINGS, is_clip_file, read_motion_file
from ..retarget.clip_from_source import SourceOptions, clip_of_skeleton
from ..retarget.edit_map import CorrectionFile
from ..retarget.posed_source import PosedSource
from ..rig.armature_clips import NamedClip, action_clips, playing_clip, scene_file_clips
from ..rig.sample_armature import own_actions, playing_span
from . import session_state
from .clips import enter_clip
from .extension import user_dir
from .map_rows import corrections_path
from .session_state import scene_fps

ALL_ENDINGS = (".npz", *(ending for ending in MOTION_ENDINGS if ending != ".npz"), *SCENE_ENDINGS)


def clips_of_file(path: Path) -> list[NamedClip]:
    """Every motion in a file of another tool. Raises MotionFileError."""
    if path.suffix.lower() in SCENE_ENDINGS:
        return scene_file_clips(path, _corrections)
    motions = read_motion_file(path)
    found = []
    for number, motion in enumerate(motions):
        label = path.name if len(motions) == 1 else f"{path.name}, person {number}"
        clip = clip_of_skeleton(motion, SourceOptions(label, corrections=_corrections))
        found.append(NamedClip(path.stem if len(motions) == 1 else f"{path.stem}.{number}", clip))
    return found


def import_motion(scene: Any, path: Path) -> list[str]:
    """Enter a clip file, or every motion in a file of another tool, into a scene's list; returns the names there.

    Raises ClipError, MotionFileError or OSError.
    """
    if not is_own_clip(path):
        return enter_motions(scene, clips_of_file(path))
    session_state.STATE.forget_clip(path)
    clip = session_state.STATE.load_clip(path).clip
    return [enter_clip(scene, path, path.stem, clip.header.source)]


def is_own_clip(path: Path) -> bool:
    """Whether a file is a motion clip that is read as it is."""
    return path.suffix.lower() not in ALL_ENDINGS or (path.suffix.lower() == ".npz" and is_clip_file(path))


def clips_of_armature(context: Context, armature: Any, every_action: bool = False) -> list[NamedClip]:
    """What an armature plays now as a clip, or each of its actions. Raises MotionFileError."""
    fps = scene_fps(context.scene)
    if every_action:
        return action_clips(armature, own_actions(armature), fps, _corrections)
    return [playing_clip(armature, fps, _corrections)]


def enter_motions(scene: Any, found: list[NamedClip]) -> list[str]:
    """Write clips to the extension's folder and enter them into a scene's list; returns their names there.

    Raises OSError where the profile cannot be written.
    """
    names = []
    for named in found:
        path = _free_path(named)
        write_clip(named.clip, path)
        session_state.STATE.load_clip(path)
        names.append(enter_clip(scene, path, named.name))
    return names


def moving_armatures(context: Context) -> list[Any]:
    """The armatures that are meant: those selected, else the active one, else the only one that moves beside the
    chosen target.
    """
    target = context.scene.marionet.retarget.armature  # type: ignore[union-attr]
    chosen = [thing for thing in context.selected_objects or () if thing.type == "ARMATURE"]
    active = context.active_object
    if active is not None and active.type == "ARMATURE" and active not in chosen:
        chosen.append(active)
    others = [thing for thing in chosen if thing != target]
    if others:
        return others
    if chosen and playing_span(chosen[0]) is not None:
        return chosen
    things = [thing for thing in context.scene.objects if thing.type == "ARMATURE" and thing != target]  # type: ignore[union-attr]
    moving = [thing for thing in things if playing_span(thing) is not None]
    return moving if len(moving) == 1 else []


def _corrections(source: PosedSource) -> Mapping[str, tuple[str, ...]]:
    try:
        return CorrectionFile(corrections_path()).for_rig(source.rig)
    except OSError:  # a read-only profile has no corrections
        return {}


def _free_path(named: NamedClip) -> Path:
    """A file name that is the clip's own: the same motion again takes the same file."""
    digest = hashlib.sha256(named.clip.rotations_wxyz.tobytes() + named.clip.root_world_m.tobytes()).hexdigest()[:8]
    plain = re.sub(r"[^\w.-]+", "_", named.name).strip("._") or "motion"
    return user_dir("imported") / f"{plain[:80]}-{digest}.npz"
