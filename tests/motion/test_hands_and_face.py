"""Fingers and faces in clips: the canonical hand, its file members, resampling, cutting, smoothing, mirroring."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.body import canonical_body
from blender_addon.motion.clip import ClipError, MotionClip, check_clip, clip_to_bytes, read_clip, write_clip
from blender_addon.motion.face import FACE_WEIGHT_NAMES, mirror_face
from blender_addon.motion.hands import FINGERS, HAND_JOINTS, canonical_hand, hand_points_m, mirror_hands
from blender_addon.motion.resampling import resample_clip, sample_clip, trim_clip
from blender_addon.motion.rotations import quaternion_between
from blender_addon.motion.smoothing import HEAVY, MEDIUM, PRESETS, smooth_clip
from tests.motion.hand_motions import bent_hand, with_groups
from tests.motion.motions import make_clip, walking


def _clip(seconds: float = 2.0, fps: float = 30.0) -> MotionClip:
    times, rotations, root, _ = walking(seconds, fps)
    root[20:24] = np.nan
    rotations[20:24] = np.nan
    return with_groups(make_clip(times, rotations, root))


def test_the_rest_hand_is_flat_and_lies_on_the_canonical_body() -> None:
    rest = np.zeros((15, 4))
    rest[:, 0] = 1.0
    body = canonical_body()
    for side, name in enumerate(("left", "right")):
        points = hand_points_m(rest, side)
        along = np.diff(points, axis=-2)
        across = 1.0 if side == 0 else -1.0
        assert (along[1:, :, 0] * across > 0.01).all()
        np.testing.assert_allclose(along[1:, :, 1:], 0.0, atol=1e-12)
        # the body's own `hand` joint lies at the middle knuckle
        knuckle = body.offsets_m[body.joint_index(f"{name}_hand")]
        assert np.linalg.norm(points[FINGERS.index("middle"), 0] - knuckle) < 0.003
        index = next(site for site in body.sites if site.name == f"{name}_index")
        assert np.linalg.norm(points[FINGERS.index("index"), 0] - knuckle - index.rest_offset_m) < 0.003


@pytest.mark.parametrize("side", [0, 1])
def test_a_positive_bend_goes_into_the_palm_and_a_positive_spread_to_the_thumb(side: int) -> None:
    straight = hand_points_m(bent_hand(np.zeros(15), side), side)
    fist = hand_points_m(bent_hand(np.full(15, np.radians(80.0)), side), side)
    assert (fist[1:, 3, 2] < straight[1:, 3, 2] - 0.005).all()
    hand = canonical_hand(side)
    spread = np.cross(hand.spread_axes, hand.directions)
    assert (spread[1:, 1] < -0.99).all()  # -Y is the thumb's side
    assert spread[0, 2] < -0.5  # the thumb leaves the palm's plane
    bend = np.cross(hand.flexion_axes, hand.directions)
    assert bend[0, 1] > 0.4
    assert bend[0, 2] < -0.4


def test_the_right_hand_is_the_left_ones_mirror_image() -> None:
    bend = np.linspace(0.0, 1.4, 15)
    left, right = (hand_points_m(bent_hand(bend, side), side) for side in (0, 1))
    np.testing.assert_allclose(right, left * [-1.0, 1.0, 1.0], atol=1e-12)


def test_names_are_arkits_fifty_two() -> None:
    assert len(set(FACE_WEIGHT_NAMES)) == 52
    assert (FACE_WEIGHT_NAMES[0], FACE_WEIGHT_NAMES[17], FACE_WEIGHT_NAMES[51]) == (
        "eyeBlinkLeft",
        "jawOpen",
        "tongueOut",
    )
    assert len(HAND_JOINTS) == 15


def test_groups_come_back_as_they_were(tmp_path: Path) -> None:
    clip = _clip()
    write_clip(clip, tmp_path / "take.npz")
    back = read_clip(tmp_path / "take.npz")
    assert back.hands is not None
    assert back.face is not None
    assert clip.hands is not None
    assert clip.face is not None
    np.testing.assert_array_equal(back.hands.rotations_wxyz, clip.hands.rotations_wxyz)
    np.testing.assert_array_equal(back.hands.confidence, clip.hands.confidence)
    np.testing.assert_array_equal(back.face.weights, clip.face.weights)
    np.testing.assert_array_equal(back.face.confidence, clip.face.confidence)
    assert back.hands.rotations_wxyz.dtype == np.float32


def test_a_clip_without_groups_has_no_member_of_them(tmp_path: Path) -> None:
    plain = replace(_clip(), hands=None, face=None)
    with np.load(io.BytesIO(clip_to_bytes(plain))) as stored:
        assert not [name for name in stored.files if name.startswith(("hand_", "face_"))]
    write_clip(plain, tmp_path / "take.npz")
    back = read_clip(tmp_path / "take.npz")
    assert back.hands is None
    assert back.face is None


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("hand_confidence", None),
        ("hand_joint_names", None),
        ("face_weights", None),
        ("hand_rotations_wxyz", np.zeros((60, 2, 14, 4), np.float32)),
        ("hand_rotations_wxyz", np.full((60, 2, 15, 4), 2.0, np.float32)),
        ("hand_confidence", np.full((60, 2), np.nan, np.float32)),
        ("face_weights", np.full((60, 52), 1.5, np.float32)),
        ("face_weights", np.full((60, 52), np.inf, np.float32)),
        ("face_confidence", np.zeros(59, np.float32)),
        ("face_weight_names", np.array(["mood"] * 52)),
    ],
)
def test_half_a_group_or_a_malformed_one_is_refused(tmp_path: Path, member: str, value: np.ndarray | None) -> None:
    with np.load(io.BytesIO(clip_to_bytes(_clip()))) as stored:
        arrays = {name: stored[name] for name in stored.files if name != member}
    if value is not None:
        arrays[member] = value
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(ClipError):
        read_clip(tmp_path / "odd.npz")


def test_a_malformed_group_is_not_written(tmp_path: Path) -> None:
    clip = _clip()
    assert clip.face is not None
    with pytest.raises(ClipError, match="face_weights"):
        write_clip(replace(clip, face=replace(clip.face, weights=clip.face.weights[:, :51])), tmp_path / "take.npz")
    assert not list(tmp_path.iterdir())


def test_resampling_keeps_fingers_and_face_on_their_times() -> None:
    fine, clip = _clip(fps=240.0), _clip(fps=30.0)
    fine = replace(fine, root_world_m=np.nan_to_num(fine.root_world_m))
    out = resample_clip(clip, 47.95)
    check_clip(out)
    assert out.hands is not None
    assert out.face is not None
    there = np.isfinite(out.root_world_m).all(axis=1)
    assert np.isfinite(out.hands.rotations_wxyz[there]).all()
    assert np.isnan(out.hands.rotations_wxyz[~there]).all()
    assert np.isnan(out.face.weights[~there]).all()
    assert not out.hands.confidence[~there].any()
    truth = with_groups(make_clip(out.times_s, *_still(len(out))))
    assert truth.hands is not None
    assert truth.face is not None
    apart = quaternion_between(out.hands.rotations_wxyz[there], truth.hands.rotations_wxyz[there])
    assert np.degrees(apart).max() < 0.5
    assert np.abs(out.face.weights[there] - truth.face.weights[there]).max() < 0.01


def _still(frames: int) -> tuple[np.ndarray, np.ndarray]:
    turns = np.zeros((frames, len(canonical_body().joint_names), 4))
    turns[..., 0] = 1.0
    return turns, np.zeros((frames, 3))


def test_its_own_times_give_the_same_groups_and_a_trim_takes_rows() -> None:
    clip = _clip()
    same, part = sample_clip(clip, clip.times_s), trim_clip(clip, 0.5, 1.0)
    assert clip.hands is not None
    assert same.hands is not None
    assert part.hands is not None
    assert part.face is not None
    np.testing.assert_array_equal(same.hands.rotations_wxyz, clip.hands.rotations_wxyz)
    rows = (clip.times_s >= 0.5 - 1e-9) & (clip.times_s <= 1.0 + 1e-9)
    np.testing.assert_array_equal(part.hands.rotations_wxyz, clip.hands.rotations_wxyz[rows])
    assert len(part.face.weights) == rows.sum()


def test_presets_calm_fingers_and_face_and_fill_gaps() -> None:
    clip = _clip(4.0)
    assert clip.hands is not None
    assert clip.face is not None
    random = np.random.default_rng(0)
    noise = np.clip(clip.face.weights + random.normal(0, 0.05, clip.face.weights.shape), 0, 1).astype(np.float32)
    shaky = clip.hands.rotations_wxyz + random.normal(0, 0.05, clip.hands.rotations_wxyz.shape)
    shaky = (shaky / np.linalg.norm(shaky, axis=-1, keepdims=True)).astype(np.float32)
    noisy = replace(clip, face=replace(clip.face, weights=noise), hands=replace(clip.hands, rotations_wxyz=shaky))
    errors = {}
    for name in ("off", "medium"):
        out = smooth_clip(noisy, PRESETS[name])
        check_clip(out)
        assert out.hands is not None
        assert out.face is not None
        rows = np.r_[5:18, 30:110]
        errors[name] = (
            float(quaternion_between(out.hands.rotations_wxyz, clip.hands.rotations_wxyz)[rows].mean()),
            float(np.abs(out.face.weights - clip.face.weights)[rows].mean()),
        )
    assert errors["medium"][0] < 0.7 * errors["off"][0]
    assert errors["medium"][1] < 0.8 * errors["off"][1]
    filled = smooth_clip(clip, MEDIUM)
    assert filled.hands is not None
    assert np.isfinite(filled.hands.rotations_wxyz).all()
    assert filled.face is not None
    assert np.isfinite(filled.face.weights).all()


def test_every_preset_filters_both_groups() -> None:
    for name, preset in PRESETS.items():
        assert (preset.filters.fingers is None) == (name == "off")
        assert (preset.filters.face is None) == (name == "off")
    assert smooth_clip(replace(_clip(), hands=None, face=None), HEAVY).hands is None


def test_mirroring_exchanges_sides_and_twice_is_nothing() -> None:
    clip = _clip()
    assert clip.hands is not None
    assert clip.face is not None
    hands, face = mirror_hands(clip.hands), mirror_face(clip.face)
    points = hand_points_m(hands.rotations_wxyz[:, 0], 0)
    np.testing.assert_allclose(points, hand_points_m(clip.hands.rotations_wxyz[:, 1], 1) * [-1, 1, 1], atol=1e-6)
    smile = [FACE_WEIGHT_NAMES.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    np.testing.assert_array_equal(face.weights[:, smile], clip.face.weights[:, smile[::-1]])
    np.testing.assert_array_equal(mirror_hands(hands).rotations_wxyz, clip.hands.rotations_wxyz)
    np.testing.assert_array_equal(mirror_face(face).weights, clip.face.weights)
