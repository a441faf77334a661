"""The max-margin loss against brute force, the working set, and simulated batches that agree with their truth."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # small tensors: more threads only wait for each other

from backend.datasets.motion import Motion  # noqa: E402
from backend.embedding.features import WINDOW  # noqa: E402
from backend.embedding.towers_torch import TowerSizes  # noqa: E402
from backend.training.checkpoint import folded_weights  # noqa: E402
from backend.training.generator import Mix, pack_batch  # noqa: E402
from backend.training.landmark_noise import LandmarkNoise  # noqa: E402
from backend.training.loss import max_margin_loss, mpjpe  # noqa: E402
from backend.training.objective import LOCAL_CANDIDATES, local_candidates  # noqa: E402
from backend.training.pool import motion_pool  # noqa: E402
from backend.training.simulate import SimulationSettings, simulate_batch  # noqa: E402
from backend.training.trainer import TrainerSettings, TrainOutputs, load_checkpoint, new_state, train  # noqa: E402
from backend.training.working_set import WorkingSet  # noqa: E402
from blender_addon.motion.body import canonical_body, forward_kinematics  # noqa: E402
from blender_addon.motion.mirroring import mirror_pose  # noqa: E402
from blender_addon.motion.rotations import rotvec_to_quaternion  # noqa: E402


def _takes(count: int = 3) -> list[Motion]:
    rng = np.random.default_rng(0)
    joints = len(canonical_body().joint_names)
    takes = []
    for k in range(count):
        swing = np.sin(np.linspace(0, 6, 60))[:, None, None] * rng.normal(0, 0.4, (1, joints, 3))
        takes.append(Motion(rotvec_to_quaternion(swing), np.tile([0, 0, 0.9], (60, 1)), 30.0, f"s{k}", "swing", "made"))
    return takes


class _Source:
    """Batches made in this process."""

    def __init__(self, batch: int) -> None:
        self._pool, self._rng, self._batch = motion_pool(_takes()), np.random.default_rng(1), batch

    def get(self, wait: bool):  # type: ignore[no-untyped-def]
        return pack_batch(self._pool, self._batch, self._rng, Mix())


def test_loss_equals_the_papers_equation_by_brute_force() -> None:
    torch.manual_seed(0)
    image, true, other = torch.randn(5, 6), torch.randn(5, 6), torch.randn(9, 6)
    margin = torch.rand(5, 9)
    expected = 0.0
    for row in range(5):
        worst = max(float(image[row] @ other[c]) + float(margin[row, c]) for c in range(9))
        expected += max(0.0, worst - float(image[row] @ true[row])) / 5
    assert float(max_margin_loss(image, true, other, margin).loss) == pytest.approx(expected, rel=1e-5)


def test_margin_is_mpjpe() -> None:
    a, b = torch.zeros(1, 17, 3), torch.zeros(2, 17, 3)
    b[1, :, 0] = 0.3
    b[1, 0, 0] = 0.0
    assert mpjpe(a, b)[0].tolist() == pytest.approx([0.0, 0.3 * 16 / 17])


def test_true_pose_among_the_candidates_costs_nothing() -> None:
    image = torch.eye(3) * 10
    assert float(max_margin_loss(image, torch.eye(3), torch.eye(3), 1.0 - torch.eye(3)).loss) == 0.0


def test_working_set_keeps_the_most_violated() -> None:
    rng = np.random.default_rng(0)
    working = WorkingSet(1000, hard=2)
    for _ in range(5):
        working.count(np.array([7, 500, 3]), np.array([0, 1, 0, 99]))
    assert set(working.draw(10, rng)[:2].tolist()) == {7, 500}


def test_local_candidates_are_near_and_differ() -> None:
    torch.manual_seed(0)
    joints, others = 0.4 * torch.randn(6, 17, 3), 0.4 * torch.randn(30, 17, 3)
    near = local_candidates(joints, others, joints + 0.01)
    assert near.shape == (6, LOCAL_CANDIDATES, 17, 3)
    distance = (near - joints[:, None]).norm(dim=-1).mean(-1)
    assert (distance[:, :7] > 0.001).all()
    assert (distance < 0.6).all()


def test_mirrored_pose_mirrors_positions() -> None:
    body = canonical_body()
    pose = _takes(1)[0].rotations_wxyz[20]
    plain, _ = forward_kinematics(body, pose, np.zeros(3))
    flipped, _ = forward_kinematics(body, mirror_pose(pose), np.zeros(3))
    assert np.allclose(flipped[body.mirror] * [-1, 1, 1], plain, atol=2e-3)


def test_simulated_truth_projects_onto_its_landmarks() -> None:
    settings = SimulationSettings(noise=LandmarkNoise(lost_share=0.0, swap_share=0.0))
    batch = simulate_batch(motion_pool(_takes()), 256, np.random.default_rng(3), settings)
    points = batch.frames[:, WINDOW // 2, :66].reshape(-1, 33, 2)
    for landmark, joint in ((15, 13), (16, 16), (27, 6), (28, 3), (11, 11)):
        for axis in range(2):
            assert np.corrcoef(points[:, landmark, axis], batch.joints_m[:, joint, axis])[0, 1] > 0.6
    assert np.allclose(np.linalg.det(batch.rotations), 1.0, atol=1e-3)
    torso = batch.joints_m[:, 8]
    assert (torso[:, 1] < 0).mean() > 0.95  # the virtual camera stands the torso up (y points down)


def test_trains_resumes_and_exports(tmp_path) -> None:  # type: ignore[no-untyped-def]
    sizes = TowerSizes(width=32, hidden=32, embedding=8)
    settings = TrainerSettings(steps=150, batch=32, candidates=64, bank=400, warmup=10, replay=4, half_precision=False)
    reports = []
    outlet = TrainOutputs(tmp_path / "last.pt", reports.append)
    state = train(new_state(sizes, settings), motion_pool(_takes()), _Source(32), settings, outlet)
    assert reports[-1].joints_mm < 0.75 * reports[0].joints_mm
    again = load_checkpoint(new_state(sizes, settings), tmp_path / "last.pt")
    assert again.step == state.step == 150
    assert np.array_equal(again.violations, state.violations)
    assert again.violations.max() > 0
    for a, b in zip(state.image.parameters(), again.image.parameters(), strict=True):
        assert torch.equal(a, b)
    weights = folded_weights(again.image_average, again.pose_average, {})
    assert weights.embedding_size == 8
    assert len(weights.pose_hash) == 16
