"""Which joints of a clip are seen, and how that is told."""

from dataclasses import replace

import numpy as np

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import MotionClip, check_clip
from blender_addon.motion.joint_sight import rotations_seen, unseen_shares, unseen_words
from blender_addon.motion.resampling import resample_clip, trim_clip
from tests.motion.motions import make_clip, walking

BODY = canonical_body()
LEGS = [BODY.joint_index(f"{side}_{name}") for side in ("left", "right") for name in ("hip", "knee", "ankle", "toe")]


def half_clip(first_unseen: int = 18) -> MotionClip:
    """Three seconds of which the legs below the hips are not seen from frame `first_unseen` on."""
    times, rotations, root, _ = walking(3.0, 30.0)
    clip = make_clip(times, rotations, root)
    confidence = np.full((len(clip), len(BODY.joint_names)), 0.9)
    for joint in LEGS:
        if not BODY.joint_names[joint].endswith("hip"):
            confidence[first_unseen:, joint] = 0.0
    clip = replace(clip, joint_confidence=confidence)
    check_clip(clip)
    return clip


def test_a_thigh_is_seen_where_its_knee_is() -> None:
    seen = rotations_seen(half_clip())
    assert seen is not None
    assert seen[:18].all()
    unseen = sorted(set(LEGS))
    assert not seen[18:, unseen].any()
    assert seen[:, [joint for joint in range(len(BODY.joint_names)) if joint not in unseen]].all()


def test_limbs_that_are_not_seen_are_told_once_with_their_share() -> None:
    clip = half_clip()
    assert unseen_words(clip) == ("the legs are not seen in 80 % of the frames",)
    assert unseen_words(replace(clip, joint_confidence=None)) == ()
    assert unseen_words(half_clip(len(clip))) == ()
    confidence = np.array(clip.joint_confidence)
    confidence[:, BODY.joint_index("left_ankle")] = confidence[:, BODY.joint_index("right_ankle")] = 0.0
    shares = unseen_shares(replace(clip, joint_confidence=confidence))
    assert list(shares) == ["legs", "lower legs"]
    assert shares["lower legs"] == 1.0


def test_what_is_seen_goes_along_when_a_clip_is_resampled_or_trimmed() -> None:
    clip = half_clip()
    knee = BODY.joint_index("left_knee")
    trimmed, denser = trim_clip(clip, 0.5, 1.0), resample_clip(clip, 60.0)
    assert trimmed.joint_confidence is not None
    assert denser.joint_confidence is not None
    assert np.array_equal(trimmed.joint_confidence, clip.joint_confidence[15:31])
    assert (denser.joint_confidence[:34, knee] > 0.8).all()
    assert not denser.joint_confidence[36:, knee].any()
