"""A dozen videos as people have them, solved: the poses of the plain video at the right times, or words."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.errors import NoPersonError
from backend.pipeline import solve
from backend.video import FrameRange
from blender_addon.motion.clip import MotionClip, read_clip
from blender_addon.motion.clip_warning import WarningCode
from tests.video.odd_videos import TS_BASE, Encoding, encode, set_matrix, stored

COUNT = 16
BASE = Fraction(1, 12800)
Images = list[np.ndarray]


def even(count: int, base: Fraction = BASE, offset_s: float = 0.0) -> list[int]:
    return [round((offset_s + number / 25) / base) for number in range(count)]


@pytest.fixture(scope="module")
def plain(walk_images, walk, models, tmp_path_factory) -> tuple[Images, MotionClip]:
    """The images, and the clip that they are solved to."""
    images = [np.ascontiguousarray(image) for image in walk_images[:COUNT]]
    folder = tmp_path_factory.mktemp("plain")
    encode(folder / "plain.mp4", images, even(COUNT), Encoding())
    return images, solve_file(folder / "plain.mp4", walk, models)[0]


def solve_file(path: Path, walk, models, **changes: object) -> tuple[MotionClip, tuple[str, ...]]:
    request = walk.request(path.with_name("out.npz"), **{"range": FrameRange(), **changes})
    request = type(request)(**{name: getattr(request, name) for name in request.__slots__} | {"video": path})
    result = solve(request, models=models)
    return read_clip(path.with_name("out.npz")), result.warnings


def matrix(mirrored: bool, turns: int) -> Callable[[Path, Images], Path]:
    def make(folder: Path, images: Images) -> Path:
        path = folder / "a.mov"
        encode(path, [stored(image, mirrored, turns) for image in images], even(COUNT), Encoding())
        set_matrix(path, mirrored, turns)
        return path

    return make


def hidden_start(folder: Path, images: Images) -> Path:
    stamps = [stamp - even(COUNT)[4] for stamp in even(COUNT)]
    encode(folder / "a.mp4", images, stamps, Encoding(hidden=4, b_frames=2))
    return folder / "a.mp4"


def wall_clock(folder: Path, images: Images) -> Path:
    base = Fraction(1, 1000)
    encode(folder / "a.mkv", images, even(COUNT, base, 1_700_000_000.0), Encoding(time_base=base))
    return folder / "a.mkv"


def raw(folder: Path, images: Images) -> Path:
    encode(folder / "a.h264", images, even(COUNT, Fraction(1, 25)), Encoding(time_base=Fraction(1, 25)))
    return folder / "a.h264"


def parts(folder: Path, images: Images, second_at_s: float) -> Path:
    data = b""
    for part, begins_s in ((images[:8], 10.0), (images[8:], second_at_s)):
        encode(folder / "part.ts", part, even(8, TS_BASE, begins_s), Encoding(time_base=TS_BASE))
        data += (folder / "part.ts").read_bytes()
    (folder / "a.ts").write_bytes(data)
    return folder / "a.ts"


def preview(folder: Path, images: Images) -> Path:
    base = Fraction(1, 1000)
    encode(folder / "a.mkv", images, even(COUNT, base), Encoding(time_base=base, preview=True, b_frames=2))
    return folder / "a.mkv"


def gap(folder: Path, images: Images) -> Path:
    place = folder / "images"
    place.mkdir()
    for number, image in enumerate(images):
        if number not in (5, 6, 7):
            assert cv2.imwrite(str(place / f"shot_{number + 101:04d}.png"), image[..., ::-1])
    return place


CASES = {
    "mirrored": (matrix(True, 0), 0.0, []),
    "upside down and mirrored": (matrix(True, 2), 0.0, []),
    "on its side and mirrored": (matrix(True, 3), 0.0, []),
    "on its side": (matrix(False, 1), 0.0, []),
    "edit list": (hidden_start, 4 / 25, []),
    "wall clock": (wall_clock, 0.0, []),
    "raw stream": (raw, 0.0, []),
    "clock starts anew": (lambda folder, images: parts(folder, images, 1.0), 0.0, ["clock starts anew once"]),
    "an hour's pause": (lambda folder, images: parts(folder, images, 3610.32), 0.0, ["pauses once"]),
    "preview first": (preview, 0.0, []),
    "missing numbers": (gap, 0.0, ["3 images are missing"]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_poses_are_those_of_the_plain_video(case: str, plain, walk, models, tmp_path: Path) -> None:
    images, base = plain
    make, begins_s, says = CASES[case]
    path = make(tmp_path, images)
    clip, warnings = solve_file(path, walk, models, **({"sequence_fps": 25.0} if path.is_dir() else {}))
    assert clip.header.source_fps == pytest.approx(25.0, rel=0.02)
    times = np.where(clip.times_s > 3600.0, clip.times_s - 3600.0, clip.times_s) + begins_s
    rows = np.abs(base.times_s[None] - times[:, None]).argmin(axis=1)
    np.testing.assert_allclose(base.times_s[rows], times, atol=1.5e-3)
    assert len(set(rows.tolist())) == len(rows) == COUNT - {"edit list": 4, "missing numbers": 3}.get(case, 0)
    seen = (clip.confidence > 0) & (base.confidence[rows] > 0)
    assert seen.sum() > 0.8 * len(rows)
    joints, wanted = clip.joints_camera_m[seen], base.joints_camera_m[rows][seen]
    apart = np.linalg.norm((joints - joints[:, :1]) - (wanted - wanted[:, :1]), axis=-1)
    assert apart.mean() < 0.03
    for words in says:
        assert any(words in warning.text for warning in warnings), warnings
    assert not any("cut off or damaged" in warning.text for warning in warnings)


def test_what_is_not_seen_is_said_and_marked(plain, walk, models, tmp_path: Path) -> None:
    images, base = plain
    assert base.header.unseen_parts == ()
    hips_y = float(np.nanmedian(base.keypoints_px[:, [23, 24], 1]))
    cut = 2 * (int(hips_y) // 2)
    encode(tmp_path / "waist.mp4", [np.ascontiguousarray(image[:cut]) for image in images], even(COUNT), Encoding())
    clip, warnings = solve_file(tmp_path / "waist.mp4", walk, models)
    assert "legs" in clip.header.unseen_parts
    assert any("the legs are never seen" in warning.text for warning in warnings)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_world_that_was_turned_is_said_to_be(plain, walk, models, tmp_path: Path, turns: int) -> None:
    images, base = plain
    assert not any("--gravity" in warning.text for warning in base.header.warnings)
    encode(tmp_path / "lying.mp4", [np.ascontiguousarray(np.rot90(i, turns)) for i in images], even(COUNT), Encoding())
    _, warnings = solve_file(tmp_path / "lying.mp4", walk, models)
    assert any("--gravity" in warning.text and "rotate" in warning.text for warning in warnings), warnings
    given = {1: (1.0, 0.0, 0.0), 2: (0.0, -1.0, 0.0), 3: (-1.0, 0.0, 0.0)}[turns]
    _, warnings = solve_file(tmp_path / "lying.mp4", walk, models, gravity_camera=given)
    assert not any("--gravity" in warning.text for warning in warnings)


def test_darkness_is_said_with_its_remedy_and_a_mirror_image_is_upright(plain, walk, models, tmp_path: Path) -> None:
    images, base = plain
    assert not any(warning.code is WarningCode.VIDEO_DARK for warning in base.header.warnings)
    encode(tmp_path / "dim.mp4", [np.asarray(image * 0.12, np.uint8) for image in images], even(COUNT), Encoding())
    _, warnings = solve_file(tmp_path / "dim.mp4", walk, models)
    assert any("more light" in w.text for w in warnings if w.code is WarningCode.VIDEO_DARK), warnings
    encode(tmp_path / "night.mp4", [np.asarray(image * 0.02, np.uint8) for image in images], even(COUNT), Encoding())
    with pytest.raises(NoPersonError, match="dark") as fault:
        solve_file(tmp_path / "night.mp4", walk, models)
    assert "more light" in fault.value.remedy
    encode(tmp_path / "mirror.mp4", [np.ascontiguousarray(i[:, ::-1]) for i in images], even(COUNT), Encoding())
    clip, warnings = solve_file(tmp_path / "mirror.mp4", walk, models)
    assert not any("--gravity" in warning.text for warning in warnings), warnings
    up = base.world_from_camera[0, 2, :3] * np.array([-1.0, 1.0, 1.0])
    assert np.rad2deg(np.arccos(clip.world_from_camera[0, 2, :3] @ up)) < 3.0
