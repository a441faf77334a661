"""Bundle adjustment finds cameras, lenses and clocks from points without errors, and says how sure it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from backend.multiview.bundle import adjust
from backend.multiview.bundle_problem import (
    BONES,
    LANDMARKS,
    BundleProblem,
    BundleState,
    CameraPrior,
    ViewEvidence,
)

FRAMES = 40


def _walker(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A rigid body (F, L, 3) m that turns and walks before a camera, and its speed (F, L, 3)."""
    left = rng.normal(size=(8, 3)) * [0.25, 0.6, 0.25]
    both = np.stack([left, left * [-1.0, 1.0, 1.0]], axis=1).reshape(-1, 3)
    body = np.concatenate([[[0.0, -0.7, 0.1]], both])
    assert len(body) == len(LANDMARKS)

    def at(time: np.ndarray) -> np.ndarray:
        turn = Rotation.from_rotvec(np.stack([0.3 * np.sin(time), 2.0 * time, 0 * time], axis=1)).as_matrix()
        place = np.stack([np.sin(2 * time), 0.1 * np.cos(time), 3.5 + np.cos(1.7 * time)], axis=1)
        return body @ np.swapaxes(turn, 1, 2) + place[:, None]

    time = np.linspace(0.0, 4.0, FRAMES)
    return at(time), (at(time + 1e-4) - at(time - 1e-4)) / 2e-4


def _view(points: np.ndarray, speed: np.ndarray, factor: float, late_s: float) -> ViewEvidence:
    """What a camera sees whose lens is `factor` longer than assumed, and whose clock is taken as `late_s` too late."""
    late = points + late_s * speed
    seen = factor * late[..., :2] / late[..., 2:]
    ahead = points + (late_s + 1e-4) * speed
    velocity = (factor * ahead[..., :2] / ahead[..., 2:] - seen) / 1e-4
    middle = points[:, 7:9].mean(axis=1)
    return ViewEvidence(
        seen,
        velocity,
        np.ones(points.shape[:2]),
        points - middle[:, None],
        middle / np.linalg.norm(middle, axis=1, keepdims=True),
        middle[:, 2],
        np.ones(len(points), bool),
    )


def _problem() -> tuple[BundleProblem, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    points, speed = _walker(rng)
    rotation = Rotation.from_rotvec([0.1, 1.0, -0.05]).as_matrix()
    translation = np.array([-3.0, 0.2, 2.0])
    other = points @ rotation.T + translation
    views = (_view(points, speed, 1.0, 0.0), _view(other, speed @ rotation.T, 1.1, 0.02))
    lengths = np.log(np.linalg.norm(points[:, BONES[:, 0]] - points[:, BONES[:, 1]], axis=-1)).mean(axis=0)
    off = Rotation.from_rotvec([0.05, -0.12, 0.06]).as_matrix()
    start = BundleState(
        np.array([np.eye(3), off @ rotation]),
        np.array([np.zeros(3), translation + np.array([0.2, -0.1, 0.3])]),
        np.zeros(2),
        np.zeros(2),
        points + rng.normal(size=points.shape) * 0.05,
        lengths[None],
        np.array([0.0, 1.0, 0.0]),
    )
    priors = (CameraPrior(0.01, 0.0, 0.0, 0.0), CameraPrior(0.15))
    return BundleProblem(views, np.zeros(FRAMES, np.intp), start, priors), rotation, translation


def test_cameras_lens_and_clock_are_found() -> None:
    problem, rotation, translation = _problem()
    result = adjust(problem)
    state = result.state
    off = Rotation.from_matrix(state.rotations[1] @ rotation.T).magnitude()
    assert np.degrees(off) < 0.5
    assert np.linalg.norm(state.translations[1] - translation) < 0.05
    assert abs(state.focal_log[1] - np.log(1.1)) < 0.02
    assert abs(state.clock_s[1] - 0.02) < 0.002, "the shift that makes the clocks agree"
    assert (result.residual_m < 0.003).all()
    assert result.rotation_deg[0] < 0.01 < result.rotation_deg[1] < 5.0


def test_two_people_may_differ_in_height() -> None:
    """Each view's own solve makes both equally tall: the cameras must not be turned to make that true."""
    problem, rotation, translation = _problem()
    rng = np.random.default_rng(2)
    points, speed = _walker(rng)
    tall, fast = 1.2 * points + np.array([1.0, 0.0, 0.5]), 1.2 * speed
    other = tall @ rotation.T + translation
    lengths = problem.start.length_log[0]
    views = []
    for short, one in zip(
        problem.views, (_view(tall, fast, 1.0, 0.0), _view(other, fast @ rotation.T, 1.1, 0.02)), strict=True
    ):
        assumed = replace(one, own_m=one.own_m / 1.2)
        names = ViewEvidence.__dataclass_fields__
        views.append(ViewEvidence(*(np.concatenate([getattr(short, n), getattr(assumed, n)]) for n in names)))
    tall_log = np.log(np.linalg.norm(points[:, BONES[:, 0]] - points[:, BONES[:, 1]], axis=-1)).mean(axis=0)
    start = replace(
        problem.start,
        points_m=np.concatenate([problem.start.points_m, tall + rng.normal(size=tall.shape) * 0.05]),
        length_log=np.stack([lengths, tall_log]),
    )
    person = np.repeat([0, 1], FRAMES).astype(np.intp)
    result = adjust(BundleProblem(tuple(views), person, start, problem.priors))
    sizes = np.exp((result.state.length_log - start.length_log).mean(axis=1))
    assert abs(sizes[1] / sizes[0] - 1.2) < 0.02
    assert abs(np.log(sizes).mean()) < 0.03, "on average people are as tall as assumed"
    off = Rotation.from_matrix(result.state.rotations[1] @ rotation.T).magnitude()
    assert np.degrees(off) < 0.7


def test_a_camera_that_is_aimed_elsewhere_moves_everything_to_one_side() -> None:
    problem, rotation, translation = _problem()
    aimed = Rotation.from_rotvec([0.02, 0.0, 0.0]).as_matrix() @ rotation
    start = problem.start
    wrong = BundleState(
        np.array([np.eye(3), aimed]),
        np.array([np.zeros(3), translation]),
        np.array([0.0, np.log(1.1)]),
        np.array([0.0, 0.02]),
        start.points_m,
        start.length_log,
        start.down,
    )
    held = tuple(CameraPrior(0.001, 0.0, 0.0, 0.0) for _ in range(2))
    result = adjust(BundleProblem(problem.views, problem.person, wrong, held))
    assert result.aside_m.max() > 0.01


def test_nobody_seen_in_a_view_leaves_the_rest_as_it_is() -> None:
    problem, _, _ = _problem()
    blind = problem.views[1]
    blind = ViewEvidence(
        blind.points, blind.velocity, blind.weight, blind.own_m, blind.sight, blind.depth_m, np.zeros(FRAMES, bool)
    )
    result = adjust(BundleProblem((problem.views[0], blind), problem.person, problem.start, problem.priors))
    assert np.isfinite(result.state.points_m).all()
    assert np.isnan(result.residual_m[1])
