"""The clip file: whole round trips, and every damaged or foreign file refused with a reason."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import ClipError, ClipHeader, MotionClip, clip_to_bytes, read_clip, write_clip
from blender_addon.motion.clip_warning import ClipWarning, WarningCode


def make_clip(frames: int = 12) -> MotionClip:
    rng = np.random.default_rng(5)
    body = canonical_body()
    joints = len(body.joint_names)
    turns = rng.normal(size=(frames, joints, 4))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    turns[3] = np.nan  # the person was lost here
    return MotionClip(
        times_s=np.cumsum(rng.uniform(0.02, 0.05, frames)),
        rotations_wxyz=turns,
        root_world_m=rng.normal(size=(frames, 3)),
        root_camera_m=rng.normal(size=(frames, 3)),
        joints_camera_m=rng.normal(size=(frames, 17, 3)),
        keypoints_px=rng.normal(size=(frames, 33, 2)),
        keypoint_confidence=rng.uniform(size=(frames, 33)),
        confidence=rng.uniform(size=frames),
        score=rng.normal(size=frames),
        margin=rng.normal(size=frames),
        contacts=rng.uniform(size=(frames, 4)),
        intrinsics=np.diag([1000.0, 1000.0, 1.0]),
        world_from_camera=np.broadcast_to(np.eye(4), (frames, 4, 4)),
        bone_scales=np.ones(joints),
        body_joint_names=body.joint_names,
        joint_names=tuple(f"joint_{index}" for index in range(17)),
        keypoint_names=tuple(f"keypoint_{index}" for index in range(33)),
        header=ClipHeader(
            source="tänzer.mp4",
            source_width=1920,
            source_height=1080,
            source_fps=23.976,
            cuts_s=(1.5,),
            settings={"quality": "best"},
            figures={"jitter_mm": 1.25},
            warnings=(ClipWarning(WarningCode.CAMERA_ASSUMED, "assumed lens"), ClipWarning(WarningCode.OTHER, "x")),
        ),
    )


def test_a_clip_comes_back_as_it_was(tmp_path: Path) -> None:
    clip = make_clip()
    write_clip(clip, tmp_path / "take.npz")
    back = read_clip(tmp_path / "take.npz")
    for field in dataclasses.fields(MotionClip):
        mine, theirs = getattr(clip, field.name), getattr(back, field.name)
        if isinstance(mine, np.ndarray):
            assert theirs.dtype == mine.dtype, field.name
            assert np.array_equal(theirs, mine, equal_nan=True), field.name
        else:
            assert theirs == mine, field.name
    assert [path.name for path in tmp_path.iterdir()] == ["take.npz"], "no temporary file is left"


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    payload = clip_to_bytes(make_clip())
    path = tmp_path / "take.npz"
    path.write_bytes(payload[: int(len(payload) * keep)])
    with pytest.raises(ClipError, match=r"take\.npz"):
        read_clip(path)


def test_a_foreign_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", header=np.array(json.dumps({"format": "something"})))
    with pytest.raises(ClipError, match="not a Marionet clip"):
        read_clip(tmp_path / "other.npz")


def test_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    with np.load(io.BytesIO(clip_to_bytes(make_clip()))) as stored:
        arrays = dict(stored)
    header = json.loads(str(arrays["header"]))
    header["version"] += 1
    arrays["header"] = np.array(json.dumps(header))
    np.savez(tmp_path / "newer.npz", **arrays)
    with pytest.raises(ClipError, match="update Marionet"):
        read_clip(tmp_path / "newer.npz")


def test_pickled_content_is_never_loaded(tmp_path: Path) -> None:
    with np.load(io.BytesIO(clip_to_bytes(make_clip()))) as stored:
        arrays = dict(stored)
    arrays["score"] = np.array([print] * 12, dtype=object)
    np.savez(tmp_path / "evil.npz", **arrays)
    with pytest.raises(ClipError):
        read_clip(tmp_path / "evil.npz")


def test_fields_of_a_later_minor_version_are_ignored(tmp_path: Path) -> None:
    with np.load(io.BytesIO(clip_to_bytes(make_clip()))) as stored:
        arrays = dict(stored)
    header = json.loads(str(arrays["header"]))
    header["mood"] = "cheerful"
    arrays["header"] = np.array(json.dumps(header))
    np.savez(tmp_path / "later.npz", extra=np.zeros(3), **arrays)
    assert read_clip(tmp_path / "later.npz").header.source == "tänzer.mp4"


def with_header(path: Path, change: dict[str, object], without: str = "") -> MotionClip:
    """The clip with other values in its stored header."""
    with np.load(io.BytesIO(clip_to_bytes(make_clip()))) as stored:
        arrays = dict(stored)
    header = {key: value for key, value in json.loads(str(arrays["header"])).items() if key != without}
    arrays["header"] = np.array(json.dumps(header | change))
    np.savez(path, **arrays)
    return read_clip(path)


def test_warnings_are_stored_as_sentences_with_codes_beside_them() -> None:
    with np.load(io.BytesIO(clip_to_bytes(make_clip()))) as stored:
        header = json.loads(str(stored["header"]))
    assert header["warnings"] == ["assumed lens", "x"]
    assert header["warning_codes"] == ["camera_assumed", "other"]


def test_warnings_of_clips_before_there_were_codes_are_read(tmp_path: Path) -> None:
    texts = ["the camera is not known (assumed field of view of 60 degrees): distances may be off", "2 cuts were found"]
    warnings = with_header(tmp_path / "old.npz", {"warnings": texts}, without="warning_codes").header.warnings
    assert [warning.text for warning in warnings] == texts
    assert [warning.code for warning in warnings] == [WarningCode.CAMERA_ASSUMED, WarningCode.OTHER]


@pytest.mark.parametrize("codes", [["of a later version", "cuts"], [], ["cuts", "cuts", "cuts"]])
def test_codes_that_this_version_does_not_know_lose_no_sentence(tmp_path: Path, codes: list[str]) -> None:
    clip = with_header(tmp_path / "new.npz", {"warnings": ["one", "two"], "warning_codes": codes})
    assert [warning.text for warning in clip.header.warnings] == ["one", "two"]
    known = {"cuts": WarningCode.CUTS}
    assert [w.code for w in clip.header.warnings] == [known.get(c, WarningCode.OTHER) for c in [*codes, "", ""][:2]]


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("times_s", np.zeros(12), "increase"),
        ("contacts", np.zeros((12, 3)), "contacts"),
        ("rotations_wxyz", np.full((12, 24, 4), 2.0), "unit quaternions"),
        ("intrinsics", np.eye(4), "intrinsics"),
    ],
)
def test_a_malformed_clip_is_not_written(tmp_path: Path, field: str, value: np.ndarray, complaint: str) -> None:
    clip = dataclasses.replace(make_clip(), **{field: value})
    with pytest.raises(ClipError, match=complaint):
        write_clip(clip, tmp_path / "take.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "take.npz"
    write_clip(make_clip(6), path)
    old = path.read_bytes()

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_clip(make_clip(12), path)
    assert path.read_bytes() == old
    assert [one.name for one in tmp_path.iterdir()] == ["take.npz"]
