"""Real video files made on the spot: every image shows its own number as grey levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WriteVideo = Callable[..., Path]


def numbered_image(index: int, width: int, height: int) -> np.ndarray:
    """An image (H, W, 3) whose top left quarter is white and whose lower half tells `index` as a grey level."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    image[height // 2 :] = (index * 5) % 250
    return image


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """Write a video with given presentation times: `write_video("a.mp4", pts, time_base)`."""

    def write(
        name: str,
        pts: Sequence[int],
        time_base: Fraction,
        *,
        codec: str = "libx264",
        size: tuple[int, int] = (64, 48),
        pixels: str = "yuv420p",
        options: dict[str, str] | None = None,
        images: Sequence[np.ndarray] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=options or {}) as out:
            stream = out.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = size[0], size[1], pixels
            stream.time_base = time_base
            stream.codec_context.time_base = time_base
            stream.codec_context.gop_size = 8
            # the encoder cannot guess decode times for uneven steps once images are reordered
            if len(set(np.diff(pts))) > 1:
                stream.codec_context.max_b_frames = 0
            for index, stamp in enumerate(pts):
                image = numbered_image(index, *size) if images is None else images[index]
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = stamp, time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return write
