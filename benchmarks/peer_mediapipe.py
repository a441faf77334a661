"""MediaPipe's own video mode on one file, timed; runs in the peer's environment (mediapipe, numpy, OpenCV only).

usage: peer_mediapipe.py VIDEO COMPLEXITY    (1 full, 2 heavy); prints one line of JSON
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import mediapipe


def main(video: str, complexity: int) -> None:
    """Decode and track every frame; the model is loaded and warm before the clock starts."""
    pose = mediapipe.solutions.pose.Pose(static_image_mode=False, model_complexity=complexity, smooth_landmarks=True)
    capture = cv2.VideoCapture(video)
    _, first = capture.read()
    pose.process(cv2.cvtColor(first, cv2.COLOR_BGR2RGB))
    pose.reset()
    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    frames, found, decode_s, began = 0, 0, 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        there, image = capture.read()
        if not there:
            break
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        decode_s += time.perf_counter() - asked
        frames += 1
        found += pose.process(image).pose_landmarks is not None
    seconds = time.perf_counter() - began
    print(json.dumps({"frames": frames, "found": found, "seconds": seconds, "decode_s": decode_s}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
