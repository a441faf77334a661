"""Motion files of other tools, written from a clip by code that shares nothing with the readers: numpy and scipy."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from blender_addon.motion.body import canonical_body, shaped_offsets_m
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.posing import clip_shape, pose_clip

# the canonical body's axes (Z up, faces -Y) to those of SMPL and BVH (Y up, faces +Z)
Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
SMPL = ["pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"]
SMPL += ["spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"]
SMPL += ["right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"]
SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
OWN = {
    "spine1": "spine",
    "spine2": "chest",
    "spine3": "upper_chest",
    "left_collar": "left_clavicle",
    "right_collar": "right_clavicle",
    "left_foot": "left_toe",
    "right_foot": "right_toe",
}
# the direction of each limb segment in SMPL's T-pose, from its joint to the next, Y up: as its papers' figures show it
SMPL_REST = {
    "left_hip": (0.087, -0.996, 0.0),
    "left_knee": (-0.035, -0.994, -0.105),
    "left_shoulder": (0.993, -0.05, -0.104),
    "left_elbow": (0.999, 0.036, 0.0),
}
SMPL_REST |= {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in list(SMPL_REST.items())}
ENDS = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}


def world_rotations(clip: MotionClip) -> dict[str, Rotation]:
    """World rotations of the clip's joints, in its own axes."""
    posed = pose_clip(clip)
    return {
        name: Rotation.from_quat(posed.world_wxyz[:, joint], scalar_first=True)
        for joint, name in enumerate(clip.body_joint_names)
    }


def smpl_rotations(clip: MotionClip, up: str) -> tuple[np.ndarray, np.ndarray]:
    """Local rotation vectors (T, 22, 3) and the pelvis' path (T, 3) of a clip as SMPL has them, with "y" or "z" up."""
    posed, world = pose_clip(clip), world_rotations(clip)
    place = {name: posed.positions_m[:, joint] for joint, name in enumerate(clip.body_joint_names)}
    to_file = Y_UP if up == "y" else np.eye(3)
    turned: list[Rotation] = []
    for name in SMPL:
        own = OWN.get(name, name)
        # rotation from SMPL's rest pose (Y up, faces +Z) to the frame, in the file's axes
        turn = Rotation.from_matrix(to_file @ world[own].as_matrix() @ Y_UP.T)
        if name in SMPL_REST:
            along = place[name.split("_")[0] + "_" + ENDS[name.split("_")[1]]] - place[own]
            turn = swing(turn.apply(SMPL_REST[name]), along @ to_file.T) * turn
        turned.append(turn)
    local = [
        turn if parent < 0 else turned[parent].inv() * turn for turn, parent in zip(turned, SMPL_PARENTS, strict=True)
    ]
    path = place["pelvis"] @ to_file.T
    return np.stack([turn.as_rotvec() for turn in local], axis=1), path


def swing(source: np.ndarray, target: np.ndarray) -> Rotation:
    """The smallest rotations that turn directions (T, 3) into others."""
    source = source / np.linalg.norm(source, axis=1, keepdims=True)
    target = target / np.linalg.norm(target, axis=1, keepdims=True)
    axis = np.cross(source, target)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine, np.sum(source * target, axis=1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * angle)


