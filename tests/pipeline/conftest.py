"""The shipped rendered clips with their truth, models loaded once, and videos composed of the renders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.camera import CameraOptions
from backend.pipeline import SolveRequest
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.video import FrameRange

ASSETS = Path(__file__).parents[2] / "assets"


@dataclass(frozen=True)
class Rendered:
    """A rendered video and what a solve of it should find."""

    video: Path
    truth: dict[str, np.ndarray]

    def request(self, output: Path, **changes: object) -> SolveRequest:
        """A fast request for the first 24 frames, with the true camera and height."""
        known = {
            "camera": CameraOptions(focal_px=float(self.truth["intrinsics"][0, 0])),
            "height_m": float(self.truth["height_m"]),
            "range": FrameRange(0, 24),
        }
        return SolveRequest(self.video, output, quality=SolveQuality.FAST, device="cpu", **{**known, **changes})


def rendered(name: str) -> Rendered:
    with np.load(ASSETS / f"{name}.npz") as truth:
        return Rendered(ASSETS / f"{name}.mp4", dict(truth))


@pytest.fixture(scope="session")
def walk() -> Rendered:
    return rendered("demo_clip")


@pytest.fixture(scope="session")
def uneven_walk() -> Rendered:
    return rendered("demo_clip_vfr")


@pytest.fixture(scope="session")
def models() -> SolveModels:
    return load_models(SolveQuality.FAST, "cpu")


@pytest.fixture(scope="session")
def walk_images(walk: Rendered) -> list[np.ndarray]:
    """Twenty-four images in which the person is in the left half."""
    with av.open(str(walk.video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][44:68]


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """`write_images("a.mp4", images)`: H.264 at 25 images a second."""

    def write(name: str, images: Iterable[np.ndarray]) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            stream = None
            for index, image in enumerate(images):
                if stream is None:
                    stream = out.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
                    stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return write
