"""The face of an armature's meshes, sampled as it plays: shape keys as ARKit's weights. May import bpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..motion.face import FaceMotion
from ..retarget.match_face import doubles, face_weights, match_face
from .face_targets import face_meshes

# a face whose shape keys change less than this was not animated
_MOVED = 1e-3


class FaceSampler:
    """Call `look` at every frame; `motion` is what was seen."""

    def __init__(self, armature: Any) -> None:
        keys = [mesh.data.shape_keys for mesh in face_meshes(armature)]
        blocks: dict[str, list[Any]] = {}  # head, teeth and brows often have keys of one name, and not all are animated
        for one in keys:
            for block in one.key_blocks:
                if block != one.reference_key:
                    blocks.setdefault(block.name, []).append(block)
        shapes = match_face(blocks).shapes
        same = doubles(shapes)  # of two sets of shapes often one alone is animated
        self._shapes = {name: shapes[name] for name in same}
        self._blocks = [[block for name in names for block in blocks[name]] for names in same.values()]
        self._seen: list[list[float]] = []

    def look(self) -> None:
        """Note the shape keys of the scene's frame."""
        self._seen.append([max((block.value for block in same), key=abs) for same in self._blocks])

    def motion(self) -> FaceMotion | None:
        """The face over the frames; None without shape keys of known names, and where none is ever on."""
        values = np.array(self._seen, dtype=np.float64)
        if not values.size or np.abs(values).max() < _MOVED:
            return None
        return FaceMotion(face_weights(values, self._shapes), np.ones(len(values)))
