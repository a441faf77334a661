"""The landmark stage: refinement by heatmaps, turning, and a person found where the image has one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.errors import BadInputError
from backend.people import PeopleNetworks, Roi, landmarks_on_crops, load_landmark_network
from backend.people.landmarks import LANDMARKS, refine, turned
from tests.people.stage import STRIPES, VEST, Actor, draw


def _heatmap(x: float, y: float, peak: float) -> np.ndarray:
    """Logits of a bump whose centre is at crop px (x, y)."""
    rows, columns = np.mgrid[:64, :64] * 4 + 0.5
    share = peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
    return np.log(np.maximum(share, 1e-9) / (1 - np.minimum(share, 0.999)))


def test_landmarks_move_to_sure_heatmaps_only() -> None:
    raw = np.array([[[100.0, 120.0], [100.0, 120.0], [1.0, 254.0], [400.0, -30.0]]], np.float32)
    heatmaps = np.stack(
        [_heatmap(104, 117, 0.9), _heatmap(104, 117, 0.3), _heatmap(4, 250, 0.9), _heatmap(100, 100, 0.9)]
    ).astype(np.float32)[None]
    refined, peak = refine(raw, heatmaps)
    assert refined[0, 0] == pytest.approx([104, 117], abs=0.35)
    assert refined[0, 1] == pytest.approx([100, 120])  # not sure enough
    assert np.abs(refined[0, 2] - [4, 250]).max() < 3
    assert refined[0, 2, 0] > 1.5
    assert refined[0, 3] == pytest.approx([400, -30])  # outside the map
    assert peak[0, 0] == pytest.approx(0.9, abs=0.02)
    assert peak[0, 1] == pytest.approx(0.3, abs=0.02)
    assert peak[0, 3] == 0


def test_a_quarter_turn_turns_the_world_points() -> None:
    points = np.array([[[0.0, -1.0, 0.3]]])  # up in the crop
    assert turned(points, np.array([math.pi / 2]))[0, 0] == pytest.approx([1.0, 0.0, 0.3])  # clockwise: to the right


def test_landmarks_lie_on_the_person(networks: PeopleNetworks) -> None:
    image = draw([Actor(VEST, {0: (300.0, 220.0)})], 0)
    batch = landmarks_on_crops([image], [Roi(300, 225, 300)], networks.landmarks)
    assert batch.presence[0] > 0.9
    assert batch.sureness(0) > 0.55
    nose, ankles = batch.keypoints_px[0, 0], batch.keypoints_px[0, [27, 28]]
    assert nose == pytest.approx([300, 113], abs=18)
    assert ankles[:, 1] == pytest.approx(323, abs=15)
    # Seen from the front: the person's left is on the image's right.
    assert batch.keypoints_px[0, 11, 0] > batch.keypoints_px[0, 12, 0]
    assert batch.world_m[0, [11, 12], 1].max() < -0.2 < 0.4 < batch.world_m[0, [27, 28], 1].min()


def test_a_turned_image_gives_turned_landmarks(networks: PeopleNetworks) -> None:
    """A quarter turn of the image, with the region turned along: the same landmarks, turned."""
    image = draw([Actor(STRIPES, {0: (200.0, 200.0)})], 0)[:400, :400]
    upright = landmarks_on_crops([image], [Roi(200, 205, 310)], networks.landmarks)
    lying = np.ascontiguousarray(np.rot90(image, -1))  # clockwise: (x, y) -> (400 - y, x)
    turned_batch = landmarks_on_crops([lying], [Roi(195, 200, 310, math.pi / 2)], networks.landmarks)
    x, y = upright.keypoints_px[0, :LANDMARKS].T
    gap = np.linalg.norm(turned_batch.keypoints_px[0, :LANDMARKS] - np.stack([400 - y, x], -1), axis=-1)
    assert np.median(gap) < 0.5
    assert gap.max() < 4
    world = turned(upright.world_m[:, :LANDMARKS], np.array([math.pi / 2]))
    assert np.abs(turned_batch.world_m[:, :LANDMARKS] - world).max() < 0.04


def test_batch_rows_do_not_depend_on_each_other(networks: PeopleNetworks) -> None:
    images = [draw([Actor(name, {0: (300.0, 220.0)})], 0) for name in (VEST, STRIPES)]
    rois = [Roi(300, 225, 300), Roi(305, 220, 320, 0.1)]
    both = landmarks_on_crops(images, rois, networks.landmarks)
    for index in range(2):
        alone = landmarks_on_crops([images[index]], [rois[index]], networks.landmarks)
        assert np.abs(both.keypoints_px[index] - alone.keypoints_px[0]).max() < 0.05
        assert np.abs(both.world_m[index] - alone.world_m[0]).max() < 1e-3


def test_features_are_there_when_asked() -> None:
    network = load_landmark_network(features=True)
    batch = landmarks_on_crops([np.zeros((256, 256, 3), np.uint8)], [Roi(128, 128, 256)], network)
    assert batch.features is not None
    assert batch.features.shape == (1, 2 * 2 * 288)


@pytest.mark.parametrize("rois", [[], [Roi(1, 1, 5), Roi(1, 1, 5)], [Roi(math.nan, 0, 5)], [Roi(0, 0, 0)]])
def test_useless_regions_are_refused(networks: PeopleNetworks, rois: list[Roi]) -> None:
    with pytest.raises(BadInputError):
        landmarks_on_crops([np.zeros((50, 50, 3), np.uint8)], rois, networks.landmarks)
