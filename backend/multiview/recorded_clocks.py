"""What the files themselves say of the videos' clocks: sound first, then time codes.

May import the backend's requests and its own room.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.multiview.sound import offset_by_sound, read_sound
from backend.multiview.time_code import offset_by_time_code, read_time_code
from backend.multiview.types import Offset
from backend.solving.request import SolveRequest


def recorded_offsets(videos: Sequence[SolveRequest], known: Sequence[Offset | None]) -> list[Offset | None]:
    """The offset of each video against the first, where its file tells it and it is not `known`; None elsewhere.

    Sound of slow motion is not compared: its clock is not that of the frames.
    """
    open_clocks = [place for place in range(1, len(videos)) if known[place] is None]
    found: list[Offset | None] = [None for _ in videos]
    files = [video.video for video in videos]
    if not open_clocks or not all(file.is_file() for file in files):
        return found
    at_speed = all(video.slow_motion == 1.0 for video in videos)
    sound = read_sound(files[0]) if at_speed else None
    code = read_time_code(files[0]) if at_speed else None
    for place in open_clocks:
        other = read_sound(files[place]) if sound is not None else None
        if sound is not None and other is not None:
            found[place] = offset_by_sound(sound, other)
        stamp = read_time_code(files[place]) if code is not None and found[place] is None else None
        if code is not None and stamp is not None:
            found[place] = offset_by_time_code(code, stamp)
    return found
