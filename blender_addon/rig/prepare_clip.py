"""What happens to a clip before it goes onto a rig: smoothing, straighter legs, ground, trim. Free of bpy.

May import `motion` only. A clip comes in, another clip goes out; the file is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..motion.clip import MotionClip
from ..motion.ground import snap_to_ground
from ..motion.resampling import trim_clip
from ..motion.smoothing import PRESETS, PartFilters, SmoothSettings, smooth_clip
from ..motion.straight_legs import straighten_legs
from ..motion.temporal import TemporalFilter

# the panel's four parts and the filters that each of them sets
PART_FIELDS: dict[str, tuple[str, ...]] = {
    "root": ("root_horizontal", "root_height"),
    "torso": ("torso", "head", "face"),
    "arms": ("arms", "hands", "fingers"),
    "legs": ("legs", "feet"),
}
_STRENGTH = ("off", "light", "medium", "heavy")


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """`smooth` as `smooth_clip` takes it; `ground` puts standing feet on the floor; `trim_s` first and last time;
    `straighten_deg` as `straighten_legs` takes it.
    """

    smooth: SmoothSettings = SmoothSettings()
    ground: bool = False
    trim_s: tuple[float, float] | None = None
    straighten_deg: float = 0.0


def part_settings(strengths: dict[str, str], *, spikes: bool, gap_s: float) -> SmoothSettings:
    """Smoothing out of a preset's name per part (`PART_FIELDS`), with spike removal and gap filling of its own.

    What keeps fast moves and planted feet comes from the strongest preset in use.
    """
    filters: dict[str, TemporalFilter | None] = {}
    for part, names in PART_FIELDS.items():
        preset = PRESETS[strengths[part]]
        filters |= {name: getattr(preset.filters, name) for name in names}
    strongest = PRESETS[max(strengths.values(), key=_STRENGTH.index)]
    medium = PRESETS["medium"]
    gaps = replace(medium.gaps, longest_s=gap_s) if gap_s > 0 and medium.gaps is not None else None
    return replace(
        strongest,
        filters=PartFilters(**filters),
        spikes=(strongest.spikes or medium.spikes) if spikes else None,
        gaps=gaps,
    )


def prepare_clip(clip: MotionClip, settings: PrepareSettings) -> MotionClip:
    """Smooth, straighten, ground and trim, in this order. Raises ClipError when the trim leaves nothing."""
    out = straighten_legs(smooth_clip(clip, settings.smooth), settings.straighten_deg)
    if settings.ground:
        out = snap_to_ground(out)
    if settings.trim_s is not None:
        out = trim_clip(out, *settings.trim_s)
    return out
