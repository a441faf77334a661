"""What happens to a clip before it goes onto a rig: smoothing, straighter legs, ground, trim. Free of bpy.

May import `motion` only. A clip comes in, another clip goes out; the file is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..motion.clip import MotionClip
from ..motion.contact_spans import ContactSpans, with_contact_spans
from ..motion.contacts import ContactSettings
from ..motion.edited_contacts import follow_added_contacts
from ..motion.ground import snap_to_ground
from ..motion.looping import Loop, find_cycle, loop_clip
from ..motion.mirroring import mirror_clip
from ..motion.resampling import trim_clip
from ..motion.smoothing import PRESETS, PartFilters, SmoothSettings, smooth_clip
from ..motion.straight_legs import straighten_legs
from ..motion.temporal import TemporalFilter

# the panel's parts and the filters that each of them sets
PART_FIELDS: dict[str, tuple[str, ...]] = {
    "root": ("root_horizontal", "root_height"),
    "torso": ("torso", "head"),
    "arms": ("arms", "hands"),
    "legs": ("legs", "feet"),
    "fingers": ("fingers",),
    "face": ("face",),
}
_NOT_BODY = ("fingers", "face")
_STRENGTH = ("off", "light", "medium", "heavy")


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """`smooth` as `smooth_clip` takes it; `ground` puts standing feet on the floor; `trim_s` first and last time;
    `straighten_deg` as `straighten_legs` takes it. `spans_s` are contacts edited by hand, as `with_contact_spans` takes
    them (None: the clip's own), `own_contacts` says when the clip's own counted as resting before the edit; `mirror`
    exchanges left and right, `loop` joins an end to a start.
    """

    smooth: SmoothSettings = SmoothSettings()
    ground: bool = False
    trim_s: tuple[float, float] | None = None
    straighten_deg: float = 0.0
    spans_s: ContactSpans | None = None
    mirror: bool = False
    loop: Loop = Loop.OFF
    own_contacts: ContactSettings = ContactSettings()


def part_settings(strengths: dict[str, str], *, spikes: bool, gap_s: float) -> SmoothSettings:
    """Smoothing out of a preset's name per part (`PART_FIELDS`), with spike removal and gap filling of its own.

    What keeps fast moves and planted feet comes from the strongest preset in use on the body.
    """
    filters: dict[str, TemporalFilter | None] = {}
    for part, names in PART_FIELDS.items():
        preset = PRESETS[strengths[part]]
        filters |= {name: getattr(preset.filters, name) for name in names}
    body = [strength for part, strength in strengths.items() if part not in _NOT_BODY]
    strongest = PRESETS[max(body, key=_STRENGTH.index)]
    medium = PRESETS["medium"]
    gaps = replace(medium.gaps, longest_s=gap_s) if gap_s > 0 and medium.gaps is not None else None
    return replace(
        strongest,
        filters=PartFilters(**filters),
        spikes=(strongest.spikes or medium.spikes) if spikes else None,
        gaps=gaps,
    )


def prepare_clip(clip: MotionClip, settings: PrepareSettings) -> MotionClip:
    """Contacts, smoothing, straighter legs, ground, trim, mirror and loop, in this order.

    Raises ClipError when the trim leaves nothing, or a loop too little.
    """
    trim_s = settings.trim_s
    if settings.loop is Loop.FIND:  # in the clip as solved: no setting then moves the cycle
        cycle = find_cycle(clip if trim_s is None else trim_clip(clip, *trim_s))
        trim_s = cycle.start_s, cycle.end_s
    if settings.spans_s is not None:
        edited = with_contact_spans(clip, settings.spans_s)
        clip = follow_added_contacts(clip, edited, settings.own_contacts)
    out = straighten_legs(smooth_clip(clip, settings.smooth), settings.straighten_deg)
    if settings.ground:
        out = snap_to_ground(out)
    if trim_s is not None:
        out = trim_clip(out, *trim_s)
    if settings.mirror:
        out = mirror_clip(out)
    return out if settings.loop is Loop.OFF else loop_clip(out)
