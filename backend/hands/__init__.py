"""Fingers: hand crops from the body's keypoints, 21 landmarks a hand, and the pose of the canonical hand with hinges.

May import numpy, `backend.networks`, `backend.people`, `backend.camera`, `backend.types` and `blender_addon.motion`.
"""

from backend.hands.close_up import CloseUpHands
from backend.hands.evidence import HandEvidence, forearms, hands_at, no_hands, seen_hands
from backend.hands.follow import HandFollower, HandNetworks, HandTrack, load_hand_networks
from backend.hands.motion import SolvedHands, hands_over_time, solve_hands, with_wrists
from backend.hands.timing import between, longest_gap_s
from backend.hands.together import hands_together

__all__ = [
    "CloseUpHands",
    "HandEvidence",
    "HandFollower",
    "HandNetworks",
    "HandTrack",
    "SolvedHands",
    "between",
    "forearms",
    "hands_at",
    "hands_over_time",
    "hands_together",
    "load_hand_networks",
    "longest_gap_s",
    "no_hands",
    "seen_hands",
    "solve_hands",
    "with_wrists",
]
