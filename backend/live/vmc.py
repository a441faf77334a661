"""Live poses to other programs: the Virtual Motion Capture protocol over OSC, with Unity's humanoid bones.

`/VMC/Ext/Root/Pos` and `/VMC/Ext/Bone/Pos` carry a position and a local rotation (x, y, z, w) in Unity's axes:
left-handed, Y up, the character faces +Z, its left is -X. The rest pose is the T-pose with every rotation the identity,
which is that of VRM's normalised humanoid and of the canonical body: rotations need no more than a change of axes.
Source: https://protocol.vmc.info (performer to marionette), VRM 0.x humanoid. May import python-osc, `motion` and
`backend.live`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import UDPClient

from backend.errors import BadInputError
from backend.live.request import LivePose
from backend.types import Array
from blender_addon.motion.body import BodyShape, canonical_body, shaped_offsets_m

DEFAULT_PORT: Final = 39539
_SIDE_BONES: Final = {
    "clavicle": "Shoulder",
    "shoulder": "UpperArm",
    "elbow": "LowerArm",
    "wrist": "Hand",
    "hip": "UpperLeg",
    "knee": "LowerLeg",
    "ankle": "Foot",
    "toe": "Toes",
}
HUMANOID_BONES: Final[Mapping[str, str]] = {
    "pelvis": "Hips",
    "spine": "Spine",
    "chest": "Chest",
    "upper_chest": "UpperChest",
    "neck": "Neck",
    "head": "Head",
    **{f"{side}_{joint}": f"{side.title()}{bone}" for side in ("left", "right") for joint, bone in _SIDE_BONES.items()},
}
"""Unity's HumanBodyBones by the canonical body's joints."""

_MOST_IN_BUNDLE: Final = 12  # bones in one datagram, which stays below an Ethernet frame
_UNITY: Final = np.array([-1.0, 1.0, -1.0])
Value = str | float | int


def unity_position(world_m: Array) -> Array:
    """Points (..., 3) of the world (Z up; the rest pose faces -Y) in Unity's axes: (-x, z, -y)."""
    return np.asarray(world_m)[..., [0, 2, 1]] * _UNITY


def unity_rotation(wxyz: Array) -> Array:
    """Rotations (..., 4) w, x, y, z of the world as Unity's x, y, z, w: the axes change their handedness."""
    w, x, y, z = np.moveaxis(np.asarray(wxyz), -1, 0)
    return np.stack([x, -z, y, w], axis=-1)


@dataclass(frozen=True, slots=True)
class VmcTarget:
    """Where packets go."""

    host: str
    port: int


def parse_target(text: str) -> VmcTarget:
    """Read `HOST:PORT`, `HOST` or `:PORT`. Raises BadInputError."""
    host, colon, port = text.rpartition(":") if ":" in text else (text, "", str(DEFAULT_PORT))
    if not port.isdigit() or not 0 < int(port) < 65536 or (colon and "/" in host):
        raise BadInputError(f"--vmc {text!r} is no address", f"Write HOST:PORT, for example 127.0.0.1:{DEFAULT_PORT}")
    return VmcTarget(host.strip("[]") or "127.0.0.1", int(port))


class VmcSender:
    """`send` each live pose. Nobody has to listen; packets that cannot be sent are dropped and counted."""

    def __init__(self, target: VmcTarget, shape: BodyShape | None = None) -> None:
        try:
            self._client = UDPClient(target.host, target.port)
        except OSError as fault:
            raise BadInputError(f"--vmc: {target.host} is not known ({fault.strerror})", "Check the name") from fault
        body = canonical_body()
        self._joints = [body.joint_index(joint) for joint in HUMANOID_BONES]
        self._offsets = unity_position(shaped_offsets_m(body, shape))
        self._began_s = time.monotonic()
        self.dropped = 0

    def send(self, pose: LivePose, face_weights: Mapping[str, float] | None = None) -> None:
        """One pose; without a person only that the sender is there. `face_weights`: 0 to 1 by expression."""
        head = [_message("/VMC/Ext/OK", int(pose.has_pose)), _message("/VMC/Ext/T", time.monotonic() - self._began_s)]
        if not pose.has_pose:
            self._send([head])
            return
        bones = self._bones(pose)
        parts = [head + bones[:_MOST_IN_BUNDLE], bones[_MOST_IN_BUNDLE:]]
        if face_weights:
            values = [_message("/VMC/Ext/Blend/Val", name, float(value)) for name, value in face_weights.items()]
            parts.append([*values, _message("/VMC/Ext/Blend/Apply")])
        self._send(parts)

    def close(self) -> None:
        """Give the socket back."""
        self._client.close()

    def _bones(self, pose: LivePose) -> list[OscMessageBuilder]:
        """The root under the pelvis on the floor, the hips above it, and every bone by its rotation."""
        place = unity_position(pose.root_m)
        rotations = unity_rotation(pose.rotations_wxyz)
        root = np.array([place[0], 0.0, place[2]])
        messages = [_message("/VMC/Ext/Root/Pos", "root", *root.tolist(), 0.0, 0.0, 0.0, 1.0)]
        for joint, name in zip(self._joints, HUMANOID_BONES.values(), strict=True):
            offset = np.array([0.0, place[1], 0.0]) if joint == 0 else self._offsets[joint]
            messages.append(_message("/VMC/Ext/Bone/Pos", name, *offset.tolist(), *rotations[joint].tolist()))
        return messages

    def _send(self, parts: list[list[OscMessageBuilder]]) -> None:
        for part in parts:
            try:
                self._client.send(_bundle(part))
            except OSError:
                self.dropped += 1


def _message(address: str, *values: Value) -> OscMessageBuilder:
    builder = OscMessageBuilder(address)
    for value in values:
        kind = "s" if isinstance(value, str) else "i" if isinstance(value, int) else "f"
        builder.add_arg(value, kind)
    return builder


def _bundle(messages: list[OscMessageBuilder]) -> OscBundle:
    bundle = OscBundleBuilder(IMMEDIATELY)
    for message in messages:
        bundle.add_content(message.build())
    return bundle.build()
