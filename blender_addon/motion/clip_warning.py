"""Warnings about a clip: a stable code for programs, and a sentence for the user. Standard library only.

Programs decide by the code alone, so that the sentences can be reworded and translated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest


class WarningCode(StrEnum):
    """What a warning is about. The values stand in clip files and batch records: add some, never change one."""

    CAMERA_ASSUMED = "camera_assumed"
    """No field of view was given or found: distances may be off."""
    CAMERA_MOVES = "camera_moves"
    """The background moves; the path through the world drifts."""
    CAMERA_TURNED = "camera_turned"
    """The world was turned by more than 30 degrees: the camera, or the whole video, lies on its side."""
    CUTS = "cuts"
    """The range holds several shots."""
    FACE_SMALL = "face_small"
    """The face is too small in the image, or rarely seen, for its expression to be trusted."""
    GRAVITY_UNCERTAIN = "gravity_uncertain"
    """The direction down was estimated with a large uncertainty."""
    HANDS_SMALL = "hands_small"
    """The hands are too small in the image, or rarely seen, for their fingers to be trusted."""
    NO_THUMBNAIL = "no_thumbnail"
    """The index page of a batch has no image of the clip."""
    NOT_PLACED = "not_placed"
    """No keypoint was seen well enough to place the person."""
    PREVIEW_ONLY = "preview_only"
    """The clip was kept from the preview."""
    RETARGET = "retarget"
    """The rig or its map limits what was baked."""
    SOURCE = "source"
    """A motion from elsewhere: what its skeleton, its file or its rest pose lacks."""
    STOPPED_EARLY = "stopped_early"
    """The solve was stopped before the end of the range."""
    TOO_FEW_FRAMES = "too_few_frames"
    """The person is solved in too few frames to place a motion."""
    UNSEEN_PARTS = "unseen_parts"
    """Parts of the body are never in the image; their motion is not seen."""
    VIEW_EXCLUDED = "view_excluded"
    """A video of a take with several takes no part in the solve; the sentence names it and says why."""
    VIEW_MIRRORED = "view_mirrored"
    """A video was recorded in a mirror; left and right were exchanged back."""
    CALIBRATION_MISFIT = "calibration_misfit"
    """A given calibration does not fit the videos and was not used."""
    VIDEO_DAMAGED = "video_damaged"
    """Parts of the video could not be decoded or were left out."""
    VIDEO_DARK = "video_dark"
    """The video is too dark to follow people exactly."""
    OTHER = "other"
    """A code that this version does not know, or a sentence from before there were codes."""


@dataclass(frozen=True, slots=True)
class ClipWarning:
    """One warning: `code` for programs, `text` for the user."""

    code: WarningCode
    text: str

    def __str__(self) -> str:
        return self.text


# how the sentences of version 0.7 and older begin, which were stored without codes: nothing is ever added here
_OLD_OPENINGS = {"the camera is not known": WarningCode.CAMERA_ASSUMED}


def warnings_from_record(texts: Sequence[str], codes: Sequence[str] | None) -> tuple[ClipWarning, ...]:
    """Stored sentences with their codes, which are None in a file of version 0.7 or older.

    A code of a later version reads as OTHER, and so does a sentence without a code.
    """
    if codes is None:
        return tuple(ClipWarning(_old_code(text), text) for text in texts)
    return tuple(ClipWarning(_known_code(code), text) for text, code in zip_longest(texts, codes[: len(texts)]))


def _known_code(code: str | None) -> WarningCode:
    return WarningCode(code) if code in list(WarningCode) else WarningCode.OTHER


def _old_code(text: str) -> WarningCode:
    found = (code for opening, code in _OLD_OPENINGS.items() if text.startswith(opening))
    return next(found, WarningCode.OTHER)
