"""Video in: probe, decode ahead in a bounded thread, true times, ranges, image sequences, cuts.

May import `backend.types`, `backend.errors`, PyAV, OpenCV and numpy.
"""

from backend.video.cuts import CutDetector
from backend.video.ranges import FrameRange, parse_range
from backend.video.source import VideoOptions, VideoReader, open_video, probe

__all__ = ["CutDetector", "FrameRange", "VideoOptions", "VideoReader", "open_video", "parse_range", "probe"]
