"""Faces: crops from the body's keypoints, 478 landmarks, and ARKit's 52 weights calibrated to the person.

May import numpy, `backend.networks`, `backend.people`, `backend.hands`, `backend.types` and `blender_addon.motion`.
"""

from backend.face.close_up import CloseUpFace
from backend.face.expression import (
    FaceEvidence,
    SolvedFace,
    face_at,
    face_over_time,
    faces_together,
    head_over_time,
    seen_face,
    solve_face,
)
from backend.face.follow import FaceFollower, FaceNetworks, FaceTrack, load_face_networks
from backend.face.head import with_head

__all__ = [
    "CloseUpFace",
    "FaceEvidence",
    "FaceFollower",
    "FaceNetworks",
    "FaceTrack",
    "SolvedFace",
    "face_at",
    "face_over_time",
    "faces_together",
    "head_over_time",
    "load_face_networks",
    "seen_face",
    "solve_face",
    "with_head",
]
