"""Faces: crops from the body's keypoints, 478 landmarks, and ARKit's 52 weights calibrated to the person.

May import numpy, `backend.networks`, `backend.people`, `backend.hands`, `backend.types` and `blender_addon.motion`.
"""

from backend.face.expression import SolvedFace, solve_face
from backend.face.follow import FaceFollower, FaceNetworks, FaceTrack, load_face_networks

__all__ = ["FaceFollower", "FaceNetworks", "FaceTrack", "SolvedFace", "load_face_networks", "solve_face"]
