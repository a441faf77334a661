"""A camera that travels is followed where its background proves it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from backend.camera.bundle import Geometry, Observations, adjust, residuals_px
from backend.camera.feature_tracks import FeatureTracks, follow_features
from backend.camera.motion import CameraMotionMeter, camera_motion
from backend.camera.other_lens import another_lens_explains
from backend.camera.path import CameraPath
from backend.camera.travel import find_travel
from backend.types import Frame, Intrinsics
from blender_addon.motion.rotations import quaternion_to_matrix, rotvec_to_quaternion

UNIT_PX = 554.0
FRAMES = 50
NOISE_PX = 0.2


def _room(rng: np.random.Generator) -> np.ndarray:
    """Features (P, 3) on the floor and on the walls of a room round the origin, y down; the camera is 1.4 m up."""
    floor = np.stack([rng.uniform(-4, 4, 150), np.full(150, 1.4), rng.uniform(-1, 9, 150)], axis=1)
    back = np.stack([rng.uniform(-4, 4, 80), rng.uniform(-1.2, 1.4, 80), np.full(80, 9.0)], axis=1)
    sides = np.stack([rng.choice([-4.0, 4.0], 120), rng.uniform(-1.2, 1.4, 120), rng.uniform(-1, 9, 120)], axis=1)
    return np.concatenate([floor, back, sides])


def _meadow(rng: np.random.Generator) -> np.ndarray:
    """Features (P, 3) on the ground before the camera, and more of them too far away to show depth."""
    ground = np.stack([rng.uniform(-4, 4, 150), np.full(150, 1.4), rng.uniform(2.5, 7, 150)], axis=1)
    trees = np.stack([rng.uniform(-300, 300, 250), rng.uniform(-150, 20, 250), np.full(250, 500.0)], axis=1)
    return np.concatenate([ground, trees])


def _camera(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Turns (T, 3, 3) and centres (T, 3) of a camera that begins at the origin and looks along z."""
    share = np.linspace(0.0, 1.0, FRAMES)
    rotvecs, centres = np.zeros((FRAMES, 3)), np.zeros((FRAMES, 3))
    if kind in ("sideways", "held"):
        centres[:, 0] = 1.5 * share
    if kind in ("forwards", "held"):
        centres[:, 2] = 1.5 * share
    if kind == "orbit":
        angle = np.deg2rad(100.0) * share
        rotvecs[:, 1] = -angle
        centres = np.stack([3.0 * np.sin(angle), np.zeros(FRAMES), 3.0 - 3.0 * np.cos(angle)], axis=1)
    if kind in ("turn", "held"):
        rotvecs = np.deg2rad(2.0) * (np.sin(15.0 * share[:, None] + np.arange(3)) - np.sin(np.arange(3)))
        rotvecs[:, 1] += np.deg2rad(12.0) * share
    return np.asarray(quaternion_to_matrix(rotvec_to_quaternion(rotvecs))), centres


def _tracks(kind: str, seed: int, wild: float = 0.0, outdoors: bool = False) -> FeatureTracks:
    """What such a camera sees of the room, or outdoors; a part `wild` of the features moves about by itself."""
    rng = np.random.default_rng(seed)
    points, (turns, centres) = (_meadow if outdoors else _room)(rng), _camera(kind)
    moving = rng.random(len(points)) < wild
    row, feature, plane = [], [], []
    for frame, (turn, centre) in enumerate(zip(turns, centres, strict=True)):
        drift = moving[:, None] * np.array([0.6, 0.0, 0.3]) * np.sin(0.15 * frame + np.arange(len(points)))[:, None]
        seen = (points + drift - centre) @ turn
        image = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3)
        inside = (seen[:, 2] > 0.3) & (np.abs(image[:, 0]) < 0.58) & (np.abs(image[:, 1]) < 0.43)
        shown = np.flatnonzero(inside)
        row.append(np.full(len(shown), frame))
        feature.append(shown)
        plane.append(image[shown] + rng.normal(0.0, NOISE_PX / UNIT_PX, (len(shown), 2)))
    whole = (np.concatenate(part) for part in (row, feature, plane))
    return FeatureTracks(np.arange(FRAMES), *whole, UNIT_PX)


