"""Clips out of armatures that move, and out of scene files (FBX, glTF) with their actions. May import bpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from ..motion.clip import MotionClip
from ..motion.motion_file_error import MotionFileError
from ..retarget.clip_from_source import ARMATURE, MOTION_FILE, SourceOptions, clip_of_source
from ..retarget.posed_source import PosedSource
from .import_scene_file import imported_scene
from .sample_armature import only_action, own_actions, playing_span, sample_armature

Corrections = Callable[[PosedSource], Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class NamedClip:
    """A clip with the name that people know its motion by."""

    name: str
    clip: MotionClip


def no_corrections(_: PosedSource) -> Mapping[str, tuple[str, ...]]:
    """No bone was ever set by hand."""
    return {}


def playing_clip(armature: Any, fps: float, corrections: Corrections = no_corrections) -> NamedClip:
    """What an armature plays now. Raises MotionFileError where nothing moves it, or no person is found."""
    span = playing_span(armature)
    if span is None:
        raise MotionFileError(
            f"{armature.name} does not move: it has no action and no NLA strip",
            "Assign an action to it, or use all of its actions",
        )
    action = armature.animation_data.action if armature.animation_data else None
    source = sample_armature(armature, span, fps)
    clip = clip_of_source(source, SourceOptions(armature.name, ARMATURE, corrections))
    return NamedClip(action.name if action else armature.name, clip)


def action_clips(
    armature: Any, actions: list[Any], fps: float, corrections: Corrections = no_corrections
) -> list[NamedClip]:
    """Each action as a clip; those that cannot be used are left out where others can.

    Raises MotionFileError where there is no action, and the first fault where every action has one.
    """
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
                    options = SourceOptions(f"{armature.name}, {action.name}", ARMATURE, corrections)
                    found.append(NamedClip(action.name, clip_of_source(sample_armature(armature, span, fps), options)))
            except MotionFileError as fault:
                faults.append(fault)
    if not found and faults:
        raise faults[0]
    return found


def scene_file_clips(path: Path, corrections: Corrections = no_corrections) -> list[NamedClip]:
    """Every action of every armature in a scene file. Raises MotionFileError."""
    with imported_scene(path) as brought:
        if not brought.armatures:
            raise MotionFileError(f"{path.name} holds no armature", "Export it with the skeleton and its animation")
        render = bpy.context.scene.render
        found: list[NamedClip] = []
        for armature in brought.armatures:
            actions = own_actions(armature, brought.actions)
            if actions or len(brought.armatures) == 1:
                found += action_clips(armature, actions, render.fps / render.fps_base, corrections)
    single = len(found) == 1
    return [
        NamedClip(path.stem if single else f"{path.stem} {one.name}", _from_file(one, path, single)) for one in found
    ]


def _from_file(named: NamedClip, path: Path, single: bool) -> MotionClip:
    header = named.clip.header
    label = path.name if single else f"{path.name}, {named.name}"
    return replace(
        named.clip, header=replace(header, source=label, settings={**header.settings, "source": MOTION_FILE})
    )
