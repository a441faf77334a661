"""The limit of frames holds for what is decoded, whatever the file's header says."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from backend.errors import BadInputError
from backend.pipeline import solve
from backend.solving.people_listing import PeopleListingRequest, find_everyone
from backend.solving.request import SolveQuality
from backend.video import FrameRange, VideoOptions, open_video
from tests.pipeline.conftest import Rendered

FRAMES, PROMISED, LIMIT = 24, 3, 10


@pytest.fixture
def lying_video(tmp_path: Path, walk_images: list[np.ndarray]) -> Path:
    """An AVI of 24 frames whose stream header promises 3."""
    path = tmp_path / "lying.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.height, stream.width = walk_images[0].shape[:2]
        for image in walk_images[:FRAMES]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        out.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    start = data.index(b"strh") + 8
    assert int.from_bytes(data[start + 32 : start + 36], "little") == FRAMES
    data[start + 32 : start + 36] = PROMISED.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_the_header_lies(lying_video: Path) -> None:
    reader = open_video(lying_video)
    assert len(list(reader.frames())) > LIMIT


def test_a_solve_stops_at_the_limit(walk: Rendered, lying_video: Path, models, tmp_path: Path) -> None:
    request = Rendered(lying_video, walk.truth).request(tmp_path / "a.npz", max_frames=LIMIT, range=FrameRange())
    seen = []
    with pytest.raises(BadInputError, match="the limit is 10"):
        solve(request, progress=lambda progress: seen.append(progress.done), models=models)
    assert max(seen, default=0) <= LIMIT
    assert not (tmp_path / "a.npz").exists()


def test_finding_people_stops_at_the_limit(lying_video: Path, models) -> None:
    request = PeopleListingRequest(lying_video, VideoOptions(), SolveQuality.FAST, "cpu", max_frames=LIMIT)
    with pytest.raises(BadInputError, match="the limit is 10"):
        find_everyone(request, networks=models.people)


def test_as_many_as_the_limit_are_no_more_than_it(lying_video: Path) -> None:
    assert len(list(open_video(lying_video, VideoOptions(most_frames=FRAMES)).frames())) == FRAMES
    with pytest.raises(BadInputError, match=f"the limit is {FRAMES - 1}"):
        list(open_video(lying_video, VideoOptions(most_frames=FRAMES - 1)).frames())
