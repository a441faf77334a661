"""Both detectors on made-up images, and the non-maximum suppression."""

from __future__ import annotations

import numpy as np
import pytest

from backend.people import PeopleNetworks
from backend.people.detectors import anchor_boxes, anchor_centres, decode_boxes, weighted_clusters
from backend.people.region import overlap
from tests.people.stage import STRIPES, VEST, Actor, backdrop, draw

TWO = [Actor(VEST, {0: (170.0, 230.0)}), Actor(STRIPES, {0: (520.0, 220.0)})]
VEST_BOX, STRIPES_BOX = (135.0, 110.0, 215.0, 350.0), (425.0, 100.0, 615.0, 342.0)


def test_person_detector_finds_both(networks: PeopleNetworks) -> None:
    found = [detection for detection in networks.persons.detect_frame(draw(TWO, 0)) if detection.score > 0.3]
    assert len(found) == 2
    for box in (VEST_BOX, STRIPES_BOX):
        assert max(overlap(box, detection.box_px) for detection in found) > 0.6


def test_person_detector_finds_nobody_on_a_wall(networks: PeopleNetworks) -> None:
    assert networks.persons.detect_frame(backdrop()) == []


def test_pose_detector_marks_the_hips(networks: PeopleNetworks) -> None:
    found = networks.poses.detect_frame(draw(TWO[:1], 0))
    assert len(found) == 1
    assert found[0].hip_px is not None
    assert found[0].top_px is not None
    assert found[0].hip_px == pytest.approx((188, 215), abs=20)
    assert found[0].top_px[1] < found[0].hip_px[1] - 80


def test_anchors_have_the_networks_rows() -> None:
    assert anchor_centres(224).shape == (2254, 2)
    assert anchor_boxes(320).shape == (19206, 4)
    # Values from the original's own metadata: first anchors and the last one.
    assert anchor_boxes(320)[1] == pytest.approx([0.0125, 0.0125, 0.10607, 0.05303], abs=1e-5)
    assert anchor_boxes(320)[-1] == pytest.approx([0.83333, 0.83333, 1.12246, 2.24492], abs=1e-5)


def test_box_codes() -> None:
    anchors = np.array([[0.5, 0.4, 0.2, 0.1]])
    assert decode_boxes(np.zeros((1, 4)), anchors)[0] == pytest.approx([0.4, 0.35, 0.6, 0.45])
    moved = decode_boxes(np.array([[1.0, -1.0, np.log(2), 0.0]]), anchors)[0]
    assert moved == pytest.approx([0.2, 0.4, 0.4, 0.6])


def test_clusters_average_by_score() -> None:
    points = np.zeros((3, 6, 2))
    points[:, 0] = [[0.5, 0.5], [0.52, 0.5], [0.1, 0.1]]
    points[:, 1] = 0.2
    clusters = weighted_clusters(points, np.array([0.6, 0.9, 0.7]))
    assert [score for _, score in clusters] == [0.9, 0.7]
    assert clusters[0][0][0] == pytest.approx([(0.5 * 0.6 + 0.52 * 0.9) / 1.5, 0.5])
