"""Fingers: hand crops from the body's keypoints, 21 landmarks a hand, and the pose of the canonical hand with hinges.

May import numpy, `backend.networks`, `backend.people`, `backend.camera`, `backend.types` and `blender_addon.motion`.
"""

from backend.hands.follow import HandFollower, HandNetworks, HandTrack, load_hand_networks
from backend.hands.motion import SolvedHands, solve_hands, with_wrists

__all__ = [
    "HandFollower",
    "HandNetworks",
    "HandTrack",
    "SolvedHands",
    "load_hand_networks",
    "solve_hands",
    "with_wrists",
]