def bvh_text(clip: MotionClip, style: str) -> str:
    """A clip as BVH. `lafan`: LAFAN1's names, every bone along its own X axis, so that the zero pose is folded;
    `mixamo` and `soma`: T-pose as zero pose.
    """
    bones = _bones(clip, style)
    posed, world = pose_clip(clip), world_rotations(clip)
    names = clip.body_joint_names
    lines, order = ["HIERARCHY"], []
    frames = len(clip)
    turned: dict[str, Rotation] = {}
    for name, (joint, _, axes) in bones.items():
        turned[name] = Rotation.from_matrix(Y_UP @ world[joint].as_matrix() @ Y_UP.T @ axes)

    def write(name: str, depth: int) -> None:
        _, parent, _ = bones[name]
        pad = "\t" * depth
        offset = _offset(clip, bones, name)
        channels = "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
        lines.append(f"{pad}{'JOINT' if parent else 'ROOT'} {name}\n{pad}{{")
        lines.append(f"{pad}\tOFFSET {offset[0]:.6f} {offset[1]:.6f} {offset[2]:.6f}")
        lines.append(f"{pad}\tCHANNELS {channels if not parent else '3 Zrotation Yrotation Xrotation'}")
        order.append(name)
        children = [child for child, (_, above, _) in bones.items() if above == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.append(f"{pad}\tEnd Site\n{pad}\t{{\n{pad}\t\tOFFSET 5.0 0.0 0.0\n{pad}\t}}")
        lines.append(f"{pad}}}")

    write(next(iter(bones)), 0)
    table = [100.0 * posed.positions_m[:, names.index(bones[order[0]][0])] @ Y_UP.T]
    for name in order:
        parent = bones[name][1]
        local = turned[parent].inv() * turned[name] if parent else turned[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # at a right angle two of the three angles share a turn: any split will do
            table.append(local.as_euler("ZYX", degrees=True))
    rows = np.concatenate(table, axis=1)
    step = float(np.median(np.diff(clip.times_s)))
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {step:.8f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


_NAMES = {
    "mixamo": "mixamorig:Hips Spine Spine1 Spine2 Neck Head Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase",
    "lafan": "Hips Spine Spine1 Spine2 Neck Head Shoulder Arm ForeArm Hand UpLeg Leg Foot Toe",
    "soma": "Hips Spine1 Spine2 Chest Neck1 Head Shoulder Arm ForeArm Hand Leg Shin Foot ToeBase",
}
_TRUNK = ["pelvis", "spine", "chest", "upper_chest", "neck", "head"]
_LIMB = ["clavicle", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe"]
_ABOVE = {"spine": "pelvis", "chest": "spine", "upper_chest": "chest", "neck": "upper_chest", "head": "neck"}
_ABOVE_LIMB = {"clavicle": "upper_chest", "hip": "pelvis", "shoulder": "clavicle", "elbow": "shoulder"}
_ABOVE_LIMB |= {"wrist": "elbow", "knee": "hip", "ankle": "knee", "toe": "ankle"}


def _bones(clip: MotionClip, style: str) -> dict[str, tuple[str, str, np.ndarray]]:
    """By the file's name: the canonical joint, the parent's name ("": root), and the bone's own axes in the T-pose."""
    words = dict(zip(_TRUNK + _LIMB, _NAMES[style].replace("mixamorig:", "").split(), strict=True))
    prefix = "mixamorig:" if style == "mixamo" else ""
    bones: dict[str, tuple[str, str, np.ndarray]] = {}

    def add(joint: str, side: str) -> None:
        kind = joint.removeprefix("left_").removeprefix("right_")
        above = _ABOVE_LIMB.get(kind) if side else _ABOVE.get(kind)
        parent = ""
        if above:
            parent = prefix + (side.capitalize() if above in _ABOVE_LIMB else "") + words[above]
        axes = _lafan_axes(clip, joint) if style == "lafan" else np.eye(3)
        bones[prefix + side.capitalize() + words[kind]] = (joint, parent, axes)

    for joint in _TRUNK:
        add(joint, "")
    for side in ("left", "right"):
        for kind in _LIMB:
            add(f"{side}_{kind}", side)
    return bones


def _rest(clip: MotionClip, joint: str) -> np.ndarray:
    body = canonical_body()
    offsets = shaped_offsets_m(body, clip_shape(clip))
    place, at = np.zeros(3), body.joint_index(joint)
    while at >= 0:
        place, at = place + offsets[at], int(body.parents[at])
    return 100.0 * Y_UP @ place


def _lafan_axes(clip: MotionClip, joint: str) -> np.ndarray:
    """Axes in the T-pose with X along the bone (for the hips: up the spine)."""
    body = canonical_body()
    children = [name for name in body.joint_names if body.parents[body.joint_index(name)] == body.joint_index(joint)]
    children = [name for name in children if not name.endswith(("hand", "clavicle", "hip"))]
    along = _rest(clip, children[0]) - _rest(clip, joint) if children else np.array([0.0, 1.0, 0.0])
    if joint in ("pelvis", "spine", "chest", "upper_chest", "neck", "head"):
        along = np.array([0.0, 1.0, 0.0])
    along = along / np.linalg.norm(along)
    ahead = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.8 else np.array([0.0, 1.0, 0.0])
    side = np.cross(along, ahead)
    side /= np.linalg.norm(side)
    return np.stack([along, np.cross(side, along), side], axis=1)


def _offset(clip: MotionClip, bones: dict[str, tuple[str, str, np.ndarray]], name: str) -> np.ndarray:
    joint, parent, _ = bones[name]
    if not parent:
        return np.zeros(3)
    above, _, axes = bones[parent]
    return np.asarray(axes.T @ (_rest(clip, joint) - _rest(clip, above)))
