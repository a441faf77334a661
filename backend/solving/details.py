"""Hands and face of one person, from what the video showed to what goes into the clip, with figures and warnings.

May import `backend.hands`, `backend.face`, `backend.solving.detail_pass`, `backend.types`, `blender_addon.motion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.face import face_over_time, faces_together, head_over_time, seen_face, with_head
from backend.hands import forearms, hands_over_time, hands_together, seen_hands, with_wrists
from backend.networks import load_network
from backend.solving.detail_pass import DetailEvidence, Details
from backend.types import Array, Intrinsics, PersonTrack, PoseTrack
from blender_addon.motion.clip_warning import ClipWarning, WarningCode
from blender_addon.motion.face import FaceMotion
from blender_addon.motion.hands import HandMotion
from blender_addon.motion.quality import SEEN

_LEAST_SEEN = 0.3
_LEAST_HAND_PX, _LEAST_FACE_PX = 40.0, 50.0
_HAND_IN_PALMS = 1.8  # from wrist to fingertips
_FACE_IN_EYES = 1.6  # the face's width over that between the outer corners of the eyes


@dataclass(frozen=True, slots=True)
class SolvedDetails:
    """poses with the wrists' evidence; hands and face over the track's frames, None where not asked for; `sizes_px`
    the median size in the image by figure name.
    """

    poses: PoseTrack
    hands: HandMotion | None = None
    face: FaceMotion | None = None
    sizes_px: dict[str, float] = field(default_factory=dict)


def solve_details(
    details: Details, track: PersonTrack, poses: PoseTrack, intrinsics: Intrinsics, cuts_s: tuple[float, ...]
) -> SolvedDetails:
    """Fingers, wrists and face of a person whose body is solved from one video; without details the poses as they are.

    `details.others` count too.
    """
    hands, face = None, None
    if details.hands is not None:
        hands = seen_hands(details.hands, forearms(poses), intrinsics, load_network("hand_pose"))
    if details.face is not None:
        face = seen_face(details.face, track.times_s, np.isfinite(poses.rotations_wxyz).all(axis=(1, 2)), intrinsics)
    return solve_evidence((DetailEvidence(hands, face), *details.others), track.times_s, poses, cuts_s)


def solve_evidence(
    views: Sequence[DetailEvidence], times_s: Array, poses: PoseTrack, cuts_s: tuple[float, ...]
) -> SolvedDetails:
    """Fingers, wrists and face from what several videos say at the frames of `poses`, `times_s` (T,)."""
    shots = np.searchsorted(np.asarray(cuts_s, dtype=np.float64), times_s, side="right")
    there = np.isfinite(poses.rotations_wxyz).all(axis=(1, 2))
    moved, face, solved, sizes = poses, None, None, dict[str, float]()
    hands = [view.hands for view in views if view.hands is not None]
    if hands:
        solved = hands_over_time(hands_together(hands, times_s, shots), times_s, cuts_s, there)
        moved = with_wrists(poses, solved)
        sizes["hand_size_px"] = _HAND_IN_PALMS * _median(solved.pixels)
    faces = [view.face for view in views if view.face is not None]
    if faces:
        seen = faces_together(faces, times_s, shots)
        moved = with_head(moved, *head_over_time(seen, times_s, cuts_s, there))
        face, sizes["face_size_px"] = face_over_time(seen, times_s, cuts_s, there), _FACE_IN_EYES * _median(seen.pixels)
    return SolvedDetails(moved, None if solved is None else solved.hands, face, sizes)


def detail_figures(solved: SolvedDetails) -> dict[str, float]:
    """Sizes in the image; how much was seen is measured on the clip."""
    return {name: round(size, 1) for name, size in solved.sizes_px.items()}


def detail_warnings(solved: SolvedDetails) -> tuple[ClipWarning, ...]:
    """What the user should know of hands and face that are small or seldom seen."""
    there = np.isfinite(solved.poses.rotations_wxyz).all(axis=(1, 2))
    remedy = "move the camera closer, or record in a higher resolution"
    warnings = []
    if solved.hands is not None:
        size, share = solved.sizes_px["hand_size_px"], _trusted(solved.hands.confidence[there])
        if not size:
            warnings.append(ClipWarning(WarningCode.HANDS_SMALL, f"no hand was found, so hands are relaxed; {remedy}"))
        elif share < _LEAST_SEEN or size < _LEAST_HAND_PX:
            text = f"fingers are rough: hands are {size:.0f} px long and trusted in {share:.0%} of the frames; {remedy}"
            warnings.append(ClipWarning(WarningCode.HANDS_SMALL, text))
    if solved.face is not None:
        size, share = solved.sizes_px["face_size_px"], _trusted(solved.face.confidence[there])
        if not size:
            warnings.append(ClipWarning(WarningCode.FACE_SMALL, f"no face was found, so the face rests; {remedy}"))
        elif share < _LEAST_SEEN or size < _LEAST_FACE_PX:
            text = f"the face is rough: it is {size:.0f} px wide and trusted in {share:.0%} of the frames; {remedy}"
            warnings.append(ClipWarning(WarningCode.FACE_SMALL, text))
    return tuple(warnings)


def _trusted(confidence: Array) -> float:
    return float((confidence >= SEEN).mean()) if confidence.size else 0.0


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0
