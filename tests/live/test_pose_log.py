"""The clip of a log says how far each joint is seen."""

import numpy as np

from backend.live.pose_log import ROW, SharedFacts, _clip
from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import check_clip


def test_joints_below_the_image_are_not_seen() -> None:
    rows = np.zeros(12, ROW)
    rows["time_s"] = np.arange(12) / 30.0
    rows["rotations"][..., 0] = 1.0
    rows["root"] = [0.0, 0.0, 3.0]
    rows["keypoints"], rows["seen"], rows["figures"][:, 0] = 200.0, 0.9, 0.8
    rows["keypoints"][:, 25:, 1] = 900.0
    matrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
    facts = SharedFacts(
        "camera", 640, 480, 1.7, "given", matrix, "given", np.eye(4).tolist(), [1.0] * 24, "model", "fast"
    )
    clip = _clip(rows, facts, "camera")
    check_clip(clip)
    body = canonical_body()
    assert clip.joint_confidence is not None
    assert not clip.joint_confidence[:, [body.joint_index("left_knee"), body.joint_index("right_toe")]].any()
    assert clip.joint_confidence[:, [body.joint_index("head"), body.joint_index("left_wrist")]].min() > 0.8
