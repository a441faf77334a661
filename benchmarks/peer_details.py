"""MediaPipe's own hand and face landmarkers on frames; runs in the peer's environment (mediapipe, numpy only).

usage: peer_details.py FRAMES.npy HEADS.npy TASKS_FOLDER OUT.npz

Frames (N, H, W, 3) and heads (N, S, S, 3) cut out of them, RGB; the folder holds both .task files. Hands are looked for
in the frames, faces in the heads: in a whole frame the detector of the peer finds near faces only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

_HANDS, _POINTS = 4, len(mediapipe.solutions.hands.HandLandmark)
_FACE_POINTS = 478


def main(frames: Path, heads: Path, tasks: Path, out: Path) -> None:
    """Write `hands` (N, 4, 21, 2) in px of the frames, `faces` (N, 478, 2) in parts of the head's image, NaN where none
    is found, and `weights` (N, 52).
    """
    images, near = np.load(frames), np.load(heads)
    hand_options = vision.HandLandmarkerOptions(
        BaseOptions(str(tasks / "hand_landmarker.task")), num_hands=_HANDS, min_hand_detection_confidence=0.3
    )
    face_options = vision.FaceLandmarkerOptions(
        BaseOptions(str(tasks / "face_landmarker.task")), output_face_blendshapes=True
    )
    hands, faces = np.full((len(images), _HANDS, _POINTS, 2), np.nan), np.full((len(images), _FACE_POINTS, 2), np.nan)
    weights, names = np.full((len(images), 52), np.nan), [""] * 52
    size = np.array([images.shape[2], images.shape[1]])
    hand_marker = vision.HandLandmarker.create_from_options(hand_options)
    face_marker = vision.FaceLandmarker.create_from_options(face_options)
    for row, image in enumerate(images):
        given = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        for place, hand in enumerate(hand_marker.detect(given).hand_landmarks):
            hands[row, place] = [[point.x, point.y] for point in hand] * size
        head = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(near[row]))
        face = face_marker.detect(head)
        if face.face_landmarks:
            faces[row] = [[point.x, point.y] for point in face.face_landmarks[0]]
            weights[row] = [one.score for one in face.face_blendshapes[0]]
            names = [one.category_name for one in face.face_blendshapes[0]]
    np.savez(out, hands=hands, faces=faces, weights=weights, names=np.array(names))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