def _errors(path: CameraPath, kind: str) -> tuple[float, float]:
    """The worst error of a centre, in parts of the way's length, at the best size; and of a turn, degrees."""
    turns, centres = _camera(kind)
    assert path.travel is not None
    own = path.travel.position_m @ path.turns[0]
    scale = float((own * centres).sum() / (own**2).sum())
    apart = np.swapaxes(path.turns[0].T @ path.turns, 1, 2) @ turns
    angles = np.arccos(np.clip((np.trace(apart, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0))
    length = np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()
    return float(np.linalg.norm(scale * own - centres, axis=1).max() / length), float(np.rad2deg(angles.max()))


@pytest.mark.parametrize("kind", ["sideways", "orbit", "held"])
def test_a_way_is_found_with_its_turns(kind: str) -> None:
    path = find_travel(_tracks(kind, 1, wild=0.1))
    assert path is not None
    way, turn_deg = _errors(path, kind)
    assert way < 0.03
    assert turn_deg < 0.3
    # a person whom the last frame shows straight ahead lies within the image plane of the axes that are used
    assert path.turns[-1, 2, 2] > 0.2
    assert path.turns[0, 2, 2] > 0.2


@pytest.mark.parametrize("kind", ["sideways", "held"])
def test_a_way_before_a_far_background_is_found_with_its_turns(kind: str) -> None:
    """Most features show no depth: they tell the turns."""
    path = find_travel(_tracks(kind, 1, outdoors=True))
    assert path is not None
    way, turn_deg = _errors(path, kind)
    assert way < 0.03
    assert turn_deg < 0.3


@pytest.mark.parametrize("kind", ["still", "turn"])
def test_a_camera_on_one_spot_before_a_far_background_does_not_travel(kind: str) -> None:
    assert find_travel(_tracks(kind, 2, outdoors=True)) is None


@pytest.mark.parametrize("kind", ["still", "turn", "forwards"])
def test_a_camera_on_one_spot_does_not_travel(kind: str) -> None:
    """Nor is one told from it that goes 1.5 m towards a wall 9 m away: turn and zoom leave less than 1 px."""
    assert find_travel(_tracks(kind, 2)) is None


@pytest.mark.parametrize("kind", ["sideways", "held", "orbit"])
def test_a_camera_that_travels_and_zooms_is_not_taken_for_one_that_travels_elsewhere(kind: str) -> None:
    tracks = _tracks(kind, 1)
    zoom = np.linspace(1.0, 1.15, FRAMES)[tracks.row, None]
    assert find_travel(replace(tracks, plane=tracks.plane * zoom)) is None


def test_a_lens_that_is_not_known_exactly_is_no_zoom() -> None:
    tracks = _tracks("held", 1)
    assert find_travel(replace(tracks, plane=1.2 * tracks.plane, unit_px=UNIT_PX / 1.2)) is not None


@pytest.mark.parametrize(("size", "bend"), [(1.2, 0.0), (0.8, 0.0), (1.2, -0.1)])
def test_a_pan_through_a_lens_that_is_not_known_is_no_travel(size: float, bend: float) -> None:
    tracks = _tracks("turn", 1)
    plane = tracks.plane * (1.0 + bend * (tracks.plane**2).sum(axis=1, keepdims=True))
    wrong = replace(tracks, plane=size * plane, unit_px=UNIT_PX / size)
    assert another_lens_explains(wrong)
    assert find_travel(wrong) is None
    assert not another_lens_explains(_tracks("held", 1))


def test_a_background_that_moves_by_itself_proves_nothing() -> None:
    assert find_travel(_tracks("sideways", 3, wild=0.8)) is None


def test_too_few_features_prove_nothing() -> None:
    tracks = _tracks("sideways", 4)
    assert find_travel(tracks.taken(tracks.feature < 20)) is None
    assert find_travel(tracks.taken(tracks.feature < 0)) is None


def test_a_bundle_adjustment_leads_back_to_what_was_seen() -> None:
    rng = np.random.default_rng(5)
    turns, centres = _camera("held")
    true = Geometry(turns[::10], centres[::10], rng.uniform((-2, -1, 4), (2, 1, 8), (60, 3)))
    camera, point = (each.ravel() for each in np.meshgrid(np.arange(5), np.arange(60), indexing="ij"))
    away = np.einsum("mji,mj->mi", true.turns[camera], true.points[point] - true.centres[camera])
    seen = Observations(camera, point, away[:, :2] / away[:, 2:])
    off = quaternion_to_matrix(rotvec_to_quaternion(rng.normal(0.0, 0.01, (5, 3))))
    start = replace(
        true, turns=true.turns @ off, centres=true.centres + 0.03 * rng.normal(size=(5, 3)), points=true.points * 1.03
    )
    assert np.median(residuals_px(start, seen, UNIT_PX)) > 3.0
    assert residuals_px(adjust(start, seen, UNIT_PX, 30), seen, UNIT_PX).max() < 0.01


def test_features_are_followed_under_their_names_and_renewed() -> None:
    rng = np.random.default_rng(6)
    small = rng.integers(0, 255, (60, 200, 3), dtype=np.uint8)
    wide = cv2.GaussianBlur(cv2.resize(small, (1600, 480), interpolation=cv2.INTER_NEAREST), (5, 5), 0)
    lens = Intrinsics(np.array([[UNIT_PX, 0, 320.0], [0, UNIT_PX, 240.0], [0, 0, 1]]), 640, 480, "test")
    frames = [Frame(at, at / 30.0, np.asarray(wide[:, 30 * at : 30 * at + 640], np.uint8)) for at in range(12)]
    tracks = follow_features(frames, [], lens)
    assert min(np.bincount(tracks.row)) > 150
    for name in np.unique(tracks.feature)[::40]:
        mine = tracks.feature == name
        across = tracks.plane[mine, 0] * UNIT_PX + 30.0 * tracks.row[mine]
        assert np.ptp(across) < 1.0
        assert np.ptp(tracks.plane[mine, 1]) * UNIT_PX < 1.0


def _patches(shift_px: np.ndarray) -> list[Frame]:
    """A frame of 8 x 6 patches of texture, each of which moves by its own shift (48, 2) px a frame."""
    rng = np.random.default_rng(9)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (900, 1200, 3), dtype=np.uint8), (5, 5), 0)
    frames = []
    for at in range(24):
        image = np.zeros((480, 640, 3), np.uint8)
        for number, (across, down) in enumerate(np.round(at * shift_px).astype(int).tolist()):
            y, x = 80 * (number // 8), 80 * (number % 8)
            image[y : y + 80, x : x + 80] = texture[
                y + down + 150 : y + down + 230, x + across + 150 : x + across + 230
            ]
        frames.append(Frame(at, at / 12.0, image))
    return frames


@pytest.mark.parametrize("scene", ["at many depths", "a crowd"])
def test_a_dolly_is_noticed_and_a_crowd_is_not(scene: str) -> None:
    rng = np.random.default_rng(10)
    shift = np.stack([rng.uniform(1.0, 6.0, 48), np.zeros(48)], axis=1)
    if scene == "a crowd":
        angle = rng.uniform(0.0, 2.0 * np.pi, 48)
        shift = shift[:, :1] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    meter = CameraMotionMeter()
    for frame in _patches(shift):
        meter.update(frame)
    assert camera_motion(meter.samples, (), 640).moves == (scene == "at many depths")


def test_the_work_tells_how_far_it_is_and_can_be_ended() -> None:
    shares: list[float] = []
    assert find_travel(_tracks("sideways", 1), shares.append) is not None
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert 0.9 < shares[-1] <= 1.0

    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        if share > 0.4:
            raise StopError

    with pytest.raises(StopError):
        find_travel(_tracks("sideways", 1), stop)
