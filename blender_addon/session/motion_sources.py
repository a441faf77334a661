"""Motion from elsewhere into the clip list: armatures of the scene, motion files, scene files. May import bpy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
from bpy.types import Context

from ..motion.clip import MotionClip, write_clip
from ..motion.motion_file_error import MotionFileError
from ..motion.read_motion_file import MOTION_ENDINGS, SCENE_ENDINGS, is_clip_file, read_motion_file
from ..retarget.clip_from_source import ARMATURE, SourceOptions, clip_of_skeleton, clip_of_source
from ..retarget.edit_map import CorrectionFile
from ..retarget.posed_source import PosedSource
from ..rig.import_scene_file import imported_scene
from ..rig.sample_armature import only_action, own_actions, playing_span, sample_armature
from . import session_state
from .clips import enter_clip
from .extension import user_dir
from .map_rows import corrections_path
from .session_state import scene_fps

ALL_ENDINGS = (".npz", *(ending for ending in MOTION_ENDINGS if ending != ".npz"), *SCENE_ENDINGS)


@dataclass(frozen=True, slots=True)
class Named:
    """A clip with the name that it is to have in the list."""

    name: str
    clip: MotionClip


def clips_of_file(path: Path) -> list[Named]:
    """Every motion in a file of another tool. Raises MotionFileError."""
    if path.suffix.lower() in SCENE_ENDINGS:
        return _clips_of_scene_file(path)
    motions = read_motion_file(path)
    found = []
    for number, motion in enumerate(motions):
        label = path.name if len(motions) == 1 else f"{path.name}, person {number}"
        clip = clip_of_skeleton(motion, SourceOptions(label, corrections=_corrections))
        found.append(Named(path.stem if len(motions) == 1 else f"{path.stem}.{number}", clip))
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


def clips_of_armature(context: Context, armature: Any, every_action: bool = False) -> list[Named]:
    """What an armature plays now as a clip, or each of its actions. Raises MotionFileError."""
    fps = scene_fps(context.scene)
    if every_action:
        return _clips_of_actions(armature, own_actions(armature), fps)
    span = playing_span(armature)
    if span is None:
        raise MotionFileError(
            f"{armature.name} does not move: it has no action and no NLA strip",
            "Assign an action to it, or use all of its actions",
        )
    action = armature.animation_data.action if armature.animation_data else None
    source = sample_armature(armature, span, fps)
    return [Named(action.name if action else armature.name, _clip(source, armature.name))]


def _clips_of_actions(armature: Any, actions: list[Any], fps: float) -> list[Named]:
    """Each action as a clip. Raises MotionFileError where there is none, and the first fault where all have one."""
    if not actions:
        raise MotionFileError(
            f"No action moves the bones of {armature.name}", "Export it with its animation, or assign an action"
        )
    found, faults = [], []
    for action in actions:
        with only_action(armature, action):
            span = playing_span(armature)
            try:
                if span is not None:
                    source = sample_armature(armature, span, fps)
                    found.append(Named(action.name, _clip(source, f"{armature.name}, {action.name}")))
            except MotionFileError as fault:
                faults.append(fault)
    if not found and faults:
        raise faults[0]
    return found


def enter_motions(scene: Any, found: list[Named]) -> list[str]:
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


def _clip(source: PosedSource, label: str) -> MotionClip:
    return clip_of_source(source, SourceOptions(label, ARMATURE, _corrections))


def _clips_of_scene_file(path: Path) -> list[Named]:
    with imported_scene(path) as brought:
        if not brought.armatures:
            raise MotionFileError(f"{path.name} holds no armature", "Export it with the skeleton and its animation")
        found: list[Named] = []
        for armature in brought.armatures:
            actions = own_actions(armature, brought.actions)
            if actions or len(brought.armatures) == 1:
                found += _clips_of_actions(armature, actions, scene_fps(bpy.context.scene))
    single = len(found) == 1
    return [
        Named(path.stem if single else f"{path.stem} {named.name}", _from_file(named.clip, path)) for named in found
    ]


def _from_file(clip: MotionClip, path: Path) -> MotionClip:
    return replace(clip, header=replace(clip.header, source=path.name))


def _corrections(source: PosedSource) -> Mapping[str, tuple[str, ...]]:
    try:
        return CorrectionFile(corrections_path()).for_rig(source.rig)
    except OSError:  # a read-only profile has no corrections
        return {}


def _free_path(named: Named) -> Path:
    """A file name that is the clip's own: the same motion again takes the same file."""
    digest = hashlib.sha256(named.clip.rotations_wxyz.tobytes() + named.clip.root_world_m.tobytes()).hexdigest()[:8]
    plain = re.sub(r"[^\w.-]+", "_", named.name).strip("._") or "motion"
    return user_dir("imported") / f"{plain[:80]}-{digest}.npz"
