"""The account of a bake: what was written onto which bones, in words. Free of bpy."""

from __future__ import annotations

from dataclasses import dataclass

from ..motion.quality_labels import figure_line
from ..retarget.baked_pose import JointNote
from ..retarget.joint_words import joint_label


@dataclass(frozen=True, slots=True)
class BakeReport:
    """What was written: `bones` keyed, `keys` in all, scene frames from `frame_start` to `frame_end`."""

    armature: str
    action: str
    bones: int
    keys: int
    frames: int
    frame_start: int
    frame_end: int
    kept_action: str | None
    mapped: tuple[JointNote, ...]
    unmapped: tuple[JointNote, ...]
    warnings: tuple[str, ...]
    figures: dict[str, float]
    is_cyclic: bool = False

    def lacking(self) -> tuple[JointNote, ...]:
        """The joints that have no bone and need one."""
        return tuple(note for note in self.unmapped if not note.reason.startswith("not needed"))

    def headline(self) -> str:
        """One line for the status bar."""
        joints = len(self.mapped) + len(self.lacking())
        return (
            f"{self.action}: {self.bones} bones ({len(self.mapped)} of {joints} joints), {self.frames} frames "
            f"({self.frame_start} to {self.frame_end}), {self.keys} keys"
        )

    def lines(self) -> list[str]:
        """The whole account, a sentence a line."""
        lines = [self.headline()]
        if self.is_cyclic:
            lines.append(f"A loop of {self.frame_end - self.frame_start} frames: the last frame is the first one again")
        if self.kept_action:
            lines.append(f"The action {self.kept_action} that was active before is kept")
        lines += [f"Not mapped: {joint_label(note.joint)} ({note.reason})" for note in self.lacking()]
        lines += [f"Warning: {warning}" for warning in self.warnings]
        lines += [figure_line(name, value) for name, value in sorted(self.figures.items())]
        return lines
