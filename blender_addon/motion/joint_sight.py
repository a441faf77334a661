"""Which joints of a clip are seen, and which are a guess: for the choice of keys, for previews and for warnings.

May import numpy and its own room only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import bare_name, canonical_body
from .clip import MotionClip

Array = NDArray[np.floating]

_LEAST = 0.25
# below this part of the frames nothing is said
_TOLD_SHARE = 0.05
# what turns a joint shows at the next one; the others show it themselves
_SHOWN_AT = {
    "neck": "head",
    "clavicle": "shoulder",
    "shoulder": "elbow",
    "elbow": "wrist",
    "wrist": "hand",
    "hip": "knee",
    "knee": "ankle",
    "ankle": "toe",
}
_LIMBS = {"legs": ("left_knee", "right_knee"), "lower legs": ("left_ankle", "right_ankle")} | {
    "arms": ("left_elbow", "right_elbow"),
    "hands": ("left_wrist", "right_wrist"),
}
_WITHIN = {"lower legs": "legs", "hands": "arms"}


def rotations_seen(clip: MotionClip) -> NDArray[np.bool_] | None:
    """Which joints' rotations (T, J) are seen: those whose next joint is in the frame. The pelvis always counts.

    None for a clip that does not say which joints are seen.
    """
    if clip.joint_confidence is None:
        return None
    names = list(canonical_body().joint_names)
    seen = np.asarray(clip.joint_confidence) >= _LEAST
    columns = []
    for joint, name in enumerate(names):
        side = name[: -len(bare_name(name))]
        shown_at = _SHOWN_AT.get(bare_name(name))
        columns.append(seen[:, joint if shown_at is None else names.index(side + shown_at)])
    columns[0] = np.ones(len(clip), bool)
    return np.stack(columns, axis=1)


def unseen_shares(clip: MotionClip) -> dict[str, float]:
    """Limbs that are not seen in a good part of the frames with the person, by name: in which part of them."""
    if clip.joint_confidence is None:
        return {}
    body, solved = canonical_body(), np.asarray(clip.confidence) > 0
    if not solved.any():
        return {}
    seen = np.asarray(clip.joint_confidence)[solved] >= _LEAST
    found: dict[str, float] = {}
    for name, joints in _LIMBS.items():
        share = float((~seen[:, [body.joint_index(joint) for joint in joints]]).all(axis=1).mean())
        if share >= max(_TOLD_SHARE, found.get(_WITHIN.get(name, ""), 0.0) + _TOLD_SHARE):
            found[name] = share
    return found


def unseen_words(clip: MotionClip) -> tuple[str, ...]:
    """Sentences about limbs that are not seen, such as `the legs are not seen in 80 % of the frames`."""
    return tuple(
        f"the {name} are not seen in {100.0 * share:.0f} % of the frames" for name, share in unseen_shares(clip).items()
    )
